/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this host can do, method by method, and what is missing by package. */
#include "doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "support/err.h"
#include "sys/ioq.h"
#include "sys/iscsi.h"
#include "sys/lvm.h"
#include "sys/nbd.h"
#include "sys/nbddev.h"
#include "sys/program.h"
#include "sys/rbd.h"
#include "sys/tool.h"
#include "sys/virt.h"

static bool file_has(const char *path, const char *text)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	while (file && !found && getline(&line, &size, file) >= 0)
		found = strstr(line, text) != NULL;
	free(line);
	if (file)
		fclose(file);
	return found;
}

/* Is a module of the kernel loaded, built in, or there to be loaded? */
static bool kernel_has(const char *module)
{
	char *loaded = text_format("/sys/module/%s", module), *file = text_format("/%s.ko", module);
	struct utsname host;
	bool found = access(loaded, F_OK) == 0;

	for (char *c = file; *c; c++)
		if (*c == '_')
			*c = '-';
	for (int i = 0; i < 2 && !found && uname(&host) == 0; i++) {
		char *list = text_format("/lib/modules/%s/modules.%s", host.release, i ? "dep" : "builtin");

		found = file_has(list, file);
		free(list);
	}
	free(loaded);
	free(file);
	return found;
}

static bool has_device_mapper(void)
{
	return access("/dev/mapper/control", F_OK) == 0 || file_has("/proc/misc", "device-mapper");
}

static void look_at_io(struct doctor *doctor)
{
	static unsigned char memory[4096] __attribute__((aligned(4096)));
	struct err err = ERR_INIT;
	struct ioq *q = NULL;
	int fd = 0;

	if (ioq_open(&q, "uring", &(struct ioq_file){ .fd = fd }, 1, memory, sizeof(memory), 1, &err) < 0)
		doctor_method(doctor, "io_uring", err.cause, NULL);
	else
		doctor_method(doctor, "io_uring", NULL, NULL);
	ioq_close(q);
}

/* NULL, or why LVM cannot be used; free it. */
static char *lvm_missing(const char *module, const char *target)
{
	const char *const argv[] = { "version", NULL };
	struct err err = ERR_INIT;

	if (geteuid() != 0)
		return text_copy("only root can use LVM");
	if (lvm_run(&(struct lvm_command){ .argv = argv, .object = "LVM" }, NULL, &err) < 0)
		return text_copy(err.cause);
	if (!has_device_mapper())
		return text_copy("the kernel has no device-mapper");
	if (!kernel_has(module))
		return text_format("the kernel has no device-mapper target \"%s\"", target);
	return NULL;
}

/* Programs that are all needed; "a|b": one of the two. */
static void doctor_tool(struct doctor *doctor, const char *method, const char *const *names)
{
	for (; *names; names++) {
		size_t length = strcspn(*names, "|");
		char *first = text_format("%.*s", (int)length, *names), *path = program_find(first), *missing;

		if (!path && (*names)[length])
			path = program_find(*names + length + 1);
		if (!path) {
			missing = text_format("there is no program %s", first);
			doctor_method(doctor, method, missing, tool_package(first));
			free(missing);
			free(first);
			return;
		}
		free(path);
		free(first);
	}
	doctor_method(doctor, method, NULL, NULL);
}

void doctor_methods(struct doctor *doctor)
{
	static const struct {
		const char *method, *module, *target;
	} by_lvm[] = {
		{ "pvmove", "dm_mirror", "mirror" },
		{ "lvconvert", "dm_raid", "raid" },
		{ "thin", "dm_thin_pool", "thin-pool" },
	};
	struct err err = ERR_INIT;
	struct virt *virt = NULL;
	const char *iscsi, *package;

	doctor_method(doctor, "copy", NULL, NULL);
	look_at_io(doctor);
	for (size_t i = 0; i < sizeof(by_lvm) / sizeof(by_lvm[0]); i++) {
		char *missing = lvm_missing(by_lvm[i].module, by_lvm[i].target);

		doctor_method(doctor, by_lvm[i].method, missing, "lvm2");
		free(missing);
	}
	doctor_method(doctor, "nbd", nbd_export_missing(), "libnbd0");
	doctor_method(doctor, "nbd-device", nbddev_missing(false), NULL);
	doctor_tool(doctor, "images", (const char *const[]){ "qemu-img", "qemu-storage-daemon|qemu-nbd", NULL });
	if (rbd_image_missing())
		doctor_method(doctor, "rbd", rbd_image_missing(), "librbd1");
	else
		doctor_tool(doctor, "rbd", (const char *const[]){ "qemu-storage-daemon|qemu-nbd", NULL });
	doctor_tool(doctor, "hosts", (const char *const[]){ "ssh", "nbdkit", NULL });
	iscsi = iscsi_missing(&package);
	doctor_method(doctor, "iscsi", iscsi, package);
	if (virt_open(doctor->connect, VIRT_LIMIT_MS, &virt, &err) < 0)
		doctor_method(doctor, "live", err.cause, "libvirt-daemon-system");
	else
		doctor_method(doctor, "live", NULL, NULL);
	virt_close(virt);
}
