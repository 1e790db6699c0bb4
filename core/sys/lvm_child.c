/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process that liblvm2cmd runs in. */
#include "sys/lvm_child.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <lvm2cmd.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/inject.h"
#include "support/pages.h"

#define LIBRARY "liblvm2cmd.so.2.03"
#define LINE_MAX_BYTES 65536

/*
 * What the library takes of memory in small pieces.  It is more than that, so
 * that the 8 MiB which it reads through find the same place each time.
 */
#define SMALL_BYTES (2UL << 20)

/*
 * Before it suspends a device it touches 8 MiB (activation/reserved_memory),
 * so that no memory is wanted while the device that swap space lies on may be
 * suspended, and gives them back afterwards.
 */
#define RESERVED_BYTES (12UL << 20)

/* What a command line has in front. */
#define CHANGES 'c'
#define LOOKS 'l'

/* The child's descriptors; stdin is /dev/null. */
enum {
	LINES_FD = 1,
	ERRORS_FD = 2,
	REPORT_FD = 3,
	TALK_FD = 4,
};

static uint64_t told;		/* commands that children of this process were given */
static bool converted;		/* ... an lvconvert among them */

static bool begins_with_word(const char *line, const char *word)
{
	size_t length = strlen(word);

	return !strncmp(line, word, length) && line[length] == ' ';
}

/* ---- in the child ---- */

/* A report comes in many small lines, all at the command's end: that is one piece for the parent. */
static struct {
	char *text;
	size_t length, room;
} report;

static void add_to_report(const char *line)
{
	size_t length = strlen(line);

	if (report.length + length + 1 > report.room) {
		report.room = 2 * (report.length + length + 1);
		report.text = realloc(report.text, report.room);
		if (!report.text)
			_exit(LVM_NO_HANDLE);
	}
	memcpy(report.text + report.length, line, length);
	report.length += length;
	report.text[report.length++] = '\n';
}

static void hand_over_report(void)
{
	for (size_t done = 0; done < report.length;) {
		ssize_t n = write(REPORT_FD, report.text + done, report.length - done);

		if (n < 0 && errno != EINTR)
			_exit(0);
		done += n > 0 ? (size_t)n : 0;
	}
	report.length = 0;
}

/* By which way does a message of the library go? */
static void sort_message(int level, const char *file, int line, int dm_errno, const char *message)
{
	const char *name = file ? strrchr(file, '/') : NULL;
	int fd = LINES_FD;

	(void)line;
	(void)dm_errno;
	level &= 7;
	if (level > LVM2_LOG_PRINT || !message)
		return;
	name = name ? name + 1 : file;
	if (level <= LVM2_LOG_ERROR)
		fd = ERRORS_FD;
	if (level > LVM2_LOG_ERROR && name && !strcmp(name, "libdm-report.c"))
		add_to_report(message);
	else
		dprintf(fd, "%s\n", message);
}

/*
 * Give malloc() memory of its own that is present in one go: by a fault for
 * each page that is what takes longest of the library's work.
 */
static void stock_memory(size_t size)
{
	char *memory = malloc(size);

	if (memory && pages_make_present(memory, size) < 0)
		_exit(LVM_NO_HANDLE);
	free(memory);
}

/* Freed memory, however much, is kept for the next one. */
static void keep_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 32 << 20);	/* the most that it takes */
	mallopt(M_TRIM_THRESHOLD, 128 << 20);
}

/*
 * The same for the library's variables that begin as zero, by
 * dl_iterate_phdr(): of their 2.7 MB init fills most.
 */
static int stock_variables(struct dl_phdr_info *object, size_t size, void *library)
{
	const struct link_map *of = library;

	(void)size;
	if (object->dlpi_addr != of->l_addr)
		return 0;
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = object->dlpi_phdr + i;
		uintptr_t begin = object->dlpi_addr + part->p_vaddr + part->p_filesz;

		if (part->p_type == PT_LOAD && part->p_flags == (PF_R | PF_W) &&
		    pages_make_present((void *)begin, part->p_memsz - part->p_filesz) < 0)
			_exit(LVM_NO_HANDLE);
	}
	return 1;
}

