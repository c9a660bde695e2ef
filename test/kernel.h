/*
 * kernel.h - a kernel with one connection, in a program
 *
 * It answers the system calls of lib/ as Linux does (the suites check_facts_*
 * show how), on top of a truth that anyone may look at.  A string of bytes
 * decides what happens between any two calls: bytes are acknowledged, input, a
 * FIN or a reset arrives, time passes, a call fails.  When it is used up
 * nothing happens any more.  Time is virtual.
 *
 * Where KERNEL_CALLS is defined before this file is included (again) the names
 * of the calls are those of this kernel from there on.
 */
#ifndef TEST_KERNEL_H
#define TEST_KERNEL_H

#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/inet_diag.h>
#include <linux/mptcp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

enum {					/* what the descriptor is */
	KERNEL_TCP,
	KERNEL_MPTCP,
	KERNEL_FALLBACK,		/* MPTCP whose peer only knows TCP */
	KERNEL_LOCAL,			/* AF_UNIX, SOCK_STREAM */
	KERNEL_STREAMS,			/* those above are connected streams */
	KERNEL_UNCONNECTED = KERNEL_STREAMS,
	KERNEL_CONNECTING,
	KERNEL_LISTENER,
	KERNEL_LOCAL_UNCONNECTED,
	KERNEL_DATAGRAM,
	KERNEL_PIPE,
	KERNEL_PATH,			/* O_PATH */
	KERNEL_CLOSED,			/* no descriptor at all */
	KERNEL_KINDS
};

#define KERNEL_FD	7

struct kernel {
	/* The connection, bytes without SYN and FIN. */
	int		kind;
	int		state;		/* of <netinet/tcp.h> */
	int64_t		written;
	int64_t		acked;
	bool		fin, fin_acked;	/* ours: behind the last byte */
	int64_t		unread;
	bool		peer_fin;
	int		shut;		/* SHUT_RD + 1 | SHUT_WR + 1 */
	int		error;		/* pending */
	unsigned	notices;	/* of the error queue */
	bool		was_opening;	/* reset during the handshake */
	bool		dead;		/* reset, or given up */
	bool		cut;		/* so by another's connect(AF_UNSPEC) */
	bool		ended;		/* in order, both FINs acknowledged */
	bool		caller_fin;	/* SHUT_WR before the library came */
	bool		error_taken;	/* by the caller */
	struct linger	linger;

	/* What this kernel cannot do, and what it is like. */
	bool		old;		/* no TCP_ZEROCOPY_RECEIVE */
	bool		no_diag;	/* no sock_diag(7) of MPTCP */
	bool		liar;		/* answers are arbitrary */
	bool		endless;	/* the caller sets no limits */

	/* What the library was told, and did. */
	unsigned	calls, events, failures;
	unsigned	closes;
	unsigned	others;		/* descriptors of its own, open */
	bool		may_wait;
	bool		rst_sent;
	bool		blocked;	/* close would have lingered */
	bool		spilt;		/* close found something unread */
	unsigned	swept;		/* call when recv found nothing */
	unsigned	looked;		/* call when the clock was read */
	int64_t		discarded;
	unsigned	consumed;	/* reads, errors, notices, changes */
	int64_t		counted;	/* unacknowledged, when last asked */
	bool		uncounted;	/* it could not be told */
	int64_t		now;		/* microseconds */
	int64_t		started;	/* the clock, first read; 0: never */
	int64_t		clock[2];	/* last read, and before that */
	int64_t		told;		/* progress, the last that it saw */
	int64_t		told_then[2];	/* that, when the clock was read */
	int64_t		progressed;	/* the clock, after news that it saw */
	bool		news, fin_told;
};
extern struct kernel kernel;

/* A new one: what it is and has been through is drawn as well. */
void		 kernel_boot(const uint8_t *, size_t);
unsigned	 kernel_draw(unsigned below);
bool		 kernel_silent(void);		/* the bytes are used up */
void		 kernel_watch(void);		/* begin to keep accounts */
/* For the caller of the library, a loop: by edges, or by level (0: nothing). */
void		 kernel_wait(bool edges, short events, int timeout_ms);
_Noreturn void	 kernel_panic(const char *, int line);

#define kernel_must(ok)							\
	((ok) ? (void)0 : kernel_panic(#ok, __LINE__))

/* The calls. */
ssize_t	kernel_recv(int, void *, size_t, int);
ssize_t	kernel_send(int, const void *, size_t, int);
int	kernel_getsockopt(int, int, int, void *, socklen_t *);
int	kernel_setsockopt(int, int, int, const void *, socklen_t);
int	kernel_getpeername(int, struct sockaddr *, socklen_t *);
int	kernel_getsockname(int, struct sockaddr *, socklen_t *);
int	kernel_ioctl(int, unsigned long, int *);
int	kernel_fcntl(int, int);
int	kernel_poll(struct pollfd *, nfds_t, int);
int	kernel_epoll_create1(int);
int	kernel_epoll_ctl(int, int, int, struct epoll_event *);
int	kernel_epoll_wait(int, struct epoll_event *, int, int);
int	kernel_connect(int, const struct sockaddr *, socklen_t);
int	kernel_shutdown(int, int);
int	kernel_socket(int, int, int);
int	kernel_close(int);
int	kernel_clock_gettime(clockid_t, struct timespec *);

#endif /* TEST_KERNEL_H */

#ifdef KERNEL_CALLS
#define recv		kernel_recv
#define send		kernel_send
#define getsockopt	kernel_getsockopt
#define setsockopt	kernel_setsockopt
#define getpeername	kernel_getpeername
#define getsockname	kernel_getsockname
#define ioctl		kernel_ioctl
#define fcntl		kernel_fcntl
#define poll		kernel_poll
#define epoll_create1	kernel_epoll_create1
#define epoll_ctl	kernel_epoll_ctl
#define epoll_wait	kernel_epoll_wait
#define connect		kernel_connect
#define shutdown	kernel_shutdown
#define socket		kernel_socket
#define close		kernel_close
#define clock_gettime	kernel_clock_gettime
#endif
