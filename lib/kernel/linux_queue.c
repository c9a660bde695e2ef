/*
 * linux_queue.c - the send queue, what of it is acknowledged; and the input to
 * throw away
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include <stddef.h>

#include "kernel/common.h"
#include "kernel/kernel.h"
#include "kernel/linux.h"

/*
 * Of MPTCP that fell back SIOCOUTQ may have twice what its TCP socket holds:
 * once for itself, until it sees an acknowledgement.  SIOCOUTQNSD, what it has
 * not handed on yet, has the other part as well (mptcp_ioctl_outq()).
 */
int64_t
graceclose_tcp_outq(int fd, int kind)
{
	int n = 0;		/* valgrind does not know SIOCOUTQNSD */

	if (kind == GRACECLOSE_KIND_LOCAL)
		return 0;
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

bool
graceclose_tcp_anew(int fd, int kind)
{
	return graceclose_tcp_gone(fd, kind) && graceclose_linux_reopened(fd);
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
	return kind == GRACECLOSE_KIND_TCP &&
	    graceclose_linux_state(fd, kind) == TCP_SYN_RECV;
}

/* MSG_TRUNC does not copy the bytes (tcp(7)); AF_UNIX does not know it. */
ssize_t
graceclose_tcp_discard(int fd, int kind, size_t max)
{
	char sink[8192];

	if (kind != GRACECLOSE_KIND_LOCAL)
		return recv(fd, NULL, max, MSG_TRUNC | MSG_DONTWAIT);
	return recv(fd, sink, max < sizeof(sink) ? max : sizeof(sink),
	    MSG_DONTWAIT);
}

/* AF_UNIX has no error queue, and takes this for a recv that eats a reset. */
void
graceclose_tcp_skip_notice(int fd, int kind)
{
	if (kind != GRACECLOSE_KIND_LOCAL)
		(void)recv(fd, NULL, 0, MSG_ERRQUEUE | MSG_DONTWAIT);
}
