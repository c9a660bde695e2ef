/*
 * watch.c - how the reaper's thread waits: edges of descriptors, and an alarm
 *
 * Without epoll there is the alarm alone, and every close is looked at by its
 * timer.
 */
#include <sys/types.h>

#if defined(__linux__) && !defined(GRACECLOSE_PORTABLE)
#define LINUX
#include <sys/epoll.h>
#include <sys/eventfd.h>
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <unistd.h>

#include "reaper/reaper.h"

#ifdef LINUX
static int
add(struct graceclose_watch *w, int fd, void *who, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = who };

	return epoll_ctl(w->set, EPOLL_CTL_ADD, fd, &ev);
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
	    add(w, w->alarm, NULL, EPOLLIN | EPOLLET) == 0)
		return 0;
	saved = errno;
	graceclose_watch_close(w);
	errno = saved;
	return -1;
}

/*
 * That our FIN was acknowledged need be told only where the peer's FIN is not
 * waited for; elsewhere it would bring one event more for each close.  After
 * the peer's FIN it ends the connection, which POLLHUP tells of, asked or not.
 */
int
graceclose_watch_add(struct graceclose_watch *w, int fd, void *who, bool acks)
{
	return add(w, fd, who, acks ? GRACECLOSE_EPOLL :
	    EPOLLIN | EPOLLRDHUP | EPOLLET);
}

/*
 * close(2) does not do this where a fork has left a duplicate somewhere, and
 * the events would go on to name who is no longer there.
 */
void
graceclose_watch_remove(struct graceclose_watch *w, int fd)
{
	(void)epoll_ctl(w->set, EPOLL_CTL_DEL, fd, NULL);
}

int
graceclose_watch_wait(struct graceclose_watch *w, void **who, int timeout_ms)
{
	struct epoll_event ev[GRACECLOSE_BATCH];
	int i, n, found = 0;

	n = epoll_wait(w->set, ev, GRACECLOSE_BATCH, timeout_ms);
	for (i = 0; i < n; i++)
		if (ev[i].data.ptr != NULL)
			who[found++] = ev[i].data.ptr;
	return found;
}

void
graceclose_watch_wake(struct graceclose_watch *w)
{
	const uint64_t one = 1;
	int saved = errno;

	(void)!write(w->alarm, &one, sizeof(one));
	errno = saved;
}

void
graceclose_watch_close(struct graceclose_watch *w)
{
	(void)close(w->set);
	if (w->alarm != -1)
		(void)close(w->alarm);
}
#else
int
graceclose_watch_open(struct graceclose_watch *w)
{
	int i, ends[2];

	if (pipe(ends) == -1)
		return -1;
	for (i = 0; i < 2; i++) {
		(void)fcntl(ends[i], F_SETFD, FD_CLOEXEC);
		(void)fcntl(ends[i], F_SETFL, O_NONBLOCK);
	}
	w->set = ends[0];
	w->alarm = ends[1];
	return 0;
}

int
graceclose_watch_add(struct graceclose_watch *w, int fd, void *who, bool acks)
{
	(void)w;
	(void)fd;
	(void)who;
	(void)acks;
	return -1;
}

void
graceclose_watch_remove(struct graceclose_watch *w, int fd)
{
	(void)w;
	(void)fd;
}

int
graceclose_watch_wait(struct graceclose_watch *w, void **who, int timeout_ms)
{
	struct pollfd p = { w->set, POLLIN, 0 };
	char rung[GRACECLOSE_BATCH];

	(void)who;
	if (poll(&p, 1, timeout_ms) == 1)
		(void)!read(w->set, rung, sizeof(rung));
	return 0;
}

void
graceclose_watch_wake(struct graceclose_watch *w)
{
	int saved = errno;

	(void)!write(w->alarm, "", 1);
	errno = saved;
}

void
graceclose_watch_close(struct graceclose_watch *w)
{
	(void)close(w->set);
	(void)close(w->alarm);
}
#endif
