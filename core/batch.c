/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A batch from end to end: which one it is, what was done of it, and the rest. */
#include "batch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch_lines.h"
#include "history.h"
#include "job.h"
#include "journal.h"
#include "report.h"
#include "support/inject.h"
#include "support/interrupt.h"
#include "support/json.h"
#include "support/log.h"
#include "support/progress.h"
#include "sys/uuid.h"
#include "volumes/spec.h"

/* ---- what it is about ---- */

static bool stands_on_cwd(const char *text, enum spec_role role)
{
	/* The files that names of other kinds may hold; spec_parse() sees to those of exports. */
	static const char *const options[] = { ":conf=", "?chap-file=" };
	struct spec spec = { 0 };
	struct err ignored = ERR_INIT;
	bool stands = false;

	if (spec_parse(&spec, text, role, "/", &ignored) < 0)
		return false;
	if (spec.path)
		stands = *text != '/' && strncmp(text, "file:/", 6);
	else if (spec.remote)
		stands = strcmp(spec.remote, text);
	for (size_t i = 0; spec.remote && i < sizeof(options) / sizeof(options[0]); i++) {
		const char *option = strstr(text, options[i]);

		stands |= option && option[strlen(options[i])] != '/';
	}
	spec_free(&spec);
	return stands;
}

/* Does a name in any line stand on the working directory? */
static bool is_relative(const struct batch *batch, const struct batch_text *plan)
{
	bool relative = false;

	/* That of a place is known also when no line is left. */
	if (batch->options->from)
		return stands_on_cwd(batch->options->to, SPEC_PLACE);
	for (size_t i = 0; i < plan->count && !relative; i++) {
		struct err ignored = ERR_INIT;
		struct batch_move move = { 0 };

		if (batch->options->reader->read(plan->defaults, plan->lines[i].text, &move, &ignored) == 0)
			relative = stands_on_cwd(move.request.source, SPEC_VOLUME) ||
				   stands_on_cwd(move.request.destination, SPEC_PLACE);
		batch->options->reader->release(&move);
	}
	return relative;
}

/*
 * The bytes that a batch is known by; generation: how many of the same name
 * come before it.  Comments and blank lines do not count, and the working
 * directory does where a name stands on it.
 */
static void name_batch(const struct batch *batch, const struct batch_text *plan, bool relative,
		       unsigned generation, char id[static JOB_ID_SIZE])
{
	const struct batch_options *options = batch->options;
	char *vg = options->from ? batch_lines_group(options->from) : NULL;
	char *from = vg ? text_format("vg %s", vg) : options->from ? realpath(options->from, NULL) : NULL;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	fprintf(out, "%s%c%s%c%u%c", from ? "from" : "plan", 0, from ? from : batch->name, 0, generation, 0);
	if (from)
		fprintf(out, "%s%c%s%c", options->to, 0, options->select ? options->select : "", 0);
	/* The volumes are named from the root on, but the place as it was given. */
	if (from && relative)
		fprintf(out, "%s%c", batch->cwd, 0);
	if (!from) {
		fprintf(out, "%s%c%s%c", relative ? batch->cwd : "", 0, plan->defaults, 0);
		for (size_t i = 0; i < plan->count; i++)
			fprintf(out, "%s%c", plan->lines[i].text, 0);
	}
	fclose(out);
	uuid_named(text, size, id);
	free(text);
	free(from);
	free(vg);
}

/* ---- its place in the state directory ---- */

static char *batch_dir(const char *state_dir, const char *id)
{
	return text_format("%s/batches/%s", state_dir, id);
}

struct folding {
	struct batch *batch;
	bool take_lines;
	struct batch_text lines;
	char *plan;			/* the name it was made with */
	char began[40];
	bool any, again, ended;
	struct text_list done, tried;	/* jobs of its lines */
};

/* Receipts go, see --keep; what a line has come to is known all the same. */
static void fold_outcome(struct folding *folding, const json_t *record)
{
	const char *job = json_get_string(record, "job"), *class = json_get_string(record, "class");

	if (job && class)
		text_list_add(!strcmp(class, "done") ? &folding->done : &folding->tried, text_copy(job));
}

