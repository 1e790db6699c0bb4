/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The requests of a pipeline: cut to size, paid for, continued when they come back short. */
#include "engines/pipeline.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/inject.h"
#include "sys/ioq.h"
#include "volumes/volume.h"

static void submit(struct pipeline *p, unsigned index)
{
	const struct request *r = &p->requests[index];
	const struct volume *vol = p->files[r->file].vol;
	bool ok;

	assert(!vol->direct || (r->offset % vol->align == 0 && r->length % vol->align == 0));
	if (ioq_in_flight(p->q) == 0)
		p->idle_ns = 0;
	p->reads += !r->write;
	p->writes += r->write;
	ok = ioq_submit(p->q, &(struct ioq_request){
		.op = r->write ? IOQ_WRITE : IOQ_READ,
		.file = r->file,
		.buffer = r->buffer,
		.length = r->length,
		.offset = r->offset,
		.tag = index,
	});
	assert(ok);
}

/*
 * Is it the limited kind?  What is read is paid for, once for a leaf that is
 * read from both files, and zeroes that are written out of nothing.
 */
static bool is_paid(const struct item *item, unsigned file, bool write)
{
	if (write)
		return item->write_zeroes;
	return file == 0 || blocks_empty(&item->have[0]);
}

/*
 * Issue one piece of the run of blocks.  Returns how many blocks are settled
 * by it; 0: not now, for want of a request or because of the rate.
 */
static unsigned issue_piece(struct pipeline *p, struct item *item, unsigned file, bool write,
			    unsigned first, unsigned count)
{
	const struct volume *vol = p->files[file].vol;
	uint64_t start = item_base(item) + (uint64_t)first * BLOCK_BYTES;
	uint64_t unit = vol->align > BLOCK_BYTES ? vol->align : BLOCK_BYTES;
	bool paid = is_paid(item, file, write);
	uint64_t most = paid ? pace_piece(p->pace, unit, LEAF_BYTES) : LEAF_BYTES;
	uint64_t end = start + min_u64((uint64_t)count * BLOCK_BYTES, most);
	unsigned settled = (unsigned)((end - start) / BLOCK_BYTES);
	struct request *r;

	/* Then another piece comes behind this one. */
	if (vol->request_most && end - start > vol->request_most) {
		end = start + vol->request_most;
		settled = (unsigned)((end - start) / BLOCK_BYTES);
	}
	if (write && end > p->direct_end) {
		/* What lies beyond write_end was rounding only. */
		item->tail = p->direct_end < p->write_end;
		end = p->direct_end;
	} else if (!write && end > p->files[file].end) {
		end = p->files[file].end;
	}
	if (end <= start)
		return settled;
	if (p->free_request_count == 0)
		return 0;
	if (paid) {
		if (!p->pace_wait_ns)
			p->pace_wait_ns = pace_take(p->pace, end - start, p->now_ns);
		if (p->pace_wait_ns)
			return 0;
	}
	r = &p->requests[p->free_requests[--p->free_request_count]];
	*r = (struct request){
		.item = item,
		.write = write,
		.file = file,
		.offset = start,
		.end = end,
		.length = (write ? end : round_up(end, vol->align)) - start,
		.buffer = item->buffer[write ? 0 : file] + (start - item_base(item)),
	};
	item->in_flight++;
	submit(p, (unsigned)(r - p->requests));
	return settled;
}

static void issue_runs(struct pipeline *p, struct item *item, unsigned file, bool write,
		       struct blocks *todo)
{
	unsigned first, count, settled;

	while (blocks_run(todo, 0, &first, &count)) {
		settled = issue_piece(p, item, file, write, first, count);
		if (settled == 0)
			return;
		blocks_remove(todo, first, settled);
	}
}

/* Has everything of this state been issued? */
static bool is_issued(const struct item *item)
{
	if (item->state == ITEM_READING)
		return blocks_empty(&item->read[0]) && blocks_empty(&item->read[1]);
	return blocks_empty(&item->write);
}

