/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The priority of this process's I/O. */
#ifndef SYS_IOPRIO_H
#define SYS_IOPRIO_H

/* Only when nobody else wants the disk, as far as its scheduler looks at that.  -1 with errno. */
int ioprio_idle(void);

#endif