static int fold(const json_t *record, void *data, struct err *err)
{
	struct folding *folding = data;
	const char *rec = json_get_string(record, "rec");
	const json_t *line;
	size_t i;

	(void)err;
	if (rec && !strcmp(rec, "end"))
		folding->ended = true;
	if (rec && !strcmp(rec, "outcome"))
		fold_outcome(folding, record);
	if (!rec || strcmp(rec, "batch"))
		return 0;
	folding->any = true;
	folding->again = json_get_bool(record, "again");
	snprintf(folding->began, sizeof(folding->began), "%s", json_get_string(record, "time") ?: "");
	free(folding->plan);
	folding->plan = json_name_get(json_object_get(record, "plan"));
	json_array_foreach(json_object_get(record, "lines"), i, line)
		if (folding->take_lines)
			batch_text_add(&folding->lines, (unsigned)json_get_u64(line, "line"),
				       json_name_get(json_object_get(line, "text")));
	return 0;
}

/* 1: there is such a batch, whole; 0: there is none; -1 error.  *ret must be cleared. */
static int look(const char *state_dir, const char *id, struct folding *ret, struct err *err)
{
	char *dir = batch_dir(state_dir, id);
	char *path = text_format("%s/journal.jsonl", dir);
	int found = access(path, F_OK) == 0;

	if (found && journal_read(path, fold, ret, err) < 0)
		found = -1;
	else if (found && !ret->any)
		found = 0;	/* a crash came before it was whole, and before anything was done */
	free(path);
	free(dir);
	return found;
}

static void folding_free(struct folding *folding)
{
	batch_text_free(&folding->lines);
	text_list_free(&folding->done);
	text_list_free(&folding->tried);
	free(folding->plan);
}

/*
 * An unfinished batch of the same plan file, which was another when it began.
 * Those before the last that was begun by --again have been given up by that.
 */
static int check_edited(const struct batch *batch, struct err *err)
{
	char *path = text_format("%s/batches", batch->state_dir);
	DIR *dir = opendir(path);
	struct dirent *entry;
	char last[JOB_ID_SIZE] = "", last_began[40] = "", again_began[40] = "";

	free(path);
	while (dir && (entry = readdir(dir))) {
		struct folding folding = { 0 };
		struct err ignored = ERR_INIT;
		char id[JOB_ID_SIZE];

		if (uuid_canonical(entry->d_name, id) && look(batch->state_dir, id, &folding, &ignored) > 0 &&
		    !strcmp(folding.plan ?: "", batch->name)) {
			if (folding.again && strcmp(folding.began, again_began) > 0)
				memcpy(again_began, folding.began, sizeof(again_began));
			if (!folding.ended && strcmp(folding.began, last_began) >= 0) {
				memcpy(last_began, folding.began, sizeof(last_began));
				memcpy(last, id, sizeof(last));
			}
		}
		folding_free(&folding);
	}
	if (dir)
		closedir(dir);
	if (!*last || strcmp(last_began, again_began) < 0)
		return 0;
	err_set(err, ERR_REFUSED, batch->shown, "was changed since batch %s was begun by it, which is not done",
		last);
	return err_next(err, "put it back and go on, or take what is done out of it and use --again");
}

/* What was known of a batch before is that of the next one now; takes over what is in from. */
static void folding_take(struct folding *to, struct folding *from)
{
	folding_free(to);
	*to = *from;
	*from = (struct folding){ 0 };
}

/*
 * Which batch is it, and what is known of it?  The last of that name, unless
 * that is over and what is there now is another.
 */
static int find_batch(struct batch *batch, struct batch_text *plan, struct err *err)
{
	const struct batch_options *options = batch->options;
	bool relative = is_relative(batch, plan);
	struct folding last = { 0 };
	unsigned generation = 0;
	int found;

	do {
		struct folding folding = { .take_lines = options->from != NULL };

		name_batch(batch, plan, relative, generation++, batch->id);
		found = look(batch->state_dir, batch->id, &folding, err);
		if (found > 0)
			folding_take(&last, &folding);
		folding_free(&folding);
	} while (found > 0);
	if (found < 0) {
		folding_free(&last);
		return -1;
	}
	batch->known = last.any && !options->again && !(options->from && last.ended);
	batch->ended = batch->known && last.ended;
	if (batch->known) {
		name_batch(batch, plan, relative, generation - 2, batch->id);
		batch->jobs_done = last.done;
		batch->jobs_tried = last.tried;
		last.done = last.tried = (struct text_list){ 0 };
	}
	if (batch->known && options->from) {
		struct batch_line *lines = plan->lines;
		size_t count = plan->count;

		plan->lines = last.lines.lines;
		plan->count = last.lines.count;
		last.lines.lines = lines;
		last.lines.count = count;
	}
	folding_free(&last);
	if (batch->known || options->again || !options->plan || !strcmp(options->plan, "-"))
		return 0;
	return check_edited(batch, err);
}

