/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of volumes of other hosts. */
#include "volumes/far_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/text.h"

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/* Of such characters only, and nothing that ssh could take for an option. */
static bool is_plain(const char *text, size_t length, const char *more)
{
	if (!length || *text == '-' || length > 255)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!text[i] || (!strchr(letters, text[i]) && !strchr(more, text[i])))
			return false;
	return true;
}

static int bad(struct err *err, const char *text, const char *cause)
{
	err_set(err, ERR_USAGE, text, "is no ssh://[USER@]HOST[:PORT]/VOLUME: %s", cause);
	return err_next(err, "for a file of that name write file:%s", text);
}

bool far_name_is_image(const char *name)
{
	static const char *const formats[] = { "qcow2:/", "vmdk:/", "vhdx:/", "vdi:/" };

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (!strncmp(name, formats[i], strlen(formats[i])))
			return true;
	return false;
}

/* "vg/lv", as LVM names things; for a place "vg", too. */
static bool is_group_form(const char *name, bool is_place)
{
	const char *slash = strchr(name, '/');

	if (*name == '/' || *name == '.')
		return false;
	if (!slash)
		return is_place && is_plain(name, strlen(name), "+_.-");
	return is_plain(name, (size_t)(slash - name), "+_.-") &&
	       is_plain(slash + 1, strlen(slash + 1), "+_.-");
}

static bool has_prefix(const char *name)
{
	return !strncmp(name, "lvm:", 4) || !strncmp(name, "file:/", 6) || far_name_is_image(name);
}

/* Of the form NAME:... or NAME://..., which is a volume of some other kind. */
static bool is_scheme(const char *name)
{
	size_t length = strspn(name, letters);

	if (!length || has_prefix(name))
		return false;
	return name[length] == ':' || (name[length] == '+' && strstr(name, "://"));
}

/* at: what stands in text for the volume, and is of a kind that is not served. */
static int refuse_scheme(struct err *err, const char *text, const char *at)
{
	/* Its bytes would only take the long way round. */
	if (!strncmp(at, "rbd:", 4)) {
		err_set(err, ERR_USAGE, text, "images of a Ceph cluster are not served by another host: this one can "
			"reach the cluster itself");
		return err_next(err, "write %s, with the cluster's ceph.conf and keyring on this host", at);
	}
	return bad(err, text, "only files, images by their absolute paths, block devices and logical volumes of "
		   "another host can be named");
}

static int parse_host(const char *text, const char *at, size_t length, struct far_host *host,
		      struct err *err)
{
	const char *end = at + length, *user = memchr(at, '@', length), *colon, *close;

	if (user) {
		if (!is_plain(at, (size_t)(user - at), "._+-\\"))
			return bad(err, text, "the user's name has characters that it cannot have");
		host->user = text_format("%.*s", (int)(user - at), at);
		at = user + 1;
	}
	if (at < end && *at == '[') {
		close = memchr(at, ']', (size_t)(end - at));
		if (!close || !is_plain(at + 1, (size_t)(close - at - 1), ":.%"))
			return bad(err, text, "no address is between the brackets");
		host->host = text_format("%.*s", (int)(close - at - 1), at + 1);
		colon = close + 1;
		if (colon < end && *colon != ':')
			return bad(err, text, "only a port comes after an address");
	} else {
		colon = memchr(at, ':', (size_t)(end - at));
		if (!colon)
			colon = end;
		if (!is_plain(at, (size_t)(colon - at), "._-"))
			return bad(err, text, "that is no host's name");
		host->host = text_format("%.*s", (int)(colon - at), at);
	}
	if (colon == end)
		return 0;
	for (at = colon + 1; at < end; at++) {
		if (*at < '0' || *at > '9' || host->port > 65535)
			return bad(err, text, "the port is no number");
		host->port = host->port * 10 + (unsigned)(*at - '0');
	}
	return host->port && host->port <= 65535 ? 0 : bad(err, text, "the port is none, from 1 to 65535");
}

int far_name_parse(const char *text, bool is_place, struct far_host *ret_host, char **ret_name,
		   struct err *err)
{
	struct far_host host = { 0 };
	const char *at, *slash;

	if (strncmp(text, FAR_NAME_PREFIX, strlen(FAR_NAME_PREFIX)))
		return bad(err, text, "does not name a volume of another host");
	at = text + strlen(FAR_NAME_PREFIX);
	slash = strchr(at, '/');
	if (!slash || !slash[1])
		return bad(err, text, "names a host, but no volume there");
	if (parse_host(text, at, (size_t)(slash - at), &host, err) < 0) {
		far_host_free(&host);
		return -1;
	}
	at = slash + 1;
	if (is_scheme(at)) {
		far_host_free(&host);
		return refuse_scheme(err, text, at);
	}
	*ret_name = *at == '/' || has_prefix(at) || is_group_form(at, is_place) ?
		    text_copy(at) : text_format("/%s", at);
	*ret_host = host;
	return 0;
}

char *far_host_text(const struct far_host *host)
{
	bool v6 = strchr(host->host, ':');
	char port[16] = "";

	if (host->port)
		snprintf(port, sizeof(port), ":%u", host->port);
	return text_format("%s%s%s%s%s%s", host->user ? host->user : "", host->user ? "@" : "",
			   v6 ? "[" : "", host->host, v6 ? "]" : "", port);
}

void far_host_free(struct far_host *host)
{
	free(host->user);
	free(host->host);
	*host = (struct far_host){ 0 };
}
