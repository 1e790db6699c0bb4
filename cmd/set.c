/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig set: change the rate of a job while it runs, or before it is resumed. */
#include <string.h>

#include "options.h"

int cmd_set(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	const struct poptOption table[] = {
		{ "json", '\0', POPT_ARG_NONE, &frame.out.json, 0,
		  "print one JSON object, and nothing else, on standard output", NULL },
		POPT_AUTOHELP
		POPT_TABLEEND
	};
	static const char key[] = "bwlimit=";
	json_t *report = NULL;
	uint64_t rate = 0;
	int ret = frame_begin(&frame, cmd, globals, argc, argv, table, 2, 2);

	if (ret)
		goto out;
	ret = -1;
	if (strncmp(frame.arguments[1], key, strlen(key))) {
		frame_usage(&frame, frame.arguments[1], "what can be set is bwlimit=RATE, or bwlimit=max");
		goto out;
	}
	if (strcmp(frame.arguments[1] + strlen(key), "max") &&
	    frame_rate(&frame, "bwlimit", frame.arguments[1] + strlen(key), &rate) < 0)
		goto out;
	ret = perform_set_rate(frame.arguments[0], rate, &frame.perform, &report, &frame.err);
out:
	return frame_end(&frame, ret, report);
}
