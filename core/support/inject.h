/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults on request, in builds made with INJECT=1 only: the environment
 * variable VOLMIG_INJECT holds WHAT:NUMBER[,WHAT:NUMBER...].
 *
 *   kill-before-record:N   SIGKILL itself before the Nth journal record is written
 *   kill-torn-record:N     write half of the Nth journal record, then SIGKILL
 *   kill-after-record:N    SIGKILL itself once the Nth journal record is durable
 *   journal-short:N        only half of the Nth journal record gets to the file, which fails (EIO)
 *   journal-lost:N         all of it does, but cannot be made durable
 *   kill-at-byte:N         SIGKILL itself when N bytes of a phase are done
 *   kill-empty:1           SIGKILL itself when a file is emptied that is copied to anew
 *   read-eio:N             the read of the source that covers offset N fails
 *   write-eio:N            the write to the destination that covers N fails
 *   write-enospc:N         the same, with ENOSPC
 *   short-read:N           the read that covers N brings only half of what it should
 *   short-write:N          the same for the write
 *   flip-write:N           the byte at offset N is damaged after it was hashed
 *   verify-eio:N           the read-back of the destination that covers N fails
 *   kill-attach:1          SIGKILL itself once the record of an attachment is durable
 *   kill-attach:2          the same, once its loop device is made
 *   kill-detach:1          the same, once its loop device is released
 *   kill-attach:1-7        for a LUN: once the login is recorded, its node record is made, it is
 *                          logged in, that is recorded, the LUN is recorded, its disk is
 *                          there, that is recorded
 *   kill-detach:1-5        for a LUN: once it is flushed, its map is gone, its disk is gone, its
 *                          session is logged out, the node record is deleted
 *   kill-node:1            for a LUN: once the secrets are written, and not yet used
 *   kill-attach:1-2        for an export: once it is recorded, its device is connected
 *   kill-detach:1          for an export: once its device is disconnected
 *   nbd-silence:N          a device of the kernel's waits for N seconds for its server
 *   serve-silence:N        the far side waits for N seconds for a word of the near one
 *   far-limit:N            the far side may be silent for N milliseconds
 *   now:N                  the wall clock showed N seconds since the epoch when it was first asked
 *   kill-repoint:1         SIGKILL itself before a domain's definition gets its disk's new source
 *   kill-repoint:2         the same, right after it
 *   kill-lvm:N           LVM's process dies as its Nth command begins
 *   kill-lvconvert:1     ... as each lvconvert does; kill-pvmove:1 likewise
 *   kill-from-lvconvert:1  ... as the first lvconvert does, and each command after it
 *   kill-lvm-from:N      ... and as each one after it does
 *   lvm-timeout:N        an LVM command that is silent for N milliseconds is stuck
 *   lvm-grace:N          ... and may take N milliseconds to end when it is asked to
 *   scrub-cut:1          no check of legs is taken for a whole one
 *   scrub-rounds:N       after N checks legs that still differ are taken to do so for good
 *   kill-suspend:1         SIGKILL itself before a domain is suspended to move several of its disks;
 *                          2: when it is, 3: when it goes on
 *   kill-pivot:N           the same before (1, 3, 5, ...) and after (2, 4, 6, ...) the pivot of each disk
 *   stop-pivot:N           stop itself (SIGSTOP) before the pivot of the Nth disk
 *   stop-lvremove:1        the same before a logical volume is removed
 *   stop-batch:1           the same before a batch is locked
 *   stop-end:0             ... when a move of a batch has told that it is done; 1: that it is not
 *   settle-limit:N         wait N milliseconds only for a libvirt that is silent around a pivot
 *   virt-limit:N           wait N milliseconds for libvirt to say who uses a volume
 *   kill-server:1          a server of QEMU's is killed where it would be asked to end
 *   without-zstd:1         this volmig has no libzstd
 *   damage-frame:N         the Nth frame that each compressed channel sends says something that cannot be
 *   slow:N                 wait N microseconds at each MiB, so that a test can catch it half-way
 *
 * With /proc/sysrq-trigger in the environment variable VOLMIG_INJECT_DIE it is
 * the whole machine that dies at that instant: for guests that are made for it.
 *
 * A record is counted from 1 over all that this process writes.  Each I/O
 * fault fires once.  In release builds every call is a constant.
 */
#ifndef SUPPORT_INJECT_H
#define SUPPORT_INJECT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef VOLMIG_INJECT

/* Is WHAT asked for?  Its number goes to *ret_number. */
bool inject_number(const char *what, uint64_t *ret_number);

/* SIGKILL to ourselves when WHAT is asked for at exactly this number. */
void inject_kill_at(const char *what, uint64_t number);

/* ... when number has reached or passed it. */
void inject_kill_past(const char *what, uint64_t number);

/* Stop ourselves, until somebody sends SIGCONT. */
void inject_stop_at(const char *what, uint64_t number);

/* Does [offset, offset + length) cover the number of WHAT?  True once. */
bool inject_covers(const char *what, uint64_t offset, uint64_t length);

/* Sleep when slow:N is asked for. */
void inject_slow(void);

_Noreturn void inject_die(void);

#else

static inline bool inject_number(const char *what, uint64_t *ret_number)
{
	(void)what;
	(void)ret_number;
	return false;
}

static inline void inject_kill_at(const char *what, uint64_t number)
{
	(void)what;
	(void)number;
}

static inline void inject_kill_past(const char *what, uint64_t number)
{
	(void)what;
	(void)number;
}

static inline void inject_stop_at(const char *what, uint64_t number)
{
	(void)what;
	(void)number;
}

static inline bool inject_covers(const char *what, uint64_t offset, uint64_t length)
{
	(void)what;
	(void)offset;
	(void)length;
	return false;
}

static inline void inject_slow(void)
{
}

static inline void inject_die(void)
{
}

#endif
#endif
