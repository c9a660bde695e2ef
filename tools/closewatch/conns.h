/*
 * conns.h - the connections that a capture shows, up to a maximum
 *
 * A connection is reported a second after its end, as a late segment may belong
 * to it.  When all places are taken, the connection that has been silent
 * longest is dropped.
 *
 * The caller gives the time in microseconds; it never goes back.
 */
#ifndef CONNS_H
#define CONNS_H

#include <stddef.h>
#include <stdint.h>

#include "closewatch/flow.h"
#include "closewatch/segment.h"

struct conns;

/* Called for each connection that ended; over_us: time of its last segment. */
typedef void	conns_tell(void *arg, const struct flow *f, int64_t over_us);

/* NULL: no memory for that many. */
struct conns *conns_open(size_t max, conns_tell *tell, void *arg);
void	conns_close(struct conns *cs);

void	conns_feed(struct conns *cs, const struct segment *s, int64_t now);

/* Report those that ended a second ago; all that ended. */
void	conns_tick(struct conns *cs, int64_t now);
void	conns_tell_all(struct conns *cs, int64_t now);

/* When the next report is due; INT64_MAX: none has ended. */
int64_t	conns_due(const struct conns *cs);

/* The connection of this segment until it is reported; else NULL. */
const struct flow *conns_find(const struct conns *cs, const struct segment *s);

struct conns_count {
	uint64_t	open, half_closed;	/* half_closed are open */
	uint64_t	dropped;		/* all places were taken */
	uint64_t	superseded;		/* by one with the same ports */
};

struct conns_count
	conns_count(const struct conns *cs);

#endif /* CONNS_H */
