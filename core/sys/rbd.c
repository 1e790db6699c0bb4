/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ceph RBD images, by librbd. */
#include "sys/rbd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/json.h"
#include "sys/rbd_calls.h"
#include "sys/rbd_child.h"

#define CONNECT_S 10		/* a monitor that is well answers in milliseconds */
#define LOOK_MS 30000
#define LOCK_MS 90000		/* 30 s for a dead client's watch, and for the cluster to hear of that */
#define REMOVE_MS 120000	/* 30 s for a dead client's watch, and the objects take their time */

char *rbd_environment(uint64_t stall_ms)
{
	const char *others = getenv("CEPH_ARGS");
	uint64_t seconds = (stall_ms + 999) / 1000;

	return text_format("CEPH_ARGS=%s%s--client-mount-timeout=%d --rados-osd-op-timeout=%llu",
			   others ? others : "", others && *others ? " " : "", CONNECT_S,
			   (unsigned long long)seconds);
}

void rbd_image_free(struct rbd_image *image)
{
	free(image->pool_id);
	free(image->id);
	free(image->parent);
	text_list_free(&image->watchers);
	text_list_free(&image->lockers);
	*image = (struct rbd_image){ 0 };
}

static char *full_name(const struct rbd_name *name, const char *image)
{
	return image ? text_format("%s/%s", name->pool, image) : text_copy(name->pool);
}

/* How long one operation of the cluster may take, of several that a call needs. */
static uint64_t operation_s(uint64_t timeout_ms)
{
	return timeout_ms / 2000;
}

/* Say it in words that help: what failed is in the answer. */
static int explain(const struct rbd_name *name, const char *object, const char *doing, uint64_t timeout_ms,
		   const json_t *answer, struct err *err)
{
	const char *at = json_get_string(answer, "at") ?: "";
	int number = (int)json_get_u64(answer, "error");

	if (!strcmp(at, RBD_AT_LIBRARY)) {
		err_set(err, ERR_REFUSED, object, "Ceph RBD cannot be used: %s", json_get_string(answer, "text") ?: "?");
		err_next(err, "install it (Debian: librbd1, Fedora: librbd1)");
		number = EOPNOTSUPP;	/* no image is missing */
	} else if (!strcmp(at, RBD_AT_CONF)) {
		err_set(err, ERR_REFUSED, object, "cannot read %s: %s", name->conf ? name->conf : "Ceph's configuration",
			strerror(number));
		err_next(err, "check conf=");
	} else if (number == EACCES) {
		err_set(err, ERR_REFUSED, object, "Ceph refuses user client.%s: unknown user or wrong key",
			name->user ? name->user : "admin");
		err_next(err, "check id= and the keyring");
	} else if (number == ETIMEDOUT) {
		err_set(err, ERR_REFUSED, object, "the Ceph cluster does not answer (%llu s)", (unsigned long long)
			(!strcmp(at, RBD_AT_CLUSTER) ? CONNECT_S : operation_s(timeout_ms)));
		err_next(err, "check the cluster (ceph -s) and conf=");
	} else if (!strcmp(at, RBD_AT_LOCK)) {
		err_sys(err, number, object, "cannot get the image's exclusive lock");
		err_next(err, "see who has it (rbd lock ls, rbd status)");
	} else if (!strcmp(at, RBD_AT_POOL) && number == ENOENT) {
		err_set(err, ERR_REFUSED, object, "there is no pool %s", name->pool);
		err_next(err, "check the name, or make the pool first");
	} else if (!strcmp(at, RBD_AT_POOL) && number == ESTALE) {
		err_set(err, ERR_REFUSED, object, "its pool is in another cluster, or was made anew: %s, was %s",
			json_get_string(answer, "pool_id") ?: "?", name->pool_id);
		err_next(err, "check conf= and the pool");
	} else if (!strcmp(at, RBD_AT_CLUSTER)) {
		err_set(err, ERR_REFUSED, object, "cannot connect to the Ceph cluster: %s", strerror(number));
		err_next(err, number == ENOENT ? "check conf=, id= and that there is a keyring of that user" :
			 "check conf= and the cluster (ceph -s)");
	} else {
		err_sys(err, number, object, "%s", doing);
	}
	err->number = number;
	return -1;
}

/* what: what is to be done, and more of what that needs; taken over. */
static int ask(const struct rbd_name *name, json_t *what, const char *doing, uint64_t timeout_ms,
	       json_t **ret_answer, struct err *err)
{
	/* A name that is nobody's is asked for only to see whether there is a pool. */
	char *object = full_name(name, !name->image || *name->image == '.' ? NULL : name->image);
	char *text = text_format("rbd:%s", object);
	json_t *answer;
	int ret = -1;

	json_put(what, "pool", json_string(name->pool));
	if (name->image)
		json_put(what, "image", json_string(name->image));
	if (name->pool_id)
		json_put(what, "pool_id", json_string(name->pool_id));
	json_put(what, "connect_s", json_integer(CONNECT_S));
	json_put(what, "operation_s", json_u64(operation_s(timeout_ms)));
	answer = rbd_child_ask(name, what, text, doing, timeout_ms, err);
	if (answer && json_object_get(answer, "error")) {
		ret = explain(name, text, doing, timeout_ms, answer, err);
	} else if (answer) {
		ret = 0;
		if (ret_answer) {
			*ret_answer = answer;
			answer = NULL;	/* handed over */
		}
	}
	json_decref(answer);
	free(text);
	free(object);
	return ret;
}

