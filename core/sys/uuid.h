/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Identifiers: of jobs by libuuid, and of this boot of the machine. */
#ifndef SYS_UUID_H
#define SYS_UUID_H

#include <stdbool.h>
#include <stddef.h>

#define UUID_TEXT_SIZE 37

/* A new random UUID, in lower case; returns buf. */
const char *uuid_new(char buf[static UUID_TEXT_SIZE]);

/* Is text a UUID?  Its canonical form, in lower case, goes to buf. */
bool uuid_canonical(const char *text, char buf[static UUID_TEXT_SIZE]);

/* The UUID that a name has: the same for the same bytes, anywhere and for ever (RFC 9562, version 5). */
const char *uuid_named(const void *name, size_t length, char buf[static UUID_TEXT_SIZE]);

/*
 * The kernel's id of this boot: device numbers, inode numbers of some file
 * systems and loop devices mean the same only as long as it is the same.
 * Empty where /proc does not tell, which never equals a recorded one.
 */
const char *uuid_of_boot(char buf[static UUID_TEXT_SIZE]);

#endif
