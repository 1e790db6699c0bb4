/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options from files: /etc/volmig/volmig.conf, then the user's volmig.conf. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "options.h"
#include "support/err.h"
#include "support/text.h"

#define SITE_FILE "/etc/volmig/volmig.conf"

struct entry {
	char *name;
	char *value;
	char *origin;		/* FILE:LINE */
	char *argument;		/* --NAME=VALUE, or --NAME where the option takes no value */
};

struct config {
	struct entry *entries;
	size_t count;
};

/* To set these once for all times makes no sense. */
static const char *const only_typed[] = {
	"help", "version", "show-config", "job-id", "into-existing",
	"forget", "fix", "no-hook", "now", "again",
};

static bool is_only_typed(const char *name)
{
	for (size_t i = 0; i < sizeof(only_typed) / sizeof(only_typed[0]); i++)
		if (!strcmp(name, only_typed[i]))
			return true;
	return false;
}

static bool takes_value(const struct poptOption *option)
{
	unsigned kind = option->argInfo & POPT_ARG_MASK;

	return kind != POPT_ARG_NONE && kind != POPT_ARG_VAL;
}

/* The option of a table and those that it includes; by its long name, or its letter. */
static const struct poptOption *find(const struct poptOption *table, const char *name, size_t length,
				     char letter)
{
	for (; table->longName || table->shortName || table->arg; table++) {
		if ((table->argInfo & POPT_ARG_MASK) == POPT_ARG_INCLUDE_TABLE) {
			const struct poptOption *found = table->arg == (void *)poptHelpOptions ? NULL :
							 find(table->arg, name, length, letter);

			if (found)
				return found;
		} else if ((name && table->longName && strlen(table->longName) == length &&
			    !strncmp(table->longName, name, length)) ||
			   (letter && table->shortName == letter)) {
			return table;
		}
	}
	return NULL;
}

static const struct poptOption *find_settable(const struct poptOption *table, const char *name)
{
	const struct poptOption *option = find(table, name, strlen(name), '\0');

	return option && !(option->argInfo & POPT_ARGFLAG_DOC_HIDDEN) ? option : NULL;
}

/* ---- reading ---- */

static char *trimmed(char *text)
{
	size_t length;

	while (isspace((unsigned char)*text))
		text++;
	length = strlen(text);
	while (length && isspace((unsigned char)text[length - 1]))
		text[--length] = '\0';
	return text;
}

static int read_line(struct config *config, const char *path, unsigned number, char *line,
		     struct err *err)
{
	char *origin = text_format("%s:%u", path, number), *equals = strchr(line, '=');
	char *name = trimmed(line);
	int ret = 0;

	if (!*name || *name == '#') {
		free(origin);
		return 0;
	}
	if (equals)
		*equals = '\0';
	name = trimmed(line);
	if (!equals || !*name || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(name)) {
		err_set(err, ERR_USAGE, origin, "a line is: name = value");
		ret = err_next(err, "see volmig.conf(5)");
		free(origin);
		return ret;
	}
	/* The environment is nearer to the user than a file. */
	if (!strcmp(name, "state-dir") && (getenv("VOLMIG_STATE_DIR") ?: "")[0]) {
		free(origin);
		return 0;
	}
	config->entries = text_grow(config->entries, config->count + 1, sizeof(*config->entries));
	config->entries[config->count++] = (struct entry){
		.name = text_copy(name),
		.value = text_copy(trimmed(equals + 1)),
		.origin = origin,
	};
	return 0;
}

/* 0 where it is not there, unless it must be. */
static int read_file(struct config *config, const char *path, bool must_exist, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret = 0;
	FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
	char *line = NULL;
	size_t size = 0;
	unsigned number = 0;
	ssize_t length;
	struct stat st;

	if (!file) {
		if (!must_exist && (errno == ENOENT || errno == ENOTDIR))
			return 0;
		err_sys(err, errno, path, "cannot read the configuration");
		err->class = ERR_REFUSED;
		if (fd >= 0)
			close(fd);
		return -1;
	}
	/* It says what is run and what is overwritten: with whose rights must be clear. */
	if (fstat(fd, &st) < 0 || (st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022)) {
		err_set(err, ERR_REFUSED, path,
			"a configuration that others than %s can write to is not used",
			geteuid() == 0 ? "root" : "root and the user");
		ret = err_next(err, "mend its owner, and chmod go-w it; or set VOLMIG_CONFIG=none");
	}
	while (ret == 0 && (length = getline(&line, &size, file)) >= 0) {
		number++;
		if (strlen(line) != (size_t)length) {
			err_set(err, ERR_USAGE, path, "line %u holds a NUL byte", number);
			ret = -1;
		} else {
			ret = read_line(config, path, number, line, err);
		}
	}
	if (ret == 0 && ferror(file)) {
		ret = err_sys(err, errno, path, "cannot read the configuration");
		err->class = ERR_REFUSED;
	}
	free(line);
	fclose(file);
	return ret;
}

