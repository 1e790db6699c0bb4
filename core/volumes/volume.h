/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What things are: facts about a volume or about the place where one shall be,
 * and open volumes that can be read, written, zeroed and flushed.
 */
#ifndef VOLUMES_VOLUME_H
#define VOLUMES_VOLUME_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "support/text.h"

struct err;
struct lv_facts;
struct qemu_facts;
struct guest_use;
struct nbd;
struct qemu_daemon;
struct spec;
struct ssh;

/*
 * Everything the planner knows of one end.  Filled by volume_inspect(), which
 * only looks; journalled, and compared with a fresh look at every open, at
 * resume and before every irrevocable act.  All strings are owned.
 */
struct facts {
	char *spec;		/* as the user gave it */
	const char *kind;	/* "file", "block", "lv", "nbd", "qcow2", ...; NULL: there is nothing of that name */
	char *path;		/* canonical absolute path; where nothing exists: where it would be; remote: its URI */
	char *lun;		/* block: the iSCSI LUN that it is a disk of, as lun.h reads it; or NULL */
	char *name;		/* what a new volume of it is called; NULL: as the last part of path */

	/* Identity: what the thing is, by whatever name it was called. */
	uint64_t dev;		/* file: st_dev; block, lv: st_rdev (of an LV that is not active: 0) */
	uint64_t ino;		/* file: st_ino; block: 0 */
	uint64_t diskseq;	/* block: the kernel's count of attachments (BLKGETDISKSEQ), or 0 */
	int64_t birth_ns;	/* file: time of birth since the epoch, or 0 */
	char *wwid;		/* block: WWN, serial, partition UUID, dm UUID or md UUID; or NULL */
	char *sys_path;		/* block: canonical path below /sys/devices; or NULL */
	uint64_t backing_dev;	/* block: dev and ino of what a loop device stands on, or 0 */
	uint64_t backing_ino;

	uint64_t bytes;
	uint64_t allocated;	/* file: st_blocks * 512; block: bytes */
	int64_t mtime_ns;	/* file: last change of its data; block: 0 */
	uint64_t written;	/* block, inspected with uses: blkdev_written(); comparable within one boot */
	uint32_t sector;	/* smallest unit of direct I/O: logical sector or what the file system wants */
	bool rotational;	/* of the device below, as far as the kernel tells */
	bool no_flush;		/* a server's: it cannot be told to make durable what was written */
	bool read_only;		/* opening it for writing would fail, whatever the reason */

	/* Ownership, to be carried over; file only. */
	uint32_t mode, uid, gid;
	uint64_t links;

	char *format;		/* "qcow2", "vmdk", ...: a container by its magic; NULL: raw */
	char *signature;	/* what libblkid sees: "ext4 \"root\"", "gpt partition table"; NULL: nothing */
	struct text_list uses;	/* "mounted on /mnt", "open for writing by qemu (pid 12)", ... */
	struct guest_use *guests;	/* the domains among them, see volumes/guests.h */
	size_t guest_count;
	struct text_list overlays;	/* file, inspected for them: the images beside it that stand on it */
	char *overlays_unseen;		/* why there may be more of them there than could be seen; or NULL */

	/* The directory that the file is in, or would be in; file and nothing only. */
	char *dir;
	uint64_t dir_dev, dir_ino;
	int64_t dir_birth_ns;	/* or 0 */
	uint64_t dir_free;	/* bytes that this user may still allocate there */
	bool dir_writable;
	char *unremovable;	/* why, writable or not, it (or what is made there) stays; or NULL */
	bool reflinks;		/* the file system can share extents between files */
	char *fs_type;		/* "ext4", "xfs", ... by statfs */

	/* A logical volume (kind "lv"), or with kind NULL a place in a group; else NULL.  See lv.h. */
	struct lv_facts *lv;

	/* A volume that QEMU opens, or with kind NULL a place for one; else NULL.  See qemu.h. */
	struct qemu_facts *qemu;
	/*
	 * On another host.  "ssh": the host that we ask, and what it says; "peer":
	 * we are the one that is asked, and far is what the asking host says of
	 * its own end.  Also of a place with kind NULL there.
	 */
	char *host;		/* [user@]host[:port]; of a peer where it asks from; or NULL */
	struct facts *far;	/* or NULL */
	char *owner, *group;	/* file: names of uid and gid, in what goes to another host; or NULL */
	char *attributes;	/* and what else it has, see volumes/attributes.h; or NULL */
};

