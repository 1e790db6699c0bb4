/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's iSCSI initiator: what sysfs tells of its sessions, and what
 * open-iscsi's iscsiadm does for it.
 */
#ifndef SYS_ISCSI_H
#define SYS_ISCSI_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "support/text.h"

struct err;

/* One target at one portal. */
struct iscsi_target {
	char *name;		/* "iqn.2024-01.org.example:disks" */
	char *address;		/* numeric, without brackets */
	unsigned port;
};

void iscsi_target_free(struct iscsi_target *target);

/* "192.0.2.7:3260", "[2001:db8::7]:3260"; free it. */
char *iscsi_portal(const struct iscsi_target *target);

/* Why this host cannot attach LUNs, in words; NULL: it can.  *ret_package: Debian's, of what is missing, or NULL. */
const char *iscsi_missing(const char **ret_package);

/* ---- sessions, by sysfs; nothing of it can hang ---- */

/* The number of the session with the target at that portal, up or not; 0 none (they begin at 1). */
unsigned iscsi_session_of(const struct iscsi_target *target);

/* The highest number that there is: one that is made later has a higher one. */
unsigned iscsi_session_newest(void);

/* Is it up?  One that is being made is not yet; one that has lost its target comes back by itself. */
bool iscsi_session_is_up(unsigned session);

/* A disk of a session. */
struct iscsi_disk {
	unsigned session;
	uint64_t lun;
	char address[64];	/* of the kernel's: "3:0:0:1" */
	char name[32];		/* "sdc" */
	dev_t dev;
	uint64_t diskseq;	/* or 0 */
	char *wwid;		/* as blkdev.h has it; or NULL */
};

void iscsi_disk_free(struct iscsi_disk *disk);

/* Call found() for each disk of the session (0: of all sessions) until it returns other than 0: that is returned. */
int iscsi_each_disk(unsigned session, int (*found)(const struct iscsi_disk *disk, void *data),
		    void *data);

/* The session's disk of that LUN.  True: it is there; free it. */
bool iscsi_find_lun(unsigned session, uint64_t lun, struct iscsi_disk *ret_disk);

/* Look for that one LUN; that it was looked for is all that 0 says.  Its disk may be a moment late. */
int iscsi_scan_lun(unsigned session, uint64_t lun, struct err *err);

/* Has the kernel found anything there, even if it has made no disk of it yet? */
bool iscsi_has_lun(unsigned session, uint64_t lun);

/* Take the disk away from the kernel: what is not written yet is written or lost by then. */
int iscsi_delete_disk(const struct iscsi_disk *disk, struct err *err);

/* ---- by iscsiadm, each under a time limit ---- */

/* What a node record made here is told besides the site's defaults (iscsid.conf). */
struct iscsi_login {
	const char *mark;	/* stands in the record: it is ours */
	const char *user, *secret;		/* CHAP; or NULL */
	const char *user_in, *secret_in;	/* the target's, to us; or NULL */
};

/*
 * Make the node record, which nobody else may have made: never brought up by
 * itself at boot, and no LUN scanned for but those that are asked for.  The
 * secrets go into the record, that root alone can read, and never to a command
 * line.
 */
int iscsi_node_make(const struct iscsi_target *target, const struct iscsi_login *login,
		    struct err *err);

/* Is there a node record; with mark: and does it carry it? */
bool iscsi_node_exists(const struct iscsi_target *target, const char *mark);
int iscsi_node_delete(const struct iscsi_target *target, struct err *err);

/* 0: there is a session now, ours; 1: there was one, which is somebody else's; -1. */
int iscsi_log_in(const struct iscsi_target *target, struct err *err);
int iscsi_log_out(unsigned session, struct err *err);

/* The portals at which that target can be reached, as the one that is asked says: texts as iscsi_portal() makes. */
int iscsi_discover(const struct iscsi_target *asked, struct text_list *ret_portals, struct err *err);

/*
 * The serial number that a LUN says to an initiator that is not the kernel's;
 * user NULL: without a secret.  NULL: it says none, or there is no iscsi-inq
 * (libiscsi-bin) to ask it.  Free it.
 */
char *iscsi_inquire_serial(const char *url, const char *user, const char *secret);

#endif
