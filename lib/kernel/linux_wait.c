/*
 * linux_wait.c - how a blocking close waits: poll(2), or an edge of epoll
 */
#include <sys/types.h>
#include <sys/epoll.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "graceclose.h"
#include "kernel/common.h"
#include "kernel/kernel.h"

static void
refuse_edge(struct graceclose_waiter *w)
{
	graceclose_tcp_wait_end(w);
	w->epfd = GRACECLOSE_WAITER_REFUSED;
}

/*
 * Level-triggered poll cannot wait for an acknowledgement: after SHUT_WR
 * POLLOUT is always ready.  An edge of epoll comes exactly when the FIN is
 * acknowledged, as every change of state wakes the waiters.
 */
static void
open_edge(struct graceclose_waiter *w, int fd)
{
	struct epoll_event ev;

	w->epfd = epoll_create1(EPOLL_CLOEXEC);
	memset(&ev, 0, sizeof(ev));
	ev.events = GRACECLOSE_EPOLL;
	if (w->epfd == -1 ||
	    epoll_ctl(w->epfd, EPOLL_CTL_ADD, fd, &ev) == -1)
		refuse_edge(w);
}

bool
graceclose_tcp_has_edges(const struct graceclose_waiter *w, int kind)
{
	return kind == GRACECLOSE_KIND_TCP &&
	    w->epfd != GRACECLOSE_WAITER_REFUSED;
}

/* poll(2) is one call, epoll four, with an event that is there at once. */
static bool
poll_will_do(const struct graceclose_waiter *w)
{
	return w->epfd == GRACECLOSE_WAITER_REFUSED ||
	    (w->epfd == GRACECLOSE_WAITER_UNTRIED && w->input_only);
}

void
graceclose_tcp_wait(struct graceclose_waiter *w, int fd, short events,
    int timeout_ms)
{
	struct epoll_event ev;
	bool level = poll_will_do(w);
	int n;

	w->no_input = false;
	if (!level && w->epfd == GRACECLOSE_WAITER_UNTRIED) {
		open_edge(w, fd);
		if (w->epfd == GRACECLOSE_WAITER_REFUSED)
			return;		/* the timeout was for edges */
	}
	(void)pthread_setcancelstate(w->cancel, NULL);
	if (level) {
		graceclose_wait_poll(fd, events, timeout_ms);
	} else {
		n = epoll_wait(w->epfd, &ev, 1, timeout_ms);
		w->no_input = n == 1 && ev.events == EPOLLOUT;
		if (n == -1 && errno != EINTR)
			refuse_edge(w);
	}
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
}

void
graceclose_tcp_wait_end(struct graceclose_waiter *w)
{
	if (w->epfd >= 0)
		(void)close(w->epfd);
	w->epfd = -1;
}
