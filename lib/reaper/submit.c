/*
 * submit.c - hand a descriptor over and forget it
 */
#include <sys/types.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "graceclose.h"
#include "reaper/reaper.h"

/* Wakes the thread if it would sleep beyond that tick. */
static void
rouse(struct graceclose_reaper *r, int64_t tick)
{
	if (tick >= r->asleep)
		return;
	r->asleep = tick;
	graceclose_watch_wake(&r->watch);
}

/* Reserves a place, as the close may need one. */
static int
enter(struct graceclose_reaper *r)
{
	int error = 0;

	(void)pthread_mutex_lock(&r->lock);
	if (r->stopping)
		error = EINVAL;
	else if (r->opts.when_full == GRACECLOSE_REFUSE &&
	    (uint64_t)r->stats.now + r->begun >= r->opts.max)
		error = EAGAIN;
	if (error == 0) {
		r->inside++;
		r->begun++;
		r->pending++;
	}
	(void)pthread_mutex_unlock(&r->lock);
	return error;
}

/* Nothing was taken. */
static void
retreat(struct graceclose_reaper *r)
{
	(void)pthread_mutex_lock(&r->lock);
	r->begun--;
	graceclose_reaper_reported(r, 1);
	graceclose_reaper_leave(r);
	(void)pthread_mutex_unlock(&r->lock);
}

/* The close is over at once, or there is no memory for it to wait. */
static void
finish(struct graceclose_reaper *r, struct graceclose *gc, void *cookie)
{
	struct graceclose_report report;

	(void)graceclose_end(gc, &report);
	(void)pthread_mutex_lock(&r->lock);
	r->begun--;
	graceclose_reaper_count(r, report.outcome);
	if (r->opts.done != NULL) {
		(void)pthread_mutex_unlock(&r->lock);
		r->opts.done(r->opts.arg, cookie, &report);
		(void)pthread_mutex_lock(&r->lock);
	}
	graceclose_reaper_reported(r, 1);
	graceclose_reaper_leave(r);
	(void)pthread_mutex_unlock(&r->lock);
}

/*
 * Takes the oldest out of the queue where there are too many.  The thread cuts
 * that close itself if it is just stepping it.
 */
static struct graceclose_closing *
pick_oldest(struct graceclose_reaper *r)
{
	struct graceclose_closing *c;
	int state;

	if (r->stats.now <= r->opts.max)
		return NULL;
	c = GRACECLOSE_CLOSING(r->queue.next, link);
	state = c->state;
	graceclose_link_remove(&c->link);
	graceclose_wheel_unset(&r->wheel, &c->timer);
	r->stats.now--;
	c->state = GRACECLOSE_EVICTED;
	return state == GRACECLOSE_WAITING ? c : NULL;
}

/*
 * The thread calls done, not the caller here: done may submit again, without
 * end.  The thread also frees the memory, to which an event that it has not
 * looked at yet may point.
 */
static void
evict(struct graceclose_reaper *r, struct graceclose_closing *c)
{
	graceclose_reaper_end(r, c);
	(void)pthread_mutex_lock(&r->lock);
	graceclose_reaper_count(r, c->outcome);
	r->stats.evicted++;
	graceclose_link_append(&r->evicted, &c->link);
	rouse(r, GRACECLOSE_AT_ONCE);
	(void)pthread_mutex_unlock(&r->lock);
}

/* With malloc's own word these are the 192 bytes that a close may take. */
_Static_assert(sizeof(struct graceclose_closing) + sizeof(size_t) <= 192,
    "memory for one close");

static struct graceclose_closing *
closing(const struct graceclose *gc, int fd, void *cookie)
{
	struct graceclose_closing *c = malloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->gc = *gc;
	c->cookie = cookie;
	c->fd = fd;
	c->state = GRACECLOSE_WAITING;
	return c;
}

/*
 * Registers the descriptor under the lock: the first event may end the close,
 * and then the number of the descriptor may be in use again.  A close that
 * epoll refuses goes by its timer alone.
 */
static void
enqueue(struct graceclose_reaper *r, struct graceclose_closing *c)
{
	bool acks = c->gc.until != GRACECLOSE_FINISHED;
	struct graceclose_closing *oldest;
	int64_t due;

	(void)pthread_mutex_lock(&r->lock);
	if (graceclose_watch_add(&r->watch, c->fd, c, acks) == -1)
		graceclose_reaper_watched(c, GRACECLOSE_UNWATCHED);
	else
		graceclose_reaper_watched(c,
		    acks ? GRACECLOSE_ALWAYS : GRACECLOSE_ONCE);
	due = graceclose_reaper_due(c);
	r->begun--;
	graceclose_link_append(&r->queue, &c->link);
	if (due != GRACECLOSE_NEVER)
		graceclose_wheel_set(&r->wheel, &c->timer, due);
	r->stats.now++;
	oldest = pick_oldest(r);
	if (r->stats.peak < r->stats.now)
		r->stats.peak = r->stats.now;
	rouse(r, due);
	if (oldest != NULL) {
		(void)pthread_mutex_unlock(&r->lock);
		evict(r, oldest);
		(void)pthread_mutex_lock(&r->lock);
	}
	graceclose_reaper_leave(r);
	(void)pthread_mutex_unlock(&r->lock);
}

/* 0, or the errno value with which nothing was taken. */
static int
submit(struct graceclose_reaper *r, int fd, const struct graceclose_opts *opts,
    void *cookie)
{
	struct graceclose_closing *c = NULL;
	struct graceclose gc;
	int error;

	if ((error = enter(r)) != 0)
		return error;
	if (graceclose_begin(&gc, fd, opts) == -1) {
		error = errno;
		retreat(r);
		return error;
	}
	gc.options = GRACECLOSE_EDGES;
	if (graceclose_step(&gc) == 1)
		c = closing(&gc, fd, cookie);
	if (c != NULL)
		enqueue(r, c);
	else
		finish(r, &gc, cookie);
	return 0;
}

/* A thread cancelled in here would never count as having left. */
int
graceclose_reaper_close(struct graceclose_reaper *r, int fd,
    const struct graceclose_opts *opts, void *cookie)
{
	int error, cancel, saved = errno;

	if (graceclose_reaper_usable(r) == -1)
		return -1;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	error = submit(r, fd, opts, cookie);
	(void)pthread_setcancelstate(cancel, NULL);
	errno = error != 0 ? error : saved;
	return error != 0 ? -1 : 0;
}
