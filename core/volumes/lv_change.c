/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changes of logical volumes. */
#include "volumes/lv_change.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/inject.h"
#include "sys/lvm.h"
#include "volumes/lv.h"
#include "volumes/lvm_report.h"

#define WORDS_MAX 60
#define TAGS_AT_ONCE 20		/* of a command line, which LVM cuts into 64 words at most */

/* A command line that is put together; owns its words. */
struct words {
	char *argv[WORDS_MAX + 1];
	size_t count;
};

static void add(struct words *words, char *word)
{
	if (words->count == WORDS_MAX)
		abort();
	words->argv[words->count++] = word;
}

static void add_all(struct words *words, const char *const *fixed)
{
	for (; *fixed; fixed++)
		add(words, text_copy(*fixed));
}

#define ADD(words, ...) add_all(words, (const char *const []){ __VA_ARGS__, NULL })

static int run(struct words *words, const char *object, struct err *err)
{
	struct lvm_command command = { .argv = (const char *const *)words->argv, .object = object };
	int ret = lvm_run(&command, NULL, err);

	lvm_report_changed();
	for (size_t i = 0; i < words->count; i++)
		free(words->argv[i]);
	return ret;
}

/* "vg/name", and before it a selection that only this volume meets. */
static int run_on(struct words *words, const struct lv_facts *lv, const char *more, struct err *err)
{
	char *object = text_format("%s/%s", lv->vg_name, lv->name);
	int ret;

	ADD(words, "-S");
	add(words, text_format("lv_uuid=%s%s", lv->uuid, more));
	add(words, text_copy(object));
	ret = run(words, object, err);
	free(object);
	return ret;
}

char *lv_job_tag(const char *job_id)
{
	return text_format("volmig.job.%s", job_id);
}

int lv_create(const struct lv_new *new, struct err *err)
{
	struct words words = { 0 };
	bool thin = !strcmp(new->type, "thin");
	char *object = text_format("%s/%s", new->vg, new->name);
	int ret;

	ADD(&words, "lvcreate", "-y", "--addtag", new->tag, "--setactivationskip", "n", "-n", new->name);
	ADD(&words, "--type", new->type);
	if (thin) {
		ADD(&words, "-V");
		add(&words, text_format("%" PRIu64 "b", new->bytes));
		ADD(&words, "--thinpool", new->pool);
	} else {
		/* What lies on it is overwritten, and asking about it would wait for an answer. */
		ADD(&words, "-Wn", "-Zn", "-L");
		add(&words, text_format("%" PRIu64 "b", new->bytes));
	}
	if (!strcmp(new->type, "striped")) {
		ADD(&words, "-i");
		add(&words, text_format("%" PRIu64, new->stripes));
		ADD(&words, "-I");
		add(&words, text_format("%" PRIu64 "b", new->stripe_bytes));
	}
	ADD(&words, new->vg);
	for (size_t i = 0; new->pvs && i < new->pvs->count; i++)
		ADD(&words, new->pvs->items[i]);
	ret = run(&words, object, err);
	free(object);
	return ret;
}

int lv_mirror(const struct lv_facts *lv, uint64_t legs, const struct text_list *pvs,
	      struct err *err)
{
	struct words words = { 0 };
	char *object;
	int ret;

	if (lv->type && !strcmp(lv->type, "raid1"))
		return 0;
	object = text_format("%s/%s", lv->vg_name, lv->name);
	ADD(&words, "lvconvert", "-y", "--type", "raid1", "-m");
	add(&words, text_format("%" PRIu64, legs - 1));
	ADD(&words, object);
	for (size_t i = 0; pvs && i < pvs->count; i++)
		ADD(&words, pvs->items[i]);
	ret = run(&words, object, err);
	free(object);
	return ret;
}

/* Who has the lock lvmlockd knows, and lvchange tells in these words (LVM 2.03). */
static int explain_lock(const struct lv_facts *lv, struct err *err)
{
	char *said;

	if (err->class != ERR_FAILED)
		return -1;
	said = text_copy(err->cause);
	if (strstr(said, "locked by other host")) {
		err_set(err, ERR_REFUSED, lv->name, "is active on another host, says LVM's lock manager");
		err_next(err, "deactivate it there (lvchange -an %s/%s)", lv->vg_name, lv->name);
	} else if (strstr(said, " lock")) {
		err_set(err, ERR_REFUSED, lv->name, "LVM's lock manager does not give its lock: %s", said);
		err_next(err, "see lvmlockctl -i; the group's locks are started by vgchange --lockstart %s", lv->vg_name);
	}
	free(said);
	return -1;
}