/* Is it, or would it be, on another host? */
static inline bool facts_is_far(const struct facts *facts)
{
	return facts->host != NULL;
}

/* What it is where it is. */
static inline const struct facts *facts_there(const struct facts *facts)
{
	return facts->far ? facts->far : facts;
}

void facts_free(struct facts *facts);

/*
 * The journal's form, without uses, and back.  facts_from_json() makes sure of
 * types only; it is fed from a checksummed journal.
 */
json_t *facts_to_json(const struct facts *facts);
int facts_from_json(struct facts *facts, const json_t *json, struct err *err);

/*
 * Is it the same thing?  same_boot: device numbers, diskseq and st_dev can be
 * compared, since the machine has not been restarted between the two looks.
 * Returns NULL when it is, else why it is not ("another inode: 12, was 13"), free it.
 */
char *facts_not_same(const struct facts *was, const struct facts *is, bool same_boot);

/* The same for two files, whatever is made of their bytes: raw here, an image there. */
char *facts_not_same_file(const struct facts *was, const struct facts *is, bool same_boot);

/*
 * What would a copy of it miss?  NULL when its size, a file's mtime, and what
 * was ever written to a device are as recorded, else what has changed, free it.
 */
char *facts_changed(const struct facts *was, const struct facts *is, bool same_boot);

/* Can facts_changed() tell at all?  The kernel's count for a device begins anew with each boot. */
bool facts_tell_changes(const struct facts *was, bool same_boot);

/* Do the two overlap, by whatever names: the same, or one a partition of the other? */
bool facts_overlap(const struct facts *a, const struct facts *b);

/*
 * Is it reached by a connection and not by a path?  Then only its address and
 * size are known to be its own, and its contents have to tell the rest.
 */
bool facts_remote(const struct facts *facts);

/* What a new volume of it is called. */
const char *facts_name(const struct facts *facts);

enum inspect_flags {
	INSPECT_USES = 1,	/* also find out who uses it: reads much of /proc, asks libvirt */
	INSPECT_OUTSIDE = 2,	/* not what is in it, format and signature: for a look at what was inspected before */

	/*
	 * volume_inspect_again() of a logical volume: where it is active, look
	 * at its device alone.  Whose that is, its names, size, users, and what
	 * was written to it the kernel tells (its device-mapper UUID is that of
	 * LVM's group and volume); but what only LVM knows, snapshots and tags
	 * say, is as it was.
	 */
	INSPECT_DEVICE = 4,

	/*
	 * With both of the first: the images that stand on it as well, which takes
	 * a look at each file in its directory.  (Without INSPECT_OUTSIDE they are
	 * looked for anyway.)
	 */
	INSPECT_OVERLAYS = 8,

	/*
	 * volume_inspect_again() with uses, of an RBD image: to its cluster a
	 * client that has died is there for half a minute yet, and it may be the
	 * server of the job's last run.  Wait for it to go.
	 */
	INSPECT_SETTLED = 16,
};

/*
 * Look at what spec names.  "Nothing there" is a fact, not an error (kind is
 * NULL, and dir tells where it would be), unless its directory does not exist
 * either; a directory named as such gives kind NULL with path == dir, so that
 * the planner can put a name into it.  A thing that is neither (FIFO, socket,
 * character device) is an error: ERR_REFUSED.
 */
int volume_inspect(const struct spec *spec, unsigned flags, struct facts *ret_facts,
		   struct err *err);

/*
 * The same for a canonical path recorded earlier, no part of which may have
 * become a symbolic link: ERR_REFUSED, whoever made it may mean harm.  A path
 * that does not begin with '/' is the URI of a remote volume.
 */
int volume_inspect_path(const char *path, unsigned flags, struct facts *ret_facts,
			struct err *err);

/*
 * The same for what was looked at before, whatever its names are by now: a
 * logical volume (or its group, for a place) is found again by its UUIDs, all
 * else by its path.
 */
