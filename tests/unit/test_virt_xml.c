/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The XML of domains: what is read of it, and that a change of it changes nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/err.h"
#include "support/text.h"
#include "sys/virt_xml.h"

#define HEAD "<domain type='qemu' id='3'>\n  <name>web</name>\n" \
	"  <metadata><x:disk xmlns:x='urn:x'><disk/></x:disk></metadata>\n  <devices>\n"
#define DISK_A "    <disk type='file' device='disk' snapshot='no'>\n" \
	"      <driver name='qemu' type='raw' cache='none' io='native'/>\n"
#define SOURCE_A "<source file='/srv/a &amp; b/web.img' index='1'/>"
#define REST_A "\n      <backingStore/>\n      <target dev='vda' bus='virtio'/>\n" \
	"      <serial>lab &lt;1&gt;</serial>\n      <alias name='virtio-disk0'/>\n    </disk>\n"
#define DISK_B "    <disk type=\"block\" device='disk'>\n" \
	"      <source dev='/dev/vg0/log'><privateData/></source>\n      <target dev='vdb'/>\n" \
	"      <mirror type='file' job='copy' ready='yes'>\n        <format type='raw'/>\n" \
	"        <source file='/srv/b/log.img'/>\n      </mirror>\n      <shareable/>\n    </disk>\n"
#define DISK_C "    <disk type='network' device='disk'>\n      <source protocol='nbd' name='x'>" \
	"<host name='h' port='10809'/></source>\n      <target dev='vdc'/>\n    </disk>\n" \
	"    <disk type='file' device='cdrom'><target dev='hda' bus='ide'/><readonly/></disk>\n"
#define DISK_D "    <disk type='file' device='disk'>\n      <driver type='qcow2'/>" \
	"<source file='/top'/><backingStore type='file'><format type='qcow2'/>" \
	"<source file='/middle'/><backingStore type='block'><source dev='/dev/base'/>" \
	"<backingStore/></backingStore></backingStore><target dev='vdd'/>\n" \
	"    </disk>\n"
#define TAIL "  </devices>\n</domain>\n"

static const char domain[] = HEAD DISK_A SOURCE_A REST_A DISK_B DISK_C DISK_D TAIL;

static void read_all(struct virt_disks *disks)
{
	struct err err = ERR_INIT;

	if (virt_xml_disks(domain, disks, &err) < 0)
		fail_msg("%s", err.cause);
}

static void disks_are_read(void **state)
{
	struct virt_disks disks = { 0 };
	const struct virt_disk *disk;

	(void)state;
	read_all(&disks);
	assert_int_equal(disks.count, 5);
	disk = virt_disk_by_target(&disks, "vda");
	assert_non_null(disk);
	assert_string_equal(disk->source.type, "file");
	assert_string_equal(disk->source.path, "/srv/a & b/web.img");
	assert_string_equal(disk->format, "raw");
	assert_string_equal(disk->bus, "virtio");
	assert_string_equal(disk->serial, "lab <1>");
	assert_string_equal(disk->alias, "virtio-disk0");
	assert_false(disk->mirrored);
	assert_false(disk->readonly);
	assert_int_equal(disk->backing_count, 0);
	assert_memory_equal(domain + disk->source_begin, SOURCE_A, strlen(SOURCE_A));
	assert_int_equal(disk->source_end - disk->source_begin, strlen(SOURCE_A));
	disk = virt_disk_by_target(&disks, "vdb");
	assert_string_equal(disk->source.path, "/dev/vg0/log");
	assert_true(disk->shareable);
	assert_true(disk->mirrored);
	assert_string_equal(disk->mirror_job, "copy");
	assert_string_equal(disk->mirror_ready, "yes");
	assert_string_equal(disk->mirror.path, "/srv/b/log.img");
	disk = virt_disk_by_target(&disks, "hda");
	assert_null(disk->source.path);
	assert_true(disk->readonly);
	assert_int_equal(disk->source_begin, disk->source_end);
	assert_null(virt_disk_by_target(&disks, "vdz"));
	virt_disks_free(&disks);
}

static void sources_that_are_no_paths(void **state)
{
	struct virt_disks disks = { 0 };
	char *text;

	(void)state;
	read_all(&disks);
	text = virt_source_text(&virt_disk_by_target(&disks, "vdc")->source);
	assert_string_equal(text, "nbd:h:10809/x");
	free(text);
	assert_null(virt_source_text(&virt_disk_by_target(&disks, "hda")->source));
	virt_disks_free(&disks);
}

static void backing_chains_are_read(void **state)
{
	struct virt_disks disks = { 0 };
	const struct virt_disk *disk;

	(void)state;
	read_all(&disks);
	disk = virt_disk_by_target(&disks, "vdd");
	assert_string_equal(disk->source.path, "/top");
	assert_int_equal(disk->backing_count, 2);
	assert_string_equal(disk->backing[0].path, "/middle");
	assert_string_equal(disk->backing[1].path, "/dev/base");
	assert_string_equal(disk->backing[1].type, "block");
	virt_disks_free(&disks);
}

