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
	char *certificates, *tls_hostname, *psk_file;
	bool tls;
};

static void nbd_uri_free(struct nbd_uri *uri)
{
	free(uri->scheme);
	free(uri->host);
	free(uri->port);
	free(uri->name);
	free(uri->socket);
	free(uri->certificates);
	free(uri->tls_hostname);
	free(uri->psk_file);
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

/* A part of the query, "socket=...". */
static void take_parameter(struct nbd_uri *uri, const char *text, size_t length)
{
	const struct {
		const char *name;
		char **value;
	} known[] = {
		{ "socket=", &uri->socket },
		{ "tls-certificates=", &uri->certificates },
		{ "tls-hostname=", &uri->tls_hostname },
		{ "tls-psk-file=", &uri->psk_file },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t key = strlen(known[i].name);

		if (length < key || strncmp(text, known[i].name, key))
			continue;
		free(*known[i].value);
		*known[i].value = decoded(text + key, length - key);
	}
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
	ret->tls = !strncmp(text, "nbds", 4);
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
		take_parameter(ret, query, length);
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

static bool is_tcp(const struct nbd_uri *uri)
{
	return uri->scheme && (!strcmp(uri->scheme, "nbd") || !strcmp(uri->scheme, "nbds"));
}

static bool is_unix(const struct nbd_uri *uri)
{
	return uri->scheme && uri->socket &&
	       (!strcmp(uri->scheme, "nbd+unix") || !strcmp(uri->scheme, "nbds+unix"));
}

/* Can QEMU, as libvirt runs it, reach what that names? */
static int check_nbd(const struct facts *volume, const struct nbd_uri *uri, struct err *err)
{
	if (uri->psk_file) {
		err_set(err, ERR_REFUSED, volume->spec,
			"it is reached by a key shared beforehand, and libvirt gives QEMU certificates only");
		return err_next(err, "let the server have certificates, and write tls-certificates=DIR");
	}
	if (!is_tcp(uri) && !is_unix(uri)) {
		err_set(err, ERR_REFUSED, volume->spec, "libvirt has no name for it (%s)",
			uri->scheme ? uri->scheme : "?");
		return err_next(err, "use an export by TCP or on a unix socket: nbd://, nbds://, nbd+unix://, nbds+unix://");
	}
	if (uri->tls && is_unix(uri) && !uri->tls_hostname) {
		err_set(err, ERR_REFUSED, volume->spec,
			"QEMU checks the server's certificate against a name, and a socket has none");
		return err_next(err, "write the name that is in it behind the '?': tls-hostname=NAME");
	}
	return 0;
}

static int nbd_source(const struct facts *volume, const char *window, char **ret_element, struct err *err)
{
	struct nbd_uri uri;
	int ret;

	nbd_uri_split(volume->path, &uri);
	ret = check_nbd(volume, &uri, err);
	if (ret == 0) {
		char *name = attribute("name", uri.name), *socket = attribute("socket", uri.socket);
		char *host = attribute("name", uri.host ? uri.host : "localhost");
		char *port = attribute("port", uri.port ? uri.port : NBD_PORT);
		char *tls_hostname = attribute("tlsHostname", uri.tls ? uri.tls_hostname : NULL);

		*ret_element = text_format("<source protocol='nbd'%s%s%s><host%s%s/>%s</source>", name,
					   uri.tls ? " tls='yes'" : "", tls_hostname,
					   is_unix(&uri) ? " transport='unix'" : host,
					   is_unix(&uri) ? socket : port, window);
		free(name);
		free(socket);
		free(host);
		free(port);
		free(tls_hostname);
	}
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

char *live_network_note(const struct facts *volume)
{
	char *note = NULL, *own;
	struct nbd_uri uri;

	if (!volume->kind || strcmp(volume->kind, "nbd"))
		return NULL;
	nbd_uri_split(volume->path, &uri);
	if (uri.tls) {
		own = uri.certificates ? text_format("with those in %s", uri.certificates) :
		      text_copy("with those that libnbd finds by itself");
		note = text_format("QEMU reaches %s with the certificates that libvirt's qemu.conf names"
				   " (nbd_tls_x509_cert_dir), and volmig, to look and to compare, %s", volume->spec, own);
		free(own);
	}
	nbd_uri_free(&uri);
	return note;
}

void live_network_advise(const struct facts *volume, struct err *err)
{
	bool has_uri = volume->path && strstr(volume->path, "://");

	if (!has_uri || *err->next)
		return;
	if (!strncmp(volume->path, "nbds", 4))
		err_next(err, "QEMU's certificates are in what qemu.conf of libvirt calls nbd_tls_x509_cert_dir, or else "
			 "default_tls_x509_cert_dir: its user has to be able to read them, and the server to know them");
	else if (!strncmp(volume->path, "nbd", 3))
		err_next(err, "if qemu.conf of libvirt has nbd_tls = 1, QEMU wants TLS of every export: write nbds://");
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

/* One more parameter of a URI's query, as far as there is a value. */
static void add_parameter(char **uri, const char *name, const char *value)
{
	char *part = value ? encoded(value) : NULL, *longer;

	if (!part)
		return;
	longer = text_format("%s%s%s=%s", *uri, strchr(*uri, '?') ? "&" : "?", name, part);
	free(part);
	free(*uri);
	*uri = longer;
}

char *live_network_name(const struct virt_source *source, const char *certificates)
{
	bool tls = source->tls || certificates;
	char *name, *text = NULL;

	if (!source->protocol)
		return NULL;
	name = encoded(source->name ? source->name : "");
	if (!strcmp(source->protocol, "nbd") && (source->socket || source->host)) {
		text = source->socket ? text_format("nbd%s+unix:///%s", tls ? "s" : "", name) :
		       text_format("nbd%s://%s/%s", tls ? "s" : "", source->host, name);
		add_parameter(&text, "socket", source->socket);
		add_parameter(&text, "tls-certificates", certificates);
		add_parameter(&text, "tls-hostname", source->tls_hostname);
	} else if (!strcmp(source->protocol, "rbd") && source->name) {
		text = text_format("rbd:%s%s%s%s%s", source->name, source->conf ? ":conf=" : "",
				   source->conf ? source->conf : "", source->user ? ":id=" : "",
				   source->user ? source->user : "");
	}
	free(name);
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
