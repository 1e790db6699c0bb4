/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a job moves, and the steps it is made of.  The planner picks steps from
 * the table in move.c; the runner calls them in order, and journals around
 * each.  A step never sees the journal, nor another step.
 */
#ifndef ENGINES_STEP_H
#define ENGINES_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engines/block_copy.h"
#include "engines/far_move.h"
#include "engines/lvm_move.h"
#include "engines/cold_move.h"
#include "engines/online_move.h"
#include "sys/hash.h"
#include "sys/uuid.h"
#include "volumes/volume.h"

struct err;
struct throttle;

enum verify_mode {
	VERIFY_FULL,		/* read the destination back from the medium, compare hashes */
	VERIFY_NONE,
};

/* After a method has failed and was undone: may another one go on? */
enum go_on {
	GO_ON_ANY,
	GO_ON_PROVING,		/* one that proves what it has done: the target did not keep what it was given */
	GO_ON_NEVER,		/* somebody else has a hand in it */
};

enum wipe_mode {
	WIPE_NONE,
	WIPE_ZERO,		/* overwrite what the source has allocated with zeroes */
	WIPE_DISCARD,		/* give its blocks back: punch or discard, reads as zero after */
};

enum live_api {
	LIVE_API_AUTO,		/* BlockCopy, or where that is not to be had BlockRebase */
	LIVE_API_COPY,
	LIVE_API_REBASE,
};

/* The disk of a running domain that is moved under it; uuid NULL: no such. */
struct live_move {
	char *uri;			/* of libvirt; NULL: its default */
	char *uuid, *domain;		/* the domain, and its name */
	char *target;			/* the disk: "vda" */
	char *old_path, *new_path;	/* what libvirt calls the two volumes */
	char *old_name;			/* a source on the network: what we call it; else NULL */
	char *new_source;		/* a destination on the network: its <source> element; else NULL */
	bool persistent;
	char *definition;		/* a hash of it, without where the disk's bytes are; NULL: not persistent */
	uint64_t bytes;			/* the size that the guest sees */
	uint64_t window;		/* so much of a larger destination becomes the disk; 0: all of it */
	enum live_api api;
	bool sync_writes;
	bool hold;			/* stay mirrored until resumed */
	uint32_t granularity;		/* 0: QEMU's choice */
	uint64_t max_pause_ms;		/* the guest may be suspended so long to compare; 0: never */
};

void live_move_free(struct live_move *live);
json_t *live_move_to_json(const struct live_move *live);
void live_move_from_json(struct live_move *live, const json_t *json);

/* One move, as planned and journalled; the same from its first step to its last. */
struct move {
	struct facts source;
	struct facts destination;	/* what was there when it was planned: a volume, or nothing */

	bool create;			/* the job makes the destination, a file or (lvm.create) a logical volume */
	char *name;			/* create: its name in destination.dir */
	char *temp_name;		/* create: its name there until it is published */
	uint64_t new_bytes;		/* create: its size, where that is not the source's; else 0 */

	enum verify_mode verify;
	bool sparse;
	bool delta;
	bool remove;			/* remove the source in the end (a file or a logical volume) */
	enum wipe_mode wipe;		/* wipe it before that */
	uint64_t bytes_per_second;	/* 0: no limit */
	uint64_t stall_ms;		/* 0: no limit */
	struct live_move live;

	struct lvm_move lvm;
	struct cold_move cold;		/* the source is a shut-off domain's disk */
	struct far_move far;		/* one of the ends is on another host; far.host NULL: none is */
	struct online_move online;	/* inside a volume group; online.vg NULL: it is none */
};

/* How many bytes are to be moved: the source's, or what of it the guest sees. */
uint64_t move_bytes(const struct move *move);

void move_free(struct move *move);
json_t *move_to_json(const struct move *move);
int move_from_json(struct move *move, const json_t *json, struct err *err);

/* How far a guest's disk is with its pivot, as far as we know: look. */
enum pivot_record {
	PIVOT_NOT_CALLED,
	PIVOT_CALLED,
	PIVOT_DONE,
};

