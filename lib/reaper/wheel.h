/*
 * wheel.h - a timer wheel: to set, unset and find a timer costs the same
 * however many there are
 *
 * Times are ticks of a millisecond.  The caller serialises all calls.
 */
#ifndef GRACECLOSE_WHEEL_H
#define GRACECLOSE_WHEEL_H

#include <stdint.h>

#include "reaper/ring.h"

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

/* Sets a timer that is not set.  A due time in the past counts as now. */
void	graceclose_wheel_set(struct graceclose_wheel *w,
	    struct graceclose_timer *t, int64_t due);
void	graceclose_wheel_unset(struct graceclose_wheel *w,
	    struct graceclose_timer *t);

/* When to pop next; GRACECLOSE_NEVER where no timer is set. */
int64_t	graceclose_wheel_next(const struct graceclose_wheel *w);

/*
 * A timer that is due, no longer set.  NULL: there is none, or none was found
 * yet, and then graceclose_wheel_next() is not beyond now.
 */
struct graceclose_timer *graceclose_wheel_pop(struct graceclose_wheel *w,
	    int64_t now);

#endif /* GRACECLOSE_WHEEL_H */
