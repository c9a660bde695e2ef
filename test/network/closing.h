/*
 * closing.h - closes one connection in any form that the library offers, and
 * records the result
 */
#ifndef TEST_CLOSING_H
#define TEST_CLOSING_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include <graceclose.h>

#include "network/link.h"

/* The forms in which a program can close a connection. */
enum closing_form {
	F_GRACEFUL,		/* graceful_close() */
	F_LINGER,		/* linger_close() */
	F_ABORT,		/* abort_close() */
	F_BLOCKING,		/* graceclose() */
	F_EPOLL,		/* begin, step, end with epoll's edges */
	F_POLL,			/* and with poll alone */
	F_REAPER,
	FORMS
};

/* How to close; every form but the verbs has a report. */
struct closing_way {
	enum closing_form form;
	struct graceclose_opts opts;	/* what it amounts to, verbs too */
	bool		storm;		/* a signal every millisecond */
	int		cancel_ms;	/* ended then; 0: unstepped; -1 */
};
#define closing_reports(form)	((form) >= F_BLOCKING)

struct closing {
	int		value;		/* what it returned */
	int		error;		/* errno then, T_ERRNO_UNTOUCHED before */
	struct graceclose_report report;
	ino_t		socket;		/* its number */
	bool		released;	/* the descriptor, at the return */
	bool		cancelled;	/* we ended it */
	int64_t		start_us, end_us;
	unsigned	turns;		/* of a loop, if there was one */
};

/* A reaper's verdict counts as what a call would have returned. */
void	closing_run(struct closing *, const struct closing_way *, int fd);

/*
 * How often a loop may turn, given what has arrived: it sleeps until there is
 * news, or a look is due.  CPU time would show the same, but not where other
 * machines share the processor.
 */
unsigned closing_turns(const struct closing *, const struct t_counts *);

#endif /* TEST_CLOSING_H */
