/*
 * peer.h - what the bench asks of each way to close
 *
 * One file here is one way to close, written as its own documentation says.
 * A measurement runs in two processes: the server, which calls these functions,
 * and its clients.  Each measurement has new processes, so a peer may keep what
 * it likes in static variables.
 */
#ifndef PEER_H
#define PEER_H

#include <sys/types.h>

#include <stdbool.h>

#define PEER_REPLY	((size_t)256 * 1024)
#define PEER_LIMIT_MS	30000

struct loop_peer;

struct peer {
	const char	*name;
	const char	*missing;	/* NULL, or what to install */
	const char	*program;	/* missing only without this one */
	bool		 ours;
	bool		 plain;		/* returns at once: waits for nothing */
	bool		 lingers;	/* waits for acknowledgements alone */
	bool		 blocks;	/* a server has a thread for each */

	/*
	 * A close is one of three: this call, which closes one connection
	 * within a limit in ms and returns 0 where it reports success;
	 */
	int		(*close)(int, int);
	/* a part of the loop of loop.h; */
	const struct loop_peer *loop;
	/* or the functions below, with a loop of their own. */

	/*
	 * Before the measurement: what a server makes once.  Given is the
	 * listening socket of serve(), or the descriptors of close_all().
	 * Returns the process to measure; NULL: this one.
	 */
	pid_t		(*start)(int, const int *, int);

	/*
	 * Accepts so many connections, sends peer_reply to each at once, reads
	 * nothing before, and closes.  Returns when all are closed.
	 */
	void		(*serve)(int, int);

	/*
	 * Closes all these connections, each within limit_ms.  Returns how many
	 * closes reported success.
	 */
	int		(*close_all)(const int *, int, int);
	/* The clients of this one may wait for all FINs before they close. */
	bool		 at_once;

	void		(*stop)(void);
};

extern const struct peer	 peer_close, peer_shutdown, peer_so_linger;
extern const struct peer	 peer_by_hand, peer_nginx_way;
extern const struct peer	 peer_libuv, peer_libevent, peer_go, peer_nginx;
extern const struct peer	 peer_graceful_close, peer_linger_close;
extern const struct peer	 peer_reaper, peer_reaper_done, peer_step;

/* What each server sends: a header of HTTP, and bytes. */
extern const char		*peer_reply;

/* NULL: the peer can be measured; or what to install. */
const char	*peer_missing(const struct peer *);

/* Where a program is: beside this one, in sbin, in PATH. */
bool	peer_find(const char *, char *, size_t);

/* Fills peer_reply. */
void	peer_make_reply(void);

/* The next connection, with the reply in its send queue. */
int	peer_accept(int, int);

/* Whether it can close what it is given; whether it can be a server. */
bool	peer_closes(const struct peer *);
bool	peer_serves(const struct peer *);

/* What start(), serve(), close_all() and stop() say above, for any peer. */
pid_t	peer_start(const struct peer *, int, const int *, int);
void	peer_serve(const struct peer *, int, int);
int	peer_close_all(const struct peer *, const int *, int, int);
void	peer_stop(const struct peer *);

/* Gives the reply to each connection, and closes it by this call. */
void	peer_serve_in_turn(int, int, int (*)(int, int));
int	peer_close_in_turn(const int *, int, int, int (*)(int, int));

#endif /* PEER_H */
