/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Give a volume to a domain as a disk, and take it away again. */
#include "engines/disk_attach.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/text.h"
#include "sys/virt.h"
#include "sys/virt_xml.h"
#include "volumes/guests.h"
#include "volumes/volume.h"

#define LOOK_MS 500		/* events may be lost, so that often the XML is looked at */

/* A domain as it is now: what runs, what is defined. */
struct state {
	struct virt *virt;
	struct virt_domain domain;
	char *live_xml, *config_xml;		/* NULL: it does not run, it is not defined */
	struct virt_disks live, config;
};

static void forget_xml(struct state *state)
{
	free(state->live_xml);
	free(state->config_xml);
	virt_disks_free(&state->live);
	virt_disks_free(&state->config);
	state->live_xml = state->config_xml = NULL;
}

static void state_free(struct state *state)
{
	forget_xml(state);
	virt_domain_free(&state->domain);
}

static int read_xml(struct state *state, struct err *err)
{
	const char *uuid = state->domain.uuid;

	forget_xml(state);
	if (state->domain.running && (virt_xml(state->virt, uuid, false, &state->live_xml, err) < 0 ||
				      virt_xml_disks(state->live_xml, &state->live, err) < 0))
		return -1;
	if (state->domain.persistent && (virt_xml(state->virt, uuid, true, &state->config_xml, err) < 0 ||
					 virt_xml_disks(state->config_xml, &state->config, err) < 0))
		return -1;
	return 0;
}

static int find_domain(struct virt *virt, const struct disk_attach_options *options,
		       struct state *ret, struct disk_attachment *attachment, struct err *err)
{
	*ret = (struct state){ .virt = virt };
	*attachment = (struct disk_attachment){ .already = false };
	if (virt_find(virt, options->domain, &ret->domain, err) < 0) {
		if (err->number == ENOENT) {
			err_set(err, ERR_REFUSED, options->domain, "no such domain");
			err_next(err, "virsh list --all");
		}
		return -1;
	}
	snprintf(attachment->uuid, sizeof(attachment->uuid), "%s", ret->domain.uuid);
	snprintf(attachment->domain, sizeof(attachment->domain), "%s", ret->domain.name);
	return read_xml(ret, err);
}

/* What of the domain is to be changed: what was asked for, else both that there are. */
static int choose_affect(const struct state *state, const struct disk_attach_options *options,
			 unsigned *ret, struct err *err)
{
	const struct virt_domain *domain = &state->domain;
	unsigned wanted = (options->live ? VIRT_LIVE : 0U) | (options->config ? VIRT_CONFIG : 0U);

	if ((wanted & VIRT_LIVE) && !domain->running) {
		err_set(err, ERR_REFUSED, domain->name, "the domain does not run");
		return err_next(err, "leave --live out to change its definition");
	}
	if ((wanted & VIRT_CONFIG) && !domain->persistent) {
		err_set(err, ERR_REFUSED, domain->name, "the domain has no definition, it only runs");
		return err_next(err, "leave --config out");
	}
	*ret = wanted ? wanted : (domain->running ? VIRT_LIVE : 0U) | (domain->persistent ? VIRT_CONFIG : 0U);
	return 0;
}

/* The use of the volume as a disk of that domain itself; NULL: there is none. */
static const struct guest_use *own_use(const struct facts *facts, const char *uuid)
{
	for (size_t i = 0; i < facts->guest_count; i++)
		if (facts->guests[i].disk && !facts->guests[i].backing && !facts->guests[i].mirror &&
		    !strcmp(facts->guests[i].uuid, uuid))
			return &facts->guests[i];
	return NULL;
}

/* ---- attach ---- */

/* Does anybody but the domain itself use it? */
static int check_unused(const struct facts *facts, const struct guest_use *own, struct err *err)
{
	struct text_list rest = { 0 };
	char *uses;

	for (size_t i = 0; i < facts->uses.count; i++) {
		const char *use = facts->uses.items[i];
		/* What runs has it open itself; nobody else is let in by QEMU's lock. */
		bool is_own = own && (!strcmp(use, own->text) ||
				      (own->live && !strncmp(use, "open for writing by qemu", 24)));

		if (!is_own)
			text_list_add(&rest, text_copy(use));
	}
	if (!rest.count)
		return 0;
	uses = text_list_join(&rest);
	err_set(err, ERR_REFUSED, facts->spec, "in use: %s", uses);
	free(uses);
	text_list_free(&rest);
	return err_next(err, "end that use first");
}