static char *user_file(void)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (xdg && *xdg == '/')
		return text_format("%s/volmig/volmig.conf", xdg);
	return home && *home == '/' ? text_format("%s/.config/volmig/volmig.conf", home) : NULL;
}

int config_load(struct config **ret, struct err *err)
{
	const char *env = getenv("VOLMIG_CONFIG");
	struct config *config = text_alloc(1, sizeof(*config));
	char *user = user_file();
	int result = 0;

	if (env && *env) {
		if (strcmp(env, "none"))
			result = read_file(config, env, true, err);
	} else {
		result = read_file(config, SITE_FILE, false, err);
		if (result == 0 && user)
			result = read_file(config, user, false, err);
	}
	free(user);
	if (result < 0)
		config_free(config);
	else
		*ret = config;
	return result;
}

void config_free(struct config *config)
{
	for (size_t i = 0; config && i < config->count; i++) {
		free(config->entries[i].name);
		free(config->entries[i].value);
		free(config->entries[i].origin);
		free(config->entries[i].argument);
	}
	if (config)
		free(config->entries);
	free(config);
}

/* ---- checking ---- */

/* 1 yes, 0 no, -1 neither. */
static int truth(const char *value)
{
	static const char *const words[] = { "no", "yes", "off", "on", "false", "true", "0", "1" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcasecmp(value, words[i]))
			return (int)i % 2;
	return -1;
}

struct lookup {
	struct entry *entry;
	const struct poptOption *option;
};

static void look(const struct cmd *cmd, const struct poptOption *table, void *data)
{
	struct lookup *lookup = data;

	(void)cmd;
	if (!lookup->option)
		lookup->option = find_settable(table, lookup->entry->name);
	/* The table lives as long as this call: take from it what is needed. */
	if (lookup->option && !lookup->entry->argument) {
		const struct entry *entry = lookup->entry;

		lookup->entry->argument = takes_value(lookup->option) ?
			text_format("--%s=%s", entry->name, entry->value) : text_format("--%s", entry->name);
	}
}

static const struct entry *same_file_before(const struct config *config, const struct entry *entry)
{
	size_t length = (size_t)(strrchr(entry->origin, ':') - entry->origin);

	for (const struct entry *other = config->entries; other < entry; other++)
		if (!strcmp(other->name, entry->name) && !strncmp(other->origin, entry->origin, length + 1))
			return other;
	return NULL;
}

int config_check(const struct config *config, for_each_table *each, struct err *err)
{
	for (size_t i = 0; i < config->count; i++) {
		struct entry *entry = &config->entries[i];
		struct lookup lookup = { .entry = entry };
		const struct entry *before;

		each(look, &lookup);
		if (!lookup.option) {
			err_set(err, ERR_USAGE, entry->origin, "%s: there is no such option", entry->name);
			return err_next(err, "see volmig.conf(5)");
		}
		if (is_only_typed(entry->name))
			return err_set(err, ERR_USAGE, entry->origin,
				       "%s: cannot be set in a file, only on the command line", entry->name);
		before = strcmp(entry->name, "hook") ? same_file_before(config, entry) : NULL;
		if (before)
			return err_set(err, ERR_USAGE, entry->origin, "%s: was set before, in line %s",
				       entry->name, strrchr(before->origin, ':') + 1);
		if (!strchr(entry->argument, '=') && truth(entry->value) < 0)
			return err_set(err, ERR_USAGE, entry->origin, "%s: takes yes or no", entry->name);
	}
	return 0;
}

/* ---- using ---- */

