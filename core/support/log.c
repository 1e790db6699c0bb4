/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines for people on stderr: warnings, and with --verbose what is being done. */
#include "support/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "support/text.h"

static enum log_level log_level = LOG_NORMAL;
static char log_prefix[64] = "volmig: ";
static void (*log_before)(void);
static bool (*journal_send)(int priority, const char *line);
static bool to_syslog;

void log_setup(enum log_level level, const char *prefix)
{
	log_level = level;
	snprintf(log_prefix, sizeof(log_prefix), "%s", prefix);
}

void log_set_level(enum log_level level)
{
	log_level = level;
}

void log_set_before(void (*before)(void))
{
	log_before = before;
}

enum journal {
	JOURNAL_NONE,
	JOURNAL_LOOKS_SO,	/* $JOURNAL_STREAM says so of what is no socket: not by systemd */
	JOURNAL_SOCKET,
};

/* Is standard error a stream of systemd's journal?  Then a line may begin with its priority. */
static enum journal is_journal(void)
{
	static int known = -1;
	unsigned long long dev, ino;
	const char *stream;
	struct stat st;

	if (known < 0) {
		stream = getenv("JOURNAL_STREAM");
		known = JOURNAL_NONE;
		if (stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
		    fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino)
			known = S_ISSOCK(st.st_mode) ? JOURNAL_SOCKET : JOURNAL_LOOKS_SO;
	}
	return (enum journal)known;
}

void log_set_journal(bool (*send)(int priority, const char *line))
{
	journal_send = send;
}

/* With its fields, if it can be sent so. */
static bool send_to_journal(int priority, const char *kind, const char *printable)
{
	char *line;
	bool sent;

	if (!journal_send || is_journal() != JOURNAL_SOCKET)
		return false;
	line = text_format("%s%s%s", log_prefix + strlen("volmig: "), kind, printable);
	sent = journal_send(priority, line);
	free(line);
	return sent;
}

void log_to_syslog(void)
{
	openlog("volmig", LOG_PID, LOG_DAEMON);
	to_syslog = true;
}

static void print_line(int priority, const char *kind, const char *fmt, va_list ap)
{
	char *line, *printable;

	if (vasprintf(&line, fmt, ap) < 0)
		abort();
	printable = text_printable(line);
	if (log_before)
		log_before();
	if (send_to_journal(priority, kind, printable))
		;	/* that is where it belongs */
	else if (is_journal())
		fprintf(stderr, "<%d>%s%s%s\n", priority, log_prefix, kind, printable);
	else
		fprintf(stderr, "%s%s%s\n", log_prefix, kind, printable);
	if (to_syslog)
		syslog(priority, "%s%s%s", log_prefix + strlen("volmig: "), kind, printable);
	free(printable);
	free(line);
}

void log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(LOG_ERR, "", fmt, ap);
	va_end(ap);
}

void log_warning(const char *fmt, ...)
{
	va_list ap;

	if (log_level < LOG_NORMAL)
		return;
	va_start(ap, fmt);
	print_line(LOG_WARNING, "warning: ", fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	if (log_level < LOG_VERBOSE)
		return;
	va_start(ap, fmt);
	print_line(LOG_INFO, "", fmt, ap);
	va_end(ap);
}

void log_note(const char *fmt, ...)
{
	va_list ap;

	if (log_level < LOG_NORMAL)
		return;
	va_start(ap, fmt);
	print_line(LOG_NOTICE, "", fmt, ap);
	va_end(ap);
}

void log_plain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(LOG_NOTICE, "", fmt, ap);
	va_end(ap);
}