/* Of the items that are being read, or of those that are being written. */
static void issue_all(struct pipeline *p, enum item_state state)
{
	for (uint64_t n = p->head; n < p->tail && p->free_request_count > 0 && !p->stopping; n++) {
		struct item *item = pipeline_item(p, n);

		if (item->state != state || is_issued(item))
			continue;
		if (state == ITEM_READING) {
			issue_runs(p, item, 0, false, &item->read[0]);
			issue_runs(p, item, 1, false, &item->read[1]);
		} else {
			issue_runs(p, item, (unsigned)p->write_file, true, &item->write);
		}
		/* Perhaps there was only a tail. */
		if (item->in_flight == 0 && is_issued(item))
			pipeline_advance(p, item);
	}
}

/*
 * What is to be read first: it takes no time to ask for, and a server's socket
 * takes its time over each write, in which the disk would have nothing to do.
 */
void pipeline_issue(struct pipeline *p)
{
	p->pace_wait_ns = 0;
	p->now_ns = clock_ns();
	issue_all(p, ITEM_READING);
	issue_all(p, ITEM_WRITING);
}

/* The kernel moved less than was asked for: find out what that means. */
static void fault_short(struct pipeline *p, const struct request *r, uint64_t at)
{
	const struct pipeline_file *file = &p->files[r->file];
	off_t size;

	if (r->write) {
		pipeline_fault_at(p, ENOSPC, file->vol, "write", at);
		return;
	}
	/* Reads overtake each other: this need not be the one that met the end. */
	size = file->vol->fd >= 0 ? lseek(file->vol->fd, 0, SEEK_END) : -1;
	if (size >= 0 && (uint64_t)size < at)
		at = (uint64_t)size;
	err_set(pipeline_fault(p), file->short_class, file->vol->path,
		"ends at byte %llu, but was %llu bytes long",
		(unsigned long long)at, (unsigned long long)file->vol->bytes);
}

static int64_t injected(const struct pipeline *p, const struct request *r, int64_t result)
{
	const char *fault_name = p->files[r->file].read_fault;

	if (r->write && inject_covers("write-eio", r->offset, r->length))
		return -EIO;
	if (r->write && inject_covers("write-enospc", r->offset, r->length))
		return -ENOSPC;
	if (inject_covers(r->write ? "short-write" : "short-read", r->offset, r->length))
		return result / 2;
	if (!r->write && fault_name && inject_covers(fault_name, r->offset, r->length))
		return -EIO;
	return result;
}

void pipeline_complete(struct pipeline *p, unsigned index, int64_t result)
{
	struct request *r = &p->requests[index];
	struct item *item = r->item;
	struct volume *vol = p->files[r->file].vol;

	p->reads -= !r->write;
	p->writes -= r->write;
	result = injected(p, r, result);
	if (result == -EINTR || result == -EAGAIN) {
		result = 0;
	} else if (result < 0) {
		pipeline_fault_at(p, (int)-result, vol, r->write ? "write" : "read", r->offset);
	} else if (r->offset + (uint64_t)result < r->end) {
		/*
		 * Short: go on behind it.  Where direct I/O has moved less
		 * than an aligned piece there is no more.
		 */
		uint64_t moved = vol->direct ? round_down((uint64_t)result, vol->align) :
					       (uint64_t)result;

		if (moved == 0)
			fault_short(p, r, r->offset + (uint64_t)result);
		r->offset += moved;
		r->buffer += moved;
		r->length -= moved;
	} else {
		r->offset = r->end;
	}
	if (r->offset < r->end && !p->stopping) {
		submit(p, index);
		return;
	}
	p->free_requests[p->free_request_count++] = index;
	item->in_flight--;
	item->broken |= r->offset < r->end;
	if (item->in_flight > 0 || item->broken || !is_issued(item))
		return;
	/* When stopping, what is written still counts, but nothing new is begun. */
	if (!p->stopping || item->state == ITEM_WRITING)
		pipeline_advance(p, item);
}
