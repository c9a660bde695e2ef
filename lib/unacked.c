/*
 * unacked.c - how much of what was sent is not known to have arrived
 */
#include <errno.h>
#include <poll.h>

#include "graceclose.h"
#include "kernel/kernel.h"

/*
 * The count is taken after the state: an acknowledgement between the two then
 * makes the answer newer, not wrong.
 */
int64_t
graceclose_unacked(int fd)
{
	struct pollfd p = { fd, graceclose_tcp_events, 0 };
	int input, kind, saved = errno;
	bool gone, fin = false;
	int64_t n;

	if (graceclose_tcp_poll(&p, 1) == -1 ||
	    graceclose_tcp_state(fd, p.revents) == -1 ||
	    (kind = graceclose_tcp_kind(fd, &input)) == -1)
		return -1;
	/* Nobody counts the bytes of AF_UNIX. */
	if (kind == GRACECLOSE_KIND_LOCAL) {
		errno = saved;
		return 0;
	}
	kind = graceclose_tcp_kind_proper(fd, kind);
	gone = graceclose_tcp_gone(fd, kind);
	if ((gone && !graceclose_tcp_remembers(fd, kind)) ||
	    graceclose_tcp_opening(fd, kind)) {
		errno = ENOTCONN;
		return -1;
	}
	n = graceclose_tcp_outq(fd, kind);
	if (n > 0 && !gone) {
		fin = graceclose_tcp_fin_unacked(fd, kind);
		n = graceclose_tcp_outq(fd, kind);
	}
	if (n == -1)
		return -1;
	errno = saved;
	return fin && n > 0 ? n - 1 : n;
}
