/* kernel_wait.c - see kernel_wait.h */
#include <errno.h>

#include "fuzz/kernel.h"
#include "fuzz/kernel_call.h"
#include "fuzz/kernel_layer.h"
#include "fuzz/kernel_lie.h"
#include "fuzz/kernel_net.h"

/* tcp_poll(), datagram_poll(), unix_poll(), pipe_poll(). */
static int
ready(void)
{
	int r = kernel.error != 0 || kernel.notices > 0 ? POLLERR : 0;

	switch (kernel.kind) {
	case KERNEL_CLOSED:
	case KERNEL_PATH:
		return POLLNVAL;
	case KERNEL_PIPE:
	case KERNEL_LISTENER:
		return 0;
	case KERNEL_DATAGRAM:
	case KERNEL_LOCAL:
	case KERNEL_LOCAL_UNCONNECTED:
		r |= POLLWRBAND;
	}
	if (kernel.state == TCP_SYN_SENT)
		return r;
	r |= POLLOUT;
	if (kernel.shut == (KERNEL_RD | KERNEL_WR) ||
	    (kernel.state == TCP_CLOSE && kernel.kind != KERNEL_DATAGRAM))
		r |= POLLHUP;
	if (kernel.shut & KERNEL_RD)
		r |= POLLIN | POLLRDHUP;
	if (kernel_readable())
		r |= POLLIN;
	return r;
}

static short
asked(int events)
{
	return (short)(ready() & (events | POLLERR | POLLHUP | POLLNVAL));
}

bool
kernel_wakes(bool edges)
{
	return edges ? kernel.edge : asked(POLLIN) != 0;
}

/* Until there is news, the time, or the end of it all. */
static bool
sleep_on(bool edges, int events, int timeout_ms)
{
	int64_t end = timeout_ms == -1 ? INT64_MAX :
	    kernel.now + (int64_t)timeout_ms * 1000;

	while (kernel.now < end) {
		if (edges ? kernel.edge : events != 0 && asked(events) != 0)
			return true;
		kernel_must(++kernel.calls < KERNEL_CALLS_MAX);
		if (!kernel_silent()) {
			kernel_happen(kernel_draw(KERNEL_EVENTS));
		} else if (timeout_ms == -1) {
			kernel_pass_time(KERNEL_PATIENCE);
			kernel_end_it();
		} else {
			kernel_pass_time(end - kernel.now);
		}
	}
	return false;
}

void
kernel_wait(bool edges, short events, int timeout_ms)
{
	(void)sleep_on(edges, events, timeout_ms);
	kernel.edge = false;
}

/*
 * What a wait may not do: come where none may be.  An abort may try again, a
 * millisecond apart, where connect(AF_UNSPEC) was EBUSY.
 */
static void
look_at_wait(nfds_t n, int timeout_ms)
{
	kernel_must(timeout_ms >= -1);
	if (timeout_ms != 0 && !kernel.may_wait)
		kernel_must(kernel.busy > 0 && kernel.busy <= 10 &&
		    n == 0 && timeout_ms == 1);
}

static int
poll_any(struct pollfd *p)
{
	p->revents = (short)(asked(INT16_MAX) ^ (int)kernel_draw(64));
	return (int)kernel_draw(2);
}

static int
poll_one(struct pollfd *p, int timeout_ms)
{
	if (kernel_lies())
		return poll_any(p);
	if (timeout_ms != 0)
		(void)sleep_on(false, p->events, timeout_ms);
	kernel_must(kernel.closes == 0);
	if (p->fd == KERNEL_FD)
		p->revents = asked(p->events);
	else
		p->revents = POLLNVAL;
	return p->revents != 0;
}

/* Where RLIMIT_NOFILE is 0 it takes no descriptor at all. */
int
kernel_poll(struct pollfd *p, nfds_t n, int timeout_ms)
{
	static const int errors[] = { EINTR, ENOMEM, 0 };
	int error = kernel_pass(errors);

	kernel_must(n <= 1);
	look_at_wait(n, timeout_ms);
	if (error == 0 && n > 0 && kernel.no_files) {
		kernel.failures++;
		error = EINVAL;
	}
	if (error != 0)
		return kernel_answer(error, 0);
	if (n > 0)
		return poll_one(p, timeout_ms);
	if (timeout_ms != 0)
		(void)sleep_on(false, 0, timeout_ms);
	return 0;
}

int
kernel_epoll_create1(int flags)
{
	static const int errors[] = { EMFILE, ENFILE, ENOMEM, 0 };
	int error = kernel_pass(errors);

	kernel_must(flags == EPOLL_CLOEXEC);
	if (kernel.no_files)
		error = EMFILE;
	kernel.others += error == 0;
	return kernel_answer(error, KERNEL_EPFD);
}

int
kernel_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	static const int errors[] = { ENOMEM, ENOSPC, 0 };
	int error = kernel_pass(errors);

	kernel_must(epfd == KERNEL_EPFD && op == EPOLL_CTL_ADD &&
	    fd == KERNEL_FD);
	kernel_must(kernel.closes == 0 && (ev->events & EPOLLET));
	kernel.edge = true;
	return kernel_answer(error, 0);
}

int
kernel_epoll_wait(int epfd, struct epoll_event *ev, int n, int timeout_ms)
{
	static const int errors[] = { EINTR, EPERM, 0 };
	int error = kernel_pass(errors);

	kernel_must(epfd == KERNEL_EPFD && n == 1);
	look_at_wait(1, timeout_ms);
	if (error != 0)
		return kernel_answer(error, 0);
	(void)sleep_on(true, 0, timeout_ms);
	if (!kernel.edge)
		return 0;
	kernel.edge = false;
	ev->events = (uint32_t)ready();
	return 1;
}

/* Where nothing that waits works. */
int
kernel_nanosleep(const struct timespec *ts, struct timespec *left)
{
	kernel_must(left == NULL && ts->tv_sec == 0);
	look_at_wait(0, (int)(ts->tv_nsec / 1000000));
	kernel_must(ts->tv_nsec >= 0 && ts->tv_nsec <= 64000000);
	(void)kernel_pass(NULL);
	(void)sleep_on(false, 0, (int)(ts->tv_nsec / 1000000));
	return 0;
}

/* The accounts of what the library knew when it last read the clock. */
static void
look_at_clock(void)
{
	if (kernel.closes == 0)
		kernel.looked = kernel.calls;
	if (kernel.started == 0)
		kernel.started = kernel.progressed = kernel.told = kernel.now;
	kernel.fresh |= kernel.news;	/* the last look of a step counts */
	if (kernel.fresh)
		kernel.progressed = kernel.now;
	kernel.news = false;
	kernel.reads++;
	kernel.clock[1] = kernel.clock[0];
	kernel.clock[0] = kernel.now;
	kernel.told_then[1] = kernel.told_then[0];
	kernel.told_then[0] = kernel.told;
	if (kernel.closes > 0)		/* nobody can know any more since */
		return;
	kernel.torn_then[1] = kernel.torn_then[0];
	kernel.torn_then[0] = kernel.torn;
}

int
kernel_clock_gettime(clockid_t id, struct timespec *ts)
{
	kernel_must(id == CLOCK_MONOTONIC);
	(void)kernel_pass(NULL);
	look_at_clock();
	ts->tv_sec = (time_t)(kernel.now / 1000000);
	ts->tv_nsec = (long)(kernel.now % 1000000 * 1000);
	return 0;
}
