/*
 * wheel_alone.c - what the timer wheel and the queue cost with many closes
 *
 * It does with them what the reaper does.  These closes have no descriptor, so
 * there may be a million.
 */
#include <sys/types.h>

#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "figures.h"
#include "reaper/reaper.h"
#include "rows.h"
#include "wheel_alone.h"

#define OPERATIONS	1000000		/* at least, for each figure */
#define LOOK_FIRST	256		/* all in ticks of a millisecond */
#define LOOK_LAST	1250
#define IDLE		5000
#define LIMIT		30000
#define BEGIN_TICKS	200		/* in which all closes begin */

enum { BEGIN, EVENT, LOOK, SLOW, NEXT, OLDEST, END, TOUCH, WHEEL_ROWS };

static struct row of_wheel[WHEEL_ROWS] = {
	[BEGIN] = { .name = "begin: append, set" },
	[EVENT] = { .name = "event: unset, set" },
	[LOOK] = { .name = "look: next, pop, set" },
	[SLOW] = { .name = "slow pop" },
	[NEXT] = { .name = "next" },
	[OLDEST] = { .name = "evict: unset, remove" },
	[END] = { .name = "end: unset, remove" },
	[TOUCH] = { .name = "memory alone" }
};

/*
 * What the reaper keeps, and no more.  The closes have an order of their own in
 * which events come: not that of their age.
 */
static struct simulation {
	struct graceclose_wheel		 wheel;
	struct graceclose_link		 queue;
	struct graceclose_closing	*c;
	struct graceclose_closing	**order;
	int				 n;
	int64_t				 now;
} sim;

static void
simulate(int n)
{
	struct graceclose_closing *c;
	int i, k;

	sim.n = n;
	sim.c = calloc((size_t)n, sizeof(*sim.c));
	sim.order = calloc((size_t)n, sizeof(struct graceclose_closing *));
	if (sim.c == NULL || sim.order == NULL)
		err(1, "%d closes", n);
	memset(sim.c, 1, (size_t)n * sizeof(*sim.c));	/* no page faults */
	memset(sim.c, 0, (size_t)n * sizeof(*sim.c));
	for (i = 0; i < n; i++) {
		k = (int)(random() % (i + 1));
		c = &sim.c[i];
		sim.order[i] = sim.order[k];
		sim.order[k] = c;
	}
}

static void
simulated(void)
{
	free(sim.c);
	free(sim.order);
}

/*
 * Of four closes one waits for its idle limit alone, one for the limit of the
 * whole, and two look for acknowledgements in between, as closer.c has it.
 * The next look of a close is the further away the older the close is.
 */
static void
set(struct graceclose_closing *c, int64_t now)
{
	int64_t due = c->gc.started + IDLE, look = now - c->gc.started;

	if (c->gc.looks == 0)
		due = c->gc.started + LIMIT;
	if (c->gc.looks > 1) {
		look = look < LOOK_FIRST ? LOOK_FIRST : look;
		look = look > LOOK_LAST ? LOOK_LAST : look;
		look = (now + look) | 63;	/* many look together */
		due = look < due ? look : due;
	}
	graceclose_wheel_set(&sim.wheel, &c->timer, due);
}

static void
begin(struct graceclose_closing *c, int64_t now)
{
	c->gc.started = now;
	graceclose_link_append(&sim.queue, &c->link);
	set(c, now);
}

static void
end(struct graceclose_closing *c)
{
	graceclose_wheel_unset(&sim.wheel, &c->timer);
	graceclose_link_remove(&c->link);
}

static void
begin_all(void)
{
	int i;

	for (i = 0; i < sim.n; i++) {
		sim.c[i].gc.looks = (unsigned char)(i % 4);
		begin(&sim.c[i], sim.now + (int64_t)BEGIN_TICKS * i / sim.n);
	}
}

static void
end_all(void)
{
	int i;

	for (i = 0; i < sim.n; i++)
		end(sim.order[i]);
}

/* The peer has acknowledged more. */
static void
event_of_all(void)
{
	struct graceclose_closing *c;
	int i;

	for (i = 0; i < sim.n; i++) {
		c = sim.order[i];
		graceclose_wheel_unset(&sim.wheel, &c->timer);
		c->gc.started = sim.now;
		set(c, sim.now);
	}
}

