/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting and ending ssh. */
#include "sys/ssh.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/text.h"
#include "sys/program.h"

#define END_MS 2000

static const char *chosen;

void ssh_set_command(const char *command)
{
	chosen = command;
}

/* Split as a shell does, with its quotes and none of its magic.  -1: a quote is not closed. */
static int split(const char *text, struct text_list *words)
{
	char *word = text_alloc(strlen(text) + 1, 1);
	size_t length = 0;
	bool inside = false;
	char quote = 0;

	for (; ; text++) {
		bool blank = !quote && (!*text || *text == ' ' || *text == '\t' || *text == '\n');

		if (blank) {
			word[length] = '\0';
			if (inside)
				text_list_add(words, text_copy(word));
			inside = false;
			length = 0;
			if (!*text)
				break;
			continue;
		}
		if (!*text)
			break;
		inside = true;
		if (!quote && (*text == '"' || *text == '\''))
			quote = *text;
		else if (quote && *text == quote)
			quote = 0;
		else if (*text == '\\' && quote != '\'' && text[1])
			word[length++] = *++text;
		else
			word[length++] = *text;
	}
	free(word);
	return quote ? -1 : 0;
}

static int make_words(struct text_list *words, const char *user, const char *host, unsigned port,
		      const char *remote, struct err *err)
{
	const char *command = chosen ? chosen : getenv("VOLMIG_SSH");
	char *path;

	if (!command || !*command)
		command = "ssh";
	if (split(command, words) < 0 || !words->count)
		return err_set(err, ERR_USAGE, command, "a quote in the ssh command is not closed");
	if (!strchr(words->items[0], '/')) {
		path = program_find(words->items[0]);
		if (!path) {
			err_set(err, ERR_REFUSED, words->items[0], "there is no such program");
			return err_next(err, "install the package openssh-client");
		}
		free(words->items[0]);
		words->items[0] = path;
	}
	/* Nobody is asked anything, and a dead line is noticed. */
	text_list_add(words, text_copy("-oBatchMode=yes"));
	text_list_add(words, text_copy("-oServerAliveInterval=5"));
	text_list_add(words, text_copy("-oServerAliveCountMax=3"));
	text_list_add(words, text_copy("-oConnectTimeout=15"));
	text_list_add(words, text_copy("-T"));
	if (port) {
		text_list_add(words, text_copy("-p"));
		text_list_add(words, text_format("%u", port));
	}
	if (user) {
		text_list_add(words, text_copy("-l"));
		text_list_add(words, text_copy(user));
	}
	text_list_add(words, text_copy("--"));
	text_list_add(words, text_copy(host));
	text_list_add(words, text_copy(remote));
	return 0;
}

int ssh_start(struct ssh *ret, const char *user, const char *host, unsigned port, const char *remote,
	      struct err *err)
{
	struct text_list words = { 0 };
	struct ssh ssh = SSH_INIT;
	const char **argv = NULL;
	int ends[2] = { -1, -1 };
	int result = -1;

	if (make_words(&words, user, host, port, remote, err) < 0)
		goto out;
	ssh.errors = program_memory(err);
	if (ssh.errors < 0)
		goto out;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		err_sys(err, errno, host, "cannot make a channel");
		goto out;
	}
	argv = text_alloc(words.count + 1, sizeof(*argv));
	for (size_t i = 0; i < words.count; i++)
		argv[i] = words.items[i];
	ssh.pid = program_start(&(struct program){
		.argv = argv, .input_fd = ends[1], .output = ends[1], .errors = ssh.errors,
	}, err);
	if (ssh.pid < 0) {
		ssh.pid = 0;
		goto out;
	}
	ssh.fd = ends[0];
	ends[0] = -1;
	*ret = ssh;
	ssh = (struct ssh)SSH_INIT;
	result = 0;
out:
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
	ssh_end(&ssh, NULL);
	free(argv);
	text_list_free(&words);
	return result;
}

char *ssh_complaint(struct ssh *ssh)
{
	char *said = ssh->errors >= 0 ? program_said(ssh->errors, NULL) : NULL, *line;
	siginfo_t info = { .si_pid = 0 };

	if (said && *said) {
		size_t length = strlen(said);

		while (length && (said[length - 1] == '\n' || said[length - 1] == '\r'))
			said[--length] = '\0';
		line = strrchr(said, '\n');
		line = text_copy(line ? line + 1 : said);
		free(said);
		return line;
	}
	free(said);
	if (ssh->pid > 0 && waitid(P_PID, (id_t)ssh->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid)
		return text_format("ssh ended with %s %d", info.si_code == CLD_EXITED ? "status" : "signal",
				   info.si_status);
	return NULL;
}

void ssh_give_away(struct ssh *ssh)
{
	ssh->fd = -1;
}

int ssh_squeeze(struct ssh *ssh, struct err *err)
{
	int plain;

	if (squeeze_start(&ssh->squeeze, ssh->fd, ssh->fd, true, &plain, err) < 0)
		return -1;
	close(ssh->fd);
	ssh->fd = plain;
	return 0;
}

void ssh_end(struct ssh *ssh, struct squeeze_counts *ret_counts)
{
	int status, r = 0;

	if (ssh->fd >= 0)
		close(ssh->fd);
	squeeze_end(&ssh->squeeze, ret_counts);
	if (ssh->pid > 0) {
		/* Its end of the socket is closed: that ends it, but not when the line is dead. */
		for (unsigned ms = 0; ms < END_MS; ms += 10) {
			r = waitpid(ssh->pid, &status, WNOHANG);
			if (r != 0)
				break;
			if (ms == 0 || ms == 500)
				kill(ssh->pid, ms ? SIGTERM : SIGCONT);
			clock_sleep_ms(10);
		}
		if (r == 0) {
			kill(-ssh->pid, SIGKILL);
			while (waitpid(ssh->pid, &status, 0) < 0 && errno == EINTR)
				;
		}
	}
	if (ssh->errors >= 0)
		close(ssh->errors);
	*ssh = (struct ssh)SSH_INIT;
}
