/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leaves going through memory, many at a time. */
#include "engines/pipeline.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engines/throttle.h"
#include "support/clock.h"
#include "support/inject.h"
#include "support/interrupt.h"
#include "support/log.h"
#include "support/text.h"
#include "sys/ioq.h"
#include "sys/nbd.h"
#include "volumes/volume.h"

#define MILLISECOND 1000000ULL
#define TICK_MS 250U			/* look at the flag and the clock so often */
#define FLUSH_BYTES (512ULL << 20)	/* after so much a checkpoint, ... */
#define FLUSH_NS (5000 * MILLISECOND)	/* ... and after so long */
#define DROP_BYTES (32ULL << 20)	/* how much of what was read may stay in the cache */
#define ROOM_BYTES (8ULL << 20)		/* how much may be written before asking for room again, ... */
#define ROOM_NS (500 * MILLISECOND)	/* ... and how long */
#define FLUSH_TAG PIPELINE_REQUESTS

struct err *pipeline_fault(struct pipeline *p)
{
	struct err *err = p->stopping ? &p->later : p->err;

	p->stopping = true;
	return err;
}

/*
 * An error that a volume, the leaves or the monitor have put into later.  What
 * the system refuses in the middle may be granted another time: go on then.
 */
static void fault_later(struct pipeline *p)
{
	if (p->later.class == ERR_FAILED && p->later.number && p->later.number != BLOCK_DIFFERS)
		p->later.class = ERR_STOPPED;
	*pipeline_fault(p) = p->later;
}

void pipeline_fault_at(struct pipeline *p, int number, const struct volume *vol, const char *verb,
		     uint64_t offset)
{
	struct err *err = pipeline_fault(p);

	err_sys(err, number, vol->path, "cannot %s at byte %llu", verb, (unsigned long long)offset);
	err->class = ERR_STOPPED;
}

/* What the user is told to look at: the volume written, else the one read. */
static struct volume *subject(const struct pipeline *p)
{
	return p->files[p->write_file < 0 ? 0 : p->write_file].vol;
}

static void drop_cache(struct volume *vol, uint64_t from, uint64_t to)
{
	/* To the kernel, no length is all there is. */
	if (from < to)
		volume_drop_cache(vol, from, to - from);
}

/* What was read is not worth keeping in the page cache. */
static void drop_read_cache(struct pipeline *p)
{
	for (unsigned f = 0; f < p->file_count; f++)
		if ((int)f != p->write_file)
			drop_cache(p->files[f].vol, p->dropped, p->mark.offset);
	p->dropped = p->mark.offset;
}

/* Take what is finished off the head, in order. */
static void pass(struct pipeline *p)
{
	while (p->head != p->tail && pipeline_item(p, p->head)->state == ITEM_DONE) {
		const struct item *item = pipeline_item(p, p->head++);

		p->mark.offset = item->offset + item->length;
		p->mark.bytes_data += item->counts.bytes_data;
		p->mark.bytes_zero += item->counts.bytes_zero;
		p->mark.bytes_written += item->counts.bytes_written;
		if (item->has_io)
			p->unflushed += item->length;
	}
	if (p->mark.offset - p->dropped >= DROP_BYTES)
		drop_read_cache(p);
}

static void finish(struct pipeline *p, struct item *item)
{
	item->state = ITEM_DONE;
	slots_give(&p->slots, item->slot);
	item->slot = NULL;
	p->active -= item->has_io;
	pass(p);
	p->done += item->length;
	inject_kill_past("kill-at-byte", p->done);
}

/*
 * The end of a file whose size is no multiple of the sector.  It begins on a
 * page of its own, which no direct write touches, and comes after those of its
 * leaf: the cache and direct I/O never have two opinions about a page.
 */
