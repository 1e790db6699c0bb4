/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt, loaded when it is needed, each call in a thread of its own and under a time limit. */
#include "sys/virt_calls.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/log.h"
#include "support/text.h"

#ifndef VOLMIG_WITHOUT_LIBVIRT

#include <dlfcn.h>

/* A broken connection is noticed after four times so many seconds. */
#define KEEPALIVE_SECONDS 5

struct virt_library virt_lib;

static pthread_once_t lib_once = PTHREAD_ONCE_INIT;
static char lib_error[256];		/* why it could not be loaded; empty: it was */

/* ---- the library ---- */

static void be_quiet(void *data, virErrorPtr error)
{
	(void)data;
	(void)error;
}

static void *run_events(void *unused)
{
	(void)unused;
	for (;;)
		if (virt_lib.virEventRunDefaultImpl() < 0)
			clock_sleep_ms(100);
	return NULL;
}

static void load(void)
{
	void *virt = dlopen("libvirt.so.0", RTLD_NOW | RTLD_LOCAL);
	void *qemu = virt ? dlopen("libvirt-qemu.so.0", RTLD_NOW | RTLD_LOCAL) : NULL;

	if (!virt) {
		snprintf(lib_error, sizeof(lib_error), "libvirt cannot be loaded: %s", dlerror());
		return;
	}
#define FUNCTION(name) \
	virt_lib.name = (__typeof__(name) *)dlsym(virt, #name); \
	if (!virt_lib.name) { \
		snprintf(lib_error, sizeof(lib_error), "this libvirt has no %s()", #name); \
		return; \
	}
	VIRT_FUNCTIONS(FUNCTION)
#undef FUNCTION
	/* Without it QEMU cannot be asked; that is told when it is. */
	if (qemu)
		virt_lib.virDomainQemuMonitorCommand = (__typeof__(virDomainQemuMonitorCommand) *)
			dlsym(qemu, "virDomainQemuMonitorCommand");
	virt_lib.virSetErrorFunc(NULL, be_quiet);
	if (virt_lib.virInitialize() < 0 || virt_lib.virEventRegisterDefaultImpl() < 0)
		snprintf(lib_error, sizeof(lib_error), "libvirt cannot be set up");
	else
		thread_start(run_events, NULL);
}

/* ---- calls ---- */

void virt_call_free(struct call *call)
{
	free(call->name);
	free(call->text);
	free(call->ret_text);
	virt_domains_free(call->ret_domains, call->ret_count);
	free(call);
}

static void call_release(struct limited *base)
{
	virt_call_free((struct call *)base);
}

/* The first error is the one to tell. */
void virt_call_failed(struct call *call)
{
	virErrorPtr error = virt_lib.virGetLastError();

	if (*call->message)
		return;
	call->code = error ? error->code : 0;
	snprintf(call->message, sizeof(call->message), "%s",
		 error && error->message ? error->message : "it gives no reason");
	for (char *at = call->message; *at; at++)
		if (*at == '\n')
			*at = ' ';
	call->alive = call->conn && virt_lib.virConnectIsAlive(call->conn) > 0;
}

static void run_call(struct limited *base)
{
	struct call *call = (struct call *)base;

	call->result = call->act(call);
	if (call->result < 0)
		virt_call_failed(call);
}

static int error_number(const struct call *call)
{
	switch (call->code) {
	case VIR_ERR_NO_DOMAIN:
		return ENOENT;
	case VIR_ERR_BLOCK_COPY_ACTIVE:
		return EBUSY;
	case VIR_ERR_NO_SUPPORT:
	case VIR_ERR_ARGUMENT_UNSUPPORTED:
	case VIR_ERR_OPERATION_UNSUPPORTED:
		return EOPNOTSUPP;
	default:
		return call->alive ? 0 : ECONNRESET;
	}
}

/*
 * Make the call and wait for it.  On success the results are in *call, which
 * the caller frees; otherwise it is gone.
 */
static int make_call(struct virt *virt, struct call *call, const char *object, struct err *err)
{
	if (!limited_run(&call->base, virt->limit_ms)) {
		err_set(err, ERR_FAILED, object, "libvirt gave no answer within %llu ms",
			(unsigned long long)virt->limit_ms);
		err->number = ETIMEDOUT;
		return -1;
	}
	if (call->result < 0) {
		err_set(err, ERR_FAILED, object, "libvirt: %s", call->message);
		err->number = error_number(call);
		virt_call_free(call);
		return -1;
	}
	return 0;
}

static struct call *new_call(int (*act)(struct call *call))
{
	struct call *call = text_alloc(1, sizeof(*call));

	call->base.run = run_call;
	call->base.release = call_release;
	call->act = act;
	return call;
}

/* ---- events ---- */

static void add_event(void *events, enum virt_event_kind kind, int status,
		      virDomainPtr domain, const char *name)
{
	struct virt_event event = { .kind = kind, .status = status };

	if (domain)
		virt_lib.virDomainGetUUIDString(domain, event.uuid);
	snprintf(event.name, sizeof(event.name), "%s", name ? name : "");
	virt_events_add(events, &event);
}

static void on_job(virConnectPtr conn, virDomainPtr domain, const char *disk, int type,
		   int status, void *data)
{
	enum virt_job_status known = VIRT_JOB_OTHER;

	(void)conn;
	(void)type;
	if (status == VIR_DOMAIN_BLOCK_JOB_COMPLETED)
		known = VIRT_JOB_COMPLETED;
	else if (status == VIR_DOMAIN_BLOCK_JOB_FAILED)
		known = VIRT_JOB_FAILED;
	else if (status == VIR_DOMAIN_BLOCK_JOB_CANCELED)
		known = VIRT_JOB_CANCELED;
	else if (status == VIR_DOMAIN_BLOCK_JOB_READY)
		known = VIRT_JOB_READY;
	add_event(data, VIRT_EVENT_JOB, (int)known, domain, disk);
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *data)
{
	(void)conn;
	(void)detail;
	add_event(data, VIRT_EVENT_LIFECYCLE, event, domain, NULL);
	return 0;
}

static void on_removed(virConnectPtr conn, virDomainPtr domain, const char *alias, void *data)
{
	(void)conn;
	add_event(data, VIRT_EVENT_REMOVED, 0, domain, alias);
}

static void on_removal_failed(virConnectPtr conn, virDomainPtr domain, const char *alias, void *data)
{
	(void)conn;
	add_event(data, VIRT_EVENT_REMOVAL_FAILED, 0, domain, alias);
}

static void on_closed(virConnectPtr conn, int reason, void *data)
{
	(void)conn;
	(void)reason;
	add_event(data, VIRT_EVENT_CLOSED, 0, NULL, NULL);
}

/* The connection has let go of what its callbacks were given. */
static void drop_events(void *events)
{
	virt_events_put(events);
}

bool virt_event(struct virt *virt, uint64_t timeout_ms, struct virt_event *ret_event)
{
	return virt_events_next(virt->events, timeout_ms, ret_event);
}

/* ---- the connection ---- */

static int run_open(struct call *call)
{
	static const struct {
		int id;
		virConnectDomainEventGenericCallback callback;
	} events[] = {
		{ VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, VIR_DOMAIN_EVENT_CALLBACK(on_job) },
		{ VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle) },
		{ VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_removed) },
		{ VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, VIR_DOMAIN_EVENT_CALLBACK(on_removal_failed) },
	};
	virConnectPtr conn = virt_lib.virConnectOpen(call->text);

	call->conn = conn;
	if (!conn) {
		virt_call_failed(call);
		virt_events_put(call->events);
		return -1;
	}
	/* A driver without keepalive or events is one that is not remote, or too old: calls tell. */
	virt_lib.virConnectSetKeepAlive(conn, KEEPALIVE_SECONDS, 3);
	if (virt_lib.virConnectRegisterCloseCallback(conn, on_closed, virt_events_get(call->events),
						drop_events) < 0)
		virt_events_put(call->events);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (virt_lib.virConnectDomainEventRegisterAny(conn, NULL, events[i].id, events[i].callback,
							 virt_events_get(call->events),
							 drop_events) < 0)
			virt_events_put(call->events);
	virt_events_put(call->events);
	call->ret_conn = conn;
	return 0;
}

