/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LVM, by liblvm2cmd, each command in a short-lived child process. */
#include "sys/lvm.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <lvm2cmd.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/json.h"
#include "support/log.h"
#include "support/text.h"

#define LIBRARY "liblvm2cmd.so.2.03"
#define TRIES 3			/* of what changes nothing */
#define WORDS_MAX 64
#define POLL_MS 200
#define SIGINT_GRACE_NS 5000000000ULL

/* What the child ends with where it is not what lvm2_run() returned. */
enum {
	NO_LIBRARY = 100,
	NO_HANDLE = 101,
};

/* The child's descriptors: a report, other lines, and errors come by ways of their own. */
enum {
	LINES_FD = 1,
	ERRORS_FD = 2,
	REPORT_FD = 3,
	PIPES = 3,
};

static const char *setup_config, *setup_devicesfile;

void lvm_setup(const char *config, const char *devicesfile)
{
	setup_config = config;
	setup_devicesfile = devicesfile;
}

char *lvm_command_line(const char *const *argv)
{
	char *line = NULL;

	for (size_t i = 0; argv[i]; i++) {
		const char *word = argv[i], *quote = "";
		char *longer;

		for (const char *c = word; *c; c++)
			if ((unsigned char)*c < ' ' || *c == 0x7f)
				goto bad;
		if (!*word || strpbrk(word, " \"'#"))
			quote = !strchr(word, '"') ? "\"" : "'";
		if (*quote && strchr(word, *quote))
			goto bad;
		longer = text_format("%s%s%s%s%s", line ? line : "", line ? " " : "", quote, word, quote);
		free(line);
		line = longer;
	}
	return line;
bad:
	free(line);
	return NULL;
}

/* In the child: by which way does a message of the library go? */
static void sort_message(int level, const char *file, int line, int dm_errno, const char *message)
{
	const char *name = file ? strrchr(file, '/') : NULL;
	int fd = LINES_FD;

	(void)line;
	(void)dm_errno;
	level &= 7;
	if (level > LVM2_LOG_PRINT || !message)
		return;
	name = name ? name + 1 : file;
	if (level <= LVM2_LOG_ERROR)
		fd = ERRORS_FD;
	else if (name && !strcmp(name, "libdm-report.c"))
		fd = REPORT_FD;
	dprintf(fd, "%s\n", message);
}

static _Noreturn void child(const char *line, const int pipes[PIPES], pid_t parent)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGQUIT, SIGXFSZ };
	static const char *const names[] = { "lvm2_log_fn", "lvm2_init", "lvm2_run", "lvm2_exit" };
	void *symbols[4], *library, *handle;
	int devnull = open("/dev/null", O_RDONLY);
	sigset_t none;
	int rc;

	/* The terminal's signals are for the program, which asks us to stop where it wants that. */
	setsid();
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	/* The library blocks it while it holds a lock on a group for writing. */
	prctl(PR_SET_PDEATHSIG, SIGINT);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (getppid() != parent || devnull < 0)
		_exit(NO_HANDLE);
	/* Journal, volumes: what is open here would stay so when the parent is killed. */
	dup2(devnull, STDIN_FILENO);
	for (int i = 0; i < PIPES; i++)
		dup2(pipes[i], LINES_FD + i);
	close_range(REPORT_FD + 1, ~0U, 0);
	fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC);
	setenv("LVM_SUPPRESS_FD_WARNINGS", "1", 1);

	library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	for (size_t i = 0; i < 4; i++)
		symbols[i] = library ? dlsym(library, names[i]) : NULL;
	for (size_t i = 0; i < 4; i++) {
		if (!symbols[i]) {
			dprintf(ERRORS_FD, "%s\n", dlerror() ?: "not the library it should be");
			_exit(NO_LIBRARY);
		}
	}
	/* Before init, or what that has to say goes to the terminal. */
	((typeof(&lvm2_log_fn))symbols[0])(sort_message);
	handle = ((typeof(&lvm2_init))symbols[1])();
	if (!handle)
		_exit(NO_HANDLE);
	rc = ((typeof(&lvm2_run))symbols[2])(handle, line);
	((typeof(&lvm2_exit))symbols[3])(handle);
	_exit(rc == LVM2_COMMAND_SUCCEEDED ? 0 : rc > 0 && rc < NO_LIBRARY ? rc : NO_HANDLE);
}

/* One run of a command, as it is seen from here. */
struct run {
	const struct lvm_command *command;
	pid_t pid;
	int pidfd;
	int fds[PIPES];		/* lines, errors, report */
	char *text[PIPES];
	size_t length[PIPES];
	bool interrupted, timed_out;
};