static int lock_batch(struct batch *batch, struct err *err)
{
	char *path = text_format("%s/lock", batch->dir);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int ret = -1;

	batch->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (batch->lock < 0) {
		err_sys(err, errno, path, "cannot open the batch's lock");
		err->class = ERR_REFUSED;
	} else if (fcntl(batch->lock, F_SETLK, &lock) < 0) {
		if (fcntl(batch->lock, F_GETLK, &lock) < 0)
			lock.l_pid = 0;
		err_set(err, ERR_REFUSED, batch->shown, "the batch is running (pid %d)", (int)lock.l_pid);
		err_next(err, "wait for it, or stop it with kill %d", (int)lock.l_pid);
	} else {
		ret = 0;
	}
	free(path);
	return ret;
}

static void sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

/* What was found out about it before it was locked may be over: jobs that are done are known by its journal only. */
static int has_gone_on(const struct batch *batch, struct err *err)
{
	err_set(err, ERR_REFUSED, batch->shown, "another process has worked on the batch meanwhile");
	return err_next(err, "give the same command again");
}

/* Take it up, or write down what it is: durable before anything moves. */
static int open_batch(struct batch *batch, const struct batch_text *plan, struct err *err)
{
	char *above = text_format("%s/batches", batch->state_dir);
	char *path = text_format("%s/journal.jsonl", batch->dir);
	struct folding folding = { 0 };
	json_t *lines, *record;
	int found, ret = -1;

	if (job_state_dir_make(batch->state_dir, err) < 0)
		goto out;
	if ((mkdir(above, 0700) < 0 && errno != EEXIST) ||
	    (mkdir(batch->dir, 0700) < 0 && errno != EEXIST)) {
		err_sys(err, errno, batch->dir, "cannot make the batch's directory");
		err->class = ERR_REFUSED;
		goto out;
	}
	inject_stop_at("stop-batch", 1);
	if (lock_batch(batch, err) < 0)
		goto out;
	if (batch->known) {
		ret = journal_open(&batch->journal, path, fold, &folding, err);
		if (ret == 0 && (folding.ended || folding.done.count != batch->jobs_done.count ||
				 folding.tried.count != batch->jobs_tried.count))
			ret = has_gone_on(batch, err);
		goto out;
	}
	found = look(batch->state_dir, batch->id, &folding, err);
	if (found) {
		if (found > 0)
			has_gone_on(batch, err);
		goto out;
	}
	lines = json_array();
	for (size_t i = 0; i < plan->count; i++)
		json_array_append_new(lines, json_pack("{s:I, s:o}", "line", (json_int_t)plan->lines[i].number,
						       "text", json_name(plan->lines[i].text)));
	record = json_pack("{s:s, s:s, s:o, s:o, s:s, s:b, s:o, s:o}", "rec", "batch", "batch", batch->id,
			   "plan", json_name(batch->name), "cwd", json_name(batch->cwd),
			   "kind", batch->options->from ? "from" : "plan", "again", batch->options->again,
			   "limits", limits_to_json(&batch->limits), "lines", lines);
	/* What a crash has left of it holds nothing. */
	unlink(path);
	if (journal_create(&batch->journal, path, err) < 0) {
		json_decref(record);
	} else if (journal_append(batch->journal, record, err) == 0) {
		sync_dir(batch->dir);
		sync_dir(above);
		ret = 0;
	}
	if (ret < 0)
		err->class = ERR_REFUSED;
out:
	folding_free(&folding);
	free(above);
	free(path);
	return ret;
}

/* ---- its lines ---- */

bool batch_find_job(const struct batch *batch, struct batch_item *item, struct err *err)
{
	size_t index = (size_t)(item - batch->items);

	item->begun = false;
	for (unsigned attempt = 0;; attempt++) {
		char *name = text_format("%s line %zu attempt %u", batch->id, index, attempt);
		struct job job;
		bool aborted, ended;

		uuid_named(name, strlen(name), item->job_id);
		free(name);
		if (!job_exists(batch->state_dir, item->job_id)) {
			if (text_list_has(&batch->jobs_done, item->job_id))
				return true;
			/* Its receipt has gone: another one may have come after it. */
			if (text_list_has(&batch->jobs_tried, item->job_id))
				continue;
			return false;
		}
		if (job_open(batch->state_dir, item->job_id, JOB_LOOK, &job, err) < 0) {
			/* Whoever takes it up will tell why it cannot be. */
			item->begun = true;
			return false;
		}
		aborted = job.aborted;
		ended = job.ended;
		if (!item->source) {
			item->source = text_copy(job.plan.move.source.path);
			item->destination = move_final_path(&job.plan.move);
			item->bytes = job.plan.move.source.bytes;
		}
		job_close(&job);
		if (!ended) {
			item->begun = true;
			return false;
		}
		if (!aborted)
			return true;
	}
}

