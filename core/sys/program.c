/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Another program, run with nothing of ours but what it is given, and not for longer than it may. */
#include "sys/program.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/text.h"

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

/*
 * Give the child its descriptors from 3 on.  All are moved out of the way
 * first, since any may have the number that another shall have.
 */
static int keep(const struct program *program, int *report)
{
	int aside[PROGRAM_KEPT_MAX], first = 3 + PROGRAM_KEPT_MAX;

	*report = fcntl(*report, F_DUPFD_CLOEXEC, first);
	for (size_t i = 0; i < program->kept_count; i++) {
		aside[i] = fcntl(program->kept[i], F_DUPFD, first);
		if (aside[i] < 0)
			return -1;
	}
	for (size_t i = 0; i < program->kept_count; i++)
		if (dup2(aside[i], 3 + (int)i) < 0)
			return -1;
	return close_range(3 + (unsigned)program->kept_count, ~0U, CLOSE_RANGE_CLOEXEC);
}

static void set_listen_pid(char **env)
{
	static const char name[] = "LISTEN_PID=";
	const size_t length = sizeof(PROGRAM_LISTEN_PID) - 1;
	static char text[sizeof(PROGRAM_LISTEN_PID)];
	size_t at = length;
	pid_t pid = getpid();

	for (; *env; env++) {
		if (strcmp(*env, PROGRAM_LISTEN_PID))
			continue;
		memcpy(text, PROGRAM_LISTEN_PID, length);
		for (; pid && at > sizeof(name) - 1; pid /= 10)
			text[--at] = (char)('0' + pid % 10);
		*env = text;
		return;
	}
}

/* In the child; only what is allowed between fork() and exec(). */
_Noreturn static void become(const struct program *program, int input, char **env, pid_t parent,
			     int report)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	int errors = program->errors ? program->errors : STDERR_FILENO;
	int output = program->output ? program->output : errors;
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
	set_listen_pid(env);
	if (dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
	    dup2(errors, STDERR_FILENO) >= 0 && keep(program, &report) == 0)
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

pid_t program_start(const struct program *program, struct err *err)
{
	char **env = environment(program->env);
	int input = program->input_fd ? fcntl(program->input_fd, F_DUPFD_CLOEXEC, 3) :
					input_file(program, err), error = 0, report[2] = { -1, -1 };
	pid_t parent = getpid(), pid = -1;
	ssize_t n;

	assert(program->kept_count <= PROGRAM_KEPT_MAX);
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
	pid_t pid = program_start(program, err);
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

int program_memory(struct err *err)
{
	int fd = memfd_create("volmig-output", MFD_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, NULL, "cannot make a file in memory");
	/* Who writes to it shares its place with nobody. */
	fcntl(fd, F_SETFL, O_APPEND);
	return fd;
}

char *program_said(int fd, size_t *ret_length)
{
	struct stat st;
	size_t size = fstat(fd, &st) == 0 ? (size_t)st.st_size : 0;
	off_t from = size > PROGRAM_SAID_MAX ? (off_t)(size - PROGRAM_SAID_MAX) : 0;
	char *text = text_alloc(PROGRAM_SAID_MAX < size ? PROGRAM_SAID_MAX + 1 : size + 1, 1);
	ssize_t n = pread(fd, text, size - (size_t)from, from);

	if (n < 0)
		n = 0;
	text[n] = '\0';
	if (ret_length)
		*ret_length = (size_t)n;
	return text;
}

int program_capture(const struct program *program, enum program_end *ret_end, int *ret_number,
		    char **ret_output, size_t *ret_length, char **ret_errors, struct err *err)
{
	struct program copy = *program;
	int output = program_memory(err), errors = output < 0 ? -1 : program_memory(err), ret = -1;

	if (errors < 0)
		goto out;
	copy.output = output;
	copy.errors = errors;
	if (program_run(&copy, ret_end, ret_number, err) < 0)
		goto out;
	*ret_output = program_said(output, ret_length);
	*ret_errors = program_said(errors, NULL);
	for (size_t n = strlen(*ret_errors); n && (*ret_errors)[n - 1] == '\n'; n--)
		(*ret_errors)[n - 1] = '\0';
	ret = 0;
out:
	if (output >= 0)
		close(output);
	if (errors >= 0)
		close(errors);
	return ret;
}

char *program_find(const char *name)
{
	/* Only root's $PATH has the latter, while others can use what is in there, too. */
	const char *path = getenv("PATH");
	const char *const lists[] = { path ? path : "/usr/bin:/bin", "/usr/sbin:/sbin" };

	for (size_t i = 0; i < 2; i++) {
		for (const char *at = lists[i]; *at; at += strspn(at, ":")) {
			size_t length = strcspn(at, ":");
			char *file = text_format("%.*s/%s", (int)length, at, name);

			at += length;
			/* A relative one would be somebody else's in some directory. */
			if (*file == '/' && access(file, X_OK) == 0)
				return file;
			free(file);
		}
	}
	return NULL;
}
