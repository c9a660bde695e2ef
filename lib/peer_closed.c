/*
 * peer_closed.c - ask before a write whether it can still arrive
 */
#include <errno.h>
#include <poll.h>

#include "graceclose.h"
#include "kernel/kernel.h"
#include "probe.h"

static int
answer(int bits)
{
	if (bits == -1)
		return -1;
	if ((bits & GRACECLOSE_RST) != 0) {
		errno = ECONNRESET;
		return -1;
	}
	return (bits & GRACECLOSE_FIN) != 0;
}

/*
 * Called before each write, so the common answer has a path of its own that
 * is one poll(2) and nothing else.  EINTR means that nothing was ready.
 */
int
peer_closed(int fd)
{
	struct pollfd p = { fd, graceclose_tcp_events, 0 };
	int saved = errno;

	if (poll(&p, 1, 0) == -1) {
		errno = saved;
		return answer(graceclose_probe(fd));
	}
	return p.revents == POLLOUT ? 0 :
	    answer(graceclose_probe_bits(fd, p.revents));
}
