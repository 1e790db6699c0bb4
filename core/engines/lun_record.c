/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was attached of iSCSI: a record for each LUN, and one for each session that we have logged in. */
#include "engines/lun_record.h"

#include <stdlib.h>
#include <string.h>

#include "engines/record_file.h"
#include "support/err.h"
#include "support/json.h"
#include "sys/hash.h"

#define RECORD_VERSION 1

static char *record_name(const char *prefix, const char *text)
{
	struct hash hash = hash_of(text, strlen(text));
	char hex[HASH_HEX];

	return text_format("%s%s.json", prefix, hash_hex(&hash, hex));
}

char *lun_record_name(const struct lun *lun)
{
	char *text = lun_text(lun), *name = record_name(LUN_RECORD_PREFIX, text);

	free(text);
	return name;
}

char *session_record_name(const struct lun *lun)
{
	struct lun any = { .target = lun->target };
	char *text = lun_text(&any), *name = record_name(SESSION_RECORD_PREFIX, text);

	free(text);
	return name;
}

void lun_record_free(struct lun_record *record)
{
	free(record->text);
	free(record->job);
	free(record->disk);
	free(record->wwid);
	free(record->map);
	*record = (struct lun_record){ 0 };
}

void session_record_free(struct session_record *record)
{
	free(record->text);
	*record = (struct session_record){ 0 };
}

bool lun_record_is_current(const char *boot)
{
	char now[UUID_TEXT_SIZE];

	return *boot && !strcmp(boot, uuid_of_boot(now));
}

bool session_record_is_of(const struct session_record *record, unsigned session)
{
	if (!session || !record->text || !lun_record_is_current(record->boot))
		return false;
	return record->pending ? session > record->after : session == record->session;
}

/* What both kinds begin with. */
static int read_head(int dirfd, const char *name, const char *kind, json_t **ret_json,
		     char boot[static UUID_TEXT_SIZE], char **ret_text, struct err *err)
{
	json_t *json = NULL;
	const char *of, *text;
	int found = record_file_read(dirfd, name, &json, err);

	if (found <= 0)
		return found;
	of = json_get_string(json, "boot");
	text = json_get_string(json, "lun");
	if (json_get_u64(json, kind) != RECORD_VERSION || !of || strlen(of) >= UUID_TEXT_SIZE || !text) {
		json_decref(json);
		err_set(err, ERR_REFUSED, name, "the record of an attached LUN cannot be understood");
		return err_next(err, "look at iscsiadm -m session, release what is attached, then remove the record");
	}
	strcpy(boot, of);
	*ret_text = text_copy(text);
	*ret_json = json;
	return 1;
}

static json_t *head(const char *kind, const char *boot, const char *text)
{
	json_t *json = json_object();

	json_put(json, kind, json_integer(RECORD_VERSION));
	json_put(json, "boot", json_string(boot));
	json_put(json, "lun", json_string(text));
	return json;
}

static void put_text(json_t *json, const char *key, const char *text)
{
	json_put(json, key, text ? json_string(text) : json_null());
}

int lun_record_read(int dirfd, const char *name, struct lun_record *ret, struct err *err)
{
	struct lun_record record = { 0 };
	json_t *json;
	int found = read_head(dirfd, name, "volmig_lun", &json, record.boot, &record.text, err);

	if (found <= 0)
		return found;
	record.job = text_copy(json_get_string(json, "job"));
	record.pending = json_get_bool(json, "pending");
	record.readonly = json_get_bool(json, "readonly");
	record.found = json_get_bool(json, "found");
	record.disk = text_copy(json_get_string(json, "disk"));
	record.dev = json_get_u64(json, "dev");
	record.diskseq = json_get_u64(json, "diskseq");
	record.wwid = text_copy(json_get_string(json, "wwid"));
	record.map = text_copy(json_get_string(json, "map"));
	json_decref(json);
	*ret = record;
	return 1;
}

int lun_record_write(int dirfd, const char *name, const struct lun_record *record, struct err *err)
{
	json_t *json = head("volmig_lun", record->boot, record->text);
	int ret;

	put_text(json, "job", record->job);
	json_put(json, "pending", json_boolean(record->pending));
	json_put(json, "readonly", json_boolean(record->readonly));
	json_put(json, "found", json_boolean(record->found));
	put_text(json, "disk", record->disk);
	json_put(json, "dev", json_u64(record->dev));
	json_put(json, "diskseq", json_u64(record->diskseq));
	put_text(json, "wwid", record->wwid);
	put_text(json, "map", record->map);
	ret = record_file_write(dirfd, name, json, err);
	json_decref(json);
	return ret;
}

int session_record_read(int dirfd, const char *name, struct session_record *ret, struct err *err)
{
	struct session_record record = { 0 };
	const char *mark;
	json_t *json;
	int found = read_head(dirfd, name, "volmig_session", &json, record.boot, &record.text, err);

	if (found <= 0)
		return found;
	mark = json_get_string(json, "mark");
	if (mark && strlen(mark) < sizeof(record.mark))
		strcpy(record.mark, mark);
	record.node = json_get_bool(json, "node");
	record.pending = json_get_bool(json, "pending");
	record.after = (unsigned)json_get_u64(json, "after");
	record.session = (unsigned)json_get_u64(json, "session");
	json_decref(json);
	*ret = record;
	return 1;
}

int session_record_write(int dirfd, const char *name, const struct session_record *record,
			 struct err *err)
{
	json_t *json = head("volmig_session", record->boot, record->text);
	int ret;

	json_put(json, "mark", json_string(record->mark));
	json_put(json, "node", json_boolean(record->node));
	json_put(json, "pending", json_boolean(record->pending));
	json_put(json, "after", json_integer(record->after));
	json_put(json, "session", json_integer(record->session));
	ret = record_file_write(dirfd, name, json, err);
	json_decref(json);
	return ret;
}

struct lun_search {
	int dirfd;
	int (*found)(const char *name, const struct lun_record *record, void *data);
	void *data;
};

static int found_record(const char *name, void *data)
{
	const struct lun_search *search = data;
	struct lun_record record;
	struct err ignored = ERR_INIT;
	int ret;

	if (lun_record_read(search->dirfd, name, &record, &ignored) != 1)
		return 0;
	ret = search->found(name, &record, search->data);
	lun_record_free(&record);
	return ret;
}

int lun_record_each(int dirfd, int (*found)(const char *name, const struct lun_record *record, void *data),
		    void *data)
{
	struct lun_search search = { dirfd, found, data };

	return record_file_each(dirfd, LUN_RECORD_PREFIX, found_record, &search);
}
