/*
 * tiny_tcp.h - a TCP without a kernel, as small as the scripted peer needs it
 *
 * It keeps no segment that arrives out of order: it answers with a duplicate
 * ACK, and the kernel sends again.  It knows no option but the MSS, has no
 * congestion control, and one timeout for everything.  A test can change each
 * of its habits while it runs.
 *
 * Places in either direction are counted from the SYN, which is 0: data begins
 * at 1, a FIN takes the place behind it.  Only segments have numbers.
 */
#ifndef TEST_TINY_TCP_H
#define TEST_TINY_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "closewatch/segment.h"

#define TINY_TCP_LATES	64

enum tiny_tcp_life {
	TINY_TCP_SILENT,	/* no connection, and no answer */
	TINY_TCP_LIVING,
	TINY_TCP_REFUSING	/* no connection, RST is the answer */
};

struct tiny_tcp {
	int64_t		now_us;		/* of the call under way */
	enum tiny_tcp_life life;
	struct endpoint	us, peer;	/* us: port 0 until known */

	/* Called when something has arrived and was acknowledged. */
	void		(*news)(struct tiny_tcp *);

	/* Receiving. */
	uint32_t	isn;		/* ours */
	bool		heard;		/* our SYN */
	int64_t		got;		/* all before this place */
	int64_t		acked;		/* the place that it tells us */
	int64_t		window;
	bool		acks;
	int64_t		late_us;
	struct {			/* ACKs that are to leave later */
		int64_t	due_us;
		int64_t	place;
	}		lates[TINY_TCP_LATES];
	size_t		nlates;
	bool		spoilt;		/* a byte was not as t_pattern() says */
	bool		fin;		/* ours, in order */
	bool		any_fin;
	bool		rst;
	unsigned	rsts;

	/* Sending. */
	int64_t		una, nxt, max;	/* unacknowledged, next, ever sent */
	int64_t		end;		/* of what is to be sent */
	int64_t		room;		/* our window */
	bool		closing;	/* a FIN comes behind `end` */
	bool		repeats;
	bool		cautious;	/* one segment, until an ACK */
	bool		probed;		/* a byte beyond the window is out */
	int64_t		rto_us;
};

/*
 * A new connection to our `port`, or from us where `port` is 0.  `theirs` is
 * the peer's port.
 */
void	tiny_tcp_open(struct tiny_tcp *, in_port_t port, in_port_t theirs,
	    void (*news)(struct tiny_tcp *));
bool	tiny_tcp_established(const struct tiny_tcp *);
void	tiny_tcp_die(struct tiny_tcp *, enum tiny_tcp_life left);

/* For the link; the tick returns when it wants the next one. */
void	tiny_tcp_input(struct tiny_tcp *, const void *packet, size_t length);
int64_t	tiny_tcp_tick(struct tiny_tcp *);

/*
 * say sends a segment of n bytes at this place, or with a flag, and changes
 * nothing.  push sends what may be sent.  tell sends an ACK.
 */
void	tiny_tcp_say(struct tiny_tcp *, int flags, int64_t at, int64_t n);
void	tiny_tcp_push(struct tiny_tcp *);
void	tiny_tcp_tell(struct tiny_tcp *);
void	tiny_tcp_acks(struct tiny_tcp *, bool);
void	tiny_tcp_late(struct tiny_tcp *, int64_t us);

/* How many bytes of ours are before a place that it got to. */
int64_t	tiny_tcp_bytes(const struct tiny_tcp *, int64_t upto);

static inline int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static inline int64_t
most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

#endif /* TEST_TINY_TCP_H */
