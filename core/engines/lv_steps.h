/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the steps that files and logical volumes have in common do something else for the latter. */
#ifndef ENGINES_LV_STEPS_H
#define ENGINES_LV_STEPS_H

#include "engines/step.h"

/* publish: give the new logical volume its name. */
enum step_result lv_publish(struct step_context *ctx, struct err *err);

/* remove-source: the caller has looked at both ends. */
enum step_result lv_remove_source(struct step_context *ctx, struct err *err);

/* ... or where it stays after all: as active as it was, if that can be. */
void lv_leave_source(struct step_context *ctx);

#endif
