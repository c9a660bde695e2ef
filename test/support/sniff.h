/*
 * sniff.h - every TCP segment that goes over loopback, in the order in which
 * they were sent
 *
 * A segment is taken where it leaves, by AF_PACKET, into memory shared with the
 * kernel: whatever a system call sends is here before the call returns, and a
 * filter on the receiving socket hides nothing.  A segment that was not taken
 * for lack of room fails the test.
 */
#ifndef TEST_SNIFF_H
#define TEST_SNIFF_H

#include <stddef.h>

#include "closewatch/segment.h"

/*
 * To be called by main, before there is a thread.  The process moves to a
 * network of its own where it may, and to one CPU.
 */
void		 sniff_prepare(void);

/* Why there is no capture here, or NULL. */
const char	*sniff_missing(void);

/* Forgets what was seen so far. */
void		 sniff_again(void);

/* All segments since then: so far, or when no more are on their way. */
const struct segment *sniff_now(size_t *);
const struct segment *sniff_settled(size_t *);

#endif /* TEST_SNIFF_H */
