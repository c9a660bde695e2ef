/*
 * sandbox_close.h - closes, looks and peers for a sandbox
 */
#ifndef TEST_SANDBOX_CLOSE_H
#define TEST_SANDBOX_CLOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <graceclose.h>

#include "api/sandbox.h"
#include "support/util.h"

#define SANDBOX_SENT	3000	/* bytes, by us */
#define SANDBOX_LATE	5000	/* by the peer */
#define SANDBOX_LIMIT	200	/* ms: timeout_ms of what has one */
#define SANDBOX_IDLE	5000	/* ms: of graceful_close */

/* Families, as t_pair has them, without IPv6. */
#define SANDBOX_FAMILIES	3
extern const int sandbox_families[SANDBOX_FAMILIES];

/* What the act has to say, in memory that it shares with the test. */
struct sandbox_said {
	int	fd;
	int	result, error;
	bool	released;		/* fd is free */
	int	told;			/* reports */
	struct graceclose_report report;
};

/* What the calls of a form are in the table of graceclose(7). */
struct sandbox_form {
	const char	*name;
	void		(*act)(void *said);
	const char	*calls;		/* of the library */
	const char	*ours;		/* of the loop around it */
	int		 until;		/* FINISHED, DELIVERED */
	int		 limit_ms;	/* 0: none, it waits for nothing */
	bool		 detaches;	/* else an expiry resets */
	bool		 reports;
	bool		 threads;	/* and those of libc for a thread */
};
#define SANDBOX_FORMS	6
#define SANDBOX_GRACECLOSE	2
#define SANDBOX_ABORT	5	/* the last one: abort_close */
extern const struct sandbox_form sandbox_forms[SANDBOX_FORMS];

/* The looks, which have no limit; `said' is their result and errno. */
struct sandbox_look {
	const char	*name;
	void		(*act)(void *said);
	const char	*calls;
};
#define SANDBOX_LOOKS	4
extern const struct sandbox_look sandbox_looks[SANDBOX_LOOKS];

/* Of libc: memory, a thread, a lock. */
extern const char sandbox_libc[];

/*
 * A peer.  `before' readies the connection, `meanwhile' runs beside the close,
 * and sandbox_peer_reads ends it.  `error' is what the close returns where it
 * may call what it likes: by `until'.
 */
struct sandbox_peer {
	const char	*name;
	void		(*before)(struct t_pair *);
	void		(*meanwhile)(struct t_pair *);
	size_t		 got;		/* bytes that `before' let it read */
	int		 error[2];
};
#define SANDBOX_EITHER	(-1)	/* 0 or an errno: the peer tells which */
#define SANDBOX_SILENT	4	/* from here on a limit runs out */
#define SANDBOX_PEERS	6
extern const struct sandbox_peer sandbox_peers[SANDBOX_PEERS];

/* One close or look in a sandbox. */
struct sandbox_case {
	const struct sandbox_form *form;
	const struct sandbox_look *look;	/* where there is no form */
	const struct sandbox_peer *peer;
	int		 family;
	struct t_pair	 p;
	struct sandboxed s;
	struct sandbox_said *said;
	bool		 in_time;
};
/* For each of those of a family; the sandbox has the calls of the case. */
void		 sandbox_play(struct sandbox_case *, const struct sandbox *,
		    int family);
void		 sandbox_over(struct sandbox_case *);	/* closes the peer */

/* The limit of the case, in ms, and whether it is a promise of the form. */
int		 sandbox_limit(const struct sandbox_case *);

/* What the close must return where nothing is refused, or SANDBOX_EITHER. */
int		 sandbox_expected(const struct sandbox_case *);

/* What is wrong with what the peer has seen, or NULL. */
const char	*sandbox_seen(struct sandbox_case *);

#endif /* TEST_SANDBOX_CLOSE_H */
