/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pause of a device-mapper device that always ends, since a process of its own keeps it. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/text.h"
#include "sys/dm.h"

struct dm_pause {
	char *name;
	pid_t keeper;
	int link;		/* to the keeper: closing it, or dying, resumes the device */
};

/* What the keeper says. */
enum word {
	WORD_SUSPENDED = 's',
	WORD_FAILED = 'f',	/* followed by a struct err */
	WORD_RESUMED = 'r',	/* because it was asked to */
	WORD_LATE = 't',	/* because the time was over */
};

static void on_alarm(int signal)
{
	(void)signal;	/* interrupting the ioctl is all it is for */
}

static void say(int link, char word)
{
	while (send(link, &word, 1, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static void say_failed(int link, const struct err *err)
{
	say(link, WORD_FAILED);
	while (send(link, err, sizeof(*err), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* Suspending takes as long as the slowest request in flight; past the limit it is given up. */
static int suspend_within(const char *name, uint64_t limit_ms, struct err *err)
{
	struct sigaction action = { .sa_handler = on_alarm };
	/* Again and again: a signal may come just before the ioctl begins. */
	struct itimerval timer = {
		.it_value = { (time_t)(limit_ms / 1000), (suseconds_t)(limit_ms % 1000 * 1000) },
		.it_interval = { 0, 100000 },
	};
	struct itimerval none = { { 0, 0 }, { 0, 0 } };
	int ret;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	ret = dm_suspend(name, err);
	setitimer(ITIMER_REAL, &none, NULL);
	if (ret < 0 && err->number == EINTR) {
		*err = (struct err)ERR_INIT;
		err_set(err, ERR_STOPPED, name, "what was submitted to it is not done within %" PRIu64 " ms", limit_ms);
	}
	return ret;
}

/*
 * Nobody may end the keeper by chance, so it is in a session of its own and
 * deaf to what a terminal sends; and it must not have to be paged in, since
 * that may be from the very device it keeps.
 */
static _Noreturn void keep(const char *name, uint64_t limit_ms, int link)
{
	uint64_t until = clock_ns() + limit_ms * 1000000, now;
	struct pollfd waiting = { .fd = link, .events = POLLIN };
	struct err err = ERR_INIT;
	sigset_t all;
	bool asked = false;

	setsid();
	sigfillset(&all);
	sigdelset(&all, SIGALRM);
	sigprocmask(SIG_SETMASK, &all, NULL);
	(void)!nice(-10);
	mlockall(MCL_CURRENT | MCL_FUTURE);
	if (suspend_within(name, limit_ms, &err) < 0) {
		say_failed(link, &err);
		_exit(1);
	}
	say(link, WORD_SUSPENDED);
	while (!asked && (now = clock_ns()) < until)
		asked = poll(&waiting, 1, (int)((until - now) / 1000000) + 1) > 0;
	while (dm_resume(name, &err) < 0)
		usleep(100000);
	say(link, asked ? WORD_RESUMED : WORD_LATE);
	_exit(0);
}

static char hear_word(int link)
{
	char word = '\0';
	ssize_t n;

	do {
		n = recv(link, &word, 1, 0);
	} while (n < 0 && errno == EINTR);
	return n == 1 ? word : '\0';
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int dm_pause_begin(const char *name, uint64_t limit_ms, struct dm_pause **ret, struct err *err)
{
	struct dm_pause *pause;
	struct err reason;
	int link[2];
	pid_t pid;
	char word;

	if (limit_ms > INT32_MAX)
		limit_ms = INT32_MAX;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) < 0)
		return err_sys(err, errno, name, "cannot suspend it");
	pid = fork();
	if (pid < 0) {
		err_sys(err, errno, name, "cannot suspend it");
		close(link[0]);
		close(link[1]);
		return -1;
	}
	if (pid == 0) {
		close(link[0]);
		keep(name, limit_ms, link[1]);
	}
	close(link[1]);
	word = hear_word(link[0]);
	if (word == WORD_SUSPENDED) {
		pause = text_alloc(1, sizeof(*pause));
		*pause = (struct dm_pause){ .name = text_copy(name), .keeper = pid, .link = link[0] };
		*ret = pause;
		return 0;
	}
	if (word == WORD_FAILED && recv(link[0], &reason, sizeof(reason), MSG_WAITALL) == sizeof(reason)) {
		*err = reason;
	} else {
		struct err second = ERR_INIT;

		/* It died, and before or after nobody knows. */
		dm_resume(name, &second);
		err_set(err, ERR_FAILED, name, "the process that was to suspend it has died");
	}
	close(link[0]);
	reap(pid);
	return -1;
}

int dm_pause_end(struct dm_pause *pause, bool *ret_kept, struct err *err)
{
	char word;
	int ret = 0;

	if (!pause)
		return 0;
	shutdown(pause->link, SHUT_WR);
	word = hear_word(pause->link);
	reap(pause->keeper);
	*ret_kept = word == WORD_RESUMED;
	if (word != WORD_RESUMED && word != WORD_LATE)
		ret = dm_resume(pause->name, err);
	close(pause->link);
	free(pause->name);
	free(pause);
	return ret;
}