int lv_activate(const struct lv_facts *lv, struct err *err)
{
	struct words words = { 0 };

	if (!lv->shared && lv_device(lv))
		return 0;
	/* One that is active may have its lock with others (-asy), and then gets it alone. */
	ADD(&words, "lvchange", lv->shared ? "-aey" : "-ay", "-K");
	if (run_on(&words, lv, "", err) < 0)
		return lv->shared ? explain_lock(lv, err) : -1;
	if (!lv_device(lv)) {
		err_set(err, ERR_FAILED, lv->name, "LVM does not activate it");
		return err_next(err, "see activation/volume_list in lvm.conf(5), or activate it by hand");
	}
	return 0;
}

int lv_deactivate(const struct lv_facts *lv, struct err *err)
{
	struct words words = { 0 };

	if (!lv_device(lv))
		return 0;
	ADD(&words, "lvchange", "-an");
	return run_on(&words, lv, "", err);
}

int lv_rename(const struct lv_facts *lv, const char *name, struct err *err)
{
	struct words words = { 0 };

	/* It takes no selection; who has its name by now was looked at just before. */
	ADD(&words, "lvrename", lv->vg_name, lv->name, name);
	return run(&words, lv->name, err);
}

int lv_remove(const struct lv_facts *lv, struct err *err)
{
	struct words words = { 0 };
	struct lv_facts *still = NULL;

	inject_stop_at("stop-lvremove", 1);
	ADD(&words, "lvremove", "-y");
	/* LVM evaluates it while it holds the group's lock. */
	if (run_on(&words, lv, "&&lv_attr=~^[^oO]", err) < 0)
		return -1;
	/*
	 * What the selection did not meet is well, and stays; only LVM knows.  That
	 * there is no device says nothing: it may have been deactivated meanwhile.
	 */
	if (lv_find_uuid(lv->vg_uuid, lv->uuid, &still, err) < 0)
		return -1;
	if (!still)
		return 0;
	if (still->snapshots.count)
		err_set(err, ERR_FAILED, lv->name, "has become the origin of a snapshot, %s, which would go with it",
			still->snapshots.items[0]);
	else
		err_set(err, ERR_FAILED, lv->name, "is still there although LVM was told to remove it");
	lv_facts_free(still);
	return -1;
}

bool lv_is_tag(const char *text)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-/=!:#&";

	return text && *text && *text != '-' && strlen(text) <= 1024 && strspn(text, good) == strlen(text);
}

int lv_carry_over(const struct lv_facts *lv, const struct lv_facts *from, const char *tag,
		  struct err *err)
{
	struct words words = { 0 };
	size_t tags = 0;

	ADD(&words, "lvchange", "-y");
	for (size_t i = 0; from && i < from->tags.count; i++) {
		if (!strncmp(from->tags.items[i], "volmig.job.", 11) || !lv_is_tag(from->tags.items[i]))
			continue;
		if (tags == TAGS_AT_ONCE) {
			if (run_on(&words, lv, "", err) < 0)
				return -1;
			words = (struct words){ 0 };
			tags = 0;
			ADD(&words, "lvchange", "-y");
		}
		ADD(&words, "--addtag", from->tags.items[i]);
		tags++;
	}
	/* With the last of them: without it all is done. */
	ADD(&words, "--deltag", tag);
	if (from && from->read_ahead && strcmp(from->read_ahead, "auto")) {
		/* Told in bytes, taken in sectors. */
		ADD(&words, "-r");
		add(&words, text_format("%llu", strtoull(from->read_ahead, NULL, 10) / 512));
	}
	if (from && from->read_only && !lv->read_only)
		ADD(&words, "-pr");
	if (from && from->activation_skip)
		ADD(&words, "--setactivationskip", "y");
	return run_on(&words, lv, "", err);
}

int lv_fix_minor(const struct lv_facts *lv, uint64_t minor, struct err *err)
{
	struct words words = { 0 };

	ADD(&words, "lvchange", "-y", "-My", "--minor");
	add(&words, text_format("%" PRIu64, minor));
	return run_on(&words, lv, "", err);
}
