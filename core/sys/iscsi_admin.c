/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Node records, logins and discovery, by open-iscsi's iscsiadm under a time limit. */
#include "sys/iscsi.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/err.h"
#include "support/inject.h"
#include "sys/program.h"

/* iscsiadm(8), EXIT STATUS */
enum {
	ADMIN_SESSION_EXISTS = 15,
	ADMIN_NO_DAEMON = 20,
	ADMIN_NONE_FOUND = 21,
	ADMIN_AUTH_FAILED = 24,
};

/* Our records let iscsid try for 15 seconds twice; those of others may let it try for longer. */
#define LOGIN_LIMIT_MS 150000
#define LIMIT_MS 60000
#define RECORD_MAX 65536

void iscsi_target_free(struct iscsi_target *target)
{
	free(target->name);
	free(target->address);
	*target = (struct iscsi_target){ 0 };
}

char *iscsi_portal(const struct iscsi_target *target)
{
	bool v6 = strchr(target->address, ':') != NULL;

	return text_format("%s%s%s:%u", v6 ? "[" : "", target->address, v6 ? "]" : "", target->port);
}

/* Looked for once; NULL: there is none. */
static const char *iscsiadm(void)
{
	static char *path;

	if (!path)
		path = program_find("iscsiadm");
	return path;
}

/* Does somebody listen on iscsid's socket: itself, or systemd for it? */
static bool daemon_listens(void)
{
	FILE *sockets = fopen("/proc/net/unix", "re");
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	while (sockets && !found && getline(&line, &size, sockets) > 0)
		found = strstr(line, "@ISCSIADM_ABSTRACT_NAMESPACE") != NULL;
	free(line);
	if (sockets)
		fclose(sockets);
	return found;
}

static bool has_transport(void)
{
	char *modprobe = program_find("modprobe");
	const char *argv[] = { modprobe, "-q", "-n", "iscsi_tcp", NULL };
	struct program program = { .argv = argv, .timeout_ms = LIMIT_MS };
	struct err ignored = ERR_INIT;
	enum program_end end;
	bool has = access("/sys/class/iscsi_transport/tcp", F_OK) == 0;
	int status;

	if (!has && modprobe)
		has = program_run(&program, &end, &status, &ignored) == 0 && end == PROGRAM_EXITED &&
		      status == 0;
	free(modprobe);
	return has;
}

const char *iscsi_missing(const char **ret_package)
{
	*ret_package = NULL;
	if (!iscsiadm()) {
		*ret_package = "open-iscsi";
		return "there is no iscsiadm";
	}
	if (geteuid() != 0)
		return "it takes root";
	if (!daemon_listens())
		return "iscsid does not run";
	return has_transport() ? NULL : "the kernel has no iSCSI initiator (iscsi_tcp)";
}

/* Run iscsiadm with these arguments.  What it said is to be freed, on failure, too. */
struct answer {
	int status;
	char *output, *errors;
};

static void answer_free(struct answer *answer)
{
	free(answer->output);
	free(answer->errors);
}

static int run(const char *const *arguments, const char *object, uint64_t limit_ms,
	       struct answer *ret, struct err *err)
{
	const char *argv[24] = { iscsiadm() };
	struct program program = { .argv = argv, .timeout_ms = limit_ms };
	enum program_end end;

	if (!argv[0]) {
		err_set(err, ERR_REFUSED, object, "there is no iscsiadm to log in to the target with");
		return err_next(err, "install open-iscsi");
	}
	for (size_t i = 0; arguments[i]; i++)
		argv[i + 1] = arguments[i];
	if (program_capture(&program, &end, &ret->status, &ret->output, NULL, &ret->errors, err) < 0)
		return -1;
	if (end == PROGRAM_TIMED_OUT)
		return err_set(err, ERR_FAILED, object, "iscsiadm has not come to its end within %u seconds",
			       (unsigned)(limit_ms / 1000));
	if (end == PROGRAM_INTERRUPTED)
		return err_set(err, ERR_STOPPED, object, "interrupted while iscsiadm ran");
	if (end == PROGRAM_KILLED)
		return err_set(err, ERR_FAILED, object, "iscsiadm was killed by signal %d", ret->status);
	return 0;
}

