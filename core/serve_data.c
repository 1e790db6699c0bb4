/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes of a served volume: nbdkit takes this process's place, with the
 * volume open, claimed and known to be the right one.  It serves the one
 * connection that there is, its standard input and output, and ends with it.
 */
#include "serve_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/json.h"
#include "sys/qemu_daemon.h"
#include "sys/squeeze.h"
#include "sys/uuid.h"
#include "sys/zstd.h"
#include "volumes/qemu.h"

#define END_NS 20000000000ULL		/* a process whose I/O is stuck may take its time */
#define TERM_NS 5000000000ULL

int serve_end_process(pid_t pid, bool gently, const char *object, struct err *err)
{
	uint64_t begin = clock_ns();
	int fd = pidfd_open(pid, 0), sent = 0;
	int signal_ = gently ? SIGTERM : SIGKILL;

	if (fd < 0)
		return errno == ESRCH ? 0 : err_sys(err, errno, object, "cannot reach pid %d", (int)pid);
	/* Until it has ended; waited for it need not be. */
	while (poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 10) <= 0) {
		uint64_t passed = clock_ns() - begin;

		if (gently && passed > TERM_NS)
			signal_ = SIGKILL;
		if (sent != signal_ && pidfd_send_signal(fd, signal_, NULL, 0) < 0)
			break;
		sent = signal_;
		if (passed > END_NS) {
			close(fd);
			return err_set(err, ERR_STOPPED, object, "pid %d does not end", (int)pid);
		}
	}
	close(fd);
	return 0;
}

int serve_lock(const char *job_dir, const char *name, pid_t *ret_holder)
{
	char *path = text_format("%s/%s", job_dir, name);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	free(path);
	*ret_holder = 0;
	if (fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0)
		return fd;
	lock.l_type = F_WRLCK;
	if (fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
		*ret_holder = lock.l_pid;
	if (fd >= 0)
		close(fd);
	return -1;
}

int serve_end_data(const char *job_dir, struct err *err)
{
	pid_t holder;
	int fd;

	while ((fd = serve_lock(job_dir, "data", &holder)) < 0 && holder > 0)
		if (serve_end_process(holder, false, job_dir, err) < 0)
			return -1;
	if (fd >= 0)
		close(fd);
	return 0;
}

static int refuse(struct err *err, const char *id, const char *cause)
{
	return err_set(err, ERR_REFUSED, id, "%s", cause);
}

/* But it may be otherwise in a moment. */
static int refuse_now(struct err *err, const char *id, const char *cause)
{
	refuse(err, id, cause);
	err->number = EAGAIN;
	return -1;
}

bool serve_moves_bytes(const struct job *job, struct err *err)
{
	if (job->plan.serve && !job->ended && !job->aborting && job->steps_done < job->plan.step_count &&
	    job->plan.steps[job->steps_done] == &serve_step && job->step_begun)
		return true;
	refuse(err, job->id, "the job is not at the point where its bytes are moved");
	return false;
}

/* The end that is here. */
static const struct facts *served(const struct job *job)
{
	return facts_is_far(&job->plan.move.destination) ? &job->plan.move.source : &job->record.target;
}

/*
 * Without QEMU every answer of nbdkit would be an error, which is taken for the
 * volume's.  It is the connection that is lost: so nbdkit, which will be in our
 * place and looks after no children, is ended with it, by a process that waits
 * for either.
 */
static int end_with(pid_t daemon, struct err *err)
{
	struct pollfd ends[] = {
		{ .fd = pidfd_open(daemon, 0), .events = POLLIN },
		{ .fd = pidfd_open(getpid(), 0), .events = POLLIN },
	};
	pid_t pid = ends[0].fd < 0 || ends[1].fd < 0 ? -1 : fork();

	if (pid == 0) {
		/* None of our descriptors, for the channel ends when we do. */
		if (dup2(ends[0].fd, 0) < 0 || dup2(ends[1].fd, 1) < 0 || close_range(2, ~0U, 0) < 0)
			_exit(1);
		ends[0].fd = 0;
		ends[1].fd = 1;
		while (poll(ends, 2, -1) < 0 && errno == EINTR)
			;
		pidfd_send_signal(ends[1].fd, SIGKILL, NULL, 0);
		_exit(0);
	}
	if (pid < 0)
		err_sys(err, errno, NULL, "cannot watch over QEMU");
	for (size_t i = 0; i < 2; i++)
		if (ends[i].fd >= 0)
			close(ends[i].fd);
	return pid < 0 ? -1 : 0;
}

/* Which volume of the job is it, and may it be opened so now?  *ret_socket: of QEMU that has opened it, or -1. */
static int open_volume(const struct session *session, const struct job *job, bool write,
		       struct volume *vol, int *ret_socket, struct err *err)
{
	const struct move *move = &job->plan.move;
	bool is_source = facts_is_far(&move->destination);
	const struct facts *facts = served(job);
	struct qemu_daemon *daemon;

	if (!serve_moves_bytes(job, err))
		return -1;
	if (write && is_source)
		return refuse(err, job->id, "the volume is the source, and only read");
	if (job_worker(session->state_dir, job->id) <= 0)
		return refuse_now(err, job->id, "nobody has the job's control channel");
	/* It dies with us, also when we are nbdkit. */
	if (qemu_is_image(facts))
		return qemu_serve(facts, write, move->stall_ms, true, &daemon, ret_socket, NULL, err) < 0 ||
		       serve_check_image(session, facts, err) < 0 ? -1 : end_with(qemu_daemon_pid(daemon), err);
	return volume_open(vol, facts, write ? OPEN_WRITE : OPEN_READ, job->same_boot, err);
}

/* What nbdkit shall have of ours. */
static int keep_open(int fd, struct err *err)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags < 0 || fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC) < 0)
		return err_sys(err, errno, NULL, "cannot hand the volume over");
	return 0;
}