static const char *command_word(const struct run *run)
{
	return run->command->argv[0];
}

/* Hand whole lines on, and keep what is left of them. */
static void pass_lines(struct run *run)
{
	char *at = run->text[0], *end;

	while (at && (end = strchr(at, '\n'))) {
		*end = '\0';
		while (*at == ' ')
			at++;
		if (run->command->line)
			run->command->line(run->command->data, at);
		else if (*at)
			log_info("lvm: %s", at);
		at = end + 1;
	}
	if (at && at != run->text[0]) {
		run->length[0] = strlen(at);
		memmove(run->text[0], at, run->length[0] + 1);
	}
}

/* Take what has come; false when there will be no more. */
static bool take(struct run *run, int i)
{
	char buf[4096];
	ssize_t n = read(run->fds[i], buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0) {
		close(run->fds[i]);
		run->fds[i] = -1;
		return false;
	}
	run->text[i] = text_grow(run->text[i], run->length[i] + (size_t)n + 1, 1);
	for (ssize_t k = 0; k < n; k++)
		run->text[i][run->length[i]++] = buf[k] ? buf[k] : '?';
	run->text[i][run->length[i]] = '\0';
	if (i == 0)
		pass_lines(run);
	return true;
}

/* Wait until the child has ended.  false: it does not, and is left to itself. */
static bool wait_for(struct run *run, uint64_t timeout_ms)
{
	uint64_t sign = clock_ns(), asked = 0;
	bool ended = false;

	while (!ended) {
		struct pollfd polled[PIPES + 1];
		int seen;

		for (int i = 0; i < PIPES; i++)
			polled[i] = (struct pollfd){ .fd = run->fds[i], .events = POLLIN };
		polled[PIPES] = (struct pollfd){ .fd = run->pidfd, .events = POLLIN };
		seen = poll(polled, PIPES + 1, POLL_MS);
		ended = seen > 0 && polled[PIPES].revents;
		for (int i = 0; seen > 0 && i < PIPES; i++) {
			if (polled[i].revents && take(run, i))
				sign = clock_ns();
			/* A program that it started may have the other end yet: only what is there. */
			while (ended && run->fds[i] >= 0 &&
			       poll(&(struct pollfd){ .fd = run->fds[i], .events = POLLIN }, 1, 0) > 0 &&
			       take(run, i))
				;
		}
		if (ended)
			break;
		if (!asked && run->command->interruptible && interrupt_requested()) {
			run->interrupted = true;
			asked = clock_ns();
			kill(run->pid, SIGINT);
		} else if (!asked && clock_ns() - sign > timeout_ms * 1000000) {
			run->timed_out = true;
			asked = clock_ns();
			kill(run->pid, SIGINT);
		} else if (asked && clock_ns() - asked > SIGINT_GRACE_NS) {
			/* Never in the middle of a change. */
			if (!run->command->report)
				return false;
			kill(run->pid, SIGKILL);
			asked = clock_ns();
		}
	}
	return true;
}

/* What LVM said against it, as one line. */
static char *errors_of(const struct run *run)
{
	struct text_list said = { 0 };
	char *copy = text_copy(run->text[1] ? run->text[1] : ""), *rest = copy, *line, *joined = NULL;

	while ((line = strsep(&rest, "\n"))) {
		size_t len;

		line += strspn(line, " ");
		len = strlen(line);
		while (len && (line[len - 1] == '.' || line[len - 1] == ' '))
			line[--len] = '\0';
		if (len && strncmp(line, "WARNING:", 8) && !text_list_has(&said, line))
			text_list_add(&said, text_copy(line));
	}
	for (size_t i = 0; i < said.count; i++) {
		char *longer = text_format("%s%s%s", joined ? joined : "", joined ? "; " : "", said.items[i]);

		free(joined);
		joined = longer;
	}
	text_list_free(&said);
	free(copy);
	return joined ? joined : text_copy("it does not say why");
}

