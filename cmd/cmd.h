/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The subcommands and what they share. */
#ifndef CMD_H
#define CMD_H

#include <stdbool.h>

/* An interface: scripts branch on them.  See EXIT STATUS in volmig(8). */
enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,	/* the system is as it was, or was rolled back */
	EXIT_USAGE = 2,
	EXIT_REFUSED = 3,	/* nothing was touched */
	EXIT_STOPPED = 4,	/* resumable */
	EXIT_UNSURE = 5,
};

struct cmd;
struct config;
struct poptOption;

/* What stood in front of the command, and what files say. */
struct globals {
	const char *state_dir;	/* NULL: the default */
	const char *connect;	/* libvirt's URI; NULL: libvirt's default */
	bool verbose;
	const struct config *config;
	/* If set, the command only hands its table to it. */
	void (*visit)(const struct cmd *cmd, const struct poptOption *table, void *data);
	void *visit_data;
};

enum cmd_flags {
	CMD_VOLUME_ARGS = 1,	/* its arguments are volumes: completion offers files and devices */
	CMD_JOB_ARGS = 2,	/* its arguments are jobs */
};

struct cmd {
	const char *name;
	/* argv[0] is the command's name; returns an exit status. */
	int (*run)(const struct cmd *cmd, const struct globals *globals,
		   int argc, const char **argv);
	const char *arguments;
	const char *summary;
	unsigned flags;
};

int cmd_migrate(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv);
int cmd_copy(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv);
int cmd_swap(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv);
int cmd_attach(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv);
int cmd_detach(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv);
int cmd_status(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv);
int cmd_resume(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv);
int cmd_batch(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv);
int cmd_set(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv);
int cmd_doctor(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv);
int cmd_serve(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv);
int cmd_abort(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv);
int cmd_guard(const struct cmd *cmd, const struct globals *globals, int argc, const char **argv);

#endif
