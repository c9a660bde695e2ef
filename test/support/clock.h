/*
 * clock.h - time: what it is, waits, and a faster clock for the library
 */
#ifndef TEST_CLOCK_H
#define TEST_CLOCK_H

#include <stdint.h>

int64_t		 t_now_ms(void);
int64_t		 t_cpu_ms(void);		/* of this thread */
void		 t_pause(int);			/* milliseconds */

/*
 * From now on the library's CLOCK_MONOTONIC runs this many times faster; 1
 * ends it.  A poll(2) waits as long as before, so run t_storm as well.
 * t_now_ms and the waits of the tests keep to real time.
 */
void		 t_clock(int);

/*
 * `late` returns by how many ms something was late.  The soonest of five tries
 * must be within the limit: a stall of the machine makes one of them late.
 */
void		 t_prompt(int64_t (*late)(int), int arg, int64_t limit_ms);

#endif /* TEST_CLOCK_H */
