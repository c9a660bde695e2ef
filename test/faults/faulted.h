/*
 * faulted.h - closes that are done while system calls of the library fail
 *
 * A setting is a connection of some kind, a peer that does something to it, and
 * a form of close.  What each setting ends in when nothing fails is known.
 */
#ifndef TEST_FAULTED_H
#define TEST_FAULTED_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include <graceclose.h>

#include "faults/fault.h"
#include "support/util.h"

#define SENT		3000	/* bytes, by us */
#define LATE		5000	/* by the peer */
#define SHORT_MS	16	/* limit where it is known to run out */
#define LONG_MS		100	/* and where it is not to */
/* For what a busy machine delays. */
#define PATIENCE_MS	(T_SLOW ? 16000 : 8000)
/* The rest of a loop is like these. */
#define NTH_MAX		(T_VALGRIND ? 1 : 4)

enum { PLAIN, MULTIPATH, FELL_BACK, LOCAL, WAYS };

struct way {
	const char	*name;
	int		 listens, connects;	/* families */
};

#define EITHER	(-1)	/* 0 or ECONNRESET, whichever is first */

/* What a close is to return, by `until`, when nothing fails. */
struct peer {
	const char	*name;
	void		(*before)(struct t_pair *);
	void		(*later)(int);
	int		 ways;		/* loop end */
	int		 error[2];
};
#define PEERS	((size_t)10)

/* A close, and what is known after it. */
struct run {
	struct t_pair	p;
	int		limit;		/* ms */
	int		result, error;
	bool		kept;		/* the descriptor was not taken */
	int		told;		/* how many reports there are */
	struct graceclose_report report;
};

/* A call of the library. */
#define CALL(r, call) do {						\
	errno = T_ERRNO_UNTOUCHED;					\
	fault_enter();							\
	(r)->result = (call);						\
	(r)->error = errno;						\
	fault_leave();							\
} while (0)

enum { UNTIL_FINISHED, UNTIL_DELIVERED, AT_ONCE };

struct form {
	const char	*name;
	void		(*run)(struct run *);
	int		 until;
	int		 reports;
	bool		 limited;	/* else for peers that end it */
};
#define FORMS	8

struct setting {
	const struct form	*form;
	const struct peer	*peer;
	const struct way	*way;
};
#define SETTINGS	((size_t)FORMS * WAYS * PEERS)

extern const struct way faulted_ways[WAYS];

/* A setting by its number; false: there is none. */
bool	faulted_setting(size_t, struct setting *);
/* Why it cannot be set here, or NULL. */
const char *faulted_missing(const struct setting *);
/* We connect: MPTCP falls back where the listener is of TCP. */
void	faulted_pair(struct t_pair *, const struct way *);

/* We send SENT bytes; and so, to a peer that has half-closed. */
/* The program of an AF_UNIX peer reads what comes by the first of them. */
void	faulted_send(struct t_pair *);
void	faulted_send_unread(struct t_pair *);
void	faulted_closed(struct t_pair *);
void	faulted_fin(int);		/* the peer's, if it is still there */

/* graceclose(), until finished; and the same by a reaper. */
void	faulted_finished(struct run *);
void	faulted_by_reaper(struct run *);

/* How much of it the peer has, as far as it can still be asked. */
size_t	faulted_arrived(int peer);

#endif /* TEST_FAULTED_H */