static int run_close(struct call *call)
{
	virt_lib.virConnectClose(call->conn);
	return 0;
}

/* A connection that stands: the one there is, or a new one. */
static int connect_again(struct virt *virt, struct err *err)
{
	struct call *call;

	if (virt->conn && virt_lib.virConnectIsAlive(virt->conn) > 0)
		return 0;
	if (virt->conn) {
		struct err ignored = ERR_INIT;

		log_info("libvirt: connecting again");
		call = new_call(run_close);
		call->conn = virt->conn;
		virt->conn = NULL;
		if (make_call(virt, call, virt->uri, &ignored) == 0)
			virt_call_free(call);
	}
	call = new_call(run_open);
	call->text = text_copy(virt->uri);
	call->events = virt_events_get(virt->events);
	if (make_call(virt, call, virt->uri, err) < 0) {
		if (err->number != ETIMEDOUT)
			err->number = ECONNRESET;
		return -1;
	}
	virt->conn = call->ret_conn;
	virt_call_free(call);
	return 0;
}

int virt_open(const char *uri, uint64_t limit_ms, struct virt **ret_virt, struct err *err)
{
	struct virt *virt;

	pthread_once(&lib_once, load);
	if (*lib_error) {
		err_set(err, ERR_FAILED, uri, "%s", lib_error);
		err->number = EOPNOTSUPP;
		return -1;
	}
	virt = text_alloc(1, sizeof(*virt));
	virt->uri = uri ? text_format("%.*s", (int)strcspn(uri, " "), uri) : NULL;
	virt->limit_ms = limit_ms;
	virt->events = virt_events_new();
	if (connect_again(virt, err) < 0) {
		virt_close(virt);
		return -1;
	}
	*ret_virt = virt;
	return 0;
}

