/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig attach and detach: a volume as a device of this host or a disk of a domain, and the reverse. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/lun_attach.h"
#include "options.h"
#include "support/json.h"
#include "support/log.h"
#include "support/text.h"
#include "volumes/lun.h"

static void print_notes(const json_t *report)
{
	const json_t *note;
	size_t i;

	json_array_foreach(json_object_get(report, "warnings"), i, note)
		log_warning("%s", json_string_value(note));
}

/* What was typed for a domain's disk; strings are popt's, to be freed. */
struct disk_options {
	char *target, *bus, *serial, *timeout;
	int live, config;
};

static void disk_options_free(struct disk_options *typed)
{
	free(typed->target);
	free(typed->bus);
	free(typed->serial);
	free(typed->timeout);
}

static int check_disk(struct frame *frame, const struct disk_options *typed,
		      struct disk_attach_options *ret)
{
	static const char *const buses[] = { "virtio", "scsi", "sata" };
	const char *target = typed->target;
	bool known = !typed->bus;

	for (size_t i = 0; typed->bus && i < sizeof(buses) / sizeof(buses[0]); i++)
		known = known || !strcmp(buses[i], typed->bus);
	if (!known)
		return frame_usage(frame, typed->bus, "--bus takes virtio, scsi or sata");
	if (target && (strlen(target) < 3 || strlen(target) > 8 || target[1] != 'd' ||
		       strspn(target, "abcdefghijklmnopqrstuvwxyz") != strlen(target)))
		return frame_usage(frame, target, "the name of a disk is expected after --target, as vdb or sdc");
	if (frame->argument_count < 2 && (target || typed->bus || typed->serial || typed->timeout ||
					  typed->live || typed->config))
		return frame_usage(frame, NULL, "options for a domain's disk, but no domain is named");
	ret->domain = frame->arguments[1];
	ret->target = target;
	ret->bus = typed->bus;
	ret->serial = typed->serial;
	ret->live = typed->live;
	ret->config = typed->config;
	ret->timeout_ms = 30000;
	if (typed->timeout && text_parse_time(typed->timeout, &ret->timeout_ms) != 0)
		return frame_usage(frame, typed->timeout, "--timeout takes a number with ms, s, m, h or d");
	return 0;
}

static void print_attached(const struct frame *frame, const json_t *report)
{
	const json_t *domain = json_object_get(report, "domain");

	if (domain)
		printf("%s\n", json_get_string(domain, "disk"));
	else if (!frame->perform.dry_run)
		printf("%s\n", json_get_string(report, "device"));
	else if (!frame->out.quiet)
		printf("%s\n", json_get_string(report, "device") ? json_get_string(report, "device") :
		       json_get_bool(report, "loop") ? "a free loop device" :
		       json_object_get(report, "lun") ? "a disk of the target" : "nothing to do");
}