static void repointing_changes_the_source_alone(void **state)
{
	struct err err = ERR_INIT;
	char *changed = NULL, *before = NULL, *after = NULL;
	struct virt_disks disks = { 0 };

	(void)state;
	assert_int_equal(virt_xml_repoint(domain, "vda", true, "/dev/x'y", &changed, &err), 0);
	assert_non_null(strstr(changed, HEAD "    <disk type='block' device='disk' snapshot='no'>\n"));
	assert_non_null(strstr(changed, "io='native'/>\n<source dev='/dev/x&apos;y'/>" REST_A DISK_B
			       DISK_C DISK_D TAIL));
	assert_int_equal(virt_xml_disks(changed, &disks, &err), 0);
	assert_string_equal(virt_disk_by_target(&disks, "vda")->source.path, "/dev/x'y");
	assert_int_equal(virt_xml_without_source(domain, "vda", &before, &err), 0);
	assert_int_equal(virt_xml_without_source(changed, "vda", &after, &err), 0);
	assert_string_equal(before, after);
	assert_string_not_equal(before, domain);
	virt_disks_free(&disks);
	free(changed);
	free(before);
	free(after);
	assert_int_equal(virt_xml_repoint(domain, "hda", false, "/x", &changed, &err), -1);
	assert_int_equal(virt_xml_repoint(domain, "vdz", false, "/x", &changed, &err), -1);
	/* A type in double quotes, a source with something in it. */
	assert_int_equal(virt_xml_repoint(domain, "vdb", false, "/srv/y", &changed, &err), 0);
	assert_non_null(strstr(changed, REST_A "    <disk type=\"file\" device='disk'>\n"
			       "      <source file='/srv/y'/>\n      <target dev='vdb'/>"));
	free(changed);
}

static void an_empty_backing_store_belongs_to_the_source(void **state)
{
	static const char *const same[] = {
		"<disk type='file'>\n <source file='/a'/>\n <target dev='vda'/></disk>",
		"<disk type='block'>\n <source dev='/b'><slices/></source>\n <backingStore/>\n <target dev='vda'/></disk>",
		"<disk type='file'>\n <backingStore/>\n <source file='/c'/>\n <target dev='vda'/></disk>",
	};
	static const char other[] = "<disk type='file'>\n <source file='/a'/>\n <target dev='vda'/><readonly/></disk>";
	struct err err = ERR_INIT;
	char *first = NULL, *next = NULL;

	(void)state;
	assert_int_equal(virt_xml_without_source(same[0], "vda", &first, &err), 0);
	for (size_t i = 1; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_int_equal(virt_xml_without_source(same[i], "vda", &next, &err), 0);
		assert_string_equal(first, next);
		free(next);
	}
	assert_int_equal(virt_xml_without_source(other, "vda", &next, &err), 0);
	assert_string_not_equal(first, next);
	free(next);
	free(first);
}

static void destinations_are_written(void **state)
{
	struct err err = ERR_INIT;
	struct virt_disks disks = { 0 };
	char *xml = virt_xml_raw_disk(true, "/dev/a&b", 4096);

	(void)state;
	assert_int_equal(virt_xml_disks(xml, &disks, &err), 0);
	assert_int_equal(disks.count, 1);
	assert_string_equal(disks.items[0].source.path, "/dev/a&b");
	assert_string_equal(disks.items[0].source.type, "block");
	assert_true(disks.items[0].source.sliced);
	assert_int_equal(disks.items[0].source.slice_bytes, 4096);
	virt_disks_free(&disks);
	free(xml);
}

static void what_is_no_xml_is_refused(void **state)
{
	static const char *const bad[] = { "", "<domain>", "<domain></x>", "no", "<a>&b;</a>" };
	struct virt_disks disks = { 0 };
	char *deep = text_alloc(1, 4096), *at = deep;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(virt_xml_disks(bad[i], &disks, &err), -1);
		assert_int_equal(err.class, ERR_FAILED);
	}
	for (int i = 0; i < 100; i++)
		at = stpcpy(at, "<disk>");
	for (int i = 0; i < 100; i++)
		at = stpcpy(at, "</disk>");
	assert_int_equal(virt_xml_disks(deep, &disks, &(struct err)ERR_INIT), -1);
	free(deep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(disks_are_read),
		cmocka_unit_test(sources_that_are_no_paths),
		cmocka_unit_test(backing_chains_are_read),
		cmocka_unit_test(repointing_changes_the_source_alone),
		cmocka_unit_test(an_empty_backing_store_belongs_to_the_source),
		cmocka_unit_test(destinations_are_written),
		cmocka_unit_test(what_is_no_xml_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
