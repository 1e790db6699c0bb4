/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A driver for QEMU's vhost-user-blk: a queue of virtio's (1.2, 2.7 "Split
 * Virtqueues" and 5.2 "Block Device") that is set up over a socket (QEMU's
 * docs/interop/vhost-user.rst).  No more of either than this takes.  libblkio is the
 * library for that, and Debian 12 does not have it.
 */
#include "sys/nbd_ring.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/clock.h"

#define PARTS 3				/* of a request: its head, the bytes, how it ended */
#define QUEUE 256U			/* a power of two with room for all of them */
#define UNENDED 0xff			/* no status of virtio's */
#define MESSAGE_VERSION 1U

_Static_assert(NBD_RING_REQUESTS * PARTS <= QUEUE, "each request has descriptors of its own");

/* What the server sees besides the bytes. */
struct queue {
	struct vring_desc parts[QUEUE];
	struct {
		uint16_t flags, index, ring[QUEUE], event;
	} wanted;
	_Alignas(8) struct {
		uint16_t flags, index;
		struct vring_used_elem ring[QUEUE];
		uint16_t event;
	} ended;
	struct virtio_blk_outhdr heads[NBD_RING_REQUESTS];
	unsigned char status[NBD_RING_REQUESTS];
};

struct nbd_ring {
	int socket, kick, call;		/* eventfds: of ours to the server, and of its to us */
	struct queue *queue;
	const unsigned char *memory;
	size_t size;
	uint16_t wanted, seen;		/* how many were ever asked for, and have ended */
	bool flying[NBD_RING_REQUESTS];
};

/* ---- setting it up ---- */

enum message {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
};

struct head {
	uint32_t request, flags, size;
};

struct region {
	uint64_t guest_address, size, user_address, offset;
};

static bool say(int socket, enum message request, const void *payload, uint32_t size, const int *fds, size_t fd_count)
{
	struct head head = { .request = request, .flags = MESSAGE_VERSION, .size = size };
	struct iovec pieces[] = { { &head, sizeof(head) }, { (void *)payload, size } };
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = size ? 2 : 1 };
	ssize_t n;

	if (fd_count) {
		struct cmsghdr *c = &control.align;

		message.msg_control = control.room;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
	}
	do
		n = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	/* A new socket has room for all that is ever said. */
	return n == (ssize_t)(sizeof(head) + size);
}