static const struct virt_disk *disk_named(const struct state *state, const char *target)
{
	const struct virt_disk *disk = virt_disk_by_target(&state->live, target);

	return disk ? disk : virt_disk_by_target(&state->config, target);
}

/* Which target on which bus? */
static int choose_target(const struct state *state, const struct disk_attach_options *options,
			 const char **ret_bus, struct disk_attachment *ret, struct err *err)
{
	const char *prefix, *bus = options->bus;
	const struct virt_disk *disk;

	if (options->target) {
		disk = disk_named(state, options->target);
		if (disk) {
			char *source = virt_source_text(&disk->source);

			err_set(err, ERR_REFUSED, state->domain.name, "%s is a disk already, %s",
				options->target, source ? source : "an empty one");
			free(source);
			return err_next(err, "leave --target out, or name one that is free");
		}
		if (!bus)
			bus = !strncmp(options->target, "sd", 2) ? "scsi" : "virtio";
		snprintf(ret->target, sizeof(ret->target), "%s", options->target);
		*ret_bus = bus;
		return 0;
	}
	*ret_bus = bus ? bus : "virtio";
	prefix = strcmp(*ret_bus, "virtio") ? "sd" : "vd";
	for (char letter = 'a'; letter <= 'z'; letter++) {
		snprintf(ret->target, sizeof(ret->target), "%s%c", prefix, letter);
		if (!disk_named(state, ret->target))
			return 0;
	}
	err_set(err, ERR_REFUSED, state->domain.name, "no target from %sa to %sz is free", prefix, prefix);
	return err_next(err, "name one by --target");
}

/* What the definition says has to lead to the volume after a restart of the host too. */
static const char *lasting_path(const struct facts *facts)
{
	return facts->kind == block_volume_ops.kind && *facts->spec == '/' ? facts->spec : facts->path;
}

static char *disk_xml(const struct facts *facts, const struct disk_attach_options *options,
		      const char *target, const char *bus)
{
	bool is_device = facts->kind != file_volume_ops.kind;
	char *path = virt_xml_escape(lasting_path(facts));
	char *serial = options->serial ? virt_xml_escape(options->serial) : NULL;
	char *name = virt_xml_escape(target), *on = virt_xml_escape(bus);
	char *xml = text_format(
		"<disk type='%s' device='disk'><driver name='qemu' type='raw'/><source %s='%s'/>"
		"<target dev='%s' bus='%s'/>%s%s%s%s</disk>",
		is_device ? "block" : "file", is_device ? "dev" : "file", path, name, on,
		options->readonly ? "<readonly/>" : "", serial ? "<serial>" : "", serial ? serial : "",
		serial ? "</serial>" : "");

	free(path);
	free(serial);
	free(name);
	free(on);
	return xml;
}

/* Is the disk there, as far as it was to be? */
static int check_attached(struct state *state, unsigned affect, struct disk_attachment *ret,
			  struct err *err)
{
	if (read_xml(state, err) < 0)
		return -1;
	ret->live = virt_disk_by_target(&state->live, ret->target);
	ret->config = virt_disk_by_target(&state->config, ret->target);
	if (((affect & VIRT_LIVE) && !ret->live) || ((affect & VIRT_CONFIG) && !ret->config))
		return err_set(err, ERR_FAILED, ret->domain, "libvirt did not make it disk %s", ret->target);
	return 0;
}

/* The call failed, or nothing was heard of it: what is true tells the XML. */
static int explain_failure(struct state *state, unsigned affect, struct disk_attachment *ret,
			   struct err *err)
{
	struct err second = ERR_INIT;

