/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is done to running domains by libvirt: devices, suspending, block jobs, QEMU's monitor. */
#include "sys/virt_calls.h"

#include <errno.h>

#include "support/err.h"

#ifndef VOLMIG_WITHOUT_LIBVIRT

/* ---- devices and the guest as a whole ---- */

static unsigned affect_flags(unsigned affect)
{
	return (affect & VIRT_LIVE ? VIR_DOMAIN_AFFECT_LIVE : 0U) |
	       (affect & VIRT_CONFIG ? VIR_DOMAIN_AFFECT_CONFIG : 0U);
}

static int run_attach(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, virt_lib.virDomainAttachDeviceFlags(domain, call->text, call->flags));
	return ret;
}

int virt_attach(struct virt *virt, const char *uuid, const char *xml, unsigned affect,
		struct err *err)
{
	struct call *call = virt_call_new(run_attach, uuid, NULL, xml);

	call->flags = affect_flags(affect);
	return virt_call_plain(virt, call, uuid, err);
}

static int run_detach(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, virt_lib.virDomainDetachDeviceFlags(domain, call->text, call->flags));
	return ret;
}

int virt_detach(struct virt *virt, const char *uuid, const char *xml, unsigned affect,
		struct err *err)
{
	struct call *call = virt_call_new(run_detach, uuid, NULL, xml);

	call->flags = affect_flags(affect);
	return virt_call_plain(virt, call, uuid, err);
}

static int run_suspend(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, virt_lib.virDomainSuspend(domain));
	return ret;
}

int virt_suspend(struct virt *virt, const char *uuid, struct err *err)
{
	return virt_call_plain(virt, virt_call_new(run_suspend, uuid, NULL, NULL), uuid, err);
}

static int run_resume(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, virt_lib.virDomainResume(domain));
	return ret;
}

int virt_resume(struct virt *virt, const char *uuid, struct err *err)
{
	return virt_call_plain(virt, virt_call_new(run_resume, uuid, NULL, NULL), uuid, err);
}

static int run_disk_size(struct call *call)
{
	virDomainBlockInfo info = { 0 };
	int ret;

	WITH_DOMAIN(call, ret, virt_lib.virDomainGetBlockInfo(domain, call->name, &info, 0));
	call->ret_bytes = info.capacity;
	call->ret_allocated = info.allocation;
	return ret;
}

int virt_disk_size(struct virt *virt, const char *uuid, const char *target,
		   uint64_t *ret_bytes, uint64_t *ret_allocated, struct err *err)
{
	struct call *call = virt_call_new(run_disk_size, uuid, target, NULL);

	if (virt_call_make(virt, call, target, err) < 0)
		return -1;
	*ret_bytes = call->ret_bytes;
	*ret_allocated = call->ret_allocated;
	virt_call_free(call);
	return 0;
}

/* ---- block jobs ---- */

static int run_copy(struct call *call)
{
	virTypedParameterPtr params = NULL;
	int count = 0, max = 0, ret = -1;

	if ((!call->bytes_per_second ||
	     virt_lib.virTypedParamsAddULLong(&params, &count, &max, VIR_DOMAIN_BLOCK_COPY_BANDWIDTH,
					 call->bytes_per_second) == 0) &&
	    (!call->granularity ||
	     virt_lib.virTypedParamsAddUInt(&params, &count, &max, VIR_DOMAIN_BLOCK_COPY_GRANULARITY,
				       call->granularity) == 0))
		WITH_DOMAIN(call, ret, virt_lib.virDomainBlockCopy(domain, call->name, call->text, params,
							      count, call->flags));
	virt_lib.virTypedParamsFree(params, count);
	return ret;
}

int virt_copy(struct virt *virt, const char *uuid, const char *target, const char *xml,
	      const struct virt_copy *copy, struct err *err)
{
	struct call *call = virt_call_new(run_copy, uuid, target, xml);

	call->flags = VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB;
	if (copy->sync_writes)
		call->flags |= VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES;
	call->bytes_per_second = copy->bytes_per_second;
	call->granularity = copy->granularity;
	return virt_call_plain(virt, call, target, err);
}

static int run_rebase(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, virt_lib.virDomainBlockRebase(domain, call->name, call->text,
							(unsigned long)call->bytes_per_second,
							call->flags));
	return ret;
}

int virt_rebase(struct virt *virt, const char *uuid, const char *target, const char *path,
		bool is_device, uint64_t bytes_per_second, struct err *err)
{
	struct call *call = virt_call_new(run_rebase, uuid, target, path);

	call->flags = VIR_DOMAIN_BLOCK_REBASE_COPY | VIR_DOMAIN_BLOCK_REBASE_REUSE_EXT |
		      VIR_DOMAIN_BLOCK_REBASE_COPY_RAW | VIR_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES;
	if (is_device)
		call->flags |= VIR_DOMAIN_BLOCK_REBASE_COPY_DEV;
	call->bytes_per_second = bytes_per_second;
	return virt_call_plain(virt, call, target, err);
}

static int run_job(struct call *call)
{
	virDomainBlockJobInfo info = { 0 };
	int found = -1, ret;

	WITH_DOMAIN(call, ret, found = virt_lib.virDomainGetBlockJobInfo(
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
	struct call *call = virt_call_new(run_job, uuid, target, NULL);

	if (virt_call_make(virt, call, target, err) < 0)
		return -1;
	*ret_job = call->ret_job;
	virt_call_free(call);
	return 0;
}

static int run_speed(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, virt_lib.virDomainBlockJobSetSpeed(
		domain, call->name, (unsigned long)call->bytes_per_second,
		VIR_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES));
	return ret;
}

int virt_job_speed(struct virt *virt, const char *uuid, const char *target,
		   uint64_t bytes_per_second, struct err *err)
{
	struct call *call = virt_call_new(run_speed, uuid, target, NULL);

	call->bytes_per_second = bytes_per_second;
	return virt_call_plain(virt, call, target, err);
}

static int run_abort(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, virt_lib.virDomainBlockJobAbort(domain, call->name, call->flags));
	return ret;
}

int virt_pivot(struct virt *virt, const char *uuid, const char *target, struct err *err)
{
	struct call *call = virt_call_new(run_abort, uuid, target, NULL);

	call->flags = VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT;
	return virt_call_plain(virt, call, target, err);
}

int virt_job_cancel(struct virt *virt, const char *uuid, const char *target, struct err *err)
{
	struct call *call = virt_call_new(run_abort, uuid, target, NULL);

	call->flags = VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC;
	return virt_call_plain(virt, call, target, err);
}

static int run_qmp(struct call *call)
{
	int ret;

	WITH_DOMAIN(call, ret, virt_lib.virDomainQemuMonitorCommand(domain, call->text, &call->ret_text, 0));
	return ret;
}

int virt_qmp(struct virt *virt, const char *uuid, const char *command, char **ret_answer,
	     struct err *err)
{
	if (!virt_lib.virDomainQemuMonitorCommand) {
		err_set(err, ERR_FAILED, uuid, "QEMU cannot be asked: there is no libvirt-qemu.so.0");
		err->number = EOPNOTSUPP;
		return -1;
	}
	return virt_call_text(virt, virt_call_new(run_qmp, uuid, NULL, command), uuid, ret_answer, err);
}

#endif
