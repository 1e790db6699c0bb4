/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Container formats by their magic: what is one, and above all what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "volumes/format.h"

struct sample {
	const char *name;
	size_t offset;
	const char *bytes;
	size_t length;
};

#define BYTES(text) (text), sizeof(text) - 1

static const struct sample heads[] = {
	{ "qcow", 0, BYTES("QFI\xfb\0\0\0\1") },
	{ "qcow2", 0, BYTES("QFI\xfb\0\0\0\2") },
	{ "qcow2", 0, BYTES("QFI\xfb\0\0\0\3") },
	{ "qcow2", 0, BYTES("QFI\xfb\0\0\0\x63") },	/* of some later version */
	{ "qed", 0, BYTES("QED\0") },
	{ "cow", 0, BYTES("OOOM\0\0\0\2") },
	{ "vmdk", 0, BYTES("KDMV\1\0\0\0") },
	{ "vmdk", 0, BYTES("COWD\1\0\0\0") },
	{ "vmdk", 0, BYTES("# Disk DescriptorFile\nversion=1\n") },
	{ "vhdx", 0, BYTES("vhdxfile") },
	{ "vhd", 0, BYTES("conectix\0\0\0\2") },
	{ "vdi", 64, BYTES("\x7f\x10\xda\xbe\1\0\1\0") },
	{ "parallels", 0, BYTES("WithoutFreeSpace\2\0\0\0") },
	{ "parallels", 0, BYTES("WithouFreSpacExt\2\0\0\0") },
	{ "bochs", 0, BYTES("Bochs Virtual HD Image\0") },
	{ "cloop", 0, BYTES("#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0\n") },
};

static const struct sample tails[] = {
	{ "vhd", 0, BYTES("conectix") },
	{ "vhd", 1, BYTES("conectix") },
	{ "dmg", 0, BYTES("koly\0\0\0\4") },
};

static void put(unsigned char *buf, size_t size, const struct sample *sample)
{
	memset(buf, 0, size);
	memcpy(buf + sample->offset, sample->bytes, sample->length);
}

static void test_heads(void **state)
{
	unsigned char head[FORMAT_HEAD_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		const char *found;

		put(head, sizeof(head), &heads[i]);
		found = format_detect(head, sizeof(head), NULL, 0);
		assert_non_null(found);
		assert_string_equal(found, heads[i].name);
	}
}

static void test_tails(void **state)
{
	unsigned char head[FORMAT_HEAD_BYTES] = { 0 }, tail[FORMAT_TAIL_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		const char *found;

		put(tail, sizeof(tail), &tails[i]);
		found = format_detect(head, sizeof(head), tail, sizeof(tail));
		assert_non_null(found);
		assert_string_equal(found, tails[i].name);
		/* Where the end is not to be looked at, it is not. */
		assert_null(format_detect(head, sizeof(head), NULL, 0));
	}
}

/* One byte off, or one byte short, is no magic. */
static void test_near_misses(void **state)
{
	unsigned char head[FORMAT_HEAD_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		const char *whole, *cut;

		memset(head, 0, sizeof(head));
		memcpy(head + heads[i].offset + 1, heads[i].bytes, heads[i].length);
		assert_null(format_detect(head, sizeof(head), NULL, 0));

		put(head, sizeof(head), &heads[i]);
		head[heads[i].offset] ^= 1;
		assert_null(format_detect(head, sizeof(head), NULL, 0));

		/* Cut short it is known, or it is not; it is never read past its end. */
		put(head, sizeof(head), &heads[i]);
		whole = format_detect(head, heads[i].offset + heads[i].length, NULL, 0);
		assert_string_equal(whole, heads[i].name);
		cut = format_detect(head, heads[i].offset + 3, NULL, 0);
		assert_null(cut);
	}
}

static void test_raw(void **state)
{
	unsigned char head[FORMAT_HEAD_BYTES] = { 0 }, tail[FORMAT_TAIL_BYTES] = { 0 };

	(void)state;
	assert_null(format_detect(head, 0, tail, 0));
	assert_null(format_detect(head, sizeof(head), tail, sizeof(tail)));
	/* A boot sector, and an ext4 superblock. */
	head[510] = 0x55;
	head[511] = 0xaa;
	head[1024 + 56] = 0x53;
	head[1024 + 57] = 0xef;
	assert_null(format_detect(head, sizeof(head), tail, sizeof(tail)));
	memcpy(head, "#!/bin/sh\necho\n", 15);
	assert_null(format_detect(head, sizeof(head), tail, sizeof(tail)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_tails),
		cmocka_unit_test(test_near_misses),
		cmocka_unit_test(test_raw),
	};

	return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
