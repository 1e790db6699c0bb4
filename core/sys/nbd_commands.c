/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is asked of an NBD export whose connections stand: data, flushes, its map. */
#include "sys/nbd_calls.h"

#ifndef VOLMIG_WITHOUT_NBD

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/log.h"
#include "sys/ioq.h"

#define STATUS_MOST 0xffff0000ULL	/* lengths of a block status have 32 bits */

static struct call *take_call(struct nbd *nbd, bool waited_for)
{
	for (unsigned i = 0; i < CALLS; i++) {
		struct call *call = &nbd->calls[i];

		if (call->state != CALL_FREE)
			continue;
		*call = (struct call){ .nbd = nbd, .state = CALL_FLYING, .waited_for = waited_for };
		return call;
	}
	/* A queue has less in flight. */
	abort();
}

static void end_call(struct call *call, int64_t result)
{
	call->state = CALL_ENDED;
	call->result = result;
	call->nbd->ended += !call->waited_for;
}

/* libnbd tells that a command has come to its end; 1: it need not be asked for it. */
static int completed(void *data, int *error)
{
	struct call *call = data;

	call->connection->in_flight--;
	if (call->state == CALL_FLYING)
		end_call(call, *error ? -*error : call->result);
	return 1;
}

static nbd_completion_callback completion(struct call *call)
{
	return (nbd_completion_callback){ .callback = completed, .user_data = call };
}

static struct connection *least_busy(struct nbd *nbd)
{
	struct connection *best = &nbd->connections[0];

	for (unsigned i = 1; i < nbd->connection_count; i++)
		if (nbd->connections[i].in_flight < best->in_flight)
			best = &nbd->connections[i];
	return best;
}

/* A server that cannot flush makes durable what it is told to at once, if it can that. */
static uint32_t write_flags(const struct nbd *nbd)
{
	return !nbd->info.can_flush && nbd->info.can_fua ? LIBNBD_CMD_FLAG_FUA : 0;
}

static int extent_found(void *data, const char *context, uint64_t offset, uint32_t *entries,
			size_t count, int *error)
{
	struct nbd *nbd = ((struct call *)data)->nbd;

	(void)error;
	if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0)
		return 0;
	for (size_t i = 0; i + 1 < count; i += 2) {
		bool is_data = !(entries[i + 1] & LIBNBD_STATE_ZERO);
		struct extent *last = nbd->extent_count ? &nbd->extents[nbd->extent_count - 1] : NULL;

		offset += entries[i];
		if (last && last->data == is_data)
			last->end = offset;
		else if (nbd->extent_count < EXTENTS)
			nbd->extents[nbd->extent_count++] = (struct extent){ offset, is_data };
		else
			break;
	}
	return 0;
}

static void start_on_connection(struct nbd *nbd, struct call *call)
{
	const struct command *command = &call->command;
	struct nbd_handle *h;
	int64_t cookie = -1;

	call->connection = least_busy(nbd);
	h = call->connection->handle;
	call->connection->in_flight++;
	switch (command->what) {
	case READ:
		cookie = nbd_lib.nbd_aio_pread(h, command->buffer, command->length, command->offset,
					   completion(call), 0);
		break;
	case WRITE:
		cookie = nbd_lib.nbd_aio_pwrite(h, command->buffer, command->length, command->offset,
					    completion(call), write_flags(nbd));
		break;
	case FLUSH:
		cookie = nbd_lib.nbd_aio_flush(h, completion(call), 0);
		break;
	case ZERO:
		cookie = nbd_lib.nbd_aio_zero(h, command->count, command->offset, completion(call),
					  command->flags | write_flags(nbd));
		break;
	case STATUS:
		cookie = nbd_lib.nbd_aio_block_status(h, command->count, command->offset,
						  (nbd_extent_callback){
							.callback = extent_found,
							.user_data = call,
						  }, completion(call), 0);
		break;
	}
	if (cookie < 0 && call->state == CALL_FLYING) {
		int number = nbd_lib.nbd_get_errno();

		call->connection->in_flight--;
		end_call(call, -(number ? number : EIO));
	}
	if (!nbd->lost && nbd_is_over(call->connection))
		nbd_lose(nbd, ENOTCONN);
}

