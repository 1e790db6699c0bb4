/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Versions of which it is known, and written down somewhere, what goes wrong with them. */
#include "doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "support/err.h"
#include "sys/lvm.h"

#define VERSION(a, b, c) ((a) * 1000000u + (b) * 1000u + (c))

/* from <= version < below; 0, 0: any.  Only what somebody has shown: where it was not seen is not in a range. */
static const struct {
	unsigned kernel_from, kernel_below;
	unsigned lvm_from, lvm_below;
	const char *what, *source;
} known[] = {
	/* Seen with both; not with 4.19 and 6.6.  The patch named there is for the kernel. */
	{ VERSION(6, 1, 45), VERSION(6, 1, 69), VERSION(2, 3, 11), VERSION(2, 3, 23),
	  "after a restart in the middle of a pvmove, activating the group may hang (vgchange -ay)",
	  "github.com/lvmteam/lvm2/issues/136" },
	{ 0, 0, VERSION(2, 3, 11), VERSION(2, 3, 36),
	  "a group with a raid volume that is activated in the middle of a pvmove may take the leg that "
	  "is moved for a failed one (lvchange --refresh)",
	  "github.com/lvmteam/lvm2/issues/143; WHATS_NEW of LVM 2.03.36" },
	{ 0, 0, VERSION(2, 2, 176), VERSION(2, 3, 26),
	  "pvmove of a range of extents with several volumes in it, or in a group of one physical volume, "
	  "may fail with an internal error (pvmove0 not listed)",
	  "github.com/lvmteam/lvm2/issues/148; WHATS_NEW of LVM 2.03.26" },
};

static bool is_in(unsigned version, unsigned from, unsigned below)
{
	return !below || (version >= from && version < below);
}

/* "6.1.45-rc2+deb" and the like; 0: it is none. */
static unsigned parse(const char *text)
{
	unsigned a, b, c = 0;

	if (sscanf(text, "%u.%u.%u", &a, &b, &c) < 2 || a > 999 || b > 999 || c > 999)
		return 0;
	return VERSION(a, b, c);
}

static bool hear_lvm(void *data, const char *text)
{
	static const char label[] = "LVM version:";
	const char *at = strstr(text, label);
	char **version = data;

	if (at && !*version) {
		at += strlen(label);
		at += strspn(at, " ");
		*version = text_format("%.*s", (int)strcspn(at, " ("), at);
	}
	return true;
}

static char *lvm_version(void)
{
	const char *const argv[] = { "version", NULL };
	struct err err = ERR_INIT;
	char *version = NULL;

	if (geteuid() == 0)
		lvm_run(&(struct lvm_command){ .argv = argv, .object = "LVM", .line = hear_lvm, .data = &version },
			NULL, &err);
	return version;
}

void doctor_versions(struct doctor *doctor)
{
	char *lvm = lvm_version();
	unsigned kernel_is = 0, lvm_is = lvm ? parse(lvm) : 0;
	struct utsname host;

	if (uname(&host) == 0)
		kernel_is = parse(host.release);
	for (size_t i = 0; lvm_is && kernel_is && i < sizeof(known) / sizeof(known[0]); i++) {
		char *text;

		if (!is_in(kernel_is, known[i].kernel_from, known[i].kernel_below) ||
		    !is_in(lvm_is, known[i].lvm_from, known[i].lvm_below))
			continue;
		text = text_format("LVM %s on kernel %s: %s; see %s", lvm, host.release, known[i].what,
				   known[i].source);
		doctor_note(doctor, "versions", text);
		free(text);
	}
	free(lvm);
}
