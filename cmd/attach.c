/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig attach and detach: make a volume usable as a device of this host, and undo it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "support/json.h"
#include "support/log.h"

static void print_notes(const json_t *report)
{
	const json_t *note;
	size_t i;

	json_array_foreach(json_object_get(report, "warnings"), i, note)
		log_warning("%s", json_string_value(note));
}

int cmd_attach(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	int dry_run = 0, readonly = 0;
	char *format = NULL;
	const struct poptOption table[] = {
		{ "readonly", '\0', POPT_ARG_NONE, &readonly, 0,
		  "make the device read-only", NULL },
		{ "format", '\0', POPT_ARG_STRING, &format, 0,
		  "raw: the bytes are the volume, even if they look like an image format", "FORMAT" },
		{ "dry-run", 'n', POPT_ARG_NONE, &dry_run, 0, "say what would be done, change nothing", NULL },
		{ "json", '\0', POPT_ARG_NONE, &frame.out.json, 0,
		  "print one JSON object, and nothing else, on standard output", NULL },
		{ "quiet", 'q', POPT_ARG_NONE, &frame.out.quiet, 0, "print errors only", NULL },
		POPT_AUTOHELP
		POPT_TABLEEND
	};
	json_t *report = NULL;
	int ret = frame_begin(&frame, cmd, globals, argc, argv, table, 1, 1);

	if (ret)
		goto out;
	ret = -1;
	frame.perform.dry_run = dry_run;
	if (format && strcmp(format, "raw"))
		frame_usage(&frame, format, "--format takes raw");
	else
		ret = perform_attach(frame.arguments[0], readonly, format != NULL, &frame.perform,
				     &report, &frame.err);
	if (ret == 0)
		print_notes(report);
	if (ret == 0 && !frame.out.json && !dry_run)
		printf("%s\n", json_get_string(report, "device"));
	else if (ret == 0 && !frame.out.json && !frame.out.quiet)
		printf("%s\n", json_get_string(report, "device") ?:
		       (json_get_bool(report, "loop") ? "a free loop device" : "nothing to do"));
out:
	ret = frame_end(&frame, ret, report);
	free(format);
	return ret;
}

int cmd_detach(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	int dry_run = 0;
	const struct poptOption table[] = {
		{ "dry-run", 'n', POPT_ARG_NONE, &dry_run, 0, "say what would be done, change nothing", NULL },
		{ "json", '\0', POPT_ARG_NONE, &frame.out.json, 0,
		  "print one JSON object, and nothing else, on standard output", NULL },
		{ "quiet", 'q', POPT_ARG_NONE, &frame.out.quiet, 0, "print errors only", NULL },
		POPT_AUTOHELP
		POPT_TABLEEND
	};
	json_t *report = NULL;
	int ret = frame_begin(&frame, cmd, globals, argc, argv, table, 1, 1);

	if (ret)
		goto out;
	frame.perform.dry_run = dry_run;
	ret = perform_detach(frame.arguments[0], &frame.perform, &report, &frame.err);
	if (ret == 0)
		print_notes(report);
	if (ret == 0 && !frame.out.json && !frame.out.quiet)
		printf("%s: %s\n", frame.arguments[0], json_get_bool(report, "already") ?
		       "was not attached" : dry_run ? "would be released" : "released");
out:
	return frame_end(&frame, ret, report);
}