static void
evict_all(void)
{
	while (!graceclose_link_empty(&sim.queue))
		end(GRACECLOSE_CLOSING(sim.queue.next, link));
}

static void
touch_all(void)
{
	int i;

	for (i = 0; i < sim.n; i++)
		sim.order[i]->timer.due++;
}

static void
ask_next(void)
{
	int64_t sum = 0;
	int i;

	for (i = 0; i < sim.n; i++)
		sum += graceclose_wheel_next(&sim.wheel) & 1;
	if (sum > sim.n)
		errx(1, "next");
}

/* One that has reached its limit ends, and another begins. */
static void
look(struct graceclose_timer *t)
{
	struct graceclose_closing *c = GRACECLOSE_CLOSING(t, timer);

	if (sim.now - c->gc.started < (c->gc.looks == 0 ? LIMIT : IDLE)) {
		set(c, sim.now);
	} else {
		end(c);
		begin(c, sim.now);
	}
}

/* Time goes on as in the thread: to what is due next. */
static struct graceclose_timer *
pop(void)
{
	int64_t next = graceclose_wheel_next(&sim.wheel);

	if (next > sim.now)
		sim.now = next;
	return graceclose_wheel_pop(&sim.wheel, sim.now);
}

static void
look_often(void)
{
	struct graceclose_timer *t;
	int n = 0;

	while (n < OPERATIONS)
		if ((t = pop()) != NULL) {
			look(t);
			n++;
		}
}

/* One pop of a hundred takes longer.  The clock adds the same to each. */
static double
slow_pop(void)
{
	static double took[OPERATIONS];
	struct graceclose_timer *t;
	double before;
	int n;

	for (n = 0; n < OPERATIONS; n++) {
		before = rows_ns(CLOCK_MONOTONIC);
		t = pop();
		took[n] = rows_ns(CLOCK_MONOTONIC) - before;
		if (t != NULL)
			look(t);
	}
	return quantile(took, OPERATIONS, 0.99);
}

static double
timed(void (*all)(void))
{
	double start = rows_ns(CLOCK_THREAD_CPUTIME_ID);

	all();
	return rows_ns(CLOCK_THREAD_CPUTIME_ID) - start;
}

/* As often as gives enough operations; nanoseconds for each. */
static void
bench_of_passes(int k, int turn)
{
	int i, times = OPERATIONS / sim.n;
	double spent[WHEEL_ROWS] = { 0 };

	for (i = 0; i < times; i++) {
		spent[BEGIN] += timed(begin_all);
		sim.now += BEGIN_TICKS;
		spent[EVENT] += timed(event_of_all);
		spent[NEXT] += timed(ask_next);
		spent[END] += timed(end_all);
		begin_all();
		spent[OLDEST] += timed(evict_all);
		spent[TOUCH] += timed(touch_all);
	}
	for (i = 0; i < WHEEL_ROWS; i++)
		of_wheel[i].turn[k][turn] = spent[i] / times / sim.n;
}

static void
bench_of_size(int n, int k, int turn)
{
	simulate(n);
	sim.now = 1000000000;		/* of a host that is up for 12 days */
	graceclose_wheel_init(&sim.wheel, sim.now);
	graceclose_link_init(&sim.queue);
	bench_of_passes(k, turn);
	begin_all();
	of_wheel[LOOK].turn[k][turn] = timed(look_often) / OPERATIONS;
	of_wheel[SLOW].turn[k][turn] = slow_pop();
	simulated();
}

void
wheel_alone(int turns)
{
	static const int size[SIZES_MAX] = { 1000, 10000, 100000, 1000000 };
	int i, k;

	for (i = 0; i < turns; i++)
		for (k = 0; k < SIZES_MAX; k++)
			bench_of_size(size[k], k, i);
	rows_head("Wheel and queue alone; closes:", size, SIZES_MAX);
	for (i = 0; i < WHEEL_ROWS; i++) {
		of_wheel[i].unit = "ns";
		of_wheel[i].scale = 1;
		rows_print(&of_wheel[i], SIZES_MAX, turns);
	}
	printf("\nA search of all closes would grow by 1000.  \"memory alone\" "
	    "writes a word of each\nclose, in the order of the events.  One "
	    "pop of a hundred is slower than the slow pop.\n");
}
