/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads and writes of a server on this host through memory that it shares with
 * us, in place of a socket that would have to carry every byte: the server is
 * told where the bytes are, and takes them from there.  It is the other side of
 * QEMU's vhost-user-blk: we are what a guest's driver and its QEMU are to it.
 *
 * Only nbd.c and nbd_commands.c use it.  What goes wrong is not told by number.
 */
#ifndef SYS_NBD_RING_H
#define SYS_NBD_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NBD_RING_REQUESTS 80	/* in flight */
#define NBD_RING_SECTOR 512U	/* offsets and lengths are multiples of it */

struct nbd_ring;
struct pollfd;

/*
 * Over a connected socket, which is taken over, and for all of the memory of
 * that descriptor, mapped at memory.  NULL: the server has no such thing, or
 * does not answer.
 */
struct nbd_ring *nbd_ring_open(int socket, void *memory, size_t size, int memory_fd, uint64_t limit_ms);

/* Is that piece in the memory, and of a size that can be asked for? */
bool nbd_ring_takes(const struct nbd_ring *ring, const void *buffer, size_t length, uint64_t offset);

/* slot: a number below NBD_RING_REQUESTS that comes back with the end of it. */
void nbd_ring_submit(struct nbd_ring *ring, unsigned slot, bool write, void *buffer, size_t length,
		     uint64_t offset);

/* What to wait for: NBD_RING_POLLS of them. */
#define NBD_RING_POLLS 2
void nbd_ring_poll(const struct nbd_ring *ring, struct pollfd *fds);

/* Forget that it has called: what has ended is asked for after that. */
void nbd_ring_hush(struct nbd_ring *ring);

/*
 * The next request that has come to its end.  1: there is one, and *ret_good
 * tells how; 0: there is none now; -1: the server breaks the rules, or has gone.
 */
int nbd_ring_next(struct nbd_ring *ring, unsigned *ret_slot, bool *ret_good);

/* Has the server gone, as poll() has it? */
bool nbd_ring_is_over(const struct pollfd *fds);

/* NULL is fine.  What is in flight may still be read or written by the server, until that ends. */
void nbd_ring_close(struct nbd_ring *ring);

#endif