	if (read_xml(state, &second) < 0) {
		err->class = ERR_UNSURE;
		return err_next(err, "see whether %s has a disk %s (virsh domblklist)", ret->domain, ret->target);
	}
	ret->live = virt_disk_by_target(&state->live, ret->target);
	ret->config = virt_disk_by_target(&state->config, ret->target);
	if (!(affect & VIRT_LIVE && ret->live) && !(affect & VIRT_CONFIG && ret->config))
		return -1;
	err->class = ERR_UNSURE;
	return err_next(err, "%s is in %s by now; volmig detach %s %s takes it away again", ret->target,
			ret->live && ret->config ? "the running domain and its definition" :
			ret->live ? "the running domain only" : "the definition only",
			ret->target, ret->domain);
}

int disk_attach(struct virt *virt, const struct facts *facts, const struct disk_attach_options *options,
		struct disk_attachment *ret, struct err *err)
{
	const struct guest_use *own;
	const char *bus = NULL;
	struct state state;
	unsigned affect = 0;
	char *xml = NULL;
	int result = -1;

	if (find_domain(virt, options, &state, ret, err) < 0 ||
	    choose_affect(&state, options, &affect, err) < 0)
		goto out;
	own = own_use(facts, state.domain.uuid);
	if (check_unused(facts, own, err) < 0)
		goto out;
	if (own && own->readonly != options->readonly) {
		err_set(err, ERR_REFUSED, facts->spec, "attached already, but %s", own->readonly ?
			"read-only" : "for reading and writing");
		err_next(err, "detach it first");
		goto out;
	}
	if (own && options->target && strcmp(own->role, options->target)) {
		err_set(err, ERR_REFUSED, facts->spec, "attached already, as %s", own->role);
		err_next(err, "detach it first");
		goto out;
	}
	if (facts->read_only && !options->readonly) {
		err_set(err, ERR_REFUSED, facts->spec, "it cannot be written to");
		err_next(err, "attach it with --readonly");
		goto out;
	}
	if (own) {
		const struct virt_disk *disk = disk_named(&state, own->role);

		affect &= ~((own->live ? VIRT_LIVE : 0U) | (own->config ? VIRT_CONFIG : 0U));
		snprintf(ret->target, sizeof(ret->target), "%s", own->role);
		bus = disk && disk->bus ? disk->bus : "virtio";
		ret->live = own->live;
		ret->config = own->config;
	} else if (choose_target(&state, options, &bus, ret, err) < 0) {
		goto out;
	}
	ret->already = !affect;
	if (!affect || options->dry_run) {
		result = 0;
		goto out;
	}
	xml = disk_xml(facts, options, ret->target, bus);
	if (virt_attach(virt, state.domain.uuid, xml, affect, err) < 0)
		explain_failure(&state, affect, ret, err);
	else
		result = check_attached(&state, affect, ret, err);
out:
	free(xml);
	state_free(&state);
	return result;
}

/* ---- detach ---- */

/* The disk's element in an XML. */
static char *element(const char *xml, const struct virt_disk *disk)
{
	return text_format("%.*s", (int)(disk->end - disk->begin), xml + disk->begin);
}

static int refuse_job(const struct state *state, const char *target, struct err *err)
{
	err_set(err, ERR_REFUSED, state->domain.name, "a block job is on %s", target);
	return err_next(err, "let it end, or end it, first");
}

/* Wait for the guest to let go: true, it has.  What the XML says counts, events only wake up. */
static bool wait_removed(struct state *state, const char *target, const char *alias,
			 uint64_t timeout_ms, bool *ret_refused, struct err *err)
{
	uint64_t until = clock_ns() + timeout_ms * 1000000;
	struct virt_event event;

	*ret_refused = false;
	for (;;) {
		uint64_t now = clock_ns(), wait_ms;

		if (read_xml(state, err) < 0)
			return false;
		if (!virt_disk_by_target(&state->live, target))
			return true;
		if (*ret_refused || now >= until || interrupt_requested())
			return false;
		wait_ms = (until - now) / 1000000 + 1;
		if (!virt_event(state->virt, wait_ms < LOOK_MS ? wait_ms : LOOK_MS, &event))
			continue;
		*ret_refused = event.kind == VIRT_EVENT_REMOVAL_FAILED && alias &&
			       !strcmp(event.uuid, state->domain.uuid) && !strcmp(event.name, alias);
	}
}