static void start(struct nbd *nbd, struct call *call, const struct command *command)
{
	bool carried = command->what == READ || command->what == WRITE;

	call->command = *command;
	call->result = (int64_t)command->length;
	if (nbd->lost)
		end_call(call, -nbd->lost);
	else if (carried && nbd->ring && nbd_ring_takes(nbd->ring, command->buffer, command->length, command->offset))
		nbd_ring_submit(nbd->ring, (unsigned)(call - nbd->calls), command->what == WRITE, command->buffer,
				command->length, command->offset);
	else
		start_on_connection(nbd, call);
}

void nbd_ring_ended(struct nbd *nbd)
{
	unsigned slot;
	bool good;
	int r = 0;

	while (!nbd->lost && nbd->ring && (r = nbd_ring_next(nbd->ring, &slot, &good)) > 0) {
		struct call *call = &nbd->calls[slot];

		if (good)
			end_call(call, call->result);
		else
			/* The same once more, for there it is told why. */
			start_on_connection(nbd, call);
	}
	if (r < 0)
		nbd_lose(nbd, EPROTO);
}

/* Start and wait for the end.  0 or a positive number, or a negative errno. */
static int64_t do_now(struct nbd *nbd, const struct command *command)
{
	uint64_t start_ns = clock_ns();
	struct call *call = take_call(nbd, true);
	int64_t result;

	start(nbd, call, command);
	while (call->state == CALL_FLYING) {
		nbd_wait_turn(nbd, TICK_MS);
		if (call->state != CALL_FLYING)
			break;
		/* Asked twice the user does not want to wait for what is in flight. */
		if (interrupt_requested() > 1)
			nbd_lose(nbd, EINTR);
		else if (nbd->limit_ms && clock_ns() - start_ns > nbd->limit_ms * MILLISECOND)
			nbd_lose(nbd, ETIME);
	}
	result = call->result;
	call->state = CALL_FREE;
	return result;
}

int nbd_export_read(struct nbd *nbd, void *buffer, size_t length, uint64_t offset, struct err *err)
{
	while (length) {
		size_t piece = length < nbd->info.block_max ? length : nbd->info.block_max;
		int64_t n = do_now(nbd, &(struct command){
			.what = READ, .buffer = buffer, .length = piece, .offset = offset });

		if (n < 0)
			return err_sys(err, (int)-n, nbd->name, "cannot read at byte %llu",
				       (unsigned long long)offset);
		buffer = (char *)buffer + piece;
		length -= piece;
		offset += piece;
	}
	return 0;
}

int nbd_export_write(struct nbd *nbd, const void *buffer, size_t length, uint64_t offset,
		     struct err *err)
{
	while (length) {
		size_t piece = length < nbd->info.block_max ? length : nbd->info.block_max;
		int64_t n = do_now(nbd, &(struct command){
			.what = WRITE, .buffer = (void *)buffer, .length = piece, .offset = offset });

		if (n < 0)
			return err_sys(err, (int)-n, nbd->name, "cannot write at byte %llu",
				       (unsigned long long)offset);
		buffer = (const char *)buffer + piece;
		length -= piece;
		offset += piece;
	}
	return 0;
}

int nbd_export_zero(struct nbd *nbd, uint64_t offset, uint64_t length, bool keep, struct err *err)
{
	if (!nbd->info.can_zero)
		return 1;
	while (length) {
		uint64_t piece = length < STATUS_MOST ? length : STATUS_MOST;
		int64_t n = do_now(nbd, &(struct command){
			.what = ZERO, .count = piece, .offset = offset,
			.flags = keep ? LIBNBD_CMD_FLAG_NO_HOLE : 0 });

		/* Some refuse what is longer than the longest write. */
		if (n == -EINVAL || n == -EOVERFLOW || n == -EOPNOTSUPP || n == -ENOSYS) {
			nbd->info.can_zero = false;
			return 1;
		}
		if (n < 0)
			return err_sys(err, (int)-n, nbd->name, "cannot zero %llu bytes at offset %llu",
				       (unsigned long long)piece, (unsigned long long)offset);
		length -= piece;
		offset += piece;
	}
	return 0;
}

int nbd_export_flush(struct nbd *nbd, struct err *err)
{
	int64_t n = nbd->info.can_flush ? do_now(nbd, &(struct command){ .what = FLUSH }) :
					  -nbd->lost;

	return n < 0 ? nbd_say_number(nbd, err, (int)-n, "cannot make the data durable") : 0;
}

