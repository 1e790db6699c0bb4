/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines for people on stderr: warnings, and with --verbose what is being done. */
#include "support/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/text.h"

static enum log_level log_level = LOG_NORMAL;
static char log_prefix[64] = "volmig: ";
static void (*log_before)(void);

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

static void print_line(const char *kind, const char *fmt, va_list ap)
{
	char *line, *printable;

	if (vasprintf(&line, fmt, ap) < 0)
		abort();
	printable = text_printable(line);
	if (log_before)
		log_before();
	fprintf(stderr, "%s%s%s\n", log_prefix, kind, printable);
	free(printable);
	free(line);
}

void log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line("", fmt, ap);
	va_end(ap);
}

void log_warning(const char *fmt, ...)
{
	va_list ap;

	if (log_level < LOG_NORMAL)
		return;
	va_start(ap, fmt);
	print_line("warning: ", fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	if (log_level < LOG_VERBOSE)
		return;
	va_start(ap, fmt);
	print_line("", fmt, ap);
	va_end(ap);
}

void log_note(const char *fmt, ...)
{
	va_list ap;

	if (log_level < LOG_NORMAL)
		return;
	va_start(ap, fmt);
	print_line("", fmt, ap);
	va_end(ap);
}

void log_plain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line("", fmt, ap);
	va_end(ap);
}