/* The library's handle, and its function that runs a command; ends the process where there is none. */
static void *load(typeof(&lvm2_run) *ret_run)
{
	static const char *const names[] = { "lvm2_log_fn", "lvm2_init", "lvm2_run" };
	void *symbols[3], *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL), *handle;
	struct link_map *map;

	for (size_t i = 0; i < 3; i++) {
		symbols[i] = library ? dlsym(library, names[i]) : NULL;
		if (!symbols[i]) {
			dprintf(ERRORS_FD, "%s\n", dlerror() ?: "not the library it should be");
			_exit(LVM_NO_LIBRARY);
		}
	}
	if (dlinfo(library, RTLD_DI_LINKMAP, &map) == 0)
		dl_iterate_phdr(stock_variables, map);
	/* Before init, or what that has to say goes to the terminal. */
	((typeof(&lvm2_log_fn))symbols[0])(sort_message);
	handle = ((typeof(&lvm2_init))symbols[1])();
	if (!handle)
		_exit(LVM_NO_HANDLE);
	*ret_run = (typeof(&lvm2_run))symbols[2];
	return handle;
}

/* As the library finds them, and as they have to be between two commands, whatever it has done. */
static void reset_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGQUIT, SIGXFSZ };
	sigset_t none;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void serve(const int ways[LVM_WAYS], int talk, pid_t parent)
{
	static char line[LINE_MAX_BYTES];
	int devnull = open("/dev/null", O_RDONLY);
	typeof(&lvm2_run) run = NULL;
	void *handle = NULL;
	bool kept = false;

	/* The terminal's signals are for the program, which asks us to stop where it wants that. */
	setsid();
	reset_signals();
	/* The library blocks it while it holds a lock on a group for writing. */
	prctl(PR_SET_PDEATHSIG, SIGINT);
	if (getppid() != parent || devnull < 0)
		_exit(LVM_NO_HANDLE);
	/* Journal, volumes: what is open here would stay so when the parent is killed. */
	dup2(devnull, STDIN_FILENO);
	for (int i = 0; i < LVM_WAYS; i++)
		dup2(ways[i], LINES_FD + i);
	dup2(talk, TALK_FD);
	close_range(TALK_FD + 1, ~0U, 0);
	fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC);
	fcntl(TALK_FD, F_SETFD, FD_CLOEXEC);
	setenv("LVM_SUPPRESS_FD_WARNINGS", "1", 1);

	for (;;) {
		ssize_t n = recv(TALK_FD, line, sizeof(line) - 1, 0);
		bool changes = line[0] == CHANGES;
		int rc;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 1)
			_exit(0);
		line[n] = '\0';
		if (!handle) {
			keep_memory();
			stock_memory(SMALL_BYTES);
			handle = load(&run);
		}
		if (changes && !kept)
			stock_memory(RESERVED_BYTES);
		kept |= changes;
		inject_kill_at("kill-lvm", ++told);
		inject_kill_past("kill-lvm-from", told);
		if (begins_with_word(line + 1, "lvconvert"))
			inject_kill_past("kill-lvconvert", 1);
		inject_kill_past("kill-from-lvconvert", converted || begins_with_word(line + 1, "lvconvert"));
		if (begins_with_word(line + 1, "pvmove"))
			inject_kill_past("kill-pvmove", 1);
		rc = run(handle, line + 1);
		hand_over_report();
		/* Some of it is printed by stdio. */
		fflush(NULL);
		reset_signals();
		rc = rc == LVM2_COMMAND_SUCCEEDED ? 0 : rc > 0 && rc < LVM_NO_LIBRARY ? rc : LVM_NO_HANDLE;
		if (send(TALK_FD, &rc, sizeof(rc), 0) < 0)
			_exit(0);
	}
}

