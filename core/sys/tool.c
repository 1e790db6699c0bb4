/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tool of another package that answers in JSON or in words, asked under a time limit. */
#include "sys/tool.h"

#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "support/text.h"
#include "sys/program.h"

static const struct {
	const char *name, *package;
} packages[] = {
	{ "ssh", "openssh-client" },
	{ "nbdkit", "nbdkit" },
	{ "qemu-img", "qemu-utils" },
	{ "qemu-nbd", "qemu-utils" },
	{ "qemu-storage-daemon", "qemu-system-common" },
};

const char *tool_package(const char *name)
{
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
		if (!strcmp(packages[i].name, name))
			return packages[i].package;
	return NULL;
}

char *tool_find(const char *name, const char *object, struct err *err)
{
	char *path = program_find(name);
	const char *package = tool_package(name);

	if (path)
		return path;
	err_set(err, ERR_REFUSED, object, "that needs the program %s, which is not installed", name);
	if (package)
		err_next(err, "install the package %s", package);
	return NULL;
}

char *tool_last_words(const char *errors, const char *drop)
{
	const char *last = NULL, *best = NULL;
	size_t length = drop ? strlen(drop) : 0;

	for (const char *line = errors; *line; line += strspn(line, "\n")) {
		if (*line != '\n')
			last = line;
		if (length && !strncmp(line, drop, length))
			best = line + length;
		line += strcspn(line, "\n");
	}
	/* Hints may come after what went wrong. */
	if (!best)
		best = last;
	return best ? text_format("%.*s", (int)strcspn(best, "\n"), best) : text_copy("it said nothing");
}

/* It has ended, but not well. */
static int ended_badly(const struct tool *tool, enum program_end end, int number, const char *errors,
		       struct err *err)
{
	const char *name = tool->argv[0];
	char *words;

	switch (end) {
	case PROGRAM_TIMED_OUT:
		return err_set(err, ERR_FAILED, tool->object, "%s: %s has not answered in %llu seconds",
			       tool->doing, name, (unsigned long long)(tool->timeout_ms / 1000));
	case PROGRAM_INTERRUPTED:
		return err_set(err, ERR_STOPPED, tool->object, "%s: interrupted", tool->doing);
	case PROGRAM_KILLED:
		return err_set(err, ERR_FAILED, tool->object, "%s: %s was killed by signal %d", tool->doing,
			       name, number);
	case PROGRAM_EXITED:
		break;
	}
	words = tool_last_words(errors, tool->drop);
	err_set(err, ERR_FAILED, tool->object, "%s: %s", tool->doing, words);
	err->number = number;
	free(words);
	return -1;
}

int tool_run(const struct tool *tool, json_t **ret_json, struct err *err)
{
	char *path = tool_find(tool->argv[0], tool->object, err), *output = NULL, *errors = NULL;
	struct program program = { .env = tool->env, .timeout_ms = tool->timeout_ms };
	const char **argv = NULL;
	enum program_end end;
	int number, ret = -1;
	size_t length, count = 0;

	if (!path)
		return -1;
	while (tool->argv[count])
		count++;
	argv = text_alloc(count + 1, sizeof(*argv));
	memcpy(argv, tool->argv, (count + 1) * sizeof(*argv));
	argv[0] = path;
	program.argv = argv;
	program.kept = &tool->kept;
	program.kept_count = tool->kept ? 1 : 0;
	if (program_capture(&program, &end, &number, &output, &length, &errors, err) < 0)
		goto out;
	if (end != PROGRAM_EXITED || number != 0) {
		ended_badly(tool, end, number, errors, err);
		goto out;
	}
	if (ret_json) {
		json_error_t why;

		*ret_json = json_loadb(output, length, JSON_DECODE_ANY, &why);
		if (!*ret_json) {
			err_set(err, ERR_FAILED, tool->object, "%s: what %s says is no JSON (%s)",
				tool->doing, tool->argv[0], why.text);
			goto out;
		}
	}
	ret = 0;
out:
	free(argv);
	free(path);
	free(output);
	free(errors);
	return ret;
}
