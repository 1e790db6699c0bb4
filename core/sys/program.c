/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Another program, run with nothing of ours but what it is given, and not for longer than it may. */
#include "sys/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"

#define TICK_MS 100
#define GRACE_NS 2000000000ULL	/* between SIGTERM and SIGKILL */

/* A file in memory: unlike a pipe it never makes us wait for somebody who does not read. */
static int input_file(const struct program *program, struct err *err)
{
	int fd = memfd_create("volmig-input", MFD_CLOEXEC);
	size_t at = 0;

	while (fd >= 0 && at < program->input_length) {
		ssize_t n = write(fd, program->input + at, program->input_length - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	if (fd >= 0 && at == program->input_length && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	err_sys(err, errno, program->argv[0], "cannot hand its input over");
	if (fd >= 0)
		close(fd);
	return -1;
}

/* In the child; only what is allowed between fork() and exec(). */
_Noreturn static void become(const struct program *program, int input, char **env, pid_t parent,
			     int report)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;
	int error;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	for (int i = 1; i < NSIG; i++)
		sigaction(i, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(input, STDIN_FILENO) >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 &&
	    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		execve(program->argv[0], (char *const *)program->argv, env);
	error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

/* Our environment with additions in front, where getenv() finds them first. */
static char **environment(const char *const *additions)
{
	size_t added = 0, count = 0, n = 0;
	char **env;

	while (additions && additions[added])
		added++;
	while (environ[count])
		count++;
	env = calloc(added + count + 1, sizeof(*env));
	if (!env)
		abort();
	for (size_t i = 0; i < added; i++)
		env[n++] = (char *)additions[i];
	for (size_t i = 0; i < count; i++) {
		bool replaced = false;

		for (size_t k = 0; k < added; k++) {
			size_t name = strcspn(additions[k], "=") + 1;

			replaced = replaced || !strncmp(environ[i], additions[k], name);
		}
		if (!replaced)
			env[n++] = environ[i];
	}
	return env;
}

/* The pid, once the program has really been started. */
static pid_t start(const struct program *program, struct err *err)
{
	char **env = environment(program->env);
	int input = input_file(program, err), error = 0, report[2] = { -1, -1 };
	pid_t parent = getpid(), pid = -1;
	ssize_t n;

	if (input < 0)
		goto out;
	if (pipe2(report, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		err_sys(err, errno, program->argv[0], "cannot start it");
		goto out;
	}
	if (pid == 0)
		become(program, input, env, parent, report[1]);
	close(report[1]);
	report[1] = -1;
	/* Ends without a byte when exec() has closed the other end. */
	do
		n = read(report[0], &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		pid = err_sys(err, error, program->argv[0], "cannot start it");
	}
out:
	for (size_t i = 0; i < 2; i++)
		if (report[i] >= 0)
			close(report[i]);
	if (input >= 0)
		close(input);
	free(env);
	return pid;
}

int program_run(const struct program *program, enum program_end *ret_end, int *ret_number,
		struct err *err)
{
	uint64_t begin_ns = clock_ns(), ending_ns = 0;
	enum program_end end = PROGRAM_EXITED;
	struct pollfd over = { .events = POLLIN };
	/* What was asked for before is no reason to end this one. */
	int asked = interrupt_requested(), status = 0;
	pid_t pid = start(program, err);
	siginfo_t info = { .si_pid = 0 };

	if (pid < 0)
		return -1;
	over.fd = pidfd_open(pid, 0);	/* -1 is ignored by poll(), which then only sleeps */
	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && !info.si_pid) {
		uint64_t now = clock_ns();

		if (ending_ns) {
			/* The whole group: what a script has started holds things, too. */
			if (now - ending_ns >= GRACE_NS)
				kill(-pid, SIGKILL);
		} else if (program->timeout_ms && now - begin_ns >= program->timeout_ms * 1000000) {
			end = PROGRAM_TIMED_OUT;
		} else if (interrupt_requested() > asked) {
			end = PROGRAM_INTERRUPTED;
		}
		if (end != PROGRAM_EXITED && !ending_ns) {
			ending_ns = now;
			kill(-pid, SIGTERM);
		}
		poll(&over, 1, TICK_MS);
	}
	if (over.fd >= 0)
		close(over.fd);
	/* Its number is not given away before it is waited for. */
	if (end != PROGRAM_EXITED)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (end == PROGRAM_EXITED && WIFSIGNALED(status)) {
		end = PROGRAM_KILLED;
		*ret_number = WTERMSIG(status);
	} else {
		*ret_number = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	}
	*ret_end = end;
	return 0;
}
