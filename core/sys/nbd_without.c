/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In place of most of nbd.c in a build without libnbd: nothing is opened, so nothing else is called. */
#include "sys/nbd.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/err.h"

#ifdef VOLMIG_WITHOUT_NBD

static const char without[] = "this volmig was built without libnbd";

const char *nbd_export_missing(void)
{
	return without;
}

int nbd_export_open_uri(struct nbd **ret, const char *uri, const char *name, uint64_t limit_ms,
			struct err *err)
{
	(void)ret;
	(void)uri;
	(void)limit_ms;
	err_set(err, ERR_FAILED, name, "%s", without);
	err->number = EOPNOTSUPP;
	return -1;
}

int nbd_export_open_plain(struct nbd **ret, const char *uri, const char *name, uint64_t limit_ms,
			  struct err *err)
{
	return nbd_export_open_uri(ret, uri, name, limit_ms, err);
}

int nbd_export_take_socket(struct nbd *nbd)
{
	(void)nbd;
	abort();
}

int nbd_export_open_socket(struct nbd **ret, int fd, const char *export_name, const char *name,
			   uint64_t limit_ms, struct err *err)
{
	(void)export_name;
	close(fd);
	return nbd_export_open_uri(ret, NULL, name, limit_ms, err);
}

const struct nbd_info *nbd_export_info(const struct nbd *nbd)
{
	(void)nbd;
	abort();
}

void nbd_export_set_limit(struct nbd *nbd, uint64_t limit_ms)
{
	(void)nbd;
	(void)limit_ms;
	abort();
}

void nbd_export_connections(struct nbd *nbd, unsigned wanted)
{
	(void)nbd;
	(void)wanted;
	abort();
}

int nbd_export_read(struct nbd *nbd, void *buffer, size_t length, uint64_t offset, struct err *err)
{
	(void)nbd;
	(void)buffer;
	(void)length;
	(void)offset;
	(void)err;
	abort();
}

int nbd_export_write(struct nbd *nbd, const void *buffer, size_t length, uint64_t offset,
		     struct err *err)
{
	(void)nbd;
	(void)buffer;
	(void)length;
	(void)offset;
	(void)err;
	abort();
}

int nbd_export_zero(struct nbd *nbd, uint64_t offset, uint64_t length, bool keep, struct err *err)
{
	(void)nbd;
	(void)offset;
	(void)length;
	(void)keep;
	(void)err;
	abort();
}

int nbd_export_flush(struct nbd *nbd, struct err *err)
{
	(void)nbd;
	(void)err;
	abort();
}

int nbd_export_next_data(struct nbd *nbd, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end,
			 struct err *err)
{
	(void)nbd;
	(void)offset;
	(void)ret_start;
	(void)ret_end;
	(void)err;
	abort();
}

void nbd_export_set_ring(struct nbd *nbd, int socket)
{
	(void)nbd;
	(void)socket;
	abort();
}

bool nbd_export_has_ring(const struct nbd *nbd)
{
	(void)nbd;
	abort();
}

void nbd_export_share(struct nbd *nbd, void *memory, size_t size, int memory_fd)
{
	(void)nbd;
	(void)memory;
	(void)size;
	(void)memory_fd;
	abort();
}

void nbd_export_unshare(struct nbd *nbd)
{
	(void)nbd;
	abort();
}

int nbd_export_lost(const struct nbd *nbd)
{
	(void)nbd;
	abort();
}

void nbd_export_submit(struct nbd *nbd, const struct ioq_request *request)
{
	(void)nbd;
	(void)request;
	abort();
}

unsigned nbd_export_results(struct nbd *nbd, struct ioq_result *results, unsigned max)
{
	(void)nbd;
	(void)results;
	(void)max;
	abort();
}

unsigned nbd_export_poll(struct nbd *nbd, struct pollfd *fds)
{
	(void)nbd;
	(void)fds;
	abort();
}

void nbd_export_turn(struct nbd *nbd, const struct pollfd *fds, unsigned count)
{
	(void)nbd;
	(void)fds;
	(void)count;
	abort();
}

void nbd_export_close(struct nbd *nbd)
{
	(void)nbd;
}

#endif
