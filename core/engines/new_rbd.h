/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What steps do with RBD images that they do with files by other means. */
#ifndef ENGINES_NEW_RBD_H
#define ENGINES_NEW_RBD_H

#include "engines/step.h"

/* Give the new image its name. */
enum step_result rbd_publish(struct step_context *ctx, struct err *err);

/* Remove the source. */
enum step_result rbd_retire(struct step_context *ctx, struct err *err);

/* ... or where it stays after all: its name, which an earlier run may have taken from it; or a note. */
void rbd_put_back(struct step_context *ctx);

#endif
