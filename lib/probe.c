/*
 * probe.c - how a connection stands, at the price of a poll(2)
 */
#include <errno.h>
#include <poll.h>

#include "graceclose.h"
#include "kernel/kernel.h"
#include "probe.h"

int
graceclose_probe_bits(int fd, short revents)
{
	int bits = 0, saved = errno;

	if (revents == POLLOUT)		/* quiet: poll has said it all */
		return 0;
	switch (graceclose_tcp_state(fd, revents)) {
	case -1:
		return -1;
	case GRACECLOSE_STATE_DEAD:
		bits = GRACECLOSE_RST;
		break;
	case GRACECLOSE_STATE_FINISHED:
	case GRACECLOSE_STATE_ENDED:
		bits = GRACECLOSE_FIN;
		break;
	}
	if ((revents & POLLIN) != 0 && graceclose_tcp_unread(fd, revents))
		bits |= GRACECLOSE_UNREAD;
	errno = saved;
	return bits;
}

int
graceclose_probe(int fd)
{
	struct pollfd p = { fd, graceclose_tcp_events, 0 };

	if (graceclose_tcp_poll(&p, 1) == -1)
		return -1;
	return graceclose_probe_bits(fd, p.revents);
}
