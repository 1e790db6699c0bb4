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

/* Is standard error a stream of systemd's journal?  Then a line may begin with its priority. */
static bool is_journal(void)
{
	static int known = -1;
	unsigned long long dev, ino;
	const char *stream;
	struct stat st;

	if (known < 0) {
		stream = getenv("JOURNAL_STREAM");
		known = stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
			fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
	}
	return known;
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
	if (is_journal())
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
