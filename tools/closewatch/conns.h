/*
 * conns.h - the connections that a capture shows, so many and no more
 *
 * One that ended is told of a second later, as something may come late that
 * belongs to it.  When there is no room for one more, the one that has been
 * silent for longest is dropped.
 *
 * The time is the caller's, in microseconds, and goes forward.
 */
#ifndef CONNS_H
#define CONNS_H

#include <stddef.h>
#include <stdint.h>

#include "closewatch/flow.h"
#include "closewatch/segment.h"

struct conns;

/* What is called for each that ended; over_us: when its last segment came. */
typedef void	conns_tell(void *arg, const struct flow *f, int64_t over_us);

/* Room for max; NULL: no memory. */
struct conns *conns_open(size_t max, conns_tell *tell, void *arg);
void	conns_close(struct conns *cs);

void	conns_feed(struct conns *cs, const struct segment *s, int64_t now);

/* Tell of those that ended a second ago; of all that ended. */
void	conns_tick(struct conns *cs, int64_t now);
void	conns_tell_all(struct conns *cs, int64_t now);

/* When there is one to tell of; INT64_MAX: nobody knows yet. */
int64_t	conns_due(const struct conns *cs);

/* The connection of this segment, until it is told of; else NULL. */
const struct flow *conns_find(const struct conns *cs, const struct segment *s);

struct conns_count {
	uint64_t	open, half_closed;	/* half_closed are open */
	uint64_t	dropped;		/* for want of room */
	uint64_t	superseded;		/* the same ports began anew */
};

struct conns_count
	conns_count(const struct conns *cs);

#endif /* CONNS_H */
