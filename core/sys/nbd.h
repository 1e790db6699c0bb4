/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exports of NBD servers, by libnbd: loaded when the first is opened, driven
 * from our own loop, and under our own time limits, for libnbd has none.
 *
 * The functions are called nbd_export_*, for libnbd has taken the shorter names.
 */
#ifndef SYS_NBD_H
#define SYS_NBD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct ioq_request;
struct ioq_result;
struct nbd;
struct pollfd;

#define NBD_CONNECTIONS_MOST 4
#define NBD_POLLS_MOST (NBD_CONNECTIONS_MOST + 2)

/* What the server says of the export. */
struct nbd_info {
	uint64_t bytes;
	uint32_t block_min;		/* offsets and lengths are multiples of it; a power of two, 1 at least */
	uint32_t block_preferred;	/* 4096 where it does not say */
	uint32_t block_max;		/* the longest read or write; 32 MiB where it does not say */
	bool read_only;
	bool can_flush, can_fua, can_trim;
	bool can_zero, can_fast_zero;
	bool multi_conn;		/* a flush on one connection is good for all of them */
	bool has_map;			/* it tells where it holds data (base:allocation) */
	bool tls;
};

/* Is it a URI that libnbd may know: nbd://, nbds://, nbd+unix://, nbds+unix://, with vsock, too? */
bool nbd_export_is_uri(const char *text);

/* Why there is no libnbd to be had, or NULL: it is loaded. */
const char *nbd_export_missing(void);

/*
 * Connect to the export that uri names.  name is what errors call it by: the
 * URI as far as it is no secret.  limit_ms is the most that connecting, and
 * each of the calls below that wait, may take; 0: for ever.  ERR_FAILED, with
 * the errno of the cause where there is one (ENOENT: no such export or socket,
 * EOPNOTSUPP: TLS is refused or required, ECONNREFUSED, ETIMEDOUT, EINTR: the
 * user asked to stop; EPROTO for what has none, as TLS handshakes).
 */
int nbd_export_open_uri(struct nbd **ret, const char *uri, const char *name, uint64_t limit_ms,
			struct err *err);

/*
 * The same over a connected stream socket, which is taken over, on failure
 * too: a private server, a program at the other end of a socket pair.
 */
int nbd_export_open_socket(struct nbd **ret, int fd, const char *export_name, const char *name,
			   uint64_t limit_ms, struct err *err);

/*
 * One connection for somebody who speaks no more than the plainest form of the
 * protocol, as the kernel does, and without TLS: it is connected and the
 * export chosen, and nothing else is to be done here but to look at its info
 * and to take its socket.
 */
int nbd_export_open_plain(struct nbd **ret, const char *uri, const char *name, uint64_t limit_ms,
			  struct err *err);

/* The socket of that one, to be closed; -1: errno.  The server hears no good-bye when nbd is closed. */
int nbd_export_take_socket(struct nbd *nbd);

const struct nbd_info *nbd_export_info(const struct nbd *nbd);

/* Another limit_ms from here on. */
void nbd_export_set_limit(struct nbd *nbd, uint64_t limit_ms);

/*
 * Have up to so many connections (NBD_CONNECTIONS_MOST at most) where the
 * server allows several and can be reached by a URI.  That fewer can be had,
 * in a short time for each, is no error.
 */
void nbd_export_connections(struct nbd *nbd, unsigned wanted);

/*
 * The server is a process of this host that takes reads and writes through
 * memory as well, by a second socket (QEMU's vhost-user-blk), which is taken over.
 */
void nbd_export_set_ring(struct nbd *nbd, int socket);
bool nbd_export_has_ring(const struct nbd *nbd);

/*
 * From here on requests of a queue whose buffers are in that memory, which is
 * all of what memory_fd is, leave it there, and the server fetches or fills it.  Once
 * for an export, and nothing is lost when the server does not want to.
 */
void nbd_export_share(struct nbd *nbd, void *memory, size_t size, int memory_fd);

/* No more of that, before the memory is anything else.  Content when it is not shared. */
void nbd_export_unshare(struct nbd *nbd);

/*
 * Each of these waits for its own end; what else is in flight goes on meanwhile.
 * -1: ERR_FAILED with the errno of the server or of the connection.  A call that is
 * not answered in time gives the connection up, with ETIME.
 */
int nbd_export_read(struct nbd *nbd, void *buffer, size_t length, uint64_t offset, struct err *err);
int nbd_export_write(struct nbd *nbd, const void *buffer, size_t length, uint64_t offset,
		     struct err *err);

/* keep: no hole is made.  1: the server cannot. */
int nbd_export_zero(struct nbd *nbd, uint64_t offset, uint64_t length, bool keep, struct err *err);

/* Everything acknowledged so far is on stable storage, or the server has no such notion. */
int nbd_export_flush(struct nbd *nbd, struct err *err);

/*
 * The next range at or after offset that may hold data, merged from what the
 * server says in pieces; *ret_start == *ret_end == bytes when only zeroes follow.
 * Without a map, or after it has failed, all is data.
 */
int nbd_export_next_data(struct nbd *nbd, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end,
			 struct err *err);

/*
 * A connection that is lost is never made anew in here: what was written and
 * not flushed may be gone with the server, and who opens it again has to know.
 * From then on everything fails with this errno; 0: it stands.
 */
int nbd_export_lost(const struct nbd *nbd);

/* Could an error of that number be one of the connection, not of the volume behind it? */
bool nbd_export_is_connection_error(int number);

/*
 * For sys/ioq: put a request into flight.  Never fails; an error comes back
 * as its result.  Flushes are good for all connections.
 */
void nbd_export_submit(struct nbd *nbd, const struct ioq_request *request);

/* Take results that have come in, in no order. */
unsigned nbd_export_results(struct nbd *nbd, struct ioq_result *results, unsigned max);

/* What to wait for, anew each time; fds has room for NBD_POLLS_MOST.  Returns how many. */
unsigned nbd_export_poll(struct nbd *nbd, struct pollfd *fds);

/* Move what can be moved after poll() has filled in what nbd_export_poll() gave. */
void nbd_export_turn(struct nbd *nbd, const struct pollfd *fds, unsigned count);

/*
 * NULL is fine.  What is in flight is forgotten, and its memory nobody's any
 * more; says good-bye to the server when nothing is.
 */
void nbd_export_close(struct nbd *nbd);

#endif
