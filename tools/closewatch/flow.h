/*
 * flow.h - from the segments of one connection: who closed it, how, and what
 * was lost
 *
 * What a capture shows is what passed there.  On the wire a RST of SO_LINGER 0
 * looks like that of connect(AF_UNSPEC), and mostly like that of a close()
 * with unread input; where causes look alike the story names them all.  One of
 * a kernel whose keep-alive probes were not answered is told by these.
 */
#ifndef FLOW_H
#define FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "closewatch/segment.h"

/* Who sent the first SYN, and who did not. */
enum { FLOW_CLIENT, FLOW_SERVER };

enum flow_end {				/* how it ended, so far */
	FLOW_OPEN,			/* no FIN, no RST yet */
	FLOW_HALF_CLOSED,		/* one FIN, and its direction is over */
	FLOW_FOUR_WAY,			/* FIN, ACK, FIN, ACK */
	FLOW_THREE_SEGMENT,		/* FIN, FIN and ACK in one, ACK */
	FLOW_SIMULTANEOUS,		/* FINs that crossed */
	FLOW_RESET,			/* see why */
	FLOW_REFUSED			/* a RST answered the SYN */
};

enum flow_why {				/* of a RST, as far as it can be told */
	FLOW_WHY_NONE,
	FLOW_WHY_UNREAD,		/* closed with input that nobody read */
	FLOW_WHY_LATE_DATA,		/* data came after the program closed */
	FLOW_WHY_ABORT,			/* linger 0, or connect(AF_UNSPEC) */
	FLOW_WHY_EITHER,		/* UNREAD or ABORT: they look alike */
	FLOW_WHY_SILENCE,		/* keep-alive probes, no answer */
	FLOW_WHY_GONE			/* it knew no such connection */
};

struct flow_side {
	uint32_t	isn;		/* of the SYN, or seen first */
	uint32_t	next;		/* beyond what was sent, FIN counted */
	uint32_t	acked;		/* what the other side acknowledged */
	uint32_t	fin;		/* sequence number of its FIN */
	bool		seen;		/* its sequence numbers are known */
	bool		sent_syn, sent_fin, fin_acked;
	bool		sent_rst;	/* that counted, or came late */
	bool		probed;		/* its last is a keep-alive probe, */
					/* and nothing came since */
	int64_t		sent_us;	/* when its last was seen, but a RST */
	bool		shut;		/* the last window it gave was 0 */
	uint64_t	segments;
	uint64_t	span;		/* of sequence numbers, in all */
	uint64_t	before;		/* flow_sent() at the other's FIN */
};

struct flow {
	struct endpoint	 who[2];	/* FLOW_CLIENT, FLOW_SERVER */
	struct flow_side side[2];
	enum flow_end	 end;
	enum flow_why	 why;
	int		 first;		/* who closed first; -1: nobody yet */
	int		 reset_by;	/* -1: nobody */
	bool		 from_syn;	/* the capture has its beginning */
	bool		 mptcp;		/* one path of a connection */
	int64_t		 began_us, last_us;
};

/*
 * Begins with its first segment, which is fed, too.  Where that is no SYN, the
 * end with the lower port is taken for the server.
 */
void	flow_begin(struct flow *f, const struct segment *s);
void	flow_feed(struct flow *f, const struct segment *s);

/*
 * Is it a segment of this connection?  One that begins another between the
 * same ports (TIME_WAIT does not keep them for long) is not.
 */
bool	flow_has(const struct flow *f, const struct segment *s);

/* Nothing more is to come but what is late: both FINs acknowledged, or RST. */
bool	flow_over(const struct flow *f);

/*
 * Bytes of data that this side sent, each counted once; those of them that
 * nobody acknowledged.  What its kernel had still to send was never here, and
 * what a RST says of an acknowledgement its receiver does not look at.  Where
 * the other direction was not captured, nobody knows what was lost: 0.
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
