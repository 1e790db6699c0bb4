/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Something that may hang in the kernel, by a child process under a time limit. */
#include "support/child.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/interrupt.h"

int child_run(int (*run)(void *data), void *data, uint64_t limit_ms, int *ret_status)
{
	uint64_t until = clock_ns() + limit_ms * 1000000;
	pid_t pid = fork();
	unsigned pause_ms = 0;

	if (pid < 0)
		return -1;
	if (pid == 0) {
		/* Whoever reads our output must not wait for one that hangs. */
		for (int fd = 0; fd <= 2; fd++)
			close(fd);
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
