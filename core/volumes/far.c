/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asking another host's volmig. */
#include "volumes/far.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/inject.h"
#include "support/interrupt.h"
#include "support/json.h"
#include "support/log.h"
#include "support/monitor.h"
#include "support/text.h"
#include "sys/ssh.h"
#include "sys/wire.h"
#include "volumes/far_name.h"
#include "volumes/qemu.h"
#include "volumes/volume.h"

#define PROTOCOL 1			/* SERVE_PROTOCOL of serve.h, which is above us */
#define REMOTE "volmig serve --stdio"
#define PAUSE_MS 200U
#define PAUSE_MS_MAX 5000U
#define OPEN_NS 10000000000ULL		/* what is not open by then is looked after by who opens it */
#define PING_NS 10000000000ULL
#define PING_MS 10000

/* A process asks one host, or with a batch's checks one after the other. */
static struct {
	pid_t owner;			/* a child of ours has to make its own */
	char *host;
	struct ssh ssh;
	struct wire wire;
	char *job;			/* what the channel is of; or NULL */
	uint64_t said_ns;
} line = { .ssh = SSH_INIT, .wire = WIRE_INIT };

static char used_job[64];
static bool used_compress;

/* Of the channels that compressed and have ended. */
static struct squeeze_counts squeezed;

void far_use_job(const char *job_id, bool compress)
{
	snprintf(used_job, sizeof(used_job), "%s", job_id);
	used_compress = compress;
}

void far_hang_up(void)
{
	/* A parent's line is the parent's to end. */
	if (line.owner != getpid()) {
		if (line.ssh.fd >= 0)
			close(line.ssh.fd);
		if (line.ssh.errors >= 0)
			close(line.ssh.errors);
		line.ssh = (struct ssh)SSH_INIT;
	}
	ssh_end(&line.ssh, NULL);
	wire_free(&line.wire);
	free(line.host);
	free(line.job);
	line.host = line.job = NULL;
}

/* The line is dead: what ssh says is better than that it is. */
static int say_why(struct ssh *ssh, const char *host, struct err *err)
{
	char *why = NULL;

	/* ssh may need a moment to say it. */
	for (unsigned ms = 0; !why && ms < 500; ms += 20) {
		why = ssh_complaint(ssh);
		if (!why)
			clock_sleep_ms(20);
	}
	if (!why)
		why = text_copy(err->cause);
	err_set(err, ERR_STOPPED, host, "cannot reach volmig there: %s", why);
	err->number = WIRE_LOST;
	free(why);
	return -1;
}

/* The other side's error as ours. */
static int take_error(const char *host, const json_t *reply, struct err *err)
{
	const json_t *error = json_object_get(reply, "error");
	const char *object = json_get_string(error, "object"), *cause = json_get_string(error, "cause");
	const char *next = json_get_string(error, "next"), *class = json_get_string(error, "class");
	char *where = text_format("%s%s%s", host, object && *object ? ":" : "", object ? object : "");

	err_set(err, class ? err_class_by_name(class) : ERR_REFUSED, where, "%s",
		cause ? cause : "says no, and not why");
	if (next && *next)
		err_next(err, "%s", next);
	/* What it is called there is no line's end here. */
	err->number = (int)json_integer_value(json_object_get(error, "number"));
	if (err->number == WIRE_LOST)
		err->number = 0;
	free(where);
	return -1;
}

/* Send it and wait for the answer, however long that takes as long as there are signs of life. */
static int exchange(struct wire *wire, const char *host, json_t *request, uint64_t limit_ms,
		    struct monitor *mon, json_t **ret, struct err *err)
{
	json_t *reply = NULL;
	char phase[32] = "";

	if (wire_send(wire, request, limit_ms, err) < 0)
		return -1;
	for (;;) {
		const json_t *progress;
		const char *name;
		int r = wire_receive(wire, limit_ms, &reply, err);

		if (r == 0) {
			err_set(err, ERR_STOPPED, host, "the line was closed");
			err->number = WIRE_LOST;
			return -1;
		}
		if (r < 0)
			return -1;
		progress = json_object_get(reply, "progress");
		if (!progress)
			break;
		name = json_get_string(progress, "phase");
		if (name && *name && strncmp(name, phase, sizeof(phase) - 1)) {
			snprintf(phase, sizeof(phase), "%s", name);
			monitor_phase(mon, strcmp(phase, "read") ? phase : "verify", json_get_u64(progress, "total"));
		}
		monitor_advance(mon, json_get_u64(progress, "done"));
		json_decref(reply);
	}
	if (!json_get_bool(reply, "ok")) {
		take_error(host, reply, err);
		json_decref(reply);
		return -1;
	}
	if (ret)
		*ret = reply;
	else
		json_decref(reply);
	return 0;
}

