/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What libvirt, QEMU and we ourselves call an NBD export or an RBD image. */
#include "engines/live_network.h"

#include <stdlib.h>
#include <string.h>

#include "engines/step.h"
#include "support/err.h"
#include "support/json.h"
#include "sys/virt_xml.h"
#include "volumes/qemu.h"

#define NBD_PORT "10809"

/* The parts of an NBD URI, decoded; NULL where there is none. */
struct nbd_uri {
	char *scheme, *host, *port, *name, *socket;
};

static void nbd_uri_free(struct nbd_uri *uri)
{
	free(uri->scheme);
	free(uri->host);
	free(uri->port);
	free(uri->name);
	free(uri->socket);
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static char *decoded(const char *text, size_t length)
{
	char *out = text_alloc(length + 1, 1), *to = out;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '%' && i + 2 < length && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
			*to++ = (char)(hex(text[i + 1]) * 16 + hex(text[i + 2]));
			i += 2;
		} else {
			*to++ = text[i];
		}
	}
	return out;
}

/* It is a URI that libnbd has taken, so this only takes it apart. */
static void nbd_uri_split(const char *text, struct nbd_uri *ret)
{
	const char *rest = strstr(text, "://"), *end, *query, *at, *colon;
	size_t length;

	*ret = (struct nbd_uri){ 0 };
	if (!rest)
		return;
	ret->scheme = text_format("%.*s", (int)(rest - text), text);
	rest += 3;
	length = strcspn(rest, "/?#");
	at = memchr(rest, '@', length);
	end = rest + length;
	if (at)
		rest = at + 1;
	colon = *rest == '[' ? memchr(rest, ']', (size_t)(end - rest)) : rest;
	colon = colon ? memchr(colon, ':', (size_t)(end - colon)) : NULL;
	if (rest < end) {
		const char *host_end = colon ? colon : end;

		/* An IPv6 address without its brackets. */
		if (*rest == '[' && host_end[-1] == ']')
			ret->host = decoded(rest + 1, (size_t)(host_end - rest) - 2);
		else
			ret->host = decoded(rest, (size_t)(host_end - rest));
	}
	if (colon)
		ret->port = decoded(colon + 1, (size_t)(end - colon) - 1);
	if (*end == '/') {
		length = strcspn(end + 1, "?#");
		if (length)
			ret->name = decoded(end + 1, length);
		end += 1 + length;
	}
	query = *end == '?' ? end + 1 : "";
	while (*query && *query != '#') {
		length = strcspn(query, "&;#");
		if (!strncmp(query, "socket=", 7))
			ret->socket = decoded(query + 7, length - 7);
		query += length;
		if (*query == '&' || *query == ';')
			query++;
	}
}

static char *slices(uint64_t window)
{
	return window ? text_format("<slices><slice type='storage' offset='0' size='%llu'/></slices>",
				    (unsigned long long)window) : text_copy("");
}

/* An attribute with the space before it; empty where there is no value. */
static char *attribute(const char *name, const char *value)
{
	char *escaped, *text;

	if (!value)
		return text_copy("");
	escaped = virt_xml_escape(value);
	text = text_format(" %s='%s'", name, escaped);
	free(escaped);
	return text;
}

static int nbd_source(const struct facts *volume, const char *window, char **ret_element, struct err *err)
{
	struct nbd_uri uri;
	char *name, *host, *port, *socket;
	int ret = 0;

	nbd_uri_split(volume->path, &uri);
	name = attribute("name", uri.name);
	host = attribute("name", uri.host ? uri.host : "localhost");
	port = attribute("port", uri.port ? uri.port : NBD_PORT);
	socket = attribute("socket", uri.socket);
	if (uri.scheme && !strcmp(uri.scheme, "nbd+unix") && uri.socket) {
		*ret_element = text_format("<source protocol='nbd'%s><host transport='unix'%s/>%s</source>",
					   name, socket, window);
	} else if (uri.scheme && !strcmp(uri.scheme, "nbd")) {
		*ret_element = text_format("<source protocol='nbd'%s><host%s%s/>%s</source>", name, host, port,
					   window);
	} else {
		err_set(err, ERR_REFUSED, volume->spec, "QEMU would need certificates of its own to reach it (%s)",
			uri.scheme ? uri.scheme : "?");
		ret = err_next(err, "use an export without TLS, on a unix socket or in a network of its own");
	}
	free(name);
	free(host);
	free(port);
	free(socket);
	nbd_uri_free(&uri);
	return ret;
}

static int rbd_source(const struct move *move, const char *window, const char *secret,
		      char **ret_element, struct err *err)
{
	const struct qemu_facts *qemu = move->destination.qemu;
	char *image = text_format("%s/%s", qemu->pool, move->create ? move->name : qemu->image);
	char *name = attribute("name", image), *conf = attribute("file", qemu->conf);
	char *user = attribute("username", qemu->user ? qemu->user : "admin");
	char *uuid = attribute("uuid", secret);
	int ret = 0;

	if (qemu->user && !secret) {
		err_set(err, ERR_REFUSED, move->destination.spec,
			"QEMU gets the key of Ceph's client.%s from a secret of libvirt's", qemu->user);
		ret = err_next(err, "name it: --ceph-secret=UUID (virsh secret-list)");
	} else {
		*ret_element = text_format("<source protocol='rbd'%s>%s%s%s%s%s%s%s%s%s</source>", name,
			qemu->conf ? "<config" : "", conf, qemu->conf ? "/>" : "",
			secret ? "<auth" : "", secret ? user : "", secret ? "><secret type='ceph'" : "",
			secret ? uuid : "", secret ? "/></auth>" : "", window);
	}
	free(image);
	free(name);
	free(conf);
	free(user);
	free(uuid);
	return ret;
}

