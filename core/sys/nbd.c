/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NBD exports by libnbd, from a loop of our own. */
#include "sys/nbd.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

bool nbd_export_is_uri(const char *text)
{
	static const char *const schemes[] = {
		"nbd://", "nbds://", "nbd+unix://", "nbds+unix://", "nbd+vsock://", "nbds+vsock://",
	};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (!strncmp(text, schemes[i], strlen(schemes[i])))
			return true;
	return false;
}

bool nbd_export_is_connection_error(int number)
{
	switch (number) {
	case ENOTCONN:
	case ESHUTDOWN:
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
	case ETIMEDOUT:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
		return true;
	default:
		return false;
	}
}

#ifndef VOLMIG_WITHOUT_NBD

#include <assert.h>
#include <dlfcn.h>
#include <libnbd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/log.h"
#include "support/text.h"
#include "sys/ioq.h"

#define MILLISECOND 1000000ULL
#define TICK_MS 100			/* how soon a wait sees that the user wants to stop */
#define CALLS 80			/* in flight: those of a queue, and one that is waited for */
#define BLOCK_DEFAULT 4096U
#define BLOCK_MOST (32U << 20)		/* what every server has to take, by the protocol */
#define BLOCK_MIN_MOST 65536U		/* by the protocol, too */
#define STATUS_MOST 0xffff0000ULL	/* lengths of a block status have 32 bits */
#define EXTENTS 1024			/* kept of one answer */
#define SOCKET_BUFFER (4 << 20)
#define KEEPALIVE_SECONDS 10		/* of silence before the peer is asked, ... */
#define KEEPALIVE_EACH 5		/* ... and then each so many, ... */
#define KEEPALIVE_COUNT 4		/* ... so often, before it counts as gone */

/* Every function of libnbd's that is used, to be looked up by its name. */
#define NBD_FUNCTIONS(FUNCTION) \
	FUNCTION(nbd_create) FUNCTION(nbd_close) FUNCTION(nbd_get_error) FUNCTION(nbd_get_errno) \
	FUNCTION(nbd_set_debug) FUNCTION(nbd_set_uri_allow_local_file) \
	FUNCTION(nbd_add_meta_context) FUNCTION(nbd_can_meta_context) FUNCTION(nbd_set_export_name) \
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

static struct {
#define FUNCTION(name) __typeof__(name) *name;
	NBD_FUNCTIONS(FUNCTION)
	NBD_EXTRAS(FUNCTION)
#undef FUNCTION
} lib;

static pthread_once_t lib_once = PTHREAD_ONCE_INIT;
static char lib_error[256];		/* why it could not be loaded; empty: it was */

struct connection {
	struct nbd_handle *handle;
	unsigned in_flight;
};

enum call_state {
	CALL_FREE,
	CALL_FLYING,
	CALL_ENDED,
};

/* A command on its way. */
struct call {
	struct nbd *nbd;
	struct connection *connection;
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
	uint64_t limit_ms;
	struct nbd_info info;
	int lost;

	struct connection connections[NBD_CONNECTIONS_MOST];
	unsigned connection_count;
	struct call calls[CALLS];
	unsigned ended;			/* calls of a queue that have ended */

	/* What the last block status said: from map_start, piece after piece. */
	uint64_t map_start;
	struct extent extents[EXTENTS];
	unsigned extent_count, extent_at;
};

