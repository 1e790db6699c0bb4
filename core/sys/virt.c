/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt, loaded when it is needed, each call in a thread of its own and under a time limit. */
#include "sys/virt.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/limited.h"
#include "support/log.h"
#include "support/text.h"
#include "sys/virt_events.h"

#ifndef VOLMIG_WITHOUT_LIBVIRT

#include <dlfcn.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/* A broken connection is noticed after four times so many seconds. */
#define KEEPALIVE_SECONDS 5

/* Every function of libvirt's that is used, to be looked up by its name. */
#define VIRT_FUNCTIONS(FUNCTION) \
	FUNCTION(virInitialize) FUNCTION(virSetErrorFunc) FUNCTION(virGetLastError) \
	FUNCTION(virEventRegisterDefaultImpl) FUNCTION(virEventRunDefaultImpl) \
	FUNCTION(virConnectOpen) FUNCTION(virConnectClose) FUNCTION(virConnectIsAlive) \
	FUNCTION(virConnectSetKeepAlive) FUNCTION(virConnectRegisterCloseCallback) \
	FUNCTION(virConnectDomainEventRegisterAny) FUNCTION(virConnectListAllDomains) \
	FUNCTION(virDomainLookupByName) FUNCTION(virDomainLookupByUUIDString) \
	FUNCTION(virDomainGetName) FUNCTION(virDomainGetUUIDString) FUNCTION(virDomainFree) \
	FUNCTION(virDomainIsActive) FUNCTION(virDomainIsPersistent) FUNCTION(virDomainGetState) \
	FUNCTION(virDomainGetXMLDesc) FUNCTION(virDomainDefineXMLFlags) \
	FUNCTION(virDomainAttachDeviceFlags) FUNCTION(virDomainDetachDeviceFlags) \
	FUNCTION(virDomainSuspend) FUNCTION(virDomainResume) FUNCTION(virDomainGetBlockInfo) \
	FUNCTION(virDomainBlockCopy) FUNCTION(virDomainBlockRebase) \
	FUNCTION(virDomainGetBlockJobInfo) FUNCTION(virDomainBlockJobSetSpeed) \
	FUNCTION(virDomainBlockJobAbort) FUNCTION(virTypedParamsAddULLong) \
	FUNCTION(virTypedParamsAddUInt) FUNCTION(virTypedParamsFree) \
	FUNCTION(virDomainGetAutostart) FUNCTION(virDomainHasManagedSaveImage) \
	FUNCTION(virDomainSnapshotNum) FUNCTION(virDomainListAllCheckpoints) \
	FUNCTION(virStoragePoolLookupByName) FUNCTION(virStoragePoolFree) \
	FUNCTION(virStorageVolLookupByName) FUNCTION(virStorageVolGetPath) \
	FUNCTION(virStorageVolFree)

static struct {
#define FUNCTION(name) __typeof__(name) *name;
	VIRT_FUNCTIONS(FUNCTION)
#undef FUNCTION
	__typeof__(virDomainQemuMonitorCommand) *virDomainQemuMonitorCommand;
} lib;

static pthread_once_t lib_once = PTHREAD_ONCE_INIT;
static char lib_error[256];		/* why it could not be loaded; empty: it was */

struct virt {
	char *uri;
	uint64_t limit_ms;
	virConnectPtr conn;		/* replaced when it is lost; only the user's thread does that */
	struct virt_events *events;
};

/* One call on its way.  Arguments and results are its own, for it may outlive who made it. */
struct call {
	struct limited base;
	virConnectPtr conn;
	struct virt_events *events;	/* open only */
	int (*act)(struct call *call);
	int result;
	int code;			/* libvirt's, or 0 */
	bool alive;			/* after a failure: the connection stands */
	char message[1024];

	char uuid[VIRT_UUID_SIZE];
	char *name, *text;		/* a target or a domain's name; XML or a path */
	unsigned flags;
	uint64_t bytes_per_second;
	uint32_t granularity;

