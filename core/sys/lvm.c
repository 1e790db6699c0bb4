/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LVM, by liblvm2cmd, in a child process. */
#include "sys/lvm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/inject.h"
#include "support/interrupt.h"
#include "support/json.h"
#include "support/log.h"
#include "support/text.h"
#include "sys/lvm_child.h"

#define TRIES 3			/* of what changes nothing */
#define WORDS_MAX 64
#define POLL_MS 200
#define SIGINT_GRACE_MS 5000
#define INIT_FAILED 4		/* LVM2_INIT_FAILED */

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

/* One run of a command. */
struct run {
	const struct lvm_command *command;
	struct lvm_child *child;
	char *text[LVM_WAYS];
	size_t length[LVM_WAYS];
	uint64_t sign_ns;	/* when it was last seen to live */
	int result;		/* 0, or what the library says, or what the child ended with */
	int signal;		/* or what it died of */
	bool ended;		/* the child has */
	bool interrupted, timed_out, killed;
};

static const char *command_word(const struct run *run)
{
	return run->command->argv[0];
}

/* Hand whole lines on, and keep what is left of them.  Are they signs of life? */
static bool pass_lines(struct run *run)
{
	char *at = run->text[LVM_LINES], *end;
	bool alive = false;

	while (at && (end = strchr(at, '\n'))) {
		*end = '\0';
		while (*at == ' ')
			at++;
		if (run->command->line)
			alive |= run->command->line(run->command->data, at);
		else if (*at)
			log_info("lvm: %s", at);
		at = end + 1;
	}
	if (at && at != run->text[LVM_LINES]) {
		run->length[LVM_LINES] = strlen(at);
		memmove(run->text[LVM_LINES], at, run->length[LVM_LINES] + 1);
	}
	return alive || !run->command->line;
}

/* Take what has come, and note when it was a sign of life; false when there will be no more. */
static bool take(struct run *run, int i)
{
	char buf[32768];
	ssize_t n = read(run->child->ways[i], buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0) {
		close(run->child->ways[i]);
		run->child->ways[i] = -1;
		return false;
	}
	run->text[i] = text_grow(run->text[i], run->length[i] + (size_t)n + 1, 1);
	for (ssize_t k = 0; k < n; k++)
		run->text[i][run->length[i]++] = buf[k] ? buf[k] : '?';
	run->text[i][run->length[i]] = '\0';
	if (i != LVM_LINES || pass_lines(run))
		run->sign_ns = clock_ns();
	return true;
}

/* All that the command has said: a program that it started may have the other ends yet. */
static void take_rest(struct run *run)
{
	for (int i = 0; i < LVM_WAYS; i++) {
		struct pollfd polled = { .fd = run->child->ways[i], .events = POLLIN };

		while (run->child->ways[i] >= 0 && poll(&polled, 1, 0) > 0 && take(run, i))
			;
	}
}

/* Is the command over?  What the child said last counts also when it has died since. */
static bool is_over(struct run *run, bool dead)
{
	int status = 0;

	if (lvm_child_result(run->child, &run->result))
		return true;
	if (!dead)
		return false;
	run->ended = true;
	while (waitpid(run->child->pid, &status, 0) < 0 && errno == EINTR)
		;
	run->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	/* It has no way of its own to end well without a result. */
	run->result = WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : LVM_NO_HANDLE;
	return true;
}

