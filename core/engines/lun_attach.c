/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An iSCSI LUN as a disk of this host: the session with its target, and the disk. */
#include "engines/lun_attach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/lun_parts.h"
#include "engines/record_file.h"
#include "support/clock.h"
#include "support/err.h"
#include "support/inject.h"
#include "sys/blkdev.h"
#include "sys/scsi.h"
#include "sys/uses.h"

#define SESSION_WAIT_MS 5000
#define DISK_WAIT_MS 10000
#define MAP_WAIT_MS 10000

int lun_open(const char *text, const char *dir, bool make, struct lun_now *now, struct err *err)
{
	*now = (struct lun_now){ .dirfd = -1 };
	if (lun_parse(text, &now->lun, err) < 0 || lun_resolve(&now->lun, err) < 0)
		return -1;
	now->text = lun_text(&now->lun);
	now->name = lun_record_name(&now->lun);
	now->session_name = session_record_name(&now->lun);
	if (record_dir_open(dir, make, &now->dirfd, err) < 0 ||
	    lun_record_read(now->dirfd, now->name, &now->record, err) < 0 ||
	    session_record_read(now->dirfd, now->session_name, &now->own, err) < 0)
		return -1;
	now->session = iscsi_session_of(&now->lun.target);
	now->ours = session_record_is_of(&now->own, now->session);
	now->recorded = now->record.text && lun_record_is_current(now->record.boot);
	return 0;
}

void lun_close(struct lun_now *now)
{
	if (now->dirfd >= 0)
		close(now->dirfd);
	lun_free(&now->lun);
	free(now->text);
	free(now->name);
	free(now->session_name);
	lun_record_free(&now->record);
	session_record_free(&now->own);
	iscsi_disk_free(&now->disk);
	*now = (struct lun_now){ .dirfd = -1 };
}

static int match_recorded(const struct iscsi_disk *disk, void *data)
{
	struct lun_now *now = data;
	const struct lun_record *record = &now->record;

	if (strcmp(disk->address, record->disk) || disk->dev != record->dev ||
	    disk->diskseq != record->diskseq)
		return 0;
	now->disk = *disk;
	now->disk.wwid = text_copy(disk->wwid);
	return 1;
}

bool lun_find_disk(struct lun_now *now)
{
	iscsi_disk_free(&now->disk);
	if (now->recorded && !now->record.pending && now->record.disk)
		now->there = iscsi_each_disk(0, match_recorded, now) == 1;
	else
		now->there = iscsi_find_lun(now->session, now->lun.number, &now->disk);
	return now->there;
}

int lun_refuse_stale(const struct lun_now *now, struct err *err)
{
	err_set(err, ERR_REFUSED, now->text,
		"the LUN was given to another volume: what answers at /dev/%s is not what the kernel knows as %s",
		now->disk.name, now->disk.wwid ? now->disk.wwid : "that disk");
	return err_next(err, "nothing was read or written; if nobody needs what was there: "
			"echo offline >/sys/block/%s/device/state; echo 1 >/sys/block/%s/device/delete",
			now->disk.name, now->disk.name);
}

int lun_prove(const struct lun_now *now, struct err *err)
{
	const char *was = now->recorded ? now->record.wwid : NULL;

	if (!now->disk.wwid || !strncmp(now->disk.wwid, "serial-", 7))
		return err_set(err, ERR_REFUSED, now->text,
			       "the LUN has no world-wide name, so nothing can prove which volume it is");
	if (was && strcmp(was, now->disk.wwid)) {
		err_set(err, ERR_REFUSED, now->text, "the LUN was given to another volume: it is %s, was %s",
			now->disk.wwid, was);
		return err_next(err, "nothing was read or written; volmig detach %s, then attach it again if this is what you want",
				now->text);
	}
	switch (scsi_ask(now->disk.dev)) {
	case SCSI_SAME:
		return 0;
	case SCSI_OTHER:
		return lun_refuse_stale(now, err);
	case SCSI_SILENT:
		err_set(err, ERR_FAILED, now->text, "/dev/%s does not answer", now->disk.name);
		return err_next(err, "see whether the target can be reached: iscsiadm -m session -P 1");
	case SCSI_UNKNOWN:
		break;
	}
	return err_set(err, ERR_REFUSED, now->text,
		       "/dev/%s has no identification to compare with what the kernel knows", now->disk.name);
}

/* ---- the session ---- */

/* Is the node record, as far as there is one, ours by that record? */
static bool owns_node(const struct lun_now *now)
{
	if (!now->own.text || !now->own.node)
		return false;
	/* Between its making and its marking it has no mark yet. */
	return now->own.pending || iscsi_node_exists(&now->lun.target, now->own.mark);
}

