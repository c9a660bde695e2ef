/*
 * link.h - a link between two hosts that loses, duplicates and delays packets
 *
 * The library closes connections over it, and the tests choose what the link
 * does to each segment.  Both hosts are network namespaces with a TUN device
 * (netns.h): ours, with the library, and the peer's.  One thread, the link's,
 * carries every packet from one device to the other, or drops it, and keeps a
 * log of all of them.  The peer is a socket in its namespace, or a program that
 * speaks TCP by itself (scripted_peer.h) in place of that namespace.
 *
 * A process has one link, and one connection at a time.  workers.h runs many
 * processes at once.
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
 * What happens to the nth segment (from 1) of some kind that goes this way, and
 * to those after it: to `times` segments in all, 0 for all that follow, counted
 * from when the rule was made.  A duplicate counts as one more segment of its
 * kind, and is not duplicated again.
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
 * What happens to segments of one way by chance, with the names of netem; all
 * zero is a perfect link.  The nth segment of a way has the same fate whenever
 * the seed is the same.
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
 * The log: each segment that entered the link, in that order.  A long log drops
 * its older half, which the counts and the proof keep.
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
 * t_link_prepare opens the link of this process and moves the process to our
 * namespace, before the process has a thread.  In a child of a process that has
 * a link it makes another one.  t_link_missing: why this machine allows no
 * link, or NULL.  Round trips take microseconds, segments have 1500 bytes at
 * most.  The kernel's minimum retransmission timeout is 20 ms on both hosts
 * where the kernel lets us set it, and 200 ms elsewhere: t_link_rto_ms.
 */
void		 t_link_prepare(void);
const char	*t_link_missing(void);
int		 t_link_rto_ms(void);

/*
 * Before a new connection: forgets the log, the rules, the impairments and the
 * program that was the peer's host, and waits until no packet is under way, 100
 * ms at most.  The seed is for the impairments.  The link neither carries nor
 * logs segments of connections that began before.
 */
void		 t_link_begin(uint64_t seed);
void		 t_link_rule(const struct t_rule *);
void		 t_link_impair(int way, const struct t_impair *);
void		 t_link_cut(bool);		/* it loses everything, or not */

/* A socket of our host or the peer's, of a family below T_TCP; its address. */
int		 t_link_socket(int family, bool peer);
socklen_t	 t_link_address(struct sockaddr_storage *, int family,
		    bool peer, in_port_t port);	/* host byte order */
/* Both ends are sockets: we accept the connection, or connect. */
void		 t_link_pair(struct t_pair *, int family, bool connecting);

/*
 * A program in place of the peer's host.  Only the link's thread calls it.
 * `input` gets each IP packet that arrives.  `tick` is called when it is due,
 * and after each input; it returns when it wants the next call, or INT64_MAX.
 * Times are CLOCK_MONOTONIC in microseconds.  The link is locked meanwhile: a
 * thread that holds a lock which these take may call t_link_wake and nothing
 * else of this file.
 */
struct t_host {
	void	(*input)(void *, const void *packet, size_t length,
		    int64_t now_us);
	int64_t	(*tick)(void *, int64_t now_us);
	void	 *arg;
};
/*
 * NULL: the peer's namespace again; the link drops what is left of connections
 * with the program.  When t_link_host returns, the program before is no longer
 * called.
 */
void		 t_link_host(const struct t_host *);
void		 t_link_send(const void *packet, size_t length); /* to us */
void		 t_link_wake(void);		/* calls tick soon */

/*
 * What went over the link so far.  t_link_log copies the last `max` segments at
 * most, and returns how many.  `seen` counts the segments that entered, by way
 * and kind (the number of its bit), `carried` those that left.  t_link_settle
 * waits until nothing was under way for 2 ms, and fails the test where that
 * never comes.
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
 * all).  Sequence numbers are bytes from 0, without SYN and FIN.  What the peer
 * sent counts as taken once we acknowledged it, from the time when it arrived:
 * our kernel may acknowledge it 40 ms later.  An ACK or a RST counts if our
 * kernel had to accept it (RFC 9293 3.10.7.4, RFC 5961).  No RST of either side
 * counts once both FINs are acknowledged: it ends nothing.  All this is about
 * plain TCP: the oracle does not read the data sequence of MPTCP.
 */
struct t_proof {
	uint64_t	sent;		/* by us, at least once */
	uint64_t	acked;		/* of that, by an ACK that reached us */
	uint64_t	taken;		/* of the peer's, acknowledged by us */
	bool		fin_sent;	/* ours */
	bool		fin_acked;	/* and that reached us */
	bool		fin_answered;	/* by nothing but a RST: its data was
					   acknowledged, the peer's FIN here */
	bool		fin_here;	/* the peer's was, in order */
	bool		fin_taken;	/* and we acknowledged it */
	bool		rst_sent;	/* by us */
	bool		rst_reached;	/* one that we had to accept; later
					   segments reach no connection */
	bool		unsure;		/* the log does not show whether our
					   kernel took all that is counted */
	int64_t		fin_acked_us, fin_taken_us;
	int64_t		rst_us, rst_reached_us;		/* the first */
	int64_t		progress_us;	/* last of acked, taken, FINs */
};
void		 t_link_proof(struct t_proof *, int64_t until_us);

/*
 * Prints the log like tcpdump(1) for a failure, with a bounded length.  > is
 * from us, and each side's SYN is number 0.
 */
void		 t_link_print(FILE *);

int64_t		 t_now_us(void);

#endif /* TEST_LINK_H */