/* Wait until the command has ended.  false: it does not, and is left to itself. */
static bool wait_for(struct run *run, uint64_t timeout_ms)
{
	uint64_t asked = 0, grace_ms = SIGINT_GRACE_MS;
	struct lvm_child *child = run->child;

	inject_number("lvm-grace", &grace_ms);

	run->sign_ns = clock_ns();
	for (;;) {
		struct pollfd polled[LVM_WAYS + 2];
		int seen;

		for (int i = 0; i < LVM_WAYS; i++)
			polled[i] = (struct pollfd){ .fd = child->ways[i], .events = POLLIN };
		polled[LVM_WAYS] = (struct pollfd){ .fd = child->talk, .events = POLLIN };
		polled[LVM_WAYS + 1] = (struct pollfd){ .fd = child->pidfd, .events = POLLIN };
		seen = poll(polled, LVM_WAYS + 2, POLL_MS);
		for (int i = 0; seen > 0 && i < LVM_WAYS; i++)
			if (polled[i].revents)
				take(run, i);
		if (seen > 0 && is_over(run, polled[LVM_WAYS + 1].revents != 0))
			break;
		if (!asked && run->command->interruptible && interrupt_requested()) {
			run->interrupted = true;
			asked = clock_ns();
			kill(child->pid, SIGINT);
		} else if (!asked && clock_ns() - run->sign_ns > timeout_ms * 1000000) {
			run->timed_out = true;
			asked = clock_ns();
			kill(child->pid, SIGINT);
		} else if (asked && clock_ns() - asked > grace_ms * 1000000) {
			/*
			 * Never in the middle of a change.  And what was killed
			 * while it reads from a device that does not answer ends
			 * only when that does.
			 */
			if (!run->command->report || run->killed)
				return false;
			run->killed = true;
			kill(child->pid, SIGKILL);
			asked = clock_ns();
		}
	}
	take_rest(run);
	return true;
}

/* What LVM said against it, as one line. */
static char *errors_of(const struct run *run)
{
	struct text_list said = { 0 };
	char *copy = text_copy(run->text[LVM_ERRORS] ? run->text[LVM_ERRORS] : ""), *rest = copy, *line, *joined = NULL;

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
static int judge(struct run *run, json_t **ret_report, struct err *err)
{
	const struct lvm_command *command = run->command;
	char *said;

	if (run->interrupted) {
		err_set(err, ERR_STOPPED, command->object, "interrupted while %s ran", command_word(run));
		return -1;
	}
	/* Asked to end it may have done all the same what it was told to; who polls says so, too, when it only stops that. */
	if (run->timed_out && (run->result || run->signal || command->interruptible)) {
		err_set(err, ERR_FAILED, command->object, "%s got nowhere and was ended: another process may hold LVM's lock",
			command_word(run));
		err_next(err, "look for LVM commands that hang (ps, dmsetup info), then try again");
		return -1;
	}
	if (run->signal) {
		err_set(err, ERR_FAILED, command->object, "%s crashed in liblvm2cmd (signal %d)",
			command_word(run), run->signal);
		return 1;
	}
	if (run->result) {
		said = errors_of(run);
		if (run->result == LVM_NO_LIBRARY)
			err_set(err, ERR_FAILED, command->object, "LVM cannot be used: %s", said);
		else
			err_set(err, ERR_FAILED, command->object, "%s failed: %s", command_word(run), said);
		free(said);
		return run->result == LVM_NO_HANDLE || run->result == INIT_FAILED ? 1 : -1;
	}
	if (command->report) {
		const char *begin = run->text[LVM_REPORT] ? strchr(run->text[LVM_REPORT], '{') : NULL;
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
	struct run run = { .command = command };
	uint64_t timeout_ms = command->timeout_ms ? command->timeout_ms :
			      command->report ? LVM_REPORT_TIMEOUT_MS : LVM_CHANGE_TIMEOUT_MS;
	int ret = -1;

	inject_number("lvm-timeout", &timeout_ms);
	run.child = lvm_child_get();
	if (!run.child || !lvm_child_tell(run.child, line, !command->report)) {
		/* One that has died just now has taken nothing of it up. */
		err_sys(err, errno, command->object, "cannot run %s", command_word(&run));
		lvm_child_end();
		return 1;
	}
	if (!wait_for(&run, timeout_ms)) {
		err_set(err, command->report ? ERR_FAILED : ERR_UNSURE, command->object,
			"%s is stuck, and %s (pid %d)", command_word(&run),
			command->report ? "does not end though it was killed" : "still running", (int)run.child->pid);
		err_next(err, command->report ?
			 "look for a device that does not answer (dmsetup info, multipath -ll), then try again" :
			 "look what it waits for (dmsetup info), then volmig status");
		lvm_child_forget();
		goto out;
	}
	ret = judge(&run, ret_report, err);
	/*
	 * Who was asked to stop may be about to.  A handle that has gone wrong
	 * is not used again, and a devices file is given to a handle once.
	 */
	if (run.ended)
		lvm_child_forget();
	else if (run.interrupted || run.timed_out || ret > 0 || setup_devicesfile)
		lvm_child_end();
out:
	for (int i = 0; i < LVM_WAYS; i++)
		free(run.text[i]);
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
