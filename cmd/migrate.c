/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig migrate: move a volume to another place, by the best method there is. */
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "report.h"

static const char *const methods[] = { "auto", "pvmove", "lvconvert", "copy", "reflink", "live" };

static int check(struct frame *frame, struct request *request, const char *method,
		 const char *wipe, const char *format)
{
	bool known = !method;

	for (size_t i = 0; method && i < sizeof(methods) / sizeof(methods[0]); i++)
		known = known || !strcmp(method, methods[i]);
	if (!known)
		return frame_usage(frame, method,
				   "--method takes auto, pvmove, lvconvert, copy, reflink or live");
	if (method)
		request->method = method;
	if (wipe && !strcmp(wipe, "zero"))
		request->wipe = WIPE_ZERO;
	else if (wipe && !strcmp(wipe, "discard"))
		request->wipe = WIPE_DISCARD;
	else if (wipe && strcmp(wipe, "none"))
		return frame_usage(frame, wipe, "--wipe takes none, zero or discard");
	if (format && strcmp(format, "raw"))
		return frame_usage(frame, format, "--format takes raw");
	request->raw = format != NULL;
	return 0;
}

int cmd_migrate(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	struct run_options run = { 0 };
	struct request request = REQUEST_DEFAULTS;
	int force_host_copy = 0, keep_source = 0, into_existing = 0;
	char *method = NULL, *wipe = NULL, *format = NULL;
	struct poptOption output[OUTPUT_TABLE_SIZE], running[RUN_TABLE_SIZE];
	const struct poptOption table[] = {
		{ "method", '\0', POPT_ARG_STRING, &method, 0,
		  "auto, reflink or copy; pvmove, lvconvert and live are refused so far "
		  "(default: auto)", "METHOD" },
		{ "force-host-copy", '\0', POPT_ARG_NONE, &force_host_copy, 0,
		  "copy the bytes on this host even where there is a better way", NULL },
		{ "into-existing", '\0', POPT_ARG_NONE, &into_existing, 0,
		  "PLACE is an existing volume: overwrite it", NULL },
		{ "keep-source", '\0', POPT_ARG_NONE, &keep_source, 0,
		  "do not remove the source in the end", NULL },
		{ "wipe", '\0', POPT_ARG_STRING, &wipe, 0,
		  "none, zero or discard: empty the source once the copy is proven "
		  "(default: none)", "HOW" },
		{ "format", '\0', POPT_ARG_STRING, &format, 0,
		  "raw: the bytes are the volume, even if they look like an image format", "FORMAT" },
		RUN_GROUP(running),
		OUTPUT_GROUP(output),
		POPT_AUTOHELP
		POPT_TABLEEND
	};
	json_t *report = NULL;
	int ret;

	output_table(&frame.out, output);
	run_table(&run, running);
	ret = frame_begin(&frame, cmd, globals, argc, argv, table, 2, 2);
	if (ret)
		goto out;
	request.command = COMMAND_MIGRATE;
	request.source = frame.arguments[0];
	request.destination = frame.arguments[1];
	request.force_host_copy = force_host_copy;
	request.keep_source = keep_source;
	request.into_existing = into_existing;
	ret = -1;
	if (frame_run_options(&frame, &run, &request) < 0 ||
	    check(&frame, &request, method, wipe, format) < 0 || frame_start(&frame) < 0)
		goto out;
	ret = perform_move(&request, &frame.perform, &report, &frame.err);
	if (ret == 0 && !frame.out.json && !frame.out.quiet)
		report_print(report, stdout);
out:
	run_options_free(&run);
	ret = frame_end(&frame, ret, report);
	free(method);
	free(wipe);
	free(format);
	return ret;
}
