/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Image formats that wrap a disk, told by their magic. */
#include "volumes/format.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The text as bytes, without the NUL that C puts behind it. */
#define MAGIC(text) (text), sizeof(text) - 1

static const struct {
	const char *name;
	size_t offset;
	const char *magic;
	size_t length;
} heads[] = {
	/* QEMU's own: docs/interop/qcow2.txt, qed_spec.txt; version 1 is below. */
	{ "qcow2", 0, MAGIC("QFI\xfb") },
	{ "qed", 0, MAGIC("QED\0") },
	/* Its first format, which User-Mode Linux still writes. */
	{ "cow", 0, MAGIC("OOOM") },
	/* VMware, Virtual Disk Format: sparse extents of hosted and of ESX products, descriptor. */
	{ "vmdk", 0, MAGIC("KDMV") },
	{ "vmdk", 0, MAGIC("COWD") },
	{ "vmdk", 0, MAGIC("# Disk DescriptorFile") },
	/* Microsoft, [MS-VHDX] and the VHD specification: the footer's copy of a dynamic disk. */
	{ "vhdx", 0, MAGIC("vhdxfile") },
	{ "vhd", 0, MAGIC("conectix") },
	/* VirtualBox: the signature follows 64 bytes of text. */
	{ "vdi", 0x40, MAGIC("\x7f\x10\xda\xbe") },
	/* Parallels: docs/interop/parallels.txt of QEMU; the second is for large disks. */
	{ "parallels", 0, MAGIC("WithoutFreeSpace") },
	{ "parallels", 0, MAGIC("WithouFreSpacExt") },
	{ "bochs", 0, MAGIC("Bochs Virtual HD Image") },
	/* A shell script that mounts itself: a cloop image's first line says only that. */
	{ "cloop", 0, MAGIC("#!/bin/sh\n#V2.0 Format\nmodprobe cloop") },
};

static const struct {
	const char *name;
	size_t from_end;
	const char *magic;
	size_t length;
} tails[] = {
	{ "vhd", 512, MAGIC("conectix") },
	/* Before Virtual PC 2004 the footer was a byte shorter. */
	{ "vhd", 511, MAGIC("conectix") },
	/* Apple's disk image, UDIF. */
	{ "dmg", 512, MAGIC("koly") },
};

static bool has(const void *data, size_t data_length, size_t offset,
		const char *magic, size_t length)
{
	return data && offset <= data_length && length <= data_length - offset &&
	       !memcmp((const char *)data + offset, magic, length);
}

const char *format_detect(const void *head, size_t head_length,
			  const void *tail, size_t tail_length)
{
	if (has(head, head_length, 0, MAGIC("QFI\xfb\0\0\0\1")))
		return "qcow";
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (has(head, head_length, heads[i].offset, heads[i].magic, heads[i].length))
			return heads[i].name;
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++)
		if (tails[i].from_end <= tail_length &&
		    has(tail, tail_length, tail_length - tails[i].from_end,
			tails[i].magic, tails[i].length))
			return tails[i].name;
	return NULL;
}
