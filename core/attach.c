/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig attach and detach: a volume as a block device of this host. */
#include "perform.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach_jobs.h"
#include "engines/export_attach.h"
#include "engines/host_attach.h"
#include "engines/lun_attach.h"
#include "engines/lv_attach.h"
#include "inspect.h"
#include "job.h"
#include "report.h"
#include "support/err.h"
#include "support/json.h"
#include "sys/nbd.h"
#include "sys/uses.h"
#include "volumes/guests.h"
#include "volumes/lun.h"
#include "volumes/lv.h"

static int look(const char *text, bool raw, struct facts *ret_facts, struct err *err)
{
	int ret = inspect_named(text, SPEC_VOLUME, 0, ret_facts, err);

	if (ret == 0 && facts_remote(ret_facts)) {
		err_set(err, ERR_REFUSED, text, "is no volume of this host, and no device is made of it");
		facts_free(ret_facts);
		*ret_facts = (struct facts){ 0 };
		return -1;
	}
	return ret < 0 || plan_check_lv(ret_facts, err) < 0 ? -1 : plan_check_volume(ret_facts, raw, err);
}

/* A guest that runs has it; one that is shut off may have its disk looked into. */
static int check_guests(struct facts *facts, struct host_attachment *ret, struct err *err)
{
	if (guests_look(facts, err) < 0)
		return -1;
	for (size_t i = 0; i < facts->guest_count; i++) {
		const struct guest_use *use = &facts->guests[i];

		if (use->running) {
			err_set(err, ERR_REFUSED, facts->spec, "in use: %s", use->text);
			return err_next(err, "end that use first");
		}
		snprintf(ret->note, sizeof(ret->note), "it is %s: do not start that meanwhile", use->text);
	}
	return 0;
}

static json_t *report(const char *command, const struct facts *facts, bool dry_run,
		      const struct host_attachment *attachment)
{
	json_t *json = report_failure(command, NULL);
	bool detach = !strcmp(command, "detach");

	json_put(json, "state", json_string(dry_run ? "planned" : detach ? "detached" : "attached"));
	json_put(json, "source", json_pack("{s:o, s:o, s:s?, s:I}", "spec", json_text(facts->spec),
					   "path", json_text(facts->path), "kind", facts->kind,
					   "bytes", (json_int_t)facts->bytes));
	json_put(json, "device", *attachment->device ? json_text(attachment->device) : json_null());
	json_put(json, "loop", json_boolean(attachment->loop));
	json_put(json, "readonly", json_boolean(attachment->readonly));
	json_put(json, "already", json_boolean(attachment->already));
	json_put(json, "warnings", json_array());
	if (*attachment->note)
		json_array_append_new(json_object_get(json, "warnings"), json_text(attachment->note));
	return json;
}

static bool is_lun(const char *volume)
{
	return !strncmp(volume, LUN_PREFIX, strlen(LUN_PREFIX));
}

/* "lun" in the report: what is special to one. */
static void report_lun(json_t *report, const struct lun_attachment *lun)
{
	json_put(report, "lun", json_pack("{s:s, s:s?, s:s}", "name", lun->text,
					  "wwid", *lun->wwid ? lun->wwid : NULL,
					  "session", lun->shared ? "shared" : "own"));
}

static void take_lun_note(const struct lun_attachment *lun, struct host_attachment *attachment)
{
	if (*lun->note)
		snprintf(attachment->note, sizeof(attachment->note), "%s", lun->note);
}

/* Before its device can be looked at, a LUN has to be one. */
static int attach_lun(const char *volume, bool readonly, bool raw, const struct lun_options *wanted,
		      const struct perform_options *options, const char *dir, json_t **ret_report,
		      struct err *err)
{
	struct host_attachment attachment = { .readonly = readonly }, guests = { 0 };
	struct lun_attachment lun, undone;
	struct err second = ERR_INIT;
	struct facts facts = { 0 };
	int ret;

