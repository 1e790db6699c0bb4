/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lies on a volume, by libblkid. */
#include "sys/signature.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <stdlib.h>

#include "support/err.h"
#include "support/text.h"

/* Add what the probe stands on, unless it is there already. */
static void add_found(blkid_probe pr, struct text_list *found)
{
	const char *type = NULL, *label = NULL, *table = NULL;
	char *items[2] = { NULL, NULL };

	blkid_probe_lookup_value(pr, "TYPE", &type, NULL);
	blkid_probe_lookup_value(pr, "LABEL", &label, NULL);
	blkid_probe_lookup_value(pr, "PTTYPE", &table, NULL);
	if (type)
		items[0] = label ? text_format("%s \"%s\"", type, label) : text_copy(type);
	if (table)
		items[1] = text_format("%s partition table", table);
	for (int i = 0; i < 2; i++) {
		if (items[i] && !text_list_has(found, items[i]))
			text_list_add(found, items[i]);
		else
			free(items[i]);
	}
}

int signature_probe(int fd, char **ret_text, struct err *err)
{
	struct text_list found = { 0 };
	blkid_probe pr = blkid_new_probe();
	int rc, ret = -1;

	if (!pr || blkid_probe_set_device(pr, fd, 0, 0) < 0) {
		err_sys(err, errno ? errno : ENOMEM, NULL, "cannot look for signatures");
		goto out;
	}
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL);
	blkid_probe_enable_partitions(pr, 1);
	/* Also a GPT whose first sector does not announce it. */
	blkid_probe_set_partitions_flags(pr, BLKID_PARTS_FORCE_GPT);

	errno = 0;
	rc = blkid_do_safeprobe(pr);
	if (rc == 0) {
		add_found(pr, &found);
	} else if (rc == -2) {
		/* Several that contradict each other: name them one after another. */
		blkid_reset_probe(pr);
		while ((rc = blkid_do_probe(pr)) == 0)
			add_found(pr, &found);
	}
	if (rc < 0) {
		err_sys(err, errno ? errno : EIO, NULL, "cannot look for signatures");
		goto out;
	}
	*ret_text = found.count ? text_list_join(&found) : NULL;
	ret = 0;
out:
	blkid_free_probe(pr);
	text_list_free(&found);
	return ret;
}
