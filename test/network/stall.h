/*
 * stall.h - a thread that measures for how long this process did not run
 *
 * The thread sleeps for some milliseconds at a time.  What it sleeps longer is
 * a stall: the machine had no processor for this process, or a signal stopped
 * it, which run-delay (support/starved.h) does not count.
 */
#ifndef TEST_STALL_H
#define TEST_STALL_H

#include <stdint.h>

/* One of so many ms spoils a measurement: the shortest bounds are as long. */
#define STALL_MS	20

struct stall {
	int64_t	beat_ms;	/* when the thread ran last; 0: never */
	int64_t	longest_ms;	/* the longest stall since stall_begin() */
	int64_t	total_ms;	/* all of them together */
};

/* One thread a process; the memory may be shared with other processes. */
void	stall_start(struct stall *);
void	stall_begin(struct stall *);
/* The longest stall, one that still goes on included. */
int64_t	stall_longest_ms(const struct stall *);
/* All stalls of 10 ms and more, likewise. */
int64_t	stall_total_ms(const struct stall *);

#endif /* TEST_STALL_H */
