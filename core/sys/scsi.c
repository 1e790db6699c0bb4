/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SCSI commands to a disk, by SG_IO: its identification, and who has reserved it. */
#include "sys/scsi.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <scsi/sg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/child.h"
#include "sys/blkdev.h"

#define COMMAND_MS 5000
#define LIMIT_MS 15000		/* opening it may take long, too, when its target is gone */
#define PAGE_MAX_BYTES 4096
#define RETRY_US 100000
#define OPEN_TRIES 20

#define INQUIRY 0x12
#define PERSISTENT_RESERVE_IN 0x5e
#define READ_RESERVATION 0x01
#define READ_FULL_STATUS 0x03
#define WRITE_10 0x2a
#define STATUS_RESERVATION_CONFLICT 0x18

/* What a child finds out; in memory that is shared with it. */
struct question {
	char path[64];			/* of the device */
	char known_path[2][96];		/* of what the kernel knows, for each page */
	char initiator[256];		/* iSCSI: what we are called on that disk's session; or empty */
	enum scsi_answer answer;
	uint8_t type;			/* of the reservation; 0: there is none */
	uint64_t key;
	bool conflict;
};

/* The status that the disk gave; -1: the command did not get through.  *ret_length: bytes received. */
static int command(int fd, const uint8_t *cdb, unsigned char cdb_length, void *data, unsigned length,
		   unsigned *ret_length)
{
	uint8_t sense[64];
	struct sg_io_hdr io = {
		.interface_id = 'S',
		.dxfer_direction = length ? SG_DXFER_FROM_DEV : SG_DXFER_NONE,
		.cmd_len = cdb_length,
		.mx_sb_len = sizeof(sense),
		.dxfer_len = length,
		.dxferp = data,
		.cmdp = (unsigned char *)cdb,
		.sbp = sense,
		.timeout = COMMAND_MS,
	};

	if (ioctl(fd, SG_IO, &io) < 0 || io.host_status || (io.driver_status & 0x07))
		return -1;
	if (ret_length)
		*ret_length = length - (unsigned)(io.resid > 0 ? io.resid : 0);
	return io.status;
}

/* Like command(), but not put off by the disk's news of what has happened meanwhile. */
static int command_again(int fd, const uint8_t *cdb, unsigned char cdb_length, void *data,
			 unsigned length, unsigned *ret_length)
{
	int status = -1;

	for (int i = 0; i < 4; i++) {
		status = command(fd, cdb, cdb_length, data, length, ret_length);
		/* One that did not get through may have met a session that is coming up. */
		if (status >= 0 && status != 0x02 /* CHECK CONDITION */)
			break;
		if (status < 0)
			usleep(RETRY_US);
	}
	return status;
}

static size_t read_known(const char *path, uint8_t *data)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, data, PAGE_MAX_BYTES);

	if (fd >= 0)
		close(fd);
	return n > 4 ? (size_t)n : 0;
}

/* A page as the disk sends it now against as it is known. */
static enum scsi_answer compare_page(int fd, uint8_t page, const char *known_path)
{
	uint8_t known[PAGE_MAX_BYTES], now[PAGE_MAX_BYTES];
	size_t known_length = read_known(known_path, known), length;
	uint8_t cdb[6] = { INQUIRY, 1, page, PAGE_MAX_BYTES >> 8, PAGE_MAX_BYTES & 0xff, 0 };
	unsigned received;
	int status;

	if (!known_length)
		return SCSI_UNKNOWN;
	status = command_again(fd, cdb, sizeof(cdb), now, sizeof(now), &received);
	if (status < 0)
		return SCSI_SILENT;
	if (status || received < 4 || now[1] != page)
		return SCSI_OTHER;
	length = 4 + ((size_t)now[2] << 8) + now[3];
	/* The first byte tells whether there is a device at all; kernels keep less than the whole at most. */
	if (length > received || length > known_length)
		return SCSI_OTHER;
	return memcmp(known + 1, now + 1, length - 1) ? SCSI_OTHER : SCSI_SAME;
}