/* ---- in the parent ---- */

static struct lvm_child child = { .pidfd = -1, .talk = -1, .ways = { -1, -1, -1 } };
static pid_t owner;		/* the process that has made it: who is forked from that has none */

static void close_all(void)
{
	for (int i = 0; i < LVM_WAYS; i++)
		if (child.ways[i] >= 0)
			close(child.ways[i]);
	if (child.talk >= 0)
		close(child.talk);
	if (child.pidfd >= 0)
		close(child.pidfd);
	child = (struct lvm_child){ .pidfd = -1, .talk = -1, .ways = { -1, -1, -1 } };
}

void lvm_child_forget(void)
{
	close_all();
}

void lvm_child_end(void)
{
	int status;

	if (child.pid && owner == getpid()) {
		/* It waits for a command: there is nothing that it could leave half done. */
		kill(child.pid, SIGKILL);
		while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	close_all();
}

__attribute__((destructor)) static void end_with_us(void)
{
	if (child.pid && owner == getpid())
		lvm_child_end();
}

static int make(void)
{
	int ours[LVM_WAYS] = { -1, -1, -1 }, talk[2] = { -1, -1 }, error = 0;
	pid_t parent = getpid();

	for (int i = 0; i < LVM_WAYS && !error; i++) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC) < 0) {
			error = errno;
			break;
		}
		child.ways[i] = ends[0];
		/* Above the numbers that the child has another use for. */
		ours[i] = fcntl(ends[1], F_DUPFD_CLOEXEC, 10);
		error = ours[i] < 0 ? errno : 0;
		close(ends[1]);
	}
	if (!error && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talk) < 0)
		error = errno;
	if (!error) {
		int high = fcntl(talk[1], F_DUPFD_CLOEXEC, 10);

		error = high < 0 ? errno : 0;
		close(talk[1]);
		talk[1] = high;
	}
	child.talk = talk[0];
	owner = parent;
	child.pid = error ? -1 : fork();
	if (child.pid == 0)
		serve(ours, talk[1], parent);
	error = error ? error : child.pid < 0 ? errno : 0;
	child.pidfd = child.pid > 0 ? pidfd_open(child.pid, 0) : -1;
	error = !error && child.pidfd < 0 ? errno : error;
	for (int i = 0; i < LVM_WAYS; i++)
		if (ours[i] >= 0)
			close(ours[i]);
	if (talk[1] >= 0)
		close(talk[1]);
	if (!error)
		return 0;
	child.pid = child.pid > 0 ? child.pid : 0;
	lvm_child_end();
	errno = error;
	return -1;
}

struct lvm_child *lvm_child_get(void)
{
	struct pollfd ended = { .fd = child.pidfd, .events = POLLIN };

	if (child.pid && owner != getpid())
		lvm_child_forget();
	else if (child.pid && poll(&ended, 1, 0) > 0)
		lvm_child_end();
	return child.pid || make() == 0 ? &child : NULL;
}

bool lvm_child_tell(struct lvm_child *to, const char *line, bool changes)
{
	char first = changes ? CHANGES : LOOKS;
	struct iovec parts[] = {
		{ .iov_base = &first, .iov_len = 1 },
		{ .iov_base = (void *)line, .iov_len = strlen(line) },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	if (parts[1].iov_len + 1 >= LINE_MAX_BYTES) {
		errno = E2BIG;
		return false;
	}
	if (sendmsg(to->talk, &message, MSG_NOSIGNAL) != (ssize_t)parts[1].iov_len + 1)
		return false;
	told++;
	converted |= begins_with_word(line, "lvconvert");
	return true;
}

bool lvm_child_result(struct lvm_child *of, int *ret)
{
	return recv(of->talk, ret, sizeof(*ret), MSG_DONTWAIT) == sizeof(*ret);
}
