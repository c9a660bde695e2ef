/*
 * loop.c - see loop.h
 */
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "peer.h"

#define BATCH		256		/* events at a time */
#define SWEEP_MS	250		/* between two looks at all limits */
#define FEW		16		/* have their limits looked at always */

/* One close; the peer's state stands behind it. */
struct slot {
	int		  fd;		/* -1: over */
	int		  unused;
	max_align_t	  state[];
};

static int epfd = -1;
static char *slots;			/* of `stride' bytes each */
static size_t stride;
static int taken, left, ok;

static struct slot *
slot_at(int i)
{
	return (struct slot *)(void *)(slots + (size_t)i * stride);
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
loop_start(const struct loop_peer *p, int n)
{
	const size_t align = _Alignof(max_align_t);

	stride = sizeof(struct slot) + (p->size + align - 1) / align * align;
	slots = calloc((size_t)n, stride);
	if (slots == NULL || (epfd = epoll_create1(EPOLL_CLOEXEC)) == -1)
		err(1, "loop");
}

static void
over(const struct loop_peer *p, struct slot *s, int verdict)
{
	if (p->end(s->state, s->fd) == 0 && verdict == 0)
		ok++;
	s->fd = -1;
	left--;
}

static void
step(const struct loop_peer *p, struct slot *s)
{
	int r;

	if (s->fd != -1 && (r = p->step(s->state, s->fd)) != 1)
		over(p, s, r);
}

static void
take(const struct loop_peer *p, int fd, int limit_ms)
{
	struct slot *s = slot_at(taken++);
	struct epoll_event ev = { .events = p->events, .data.ptr = s };

	s->fd = fd;
	left++;
	if (p->begin(s->state, fd, limit_ms) == -1)
		over(p, s, -1);
	else if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) == -1)
		err(1, "epoll_ctl");
}

/*
 * Steps where a limit has run out, and returns how long to wait.  A loop with
 * many closes looks at all of them four times a second.
 */
static int
sweep(const struct loop_peer *p)
{
	static int64_t next;
	int64_t now;
	int i, ms, least = SWEEP_MS;

	if (p->timeout == NULL)
		return -1;
	now = now_ms();
	if (taken > FEW && now < next)
		return (int)(next - now);
	next = now + SWEEP_MS;
	for (i = 0; i < taken; i++) {
		struct slot *s = slot_at(i);

		if (s->fd == -1)
			continue;
		if ((ms = p->timeout(s->state)) == 0)
			step(p, s);
		else if (ms != -1 && ms < least && taken <= FEW)
			least = ms;
	}
	return least;
}

/* limit_ms: to wait at most, or -1.  True where the listener has news. */
static bool
turn(const struct loop_peer *p, int limit_ms)
{
	struct epoll_event ev[BATCH];
	int i, n, ms = sweep(p);
	bool news = false;

	if (left == 0 && limit_ms != -1)
		return false;
	if (ms == -1 || (limit_ms != -1 && limit_ms < ms))
		ms = limit_ms;
	if ((n = epoll_wait(epfd, ev, BATCH, ms)) == -1 && errno != EINTR)
		err(1, "epoll_wait");
	for (i = 0; i < n; i++)
		if (ev[i].data.ptr == NULL)
			news = true;
		else
			step(p, ev[i].data.ptr);
	return news;
}

void
loop_serve(const struct loop_peer *p, int listener, int requests)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	int fd;

	loop_start(p, requests);
	if (fcntl(listener, F_SETFL, O_NONBLOCK) == -1 ||
	    epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &ev) == -1)
		err(1, "listener");
	while (taken < requests || left > 0)
		if (turn(p, -1))
			while (taken < requests && (fd = peer_accept(listener,
			    SOCK_NONBLOCK)) != -1)
				take(p, fd, PEER_LIMIT_MS);
}

int
loop_close_all(const struct loop_peer *p, const int *fds, int n, int limit_ms)
{
	int64_t limit = now_ms() + limit_ms, now;
	int i;

	/* A limit of each close runs out before that of the loop. */
	if (p->timeout != NULL)
		limit += 1000;
	for (i = 0; i < n; i++)
		take(p, fds[i], limit_ms);
	while (left > 0 && (now = now_ms()) < limit)
		(void)turn(p, (int)(limit - now));
	for (i = 0; i < n && left > 0; i++)
		if (slot_at(i)->fd != -1)
			over(p, slot_at(i), -1);
	return ok;
}
