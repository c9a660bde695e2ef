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

#include <stdbool.h>
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

/*
 * Whose a connection is.  Without a judge all are ours.  While it is unsure,
 * the judge is asked again, less and less often; LATER is unsure, and asks for
 * conns_tick() to ask again soon.  side[] is the judge's, to remember what is
 * known of each side.  A connection of others is neither reported nor counted,
 * and one that remained unsure is only counted.  Such a one never takes the
 * place of one that is ours.
 */
enum conns_whose { CONNS_UNSURE, CONNS_LATER, CONNS_OURS, CONNS_OTHERS };

typedef enum conns_whose conns_judge(void *arg, const struct flow *f,
	    enum conns_whose side[2]);
void	conns_judge_by(struct conns *cs, conns_judge *judge, void *arg);

/* Whether the segment is of a connection that is known to be ours. */
bool	conns_feed(struct conns *cs, const struct segment *s, int64_t now);

/* Report those that ended a second ago; all that ended. */
void	conns_tick(struct conns *cs, int64_t now);
void	conns_tell_all(struct conns *cs, int64_t now);

/* When conns_tick() is due; INT64_MAX: it has nothing to do. */
int64_t	conns_due(const struct conns *cs);

/* The connection of this segment until it is reported; else NULL. */
const struct flow *conns_find(const struct conns *cs, const struct segment *s);

struct conns_count {
	uint64_t	open, half_closed;	/* half_closed are open */
	uint64_t	dropped;		/* all places were taken */
	uint64_t	superseded;		/* by one with the same ports */
	uint64_t	unsure;			/* ended or dropped so */
};

struct conns_count
	conns_count(const struct conns *cs);

#endif /* CONNS_H */
