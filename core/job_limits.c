/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What limits are, and what a move uses that may be limited. */
#include "job_limits.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "plan.h"
#include "support/err.h"
#include "support/json.h"
#include "sys/blkdev.h"
#include "volumes/lv.h"
#include "volumes/qemu.h"

static const char *const names[LIMIT_KINDS] = { "max-jobs", "device", "vg", "fs", "host" };

int limits_add(struct limits *limits, const char *text, struct err *err)
{
	const char *equals = strchr(text, '=');
	size_t length = equals ? (size_t)(equals - text) : strlen(text);
	unsigned long most;
	char *end;

	for (unsigned i = 0; i < LIMIT_KINDS; i++) {
		if (strlen(names[i]) != length || strncmp(names[i], text, length))
			continue;
		most = equals && equals[1] >= '1' && equals[1] <= '9' ? strtoul(equals + 1, &end, 10) : 0;
		if (!most || *end || most > 100000) {
			err_set(err, ERR_USAGE, text, "a limit is a number of jobs, from 1 on");
			return err_next(err, "write %s=1", names[i]);
		}
		limits->most[i] = (unsigned)most;
		return 0;
	}
	err_set(err, ERR_USAGE, text, "no such limit");
	return err_next(err, "they are max-jobs, device, vg, fs and host, each with =N");
}

struct limits limits_over(const struct limits *under, const struct limits *over)
{
	struct limits both = *under;

	for (unsigned i = 0; i < LIMIT_KINDS; i++)
		if (over->most[i])
			both.most[i] = over->most[i];
	return both;
}

json_t *limits_to_json(const struct limits *limits)
{
	json_t *json = json_object();

	for (unsigned i = 0; i < LIMIT_KINDS; i++)
		if (limits->most[i])
			json_put(json, names[i], json_integer(limits->most[i]));
	return json;
}

struct limits limits_from_json(const json_t *json)
{
	struct limits limits = { { 0 } };

	for (unsigned i = 0; i < LIMIT_KINDS; i++)
		limits.most[i] = (unsigned)json_get_u64(json, names[i]);
	return limits;
}

static void add(struct text_list *things, char *thing)
{
	if (text_list_has(things, thing))
		free(thing);
	else
		text_list_add(things, thing);
}

static void add_disks(struct text_list *things, uint64_t dev)
{
	struct blkdev_list disks = { 0 };

	blkdev_physical((dev_t)dev, &disks);
	for (size_t i = 0; i < disks.count; i++) {
		char *name = blkdev_name(disks.devs[i]);

		if (name)
			add(things, text_format("device:%s", name));
		free(name);
	}
	blkdev_list_free(&disks);
}

/* A volume uses the disks that it lies on; one that is to be made may come to lie on any. */
static void add_group(struct text_list *things, const struct lv_facts *lv)
{
	add(things, text_format("vg:%s", lv->vg_name));
	for (size_t i = 0; i < lv->pv_count; i++) {
		const struct lv_pv *pv = &lv->pvs[i];
		bool may = lv->wanted_pvs.count ? text_list_has(&lv->wanted_pvs, pv->name) : pv->allocatable;

		if (pv->dev && (lv->name ? pv->used_here > 0 : may))
			add_disks(things, pv->dev);
	}
}

/* Of "qemu+ssh://user@host:22/system?..." the host; a local libvirt is localhost's, whatever its URI. */
static char *host_of(const char *uri)
{
	const char *at = uri ? strstr(uri, "://") : NULL, *user;
	size_t length;
	char *host;

	at = at ? at + 3 : "";
	length = strcspn(at, "/?#");
	user = memchr(at, '@', length);
	if (user) {
		length -= (size_t)(user + 1 - at);
		at = user + 1;
	}
	if (*at == '[' && memchr(at, ']', length)) {
		at++;
		length = strcspn(at, "]");
	} else if (memchr(at, ':', length)) {
		length = strcspn(at, ":");
	}
	if (!length)
		return text_copy("localhost");
	host = text_format("%.*s", (int)length, at);
	for (char *c = host; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return host;
}

static void add_end(struct text_list *things, const struct facts *facts)
{
	/* The cluster of an RBD image is many. */
	char *host = facts_remote(facts) && strstr(facts->path, "://") ? host_of(facts->path) : NULL;
	bool is_file = !facts->kind || volume_is_file(facts);
	dev_t dev = (dev_t)(is_file ? facts->dir_dev : facts->dev);

	/* What it lies on there is not known, and whose the host is does not matter. */
	if (host)
		add(things, text_format("host:%s", host));
	free(host);
	if (facts->lv)
		add_group(things, facts->lv);
	if (is_file && facts->dir)
		add(things, text_format("fs:%u:%u", major(dev), minor(dev)));
	if (dev)
		add_disks(things, dev);
}

/* The host of an end that is only a place so far. */
static void add_far(struct text_list *things, const struct far_move *far)
{
	char *uri, *host;

	if (!far->host)
		return;
	uri = text_format("ssh://%s", far->host);
	host = host_of(uri);
	add(things, text_format("host:%s", host));
	free(host);
	free(uri);
}

void limits_things(const struct plan *plan, struct text_list *ret_things)
{
	add(ret_things, text_copy("max-jobs"));
	for (size_t i = 0; i < plan_moves(plan); i++) {
		add_end(ret_things, &plan_move(plan, i)->source);
		add_end(ret_things, &plan_move(plan, i)->destination);
		add_far(ret_things, &plan_move(plan, i)->far);
	}
	if (plan->move.live.uuid) {
		char *host = host_of(plan->move.live.uri);

		add(ret_things, text_format("host:%s", host));
		free(host);
	}
}
