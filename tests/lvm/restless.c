/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * restless DEVICE OFFSET LENGTH: write to that range, past the page cache, and
 * change what is being written while it is: as a guest may do whose disk is not
 * cached.  What lies below may then get two versions, and both are right.  Ends
 * by SIGTERM with 0, and with 1 when a write fails.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECE (64 << 10)

static volatile sig_atomic_t over;
static volatile uint64_t *buffer;

static void end(int number)
{
	(void)number;
	over = 1;
}

/* No byte of it is ever 1, which is what a test damages bytes to. */
static void fill(uint64_t n)
{
	for (size_t i = 0; i < PIECE / sizeof(*buffer); i++)
		buffer[i] = (2 + n % 200) * 0x0101010101010101;
}

static void *change(void *unused)
{
	for (uint64_t n = 0; !over; n++, usleep(200))
		fill(n);
	return unused;
}

int main(int argc, char **argv)
{
	long long begin = argc == 4 ? atoll(argv[2]) : 0, length = argc == 4 ? atoll(argv[3]) : 0;
	int fd = length >= PIECE ? open(argv[1], O_RDWR | O_DIRECT) : -1;
	pthread_t changer;
	void *memory;

	if (fd < 0 || posix_memalign(&memory, 4096, PIECE)) {
		perror("restless");
		return 1;
	}
	buffer = memory;
	signal(SIGTERM, end);
	if (pthread_create(&changer, NULL, change, NULL))
		return 1;
	for (long long at = 0; !over; at = (at + PIECE) % (length / PIECE * PIECE)) {
		fill((uint64_t)at / PIECE);
		if (pwrite(fd, memory, PIECE, begin + at) != PIECE) {
			perror("restless");
			return 1;
		}
		usleep(1000);
	}
	pthread_join(changer, NULL);
	return 0;
}
