/*
 * linux_queue.c - the send queue, and what of it is acknowledged
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include <poll.h>
#include <stddef.h>

#include "kernel/common.h"
#include "kernel/kernel.h"
#include "kernel/linux.h"

/*
 * Of MPTCP that fell back SIOCOUTQ may have twice what its TCP socket holds:
 * once for itself, until it sees an acknowledgement.  SIOCOUTQNSD, what it has
 * not handed on yet, has the other part as well (mptcp_ioctl_outq()).
 * AF_UNIX counts buffers that the peer's program has not read.
 */
int64_t
graceclose_tcp_outq(int fd, int kind)
{
	int n = 0;		/* valgrind does not know SIOCOUTQNSD */

	return ioctl(fd, kind == GRACECLOSE_KIND_FALLBACK ? SIOCOUTQNSD :
	    SIOCOUTQ, &n) == -1 ? -1 : n;
}

/*
 * connect(AF_UNSPEC) starts the count anew, MPTCP that fell back forgets it at
 * a reset, and AF_UNIX never knew it.
 */
bool
graceclose_tcp_remembers(int fd, int kind)
{
	return kind != GRACECLOSE_KIND_LOCAL &&
	    kind != GRACECLOSE_KIND_FALLBACK && !graceclose_linux_reopened(fd);
}

/* CLOSE, and both directions open: a reset, or an end, shuts both. */
bool
graceclose_tcp_anew(int fd)
{
	struct pollfd p = { fd, POLLRDHUP, 0 };

	return graceclose_tcp_poll(&p, 1) != -1 &&
	    (p.revents & (POLLHUP | POLLRDHUP)) == POLLHUP;
}

/*
 * The count of MPTCP that fell back leaves out what its subflow holds, once
 * the subflow is in CLOSE; getpeername(2) tells so later (mptcp_ioctl_outq()).
 */
bool
graceclose_tcp_forgot(int fd, int kind)
{
	return kind == GRACECLOSE_KIND_FALLBACK &&
	    graceclose_linux_state(fd, kind) == TCP_CLOSE;
}

bool
graceclose_tcp_fin_unacked(int fd, int kind)
{
	int state = graceclose_linux_state(fd, kind);

	return state == TCP_FIN_WAIT1 || state == TCP_CLOSING ||
	    state == TCP_LAST_ACK;
}

/* In SYN_RECV SIOCOUTQ is 0 whatever was written (tcp_ioctl()). */
bool
graceclose_tcp_opening(int fd, int kind)
{
	return graceclose_linux_is_tcp(kind) &&
	    graceclose_linux_state(fd, kind) == TCP_SYN_RECV;
}
