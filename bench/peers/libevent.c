/*
 * libevent.c - bufferevents: write, shutdown(2), read until EOF, free
 *
 * libevent's bufferevents have no half-close.  Its pages say that the write
 * callback comes when the output buffer is empty; there shutdown(2) is right.
 */
#include "peer.h"

#ifdef HAVE_LIBEVENT
#include <sys/socket.h>

#include <err.h>
#include <stdint.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

static struct event_base *base;
static int to_accept, left, ok;

static void
conn_end(struct bufferevent *bev, int success)
{
	ok += success;
	bufferevent_free(bev);
	if (--left == 0 && to_accept == 0)
		(void)event_base_loopbreak(base);
}

static void
half_close(struct bufferevent *bev)
{
	if (shutdown(bufferevent_getfd(bev), SHUT_WR) == -1)
		conn_end(bev, 0);
}

static void
on_write(struct bufferevent *bev, void *arg)
{
	(void)arg;
	half_close(bev);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(bev);

	(void)arg;
	(void)evbuffer_drain(input, evbuffer_get_length(input));
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)arg;
	if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT)) !=
	    0)
		conn_end(bev, (what & BEV_EVENT_EOF) != 0);
}

static struct bufferevent *
conn_new(int fd)
{
	struct bufferevent *bev;

	if (evutil_make_socket_nonblocking(fd) == -1 ||
	    (bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE)) ==
	    NULL)
		err(1, "bufferevent");
	left++;
	return bev;
}

static void
on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa,
    int len, void *arg)
{
	struct bufferevent *bev;

	(void)sa;
	(void)len;
	(void)arg;
	bev = conn_new(fd);
	bufferevent_setcb(bev, on_read, on_write, on_event, NULL);
	(void)bufferevent_enable(bev, EV_READ | EV_WRITE);
	(void)bufferevent_write(bev, peer_reply, PEER_REPLY);
	if (--to_accept == 0)
		(void)evconnlistener_disable(l);
}

static pid_t
start(int listener, const int *fds, int n)
{
	(void)listener;
	(void)fds;
	(void)n;
	if ((base = event_base_new()) == NULL)
		err(1, "event_base_new");
	return getpid();
}

static void
serve(int listener, int requests)
{
	struct evconnlistener *l;

	to_accept = requests;
	(void)evutil_make_socket_nonblocking(listener);
	if ((l = evconnlistener_new(base, on_accept, NULL, 0, 0, listener)) ==
	    NULL)
		err(1, "evconnlistener_new");
	(void)event_base_dispatch(base);
	evconnlistener_free(l);
}

/* The output buffer is empty.  What the limit leaves ends with the process. */
static int
close_all(const int *fds, int n, int limit_ms)
{
	const struct timeval limit = {
		limit_ms / 1000, limit_ms % 1000 * 1000L
	};
	int i, before = ok;

	for (i = 0; i < n; i++) {
		struct bufferevent *bev = conn_new(fds[i]);

		bufferevent_setcb(bev, on_read, NULL, on_event, NULL);
		(void)bufferevent_enable(bev, EV_READ);
		half_close(bev);
	}
	(void)event_base_loopexit(base, &limit);
	if (left > 0)
		(void)event_base_dispatch(base);
	return ok - before;
}
#endif

const struct peer peer_libevent = {
	.name = "libevent",
#ifdef HAVE_LIBEVENT
	.start = start,
	.serve = serve,
	.close_all = close_all,
#else
	.missing = "not installed: apt install libevent-dev",
#endif
	.at_once = true
};
