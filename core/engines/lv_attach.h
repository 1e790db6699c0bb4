/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A logical volume is active for as long as it is attached to this host, if it was not before. */
#ifndef ENGINES_LV_ATTACH_H
#define ENGINES_LV_ATTACH_H

struct err;
struct facts;

/*
 * Activate it where it is not, and record that in dir first; facts are looked at
 * anew then.  To be called before host_attach(); done already is fine.
 */
int lv_attach(struct facts *facts, const char *dir, struct err *err);

/* After host_detach(): deactivate it if lv_attach() has activated it.  1: it has; 0: nothing to do. */
int lv_detach(const struct facts *facts, const char *dir, struct err *err);

#endif
