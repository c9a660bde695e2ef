/*
 * tally.h - how many connections ended in which way, and which hosts sent RSTs
 */
#ifndef TALLY_H
#define TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "closewatch/conns.h"
#include "closewatch/flow.h"
#include "closewatch/segment.h"

/* How a connection ended; a reset's cause, enum flow_why, is added to RESET. */
enum {
	TALLY_FOUR_WAY,
	TALLY_THREE_SEGMENT,
	TALLY_SIMULTANEOUS,
	TALLY_REFUSED,
	TALLY_RESET,
	TALLY_KINDS = TALLY_RESET + FLOW_WHY_GONE + 1
};

/* Why a host sent an RST: a kind from REFUSED on, or AFTER a normal end. */
enum { TALLY_AFTER = TALLY_KINDS, TALLY_CAUSES };

struct tally_count {
	uint64_t	number;
	uint64_t	by[2];		/* side that closed first, or reset */
	uint64_t	lossy;
	uint64_t	lost;		/* bytes */
};

/*
 * A host that sent RSTs.  A client has another port each time, so its port is
 * ignored.  The true number of connections is between conns - overcounted and
 * conns.
 */
struct tally_resetter {
	struct endpoint	who;
	int		side;
	uint64_t	conns, overcounted;
	uint64_t	of[TALLY_CAUSES];
	uint64_t	lost;
};

#define TALLY_RESETTERS	512

struct tally {
	uint64_t	segments, not_tcp;
	struct tally_count all, of[TALLY_KINDS];
	struct tally_resetter resetters[TALLY_RESETTERS];
	size_t		nresetters;
};

/* Count a connection that ended. */
void	tally_conn(struct tally *t, const struct flow *f);

/* Sort the resetters, most RSTs first: how many of them a summary shows. */
size_t	tally_top(struct tally *t);

int	tally_kind(const struct flow *f);
const char *tally_name(int kind);	/* for people */
const char *tally_key(int kind);	/* for programs */
const char *tally_side(int side);	/* "client", "server" */

/* All that a summary says. */
struct tally_summary {
	const struct tally *tally;
	size_t		   top;		/* resetters to show */
	struct conns_count conns;
	int		   max;		/* places for connections */
	int64_t		   us, span_us;	/* now, since the beginning */
	uint64_t	   missed;	/* packets that the kernel dropped */
};

#endif /* TALLY_H */
