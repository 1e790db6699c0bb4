/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ceph RBD images, by the rbd tool. */
#include "sys/rbd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/json.h"
#include "sys/tool.h"

#define CONNECT_S 10		/* a monitor that is well answers in milliseconds */
#define LOOK_MS 30000
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
	free(image->id);
	free(image->parent);
	text_list_free(&image->watchers);
	*image = (struct rbd_image){ 0 };
}

static char *full_name(const struct rbd_name *name, const char *image)
{
	return image ? text_format("%s/%s", name->pool, image) : text_copy(name->pool);
}

/* Say it in words that help; the tool's status is an errno. */
static int explain(const struct rbd_name *name, struct err *err)
{
	int number = err->number;

	if (err->class != ERR_FAILED)
		return -1;
	if (number == EACCES) {
		err_set(err, ERR_REFUSED, err->object, "Ceph refuses user client.%s: unknown user or wrong key",
			name->user ? name->user : "admin");
		err_next(err, "check id= and the keyring");
	} else if (number == ETIMEDOUT) {
		err_set(err, ERR_REFUSED, err->object, "the Ceph cluster does not answer (%d s)", CONNECT_S);
		err_next(err, "check the cluster (ceph -s) and conf=");
	} else if (strstr(err->cause, "error opening pool")) {
		err_set(err, ERR_REFUSED, err->object, "there is no pool %s", name->pool);
		err_next(err, "check the name, or make the pool first");
	} else if (strstr(err->cause, "has not answered") || strstr(err->cause, "couldn't connect") ||
		   strstr(err->cause, "unable to open config file")) {
		err->class = ERR_REFUSED;
		err_next(err, "check conf= (%s) and the cluster (ceph -s)",
			 name->conf ? name->conf : "Ceph's default");
	}
	err->number = number;
	return -1;
}

/* args: the tool's verb and what follows, at most 6; ends with NULL. */
static int run(const struct rbd_name *name, const char *doing, const char *const *args, uint64_t timeout_ms,
	       json_t **ret_json, struct err *err)
{
	const char *argv[16];
	char *environment = rbd_environment(timeout_ms / 2);
	/* A name that is nobody's is asked for only to see whether there is a pool. */
	char *object = full_name(name, !name->image || *name->image == '.' ? NULL : name->image);
	char *text = text_format("rbd:%s", object);
	const char *const env[] = { environment, NULL };
	struct tool tool = { .argv = argv, .env = env, .object = text, .doing = doing, .drop = "rbd: ",
			     .timeout_ms = timeout_ms };
	size_t n = 0;
	int ret;

	argv[n++] = "rbd";
	if (name->conf) {
		argv[n++] = "--conf";
		argv[n++] = name->conf;
	}
	if (name->user) {
		argv[n++] = "--id";
		argv[n++] = name->user;
	}
	while (*args)
		argv[n++] = *args++;
	argv[n] = NULL;
	ret = tool_run(&tool, ret_json, err);
	if (ret < 0)
		explain(name, err);
	free(text);
	free(object);
	free(environment);
	return ret;
}

static int run_on_image(const struct rbd_name *name, const char *doing, const char *verb, json_t **ret_json,
			struct err *err)
{
	char *image = full_name(name, name->image);
	const char *const args[] = { verb, "--format", "json", image, NULL };
	int ret = run(name, doing, args, LOOK_MS, ret_json, err);

	free(image);
	return ret;
}

