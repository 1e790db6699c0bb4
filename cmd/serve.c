/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig serve: the far side of a move between hosts. */
#include <stdlib.h>
#include <unistd.h>

#include "options.h"
#include "serve.h"
#include "support/text.h"

/* A directory or a device by its canonical path, a volume group by its name. */
static void add_place(struct text_list *allow, const char *text)
{
	char *path = *text == '/' ? realpath(text, NULL) : NULL;

	text_list_add(allow, path ? path : text_copy(text));
}

int cmd_serve(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct frame frame = { .err = ERR_INIT };
	struct serve_options serve = { .lease_ms = SERVE_LEASE_MS };
	struct text_list places = { 0 };
	char **allow = NULL, *lease = NULL;
	int on_stdio = 0, read_only = 0;
	const struct poptOption table[] = {
		{ "stdio", '\0', POPT_ARG_NONE, &on_stdio, 0,
		  "serve whoever is at the other end of standard input and output", NULL },
		{ "allow", '\0', POPT_ARG_ARGV, &allow, 0,
		  "only volumes in this directory or volume group, or this device (may be repeated)", "PLACE" },
		{ "read-only", '\0', POPT_ARG_NONE, &read_only, 0,
		  "only let volumes be read: make, write to and remove none", NULL },
		{ "lease", '\0', POPT_ARG_STRING, &lease, 0,
		  "keep what is unfinished so long for a host that does not come back (default: 1d)", "TIME" },
		POPT_AUTOHELP
		POPT_TABLEEND
	};
	int ret = frame_begin(&frame, cmd, globals, argc, argv, table, 0, 0);

	if (ret)
		goto out;
	serve.read_only = read_only;
	for (size_t i = 0; allow && allow[i]; i++)
		add_place(&places, allow[i]);
	serve.allow = &places;
	ret = frame_time(&frame, "--lease", lease, &serve.lease_ms);
	if (ret == 0 && !on_stdio)
		ret = frame_usage(&frame, "serve", "is started by ssh, as volmig serve --stdio");
	else if (ret == 0 && isatty(STDIN_FILENO))
		ret = frame_usage(&frame, "--stdio", "speaks to another volmig, not to a terminal");
	if (ret == 0)
		ret = frame_start(&frame);
	if (ret == 0)
		ret = perform_serve(&serve, &frame.perform, &frame.err);
out:
	for (size_t i = 0; allow && allow[i]; i++)
		free(allow[i]);
	free(allow);
	free(lease);
	text_list_free(&places);
	return frame_end(&frame, ret, NULL);
}
