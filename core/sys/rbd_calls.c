/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ceph RBD images by librbd, in a process of its own. */
#include "sys/rbd_calls.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/err.h"
#include "support/json.h"
#include "sys/rbd.h"
#include "sys/wire.h"

#ifndef VOLMIG_WITHOUT_RBD

#include <dlfcn.h>
#include <rados/librados.h>
#include <rbd/librbd.h>

/* Every function of the two libraries' that is used, to be looked up by its name. */
#define RADOS_FUNCTIONS(FUNCTION) \
	FUNCTION(rados_create) FUNCTION(rados_conf_read_file) FUNCTION(rados_conf_set) FUNCTION(rados_connect) \
	FUNCTION(rados_cluster_fsid) FUNCTION(rados_ioctx_create) FUNCTION(rados_ioctx_destroy) FUNCTION(rados_ioctx_get_id)
#define RBD_FUNCTIONS(FUNCTION) \
	FUNCTION(rbd_open_by_id) FUNCTION(rbd_open_read_only) FUNCTION(rbd_close) FUNCTION(rbd_stat) FUNCTION(rbd_get_id) \
	FUNCTION(rbd_get_size) FUNCTION(rbd_get_parent) FUNCTION(rbd_linked_image_spec_cleanup) \
	FUNCTION(rbd_snap_spec_cleanup) FUNCTION(rbd_snap_list) FUNCTION(rbd_snap_list_end) \
	FUNCTION(rbd_watchers_list) FUNCTION(rbd_watchers_list_cleanup) FUNCTION(rbd_diff_iterate2) \
	FUNCTION(rbd_image_options_create) FUNCTION(rbd_image_options_destroy) \
	FUNCTION(rbd_image_options_set_uint64) FUNCTION(rbd_create4) FUNCTION(rbd_rename) FUNCTION(rbd_remove) \
	FUNCTION(rbd_list2) FUNCTION(rbd_image_spec_list_cleanup) FUNCTION(rbd_lock_get_owners) \
	FUNCTION(rbd_lock_get_owners_cleanup) FUNCTION(rbd_lock_acquire) FUNCTION(rbd_list_lockers)

static struct {
#define FUNCTION(name) __typeof__(name) *name;
	RADOS_FUNCTIONS(FUNCTION)
	RBD_FUNCTIONS(FUNCTION)
#undef FUNCTION
} lib;

#define ID_MAX 256
#define SOME 16		/* of what there are mostly none */
#define LOCKERS 4096	/* bytes of their names */
#define AUTO_LOCK "auto "	/* what librbd calls a lock that it takes and gives by itself */

static rados_t cluster;
static bool connected;

/* ---- answers ---- */

static json_t *failed(const char *at, int r)
{
	return json_pack("{s:s, s:i}", "at", at, "error", r < 0 ? -r : EIO);
}

static json_t *done(int r)
{
	return r < 0 ? failed(RBD_AT_IMAGE, r) : json_object();
}

/* ---- the cluster ---- */

const char *rbd_image_missing(void)
{
	void *rados = dlopen("librados.so.2", RTLD_NOW | RTLD_LOCAL);
	void *rbd = rados ? dlopen("librbd.so.1", RTLD_NOW | RTLD_LOCAL) : NULL;

	if (!rbd)
		return dlerror();
#define FUNCTION(name) \
	lib.name = (__typeof__(name) *)dlsym(rados, #name); \
	if (!lib.name) \
		return "this librados has no " #name "()";
	RADOS_FUNCTIONS(FUNCTION)
#undef FUNCTION
#define FUNCTION(name) \
	lib.name = (__typeof__(name) *)dlsym(rbd, #name); \
	if (!lib.name) \
		return "this librbd has no " #name "()";
	RBD_FUNCTIONS(FUNCTION)
#undef FUNCTION
	return NULL;
}

static int set_seconds(const char *option, const json_t *request, const char *key)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)json_get_u64(request, key));
	return lib.rados_conf_set(cluster, option, text);
}