	virConnectPtr ret_conn;
	char *ret_text;
	struct virt_domain *ret_domains;
	size_t ret_count;
	struct virt_job ret_job;
	struct virt_ties ret_ties;
	uint64_t ret_bytes, ret_allocated;
};

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
		if (lib.virEventRunDefaultImpl() < 0)
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
	lib.name = (__typeof__(name) *)dlsym(virt, #name); \
	if (!lib.name) { \
		snprintf(lib_error, sizeof(lib_error), "this libvirt has no %s()", #name); \
		return; \
	}
	VIRT_FUNCTIONS(FUNCTION)
#undef FUNCTION
	/* Without it QEMU cannot be asked; that is told when it is. */
	if (qemu)
		lib.virDomainQemuMonitorCommand = (__typeof__(virDomainQemuMonitorCommand) *)
			dlsym(qemu, "virDomainQemuMonitorCommand");
	lib.virSetErrorFunc(NULL, be_quiet);
	if (lib.virInitialize() < 0 || lib.virEventRegisterDefaultImpl() < 0)
		snprintf(lib_error, sizeof(lib_error), "libvirt cannot be set up");
	else
		thread_start(run_events, NULL);
}

/* ---- calls ---- */

static void call_free(struct call *call)
{
	free(call->name);
	free(call->text);
	free(call->ret_text);
	virt_domains_free(call->ret_domains, call->ret_count);
	free(call);
}

static void call_release(struct limited *base)
{
	call_free((struct call *)base);
}

/* The first error is the one to tell. */
static void note_error(struct call *call)
{
	virErrorPtr error = lib.virGetLastError();

	if (*call->message)
		return;
	call->code = error ? error->code : 0;
	snprintf(call->message, sizeof(call->message), "%s",
		 error && error->message ? error->message : "it gives no reason");
	for (char *at = call->message; *at; at++)
		if (*at == '\n')
			*at = ' ';
	call->alive = call->conn && lib.virConnectIsAlive(call->conn) > 0;
}

static void run_call(struct limited *base)
{
	struct call *call = (struct call *)base;

	call->result = call->act(call);
	if (call->result < 0)
		note_error(call);
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
		call_free(call);
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
		lib.virDomainGetUUIDString(domain, event.uuid);
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
	virConnectPtr conn = lib.virConnectOpen(call->text);

	call->conn = conn;
	if (!conn) {
		note_error(call);
		virt_events_put(call->events);
		return -1;
	}
	/* A driver without keepalive or events is one that is not remote, or too old: calls tell. */
	lib.virConnectSetKeepAlive(conn, KEEPALIVE_SECONDS, 3);
	if (lib.virConnectRegisterCloseCallback(conn, on_closed, virt_events_get(call->events),
						drop_events) < 0)
		virt_events_put(call->events);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (lib.virConnectDomainEventRegisterAny(conn, NULL, events[i].id, events[i].callback,
							 virt_events_get(call->events),
							 drop_events) < 0)
			virt_events_put(call->events);
	virt_events_put(call->events);
	call->ret_conn = conn;
	return 0;
}

static int run_close(struct call *call)
{
	lib.virConnectClose(call->conn);
	return 0;
}

/* A connection that stands: the one there is, or a new one. */
static int connect_again(struct virt *virt, struct err *err)
{
	struct call *call;

	if (virt->conn && lib.virConnectIsAlive(virt->conn) > 0)
		return 0;
	if (virt->conn) {
		struct err ignored = ERR_INIT;

		log_info("libvirt: connecting again");
		call = new_call(run_close);
		call->conn = virt->conn;
		virt->conn = NULL;
		if (make_call(virt, call, virt->uri, &ignored) == 0)
			call_free(call);
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
	call_free(call);
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
	virt->uri = text_copy(uri);
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
			call_free(call);
	}
	virt_events_put(virt->events);
	free(virt->uri);
	free(virt);
}

/* A call on the connection, which is made anew where it was lost. */
static int make_connected(struct virt *virt, struct call *call, const char *object, struct err *err)
{
	if (connect_again(virt, err) < 0) {
		call_free(call);
		return -1;
	}
	call->conn = virt->conn;
	return make_call(virt, call, object, err);
}

/* The same for one that brings nothing back. */
static int make_plain(struct virt *virt, struct call *call, const char *object, struct err *err)
{
	if (make_connected(virt, call, object, err) < 0)
		return -1;
	call_free(call);
	return 0;
}

/* A call about a domain and what else it has to know. */
static struct call *domain_call(int (*act)(struct call *call), const char *uuid, const char *name,
				const char *text)
{
	struct call *call = new_call(act);

	snprintf(call->uuid, sizeof(call->uuid), "%s", uuid);
	call->name = text_copy(name);
	call->text = text_copy(text);
	return call;
}

/* Look the domain up, do what DO is, and give it back. */
#define WITH_DOMAIN(call, result, DO) do { \
	virDomainPtr domain = lib.virDomainLookupByUUIDString((call)->conn, (call)->uuid); \
	(result) = -1; \
	if (domain) { \
		(result) = (DO) < 0 ? -1 : 0; \
		/* Freeing forgets the error. */ \
		if ((result) < 0) \
			note_error(call); \
		lib.virDomainFree(domain); \
	} \
} while (0)

