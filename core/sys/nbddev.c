/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NBD devices of the kernel, by its generic netlink family "nbd" and by sysfs. */
#include "sys/nbddev.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <linux/nbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/child.h"
#include "support/clock.h"
#include "support/err.h"
#include "sys/blkdev.h"
#include "sys/hash.h"
#include "sys/nbd.h"
#include "sys/program.h"
#include "sys/uuid.h"

#define ANSWER_MS 5000		/* the kernel's, over netlink */
#define MODPROBE_MS 60000
#define FLUSH_MS 120000
#define READ_MS 90000
#define GONE_MS 2000		/* udev and friends look at devices for a moment */
#define POLL_MS 20
#define BLOCK 4096

/* What the children's status says beyond the errno of opening or flushing: ... */
#define NOT_DISCONNECTED 128	/* ... plus the errno of that */

/* ---- netlink ---- */

/* Those of the kernel's headers are of type int. */
#define ATTRIBUTE_HEAD sizeof(struct nlattr)

static size_t align(size_t length)
{
	return (length + NLA_ALIGNTO - 1) & ~(size_t)(NLA_ALIGNTO - 1);
}

struct message {
	struct nlmsghdr head;
	struct genlmsghdr family;
	char attributes[512];
} __attribute__((aligned(NLMSG_ALIGNTO)));

static void begin(struct message *message, unsigned family, unsigned command, unsigned version)
{
	memset(message, 0, sizeof(*message));
	message->head.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
	message->head.nlmsg_type = (uint16_t)family;
	message->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	message->family.cmd = (uint8_t)command;
	message->family.version = (uint8_t)version;
}

/* The messages that are made here fit: all but a marker is of fixed length. */
static struct nlattr *put(struct message *message, unsigned type, const void *data, size_t length)
{
	struct nlattr *attribute = (struct nlattr *)((char *)message + align(message->head.nlmsg_len));

	attribute->nla_type = (uint16_t)type;
	attribute->nla_len = (uint16_t)(ATTRIBUTE_HEAD + length);
	if (length)
		memcpy((char *)attribute + ATTRIBUTE_HEAD, data, length);
	message->head.nlmsg_len = (uint32_t)(align(message->head.nlmsg_len) + align(attribute->nla_len));
	return attribute;
}

static void put_u64(struct message *message, unsigned type, uint64_t value)
{
	put(message, type, &value, sizeof(value));
}

static struct nlattr *nest(struct message *message, unsigned type)
{
	return put(message, type | NLA_F_NESTED, NULL, 0);
}

static void end_nest(struct message *message, struct nlattr *attribute)
{
	attribute->nla_len = (uint16_t)((char *)message + message->head.nlmsg_len - (char *)attribute);
}

/* An attribute of an answer, if there is one, as much of it as fits. */
static void find(const struct nlmsghdr *head, unsigned type, void *ret, size_t size)
{
	const char *at = (const char *)NLMSG_DATA(head) + GENL_HDRLEN;
	const char *end = (const char *)head + head->nlmsg_len;

	while (at + ATTRIBUTE_HEAD <= end) {
		const struct nlattr *attribute = (const struct nlattr *)at;
		size_t length = attribute->nla_len;

		if (length < ATTRIBUTE_HEAD || at + length > end)
			return;
		if ((attribute->nla_type & NLA_TYPE_MASK) == type) {
			length -= ATTRIBUTE_HEAD;
			memcpy(ret, at + ATTRIBUTE_HEAD, length < size ? length : size);
			return;
		}
		at += align(length);
	}
}

/*
 * Ask, and wait for the kernel's verdict: 0 or a negative errno.  What it says
 * before that, in an attribute of this type, goes to ret.
 */