/* Start ssh and greet; greeting is taken over. */
static int call(const char *host, json_t *greeting, struct ssh *ssh, struct wire *wire, json_t **ret,
		struct err *err)
{
	char *text = text_format(FAR_NAME_PREFIX "%s/x", host), *name = NULL;
	struct far_host parts = { 0 };
	int r = far_name_parse(text, true, &parts, &name, err);

	free(text);
	free(name);
	if (r == 0)
		r = ssh_start(ssh, parts.user, parts.host, parts.port, REMOTE, err);
	far_host_free(&parts);
	if (r < 0) {
		json_decref(greeting);
		return -1;
	}
	/* On a data channel the server speaks right behind the answer. */
	*wire = (struct wire){
		.in = ssh->fd, .out = ssh->fd,
		.to_the_line = !strcmp(json_get_string(greeting, "channel"), "data"),
	};
	json_put(greeting, "volmig", json_string(VOLMIG_VERSION));
	json_put(greeting, "protocol", json_integer(PROTOCOL));
	if (exchange(wire, host, greeting, FAR_LIMIT_MS, NULL, ret, err) == 0)
		return 0;
	if (err->number == WIRE_LOST)
		say_why(ssh, host, err);
	else if (err->class == ERR_REFUSED && !*err->object)
		err_set(err, ERR_REFUSED, host, "what answers there is no volmig that this one (%s) understands",
			VOLMIG_VERSION);
	ssh_end(ssh, NULL);
	wire_free(wire);
	return -1;
}

static int connect_to(const char *host, struct err *err)
{
	json_t *greeting = json_object();

	if (line.host && line.owner == getpid() && !strcmp(line.host, host)) {
		json_decref(greeting);
		return 0;
	}
	far_hang_up();
	json_put(greeting, "channel", json_string("control"));
	if (call(host, greeting, &line.ssh, &line.wire, NULL, err) < 0)
		return -1;
	line.owner = getpid();
	line.host = text_copy(host);
	line.said_ns = clock_ns();
	return 0;
}

int far_ask(const char *host, json_t *request, struct monitor *mon, json_t **ret, struct err *err)
{
	uint64_t limit_ms = FAR_LIMIT_MS;
	int r;

	if (connect_to(host, err) < 0) {
		json_decref(request);
		return -1;
	}
	inject_number("far-limit", &limit_ms);
	r = exchange(&line.wire, host, request, limit_ms, mon, ret, err);
	line.said_ns = clock_ns();
	/* After a lost line, or one that was left in the middle of an answer, there is no going on. */
	if (r < 0 && (err->number == WIRE_LOST || err->class == ERR_STOPPED)) {
		bool lost = err->number == WIRE_LOST;

		if (lost)
			say_why(&line.ssh, host, err);
		if (lost || interrupt_requested())
			far_hang_up();
	}
	return r;
}

static json_t *about(const char *what, const char *job_id)
{
	return json_pack("{s:s, s:s}", "do", what, "job", job_id);
}

/* Have the channel of the job. */
static int attach(const char *host, const char *job_id, bool may_be_new, struct err *err)
{
	json_t *reply = NULL;
	bool known;

	if (connect_to(host, err) < 0)
		return -1;
	if (line.job && !strcmp(line.job, job_id))
		return 0;
	if (line.job) {
		far_hang_up();
		if (connect_to(host, err) < 0)
			return -1;
	}
	if (far_ask(host, about("attach", job_id), NULL, &reply, err) < 0)
		return -1;
	known = json_get_bool(reply, "known");
	json_decref(reply);
	if (!known && !may_be_new) {
		err_set(err, ERR_FAILED, host, "job %s is not known there (any more)", job_id);
		err->number = ENOENT;
		return -1;
	}
	if (known)
		line.job = text_copy(job_id);
	return 0;
}

static int ask_job_once(const char *host, const char *job_id, const json_t *request,
			struct monitor *mon, json_t **ret, struct err *err)
{
	bool begins = !strcmp(json_get_string(request, "do"), "begin");

	if (attach(host, job_id, begins, err) < 0)
		return -1;
	if (far_ask(host, json_deep_copy(request), mon, ret, err) < 0)
		return -1;
	if (begins && line.host && !line.job)
		line.job = text_copy(job_id);
	return 0;
}

int far_ask_job(const char *host, const char *job_id, json_t *request, uint64_t stall_ms,
		struct monitor *mon, json_t **ret, struct err *err)
{
	uint64_t until = clock_ns() + stall_ms * 1000000;
	int asked = interrupt_requested(), r;
	unsigned pause = PAUSE_MS;

	json_put(request, "job", json_string(job_id));
	for (;;) {
		struct err why = ERR_INIT;

		r = ask_job_once(host, job_id, request, mon, ret, &why);
		if (r == 0)
			break;
		if (why.number != WIRE_LOST || (stall_ms && clock_ns() >= until) ||
		    interrupt_requested() > asked) {
			*err = why;
			break;
		}
		log_info("%s: %s; trying again", why.object, why.cause);
		for (unsigned ms = 0; ms < pause && interrupt_requested() <= asked; ms += 50) {
			clock_sleep_ms(50);
			monitor_tick(mon);
		}
		pause = pause * 2 > PAUSE_MS_MAX ? PAUSE_MS_MAX : pause * 2;
	}
	json_decref(request);
	return r;
}

