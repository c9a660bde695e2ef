/*
 * by_hand.c - a minimal loop: SHUT_WR, discard until the peer's FIN, close
 *
 * It discards without a copy (tcp(7), MSG_TRUNC), and asks SIOCOUTQ whether all
 * was acknowledged.  It has no limits, no verdict beyond that, no bound for
 * input, and nothing but TCP goes through it.  The ratios of the bench are
 * ratios to this loop.
 */
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include <errno.h>
#include <unistd.h>

#include "loop.h"
#include "peer.h"

#define RECV_MAX	((size_t)1 << 20)

static int
begin(void *state, int fd, int limit_ms)
{
	(void)state;
	(void)limit_ms;
	return shutdown(fd, SHUT_WR);
}

/* What else happens wakes a socket with a FIN: its last acknowledgement. */
static int
step(void *state, int fd)
{
	ssize_t n;
	int outq;

	(void)state;
	while ((n = recv(fd, NULL, RECV_MAX, MSG_TRUNC | MSG_DONTWAIT)) > 0)
		continue;
	if (n == -1)
		return errno == EAGAIN ? 1 : -1;
	if (ioctl(fd, SIOCOUTQ, &outq) == -1)
		return -1;
	return outq != 0;
}

static int
end(void *state, int fd)
{
	(void)state;
	return close(fd);
}

static const struct loop_peer by_hand = {
	.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
	.begin = begin,
	.step = step,
	.end = end
};

const struct peer peer_by_hand = {
	.name = "epoll by hand",
	.loop = &by_hand,
	.at_once = true
};
