/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looking at files and opening them: odd names, holes, zeroing, and things that changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "support/err.h"
#include "support/text.h"
#include "volumes/spec.h"
#include "volumes/volume.h"

static int inspect(const char *text, enum spec_role role, struct facts *facts, struct err *err)
{
	char *cwd = getcwd(NULL, 0);
	struct spec spec = { 0 };
	int ret = spec_parse(&spec, text, role, cwd, err);

	if (ret == 0)
		ret = volume_inspect(&spec, INSPECT_USES, facts, err);
	spec_free(&spec);
	free(cwd);
	return ret;
}

static struct facts facts_of(const char *text)
{
	struct facts facts = { 0 };
	struct err err = ERR_INIT;

	if (inspect(text, SPEC_PLACE, &facts, &err) < 0)
		fail_msg("%s: %s", err.object, err.cause);
	return facts;
}

/* It is refused, with this in the cause, and nothing is filled in. */
static void refused(const char *name, const char *cause)
{
	struct facts facts = { .bytes = 77 };
	struct err err = ERR_INIT;

	assert_int_equal(inspect(name, SPEC_VOLUME, &facts, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	assert_non_null(strstr(err.cause, cause));
	assert_int_equal(facts.bytes, 77);
}

static void test_file(void **state)
{
	struct facts facts;
	struct stat st;
	char *path = realpath(".", NULL);

	(void)state;
	scratch_make("a.img", 3 * MIB + 100);
	scratch_fill("a.img", MIB, 64 * KIB, 1);
	assert_int_equal(chmod("a.img", 0640), 0);
	assert_int_equal(stat("a.img", &st), 0);
	facts = facts_of("./a.img");
	assert_string_equal(facts.kind, "file");
	assert_string_equal(facts.spec, "./a.img");
	assert_int_equal(strncmp(facts.path, path, strlen(path)), 0);
	assert_string_equal(facts.path + strlen(path), "/a.img");
	assert_string_equal(facts.dir, path);
	assert_int_equal(facts.dev, st.st_dev);
	assert_int_equal(facts.ino, st.st_ino);
	assert_int_equal(facts.bytes, 3 * MIB + 100);
	assert_int_equal(facts.allocated, st.st_blocks * 512);
	assert_int_equal(facts.mode, 0640);
	assert_int_equal(facts.links, 1);
	assert_true(facts.sector >= 512 && facts.sector <= 65536);
	assert_true(facts.dir_writable);
	assert_true(facts.dir_free > 0);
	assert_non_null(facts.fs_type);
	assert_null(facts.format);
	assert_null(facts.signature);
	assert_int_equal(facts.uses.count, 0);
	facts_free(&facts);
	free(path);
}

static void test_other_names(void **state)
{
	static const char *const names[] = {
		"./hard", "./soft", "./soft2", "./sub/../a.img", "./sub/up/a.img", "file:a.img",
	};
	struct facts a, b;
	char *why;

	(void)state;
	scratch_make("a.img", MIB);
	assert_int_equal(link("a.img", "hard"), 0);
	assert_int_equal(symlink("a.img", "soft"), 0);
	assert_int_equal(symlink("soft", "soft2"), 0);
	assert_int_equal(mkdir("sub", 0700), 0);
	assert_int_equal(symlink("..", "sub/up"), 0);
	a = facts_of("./a.img");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		b = facts_of(names[i]);
		assert_true(facts_overlap(&a, &b));
		why = facts_not_same(&a, &b, true);
		assert_null(why);
		facts_free(&b);
	}
	facts_free(&a);
	assert_int_equal(unlink("sub/up"), 0);
	assert_int_equal(rmdir("sub"), 0);
}

static void test_nothing(void **state)
{
	struct facts facts;
	char *here = realpath(".", NULL);

	(void)state;
	facts = facts_of("./new.img");
	assert_null(facts.kind);
	assert_string_equal(facts.path + strlen(here), "/new.img");
	assert_string_equal(facts.dir, here);
	assert_true(facts.dir_ino != 0);
	facts_free(&facts);

	facts = facts_of("./");
	assert_null(facts.kind);
	assert_string_equal(facts.path, here);
	assert_string_equal(facts.dir, here);
	facts_free(&facts);

	facts = facts_of("/no-such-thing.img");
	assert_string_equal(facts.path, "/no-such-thing.img");
	assert_string_equal(facts.dir, "/");
	facts_free(&facts);

	/* The planner sees where it would be. */
	facts = facts_of("/dev/no-such-disk");
	assert_null(facts.kind);
	assert_string_equal(facts.dir, "/dev");
	facts_free(&facts);
	free(here);
}

static void test_refusals(void **state)
{
	(void)state;
	scratch_make("a.img", MIB);
	assert_int_equal(symlink("gone", "dangling"), 0);
	assert_int_equal(symlink("round", "round"), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	refused("./dangling", "a dangling symbolic link, to gone");
	refused("./round", "symbolic links");
	refused("./nodir/a.img", "there is no directory");
	refused("./nodir/", "there is no directory");
	refused("./a.img/", "Not a directory");
	refused("./a.img/b", "Not a directory");
	refused("./fifo", "is a FIFO, not a file or a block device");
	refused("/dev/null", "is a character device");
	refused("file:fifo", "is a FIFO, not a file");
}

static void test_odd_names(void **state)
{
	static const char *const names[] = {
		"with space", "with\nnewline", "\"quoted\" 'twice'", "gr\xc3\xbc\xc3\x9f",
		"\xff not utf-8", "-n", "$(reboot)", "back\\slash",
	};
	char longest[256], too_long[257];
	struct facts facts;
	char *text;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		scratch_make(names[i], 4096 + i);
		text = text_format("./%s", names[i]);
		facts = facts_of(text);
		assert_string_equal(facts.kind, "file");
		assert_int_equal(facts.bytes, 4096 + i);
		facts_free(&facts);
		free(text);
	}
	memset(longest, 'x', 255);
	longest[255] = '\0';
	scratch_make(longest, 512);
	text = text_format("./%s", longest);
	facts = facts_of(text);
	assert_string_equal(facts.kind, "file");
	facts_free(&facts);
	free(text);

	memset(too_long, 'x', 256);
	too_long[256] = '\0';
	text = text_format("./%s", too_long);
	refused(text, "File name too long");
	free(text);

	/* As long as a path can be, and longer than it can be once it is absolute. */
	text = text_alloc(4096, 1);
	memset(text, '/', 4095);
	memcpy(text + 4000, "x", 1);
	refused(text, "there is no directory");
	free(text);
}

static void test_formats(void **state)
{
	struct facts facts;
	int fd;

	(void)state;
	scratch_make("disk", MIB);
	fd = open("disk", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "QFI\xfb\0\0\0\3", 8, 0), 8);
	facts = facts_of("./disk");
	assert_string_equal(facts.format, "qcow2");
	facts_free(&facts);

	/* A fixed VHD is raw but for its last sector. */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ftruncate(fd, MIB + 512), 0);
	assert_int_equal(pwrite(fd, "conectix", 8, MIB), 8);
	facts = facts_of("./disk");
	assert_string_equal(facts.format, "vhd");
	facts_free(&facts);

	/* Swap, with a label; and what is too small to hold anything. */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ftruncate(fd, MIB), 0);
	assert_int_equal(pwrite(fd, "\1\0\0\0\377\0\0\0", 8, 1024), 8);
	assert_int_equal(pwrite(fd, "spare", 5, 1024 + 28), 5);
	assert_int_equal(pwrite(fd, "SWAPSPACE2", 10, 4096 - 10), 10);
	facts = facts_of("./disk");
	assert_null(facts.format);
	assert_string_equal(facts.signature, "swap \"spare\"");
	facts_free(&facts);
	for (int size = 0; size < 1026; size += 171) {
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(ftruncate(fd, size), 0);
		facts = facts_of("./disk");
		assert_int_equal(facts.bytes, size);
		assert_null(facts.signature);
		facts_free(&facts);
	}
	close(fd);
}

