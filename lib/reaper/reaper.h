/*
 * reaper.h - what the parts of the reaper share
 *
 * reaper.c makes and frees it, submit.c takes a descriptor in the caller's
 * thread, thread.c drives what has to wait.
 */
#ifndef GRACECLOSE_REAPER_H
#define GRACECLOSE_REAPER_H

#include <sys/types.h>

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "graceclose.h"
#include "reaper/ring.h"
#include "reaper/watch.h"
#include "reaper/wheel.h"

/*
 * Whether a condition can wait by CLOCK_MONOTONIC.  The BSDs and macOS define
 * the option as -1; macOS has no pthread_condattr_setclock(3) either.
 */
#if defined(_POSIX_CLOCK_SELECTION) && _POSIX_CLOCK_SELECTION > 0
#define GRACECLOSE_STEADY	1
#else
#define GRACECLOSE_STEADY	0
#endif

enum {					/* the state of a close */
	GRACECLOSE_WAITING,		/* for an event or its timer */
	GRACECLOSE_BUSY,		/* the thread steps it */
	GRACECLOSE_EVICTED		/* out of the queue, to be cut */
};

enum {					/* how a close is watched */
	GRACECLOSE_UNWATCHED,		/* no event comes: it naps */
	GRACECLOSE_ONCE,
	GRACECLOSE_SPENT,		/* that event has come */
	GRACECLOSE_ALWAYS
};

/*
 * A close under way.  The reaper's lock guards its state, links and timer; the
 * rest belongs to the thread, or to the caller that took the close out.
 */
struct graceclose_closing {
	struct graceclose	gc;
	void			*cookie;
	struct graceclose_link	link;	/* by age; then among those over */
	struct graceclose_timer	timer;
	int			fd;	/* -1: over */
	unsigned char		outcome;
	unsigned char		state;
	unsigned char		watched;
};

#define GRACECLOSE_CLOSING(l, member)					\
	((struct graceclose_closing *)(void *)((char *)(l) -		\
	    offsetof(struct graceclose_closing, member)))

struct graceclose_reaper {
	struct graceclose_reaper_opts	opts;
	struct graceclose_watch		watch;
	char				*mark;	/* NULL: compare the pid */
	pid_t				pid;
	pthread_t			thread;
	pthread_mutex_t			lock;	/* of all below */
	pthread_cond_t			quiet;	/* pending is 0 */
	struct graceclose_reaper_stats	stats;
	unsigned	begun;		/* callers that may need a place */
	unsigned	inside;		/* callers to wait for */
	uint64_t	pending;	/* not over, or done not returned */
	bool		stopping;
	int64_t		asleep;		/* the thread, until this tick */
	struct graceclose_link		queue;	/* the oldest first */
	struct graceclose_link		evicted; /* over, to be reported */
	struct graceclose_wheel		wheel;
};

#define GRACECLOSE_AWAKE	INT64_MIN
#define GRACECLOSE_AT_ONCE	(GRACECLOSE_AWAKE + 1)

/* 0, or -1 with errno: EINVAL for NULL, ENOTSUP in a child of fork(2). */
int	graceclose_reaper_usable(const struct graceclose_reaper *r);

int64_t	graceclose_reaper_now(void);		/* in ticks */
int64_t	graceclose_reaper_due(const struct graceclose_closing *c);

/* How the close is watched from now on; an unwatched one has naps. */
void	graceclose_reaper_watched(struct graceclose_closing *c, int how);

/* Ends the close; no event of it comes any more. */
void	graceclose_reaper_end(struct graceclose_reaper *r,
	    struct graceclose_closing *c);

/* These three: with the lock held. */
void	graceclose_reaper_leave(struct graceclose_reaper *r);
void	graceclose_reaper_count(struct graceclose_reaper *r, int outcome);
void	graceclose_reaper_reported(struct graceclose_reaper *r, uint64_t n);

void	*graceclose_reaper_thread(void *reaper);

#endif /* GRACECLOSE_REAPER_H */
