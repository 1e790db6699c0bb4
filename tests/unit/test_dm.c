/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What device-mapper says is read right; and where VOLMIG_DM_DEVICE names a
 * device (in the lab), that a pause of it always ends.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/clock.h"
#include "support/err.h"
#include "sys/dm.h"

static void names_are_as_lvm_makes_them(void **state)
{
	char *name = dm_lv_name("vg-0", "a-b--c", NULL);

	(void)state;
	assert_string_equal(name, "vg--0-a--b----c");
	free(name);
	name = dm_lv_name("vg", "pool", "tpool");
	assert_string_equal(name, "vg-pool-tpool");
	free(name);
}

static void a_raid_s_status_is_read(void **state)
{
	struct dm_raid_status status;

	(void)state;
	assert_true(dm_parse_raid_status("raid1 2 Aa 24960/131072 recover 0 0 -", &status));
	assert_int_equal(status.legs, 2);
	assert_string_equal(status.health, "Aa");
	assert_int_equal(status.done, 24960);
	assert_int_equal(status.total, 131072);
	assert_string_equal(status.action, "recover");
	assert_true(dm_parse_raid_status("raid1 3 AAD 131072/131072 idle 16512 0 -", &status));
	assert_int_equal(status.mismatches, 16512);
	assert_string_equal(status.health, "AAD");
	assert_false(dm_parse_raid_status("raid1 3 AA 131072/131072 idle 0 0 -", &status));
	assert_false(dm_parse_raid_status("raid1 2 AA", &status));
	assert_false(dm_parse_raid_status("", &status));
}

static void a_mirror_s_status_is_read(void **state)
{
	struct dm_mirror_status status;

	(void)state;
	assert_true(dm_parse_mirror_status("2 98:0 254:0 29/32 1 AA 1 core", &status));
	assert_int_equal(status.legs, 2);
	assert_int_equal(status.done, 29);
	assert_int_equal(status.total, 32);
	assert_string_equal(status.health, "AA");
	assert_true(dm_parse_mirror_status("2 254:2 254:3 32/32 1 AD 3 disk 254:1 A", &status));
	assert_string_equal(status.health, "AD");
	assert_false(dm_parse_mirror_status("2 98:0", &status));
	assert_false(dm_parse_mirror_status("900 98:0 1/2 1 A 1 core", &status));
	assert_false(dm_parse_mirror_status("2 98:0 254:0 29/32 1 AAA 1 core", &status));
}

/* ---- on a real device ---- */

static const char *device(void)
{
	return getenv("VOLMIG_DM_DEVICE");
}

static struct dm_device now(const char *name)
{
	struct err err = ERR_INIT;
	struct dm_device is;

	assert_int_equal(dm_inspect(name, &is, &err), 0);
	return is;
}

static bool resumed_within(const char *name, unsigned seconds)
{
	uint64_t until = clock_ns() + seconds * 1000000000ULL;

	while (now(name).suspended && clock_ns() < until)
		clock_sleep_ms(20);
	return !now(name).suspended;
}

static void a_device_is_looked_at(void **state)
{
	const char *name = device();
	struct dm_lines lines = DM_LINES_INIT;
	struct err err = ERR_INIT;
	size_t count;
	dev_t *devs;

	(void)state;
	assert_true(now(name).exists);
	assert_false(now("volmig-no-such-device").exists);
	assert_int_equal(dm_table(name, &lines, &err), 0);
	assert_int_equal(lines.count, 1);
	assert_string_equal(lines.items[0].type, "linear");
	dm_lines_free(&lines);
	assert_int_equal(dm_status(name, &lines, &err), 0);
	assert_int_equal(lines.count, 1);
	dm_lines_free(&lines);
	assert_int_equal(dm_deps(name, &devs, &count, &err), 0);
	assert_int_equal(count, 1);
	free(devs);
	assert_int_equal(dm_status("volmig-no-such-device", &lines, &err), -1);
	assert_int_equal(err.number, ENXIO);
	assert_int_equal(dm_message(name, 0, "nonsense", NULL, &err), -1);
	assert_int_not_equal(err.number, 0);
}

static void a_pause_ends_when_it_is_asked_to(void **state)
{
	const char *name = device();
	struct dm_pause *pause = NULL;
	struct err err = ERR_INIT;
	bool kept = false;

	(void)state;
	assert_int_equal(dm_pause_begin(name, 600000, &pause, &err), 0);
	assert_true(now(name).suspended);
	assert_int_equal(dm_pause_end(pause, &kept, &err), 0);
	assert_true(kept);
	assert_false(now(name).suspended);
	assert_int_equal(dm_resume(name, &err), 0);
	assert_int_equal(dm_pause_begin("volmig-no-such-device", 1000, &pause, &err), -1);
	assert_int_not_equal(*err.cause, '\0');
}

static void a_pause_ends_when_its_time_is_over(void **state)
{
	const char *name = device();
	struct dm_pause *pause = NULL;
	struct err err = ERR_INIT;
	bool kept = true;

	(void)state;
	assert_int_equal(dm_pause_begin(name, 300, &pause, &err), 0);
	assert_true(resumed_within(name, 60));
	assert_int_equal(dm_pause_end(pause, &kept, &err), 0);
	assert_false(kept);
}

static void a_pause_ends_when_who_wanted_it_is_killed(void **state)
{
	const char *name = device();
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct dm_pause *pause;
		struct err err = ERR_INIT;

		if (dm_pause_begin(name, 600000, &pause, &err) == 0)
			raise(SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_true(resumed_within(name, 60));
}

int main(void)
{
	const struct CMUnitTest pure[] = {
		cmocka_unit_test(names_are_as_lvm_makes_them),
		cmocka_unit_test(a_raid_s_status_is_read),
		cmocka_unit_test(a_mirror_s_status_is_read),
	};
	const struct CMUnitTest real[] = {
		cmocka_unit_test(a_device_is_looked_at),
		cmocka_unit_test(a_pause_ends_when_it_is_asked_to),
		cmocka_unit_test(a_pause_ends_when_its_time_is_over),
		cmocka_unit_test(a_pause_ends_when_who_wanted_it_is_killed),
	};

	return device() ? cmocka_run_group_tests(real, NULL, NULL) :
			  cmocka_run_group_tests(pure, NULL, NULL);
}