/* Out of the running domain. */
static int detach_live(struct state *state, const struct disk_attach_options *options,
		       struct disk_attachment *ret, struct err *err)
{
	const struct virt_disk *disk = virt_disk_by_target(&state->live, ret->target);
	char *xml = element(state->live_xml, disk), *alias = text_copy(disk->alias);
	struct err call = ERR_INIT, look = ERR_INIT;
	bool refused, asked;
	char time[TEXT_SIZE_MAX];
	int result = -1;

	/* A request that is under way already is as good as a new one. */
	asked = virt_detach(state->virt, state->domain.uuid, xml, VIRT_LIVE, &call) == 0 ||
		strstr(call.cause, "process of unplug") || call.number == ETIMEDOUT;
	if (wait_removed(state, ret->target, alias, asked ? options->timeout_ms : 0, &refused, &look)) {
		result = 0;
	} else if (look.class != ERR_NONE) {
		*err = look;
		err->class = ERR_UNSURE;
		err_next(err, "see whether %s has %s still (virsh domblklist)", ret->domain, ret->target);
	} else if (!asked) {
		*err = call;
	} else {
		err_set(err, ERR_STOPPED, ret->domain,
			"the guest %s %s%s%s: it is still in the running domain%s%s",
			refused ? "refuses to let go of" : "has not let go of", ret->target,
			refused ? "" : " within ",
			refused ? "" : text_duration(options->timeout_ms / 1000, time),
			ret->config ? " and in its definition" : "",
			refused ? "" : ", and may go at any time yet");
		err_next(err, "volmig detach %s %s", ret->target, ret->domain);
	}
	free(alias);
	free(xml);
	return result;
}

static int detach_config(struct state *state, struct disk_attachment *ret, struct err *err)
{
	const struct virt_disk *disk = virt_disk_by_target(&state->config, ret->target);
	char *xml = disk ? element(state->config_xml, disk) : NULL;
	struct err call = ERR_INIT;
	int result = -1;

	if (!disk)
		return 0;
	virt_detach(state->virt, state->domain.uuid, xml, VIRT_CONFIG, &call);
	if (read_xml(state, err) < 0)
		err->class = ERR_UNSURE;
	else if (!virt_disk_by_target(&state->config, ret->target))
		result = 0;
	else if (call.class != ERR_NONE)
		*err = call;
	else
		err_set(err, ERR_FAILED, ret->domain, "%s is still in its definition", ret->target);
	free(xml);
	return result;
}

int disk_detach(struct virt *virt, const struct facts *facts, const struct disk_attach_options *options,
		struct disk_attachment *ret, struct err *err)
{
	const struct virt_disk *live, *config;
	const struct guest_use *own;
	struct state state;
	unsigned affect = 0;
	int result = -1;

	if (find_domain(virt, options, &state, ret, err) < 0 ||
	    choose_affect(&state, options, &affect, err) < 0)
		goto out;
	own = facts ? own_use(facts, state.domain.uuid) : NULL;
	if (!facts || own)
		snprintf(ret->target, sizeof(ret->target), "%s", own ? own->role : options->target);
	live = virt_disk_by_target(&state.live, ret->target);
	config = virt_disk_by_target(&state.config, ret->target);
	/* A target may be one volume in what runs, and another in what is defined. */
	ret->live = (affect & VIRT_LIVE) && live && (!own || own->live);
	ret->config = (affect & VIRT_CONFIG) && config && (!own || own->config);
	ret->already = !ret->live && !ret->config;
	if (ret->live && live->mirrored) {
		refuse_job(&state, ret->target, err);
		goto out;
	}
	if (options->dry_run)
		result = 0;
	else if ((!ret->live || detach_live(&state, options, ret, err) == 0) &&
		 (!ret->config || detach_config(&state, ret, err) == 0))
		result = 0;
out:
	state_free(&state);
	return result;
}
