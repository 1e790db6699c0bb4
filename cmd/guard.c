/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig guard: started by volmig itself while it suspends a guest, see live_guard.h; not for users. */
#include "cmd.h"

#include "engines/live_guard.h"
#include "support/err.h"
#include "support/log.h"

int cmd_guard(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv)
{
	struct err err = ERR_INIT;

	(void)cmd;
	if (argc != 2)
		return EXIT_USAGE;
	if (live_guard_run(globals->connect, argv[1], &err) == 0)
		return EXIT_DONE;
	log_error("%s: %s", err.object, err.cause);
	return EXIT_FAILED;
}
