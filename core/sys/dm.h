/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Device-mapper devices as the kernel sees them, by libdevmapper: what LVM's
 * volumes are made of, how far a mirror has come, and a pause that always ends.
 *
 * A device is named by device-mapper's own name, as below /dev/mapper; for a
 * logical volume that is dm_lv_name().  Nothing here knows of LVM's metadata.
 */
#ifndef SYS_DM_H
#define SYS_DM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

/*
 * The device's name of a logical volume: each hyphen in vg and lv doubled.
 * layer: "tpool", "real", "cow", "vpool" for what LVM puts below a volume, or
 * NULL.  Free it.
 */
char *dm_lv_name(const char *vg, const char *lv, const char *layer);

/*
 * The names of the logical volume that a device is, without asking LVM; free
 * them.  false: it is none, or only a layer of one.
 */
bool dm_lv_of(dev_t dev, char **ret_vg, char **ret_lv);

struct dm_device {
	bool exists;		/* false: there is no such device, and the rest is empty */
	bool suspended;
	bool read_only;
	dev_t dev;
	int open_count;
	char uuid[130];		/* "LVM-..." for a logical volume */
};

int dm_inspect(const char *name, struct dm_device *ret, struct err *err);

/* One line of a table, or of a status. */
struct dm_line {
	uint64_t start, length;	/* sectors of 512 bytes */
	char type[32];		/* the target: "linear", "raid", "thin-pool" */
	char *text;		/* what the target says */
};

struct dm_lines {
	struct dm_line *items;
	size_t count;
};

#define DM_LINES_INIT { 0 }

/*
 * What its targets report (dmsetup status), without flushing anything, and
 * what they are made of (dmsetup table).  ERR_FAILED with ENXIO in err->number
 * when there is no such device.
 */
int dm_status(const char *name, struct dm_lines *ret, struct err *err);
int dm_table(const char *name, struct dm_lines *ret, struct err *err);
void dm_lines_free(struct dm_lines *lines);

/* The devices that its active table stands on; free *ret_devs. */
int dm_deps(const char *name, dev_t **ret_devs, size_t *ret_count, struct err *err);

/*
 * Send a message to the target at sector (0 where there is one target).  The
 * target's answer, or NULL, goes to *ret_answer unless that is NULL; free it.
 * err->number is the kernel's errno.
 */
int dm_message(const char *name, uint64_t sector, const char *message,
	       char **ret_answer, struct err *err);

/* Resume it; one that is not suspended is success. */
int dm_resume(const char *name, struct err *err);

/*
 * Suspend it, once what was submitted is done; interrupted by a signal it is
 * as it was.  Only for those who are sure to resume it: see dm_pause_begin().
 */
int dm_suspend(const char *name, struct err *err);

/*
 * Suspend name: what was submitted is done, what comes waits.  A process of its
 * own does it, and resumes it when it is asked to by dm_pause_end(), when
 * limit_ms are over, or when this process dies, however; so nothing that this
 * process does or suffers can leave the device suspended.  The file system on
 * it is not frozen (that could wait for I/O to other paused devices).
 */
struct dm_pause;
int dm_pause_begin(const char *name, uint64_t limit_ms, struct dm_pause **ret, struct err *err);

/*
 * Resume it, and release pause (NULL is fine).  *ret_kept: it was suspended
 * until now; false: the time was over before, so what was seen meanwhile
 * proves nothing.
 */
int dm_pause_end(struct dm_pause *pause, bool *ret_kept, struct err *err);

/* ---- what some targets say; pure ---- */

/* The status of a "raid" target. */
struct dm_raid_status {
	char level[16];		/* "raid1" */
	unsigned legs;
	char health[64];	/* for each leg: 'A' alive, 'a' alive but not in sync, 'D' dead */
	uint64_t done, total;	/* sectors, of the action that is running, else both equal */
	char action[16];	/* "idle", "resync", "recover", "check", "repair", "frozen", "reshape" */
	uint64_t mismatches;	/* sectors that the last check or repair found to differ */
};

bool dm_parse_raid_status(const char *text, struct dm_raid_status *ret);

/* Of a "mirror" target: regions. */
struct dm_mirror_status {
	unsigned legs;
	char health[64];	/* for each leg: 'A', or what is wrong with it */
	uint64_t done, total;
};

bool dm_parse_mirror_status(const char *text, struct dm_mirror_status *ret);

#endif