/* An ext2 and a swap space on one volume, and no telling which is the older: both are named. */
static void test_two_signatures(void **state)
{
	struct facts facts;
	int fd;

	(void)state;
	scratch_make("disk", 16 * MIB);
	fd = open("disk", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "\x53\xef", 2, 1024 + 56), 2);
	assert_int_equal(pwrite(fd, "\1\0\0\0\377\0\0\0", 8, 1024), 8);
	assert_int_equal(pwrite(fd, "SWAPSPACE2", 10, 4096 - 10), 10);
	close(fd);
	facts = facts_of("./disk");
	assert_non_null(facts.signature);
	assert_non_null(strstr(facts.signature, "ext2"));
	assert_non_null(strstr(facts.signature, "swap"));
	facts_free(&facts);
}

static void test_next_data(void **state)
{
	struct volume vol;
	struct err err = ERR_INIT;
	uint64_t start, end;

	(void)state;
	scratch_make("holes", 8 * MIB + 100);
	scratch_fill("holes", 2 * MIB, MIB, 1);
	scratch_fill("holes", 6 * MIB, 100, 2);
	scratch_open(&vol, "holes", OPEN_READ);
	assert_int_equal(vol.ops->next_data(&vol, 0, &start, &end, &err), 0);
	if (start == 0 && end == vol.bytes) {
		/* A file system without a map says that all is data, which is right too. */
		scratch_close(&vol);
		skip();
	}
	assert_int_equal(start, 2 * MIB);
	assert_int_equal(end, 3 * MIB);
	assert_int_equal(vol.ops->next_data(&vol, 2 * MIB + 512, &start, &end, &err), 0);
	assert_int_equal(start, 2 * MIB + 512);
	assert_int_equal(end, 3 * MIB);
	assert_int_equal(vol.ops->next_data(&vol, end, &start, &end, &err), 0);
	assert_int_equal(start, 6 * MIB);
	assert_true(end > 6 * MIB && end <= 6 * MIB + 64 * KIB);
	assert_int_equal(vol.ops->next_data(&vol, end, &start, &end, &err), 0);
	assert_int_equal(start, vol.bytes);
	assert_int_equal(end, vol.bytes);
	assert_int_equal(vol.ops->next_data(&vol, vol.bytes, &start, &end, &err), 0);
	assert_int_equal(start, vol.bytes);

	/* A file cut off has no holes there, it has nothing. */
	assert_int_equal(truncate("holes", 4 * MIB), 0);
	assert_int_equal(vol.ops->next_data(&vol, 5 * MIB, &start, &end, &err), -1);
	assert_int_equal(err.class, ERR_REFUSED);
	assert_non_null(strstr(err.cause, "got shorter"));
	scratch_close(&vol);
}

