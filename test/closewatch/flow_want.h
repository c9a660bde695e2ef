/*
 * flow_want.h - what flow.h must say of a connection, and the comparison
 */
#ifndef TEST_FLOW_WANT_H
#define TEST_FLOW_WANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "closewatch/flow.h"
#include "closewatch/segment.h"

#define C	FLOW_CLIENT
#define S	FLOW_SERVER
#define NOBODY	(-1)

struct want {
	const char	*story;
	enum flow_end	 end;
	enum flow_why	 why;
	int		 first;
	int		 reset_by;
	bool		 over;
	uint64_t	 lost[2];	/* of what client and server sent */
	uint64_t	 sent[2];
};

/* The segments of the test, in the order of the capture. */
#define SEGMENTS_MAX	256

extern struct segment segments[SEGMENTS_MAX];
extern size_t	 nsegments;

/*
 * Initial sequence numbers: at the end of the sequence space, and where the
 * sign of a difference turns.
 */
#define TURNS	5

extern const uint32_t turns[TURNS];

/*
 * Give the segments [from, to) to flow.h: how many connections there were, and
 * the last of them.
 */
int	feed_all(struct flow *f, size_t from, size_t to);

/* Assert that it is what the test wants; that it contradicts itself nowhere. */
void	compare(const char *name, const struct flow *f,
	    const struct want *want);
void	make_sense(const struct flow *f);

#endif /* TEST_FLOW_WANT_H */
