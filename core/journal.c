/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One append-only file of JSON lines with chained checksums. */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support/err.h"
#include "support/inject.h"
#include "support/json.h"
#include "support/text.h"
#include "sys/hash.h"

/* ,"sum":"32 hex digits"} */
#define SUM_KEY ",\"sum\":\""
#define SUM_LENGTH (sizeof(SUM_KEY) - 1 + 2 * HASH_BYTES + 2)

/* A journal grows by some 250 bytes for each 512 MiB copied: this is 100 TiB and more. */
#define JOURNAL_MAX (256U << 20)

/* What is set aside for it when it is made. */
#define JOURNAL_RESERVE (128 << 10)

struct journal {
	char *path;
	int fd;
	off_t end;
	off_t synced;		/* up to here it is on stable storage */
	struct hash sum;
	bool broken;
	char last_time[40];
};

static struct hash chain(const struct hash *before, const char *line, size_t length)
{
	struct hash_stream *stream = hash_stream_new();

	hash_stream_add(stream, before->bytes, HASH_BYTES);
	hash_stream_add(stream, line, length);
	return hash_stream_end(stream);
}

static int damaged(struct err *err, const char *name, size_t line, const char *why)
{
	err_set(err, ERR_REFUSED, name, "the journal is damaged: line %zu %s", line, why);
	return err_next(err, "look at the source and the destination yourself, "
			     "neither is touched because of it");
}

static int check_version(const json_t *record, const char *name, struct err *err)
{
	const char *magic = json_get_string(record, "journal");
	uint64_t version = json_get_u64(record, "version");

	if (!magic || strcmp(magic, "volmig"))
		return damaged(err, name, 1, "is no journal's first line");
	if (version != JOURNAL_VERSION) {
		err_set(err, ERR_REFUSED, name,
			"the journal has version %llu, this volmig reads version %d",
			(unsigned long long)version, JOURNAL_VERSION);
		return err_next(err, "use the volmig that wrote it");
	}
	return 0;
}

/* One line without its newline. */
static int parse_line(const char *line, size_t length, size_t number, const char *name,
		      struct hash *sum, journal_reader *reader, void *data, struct err *err)
{
	size_t body = length - SUM_LENGTH;
	char hex[HASH_HEX];
	struct hash expected;
	json_t *record;
	int ret = -1;

	if (length <= SUM_LENGTH || memcmp(line + body, SUM_KEY, sizeof(SUM_KEY) - 1) ||
	    memcmp(line + length - 2, "\"}", 2))
		return damaged(err, name, number, "has no checksum");
	expected = chain(sum, line, body);
	if (memcmp(line + body + sizeof(SUM_KEY) - 1, hash_hex(&expected, hex), 2 * HASH_BYTES))
		return damaged(err, name, number, "does not match its checksum");
	*sum = expected;

	record = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(record))
		damaged(err, name, number, "is not a JSON object");
	else if (number == 1 && check_version(record, name, err) < 0)
		ret = -1;
	else
		ret = reader ? reader(record, data, err) : 0;
	json_decref(record);
	return ret ? -1 : 0;
}

int journal_parse(const char *text, size_t length, const char *name,
		  journal_reader *reader, void *data,
		  size_t *ret_end, uint8_t *ret_sum, struct err *err)
{
	struct hash sum = { { 0 } };
	size_t at = 0, number = 0;

	while (at < length) {
		const char *newline = memchr(text + at, '\n', length - at);

		if (!newline)
			break;	/* torn: cut off, or a stretch of NUL bytes */
		/* Torn in its middle: no JSON holds NULs (a single one is damage), and nothing comes after. */
		if (newline + 1 == text + length &&
		    memmem(text + at, (size_t)(newline - (text + at)), "\0", 2))
			break;
		if (parse_line(text + at, (size_t)(newline - (text + at)), ++number, name,
			       &sum, reader, data, err) < 0)
			return -1;
		at = (size_t)(newline - text) + 1;
	}
	if (ret_end)
		*ret_end = at;
	if (ret_sum)
		memcpy(ret_sum, sum.bytes, HASH_BYTES);
	return 0;
}

static int read_all(int fd, const char *path, char **ret_text, size_t *ret_length,
		    struct err *err)
{
	struct stat st;
	char *text;
	size_t length = 0;

	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, path, "cannot look at the journal");
	if (st.st_size > JOURNAL_MAX)
		return err_set(err, ERR_REFUSED, path, "the journal is too large to be one");
	text = text_alloc((size_t)st.st_size + 1, 1);
	while (length < (size_t)st.st_size) {
		ssize_t n = pread(fd, text + length, (size_t)st.st_size - length, (off_t)length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_sys(err, errno, path, "cannot read the journal");
			free(text);
			return -1;
		}
		if (n == 0)
			break;
		length += (size_t)n;
	}
	*ret_text = text;
	*ret_length = length;
	return 0;
}

static int load(int fd, const char *path, journal_reader *reader, void *data,
		size_t *ret_end, uint8_t *ret_sum, struct err *err)
{
	char *text = NULL;
	size_t length = 0;
	int ret = -1;

	if (read_all(fd, path, &text, &length, err) == 0)
		ret = journal_parse(text, length, path, reader, data, ret_end, ret_sum, err);
	free(text);
	return ret;
}

int journal_read(const char *path, journal_reader *reader, void *data, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int ret;

	if (fd < 0)
		return err_sys(err, errno, path, "cannot open the journal");
	ret = load(fd, path, reader, data, NULL, NULL, err);
	close(fd);
	return ret;
}

static struct journal *journal_new(const char *path, int fd)
{
	struct journal *journal = text_alloc(1, sizeof(*journal));