static int write_tail(struct pipeline *p, const struct item *item)
{
	struct volume *vol = p->files[p->write_file].vol;
	const unsigned char *from = item->buffer[0] + (p->direct_end - item_base(item));
	uint64_t at = p->direct_end;

	while (at < p->write_end) {
		ssize_t n = pwrite(vol->fd_buffered, from, p->write_end - at, (off_t)at);

		if (inject_covers("write-eio", at, p->write_end - at)) {
			n = -1;
			errno = EIO;
		} else if (inject_covers("write-enospc", at, p->write_end - at)) {
			n = -1;
			errno = ENOSPC;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			pipeline_fault_at(p, n < 0 ? errno : EIO, vol, "write", at);
			return -1;
		}
		from += n;
		at += (uint64_t)n;
	}
	return 0;
}

/* Zeroes where nothing was read: in holes, and beyond the end. */
static void complete_buffers(const struct pipeline *p, struct item *item)
{
	for (unsigned f = 0; f < p->buffers; f++) {
		uint64_t end = p->files[f].end - item_base(item);

		blocks_clear_others(item->buffer[f], &item->have[f]);
		if (end < LEAF_BYTES)
			memset(item->buffer[f] + end, 0, LEAF_BYTES - end);
	}
}

static bool nothing_to_read(const struct item *item)
{
	return blocks_empty(&item->read[0]) && blocks_empty(&item->read[1]);
}

void pipeline_advance(struct pipeline *p, struct item *item)
{
	if (item->state == ITEM_READING) {
		complete_buffers(p, item);
		if (p->ops->loaded(p, item, &p->later) < 0) {
			fault_later(p);
			return;
		}
		if (!nothing_to_read(item)) {
			for (unsigned f = 0; f < 2; f++)
				item->have[f] = blocks_or(item->have[f], item->read[f]);
			return;
		}
		item->state = ITEM_WRITING;
		p->reading--;
		if (!blocks_empty(&item->write))
			return;
	}
	if (item->tail && write_tail(p, item) < 0)
		return;
	finish(p, item);
}

/* With what is in flight at most: is there room below what is written? */
static int check_room(struct pipeline *p)
{
	struct volume *vol = p->grows ? p->files[p->write_file].vol : NULL;

	if (!vol || !vol->ops->has_room ||
	    (p->room_ns && p->room_bytes < ROOM_BYTES && p->now_ns - p->room_ns < ROOM_NS))
		return 0;
	p->room_bytes = 0;
	p->room_ns = p->now_ns;
	return vol->ops->has_room(vol, &p->later);
}

static bool may_feed(const struct pipeline *p)
{
	return !p->stopping && !p->exhausted && p->tail - p->head < PIPELINE_ITEMS &&
	       p->active < p->depth && p->reading < p->reading_most;
}

/* Start items until memory is used up, or one was finished on the spot. */
static void feed(struct pipeline *p)
{
	while (may_feed(p)) {
		struct item *item = pipeline_item(p, p->tail);
		int more;

		*item = (struct item){ .offset = 0 };
		inject_slow();
		if (check_room(p) < 0) {
			fault_later(p);
			return;
		}
		more = p->ops->next(p, item, &p->later);
		if (more < 0) {
			fault_later(p);
			return;
		}
		if (more == 0) {
			p->exhausted = true;
			return;
		}
		p->tail++;
		item->have[0] = item->read[0];
		item->have[1] = item->read[1];
		item->has_io = item->write_zeroes || !nothing_to_read(item);
		if (!item->has_io) {
			/* Back to the loop: such items may go on for long. */
			finish(p, item);
			return;
		}
		p->active++;
		p->room_bytes += item->length;
		if (item->write_zeroes) {
			item->buffer[0] = p->slots.zeroes;
			item->state = ITEM_WRITING;
		} else {
			item->slot = slots_take(&p->slots);
			p->reading++;
			item->buffer[0] = item->slot;
			item->buffer[1] = item->slot + LEAF_BYTES;
		}
	}
}

static bool is_finished(const struct pipeline *p)
{
	return p->exhausted && p->head == p->tail;
}

