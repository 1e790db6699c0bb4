/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Facts: through JSON and back, and when two looks were at the same thing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/err.h"
#include "support/json.h"
#include "volumes/volume.h"

static const struct facts a_file = {
	.spec = (char *)"./web.img", .kind = "file", .path = (char *)"/srv/a/web.img",
	.dev = 0x801, .ino = 12, .birth_ns = 1700000000123456789,
	.bytes = 1 << 30, .allocated = 1 << 20, .mtime_ns = 1700000001000000001,
	.sector = 512, .mode = 0640, .uid = 107, .gid = 4294967294, .links = 1,
	.signature = (char *)"ext4 \"root\"", .dir = (char *)"/srv/a",
	.dir_dev = 0x801, .dir_ino = 2, .dir_free = 1ULL << 40, .dir_writable = true,
	.unremovable = (char *)"it is a mount point", .fs_type = (char *)"ext4",
};

static const struct facts a_disk = {
	.spec = (char *)"/dev/sdb", .kind = "block", .path = (char *)"/dev/sdb",
	.dev = 0x810, .diskseq = 7, .wwid = (char *)"naa.5000c500a1b2c3d4",
	.sys_path = (char *)"/sys/devices/pci0000:00/ata1/block/sdb",
	.bytes = 1 << 30, .allocated = 1 << 30, .sector = 4096, .rotational = true,
};

static const struct facts a_partition = {
	.spec = (char *)"/dev/sdb1", .kind = "block", .path = (char *)"/dev/sdb1",
	.dev = 0x811, .diskseq = 7, .wwid = (char *)"naa.5000c500a1b2c3d4-part1@2048",
	.sys_path = (char *)"/sys/devices/pci0000:00/ata1/block/sdb/sdb1",
	.bytes = 1 << 20, .sector = 4096,
};

static const struct facts a_loop = {
	.spec = (char *)"/dev/loop3", .kind = "block", .path = (char *)"/dev/loop3",
	.dev = 0x703, .diskseq = 9, .sys_path = (char *)"/sys/devices/virtual/block/loop3",
	.backing_dev = 0x801, .backing_ino = 12, .bytes = 1 << 30, .sector = 512,
};

static const struct facts nothing = {
	.spec = (char *)"/srv/b/new.img", .path = (char *)"/srv/b/new.img", .dir = (char *)"/srv/b",
};

static void round_trip(const struct facts *facts)
{
	struct err err = ERR_INIT;
	struct facts back;
	json_t *json = facts_to_json(facts), *again;

	assert_non_null(json);
	assert_int_equal(facts_from_json(&back, json, &err), 0);
	again = facts_to_json(&back);
	assert_true(json_equal(json, again));
	if (facts->kind)
		assert_string_equal(back.kind, facts->kind);
	else
		assert_null(back.kind);
	assert_int_equal(back.gid, facts->gid);
	assert_int_equal(back.birth_ns, facts->birth_ns);
	assert_int_equal(back.backing_ino, facts->backing_ino);
	assert_int_equal(back.dir_writable, facts->dir_writable);
	json_decref(again);
	json_decref(json);
	facts_free(&back);
	/* Freed is empty. */
	assert_null(back.path);
	facts_free(&back);
}

static void test_json(void **state)
{
	struct facts odd = a_file;

	(void)state;
	round_trip(&a_file);
	round_trip(&a_disk);
	round_trip(&a_loop);
	round_trip(&nothing);
	odd.path = (char *)"/srv/\xff\xfe\n\"quoted\"";
	round_trip(&odd);
}