int volume_inspect_again(const struct facts *was, unsigned flags, struct facts *ret_facts,
			 struct err *err);

/*
 * The facts of an open file or device without uses and contents, for a thing
 * that was made just now: whatever has become of its name, this is it.
 */
int volume_identify(int fd, const char *path, struct facts *ret_facts, struct err *err);

/* When the thing of that name in dir (or dir itself, name "") came into being, in ns since the epoch; 0: not known. */
int64_t volume_birth(int dir, const char *name);

/*
 * Is that open directory the one that the facts, of a file or a place, are of?
 * Without its mount another one may have its name.
 */
bool volume_is_directory(const struct facts *was, int dir, bool same_boot);

enum open_flags {
	OPEN_READ = 0,
	OPEN_WRITE = 1,
	OPEN_FRESH = 2,		/* we made it in this job: what was never written reads as zero */
	OPEN_CACHED = 4,	/* read through the page cache, which may have it */
	OPEN_FLUSHED = 8,	/* to read: all that was written to it we wrote and flushed, just now */
	OPEN_BRIEFLY = 16,	/* for a few requests: on the network by one connection, for a server may have no more */
};

/*
 * An open volume.  fd is opened with O_DIRECT where that works, and a block
 * device with O_EXCL always, so that nobody mounts it meanwhile.
 */
struct volume {
	const struct volume_ops *ops;
	char *path;
	int fd;			/* -1: there is nbd instead */
	struct nbd *nbd;	/* the connection by which a remote volume is reached; else NULL */
	struct qemu_daemon *daemon;	/* the process at the other end of that, where it is ours; else NULL */
	struct ssh *ssh;	/* what that connection goes through, of another host's volume; else NULL */
	uint32_t request_most;	/* the longest read or write that it takes, a multiple of 4096; 0: any */
	int fd_buffered;	/* file opened for writing: for a tail that direct I/O cannot write; else -1 */
	bool direct;		/* O_DIRECT works; else direct_reason says why not */
	char direct_reason[128];
	uint64_t bytes;
	uint32_t align;		/* offsets and lengths of direct I/O are multiples of it: 512 ... 65536; remote: 1 ... */
	uint32_t granularity;	/* smallest piece worth keeping as a hole: file system block, 4096 at least */
	bool rotational;
	bool fresh;		/* OPEN_FRESH, and its kind guarantees zeroes */
	bool no_flush;		/* nothing that was written is known to be durable, ever */
	bool blind;		/* no map is loaded: next_data() calls all of it data */
	struct thin_io *thin;	/* a thin volume's; or NULL */
	int zero_ways;		/* private to ops->zero(): what has been found not to work */
};

enum zero_how {
	ZERO_FREE,		/* reads as zero afterwards, space given back where that can be */
	ZERO_KEEP,		/* reads as zero afterwards, space kept (or as ZERO_FREE) */
};

/*
 * A file's time in one number: nanoseconds since the epoch, modulo 2^64.  Times
 * from December 1901 to June 2486, which is what file systems keep, are all told apart.
 */
int64_t volume_time(int64_t seconds, uint32_t nanoseconds);
struct timespec volume_timespec(int64_t time);

/* The same as nanoseconds since December 1901, for arithmetic; whole seconds are whole here, too. */
uint64_t volume_time_order(int64_t time);

struct volume_ops {
	const char *kind;	/* "file", "block", "lv": stable, journalled */

	/*
	 * Remote kinds, which are no path: the spec_kind of their names, how
	 * they are looked at, and how they are opened, by a connection.  An open
	 * that fails leaves in vol what volume_close() has to release.  Others: 0 and NULL.
	 */
	int spec_kind;
	int (*inspect)(const struct spec *spec, unsigned flags, struct facts *facts,
		       struct err *err);
	int (*open)(struct volume *vol, const struct facts *facts, unsigned flags,
		    uint64_t patience_ms, struct err *err);

	int open_flags;		/* in addition to the usual ones: O_EXCL for devices */

	/*
	 * The facts that the descriptor tells: identity, size, sector.  On
	 * failure what is filled in is the caller's to free.
	 */
	int (*identify)(int fd, struct facts *facts, struct err *err);

