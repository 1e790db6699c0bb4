/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a SCSI disk itself says when it is asked now, not what the kernel remembers of it. */
#ifndef SYS_SCSI_H
#define SYS_SCSI_H

#include <sys/types.h>

#include "support/text.h"

enum scsi_answer {
	SCSI_SAME,		/* it says what it said when the kernel found it */
	SCSI_OTHER,		/* another volume answers: the LUN was given to something else */
	SCSI_SILENT,		/* it does not answer, or not in time */
	SCSI_UNKNOWN,		/* it is no SCSI disk, or has no identification to compare */
};

/*
 * Is the disk the volume that the kernel takes it for?  Its device
 * identification (vital product data, pages 0x80 and 0x83) is read anew and
 * compared with what the kernel read when it found the disk.
 */
enum scsi_answer scsi_ask(dev_t rdev);

/*
 * Who else has reserved it so that this host may not write to it (SCSI persistent
 * reservations)?  In words, to be freed; NULL: nobody, or it cannot be told.
 */
char *scsi_reserved(dev_t rdev);

#endif