static void bad_json(const char *key, json_t *value)
{
	struct err err = ERR_INIT;
	struct facts back = { .bytes = 77 };
	json_t *json = facts_to_json(&a_file);

	json_put(json, key, value);
	assert_int_equal(facts_from_json(&back, json, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	assert_non_null(strstr(err.cause, key));
	/* Set only on success. */
	assert_int_equal(back.bytes, 77);
	json_decref(json);
}

static void test_bad_json(void **state)
{
	struct err err = ERR_INIT;
	struct facts back;
	json_t *array = json_array();

	(void)state;
	bad_json("kind", json_string("lv"));
	bad_json("kind", json_integer(1));
	bad_json("path", json_integer(1));
	bad_json("path", json_pack("{s:s}", "bytes", "0"));
	bad_json("dev", json_string("8:1"));
	bad_json("birth_ns", json_real(1.5));
	bad_json("mode", json_integer(-1));
	bad_json("uid", json_integer(1LL << 32));
	bad_json("read_only", json_integer(0));
	assert_int_equal(facts_from_json(&back, array, &err), -1);
	assert_int_equal(facts_from_json(&back, NULL, &err), -1);
	json_decref(array);
}

/* Are they the same?  NULL: yes; else why must contain the text. */
static void same(const struct facts *was, const struct facts *is, bool same_boot, const char *text)
{
	char *why = facts_not_same(was, is, same_boot);

	if (!text) {
		assert_null(why);
	} else {
		assert_non_null(why);
		assert_non_null(strstr(why, text));
	}
	free(why);
}

static void test_same_file(void **state)
{
	struct facts now = a_file;

	(void)state;
	/* Names, sizes and contents are no identity. */
	now.path = now.spec = (char *)"/other/name";
	now.bytes = 5;
	now.mtime_ns = 6;
	same(&a_file, &now, true, NULL);

	now.dev = 0x802;
	same(&a_file, &now, true, "another file system");
	same(&a_file, &now, false, NULL);
	now.ino = 13;
	same(&a_file, &now, false, "another inode: 13, was 12");
	now = a_file;
	now.birth_ns++;
	same(&a_file, &now, true, "another file");
	same(&a_file, &now, false, "another file");
	now.birth_ns = 0;
	same(&a_file, &now, true, NULL);

	same(&a_file, &nothing, true, "not there any more");
	same(&nothing, &a_file, true, "nothing of that name before");
	same(&nothing, &nothing, true, NULL);
	same(&a_file, &a_disk, true, "a block now, was a file");
}

static void test_same_block(void **state)
{
	struct facts now = a_disk;

	(void)state;
	same(&a_disk, &now, true, NULL);
	same(&a_disk, &now, false, NULL);
	now.diskseq = 8;
	same(&a_disk, &now, true, "attached again");
	same(&a_disk, &now, false, NULL);
	now.diskseq = 0;
	same(&a_disk, &now, true, NULL);

	/* After a restart names of disks may be exchanged; the WWN is what counts. */
	now = a_disk;
	now.dev = 0x820;
	now.sys_path = (char *)"/sys/devices/pci0000:00/ata2/block/sdc";
	same(&a_disk, &now, true, "another device number");
	same(&a_disk, &now, false, NULL);
	now.wwid = (char *)"naa.5000c500ffffffff";
	same(&a_disk, &now, false, "naa.5000c500ffffffff, was naa.5000c500a1b2c3d4");
	now.dev = a_disk.dev;
	same(&a_disk, &now, true, "was naa.5000c500a1b2c3d4");
	now.wwid = NULL;
	same(&a_disk, &now, false, "without identification");
}

/* Without a WWN, and with a serial number only. */
static void test_same_nameless(void **state)
{
	struct facts was = a_disk, now = a_disk;

	(void)state;
	was.wwid = now.wwid = NULL;
	same(&was, &now, false, NULL);
	now.bytes++;
	same(&was, &now, false, "another size");
	now = was;
	now.sys_path = (char *)"/sys/devices/pci0000:00/ata2/block/sdb";
	same(&was, &now, false, "another device: /sys");
	now.sys_path = NULL;
	same(&was, &now, false, "another device");

	now = was;
	was.wwid = now.wwid = (char *)"serial-123";
	now.sys_path = (char *)"/sys/devices/pci0000:00/ata2/block/sdb";
	same(&was, &now, false, NULL);
	now.bytes++;
	same(&was, &now, false, "another size");
}

static void test_same_loop(void **state)
{
	struct facts now = a_loop;

	(void)state;
	same(&a_loop, &now, true, NULL);
	same(&a_loop, &now, false, NULL);
	now.backing_ino = 13;
	same(&a_loop, &now, true, "over something else");
	same(&a_loop, &now, false, "over something else");
	now = a_loop;
	now.backing_dev = 0x802;
	same(&a_loop, &now, true, "over something else");
	same(&a_loop, &now, false, NULL);
}

static void test_changed(void **state)
{
	struct facts now = a_file;
	char *why;

	(void)state;
	now.ino = 99;
	assert_null(facts_changed(&a_file, &now, true));
	now.mtime_ns++;
	why = facts_changed(&a_file, &now, true);
	assert_non_null(why);
	assert_non_null(strstr(why, "written to"));
	free(why);
	now.bytes = 5;
	why = facts_changed(&a_file, &now, true);
	assert_non_null(why);
	assert_non_null(strstr(why, "5 bytes, was 1073741824"));
	free(why);
}

static void changed(const struct facts *was, const struct facts *now, bool same_boot, const char *part)
{
	char *why = facts_changed(was, now, same_boot);

	if (part) {
		assert_non_null(why);
		assert_non_null(strstr(why, part));
	} else {
		assert_null(why);
	}
	free(why);
}

/* A logical volume counts anew from each activation on, which has a number. */
static void test_lv_changed(void **state)
{
	struct facts was = { .kind = "lv", .bytes = 8 << 20, .diskseq = 7, .written = 100 }, now = was;

	(void)state;
	changed(&was, &now, true, NULL);
	now.written = 108;
	changed(&was, &now, true, "written to");
	changed(&was, &now, false, NULL);
	now.diskseq = 8;
	now.written = 100;
	changed(&was, &now, true, "activated again");
	changed(&was, &now, false, NULL);
	now.diskseq = now.written = 0;
	changed(&was, &now, true, "it was deactivated, and may");
	/* It was not active when it was planned, and the job has activated it. */
	was.diskseq = was.written = 0;
	now.diskseq = 8;
	now.written = 1;
	changed(&was, &now, true, NULL);
}

static void overlap(const struct facts *a, const struct facts *b, bool expected)
{
	assert_int_equal(facts_overlap(a, b), expected);
	assert_int_equal(facts_overlap(b, a), expected);
}

static void test_overlap(void **state)
{
	struct facts other, third = a_disk;

	(void)state;
	overlap(&a_file, &a_file, true);
	other = a_file;
	other.ino = 13;
	overlap(&a_file, &other, false);
	other = a_file;
	other.dev = 0x802;
	overlap(&a_file, &other, false);
	overlap(&nothing, &nothing, false);
	overlap(&nothing, &a_file, false);

	overlap(&a_disk, &a_disk, true);
	overlap(&a_disk, &a_partition, true);
	other = a_partition;
	other.dev = 0x812;
	other.wwid = (char *)"naa.5000c500a1b2c3d4-part2@4096";
	other.sys_path = (char *)"/sys/devices/pci0000:00/ata1/block/sdb/sdb2";
	overlap(&a_partition, &other, false);
	overlap(&a_disk, &other, true);

	/* A second path to the same disk, and its partition by that path. */
	other = a_disk;
	other.dev = 0x820;
	other.diskseq = 8;
	other.sys_path = (char *)"/sys/devices/pci0000:00/ata2/block/sdc";
	overlap(&a_disk, &other, true);
	overlap(&a_partition, &other, true);
	other.wwid = (char *)"naa.5000c500a1b2c3d4e5";
	overlap(&a_disk, &other, false);
	overlap(&a_partition, &other, false);

	/* Names that only begin alike: sdb and sdba. */
	other.wwid = NULL;
	other.sys_path = (char *)"/sys/devices/pci0000:00/ata1/block/sdba";
	overlap(&a_disk, &other, false);

	/* Serial numbers do not make two disks one. */
	other.wwid = (char *)"serial-1";
	third.wwid = (char *)"serial-1";
	overlap(&third, &other, false);
}

/* The volume of another host; its facts are there's. */
static struct facts far_away(const struct facts *there)
{
	return (struct facts){
		.kind = "ssh", .host = (char *)"b", .path = (char *)"ssh://b/dev/sdz", .far = (struct facts *)there,
	};
}

static void test_overlap_of_hosts(void **state)
{
	struct facts there = a_disk, far = far_away(&there), lv = { .kind = "lv", .path = (char *)"/dev/vg/web" };

	(void)state;
	/* One LUN that both see, by whatever name and number. */
	there.path = (char *)"/dev/sdz";
	there.dev = 0x999;
	there.diskseq = 1;
	overlap(&a_disk, &far, true);
	overlap(&a_partition, &far, true);
	/* Each host has its own disk of that number and at that place. */
	there = a_disk;
	there.wwid = (char *)"naa.5000c500a1b2c3d5";
	overlap(&a_disk, &far, false);
	overlap(&a_partition, &far, false);
	there.wwid = NULL;
	overlap(&a_disk, &far, false);
	/* A logical volume of a group that lies on such a LUN. */
	lv.wwid = (char *)"LVM-k3jd8s";
	there = lv;
	overlap(&lv, &far, true);
	there.wwid = (char *)"LVM-aaaaaa";
	overlap(&lv, &far, false);
	/* A file has no such name: its host locks it. */
	there = a_file;
	overlap(&a_file, &far, false);
}

static void test_overlap_loops(void **state)
{
	struct facts second = a_loop, part = a_loop, part2;

	(void)state;
	overlap(&a_loop, &a_file, true);
	overlap(&a_loop, &a_disk, false);
	second.dev = 0x704;
	second.diskseq = 10;
	second.sys_path = (char *)"/sys/devices/virtual/block/loop4";
	overlap(&a_loop, &second, true);
	second.backing_ino = 13;
	overlap(&a_loop, &second, false);
	overlap(&a_file, &second, false);
	second.backing_dev = a_disk.dev;
	second.backing_ino = 0;
	overlap(&a_disk, &second, true);

	part.dev = 0x10300;
	part.sys_path = (char *)"/sys/devices/virtual/block/loop3/loop3p1";
	part2 = part;
	part2.dev = 0x10301;
	part2.sys_path = (char *)"/sys/devices/virtual/block/loop3/loop3p2";
	overlap(&a_loop, &part, true);
	overlap(&a_file, &part, true);
	overlap(&part, &part2, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_bad_json),
		cmocka_unit_test(test_same_file),
		cmocka_unit_test(test_same_block),
		cmocka_unit_test(test_same_nameless),
		cmocka_unit_test(test_same_loop),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_lv_changed),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_overlap_of_hosts),
		cmocka_unit_test(test_overlap_loops),
	};

	return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