int rbd_look(const struct rbd_name *name, bool watchers, struct rbd_image *ret_image, struct err *err)
{
	struct rbd_image image = { 0 };
	json_t *info = NULL, *status = NULL;
	const json_t *parent, *watcher;
	size_t i;
	int ret = -1;

	if (run_on_image(name, "cannot look at the image", "info", &info, err) < 0) {
		if (err->number == ENOENT && strstr(err->cause, "error opening image")) {
			*err = (struct err)ERR_INIT;
			ret = 0;
		}
		goto out;
	}
	image.id = text_copy(json_get_string(info, "id"));
	image.bytes = json_get_u64(info, "size");
	image.object_bytes = json_get_u64(info, "object_size");
	image.snapshots = json_get_u64(info, "snapshot_count");
	parent = json_object_get(info, "parent");
	if (parent)
		image.parent = text_format("%s/%s@%s", json_get_string(parent, "pool") ?: "?",
					   json_get_string(parent, "image") ?: "?",
					   json_get_string(parent, "snapshot") ?: "?");
	if (!image.id || !json_is_integer(json_object_get(info, "size"))) {
		err_set(err, ERR_REFUSED, name->image, "rbd info does not tell its id and size (an image of format 1?)");
		goto out;
	}
	if (watchers && run_on_image(name, "cannot look at who has the image open", "status", &status, err) < 0)
		goto out;
	json_array_foreach(json_object_get(status, "watchers"), i, watcher)
		text_list_add(&image.watchers, text_copy(json_get_string(watcher, "address") ?: "?"));
	*ret_image = image;
	image = (struct rbd_image){ 0 };
	ret = 1;
out:
	json_decref(info);
	json_decref(status);
	rbd_image_free(&image);
	return ret;
}

int rbd_check_id(const struct rbd_name *name, const char *id, struct err *err)
{
	json_t *info = NULL;
	const char *is;

	if (run_on_image(name, "cannot look at the image", "info", &info, err) < 0)
		return -1;
	is = json_get_string(info, "id");
	if (!is || strcmp(is, id)) {
		err_set(err, ERR_REFUSED, name->image, "is another image: id %s, was %s", is ? is : "?", id);
		json_decref(info);
		return -1;
	}
	json_decref(info);
	return 0;
}

uint64_t rbd_allocated(const struct rbd_name *name, uint64_t bytes)
{
	struct err ignored = ERR_INIT;
	json_t *json = NULL;
	uint64_t used = bytes;

	if (run_on_image(name, "cannot look at its objects", "du", &json, &ignored) == 0) {
		const json_t *first = json_array_get(json_object_get(json, "images"), 0);

		if (json_is_integer(json_object_get(first, "used_size")))
			used = json_get_u64(first, "used_size");
	}
	json_decref(json);
	return used;
}

int rbd_create(const struct rbd_name *name, uint64_t bytes, struct err *err)
{
	char *image = full_name(name, name->image), *size = text_format("%lluB", (unsigned long long)bytes);
	const char *const args[] = { "create", "--size", size, image, NULL };
	int ret = run(name, "cannot make the image", args, LOOK_MS, NULL, err);

	free(image);
	free(size);
	return ret;
}

int rbd_rename(const struct rbd_name *name, const char *to, struct err *err)
{
	char *image = full_name(name, name->image), *other = full_name(name, to);
	const char *const args[] = { "rename", image, other, NULL };
	int ret = run(name, "cannot rename the image", args, LOOK_MS, NULL, err);

	free(image);
	free(other);
	return ret;
}

int rbd_remove(const struct rbd_name *name, struct err *err)
{
	char *image = full_name(name, name->image);
	const char *const args[] = { "rm", "--no-progress", image, NULL };
	int ret = run(name, "cannot remove the image", args, REMOVE_MS, NULL, err);

	free(image);
	return ret;
}

int rbd_list(const struct rbd_name *name, struct text_list *ret_images, struct err *err)
{
	const char *const args[] = { "ls", "--format", "json", name->pool, NULL };
	const json_t *item;
	json_t *json = NULL;
	size_t i;

	if (run(name, "cannot list the images", args, LOOK_MS, &json, err) < 0)
		return -1;
	json_array_foreach(json, i, item)
		if (json_is_string(item))
			text_list_add(ret_images, text_copy(json_string_value(item)));
	json_decref(json);
	return 0;
}
