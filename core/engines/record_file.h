/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small JSON files, one for each thing that is attached, in a directory that is locked meanwhile. */
#ifndef ENGINES_RECORD_FILE_H
#define ENGINES_RECORD_FILE_H

#include <jansson.h>
#include <stdbool.h>

struct err;

/*
 * Open dir and hold it against others until it is closed.  One that is not there
 * is made, or else holds no records: *ret_dirfd is -1, which the rest takes.
 */
int record_dir_open(const char *dir, bool make, int *ret_dirfd, struct err *err);

/*
 * 1 found, 0 there is none, -1 error.  What is no JSON gives NULL, of which
 * nothing can be read: it is renamed into place when it is whole, so this is
 * damage or a newer version's.
 */
int record_file_read(int dirfd, const char *name, json_t **ret_json, struct err *err);

/* Both are durable when they return 0; what is not there is removed already. */
int record_file_write(int dirfd, const char *name, const json_t *json, struct err *err);
int record_file_remove(int dirfd, const char *name, struct err *err);

/*
 * Call found() for each record whose name begins with prefix, until it returns
 * other than 0: that is returned.
 */
int record_file_each(int dirfd, const char *prefix, int (*found)(const char *name, void *data), void *data);

#endif
