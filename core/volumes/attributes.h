/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Of a file's extended attributes those that mean something on another host:
 * user.*, and the access control list, with names in place of numbers.  As
 * text, for the facts of a file (struct facts) that go there; whoever gets them
 * from there believes nothing of it.
 */
#ifndef VOLUMES_ATTRIBUTES_H
#define VOLUMES_ATTRIBUTES_H

#include <stdbool.h>
#include <sys/types.h>

struct text_list;

#define ATTRIBUTES_MAX 131072	/* bytes of such text */

/* Has it an access control list?  Then the middle three bits of its mode are the list's mask, and no promise to a group. */
bool attributes_have_acl(const char *path);

/* Of the file at path; NULL: it has none of them.  Free it. */
char *attributes_read(const char *path);

/*
 * Give them to a new file, whose owner and group are set, and note what cannot
 * be.  True: it has the list that it should have, and *mode is the mode that
 * goes with it; false: there was no list, or it could not be kept.  with_acl: do
 * not try, as the group could not be kept.
 */
bool attributes_give(const char *text, int fd, bool with_acl, mode_t *mode, struct text_list *notes);

#endif
