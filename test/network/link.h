/*
 * link.h - a network of our own that can be as bad as we want it
 *
 * Two hosts, HERE with the library and THERE with its peer, each a network
 * namespace with a TUN device, and one thread that carries every packet from
 * one to the other, or does not.  The peer is a socket THERE, or a program that
 * speaks TCP by itself (scripted_peer.h), which then is the host THERE.
 *
 * One wire a process, one connection at a time: whoever wants many at once
 * forks (workers.h).
 */
#ifndef TEST_LINK_H
#define TEST_LINK_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "closewatch/segment.h"
#include "support/util.h"

/* The two ways of a segment, as an index. */
enum { T_OUT, T_IN, T_WAYS };		/* from us; to us */

/* Kinds, as bits: a segment may be of several; and the numbers of the bits. */
enum { T_SYN_BIT, T_FIN_BIT, T_RST_BIT, T_DATA_BIT, T_ACK_BIT, T_OTHER_BIT,
    T_KINDS };
#define T_SYN		(1 << T_SYN_BIT)
#define T_FIN		(1 << T_FIN_BIT)
#define T_RST		(1 << T_RST_BIT)
#define T_DATA		(1 << T_DATA_BIT)
#define T_ACK		(1 << T_ACK_BIT)	/* nothing but that */
#define T_OTHER		(1 << T_OTHER_BIT)	/* no TCP: ICMP and the like */

/*
 * What is done to the nth segments (from 1) of some kind that goes this way:
 * `times` of them, 0 for all that follow, counted from when the rule was made.
 * A copy counts as one more segment of its kind, and is not copied again.
 */
enum t_action { T_LOSS, T_DELAY, T_DUPLICATE };

struct t_rule {
	int		way;
	int		kinds;		/* any of these */
	unsigned	nth;		/* 0: as 1 */
	unsigned	times;
	enum t_action	action;
	int		delay_ms;	/* T_DELAY: and what follows overtakes */
};
#define T_RULES		8

/*
 * By chance, each way; all zero is fine weather.  The nth segment of a way has
 * the same fate whenever the seed is the same.
 */
struct t_impair {
	unsigned	loss;		/* of 1,000 segments */
	unsigned	duplicate;
	unsigned	reorder;	/* overtaken by what follows */
	int		delay_us;	/* of each segment, at least */
	int		jitter_us;	/* and up to so much more, in order */
	int		reorder_us;	/* delay of those, besides */
};

/*
 * The log: each segment that entered the wire, in that order.  Of a long one
 * the older half is forgotten, but not by the counts and the truth.
 */
enum t_fate { T_CARRIED, T_LOST, T_UNDER_WAY };

struct t_packet {
	struct segment	s;		/* s.us: when it entered */
	int64_t		out_us;		/* when it left, CLOCK_MONOTONIC */
	int		way;
	int		kinds;
	int		fate;
	int		shift;		/* a SYN's window scale, or -1 */
	bool		sack;		/* a SYN's, permitted */
};
#define T_LOG		16384

/*
 * Opens the wire of this process.  t_link_prepare: before there is a thread,
 * moves the process to HERE; in a child of a process that has a wire it makes
 * another one.  t_link_missing: why there is no wire here, or NULL.  Round
 * trips take microseconds, segments are of 1500 bytes at most.  The kernel's
 * least retransmission timeout is 20 ms on both hosts where it can be set, 200
 * else: t_link_rto_ms.
 */
void		 t_link_prepare(void);
const char	*t_link_missing(void);
int		 t_link_rto_ms(void);

/*
 * A new connection: forgets the log, the rules, the weather and the program
 * that was the host THERE; waits until nothing is under way, 100 ms at most.
 * The seed is for the weather.  Of connections that began before, nothing is
 * carried any more, nor seen in the log.
 */
void		 t_link_begin(uint64_t seed);
void		 t_link_rule(const struct t_rule *);
void		 t_link_impair(int way, const struct t_impair *);
void		 t_link_cut(bool);		/* everything is lost, or not */

/* A socket of HERE or THERE, of a family below T_TCP, and its address. */
int		 t_link_socket(int family, bool there);
socklen_t	 t_link_address(struct sockaddr_storage *, int family,
		    bool there, in_port_t port);	/* host byte order */
/* We accepted it from the kernel THERE, or connected to it. */
void		 t_link_pair(struct t_pair *, int family, bool connecting);

/*
 * A host THERE that is a program: it is called by the wire's thread alone.
 * `input` gets each IP packet that is carried; `tick` is called when it is due,
 * and after each input; it returns when it wants to be called again, or
 * INT64_MAX.  Times are CLOCK_MONOTONIC in microseconds.  The wire is locked
 * meanwhile: a lock that these take is not to be held by others while they call
 * anything here but t_link_wake.
 */
struct t_host {
	void	(*input)(void *, const void *packet, size_t length,
		    int64_t now_us);
	int64_t	(*tick)(void *, int64_t now_us);
	void	 *arg;
};
/*
 * NULL: the kernel THERE again, and nothing is carried any more of what began
 * with the program.  Once it has returned, the one before is not called.
 */
void		 t_link_host(const struct t_host *);
void		 t_link_send(const void *packet, size_t length); /* to us */
void		 t_link_wake(void);		/* calls tick soon */

/*
 * What went over it so far; t_link_log copies the last `max` segments at most,
 * and returns how many.  `seen` counts what entered by way and kind (the number
 * of its bit), `carried` what got through.  t_link_settle: once nothing was
 * under way for 2 ms; a peer that never rests fails the test.
 */
size_t		 t_link_log(struct t_packet *, size_t max);
struct t_counts {
	unsigned	seen[T_WAYS][T_KINDS];
	unsigned	carried[T_WAYS][T_KINDS];
};
void		 t_link_counts(struct t_counts *);
void		 t_link_settle(void);

/*
 * What the segments prove of the first connection, up to a time (INT64_MAX:
 * all).  Sequence numbers as bytes from 0, SYN and FIN not counted.  What the
 * peer sent counts as taken once we acknowledged it, and from when it was here:
 * our kernel may acknowledge it 40 ms later.  An ACK or a RST counts if our
 * kernel had to accept it (RFC 9293 3.10.7.4, RFC 5961), and no RST of either
 * side once both FINs are acknowledged: it ends nothing.  All that is of plain
 * TCP: the data sequence of MPTCP is not looked at.
 */
struct t_proof {
	uint64_t	sent;		/* by us, at least once */
	uint64_t	acked;		/* of that, by an ACK that reached us */
	uint64_t	taken;		/* of the peer's, acknowledged by us */
	bool		fin_sent;	/* ours */
	bool		fin_acked;	/* and that reached us */
	bool		fin_here;	/* the peer's was, in order */
	bool		fin_taken;	/* and we acknowledged it */
	bool		rst_sent;	/* by us */
	bool		rst_reached;	/* one that we had to believe; what
					   comes later reaches nobody */
	bool		unsure;		/* nobody knows whether our kernel
					   took all that is counted, or more */
	int64_t		fin_acked_us, fin_taken_us;
	int64_t		rst_us, rst_reached_us;		/* the first */
	int64_t		progress_us;	/* last of acked, taken, FINs */
};
void		 t_link_proof(struct t_proof *, int64_t until_us);

/*
 * The log in the manner of tcpdump(1), for a failure; of a bounded length.  >
 * is from us, each side's SYN is number 0.
 */
void		 t_link_print(FILE *);

int64_t		 t_now_us(void);

#endif /* TEST_LINK_H */
