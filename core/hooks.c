/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs of the site or the user that are called before and after each step of a job. */
#include "hooks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job.h"
#include "report.h"
#include "support/err.h"
#include "support/json.h"
#include "support/log.h"
#include "sys/program.h"

#define HOOKS_DIR "/etc/volmig/hooks.d"

json_t *hook_options_to_json(const struct hook_options *hooks)
{
	json_t *commands = json_array();

	for (size_t i = 0; i < hooks->commands.count; i++)
		json_array_append_new(commands, json_name(hooks->commands.items[i]));
	return json_pack("{s:o, s:I}", "commands", commands, "timeout_ms",
			 (json_int_t)hooks->timeout_ms);
}

void hook_options_from_json(struct hook_options *hooks, const json_t *json)
{
	const json_t *command;
	size_t i;

	/* A journal of an older version has none. */
	*hooks = (struct hook_options){ .timeout_ms = HOOKS_TIMEOUT_MS };
	if (!json)
		return;
	hooks->timeout_ms = json_get_u64(json, "timeout_ms");
	json_array_foreach(json_object_get(json, "commands"), i, command) {
		char *text = json_name_get(command);

		if (text)
			text_list_add(&hooks->commands, text);
	}
}

/* Only what its owner, who is root or the user himself, can write to is run with his rights. */
static int check_trust(const char *path, const struct stat *st, struct err *err)
{
	if ((st->st_uid == 0 || st->st_uid == geteuid()) && !(st->st_mode & 022))
		return 0;
	err_set(err, ERR_REFUSED, path, "hooks that others than root can change are not run");
	return err_next(err, "chown root and chmod go-w it");
}

/* What editors and package managers leave behind is no hook. */
static bool is_leftover(const char *name)
{
	static const char *const endings[] = {
		"~", ".bak", ".orig", ".rej", ".swp", ".rpmnew", ".rpmsave", ".rpmorig",
		".ucf-new", ".ucf-old", ".ucf-dist",
	};
	size_t length = strlen(name);

	if (*name == '.' || strstr(name, ".dpkg-"))
		return true;
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t ending = strlen(endings[i]);

		if (length >= ending && !strcmp(name + length - ending, endings[i]))
			return true;
	}
	return false;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The paths of the site's hooks in their order. */
static int site_hooks(struct text_list *ret_paths, struct err *err)
{
	const char *env = getenv("VOLMIG_HOOKS_DIR");
	const char *path = env && *env ? env : HOOKS_DIR;
	DIR *dir = strcmp(path, "none") ? opendir(path) : NULL;
	struct dirent *entry;
	struct stat st;
	int ret = -1;

	if (!dir) {
		if (!strcmp(path, "none") || errno == ENOENT)
			return 0;
		err_sys(err, errno, path, "cannot read the directory of hooks");
		err->class = ERR_REFUSED;
		return -1;
	}
	if (fstat(dirfd(dir), &st) < 0 || check_trust(path, &st, err) < 0)
		goto out;
	while ((entry = readdir(dir))) {
		char *file;

		if (is_leftover(entry->d_name) || fstatat(dirfd(dir), entry->d_name, &st, 0) < 0 ||
		    !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
			continue;
		file = text_format("%s/%s", path, entry->d_name);
		text_list_add(ret_paths, file);
		if (check_trust(file, &st, err) < 0)
			goto out;
	}
	if (ret_paths->count)
		qsort(ret_paths->items, ret_paths->count, sizeof(*ret_paths->items), by_name);
	ret = 0;
out:
	closedir(dir);
	return ret;
}

int hooks_check(struct err *err)
{
	struct text_list paths = { 0 };
	int ret = site_hooks(&paths, err);

	text_list_free(&paths);
	return ret;
}

/* argv leads to the hook that name stands for. */
static int call_one(const char *name, const char *const *argv, const char *const *env,
		    const char *input, uint64_t timeout_ms, const char *hook, struct err *err)
{
	const struct program program = {
		.argv = argv,
		.env = env,
		.input = input,
		.input_length = strlen(input),
		.timeout_ms = timeout_ms,
	};
	enum program_end end;
	int number = 0;

	log_info("hook %s: %s", hook, name);
	if (program_run(&program, &end, &number, err) < 0) {
		err->class = ERR_STOPPED;
		return err_context(err, "hook %s", hook);
	}
	switch (end) {
	case PROGRAM_EXITED:
		return number == 0 ? 0 : err_set(err, ERR_STOPPED, name,
						 "hook %s: it ended with status %d", hook, number);
	case PROGRAM_KILLED:
		return err_set(err, ERR_STOPPED, name, "hook %s: it was killed by signal %d", hook, number);
	case PROGRAM_TIMED_OUT:
		return err_set(err, ERR_STOPPED, name, "hook %s: it did not end within %llu.%03llu s and was killed",
			       hook, (unsigned long long)timeout_ms / 1000,
			       (unsigned long long)timeout_ms % 1000);
	case PROGRAM_INTERRUPTED:
		break;
	}
	return err_set(err, ERR_STOPPED, name, "hook %s: interrupted", hook);
}

/* It stays with the job: one that can never succeed would stop it each time, and past its commit for ever. */
static void offer_without(const struct job *job, struct err *err)
{
	char *resume;

	job_next_command(job->state_dir, "resume", job->id, err);
	resume = text_copy(err->next);
	err_next(err, "%s, with --no-hook if the command can never succeed", resume);
	free(resume);
}

int hooks_call(struct job *job, const char *when, const char *what, struct err *err)
{
	const struct hook_options *own = &job->plan.hooks;
	char *hook = text_format("%s%s%s", when, what ? "-" : "", what ? what : "");
	char *env_hook, *env_job, *env_state, *input;
	struct text_list paths = { 0 };
	json_t *report;
	int ret = site_hooks(&paths, err);

	if (ret < 0)
		err->class = ERR_STOPPED;
	if (ret < 0 || (!paths.count && !own->commands.count)) {
		text_list_free(&paths);
		free(hook);
		return ret;
	}
	report = report_job(job);
	json_put(report, "hook", json_string(hook));
	input = json_dumps(report, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(report);
	if (!input)
		abort();
	env_hook = text_format("VOLMIG_HOOK=%s", hook);
	env_job = text_format("VOLMIG_JOB=%s", job->id);
	/* The directory that jobs/UUID is in, for a hook that asks for the job's status. */
	env_state = text_format("VOLMIG_STATE_DIR=%.*s",
				(int)(strlen(job->dir) - strlen("/jobs/") - strlen(job->id)), job->dir);

	const char *const env[] = { env_hook, env_job, env_state, NULL };

	for (size_t i = 0; ret == 0 && i < paths.count; i++) {
		const char *const argv[] = { paths.items[i], hook, NULL };

		ret = call_one(paths.items[i], argv, env, input, own->timeout_ms, hook, err);
	}
	for (size_t i = 0; ret == 0 && i < own->commands.count; i++) {
		const char *const argv[] = { "/bin/sh", "-c", own->commands.items[i], "volmig-hook",
					     hook, NULL };

		ret = call_one(own->commands.items[i], argv, env, input, own->timeout_ms, hook, err);
		if (ret < 0)
			offer_without(job, err);
	}
	text_list_free(&paths);
	free(env_hook);
	free(env_job);
	free(env_state);
	free(input);
	free(hook);
	return ret;
}

void hooks_tell(struct job *job, const char *when, const char *what)
{
	struct err err = ERR_INIT;

	if (hooks_call(job, when, what, &err) < 0)
		log_warning("%s: %s", err.object, err.cause);
}
