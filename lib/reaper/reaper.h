/*
 * reaper.h - what the parts of the reaper share
 *
 * reaper.c tells how they work together; wheel.c keeps the time, watch.c asks
 * the kernel for events.
 */
#ifndef GRACECLOSE_REAPER_H
#define GRACECLOSE_REAPER_H

#include <sys/types.h>

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "graceclose.h"

/* A ring; its head is a link, too. */
struct graceclose_link {
	struct graceclose_link	*next, *prev;
};

static inline void
graceclose_link_init(struct graceclose_link *head)
{
	head->next = head->prev = head;
}

static inline bool
graceclose_link_empty(const struct graceclose_link *head)
{
	return head->next == head;
}

static inline void
graceclose_link_append(struct graceclose_link *head, struct graceclose_link *l)
{
	l->next = head;
	l->prev = head->prev;
	l->prev->next = l;
	head->prev = l;
}

/* All of a ring to the end of another. */
static inline void
graceclose_link_splice(struct graceclose_link *head,
    struct graceclose_link *from)
{
	if (from->next == from)
		return;
	from->next->prev = head->prev;
	head->prev->next = from->next;
	from->prev->next = head;
	head->prev = from->prev;
	graceclose_link_init(from);
}

static inline void
graceclose_link_remove(struct graceclose_link *l)
{
	l->next->prev = l->prev;
	l->prev->next = l->next;
	l->next = l->prev = NULL;
}

/* Time: ticks of a millisecond. */
#define GRACECLOSE_NEVER	INT64_MAX
#define GRACECLOSE_LEVELS	7
#define GRACECLOSE_SLOTS	64

struct graceclose_timer {
	struct graceclose_link	link;	/* next is NULL: not set */
	int64_t			due;
};

struct graceclose_wheel {
	int64_t			now;
	uint64_t		used[GRACECLOSE_LEVELS + 1];
	struct graceclose_link	slot[GRACECLOSE_LEVELS * GRACECLOSE_SLOTS + 1];
};

void	graceclose_wheel_init(struct graceclose_wheel *w, int64_t now);
void	graceclose_wheel_set(struct graceclose_wheel *w,
	    struct graceclose_timer *t, int64_t due);
void	graceclose_wheel_unset(struct graceclose_wheel *w,
	    struct graceclose_timer *t);
int64_t	graceclose_wheel_next(const struct graceclose_wheel *w);
struct graceclose_timer *graceclose_wheel_pop(struct graceclose_wheel *w,
	    int64_t now);

/* Events: edges of descriptors, and a call to wake up. */
#define GRACECLOSE_BATCH	64

struct graceclose_watch {
	int	set;
	int	alarm;
};

int	graceclose_watch_open(struct graceclose_watch *w);
int	graceclose_watch_add(struct graceclose_watch *w, int fd, void *who,
	    bool acks);
void	graceclose_watch_remove(struct graceclose_watch *w, int fd);
int	graceclose_watch_wait(struct graceclose_watch *w, void **who,
	    int timeout_ms);	/* fills in GRACECLOSE_BATCH at most */
void	graceclose_watch_wake(struct graceclose_watch *w);
void	graceclose_watch_close(struct graceclose_watch *w);

enum {					/* the state of a close */
	GRACECLOSE_WAITING,		/* for an event or its timer */
	GRACECLOSE_BUSY,		/* the thread steps it */
	GRACECLOSE_EVICTED		/* out of the queue, to be cut */
};

/*
 * A close under way.  Its state, its links and its timer are guarded by the
 * reaper's lock; the rest is the thread's, or his who took it.
 */
struct graceclose_closing {
	struct graceclose	gc;
	void			*cookie;
	struct graceclose_link	link;	/* by age; then among those over */
	struct graceclose_timer	timer;
	int			fd;	/* -1: over */
	unsigned char		outcome;
	unsigned char		state;
	bool			edges;	/* events come; else naps find out */
};

#define GRACECLOSE_CLOSING(l, member)					\
	((struct graceclose_closing *)(void *)((char *)(l) -		\
	    offsetof(struct graceclose_closing, member)))

struct graceclose_reaper {
	struct graceclose_reaper_opts	opts;
	struct graceclose_watch		watch;
	char				*mark;	/* NULL: go by the pid */
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
	struct graceclose_link		evicted; /* over, to be told of */
	struct graceclose_wheel		wheel;
};

#define GRACECLOSE_AWAKE	INT64_MIN
#define GRACECLOSE_AT_ONCE	(GRACECLOSE_AWAKE + 1)

int	graceclose_reaper_usable(const struct graceclose_reaper *r);
void	graceclose_reaper_leave(struct graceclose_reaper *r);
int64_t	graceclose_reaper_now(void);
int64_t	graceclose_reaper_due(const struct graceclose_closing *c);
void	graceclose_reaper_end(struct graceclose_reaper *r,
	    struct graceclose_closing *c);
void	graceclose_reaper_count(struct graceclose_reaper *r, int outcome);
void	graceclose_reaper_told(struct graceclose_reaper *r, uint64_t n);
void	*graceclose_reaper_thread(void *reaper);

#endif /* GRACECLOSE_REAPER_H */
