/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lies on a volume, by libblkid. */
#ifndef SYS_SIGNATURE_H
#define SYS_SIGNATURE_H

struct err;

/*
 * "ext4 \"root\"", "LVM2_member", "crypto_LUKS", "gpt partition table"; NULL
 * for nothing known.  Free it.  Two that contradict each other are both named.
 */
int signature_probe(int fd, char **ret_text, struct err *err);

#endif
