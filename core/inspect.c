/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a name as typed to facts. */
#include "inspect.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/err.h"
#include "volumes/volume.h"

int inspect_named(const char *text, enum spec_role role, unsigned flags,
		  struct facts *ret_facts, struct err *err)
{
	char *cwd = getcwd(NULL, 0);
	struct spec spec = { 0 };
	int ret = -1;

	if (!cwd)
		err_sys(err, errno, NULL, "cannot tell the working directory");
	else if (spec_parse(&spec, text, role, cwd, err) == 0)
		ret = volume_inspect(&spec, flags, ret_facts, err);
	spec_free(&spec);
	free(cwd);
	return ret;
}