static bool flush_is_due(const struct pipeline *p)
{
	if (p->write_file < 0 || p->flushing || p->flush_failed)
		return false;
	/* Its checkpoints would be none. */
	if (p->files[p->write_file].vol->no_flush)
		return is_finished(p) && !p->stopping && !p->flushed_all;
	if (p->stopping)
		return ioq_in_flight(p->q) == 0 && p->mark.offset > p->durable.offset &&
		       !volume_lost(p->files[p->write_file].vol);
	if (is_finished(p))
		return !p->flushed_all;
	return p->mark.offset > p->durable.offset &&
	       (p->unflushed >= FLUSH_BYTES || p->now_ns - p->flush_ns >= FLUSH_NS);
}

/*
 * A checkpoint: what is passed now has been acknowledged, so once a flush that
 * begins now is through, it is durable, whatever else is in flight.
 */
static void begin_flush(struct pipeline *p)
{
	bool ok;

	p->flushing = true;
	p->flushed_all = is_finished(p);
	p->flush_mark = p->mark;
	p->flush_ns = p->now_ns;
	p->unflushed = 0;
	if (ioq_in_flight(p->q) == 0)
		p->idle_ns = 0;
	ok = ioq_submit(p->q, &(struct ioq_request){
		.op = IOQ_FLUSH,
		.file = (unsigned)p->write_file,
		.tag = FLUSH_TAG,
	});
	assert(ok);
}

static void complete_flush(struct pipeline *p, int64_t result)
{
	struct volume *vol = p->files[p->write_file].vol;

	p->flushing = false;
	if (result == -EINTR || result == -EAGAIN) {
		p->flushed_all = false;
		p->flush_ns = 0;
		return;
	}
	if (result < 0) {
		/*
		 * The kernel tells of a lost write once.  Another flush would
		 * succeed, and prove nothing: there is no durable mark after this.
		 */
		struct err *err = pipeline_fault(p);

		p->flush_failed = true;
		err_sys(err, (int)-result, vol->path, "cannot flush what was written before byte %llu",
			(unsigned long long)p->flush_mark.offset);
		err->class = ERR_STOPPED;
		if (err == &p->later)
			log_warning("%s: %s", err->object, err->cause);
		return;
	}
	drop_cache(vol, p->durable.offset, p->flush_mark.offset);
	if (p->flushed_all && vol->fd_buffered >= 0)
		posix_fadvise(vol->fd_buffered, (off_t)round_down(p->direct_end, BLOCK_BYTES), 0,
			      POSIX_FADV_DONTNEED);
	if (p->ops->durable && p->ops->durable(p, &p->flush_mark, &p->later) < 0) {
		p->flush_failed = true;
		fault_later(p);
		return;
	}
	p->durable = p->flush_mark;
}

static void tell(struct pipeline *p)
{
	monitor_waited(p->mon, &p->waits);
	if (p->done != p->told)
		monitor_advance(p->mon, p->done);
	else
		monitor_tick(p->mon);
	p->told = p->done;
}

/* Does the user want us to stop, or has nothing moved for too long? */
static void look_up(struct pipeline *p)
{
	int asked;

	tell(p);
	asked = interrupt_requested();
	if (asked && !p->stopping)
		err_set(pipeline_fault(p), ERR_STOPPED, subject(p)->path, "%s", interrupt_reason());
	if (p->opt->throttle)
		throttle_look(p->opt->throttle, p->now_ns, p->mark.bytes_data);
	if (asked > 1)
		p->abandoned = true;
	if (p->stall_ns && ioq_in_flight(p->q) > 0 && p->idle_ns >= p->stall_ns) {
		uint64_t at = p->head < p->tail ? pipeline_item(p, p->head)->offset : p->mark.offset;
		char buf[TEXT_SIZE_MAX];

		if (p->stall_ns < 1000 * MILLISECOND)
			snprintf(buf, sizeof(buf), "%ums", (unsigned)(p->stall_ns / MILLISECOND));
		else
			text_duration(p->stall_ns / (1000 * MILLISECOND), buf);
		err_set(pipeline_fault(p), ERR_STOPPED, subject(p)->path, "nothing moved for %s at byte %llu",
			buf, (unsigned long long)at);
		p->abandoned = true;
	}
}

