/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig copy: copy a volume block by block; the source stays. */
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "report.h"

int cmd_copy(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	struct run_options run = { 0 };
	struct request request = REQUEST_DEFAULTS;
	int create = 0, delta = 0, compress = 0, into_existing = 0, thick = 0;
	char *sparse = NULL, *format = NULL, *thin = NULL;
	struct poptOption output[OUTPUT_TABLE_SIZE], running[RUN_TABLE_SIZE];
	const struct poptOption table[] = {
		{ "create", '\0', POPT_ARG_NONE, &create, 0,
		  "make DEST: a new file, or the directory for one", NULL },
		{ "thin", '\0', POPT_ARG_STRING, &thin, 0,
		  "make the new logical volume a thin one, in this pool of the place's group", "POOL" },
		{ "thick", '\0', POPT_ARG_NONE, &thick, 0,
		  "make the new logical volume no thin one although the source is thin", NULL },
		{ "into-existing", '\0', POPT_ARG_NONE, &into_existing, 0,
		  "overwrite DEST even if it holds a known signature (a file system, ...)", NULL },
		{ "delta", '\0', POPT_ARG_NONE, &delta, 0,
		  "read DEST too, and write only what differs", NULL },
		{ "compress", '\0', POPT_ARG_NONE, &compress, 0,
		  "compress the bytes on their way to another host, or from it, where that makes them fewer", NULL },
		{ "sparse", '\0', POPT_ARG_STRING, &sparse, 0,
		  "auto: keep holes and leave zeroes out; never: write everything (default: auto)", "WHEN" },
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
	ret = -1;
	request.command = COMMAND_COPY;
	request.source = frame.arguments[0];
	request.destination = frame.arguments[1];
	request.create = create;
	request.delta = delta;
	request.compress = compress;
	request.compress_is_default = frame_is_default(&frame, "compress");
	request.thin_is_default = frame_is_default(&frame, thick ? "thick" : "thin");
	request.into_existing = into_existing;
	request.raw = format != NULL;
	request.thin_pool = thin;
	request.thick = thick;
	request.sparse = !sparse || strcmp(sparse, "never");
	if (sparse && strcmp(sparse, "auto") && strcmp(sparse, "never"))
		frame_usage(&frame, sparse, "--sparse takes auto or never");
	else if (format && strcmp(format, "raw"))
		frame_usage(&frame, format, "--format takes raw");
	else if (create && (delta || into_existing))
		frame_usage(&frame, "--create", "contradicts --delta and --into-existing");
	else if (thin && !*thin)
		frame_usage(&frame, "--thin", "names no thin pool");
	else if (thin && thick)
		frame_usage(&frame, "--thick", "contradicts --thin");
	else if (frame_run_options(&frame, &run, &request) == 0 && frame_start(&frame) == 0)
		ret = perform_move(&request, &frame.perform, &report, &frame.err);
	if (ret == 0 && !frame.out.json && !frame.out.quiet)
		report_print(report, stdout);
out:
	run_options_free(&run);
	ret = frame_end(&frame, ret, report);
	free(thin);
	free(sparse);
	free(format);
	return ret;
}
