/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LVM, by liblvm2cmd, in a child process: the library changes the umask, asks
 * questions on the terminal, allows one handle for each process, blocks for as
 * long as a pvmove runs, and has crashed on its users.  It is loaded in the
 * child only, so that who does not use LVM does not pay; and once, for loading
 * and starting it takes five times as long as a command.  Each command looks at
 * the devices anew, as those of the lvm shell do, so nothing old is believed.
 */
#ifndef SYS_LVM_H
#define SYS_LVM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct err;

/*
 * Process-wide, as the options of the command line were: what is passed to each
 * LVM command as --config and --devicesfile; NULL: nothing.  The strings stay
 * the caller's.  LVM_SYSTEM_DIR is the library's own affair.
 */
void lvm_setup(const char *config, const char *devicesfile);

#define LVM_REPORT_TIMEOUT_MS 60000
#define LVM_CHANGE_TIMEOUT_MS 300000

struct lvm_command {
	const char *const *argv;	/* "lvs", "-o", ..., NULL; without --config and the like */
	const char *object;		/* what errors are about */
	bool report;			/* its report is wanted; it changes nothing, so it may be repeated */
	bool interruptible;		/* SIGINT and SIGTERM end it (a pvmove goes on in the kernel) */
	uint64_t timeout_ms;		/* without a sign of life; 0: one of the two above */

	/*
	 * Called for each line that is no report and no error ("vg0/lv: Moved:
	 * 12.00%"); or NULL.  false: it is no sign of life, nothing has changed.
	 */
	bool (*line)(void *data, const char *text);
	void *data;
};

/*
 * Run it to its end.  ret_report, NULL unless command->report, gets the JSON.
 *
 * ERR_FAILED: LVM said no, and err->cause says what it said; or it crashed.
 * ERR_STOPPED: interrupted.  ERR_UNSURE: a change that is stuck, it is still running.
 * Never give it a command that goes on in the background (-b).
 */
int lvm_run(const struct lvm_command *command, json_t **ret_report, struct err *err);

/*
 * The words as one command line for the library, which splits it at white
 * space again; NULL where a word cannot be written so that it stays one.
 */
char *lvm_command_line(const char *const *argv);

#endif
