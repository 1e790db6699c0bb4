/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Faults on request, for tests; see inject.h.  An empty file in release builds. */
#include "support/inject.h"

#ifdef VOLMIG_INJECT

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool inject_number(const char *what, uint64_t *ret_number)
{
	const char *p = getenv("VOLMIG_INJECT");
	size_t len = strlen(what);

	while (p && *p) {
		if (!strncmp(p, what, len) && p[len] == ':') {
			*ret_number = strtoull(p + len + 1, NULL, 0);
			return true;
		}
		p = strchr(p, ',');
		if (p)
			p++;
	}
	return false;
}

_Noreturn void inject_die(void)
{
	const char *trigger = getenv("VOLMIG_INJECT_DIE");
	int fd = trigger ? open(trigger, O_WRONLY | O_CLOEXEC) : -1;

	if (fd >= 0 && write(fd, "c", 1) == 1)
		pause();
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

void inject_kill_at(const char *what, uint64_t number)
{
	uint64_t wanted;

	if (inject_number(what, &wanted) && wanted == number)
		inject_die();
}

void inject_stop_at(const char *what, uint64_t number)
{
	uint64_t wanted;

	if (inject_number(what, &wanted) && wanted == number)
		raise(SIGSTOP);
}

void inject_kill_past(const char *what, uint64_t number)
{
	uint64_t wanted;

	if (inject_number(what, &wanted) && number >= wanted)
		inject_die();
}

bool inject_covers(const char *what, uint64_t offset, uint64_t length)
{
	static char fired[16][32];
	static size_t count;
	uint64_t wanted;

	if (!inject_number(what, &wanted) || wanted < offset ||
	    wanted - offset >= length)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!strcmp(fired[i], what))
			return false;
	if (count < 16)
		strncpy(fired[count++], what, sizeof(fired[0]) - 1);
	return true;
}

void inject_slow(void)
{
	uint64_t microseconds;

	if (inject_number("slow", &microseconds))
		usleep((useconds_t)microseconds);
}

#endif

/* ISO C wants a file to hold something. */
typedef int inject_not_empty;
