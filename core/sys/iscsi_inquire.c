/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a LUN says of itself to somebody who is not the kernel, by libiscsi's iscsi-inq under a time limit. */
#include "sys/iscsi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "sys/program.h"

#define INQUIRE_MS 10000
#define PAGE_SERIAL "128"	/* it takes no other base */

/* As QEMU calls itself, for a target that lets in whom it knows. */
#define INITIATOR "iqn.2008-11.org.linux-kvm"

/* "Unit Serial Number:[...]", with no white space around it; NULL: there is none, or it is empty. */
static char *serial_in(const char *output)
{
	const char *at = strstr(output, "Unit Serial Number:["), *end;

	if (!at)
		return NULL;
	at = strchr(at, '[') + 1;
	at += strspn(at, " ");
	end = strchr(at, ']');
	while (end && end > at && end[-1] == ' ')
		end--;
	return end && end > at ? text_format("%.*s", (int)(end - at), at) : NULL;
}

char *iscsi_inquire_serial(const char *url, const char *user, const char *secret)
{
	char *path = program_find("iscsi-inq"), *serial = NULL, *output = NULL, *errors = NULL;
	const char *argv[] = { path, "-i", INITIATOR, "-e", "1", "-c", PAGE_SERIAL, url, NULL };
	/* The environment of a process only its own user can read, and root. */
	char *name = text_format("LIBISCSI_CHAP_USERNAME=%s", user ? user : "");
	char *word = text_format("LIBISCSI_CHAP_PASSWORD=%s", secret ? secret : "");
	const char *env[] = { name, word, NULL };
	struct program program = { .argv = argv, .env = user ? env : NULL, .timeout_ms = INQUIRE_MS };
	struct err ignored = ERR_INIT;
	enum program_end end;
	int status;

	if (path && program_capture(&program, &end, &status, &output, NULL, &errors, &ignored) == 0 &&
	    end == PROGRAM_EXITED && status == 0)
		serial = serial_in(output);
	explicit_bzero(word, strlen(word));
	free(word);
	free(name);
	free(output);
	free(errors);
	free(path);
	return serial;
}