int lun_end_login(struct lun_now *now, struct err *err)
{
	if (!now->own.text)
		return 0;
	if (owns_node(now) && iscsi_node_exists(&now->lun.target, NULL) &&
	    iscsi_node_delete(&now->lun.target, err) < 0)
		return -1;
	inject_kill_at("kill-detach", 5);
	if (record_file_remove(now->dirfd, now->session_name, err) < 0)
		return -1;
	session_record_free(&now->own);
	now->ours = false;
	return 0;
}

static int make_node(struct lun_now *now, const struct lun_secrets *secrets, struct err *err)
{
	const struct iscsi_login login = {
		.mark = now->own.mark,
		.user = secrets->user,
		.secret = secrets->secret,
		.user_in = secrets->user_in,
		.secret_in = secrets->secret_in,
	};

	/* What an earlier run has begun, or made with other secrets, is made anew. */
	if (iscsi_node_exists(&now->lun.target, NULL) && iscsi_node_delete(&now->lun.target, err) < 0)
		return -1;
	return iscsi_node_make(&now->lun.target, &login, err);
}

/* Record that we are about to log in. */
static int claim_login(struct lun_now *now, struct err *err)
{
	struct lun any = { .target = now->lun.target };
	char id[UUID_TEXT_SIZE];
	bool node = owns_node(now) || !iscsi_node_exists(&now->lun.target, NULL);

	session_record_free(&now->own);
	now->own = (struct session_record){
		.text = lun_text(&any),
		.node = node,
		.pending = true,
		.after = iscsi_session_newest(),
	};
	snprintf(now->own.mark, sizeof(now->own.mark), "volmig:%s", uuid_new(id));
	uuid_of_boot(now->own.boot);
	return session_record_write(now->dirfd, now->session_name, &now->own, err);
}

static int log_in(struct lun_now *now, const char *chap_file, struct lun_attachment *ret, struct err *err)
{
	struct lun_secrets secrets = { 0 };
	struct err second = ERR_INIT;
	int rc = -1;

	if (chap_file && lun_secrets_read(chap_file, &secrets, err) < 0)
		return -1;
	if (chap_file && !owns_node(now) && iscsi_node_exists(&now->lun.target, NULL)) {
		char *portal = iscsi_portal(&now->lun.target);

		err_set(err, ERR_REFUSED, now->text,
			"open-iscsi has a node record of the target, with secrets of its own, which volmig did not make");
		err_next(err, "leave --chap-file out, or remove the record: iscsiadm -m node -T %s -p %s -o delete",
			 now->lun.target.name, portal);
		free(portal);
		goto out;
	}
	if (claim_login(now, err) < 0)
		goto out;
	inject_kill_at("kill-attach", 1);
	if (now->own.node && make_node(now, &secrets, err) < 0)
		goto undo;
	inject_kill_at("kill-attach", 2);
	rc = iscsi_log_in(&now->lun.target, err);
	if (rc < 0)
		goto undo;
	inject_kill_at("kill-attach", 3);
	now->session = iscsi_session_of(&now->lun.target);
	if (!now->session) {
		rc = err_set(err, ERR_FAILED, now->text, "logged in, but the kernel shows no session");
		goto undo;
	}
	if (rc == 1) {
		/* Somebody was faster: it is his. */
		ret->shared = true;
		rc = lun_end_login(now, err);
		goto out;
	}
	now->own.pending = false;
	now->own.session = now->session;
	rc = session_record_write(now->dirfd, now->session_name, &now->own, err);
	now->ours = true;
	inject_kill_at("kill-attach", 4);
	goto out;
undo:
	rc = -1;
	lun_end_login(now, &second);
out:
	lun_secrets_free(&secrets);
	return rc;
}

static int wait_up(const struct lun_now *now, struct err *err)
{
	for (unsigned ms = 0; ms < SESSION_WAIT_MS; ms += 20) {
		if (iscsi_session_is_up(now->session))
			return 0;
		clock_sleep_ms(20);
	}
	err_set(err, ERR_FAILED, now->text, "the session with the target is down");
	return err_next(err, "see whether the target can be reached: iscsiadm -m session -P 1");
}

/* ---- the disk ---- */

