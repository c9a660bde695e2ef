/*
 * schedule.c - when the next step of a close is due, and when its limits end it
 *
 * Two kinds of loop: one gets the edges of epoll and needs a look now and then,
 * the other has poll(2) alone and naps.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "closer.h"
#include "graceclose.h"
#include "kernel/kernel.h"

#define NAP_MAX_MS	64
#define LOOK_MIN_US	((int64_t)256000)
#define LOOK_TICK_US	((int64_t)65536)
#define NEVER		INT64_MAX

static int64_t
earlier(int64_t a, int64_t since, int ms)
{
	int64_t b = ms == -1 ? NEVER : since + (int64_t)ms * 1000;

	return a < b ? a : b;
}

/* When the first of the limits runs out. */
static int64_t
limit(const struct graceclose *gc)
{
	return earlier(earlier(NEVER, gc->started, gc->timeout_ms),
	    gc->progressed, gc->idle_ms);
}

/* Whether something may come that causes no event of poll(2). */
static bool
unseen(const struct graceclose *gc)
{
	return !gc->delivered || (gc->flags & (DEAF | MISSED)) != 0;
}

/* A limit has run out.  For QUIET silence after delivery is an end in order. */
static void
expire(struct graceclose *gc)
{
	int64_t quiet = earlier(NEVER, gc->progressed, gc->idle_ms);

	if (gc->until == GRACECLOSE_QUIET && gc->delivered &&
	    quiet <= earlier(NEVER, gc->started, gc->timeout_ms))
		graceclose_over(gc, GRACECLOSE_OK, 0);
	else
		graceclose_fail(gc, GRACECLOSE_EXPIRED, ETIMEDOUT);
}

/*
 * A loop that gets epoll's edges needs no naps.  But an acknowledgement that
 * leaves other bytes outstanding causes no edge, and idle_ms starts anew from
 * it; and the edge that comes with the last acknowledgement is undocumented.
 * So there are looks: four in an idle_ms, else further and further apart.
 */
static int64_t
next_look(const struct graceclose *gc, int64_t now)
{
	int64_t look, due = limit(gc);

	if (!unseen(gc))
		return due;
	if (gc->idle_ms != -1)
		return earlier(due, now, gc->idle_ms / 4 + 1);
	look = now - gc->progressed;
	if (look < LOOK_MIN_US)
		look = LOOK_MIN_US;
	/* A wake-up costs more than a look, so many closes look together. */
	look = (now + look) | (LOOK_TICK_US - 1);
	return look < due ? look : due;
}

/*
 * Naps are for loops without epoll's edges: an acknowledgement causes no event
 * of poll(2), and neither does a FIN behind our own SHUT_RD.  Nor does epoll
 * see what leaves a layer above TCP.
 */
static int
next_nap(struct graceclose *gc)
{
	gc->nap_ms = gc->nap_ms == 0 ? 1 : gc->nap_ms * 2;
	if (gc->nap_ms > NAP_MAX_MS)
		gc->nap_ms = NAP_MAX_MS;
	return gc->flushed != 0 ? SETTLED_MS : gc->nap_ms;
}

void
graceclose_schedule(struct graceclose *gc, bool progress)
{
	int64_t now = graceclose_tcp_clock();

	if (gc->started == 0)
		gc->started = gc->progressed = now;
	if (progress) {
		gc->progressed = now;
		gc->nap_ms = 0;
	}
	gc->wake = limit(gc);
	if (now >= gc->wake)
		expire(gc);
	else if ((gc->flags & MORE) != 0)
		gc->wake = now;
	else if ((gc->options & GRACECLOSE_EDGES) != 0 &&
	    (gc->flags & (WITHHELD | MISSED)) == 0)
		gc->wake = next_look(gc, now);
	else if (unseen(gc))
		gc->wake = earlier(gc->wake, now, next_nap(gc));
}

int64_t
graceclose_due(const struct graceclose *gc)
{
	if ((gc->options & GRACECLOSE_EDGES) != 0 ||
	    (gc->flags & (MORE | WITHHELD | MISSED)) != 0)
		return gc->wake;
	return earlier(gc->wake, graceclose_tcp_clock(), NAP_MAX_MS);
}

int
graceclose_timeout(const struct graceclose *gc)
{
	int64_t ms;

	if (gc == NULL || gc->phase == IDLE || gc->wake == 0)
		return 0;
	if (gc->wake == NEVER)
		return -1;
	ms = (gc->wake - graceclose_tcp_clock() + 999) / 1000;
	return ms <= 0 ? 0 : (int)ms;	/* no limit is beyond INT_MAX */
}
