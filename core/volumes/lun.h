/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The name of an iSCSI LUN, and the secrets to get at it with. */
#ifndef VOLUMES_LUN_H
#define VOLUMES_LUN_H

#include <stdbool.h>
#include <stdint.h>

#include "sys/iscsi.h"

struct err;

#define LUN_PREFIX "iscsi://"

/* iscsi://PORTAL[:PORT]/IQN/LUN[?chap-file=FILE] */
struct lun {
	struct iscsi_target target;	/* its address is as typed until lun_resolve() */
	uint64_t number;
	char *chap_file;		/* as typed; or NULL */
};

/*
 * Read it; looks at nothing but the text.  ERR_USAGE: it is none.  A name and a
 * secret in it (as QEMU has them) are refused: others could read them.
 */
int lun_parse(const char *text, struct lun *ret_lun, struct err *err);
void lun_free(struct lun *lun);

/* The portal's name becomes its address; asks the resolver. */
int lun_resolve(struct lun *lun, struct err *err);

/* As it would be typed, without a file; free it. */
char *lun_text(const struct lun *lun);

/* What a file says: lines "username = NAME", "password = SECRET", and the same with _in for the target's. */
struct lun_secrets {
	char *user, *secret, *user_in, *secret_in;
};

/* Only from a file that nobody else may read or write, or ERR_REFUSED. */
int lun_secrets_read(const char *path, struct lun_secrets *ret, struct err *err);

/* Overwrites them. */
void lun_secrets_free(struct lun_secrets *secrets);

#endif