/* The device to be given out: the disk, or what multipathd has made of it. */
static int choose_device(struct lun_now *now, struct lun_attachment *ret, struct err *err)
{
	struct multipath_map map;
	int found = 0;

	snprintf(ret->device, sizeof(ret->device), "/dev/%s", now->disk.name);
	if (!multipath_runs())
		return 0;
	/* It hears of the disk from udev, in its own time. */
	for (unsigned ms = 0; !found && ms < MAP_WAIT_MS; ms += 100) {
		found = multipath_map_of(now->disk.name, &map, err);
		if (!found)
			clock_sleep_ms(100);
	}
	if (found < 0)
		return -1;
	free(now->record.map);
	now->record.map = NULL;
	if (found) {
		snprintf(ret->device, sizeof(ret->device), "/dev/mapper/%s", map.name);
		now->record.map = text_copy(map.name);
		/* Its name is udev's to make. */
		for (unsigned ms = 0; access(ret->device, F_OK) < 0 && ms < MAP_WAIT_MS; ms += 20)
			clock_sleep_ms(20);
	} else {
		snprintf(ret->note, sizeof(ret->note),
			 "multipathd runs, but has not made the disk a path of anything: see find_multipaths in multipath.conf(5)");
	}
	return 0;
}

static int no_such_lun(const struct lun_now *now, struct err *err)
{
	err_set(err, ERR_FAILED, now->text, "the target shows no disk of LUN %llu to this host",
		(unsigned long long)now->lun.number);
	return err_next(err, "see that the target maps it to this initiator (/etc/iscsi/initiatorname.iscsi)");
}

static int bring_disk(struct lun_now *now, const struct lun_options *options,
		      struct lun_attachment *ret, struct err *err)
{
	struct lun_record *record = &now->record;
	char *was = now->recorded ? text_copy(record->wwid) : NULL;
	bool found = now->there;

	/* What an earlier run has begun is not taken for what was there before it. */
	if (now->recorded && record->pending)
		found = record->found;
	lun_record_free(record);
	*record = (struct lun_record){
		.text = text_copy(now->text),
		.job = text_copy(options->job),
		.readonly = options->readonly,
		.pending = true,
		.found = found,
		.wwid = was,
	};
	uuid_of_boot(record->boot);
	now->recorded = true;
	if (lun_record_write(now->dirfd, now->name, record, err) < 0)
		return -1;
	inject_kill_at("kill-attach", 5);
	if (!now->there && iscsi_scan_lun(now->session, now->lun.number, err) < 0)
		return -1;
	for (unsigned ms = 0; !now->there && ms < DISK_WAIT_MS; ms += 50) {
		if (lun_find_disk(now) || !iscsi_has_lun(now->session, now->lun.number))
			break;
		clock_sleep_ms(50);
	}
	if (!now->there)
		return no_such_lun(now, err);
	inject_kill_at("kill-attach", 6);
	if (lun_prove(now, err) < 0 || choose_device(now, ret, err) < 0)
		return -1;
	record->pending = false;
	record->disk = text_copy(now->disk.address);
	record->dev = now->disk.dev;
	record->diskseq = now->disk.diskseq;
	free(record->wwid);
	record->wwid = text_copy(now->disk.wwid);
	if (lun_record_write(now->dirfd, now->name, record, err) < 0)
		return -1;
	inject_kill_at("kill-attach", 7);
	return 0;
}

static void fill(const struct lun_now *now, struct lun_attachment *ret)
{
	snprintf(ret->text, sizeof(ret->text), "%s", now->text);
	ret->shared = now->session && !now->ours;
	if (now->there && now->disk.wwid)
		snprintf(ret->wwid, sizeof(ret->wwid), "%s", now->disk.wwid);
	ret->readonly = now->record.readonly;
	if (now->there && now->recorded && !now->record.pending)
		snprintf(ret->device, sizeof(ret->device), "%s%s",
			 now->record.map ? "/dev/mapper/" : "/dev/",
			 now->record.map ? now->record.map : now->disk.name);
}

/* Is it attached already, just as it was recorded?  1 yes, 0 no, -1 it may not be used. */
static int check_attached(struct lun_now *now, bool readonly, struct err *err)
{
	bool whole = now->recorded && !now->record.pending;

	lun_find_disk(now);
	if (whole && now->there && now->record.readonly != readonly) {
		err_set(err, ERR_REFUSED, now->text, "attached already, but %s",
			now->record.readonly ? "read-only" : "for reading and writing");
		return err_next(err, "detach it first");
	}
	if (now->there && lun_prove(now, err) < 0)
		return -1;
	if (whole && !now->there) {
		/* The disk went without us: what is there now, if anything, has to be the same volume. */
		now->there = iscsi_find_lun(now->session, now->lun.number, &now->disk);
		return 0;
	}
	return whole && now->there;
}

