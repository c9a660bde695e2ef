/* narrator.c - see narrator.h */
#include <netinet/tcp.h>

#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bsd/stdlib.h>

#include "stage/ends.h"
#include "stage/narrator.h"

#define STEPS_MAX	256
#define WIDTH		95
#define STEP_FORMAT(at)	"%" at "  %-6s  %-38s  %-11s  %-11s  %s\n"

struct step {
	double	at;
	bool	aside;			/* a line: it has no queues */
	char	text[240];
	char	queues[360];
};

static struct step	steps[STEPS_MAX];
static size_t		nsteps;
static bool		on_stage;
static double		began;
static int64_t		began_us;
static pthread_mutex_t	steps_lock = PTHREAD_MUTEX_INITIALIZER;

static int		expected, missed;

/*
 * A reset connection that had sent a FIN keeps it in the send queue, where the
 * kernel counts it as a byte.
 */
static const char *
show_unacked(const struct diag_look *look)
{
	static _Thread_local char text[40];

	if (look->state == TCP_CLOSE && look->unacked == 1)
		return "1 byte or its FIN";
	snprintf(text, sizeof(text), "%ld bytes", look->unacked);
	return text;
}

static double
clock_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

double
show_now(void)
{
	return clock_ms(CLOCK_MONOTONIC) - began;
}

int64_t
show_began_us(void)
{
	return began_us;
}

void
show_nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

void
show_scene(const char *title)
{
	printf("\n%s\n\n" STEP_FORMAT("8s"), title, "ms", "who", "did", "got",
	    "client TCP", "server TCP");
	show_rule(WIDTH);
	on_stage = true;
	began = clock_ms(CLOCK_MONOTONIC);
	began_us = (int64_t)(clock_ms(CLOCK_REALTIME) * 1e3);
}

static void
describe(char *text, size_t size, const char *who, const struct diag_look *look)
{
	size_t used = strlen(text);

	if (look->unacked > 0) {
		snprintf(text + used, size - used,
		    "%18s^ %s's send queue: %s not acknowledged\n", "", who,
		    show_unacked(look));
		used = strlen(text);
	}
	if (look->unread > 0)
		snprintf(text + used, size - used,
		    "%18s^ %s's receive queue: %ld bytes not read\n", "",
		    who, look->unread);
}

static void
add_step(const struct step *step)
{
	pthread_mutex_lock(&steps_lock);
	if (nsteps < STEPS_MAX)
		steps[nsteps++] = *step;
	pthread_mutex_unlock(&steps_lock);
}

void
show_step(const struct ends *ends, double at, const char *who,
    const char *got, const char *fmt, ...)
{
	struct diag_look client, server;
	struct step step = { .at = at };
	char did[80];
	va_list ap;

	if (!on_stage)
		return;
	va_start(ap, fmt);
	vsnprintf(did, sizeof(did), fmt, ap);
	va_end(ap);
	ends_look(ends, &client, &server);
	snprintf(step.text, sizeof(step.text), STEP_FORMAT("8.1f"), at, who,
	    did, got, diag_state_name(client.state),
	    diag_state_name(server.state));
	describe(step.queues, sizeof(step.queues), "client", &client);
	describe(step.queues, sizeof(step.queues), "server", &server);
	add_step(&step);
}

void
show_line(double at, const char *fmt, ...)
{
	struct step step = { .at = at, .aside = true };
	va_list ap;

	if (!on_stage)
		return;
	va_start(ap, fmt);
	vsnprintf(step.text, sizeof(step.text), fmt, ap);
	va_end(ap);
	add_step(&step);
}

static int
by_time(const void *a, const void *b)
{
	double x = ((const struct step *)a)->at;
	double y = ((const struct step *)b)->at;

	return (x > y) - (x < y);
}

/* The queues are printed where they differ from the step before. */
void
show_scene_end(void)
{
	const char *before = "";

	qsort(steps, nsteps, sizeof(steps[0]), by_time);
	for (size_t i = 0; i < nsteps; i++) {
		fputs(steps[i].text, stdout);
		if (steps[i].aside)
			continue;
		if (strcmp(steps[i].queues, before) != 0)
			fputs(steps[i].queues, stdout);
		before = steps[i].queues;
	}
	fflush(stdout);
	nsteps = 0;
	on_stage = false;
}

const char *
show_errno(int error)
{
	const char *name = strerrorname_np(error);

	return name != NULL ? name : "unknown errno";
}

const char *
show_got(ssize_t rv)
{
	static _Thread_local char number[24];

	if (rv == -1)
		return show_errno(errno);
	snprintf(number, sizeof(number), "%zd", rv);
	return number;
}

void
show_title(const char *title)
{
	printf("\n%s\n", title);
	for (size_t n = strlen(title); n > 0; n--)
		putchar('=');
	putchar('\n');
}

void
show_text(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
}

void
show_legend(void)
{
	printf("\n"
	    "  FIN          its sender sends nothing more: the peer reads to "
	    "the end, then gets 0 (EOF)\n"
	    "  RST          its sender has ended the connection: it is dead at "
	    "once on both sides\n"
	    "  ESTABLISHED  open both ways\n"
	    "  FIN_WAIT1/2  it sent its FIN, not yet / already acknowledged; "
	    "it may still receive\n"
	    "  CLOSE_WAIT   it received the peer's FIN; it may still send\n"
	    "  LAST_ACK     both sides sent a FIN; its own is not yet "
	    "acknowledged\n"
	    "  TIME_WAIT    it ended normally; the kernel keeps the ports a "
	    "minute\n"
	    "  CLOSE, gone  the kernel has ended it (the program still has a "
	    "descriptor, or none)\n\n"
	    "ms: when the call was made; if the call waits, when it "
	    "returned.  got: what it returned, or its\nerrno.  TCP: the state "
	    "of each end just after.  ^: the bytes in the queues then, where "
	    "they changed.\n");
}

void
show_rule(int width)
{
	while (width-- > 0)
		putchar('-');
	putchar('\n');
}

void
show_expect(bool ok, const char *fmt, ...)
{
	va_list ap;

	expected++;
	if (ok)
		return;
	missed++;
	printf("%s: came out differently: ", getprogname());
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

int
show_verdict(void)
{
	if (missed > 0)
		printf("\n%s: %d of %d observations came out differently\n",
		    getprogname(), missed, expected);
	else
		printf("\n%s: all %d observations came out as described\n",
		    getprogname(), expected);
	return missed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