/* As QEMU does it: what the one may the other may, too.  NULL, or the answer that says why not. */
static json_t *connect_cluster(const json_t *request, const char *conf, const char *user)
{
	const char *missing = rbd_image_missing();
	int r;

	if (missing)
		return json_pack("{s:s, s:i, s:s}", "at", RBD_AT_LIBRARY, "error", ENOENT, "text", missing);
	r = lib.rados_create(&cluster, user);
	if (r < 0)
		return failed(RBD_AT_CLUSTER, r);
	r = lib.rados_conf_read_file(cluster, conf);
	/* Without one all may be said by the environment. */
	if (r < 0 && conf)
		return failed(RBD_AT_CONF, r);
	if ((r = set_seconds("client_mount_timeout", request, "connect_s")) < 0 ||
	    (r = set_seconds("rados_mon_op_timeout", request, "connect_s")) < 0 ||
	    (r = lib.rados_connect(cluster)) < 0)
		return failed(RBD_AT_CLUSTER, r);
	connected = true;
	return NULL;
}

/* ---- what can be asked for ---- */

static int count_bytes(uint64_t offset, size_t length, int exists, void *sum)
{
	(void)offset;
	if (exists)
		*(uint64_t *)sum += length;
	return 0;
}

static int add_parent(rbd_image_t image, json_t *answer)
{
	rbd_linked_image_spec_t parent = { 0 };
	rbd_snap_spec_t snap = { 0 };
	int r = lib.rbd_get_parent(image, &parent, &snap);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	json_put(answer, "parent", json_pack("{s:s, s:s, s:s}", "pool", parent.pool_name, "image", parent.image_name,
					     "snapshot", snap.name));
	lib.rbd_linked_image_spec_cleanup(&parent);
	lib.rbd_snap_spec_cleanup(&snap);
	return 0;
}

static int add_snapshots(rbd_image_t image, json_t *answer)
{
	rbd_snap_info_t *snaps = NULL;
	int room = SOME, r;

	do {
		free(snaps);
		snaps = calloc((size_t)room, sizeof(*snaps));
		r = snaps ? lib.rbd_snap_list(image, snaps, &room) : -ENOMEM;
	} while (r == -ERANGE);
	if (r > 0)
		lib.rbd_snap_list_end(snaps);
	free(snaps);
	if (r >= 0)
		json_put(answer, "snapshots", json_integer(r));
	return r;
}

static int add_watchers(rbd_image_t image, json_t *answer)
{
	rbd_image_watcher_t *watchers = NULL;
	size_t room = SOME;
	json_t *list = json_array();
	int r;

	do {
		free(watchers);
		watchers = calloc(room, sizeof(*watchers));
		r = watchers ? lib.rbd_watchers_list(image, watchers, &room) : -ENOMEM;
	} while (r == -ERANGE);
	for (size_t i = 0; r >= 0 && i < room; i++)
		json_array_append_new(list, json_string(watchers[i].addr ? watchers[i].addr : "?"));
	if (r >= 0)
		lib.rbd_watchers_list_cleanup(watchers, room);
	free(watchers);
	json_put(answer, "watchers", list);
	return r;
}

/* Locks that somebody has taken by hand (rbd lock add): nobody gives those back but who took them. */
static int add_lockers(rbd_image_t image, json_t *answer)
{
	char tag[LOCKERS], clients[LOCKERS], cookies[LOCKERS], addresses[LOCKERS];
	size_t tag_size = LOCKERS, clients_size = LOCKERS, cookies_size = LOCKERS, addresses_size = LOCKERS;
	const char *client = clients, *cookie = cookies, *address = addresses;
	json_t *list = json_array();
	int exclusive;
	ssize_t n = lib.rbd_list_lockers(image, &exclusive, tag, &tag_size, clients, &clients_size, cookies,
					 &cookies_size, addresses, &addresses_size);

	for (ssize_t i = 0; i < n; i++) {
		if (strncmp(cookie, AUTO_LOCK, strlen(AUTO_LOCK)))
			json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "client", client, "lock", cookie,
							      "address", address));
		client += strlen(client) + 1;
		cookie += strlen(cookie) + 1;
		address += strlen(address) + 1;
	}
	json_put(answer, "lockers", list);
	return (int)n;
}