int live_network_source(const struct move *move, uint64_t window, const char *secret,
			char **ret_element, char **ret_text, struct err *err)
{
	char *element = NULL, *disk = NULL, *slice = slices(window);
	struct virt_disks disks = { 0 };
	int ret;

	ret = qemu_is_rbd(&move->destination) ? rbd_source(move, slice, secret, &element, err) :
						nbd_source(&move->destination, slice, &element, err);
	if (ret == 0) {
		/* Read back, so that it is called what libvirt's own XML will be. */
		disk = virt_xml_network_disk(element);
		ret = virt_xml_disks(disk, &disks, err);
	}
	if (ret == 0) {
		*ret_text = virt_source_text(&disks.items[0].source);
		*ret_element = element;
		element = NULL;
	}
	virt_disks_free(&disks);
	free(disk);
	free(element);
	free(slice);
	return ret;
}

/* What stands in a URI for what would mean something else there. */
static char *encoded(const char *text)
{
	char *out = text_alloc(strlen(text) * 3 + 1, 1), *to = out;

	for (; *text; text++) {
		static const char digits[] = "0123456789ABCDEF";
		unsigned char c = (unsigned char)*text;

		if (strchr("%?#&; ", *text)) {
			*to++ = '%';
			*to++ = digits[c >> 4];
			*to++ = digits[c & 15];
		} else {
			*to++ = *text;
		}
	}
	return out;
}

char *live_network_name(const struct virt_source *source)
{
	char *name, *socket, *text = NULL;

	if (!source->protocol)
		return NULL;
	name = encoded(source->name ? source->name : "");
	socket = encoded(source->socket ? source->socket : "");
	if (!strcmp(source->protocol, "nbd") && source->socket)
		text = text_format("nbd+unix:///%s?socket=%s", name, socket);
	else if (!strcmp(source->protocol, "nbd") && source->host && !source->tls)
		text = text_format("nbd://%s/%s", source->host, name);
	else if (!strcmp(source->protocol, "rbd") && source->name)
		text = text_format("rbd:%s%s%s%s%s", source->name, source->conf ? ":conf=" : "",
				   source->conf ? source->conf : "", source->user ? ":id=" : "",
				   source->user ? source->user : "");
	free(name);
	free(socket);
	return text;
}

/* An export's text, as virt_source_text() makes it. */
static char *nbd_text(const char *socket, const char *host, const char *port, const char *name)
{
	bool is_ipv6 = host && strchr(host, ':');

	return socket ? text_format("nbd:%s%s%s", socket, name ? "/" : "", name ? name : "") :
	       text_format("nbd:%s%s%s:%s%s%s", is_ipv6 ? "[" : "", host ? host : "", is_ipv6 ? "]" : "",
			   port ? port : NBD_PORT, name ? "/" : "", name ? name : "");
}

/* The innermost layer of a "json:{...}" that describes layers. */
static char *of_json(const char *file)
{
	json_t *json = json_loads(file, 0, NULL);
	const json_t *layer = json;
	char *text = NULL;

	while (json_is_object(json_object_get(layer, "file")))
		layer = json_object_get(layer, "file");
	if (!strcmp(json_get_string(layer, "driver") ?: "", "nbd")) {
		const char *name = json_get_string(layer, "export");
		const char *path = json_get_string(layer, "server.path") ?: json_get_string(layer, "path");
		const char *host = json_get_string(layer, "server.host") ?: json_get_string(layer, "host");
		const char *port = json_get_string(layer, "server.port") ?: json_get_string(layer, "port");

		text = nbd_text(path, host, port, name);
	} else if (!strcmp(json_get_string(layer, "driver") ?: "", "rbd")) {
		text = text_format("rbd:/%s/%s", json_get_string(layer, "pool") ?: "",
				   json_get_string(layer, "image") ?: "");
	}
	json_decref(json);
	return text;
}

char *live_network_of_qemu(const char *file)
{
	struct nbd_uri uri;
	char *text = NULL;

	if (!file)
		return NULL;
	if (!strncmp(file, "json:", 5))
		return of_json(file + 5);
	if (strncmp(file, "nbd", 3) || !strstr(file, "://"))
		return NULL;
	nbd_uri_split(file, &uri);
	text = nbd_text(uri.socket, uri.host, uri.port, uri.name);
	nbd_uri_free(&uri);
	return text;
}

bool live_network_same(const char *a, const char *b)
{
	const char *image_a, *image_b;

	if (strncmp(a, "rbd:", 4) || strncmp(b, "rbd:", 4))
		return !strcmp(a, b);
	/* Which monitors are asked is no part of what an image is, and not everybody tells. */
	image_a = strchr(a, '/');
	image_b = strchr(b, '/');
	return image_a && image_b && !strcmp(image_a, image_b);
}
