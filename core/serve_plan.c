/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The far side's plan: the other end is what the other host says of it. */
#include "serve_parts.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "inspect.h"
#include "places.h"
#include "plan_parts.h"
#include "support/err.h"
#include "volumes/attributes.h"
#include "volumes/far_name.h"
#include "volumes/guests.h"
#include "volumes/lv.h"
#include "volumes/qemu.h"
#include "volumes/spec.h"
#include "wanted.h"

static bool is_below_any(const struct text_list *places, const char *path)
{
	for (size_t i = 0; i < places->count; i++)
		if (*places->items[i] == '/' && (!strcmp(places->items[i], "/") || plan_is_below(path, places->items[i])))
			return true;
	return false;
}

/* Is it in one of the places that this side may serve, and what it stands on, too? */
static bool is_allowed(const struct session *session, const struct facts *facts)
{
	const struct text_list *allow = session->options->allow;

	if (!allow || !allow->count)
		return true;
	if (facts->lv)
		return text_list_has(allow, facts->lv->vg_name);
	for (size_t i = 0; facts->qemu && i < facts->qemu->chain.count; i++)
		if (!is_below_any(allow, facts->qemu->chain.items[i]))
			return false;
	return is_below_any(allow, facts->path);
}

static int refuse_place(const char *name, struct err *err)
{
	err_set(err, ERR_REFUSED, name, "is not in a place that volmig serves on this host");
	return err_next(err, "ask who looks after that host (volmig serve --allow)");
}

static int check_allowed(const struct session *session, const struct wanted *wanted,
			 const struct facts *facts, struct err *err)
{
	bool changes = !wanted->is_source || (wanted->command == COMMAND_MIGRATE && !wanted->keep_source);

	if (session->options->read_only && changes) {
		err_set(err, ERR_REFUSED, wanted->name, "volmig serves this host's volumes to be read only");
		return err_next(err, wanted->is_source ? "use --keep-source" :
				"ask who looks after that host (volmig serve --read-only)");
	}
	return is_allowed(session, facts) ? 0 : refuse_place(wanted->name, err);
}

/* What this host calls it: a file, an image, a device, a logical volume. */
static int check_name(const char *name, enum spec_role role, struct err *err)
{
	struct spec spec = { 0 };
	int ret = spec_parse(&spec, name, role, "/", err);

	if (ret == 0 && spec.kind != SPEC_PATH && spec.kind != SPEC_FILE && spec.kind != SPEC_LV &&
	    (spec.kind != SPEC_QEMU || !strcmp(qemu_driver_of(name) ?: "", "rbd")))
		ret = err_set(err, ERR_REFUSED, name,
			      "only files, images, block devices and logical volumes are served to other hosts");
	/* There is no directory here that would be the other side's. */
	if (ret == 0 && spec.kind != SPEC_LV && !far_name_is_image(name) && *name != '/' && strncmp(name, "file:/", 6))
		ret = err_set(err, ERR_REFUSED, name, "is no absolute path");
	spec_free(&spec);
	return ret;
}

/* Names in place of numbers, which mean other people elsewhere. */
static void name_owner(struct facts *facts)
{
	const struct passwd *user = getpwuid(facts->uid);
	const struct group *group = getgrgid(facts->gid);

	facts->owner = text_copy(user ? user->pw_name : NULL);
	facts->group = text_copy(group ? group->gr_name : NULL);
	facts->attributes = attributes_read(facts->path);
	/* Where the list is not kept. */
	if (attributes_have_acl(facts->path))
		facts->mode &= ~0077U;
}

int serve_look(const struct session *session, const char *name, struct facts *ret, struct err *err)
{
	if (check_name(name, SPEC_VOLUME, err) < 0 || inspect_named(name, SPEC_VOLUME, 0, ret, err) < 0)
		return -1;
	if (!is_allowed(session, ret)) {
		facts_free(ret);
		return refuse_place(name, err);
	}
	if (ret->kind == file_volume_ops.kind)
		name_owner(ret);
	return 0;
}

int serve_check_image(const struct session *session, const struct facts *facts, struct err *err)
{
	struct facts now = { 0 };
	int ret;

	if (!session->options->allow || !session->options->allow->count)
		return 0;
	now.path = text_copy(facts->path);
	now.qemu = text_alloc(1, sizeof(*now.qemu));
	now.qemu->driver = facts->qemu->driver;
	ret = qemu_look_at_header(&now, err);
	if (ret == 0 && now.qemu->unusable)
		ret = err_set(err, ERR_REFUSED, now.path, "is not what it was: %s", now.qemu->unusable);
	else if (ret == 0 && !is_allowed(session, &now))
		ret = refuse_place(now.path, err);
	facts_free(&now);
	return ret;
}

int serve_plan(const struct session *session, const struct wanted *wanted, const char *id,
	       unsigned flags, struct plan *ret_plan, struct err *err)
{
	struct request request = wanted_request(wanted);
	struct facts source = { 0 }, destination = { 0 };
	struct facts *peer = wanted->is_source ? &destination : &source;
	json_t *copy = facts_to_json(&wanted->peer);
	char *unseen;
	int ret = -1;

	if (check_name(wanted->name, wanted->is_source ? SPEC_VOLUME : SPEC_PLACE, err) < 0 || facts_from_json(peer, copy, err) < 0)
		goto out;
	request.state_dir = session->state_dir;
	request.connect = guests_uri();
	if (wanted->is_source)
		ret = inspect_named(wanted->name, SPEC_VOLUME, flags, &source, err);
	else
		ret = places_look(&request, &source, flags, &destination, err);
	if (ret == 0)
		ret = check_allowed(session, wanted, wanted->is_source ? &source : &destination, err);
	if (ret == 0)
		ret = plan_build(&request, id, &source, &destination, ret_plan, err);
	unseen = ret == 0 ? guests_unseen() : NULL;
	if (unseen)
		text_list_add(&ret_plan->warnings, unseen);
out:
	json_decref(copy);
	facts_free(&source);
	facts_free(&destination);
	return ret;
}
