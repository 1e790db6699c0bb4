/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test guest's only program: writes self-checking records to a disk until it is told to stop.
 *
 * Kernel command line:
 *	test.disk=vda		the disk that is written to
 *	test.blocks=N		its first N blocks only (a power of two; default: all)
 *	test.start=N		the first sequence number (1)
 *	test.delay=US		between two records (0)
 *	test.paused=1		begin paused
 * Out of the console, one line each:
 *	READY disk=vda blocks=N
 *	ACK n			records up to n are on the disk and flushed
 *	ERR n errno		writing record n failed; it is tried again
 *	DISK + vdb bytes ro serial, DISK - vdb, DISK = vdb bytes	hotplug, resize
 *	PAUSED n, RUNNING n, GAP us records, BYE n	answers to keys
 * Into the console:
 *	p c	pause, continue
 *	g	tell the longest time between two flushed records since the last g
 *	q	power off
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "record.h"

static char cmdline[4096];

/* The value of name on the kernel command line, in a buffer of its own. */
static const char *option(const char *name, const char *fallback, char value[static 64])
{
	const char *at = strstr(cmdline, name);

	snprintf(value, 64, "%s", fallback);
	if (at)
		sscanf(at + strlen(name), "=%63s", value);
	return value;
}

static uint64_t number(const char *name, uint64_t fallback)
{
	char value[64];

	option(name, "", value);
	return *value ? strtoull(value, NULL, 0) : fallback;
}

static void load(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/lib/%s.ko", name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0)
		printf("MODULE %s errno=%d\n", name, errno);
	if (fd >= 0)
		close(fd);
}

/* The first word of a file; "" when there is none. */
static void read_word(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t got = fd < 0 ? 0 : read(fd, text, size - 1);

	text[got > 0 ? got : 0] = '\0';
	text[strcspn(text, " \n")] = '\0';
	if (fd >= 0)
		close(fd);
}

static void disk_attr(const char *disk, const char *attr, char *text, size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/block/%s/%s", disk, attr);
	read_word(path, text, size);
}

static uint64_t disk_size(const char *disk)
{
	char text[32];

	disk_attr(disk, "size", text, sizeof(text));
	return strtoull(text, NULL, 10) * 512;
}

/* Tells of disks that came, went or changed size since the last call. */
static void watch_disks(void)
{
	static uint64_t known[26];

	for (size_t i = 0; i < 26; i++) {
		char disk[] = "vda", ro[8], serial[64];
		uint64_t size;

		disk[2] = (char)('a' + i);
		size = disk_size(disk);
		if (size == known[i])
			continue;
		disk_attr(disk, "ro", ro, sizeof(ro));
		disk_attr(disk, "serial", serial, sizeof(serial));
		if (!size)
			printf("DISK - %s\n", disk);
		else
			printf("DISK %c %s %llu ro=%s serial=%s\n", known[i] ? '=' : '+', disk,
			       (unsigned long long)size, ro, serial);
		known[i] = size;
	}
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void must_dup(int from, int to)
{
	if (dup2(from, to) < 0)
		reboot(RB_POWER_OFF);
}

static int open_console(void)
{
	int console, out;
	struct termios tty;

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	console = open("/dev/ttyS0", O_RDWR | O_NONBLOCK | O_NOCTTY);
	if (console >= 0 && tcgetattr(console, &tty) == 0) {
		cfmakeraw(&tty);
		tcsetattr(console, TCSANOW, &tty);
		out = open("/dev/ttyS0", O_WRONLY | O_NOCTTY);
		must_dup(out, 1);
		must_dup(out, 2);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	return console;
}

/* What is being written, and how it goes. */
struct writer {
	int console;
	int disk;
	uint64_t blocks;
	uint64_t next;
	uint64_t acked;
	bool paused;
	uint64_t last_us;	/* when the last record was flushed; 0: none since it was paused */
	uint64_t gap_us;
	uint64_t gap_records;	/* since the last g */
};

static void obey(struct writer *w, char key)
{
	switch (key) {
	case 'p':
	case 'c':
		w->paused = key == 'p';
		w->last_us = 0;
		printf("%s %llu\n", w->paused ? "PAUSED" : "RUNNING", (unsigned long long)w->acked);
		break;
	case 'g':
		printf("GAP %llu %llu\n", (unsigned long long)w->gap_us,
		       (unsigned long long)w->gap_records);
		w->gap_us = w->gap_records = 0;
		break;
	case 'q':
		printf("BYE %llu\n", (unsigned long long)w->acked);
		usleep(100000);
		reboot(RB_POWER_OFF);
		break;
	}
}

static bool write_record(struct writer *w)
{
	static struct record buffer __attribute__((aligned(RECORD_SIZE)));
	uint64_t block = record_place(w->next, w->blocks), now;

	record_fill(&buffer, w->next, block);
	if (pwrite(w->disk, &buffer, RECORD_SIZE, (off_t)(block * RECORD_SIZE)) != RECORD_SIZE ||
	    fdatasync(w->disk) != 0)
		return false;
	now = now_us();
	if (w->last_us && now - w->last_us > w->gap_us)
		w->gap_us = now - w->last_us;
	w->last_us = now;
	w->gap_records++;
	w->acked = w->next++;
	return true;
}

static _Noreturn void write_records(struct writer *w, useconds_t delay)
{
	uint64_t looked = 0, told = 0;

	for (;;) {
		char key;

		if (w->console >= 0 && read(w->console, &key, 1) == 1)
			obey(w, key);
		if (now_us() - looked > 200000) {
			watch_disks();
			looked = now_us();
		}
		if (w->paused) {
			usleep(20000);
			continue;
		}
		if (!write_record(w)) {
			printf("ERR %llu %d\n", (unsigned long long)w->next, errno);
			usleep(300000);
			continue;
		}
		/* The serial line is slow; ten lines a second are enough. */
		if (now_us() - told >= 100000) {
			printf("ACK %llu\n", (unsigned long long)w->acked);
			told = now_us();
		}
		if (delay)
			usleep(delay);
	}
}

int main(void)
{
	/* virtio_ring before virtio: the other way round it does not load. */
	static const char *const modules[] = {
		"virtio_ring", "virtio", "virtio_pci_legacy_dev",
		"virtio_pci_modern_dev", "virtio_pci", "virtio_blk",
	};
	struct writer w = { .console = open_console() };
	char disk[64], path[80];
	int fd = open("/proc/cmdline", O_RDONLY);
	uint64_t all;

	if (fd < 0 || read(fd, cmdline, sizeof(cmdline) - 1) < 0)
		printf("CMDLINE errno=%d\n", errno);
	if (fd >= 0)
		close(fd);
	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
		load(modules[i]);

	option("test.disk", "vda", disk);
	snprintf(path, sizeof(path), "/dev/%s", disk);
	while ((w.disk = open(path, O_RDWR | O_DIRECT)) < 0)
		usleep(20000);
	all = disk_size(disk) / RECORD_SIZE;
	w.blocks = number("test.blocks", 0);
	if (!w.blocks || w.blocks > all)
		for (w.blocks = 1; w.blocks * 2 <= all; w.blocks *= 2)
			;
	w.next = number("test.start", 1);
	w.paused = number("test.paused", 0);
	printf("READY disk=%s blocks=%llu\n", disk, (unsigned long long)w.blocks);
	write_records(&w, (useconds_t)number("test.delay", 0));
}