void virt_close(struct virt *virt)
{
	struct err ignored = ERR_INIT;
	struct call *call;

	if (!virt)
		return;
	if (virt->conn) {
		call = new_call(run_close);
		call->conn = virt->conn;
		if (make_call(virt, call, virt->uri, &ignored) == 0)
			virt_call_free(call);
	}
	virt_events_put(virt->events);
	free(virt->uri);
	free(virt);
}

/* A call on the connection, which is made anew where it was lost. */
int virt_call_make(struct virt *virt, struct call *call, const char *object, struct err *err)
{
	if (connect_again(virt, err) < 0) {
		virt_call_free(call);
		return -1;
	}
	call->conn = virt->conn;
	return make_call(virt, call, object, err);
}

/* The same for one that brings nothing back. */
int virt_call_plain(struct virt *virt, struct call *call, const char *object, struct err *err)
{
	if (virt_call_make(virt, call, object, err) < 0)
		return -1;
	virt_call_free(call);
	return 0;
}

/* A call about a domain and what else it has to know. */
struct call *virt_call_new(int (*act)(struct call *call), const char *uuid, const char *name,
				const char *text)
{
	struct call *call = new_call(act);

	snprintf(call->uuid, sizeof(call->uuid), "%s", uuid);
	call->name = text_copy(name);
	call->text = text_copy(text);
	return call;
}

/* ---- domains ---- */

static int describe(virDomainPtr domain, struct virt_domain *ret)
{
	int active = virt_lib.virDomainIsActive(domain), persistent = virt_lib.virDomainIsPersistent(domain);
	int state = 0, reason;

	if (active < 0 || persistent < 0 || virt_lib.virDomainGetState(domain, &state, &reason, 0) < 0 ||
	    virt_lib.virDomainGetUUIDString(domain, ret->uuid) < 0)
		return -1;
	ret->name = text_copy(virt_lib.virDomainGetName(domain));
	ret->running = active;
	ret->paused = state == VIR_DOMAIN_PAUSED;
	ret->persistent = persistent;
	return 0;
}

static int run_find(struct call *call)
{
	virDomainPtr domain = virt_lib.virDomainLookupByName(call->conn, call->name);
	int ret;

	if (!domain && strlen(call->name) == VIRT_UUID_SIZE - 1)
		domain = virt_lib.virDomainLookupByUUIDString(call->conn, call->name);
	if (!domain)
		return -1;
	call->ret_domains = text_alloc(1, sizeof(*call->ret_domains));
	call->ret_count = 1;
	ret = describe(domain, call->ret_domains);
	virt_lib.virDomainFree(domain);
	return ret;
}

int virt_find(struct virt *virt, const char *name, struct virt_domain *ret_domain, struct err *err)
{
	struct call *call = virt_call_new(run_find, "", name, NULL);

	if (virt_call_make(virt, call, name, err) < 0)
		return -1;
	*ret_domain = call->ret_domains[0];
	call->ret_domains[0] = (struct virt_domain){ 0 };	/* handed over */
	virt_call_free(call);
	return 0;
}

static void free_list(virDomainPtr *domains, int count)
{
	for (int i = 0; i < count; i++)
		virt_lib.virDomainFree(domains[i]);
	free(domains);
}

/*
 * Of a list libvirt tells names, UUIDs and, by their ids, who runs: asking for each
 * domain would be three calls more.  Which of them are not defined comes after it:
 * one that gets a definition meanwhile has one.
 */
