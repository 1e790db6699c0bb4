/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The name of an iSCSI LUN, and the secrets to get at it with. */
#include "volumes/lun.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/err.h"

#define PORT 3260
#define NAME_MAX_LENGTH 223	/* RFC 7143, 4.2.7.1 */
#define LUN_MAX 16383		/* what a flat address can hold */
#define SECRETS_MAX 4096
#define FILE_OPTION "?chap-file="

/* It becomes part of a path below open-iscsi's directory, so nothing else goes. */
static bool is_target_name(const char *name)
{
	static const char valid[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_";
	size_t len = strlen(name);

	return (!strncmp(name, "iqn.", 4) || !strncmp(name, "eui.", 4) || !strncmp(name, "naa.", 4)) &&
	       len > 4 && len <= NAME_MAX_LENGTH && strspn(name, valid) == len;
}

static bool read_number(const char *text, uint64_t max, uint64_t *ret)
{
	size_t len = strlen(text);

	if (!len || len > 5 || strspn(text, "0123456789") != len)
		return false;
	*ret = strtoull(text, NULL, 10);
	return *ret <= max;
}

/* "host", "host:3260", "[::1]", "[::1]:3260" */
static bool read_portal(char *portal, struct iscsi_target *target)
{
	char *port = NULL, *end;
	uint64_t number = PORT;

	if (*portal == '[') {
		end = strchr(portal, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
		port = end[1] ? end + 2 : NULL;
		*end = '\0';
		portal++;
	} else if ((port = strchr(portal, ':'))) {
		*port++ = '\0';
	}
	if (!*portal || *portal == '-' ||
	    strspn(portal, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:%_") !=
		    strlen(portal) ||
	    (port && (!read_number(port, 65535, &number) || !number)))
		return false;
	target->address = text_copy(portal);
	target->port = (unsigned)number;
	return true;
}

int lun_parse(const char *text, struct lun *ret_lun, struct err *err)
{
	struct lun lun = { 0 };
	char *copy = text_copy(text), *portal = copy + strlen(LUN_PREFIX), *name, *number, *file;

	if (strncmp(text, LUN_PREFIX, strlen(LUN_PREFIX)) || !(name = strchr(portal, '/')))
		goto bad;
	*name++ = '\0';
	if (strchr(portal, '@') && strchr(portal, '@') < name) {
		free(copy);
		err_set(err, ERR_USAGE, LUN_PREFIX "...", "a name or a secret stands in front of the portal, where all can read it");
		return err_next(err, "put them into a file, and use --chap-file");
	}
	number = strchr(name, '/');
	if (!number)
		goto bad;
	*number++ = '\0';
	file = strchr(number, '?');
	if (file && (strncmp(file, FILE_OPTION, strlen(FILE_OPTION)) || !file[strlen(FILE_OPTION)]))
		goto bad;
	if (file)
		*file = '\0';
	if (!is_target_name(name) || !read_number(number, LUN_MAX, &lun.number) ||
	    !read_portal(portal, &lun.target))
		goto bad;
	lun.target.name = text_copy(name);
	lun.chap_file = file ? text_copy(file + strlen(FILE_OPTION)) : NULL;
	free(copy);
	*ret_lun = lun;
	return 0;
bad:
	free(copy);
	err_set(err, ERR_USAGE, text, "is no name of a LUN, " LUN_PREFIX "PORTAL[:PORT]/IQN/LUN[?chap-file=FILE]");
	return err_next(err, "for a file of that name write file:%s", text);
}

void lun_free(struct lun *lun)
{
	iscsi_target_free(&lun->target);
	free(lun->chap_file);
	*lun = (struct lun){ 0 };
}

int lun_resolve(struct lun *lun, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	char address[NI_MAXHOST];
	int rc = getaddrinfo(lun->target.address, NULL, &hints, &found);

	if (rc == 0)
		rc = getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof(address), NULL, 0,
				 NI_NUMERICHOST);
	if (found)
		freeaddrinfo(found);
	if (rc)
		return err_set(err, ERR_FAILED, lun->target.address, "cannot find the portal's address: %s",
			       gai_strerror(rc));
	free(lun->target.address);
	lun->target.address = text_copy(address);
	return 0;
}

char *lun_text(const struct lun *lun)
{
	char *portal = iscsi_portal(&lun->target);
	char *text = text_format(LUN_PREFIX "%s/%s/%llu", portal, lun->target.name,
				 (unsigned long long)lun->number);

	free(portal);
	return text;
}

static void forget(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void lun_secrets_free(struct lun_secrets *secrets)
{
	forget(secrets->user);
	forget(secrets->secret);
	forget(secrets->user_in);
	forget(secrets->secret_in);
	*secrets = (struct lun_secrets){ 0 };
}

static int open_secrets(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_sys(err, errno, path, "cannot open the file with the secrets");
		err->class = ERR_REFUSED;
	} else if (!S_ISREG(st.st_mode)) {
		err_set(err, ERR_REFUSED, path, "is no file, and secrets have to be in one");
	} else if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 077)) {
		char *word = text_shell_word(path);

		err_set(err, ERR_REFUSED, path, "others than its owner can read or write the secrets in it (mode %04o, uid %u)",
			(unsigned)st.st_mode & 07777, (unsigned)st.st_uid);
		err_next(err, "chmod 600 %s; a secret that others could read should be changed", word);
		free(word);
	} else {
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* A line "KEY = VALUE" into *ret if it is KEY's. */
static bool take(const char *line, const char *key, char **ret)
{
	size_t len = strlen(key);
	const char *at = line + strspn(line, " \t");

	if (strncmp(at, key, len))
		return false;
	at += len;
	at += strspn(at, " \t");
	if (*at++ != '=')
		return false;
	at += strspn(at, " \t");
	len = strlen(at);
	while (len && strchr(" \t\r", at[len - 1]))
		len--;
	forget(*ret);
	*ret = text_format("%.*s", (int)len, at);
	return true;
}

int lun_secrets_read(const char *path, struct lun_secrets *ret, struct err *err)
{
	struct lun_secrets secrets = { 0 };
	char text[SECRETS_MAX], *rest = text, *line;
	int fd = open_secrets(path, err), number = 0, result = -1;
	ssize_t len;

	if (fd < 0)
		return -1;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len < 0)
		return err_sys(err, errno, path, "cannot read the file with the secrets");
	text[len] = '\0';
	while ((line = strsep(&rest, "\n"))) {
		const char *begin = line + strspn(line, " \t\r");

		number++;
		if (*begin && *begin != '#' && !take(line, "username_in", &secrets.user_in) &&
		    !take(line, "password_in", &secrets.secret_in) &&
		    !take(line, "username", &secrets.user) && !take(line, "password", &secrets.secret)) {
			err_set(err, ERR_REFUSED, path,
				"line %d is none of username = NAME, password = SECRET, and these with _in", number);
			goto out;
		}
	}
	if (!secrets.user || !*secrets.user || !secrets.secret || !*secrets.secret ||
	    !secrets.user_in != !secrets.secret_in) {
		err_set(err, ERR_REFUSED, path, "does not say a username and a password that belong together");
		goto out;
	}
	*ret = secrets;
	secrets = (struct lun_secrets){ 0 };
	result = 0;
out:
	explicit_bzero(text, sizeof(text));
	lun_secrets_free(&secrets);
	return result;
}