static void load(void)
{
	void *nbd = dlopen("libnbd.so.0", RTLD_NOW | RTLD_LOCAL);

	if (!nbd) {
		snprintf(lib_error, sizeof(lib_error), "libnbd cannot be loaded: %s", dlerror());
		return;
	}
#define FUNCTION(name) \
	lib.name = (__typeof__(name) *)dlsym(nbd, #name); \
	if (!lib.name) { \
		snprintf(lib_error, sizeof(lib_error), "this libnbd has no %s()", #name); \
		return; \
	}
	NBD_FUNCTIONS(FUNCTION)
#undef FUNCTION
#define FUNCTION(name) lib.name = (__typeof__(name) *)dlsym(nbd, #name);
	NBD_EXTRAS(FUNCTION)
#undef FUNCTION
}

/* ---- errors ---- */

/* What libnbd has said last, in this thread: "nbd_connect_uri: ..." without the first word. */
static int say(struct nbd *nbd, struct err *err, const char *what)
{
	const char *text = lib.nbd_get_error();
	int number = lib.nbd_get_errno();
	const char *colon = text ? strstr(text, ": ") : NULL;

	if (colon && !strncmp(text, "nbd_", 4))
		text = colon + 2;
	err_set(err, ERR_FAILED, nbd->name, "%s: %s", what, text ? text : "libnbd does not say why");
	/* Of what TLS says there is no number. */
	err->number = number ? number : EPROTO;
	if (text && strstr(text, "requires TLS"))
		err_next(err, "write nbds:// or nbds+unix://, with tls-certificates=DIR or tls-psk-file=FILE");
	return -1;
}

static int say_number(const struct nbd *nbd, struct err *err, int number, const char *what)
{
	return err_sys(err, number, nbd->name, "%s", what);
}

/* ---- the loop ---- */

/*
 * The connection is gone, or given up: whatever is in flight has failed, on
 * all connections, for the server need not be the one that the others reach.
 */
static void lose(struct nbd *nbd, int number)
{
	if (nbd->lost)
		return;
	nbd->lost = number;
	for (unsigned i = 0; i < nbd->connection_count; i++) {
		lib.nbd_close(nbd->connections[i].handle);
		nbd->connections[i] = (struct connection){ 0 };
	}
	nbd->connection_count = 0;
	for (unsigned i = 0; i < CALLS; i++) {
		struct call *call = &nbd->calls[i];

		if (call->state != CALL_FLYING)
			continue;
		call->state = CALL_ENDED;
		call->result = -number;
		nbd->ended += !call->waited_for;
	}
}

static bool is_over(const struct connection *c)
{
	return lib.nbd_aio_is_dead(c->handle) > 0 || lib.nbd_aio_is_closed(c->handle) > 0;
}

unsigned nbd_export_poll(struct nbd *nbd, struct pollfd *fds)
{
	for (unsigned i = 0; i < nbd->connection_count; i++) {
		struct nbd_handle *h = nbd->connections[i].handle;
		unsigned direction = lib.nbd_aio_get_direction(h);

		fds[i] = (struct pollfd){
			.fd = lib.nbd_aio_get_fd(h),
			.events = (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
					  (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0)),
		};
	}
	return nbd->connection_count;
}

/* 0; or -1 and libnbd knows why. */
static int turn_one(struct nbd_handle *h, short events)
{
	unsigned direction = lib.nbd_aio_get_direction(h);

	/*
	 * Never both: the first may have changed what is wanted.  An error is
	 * for whichever is; one that nobody hears of would be reported for ever.
	 */
	if ((events & (POLLIN | POLLHUP | POLLERR)) && (direction & LIBNBD_AIO_DIRECTION_READ))
		return lib.nbd_aio_notify_read(h);
	if ((events & (POLLOUT | POLLHUP | POLLERR)) && (direction & LIBNBD_AIO_DIRECTION_WRITE))
		return lib.nbd_aio_notify_write(h);
	return 0;
}

void nbd_export_turn(struct nbd *nbd, const struct pollfd *fds, unsigned count)
{
	for (unsigned i = 0; i < count && i < nbd->connection_count; i++) {
		struct connection *c = &nbd->connections[i];
		int number = 0;

		if (!fds[i].revents)
			continue;
		if (turn_one(c->handle, fds[i].revents) < 0)
			number = lib.nbd_get_errno();
		if (is_over(c)) {
			lose(nbd, nbd_export_is_connection_error(number) ? number : ENOTCONN);
			return;
		}
	}
}

/* A turn for those that wait in here.  0 on time-out or when a signal came. */
static void turn(struct nbd *nbd, int timeout_ms)
{
	struct pollfd fds[NBD_CONNECTIONS_MOST];
	unsigned count = nbd_export_poll(nbd, fds);

	if (poll(fds, count, timeout_ms) > 0)
		nbd_export_turn(nbd, fds, count);
}

/* ---- commands ---- */

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

struct command {
	enum { READ, WRITE, FLUSH, ZERO, STATUS } what;
	void *buffer;
	size_t length;
	uint64_t offset, count;		/* count: of what has no buffer */
	uint32_t flags;
};

static void start(struct nbd *nbd, struct call *call, const struct command *command)
{
	struct nbd_handle *h;
	int64_t cookie = -1;

	if (nbd->lost) {
		end_call(call, -nbd->lost);
		return;
	}
	call->connection = least_busy(nbd);
	call->result = (int64_t)command->length;
	h = call->connection->handle;
	call->connection->in_flight++;
	switch (command->what) {
	case READ:
		cookie = lib.nbd_aio_pread(h, command->buffer, command->length, command->offset,
					   completion(call), 0);
		break;
	case WRITE:
		cookie = lib.nbd_aio_pwrite(h, command->buffer, command->length, command->offset,
					    completion(call), write_flags(nbd));
		break;
	case FLUSH:
		cookie = lib.nbd_aio_flush(h, completion(call), 0);
		break;
	case ZERO:
		cookie = lib.nbd_aio_zero(h, command->count, command->offset, completion(call),
					  command->flags | write_flags(nbd));
		break;
	case STATUS:
		cookie = lib.nbd_aio_block_status(h, command->count, command->offset,
						  (nbd_extent_callback){
							.callback = extent_found,
							.user_data = call,
						  }, completion(call), 0);
		break;
	}
	if (cookie < 0 && call->state == CALL_FLYING) {
		int number = lib.nbd_get_errno();

		call->connection->in_flight--;
		end_call(call, -(number ? number : EIO));
	}
	if (!nbd->lost && is_over(call->connection))
		lose(nbd, ENOTCONN);
}

/* Start and wait for the end.  0 or a positive number, or a negative errno. */
static int64_t do_now(struct nbd *nbd, const struct command *command)
{
	uint64_t start_ns = clock_ns();
	struct call *call = take_call(nbd, true);
	int64_t result;

	start(nbd, call, command);
	while (call->state == CALL_FLYING) {
		turn(nbd, TICK_MS);
		if (call->state != CALL_FLYING)
			break;
		/* Asked twice the user does not want to wait for what is in flight. */
		if (interrupt_requested() > 1)
			lose(nbd, EINTR);
		else if (nbd->limit_ms && clock_ns() - start_ns > nbd->limit_ms * MILLISECOND)
			lose(nbd, ETIME);
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

	return n < 0 ? say_number(nbd, err, (int)-n, "cannot make the data durable") : 0;
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
		return say_number(nbd, err, nbd->lost, "cannot find its holes");
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

/* ---- opening and closing ---- */

static struct nbd_handle *new_handle(struct nbd *nbd, const char *export_name, struct err *err)
{
	struct nbd_handle *h = lib.nbd_create();

	if (h && lib.nbd_set_debug(h, false) == 0 &&
	    lib.nbd_set_uri_allow_local_file(h, true) == 0 &&
	    (!lib.nbd_set_pread_initialize || lib.nbd_set_pread_initialize(h, false) == 0) &&
	    lib.nbd_add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) == 0 &&
	    (!export_name || lib.nbd_set_export_name(h, export_name) == 0))
		return h;
	say(nbd, err, "cannot set up a connection");
	if (h)
		lib.nbd_close(h);
	return NULL;
}

/* Wait until the newest connection stands. */
static int connect_through(struct nbd *nbd, struct nbd_handle *h, struct err *err)
{
	uint64_t start_ns = clock_ns();

	while (lib.nbd_aio_is_ready(h) <= 0) {
		unsigned direction = lib.nbd_aio_get_direction(h);
		struct pollfd fd = {
			.fd = lib.nbd_aio_get_fd(h),
			.events = (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
					  (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0)),
		};

		if (lib.nbd_aio_is_dead(h) > 0)
			return say(nbd, err, "cannot connect");
		if (lib.nbd_aio_is_closed(h) > 0)
			return say_number(nbd, err, ECONNABORTED, "cannot connect");
		if (poll(&fd, 1, TICK_MS) > 0 && turn_one(h, fd.revents) < 0)
			return say(nbd, err, "cannot connect");
		if (interrupt_requested()) {
			err_set(err, ERR_STOPPED, nbd->name, "%s", interrupt_reason());
			err->number = EINTR;
			return -1;
		}
		if (nbd->limit_ms && clock_ns() - start_ns > nbd->limit_ms * MILLISECOND)
			return say_number(nbd, err, ETIMEDOUT, "the server does not answer");
	}
	return 0;
}

/*
 * Closed like others, also by our death, a connection goes on sending what it
 * has when the network or the server is back.  The server would write it over
 * what came later by another one, or what the volume's next owner has written.
 */
static void give_up_at_close(int fd, bool yes)
{
	const struct linger at_once = { .l_onoff = yes };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* Room for what is on its way, and a peer that has vanished is noticed. */
static void tune_socket(int fd)
{
	int size = SOCKET_BUFFER, on = 1, idle = KEEPALIVE_SECONDS, each = KEEPALIVE_EACH;
	int count = KEEPALIVE_COUNT, gone_ms = (KEEPALIVE_SECONDS + KEEPALIVE_EACH * KEEPALIVE_COUNT) * 1000;
	int domain = 0;
	socklen_t length = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0)
		return;
	if (domain == AF_UNIX) {
		/* The second is for those who may not have more than the system's limit. */
		if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	} else if (domain == AF_INET || domain == AF_INET6) {
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &each, sizeof(each));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &gone_ms, sizeof(gone_ms));
		give_up_at_close(fd, true);
	}
}

static int add_connection(struct nbd *nbd, struct nbd_handle *h, struct err *err)
{
	if (connect_through(nbd, h, err) < 0) {
		lib.nbd_close(h);
		return -1;
	}
	tune_socket(lib.nbd_aio_get_fd(h));
	nbd->connections[nbd->connection_count++].handle = h;
	return 0;
}

static uint32_t block_size(struct nbd_handle *h, int which, uint32_t otherwise)
{
	int64_t size = lib.nbd_get_block_size ? lib.nbd_get_block_size(h, which) : 0;

	return size > 0 && size <= UINT32_MAX ? (uint32_t)size : otherwise;
}

static int look(struct nbd *nbd, struct err *err)
{
	struct nbd_handle *h = nbd->connections[0].handle;
	struct nbd_info *info = &nbd->info;
	int64_t bytes = lib.nbd_get_size(h);

	if (bytes < 0)
		return say(nbd, err, "the server does not tell its size");
	*info = (struct nbd_info){
		.bytes = (uint64_t)bytes,
		.block_min = block_size(h, LIBNBD_SIZE_MINIMUM, 1),
		.block_preferred = block_size(h, LIBNBD_SIZE_PREFERRED, BLOCK_DEFAULT),
		.block_max = block_size(h, LIBNBD_SIZE_MAXIMUM, BLOCK_MOST),
		.read_only = lib.nbd_is_read_only(h) > 0,
		.can_flush = lib.nbd_can_flush(h) > 0,
		.can_fua = lib.nbd_can_fua(h) > 0,
		.can_trim = lib.nbd_can_trim(h) > 0,
		.can_zero = lib.nbd_can_zero(h) > 0,
		.can_fast_zero = lib.nbd_can_fast_zero(h) > 0,
		.multi_conn = lib.nbd_can_multi_conn(h) > 0,
		.has_map = lib.nbd_can_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0,
		.tls = lib.nbd_get_tls_negotiated(h) > 0,
	};
	if (info->block_min > BLOCK_MIN_MOST || (info->block_min & (info->block_min - 1)) ||
	    info->block_max < info->block_min)
		return err_set(err, ERR_FAILED, nbd->name, "the server names block sizes that make no sense (%u to %u)",
			       info->block_min, info->block_max);
	info->block_max -= info->block_max % info->block_min;
	return 0;
}

const char *nbd_export_missing(void)
{
	pthread_once(&lib_once, load);
	return lib_error[0] ? lib_error : NULL;
}

static struct nbd *new_export(const char *uri, const char *name, uint64_t limit_ms, struct err *err)
{
	struct nbd *nbd;

	if (nbd_export_missing()) {
		err_set(err, ERR_FAILED, name, "%s", nbd_export_missing());
		err_next(err, "install libnbd (Debian: libnbd0, Fedora: libnbd)");
		err->number = EOPNOTSUPP;
		return NULL;
	}
	nbd = calloc(1, sizeof(*nbd));
	if (!nbd)
		abort();
	nbd->name = text_copy(name);
	nbd->uri = text_copy(uri);
	nbd->limit_ms = limit_ms;
	return nbd;
}

int nbd_export_open_uri(struct nbd **ret, const char *uri, const char *name, uint64_t limit_ms,
			struct err *err)
{
	struct nbd *nbd = new_export(uri, name, limit_ms, err);
	struct nbd_handle *h;

	if (!nbd)
		return -1;
	h = new_handle(nbd, NULL, err);
	if (!h)
		goto fail;
	if (lib.nbd_aio_connect_uri(h, uri) < 0) {
		say(nbd, err, "cannot connect");
		lib.nbd_close(h);
		goto fail;
	}
	if (add_connection(nbd, h, err) < 0 || look(nbd, err) < 0)
		goto fail;
	*ret = nbd;
	return 0;
fail:
	nbd_export_close(nbd);
	return -1;
}

int nbd_export_open_socket(struct nbd **ret, int fd, const char *export_name, const char *name,
			   uint64_t limit_ms, struct err *err)
{
	struct nbd *nbd = new_export(NULL, name, limit_ms, err);
	struct nbd_handle *h = nbd ? new_handle(nbd, export_name, err) : NULL;

	if (!h) {
		close(fd);
		goto fail;
	}
	/* From here on the descriptor is libnbd's. */
	if (lib.nbd_aio_connect_socket(h, fd) < 0) {
		say(nbd, err, "cannot connect");
		lib.nbd_close(h);
		goto fail;
	}
	if (add_connection(nbd, h, err) < 0 || look(nbd, err) < 0)
		goto fail;
	*ret = nbd;
	return 0;
fail:
	nbd_export_close(nbd);
	return -1;
}

const struct nbd_info *nbd_export_info(const struct nbd *nbd)
{
	return &nbd->info;
}

void nbd_export_set_limit(struct nbd *nbd, uint64_t limit_ms)
{
	nbd->limit_ms = limit_ms;
}

void nbd_export_connections(struct nbd *nbd, unsigned wanted)
{
	struct err err = ERR_INIT;

	assert(wanted <= NBD_CONNECTIONS_MOST);
	if (!nbd->uri || !nbd->info.multi_conn || nbd->lost)
		return;
	while (nbd->connection_count < wanted) {
		struct nbd_handle *h = new_handle(nbd, NULL, &err);

		if (!h)
			return;
		if (lib.nbd_aio_connect_uri(h, nbd->uri) < 0) {
			lib.nbd_close(h);
			return;
		}
		if (add_connection(nbd, h, &err) < 0)
			return;
		/* Somebody else's export by the same name would be the end of both. */
		h = nbd->connections[nbd->connection_count - 1].handle;
		if (lib.nbd_get_size(h) != (int64_t)nbd->info.bytes || lib.nbd_can_multi_conn(h) <= 0) {
			lib.nbd_close(h);
			nbd->connection_count--;
			nbd->connections[nbd->connection_count].handle = NULL;
			return;
		}
	}
}

int nbd_export_lost(const struct nbd *nbd)
{
	return nbd->lost;
}

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

/* Good manners, but not for longer than this. */
#define GOOD_BYE_MS 1000

static void say_good_bye(struct nbd *nbd)
{
	uint64_t start_ns = clock_ns();

	for (unsigned i = 0; i < nbd->connection_count; i++) {
		struct connection *c = &nbd->connections[i];

		if (c->in_flight)
			continue;
		/* The good-bye itself has to arrive. */
		give_up_at_close(lib.nbd_aio_get_fd(c->handle), false);
		if (lib.nbd_aio_disconnect(c->handle, 0) < 0)
			continue;
		while (!is_over(c) && clock_ns() - start_ns < GOOD_BYE_MS * MILLISECOND) {
			unsigned direction = lib.nbd_aio_get_direction(c->handle);
			struct pollfd fd = {
				.fd = lib.nbd_aio_get_fd(c->handle),
				.events = (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
						  (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0)),
			};

			if (poll(&fd, 1, TICK_MS) > 0 && turn_one(c->handle, fd.revents) < 0)
				break;
		}
	}
}

void nbd_export_close(struct nbd *nbd)
{
	if (!nbd)
		return;
	say_good_bye(nbd);
	for (unsigned i = 0; i < nbd->connection_count; i++)
		lib.nbd_close(nbd->connections[i].handle);
	free(nbd->name);
	free(nbd->uri);
	free(nbd);
}

#endif