static json_t *look(rbd_image_t image, const json_t *request)
{
	json_t *answer = json_object();
	rbd_image_info_t info;
	char id[ID_MAX];
	int r;

	if ((r = lib.rbd_stat(image, &info, sizeof(info))) < 0)
		goto out;
	json_put(answer, "bytes", json_u64(info.size));
	json_put(answer, "object_bytes", json_u64(info.obj_size));
	/* Those of format 1 have none. */
	r = lib.rbd_get_id(image, id, sizeof(id));
	if (r >= 0)
		json_put(answer, "id", json_string(id));
	else if (r != -EINVAL)
		goto out;
	if ((r = add_parent(image, answer)) < 0 || (r = add_snapshots(image, answer)) < 0)
		goto out;
	if (json_get_bool(request, "watchers") && (r = add_watchers(image, answer)) >= 0)
		r = add_lockers(image, answer);
out:
	if (r >= 0 || r == -EINVAL)
		return answer;
	json_decref(answer);
	return failed(RBD_AT_IMAGE, r);
}

static json_t *du(rbd_image_t image)
{
	uint64_t bytes, used = 0;
	int r = lib.rbd_get_size(image, &bytes);

	if (r >= 0)
		r = lib.rbd_diff_iterate2(image, NULL, 0, bytes, 0, 1, count_bytes, &used);
	return r < 0 ? failed(RBD_AT_IMAGE, r) : json_pack("{s:o}", "used", json_u64(used));
}

static json_t *make(rados_ioctx_t pool, const char *name, uint64_t bytes)
{
	rbd_image_options_t options;
	int r;

	/* All else as the cluster's configuration wants new ones to be. */
	lib.rbd_image_options_create(&options);
	r = lib.rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_FORMAT, 2);
	if (r >= 0)
		r = lib.rbd_create4(pool, name, bytes, options);
	lib.rbd_image_options_destroy(options);
	return done(r);
}

/* Only those whose names begin so: a pool may have very many. */
static json_t *list(rados_ioctx_t pool, const char *prefix)
{
	rbd_image_spec_t *images = NULL;
	size_t room = SOME;
	json_t *names = json_array();
	int r;

	do {
		free(images);
		images = calloc(room, sizeof(*images));
		r = images ? lib.rbd_list2(pool, images, &room) : -ENOMEM;
	} while (r == -ERANGE);
	for (size_t i = 0; r >= 0 && i < room; i++)
		if (!strncmp(images[i].name, prefix, strlen(prefix)))
			json_array_append_new(names, json_string(images[i].name));
	if (r >= 0)
		lib.rbd_image_spec_list_cleanup(images, room);
	free(images);
	if (r >= 0)
		return json_pack("{s:o}", "images", names);
	json_decref(names);
	return failed(RBD_AT_POOL, r);
}

/*
 * Take the exclusive lock from whoever has it, and give it back at once: from
 * a client that lives it is asked for, one that has died loses it when its
 * watch has run out (osd_client_watch_timeout, 30 s).
 */
static int take_lock(rados_ioctx_t pool, const char *id)
{
	rbd_image_t image;
	int r = lib.rbd_open_by_id(pool, id, &image, NULL);

	if (r < 0)
		return r;
	r = lib.rbd_lock_acquire(image, RBD_LOCK_MODE_EXCLUSIVE);
	lib.rbd_close(image);
	return r;
}

/* What opens the image next shall not have to wait for a lock.  Another image's is none of ours. */
static json_t *free_lock(rados_ioctx_t pool, const char *id, rbd_image_t image, json_t *answer)
{
	rbd_lock_mode_t mode;
	char *owners[1];
	size_t room = 1;
	int r;

	if (strcmp(json_get_string(answer, "id") ?: "", id))
		return answer;
	r = lib.rbd_lock_get_owners(image, &mode, owners, &room);
	/* ENOENT: nobody has it; EINVAL: the image is one without such a lock. */
	if (r == 0 && room > 0) {
		lib.rbd_lock_get_owners_cleanup(owners, room);
		r = take_lock(pool, id);
	}
	if (r >= 0 || r == -ENOENT || r == -EINVAL)
		return answer;
	json_decref(answer);
	return failed(RBD_AT_LOCK, r);
}

