/*
 * linux.c - everything that asks the kernel
 *
 * What plain POSIX does not have stands in LINUX sections with a portable way
 * beside it; -DGRACECLOSE_PORTABLE builds that way on Linux too.  The habits
 * of Linux that this file rests on are each shown by a test in check_facts.c.
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <netinet/in.h>

#if defined(__linux__) && !defined(GRACECLOSE_PORTABLE)
#define LINUX
#include <sys/epoll.h>

#include <linux/sockios.h>
#include <netinet/tcp.h>
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "graceclose.h"
#include "kernel/kernel.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP	262
#endif
#ifndef TCP_ZEROCOPY_RECEIVE
#define TCP_ZEROCOPY_RECEIVE	35
#endif

#ifdef LINUX
#define NEWS		(POLLIN | POLLRDHUP)
#else
#define NEWS		POLLIN
#endif

#define BLIND_MS	64	/* a nap, where nothing can wake us */

static int
get_int(int fd, int level, int name)
{
	int value;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) == -1 ? -1 : value;
}

#ifdef LINUX
/* The head of the kernel's struct tcp_zerocopy_receive; libcs have less. */
struct zerocopy {
	uint64_t	address;
	uint32_t	length;
	uint32_t	recv_skip_hint;
	uint32_t	inq;
};

/*
 * TCP_ZEROCOPY_RECEIVE with nowhere to map to moves no byte, takes no pending
 * error and answers three questions in one call: this is TCP, it is not
 * listening (ENOTCONN), and whether the peer's FIN is here with nothing unread
 * before it (EIO).  Unlike a recv of 0 or POLLRDHUP the last is not fooled by
 * our own SHUT_RD or by a reset, because it looks at SOCK_DONE, which only
 * tcp_fin() sets (tcp_zerocopy_receive() in net/ipv4/tcp.c, Linux 4.18).
 * Unread bytes behind a mark of urgent data it does not see.
 * Returns 0 or the errno value.  *inq is what is unread, where that is less
 * than a page; a FIN behind it counts as one byte more.
 */
static int
zerocopy_look(int fd, uint32_t *inq)
{
	struct zerocopy zc;
	socklen_t len = offsetof(struct zerocopy, inq) + sizeof(zc.inq);

	memset(&zc, 0, sizeof(zc));
	if (getsockopt(fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len) == -1)
		return errno;
	*inq = zc.inq;
	return 0;
}

static int
tcp_info(int fd, struct tcp_info *info)
{
	socklen_t len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len);
}

/* The counters of the kernel's struct tcp_info; libcs have less. */
struct tcp_counters {
	char		state_and_times[120];
	uint64_t	bytes_acked;
	char		other_counters[72];
	uint64_t	bytes_sent;	/* of payload; Linux 4.19 */
	uint64_t	bytes_retrans;	/* among these */
};

/*
 * Whether a connection is known to have ended without our FIN, of one that is
 * gone with all its data acknowledged.  An acknowledged FIN counts as a byte.
 * So does the SYN of the side that connected, which hides its absence there.
 */
static bool
fin_never_left(int fd)
{
	struct tcp_counters c;
	socklen_t len = sizeof(c);

	memset(&c, 0, sizeof(c));
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &c, &len) == 0 &&
	    len == sizeof(c) &&
	    c.bytes_acked == c.bytes_sent - c.bytes_retrans;
}

/* A TCP state of <netinet/tcp.h>, or -1 where the kernel shows none. */
static int
tcp_state(int fd, int kind)
{
	struct tcp_info info;

	if (kind == GRACECLOSE_KIND_MPTCP)
		return graceclose_mptcp_state(fd);
	return tcp_info(fd, &info) == -1 ? -1 : info.tcpi_state;
}

#else
static int
zerocopy_look(int fd, uint32_t *inq)
{
	(void)fd;
	(void)inq;
	return ENOPROTOOPT;
}
#endif

