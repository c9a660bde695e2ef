/*
 * closer.h - one close: what its parts share
 *
 * closer.c takes the steps, schedule.c says when, verdict.c decides how the
 * close ends.
 *
 *	IDLE --begin--> GOING --step--> OVER --end--> RELEASED
 */
#ifndef GRACECLOSE_CLOSER_H
#define GRACECLOSE_CLOSER_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct graceclose;
struct graceclose_report;

enum {					/* phase */
	IDLE = 0,
	GOING,
	OVER,
	RELEASED
};

/* flags */
#define HALF_CLOSED	1	/* our FIN is queued, or sent */
#define COUNTED		2	/* unacked holds a count */
#define DEAF		4	/* EOF by our own SHUT_RD: no FIN came */
#define MORE		8	/* the last step left input unread */
#define STALLED		16	/* the last step brought nothing new */
#define MISSED		32	/* recv failed: no event will come */
#define WITHHELD	64	/* bytes may wait above TCP */
#define FAILING		128	/* recv failed twice in a row */

/* In gc->options: the edge before this step tells of no input, and no FIN. */
#define NO_INPUT	(1U << 31)

#define SETTLED_MS	5	/* from look to look, with nothing to send */
#define STEP_MAX	((size_t)1 << 20) /* bytes of input in a step */

/*
 * --- verdict.c ---
 */

/* What opts.until asks for has come true. */
bool	graceclose_reached(const struct graceclose *gc);

/* More late input than discard_max. */
bool	graceclose_flooded(const struct graceclose *gc);

/* The verdict: the close is over. */
void	graceclose_over(struct graceclose *gc, int outcome, int error);

/*
 * Counts into gc->unacked what is not acknowledged, our FIN not among it.
 * Returns what graceclose_tcp_outq() did.
 */
int64_t	graceclose_count(struct graceclose *gc);

/*
 * Looks at what the peer's TCP has acknowledged; true where that is news.
 * early: another look follows anyway, so what costs more calls can wait.
 */
bool	graceclose_acknowledge(struct graceclose *gc, bool early);

/* The close fails, unless a last look shows that it has not. */
void	graceclose_fail(struct graceclose *gc, int outcome, int error);

/* recv(2) failed with this errno value: nothing unread yet, or an end? */
void	graceclose_refused(struct graceclose *gc, int error);

/* Nothing is left of the connection: decides how it ended. */
void	graceclose_bury(struct graceclose *gc);

/*
 * Takes what is unread, at most a full receive buffer.  Returns the errno value
 * of a reset or loss that recv met, which no later call will report, or 0.
 */
int	graceclose_sweep(struct graceclose *gc);

/* What step and end return: 1, 0, or -1 with errno; saved is errno for 0. */
int	graceclose_verdict(const struct graceclose *gc, int saved);

/* The report; and that of a close that never began. */
void	graceclose_fill(const struct graceclose *gc,
	    struct graceclose_report *report);
void	graceclose_no_close(struct graceclose_report *report, int error);

/*
 * --- input.c ---
 */

/*
 * Takes late input, at most max bytes: to opts.late, or away.  Returns as
 * recv(2) does.
 */
ssize_t	graceclose_input(struct graceclose *gc, size_t max);

/*
 * --- schedule.c ---
 */

/*
 * Ends the close where a limit has run out, or says when the next look is.
 * progress: the step has found something new.
 */
void	graceclose_schedule(struct graceclose *gc, bool progress);

/*
 * When the next step is due, after one that returned 1, in a loop that has
 * timers and perhaps no events: microseconds of graceclose_tcp_clock(),
 * INT64_MAX: never.
 */
int64_t	graceclose_due(const struct graceclose *gc);

#endif /* GRACECLOSE_CLOSER_H */
