/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the steps share that make a destination file and give it its name. */
#ifndef ENGINES_NEW_FILE_H
#define ENGINES_NEW_FILE_H

struct err;
struct move;
struct step_context;

/*
 * Open the destination's directory, and make sure that it is the one planned
 * with.  After a reboot the device number says nothing, and the root directory
 * of every file system has the same inode: then its birth must agree.
 */
int new_file_open_dir(const struct step_context *ctx, int *ret_fd, struct err *err);

/*
 * Is the file of that name the one that this job made?  1 yes, 0 something else
 * or nothing, -1 error.  Looks at the file itself, never through a link: others
 * may be able to write to the directory.
 */
int new_file_is_target(const struct step_context *ctx, int dir, const char *name, struct err *err);

/*
 * Is the source still there, as long as it was?  If not, what was copied may
 * be the only copy, and is not for us to remove.
 */
int new_file_source_stands(const struct step_context *ctx, char *(*copy_path)(const struct move *move),
			   struct err *err);

/* The destination's directory cannot be had: is the user content to leave the file where it is? */
int new_file_forget(struct step_context *ctx, struct err *err);

#endif
