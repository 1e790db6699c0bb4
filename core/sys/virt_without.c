/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In place of virt.c in a build without libvirt: there is no connection, so nothing else is called. */
#include "sys/virt.h"

#include <errno.h>
#include <stdlib.h>

#include "support/err.h"

void virt_domain_free(struct virt_domain *domain)
{
	free(domain->name);
	*domain = (struct virt_domain){ 0 };
}

void virt_domains_free(struct virt_domain *domains, size_t count)
{
	for (size_t i = 0; domains && i < count; i++)
		virt_domain_free(&domains[i]);
	free(domains);
}

#ifdef VOLMIG_WITHOUT_LIBVIRT

int virt_open(const char *uri, uint64_t limit_ms, struct virt **ret_virt, struct err *err)
{
	(void)limit_ms;
	(void)ret_virt;
	err_set(err, ERR_FAILED, uri, "this volmig was built without libvirt");
	err->number = EOPNOTSUPP;
	return -1;
}

void virt_close(struct virt *virt)
{
	(void)virt;
}

bool virt_event(struct virt *virt, uint64_t timeout_ms, struct virt_event *ret_event)
{
	(void)virt;
	(void)timeout_ms;
	(void)ret_event;
	return false;
}

/* All the others: their arguments mean nothing here. */
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define NEVER(name, ...) int name(__VA_ARGS__, struct err *err) { abort(); }

NEVER(virt_find, struct virt *virt, const char *name, struct virt_domain *ret_domain)
NEVER(virt_list, struct virt *virt, struct virt_domain **ret_domains, size_t *ret_count)
NEVER(virt_xml, struct virt *virt, const char *uuid, bool inactive, char **ret_xml)
NEVER(virt_define, struct virt *virt, const char *xml)
NEVER(virt_ties, struct virt *virt, const char *uuid, struct virt_ties *ret_ties)
NEVER(virt_volume_path, struct virt *virt, const char *pool, const char *volume, char **ret_path)
NEVER(virt_attach, struct virt *virt, const char *uuid, const char *xml, unsigned affect)
NEVER(virt_detach, struct virt *virt, const char *uuid, const char *xml, unsigned affect)
NEVER(virt_suspend, struct virt *virt, const char *uuid)
NEVER(virt_resume, struct virt *virt, const char *uuid)
NEVER(virt_disk_size, struct virt *virt, const char *uuid, const char *target,
      uint64_t *ret_bytes, uint64_t *ret_allocated)
NEVER(virt_copy, struct virt *virt, const char *uuid, const char *target, const char *xml,
      const struct virt_copy *copy)
NEVER(virt_rebase, struct virt *virt, const char *uuid, const char *target, const char *path,
      bool is_device, uint64_t bytes_per_second)
NEVER(virt_job, struct virt *virt, const char *uuid, const char *target, struct virt_job *ret_job)
NEVER(virt_job_speed, struct virt *virt, const char *uuid, const char *target,
      uint64_t bytes_per_second)
NEVER(virt_pivot, struct virt *virt, const char *uuid, const char *target)
NEVER(virt_job_cancel, struct virt *virt, const char *uuid, const char *target)
NEVER(virt_qmp, struct virt *virt, const char *uuid, const char *command, char **ret_answer)

#endif
