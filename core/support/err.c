/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What went wrong, for whom, and what to do about it. */
#include "support/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const class_names[] = {
	[ERR_NONE] = "none",
	[ERR_FAILED] = "failed",
	[ERR_USAGE] = "usage",
	[ERR_REFUSED] = "refused",
	[ERR_STOPPED] = "stopped",
	[ERR_UNSURE] = "unsure",
};

static void set_object(struct err *err, const char *object)
{
	size_t room = sizeof(err->object);
	size_t len = object ? strlen(object) : 0;

	if (!object) {
		err->object[0] = '\0';
	} else if (len < room) {
		/* The object may be the one that is already here. */
		memmove(err->object, object, len + 1);
	} else {
		size_t head = room / 2;
		size_t tail = room - head - 4;

		memmove(err->object, object, head);
		memcpy(err->object + head, "...", 3);
		memmove(err->object + head + 3, object + len - tail, tail + 1);
	}
}

int err_set(struct err *err, enum err_class class, const char *object,
	    const char *fmt, ...)
{
	va_list ap;

	err->class = class;
	err->number = 0;
	err->next[0] = '\0';
	set_object(err, object);
	va_start(ap, fmt);
	vsnprintf(err->cause, sizeof(err->cause), fmt, ap);
	va_end(ap);
	return -1;
}

int err_sys(struct err *err, int number, const char *object,
	    const char *fmt, ...)
{
	va_list ap;
	size_t len;

	err->class = ERR_FAILED;
	err->number = number;
	err->next[0] = '\0';
	set_object(err, object);
	va_start(ap, fmt);
	vsnprintf(err->cause, sizeof(err->cause), fmt, ap);
	va_end(ap);
	len = strlen(err->cause);
	snprintf(err->cause + len, sizeof(err->cause) - len, ": %s",
		 strerror(number));
	return -1;
}

int err_next(struct err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->next, sizeof(err->next), fmt, ap);
	va_end(ap);
	return -1;
}

int err_context(struct err *err, const char *fmt, ...)
{
	char old[sizeof(err->cause)];
	va_list ap;
	size_t len;

	memcpy(old, err->cause, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(err->cause, sizeof(err->cause), fmt, ap);
	va_end(ap);
	len = strlen(err->cause);
	snprintf(err->cause + len, sizeof(err->cause) - len, ": %s", old);
	return -1;
}

const char *err_class_name(enum err_class class)
{
	return class_names[class];
}

enum err_class err_class_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof(class_names) / sizeof(class_names[0]); i++)
		if (!strcmp(class_names[i], name))
			return (enum err_class)i;
	return ERR_FAILED;
}
