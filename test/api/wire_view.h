/*
 * wire_view.h - what the two sides of a connection have sent, as words
 *
 * What a side has sent since it was connected is written as a word:
 *
 *	D	data, in however many segments
 *	F	FIN
 *	R	RST
 *
 * A pure acknowledgement has no letter, nor has what is sent again; a second F
 * is a FIN with another sequence number, and each RST has its R.
 */
#ifndef TEST_WIRE_VIEW_H
#define TEST_WIRE_VIEW_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <graceclose.h>

#include "closewatch/segment.h"
#include "support/util.h"

#define WORD_SIZE	8

enum { US, PEER };

struct conn {
	struct t_pair	p;
	const char	*name;		/* of the scene, for a failure */
	in_port_t	port[2];
	size_t		from;		/* older segments are no news */
};

/* One side of the connection, as far as the capture shows it. */
struct side {
	bool		begun;
	uint32_t	isn;
	uint32_t	next;		/* beyond what it has sent */
	uint32_t	acked;		/* of that, by the other side */
	char		word[WORD_SIZE];
};

struct view {
	const struct conn	*c;
	const struct segment	*all;
	size_t			 n;
	struct segment		 last, before;	/* of this connection */
	struct side		 side[2];
	size_t			 news;	/* since conn.from; no repeats */
	size_t			 repeats;
};

/* A test case each of whose tests starts a new capture. */
TCase	*wire_case(Suite *, const char *);

void	 wire_connect(struct conn *, const char *name, int any);
in_port_t wire_port(int fd);
void	 wire_look(struct view *, const struct conn *);

/*
 * Waits until what was sent is acknowledged, or reset; what comes from now on
 * is news.  wire_quiet_within returns false where that took longer.
 */
bool	 wire_quiet_within(struct conn *, int limit_ms);
void	 wire_quiet(struct conn *);

/* Resets a peer that is still open; or reads it to its EOF and closes it. */
void	 wire_finish(struct conn *);
void	 wire_peer_ends(struct conn *);

/* NULL, or what differs from the expected words, with all segments. */
const char *wire_other_than(const struct conn *, const char *us,
	    const char *peer, bool in_order);
const char *wire_other_already(const struct conn *, const char *us);
const char *wire_news(const struct conn *);

/*
 * The words of both sides: in any order; with every byte acknowledged and an
 * ACK at the end; what we have sent until this moment; nothing new at all.
 */
#define is_null(call) do {						\
	const char *is_null_ = (call);					\
	ck_assert_msg(is_null_ == NULL, "%s", is_null_);		\
} while (0)
#define sent(c, us, peer)	is_null(wire_other_than(c, us, peer, false))
#define sent_in_order(c, us, peer) is_null(wire_other_than(c, us, peer, true))
#define sent_already(c, us)	is_null(wire_other_already(c, us))
#define silent(c)		is_null(wire_news(c))

/* A reaper with t_done. */
struct graceclose_reaper *
	 wire_reaper(unsigned max, int when_full);

#endif /* TEST_WIRE_VIEW_H */