static int ask(int fd, struct message *message, unsigned type, void *ret, size_t size)
{
	char answer[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t length = send(fd, message, message->head.nlmsg_len, 0);

	if (length < 0)
		return -errno;
	for (;;) {
		const struct nlmsghdr *head = (const struct nlmsghdr *)answer;

		length = recv(fd, answer, sizeof(answer), 0);
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return errno == EAGAIN ? -ETIME : -errno;
		for (size_t left = (size_t)length; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
			if (head->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(head))->error;
			if (head->nlmsg_len >= NLMSG_LENGTH(GENL_HDRLEN))
				find(head, type, ret, size);
		}
	}
}

/* The family's number, by the socket *ret_fd; or a negative errno, -ENOENT: there is none. */
static int open_family(int *ret_fd)
{
	const struct timeval limit = { .tv_sec = ANSWER_MS / 1000 };
	struct message message;
	uint16_t family = 0;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC), rc;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	begin(&message, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
	put(&message, CTRL_ATTR_FAMILY_NAME, NBD_GENL_FAMILY_NAME, sizeof(NBD_GENL_FAMILY_NAME));
	rc = ask(fd, &message, CTRL_ATTR_FAMILY_ID, &family, sizeof(family));
	if (rc < 0 || !family) {
		close(fd);
		return rc < 0 ? rc : -ENOENT;
	}
	*ret_fd = fd;
	return family;
}

/* In a child, too: system calls only. */
static int ask_disconnect(unsigned number)
{
	struct message message;
	uint32_t index = number;
	int fd = -1, family = open_family(&fd), rc;

	if (family < 0)
		return family;
	begin(&message, (unsigned)family, NBD_CMD_DISCONNECT, NBD_GENL_VERSION);
	put(&message, NBD_ATTR_INDEX, &index, sizeof(index));
	rc = ask(fd, &message, NBD_ATTR_UNSPEC, NULL, 0);
	close(fd);
	return rc;
}

/* ---- what there is ---- */

static bool modprobe(bool load)
{
	char *path = program_find("modprobe");
	const char *argv[] = { path, "-q", load ? "nbd" : "-n", load ? NULL : "nbd", NULL };
	struct program program = { .argv = argv, .timeout_ms = MODPROBE_MS };
	struct err ignored = ERR_INIT;
	enum program_end end;
	int status;
	bool done = path && program_run(&program, &end, &status, &ignored) == 0 &&
		    end == PROGRAM_EXITED && status == 0;

	free(path);
	return done;
}

const char *nbddev_missing(bool load)
{
	int fd = -1, family;

	if (geteuid() != 0)
		return "it takes root";
	family = open_family(&fd);
	if (family == -ENOENT && modprobe(load)) {
		if (!load)
			return NULL;
		family = open_family(&fd);
	}
	if (family < 0)
		return "the kernel has no NBD client (module nbd)";
	close(fd);
	return NULL;
}

static void node_path(unsigned number, char buf[static 32])
{
	snprintf(buf, 32, "/dev/nbd%u", number);
}

bool nbddev_of(unsigned number, struct nbddev *ret)
{
	char name[32], *pid, *marker, *sectors;
	dev_t dev;

	snprintf(name, sizeof(name), "nbd%u", number);
	dev = blkdev_by_name(name);
	pid = dev ? blkdev_attr(dev, "pid") : NULL;
	if (!pid)
		return false;
	free(pid);
	marker = blkdev_attr(dev, "backend");
	sectors = blkdev_attr(dev, "size");
	*ret = (struct nbddev){
		.number = number,
		.dev = dev,
		.bytes = sectors ? strtoull(sectors, NULL, 10) * 512 : 0,
	};
	snprintf(ret->marker, sizeof(ret->marker), "%s", marker ? marker : "");
	free(marker);
	free(sectors);
	return true;
}

int nbddev_each(int (*each)(const struct nbddev *device, void *data), void *data)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *entry;
	int ret = 0;

	while (dir && !ret && (entry = readdir(dir))) {
		struct nbddev device;
		unsigned number;
		char rest;

		if (sscanf(entry->d_name, "nbd%u%c", &number, &rest) == 1 && nbddev_of(number, &device))
			ret = each(&device, data);
	}
	if (dir)
		closedir(dir);
	return ret;
}

/* ---- marks ---- */

#define MARK_PREFIX "volmig:"

static const char *export_hash(const char *uri, char hex[static HASH_HEX])
{
	struct hash hash = hash_of(uri, strlen(uri));

	return hash_hex(&hash, hex);
}

void nbddev_mark(const char *uri, char ret_marker[static NBDDEV_MARKER_SIZE])
{
	char id[UUID_TEXT_SIZE], hex[HASH_HEX];

	snprintf(ret_marker, NBDDEV_MARKER_SIZE, MARK_PREFIX "%s:%s", uuid_new(id), export_hash(uri, hex));
}

bool nbddev_marked(const struct nbddev *device)
{
	return !strncmp(device->marker, MARK_PREFIX, strlen(MARK_PREFIX));
}

struct export_search {
	char hex[HASH_HEX];
	struct nbddev *ret;
};

static int match_export(const struct nbddev *device, void *data)
{
	struct export_search *search = data;
	const char *hex = strrchr(device->marker, ':');

	if (!nbddev_marked(device) || strcmp(hex + 1, search->hex))
		return 0;
	*search->ret = *device;
	return 1;
}

bool nbddev_of_export(const char *uri, struct nbddev *ret)
{
	struct export_search search = { .ret = ret };

	export_hash(uri, search.hex);
	return nbddev_each(match_export, &search);
}

/* ---- connecting ---- */

static uint64_t server_flags(const struct nbd_info *info, bool readonly)
{
	return NBD_FLAG_HAS_FLAGS |
	       (readonly || info->read_only ? (uint64_t)NBD_FLAG_READ_ONLY : 0) |
	       (info->can_flush ? (uint64_t)NBD_FLAG_SEND_FLUSH : 0) |
	       (info->can_fua ? (uint64_t)NBD_FLAG_SEND_FUA : 0) |
	       (info->can_trim ? (uint64_t)NBD_FLAG_SEND_TRIM : 0);
}

