/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What nbd.c and nbd_commands.c share: libnbd's functions as they were loaded,
 * and what an export has open and in flight.  Nobody else includes this, nor
 * libnbd's own header.
 */
#ifndef SYS_NBD_CALLS_H
#define SYS_NBD_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "sys/nbd.h"
#include "sys/nbd_ring.h"

#ifndef VOLMIG_WITHOUT_NBD

#include <libnbd.h>

struct err;

#define MILLISECOND 1000000ULL
#define TICK_MS 100			/* how soon a wait sees that the user wants to stop */
#define CALLS NBD_RING_REQUESTS		/* in flight: those of a queue, and one that is waited for */
#define EXTENTS 1024			/* kept of one answer */

/* Every function of libnbd's that is used, to be looked up by its name. */
#define NBD_FUNCTIONS(FUNCTION) \
	FUNCTION(nbd_create) FUNCTION(nbd_close) FUNCTION(nbd_get_error) FUNCTION(nbd_get_errno) \
	FUNCTION(nbd_set_debug) FUNCTION(nbd_set_uri_allow_local_file) \
	FUNCTION(nbd_add_meta_context) FUNCTION(nbd_can_meta_context) FUNCTION(nbd_set_export_name) \
	FUNCTION(nbd_set_request_structured_replies) \
	FUNCTION(nbd_aio_connect_uri) FUNCTION(nbd_aio_connect_socket) \
	FUNCTION(nbd_get_size) FUNCTION(nbd_is_read_only) FUNCTION(nbd_can_flush) \
	FUNCTION(nbd_can_fua) FUNCTION(nbd_can_trim) FUNCTION(nbd_can_zero) \
	FUNCTION(nbd_can_fast_zero) FUNCTION(nbd_can_multi_conn) FUNCTION(nbd_get_tls_negotiated) \
	FUNCTION(nbd_aio_pread) FUNCTION(nbd_aio_pwrite) FUNCTION(nbd_aio_flush) \
	FUNCTION(nbd_aio_zero) FUNCTION(nbd_aio_block_status) FUNCTION(nbd_aio_disconnect) \
	FUNCTION(nbd_aio_get_fd) FUNCTION(nbd_aio_get_direction) FUNCTION(nbd_aio_notify_read) \
	FUNCTION(nbd_aio_notify_write) FUNCTION(nbd_aio_is_ready) FUNCTION(nbd_aio_is_dead) \
	FUNCTION(nbd_aio_is_closed)

/* Those that older ones (before 1.12, RHEL 9.0) do not have, and that can be done without. */
#define NBD_EXTRAS(FUNCTION) \
	FUNCTION(nbd_get_block_size) FUNCTION(nbd_set_pread_initialize)

struct nbd_library {
#define FUNCTION(name) __typeof__(name) *name;
	NBD_FUNCTIONS(FUNCTION)
	NBD_EXTRAS(FUNCTION)
#undef FUNCTION
};

extern struct nbd_library nbd_lib;

struct connection {
	struct nbd_handle *handle;
	unsigned in_flight;
};

enum call_state {
	CALL_FREE,
	CALL_FLYING,
	CALL_ENDED,
};

struct command {
	enum { READ, WRITE, FLUSH, ZERO, STATUS } what;
	void *buffer;
	size_t length;
	uint64_t offset, count;		/* count: of what has no buffer */
	uint32_t flags;
};

/* A command on its way. */
struct call {
	struct nbd *nbd;
	struct command command;
	struct connection *connection;	/* NULL: it goes through the ring */
	enum call_state state;
	bool waited_for;		/* by one of our own calls, not by a queue */
	uint64_t tag;
	int64_t result;			/* when it ends well; then, what it ended with */
};

struct extent {
	uint64_t end;
	bool data;
};

struct nbd {
	char *name, *uri;		/* uri NULL: over a socket that there is only one of */
	bool plain;			/* for nbd_export_take_socket() */
	uint64_t limit_ms;
	struct nbd_info info;
	int lost;

	struct connection connections[NBD_CONNECTIONS_MOST];
	unsigned connection_count;
	int ring_socket;		/* of which no use was made; else -1 */
	struct nbd_ring *ring;		/* or NULL */
	struct call calls[CALLS];
	unsigned ended;			/* calls of a queue that have ended */

	/* What the last block status said: from map_start, piece after piece. */
	uint64_t map_start;
	struct extent extents[EXTENTS];
	unsigned extent_count, extent_at;
};

/* An error of that number, with what it was that could not be done.  -1. */
int nbd_say_number(const struct nbd *nbd, struct err *err, int number, const char *what);

/*
 * The connection is gone, or given up: whatever is in flight has failed, on
 * all connections, for the server need not be the one that the others reach.
 */
void nbd_lose(struct nbd *nbd, int number);

/* Calls that the ring has brought to their end. */
void nbd_ring_ended(struct nbd *nbd);

bool nbd_is_over(const struct connection *c);

/* A turn for those that wait in here; it may come to nothing. */
void nbd_wait_turn(struct nbd *nbd, int timeout_ms);

#endif
#endif