	if (options->dry_run)
		ret = lun_attach_look(volume, wanted, dir, &lun, err);
	else
		ret = lun_attach(volume, wanted, dir, &lun, err);
	if (ret < 0)
		return -1;
	if (options->dry_run && !lun.already) {
		facts.spec = text_copy(volume);
		facts.path = text_copy(lun.device);
		facts.kind = "block";
	} else {
		ret = look(lun.device, raw, &facts, err);
		if (ret == 0)
			ret = check_guests(&facts, &guests, err);
		/* A record of its own it has already; but is somebody using it? */
		if (ret == 0 && (readonly || !lun.already))
			ret = options->dry_run || !readonly ?
			      host_attach_look(&facts, readonly, dir, &attachment, err) :
			      host_attach(&facts, readonly, dir, &attachment, err);
		if (!readonly)
			snprintf(attachment.device, sizeof(attachment.device), "%s", lun.device);
		attachment.already = lun.already;
		if (ret < 0 && !options->dry_run && !lun.already &&
		    lun_detach(lun.text, dir, &undone, &second) < 0) {
			err_context(err, "not detached again (%s)", second.cause);
			err->class = ERR_STOPPED;
			err_next(err, "volmig detach %s", lun.text);
		}
	}
	if (ret == 0) {
		free(facts.spec);
		facts.spec = text_copy(volume);
		if (!*attachment.note)
			take_lun_note(&lun, &attachment);
		if (!*attachment.note)
			memcpy(attachment.note, guests.note, sizeof(attachment.note));
		*ret_report = report("attach", &facts, options->dry_run, &attachment);
		report_lun(*ret_report, &lun);
	}
	facts_free(&facts);
	return ret;
}

/* What was made on top of it goes first. */
static int detach_lun(const char *volume, const struct perform_options *options, const char *dir,
		      const char *spec, json_t **ret_report, struct err *err)
{
	struct host_attachment attachment = { 0 };
	struct lun_attachment lun, device;
	struct facts facts = { 0 };
	int ret = lun_detach_look(volume, dir, &lun, err);

	if (ret == 0 && *lun.device && lun.readonly) {
		/* The loop device over it; the disk itself need not be asked, and may not answer. */
		ret = look(lun.device, true, &facts, err);
		if (ret == 0)
			ret = options->dry_run ? host_detach_look(&facts, dir, &attachment, err) :
						 host_detach(&facts, dir, &attachment, err);
	}
	device = lun;
	if (ret == 0 && !options->dry_run)
		ret = lun_detach(volume, dir, &lun, err);
	if (ret == 0) {
		free(facts.spec);
		facts.spec = text_copy(spec);
		facts.kind = facts.kind ? facts.kind : "block";
		facts.path = facts.path ? facts.path : text_copy(device.device);
		attachment.already = lun.already;
		attachment.readonly = attachment.loop;
		if (!*attachment.device)
			snprintf(attachment.device, sizeof(attachment.device), "%s", device.device);
		take_lun_note(&lun, &attachment);
		*ret_report = report("detach", &facts, options->dry_run, &attachment);
		report_lun(*ret_report, &lun);
	}
	facts_free(&facts);
	return ret;
}

/* The URI of an NBD export as it is recorded; NULL and err.class ERR_NONE: it is none.  Free it. */
static char *export_uri(const char *volume, struct err *err)
{
	char *cwd = getcwd(NULL, 0), *uri = NULL;
	struct spec spec = { 0 };

	if (!nbd_export_is_uri(volume))
		;
	else if (!cwd)
		err_sys(err, errno, NULL, "cannot tell the working directory");
	else if (spec_parse(&spec, volume, SPEC_VOLUME, cwd, err) == 0)
		uri = text_copy(spec.remote);
	spec_free(&spec);
	free(cwd);
	return uri;
}

static int attach_export(const char *volume, const char *uri, bool readonly, bool raw,
			 const struct perform_options *options, const char *state_dir, const char *dir,
			 json_t **ret_report, struct err *err)
{
	struct host_attachment attachment;
	struct facts facts = { 0 };
	int lock = -1, ret = export_attached(uri, readonly, dir, &attachment, err);

	if (ret == 0) {
		if (!options->dry_run)
			ret = job_state_dir_make(state_dir, err);
		if (ret == 0 && (attach_lock_jobs(options, options->dry_run, &lock, err) < 0 ||
				 inspect_named(volume, SPEC_VOLUME, INSPECT_USES, &facts, err) < 0 ||
				 uses_refuse(facts.spec, &facts.uses, err) < 0 ||
				 plan_check_volume(&facts, raw, err) < 0 ||
				 attach_check_jobs(options, &facts, err) < 0))
			ret = -1;
		if (ret == 0)
			ret = export_attach(&facts, readonly, options->dry_run, dir, &attachment, err);
	} else if (ret == 1) {
		facts.spec = text_copy(volume);
		facts.path = text_copy(uri);
		facts.kind = nbd_volume_ops.kind;
		ret = 0;
	}
	if (ret == 0)
		*ret_report = report("attach", &facts, options->dry_run, &attachment);
	if (lock >= 0)
		close(lock);
	facts_free(&facts);
	return ret;
}

