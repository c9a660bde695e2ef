/*
 * matrix_peer.h - the peers of the matrix, and what each of them does
 *
 * A peer is a script for scripted_peer.h, and the same behaviour as plain
 * facts, from which matrix_expect.c derives the result of a close.  Neither
 * depends on the library.
 */
#ifndef TEST_MATRIX_PEER_H
#define TEST_MATRIX_PEER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network/scripted_peer.h"

#define M_WRITTEN	9000	/* by us: within the first flight of 10 MSS */
#define M_LAST		500	/* of these, written right before the close */
#define M_PART		4321	/* what some peers acknowledge of them */
#define M_LATE_MS	150	/* what is late */
#define M_PART_MS	350	/* from one part of an ACK to the next */

/* Times in ms after our FIN arrived there, or one of these. */
#define M_BEFORE	(-1)	/* known here before the close begins */
#define M_NEVER		INT_MAX

/* Ways of a peer, as bits. */
#define M_ENDLESS	0x01	/* its input has no end */
#define M_WAKES		0x02	/* when told to go it takes all, and ends */
#define M_SILENT	0x04	/* it is gone: no RST of ours finds anybody */
#define M_SHUT		0x08	/* its window is: our data is not even sent */
#define M_AT_ONCE	0x10	/* the close does not wait for `before` */
#define M_FLOODS	0x20	/* endless, as fast as it goes */
#define M_CHALLENGED	0x40	/* its RST is answered with an ACK */
#define M_KERNEL	0x80	/* it is none of ours, but a kernel's */
#define M_TOGETHER	0x100	/* its FIN leaves when ours does */
#define M_FAULTS	0x200	/* also with faults of the link */
#define M_HALFWAY	0x400	/* a part is acknowledged halfway there */
#define M_ANSWERS	0x800	/* our FIN, by a RST and nothing else */

struct m_peer {
	const char	*section;	/* NULL: that of the one above */
	struct t_script	 script;
	int		 acks;		/* bytes of our data, as it is */
	int		 delivered;	/* times: our FIN acknowledged, */
	int		 finished;	/* its FIN, */
	int		 reset;		/* and its RST */
	unsigned	 before;	/* bytes of input before the close, */
	unsigned	 late;		/* and before its FIN, if any */
	int		 ways;
};

extern const struct m_peer m_peers[];
extern const size_t m_npeers;

#endif /* TEST_MATRIX_PEER_H */