void far_ping(const char *host)
{
	struct err ignored = ERR_INIT;

	if (!line.host || strcmp(line.host, host) || clock_ns() - line.said_ns < PING_NS)
		return;
	line.said_ns = clock_ns();
	if (exchange(&line.wire, host, json_pack("{s:s}", "do", "ping"), PING_MS, NULL, NULL, &ignored) < 0)
		far_hang_up();
}

int far_check_data(const char *host, struct err *err)
{
	if (!squeezed.refused)
		return 0;
	err_set(err, ERR_REFUSED, host, "what came over the compressed line is nothing that can be uncompressed");
	return err_next(err, "see what volmig is on that host; without --compress it may go");
}

/* As far_open_data(). */
static int open_data_once(const char *host, bool write, struct ssh *ret_ssh, uint64_t *ret_bytes,
			  struct err *err)
{
	json_t *greeting = json_pack("{s:s, s:s, s:b}", "channel", "data", "job", used_job, "write", (int)write);
	struct ssh ssh = SSH_INIT;
	struct wire wire = WIRE_INIT;
	struct err ignored = ERR_INIT;
	json_t *reply = NULL;
	const char *name;
	bool compressed;

	if (far_check_data(host, err) < 0) {
		json_decref(greeting);
		return -1;
	}
	if (used_compress)
		json_put(greeting, "compress", json_string("zstd"));
	/* It is given to who has the control channel, which may have died unnoticed. */
	if (line.job && exchange(&line.wire, host, json_pack("{s:s}", "do", "ping"), PING_MS, NULL, NULL, &ignored) < 0)
		far_hang_up();
	if (attach(host, used_job, false, err) < 0) {
		json_decref(greeting);
		return -1;
	}
	if (call(host, greeting, &ssh, &wire, &reply, err) < 0)
		return -1;
	wire_free(&wire);
	/* As it says, and only if it was asked to. */
	name = json_get_string(reply, "compress");
	compressed = used_compress && name && !strcmp(name, "zstd");
	*ret_bytes = json_get_u64(reply, "bytes");
	json_decref(reply);
	if (compressed && ssh_squeeze(&ssh, err) < 0) {
		ssh_end(&ssh, NULL);
		return -1;
	}
	*ret_ssh = ssh;
	return 0;
}

int far_open_data(const char *host, bool write, struct ssh *ret_ssh, uint64_t *ret_bytes,
		  struct err *err)
{
	uint64_t until = clock_ns() + OPEN_NS;

	/* One of the two lines may have died just now: that is no answer yet. */
	while (open_data_once(host, write, ret_ssh, ret_bytes, err) < 0) {
		if ((err->number != EAGAIN && err->number != WIRE_LOST) || interrupt_requested() || clock_ns() >= until)
			return -1;
		log_info("%s: %s; trying again", err->object, err->cause);
		*err = (struct err)ERR_INIT;
		clock_sleep_ms(PAUSE_MS);
	}
	return 0;
}

void far_close_data(struct ssh *ssh)
{
	struct squeeze_counts counts = { 0 };

	ssh_end(ssh, &counts);
	squeezed.raw += counts.raw;
	squeezed.wire += counts.wire;
	squeezed.refused = squeezed.refused || counts.refused;
}

void far_take_counts(uint64_t *ret_raw, uint64_t *ret_wire)
{
	*ret_raw = squeezed.raw;
	*ret_wire = squeezed.wire;
	squeezed.raw = squeezed.wire = 0;
}

void far_facts(const char *host, const char *spec, struct facts *far, struct facts *ret)
{
	struct facts *there = text_alloc(1, sizeof(*there));

	*there = *far;
	*far = (struct facts){ 0 };
	*ret = (struct facts){
		.spec = text_copy(spec),
		.kind = there->kind ? ssh_volume_ops.kind : NULL,
		/* By this name it is looked at again: an image as one, not as the file that it is in. */
		.path = text_format(FAR_NAME_PREFIX "%s%s%s%s%s", host, *there->path == '/' && !there->qemu ? "" : "/",
				    there->qemu ? there->qemu->driver : "", there->qemu ? ":" : "", there->path),
		.host = text_copy(host),
		.far = there,
		.bytes = there->bytes,
		.allocated = there->allocated,
		.mtime_ns = there->mtime_ns,
		.sector = there->sector,
		.read_only = there->read_only,
		.rotational = there->rotational,
		.mode = there->mode,
		.links = there->links,
		.format = text_copy(there->format),
		.signature = text_copy(there->signature),
	};
}
