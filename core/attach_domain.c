/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig attach and detach with a domain: a volume as one of its disks. */
#include "perform.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach_jobs.h"
#include "engines/disk_attach.h"
#include "inspect.h"
#include "report.h"
#include "support/err.h"
#include "support/json.h"
#include "volumes/guests.h"

static json_t *report(const char *command, const struct facts *facts, const char *name,
		      const struct disk_attach_options *options, const struct disk_attachment *attachment)
{
	json_t *json = report_failure(command, NULL);
	bool detach = !strcmp(command, "detach");

	json_put(json, "state", json_string(options->dry_run ? "planned" : detach ? "detached" : "attached"));
	if (facts->path)
		json_put(json, "source", json_pack("{s:o, s:o, s:s?, s:I}", "spec", json_text(name),
						   "path", json_text(facts->path), "kind", facts->kind,
						   "bytes", (json_int_t)facts->bytes));
	json_put(json, "domain", json_pack("{s:o, s:s, s:o}", "name", json_text(attachment->domain),
					   "uuid", attachment->uuid,
					   "disk", json_text(*attachment->target ? attachment->target : NULL)));
	json_put(json, "live", json_boolean(attachment->live));
	json_put(json, "config", json_boolean(attachment->config));
	json_put(json, "readonly", json_boolean(options->readonly));
	json_put(json, "already", json_boolean(attachment->already));
	json_put(json, "warnings", json_array());
	return json;
}

static int connect_to(const struct perform_options *options, struct virt **ret_virt, struct err *err)
{
	guests_set_uri(options->connect);
	if (guests_connection(ret_virt, err) < 0)
		return -1;
	if (*ret_virt)
		return 0;
	err_set(err, ERR_REFUSED, "libvirt", "there is no libvirtd here that could be asked for a domain");
	return err_next(err, "start libvirtd, or name it by --connect");
}

int perform_attach_domain(const char *volume, bool raw, const struct disk_attach_options *disk,
			  const struct perform_options *options, json_t **ret_report, struct err *err)
{
	struct disk_attachment attachment = { .already = false };
	struct facts facts = { 0 };
	struct virt *virt;
	int ret = -1, lock = -1;

	if (connect_to(options, &virt, err) == 0 && attach_lock_jobs(options, disk->dry_run, &lock, err) == 0 &&
	    inspect_named(volume, SPEC_VOLUME, INSPECT_USES, &facts, err) == 0 &&
	    plan_check_volume(&facts, raw, err) == 0 && attach_check_jobs(options, &facts, err) == 0)
		ret = disk_attach(virt, &facts, disk, &attachment, err);
	if (ret == 0)
		*ret_report = report("attach", &facts, volume, disk, &attachment);
	if (lock >= 0)
		close(lock);
	facts_free(&facts);
	return ret;
}

int perform_detach_domain(const char *volume, const struct disk_attach_options *disk,
			  const struct perform_options *options, json_t **ret_report, struct err *err)
{
	struct disk_attachment attachment = { .already = false };
	struct disk_attach_options wanted = *disk;
	struct facts facts = { 0 };
	/* No volume can be named like a target is but a file here, and that is written ./vdb. */
	bool is_target = !strchr(volume, '/') && !strchr(volume, ':');
	struct virt *virt;
	int ret = -1;

	if (connect_to(options, &virt, err) < 0)
		goto out;
	wanted.target = volume;
	if (!is_target && (inspect_named(volume, SPEC_VOLUME, INSPECT_USES, &facts, err) < 0 ||
			   plan_check_volume(&facts, true, err) < 0))
		goto out;
	if (is_target || attach_check_jobs(options, &facts, err) == 0)
		ret = disk_detach(virt, is_target ? NULL : &facts, &wanted, &attachment, err);
	if (ret == 0)
		*ret_report = report("detach", &facts, volume, disk, &attachment);
out:
	facts_free(&facts);
	return ret;
}
