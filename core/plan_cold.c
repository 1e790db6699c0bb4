/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy for a source that is the disk of domains: which may it be, and whose definition follows. */
#include "plan_parts.h"

#include <stdlib.h>
#include <string.h>

#include "support/err.h"
#include "volumes/guests.h"
#include "volumes/qemu.h"

static int refuse(struct err *err, const struct plan *plan, const struct guest_use *use,
		  const char *cause, const char *next)
{
	err_set(err, ERR_REFUSED, plan->move.source.spec, "used by %s: %s", use->text, cause);
	return err_next(err, "%s", next);
}

/* May the definition of the domain follow the volume? */
static int check_use(const struct plan *plan, const struct guest_use *use, struct err *err)
{
	if (!use->disk)
		return refuse(err, plan, use, "only a disk's source is changed in a definition",
			      "change the definition yourself, or use volmig copy");
	if (use->backing)
		return refuse(err, plan, use, "an image stands on it, and names it in its own header",
			      "flatten or rebase that image first, or use volmig copy");
	if (use->mirror)
		return refuse(err, plan, use, "a block job mirrors onto it", "end that job first");
	if (strcmp(use->device, "disk") && strcmp(use->device, "lun"))
		return refuse(err, plan, use, "it is a removable medium there",
			      "eject it first, or use volmig copy");
	if (!use->definition || !use->bare)
		return refuse(err, plan, use, "its <source> says more than where it is, which would be lost",
			      "change the definition yourself, or use volmig copy");
	if (use->tied) {
		err_set(err, ERR_REFUSED, plan->move.source.spec,
			"used by %s: the domain has %s, which would still name the old volume",
			use->text, use->tied);
		return err_next(err, "remove that first, or use volmig copy");
	}
	return 0;
}

/*
 * Only the path in a definition changes, and not of which format what is there
 * is: a guest that is given an image for raw bytes would destroy it.
 */
static int check_format(const struct plan *plan, const struct guest_use *use, struct err *err)
{
	const struct facts *source = &plan->move.source, *dst = &plan->move.destination;
	const char *from = source->qemu ? source->qemu->driver : "raw", *to = dst->qemu ? dst->qemu->driver : "raw";

	if (!facts_remote(source) && !facts_remote(dst) && !strcmp(from, to) && strcmp(to, "rbd") && strcmp(to, "iscsi"))
		return 0;
	refuse(err, plan, use, "its definition would need more than another path",
	       "use volmig copy and change the definition yourself, or name a place of the same format");
	/* libvirt writes such a definition itself where it moves the disk. */
	if (!dst->kind || strcmp(dst->kind, "nbd") || source->qemu)
		return -1;
	return err_next(err, "start it with its vCPUs halted (virsh start --paused %s), move the disk so "
			"(volmig swap %s %s %s), and stop it again; or use volmig copy and change the definition yourself",
			use->domain, use->domain, use->role, dst->spec);
}

int plan_cold(const struct request *request, struct plan *plan, struct err *err)
{
	struct facts *source = &plan->move.source;
	const struct guest_use *use = source->guests;

	/* A copy leaves the domains what they have; who runs is told as any other user. */
	if (!source->guest_count || guests_run(source))
		return 0;
	if (request->command == COMMAND_COPY) {
		text_list_add(&plan->warnings, text_format("the source is %s; it stays so", use->text));
		return 0;
	}
	if (facts_is_far(&plan->move.destination)) {
		err_set(err, ERR_REFUSED, source->spec, "used by %s, whose definition stays on this host", use->text);
		return err_next(err, "use volmig copy, and define the domain there with the copy");
	}
	if (source->guest_count > 1) {
		char *uses = text_list_join(&source->uses);

		err_set(err, ERR_REFUSED, source->spec, "in use in more than one way: %s", uses);
		free(uses);
		return err_next(err, "leave one of them, or use volmig copy and change the definitions yourself");
	}
	if (check_use(plan, use, err) < 0 || check_format(plan, use, err) < 0)
		return -1;
	cold_move_begin(&plan->move.cold, request->connect, use);
	plan_add_not_moved(plan, "live", text_format("domain %s is shut off", use->domain));
	if (use->autostart)
		text_list_add(&plan->warnings, text_format(
			"domain %s is marked for autostart: if libvirtd starts it meanwhile, the move stops",
			use->domain));
	return 0;
}
