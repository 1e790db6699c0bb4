/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines for people on stderr: warnings, and with --verbose what is being done. */
#ifndef SUPPORT_LOG_H
#define SUPPORT_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_QUIET,		/* errors only */
	LOG_NORMAL,		/* and warnings */
	LOG_VERBOSE,		/* and what is being done */
};

/* Process-wide: the level, and the "volmig: migrate: " in front of each line. */
void log_setup(enum log_level level, const char *prefix);
/*
 * From now on each line goes to syslog, too.  Where standard error is a stream
 * of systemd's journal ($JOURNAL_STREAM), lines have their priority in front,
 * as sd-daemon(3) has it, without being asked for.
 */
void log_to_syslog(void);

/*
 * Who takes lines for that journal with more than their priority, where
 * standard error is the socket that systemd makes for it: false when it could
 * not, and then they are written as ever.  The line has no "volmig: " in front.
 */
void log_set_journal(bool (*send)(int priority, const char *line));
void log_set_level(enum log_level level);

/*
 * Something to run before a line is written, so that a progress line that is
 * being drawn on the same terminal is taken away first; NULL for nothing.
 */
void log_set_before(void (*before)(void));

/* One line each; control characters in it are made visible. */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));	/* unless quiet */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A line that was asked for: not a warning, and not left out by --quiet. */
void log_plain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