static int ask(void *data)
{
	struct question *question = data;
	int fd = open(question->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	enum scsi_answer pages[2];

	/* A disk that was found just now is not open to everybody at once. */
	for (int i = 0; fd < 0 && i < OPEN_TRIES && (errno == ENXIO || errno == ENODEV || errno == ENOENT); i++) {
		usleep(RETRY_US);
		fd = open(question->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	}
	if (fd < 0) {
		question->answer = errno == ENXIO || errno == ENODEV || errno == EIO ? SCSI_SILENT : SCSI_UNKNOWN;
		return 0;
	}
	pages[0] = compare_page(fd, 0x83, question->known_path[0]);
	pages[1] = compare_page(fd, 0x80, question->known_path[1]);
	question->answer = pages[0] == SCSI_OTHER || pages[1] == SCSI_OTHER ? SCSI_OTHER :
			   pages[0] == SCSI_UNKNOWN ? pages[1] : pages[0];
	close(fd);
	return 0;
}

/* The iSCSI name in a transport id (SPC-4, 7.6.4.6), which ends with a NUL or at ",i,". */
static bool is_called(const uint8_t *id, size_t length, const char *name)
{
	size_t len = strlen(name);

	return length > 4 + len && (id[0] & 0x0f) == 5 && !memcmp(id + 4, name, len) &&
	       (id[4 + len] == '\0' || id[4 + len] == ',');
}

static size_t number_at(const uint8_t *data)
{
	return (size_t)data[0] << 24 | (size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3];
}

/*
 * Does the reservation let that initiator write: as its holder, or, of the
 * types that are for registrants, as one of them (SPC-4, 6.16.5)?
 */
static bool lets_in(int fd, uint8_t type, const char *initiator)
{
	uint8_t cdb[10] = { PERSISTENT_RESERVE_IN, READ_FULL_STATUS, 0, 0, 0, 0, 0,
			    PAGE_MAX_BYTES >> 8, PAGE_MAX_BYTES & 0xff, 0 };
	uint8_t reply[PAGE_MAX_BYTES] = { 0 };
	unsigned received = 0;
	size_t end, at = 8;

	/* What cannot be told is left to the disk, which refuses the first write. */
	if (command_again(fd, cdb, sizeof(cdb), reply, sizeof(reply), &received) != 0 || received < 8)
		return true;
	end = 8 + number_at(reply + 4);
	if (end > received)
		return true;
	while (at + 24 <= end) {
		size_t length = number_at(reply + at + 20);
		bool holds = reply[at + 12] & 1;

		if (length > end - at - 24)
			return true;
		if ((holds || type >= 5) && is_called(reply + at + 24, length, initiator))
			return true;
		at += 24 + length;
	}
	return false;
}

static int ask_reserved(void *data)
{
	struct question *question = data;
	/* Not for writing: udev would look at it anew when it is closed. */
	int fd = open(question->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	uint8_t in[10] = { PERSISTENT_RESERVE_IN, READ_RESERVATION, 0, 0, 0, 0, 0, 0, 24, 0 };
	uint8_t nothing[10] = { WRITE_10 };
	uint8_t reply[24] = { 0 };
	unsigned received = 0;

	if (fd < 0)
		return 0;
	/* Header, then one descriptor of 16 bytes: the key first, the type in its 14th. */
	if (command_again(fd, in, sizeof(in), reply, sizeof(reply), &received) == 0 && received >= 24 &&
	    reply[7] >= 16) {
		question->type = reply[21] & 0x0f;
		for (size_t i = 0; i < 8; i++)
			question->key = question->key << 8 | reply[8 + i];
		/*
		 * A write of no blocks changes nothing, and many a disk refuses
		 * it just when one of some blocks would be refused; others
		 * (LIO) are done before they look.
		 */
		question->conflict = command_again(fd, nothing, sizeof(nothing), NULL, 0, NULL) ==
				     STATUS_RESERVATION_CONFLICT ||
				     (*question->initiator && !lets_in(fd, question->type, question->initiator));
	}
	close(fd);
	return 0;
}

/* What this host is called on the session that the disk is of, if it is an iSCSI disk's. */
static void find_initiator(const char *disk, char *ret, size_t size)
{
	char link[128], *real, *at;
	unsigned session;
	FILE *file = NULL;

	snprintf(link, sizeof(link), "/sys/block/%s", disk);
	real = realpath(link, NULL);
	at = real ? strstr(real, "/session") : NULL;
	if (at && sscanf(at, "/session%u/", &session) == 1) {
		snprintf(link, sizeof(link), "/sys/class/iscsi_session/session%u/initiatorname", session);
		file = fopen(link, "re");
	}
	if (file && fgets(ret, (int)size, file))
		ret[strcspn(ret, "\n")] = '\0';
	if (file)
		fclose(file);
	free(real);
}

/* True when the child has come back; the answer is in *ret then. */
static bool question_run(dev_t rdev, int (*run)(void *data), struct question *ret)
{
	struct question *shared;
	char *name = blkdev_name(rdev), *type = blkdev_attr(rdev, "device/type");
	bool done = false;
	int status;

	/* 0: a disk of SCSI's. */
	if (!name || !type || strcmp(type, "0"))
		goto out;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		goto out;
	*shared = (struct question){ .answer = SCSI_UNKNOWN };
	snprintf(shared->path, sizeof(shared->path), "/dev/%s", name);
	snprintf(shared->known_path[0], sizeof(shared->known_path[0]), "/sys/block/%s/device/vpd_pg83", name);
	snprintf(shared->known_path[1], sizeof(shared->known_path[1]), "/sys/block/%s/device/vpd_pg80", name);
	find_initiator(name, shared->initiator, sizeof(shared->initiator));
	ret->answer = SCSI_SILENT;
	done = child_run(run, shared, LIMIT_MS, &status) == 0;
	if (done)
		*ret = *shared;
	munmap(shared, sizeof(*shared));
out:
	free(name);
	free(type);
	return done;
}

enum scsi_answer scsi_ask(dev_t rdev)
{
	struct question question = { .answer = SCSI_UNKNOWN };

	question_run(rdev, ask, &question);
	return question.answer;
}

char *scsi_reserved(dev_t rdev)
{
	static const char *const types[] = {
		[1] = "Write Exclusive", [3] = "Exclusive Access",
		[5] = "Write Exclusive, Registrants Only", [6] = "Exclusive Access, Registrants Only",
		[7] = "Write Exclusive, All Registrants", [8] = "Exclusive Access, All Registrants",
	};
	struct question question = { .answer = SCSI_UNKNOWN };
	const char *type = NULL;

	if (!question_run(rdev, ask_reserved, &question) || !question.conflict)
		return NULL;
	if (question.type < sizeof(types) / sizeof(types[0]))
		type = types[question.type];
	return text_format("reserved by another host (SCSI persistent reservation, %s, key 0x%" PRIx64 ")",
			   type ? type : "of an unknown type", question.key);
}