/* What was waited for: shared out by what was in flight meanwhile. */
static void count_wait(struct pipeline *p, unsigned reads, unsigned writes, bool flushing, uint64_t ns)
{
	unsigned requests = reads + writes;

	if (requests) {
		p->waits.read_ns += ns * reads / requests;
		p->waits.write_ns += ns * writes / requests;
	} else if (flushing) {
		p->waits.flush_ns += ns;
	} else {
		p->waits.limit_ns += ns;
	}
}

static void wait_for_results(struct pipeline *p)
{
	struct ioq_result results[PIPELINE_REQUESTS + 1];
	unsigned timeout_ms = TICK_MS;
	uint64_t start_ns = clock_ns();
	unsigned reads, writes;
	bool moved = false, flushing;
	int n;

	if (may_feed(p))
		timeout_ms = 0;
	else if (!p->stopping && p->pace_wait_ns)
		timeout_ms = (unsigned)min_u64((p->pace_wait_ns + MILLISECOND - 1) / MILLISECOND, TICK_MS);
	if (timeout_ms == 0 && ioq_in_flight(p->q) == 0)
		return;
	reads = p->reads;
	writes = p->writes;
	flushing = p->flushing;
	n = ioq_wait(p->q, results, PIPELINE_REQUESTS + 1, timeout_ms);
	p->now_ns = clock_ns();
	count_wait(p, reads, writes, flushing, p->now_ns - start_ns);
	if (n < 0) {
		struct err *err = pipeline_fault(p);

		err_sys(err, -n, subject(p)->path, "cannot wait for I/O");
		err->class = ERR_STOPPED;
		p->abandoned = true;
		return;
	}
	for (int i = 0; i < n; i++) {
		moved |= results[i].result != -EINTR && results[i].result != -EAGAIN;
		if (results[i].tag == FLUSH_TAG)
			complete_flush(p, results[i].result);
		else
			pipeline_complete(p, (unsigned)results[i].tag, results[i].result);
	}
	/*
	 * Time in which we were stopped ourselves (SIGSTOP, a suspended
	 * machine) looks like one long wait, and counts as one tick at most.
	 */
	if (moved)
		p->idle_ns = 0;
	else
		p->idle_ns += min_u64(p->now_ns - start_ns, TICK_MS * MILLISECOND);
}

static void loop(struct pipeline *p)
{
	for (;;) {
		look_up(p);
		if (p->abandoned)
			return;
		feed(p);
		if (!p->stopping)
			pipeline_issue(p);
		if (flush_is_due(p))
			begin_flush(p);
		if (ioq_in_flight(p->q) == 0 && (p->stopping || is_finished(p)) && !flush_is_due(p))
			return;
		wait_for_results(p);
	}
}

static unsigned choose_depth(const struct pipeline *p)
{
	uint64_t leaves = (p->files[0].end - min_u64(p->mark.offset, p->files[0].end)) / LEAF_BYTES + 1;
	unsigned depth = p->opt->depth;
	bool rotational = false, served = false;

	for (unsigned f = 0; f < p->file_count; f++) {
		rotational |= p->files[f].vol->rotational;
		served |= p->files[f].vol->nbd != NULL;
	}
	/* A server has half of them, see choose_reading_most(). */
	if (depth == 0)
		depth = rotational && !served ? SLOTS_MOST / 2 : SLOTS_MOST;
	if (depth > SLOTS_MOST)
		depth = SLOTS_MOST;
	return (unsigned)min_u64(depth, leaves);
}

/*
 * Where what was read is sent to a server, the disk is to have something to
 * read into meanwhile: so half of the memory is for that.  Many disks of guests
 * tell of what they read only when there is nothing left to read, all at once;
 * with all of the memory being read into, disk and server would take turns.
 */
