/*
 * graceclose.c - the blocking close: the closer, and a wait between its steps
 */
#include <errno.h>

#include "closer.h"
#include "graceclose.h"
#include "kernel/kernel.h"

int
graceclose(int fd, const struct graceclose_opts *opts,
    struct graceclose_report *report)
{
	struct graceclose_waiter w = { GRACECLOSE_WAITER_UNTRIED };
	struct graceclose gc;
	int saved = errno;

	if (graceclose_begin(&gc, fd, opts) == -1) {
		graceclose_no_close(report, errno);
		return -1;
	}
	while (graceclose_step(&gc) == 1)
		graceclose_tcp_wait(&w, fd, graceclose_events(&gc),
		    graceclose_timeout(&gc));
	graceclose_tcp_wait_end(&w);
	errno = saved;
	return graceclose_end(&gc, report);
}