/* Is the option among those that were typed?  Reads them just as popt does. */
static bool is_typed(const struct poptOption *table, const char *name, bool global,
		     int argc, const char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		const char *word = argv[i];
		const struct poptOption *option = NULL;

		if (word[0] != '-' || !word[1]) {
			if (global)
				break;
			continue;
		}
		if (word[1] == '-') {
			size_t length = strcspn(word + 2, "=");

			option = find(table, word + 2, length, '\0');
			if (option && !strcmp(option->longName, name))
				return true;
			if (option && takes_value(option) && !word[2 + length])
				i++;
			continue;
		}
		for (const char *letter = word + 1; *letter; letter++) {
			option = find(table, NULL, 0, *letter);
			if (option && option->longName && !strcmp(option->longName, name))
				return true;
			if (option && takes_value(option)) {
				i += !letter[1];
				break;
			}
		}
	}
	return false;
}

/* The entry that counts: the last one. */
static bool is_overridden(const struct config *config, size_t index)
{
	for (size_t i = index + 1; i < config->count; i++)
		if (!strcmp(config->entries[i].name, config->entries[index].name))
			return true;
	return false;
}

const char **config_arguments(const struct config *config, const struct poptOption *table,
			      bool global, int argc, const char **argv, int *ret_argc)
{
	size_t room = (size_t)argc + (config ? config->count : 0) + 1;
	const char **all = text_alloc(room, sizeof(*all));
	int count = 0;

	all[count++] = argv[0];
	for (size_t i = 0; config && i < config->count; i++) {
		const struct entry *entry = &config->entries[i];
		const struct poptOption *option = find_settable(table, entry->name);
		bool adds = option && (option->argInfo & POPT_ARG_MASK) == POPT_ARG_ARGV;

		if (!option || (!takes_value(option) && truth(entry->value) != 1))
			continue;
		if (adds || (!is_overridden(config, i) && !is_typed(table, entry->name, global, argc, argv)))
			all[count++] = entry->argument;
	}
	for (int i = 1; i < argc; i++)
		all[count++] = argv[i];
	*ret_argc = count;
	return all;
}

const char *config_origin(const struct config *config, const char *object)
{
	for (size_t i = 0; config && object && i < config->count; i++)
		if (!is_overridden(config, i) && (!strcmp(object, config->entries[i].value) ||
						  !strcmp(object, config->entries[i].argument)))
			return config->entries[i].origin;
	return NULL;
}

bool config_gave(const struct config *config, const char *const *argv, const char *name)
{
	for (size_t i = 0; config && i < config->count; i++)
		for (size_t k = 0; argv[k] && !strcmp(config->entries[i].name, name); k++)
			if (argv[k] == config->entries[i].argument)
				return true;
	return false;
}

/* ---- showing ---- */

struct show {
	const struct config *config;
	for_each_table *each;
	int argc;
	const char **argv;
	struct text_list shown;
};

static void name_owner(const struct cmd *cmd, const struct poptOption *table, void *data)
{
	const char *name = data;

	if (find_settable(table, name))
		printf(" %s", cmd ? cmd->name : "(all)");
}

static void show_table(const struct cmd *cmd, const struct poptOption *table, void *data)
{
	struct show *show = data;
	const struct config *config = show->config;

	for (; table->longName || table->shortName || table->arg; table++) {
		const char *name = table->longName, *value = "-", *origin = "default";

		if ((table->argInfo & POPT_ARG_MASK) == POPT_ARG_INCLUDE_TABLE) {
			if (table->arg != (void *)poptHelpOptions)
				show_table(cmd, table->arg, data);
			continue;
		}
		if (!name || (table->argInfo & POPT_ARGFLAG_DOC_HIDDEN) || is_only_typed(name) ||
		    text_list_has(&show->shown, name))
			continue;
		text_list_add(&show->shown, text_copy(name));
		for (size_t i = 0; i < config->count; i++)
			if (!strcmp(config->entries[i].name, name)) {
				value = config->entries[i].value;
				origin = config->entries[i].origin;
			}
		if (!cmd && is_typed(table, name, true, show->argc, show->argv)) {
			value = "(as typed)";
			origin = "command line";
		} else if (!cmd && !strcmp(name, "state-dir") && !strcmp(value, "-") &&
			   (getenv("VOLMIG_STATE_DIR") ?: "")[0]) {
			value = getenv("VOLMIG_STATE_DIR");
			origin = "VOLMIG_STATE_DIR";
		}
		printf("%-18s %-20s %s  #", name, value, origin);
		show->each(name_owner, (void *)name);
		putchar('\n');
	}
}

void config_show(const struct config *config, for_each_table *each, int argc, const char **argv)
{
	struct show show = { .config = config, .each = each, .argc = argc, .argv = argv };

	each(show_table, &show);
	text_list_free(&show.shown);
}