static int run_list(struct call *call)
{
	virDomainPtr *domains = NULL, *transient = NULL;
	int count = virt_lib.virConnectListAllDomains(call->conn, &domains, 0);
	int undefined = count < 0 ? -1 : virt_lib.virConnectListAllDomains(call->conn, &transient,
									    VIR_CONNECT_LIST_DOMAINS_TRANSIENT);

	if (undefined < 0) {
		virt_call_failed(call);
		free_list(domains, count);
		return -1;
	}
	call->ret_domains = text_alloc((size_t)count + 1, sizeof(*call->ret_domains));
	for (int i = 0; i < count; i++) {
		struct virt_domain *domain = &call->ret_domains[call->ret_count];

		if (virt_lib.virDomainGetUUIDString(domains[i], domain->uuid) < 0)
			continue;
		domain->name = text_copy(virt_lib.virDomainGetName(domains[i]));
		domain->running = virt_lib.virDomainGetID(domains[i]) != (unsigned)-1;
		domain->persistent = true;
		for (int k = 0; k < undefined; k++) {
			char uuid[VIRT_UUID_SIZE];

			if (virt_lib.virDomainGetUUIDString(transient[k], uuid) == 0 && !strcmp(uuid, domain->uuid))
				domain->persistent = false;
		}
		call->ret_count++;
	}
	free_list(domains, count);
	free_list(transient, undefined);
	return 0;
}

int virt_list(struct virt *virt, struct virt_domain **ret_domains, size_t *ret_count, struct err *err)
{
	struct call *call = new_call(run_list);

	if (virt_call_make(virt, call, virt->uri, err) < 0)
		return -1;
	*ret_domains = call->ret_domains;
	*ret_count = call->ret_count;
	call->ret_domains = NULL;	/* handed over */
	call->ret_count = 0;
	virt_call_free(call);
	return 0;
}

static int run_xml(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, (call->ret_text = virt_lib.virDomainGetXMLDesc(domain, call->flags)) ? 0 : -1);
	return ret;
}

/* Take the text over from a call that brings one. */
int virt_call_text(struct virt *virt, struct call *call, const char *object, char **ret_text,
		     struct err *err)
{
	if (virt_call_make(virt, call, object, err) < 0)
		return -1;
	*ret_text = call->ret_text;
	call->ret_text = NULL;	/* handed over */
	virt_call_free(call);
	return 0;
}

int virt_xml(struct virt *virt, const char *uuid, bool inactive, char **ret_xml, struct err *err)
{
	struct call *call = virt_call_new(run_xml, uuid, NULL, NULL);

	/* Secrets are part of a definition that is to be defined again. */
	call->flags = inactive ? VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE : 0;
	return virt_call_text(virt, call, uuid, ret_xml, err);
}

static int run_define(struct call *call)
{
	virDomainPtr domain = virt_lib.virDomainDefineXMLFlags(call->conn, call->text, 0);

	if (!domain)
		return -1;
	virt_lib.virDomainFree(domain);
	return 0;
}

int virt_define(struct virt *virt, const char *xml, struct err *err)
{
	return virt_call_plain(virt, virt_call_new(run_define, "", NULL, xml), NULL, err);
}

static int get_ties(virDomainPtr domain, struct virt_ties *ret)
{
	int autostart = 0, saved = virt_lib.virDomainHasManagedSaveImage(domain, 0);

	*ret = (struct virt_ties){ 0 };
	if (saved < 0 || virt_lib.virDomainGetAutostart(domain, &autostart) < 0)
		return -1;
	ret->autostart = autostart;
	ret->managed_save = saved > 0;
	ret->snapshots = virt_lib.virDomainSnapshotNum(domain, 0);
	if (ret->snapshots < 0)
		return -1;
	/* A driver that knows no checkpoints has none. */
	ret->checkpoints = virt_lib.virDomainListAllCheckpoints(domain, NULL, 0);
	if (ret->checkpoints < 0)
		ret->checkpoints = 0;
	return 0;
}

static int run_ties(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, get_ties(domain, &call->ret_ties));
	return ret;
}

int virt_ties(struct virt *virt, const char *uuid, struct virt_ties *ret_ties, struct err *err)
{
	struct call *call = virt_call_new(run_ties, uuid, NULL, NULL);

	if (virt_call_make(virt, call, uuid, err) < 0)
		return -1;
	*ret_ties = call->ret_ties;
	virt_call_free(call);
	return 0;
}

static int run_volume_path(struct call *call)
{
	virStoragePoolPtr pool = virt_lib.virStoragePoolLookupByName(call->conn, call->name);
	virStorageVolPtr volume = pool ? virt_lib.virStorageVolLookupByName(pool, call->text) : NULL;

	call->ret_text = volume ? virt_lib.virStorageVolGetPath(volume) : NULL;
	if (!call->ret_text)
		virt_call_failed(call);
	if (volume)
		virt_lib.virStorageVolFree(volume);
	if (pool)
		virt_lib.virStoragePoolFree(pool);
	return call->ret_text ? 0 : -1;
}

int virt_volume_path(struct virt *virt, const char *pool, const char *volume, char **ret_path,
		     struct err *err)
{
	return virt_call_text(virt, virt_call_new(run_volume_path, "", pool, volume), pool, ret_path, err);
}

#endif