static bool hear(int socket, void *to, size_t length, uint64_t until_ns)
{
	struct pollfd fd = { .fd = socket, .events = POLLIN };
	char *at = to;

	while (length) {
		uint64_t now = clock_ns();
		ssize_t n;

		if (now >= until_ns)
			return false;
		if (poll(&fd, 1, (int)((until_ns - now) / 1000000) + 1) < 0 && errno != EINTR)
			return false;
		n = recv(socket, at, length, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		if (n > 0) {
			at += n;
			length -= (size_t)n;
		}
	}
	return true;
}

static bool has_features(int socket, uint64_t until_ns)
{
	struct head head;
	uint64_t features;

	return say(socket, GET_FEATURES, NULL, 0, NULL, 0) && hear(socket, &head, sizeof(head), until_ns) &&
	       head.request == GET_FEATURES && head.size == sizeof(features) &&
	       hear(socket, &features, sizeof(features), until_ns) && (features >> VIRTIO_F_VERSION_1 & 1);
}

/* Addresses are ours on either side: to the server we are the guest and its QEMU. */
static bool introduce(const struct nbd_ring *ring, int memory_fd, int queue_fd, uint64_t until_ns)
{
	const uint64_t features = 1ULL << VIRTIO_F_VERSION_1, queue_number = 0;
	const struct {
		uint32_t count, padding;
		struct region regions[2];
	} memory = {
		.count = 2,
		.regions = {
			{ (uintptr_t)ring->memory, ring->size, (uintptr_t)ring->memory, 0 },
			{ (uintptr_t)ring->queue, sizeof(*ring->queue), (uintptr_t)ring->queue, 0 },
		},
	};
	const struct {
		uint32_t queue, number;
	} size = { 0, QUEUE }, base = { 0, 0 };
	const struct {
		uint32_t queue, flags;
		uint64_t parts, ended, wanted, log;
	} addresses = {
		.parts = (uintptr_t)ring->queue->parts,
		.ended = (uintptr_t)&ring->queue->ended,
		.wanted = (uintptr_t)&ring->queue->wanted,
	};
	const int fds[] = { memory_fd, queue_fd };

	return has_features(ring->socket, until_ns) && say(ring->socket, SET_OWNER, NULL, 0, NULL, 0) &&
	       say(ring->socket, SET_FEATURES, &features, sizeof(features), NULL, 0) &&
	       say(ring->socket, SET_MEM_TABLE, &memory, sizeof(memory), fds, 2) &&
	       say(ring->socket, SET_VRING_NUM, &size, sizeof(size), NULL, 0) &&
	       say(ring->socket, SET_VRING_BASE, &base, sizeof(base), NULL, 0) &&
	       say(ring->socket, SET_VRING_ADDR, &addresses, sizeof(addresses), NULL, 0) &&
	       say(ring->socket, SET_VRING_CALL, &queue_number, sizeof(queue_number), &ring->call, 1) &&
	       say(ring->socket, SET_VRING_KICK, &queue_number, sizeof(queue_number), &ring->kick, 1) &&
	       /* One that could not do as it was told (map the memory, say) does not answer any more. */
	       has_features(ring->socket, until_ns);
}

struct nbd_ring *nbd_ring_open(int socket, void *memory, size_t size, int memory_fd, uint64_t limit_ms)
{
	uint64_t until_ns = clock_ns() + limit_ms * 1000000;
	struct nbd_ring *ring = calloc(1, sizeof(*ring));
	int queue_fd = memfd_create("volmig-queue", MFD_CLOEXEC);
	void *queue = MAP_FAILED;
	bool stands;

	if (!ring)
		abort();
	/* Numbers in a queue are little-endian wherever it is (1.4): ours are the processor's own. */
	if (queue_fd >= 0 && le16toh(1) == 1 && ftruncate(queue_fd, sizeof(struct queue)) == 0)
		queue = mmap(NULL, sizeof(struct queue), PROT_READ | PROT_WRITE, MAP_SHARED, queue_fd, 0);
	*ring = (struct nbd_ring){
		.socket = socket,
		.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.queue = queue == MAP_FAILED ? NULL : queue,
		.memory = memory,
		.size = size,
	};
	stands = ring->queue && ring->kick >= 0 && ring->call >= 0 &&
		 introduce(ring, memory_fd, queue_fd, until_ns);
	if (queue_fd >= 0)
		close(queue_fd);
	if (stands)
		return ring;
	nbd_ring_close(ring);
	return NULL;
}

void nbd_ring_close(struct nbd_ring *ring)
{
	if (!ring)
		return;
	close(ring->socket);
	if (ring->kick >= 0)
		close(ring->kick);
	if (ring->call >= 0)
		close(ring->call);
	if (ring->queue)
		munmap(ring->queue, sizeof(*ring->queue));
	free(ring);
}

/* ---- requests ---- */

bool nbd_ring_takes(const struct nbd_ring *ring, const void *buffer, size_t length, uint64_t offset)
{
	const unsigned char *from = buffer;

	return from >= ring->memory && length && length <= ring->size &&
	       (size_t)(from - ring->memory) <= ring->size - length &&
	       length % NBD_RING_SECTOR == 0 && offset % NBD_RING_SECTOR == 0 && length <= UINT32_MAX;
}

void nbd_ring_submit(struct nbd_ring *ring, unsigned slot, bool write_it, void *buffer, size_t length,
		     uint64_t offset)
{
	struct queue *queue = ring->queue;
	struct vring_desc *parts = &queue->parts[slot * PARTS];
	uint16_t first = (uint16_t)(slot * PARTS);
	const uint64_t one = 1;

	queue->heads[slot] = (struct virtio_blk_outhdr){
		.type = write_it ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
		.sector = offset / NBD_RING_SECTOR,
	};
	queue->status[slot] = UNENDED;
	parts[0] = (struct vring_desc){
		.addr = (uintptr_t)&queue->heads[slot],
		.len = sizeof(queue->heads[slot]),
		.flags = VRING_DESC_F_NEXT,
		.next = (uint16_t)(first + 1),
	};
	parts[1] = (struct vring_desc){
		.addr = (uintptr_t)buffer,
		.len = (uint32_t)length,
		.flags = write_it ? VRING_DESC_F_NEXT : VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
		.next = (uint16_t)(first + 2),
	};
	parts[2] = (struct vring_desc){
		.addr = (uintptr_t)&queue->status[slot],
		.len = 1,
		.flags = VRING_DESC_F_WRITE,
	};
	ring->flying[slot] = true;
	queue->wanted.ring[ring->wanted % QUEUE] = first;
	/* Seen by the server after all of the above. */
	__atomic_store_n(&queue->wanted.index, ++ring->wanted, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* An eventfd that is full has woken the server already. */
	if (!(__atomic_load_n(&queue->ended.flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY) &&
	    write(ring->kick, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort();
}

void nbd_ring_poll(const struct nbd_ring *ring, struct pollfd *fds)
{
	fds[0] = (struct pollfd){ .fd = ring->call, .events = POLLIN };
	/* Nothing is said there any more: what comes is the end. */
	fds[1] = (struct pollfd){ .fd = ring->socket, .events = POLLIN };
}

bool nbd_ring_is_over(const struct pollfd *fds)
{
	return fds[1].revents != 0;
}

void nbd_ring_hush(struct nbd_ring *ring)
{
	uint64_t calls;

	if (read(ring->call, &calls, sizeof(calls)) < 0 && errno != EAGAIN && errno != EINTR)
		abort();
}

int nbd_ring_next(struct nbd_ring *ring, unsigned *ret_slot, bool *ret_good)
{
	const struct queue *queue = ring->queue;
	uint32_t first;

	if (__atomic_load_n(&queue->ended.index, __ATOMIC_ACQUIRE) == ring->seen)
		return 0;
	first = queue->ended.ring[ring->seen % QUEUE].id;
	if (first % PARTS || first / PARTS >= NBD_RING_REQUESTS || !ring->flying[first / PARTS])
		return -1;
	ring->seen++;
	*ret_slot = first / PARTS;
	ring->flying[*ret_slot] = false;
	*ret_good = queue->status[*ret_slot] == VIRTIO_BLK_S_OK;
	return 1;
}