/* What a run of steps has found out so far; journalled when a step is done. */
struct progress_record {
	struct facts target;		/* the destination being written: what create-file made, or destination */
	struct mark mark;		/* the copy, as far as it is durable */
	uint64_t copy_ns;		/* time spent copying, over all runs */
	uint64_t verify_ns;
	struct waits waits;	/* of the copy, over all runs */
	/* Of a source that was activated for the job, or is copied since another start of the machine: */
	uint64_t source_diskseq;	/* which activation, */
	uint64_t source_written;	/* what was written to it by then; 0: not known, */
	char source_boot[UUID_TEXT_SIZE];	/* and since which start of the machine that is counted */
	uint64_t resumed_at;		/* where the last resume took the copy up */
	uint64_t rewritten;		/* delta: bytes that differed */
	uint64_t wire_raw, wire_bytes;	/* compressed on their way: before, and what went over the line, both ways */
	uint64_t allocated_after;
	struct hash leaf;		/* of a volume that has no more than one: see leaves_open() */
	char tree_hash[33];		/* empty: not known */
	bool verified;
	bool source_stays;		/* not removed after all: as was asked for, or by its host, which had given its part up */
	bool wipe_begun;		/* of the source's bytes some may be zero by now */
	bool wipe_skipped;		/* ... and no more of them, as was asked for */
	char verified_boot[UUID_TEXT_SIZE];	/* since which start of the machine target.written counts */
	struct online_record online;
	enum go_on go_on;		/* of a step that failed; not journalled: see job_begin_retreat() */
	bool flushed;			/* by this process: see OPEN_FLUSHED; not journalled */
	bool unwritten;			/* the copy, begun by this process, could not open its ends; not journalled */
	bool cloned;			/* by reflink: nothing was copied */
	uint64_t live_compared;		/* a guest's disk: so many bytes were compared before the pivot */
	enum pivot_record pivot;
	bool single_connection;		/* the destination's server takes one client at a time, which QEMU is */
	uint64_t pivot_ns;		/* from the first pivot's call until all were back */
	bool suspended;			/* the guest stands still, or is about to, because of us */
	uint64_t suspended_ns;		/* so long it stood still for the pivots */
	struct text_list notes;		/* fall-backs and the like, for the receipt */
};

void progress_record_free(struct progress_record *record);
json_t *progress_record_to_json(const struct progress_record *record);
int progress_record_from_json(struct progress_record *record, const json_t *json, struct err *err);
json_t *mark_to_json(const struct mark *mark);
struct mark mark_from_json(const json_t *json);

/* One of the volumes that a job moves, and what has become of it. */
struct step_part {
	const struct move *move;
	struct progress_record *record;
};

struct step_context {
	const char *job_id;
	const char *job_dir;		/* for what the step keeps of this move */
	const struct move *move;
	struct progress_record *record;
	/* All that the step is done to: move and record, or where it is joint all of the job's; parts[0] are those two. */
	const struct step_part *parts;
	size_t part_count;
	bool same_boot;			/* the move was planned since the machine started */
	bool again;			/* an earlier run had begun this very step */
	bool written;			/* an earlier run may have written to the destination */
	bool committed;			/* the point of no return is behind */
	bool keep_source;		/* it is neither wiped nor removed after all */
	bool forget;			/* undo: leave behind what cannot be reached */
	struct monitor *mon;
	struct throttle *throttle;	/* how fast, as it is wanted now; NULL: as the move says */
};

enum step_result {
	STEP_DONE,		/* it happened, and it is durable */
	STEP_UNDONE,		/* it failed and can be rolled back with all before it */
	STEP_STOPPED,		/* it stopped; going on later is possible and wanted */
	STEP_UNSURE,		/* it failed part-way: touch nothing more, tell the user */
};

struct step_ops {
	const char *name;	/* stable: journalled, and part of the plan's JSON */
	const char *state;	/* the job's state once it is done; NULL: unchanged */
	const char *doing;	/* the job's state while it runs; NULL: unchanged */
	bool irrevocable;	/* from here on there is only forward */
	bool looks_only;	/* changes nothing: that it begins need not be durable before it does */
	bool joint;		/* of a job that moves several volumes: done once, to all of them */

	/*
	 * Do it, or find that it is done already: after a crash it is called
	 * again, and must look at what is there (the runner does not know how
	 * far it had come).
	 */
	enum step_result (*run)(struct step_context *ctx, struct err *err);

	/*
	 * Take it back; may be called twice, and when run() never was.  Touches
	 * only what is provably ours.  NULL: there is nothing to take back.
	 */
	int (*undo)(struct step_context *ctx, struct err *err);

	/*
	 * Asked before an abort of a job that had begun it, done or not: may it
	 * be taken back?  ERR_REFUSED when it has happened and is irrevocable, ERR_UNSURE
	 * when nobody can tell.  NULL: always.
	 */
	int (*may_undo)(struct step_context *ctx, struct err *err);

	/* What it is done to, for the plan; free it. */
	char *(*object)(const struct move *move);
};

const struct step_ops *step_by_name(const char *name);

/* The same context for one of its parts alone. */
struct step_context step_part_context(const struct step_context *ctx, size_t part);

/* Is there anything that activate_step has to activate, or to lock against other hosts? */
bool move_activates(const struct move *move);

/* The size of the destination that the job makes. */
uint64_t move_new_bytes(const struct move *move);

