/*
 * starved.h - measures whether the machine kept a test from running
 *
 * A test that failed while its own threads, or the kernel's network threads,
 * waited for a processor has shown nothing: it must run again.  Three
 * measures tell, each taken from a beginning until now:
 *   - run-delay: how long the threads of this process were runnable and did
 *     not run (/proc/self/task/N/schedstat);
 *   - pressure: how long any thread of the machine was in that state
 *     (/proc/pressure/cpu), which includes ksoftirqd, other processes of the
 *     test, and threads that have ended;
 *   - steal: how long the host kept our processors (/proc/stat).
 * A process that used half of all processors or more made itself wait, and
 * counts as starved by steal alone.
 *
 * All functions are safe in a signal handler and call nothing that
 * check_faults replaces.
 */
#ifndef TEST_STARVED_H
#define TEST_STARVED_H

#include <stddef.h>
#include <stdint.h>

struct starved {
	int64_t	at_ms;		/* CLOCK_MONOTONIC, whatever t_clock does */
	int64_t	cpu_ms;		/* processor time of this process */
	int64_t	delay_ms;	/* run-delay of its threads */
	int64_t	pressure_ms;
	int64_t	steal_ms;
};

/* What the measures are now: the beginning. */
void		 starved_begin(struct starved *);

/*
 * 1 if this process was starved since the beginning, else 0.  `why` receives
 * the measures as text in both cases; it may be NULL, with size 0.
 */
int		 starved_since(const struct starved *, char *why, size_t size);

/*
 * The same of a test that is overdue, which must have been starved for a
 * quarter of its time: one that hangs waits for no processor.
 */
int		 starved_late(const struct starved *, char *why, size_t size);

#endif /* TEST_STARVED_H */
