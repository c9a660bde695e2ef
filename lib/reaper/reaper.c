/*
 * reaper.c - close and forget: the reaper itself, and what its parts share
 *
 * A close begins in the caller's thread (submit.c), and is over there if the
 * peer has closed already.  A close that has to wait goes into the queue and
 * belongs to the reaper's own thread from then on (thread.c).  A caller takes
 * one out again only to make room.  No thread holds the lock during a step, an
 * end or a call of done.
 */
#include <sys/types.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "closer.h"
#include "graceclose.h"
#include "kernel/kernel.h"
#include "reaper/reaper.h"

#define MAX_DEFAULT	65536	/* where there are as many descriptors */

/*
 * A page that a child of fork(2) finds empty (madvise(2), Linux 4.14).  The
 * pid is not enough: in a PID namespace of its own a child may have the pid of
 * its parent.
 */
static void
mark_process(struct graceclose_reaper *r)
{
#ifdef MADV_WIPEONFORK
	char *page = mmap(NULL, 1, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page != MAP_FAILED && madvise(page, 1, MADV_WIPEONFORK) == -1) {
		(void)munmap(page, 1);
	} else if (page != MAP_FAILED) {
		*page = 1;
		r->mark = page;
	}
#endif
	r->pid = getpid();
}

static void
unmark_process(struct graceclose_reaper *r)
{
#ifdef MADV_WIPEONFORK
	if (r->mark != NULL)
		(void)munmap(r->mark, 1);
#endif
	(void)r;
}

/* A child of fork(2) has no thread, and the lock may stay held there. */
static bool
is_child(const struct graceclose_reaper *r)
{
	return r->mark != NULL ? *r->mark == 0 : r->pid != getpid();
}

int
graceclose_reaper_usable(const struct graceclose_reaper *r)
{
	if (r != NULL && !is_child(r))
		return 0;
	errno = r == NULL ? EINVAL : ENOTSUP;
	return -1;
}

/* The last caller to leave a reaper that is being freed wakes its thread. */
void
graceclose_reaper_leave(struct graceclose_reaper *r)
{
	if (--r->inside == 0 && r->stopping)
		graceclose_watch_wake(&r->watch);
}

int64_t
graceclose_reaper_now(void)
{
	return graceclose_tcp_clock() / 1000;
}

/* The tick of the next look, at the first limit or before. */
int64_t
graceclose_reaper_due(const struct graceclose_closing *c)
{
	int64_t us = graceclose_due(&c->gc);

	return us == INT64_MAX ? GRACECLOSE_NEVER : (us + 999) / 1000;
}

void
graceclose_reaper_watched(struct graceclose_closing *c, int how)
{
	c->watched = (unsigned char)how;
	if (how == GRACECLOSE_UNWATCHED) {
		c->gc.options = 0;
		c->gc.wake = 0;
	}
}

/* The descriptor leaves the set before its number can be another's. */
void
graceclose_reaper_end(struct graceclose_reaper *r,
    struct graceclose_closing *c)
{
	struct graceclose_report report;

	if (c->watched == GRACECLOSE_ONCE || c->watched == GRACECLOSE_ALWAYS)
		graceclose_watch_remove(&r->watch, c->fd);
	(void)graceclose_end(&c->gc, &report);
	c->fd = -1;
	c->outcome = (unsigned char)report.outcome;
}

void
graceclose_reaper_count(struct graceclose_reaper *r, int outcome)
{
	uint64_t *by_outcome[] = {
		[GRACECLOSE_OK] = &r->stats.ok,
		[GRACECLOSE_WAS_RESET] = &r->stats.reset,
		[GRACECLOSE_EXPIRED] = &r->stats.expired,
		[GRACECLOSE_FLOODED] = &r->stats.flooded,
		[GRACECLOSE_ABORTED] = &r->stats.aborted,
		[GRACECLOSE_INVALID] = &r->stats.invalid
	};

	++*by_outcome[outcome];
}

