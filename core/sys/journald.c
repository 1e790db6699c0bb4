/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines with fields for systemd's journal. */
#include "sys/journald.h"

#include <stdlib.h>
#include <string.h>

#include "support/log.h"
#include "support/text.h"

#define FIELDS_MAX 16

/* "NAME=value" each. */
static char *fields[FIELDS_MAX];

void journald_field(const char *name, const char *value)
{
	size_t length = strlen(name), i = 0;

	while (i < FIELDS_MAX && fields[i] && (strncmp(fields[i], name, length) || fields[i][length] != '='))
		i++;
	if (i == FIELDS_MAX)
		return;		/* one too many: the line is worth more than it */
	free(fields[i]);
	fields[i] = text_format("%s=%s", name, value ? value : "");
}

#ifndef VOLMIG_WITHOUT_SYSTEMD

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

/* Where it sends to; it says nothing of a line for which there is nobody. */
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/*
 * As sd_journal_sendv(3) has it, since 2011: written down here, so that
 * building needs no header for one function.
 */
typedef int sendv(const struct iovec *iov, int n);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static sendv *lib_sendv;

static void load(void)
{
	void *lib = dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);

	if (lib)
		lib_sendv = (sendv *)dlsym(lib, "sd_journal_sendv");
}

static bool send_line(int priority, const char *line)
{
	char *own[] = {
		text_format("MESSAGE=%s", line),
		text_format("PRIORITY=%d", priority),
		text_copy("SYSLOG_IDENTIFIER=volmig"),
	};
	struct iovec iov[sizeof(own) / sizeof(own[0]) + FIELDS_MAX];
	bool sent = false;
	int n = 0;

	pthread_once(&once, load);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		iov[n++] = (struct iovec){ own[i], strlen(own[i]) };
	for (size_t i = 0; i < FIELDS_MAX && fields[i]; i++)
		if (strchr(fields[i], '=')[1])
			iov[n++] = (struct iovec){ fields[i], strlen(fields[i]) };
	if (lib_sendv && access(JOURNAL_SOCKET, W_OK) == 0)
		sent = lib_sendv(iov, n) >= 0;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		free(own[i]);
	return sent;
}

void journald_setup(void)
{
	log_set_journal(send_line);
}

#else

void journald_setup(void)
{
}

#endif
