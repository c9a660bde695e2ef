/*
 * scripted_peer.h - a TCP peer without a kernel that does what its script says
 *
 * It takes the place of the peer's host on a link (link.h), so that a test can
 * have a peer that no kernel would be.  Without a script it behaves well: it
 * acknowledges at once what arrives in order, keeps its window open, and sends
 * again after T_PEER_RTO_MS what was not acknowledged.  A script is a list of
 * moves, which the peer makes one after the other, each as soon as it can.  A
 * move changes its habits, sends something, or waits.
 *
 * What arrives is acknowledged before the next move is made: after
 * {P_AWAIT_DATA, n}, {P_ACKS, 0} these n bytes are acknowledged, and what comes
 * behind them is not, not even a FIN in the same segment.  Habits at the head
 * of a script hold from the SYN on, so that its window may be 0 from the start.
 */
#ifndef TEST_SCRIPTED_PEER_H
#define TEST_SCRIPTED_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/util.h"

#define T_PEER_RTO_MS	50
#define T_PEER_WINDOW	65535		/* no scaling */
#define T_PEER_MSS	1400

enum t_move_kind {
	P_END = 0,
	/* Waits: until ... */
	P_AWAIT_DATA,	/* so many bytes of ours are here in all */
	P_AWAIT_FIN,	/* our FIN is here, and all before it */
	P_AWAIT_ANY_FIN,/* our FIN is here, whatever is missing before it */
	P_AWAIT_ACKED,	/* everything that it sent is acknowledged */
	P_AWAIT_GO,	/* t_peer_go() was called once more */
	P_SLEEP,	/* so many ms have passed */
	/* Habits, which stay */
	P_ACKS,		/* 1: acknowledges again, at once what is here; 0: no */
	P_ACK_LATE,	/* each ACK by so many ms; 0: at once */
	P_WINDOW,	/* the window that it tells, bytes; data beyond it is
			   not taken, a probe is answered */
	P_REPEATS,	/* 0: never sends anything again */
	/* What it does once */
	P_ACK_UP_TO,	/* P_ACKS 0; and once so many bytes of our data are
			   here, they are acknowledged */
	P_SEND,		/* so many bytes of data, as our window allows */
	P_DRIP,		/* one byte each so many ms, for ever; goes on beside
			   the moves that follow, until P_FIN or P_STOP */
	P_FLOOD,	/* data without end, likewise: so many bytes each ms,
			   0: as fast as our window lets it */
	P_STOP,		/* ends these two */
	P_FIN,		/* behind all that was sent; carried again if lost */
	P_DATA_BEHIND,	/* so many bytes with numbers behind its FIN, once;
			   Linux drops them, unless both wait together, for a
			   gap before them or for its lock: then it joins the
			   two, and the FIN is behind (tcp_add_to_backlog(),
			   tcp_ooo_try_coalesce()) */
	P_RST,		/* RST|ACK at the number that we expect (when nothing
			   on the way was lost), plus so many; no connection
			   is left if that is 0, and RST the answer to all */
	P_RST_OUTSIDE,	/* likewise, far outside of our window: to be ignored;
			   the connection goes on */
	P_VANISH	/* the connection is forgotten: nothing is answered,
			   which a host that has crashed and is up would do */
};

struct t_move {
	enum t_move_kind kind;
	int64_t		 n;
};

#define T_MOVES		12

struct t_script {
	const char	*name;
	struct t_move	 moves[T_MOVES];
};

/*
 * A connection with such a peer, over IPv4: it connects to us, or we to it.
 * The script begins when the connection is established; there is one peer at a
 * time, and it stays the peer's host until t_peer_gone().  The test fails where
 * no connection is made within T_LIMIT_MS.  Call t_link_begin() first, then
 * make the rules.  When it returns, the script has come to its first wait.
 */
int		 t_peer_connect(const struct t_script *, bool connecting);
void		 t_peer_go(void);
void		 t_peer_gone(void);

/* What it has seen and done so far. */
struct t_peer_seen {
	uint64_t	received;	/* bytes of ours, in order */
	bool		intact;		/* and each was the right one */
	uint64_t	acked;		/* of these it has acknowledged */
	bool		fin;		/* ours, in order */
	bool		fin_acked;
	bool		rst;		/* of ours, accepted: in order, or in
					   the window; all is silent then */
	unsigned	rsts;		/* of ours, all */
	uint64_t	sent;		/* bytes of its own, at least once */
	uint64_t	sent_acked;	/* of these */
	bool		fin_sent;
	bool		fin_sent_acked;
	bool		done;		/* the script's last move was made */
	int64_t		done_us;	/* when */
};
void		 t_peer_seen(struct t_peer_seen *);
/* Waits until it is so; beyond T_LIMIT_MS the test fails with the text. */
void		 t_peer_await(bool (*)(const struct t_peer_seen *),
		    const char *);

/* The bytes of our data, by their place: `intact` compares with these. */
void		 t_pattern(unsigned char *, uint64_t from, size_t n);

#endif /* TEST_SCRIPTED_PEER_H */
