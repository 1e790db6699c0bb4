/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig doctor: what earlier failures left behind, and what this host can do. */
#include <stdio.h>
#include <stdlib.h>

#include "options.h"
#include "support/json.h"
#include "support/text.h"

static void print_line(const char *label, const char *first, const char *second, const char *third)
{
	char *line = text_format("%s%s%s%s%s", first, second ? ": " : "", second ? second : "",
				 third ? "; " : "", third ? third : "");
	char *printable = text_printable(line);

	printf("%-11s %s\n", label, printable);
	free(printable);
	free(line);
}

static void print_report(const json_t *report, bool quiet)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(report, "findings"), i, item)
		print_line(json_get_bool(item, "mended") ? "mended" : json_get_string(item, "check"),
			   json_get_string(item, "object"), json_get_string(item, "what"),
			   json_get_string(item, "next"));
	if (quiet)
		return;
	if (!json_array_size(json_object_get(report, "findings")))
		printf("nothing is left of earlier failures\n");
	json_array_foreach(json_object_get(report, "notes"), i, item)
		print_line("note", json_string_value(item), NULL, NULL);
	json_array_foreach(json_object_get(report, "methods"), i, item) {
		const char *package = json_get_string(item, "package");
		char *hint = package ? text_format("package %s", package) : NULL;

		print_line(json_get_bool(item, "usable") ? "usable" : "not usable",
			   json_get_string(item, "method"), json_get_string(item, "missing"), hint);
		free(hint);
	}
}

int cmd_doctor(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	int fix = 0;
	const struct poptOption table[] = {
		{ "fix", '\0', POPT_ARG_NONE, &fix, 0,
		  "mend what is provably volmig's and of no use any more", NULL },
		{ "json", '\0', POPT_ARG_NONE, &frame.out.json, 0,
		  "print one JSON object, and nothing else, on standard output", NULL },
		{ "quiet", 'q', POPT_ARG_NONE, &frame.out.quiet, 0,
		  "print only what is left of earlier failures", NULL },
		POPT_AUTOHELP
		POPT_TABLEEND
	};
	json_t *report = NULL;
	int ret = frame_begin(&frame, cmd, globals, argc, argv, table, 0, 0);

	if (ret)
		goto out;
	ret = perform_doctor(fix, &frame.perform, &report, &frame.err);
	if (!frame.out.json && report)
		print_report(report, frame.out.quiet);
out:
	return frame_end(&frame, ret, report);
}
