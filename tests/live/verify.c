/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verify IMAGE BLOCKS ACKED [START]: is every record that the guest said was
 * flushed (START to ACKED) on IMAGE, in its place, whole, and not replaced by an
 * older one?  Exit status: 0 yes, 1 no, 2 it cannot be read.
 *
 * IMAGE is read past the page cache, and may be written to meanwhile: a block
 * that looks torn is read again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record.h"

#define TORN_TRIES 20

static struct record r __attribute__((aligned(RECORD_SIZE)));

struct counts {
	uint64_t good, empty, lost, stale, torn, newest;
};

static int read_block(int fd, const char *image, uint64_t block)
{
	ssize_t got = pread(fd, &r, RECORD_SIZE, (off_t)(block * RECORD_SIZE));

	if (got == RECORD_SIZE)
		return 0;
	fprintf(stderr, "verify: %s: block %llu: %s\n", image, (unsigned long long)block,
		got < 0 ? strerror(errno) : "end of image");
	return -1;
}

/* latest: the record that was acknowledged last for this block, or 0. */
static int check_block(int fd, const char *image, uint64_t block, uint64_t latest,
		       struct counts *counts)
{
	static struct record want;

	for (int i = 0; i < TORN_TRIES; i++) {
		if (read_block(fd, image, block) < 0)
			return -1;
		if (r.magic != RECORD_MAGIC) {
			*(latest ? &counts->lost : &counts->empty) += 1;
			return 0;
		}
		record_fill(&want, r.sequence, block);
		if (!memcmp(&r, &want, RECORD_SIZE)) {
			*(r.sequence < latest ? &counts->stale : &counts->good) += 1;
			if (r.sequence > counts->newest)
				counts->newest = r.sequence;
			return 0;
		}
		usleep(10000);
	}
	counts->torn++;
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t blocks, acked, start, first, *latest;
	struct counts counts = { 0 };
	int fd;

	if (argc < 4 || argc > 5) {
		fprintf(stderr, "usage: verify IMAGE BLOCKS ACKED [START]\n");
		return 2;
	}
	blocks = strtoull(argv[2], NULL, 0);
	acked = strtoull(argv[3], NULL, 0);
	start = argc > 4 ? strtoull(argv[4], NULL, 0) : 1;
	fd = open(argv[1], O_RDONLY | O_DIRECT);
	if (fd < 0 && errno == EINVAL)
		fd = open(argv[1], O_RDONLY);
	latest = calloc(blocks ? blocks : 1, sizeof(*latest));
	if (fd < 0 || !latest || !blocks || acked < start) {
		fprintf(stderr, "verify: %s: %s\n", argv[1],
			fd < 0 ? strerror(errno) : "nothing to verify");
		return 2;
	}
	first = acked - start >= blocks ? acked - blocks + 1 : start;
	for (uint64_t n = first; n <= acked; n++)
		latest[record_place(n, blocks)] = n;
	for (uint64_t b = 0; b < blocks; b++)
		if (check_block(fd, argv[1], b, latest[b], &counts) < 0)
			return 2;
	printf("good=%llu empty=%llu lost=%llu stale=%llu torn=%llu acked=%llu newest=%llu\n",
	       (unsigned long long)counts.good, (unsigned long long)counts.empty,
	       (unsigned long long)counts.lost, (unsigned long long)counts.stale,
	       (unsigned long long)counts.torn, (unsigned long long)acked,
	       (unsigned long long)counts.newest);
	free(latest);
	close(fd);
	return counts.lost || counts.stale || counts.torn ? 1 : 0;
}
