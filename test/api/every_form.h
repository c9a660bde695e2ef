/*
 * every_form.h - one close in every form that takes options: the blocking call,
 * a loop with epoll, a loop with poll, and a reaper
 *
 * The lowest digit of an index is the form.
 */
#ifndef TEST_EVERY_FORM_H
#define TEST_EVERY_FORM_H

#include "network/closing.h"

#define NFORMS		4
extern const enum closing_form every_form[NFORMS];
#define form_of(i)	every_form[(i) % NFORMS]

/* For tests that take long: each form and each family twice; once by half. */
#define DIAGONAL	(2 * T_FAMILIES)
#define diagonal(i)	(((i) + (i) / NFORMS) % T_FAMILIES)

extern struct closing_way way;		/* the close that form_close() makes */
extern struct closing closed;		/* its result */

/* Options with these limits; what else there is may be set in way.opts. */
void	 form_given(int i, int until, int timeout_ms, int idle_ms);
void	 form_close(int fd);

/* The close succeeded, with nothing unacknowledged and nothing to blame. */
void	 form_succeeded(int finished);
/* It failed with this errno value; and what is known of the peer. */
void	 form_failed(int error);
void	 form_knows(int delivered, int finished);
/* It took so long, in ms. */
void	 form_took(int64_t low, int64_t high);

#endif /* TEST_EVERY_FORM_H */