/* ---- the map ---- */

static uint64_t map_end(const struct nbd *nbd)
{
	return nbd->extent_count ? nbd->extents[nbd->extent_count - 1].end : nbd->map_start;
}

/* Ask what lies at offset and beyond. */
static int ask_map(struct nbd *nbd, uint64_t offset, struct err *err)
{
	uint64_t from = offset - offset % nbd->info.block_min;
	uint64_t length = nbd->info.bytes - from;
	int64_t n;

	nbd->map_start = from;
	nbd->extent_count = 0;
	nbd->extent_at = 0;
	n = do_now(nbd, &(struct command){
		.what = STATUS, .offset = from, .count = length < STATUS_MOST ? length : STATUS_MOST });
	if (nbd->lost)
		return nbd_say_number(nbd, err, nbd->lost, "cannot find its holes");
	/* Whatever the server means by it, an answer has to get us on. */
	if (n < 0 || map_end(nbd) <= offset) {
		log_info("%s: the server does not tell where it holds data%s%s", nbd->name,
			 n < 0 ? ": " : "", n < 0 ? strerror((int)-n) : "");
		nbd->info.has_map = false;
	}
	return 0;
}

/* What lies at offset, up to *ret_end? */
static int extent_at(struct nbd *nbd, uint64_t offset, uint64_t *ret_end, bool *ret_data, struct err *err)
{
	const struct extent *extent;

	if (nbd->info.has_map && (offset < nbd->map_start || offset >= map_end(nbd)) &&
	    ask_map(nbd, offset, err) < 0)
		return -1;
	if (!nbd->info.has_map) {
		*ret_end = nbd->info.bytes;
		*ret_data = true;
		return 0;
	}
	if (nbd->extent_at && nbd->extents[nbd->extent_at - 1].end > offset)
		nbd->extent_at = 0;
	while (nbd->extents[nbd->extent_at].end <= offset)
		nbd->extent_at++;
	extent = &nbd->extents[nbd->extent_at];
	*ret_end = extent->end < nbd->info.bytes ? extent->end : nbd->info.bytes;
	*ret_data = extent->data;
	return 0;
}

int nbd_export_next_data(struct nbd *nbd, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end,
			 struct err *err)
{
	uint64_t start = offset, end = offset;
	bool data = false;

	while (start < nbd->info.bytes) {
		if (extent_at(nbd, start, &end, &data, err) < 0)
			return -1;
		if (data)
			break;
		start = end;
	}
	if (start >= nbd->info.bytes)
		start = end = nbd->info.bytes;
	/* Only within what is known already: who asks may not want to have all of it. */
	while (end < nbd->info.bytes && nbd->info.has_map && end < map_end(nbd)) {
		uint64_t next;

		if (extent_at(nbd, end, &next, &data, err) < 0)
			return -1;
		if (!data)
			break;
		end = next;
	}
	*ret_start = start;
	*ret_end = end;
	return 0;
}

/* ---- for queues ---- */

void nbd_export_submit(struct nbd *nbd, const struct ioq_request *request)
{
	struct call *call = take_call(nbd, false);
	struct command command = { .what = READ };

	call->tag = request->tag;
	switch (request->op) {
	case IOQ_READ:
		break;
	case IOQ_WRITE:
		command.what = WRITE;
		break;
	case IOQ_FLUSH:
		/* What every write was told to do is done. */
		if (!nbd->info.can_flush) {
			end_call(call, -nbd->lost);
			return;
		}
		command.what = FLUSH;
		break;
	}
	command.buffer = request->buffer;
	command.length = request->op == IOQ_FLUSH ? 0 : request->length;
	command.offset = request->offset;
	start(nbd, call, &command);
}

unsigned nbd_export_results(struct nbd *nbd, struct ioq_result *results, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CALLS && nbd->ended && n < max; i++) {
		struct call *call = &nbd->calls[i];

		if (call->state != CALL_ENDED || call->waited_for)
			continue;
		results[n++] = (struct ioq_result){ .tag = call->tag, .result = call->result };
		call->state = CALL_FREE;
		nbd->ended--;
	}
	return n;
}

#endif