/* The first line of what it has to complain of says most. */
static int fail(struct err *err, const char *object, const char *what, const struct answer *answer)
{
	static const char prefix[] = "iscsiadm: ";
	const char *said = answer->errors ? answer->errors : "";

	said += strncmp(said, prefix, sizeof(prefix) - 1) ? 0 : sizeof(prefix) - 1;
	if (answer->status == ADMIN_AUTH_FAILED)
		said = "the target refuses the name or the secret (CHAP)";
	else if (answer->status == ADMIN_NO_DAEMON)
		said = "iscsid does not run";
	err_set(err, ERR_FAILED, object, "%s: %.*s (iscsiadm status %d)", what,
		(int)strcspn(said, "\n"), said, answer->status);
	if (answer->status == ADMIN_NO_DAEMON)
		err_next(err, "systemctl start iscsid");
	else if (answer->status == ADMIN_AUTH_FAILED)
		err_next(err, "see that --chap-file has what the target wants");
	return -1;
}

/* The file of a node record: a plain one, or one for each interface in a directory. */
static char *node_file(const struct iscsi_target *target)
{
	/* Debian has the first, others the second. */
	static const char *const dirs[] = { "/etc/iscsi/nodes", "/var/lib/iscsi/nodes" };
	char *file = NULL;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]) && !file; i++) {
		char *plain = text_format("%s/%s/%s,%u", dirs[i], target->name, target->address,
					  target->port);
		char *pattern = text_format("%s,*/*", plain);
		glob_t found = { 0 };
		struct stat st;

		if (stat(plain, &st) == 0 && S_ISREG(st.st_mode))
			file = text_copy(plain);
		else if (glob(pattern, 0, NULL, &found) == 0)
			file = text_copy(found.gl_pathv[0]);
		globfree(&found);
		free(pattern);
		free(plain);
	}
	return file;
}

static char *read_record(const char *path)
{
	char text[RECORD_MAX];
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (len < 0)
		return NULL;
	text[len] = '\0';
	return text_copy(text);
}

bool iscsi_node_exists(const struct iscsi_target *target, const char *mark)
{
	char *file = node_file(target);
	char *text = file && mark ? read_record(file) : NULL;
	bool exists = file && (!mark || (text && strstr(text, mark)));

	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
	free(file);
	return exists;
}

/* Is the setting one of those that replace it? */
static bool is_replaced(const char *line, const char *const *settings)
{
	for (size_t i = 0; settings[i]; i += 2) {
		size_t len = strlen(settings[i]);

		if (!strncmp(line, settings[i], len) && line[len] == ' ')
			return true;
	}
	return false;
}

/* The record with the settings in it, in memory.  Free it; what was in it is a secret. */
static char *edited(char *text, const char *mark, const char *const *settings, size_t *ret_length)
{
	char *rest = text, *line, *ret = NULL;
	FILE *file = open_memstream(&ret, ret_length);

	if (!file)
		abort();
	while ((line = strsep(&rest, "\n"))) {
		if (!strncmp(line, "# END", 5)) {
			fprintf(file, "# %s\n", mark);
			for (size_t i = 0; settings[i]; i += 2)
				if (settings[i + 1])
					fprintf(file, "%s = %s\n", settings[i], settings[i + 1]);
		}
		if (*line && !is_replaced(line, settings))
			fprintf(file, "%s\n", line);
	}
	if (fclose(file) != 0)
		abort();
	return ret;
}

/*
 * The secrets reach the record by its file: what iscsiadm is given as -v all
 * users of the host can read in /proc.  iscsiadm itself reads it at each login.
 *
 * It is written in place: a file beside it would stay after a crash, with the
 * secrets, where nobody looks for it.  A record that is torn is not used, for
 * until the login is recorded it is made anew.
 */
static int edit_record(const char *path, const char *mark, const char *const *settings,
		       struct err *err)
{
	char *text = read_record(path), *record = NULL;
	size_t length = 0;
	int fd = -1, ret = -1;

	if (!text) {
		err_sys(err, errno, path, "cannot read the node record");
		goto out;
	}
	record = edited(text, mark, settings, &length);
	fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0600) < 0 || ftruncate(fd, 0) < 0 ||
	    write(fd, record, length) != (ssize_t)length || fsync(fd) < 0)
		err_sys(err, errno, path, "cannot change the node record");
	else
		ret = 0;
	inject_kill_at("kill-node", 1);
