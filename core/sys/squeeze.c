/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames, and the process that makes and undoes them. */
#include "sys/squeeze.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/inject.h"
#include "sys/zstd.h"

#define WORTH_TRYING 512		/* what is shorter is headers of NBD */
#define SAVES 16			/* one part in so many, or it is not worth undoing */
#define LAST_NS 5000000000ULL		/* for what is on its way when the plain side has ended */
#define END_MS 3000

/* ---- frames ---- */

static void put32(unsigned char *at, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (unsigned char)(value >> (24 - 8 * i));
}

static uint32_t get32(const unsigned char *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

bool squeeze_parse(const unsigned char header[static SQUEEZE_HEADER], struct squeeze_frame *ret)
{
	struct squeeze_frame frame = {
		.packed = header[0] == 'Z',
		.length = get32(header) & 0xffffff,
		.raw = get32(header + 4),
	};

	if ((!frame.packed && header[0] != 'P') || !frame.length || frame.raw > SQUEEZE_MAX ||
	    (frame.packed ? frame.length >= frame.raw : frame.length != frame.raw))
		return false;
	*ret = frame;
	return true;
}

int squeeze_unpack(struct zstd *zstd, const struct squeeze_frame *frame, const void *payload, void *raw)
{
	if (frame->packed)
		return zstd_unpack(zstd, raw, frame->raw, payload, frame->length);
	memcpy(raw, payload, frame->raw);
	return 0;
}

size_t squeeze_pack(struct zstd *zstd, bool try_it, const void *raw, size_t length,
		    unsigned char frame[static SQUEEZE_HEADER + SQUEEZE_MAX])
{
	size_t packed = try_it ? zstd_pack(zstd, frame + SQUEEZE_HEADER, length - length / SAVES - 1, raw, length) : 0;

	if (!packed)
		memcpy(frame + SQUEEZE_HEADER, raw, length);
	put32(frame, (uint32_t)(packed ? 'Z' : 'P') << 24 | (uint32_t)(packed ? packed : length));
	put32(frame + 4, (uint32_t)length);
	return SQUEEZE_HEADER + (packed ? packed : length);
}

/* ---- the process ---- */

struct flow {
	unsigned char *in, *out;	/* what has come and is not done, and what has not gone yet */
	size_t in_length, out_length, out_at;
	bool closed;			/* nothing more comes */
};

struct pump {
	int in, out, plain;		/* in and out: of frames */
	struct zstd *zstd;
	struct flow packing, unpacking;
	struct squeeze_pace pace;
	struct squeeze_counts *counts;
	/* Of the frame that is on its way: */
	size_t raw;
	bool tried, smaller;
	uint64_t pack_ns, begun_ns;
};

/* More, if there is any now.  False: the channel is broken. */
static bool fill(int fd, struct flow *flow, size_t wanted)
{
	ssize_t n = read(fd, flow->in + flow->in_length, wanted - flow->in_length);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	flow->closed = n == 0;
	flow->in_length += (size_t)n;
	return true;
}

static bool drain(int fd, struct flow *flow)
{
	ssize_t n = write(fd, flow->out + flow->out_at, flow->out_length - flow->out_at);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	flow->out_at += (size_t)n;
	return true;
}

static bool is_gone(const struct flow *flow)
{
	return flow->out_at == flow->out_length;
}

/* Plain bytes become a frame. */
static void pack(struct pump *pump)
{
	struct flow *flow = &pump->packing;
	uint64_t begun_ns = clock_ns(), damaged;
	static uint64_t number;

	pump->raw = flow->in_length;
	pump->tried = flow->in_length >= WORTH_TRYING && squeeze_pace_try(&pump->pace);
	flow->out_length = squeeze_pack(pump->zstd, pump->tried, flow->in, flow->in_length, flow->out);
	if (inject_number("damage-frame", &damaged) && ++number == damaged)
		flow->out[4] ^= 0xff;
	flow->out_at = flow->in_length = 0;
	pump->smaller = flow->out_length < pump->raw + SQUEEZE_HEADER;
	pump->begun_ns = clock_ns();
	pump->pack_ns = pump->begun_ns - begun_ns;
	pump->counts->raw += pump->raw;
	pump->counts->wire += flow->out_length;
}

/* What has come is a frame, or a part of one: *ret_wanted, how much of it there has to be.  -1: it is none. */
static int unpack(struct pump *pump, size_t *ret_wanted)
{
	struct flow *flow = &pump->unpacking;
	struct squeeze_frame frame;

	*ret_wanted = SQUEEZE_HEADER;
	if (flow->in_length < SQUEEZE_HEADER)
		return 0;
	if (!squeeze_parse(flow->in, &frame))
		return -1;
	*ret_wanted += frame.length;
	if (flow->in_length < *ret_wanted)
		return 0;
	if (squeeze_unpack(pump->zstd, &frame, flow->in + SQUEEZE_HEADER, flow->out) < 0)
		return -1;
	pump->counts->raw += frame.raw;
	pump->counts->wire += *ret_wanted;
	flow->out_length = frame.raw;
	flow->out_at = flow->in_length = 0;
	*ret_wanted = SQUEEZE_HEADER;
	return 0;
}

static void pump_run(struct pump *pump)
{
	struct flow *packing = &pump->packing, *unpacking = &pump->unpacking;
	size_t wanted = SQUEEZE_HEADER;
	uint64_t until_ns = 0;
	bool told = false;

	for (;;) {
		/* Of each direction one thing is waited for: room for what is to go, else more to come. */
		struct pollfd ready[] = {
			{ .fd = !is_gone(packing) ? pump->out : packing->closed ? -1 : pump->plain,
			  .events = !is_gone(packing) ? POLLOUT : POLLIN },
			{ .fd = until_ns ? -1 : !is_gone(unpacking) ? pump->plain : unpacking->closed ? -1 : pump->in,
			  .events = !is_gone(unpacking) ? POLLOUT : POLLIN },
			{ .fd = until_ns ? -1 : pump->plain },
		};

		if (packing->closed || (until_ns && clock_ns() >= until_ns))
			return;
		if (unpacking->closed && is_gone(unpacking) && !told) {
			if (unpacking->in_length)
				return;
			shutdown(pump->plain, SHUT_WR);
			told = true;
		}
		if (poll(ready, 3, until_ns ? 100 : -1) < 0 && errno != EINTR)
			return;
		/* Nobody has the plain side any more: what has come from it is all that there is to be done, and not for long. */
		if (ready[2].fd >= 0 && ready[2].revents & (POLLHUP | POLLERR)) {
			until_ns = clock_ns() + LAST_NS;
			continue;
		}
		if (ready[0].fd >= 0 && ready[0].revents) {
			bool going = !is_gone(packing);

			if (going ? !drain(pump->out, packing) : !fill(pump->plain, packing, SQUEEZE_MAX))
				return;
			if (going && is_gone(packing))
				squeeze_pace_note(&pump->pace, pump->raw, pump->tried, pump->smaller, pump->pack_ns,
						  clock_ns() - pump->begun_ns);
			else if (!going && packing->in_length)
				pack(pump);
		}
		if (ready[1].fd >= 0 && ready[1].revents) {
			if (!is_gone(unpacking) ? !drain(pump->plain, unpacking) : !fill(pump->in, unpacking, wanted))
				return;
			if (is_gone(unpacking) && unpacking->in_length && unpack(pump, &wanted) < 0) {
				pump->counts->refused = true;
				return;
			}
		}
	}
}

static void flow_init(struct flow *flow)
{
	flow->in = malloc(SQUEEZE_HEADER + SQUEEZE_MAX);
	flow->out = malloc(SQUEEZE_HEADER + SQUEEZE_MAX);
	if (!flow->in || !flow->out)
		abort();
}

_Noreturn static void become_pump(int in, int out, int plain, struct squeeze_counts *counts, pid_t parent,
				  bool dies_with_us)
{
	static struct pump pump;
	int fds[] = { in, out, plain };

	/* Who is asked to stop says when this ends. */
	setpgid(0, 0);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, dies_with_us ? SIGKILL : 0);
	if (dies_with_us && getppid() != parent)
		_exit(1);
	for (size_t i = 0; i < 3; i++) {
		int flags;

		fds[i] = fcntl(fds[i], F_DUPFD, 10);
		flags = fds[i] < 0 ? -1 : fcntl(fds[i], F_GETFL);
		if (flags < 0 || fcntl(fds[i], F_SETFL, flags | O_NONBLOCK) < 0)
			_exit(1);
	}
	/* Not as standard error, where a library might write to. */
	if (dup2(fds[0], 0) < 0 || dup2(fds[1], 1) < 0 || dup2(fds[2], 3) < 0 ||
	    (fds[0] = open("/dev/null", O_RDWR)) < 0 || dup2(fds[0], 2) < 0)
		_exit(1);
	close_range(4, ~0U, 0);
	pump = (struct pump){ .in = 0, .out = 1, .plain = 3, .zstd = zstd_new(), .counts = counts };
	flow_init(&pump.packing);
	flow_init(&pump.unpacking);
	pump_run(&pump);
	_exit(0);
}

