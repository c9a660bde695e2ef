/*
 * probe_many.c - look at a whole pool of connections at once
 */
#include <errno.h>
#include <poll.h>

#include "graceclose.h"
#include "kernel/kernel.h"
#include "probe.h"

#define CHUNK	1024		/* descriptors a poll: 8 KiB of stack */

/*
 * poll(2) takes at most RLIMIT_NOFILE entries, also where some are repeated,
 * and says EINVAL to more: then fewer at once will do.
 */
static int
look_at(struct pollfd *p, const int *fds, size_t *n)
{
	size_t i;

	for (;;) {
		for (i = 0; i < *n; i++) {
			p[i].fd = fds[i];
			p[i].events = graceclose_tcp_events;
			p[i].revents = 0;
		}
		if (graceclose_tcp_poll(p, *n) != -1)
			return 0;
		if (errno != EINVAL || *n == 1)
			return -1;
		*n = (*n + 1) / 2;
	}
}

int
graceclose_probe_many(const int *fds, size_t n, unsigned char *bits)
{
	struct pollfd p[CHUNK];
	size_t chunk = CHUNK, done, i;
	int closed = 0, saved = errno;

	if (n != 0 && (fds == NULL || bits == NULL)) {
		errno = EINVAL;
		return -1;
	}
	for (done = 0; done < n; done += chunk) {
		if (chunk > n - done)
			chunk = n - done;
		if (look_at(p, fds + done, &chunk) == -1)
			return -1;
		for (i = 0; i < chunk; i++) {
			int b = graceclose_probe_bits(p[i].fd, p[i].revents);

			if (b == -1)	/* nothing that one could write to */
				b = GRACECLOSE_RST;
			bits[done + i] = (unsigned char)b;
			closed += (b & (GRACECLOSE_FIN | GRACECLOSE_RST)) != 0;
		}
	}
	errno = saved;
	return closed;
}