/* The portal that was typed only knows where the target is. */
static int use_discovery(struct lun *lun, struct err *err)
{
	struct text_list portals = { 0 };
	char *given = iscsi_portal(&lun->target), *text;
	struct lun found;
	char *file;
	int ret = -1;

	if (iscsi_discover(&lun->target, &portals, err) < 0)
		goto out;
	if (!portals.count) {
		err_set(err, ERR_FAILED, lun->target.name, "%s knows of no such target for this host", given);
		goto out;
	}
	ret = 0;
	if (text_list_has(&portals, given))
		goto out;
	text = text_format(LUN_PREFIX "%s/%s/%llu", portals.items[0], lun->target.name,
			   (unsigned long long)lun->number);
	ret = lun_parse(text, &found, err);
	free(text);
	if (ret == 0) {
		file = lun->chap_file;
		lun->chap_file = NULL;
		lun_free(lun);
		*lun = found;
		lun->chap_file = file;
	}
out:
	text_list_free(&portals);
	free(given);
	return ret;
}

static char *discovered(const char *text, struct err *err)
{
	struct lun lun = { 0 };
	char *found = NULL;

	if (lun_parse(text, &lun, err) == 0 && lun_resolve(&lun, err) == 0 && use_discovery(&lun, err) == 0)
		found = lun_text(&lun);
	if (found && lun.chap_file) {
		char *with = text_format("%s?chap-file=%s", found, lun.chap_file);

		free(found);
		found = with;
	}
	lun_free(&lun);
	return found;
}

static int refuse_missing(const char *text, struct err *err)
{
	const char *package, *missing = iscsi_missing(&package);

	if (!missing)
		return 0;
	err_set(err, ERR_REFUSED, text, "no LUN can be attached to this host: %s", missing);
	if (package)
		err_next(err, "install %s", package);
	else if (strstr(missing, "iscsid"))
		err_next(err, "systemctl start iscsid");
	return -1;
}

static void not_undone(const struct lun_now *now, const struct err *why, struct err *err)
{
	err_context(err, "not undone (%s)", why->cause);
	err->class = ERR_STOPPED;
	err_next(err, "mend that, then volmig detach %s", now->text);
}

/* What it was stays known until it is detached: to be refused once is not to be accepted the next time. */
static void remember(const struct lun_now *now, char *wwid)
{
	struct lun_record record = { .text = now->text, .pending = true, .wwid = wwid };
	struct err ignored = ERR_INIT;

	uuid_of_boot(record.boot);
	lun_record_write(now->dirfd, now->name, &record, &ignored);
}

int lun_attach(const char *text, const struct lun_options *options, const char *dir,
	       struct lun_attachment *ret, struct err *err)
{
	struct lun_now now = { .dirfd = -1 };
	struct err second = ERR_INIT;
	char *asked = NULL;
	int rc = -1;

	*ret = (struct lun_attachment){ 0 };
	if (refuse_missing(text, err) < 0)
		return -1;
	if (options->discover && !(asked = discovered(text, err)))
		return -1;
	if (lun_open(asked ? asked : text, dir, true, &now, err) < 0)
		goto out;
	rc = check_attached(&now, options->readonly, err);
	if (rc == 1) {
		ret->already = true;
		rc = 0;
	} else if (rc == 0) {
		char *was = now.recorded ? text_copy(now.record.wwid) : NULL;

		if (!now.session)
			rc = log_in(&now, options->chap_file ? options->chap_file : now.lun.chap_file, ret, err);
		if (rc == 0)
			rc = wait_up(&now, err);
		if (rc == 0)
			lun_find_disk(&now);
		if (rc == 0)
			rc = bring_disk(&now, options, ret, err);
		if (rc < 0 && (now.own.text || now.record.text) &&
		    lun_release(&now, false, ret, &second) < 0)
			not_undone(&now, &second, err);
		if (rc < 0 && was)
			remember(&now, was);
		free(was);
	}
	if (rc == 0)
		fill(&now, ret);
out:
	lun_close(&now);
	free(asked);
	return rc;
}

int lun_attach_look(const char *text, const struct lun_options *options, const char *dir,
		    struct lun_attachment *ret, struct err *err)
{
	struct lun_now now;
	struct lun_secrets secrets = { 0 };
	int rc = -1;

	*ret = (struct lun_attachment){ 0 };
	if (refuse_missing(text, err) < 0 ||
	    (options->chap_file && lun_secrets_read(options->chap_file, &secrets, err) < 0))
		return -1;
	lun_secrets_free(&secrets);
	if (lun_open(text, dir, false, &now, err) == 0) {
		rc = check_attached(&now, options->readonly, err);
		ret->already = rc == 1;
		if (rc >= 0) {
			fill(&now, ret);
			rc = 0;
		}
	}
	lun_close(&now);
	return rc;
}