static void check_zero(enum zero_how how)
{
	struct volume vol;
	struct err err = ERR_INIT;
	uint64_t before;
	int rc;

	scratch_make("zero", 4 * MIB + 100);
	scratch_make("wanted", 4 * MIB + 100);
	scratch_fill("zero", 0, 4 * MIB + 100, 1);
	scratch_fill("wanted", 0, 4 * MIB + 100, 1);
	scratch_zeroes("wanted", MIB, 2 * MIB);
	scratch_zeroes("wanted", 4 * MIB, 100);
	before = scratch_allocated("zero");
	scratch_open(&vol, "zero", OPEN_WRITE);
	rc = vol.ops->zero(&vol, MIB, 2 * MIB, how, &err);
	if (rc == 1) {
		scratch_close(&vol);
		skip();
	}
	assert_int_equal(rc, 0);
	assert_int_equal(vol.ops->zero(&vol, 4 * MIB, 100, how, &err), 0);
	assert_int_equal(volume_flush(&vol, &err), 0);
	scratch_close(&vol);
	assert_int_equal(scratch_differ("zero", "wanted", 4 * MIB + 100), 4 * MIB + 100);
	if (how == ZERO_FREE)
		assert_true(scratch_allocated("zero") + 2 * MIB <= before);
	else
		assert_true(scratch_allocated("zero") >= before);
}

static void test_zero_free(void **state)
{
	(void)state;
	check_zero(ZERO_FREE);
}

static void test_zero_keep(void **state)
{
	(void)state;
	check_zero(ZERO_KEEP);
}