/* The kind by family and protocol; -1 is none that we know. */
static int
kind_by_protocol(int fd)
{
#ifdef LINUX
	switch (get_int(fd, SOL_SOCKET, SO_PROTOCOL)) {
	case IPPROTO_TCP:
		return GRACECLOSE_KIND_TCP;
	case IPPROTO_MPTCP:
		return GRACECLOSE_KIND_MPTCP;
	}
	if (get_int(fd, SOL_SOCKET, SO_DOMAIN) == AF_UNIX)
		return GRACECLOSE_KIND_LOCAL;
#else
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int protocol = -1;

	memset(&ss, 0, sizeof(ss));
	if (getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
		return -1;
	if (ss.ss_family == AF_UNIX)
		return GRACECLOSE_KIND_LOCAL;
#ifdef SO_PROTOCOL
	/* getpeername(2) tells the end of TCP, and too early of MPTCP. */
	protocol = get_int(fd, SOL_SOCKET, SO_PROTOCOL);
#endif
	if ((ss.ss_family == AF_INET || ss.ss_family == AF_INET6) &&
	    (protocol == -1 || protocol == IPPROTO_TCP))
		return GRACECLOSE_KIND_TCP;
#endif
	return -1;
}

/* The kind by what every socket can tell; -1 and errno where it is none. */
static int
kind_of_socket(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int kind, type;

	if ((type = get_int(fd, SOL_SOCKET, SO_TYPE)) == -1)
		return -1;
	kind = type == SOCK_STREAM ? kind_by_protocol(fd) : -1;
	if (kind == -1) {
		errno = EOPNOTSUPP;
	} else if (kind == GRACECLOSE_KIND_LOCAL) {
		/* Its shutdown(2) succeeds unconnected, too. */
		if (getpeername(fd, (struct sockaddr *)&ss, &len) == -1)
			return -1;
	} else if (get_int(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1) {
		errno = ENOTCONN;
		return -1;
	}
	return kind;
}

/*
 * The kind of a stream socket that is, or may be, connected, at the price of
 * one call for TCP.  *finished says whether it is known already that the
 * peer's FIN is here and nothing unread.  -1: EBADF, ENOTSOCK, EOPNOTSUPP, or
 * ENOTCONN for a listening one.
 */
int
graceclose_tcp_kind(int fd, bool *finished)
{
	uint32_t inq;
	int kind, look = zerocopy_look(fd, &inq);

	*finished = look == EIO;
	switch (look) {
	case EIO:
	case 0:
		return GRACECLOSE_KIND_TCP;
	case ENOTCONN:
		errno = ENOTCONN;
		return -1;
	}
	kind = kind_of_socket(fd);
	/* A descriptor of O_PATH is no socket, but it is open. */
	if (kind == -1 && errno == EBADF && fcntl(fd, F_GETFD) != -1)
		errno = ENOTSOCK;
	return kind;
}

/*
 * The kind for good.  An MPTCP socket that fell back hands its questions on to
 * a TCP one and passes for it so far, yet its counts and states differ.
 */
int
graceclose_tcp_kind_proper(int fd, int kind)
{
#ifdef LINUX
	if (kind == GRACECLOSE_KIND_TCP &&
	    get_int(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_MPTCP)
		return GRACECLOSE_KIND_FALLBACK;
#endif
	(void)fd;
	return kind;
}

/*
 * What to ask poll about a connection.  POLLOUT, because one that is quiet and
 * writable is then told by this one call from a listener, a pipe's read end
 * and the like, which report nothing; POLLWRBAND, because TCP never reports
 * it, while datagram sockets do.
 */
const short graceclose_tcp_events = NEWS | POLLOUT | POLLWRBAND;

/* A pending signal interrupts even a poll that would not wait. */
int
graceclose_tcp_poll(struct pollfd *fds, size_t n)
{
	int r, saved = errno;

	while ((r = poll(fds, (nfds_t)n, 0)) == -1 && errno == EINTR)
		errno = saved;
	return r;
}

/*
 * Whether nothing is left of a connection: TCP state CLOSE, by a reset or by
 * an orderly end, TIME_WAIT included.  LAST_ACK and CLOSING still have a peer,
 * and MPTCP that fell back forgets its name too early there.
 */
bool
graceclose_tcp_gone(int fd, int kind)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getpeername(fd, (struct sockaddr *)&ss, &len) == 0 ||
	    errno != ENOTCONN)
		return false;
#ifdef LINUX
	if (kind == GRACECLOSE_KIND_FALLBACK)
		return tcp_state(fd, kind) == TCP_CLOSE;
#endif
	(void)kind;
	return true;
}

/*
 * Whether there still is a connection, though recv failed: with IP_RECVERR what
 * ICMP says of it is an error, once, and it goes on (RFC 1122 4.2.3.9,
 * tcp_v4_err()).  MPTCP does not know that option.
 */
bool
graceclose_tcp_goes_on(int fd, int kind)
{
#ifdef LINUX
	int state = kind == GRACECLOSE_KIND_TCP ? tcp_state(fd, kind) : -1;

	return state != -1 && state != TCP_CLOSE;
#else
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	return kind == GRACECLOSE_KIND_TCP &&
	    getpeername(fd, (struct sockaddr *)&ss, &len) == 0;
#endif
}

/* Whether there ever was a connection, of one that is gone. */
bool
graceclose_tcp_was_connected(int fd, int kind)
{
#ifdef LINUX
	struct tcp_info info;

	/* The receive space is measured out when it is established. */
	if (kind != GRACECLOSE_KIND_LOCAL && tcp_info(fd, &info) == 0)
		return info.tcpi_rcv_space != 0;
#endif
	(void)fd;
	(void)kind;
	return true;
}

/*
 * MSG_PEEK would take a pending error where there is no data, so FIONREAD is
 * asked.  MPTCP counts the peer's DATA_FIN, or our SHUT_RD, as a byte there.
 */
bool
graceclose_tcp_unread(int fd, short revents)
{
	char c;
	int n;

	if (ioctl(fd, FIONREAD, &n) == -1 || n <= 0)
		return false;
#ifdef LINUX
	if (n == 1 &&
	    get_int(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_MPTCP)
		return (revents & POLLERR) == 0 &&
		    recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
#endif
	(void)revents;
	(void)c;
	return true;
}

/* Whether the state says that the peer's FIN is here, or `unknown`. */
static bool
finished_by_state(int fd, int kind, bool unknown)
{
#ifdef LINUX
	int state = tcp_state(fd, kind);

	if (state != -1)
		return state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK ||
		    state == TCP_CLOSING;
#endif
	(void)fd;
	(void)kind;
	return unknown;
}

/*
 * Whether a recv of 0 on an emptied queue is the peer's FIN.  It may be our
 * own SHUT_RD instead, or a reset whose error somebody has taken already.  On
 * AF_UNIX our SHUT_RD ends the peer's side too.
 */
bool
graceclose_tcp_finished(int fd, int kind)
{
	uint32_t inq;

	if (kind == GRACECLOSE_KIND_LOCAL)
		return true;
	switch (kind != GRACECLOSE_KIND_MPTCP ? zerocopy_look(fd, &inq) : -1) {
	case EIO:
		return true;
	case 0:
		return false;
	}
	return finished_by_state(fd, kind, false);
}

/* The same where no recv was tried, and nothing is unread; false: try it. */
bool
graceclose_tcp_at_end(int fd, int kind)
{
	uint32_t inq;

	return kind == GRACECLOSE_KIND_TCP && zerocopy_look(fd, &inq) == EIO;
}

#ifdef LINUX
/* Another holder's connect(AF_UNSPEC) opens both directions again. */
static bool
reopened(int fd)
{
	struct pollfd p = { fd, POLLRDHUP, 0 };

	return graceclose_tcp_poll(&p, 1) != -1 &&
	    (p.revents & POLLRDHUP) == 0;
}

/*
 * Of a connection that is gone: did it end in order?  An error, or output that
 * was never acknowledged, says that it did not; where neither is left, it did
 * if the peer's FIN ever came.  MPTCP that fell back remembers nothing more.
 * -1 and ENOTCONN: there never was a connection.
 */
int
graceclose_tcp_state_of_gone(int fd, int kind, bool error, bool seen)
{
	uint32_t inq = 0;
	int look, unread = 0;
	int64_t left;
	bool counts;

	if (!graceclose_tcp_was_connected(fd, kind)) {
		errno = ENOTCONN;
		return -1;
	}
	/* Of MPTCP that fell back SIOCOUTQ alone knows what nobody took. */
	left = graceclose_tcp_outq(fd, kind == GRACECLOSE_KIND_FALLBACK ?
	    GRACECLOSE_KIND_TCP : kind);
	if (error || left > 0 || reopened(fd))
		return GRACECLOSE_STATE_DEAD;
	if (kind == GRACECLOSE_KIND_MPTCP)
		return graceclose_mptcp_token(fd) == 0 ?
		    GRACECLOSE_STATE_DEAD : GRACECLOSE_STATE_ENDED;
	if (kind != GRACECLOSE_KIND_TCP)
		return GRACECLOSE_STATE_ENDED;
	if (fin_never_left(fd))
		return GRACECLOSE_STATE_DEAD;
	/*
	 * FIONREAD leaves a FIN out, zerocopy_look() counts it.  In this order,
	 * as input that vanishes in between would look like one.
	 */
	counts = ioctl(fd, FIONREAD, &unread) == 0;
	look = zerocopy_look(fd, &inq);
	if (look == 0)
		return counts && inq > (uint32_t)unread ?
		    GRACECLOSE_STATE_ENDED : GRACECLOSE_STATE_DEAD;
	/* It cannot look before Linux 5.11, and the error may be taken. */
	return !seen && look != EIO ?
	    GRACECLOSE_STATE_DEAD : GRACECLOSE_STATE_ENDED;
}

/*
 * How a connection stands, given what poll says of it.  -1: as
 * graceclose_tcp_kind() says, and ENOTCONN where there never was a connection.
 */
int
graceclose_tcp_state(int fd, short revents)
{
	bool finished;
	int kind;

	/* AF_UNIX looks like a datagram socket to poll, when it is quiet. */
	if (revents == (POLLOUT | POLLWRBAND) &&
	    get_int(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM)
		return GRACECLOSE_STATE_OPEN;
	if ((kind = graceclose_tcp_kind(fd, &finished)) == -1)
		return -1;
	kind = graceclose_tcp_kind_proper(fd, kind);
	if (kind == GRACECLOSE_KIND_LOCAL) {
		if ((revents & POLLERR) != 0 && (revents & POLLHUP) != 0)
			return GRACECLOSE_STATE_DEAD;
		finished = (revents & POLLRDHUP) != 0;
	} else if (graceclose_tcp_gone(fd, kind)) {
		return graceclose_tcp_state_of_gone(fd, kind,
		    (revents & POLLERR) != 0, true);
	} else if (!finished && (revents & POLLRDHUP) != 0) {
		finished = finished_by_state(fd, kind, true);
	}
	return finished ? GRACECLOSE_STATE_FINISHED : GRACECLOSE_STATE_OPEN;
}
#else
/*
 * A pending error is all that tells a reset from an orderly end.  `seen`: the
 * connection was alive under the eyes of the caller, who has taken no error
 * since, so that there was none; EOF is gone only where another holder's
 * connect(AF_UNSPEC) was.  Of what had ended before, nobody knows how it did.
 */
int
graceclose_tcp_state_of_gone(int fd, int kind, bool error, bool seen)
{
	char c;

	(void)kind;
	if (error)
		return GRACECLOSE_STATE_DEAD;
	if (seen)
		return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0 ?
		    GRACECLOSE_STATE_ENDED : GRACECLOSE_STATE_DEAD;
	errno = ENOTCONN;
	return -1;
}

/* A connection that is gone gets no more errors: none can be taken unseen. */
static bool
error_pending(int fd)
{
	struct pollfd p = { fd, 0, 0 };

	return graceclose_tcp_poll(&p, 1) == -1 || (p.revents & POLLERR) != 0;
}

/*
 * Our own SHUT_RD, or a reset whose error somebody has taken, looks like the
 * peer's FIN here, and a FIN behind unread input does not show.
 */
int
graceclose_tcp_state(int fd, short revents)
{
	bool finished, gone;
	ssize_t n;
	int kind;
	char c;

	if ((kind = graceclose_tcp_kind(fd, &finished)) == -1)
		return -1;
	gone = kind == GRACECLOSE_KIND_LOCAL ?
	    (revents & POLLERR) != 0 && (revents & POLLHUP) != 0 :
	    graceclose_tcp_gone(fd, kind);
	if (gone && error_pending(fd))
		return GRACECLOSE_STATE_DEAD;
	if (!gone && (revents & POLLIN) == 0)
		return GRACECLOSE_STATE_OPEN;
	n = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	if (gone && n == -1) {		/* there never was a connection */
		errno = ENOTCONN;
		return -1;
	}
	if (n == -1 && errno == ECONNRESET)	/* it came in between */
		return GRACECLOSE_STATE_DEAD;
	return gone || n == 0 ? GRACECLOSE_STATE_FINISHED :
	    GRACECLOSE_STATE_OPEN;
}
#endif

/*
 * Bytes sent and not acknowledged, an unacknowledged FIN counted as one; a
 * reset leaves the number as it was.  -1 where this host cannot tell.  Of MPTCP
 * that fell back SIOCOUTQ may have twice what its TCP socket holds: once for
 * itself, until it sees an acknowledgement.  What it has not handed on yet,
 * SIOCOUTQNSD, has the other part as well (mptcp_ioctl_outq()).
 */
int64_t
graceclose_tcp_outq(int fd, int kind)
{
#ifdef LINUX
	int n = 0;		/* valgrind does not know SIOCOUTQNSD */

	if (kind == GRACECLOSE_KIND_LOCAL)
		return 0;
	return ioctl(fd, kind == GRACECLOSE_KIND_FALLBACK ? SIOCOUTQNSD :
	    SIOCOUTQ, &n) == -1 ? -1 : n;
#else
	(void)fd;
	if (kind == GRACECLOSE_KIND_LOCAL)
		return 0;
	errno = ENOTSUP;
	return -1;
#endif
}

/*
 * Whether graceclose_tcp_outq() still tells the truth of a connection that is
 * dead.  After a reset it does, but connect(AF_UNSPEC) starts the count anew,
 * MPTCP that fell back forgets it at a reset, and AF_UNIX never knew.
 */
bool
graceclose_tcp_remembers(int fd, int kind)
{
#ifdef LINUX
	return kind != GRACECLOSE_KIND_LOCAL &&
	    kind != GRACECLOSE_KIND_FALLBACK && !reopened(fd);
#else
	(void)fd;
	(void)kind;
	return false;
#endif
}

/* Whether another holder's connect(AF_UNSPEC) has ended the connection. */
bool
graceclose_tcp_anew(int fd, int kind)
{
#ifdef LINUX
	return graceclose_tcp_gone(fd, kind) && reopened(fd);
#else
	(void)fd;
	(void)kind;
	return false;
#endif
}

/*
 * Whether graceclose_tcp_outq() may have forgotten already: of MPTCP that fell
 * back it leaves out what its subflow holds, once that is in CLOSE, which
 * getpeername(2) tells later (mptcp_ioctl_outq()).  Asked after the count.
 */
bool
graceclose_tcp_forgot(int fd, int kind)
{
#ifdef LINUX
	return kind == GRACECLOSE_KIND_FALLBACK &&
	    tcp_state(fd, kind) == TCP_CLOSE;
#else
	(void)fd;
	(void)kind;
	return false;
#endif
}

/* Whether the last of the unacknowledged bytes is our FIN. */
bool
graceclose_tcp_fin_unacked(int fd, int kind)
{
#ifdef LINUX
	switch (tcp_state(fd, kind)) {
	case TCP_FIN_WAIT1:
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		return true;
	}
#endif
	(void)fd;
	(void)kind;
	return false;
}

/*
 * Whether the handshake is still going on, as on the accepting side of TCP
 * Fast Open: SIOCOUTQ is 0 then whatever was written (tcp_ioctl()).
 */
bool
graceclose_tcp_opening(int fd, int kind)
{
#ifdef LINUX
	return kind == GRACECLOSE_KIND_TCP &&
	    tcp_state(fd, kind) == TCP_SYN_RECV;
#endif
	(void)fd;
	(void)kind;
	return false;
}

/*
 * Throws away at most max bytes of input: their number, 0 for EOF, or -1 and
 * errno.  MSG_TRUNC does not copy them (tcp(7)); AF_UNIX does not know it.
 */
ssize_t
graceclose_tcp_discard(int fd, int kind, size_t max)
{
	char sink[8192];

#ifdef LINUX
	if (kind != GRACECLOSE_KIND_LOCAL)
		return recv(fd, NULL, max, MSG_TRUNC | MSG_DONTWAIT);
#endif
	(void)kind;
	return recv(fd, sink, max < sizeof(sink) ? max : sizeof(sink),
	    MSG_DONTWAIT);
}

/*
 * Takes one of the notices that MSG_ZEROCOPY, time stamps or IP_RECVERR have
 * queued.  They are no news of the close, but while one is there poll(2) says
 * POLLERR, asked or not.
 */
void
graceclose_tcp_skip_notice(int fd, int kind)
{
#ifdef LINUX
	/* AF_UNIX has none, and takes it for a recv that eats a reset. */
	if (kind != GRACECLOSE_KIND_LOCAL)
		(void)recv(fd, NULL, 0, MSG_ERRQUEUE | MSG_DONTWAIT);
#endif
	(void)fd;
	(void)kind;
}

/* The pending error, which is then no longer pending; 0: none. */
int
graceclose_tcp_take_error(int fd)
{
	return get_int(fd, SOL_SOCKET, SO_ERROR);
}

static void
set_linger(int fd, int onoff)
{
	struct linger l;

	memset(&l, 0, sizeof(l));
	l.l_onoff = onoff;
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* An SO_LINGER that earlier code left would make close block, or reset. */
void
graceclose_tcp_unlinger(int fd)
{
	set_linger(fd, 0);
}

/*
 * connect(AF_UNSPEC) acts on the connection: the RST leaves at once, whoever
 * else holds the descriptor, and a thread blocked on it wakes.  Kernels with
 * commit 4faeee0cf8a5 and without 419ce133ab92 (6.4 to 6.6) say EBUSY while a
 * thread waits: SHUT_RD wakes it and sends nothing.  Linger 0 does the rest at
 * close, which MPTCP needs after SHUT_WR.  AF_UNIX has none of this, but both
 * of its directions can be shut.
 */
void
graceclose_tcp_abort(int fd, int kind)
{
	struct sockaddr sa;

	if (kind == GRACECLOSE_KIND_LOCAL) {
		(void)shutdown(fd, SHUT_RDWR);
		return;
	}
	memset(&sa, 0, sizeof(sa));
	sa.sa_family = AF_UNSPEC;
	if (connect(fd, &sa, sizeof(sa)) == -1)
		(void)shutdown(fd, SHUT_RD);
	set_linger(fd, 1);
}

/* The descriptor is gone also after EINTR: close(2) is never retried. */
int
graceclose_tcp_close(int fd)
{
	return close(fd) == -1 && errno != EINTR ? errno : 0;
}

int64_t
graceclose_tcp_clock(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

#ifdef LINUX
/*
 * Level-triggered poll cannot wait for an acknowledgement: after SHUT_WR
 * POLLOUT is always ready.  An edge of epoll comes exactly when the FIN is
 * acknowledged, as every change of state wakes the waiters.
 */
static int
wait_edge(struct graceclose_waiter *w, int fd, int timeout_ms)
{
	struct epoll_event ev;

	if (w->epfd == GRACECLOSE_WAITER_UNTRIED) {
		w->epfd = epoll_create1(EPOLL_CLOEXEC);
		memset(&ev, 0, sizeof(ev));
		ev.events = GRACECLOSE_EPOLL;
		if (w->epfd != -1 &&
		    epoll_ctl(w->epfd, EPOLL_CTL_ADD, fd, &ev) == -1)
			graceclose_tcp_wait_end(w);
		if (w->epfd == -1)
			w->epfd = GRACECLOSE_WAITER_REFUSED;
	}
	if (w->epfd == GRACECLOSE_WAITER_REFUSED)
		return -1;
	(void)epoll_wait(w->epfd, &ev, 1, timeout_ms);
	return 0;
}
#else
static int
wait_edge(struct graceclose_waiter *w, int fd, int timeout_ms)
{
	(void)w;
	(void)fd;
	(void)timeout_ms;
	return -1;
}
#endif

/* Waits for news of fd, a signal, or the time, and need not say which. */
void
graceclose_tcp_wait(struct graceclose_waiter *w, int fd, short events,
    int timeout_ms)
{
	struct pollfd p = { fd, events, 0 };

	if (wait_edge(w, fd, timeout_ms) == 0)
		return;
	/* EINVAL is RLIMIT_NOFILE at 0: no descriptor may be waited for. */
	if (poll(&p, events != 0, timeout_ms) == -1 && errno == EINVAL)
		(void)poll(NULL, 0, timeout_ms >= 0 && timeout_ms < BLIND_MS ?
		    timeout_ms : BLIND_MS);
}

void
graceclose_tcp_wait_end(struct graceclose_waiter *w)
{
	if (w->epfd >= 0)
		(void)close(w->epfd);
	w->epfd = -1;
}
