/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What went wrong, for whom, and what to do about it. */
#ifndef SUPPORT_ERR_H
#define SUPPORT_ERR_H

/*
 * The class decides what a script can do next; cmd/ turns it into the exit
 * status and report.c into the "class" of the JSON result.
 */
enum err_class {
	ERR_NONE = 0,
	ERR_FAILED,		/* it failed; the system is as it was, or was rolled back */
	ERR_USAGE,		/* the command line makes no sense */
	ERR_REFUSED,		/* a safety check said no; nothing was touched */
	ERR_STOPPED,		/* interrupted or stopped; resumable */
	ERR_UNSURE,		/* failed part-way; touch nothing more */
};

/*
 * Plain buffers, so that reporting an error never allocates and never leaks.
 * An object that does not fit is cut in its middle.
 */
struct err {
	enum err_class class;
	int number;		/* the errno behind it, or 0 */
	char object[1024];	/* what it is about: a path, a spec, a job; may be empty */
	char cause[1024];
	char next[768];		/* what the user can do; may be empty */
};

#define ERR_INIT { .class = ERR_NONE }

/* Fill err and return -1.  object may be NULL. */
int err_set(struct err *err, enum err_class class, const char *object,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The same with class ERR_FAILED and the system's reason for number behind the text. */
int err_sys(struct err *err, int number, const char *object,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Say what the user can do; returns -1.  The rest of err stays. */
int err_next(struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Put "while ...: " in front of the cause as the error climbs; returns -1. */
int err_context(struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* "failed", "usage", "refused", "stopped", "unsure": stable, part of the JSON result. */
const char *err_class_name(enum err_class class);

/* The inverse; ERR_FAILED for a word it does not know. */
enum err_class err_class_by_name(const char *name);

#endif