	journal->path = text_copy(path);
	journal->fd = fd;
	return journal;
}

int journal_create(struct journal **ret, const char *path, struct err *err)
{
	struct journal *journal;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_sys(err, errno, path, "cannot make the journal");
	journal = journal_new(path, fd);
	/* Undoing a job needs records, also where the job has filled the file system. */
	fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, JOURNAL_RESERVE);
	if (journal_note(journal, json_pack("{s:s, s:i}", "journal", "volmig",
					      "version", JOURNAL_VERSION), err) < 0) {
		journal_close(journal);
		unlink(path);
		return -1;
	}
	*ret = journal;
	return 0;
}

int journal_open(struct journal **ret, const char *path,
		 journal_reader *reader, void *data, struct err *err)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct journal *journal;
	size_t end;

	if (fd < 0)
		return err_sys(err, errno, path, "cannot open the journal");
	journal = journal_new(path, fd);
	if (load(fd, path, reader, data, &end, journal->sum.bytes, err) < 0)
		goto fail;
	journal->end = (off_t)end;
	journal->synced = journal->end;
	/* Only where something is torn: it would give back what was set aside. */
	if (lseek(fd, 0, SEEK_END) != journal->end &&
	    (ftruncate(fd, journal->end) < 0 || fdatasync(fd) < 0)) {
		err_sys(err, errno, path, "cannot cut the torn end off the journal");
		goto fail;
	}
	*ret = journal;
	return 0;
fail:
	journal_close(journal);
	return -1;
}

static int write_all(int fd, const char *text, size_t length, off_t offset)
{
	while (length > 0) {
		ssize_t n = pwrite(fd, text, length, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		length -= (size_t)n;
		offset += n;
	}
	return 0;
}

static void add_time(struct journal *journal, json_t *record)
{
	char *text = journal->last_time;
	size_t size = sizeof(journal->last_time), n;
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, size - n, ".%03ldZ", now.tv_nsec / 1000000);
	json_put(record, "time", json_string(text));
}

#ifdef VOLMIG_INJECT
static uint64_t records_written;
#define COUNT_RECORD() (records_written++)
#define RECORD_NUMBER (records_written + 1)
#else
#define COUNT_RECORD() ((void)0)
#define RECORD_NUMBER ((uint64_t)0)
#endif

/* Is it the record that shall not be written as it should? */
static bool injected(const char *what)
{
	uint64_t number;

	return inject_number(what, &number) && number == RECORD_NUMBER;
}

static int append(struct journal *journal, json_t *record, bool sync, struct err *err)
{
	char *body, *line = NULL;
	char hex[HASH_HEX];
	struct hash sum;
	size_t length;
	int error;

	if (journal->broken) {
		json_decref(record);
		return err_set(err, ERR_STOPPED, journal->path, "an earlier write to the journal failed");
	}
	add_time(journal, record);
	body = json_dumps(record, JSON_COMPACT);
	json_decref(record);
	if (!body)
		abort();

	length = strlen(body) - 1;	/* without the closing brace */
	sum = chain(&journal->sum, body, length);
	line = text_format("%.*s" SUM_KEY "%s\"}\n", (int)length, body, hash_hex(&sum, hex));
	length = strlen(line);
	free(body);

	inject_kill_at("kill-before-record", RECORD_NUMBER);
	if (injected("kill-torn-record")) {
		write_all(journal->fd, line, length / 2, journal->end);
		inject_die();
	}
	/* It is to be durable by then. */
	if (injected("kill-after-record"))
		sync = true;
	error = write_all(journal->fd, line, injected("journal-short") ? length / 2 : length, journal->end);
	if (!error && sync && fdatasync(journal->fd) < 0)
		error = -errno;
	if (injected("journal-short") || injected("journal-lost"))
		error = -EIO;
	free(line);
	if (error) {
		/*
		 * After a failed sync nobody knows what is on the medium; take
		 * the line back, and what was noted before it, and accept nothing
		 * more from this process.
		 */
		journal->broken = true;
		if (ftruncate(journal->fd, journal->synced) == 0)
			fdatasync(journal->fd);
		err_sys(err, -error, journal->path, "cannot write to the journal");
		err->class = ERR_STOPPED;
		return -1;
	}
	COUNT_RECORD();
	inject_kill_at("kill-after-record", RECORD_NUMBER - 1);
	journal->end += (off_t)length;
	if (sync)
		journal->synced = journal->end;
	journal->sum = sum;
	return 0;
}

int journal_append(struct journal *journal, json_t *record, struct err *err)
{
	return append(journal, record, true, err);
}

int journal_note(struct journal *journal, json_t *record, struct err *err)
{
	return append(journal, record, false, err);
}

int journal_sync(struct journal *journal, struct err *err)
{
	if (!journal->broken && journal->synced == journal->end)
		return 0;
	if (!journal->broken && fdatasync(journal->fd) == 0) {
		journal->synced = journal->end;
		return 0;
	}
	if (!journal->broken)
		err_sys(err, errno, journal->path, "cannot sync the journal");
	else
		err_set(err, ERR_STOPPED, journal->path, "an earlier write to the journal failed");
	journal->broken = true;
	err->class = ERR_STOPPED;
	return -1;
}

void journal_trim(struct journal *journal)
{
	/* To the size it has: what lies beyond it is given back. */
	if (!journal->broken && ftruncate(journal->fd, journal->end) < 0)
		journal->broken = true;
}

const char *journal_last_time(const struct journal *journal)
{
	return journal->last_time;
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	if (journal->fd >= 0)
		close(journal->fd);
	free(journal->path);
	free(journal);
}