int cmd_attach(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	struct disk_options typed = { 0 };
	struct disk_attach_options disk = { 0 };
	struct lun_options lun = { 0 };
	int dry_run = 0, readonly = 0, discover = 0;
	char *format = NULL, *chap_file = NULL;
	const struct poptOption table[] = {
		{ "readonly", '\0', POPT_ARG_NONE, &readonly, 0,
		  "make the device read-only", NULL },
		{ "format", '\0', POPT_ARG_STRING, &format, 0,
		  "raw: the bytes are the volume, even if they look like an image format", "FORMAT" },
		{ "chap-file", '\0', POPT_ARG_STRING, &chap_file, 0,
		  "the name and the secret to log in to an iSCSI target with (mode 0600)", "FILE" },
		{ "discover", '\0', POPT_ARG_NONE, &discover, 0,
		  "the portal only knows at which portals the target is: ask it", NULL },
		{ "target", '\0', POPT_ARG_STRING, &typed.target, 0,
		  "the disk's name in the domain, as vdb (default: the first that is free)", "TARGET" },
		{ "bus", '\0', POPT_ARG_STRING, &typed.bus, 0,
		  "virtio, scsi or sata (default: by the target, else virtio)", "BUS" },
		{ "serial", '\0', POPT_ARG_STRING, &typed.serial, 0,
		  "the serial number that the guest shall see", "SERIAL" },
		{ "live", '\0', POPT_ARG_NONE, &typed.live, 0, "in the running domain", NULL },
		{ "config", '\0', POPT_ARG_NONE, &typed.config, 0,
		  "in the domain's definition (default: both that there are)", NULL },
		{ "dry-run", 'n', POPT_ARG_NONE, &dry_run, 0, "say what would be done, change nothing", NULL },
		{ "json", '\0', POPT_ARG_NONE, &frame.out.json, 0,
		  "print one JSON object, and nothing else, on standard output", NULL },
		{ "quiet", 'q', POPT_ARG_NONE, &frame.out.quiet, 0, "print errors only", NULL },
		POPT_AUTOHELP
		POPT_TABLEEND
	};
	json_t *report = NULL;
	int ret = frame_begin(&frame, cmd, globals, argc, argv, table, 1, 2);

	if (ret)
		goto out;
	ret = -1;
	frame.perform.dry_run = dry_run;
	disk.readonly = readonly;
	disk.dry_run = dry_run;
	lun.chap_file = chap_file;
	lun.discover = discover;
	lun.readonly = readonly;
	if (format && strcmp(format, "raw"))
		frame_usage(&frame, format, "--format takes raw");
	else if ((chap_file || discover) &&
		 (frame.arguments[1] || strncmp(frame.arguments[0], LUN_PREFIX, strlen(LUN_PREFIX))))
		frame_usage(&frame, frame.arguments[0], "options for an iSCSI LUN, but none is to be attached to this host");
	else if (check_disk(&frame, &typed, &disk) == 0)
		ret = disk.domain ?
		      perform_attach_domain(frame.arguments[0], format != NULL, &disk, &frame.perform,
					    &report, &frame.err) :
		      perform_attach(frame.arguments[0], readonly, format != NULL, &lun, &frame.perform,
				     &report, &frame.err);
	if (ret == 0)
		print_notes(report);
	if (ret == 0 && !frame.out.json)
		print_attached(&frame, report);
out:
	ret = frame_end(&frame, ret, report);
	free(format);
	free(chap_file);
	disk_options_free(&typed);
	return ret;
}

int cmd_detach(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	struct disk_options typed = { 0 };
	struct disk_attach_options disk = { 0 };
	int dry_run = 0;
	const struct poptOption table[] = {
		{ "live", '\0', POPT_ARG_NONE, &typed.live, 0, "from the running domain", NULL },
		{ "config", '\0', POPT_ARG_NONE, &typed.config, 0,
		  "from the domain's definition (default: both that there are)", NULL },
		{ "timeout", '\0', POPT_ARG_STRING, &typed.timeout, 0,
		  "wait so long for the guest to let go of the disk (default: 30s)", "TIME" },
		{ "dry-run", 'n', POPT_ARG_NONE, &dry_run, 0, "say what would be done, change nothing", NULL },
		{ "json", '\0', POPT_ARG_NONE, &frame.out.json, 0,
		  "print one JSON object, and nothing else, on standard output", NULL },
		{ "quiet", 'q', POPT_ARG_NONE, &frame.out.quiet, 0, "print errors only", NULL },
		POPT_AUTOHELP
		POPT_TABLEEND
	};
	json_t *report = NULL;
	int ret = frame_begin(&frame, cmd, globals, argc, argv, table, 1, 2);

	if (ret)
		goto out;
	ret = -1;
	frame.perform.dry_run = dry_run;
	disk.dry_run = dry_run;
	if (check_disk(&frame, &typed, &disk) == 0)
		ret = disk.domain ?
		      perform_detach_domain(frame.arguments[0], &disk, &frame.perform, &report,
					    &frame.err) :
		      perform_detach(frame.arguments[0], &frame.perform, &report, &frame.err);
	if (ret == 0)
		print_notes(report);
	if (ret == 0 && !frame.out.json && !frame.out.quiet)
		printf("%s: %s\n", frame.arguments[0], json_get_bool(report, "already") ?
		       "was not attached" : dry_run ? "would be released" : "released");
out:
	ret = frame_end(&frame, ret, report);
	disk_options_free(&typed);
	return ret;
}