void rbd_image_expect(const struct rbd_name *name)
{
	rbd_child_begin(name);
}

static json_t *request(const char *what)
{
	return json_pack("{s:s}", "do", what);
}

/* free_id: the lock of the image of that id is to be free; or NULL. */
static int look(const struct rbd_name *name, bool watchers, const char *free_id, struct rbd_image *ret_image,
		struct err *err)
{
	json_t *info = NULL, *what = request("look");
	const json_t *parent, *watcher, *locker;
	size_t i;

	json_put(what, "watchers", json_boolean(watchers));
	if (free_id)
		json_put(what, "free", json_string(free_id));
	if (ask(name, what, "cannot look at the image", free_id ? LOCK_MS : LOOK_MS, &info, err) < 0) {
		if (err->class != ERR_FAILED || err->number != ENOENT)
			return -1;
		*err = (struct err)ERR_INIT;
		return 0;
	}
	if (json_get_bool(info, "absent")) {
		*ret_image = (struct rbd_image){ .pool_id = text_copy(json_get_string(info, "pool_id")) };
		json_decref(info);
		return 0;
	}
	if (!json_get_string(info, "id")) {
		json_decref(info);
		return err_set(err, ERR_REFUSED, name->image, "is an image of format 1, and has no id");
	}
	*ret_image = (struct rbd_image){
		.pool_id = text_copy(json_get_string(info, "pool_id")),
		.id = text_copy(json_get_string(info, "id")),
		.bytes = json_get_u64(info, "bytes"),
		.object_bytes = json_get_u64(info, "object_bytes"),
		.snapshots = json_get_u64(info, "snapshots"),
	};
	parent = json_object_get(info, "parent");
	if (parent)
		ret_image->parent = text_format("%s/%s@%s", json_get_string(parent, "pool") ?: "?",
						json_get_string(parent, "image") ?: "?",
						json_get_string(parent, "snapshot") ?: "?");
	json_array_foreach(json_object_get(info, "watchers"), i, watcher)
		text_list_add(&ret_image->watchers, text_copy(json_string_value(watcher)));
	json_array_foreach(json_object_get(info, "lockers"), i, locker)
		text_list_add(&ret_image->lockers, text_format("\"%s\" by %s at %s",
			      json_get_string(locker, "lock") ?: "?", json_get_string(locker, "client") ?: "?",
			      json_get_string(locker, "address") ?: "?"));
	json_decref(info);
	return 1;
}

int rbd_image_look(const struct rbd_name *name, bool watchers, struct rbd_image *ret_image, struct err *err)
{
	return look(name, watchers, NULL, ret_image, err);
}

int rbd_image_check_id(const struct rbd_name *name, const char *id, bool free_lock, struct err *err)
{
	struct rbd_image image = { 0 };
	int found = look(name, false, free_lock ? id : NULL, &image, err);

	if (found == 0)
		err_set(err, ERR_REFUSED, name->image, "is gone");
	else if (found > 0 && strcmp(image.id, id))
		found = err_set(err, ERR_REFUSED, name->image, "is another image: id %s, was %s", image.id, id);
	rbd_image_free(&image);
	return found > 0 ? 0 : -1;
}

uint64_t rbd_image_allocated(const struct rbd_name *name, uint64_t bytes)
{
	struct err ignored = ERR_INIT;
	json_t *answer = NULL;
	uint64_t used = bytes;

	if (ask(name, request("du"), "cannot look at its objects", LOOK_MS, &answer, &ignored) == 0)
		used = json_get_u64(answer, "used");
	json_decref(answer);
	return used;
}

int rbd_image_create(const struct rbd_name *name, uint64_t bytes, struct err *err)
{
	json_t *what = request("create");

	json_put(what, "bytes", json_u64(bytes));
	return ask(name, what, "cannot make the image", LOOK_MS, NULL, err);
}

int rbd_image_rename(const struct rbd_name *name, const char *to, struct err *err)
{
	json_t *what = request("rename");

	json_put(what, "to", json_string(to));
	return ask(name, what, "cannot rename the image", LOOK_MS, NULL, err);
}

int rbd_image_remove(const struct rbd_name *name, struct err *err)
{
	return ask(name, request("remove"), "cannot remove the image", REMOVE_MS, NULL, err);
}

int rbd_image_list(const struct rbd_name *name, const char *prefix, struct text_list *ret_images, struct err *err)
{
	const json_t *item;
	json_t *what = request("list"), *answer = NULL;
	size_t i;

	json_put(what, "prefix", json_string(prefix));
	if (ask(name, what, "cannot list the images", LOOK_MS, &answer, err) < 0)
		return -1;
	json_array_foreach(json_object_get(answer, "images"), i, item)
		text_list_add(ret_images, text_copy(json_string_value(item)));
	json_decref(answer);
	return 0;
}
