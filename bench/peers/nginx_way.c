/*
 * nginx_way.c - nginx's lingering close, written by hand
 *
 * As nginx's page of ngx_http_core_module has it: lingering_timeout 5 s without
 * input; what comes is read and ignored.  lingering_time in all, 30 s there, is
 * the limit that the bench gives.  nginx reads into 4 KiB.
 */
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "peer.h"

#define LINGERING_TIMEOUT_MS	5000

struct lingering {
	int64_t	until, idle_until;	/* ms */
};

/* nginx keeps the time of the loop's turn; this clock is as cheap. */
static int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
begin(void *state, int fd, int limit_ms)
{
	struct lingering *l = state;

	l->until = now_ms() + limit_ms;
	l->idle_until = now_ms() + LINGERING_TIMEOUT_MS;
	return shutdown(fd, SHUT_WR);
}

static int
timeout(const void *state)
{
	const struct lingering *l = state;
	int64_t until = l->until < l->idle_until ? l->until : l->idle_until;
	int64_t now = now_ms();

	return now < until ? (int)(until - now) : 0;
}

static int
step(void *state, int fd)
{
	struct lingering *l = state;
	char buffer[4096];
	ssize_t n;

	if (timeout(l) == 0)
		return -1;
	while ((n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0)
		l->idle_until = now_ms() + LINGERING_TIMEOUT_MS;
	if (n == 0)
		return 0;
	return errno == EAGAIN ? 1 : -1;
}

static int
end(void *state, int fd)
{
	(void)state;
	return close(fd);
}

static const struct loop_peer nginx_way = {
	.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
	.size = sizeof(struct lingering),
	.begin = begin,
	.step = step,
	.end = end,
	.timeout = timeout
};

const struct peer peer_nginx_way = {
	.name = "nginx's way by hand",
	.loop = &nginx_way,
	.at_once = true
};
