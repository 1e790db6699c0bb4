/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processes that librbd runs in, seen from outside. */
#include "sys/rbd_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/err.h"
#include "support/interrupt.h"
#include "support/text.h"
#include "sys/rbd.h"
#include "sys/rbd_calls.h"
#include "sys/wire.h"

#define CHILDREN 2		/* a move has two ends */
#define TALK_FD 3

static struct child {
	pid_t pid;		/* 0: there is none */
	pid_t owner;		/* the process that has made it: who is forked from that has none */
	char *conf, *user;
	struct wire wire;
} children[CHILDREN];

static bool is_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : !a && !b;
}

static void end(struct child *child)
{
	if (!child->pid)
		return;
	close(child->wire.in);
	if (child->owner == getpid()) {
		/* Nothing is asked of it any more, or what was has taken too long. */
		kill(child->pid, SIGKILL);
		while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	wire_free(&child->wire);
	free(child->conf);
	free(child->user);
	*child = (struct child){ 0 };
}

__attribute__((destructor)) static void end_with_us(void)
{
	for (size_t i = 0; i < CHILDREN; i++)
		if (children[i].owner == getpid())
			end(&children[i]);
}

static _Noreturn void become(int talk, pid_t parent, const struct rbd_name *name)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	int devnull = open("/dev/null", O_RDWR);
	sigset_t none;

	/* The terminal's signals are for the program. */
	setsid();
	for (int i = 1; i < NSIG; i++)
		if (i != SIGPIPE)
			sigaction(i, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || devnull < 0)
		_exit(1);
	/* Journal, volumes: what is open here would stay so when the parent is killed. */
	dup2(talk, TALK_FD);
	for (int fd = 0; fd < TALK_FD; fd++)
		dup2(devnull, fd);
	close_range(TALK_FD + 1, ~0U, 0);
	rbd_calls_serve(TALK_FD, name->conf, name->user);
}

static int make(struct child *child, const struct rbd_name *name, const char *object, struct err *err)
{
	int talk[2], high;
	pid_t parent = getpid(), pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk) < 0)
		return err_sys(err, errno, object, "cannot talk to a process for librbd");
	/* Above the numbers that the child has another use for. */
	high = fcntl(talk[1], F_DUPFD_CLOEXEC, 10);
	pid = high < 0 ? -1 : fork();
	if (pid == 0)
		become(high, parent, name);
	if (pid < 0)
		err_sys(err, errno, object, "cannot start a process for librbd");
	close(talk[1]);
	if (high >= 0)
		close(high);
	if (pid < 0) {
		close(talk[0]);
		return -1;
	}
	*child = (struct child){
		.pid = pid, .owner = parent, .conf = text_copy(name->conf), .user = text_copy(name->user),
		.wire = { .in = talk[0], .out = talk[0] },
	};
	return 0;
}

static bool has_ended(const struct child *child)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid;
}

/* The one that speaks to that cluster as that user. */
static struct child *find(const struct rbd_name *name, const char *object, struct err *err)
{
	static size_t turn;
	struct child *child;

	for (size_t i = 0; i < CHILDREN; i++) {
		child = &children[i];
		if (child->pid && (child->owner != getpid() || has_ended(child)))
			end(child);
		if (child->pid && is_same(child->conf, name->conf) && is_same(child->user, name->user))
			return child;
	}
	for (size_t i = 0; i < CHILDREN; i++)
		if (!children[i].pid)
			turn = i;
	child = &children[turn];
	turn = (turn + 1) % CHILDREN;
	end(child);
	return make(child, name, object, err) < 0 ? NULL : child;
}

void rbd_child_begin(const struct rbd_name *name)
{
	/* Without one the first question says why. */
	find(name, NULL, &(struct err)ERR_INIT);
}

json_t *rbd_child_ask(const struct rbd_name *name, json_t *request, const char *object, const char *doing,
		      uint64_t timeout_ms, struct err *err)
{
	struct child *child = find(name, object, err);
	uint64_t begin = clock_ns();
	int asked = interrupt_requested(), r;
	struct err why = ERR_INIT;
	json_t *answer = NULL;

	if (!child) {
		json_decref(request);
		return NULL;
	}
	r = wire_send(&child->wire, request, timeout_ms, &why);
	if (r == 0)
		r = wire_receive(&child->wire, timeout_ms, &answer, &why);
	if (r == 1)
		return answer;
	/* What it is doing is over with it. */
	end(child);
	if (interrupt_requested() > asked)
		err_set(err, ERR_STOPPED, object, "%s: interrupted", doing);
	else if (clock_ns() - begin >= timeout_ms * 1000000)
		err_set(err, ERR_FAILED, object, "%s: Ceph has not answered in %llu seconds", doing,
			(unsigned long long)(timeout_ms / 1000));
	else
		err_set(err, ERR_FAILED, object, "%s: the process that librbd ran in has died", doing);
	return NULL;
}