	/* Finish opening: fd is open, and is what facts say. */
	int (*setup)(struct volume *vol, const struct facts *facts, unsigned flags,
		     struct err *err);

	/*
	 * The next range at or after offset that may hold data; *ret_start ==
	 * *ret_end == bytes when only zeroes follow.  NULL: all is data.
	 */
	int (*next_data)(struct volume *vol, uint64_t offset, uint64_t *ret_start,
			 uint64_t *ret_end, struct err *err);

	/*
	 * Find out where the data is, where that is too dear to be done by
	 * setup(): for a volume that nobody writes to until it is closed.
	 * record is a path for what a crash must not make forgotten.  -1: there
	 * is no such map, err says why, and next_data() calls all of it data;
	 * ERR_STOPPED: do not go on.  NULL: there is nothing to be done.
	 */
	int (*load_map)(struct volume *vol, const char *record, struct err *err);

	/*
	 * May more be written, as far as what is below it has room?  Asked now
	 * and then.  ERR_STOPPED says what is full.  NULL: nothing is known.
	 */
	int (*has_room)(struct volume *vol, struct err *err);

	/* Free what setup() and load_map() have made.  May be NULL. */
	void (*release)(struct volume *vol);

	/*
	 * Zero a range, aligned to align (or ending at the end), without
	 * sending data.  Returns 1 when the medium cannot, and the caller must
	 * write zeroes instead.  What does not work is found by trying and
	 * remembered.
	 */
	int (*zero)(struct volume *vol, uint64_t offset, uint64_t length,
		    enum zero_how how, struct err *err);
};

extern const struct volume_ops file_volume_ops, block_volume_ops, lv_volume_ops, nbd_volume_ops;
extern const struct volume_ops qcow2_volume_ops, vmdk_volume_ops, vhdx_volume_ops, vdi_volume_ops;
extern const struct volume_ops rbd_volume_ops, lun_volume_ops;
extern const struct volume_ops ssh_volume_ops, peer_volume_ops;	/* on another host */

/* NULL: there is no such kind. */
const struct volume_ops *volume_ops_by_kind(const char *kind);

/*
 * Open the thing that was inspected, and make sure that it is still that
 * thing: kind, identity, size.  ERR_REFUSED when it is not, or when a block
 * device is claimed by someone (EBUSY); ERR_FAILED otherwise.
 */
int volume_open(struct volume *vol, const struct facts *facts, unsigned flags,
		bool same_boot, struct err *err);

/* The same where a server has to answer: within so long, then and later; 0: for ever. */
int volume_open_within(struct volume *vol, const struct facts *facts, unsigned flags,
		       bool same_boot, uint64_t patience_ms, struct err *err);

/* Everything written so far survives a power cut: fdatasync, or the server's word for it. */
int volume_flush(struct volume *vol, struct err *err);

/* Is the connection to a remote volume gone?  Then nothing of what was not flushed is known to be there. */
bool volume_lost(const struct volume *vol);

/*
 * One piece, aligned as vol wants it where I/O is direct, and waited for.
 * Bytes, fewer at the end only; or a negative errno.
 */
int64_t volume_read(struct volume *vol, void *buffer, size_t length, uint64_t offset);
int64_t volume_write(struct volume *vol, const void *buffer, size_t length, uint64_t offset);

/*
 * Forget the cached pages of a flushed range, so that reading comes from the
 * medium and the cache is not filled with a copy.  Costs next to nothing where
 * I/O is direct, and some file systems quietly do direct I/O through the cache.
 */
void volume_drop_cache(struct volume *vol, uint64_t offset, uint64_t length);

/* Always releases; reports the last write error where there was one.  Content with fd < 0. */
int volume_close(struct volume *vol, struct err *err);

/*
 * A process that is killed while requests are in flight keeps its files open,
 * claimed and locked until the kernel is through with them.  Who comes right
 * after it waits so long before he says that somebody else has them.
 */
#define VOLUME_RELEASE_MS 5000

#define VOLUME_INIT { .fd = -1, .fd_buffered = -1 }

#endif