static void make_items(struct batch *batch, struct batch_text *plan)
{
	batch->count = plan->count;
	batch->items = text_alloc(plan->count + 1, sizeof(*batch->items));
	for (size_t i = 0; i < plan->count; i++) {
		struct batch_item *item = &batch->items[i];
		struct err ignored = ERR_INIT;

		item->number = plan->lines[i].number;
		item->text = plan->lines[i].text;
		plan->lines[i].text = NULL;
		if (batch->ended || batch_find_job(batch, item, &ignored))
			item->state = BATCH_DONE;
	}
}

/* ---- its report ---- */

static const char *state_name(const struct batch_item *item)
{
	switch (item->state) {
	case BATCH_DONE:
		return "done";
	case BATCH_FAILED:
		return err_class_name(item->class);
	default:
		return item->begun ? "unfinished" : "waiting";
	}
}

static json_t *report_batch(const struct batch *batch, size_t *ret_done, enum err_class *ret_worst)
{
	static const enum err_class order[] = {
		ERR_NONE, ERR_REFUSED, ERR_USAGE, ERR_FAILED, ERR_STOPPED, ERR_UNSURE,
	};
	json_t *json = json_object(), *moves = json_array();
	size_t done = 0, worst = 0;
	bool left = false;

	for (size_t i = 0; i < batch->count; i++) {
		const struct batch_item *item = &batch->items[i];
		bool failed = item->state == BATCH_FAILED;
		json_t *move = json_pack("{s:I, s:s, s:s}", "line", (json_int_t)item->number,
					 "job", item->job_id, "state", state_name(item));

		done += item->state == BATCH_DONE;
		left = left || item->state == BATCH_LEFT;
		for (size_t o = 0; failed && o < sizeof(order) / sizeof(order[0]); o++)
			if (order[o] == item->class && o > worst)
				worst = o;
		json_put(move, "source", json_text(item->source));
		json_put(move, "destination", json_text(item->destination));
		json_put(move, "error", !failed ? json_null() :
			 json_pack("{s:s, s:o, s:o}", "class", err_class_name(item->class), "message",
				   json_text(item->message), "next",
				   item->next ? json_text(item->next) : json_null()));
		if (item->plan)
			json_put(move, "plan", json_incref(item->plan));
		json_array_append_new(moves, move);
	}
	json_put(json, "volmig", json_integer(1));
	json_put(json, "command", json_string("batch"));
	json_put(json, "batch", json_string(batch->id));
	json_put(json, "plan", json_text(batch->name));
	json_put(json, "state", json_string(batch->options->dry_run ? "planned" :
					    done == batch->count ? "done" : "unfinished"));
	json_put(json, "done", json_u64(done));
	json_put(json, "of", json_u64(batch->count));
	json_put(json, "moves", moves);
	*ret_done = done;
	*ret_worst = order[worst] == ERR_NONE && left ? ERR_STOPPED : order[worst];
	return json;
}

/* What is wrong with the plan, and that nothing was touched. */
static int refuse_plan(const struct batch *batch, struct err *err)
{
	enum err_class class = ERR_REFUSED;

	for (size_t i = 0; i < batch->faults.count; i++) {
		const struct batch_fault *fault = &batch->faults.items[i];
		char *where = fault->number ? text_format("%s:%u", batch->shown, fault->number) :
					      text_copy(batch->shown);

		if (fault->err.class == ERR_USAGE)
			class = ERR_USAGE;
		batch->options->fault(where, &fault->err);
		free(where);
	}
	err_set(err, class, batch->shown, "%zu fault%s in the plan; nothing was touched",
		batch->faults.count, batch->faults.count == 1 ? "" : "s");
	return err_next(err, "mend what is named above, then start again");
}

static int sum_up(struct batch *batch, size_t done, enum err_class worst, struct err *err)
{
	if (done == batch->count) {
		err->class = ERR_NONE;
		return batch->ended ? 0 :
		       journal_append(batch->journal, json_pack("{s:s}", "rec", "end"), err);
	}
	err_set(err, worst, batch->shown, "%zu of %zu moves are done%s%s", done, batch->count,
		interrupt_requested() ? "; " : "", interrupt_requested() ? interrupt_reason() : "");
	return err_next(err, "give the same command again%s to go on",
			batch->options->again ? ", but without --again," : "");
}

