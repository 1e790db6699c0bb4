/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the lines of a batch come from: a plan file, a directory, a volume group. */
#include "batch_lines.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch_plan.h"
#include "support/err.h"
#include "volumes/lv.h"
#include "volumes/spec.h"

#define PLAN_MAX (64 << 20)

static int read_plan(int fd, const char *name, char **ret_text, size_t *ret_length, struct err *err)
{
	char *text = NULL;
	size_t length = 0;
	ssize_t n;

	do {
		text = text_grow(text, length + 65536, 1);
		n = read(fd, text + length, 65536);
		length += n > 0 ? (size_t)n : 0;
	} while ((n > 0 || (n < 0 && errno == EINTR)) && length < PLAN_MAX);
	if (n == 0) {
		*ret_text = text;
		*ret_length = length;
		return 0;
	}
	if (n < 0)
		err_sys(err, errno, name, "cannot read the plan");
	else
		err_set(err, ERR_USAGE, name, "is too large to be a plan");
	free(text);
	err->class = ERR_USAGE;
	return err_next(err, "nothing was touched; check the name");
}

int batch_lines_of_plan(const char *name, struct batch_text *plan, struct batch_faults *faults, struct err *err)
{
	bool is_stdin = !strcmp(name, "-");
	char *text = NULL;
	size_t length = 0;
	int fd = is_stdin ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int ret;

	if (fd < 0) {
		err_sys(err, errno, name, "cannot read the plan");
		err->class = ERR_USAGE;
		return err_next(err, "nothing was touched; check the name");
	}
	ret = read_plan(fd, name, &text, &length, err);
	if (!is_stdin)
		close(fd);
	if (ret == 0)
		batch_text_parse(text, length, plan, faults);
	free(text);
	return ret;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/*
 * As a word of a line, which is no shell's: there a backslash outside of quotes
 * is the only thing that makes any character one of the word.
 */
static char *line_word(const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+=,-";
	char *word, *to;

	if (!*text)
		return text_copy("''");
	word = to = text_alloc(2 * strlen(text) + 1, 1);
	for (; *text; text++) {
		if (!strchr(safe, *text))
			*to++ = '\\';
		*to++ = *text;
	}
	*to = '\0';
	return word;
}

static void add_line(struct batch_text *plan, const char *volume, const char *to)
{
	char *word = line_word(volume);

	batch_text_add(plan, (unsigned)plan->count + 1, text_format("-- %s %s", word, to));
	free(word);
}

char *batch_lines_group(const char *from)
{
	struct spec spec = { 0 };
	struct err ignored = ERR_INIT;
	char *vg = NULL;

	if (spec_parse(&spec, from, SPEC_PLACE, "/", &ignored) == 0 && spec.kind == SPEC_LV && !spec.lv)
		vg = text_copy(spec.vg);
	spec_free(&spec);
	return vg;
}

/* The lines for all volumes of a group. */
static int list_group(const char *vg, const char *select, const char *place,
		      struct batch_text *plan, struct err *err)
{
	char *to = line_word(place);
	struct text_list names = { 0 };
	bool found;
	int ret = lv_list(vg, select, &names, &found, err);

	if (ret == 0 && !found) {
		err_set(err, ERR_USAGE, vg, "no such volume group");
		ret = err_next(err, "a directory of that name is written as ./%s", vg);
	}
	for (size_t i = 0; i < names.count; i++) {
		char *volume = text_format("%s/%s", vg, names.items[i]);

		add_line(plan, volume, to);
		free(volume);
	}
	text_list_free(&names);
	free(to);
	return ret;
}

/* The lines for all files in a directory. */
static int list_directory(const char *directory, const char *select, const char *place,
			  struct batch_text *plan, struct err *err)
{
	const char *pattern = select ? select : "*";
	char *from = realpath(directory, NULL), *to = line_word(place);
	struct text_list names = { 0 };
	DIR *dir = from ? opendir(from) : NULL;
	struct dirent *entry;
	int ret = -1;

	if (select && *select == '@') {
		err_set(err, ERR_USAGE, select, "a tag is one of logical volumes, and %s is a directory", directory);
		err_next(err, "names that begin with @ are meant by [@]");
		goto out;
	}
	if (!dir) {
		err_sys(err, errno, directory, "cannot read the directory");
		err->class = ERR_USAGE;
		err_next(err, "give a directory or a volume group");
		goto out;
	}
	while ((entry = readdir(dir))) {
		struct stat st;

		/* What begins with a dot is hidden, as ever, and the unfinished files of jobs are. */
		if (entry->d_name[0] == '.' || fnmatch(pattern, entry->d_name, 0) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		text_list_add(&names, text_format("%s/%s", strcmp(from, "/") ? from : "", entry->d_name));
	}
	if (names.count)
		qsort(names.items, names.count, sizeof(*names.items), compare_names);
	for (size_t i = 0; i < names.count; i++)
		add_line(plan, names.items[i], to);
	ret = 0;
out:
	if (dir)
		closedir(dir);
	text_list_free(&names);
	free(from);
	free(to);
	return ret;
}

int batch_lines_from(const char *from, const char *select, const char *to, struct batch_text *plan,
		     struct err *err)
{
	char *vg = batch_lines_group(from);
	int ret = vg ? list_group(vg, select, to, plan, err) : list_directory(from, select, to, plan, err);

	free(vg);
	return ret;
}
