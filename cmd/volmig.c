/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volmig: global options, the table of commands, dispatch. */
#include <fcntl.h>
#include <malloc.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "options.h"
#include "perform.h"
#include "support/log.h"

static const struct cmd commands[] = {
	{ "migrate", cmd_migrate, "VOLUME PLACE...", "move a volume, by the best method", CMD_VOLUME_ARGS },
	{ "copy", cmd_copy, "SOURCE DEST", "copy a volume block by block", CMD_VOLUME_ARGS },
	{ "swap", cmd_swap, "DOMAIN DISK DEST", "move a running domain's disk onto DEST", CMD_VOLUME_ARGS },
	{ "attach", cmd_attach, "VOLUME [DOMAIN]", "make a volume usable on this host, or a domain's disk", CMD_VOLUME_ARGS },
	{ "detach", cmd_detach, "VOLUME [DOMAIN]", "release it again, and make sure that it is gone", CMD_VOLUME_ARGS },
	{ "batch", cmd_batch, "[PLANFILE]", "make many moves, under limits", CMD_VOLUME_ARGS },
	{ "status", cmd_status, "[JOB]", "show all jobs, or one, as they really are now", CMD_JOB_ARGS },
	{ "set", cmd_set, "JOB SETTING", "change the rate of an unfinished job", CMD_JOB_ARGS },
	{ "resume", cmd_resume, "JOB", "go on with an unfinished job", CMD_JOB_ARGS },
	{ "abort", cmd_abort, "JOB", "undo an unfinished job", CMD_JOB_ARGS },
	{ "doctor", cmd_doctor, "", "what earlier failures left behind; mend it", CMD_JOB_ARGS },
	{ "serve", cmd_serve, "", "the far side of a move between hosts, started by ssh", CMD_JOB_ARGS },
	{ NULL, NULL, NULL, NULL, 0 },
};

static void print_help(FILE *out)
{
	fprintf(out,
		"Usage: volmig [GLOBAL] COMMAND [OPTIONS] ARGUMENTS\n"
		"Move block volumes: explained before, resumable during, proven after.\n"
		"\n"
		"Commands:\n");
	for (const struct cmd *cmd = commands; cmd->name; cmd++)
		fprintf(out, "  %-8s %-17s %s\n", cmd->name, cmd->arguments, cmd->summary);
	fprintf(out,
		"\n"
		"Global options:\n"
		"  --state-dir=DIR  where jobs are kept (default: $VOLMIG_STATE_DIR, else\n"
		"                   /var/lib/volmig for root, $XDG_STATE_HOME/volmig for others)\n"
		"  --connect=URI    which libvirt to ask for guests (default: libvirt's own)\n"
		"  --lvm-config=CONFIG     given to LVM as its --config (LVM_SYSTEM_DIR works, too)\n"
		"  --lvm-devicesfile=FILE  given to LVM as its --devicesfile\n"
		"  --ssh=COMMAND    how to reach another host (default: $VOLMIG_SSH, else ssh)\n"
		"  -v, --verbose    say what is being done\n"
		"  --syslog         send messages to syslog, too\n"
		"  --show-config    print what files say of all options\n"
		"  --version        print the version\n"
		"  --help           print this\n"
		"\n"
		"volmig COMMAND --help tells a command's options; the manual is volmig(8).\n"
		"Exit status: 0 done; 1 failed, as it was or rolled back; 2 usage; 3 refused,\n"
		"nothing touched; 4 stopped, resumable; 5 unsure, see volmig status.\n");
}

/* One line a command: name, what its arguments are, summary; for the shell's completion. */
static void list_commands(void)
{
	for (const struct cmd *cmd = commands; cmd->name; cmd++)
		printf("%s\t%s\t%s\n", cmd->name,
		       cmd->flags & CMD_JOB_ARGS ? "job" : "volume", cmd->summary);
}

static int dispatch(const struct globals *globals, int argc, const char **argv)
{
	for (const struct cmd *cmd = commands; cmd->name; cmd++)
		if (!strcmp(cmd->name, argv[0]))
			return cmd->run(cmd, globals, argc, argv);
	/* Only volmig itself calls it. */
	if (!strcmp(argv[0], "guard"))
		return cmd_guard(NULL, globals, argc, argv);
	log_error("%s: unknown command; see volmig --help", argv[0]);
	return EXIT_USAGE;
}

/* The table of main(), for as long as that runs. */
static const struct poptOption *global_table;

static void each_table(table_visitor *visit, void *data)
{
	const struct globals globals = { .visit = visit, .visit_data = data };

	visit(NULL, global_table, data);
	for (const struct cmd *cmd = commands; cmd->name; cmd++) {
		const char *argv[] = { cmd->name, NULL };

		cmd->run(cmd, &globals, 1, argv);
	}
}