int nbddev_connect(int socket, const struct nbd_info *info, uint32_t sector, bool readonly,
		   unsigned seconds, const char *marker, struct nbddev *ret, struct err *err)
{
	struct nlattr *sockets, *item;
	struct message message;
	uint32_t fd_value = (uint32_t)socket, index = UINT32_MAX;
	int fd = -1, family = open_family(&fd), rc;
	char path[32];

	if (family < 0)
		return err_sys(err, -family, NULL, "cannot speak with the kernel's NBD client");
	/* Without an index the kernel takes a free one, or makes one. */
	begin(&message, (unsigned)family, NBD_CMD_CONNECT, NBD_GENL_VERSION);
	put_u64(&message, NBD_ATTR_SIZE_BYTES, info->bytes);
	put_u64(&message, NBD_ATTR_BLOCK_SIZE_BYTES, sector);
	put_u64(&message, NBD_ATTR_SERVER_FLAGS, server_flags(info, readonly));
	put_u64(&message, NBD_ATTR_TIMEOUT, seconds);
	/* Nobody is there to make the connection anew, so nothing waits for that. */
	put_u64(&message, NBD_ATTR_DEAD_CONN_TIMEOUT, 0);
	put(&message, NBD_ATTR_BACKEND_IDENTIFIER, marker, strlen(marker) + 1);
	sockets = nest(&message, NBD_ATTR_SOCKETS);
	item = nest(&message, NBD_SOCK_ITEM);
	put(&message, NBD_SOCK_FD, &fd_value, sizeof(fd_value));
	end_nest(&message, item);
	end_nest(&message, sockets);
	rc = ask(fd, &message, NBD_ATTR_INDEX, &index, sizeof(index));
	close(fd);
	if (rc < 0 || index == UINT32_MAX)
		return err_sys(err, rc < 0 ? -rc : EPROTO, NULL, "the kernel's NBD client refuses");
	node_path(index, path);
	if (nbddev_of(index, ret) && !strcmp(ret->marker, marker))
		return 0;
	/* It was ours a moment ago, and nobody knows of it yet. */
	ask_disconnect(index);
	return err_set(err, ERR_REFUSED, path,
		       "the kernel keeps no mark of whose device it is (it takes Linux 5.14)");
}

/* ---- letting go ---- */

struct release {
	char path[32];
	unsigned number;
	bool flush;
};

static int release_child(void *data)
{
	const struct release *release = data;
	int fd = open(release->path, O_RDWR | O_EXCL | O_CLOEXEC), rc;

	if (fd < 0 && (errno == EROFS || errno == EACCES))
		fd = open(release->path, O_RDONLY | O_EXCL | O_CLOEXEC);
	else if (fd >= 0 && release->flush && fsync(fd) < 0)
		return errno;
	if (fd < 0)
		return errno;
	/* Held until it is disconnected, so that nobody mounts it now. */
	rc = ask_disconnect(release->number);
	return rc < 0 ? NOT_DISCONNECTED + (-rc & 127) : 0;
}

static bool is_still(const struct nbddev *device)
{
	struct nbddev now;

	return nbddev_of(device->number, &now) && !strcmp(now.marker, device->marker);
}

int nbddev_disconnect(const struct nbddev *device, bool flush, struct err *err)
{
	struct release release = { .number = device->number, .flush = flush };
	int status;

	if (!is_still(device))
		return 0;
	node_path(device->number, release.path);
	if (child_run(release_child, &release, FLUSH_MS, &status) < 0) {
		err_set(err, ERR_FAILED, release.path, "cannot be flushed within %u seconds", FLUSH_MS / 1000);
		err->number = ETIME;
		return -1;
	}
	if (status == EBUSY) {
		err_set(err, ERR_REFUSED, release.path, "claimed by somebody");
		err->number = EBUSY;
		return -1;
	}
	if (status >= NOT_DISCONNECTED)
		return err_sys(err, status - NOT_DISCONNECTED, release.path, "the kernel does not disconnect it");
	if (status)
		return err_sys(err, status, release.path, "cannot be flushed, so it stays attached");
	for (unsigned ms = 0; ms < GONE_MS; ms += POLL_MS) {
		if (!is_still(device))
			return 0;
		clock_sleep_ms(POLL_MS);
	}
	return 1;
}

static int read_child(void *data)
{
	static char block[BLOCK] __attribute__((aligned(BLOCK)));
	const struct nbddev *device = data;
	size_t length = device->bytes < BLOCK ? 512 : BLOCK;
	char path[32];
	int fd;

	node_path(device->number, path);
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	return fd >= 0 && pread(fd, block, length, 0) == (ssize_t)length ? 0 : 1;
}

bool nbddev_answers(const struct nbddev *device)
{
	int status;

	return child_run(read_child, (void *)device, READ_MS, &status) == 0 && status == 0;
}