/* ---- domains ---- */

static int describe(virDomainPtr domain, struct virt_domain *ret)
{
	int active = lib.virDomainIsActive(domain), persistent = lib.virDomainIsPersistent(domain);
	int state = 0, reason;

	if (active < 0 || persistent < 0 || lib.virDomainGetState(domain, &state, &reason, 0) < 0 ||
	    lib.virDomainGetUUIDString(domain, ret->uuid) < 0)
		return -1;
	ret->name = text_copy(lib.virDomainGetName(domain));
	ret->running = active;
	ret->paused = state == VIR_DOMAIN_PAUSED;
	ret->persistent = persistent;
	return 0;
}

static int run_find(struct call *call)
{
	virDomainPtr domain = lib.virDomainLookupByName(call->conn, call->name);
	int ret;

	if (!domain && strlen(call->name) == VIRT_UUID_SIZE - 1)
		domain = lib.virDomainLookupByUUIDString(call->conn, call->name);
	if (!domain)
		return -1;
	call->ret_domains = text_alloc(1, sizeof(*call->ret_domains));
	call->ret_count = 1;
	ret = describe(domain, call->ret_domains);
	lib.virDomainFree(domain);
	return ret;
}

int virt_find(struct virt *virt, const char *name, struct virt_domain *ret_domain, struct err *err)
{
	struct call *call = domain_call(run_find, "", name, NULL);

	if (make_connected(virt, call, name, err) < 0)
		return -1;
	*ret_domain = call->ret_domains[0];
	call->ret_domains[0] = (struct virt_domain){ 0 };	/* handed over */
	call_free(call);
	return 0;
}

static int run_list(struct call *call)
{
	virDomainPtr *domains = NULL;
	int count = lib.virConnectListAllDomains(call->conn, &domains, 0);

	if (count < 0)
		return -1;
	call->ret_domains = text_alloc((size_t)count + 1, sizeof(*call->ret_domains));
	for (int i = 0; i < count; i++) {
		/* One that has gone meanwhile is none. */
		if (describe(domains[i], &call->ret_domains[call->ret_count]) == 0)
			call->ret_count++;
		lib.virDomainFree(domains[i]);
	}
	free(domains);
	return 0;
}

int virt_list(struct virt *virt, struct virt_domain **ret_domains, size_t *ret_count, struct err *err)
{
	struct call *call = new_call(run_list);

	if (make_connected(virt, call, virt->uri, err) < 0)
		return -1;
	*ret_domains = call->ret_domains;
	*ret_count = call->ret_count;
	call->ret_domains = NULL;	/* handed over */
	call->ret_count = 0;
	call_free(call);
	return 0;
}

static int run_xml(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, (call->ret_text = lib.virDomainGetXMLDesc(domain, call->flags)) ? 0 : -1);
	return ret;
}

/* Take the text over from a call that brings one. */
static int make_text(struct virt *virt, struct call *call, const char *object, char **ret_text,
		     struct err *err)
{
	if (make_connected(virt, call, object, err) < 0)
		return -1;
	*ret_text = call->ret_text;
	call->ret_text = NULL;	/* handed over */
	call_free(call);
	return 0;
}

int virt_xml(struct virt *virt, const char *uuid, bool inactive, char **ret_xml, struct err *err)
{
	struct call *call = domain_call(run_xml, uuid, NULL, NULL);

	/* Secrets are part of a definition that is to be defined again. */
	call->flags = inactive ? VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE : 0;
	return make_text(virt, call, uuid, ret_xml, err);
}

static int run_define(struct call *call)
{
	virDomainPtr domain = lib.virDomainDefineXMLFlags(call->conn, call->text, 0);

	if (!domain)
		return -1;
	lib.virDomainFree(domain);
	return 0;
}

int virt_define(struct virt *virt, const char *xml, struct err *err)
{
	return make_plain(virt, domain_call(run_define, "", NULL, xml), NULL, err);
}

