/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The priority of this process's I/O. */
#include "sys/ioprio.h"

#include <linux/ioprio.h>
#include <sys/syscall.h>
#include <unistd.h>

int ioprio_idle(void)
{
	return (int)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
			    IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
}
