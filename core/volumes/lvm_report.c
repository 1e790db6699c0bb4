/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LVM's fullreport: read, kept for a while, and taken apart. */
#include "volumes/lvm_report.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/json.h"
#include "support/text.h"
#include "sys/lvm.h"

static const char *const fields[] = {
	"-a", "--reportformat", "json", "--units", "b", "--nosuffix",
	"--configreport", "vg", "-o", "vg_name,vg_uuid,vg_exported,vg_partial,vg_shared,vg_clustered,"
	"vg_lock_type,vg_extent_size,vg_free_count,vg_missing_pv_count,vg_permissions",
	"--configreport", "pv", "-o", "pv_name,pv_uuid,pv_major,pv_minor,pv_pe_count,"
	"pv_pe_alloc_count,pv_allocatable,pv_missing",
	"--configreport", "lv", "-o", "lv_name,lv_uuid,lv_attr,lv_size,lv_layout,lv_role,lv_parent,"
	"origin,origin_uuid,pool_lv,pool_lv_uuid,data_percent,metadata_percent,lv_metadata_size,"
	"lv_tags,lv_read_ahead,lv_skip_activation,lv_fixed_minor,lv_minor,lv_kernel_major,"
	"lv_kernel_minor,lv_active,lv_device_open,lv_suspended,sync_percent,raid_mismatch_count,"
	"raid_sync_action,raid_max_recovery_rate,raidintegritymode,move_pv,lv_converting,lv_merging,"
	"lv_health_status",
	"--configreport", "seg", "-o", "lv_uuid,segtype,stripes,stripe_size,chunk_size,zero,discards,"
	"seg_start_pe,seg_size_pe,seg_pe_ranges",
	"--configreport", "pvseg", "-o", "lv_uuid,pv_uuid,pvseg_size",
};

#define FIELD_WORDS (sizeof(fields) / sizeof(fields[0]))

/* What was read last, and of what; report NULL: nothing, or it is not true any more. */
static struct {
	json_t *report;
	char *vg;		/* NULL: all groups */
	uint64_t read_ns;
} last;
static unsigned holders;

void lvm_report_changed(void)
{
	json_decref(last.report);
	free(last.vg);
	last.report = NULL;
	last.vg = NULL;
}

void lvm_report_hold(void)
{
	/* Only what is read from here on. */
	if (!holders++)
		lvm_report_changed();
}

void lvm_report_release(void)
{
	assert(holders);
	holders--;
}

static bool will_do(const char *vg, uint64_t max_age_ms)
{
	return last.report && (!last.vg || (vg && !strcmp(vg, last.vg))) &&
	       (holders || clock_ns() - last.read_ns < max_age_ms * 1000000);
}

int lvm_report_read(const char *vg, uint64_t max_age_ms, json_t **ret, struct err *err)
{
	const char *argv[FIELD_WORDS + 3] = { "fullreport" };
	struct lvm_command command = { .argv = argv, .object = vg, .report = true };
	uint64_t begun = clock_ns();
	size_t count = 1;

	if (will_do(vg, max_age_ms)) {
		*ret = json_incref(last.report);
		return 0;
	}
	if (vg)
		argv[count++] = vg;
	memcpy(argv + count, fields, sizeof(fields));
	if (lvm_run(&command, ret, err) < 0)
		return -1;
	lvm_report_changed();
	last.report = json_incref(*ret);
	last.vg = vg ? text_copy(vg) : NULL;
	last.read_ns = begun;
	return 0;
}

const json_t *lvm_report_group(const json_t *report, const char *vg, const char *vg_uuid)
{
	const json_t *group;
	size_t i;

	json_array_foreach(json_object_get(report, "report"), i, group) {
		const json_t *row = json_array_get(json_object_get(group, "vg"), 0);
		const char *uuid = lvm_report_text(row, "vg_uuid");

		/* Physical volumes without a group come as one without a name. */
		if (*uuid && (!vg || !strcmp(lvm_report_text(row, "vg_name"), vg)) &&
		    (!vg_uuid || !strcmp(uuid, vg_uuid)))
			return group;
	}
	return NULL;
}

const char *lvm_report_text(const json_t *row, const char *field)
{
	const char *text = json_get_string(row, field);

	return text ? text : "";
}

char *lvm_report_copy(const json_t *row, const char *field)
{
	const char *text = lvm_report_text(row, field);

	return *text ? text_copy(text) : NULL;
}

uint64_t lvm_report_number(const json_t *row, const char *field)
{
	const char *text = lvm_report_text(row, field);

	return *text == '-' ? 0 : strtoull(text, NULL, 10);
}

bool lvm_report_flag(const json_t *row, const char *field)
{
	const char *text = lvm_report_text(row, field);

	return *text && strcmp(text, "unknown");
}

char *lvm_report_name(const json_t *row, const char *field)
{
	const char *name = lvm_report_text(row, field);
	size_t length = strlen(name);

	if (length > 2 && name[0] == '[' && name[length - 1] == ']')
		return text_format("%.*s", (int)(length - 2), name + 1);
	return text_copy(name);
}

const json_t *lvm_report_row(const json_t *rows, const char *field, const char *value)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
		if (!strcmp(lvm_report_text(row, field), value))
			return row;
	return NULL;
}
