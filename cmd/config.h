/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options from files: /etc/volmig/volmig.conf, then the user's volmig.conf.
 *
 * A line is `name = value', for any long option.  One that a command does not
 * have is not for that command; one that no command has is an error.  What
 * stands on the command line wins.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <popt.h>
#include <stdbool.h>

struct cmd;
struct config;
struct err;

/*
 * Read the files.  ERR_USAGE names file and line of what is wrong in them;
 * ERR_REFUSED a file that others than its owner could have written.
 */
int config_load(struct config **ret, struct err *err);
void config_free(struct config *config);

/*
 * Put the options that table has, and argv does not, into a copy of argv,
 * right behind its first word; free the copy, but not its strings.  global: of
 * argv only what stands in front of the command counts.
 */
const char **config_arguments(const struct config *config, const struct poptOption *table,
			      bool global, int argc, const char **argv, int *ret_argc);

/* Where a faulty option comes from ("FILE:LINE"), or NULL if it was typed. */
const char *config_origin(const struct config *config, const char *object);

/* Does the option of that name in argv, which config_arguments() has made, come from a file? */
bool config_gave(const struct config *config, const char *const *argv, const char *name);

/* Called for every table of options there is; cmd is NULL for the global one. */
typedef void table_visitor(const struct cmd *cmd, const struct poptOption *table, void *data);
typedef void for_each_table(table_visitor *visit, void *data);

/* Is each name an option of something, and one that may be set in a file? */
int config_check(const struct config *config, for_each_table *each, struct err *err);

/* Print every option that may be set, its value, where that comes from, and whose it is. */
void config_show(const struct config *config, for_each_table *each, int argc, const char **argv);

#endif
