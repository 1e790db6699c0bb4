/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What virt.c and virt_jobs.c share: libvirt's functions as they were loaded, and
 * calls of them, each in a thread of its own and under a time limit.  Nobody
 * else includes this, nor libvirt's own headers.
 */
#ifndef SYS_VIRT_CALLS_H
#define SYS_VIRT_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/limited.h"
#include "sys/virt.h"
#include "sys/virt_events.h"

#ifndef VOLMIG_WITHOUT_LIBVIRT

#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/* Every function of libvirt's that is used, to be looked up by its name. */
#define VIRT_FUNCTIONS(FUNCTION) \
	FUNCTION(virInitialize) FUNCTION(virSetErrorFunc) FUNCTION(virGetLastError) \
	FUNCTION(virEventRegisterDefaultImpl) FUNCTION(virEventRunDefaultImpl) \
	FUNCTION(virConnectOpen) FUNCTION(virConnectClose) FUNCTION(virConnectIsAlive) \
	FUNCTION(virConnectSetKeepAlive) FUNCTION(virConnectRegisterCloseCallback) \
	FUNCTION(virConnectDomainEventRegisterAny) FUNCTION(virConnectListAllDomains) \
	FUNCTION(virDomainLookupByName) FUNCTION(virDomainLookupByUUIDString) \
	FUNCTION(virDomainGetName) FUNCTION(virDomainGetUUIDString) FUNCTION(virDomainFree) \
	FUNCTION(virDomainGetID) \
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

struct virt_library {
#define FUNCTION(name) __typeof__(name) *name;
	VIRT_FUNCTIONS(FUNCTION)
#undef FUNCTION
	__typeof__(virDomainQemuMonitorCommand) *virDomainQemuMonitorCommand;
};

extern struct virt_library virt_lib;

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

/* A call of act about a domain, and what else it has to know; copies its texts. */
struct call *virt_call_new(int (*act)(struct call *call), const char *uuid, const char *name,
			   const char *text);
void virt_call_free(struct call *call);

/* Keep libvirt's last error for whoever makes the call: the first is the one to tell. */
void virt_call_failed(struct call *call);

/*
 * Make the call on the connection, which is made anew where it was lost, and wait
 * for it.  On success the results are in *call, which the caller frees (the
 * second and the third do, which bring back nothing and a text); otherwise it is gone.
 */
int virt_call_make(struct virt *virt, struct call *call, const char *object, struct err *err);
int virt_call_plain(struct virt *virt, struct call *call, const char *object, struct err *err);
int virt_call_text(struct virt *virt, struct call *call, const char *object, char **ret_text,
		   struct err *err);

/* Look the domain up, do what DO is, and give it back. */
#define WITH_DOMAIN(call, result, DO) do { \
	virDomainPtr domain = virt_lib.virDomainLookupByUUIDString((call)->conn, (call)->uuid); \
	(result) = -1; \
	if (domain) { \
		(result) = (DO) < 0 ? -1 : 0; \
		/* Freeing forgets the error. */ \
		if ((result) < 0) \
			virt_call_failed(call); \
		virt_lib.virDomainFree(domain); \
	} \
} while (0)

#endif
#endif