static void test_open(void **state)
{
	struct volume vol;
	struct stat st;

	(void)state;
	scratch_make("a.img", MIB + 7);
	scratch_open(&vol, "a.img", OPEN_READ);
	assert_int_equal(vol.bytes, MIB + 7);
	assert_true(vol.direct || vol.direct_reason[0]);
	assert_int_equal(!!(fcntl(vol.fd, F_GETFL) & O_DIRECT), vol.direct);
	assert_int_equal(fcntl(vol.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(fcntl(vol.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(vol.fd_buffered, -1);
	assert_false(vol.fresh);
	assert_true(vol.align >= 512 && (vol.align & (vol.align - 1)) == 0);
	assert_true(vol.granularity >= 4096);
	scratch_close(&vol);
	assert_int_equal(vol.fd, -1);
	scratch_close(&vol);

	scratch_open(&vol, "a.img", OPEN_WRITE | OPEN_FRESH);
	assert_int_equal(fcntl(vol.fd, F_GETFL) & O_ACCMODE, O_RDWR);
	assert_true(vol.fresh);
	assert_true(vol.fd_buffered >= 0);
	assert_false(fcntl(vol.fd_buffered, F_GETFL) & O_DIRECT);
	scratch_close(&vol);

	/* Opening makes nothing longer, shorter or new. */
	assert_int_equal(stat("a.img", &st), 0);
	assert_int_equal(st.st_size, MIB + 7);
}

/* The file was replaced, cut or taken away since it was looked at. */
static void open_refused(const struct facts *facts, enum err_class class, const char *cause)
{
	struct volume vol = VOLUME_INIT;
	struct err err = ERR_INIT;

	assert_int_equal(volume_open(&vol, facts, OPEN_WRITE, true, &err), -1);
	assert_int_equal(err.class, class);
	assert_non_null(strstr(err.cause, cause));
	assert_int_equal(vol.fd, -1);
}

static void test_open_changed(void **state)
{
	struct facts facts;
	struct stat st;

	(void)state;
	scratch_make("a.img", MIB);
	facts = facts_of("./a.img");
	assert_int_equal(truncate("a.img", MIB - 1), 0);
	open_refused(&facts, ERR_REFUSED, "its size is 1048575 bytes, was 1048576");
	scratch_make("other", MIB);
	assert_int_equal(rename("other", "a.img"), 0);
	open_refused(&facts, ERR_REFUSED, "is not what it was: another inode");
	assert_int_equal(rename("a.img", "other"), 0);
	open_refused(&facts, ERR_FAILED, "No such file");
	assert_int_equal(stat("a.img", &st), -1);
	assert_int_equal(symlink("other", "a.img"), 0);
	open_refused(&facts, ERR_REFUSED, "is a symbolic link now, was a file");
	assert_int_equal(unlink("a.img"), 0);
	assert_int_equal(mkfifo("a.img", 0600), 0);
	open_refused(&facts, ERR_REFUSED, "is a FIFO now, was a file");
	facts_free(&facts);
}

/* A file system without O_DIRECT: opened nevertheless, and it is said why. */
static void test_no_direct(void **state)
{
	char path[] = "/dev/shm/volmig-test.XXXXXX";
	struct facts facts = { 0 };
	struct volume vol;
	struct err err = ERR_INIT;
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0)
		skip();
	assert_int_equal(ftruncate(fd, MIB), 0);
	assert_int_equal(volume_inspect_path(path, 0, &facts, &err), 0);
	assert_int_equal(volume_open(&vol, &facts, OPEN_WRITE, true, &err), 0);
	unlink(path);
	close(fd);
	facts_free(&facts);
	/* tmpfs does direct I/O in newer kernels. */
	assert_int_equal(!vol.direct, vol.direct_reason[0] != '\0');
	assert_int_equal(!!(fcntl(vol.fd, F_GETFL) & O_DIRECT), vol.direct);
	assert_int_equal(pwrite(vol.fd_buffered, "x", 1, 5), 1);
	volume_drop_cache(&vol, 0, MIB);
	assert_int_equal(volume_flush(&vol, &err), 0);
	assert_int_equal(volume_close(&vol, &err), 0);
}

/* 64 GiB of nothing are looked at as quickly as one sector. */
static void test_large(void **state)
{
	struct facts facts;

	(void)state;
	scratch_make("large", 64 * GIB);
	facts = facts_of("./large");
	assert_int_equal(facts.bytes, 64 * GIB);
	assert_int_equal(facts.allocated, 0);
	facts_free(&facts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_file, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_other_names, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_nothing, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_refusals, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_odd_names, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_formats, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_two_signatures, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_next_data, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_zero_free, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_zero_keep, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_open, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_open_changed, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_no_direct, scratch_enter, scratch_leave),
		cmocka_unit_test_setup_teardown(test_large, scratch_enter, scratch_leave),
	};

	return cmocka_run_group_tests_name("volume", tests, NULL, NULL);
}