static int get_ties(virDomainPtr domain, struct virt_ties *ret)
{
	int autostart = 0, saved = lib.virDomainHasManagedSaveImage(domain, 0);

	*ret = (struct virt_ties){ 0 };
	if (saved < 0 || lib.virDomainGetAutostart(domain, &autostart) < 0)
		return -1;
	ret->autostart = autostart;
	ret->managed_save = saved > 0;
	ret->snapshots = lib.virDomainSnapshotNum(domain, 0);
	if (ret->snapshots < 0)
		return -1;
	/* A driver that knows no checkpoints has none. */
	ret->checkpoints = lib.virDomainListAllCheckpoints(domain, NULL, 0);
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
	struct call *call = domain_call(run_ties, uuid, NULL, NULL);

	if (make_connected(virt, call, uuid, err) < 0)
		return -1;
	*ret_ties = call->ret_ties;
	call_free(call);
	return 0;
}

static int run_volume_path(struct call *call)
{
	virStoragePoolPtr pool = lib.virStoragePoolLookupByName(call->conn, call->name);
	virStorageVolPtr volume = pool ? lib.virStorageVolLookupByName(pool, call->text) : NULL;

	call->ret_text = volume ? lib.virStorageVolGetPath(volume) : NULL;
	if (!call->ret_text)
		note_error(call);
	if (volume)
		lib.virStorageVolFree(volume);
	if (pool)
		lib.virStoragePoolFree(pool);
	return call->ret_text ? 0 : -1;
}

int virt_volume_path(struct virt *virt, const char *pool, const char *volume, char **ret_path,
		     struct err *err)
{
	return make_text(virt, domain_call(run_volume_path, "", pool, volume), pool, ret_path, err);
}

static unsigned affect_flags(unsigned affect)
{
	return (affect & VIRT_LIVE ? VIR_DOMAIN_AFFECT_LIVE : 0U) |
	       (affect & VIRT_CONFIG ? VIR_DOMAIN_AFFECT_CONFIG : 0U);
}

static int run_attach(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, lib.virDomainAttachDeviceFlags(domain, call->text, call->flags));
	return ret;
}

int virt_attach(struct virt *virt, const char *uuid, const char *xml, unsigned affect,
		struct err *err)
{
	struct call *call = domain_call(run_attach, uuid, NULL, xml);

	call->flags = affect_flags(affect);
	return make_plain(virt, call, uuid, err);
}

static int run_detach(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, lib.virDomainDetachDeviceFlags(domain, call->text, call->flags));
	return ret;
}

int virt_detach(struct virt *virt, const char *uuid, const char *xml, unsigned affect,
		struct err *err)
{
	struct call *call = domain_call(run_detach, uuid, NULL, xml);

	call->flags = affect_flags(affect);
	return make_plain(virt, call, uuid, err);
}

static int run_suspend(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, lib.virDomainSuspend(domain));
	return ret;
}

int virt_suspend(struct virt *virt, const char *uuid, struct err *err)
{
	return make_plain(virt, domain_call(run_suspend, uuid, NULL, NULL), uuid, err);
}

static int run_resume(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, lib.virDomainResume(domain));
	return ret;
}

int virt_resume(struct virt *virt, const char *uuid, struct err *err)
{
	return make_plain(virt, domain_call(run_resume, uuid, NULL, NULL), uuid, err);
}

static int run_disk_size(struct call *call)
{
	virDomainBlockInfo info = { 0 };
	int ret;

	WITH_DOMAIN(call, ret, lib.virDomainGetBlockInfo(domain, call->name, &info, 0));
	call->ret_bytes = info.capacity;
	call->ret_allocated = info.allocation;
	return ret;
}

int virt_disk_size(struct virt *virt, const char *uuid, const char *target,
		   uint64_t *ret_bytes, uint64_t *ret_allocated, struct err *err)
{
	struct call *call = domain_call(run_disk_size, uuid, target, NULL);

	if (make_connected(virt, call, target, err) < 0)
		return -1;
	*ret_bytes = call->ret_bytes;
	*ret_allocated = call->ret_allocated;
	call_free(call);
	return 0;
}

/* ---- block jobs ---- */