/* A plan of an earlier run: what cannot be moved now is a fault of its line only. */
static void tell_faults(struct batch *batch)
{
	for (size_t i = 0; i < batch->faults.count; i++) {
		const struct batch_fault *fault = &batch->faults.items[i];
		char *where = text_format("%s:%u", batch->shown, fault->number);

		batch->options->fault(where, &fault->err);
		free(where);
		for (size_t n = 0; n < batch->count; n++)
			if (batch->items[n].number == fault->number)
				batch_item_failed(&batch->items[n], &fault->err);
	}
}

static int work_on(struct batch *batch, struct batch_text *plan, json_t **ret_report, struct err *err)
{
	const struct batch_options *options = batch->options;
	enum err_class worst;
	size_t done;

	if (batch->faults.count && !batch->known)
		make_items(batch, plan);
	else if (find_batch(batch, plan, err) < 0)
		return -1;
	else
		make_items(batch, plan);
	batch->dir = batch_dir(batch->state_dir, batch->id);
	/* Before the lines are looked at, so that nobody else works on them meanwhile. */
	if (batch->known && !batch->ended && !options->dry_run && open_batch(batch, plan, err) < 0)
		return -1;
	if (!batch->ended)
		batch_check(batch);
	if (interrupt_requested())
		return err_set(err, ERR_STOPPED, batch->shown, "%s before anything was moved", interrupt_reason());
	if (batch->faults.count && (!batch->known || options->dry_run)) {
		*ret_report = report_batch(batch, &done, &worst);
		refuse_plan(batch, err);
		if (!options->dry_run)
			history_note(batch->state_dir, &options->history, NULL, err);
		return -1;
	}
	tell_faults(batch);
	if (options->dry_run || batch->ended || !batch->count) {
		*ret_report = report_batch(batch, &done, &worst);
		return 0;
	}
	if (terms_window(options->terms.windows, batch->shown, err) < 0) {
		*ret_report = report_batch(batch, &done, &worst);
		return err_next(err, "give the same command again then");
	}
	/* The texts are the items' by now, and the journal wants them as they are. */
	for (size_t i = 0; i < batch->count; i++)
		plan->lines[i].text = text_copy(batch->items[i].text);
	if (!batch->known && open_batch(batch, plan, err) < 0)
		return -1;
	if (options->progress) {
		uint64_t bytes = 0;

		for (size_t i = 0; i < batch->count; i++)
			bytes += batch->items[i].state == BATCH_WAITS ? batch->items[i].bytes : 0;
		progress_set_job(options->progress, batch->id);
		monitor_phase(progress_monitor(options->progress), "batch", bytes);
	}
	batch_run(batch);
	*ret_report = report_batch(batch, &done, &worst);
	return sum_up(batch, done, worst, err);
}

static void batch_free(struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct batch_item *item = &batch->items[i];

		free(item->text);
		free(item->source);
		free(item->destination);
		free(item->message);
		free(item->next);
		json_decref(item->plan);
	}
	free(batch->items);
	journal_close(batch->journal);
	if (batch->lock >= 0)
		close(batch->lock);
	batch_faults_free(&batch->faults);
	text_list_free(&batch->jobs_done);
	text_list_free(&batch->jobs_tried);
	free(batch->state_dir);
	free(batch->dir);
	free(batch->name);
	free(batch->cwd);
	free(batch->defaults);
}

int perform_batch(const struct batch_options *options, json_t **ret_report, struct err *err)
{
	struct batch batch = { .options = options, .lock = -1 };
	struct batch_text plan = { .defaults = NULL };
	int ret = -1;

	batch.state_dir = job_state_dir(options->state_dir);
	batch.cwd = getcwd(NULL, 0);
	if (!batch.cwd) {
		err_sys(err, errno, NULL, "cannot tell the working directory");
		goto out;
	}
	if (options->from)
		batch.name = text_format("%s -> %s", options->from, options->to);
	else
		batch.name = strcmp(options->plan, "-") ? realpath(options->plan, NULL) : NULL;
	if (!batch.name)
		batch.name = text_copy(options->plan);
	batch.shown = options->plan ? options->plan : batch.name;
	if ((options->plan ? batch_lines_of_plan(options->plan, &plan, &batch.faults, err) :
			     batch_lines_from(options->from, options->select, options->to, &plan, err)) < 0)
		goto out;
	batch.defaults = text_format("%s%s%s", plan.defaults ?: "", plan.defaults && *plan.defaults ? " " : "",
				     options->defaults ?: "");
	batch.limits = limits_over(&plan.limits, &options->terms.limits);
	ret = work_on(&batch, &plan, ret_report, err);
out:
	batch_free(&batch);
	batch_text_free(&plan);
	return ret;
}
