/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * umlfp - let User-Mode Linux 6.1 run on a CPU with AMX.
 *
 * UML keeps a task's floating point state in a buffer that holds the front of
 * the XSAVE area, up to AVX-512 and PKRU (2696 bytes).  To read a part of the
 * area with PTRACE_GETREGSET is allowed, but PTRACE_SETREGSET takes nothing
 * shorter than all of it.  Where the area is larger (AMX: 11008 bytes) the
 * first return to user space therefore fails with EFAULT, and the guest's init
 * is killed: "userspace - ptrace set fp regs failed, errno = 14".
 *
 * This object is for LD_PRELOAD into linux.uml, which is dynamically linked.
 * It pads such a short write to the whole size.  The state past UML's buffer
 * is given as unused, which it is: a process has to ask for AMX by a system
 * call that UML does not have.
 *
 * It also has the kernel kill the processes that UML traces when UML itself is
 * killed, for they would otherwise run on, untraced, on the host.
 *
 * cc -O2 -shared -fPIC -o umlfp.so umlfp.c -ldl
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif
#define PTRACE_OLDSETOPTIONS 21

enum {
	BITMAP = 512,       /* offset of the bitmap of components in use */
	FRONT = 2696        /* UML's part: components 0 (x87) to 9 (PKRU) */
};
#define FRONT_BITS 0x3ffULL

long ptrace(enum __ptrace_request req, ...)
{
	static long (*next)(enum __ptrace_request, ...);
	static char area[65536] __attribute__((aligned(64)));
	static size_t size;
	struct iovec *part, whole = { area, sizeof area };
	void *addr, *data;
	uint64_t used;
	va_list ap;
	long pid;

	va_start(ap, req);
	pid = va_arg(ap, long);
	addr = va_arg(ap, void *);
	data = va_arg(ap, void *);
	va_end(ap);

	if (!next)
		next = (long (*)(enum __ptrace_request, ...))dlsym(RTLD_NEXT, "ptrace");
	if (req == PTRACE_SETOPTIONS || (int)req == PTRACE_OLDSETOPTIONS)
		data = (void *)((uintptr_t)data | PTRACE_O_EXITKILL);
	if (req != PTRACE_SETREGSET || addr != (void *)NT_X86_XSTATE)
		return next(req, pid, addr, data);

	if (!size && next(PTRACE_GETREGSET, pid, addr, &whole) == 0) {
		size = whole.iov_len;
		memset(area, 0, sizeof area);
	}
	part = data;
	if (part->iov_len != FRONT || size <= FRONT)
		return next(req, pid, addr, data);

	memcpy(area, part->iov_base, FRONT);
	memcpy(&used, area + BITMAP, sizeof used);
	used &= FRONT_BITS;
	memcpy(area + BITMAP, &used, sizeof used);
	whole.iov_len = size;
	return next(req, pid, addr, &whole);
}
