/*
 * watch_epoll.c - the reaper's thread waits for edges of epoll(7)
 */
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "graceclose.h"
#include "kernel/kernel.h"
#include "reaper/watch.h"

#define NEWS	(EPOLLIN | EPOLLRDHUP | EPOLLET)

static int
control(struct graceclose_watch *w, int op, int fd, void *data, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = data };

	return epoll_ctl(w->set, op, fd, &ev);
}

/* An edge of an eventfd comes with every write, so nobody need read it. */
int
graceclose_watch_open(struct graceclose_watch *w)
{
	int saved;

	if ((w->set = epoll_create1(EPOLL_CLOEXEC)) == -1)
		return -1;
	w->alarm = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->alarm != -1 &&
	    control(w, EPOLL_CTL_ADD, w->alarm, NULL, EPOLLIN | EPOLLET) == 0)
		return 0;
	saved = errno;
	graceclose_watch_close(w);
	errno = saved;
	return -1;
}

/*
 * The acknowledgement of our FIN needs an event of its own only where the close
 * does not wait for the peer's FIN; elsewhere it would be one event more for
 * each close.  After the peer's FIN that acknowledgement ends the connection,
 * and epoll reports EPOLLHUP, asked or not.
 *
 * The peer's FIN ends most closes.  If no event comes after it by itself, that
 * saves EPOLL_CTL_DEL, for which the thread competes with those that submit.
 * What is left then keeps its place in the set while a duplicate lives.
 */
int
graceclose_watch_add(struct graceclose_watch *w, int fd, void *data, bool acks)
{
	uint32_t events = acks ? GRACECLOSE_EPOLL : NEWS | EPOLLONESHOT;

	if (control(w, EPOLL_CTL_ADD, fd, data, events) == 0)
		return 0;
	return errno == EEXIST ?
	    control(w, EPOLL_CTL_MOD, fd, data, events) : -1;
}

int
graceclose_watch_again(struct graceclose_watch *w, int fd, void *data)
{
	return control(w, EPOLL_CTL_MOD, fd, data, NEWS);
}

void
graceclose_watch_remove(struct graceclose_watch *w, int fd)
{
	(void)epoll_ctl(w->set, EPOLL_CTL_DEL, fd, NULL);
}

int
graceclose_watch_wait(struct graceclose_watch *w, void **data, int timeout_ms)
{
	struct epoll_event ev[GRACECLOSE_BATCH];
	int i, n, found = 0;

	n = epoll_wait(w->set, ev, GRACECLOSE_BATCH, timeout_ms);
	if (n == -1 && errno != EINTR)
		graceclose_tcp_nap(timeout_ms);
	for (i = 0; i < n; i++)
		if (ev[i].data.ptr != NULL)
			data[found++] = ev[i].data.ptr;
	return found;
}

void
graceclose_watch_wake(struct graceclose_watch *w)
{
	const uint64_t one = 1;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	int saved = errno;

	/* In a sandbox without write(2) an edge comes from what is ready. */
	if (write(w->alarm, &one, sizeof(one)) == -1)
		(void)epoll_ctl(w->set, EPOLL_CTL_MOD, w->alarm, &ev);
	errno = saved;
}

void
graceclose_watch_close(struct graceclose_watch *w)
{
	(void)close(w->set);
	if (w->alarm != -1)
		(void)close(w->alarm);
}
