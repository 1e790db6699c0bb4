/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SIGINT and SIGTERM become a flag that long work looks at where stopping is safe. */
#include "support/interrupt.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t requested;
static volatile sig_atomic_t last_signal;
static volatile sig_atomic_t report_wanted;

static void note(int signum)
{
	last_signal = signum;
	if (requested < 2)
		requested++;
}

static void note_report(int signum)
{
	(void)signum;
	report_wanted = 1;
}

void interrupt_catch(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction act = { .sa_handler = note };

	sigemptyset(&act.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sigaction old;

		/* Who starts us with a signal ignored (nohup) means it. */
		sigaction(signals[i], NULL, &old);
		if (old.sa_handler != SIG_IGN)
			sigaction(signals[i], &act, NULL);
	}
	/* A wait that goes on is no worse for it. */
	act.sa_handler = note_report;
	act.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &act, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

int interrupt_requested(void)
{
	return requested;
}

bool interrupt_wants_report(void)
{
	bool wanted = report_wanted;

	report_wanted = 0;
	return wanted;
}

int interrupt_signal(void)
{
	return last_signal;
}

const char *interrupt_reason(void)
{
	return last_signal == SIGALRM ? "stopped at the end of its window" : "interrupted";
}

void interrupt_after(unsigned seconds)
{
	static timer_t timer;
	static pid_t made_by;		/* a child of fork() has no timers */
	bool made = made_by == getpid();
	struct itimerspec when = { .it_value.tv_sec = seconds };
	struct sigaction act = { .sa_handler = note };

	if (!made && !seconds)
		return;
	sigemptyset(&act.sa_mask);
	sigaction(SIGALRM, &act, NULL);
	if (!made && timer_create(CLOCK_BOOTTIME, NULL, &timer) < 0)
		return;
	made_by = getpid();
	timer_settime(timer, 0, &when, NULL);
}

void interrupt_request(void)
{
	note(SIGINT);
}

void interrupt_reset(void)
{
	requested = 0;
	last_signal = 0;
}