/* What became of it: 0 well, 1 it may be tried again, -1 not well. */
static int judge(struct run *run, int status, json_t **ret_report, struct err *err)
{
	const struct lvm_command *command = run->command;
	char *said;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	if (run->interrupted) {
		err_set(err, ERR_STOPPED, command->object, "interrupted while %s ran", command_word(run));
		return -1;
	}
	if (run->timed_out) {
		err_set(err, ERR_FAILED, command->object, "%s got nowhere and was ended: another process may hold LVM's lock",
			command_word(run));
		err_next(err, "look for LVM commands that hang (ps, dmsetup info), then try again");
		return -1;
	}
	if (WIFSIGNALED(status)) {
		err_set(err, ERR_FAILED, command->object, "%s crashed in liblvm2cmd (signal %d)",
			command_word(run), WTERMSIG(status));
		return 1;
	}
	if (code) {
		said = errors_of(run);
		if (code == NO_LIBRARY)
			err_set(err, ERR_FAILED, command->object, "LVM cannot be used: %s", said);
		else
			err_set(err, ERR_FAILED, command->object, "%s failed: %s", command_word(run), said);
		free(said);
		return code == NO_HANDLE || code == LVM2_INIT_FAILED ? 1 : -1;
	}
	if (command->report) {
		const char *begin = run->text[2] ? strchr(run->text[2], '{') : NULL;
		json_error_t error;

		*ret_report = begin ? json_loads(begin, JSON_DISABLE_EOF_CHECK, &error) : NULL;
		if (!*ret_report) {
			err_set(err, ERR_FAILED, command->object, "%s gave no report that makes sense",
				command_word(run));
			return 1;
		}
	}
	return 0;
}

/* The same results as judge()'s. */
static int run_once(const struct lvm_command *command, const char *line, json_t **ret_report,
		    struct err *err)
{
	struct run run = { .command = command, .pidfd = -1, .fds = { -1, -1, -1 } };
	int child_ends[PIPES] = { -1, -1, -1 }, status = 0, ret = -1;
	uint64_t timeout_ms = command->timeout_ms ? command->timeout_ms :
			      command->report ? LVM_REPORT_TIMEOUT_MS : LVM_CHANGE_TIMEOUT_MS;
	pid_t parent = getpid();

	for (int i = 0; i < PIPES; i++) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC) < 0) {
			err_sys(err, errno, command->object, "cannot run %s", command_word(&run));
			goto out;
		}
		run.fds[i] = ends[0];
		/* Above the numbers that the child has another use for. */
		child_ends[i] = fcntl(ends[1], F_DUPFD_CLOEXEC, 10);
		close(ends[1]);
	}
	run.pid = fork();
	if (run.pid == 0)
		child(line, child_ends, parent);
	if (run.pid > 0)
		run.pidfd = pidfd_open(run.pid, 0);
	if (run.pid < 0 || run.pidfd < 0) {
		err_sys(err, errno, command->object, "cannot run %s", command_word(&run));
		if (run.pid > 0)
			waitpid(run.pid, &status, 0);
		goto out;
	}
	for (int i = 0; i < PIPES; i++) {
		close(child_ends[i]);
		child_ends[i] = -1;
	}
	if (!wait_for(&run, timeout_ms)) {
		err_set(err, ERR_UNSURE, command->object, "%s is stuck, and still running (pid %d)",
			command_word(&run), (int)run.pid);
		err_next(err, "look what it waits for (dmsetup info), then volmig status");
		goto out;
	}
	while (waitpid(run.pid, &status, 0) < 0 && errno == EINTR)
		;
	ret = judge(&run, status, ret_report, err);
out:
	for (int i = 0; i < PIPES; i++) {
		if (run.fds[i] >= 0)
			close(run.fds[i]);
		if (child_ends[i] >= 0)
			close(child_ends[i]);
		free(run.text[i]);
	}
	if (run.pidfd >= 0)
		close(run.pidfd);
	return ret;
}

int lvm_run(const struct lvm_command *command, json_t **ret_report, struct err *err)
{
	const char *words[WORDS_MAX + 5];
	size_t count = 0;
	char *line;
	int ret = -1;

	words[count++] = command->argv[0];
	if (setup_config) {
		words[count++] = "--config";
		words[count++] = setup_config;
	}
	if (setup_devicesfile) {
		words[count++] = "--devicesfile";
		words[count++] = setup_devicesfile;
	}
	for (size_t i = 1; command->argv[i]; i++) {
		if (count == WORDS_MAX + 4)
			return err_set(err, ERR_FAILED, command->object, "too many arguments for %s",
				       command->argv[0]);
		words[count++] = command->argv[i];
	}
	words[count] = NULL;
	line = lvm_command_line(words);
	if (!line)
		return err_set(err, ERR_REFUSED, command->object,
			       "%s cannot be given words with control characters or both kinds of quotes",
			       command->argv[0]);
	log_info("lvm: %s", line);
	for (int try = 0; try < (command->report ? TRIES : 1); try++) {
		ret = run_once(command, line, ret_report, err);
		if (ret <= 0)
			break;
		log_info("%s: %s", command->object ? command->object : "lvm", err->cause);
	}
	free(line);
	return ret == 0 ? 0 : -1;
}
