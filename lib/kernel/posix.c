/*
 * posix.c - what plain POSIX can be asked of a connection
 *
 * Nothing here knows of acknowledgements, nor of a FIN behind unread input.
 * What cannot be known is answered so that a verdict is a failure, never a
 * success.
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "kernel/common.h"
#include "kernel/kernel.h"

const short graceclose_tcp_events = POLLIN | POLLOUT | POLLWRBAND;

int
graceclose_kind_by_protocol(int fd)
{
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
	protocol = graceclose_sockopt(fd, SOL_SOCKET, SO_PROTOCOL);
#endif
	return (ss.ss_family == AF_INET || ss.ss_family == AF_INET6) &&
	    (protocol == -1 || protocol == IPPROTO_TCP) ?
	    GRACECLOSE_KIND_TCP : -1;
}

int
graceclose_tcp_kind(int fd, int *input)
{
	*input = GRACECLOSE_INPUT_UNKNOWN;
	return graceclose_kind_of_socket(fd);
}

int
graceclose_tcp_kind_proper(int fd, int kind)
{
	(void)fd;
	return kind;
}

bool
graceclose_tcp_gone(int fd, int kind)
{
	(void)kind;
	return graceclose_peername(fd) == ENOTCONN;
}

bool
graceclose_tcp_goes_on(int fd, int kind)
{
	return kind == GRACECLOSE_KIND_TCP && graceclose_peername(fd) == 0;
}

bool
graceclose_tcp_was_connected(int fd, int kind)
{
	(void)fd;
	(void)kind;
	return true;
}

/* MSG_PEEK would take a pending error where there is no data. */
bool
graceclose_tcp_unread(int fd, short revents)
{
	int n;

	(void)revents;
	return ioctl(fd, FIONREAD, &n) == 0 && n > 0;
}

/* On AF_UNIX our SHUT_RD ends the peer's side as well. */
bool
graceclose_tcp_finished(int fd, int kind)
{
	(void)fd;
	return kind == GRACECLOSE_KIND_LOCAL;
}

bool
graceclose_tcp_at_end(int fd, int kind)
{
	(void)fd;
	(void)kind;
	return false;
}

bool
graceclose_tcp_opening(int fd, int kind)
{
	(void)fd;
	(void)kind;
	return false;
}

/*
 * A pending error is all that tells a reset from an orderly end.  A connection
 * that was seen alive, and whose error nobody took, has ended in order; EOF is
 * gone only where another holder's connect(AF_UNSPEC) was.  How a connection
 * ended that had ended before, nobody knows.
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

/*
 * Our own SHUT_RD, or a reset whose error was taken, looks like the peer's FIN
 * here, and a FIN behind unread input does not show.
 */
int
graceclose_tcp_state(int fd, short revents)
{
	struct pollfd p = { fd, 0, 0 };
	int input, kind;
	ssize_t n;
	bool gone;
	char c;

	if ((kind = graceclose_tcp_kind(fd, &input)) == -1)
		return -1;
	gone = kind == GRACECLOSE_KIND_LOCAL ?
	    (revents & POLLERR) != 0 && (revents & POLLHUP) != 0 :
	    graceclose_tcp_gone(fd, kind);
	/* No more errors come: none can be taken unseen. */
	if (gone && (graceclose_tcp_poll(&p, 1) == -1 ||
	    (p.revents & POLLERR) != 0))
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

/*
 * What the peer of AF_UNIX has not read.  Linux alone counts that; elsewhere
 * bytes leave the queue when they reach the peer's, so that 0 says nothing.
 */
int64_t
graceclose_tcp_outq(int fd, int kind)
{
#if defined(__linux__) && defined(TIOCOUTQ)
	int n = 0;

	if (kind == GRACECLOSE_KIND_LOCAL && ioctl(fd, TIOCOUTQ, &n) == 0)
		return n;
#endif
	(void)fd;
	(void)kind;
	errno = ENOTSUP;
	return -1;
}

bool
graceclose_tcp_remembers(int fd, int kind)
{
	(void)fd;
	(void)kind;
	return false;
}

bool
graceclose_tcp_anew(int fd)
{
	(void)fd;
	return false;
}

bool
graceclose_tcp_forgot(int fd, int kind)
{
	(void)fd;
	(void)kind;
	return false;
}

bool
graceclose_tcp_fin_unacked(int fd, int kind)
{
	(void)fd;
	(void)kind;
	return false;
}

bool
graceclose_tcp_fin_left(int fd, int kind)
{
	(void)fd;
	(void)kind;
	return false;
}

bool
graceclose_tcp_withholds(int fd, int kind)
{
	(void)fd;
	(void)kind;
	return false;
}

int
graceclose_tcp_push(int fd)
{
	(void)fd;
	return 1;
}

ssize_t
graceclose_tcp_receive(int fd, int kind, void *buf, size_t size, bool *data)
{
	(void)kind;
	*data = true;
	return recv(fd, buf, size, MSG_DONTWAIT);
}

ssize_t
graceclose_tcp_discard(int fd, int kind, size_t max)
{
	char sink[8192];
	bool data;

	return graceclose_tcp_receive(fd, kind, sink,
	    max < sizeof(sink) ? max : sizeof(sink), &data);
}

void
graceclose_tcp_skip_notice(int fd, int kind)
{
	(void)fd;
	(void)kind;
}