static json_t *do_on_image(rados_ioctx_t pool, const char *what, const char *name, const json_t *request)
{
	const char *free_id = json_get_string(request, "free");
	rbd_image_t image;
	json_t *answer;
	int r = lib.rbd_open_read_only(pool, name, &image, NULL);

	if (r == -ENOENT && !strcmp(what, "look"))
		return json_pack("{s:b}", "absent", true);
	if (r < 0)
		return failed(RBD_AT_IMAGE, r);
	answer = strcmp(what, "du") ? look(image, request) : du(image);
	if (free_id && !json_object_get(answer, "error"))
		answer = free_lock(pool, free_id, image, answer);
	lib.rbd_close(image);
	return answer;
}

static json_t *do_in_pool(rados_ioctx_t pool, const json_t *request)
{
	const char *what = json_get_string(request, "do"), *name = json_get_string(request, "image");

	if (!strcmp(what, "create"))
		return make(pool, name, json_get_u64(request, "bytes"));
	if (!strcmp(what, "rename"))
		return done(lib.rbd_rename(pool, name, json_get_string(request, "to")));
	if (!strcmp(what, "remove"))
		return done(lib.rbd_remove(pool, name));
	if (!strcmp(what, "list"))
		return list(pool, json_get_string(request, "prefix"));
	return do_on_image(pool, what, name, request);
}

/* Whatever is called so: a cluster keeps its fsid, and gives no pool's number to another. */
static int identify_pool(rados_ioctx_t pool, char *ret, size_t size)
{
	char fsid[64];
	int r = lib.rados_cluster_fsid(cluster, fsid, sizeof(fsid));

	if (r >= 0)
		snprintf(ret, size, "%s/%lld", fsid, (long long)lib.rados_ioctx_get_id(pool));
	return r;
}

static json_t *answer_to(const json_t *request, const char *conf, const char *user)
{
	const char *wanted = json_get_string(request, "pool_id");
	char pool_id[96];
	json_t *answer = connected ? NULL : connect_cluster(request, conf, user);
	rados_ioctx_t pool;
	int r;

	if (answer)
		return answer;
	if ((r = set_seconds("rados_osd_op_timeout", request, "operation_s")) < 0)
		return failed(RBD_AT_CLUSTER, r);
	r = lib.rados_ioctx_create(cluster, json_get_string(request, "pool"), &pool);
	if (r < 0)
		return failed(RBD_AT_POOL, r);
	if ((r = identify_pool(pool, pool_id, sizeof(pool_id))) < 0) {
		lib.rados_ioctx_destroy(pool);
		return failed(RBD_AT_CLUSTER, r);
	}
	answer = wanted && strcmp(wanted, pool_id) ? failed(RBD_AT_POOL, -ESTALE) : do_in_pool(pool, request);
	json_put(answer, "pool_id", json_string(pool_id));
	lib.rados_ioctx_destroy(pool);
	return answer;
}

#else

const char *rbd_image_missing(void)
{
	return "this volmig was built without librbd";
}

static json_t *answer_to(const json_t *request, const char *conf, const char *user)
{
	(void)request;
	(void)conf;
	(void)user;
	return json_pack("{s:s, s:i, s:s}", "at", RBD_AT_LIBRARY, "error", ENOENT, "text", rbd_image_missing());
}

#endif

void rbd_calls_serve(int talk, const char *conf, const char *user)
{
	struct wire wire = { .in = talk, .out = talk };

	/* Whoever has begun this process may have other things to do before it asks. */
	rbd_image_missing();
	for (;;) {
		struct err err = ERR_INIT;
		json_t *request, *answer;

		if (wire_receive(&wire, 0, &request, &err) <= 0)
			_exit(0);
		answer = answer_to(request, conf, user);
		json_decref(request);
		if (wire_send(&wire, answer, 0, &err) < 0)
			_exit(0);
	}
}