static int detach_export(const char *volume, char *uri, const struct perform_options *options,
			 const char *dir, json_t **ret_report, struct err *err)
{
	struct facts facts = { .spec = (char *)volume, .path = uri, .kind = nbd_volume_ops.kind };
	struct host_attachment attachment;
	int ret = export_detach(uri, options->dry_run, dir, &attachment, &facts.bytes, err);

	if (ret == 0)
		*ret_report = report("detach", &facts, options->dry_run, &attachment);
	return ret;
}

int perform_attach(const char *volume, bool readonly, bool raw, const struct lun_options *lun,
		   const struct perform_options *options,
		   json_t **ret_report, struct err *err)
{
	char *state_dir = job_state_dir(options->state_dir);
	char *dir = text_format("%s/attached", state_dir);
	struct host_attachment attachment = { 0 }, guests = { 0 };
	struct facts facts = { 0 };
	char *uri;
	int ret = -1;

	guests_set_uri(options->connect);
	uri = export_uri(volume, err);
	if (uri || err->class != ERR_NONE) {
		if (uri)
			ret = attach_export(volume, uri, readonly, raw, options, state_dir, dir, ret_report, err);
		goto out;
	}
	if (is_lun(volume)) {
		if (options->dry_run || job_state_dir_make(state_dir, err) == 0)
			ret = attach_lun(volume, readonly, raw, lun, options, dir, ret_report, err);
		goto out;
	}
	if (look(volume, raw, &facts, err) < 0)
		goto out;
	if (check_guests(&facts, &guests, err) < 0)
		goto out;
	if (options->dry_run && facts.lv && !facts.lv->active) {
		attachment.loop = readonly;
		attachment.readonly = readonly;
		snprintf(attachment.device, sizeof(attachment.device), "%s", readonly ? "" : facts.path);
		ret = 0;
	} else if (options->dry_run)
		ret = host_attach_look(&facts, readonly, dir, &attachment, err);
	else if (job_state_dir_make(state_dir, err) == 0 &&
		 (!facts.lv || lv_attach(&facts, dir, err) == 0))
		ret = host_attach(&facts, readonly, dir, &attachment, err);
	if (ret == 0 && !*attachment.note)
		memcpy(attachment.note, guests.note, sizeof(attachment.note));
	if (ret == 0)
		*ret_report = report("attach", &facts, options->dry_run, &attachment);
out:
	free(uri);
	facts_free(&facts);
	free(dir);
	free(state_dir);
	return ret;
}

int perform_detach(const char *volume, const struct perform_options *options,
		   json_t **ret_report, struct err *err)
{
	char *state_dir = job_state_dir(options->state_dir);
	char *dir = text_format("%s/attached", state_dir);
	struct host_attachment attachment = { 0 };
	struct facts facts = { 0 };
	char *text = NULL, *uri = nbd_export_is_uri(volume) ? export_uri(volume, err) :
							      export_attached_as(volume, dir);
	int ret = -1;

	if (uri || err->class != ERR_NONE) {
		if (uri)
			ret = detach_export(volume, uri, options, dir, ret_report, err);
		goto out;
	}
	if (is_lun(volume)) {
		ret = detach_lun(volume, options, dir, volume, ret_report, err);
		goto out;
	}
	/* Raw or not does not matter for taking it away again. */
	if (look(volume, true, &facts, err) < 0)
		goto out;
	text = lun_attached_as(facts.backing_dev && !facts.backing_ino ? facts.backing_dev : facts.dev, dir);
	if (text) {
		ret = detach_lun(text, options, dir, volume, ret_report, err);
		goto out;
	}
	if (options->dry_run)
		ret = host_detach_look(&facts, dir, &attachment, err);
	else
		ret = host_detach(&facts, dir, &attachment, err);
	if (ret == 0 && !options->dry_run && facts.lv) {
		int released = lv_detach(&facts, dir, err);

		if (released)
			attachment.already = false;
		ret = released < 0 ? -1 : 0;
	}
	if (ret == 0)
		*ret_report = report("detach", &facts, options->dry_run, &attachment);
out:
	free(uri);
	free(text);
	facts_free(&facts);
	free(dir);
	free(state_dir);
	return ret;
}
