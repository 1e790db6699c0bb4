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
#include <fcntl.h>
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
#include "support/text.h"
#include "sys/nbd_calls.h"

#define BLOCK_DEFAULT 4096U
#define BLOCK_MOST (32U << 20)		/* what every server has to take, by the protocol */
#define BLOCK_MIN_MOST 65536U		/* by the protocol, too */
#define SOCKET_BUFFER (4 << 20)
#define MORE_MS 2000			/* for each connection after the first */
#define KEEPALIVE_SECONDS 10		/* of silence before the peer is asked, ... */
#define KEEPALIVE_EACH 5		/* ... and then each so many, ... */
#define KEEPALIVE_COUNT 4		/* ... so often, before it counts as gone */

struct nbd_library nbd_lib;

static pthread_once_t lib_once = PTHREAD_ONCE_INIT;
static char lib_error[256];		/* why it could not be loaded; empty: it was */

static void load(void)
{
	void *nbd = dlopen("libnbd.so.0", RTLD_NOW | RTLD_LOCAL);

	if (!nbd) {
		snprintf(lib_error, sizeof(lib_error), "libnbd cannot be loaded: %s", dlerror());
		return;
	}
#define FUNCTION(name) \
	nbd_lib.name = (__typeof__(name) *)dlsym(nbd, #name); \
	if (!nbd_lib.name) { \
		snprintf(lib_error, sizeof(lib_error), "this libnbd has no %s()", #name); \
		return; \
	}
	NBD_FUNCTIONS(FUNCTION)
#undef FUNCTION
#define FUNCTION(name) nbd_lib.name = (__typeof__(name) *)dlsym(nbd, #name);
	NBD_EXTRAS(FUNCTION)
#undef FUNCTION
}

/* ---- errors ---- */

/* What libnbd has said last, in this thread: "nbd_connect_uri: ..." without the first word. */
static int say(struct nbd *nbd, struct err *err, const char *what)
{
	const char *text = nbd_lib.nbd_get_error();
	int number = nbd_lib.nbd_get_errno();
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

int nbd_say_number(const struct nbd *nbd, struct err *err, int number, const char *what)
{
	return err_sys(err, number, nbd->name, "%s", what);
}

/* ---- the loop ---- */

void nbd_lose(struct nbd *nbd, int number)
{
	if (nbd->lost)
		return;
	nbd->lost = number;
	for (unsigned i = 0; i < nbd->connection_count; i++) {
		nbd_lib.nbd_close(nbd->connections[i].handle);
		nbd->connections[i] = (struct connection){ 0 };
	}
	nbd->connection_count = 0;
	nbd_ring_close(nbd->ring);
	nbd->ring = NULL;
	for (unsigned i = 0; i < CALLS; i++) {
		struct call *call = &nbd->calls[i];

		if (call->state != CALL_FLYING)
			continue;
		call->state = CALL_ENDED;
		call->result = -number;
		nbd->ended += !call->waited_for;
	}
}

bool nbd_is_over(const struct connection *c)
{
	return nbd_lib.nbd_aio_is_dead(c->handle) > 0 || nbd_lib.nbd_aio_is_closed(c->handle) > 0;
}

unsigned nbd_export_poll(struct nbd *nbd, struct pollfd *fds)
{
	for (unsigned i = 0; i < nbd->connection_count; i++) {
		struct nbd_handle *h = nbd->connections[i].handle;
		unsigned direction = nbd_lib.nbd_aio_get_direction(h);

		fds[i] = (struct pollfd){
			.fd = nbd_lib.nbd_aio_get_fd(h),
			.events = (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
					  (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0)),
		};
	}
	if (!nbd->ring)
		return nbd->connection_count;
	nbd_ring_poll(nbd->ring, fds + nbd->connection_count);
	return nbd->connection_count + NBD_RING_POLLS;
}

/* 0; or -1 and libnbd knows why. */
static int turn_one(struct nbd_handle *h, short events)
{
	unsigned direction = nbd_lib.nbd_aio_get_direction(h);

	/*
	 * Never both: the first may have changed what is wanted.  An error is
	 * for whichever is; one that nobody hears of would be reported for ever.
	 */
	if ((events & (POLLIN | POLLHUP | POLLERR)) && (direction & LIBNBD_AIO_DIRECTION_READ))
		return nbd_lib.nbd_aio_notify_read(h);
	if ((events & (POLLOUT | POLLHUP | POLLERR)) && (direction & LIBNBD_AIO_DIRECTION_WRITE))
		return nbd_lib.nbd_aio_notify_write(h);
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
			number = nbd_lib.nbd_get_errno();
		if (nbd_is_over(c)) {
			nbd_lose(nbd, nbd_export_is_connection_error(number) ? number : ENOTCONN);
			return;
		}
	}
	if (!nbd->ring || count != nbd->connection_count + NBD_RING_POLLS)
		return;
	fds += nbd->connection_count;
	if (fds[0].revents)
		nbd_ring_hush(nbd->ring);
	nbd_ring_ended(nbd);
	if (nbd_ring_is_over(fds))
		nbd_lose(nbd, ENOTCONN);
}

void nbd_wait_turn(struct nbd *nbd, int timeout_ms)
{
	struct pollfd fds[NBD_POLLS_MOST];
	unsigned count = nbd_export_poll(nbd, fds);

	if (poll(fds, count, timeout_ms) > 0)
		nbd_export_turn(nbd, fds, count);
}

/* ---- opening and closing ---- */

static struct nbd_handle *new_handle(struct nbd *nbd, const char *export_name, struct err *err)
{
	struct nbd_handle *h = nbd_lib.nbd_create();

	if (h && nbd_lib.nbd_set_debug(h, false) == 0 &&
	    nbd_lib.nbd_set_uri_allow_local_file(h, true) == 0 &&
	    (!nbd_lib.nbd_set_pread_initialize || nbd_lib.nbd_set_pread_initialize(h, false) == 0) &&
	    (nbd->plain ? nbd_lib.nbd_set_request_structured_replies(h, false) :
			  nbd_lib.nbd_add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION)) == 0 &&
	    (!export_name || nbd_lib.nbd_set_export_name(h, export_name) == 0))
		return h;
	say(nbd, err, "cannot set up a connection");
	if (h)
		nbd_lib.nbd_close(h);
	return NULL;
}

/* Wait until the newest connection stands. */
static int connect_through(struct nbd *nbd, struct nbd_handle *h, struct err *err)
{
	uint64_t start_ns = clock_ns();

	while (nbd_lib.nbd_aio_is_ready(h) <= 0) {
		unsigned direction = nbd_lib.nbd_aio_get_direction(h);
		struct pollfd fd = {
			.fd = nbd_lib.nbd_aio_get_fd(h),
			.events = (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
					  (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0)),
		};

		if (nbd_lib.nbd_aio_is_dead(h) > 0)
			return say(nbd, err, "cannot connect");
		if (nbd_lib.nbd_aio_is_closed(h) > 0)
			return nbd_say_number(nbd, err, ECONNABORTED, "cannot connect");
		if (poll(&fd, 1, TICK_MS) > 0 && turn_one(h, fd.revents) < 0)
			return say(nbd, err, "cannot connect");
		if (interrupt_requested()) {
			err_set(err, ERR_STOPPED, nbd->name, "%s", interrupt_reason());
			err->number = EINTR;
			return -1;
		}
		if (nbd->limit_ms && clock_ns() - start_ns > nbd->limit_ms * MILLISECOND)
			return nbd_say_number(nbd, err, ETIMEDOUT, "the server does not answer");
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
		nbd_lib.nbd_close(h);
		return -1;
	}
	tune_socket(nbd_lib.nbd_aio_get_fd(h));
	nbd->connections[nbd->connection_count++].handle = h;
	return 0;
}

static uint32_t block_size(struct nbd_handle *h, int which, uint32_t otherwise)
{
	int64_t size = nbd_lib.nbd_get_block_size ? nbd_lib.nbd_get_block_size(h, which) : 0;

	return size > 0 && size <= UINT32_MAX ? (uint32_t)size : otherwise;
}

static int look(struct nbd *nbd, struct err *err)
{
	struct nbd_handle *h = nbd->connections[0].handle;
	struct nbd_info *info = &nbd->info;
	int64_t bytes = nbd_lib.nbd_get_size(h);

	if (bytes < 0)
		return say(nbd, err, "the server does not tell its size");
	*info = (struct nbd_info){
		.bytes = (uint64_t)bytes,
		.block_min = block_size(h, LIBNBD_SIZE_MINIMUM, 1),
		.block_preferred = block_size(h, LIBNBD_SIZE_PREFERRED, BLOCK_DEFAULT),
		.block_max = block_size(h, LIBNBD_SIZE_MAXIMUM, BLOCK_MOST),
		.read_only = nbd_lib.nbd_is_read_only(h) > 0,
		.can_flush = nbd_lib.nbd_can_flush(h) > 0,
		.can_fua = nbd_lib.nbd_can_fua(h) > 0,
		.can_trim = nbd_lib.nbd_can_trim(h) > 0,
		.can_zero = nbd_lib.nbd_can_zero(h) > 0,
		.can_fast_zero = nbd_lib.nbd_can_fast_zero(h) > 0,
		.multi_conn = nbd_lib.nbd_can_multi_conn(h) > 0,
		.has_map = nbd_lib.nbd_can_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0,
		.tls = nbd_lib.nbd_get_tls_negotiated(h) > 0,
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
	nbd->ring_socket = -1;
	return nbd;
}

/* What both ways to open have in common from there on; h is handed over.  status: of libnbd's call that began it. */
static int finish_open(struct nbd **ret, struct nbd *nbd, struct nbd_handle *h, int status, struct err *err)
{
	if (status < 0) {
		say(nbd, err, "cannot connect");
		nbd_lib.nbd_close(h);
	} else if (add_connection(nbd, h, err) == 0 && look(nbd, err) == 0) {
		*ret = nbd;
		return 0;
	}
	nbd_export_close(nbd);
	return -1;
}

static int open_uri(struct nbd **ret, const char *uri, bool plain, const char *name,
		    uint64_t limit_ms, struct err *err)
{
	struct nbd *nbd = new_export(uri, name, limit_ms, err);
	struct nbd_handle *h;

	if (nbd)
		nbd->plain = plain;
	h = nbd ? new_handle(nbd, NULL, err) : NULL;
	if (!h) {
		nbd_export_close(nbd);
		return -1;
	}
	return finish_open(ret, nbd, h, nbd_lib.nbd_aio_connect_uri(h, uri), err);
}

int nbd_export_open_uri(struct nbd **ret, const char *uri, const char *name, uint64_t limit_ms,
			struct err *err)
{
	return open_uri(ret, uri, false, name, limit_ms, err);
}

int nbd_export_open_plain(struct nbd **ret, const char *uri, const char *name, uint64_t limit_ms,
			  struct err *err)
{
	return open_uri(ret, uri, true, name, limit_ms, err);
}

int nbd_export_take_socket(struct nbd *nbd)
{
	struct nbd_handle *h = nbd->connections[0].handle;
	int fd = fcntl(nbd_lib.nbd_aio_get_fd(h), F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return -1;
	/* Closed without a word: what is said on that socket from now on is not ours to say. */
	nbd_lib.nbd_close(h);
	nbd->connections[0] = (struct connection){ 0 };
	nbd->connection_count = 0;
	return fd;
}

int nbd_export_open_socket(struct nbd **ret, int fd, const char *export_name, const char *name,
			   uint64_t limit_ms, struct err *err)
{
	struct nbd *nbd = new_export(NULL, name, limit_ms, err);
	struct nbd_handle *h = nbd ? new_handle(nbd, export_name, err) : NULL;

	if (!h) {
		close(fd);
		nbd_export_close(nbd);
		return -1;
	}
	/* From here on the descriptor is libnbd's. */
	return finish_open(ret, nbd, h, nbd_lib.nbd_aio_connect_socket(h, fd), err);
}

const struct nbd_info *nbd_export_info(const struct nbd *nbd)
{
	return &nbd->info;
}

void nbd_export_set_limit(struct nbd *nbd, uint64_t limit_ms)
{
	nbd->limit_ms = limit_ms;
}

/* One more; or there can be none, or no other than to another export. */
static bool connect_more(struct nbd *nbd)
{
	struct err err = ERR_INIT;
	struct nbd_handle *h = new_handle(nbd, NULL, &err);

	if (!h)
		return false;
	if (nbd_lib.nbd_aio_connect_uri(h, nbd->uri) < 0) {
		nbd_lib.nbd_close(h);
		return false;
	}
	if (add_connection(nbd, h, &err) < 0)
		return false;
	/* Somebody else's export by the same name would be the end of both. */
	h = nbd->connections[nbd->connection_count - 1].handle;
	if (nbd_lib.nbd_get_size(h) == (int64_t)nbd->info.bytes && nbd_lib.nbd_can_multi_conn(h) > 0)
		return true;
	nbd_lib.nbd_close(h);
	nbd->connection_count--;
	nbd->connections[nbd->connection_count].handle = NULL;
	return false;
}

void nbd_export_connections(struct nbd *nbd, unsigned wanted)
{
	uint64_t limit_ms = nbd->limit_ms;

	assert(wanted <= NBD_CONNECTIONS_MOST);
	if (!nbd->uri || !nbd->info.multi_conn || nbd->lost)
		return;
	/* A server that takes no more clients lets the next one wait without a word; nothing depends on it. */
	if (!limit_ms || limit_ms > MORE_MS)
		nbd->limit_ms = MORE_MS;
	while (nbd->connection_count < wanted && connect_more(nbd))
		;
	nbd->limit_ms = limit_ms;
}

/* ---- memory in common ---- */

#define RING_MS 5000		/* for a server that has greeted us */

void nbd_export_set_ring(struct nbd *nbd, int socket)
{
	nbd->ring_socket = socket;
}

bool nbd_export_has_ring(const struct nbd *nbd)
{
	return nbd->ring_socket >= 0;
}

void nbd_export_share(struct nbd *nbd, void *memory, size_t size, int memory_fd)
{
	if (nbd->ring_socket < 0 || nbd->lost)
		return;
	nbd->ring = nbd_ring_open(nbd->ring_socket, memory, size, memory_fd, RING_MS);
	nbd->ring_socket = -1;
}

void nbd_export_unshare(struct nbd *nbd)
{
	nbd_ring_close(nbd->ring);
	nbd->ring = NULL;
}

int nbd_export_lost(const struct nbd *nbd)
{
	return nbd->lost;
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
		give_up_at_close(nbd_lib.nbd_aio_get_fd(c->handle), false);
		if (nbd_lib.nbd_aio_disconnect(c->handle, 0) < 0)
			continue;
		while (!nbd_is_over(c) && clock_ns() - start_ns < GOOD_BYE_MS * MILLISECOND) {
			unsigned direction = nbd_lib.nbd_aio_get_direction(c->handle);
			struct pollfd fd = {
				.fd = nbd_lib.nbd_aio_get_fd(c->handle),
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
		nbd_lib.nbd_close(nbd->connections[i].handle);
	nbd_export_unshare(nbd);
	if (nbd->ring_socket >= 0)
		close(nbd->ring_socket);
	free(nbd->name);
	free(nbd->uri);
	free(nbd);
}

#endif
