/*
 * graceclose.h - close a TCP socket right, and know whether it did
 *
 * A return of 0 from graceful_close() says that the peer's TCP acknowledged
 * every byte and that the peer ended its side.  -1 says by errno why that is
 * not so, and the report says how many bytes were never acknowledged.
 *
 * The contract stands in the pages: graceful_close(3), linger_close(3),
 * abort_close(3), peer_closed(3), graceclose(3), graceclose_begin(3),
 * graceclose_reaper(3), and graceclose(7) for the whole picture.
 */
#ifndef GRACECLOSE_H
#define GRACECLOSE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The four verbs.  The closing ones return 0, or -1 with errno, and release
 * the descriptor whatever they return.
 */
int	graceful_close(int fd);
int	linger_close(int fd, int timeout_ms);
int	abort_close(int fd);
int	peer_closed(int fd);		/* 1 yes, 0 no, -1 dead or not for it */

/* What a close waits for, and what happens when its limit runs out. */
enum graceclose_until	{ GRACECLOSE_FINISHED = 0, GRACECLOSE_DELIVERED = 1 };
enum graceclose_expiry	{ GRACECLOSE_DETACH = 0, GRACECLOSE_RESET = 1 };

struct graceclose_opts {		/* all zero: what graceful_close uses */
	int		until;		/* enum graceclose_until */
	int		on_expiry;	/* enum graceclose_expiry */
	int		timeout_ms;	/* whole close; 0: 30000; -1: none */
	int		idle_ms;	/* without progress; 0: 5000; -1: none */
	uint64_t	discard_max;	/* late input accepted; 0: no cap */
	uint64_t	reserved[3];	/* must be 0 */
};

enum graceclose_outcome {
	GRACECLOSE_OK = 0,		/* what opts.until asked for */
	GRACECLOSE_WAS_RESET,		/* ECONNRESET */
	GRACECLOSE_EXPIRED,		/* ETIMEDOUT */
	GRACECLOSE_FLOODED,		/* EMSGSIZE: beyond discard_max */
	GRACECLOSE_ABORTED,		/* ECANCELED: ended before it was over */
	GRACECLOSE_INVALID		/* any other errno */
};

struct graceclose_report {
	int		outcome;	/* enum graceclose_outcome */
	int		error;		/* 0 or the errno value */
	int		delivered;	/* 1: every byte acknowledged */
	int		finished;	/* 1: the peer's FIN was seen */
	uint64_t	unacked;	/* bytes never acknowledged */
	uint64_t	discarded;	/* bytes of late input thrown away */
	uint64_t	elapsed_us;
	uint64_t	reserved[2];
};

/* Close with options and a report, blocking; either may be NULL. */
int	graceclose(int fd, const struct graceclose_opts *opts,
	    struct graceclose_report *report);

/* Bytes sent that the peer's TCP has not acknowledged, or -1 with errno. */
int64_t	graceclose_unacked(int fd);

/* Look at a connection, consuming nothing: a set of these, or -1. */
#define GRACECLOSE_UNREAD	1	/* input is waiting */
#define GRACECLOSE_FIN		2	/* the peer's FIN arrived */
#define GRACECLOSE_RST		4	/* the connection is dead */
int	graceclose_probe(int fd);
int	graceclose_probe_many(const int *fds, size_t n, unsigned char *bits);

/*
 * For event loops: the same close, never blocking.  The structure is the
 * caller's; its fields are private.
 */
struct graceclose {
	int		fd;
	int		error;
	int		timeout_ms;
	int		idle_ms;
	int		nap_ms;
	int		pad;
	unsigned char	phase;
	unsigned char	outcome;
	unsigned char	until;
	unsigned char	on_expiry;
	unsigned char	kind;
	unsigned char	delivered;
	unsigned char	finished;
	unsigned char	flags;
	uint64_t	discard_max;
	uint64_t	discarded;
	uint64_t	unacked;
	int64_t		started;
	int64_t		progressed;
	int64_t		wake;
	int64_t		ended;
	uint64_t	reserved[5];
};

/* Register a descriptor with epoll once, for these; needs <sys/epoll.h>. */
#define GRACECLOSE_EPOLL	(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

int	graceclose_begin(struct graceclose *gc, int fd,
	    const struct graceclose_opts *opts);
int	graceclose_step(struct graceclose *gc);		/* 1 going, 0, -1 */
short	graceclose_events(const struct graceclose *gc);	/* POLLIN or 0 */
int	graceclose_timeout(const struct graceclose *gc);	/* ms, -1: none */
int	graceclose_end(struct graceclose *gc, struct graceclose_report *report);

/*
 * For threads: close and forget.  One thread of its own drives any number of
 * closes; no call but flush and free waits.
 */
struct graceclose_reaper;

enum graceclose_when_full { GRACECLOSE_REFUSE = 0, GRACECLOSE_OLDEST = 1 };

struct graceclose_reaper_opts {		/* may be all zero */
	unsigned	max;		/* closes under way; 0: 65536 */
	int		when_full;	/* enum graceclose_when_full */
	void		(*done)(void *arg, void *cookie,
			    const struct graceclose_report *report);
	void		*arg;
	uint64_t	reserved[4];	/* must be 0 */
};

struct graceclose_reaper_stats {	/* closes by outcome, and how many */
	uint64_t	ok, reset, expired, flooded, aborted, invalid;
	uint64_t	evicted;	/* of the aborted: made room */
	unsigned	now, peak;	/* under way: at the moment, at most */
	uint64_t	reserved[4];
};

struct graceclose_reaper *graceclose_reaper_new(
	    const struct graceclose_reaper_opts *opts);
int	graceclose_reaper_close(struct graceclose_reaper *r, int fd,
	    const struct graceclose_opts *opts, void *cookie);
int	graceclose_reaper_flush(struct graceclose_reaper *r, int timeout_ms);
void	graceclose_reaper_stats(struct graceclose_reaper *r,
	    struct graceclose_reaper_stats *stats);
void	graceclose_reaper_free(struct graceclose_reaper *r);

#ifdef __cplusplus
}
#endif

#endif /* GRACECLOSE_H */