int squeeze_start(struct squeeze *ret, int in, int out, bool dies_with_us, int *ret_plain, struct err *err)
{
	struct squeeze_counts *counts;
	int ends[2] = { -1, -1 };
	pid_t parent = getpid(), pid;

	if (zstd_missing())
		return err_set(err, ERR_REFUSED, NULL, "%s", zstd_missing());
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		return err_sys(err, errno, NULL, "cannot share memory with a process that compresses");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 || (pid = fork()) < 0) {
		err_sys(err, errno, NULL, "cannot start a process that compresses");
		munmap(counts, sizeof(*counts));
		for (int i = 0; i < 2; i++)
			if (ends[i] >= 0)
				close(ends[i]);
		return -1;
	}
	if (pid == 0)
		become_pump(in, out, ends[1], counts, parent, dies_with_us);
	close(ends[1]);
	*ret = (struct squeeze){ .pid = pid, .counts = counts };
	*ret_plain = ends[0];
	return 0;
}

void squeeze_end(struct squeeze *squeeze, struct squeeze_counts *ret_counts)
{
	int status, r = 0;

	if (!squeeze->pid)
		return;
	for (unsigned ms = 0; r == 0 && ms < END_MS; ms += 10) {
		r = waitpid(squeeze->pid, &status, WNOHANG);
		if (r == 0)
			clock_sleep_ms(10);
	}
	if (r == 0) {
		kill(squeeze->pid, SIGKILL);
		while (waitpid(squeeze->pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	if (ret_counts)
		*ret_counts = *squeeze->counts;
	munmap(squeeze->counts, sizeof(*squeeze->counts));
	*squeeze = (struct squeeze){ 0 };
}
