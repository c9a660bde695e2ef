/*
 * thread.c - the thread that drives every close that has to wait
 *
 * It works in turns: take the closes that have an event or are due, step each,
 * put back what goes on, report what is over.  A turn takes a bounded number of
 * closes, and a bounded amount of input of each, so that a peer that floods
 * delays the others little.
 */
#include <sys/types.h>

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "graceclose.h"
#include "reaper/reaper.h"

#define BATCH		GRACECLOSE_BATCH	/* and as many by timers */
#define GATHER_MS	1	/* no caller waits for a reaper */

struct turn {
	void				*news[BATCH];
	int				nnews;
	struct graceclose_closing	*busy[2 * BATCH];
	int				nbusy;
	struct graceclose_link		cut;	/* to be ended, then reported */
	struct graceclose_link		over;	/* to be reported, and freed */
	uint64_t			reported;
};

static void
take(struct graceclose_reaper *r, struct turn *t, struct graceclose_closing *c)
{
	graceclose_wheel_unset(&r->wheel, &c->timer);
	c->state = GRACECLOSE_BUSY;
	t->busy[t->nbusy++] = c;
}

/* An event may be of a close that a caller has just taken out to cut it. */
static void
collect(struct graceclose_reaper *r, struct turn *t)
{
	struct graceclose_timer *timer;
	struct graceclose_closing *c;
	int64_t now = graceclose_reaper_now();
	int i;

	t->nbusy = 0;
	graceclose_link_splice(&t->over, &r->evicted);
	if (r->stopping) {
		graceclose_link_splice(&t->cut, &r->queue);
		graceclose_wheel_init(&r->wheel, now);
		r->stats.now = 0;
		return;
	}
	for (i = 0; i < t->nnews; i++) {
		c = t->news[i];
		if (c->state != GRACECLOSE_WAITING)
			continue;
		if (c->watched == GRACECLOSE_ONCE)
			graceclose_reaper_watched(c, GRACECLOSE_SPENT);
		take(r, t, c);
	}
	for (i = 0; i < BATCH; i++) {
		if ((timer = graceclose_wheel_pop(&r->wheel, now)) == NULL)
			break;
		take(r, t, GRACECLOSE_CLOSING(timer, timer));
	}
}

static void
step(struct graceclose_reaper *r, struct graceclose_closing *c)
{
	if (graceclose_step(&c->gc) != 1) {
		graceclose_reaper_end(r, c);
		return;
	}
	if (c->watched == GRACECLOSE_SPENT)
		graceclose_reaper_watched(c, graceclose_watch_again(&r->watch,
		    c->fd, c) == 0 ? GRACECLOSE_ALWAYS : GRACECLOSE_UNWATCHED);
	c->timer.due = graceclose_reaper_due(c);
}

/* Puts the close where it belongs after its step. */
static void
settle(struct graceclose_reaper *r, struct turn *t,
    struct graceclose_closing *c)
{
	bool queued = c->state != GRACECLOSE_EVICTED;

	if (c->fd == -1) {
		if (queued) {
			graceclose_link_remove(&c->link);
			r->stats.now--;
		}
		graceclose_reaper_count(r, c->outcome);
		graceclose_link_append(&t->over, &c->link);
	} else if (!queued) {
		graceclose_link_append(&t->cut, &c->link);
	} else {
		c->state = GRACECLOSE_WAITING;
		if (c->timer.due != GRACECLOSE_NEVER)
			graceclose_wheel_set(&r->wheel, &c->timer,
			    c->timer.due);
	}
}

static void
cut(struct graceclose_reaper *r, struct turn *t)
{
	struct graceclose_closing *c;
	struct graceclose_link *l;

	if (graceclose_link_empty(&t->cut))
		return;
	for (l = t->cut.next; l != &t->cut; l = l->next)
		graceclose_reaper_end(r, GRACECLOSE_CLOSING(l, link));
	(void)pthread_mutex_lock(&r->lock);
	for (l = t->cut.next; l != &t->cut; l = l->next) {
		c = GRACECLOSE_CLOSING(l, link);
		graceclose_reaper_count(r, c->outcome);
		r->stats.evicted += c->state == GRACECLOSE_EVICTED;
	}
	(void)pthread_mutex_unlock(&r->lock);
	graceclose_link_splice(&t->over, &t->cut);
}

/* Reports every close that is over, and frees it. */
static void
report_over(struct graceclose_reaper *r, struct turn *t)
{
	struct graceclose_report report;
	struct graceclose_closing *c;
	struct graceclose_link *l, *next;

	for (l = t->over.next; l != &t->over; l = next) {
		next = l->next;
		c = GRACECLOSE_CLOSING(l, link);
		if (r->opts.done != NULL) {
			(void)graceclose_end(&c->gc, &report);
			r->opts.done(r->opts.arg, c->cookie, &report);
		}
		free(c);
		t->reported++;
	}
	graceclose_link_init(&t->over);
}

static void
turn(struct graceclose_reaper *r, struct turn *t)
{
	int i;

	(void)pthread_mutex_lock(&r->lock);
	r->asleep = GRACECLOSE_AWAKE;
	collect(r, t);
	(void)pthread_mutex_unlock(&r->lock);
	for (i = 0; i < t->nbusy; i++)
		step(r, t->busy[i]);
	(void)pthread_mutex_lock(&r->lock);
	for (i = 0; i < t->nbusy; i++)
		settle(r, t, t->busy[i]);
	(void)pthread_mutex_unlock(&r->lock);
	cut(r, t);
	report_over(r, t);
}

/* Milliseconds until something is due; -1: nothing is. */
static int
idle_time(const struct graceclose_reaper *r)
{
	int64_t next = graceclose_wheel_next(&r->wheel), now;

	if (!graceclose_link_empty(&r->evicted) ||
	    (r->stopping && !graceclose_link_empty(&r->queue)))
		return 0;
	if (next == GRACECLOSE_NEVER)
		return -1;
	now = graceclose_reaper_now();
	return next <= now ? 0 : next - now < INT_MAX ? (int)(next - now) :
	    INT_MAX;
}

/*
 * Waits for the next turn; false: there will be none.  After an event it waits
 * a moment for others, which saves most of the wake-ups when there are many.
 */
static bool
rest(struct graceclose_reaper *r, struct turn *t)
{
	bool gather = t->nnews > 0 && t->nnews < BATCH, more;
	int timeout;

	(void)pthread_mutex_lock(&r->lock);
	graceclose_reaper_reported(r, t->reported);
	t->reported = 0;
	if (gather && idle_time(r) != 0) {
		(void)pthread_mutex_unlock(&r->lock);
		(void)poll(NULL, 0, GATHER_MS);
		(void)pthread_mutex_lock(&r->lock);
	}
	more = !r->stopping || r->inside > 0 ||
	    !graceclose_link_empty(&r->queue) ||
	    !graceclose_link_empty(&r->evicted);
	timeout = idle_time(r);
	if (timeout != 0)
		r->asleep = graceclose_wheel_next(&r->wheel);
	(void)pthread_mutex_unlock(&r->lock);
	if (more)
		t->nnews = graceclose_watch_wait(&r->watch, t->news, timeout);
	return more;
}

void *
graceclose_reaper_thread(void *reaper)
{
	struct graceclose_reaper *r = reaper;
	struct turn t;

	memset(&t, 0, sizeof(t));
	graceclose_link_init(&t.cut);
	graceclose_link_init(&t.over);
	while (rest(r, &t))
		turn(r, &t);
	return NULL;
}