static int run_copy(struct call *call)
{
	virTypedParameterPtr params = NULL;
	int count = 0, max = 0, ret = -1;

	if ((!call->bytes_per_second ||
	     lib.virTypedParamsAddULLong(&params, &count, &max, VIR_DOMAIN_BLOCK_COPY_BANDWIDTH,
					 call->bytes_per_second) == 0) &&
	    (!call->granularity ||
	     lib.virTypedParamsAddUInt(&params, &count, &max, VIR_DOMAIN_BLOCK_COPY_GRANULARITY,
				       call->granularity) == 0))
		WITH_DOMAIN(call, ret, lib.virDomainBlockCopy(domain, call->name, call->text, params,
							      count, call->flags));
	lib.virTypedParamsFree(params, count);
	return ret;
}

int virt_copy(struct virt *virt, const char *uuid, const char *target, const char *xml,
	      const struct virt_copy *copy, struct err *err)
{
	struct call *call = domain_call(run_copy, uuid, target, xml);

	call->flags = VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB;
	if (copy->sync_writes)
		call->flags |= VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES;
	call->bytes_per_second = copy->bytes_per_second;
	call->granularity = copy->granularity;
	return make_plain(virt, call, target, err);
}

static int run_rebase(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, lib.virDomainBlockRebase(domain, call->name, call->text,
							(unsigned long)call->bytes_per_second,
							call->flags));
	return ret;
}

int virt_rebase(struct virt *virt, const char *uuid, const char *target, const char *path,
		bool is_device, uint64_t bytes_per_second, struct err *err)
{
	struct call *call = domain_call(run_rebase, uuid, target, path);

	call->flags = VIR_DOMAIN_BLOCK_REBASE_COPY | VIR_DOMAIN_BLOCK_REBASE_REUSE_EXT |
		      VIR_DOMAIN_BLOCK_REBASE_COPY_RAW | VIR_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES;
	if (is_device)
		call->flags |= VIR_DOMAIN_BLOCK_REBASE_COPY_DEV;
	call->bytes_per_second = bytes_per_second;
	return make_plain(virt, call, target, err);
}

static int run_job(struct call *call)
{
	virDomainBlockJobInfo info = { 0 };
	int found = -1, ret;

	WITH_DOMAIN(call, ret, found = lib.virDomainGetBlockJobInfo(
		domain, call->name, &info, VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES));
	call->ret_job = (struct virt_job){
		.exists = found > 0,
		.copy = info.type == VIR_DOMAIN_BLOCK_JOB_TYPE_COPY,
		.done = info.cur,
		.total = info.end,
		.bytes_per_second = info.bandwidth,
	};
	return ret;
}

int virt_job(struct virt *virt, const char *uuid, const char *target, struct virt_job *ret_job,
	     struct err *err)
{
	struct call *call = domain_call(run_job, uuid, target, NULL);

	if (make_connected(virt, call, target, err) < 0)
		return -1;
	*ret_job = call->ret_job;
	call_free(call);
	return 0;
}

static int run_speed(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, lib.virDomainBlockJobSetSpeed(
		domain, call->name, (unsigned long)call->bytes_per_second,
		VIR_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES));
	return ret;
}

int virt_job_speed(struct virt *virt, const char *uuid, const char *target,
		   uint64_t bytes_per_second, struct err *err)
{
	struct call *call = domain_call(run_speed, uuid, target, NULL);

	call->bytes_per_second = bytes_per_second;
	return make_plain(virt, call, target, err);
}

static int run_abort(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, lib.virDomainBlockJobAbort(domain, call->name, call->flags));
	return ret;
}

int virt_pivot(struct virt *virt, const char *uuid, const char *target, struct err *err)
{
	struct call *call = domain_call(run_abort, uuid, target, NULL);

	call->flags = VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT;
	return make_plain(virt, call, target, err);
}

int virt_job_cancel(struct virt *virt, const char *uuid, const char *target, struct err *err)
{
	struct call *call = domain_call(run_abort, uuid, target, NULL);

	call->flags = VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC;
	return make_plain(virt, call, target, err);
}

static int run_qmp(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, lib.virDomainQemuMonitorCommand(domain, call->text, &call->ret_text, 0));
	return ret;
}

int virt_qmp(struct virt *virt, const char *uuid, const char *command, char **ret_answer,
	     struct err *err)
{
	if (!lib.virDomainQemuMonitorCommand) {
		err_set(err, ERR_FAILED, uuid, "QEMU cannot be asked: there is no libvirt-qemu.so.0");
		err->number = EOPNOTSUPP;
		return -1;
	}
	return make_text(virt, domain_call(run_qmp, uuid, NULL, command), uuid, ret_answer, err);
}

#endif