out:
	if (fd >= 0)
		close(fd);
	if (text)
		explicit_bzero(text, strlen(text));
	if (record)
		explicit_bzero(record, length);
	free(text);
	free(record);
	return ret;
}

int iscsi_node_make(const struct iscsi_target *target, const struct iscsi_login *login,
		    struct err *err)
{
	const char *const settings[] = {
		"node.startup", "manual",
		"node.conn[0].startup", "manual",
		"node.session.scan", "manual",
		"node.session.initial_login_retry_max", "1",
		"node.session.auth.authmethod", login->user ? "CHAP" : "None",
		"node.session.auth.username", login->user,
		"node.session.auth.password", login->secret,
		"node.session.auth.username_in", login->user_in,
		"node.session.auth.password_in", login->secret_in,
		NULL,
	};
	char *portal = iscsi_portal(target), *file = NULL;
	struct answer answer = { 0 };
	const char *const arguments[] = {
		"-m", "node", "-o", "new", "-T", target->name, "-p", portal, NULL,
	};
	int ret = -1;

	if (run(arguments, target->name, LIMIT_MS, &answer, err) < 0)
		goto out;
	file = answer.status ? NULL : node_file(target);
	if (answer.status)
		fail(err, target->name, "cannot make a node record", &answer);
	else if (!file)
		err_set(err, ERR_FAILED, target->name, "iscsiadm has made a node record, but not where they are");
	else
		ret = edit_record(file, login->mark, settings, err);
out:
	free(file);
	answer_free(&answer);
	free(portal);
	return ret;
}

int iscsi_node_delete(const struct iscsi_target *target, struct err *err)
{
	char *portal = iscsi_portal(target);
	const char *const arguments[] = {
		"-m", "node", "-T", target->name, "-p", portal, "-o", "delete", NULL,
	};
	struct answer answer = { 0 };
	int ret = run(arguments, target->name, LIMIT_MS, &answer, err);

	if (ret == 0 && answer.status && answer.status != ADMIN_NONE_FOUND)
		ret = fail(err, target->name, "cannot delete the node record", &answer);
	answer_free(&answer);
	free(portal);
	return ret;
}

int iscsi_log_in(const struct iscsi_target *target, struct err *err)
{
	char *portal = iscsi_portal(target);
	const char *const arguments[] = {
		"-m", "node", "-T", target->name, "-p", portal, "--login", NULL,
	};
	struct answer answer = { 0 };
	int ret = run(arguments, target->name, LOGIN_LIMIT_MS, &answer, err);

	if (ret == 0 && answer.status == ADMIN_SESSION_EXISTS)
		ret = 1;
	else if (ret == 0 && answer.status)
		ret = fail(err, target->name, "cannot log in to the target", &answer);
	answer_free(&answer);
	free(portal);
	return ret;
}

int iscsi_log_out(unsigned session, struct err *err)
{
	char number[16];
	const char *const arguments[] = { "-m", "session", "-r", number, "-u", NULL };
	struct answer answer = { 0 };
	int ret;

	snprintf(number, sizeof(number), "%u", session);
	ret = run(arguments, number, LIMIT_MS, &answer, err);
	if (ret == 0 && answer.status && answer.status != ADMIN_NONE_FOUND)
		ret = fail(err, number, "cannot log out of the session", &answer);
	answer_free(&answer);
	return ret;
}

int iscsi_discover(const struct iscsi_target *asked, struct text_list *ret_portals, struct err *err)
{
	char *portal = iscsi_portal(asked), *rest, *line;
	const char *const arguments[] = {
		"-m", "discovery", "-t", "sendtargets", "-p", portal, "-o", "nonpersistent", NULL,
	};
	struct answer answer = { 0 };
	int ret = run(arguments, portal, LIMIT_MS, &answer, err);

	if (ret == 0 && answer.status)
		ret = fail(err, portal, "cannot ask for targets", &answer);
	/* "192.0.2.7:3260,1 iqn.2024-01.org.example:disks" */
	rest = answer.output;
	while (ret == 0 && (line = strsep(&rest, "\n"))) {
		char *name = strchr(line, ' ');
		char *comma = name ? memrchr(line, ',', (size_t)(name - line)) : NULL;

		if (comma && !strcmp(name + 1, asked->name))
			text_list_add(ret_portals, text_format("%.*s", (int)(comma - line), line));
	}
	answer_free(&answer);
	free(portal);
	return ret;
}
