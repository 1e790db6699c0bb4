/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Something that may hang in the kernel, by a child process under a time limit. */
#include "support/child.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/interrupt.h"

/* Those up to the next one that is kept, from each kept one on. */
static void close_all_but(const int fds[2])
{
	int low = fds[0] < fds[1] ? fds[0] : fds[1], high = fds[0] < fds[1] ? fds[1] : fds[0];

	if (low > 0)
		close_range(0, (unsigned)low - 1, 0);
	if (high > low + 1)
		close_range((unsigned)(low + 1), (unsigned)high - 1, 0);
	close_range((unsigned)(high + 1), ~0U, 0);
}

int child_run_with(int (*run)(void *data), void *data, const int fds[2], uint64_t limit_ms, int *ret_status)
{
	uint64_t until = clock_ns() + limit_ms * 1000000;
	pid_t pid = fork();
	unsigned pause_ms = 0;

	if (pid < 0)
		return -1;
	if (pid == 0) {
		/* One that hangs keeps what it has: pipes that somebody reads to their end, locks, devices. */
		close_all_but(fds);
		_exit(run(data));
	}
	for (;;) {
		int status;
		pid_t ended = waitpid(pid, &status, WNOHANG);

		if (ended == pid && WIFEXITED(status)) {
			*ret_status = WEXITSTATUS(status);
			return 0;
		}
		if (ended == pid)
			return -1;
		if (clock_ns() >= until || interrupt_requested() > 1)
			break;
		/* Mostly it takes less than a millisecond. */
		if (pause_ms)
			clock_sleep_ms(pause_ms);
		else
			usleep(200);
		pause_ms = pause_ms < 20 ? pause_ms + 1 : 20;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, WNOHANG);
	return -1;
}

int child_run(int (*run)(void *data), void *data, uint64_t limit_ms, int *ret_status)
{
	return child_run_with(run, data, (const int[]){ -1, -1 }, limit_ms, ret_status);
}
