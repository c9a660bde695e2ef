/*
 * oracle.h - what segments prove of a connection: a function of the log alone
 *
 * The tests compare the library's verdict with the oracle's.  The oracle tracks
 * both sides' sequence numbers as our kernel must (RFC 9293 3.10.7.4, RFC
 * 5961).  A segment that arrived out of order waits.  An ACK or a RST outside
 * of our window does not count, nor does a segment with a stale ACK.
 */
#ifndef TEST_ORACLE_H
#define TEST_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network/link.h"

#define ORACLE_GAPS	256
#define ORACLE_ARRIVALS	64

/* Counted from a SYN, which is 0, so that data begins at 1. */
typedef int64_t place;

struct oracle_range {
	place	from, to;
};

struct oracle {
	struct t_proof	 t;
	struct endpoint	 us, peer;	/* of the first SYN */
	bool		 begun;
	bool		 known[T_WAYS];	/* whose SYN was seen */
	uint32_t	 isn[T_WAYS];
	int		 shift[T_WAYS];	/* of windows; -1: no such option */
	bool		 sack[T_WAYS];
	place		 fin[T_WAYS];	/* 0: none so far */

	place		 sent;		/* by us, up to here */
	place		 acked;		/* that, by the peer */
	int64_t		 widest;	/* window that the peer announced */
	place		 arrived;	/* the peer's, without a gap */
	place		 told;		/* of that, acknowledged by us */
	place		 edge;		/* of the widest window that we sent */
	bool		 capped;	/* it may be wider than 16 bits say */

	struct oracle_range early[ORACLE_GAPS];	/* behind a gap */
	size_t		 nearly;
	struct {			/* the last steps of `arrived` */
		place	to;
		int64_t	us;
	}		 arrivals[ORACLE_ARRIVALS];
	size_t		 narrivals;
};

void	oracle_begin(struct oracle *);
/*
 * Later segments than those before, up to a time.  In the order in which they
 * left our kernel or reached it `each` is called behind each, if not NULL.
 */
void	oracle_add(struct oracle *, const struct t_packet *, size_t n,
	    int64_t until_us, void (*each)(void *, const struct oracle *,
	    const struct t_packet *), void *arg);
/* The place near to what has arrived that has this number of the peer's. */
place	oracle_place(const struct oracle *, uint32_t seq);
void	oracle_proof(const struct oracle *, struct t_proof *);

#endif /* TEST_ORACLE_H */