/* ssh gives a program that it starts a short PATH, or none. */
static const char *find_nbdkit(void)
{
	static const char *const paths[] = {
		"/usr/bin/nbdkit", "/usr/sbin/nbdkit", "/usr/local/bin/nbdkit", "/usr/local/sbin/nbdkit",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (access(paths[i], X_OK) == 0)
			return paths[i];
	return NULL;
}

int serve_data(struct session *session, const json_t *hello, struct err *err)
{
	const char *text = json_get_string(hello, "job");
	bool write = json_get_bool(hello, "write");
	struct volume vol = VOLUME_INIT;
	struct job job = { .lock = -1 };
	struct err ignored = ERR_INIT;
	char id[JOB_ID_SIZE], source[64];
	bool compress = !strcmp(json_get_string(hello, "compress") ?: "", "zstd") && !zstd_missing();
	int in = session->wire.in, out = session->wire.out;
	const char *program;
	struct squeeze squeeze;
	int lock = -1, image = -1, ret = -1;
	uint64_t bytes;
	pid_t holder;

	if (!text || !uuid_canonical(text, id))
		return refuse(err, NULL, "no job is named");
	if (!job_exists(session->state_dir, id))
		return refuse(err, id, "there is no such job here");
	if (job_open(session->state_dir, id, JOB_LOOK, &job, err) < 0)
		goto out;
	if (!job.plan.serve) {
		refuse(err, id, "the job is none that is served");
		goto out;
	}
	/* One that is left of a broken connection may still have requests to do. */
	if (serve_end_data(job.dir, err) < 0)
		goto out;
	lock = serve_lock(job.dir, "data", &holder);
	if (lock < 0) {
		refuse_now(err, id, "another process has just begun to serve it");
		goto out;
	}
	if (open_volume(session, &job, write, &vol, &image, err) < 0 ||
	    keep_open(image >= 0 ? image : vol.fd, err) < 0 || keep_open(lock, err) < 0)
		goto out;
	program = find_nbdkit();
	if (!program) {
		err_set(err, ERR_REFUSED, "nbdkit", "is not installed on this host");
		err_next(err, "install the package nbdkit there");
		goto out;
	}
	if (image >= 0)
		snprintf(source, sizeof(source), "socket-fd=%d", image);
	else
		snprintf(source, sizeof(source), "file=/proc/self/fd/%d", vol.fd);
	bytes = image < 0 ? vol.bytes : served(&job)->bytes;
	if (wire_send(&session->wire, json_pack("{s:b, s:I, s:i, s:s?}", "ok", 1, "bytes", (json_int_t)bytes,
						"align", image < 0 ? (int)vol.align : 1, "compress", compress ? "zstd" : NULL),
		      30000, err) < 0)
		goto out;
	/* It is not waited for: it ends when nbdkit does, and with what that had to say. */
	if (compress) {
		if (squeeze_start(&squeeze, in, out, false, &in, err) < 0)
			goto out;
		out = in;
	}
	/* The protocol's own descriptors, or what stands in for them, are nbdkit's standard ones again. */
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0) {
		err_sys(err, errno, NULL, "cannot hand the channel over");
		goto out;
	}
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	execl(program, "nbdkit", "--single", write ? "--foreground" : "--readonly", image < 0 ? "file" : "nbd", source,
	      image < 0 ? "fadvise=sequential" : (char *)NULL, (char *)NULL);
	/* Nobody would understand us any more. */
	_exit(127);
out:
	volume_close(&vol, &ignored);
	if (lock >= 0)
		close(lock);
	job_close(&job);
	return ret;
}
