/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks of domains on the network: what libvirt, QEMU and we ourselves call one NBD export or RBD image. */
#ifndef ENGINES_LIVE_NETWORK_H
#define ENGINES_LIVE_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct facts;
struct move;
struct virt_source;

/*
 * The volume that a move goes to (destination, or the image that it makes), as
 * a <source> element for libvirt, and as virt_source_text() calls that.
 * secret: UUID of libvirt's secret with the key of its Ceph user; or NULL.
 * ERR_REFUSED where QEMU could not reach it by that.  Free both.
 */
int live_network_source(const struct move *move, uint64_t window, const char *secret,
			char **ret_element, char **ret_text, struct err *err);

/* For people: by which certificates a destination under TLS is reached, for each has its own; else NULL.  Free it. */
char *live_network_note(const struct facts *volume);

/* A mirror onto it could not begin: what the user may look at, where that is a matter of TLS. */
void live_network_advise(const struct facts *volume, struct err *err);

/*
 * The name by which we know it, "nbd://..."; NULL: it is none that we do.
 * certificates: where those are by which QEMU has opened it under TLS; NULL:
 * nobody knows, or without.  Free it.
 */
char *live_network_name(const struct virt_source *source, const char *certificates);

/* What QEMU calls a file, if it is one of these, as virt_source_text() does; else NULL.  Free it. */
char *live_network_of_qemu(const char *file);

/* Do two such texts mean the same? */
bool live_network_same(const char *a, const char *b);

#endif