/* The paths of a destination, and what plans call the way to it; free them. */
char *move_temp_path(const struct move *move);		/* create: its name until it is published */
char *move_final_path(const struct move *move);		/* its name in the end */
char *move_written_path(const struct move *move);	/* the one of these that is written to */
char *move_both_paths(const struct move *move);		/* "SOURCE -> WRITTEN" */

/* Undo: what was reserved in a thin pool to find out where an end has data is given back. */
int step_release_maps(struct step_context *ctx, struct err *err);

/*
 * Are both ends as they have to be before the commit?  Else ERR_STOPPED.  The
 * source: what was copied, and, with compare_data, unchanged; used by nobody
 * but, shut off, the domain of that UUID ("*": by any; NULL: by none).  The
 * destination: there and whole, under its name; unused: and by nobody written
 * to since it was verified, nor about to be.
 */
int step_check_source(struct step_context *ctx, bool compare_data, const char *shut_off_uuid,
		      struct err *err);
int step_check_target(struct step_context *ctx, bool unused, struct err *err);

/* What ends a committed job whose source may not go away, which would else stop each time that it is resumed. */
void step_way_out(const struct step_context *ctx, const char *before, struct err *err);

/*
 * Before the copy, which is called so, is removed: is the source there, and all
 * of it?  Else ERR_REFUSED, for the copy may be all that there is; unless
 * nothing was written to it so far.
 */
int step_source_stands(const struct step_context *ctx, const char *copy, struct err *err);

/* Look at the destination again, under that path of its own; a logical volume or RBD image wherever it is. */
int step_inspect_target(const struct step_context *ctx, const char *path, unsigned flags, struct facts *ret_now,
			struct err *err);

/*
 * The shut-off domains that may use the source while it is only read: the UUID
 * of the one whose definition will follow, "*" for any when the source stays
 * what it is, or NULL for none.
 */
const char *move_shut_off_users(const struct move *move);

/* Does what is kept of the writes to the source count from this start of the machine on? */
bool source_is_counted(const struct progress_record *record, bool same_boot);

/* From here on it does; to be called before anything is read. */
int count_source(struct step_context *ctx, struct err *err);

/* Was the destination, which is now so, written to since verify began to read it? */
bool written_since_verified(const struct step_context *ctx, const struct facts *now);

extern const struct step_ops create_file_step;		/* the destination, under its temporary name */
extern const struct step_ops activate_step;		/* logical volumes that are not, or are shared, for as long as the job lasts */
extern const struct step_ops deactivate_step;
extern const struct step_ops attach_lun_step;		/* iSCSI LUNs that are not, for as long as the job lasts */
extern const struct step_ops detach_lun_step;
extern const struct step_ops create_lv_step;		/* the destination, under its temporary name */
extern const struct step_ops finish_lv_step;		/* the rest of what the source had; ours no more */
extern const struct step_ops create_image_step;		/* an RBD image, under its temporary name */
extern const struct step_ops reflink_step;		/* share the source's extents */
extern const struct step_ops copy_step;
extern const struct step_ops zero_tail_step;		/* what lies beyond the source's size */
extern const struct step_ops verify_step;
extern const struct step_ops publish_step;		/* give the destination its name */
extern const struct step_ops mirror_step;		/* a guest's disk, until both are the same */
extern const struct step_ops compare_step;		/* what can be compared of a disk in use */
extern const struct step_ops hold_step;			/* stay mirrored until resumed */
extern const struct step_ops pivot_step;		/* the guest goes on with the destination; irrevocable */
extern const struct step_ops release_step;		/* nobody has the source any more, all agree */
extern const struct step_ops repoint_step;		/* a shut-off domain's definition follows */
extern const struct step_ops commit_step;		/* look at both ends once more; the point of no return */
extern const struct step_ops wipe_source_step;
extern const struct step_ops remove_source_step;

/* One end is on another host, which makes its part by asking (see serve.h), ... */
extern const struct step_ops prepare_far_step;		/* its part of the job is made there */
extern const struct step_ops publish_far_step;		/* the destination there gets its name */
extern const struct step_ops commit_far_step;		/* ... and is ours no more; the point of no return */
extern const struct step_ops finish_far_step;		/* what comes after the commit there */
/* ... and these are the steps there. */
extern const struct step_ops serve_step;		/* the other host reads or writes the volume */
extern const struct step_ops prove_step;		/* read the destination back into leaves */

extern const struct step_ops add_leg_step;		/* lvconvert: raid1, with a leg on the target */
extern const struct step_ops sync_leg_step;
extern const struct step_ops scrub_leg_step;		/* prove that the legs are equal */
extern const struct step_ops commit_leg_step;		/* look once more; the point of no return */
extern const struct step_ops drop_leg_step;		/* the old one */
extern const struct step_ops pvmove_step;
extern const struct step_ops end_pvmove_step;		/* its point of no return */

#endif
