/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The planner as a table: what is asked for and what is there -> the refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "planning.h"
#include "support/err.h"

static const struct {
	const char *request, *source, *destination;
	enum err_class class;
	const char *cause, *next;
} refused[] = {
	/* No source. */
	{ "migrate", "nothing", "dir", ERR_REFUSED, "no such volume", "check the name" },
	{ "copy create", "nothing", "dir", ERR_REFUSED, "no such volume", "check the name" },
	{ "migrate", "dir", "dir", ERR_REFUSED, "is a directory", "a file or a block device" },
	{ "copy create", "file fs=proc", "dir", ERR_REFUSED, "what is on proc is made up", "a file or a block device" },
	{ "migrate", "file fs=sysfs", "dir", ERR_REFUSED, "what is on sysfs is made up", "a file or a block device" },
	{ "migrate", "file format=qcow2", "dir", ERR_REFUSED, "looks like a qcow2 image", "--format=raw" },
	{ "copy create", "block format=vmdk", "dir", ERR_REFUSED, "looks like a vmdk image", "--format=raw" },
	{ "migrate", "file use=mounted_on_/mnt", "dir", ERR_REFUSED, "in use: mounted on /mnt", "end that use" },
	{ "migrate", "file use=a use=b use=c", "dir", ERR_REFUSED, "in use: a, b and c", "end that use" },
	{ "copy create keep", "block use=swap", "dir", ERR_REFUSED, "in use: swap", "end that use" },

	/* No place for a new file. */
	{ "migrate", "file", "nothing path=/dev/sdx", ERR_REFUSED, "no such device", "name" },
	{ "copy", "file", "nothing path=/dev/sdx", ERR_REFUSED, "no such device", "name" },
	{ "copy create", "file", "nothing path=/dev/sdx", ERR_REFUSED, "no such device", "name" },
	{ "migrate", "file", "nothing path=/dev/mapper/x", ERR_REFUSED, "no such device", "name" },
	{ "migrate", "file", "dir path=/dev", ERR_REFUSED, "no such device", "name" },
	{ "migrate", "file", "dir path=/dev/shm", ERR_REFUSED, "no such device", "name" },
	{ "migrate", "file", "dir path=/proc", ERR_REFUSED, "below /proc", "name" },
	{ "migrate", "file", "nothing path=/sys/x", ERR_REFUSED, "below /sys", "name" },
	{ "migrate", "file", "dir dir-ro", ERR_REFUSED, "the directory is not writable", "" },
	{ "migrate", "file allocated=1073741825", "dir", ERR_REFUSED, "too little space", "free some space" },
	{ "migrate", "file", "dir free=3145727", ERR_REFUSED, "3145727 bytes) are free", "free some space" },
	{ "copy create", "file", "nothing free=0", ERR_REFUSED, "too little space", "free some space" },
	{ "copy", "file", "nothing", ERR_REFUSED, "no such volume", "--create" },
	{ "copy", "file", "dir", ERR_REFUSED, "is a directory", "--create" },
	{ "copy delta", "file", "nothing", ERR_REFUSED, "no such volume", "--create" },
	{ "copy into", "file", "nothing", ERR_REFUSED, "no such volume", "--create" },
	{ "migrate into", "file", "nothing", ERR_REFUSED, "no such volume to be overwritten", "leave --into-existing out" },
	{ "migrate delta", "file", "nothing", ERR_REFUSED, "needs a destination that exists", "leave --delta out" },
	{ "copy create delta", "file", "dir", ERR_REFUSED, "needs a destination that exists", "leave --delta out" },

	/* A destination that is there. */
	{ "migrate", "file", "file", ERR_REFUSED, "destination exists (8 MiB, no known signature)", "--into-existing" },
	{ "migrate", "file", "file holds=ext4_\"root\"", ERR_REFUSED, "destination exists (8 MiB, ext4 \"root\")", "--into-existing" },
	{ "migrate", "block", "block", ERR_REFUSED, "destination exists", "--into-existing" },
	{ "copy", "file", "block holds=crypto-LUKS", ERR_REFUSED, "destination exists (8 MiB, crypto-LUKS)", "--into-existing" },
	{ "copy", "file", "file format=qcow2", ERR_REFUSED, "destination exists (8 MiB, qcow2)", "--into-existing" },
	{ "copy delta", "file", "file holds=ext4", ERR_REFUSED, "destination exists (8 MiB, ext4)", "--into-existing" },
	{ "migrate wipe=zero", "file", "dir fs=tmpfs", ERR_USAGE, "destinations in memory", "" },
	{ "copy create", "file", "file", ERR_REFUSED, "destination exists already", "leave --create out" },
	{ "copy create into", "file", "file", ERR_REFUSED, "destination exists already", "leave --create out" },
	{ "migrate into", "file", "file bytes=8388607", ERR_REFUSED, "too small: 8388607 bytes, the source has 8388608", "at least" },
	{ "copy", "block", "block bytes=0", ERR_REFUSED, "too small", "at least" },
	{ "copy", "file", "block use=mounted_on_/mnt", ERR_REFUSED, "in use: mounted on /mnt", "end that use" },
	{ "migrate into", "file", "file use=open_for_writing_by_qemu", ERR_REFUSED, "in use: open for writing by qemu", "end that use" },
	{ "migrate into", "file", "file ro", ERR_REFUSED, "destination is read-only", "" },
	{ "copy", "file", "block ro", ERR_REFUSED, "destination is read-only", "" },

	/* The same thing twice, by whatever names; that is said before all else about the destination. */
	{ "migrate into", "file", "file path=/other dev=1 ino=101", ERR_REFUSED, "the same volume", "two different" },
	{ "migrate", "file", "file path=/other dev=1 ino=101", ERR_REFUSED, "the same volume", "two different" },
	{ "copy into", "file", "file dev=1 ino=101 bytes=5", ERR_REFUSED, "the same volume", "two different" },
	{ "copy", "block", "block path=/dev/other dev=0x810", ERR_REFUSED, "the same volume", "two different" },
	{ "copy", "block wwid=naa.5", "block wwid=naa.5", ERR_REFUSED, "the same volume", "two different" },
	{ "copy", "block path=/dev/sda sys=/sys/devices/a/block/sda",
	  "block path=/dev/sda1 sys=/sys/devices/a/block/sda/sda1", ERR_REFUSED, "one is part of the other", "two different" },
	{ "copy into", "block path=/dev/sda1 sys=/sys/devices/a/block/sda/sda1",
	  "block path=/dev/sda sys=/sys/devices/a/block/sda", ERR_REFUSED, "one is part of the other", "two different" },
	{ "copy", "file", "block path=/dev/loop0 over=101", ERR_REFUSED, "the same volume", "two different" },
	{ "copy", "block path=/dev/loop0 over=201", "file", ERR_REFUSED, "the same volume", "two different" },

	/* Methods. */
	{ "migrate method=pvmove", "file", "dir", ERR_REFUSED, "method pvmove is for logical volumes", "" },
	{ "migrate method=lvconvert", "block", "dir", ERR_REFUSED, "a block device that nobody uses", "" },
	{ "migrate method=live", "file", "dir", ERR_REFUSED, "a file that nobody uses", "" },
	{ "migrate method=reflink", "file", "dir", ERR_REFUSED, "ext4 on /srv/a cannot share", "leave --method out" },
	{ "migrate method=reflink", "file reflinks", "nothing dev=1", ERR_REFUSED, "ext4 on /srv/b cannot share", "leave --method out" },
	{ "migrate method=reflink", "file reflinks", "nothing reflinks", ERR_REFUSED, "different file systems", "leave --method out" },
	{ "migrate method=reflink force", "file reflinks", "nothing dev=1 reflinks", ERR_REFUSED, "--force-host-copy", "leave --method out" },
	{ "migrate method=reflink", "block", "dir", ERR_REFUSED, "is a block device", "leave --method out" },
	{ "migrate method=reflink into", "file reflinks", "file reflinks", ERR_REFUSED, "destination exists already", "leave --method out" },

	/* What becomes of the source. */
	{ "migrate keep wipe=zero", "file", "dir", ERR_USAGE, "contradicts --keep-source", "" },
	{ "migrate keep wipe=discard", "block", "dir", ERR_USAGE, "contradicts --keep-source", "" },
	{ "migrate verify=none wipe=zero", "file", "dir", ERR_USAGE, "--verify=none", "" },
	{ "migrate verify=none wipe=discard", "block", "dir", ERR_USAGE, "--verify=none", "" },
	{ "copy create wipe=zero", "file", "dir", ERR_USAGE, "nothing is wiped that is kept", "" },
	{ "migrate wipe=zero", "file links=2", "dir", ERR_REFUSED, "2 names (hard links)", "leave --wipe out" },
	{ "migrate wipe=discard", "file links=2", "dir", ERR_REFUSED, "2 names (hard links)", "leave --wipe out" },
	{ "migrate wipe=zero", "file ro", "dir", ERR_REFUSED, "cannot be wiped: it is read-only", "" },
	{ "migrate wipe=discard", "block ro", "dir", ERR_REFUSED, "cannot be wiped: it is read-only", "" },
	{ "migrate", "file dir-ro", "dir", ERR_REFUSED, "the source could not be removed", "" },
	{ "migrate wipe=zero", "file dir-ro", "dir", ERR_REFUSED, "the source could not be removed", "" },
	{ "migrate", "file stays=it_is_a_mount_point", "dir", ERR_REFUSED, "the source could not be removed: it is a mount point", "--keep-source" },
	{ "migrate", "file", "dir stays=append-only", ERR_REFUSED, "no volume can be made there: append-only", "" },
	{ "copy create", "file", "nothing stays=append-only", ERR_REFUSED, "no volume can be made there: append-only", "" },
};

static void what_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct plan plan;
		struct err err;

		if (planning_build(refused[i].request, refused[i].source, refused[i].destination, &plan, &err) == 0)
			fail_msg("%s, %s -> %s: is planned", refused[i].request, refused[i].source,
				 refused[i].destination);
		if (err.class != refused[i].class || !strstr(err.cause, refused[i].cause) ||
		    (*refused[i].next ? !strstr(err.next, refused[i].next) : *err.next))
			fail_msg("%s, %s -> %s: %s: %s: %s; %s", refused[i].request, refused[i].source,
				 refused[i].destination, err_class_name(err.class), err.object,
				 err.cause, err.next);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
