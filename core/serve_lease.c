/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long a served job waits for the host that asked for it.  The time begins
 * anew with each request, by the modification time of a file in the job's
 * directory; and who sees to its end is a process that has nothing but that
 * to do, or, where it was killed or the machine restarted, the next volmig
 * serve here, or doctor --fix.
 */
#include "serve_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "report.h"
#include "run.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/json.h"
#include "support/log.h"

#define LOOK_MS_MAX 30000U
#define LOOK_MS_MIN 200U

const char *serve_from(const struct job *job)
{
	const struct move *move = &job->plan.move;

	return !job->plan.serve ? NULL : facts_is_far(&move->source) ? move->source.path : move->destination.path;
}

void serve_renew(const struct job *job)
{
	char *path = text_format("%s/lease", job->dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || futimens(fd, NULL) < 0)
		log_warning("%s: cannot renew the job's lease: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	free(path);
}

uint64_t serve_lease_left(const struct job *job)
{
	uint64_t lease_ms = json_get_u64(job->plan.serve, "lease_ms"), passed_ms;
	struct timespec now;
	struct stat st;
	char *path;
	int r;

	if (!job->plan.serve)
		return UINT64_MAX;
	path = text_format("%s/lease", job->dir);
	r = stat(path, &st);
	free(path);
	/* A crash came right after the job was made. */
	if (r < 0) {
		path = text_format("%s/journal.jsonl", job->dir);
		r = stat(path, &st);
		free(path);
	}
	if (r < 0)
		return lease_ms;
	clock_gettime(CLOCK_REALTIME, &now);
	/* A clock that was set back makes it longer, by as much. */
	if (now.tv_sec < st.st_mtim.tv_sec)
		return lease_ms;
	passed_ms = (uint64_t)(now.tv_sec - st.st_mtim.tv_sec) * 1000 +
		    (uint64_t)now.tv_nsec / 1000000 - (uint64_t)st.st_mtim.tv_nsec / 1000000;
	if ((int64_t)passed_ms < 0)
		passed_ms = 0;
	return passed_ms < lease_ms ? lease_ms - passed_ms : 0;
}

static int finish(struct job *job, bool aborted, struct err *err)
{
	json_t *report = report_job(job);
	int ret;

	json_put(report, "state", json_string(aborted ? "aborted" : "cleaned"));
	json_object_del(report, "stopped");
	ret = job_end(job, aborted, report, err);
	json_decref(report);
	return ret;
}

int serve_expire(const char *state_dir, const char *id, struct err *err)
{
	struct job job = { .lock = -1 };
	bool rolled_back;
	int ret = -1;

	if (job_ended_quickly(state_dir, id) || job_worker(state_dir, id))
		return 0;
	if (job_open(state_dir, id, JOB_LOOK, &job, err) < 0)
		return -1;
	if (job.ended || serve_lease_left(&job)) {
		job_close(&job);
		return 0;
	}
	job_close(&job);
	if (job_open(state_dir, id, JOB_WORK, &job, err) < 0)
		return -1;
	/* Somebody may have come for it just now. */
	if (job.ended || serve_lease_left(&job)) {
		ret = 0;
		goto out;
	}
	if (serve_end_data(job.dir, err) < 0)
		goto out;
	if (job_committed(&job) ? run_job(&job, NULL, NULL, &rolled_back, err) < 0 :
	    run_undo(&job, false, NULL, err) < 0)
		goto out;
	if (finish(&job, !job_committed(&job), err) < 0)
		goto out;
	serve_unwatch(job.dir);
	ret = 1;
out:
	job_close(&job);
	return ret;
}

/* In a process of its own.  The lock on its file says that there is one, and which. */
_Noreturn static void watch(const char *state_dir, const char *id, const char *dir, uint64_t lease_ms,
			    int ready)
{
	uint64_t pause = lease_ms / 10 < LOOK_MS_MIN ? LOOK_MS_MIN :
			 lease_ms / 10 > LOOK_MS_MAX ? LOOK_MS_MAX : lease_ms / 10;
	pid_t holder;

	if (serve_lock(dir, "watch", &holder) < 0)
		_exit(0);
	close(ready);
	for (;;) {
		struct err err = ERR_INIT;

		clock_sleep_ms((unsigned)pause);
		if (job_ended_quickly(state_dir, id) || access(dir, F_OK) < 0 ||
		    serve_expire(state_dir, id, &err) == 1)
			_exit(0);
	}
}

void serve_watch(const struct session *session)
{
	const struct job *job = &session->job;
	uint64_t lease_ms = json_get_u64(job->plan.serve, "lease_ms");
	pid_t holder, pid;
	int lock = serve_lock(job->dir, "watch", &holder);
	int null, ready[2];
	char none;

	if (lock < 0)
		return;		/* there is one */
	close(lock);
	if (pipe2(ready, O_CLOEXEC) < 0) {
		log_warning("%s: nobody will see to the end of its lease: %s", job->id, strerror(errno));
		return;
	}
	pid = fork();
	if (pid > 0) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		/* Who ends the job looks for the watcher by its lock: wait until it has that. */
		close(ready[1]);
		while (read(ready[0], &none, 1) < 0 && errno == EINTR)
			;
		close(ready[0]);
		return;
	}
	if (pid < 0) {
		log_warning("%s: nobody will see to the end of its lease: %s", job->id, strerror(errno));
		return;
	}
	/* A grandchild, in a session of its own: nobody's child, and ssh does not wait for it. */
	if (setsid() < 0 || (pid = fork()) != 0)
		_exit(0);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, 0);
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd <= 2; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			_exit(1);
	if (dup2(ready[1], 3) < 0 || chdir("/") < 0)
		_exit(1);
	close_range(4, ~0U, 0);
	watch(session->state_dir, job->id, job->dir, lease_ms, 3);
}

void serve_unwatch(const char *job_dir)
{
	struct err ignored = ERR_INIT;
	pid_t holder;
	int lock = serve_lock(job_dir, "watch", &holder);
	char *path;

	if (lock >= 0)
		close(lock);
	else if (holder > 0 && holder != getpid())
		serve_end_process(holder, false, job_dir, &ignored);
	path = text_format("%s/watch", job_dir);
	unlink(path);
	free(path);
}
