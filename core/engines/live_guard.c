/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process that lets a guest go on when the one that suspended it is killed. */
#include "engines/live_guard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/step.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/log.h"
#include "sys/virt.h"

/* So long a call to suspend the guest may have been under way when we were killed. */
#define LATE_MS 5000

/* So long a libvirt that does not answer is asked again. */
#define TRY_MS 600000

/* Nothing but what may be called between fork and exec. */
static _Noreturn void become_guard(int socket, const char *const *argv)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGUSR1, SIGPIPE };
	sigset_t none;

	sigemptyset(&none);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (dup2(socket, 0) == 0 && dup2(socket, 1) == 1 && close_range(3, ~0U, 0) == 0)
		execv("/proc/self/exe", (char *const *)argv);
	_exit(127);
}

/* Its first word: it is connected. */
static bool hear(int socket, uint64_t limit_ms)
{
	uint64_t until = clock_ns() + limit_ms * 1000000;
	struct pollfd poll_one = { .fd = socket, .events = POLLIN };
	char word;

	while (clock_ns() < until && interrupt_requested() < 2)
		if (poll(&poll_one, 1, 100) > 0)
			return read(socket, &word, 1) == 1;
	return false;
}

int live_guard_begin(struct live_guard *guard, const struct live_move *live, uint64_t limit_ms,
		     struct err *err)
{
	char *connect = live->uri ? text_format("--connect=%s", live->uri) : NULL;
	const char *argv[5] = { "volmig" };
	size_t count = 1;
	int pair[2];

	if (connect)
		argv[count++] = connect;
	argv[count++] = "guard";
	argv[count++] = live->uuid;
	*guard = (struct live_guard)LIVE_GUARD_NONE;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		free(connect);
		return err_sys(err, errno, live->domain, "there cannot be a process that lets it go on should this one die");
	}
	guard->pid = fork();
	if (guard->pid == 0)
		become_guard(pair[1], argv);
	close(pair[1]);
	free(connect);
	guard->socket = pair[0];
	if (guard->pid > 0 && hear(pair[0], limit_ms))
		return 0;
	if (guard->pid < 0)
		guard->pid = 0;
	live_guard_end(guard);
	err_set(err, ERR_FAILED, live->domain,
		"the process that would let it go on should this one die does not come up");
	return err_next(err, "see that libvirt answers, and asks for no password, then resume the job");
}

void live_guard_end(struct live_guard *guard)
{
	uint64_t until = clock_ns() + 2000000000;

	if (guard->socket >= 0 && send(guard->socket, ".", 1, MSG_NOSIGNAL) < 0)
		log_info("the process that was to let the guest go on has died");
	if (guard->pid > 0) {
		while (waitpid(guard->pid, NULL, WNOHANG) == 0 && clock_ns() < until)
			clock_sleep_ms(1);
	}
	live_guard_leave(guard);
}

void live_guard_leave(struct live_guard *guard)
{
	if (guard->socket >= 0)
		close(guard->socket);
	*guard = (struct live_guard)LIVE_GUARD_NONE;
}

/* Does it go on, as far as can be told?  *ret_resumed: by us. */
static bool goes_on(struct virt *virt, const char *uuid, bool *ret_resumed)
{
	struct virt_domain domain = { 0 };
	struct err err = ERR_INIT;
	bool still;

	if (virt_find(virt, uuid, &domain, &err) < 0)
		return err.number == ENOENT;
	still = domain.running && domain.paused;
	if (still && virt_resume(virt, uuid, &err) == 0) {
		log_warning("%s: volmig was killed while it had suspended the domain, which goes on now", domain.name);
		*ret_resumed = true;
		still = false;
	}
	virt_domain_free(&domain);
	return !still;
}

int live_guard_run(const char *uri, const char *uuid, struct err *err)
{
	struct virt *virt = NULL;
	bool resumed = false;
	uint64_t ended, well = 0;
	char word = '+';
	ssize_t got;

	if (virt_open(uri, VIRT_LIMIT_MS, &virt, err) < 0)
		return -1;
	if (write(1, &word, 1) == 1)
		do
			got = read(0, &word, 1);
		while (got < 0 && errno == EINTR);
	else
		got = 0;
	ended = clock_ns();
	while (got != 1 && !resumed && clock_ns() - ended < TRY_MS * 1000000ULL) {
		if (!goes_on(virt, uuid, &resumed))
			well = 0;
		else if (!well)
			well = clock_ns();
		else if (clock_ns() - well > LATE_MS * 1000000ULL)
			break;
		clock_sleep_ms(resumed ? 0 : 50);
	}
	virt_close(virt);
	return 0;
}