/* So many closes are over, and done has returned for each. */
void
graceclose_reaper_reported(struct graceclose_reaper *r, uint64_t n)
{
	r->pending -= n;
	if (n > 0 && r->pending == 0)
		(void)pthread_cond_broadcast(&r->quiet);
}

static bool
valid(const struct graceclose_reaper_opts *o)
{
	return (o->when_full == GRACECLOSE_REFUSE ||
	    o->when_full == GRACECLOSE_OLDEST) &&
	    (o->reserved[0] | o->reserved[1] | o->reserved[2] |
	    o->reserved[3]) == 0;
}

/* The thread blocks every signal: they are for the program's own threads. */
static int
start_thread(struct graceclose_reaper *r)
{
	sigset_t all, before;
	int error;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&r->thread, NULL, graceclose_reaper_thread, r);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	/* POSIX has no names of threads, and each system a call of its own. */
#ifdef __linux__
	if (error == 0)
		(void)pthread_setname_np(r->thread, "graceclose");
#endif
	return error;
}

static int
init_lock(struct graceclose_reaper *r)
{
	pthread_condattr_t attr;
	int error;

	if ((error = pthread_condattr_init(&attr)) != 0)
		return error;
#if GRACECLOSE_STEADY
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
#endif
	if ((error = pthread_cond_init(&r->quiet, &attr)) == 0 &&
	    (error = pthread_mutex_init(&r->lock, NULL)) != 0)
		(void)pthread_cond_destroy(&r->quiet);
	(void)pthread_condattr_destroy(&attr);
	return error;
}

static void
destroy_lock(struct graceclose_reaper *r)
{
	(void)pthread_mutex_destroy(&r->lock);
	(void)pthread_cond_destroy(&r->quiet);
}

/* Half of the descriptors stay for the program, so that accept(2) goes on. */
static unsigned
default_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1 ||
	    limit.rlim_cur / 2 >= MAX_DEFAULT)
		return MAX_DEFAULT;
	return limit.rlim_cur < 2 ? 1 : (unsigned)(limit.rlim_cur / 2);
}

static void
init(struct graceclose_reaper *r, const struct graceclose_reaper_opts *opts)
{
	if (opts != NULL)
		r->opts = *opts;
	if (r->opts.max == 0)
		r->opts.max = default_max();
	r->asleep = GRACECLOSE_AWAKE;
	graceclose_link_init(&r->queue);
	graceclose_link_init(&r->evicted);
	graceclose_wheel_init(&r->wheel, graceclose_reaper_now());
	mark_process(r);
}

struct graceclose_reaper *
graceclose_reaper_new(const struct graceclose_reaper_opts *opts)
{
	struct graceclose_reaper *r;
	int error;

	if (opts != NULL && !valid(opts)) {
		errno = EINVAL;
		return NULL;
	}
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	init(r, opts);
	if (graceclose_watch_open(&r->watch) == -1) {
		error = errno;
	} else {
		if ((error = init_lock(r)) == 0) {
			if ((error = start_thread(r)) == 0)
				return r;
			destroy_lock(r);
		}
		graceclose_watch_close(&r->watch);
	}
	unmark_process(r);
	free(r);
	errno = error;
	return NULL;
}

/*
 * In a child of fork(2) the queue may have been in the middle of a change, so
 * what it holds is left alone.
 */
void
graceclose_reaper_free(struct graceclose_reaper *r)
{
	int cancel, saved = errno;

	if (r == NULL)
		return;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (!is_child(r)) {
		(void)pthread_mutex_lock(&r->lock);
		r->stopping = true;
		graceclose_watch_wake(&r->watch);
		(void)pthread_mutex_unlock(&r->lock);
		(void)pthread_join(r->thread, NULL);
		destroy_lock(r);
	}
	graceclose_watch_close(&r->watch);
	unmark_process(r);
	free(r);
	(void)pthread_setcancelstate(cancel, NULL);
	errno = saved;
}
