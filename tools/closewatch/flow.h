/*
 * flow.h - from the segments of one connection: which side closed it, how, and
 * what was lost
 *
 * A capture shows the segments that passed the place of the capture.  An RST
 * of SO_LINGER 0 looks like one of connect(AF_UNSPEC), and mostly like one of a
 * close() with unread input.  Where causes look alike, the story names them
 * all.  Keep-alive probes without an answer reveal an RST that ends them.
 */
#ifndef FLOW_H
#define FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "closewatch/segment.h"

/* The side that sent the first SYN, and the other. */
enum { FLOW_CLIENT, FLOW_SERVER };

enum flow_end {				/* how it ended, so far */
	FLOW_OPEN,			/* no FIN, no RST yet */
	FLOW_HALF_CLOSED,		/* one FIN, and its direction is over */
	FLOW_FOUR_WAY,			/* FIN, ACK, FIN, ACK */
	FLOW_THREE_SEGMENT,		/* FIN, FIN and ACK in one, ACK */
	FLOW_SIMULTANEOUS,		/* FINs that crossed */
	FLOW_RESET,			/* see why */
	FLOW_REFUSED			/* an RST answered the SYN */
};

enum flow_why {				/* the cause of an RST, if it shows */
	FLOW_WHY_NONE,
	FLOW_WHY_UNREAD,		/* closed with unread input */
	FLOW_WHY_LATE_DATA,		/* data arrived after the close */
	FLOW_WHY_ABORT,			/* linger 0, or connect(AF_UNSPEC) */
	FLOW_WHY_EITHER,		/* UNREAD or ABORT: they look alike */
	FLOW_WHY_SILENCE,		/* keep-alive probes, no answer */
	FLOW_WHY_GONE			/* the host had no such connection */
};

struct flow_side {
	uint32_t	isn;		/* of the SYN, or the first seen */
	uint32_t	next;		/* after all it sent, with the FIN */
	uint32_t	acked;		/* what the other side acknowledged */
	uint32_t	fin;		/* sequence number of its FIN */
	bool		seen;		/* the capture shows its numbers */
	bool		sent_syn, sent_fin, fin_acked;
	bool		sent_rst;	/* in time, or late */
	bool		probed;		/* its last segment is a keep-alive */
					/* probe, still without an answer */
	int64_t		sent_us;	/* of its last segment, RST excluded */
	bool		shut;		/* its last window was 0 */
	uint64_t	segments;
	uint64_t	span;		/* of sequence numbers, in all */
	uint64_t	before;		/* flow_sent() at the other's FIN */
};

struct flow {
	struct endpoint	 who[2];	/* FLOW_CLIENT, FLOW_SERVER */
	struct flow_side side[2];
	enum flow_end	 end;
	enum flow_why	 why;
	int		 first;		/* closed first; -1: no side yet */
	int		 reset_by;	/* -1: no side */
	bool		 from_syn;	/* the capture has its beginning */
	bool		 mptcp;		/* one path of a connection */
	int64_t		 began_us, last_us;
};

/*
 * Begin a connection with its first segment, which counts as fed.  If that is
 * no SYN, the side with the lower port counts as the server.
 */
void	flow_begin(struct flow *f, const struct segment *s);
void	flow_feed(struct flow *f, const struct segment *s);

/*
 * Whether the segment belongs to this connection.  One that begins another
 * connection between the same ports does not; TIME_WAIT ends after a minute.
 */
bool	flow_has(const struct flow *f, const struct segment *s);

/* Over: an RST, or both FINs acknowledged.  Only late segments may follow. */
bool	flow_over(const struct flow *f);

/*
 * flow_sent(): bytes of data that this side sent, each counted once.
 * flow_lost(): those that the other side never acknowledged.  A capture does
 * not show what still waited in the send queue.  The acknowledgement number of
 * an RST does not count, as its receiver ignores it.  If the other direction
 * was not captured, flow_lost() is 0.
 */
uint64_t flow_sent(const struct flow *f, int side);
uint64_t flow_lost(const struct flow *f, int side);

/*
 * The one line, such as
 *	"server closed first; four-way; nothing lost"
 *	"server reset it (unread input); 65536 bytes to the client lost"
 */
#define FLOW_STORY_SIZE	384
const char *flow_story(const struct flow *f, char *buf);

#endif /* FLOW_H */