/* Read the files, and set what they say of the global options.  Returns an exit status. */
static int configure(struct config **ret_config, int argc, const char **argv)
{
	struct err err = ERR_INIT;
	const char **all;
	poptContext popt;
	int count, code;

	if (config_load(ret_config, &err) < 0 || config_check(*ret_config, each_table, &err) < 0) {
		log_error("%s: %s%s%s", err.object, err.cause, *err.next ? "; " : "", err.next);
		return err.class == ERR_USAGE ? EXIT_USAGE : EXIT_REFUSED;
	}
	all = config_arguments(*ret_config, global_table, true, argc, argv, &count);
	popt = poptGetContext("volmig", count - argc + 1, all, global_table, 0);
	code = poptGetNextOpt(popt);
	if (code < -1)
		log_error("%s: %s", poptBadOption(popt, POPT_BADOPTION_NOALIAS), poptStrerror(code));
	poptFreeContext(popt);
	free(all);
	return code < -1 ? EXIT_USAGE : EXIT_DONE;
}

/*
 * Started without one of the standard descriptors, the journal or a volume would
 * get its number, and messages would be written into it.  In the place of those
 * that are not there come some with which nothing can be done.
 */
static void fill_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
			abort();
}

int main(int argc, const char **argv)
{
	struct globals globals = { 0 };
	char *state_dir = NULL, *connect = NULL, *ssh = NULL, *lvm_config = NULL, *lvm_devicesfile = NULL;
	int version = 0, help = 0, list = 0, list_options = 0, verbose = 0, show = 0, to_syslog = 0;
	struct config *config = NULL;
	const struct poptOption table[] = {
		{ "state-dir", '\0', POPT_ARG_STRING, &state_dir, 0, "where jobs are kept", "DIR" },
		{ "connect", '\0', POPT_ARG_STRING, &connect, 0, "which libvirt to ask", "URI" },
		{ "lvm-config", '\0', POPT_ARG_STRING, &lvm_config, 0, "passed to LVM as --config", "CONFIG" },
		{ "lvm-devicesfile", '\0', POPT_ARG_STRING, &lvm_devicesfile, 0,
		  "passed to LVM as --devicesfile", "FILE" },
		{ "ssh", '\0', POPT_ARG_STRING, &ssh, 0, "how to reach another host", "COMMAND" },
		{ "verbose", 'v', POPT_ARG_NONE, &verbose, 0, "say what is being done", NULL },
		{ "syslog", '\0', POPT_ARG_NONE, &to_syslog, 0, "send messages to syslog, too", NULL },
		{ "show-config", '\0', POPT_ARG_NONE, &show, 0, "print what files say of all options", NULL },
		{ "version", '\0', POPT_ARG_NONE, &version, 0, "print the version", NULL },
		{ "help", '\0', POPT_ARG_NONE, &help, 0, "print the commands", NULL },
		{ "list-commands", '\0', POPT_ARG_NONE | POPT_ARGFLAG_DOC_HIDDEN, &list, 0, NULL, NULL },
		{ "list-options", '\0', POPT_ARG_NONE | POPT_ARGFLAG_DOC_HIDDEN, &list_options, 0, NULL, NULL },
		POPT_TABLEEND
	};
	poptContext popt = poptGetContext("volmig", argc, argv, table, POPT_CONTEXT_POSIXMEHARDER);
	int code = poptGetNextOpt(popt), ret = EXIT_DONE, count = 0;
	const char **rest = poptGetArgs(popt);

	fill_standard_descriptors();
	/* Large blocks are freed often, and each time all bins of small ones would be gone through. */
	mallopt(M_MXFAST, 0);
	while (rest && rest[count])
		count++;
	global_table = table;
	if (code < -1) {
		log_error("%s: %s; see volmig --help",
			  poptBadOption(popt, POPT_BADOPTION_NOALIAS), poptStrerror(code));
		ret = EXIT_USAGE;
	} else if (version) {
		printf("volmig %s\n", VOLMIG_VERSION);
	} else if (help) {
		print_help(stdout);
	} else if (list) {
		list_commands();
	} else if (list_options) {
		options_list(table);
	} else if (!count && !show) {
		print_help(stderr);
		ret = EXIT_USAGE;
	} else if (count == 2 && !strcmp(rest[1], "--list-options")) {
		ret = dispatch(&globals, count, rest);
	} else if ((ret = configure(&config, argc, argv)) != EXIT_DONE) {
		;
	} else if (show) {
		config_show(config, each_table, argc, argv);
	} else {
		globals.state_dir = state_dir;
		globals.connect = connect;
		if (to_syslog)
			log_to_syslog();
		perform_lvm_options(lvm_config, lvm_devicesfile);
		perform_ssh_command(ssh);
		globals.verbose = verbose;
		globals.config = config;
		ret = dispatch(&globals, count, rest);
	}
	poptFreeContext(popt);
	config_free(config);
	free(state_dir);
	free(connect);
	free(ssh);
	free(lvm_config);
	free(lvm_devicesfile);
	return ret;
}
