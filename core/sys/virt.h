/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests, as libvirt knows them: a connection, domains, disks, block jobs.
 *
 * No call of libvirt's has a time limit, and some wait for a guest, for QEMU
 * or for a network.  So each is made by a thread of its own, which is left to
 * itself when the time is over: then nobody knows what has become of it, and
 * the caller has to look.  A connection that was lost is made anew by the next
 * call.  What fails leaves err->number as
 *
 *   ETIMEDOUT	  no answer in time; it may still happen
 *   ECONNRESET	  the connection broke, or cannot be had; it may have happened
 *   ENOENT	  there is no such domain
 *   EBUSY	  a block job is in the way, or not yet ready for what was asked
 *   EOPNOTSUPP	  this libvirt or QEMU cannot do that
 *
 * or as 0 for whatever else, with libvirt's own words in err->cause.
 *
 * Domains are named by UUID, disks by their target ("vda"): neither changes
 * under a job.  libvirt is loaded when the first connection is made, because
 * loading it takes longer than all else that most commands do.
 */
#ifndef SYS_VIRT_H
#define SYS_VIRT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct virt;

#define VIRT_LIMIT_MS 30000

#define VIRT_UUID_SIZE 37

struct virt_domain {
	char uuid[VIRT_UUID_SIZE];
	char *name;
	bool running;		/* a QEMU exists for it, paused or not */
	bool paused;
	bool persistent;	/* it is defined, not only running */
};

/*
 * uri NULL: libvirt's default for this user; it ends at a space.  limit_ms: for each call; the
 * second time the user asks to stop ends a wait at once.
 */
int virt_open(const char *uri, uint64_t limit_ms, struct virt **ret_virt, struct err *err);

/* Content with NULL. */
void virt_close(struct virt *virt);

/* A domain by its name or UUID. */
int virt_find(struct virt *virt, const char *name, struct virt_domain *ret_domain, struct err *err);

/* All domains, running and shut off, but not which of them are paused; free with virt_domains_free(). */
int virt_list(struct virt *virt, struct virt_domain **ret_domains, size_t *ret_count,
	      struct err *err);
void virt_domain_free(struct virt_domain *domain);
void virt_domains_free(struct virt_domain *domains, size_t count);

/* The domain's XML: as it runs, or as it is defined; see virt_xml.h.  Free it. */
int virt_xml(struct virt *virt, const char *uuid, bool inactive, char **ret_xml, struct err *err);

/* Define a domain anew, or change its definition. */
int virt_define(struct virt *virt, const char *xml, struct err *err);

/* What hangs on a domain's disks being where they are, beside the domain itself. */
struct virt_ties {
	bool autostart;		/* libvirtd starts it when it starts itself */
	bool managed_save;	/* its memory is saved, and goes with its disks */
	int snapshots, checkpoints;
};

int virt_ties(struct virt *virt, const char *uuid, struct virt_ties *ret_ties, struct err *err);

/* Where a volume of a storage pool is.  Free it. */
int virt_volume_path(struct virt *virt, const char *pool, const char *volume, char **ret_path,
		     struct err *err);

enum virt_affect {
	VIRT_LIVE = 1,		/* the running domain */
	VIRT_CONFIG = 2,	/* its definition */
};

/*
 * xml is a <disk> element.  That detaching returns 0 says only that the guest
 * was asked: wait for VIRT_EVENT_REMOVED, or look at the live XML.
 */
int virt_attach(struct virt *virt, const char *uuid, const char *xml, unsigned affect,
		struct err *err);
int virt_detach(struct virt *virt, const char *uuid, const char *xml, unsigned affect,
		struct err *err);

/* The vCPUs stand still, and go on. */
int virt_suspend(struct virt *virt, const char *uuid, struct err *err);
int virt_resume(struct virt *virt, const char *uuid, struct err *err);

/* The size that the guest sees, and what is allocated, of a disk of a running domain. */
int virt_disk_size(struct virt *virt, const char *uuid, const char *target,
		   uint64_t *ret_bytes, uint64_t *ret_allocated, struct err *err);

/* ---- block jobs ---- */

struct virt_copy {
	uint64_t bytes_per_second;	/* 0: no limit */
	uint32_t granularity;		/* 0: QEMU's choice */
	bool sync_writes;		/* the guest's writes go to both disks at once */
};

/*
 * Begin to mirror a disk onto what the <disk> element xml says, which exists.
 * The domain stays defined, and its definition follows when the mirror pivots.
 */
int virt_copy(struct virt *virt, const char *uuid, const char *target, const char *xml,
	      const struct virt_copy *copy, struct err *err);

/* The same by virDomainBlockRebase: path only, transient domains only. */
int virt_rebase(struct virt *virt, const char *uuid, const char *target, const char *path,
		bool is_device, uint64_t bytes_per_second, struct err *err);

struct virt_job {
	bool exists;
	bool copy;		/* a mirror; else a commit, a backup, ... */
	uint64_t done, total;	/* total grows as the guest writes; done == total proves nothing */
	uint64_t bytes_per_second;
};

/* No job is what a job that failed looks like. */
int virt_job(struct virt *virt, const char *uuid, const char *target, struct virt_job *ret_job,
	     struct err *err);
int virt_job_speed(struct virt *virt, const char *uuid, const char *target,
		   uint64_t bytes_per_second, struct err *err);

/* Make the mirror the disk.  An error does not mean that it is not: look. */
int virt_pivot(struct virt *virt, const char *uuid, const char *target, struct err *err);

/* Ask for the job to be given up; it may take until the destination answers. */
int virt_job_cancel(struct virt *virt, const char *uuid, const char *target, struct err *err);

/* A QMP command to QEMU itself and its answer, which free.  The domain is marked as tainted. */
int virt_qmp(struct virt *virt, const char *uuid, const char *command, char **ret_answer,
	     struct err *err);

/* ---- events ---- */

enum virt_event_kind {
	VIRT_EVENT_JOB,			/* name: the disk's target; status: enum virt_job_status */
	VIRT_EVENT_LIFECYCLE,		/* started, stopped, suspended, ...: look */
	VIRT_EVENT_REMOVED,		/* name: the device's alias; the guest has let go of it */
	VIRT_EVENT_REMOVAL_FAILED,	/* the guest refuses to */
	VIRT_EVENT_CLOSED,		/* the connection is lost */
};

enum virt_job_status {
	VIRT_JOB_COMPLETED,
	VIRT_JOB_FAILED,
	VIRT_JOB_CANCELED,
	VIRT_JOB_READY,
	VIRT_JOB_OTHER,
};

struct virt_event {
	enum virt_event_kind kind;
	int status;
	char uuid[VIRT_UUID_SIZE];
	char name[64];
};

/*
 * The next event, of any domain, in the order they came since the connection
 * was made: true, or false when none came in time.  They wake up; what is true
 * tells the XML alone, for some are lost with a connection.
 */
bool virt_event(struct virt *virt, uint64_t timeout_ms, struct virt_event *ret_event);

#endif
