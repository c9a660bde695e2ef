/*
 * graceclose.h - close a TCP socket and know whether everything was delivered
 *
 * graceful_close() returns 0 if the peer's TCP acknowledged every byte and the
 * peer ended its side.  Otherwise it returns -1, and errno is the reason.  The
 * report of graceclose() has the number of bytes that were not acknowledged.
 *
 * The manual pages define the interface: graceful_close(3), linger_close(3),
 * abort_close(3), peer_closed(3), graceclose(3), graceclose_begin(3),
 * graceclose_reaper(3) and graceclose_version(3).  Begin with graceclose(7) or
 * graceclose_faq(7).
 */
#ifndef GRACECLOSE_H
#define GRACECLOSE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header, to compare with #if; and of what is linked. */
#define GRACECLOSE_VERSION_MAJOR	1
#define GRACECLOSE_VERSION_MINOR	2
#define GRACECLOSE_VERSION_PATCH	2
#define GRACECLOSE_VERSION	((GRACECLOSE_VERSION_MAJOR << 16) |	\
	    (GRACECLOSE_VERSION_MINOR << 8) | GRACECLOSE_VERSION_PATCH)
const char *graceclose_version(void);		/* "1.2.2" */

/*
 * The four verbs.  The three that close return 0, or -1 with errno.  They
 * release the descriptor, whatever they return (EBADF: there is none).
 */
int	graceful_close(int fd);
int	linger_close(int fd, int timeout_ms);
int	abort_close(int fd);
int	peer_closed(int fd);		/* 1 yes, 0 no, -1 with errno */

/* What a close waits for, and what it does when a limit runs out. */
enum graceclose_until {
	GRACECLOSE_FINISHED = 0,	/* delivered, and the peer's FIN */
	GRACECLOSE_DELIVERED = 1,	/* all data and our FIN acknowledged */
	GRACECLOSE_QUIET = 2		/* delivered, and the peer's FIN, or
					   idle_ms without input */
};
enum graceclose_expiry	{ GRACECLOSE_DETACH = 0, GRACECLOSE_RESET = 1 };

/* opts.flags: the loop gets every event of GRACECLOSE_EPOLL. */
#define GRACECLOSE_EDGES	1U

struct graceclose_opts {		/* all zero: as graceful_close */
	int		until;		/* enum graceclose_until */
	int		on_expiry;	/* enum graceclose_expiry */
	int		timeout_ms;	/* whole close; 0: 30000; -1: none */
	int		idle_ms;	/* no progress; 0: 5000; -1: none */
	uint64_t	discard_max;	/* late input, bytes; 0: no limit */
	void		(*late)(void *arg, const void *data, size_t n);
					/* takes late input and does nothing
					   to this close; NULL: discarded */
	void		*arg;		/* of late */
	unsigned	flags;		/* GRACECLOSE_EDGES, or 0 */
	unsigned	reserved;	/* must be 0 */
};

enum graceclose_outcome {
	GRACECLOSE_OK = 0,		/* reached what opts.until asks */
	GRACECLOSE_WAS_RESET,		/* ECONNRESET */
	GRACECLOSE_EXPIRED,		/* ETIMEDOUT */
	GRACECLOSE_FLOODED,		/* EMSGSIZE: over discard_max */
	GRACECLOSE_ABORTED,		/* ECANCELED: ended by the program */
	GRACECLOSE_INVALID		/* any other errno */
};

struct graceclose_report {
	int		outcome;	/* enum graceclose_outcome */
	int		error;		/* 0 or the errno value */
	int		delivered;	/* 1: bytes and FIN acknowledged */
	int		finished;	/* 1: the peer's FIN arrived */
	uint64_t	unacked;	/* bytes not acknowledged */
	uint64_t	discarded;	/* late input, bytes */
	uint64_t	elapsed_us;	/* from the start to the verdict */
	int		cause;		/* errno value of the end, or 0 */
	int		reserved0;
	uint64_t	reserved;
};

/* Blocking close with options and a report; either may be NULL. */
int	graceclose(int fd, const struct graceclose_opts *opts,
	    struct graceclose_report *report);

/* Bytes sent that the peer's TCP has not acknowledged; -1 with errno. */
int64_t	graceclose_unacked(int fd);

/* Inspect a connection, consume nothing: a set of these bits, or -1. */
#define GRACECLOSE_UNREAD	1	/* input is waiting */
#define GRACECLOSE_FIN		2	/* the peer's FIN arrived */
#define GRACECLOSE_RST		4	/* the connection is dead */
int	graceclose_probe(int fd);
int	graceclose_probe_many(const int *fds, size_t n, unsigned char *bits);

/*
 * For event loops: the same close, which never blocks.  The caller provides
 * the structure; its members are private.
 */
struct graceclose {
	int		fd;
	int		error;
	int		timeout_ms;
	int		idle_ms;
	int		nap_ms;
	int		cause;
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
	int64_t		flushed;
	void		(*late)(void *arg, const void *data, size_t n);
	void		*arg;
	unsigned	options;
	unsigned char	looks;
	unsigned char	reserved[27 - 2 * sizeof(void *)];
};

/*
 * The events to register with epoll(7), once; needs <sys/epoll.h>.  Without
 * EPOLLET the loop would spin.
 */
#define GRACECLOSE_EPOLL	(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

int	graceclose_begin(struct graceclose *gc, int fd,
	    const struct graceclose_opts *opts);
int	graceclose_step(struct graceclose *gc);		/* 1 goes on, 0, -1 */
short	graceclose_events(const struct graceclose *gc);	/* POLLIN or 0 */
int	graceclose_timeout(const struct graceclose *gc); /* ms; -1: none */
int	graceclose_end(struct graceclose *gc, struct graceclose_report *report);

/*
 * For threads: close in the background.  A reaper has one thread that drives
 * any number of closes.  Only flush and free wait.
 */
struct graceclose_reaper;

enum graceclose_when_full { GRACECLOSE_REFUSE = 0, GRACECLOSE_OLDEST = 1 };

struct graceclose_reaper_opts {		/* all zero is valid */
	unsigned	max;		/* closes in progress; 0: half of the
					   soft RLIMIT_NOFILE, at most 65536 */
	int		when_full;	/* enum graceclose_when_full */
	void		(*done)(void *arg, void *cookie,
			    const struct graceclose_report *report);
	void		*arg;
	uint64_t	reserved[4];	/* must be 0 */
};

struct graceclose_reaper_stats {	/* numbers of closes */
	uint64_t	ok, reset, expired, flooded, aborted, invalid;
	uint64_t	evicted;	/* those of aborted cut for room */
	unsigned	now, peak;	/* in progress: now, at most */
	uint64_t	reserved[4];
};

struct graceclose_reaper *graceclose_reaper_new(
	    const struct graceclose_reaper_opts *opts);
int	graceclose_reaper_close(struct graceclose_reaper *r, int fd,
	    const struct graceclose_opts *opts, void *cookie);
					/* r NULL: EINVAL, fd is untouched */
int	graceclose_reaper_flush(struct graceclose_reaper *r, int timeout_ms);
void	graceclose_reaper_stats(struct graceclose_reaper *r,
	    struct graceclose_reaper_stats *stats);
void	graceclose_reaper_free(struct graceclose_reaper *r);

#ifdef __cplusplus
}
#endif

#endif /* GRACECLOSE_H */