static unsigned choose_reading_most(const struct pipeline *p)
{
	bool sends = p->write_file >= 0 && p->files[p->write_file].vol->nbd && !p->files[0].vol->nbd;

	return sends ? (p->depth + 1) / 2 : p->depth;
}

static int setup(struct pipeline *p, struct err *err)
{
	struct ioq_file files[2];
	bool shared = false;
	int r;

	p->err = err;
	p->now_ns = clock_ns();
	p->told = p->done;
	p->depth = choose_depth(p);
	p->reading_most = choose_reading_most(p);
	pace_init(&p->own_pace, p->opt->bytes_per_second, p->now_ns);
	p->pace = p->opt->pace ? p->opt->pace : &p->own_pace;
	p->stall_ns = p->opt->stall_ms * MILLISECOND;
	p->flush_ns = p->now_ns;
	p->durable = p->mark;
	p->dropped = p->mark.offset;
	if (p->write_file >= 0) {
		const struct pipeline_file *file = &p->files[p->write_file];

		p->write_end = file->end;
		p->direct_end = file->end;
		if (file->vol->direct && file->end % file->vol->align) {
			uint32_t unit = file->vol->align > BLOCK_BYTES ? file->vol->align : BLOCK_BYTES;

			assert(file->vol->fd_buffered >= 0);
			p->direct_end = round_down(file->end, unit);
		}
	}
	for (unsigned i = 0; i < PIPELINE_REQUESTS; i++)
		p->free_requests[p->free_request_count++] = i;
	for (unsigned f = 0; f < p->file_count; f++)
		files[f] = (struct ioq_file){ p->files[f].vol->fd, p->files[f].vol->nbd };
	for (unsigned f = 0; f < p->file_count; f++)
		shared |= p->files[f].vol->nbd && nbd_export_has_ring(p->files[f].vol->nbd);
	r = slots_init(&p->slots, p->buffers ? p->depth : 0, p->buffers, shared);
	if (r < 0)
		return err_sys(err, -r, NULL, "cannot allocate memory for I/O");
	for (unsigned f = 0; f < p->file_count && p->slots.fd >= 0; f++)
		if (p->files[f].vol->nbd)
			nbd_export_share(p->files[f].vol->nbd, p->slots.memory, p->slots.size, p->slots.fd);
	return ioq_open(&p->q, p->opt->engine, files, p->file_count, p->slots.memory, p->slots.size,
			PIPELINE_REQUESTS + 1, err);
}

int pipeline_run(struct pipeline *p, struct block_copy_result *ret_result, struct err *err)
{
	uint64_t start_ns = clock_ns();
	bool in_flight = false;

	if (setup(p, err) < 0) {
		p->stopping = true;
	} else {
		loop(p);
		if (!p->abandoned)
			drop_read_cache(p);
		in_flight = ioq_in_flight(p->q) > 0;
	}
	if (ret_result) {
		const char *reason = p->q ? ioq_fallback_reason(p->q) : NULL;

		*ret_result = (struct block_copy_result){
			.mark = p->stopping && p->write_file >= 0 ? p->durable : p->mark,
			.nanoseconds = clock_ns() - start_ns,
			.waits = p->waits,
		};
		snprintf(ret_result->engine, sizeof(ret_result->engine), "%s",
			 p->q ? ioq_engine(p->q) : "");
		snprintf(ret_result->fallback, sizeof(ret_result->fallback), "%s",
			 reason ? reason : "");
	}
	ioq_close(p->q);
	for (unsigned f = 0; f < p->file_count; f++)
		if (p->files[f].vol->nbd)
			nbd_export_unshare(p->files[f].vol->nbd);
	/*
	 * After a stall the kernel may still write into the memory, or read
	 * from it, when it is unstuck: the memory stays where it is.
	 */
	if (!in_flight)
		slots_free(&p->slots);
	return p->stopping ? -1 : 0;
}
