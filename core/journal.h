/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One append-only file of JSON lines, each on stable storage before the act
 * that it announces.  Knows nothing of steps or volumes.
 *
 * A line is a JSON object whose last member is "sum": XXH3-128 over the sum of
 * the line before (16 zero bytes for the first) and the line up to the comma
 * in front of "sum".  So a line cannot be changed, dropped or moved unseen.
 * The first line is {"journal":"volmig","version":N,...}.
 *
 * A crash may leave the last line torn: without its newline, or with NUL bytes
 * where the file system kept the size but not the data.  Such a tail
 * announced an act that was not begun, and is ignored.  Everything else that
 * does not add up is damage, and damage is never guessed away: a lost commit
 * record would make a finished move look undoable.
 */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define JOURNAL_VERSION 1

struct journal;

/* Hears each whole record in order, the first line included; non-zero ends the reading with -1. */
typedef int journal_reader(const json_t *record, void *data, struct err *err);

/*
 * Read a journal from memory.  ret_end (may be NULL) gets the length of its
 * whole lines, and ret_sum (16 bytes, may be NULL) the sum of the last.  name
 * is for messages.  ERR_REFUSED for damage and for a newer version.
 */
int journal_parse(const char *text, size_t length, const char *name,
		  journal_reader *reader, void *data,
		  size_t *ret_end, uint8_t *ret_sum, struct err *err);

/* Read the file at path without opening it for writing. */
int journal_read(const char *path, journal_reader *reader, void *data, struct err *err);

/* Make a new journal; the file must not exist.  Its first line is durable with the first record. */
int journal_create(struct journal **ret, const char *path, struct err *err);

/* Open an existing one for appending: read it as journal_read() does, cut a torn tail off. */
int journal_open(struct journal **ret, const char *path,
		 journal_reader *reader, void *data, struct err *err);

/*
 * Append record (taken over), with the time added, and sync it.  On failure
 * the file is as it was; if even that cannot be had, no record is accepted any
 * more.  ERR_STOPPED, since nothing was done yet and a later try may succeed.
 */
int journal_append(struct journal *journal, json_t *record, struct err *err);

/*
 * The same without syncing it: durable with the next record that is appended,
 * and lost with it.  For what announces nothing.
 */
int journal_note(struct journal *journal, json_t *record, struct err *err);

/* What was noted is durable when this returns. */
int journal_sync(struct journal *journal, struct err *err);

/* It is at its end: give back the space that was set aside for more records. */
void journal_trim(struct journal *journal);

/* When the last record was appended by this process, RFC 3339; "" for none. */
const char *journal_last_time(const struct journal *journal);

void journal_close(struct journal *journal);

#endif
