/*
 * event_server.c - recipe: a server with the bufferevents of libevent
 *
 * Was: bufferevent_free() in the write callback.  Now that is close_later(): it
 * takes the descriptor out of the bufferevent.  close_turn() waits for input,
 * or for the time alone where EPOLLHUP would always wake it.  Copy these two.
 * Add a limit for the whole, and evconnlistener_set_error_cb(): ENFILE spins.
 * Usage: event_server [port].  Each request gets a 413.  SIGTERM stops it.
 * Needs libevent-dev (pkg-config libevent).
 */
#include <netinet/in.h>

#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include <graceclose.h>

#define CONNS	40			/* fewer than RLIMIT_NOFILE */
static const struct timeval life = { 3, 0 };	/* without progress */
static const char reply[200000] = "HTTP/1.1 413 Content Too Large\r\n"
    "Content-Length: 199942\r\n\r\n";
struct conn {
	evutil_socket_t		fd;
	struct graceclose	gc;
};
static struct event_base *base;
static struct evconnlistener *listener;	/* NULL: the server stops */
static int n, ended, delivered;

static void
conn_free(struct conn *c)
{
	free(c);
	ended++;
	if (n-- == CONNS && listener != NULL)
		evconnlistener_enable(listener);
}

static void
close_turn(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	struct timeval tv;
	int ms;

	if (graceclose_step(&c->gc) == 1) {
		ms = graceclose_timeout(&c->gc);	/* has limits: not -1 */
		tv = (struct timeval){ ms / 1000, ms % 1000 * 1000L };
		fd = graceclose_events(&c->gc) != 0 ? c->fd : -1;
		what = fd != -1 ? EV_READ | EV_TIMEOUT : EV_TIMEOUT;
		if (event_base_once(base, fd, what, close_turn, c, &tv) == 0)
			return;
	}
	delivered += graceclose_end(&c->gc, NULL) == 0;
	conn_free(c);
}

static void
close_later(struct bufferevent *bev, void *arg)
{
	static const struct graceclose_opts quiet = { .timeout_ms = 3000,
	    .until = GRACECLOSE_QUIET, .idle_ms = 1000 };
	struct conn *c = arg;

	bufferevent_setfd(bev, -1);	/* its events leave the loop */
	bufferevent_free(bev);
	if (graceclose_begin(&c->gc, c->fd, &quiet) == -1)
		abort_close(c->fd);	/* and the step fails */
	close_turn(-1, 0, c);
}

/* The time is over, EOF, an error: the client sees an error, no EOF. */
static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct conn *c = arg;

	(void)what;
	bufferevent_setfd(bev, -1);
	bufferevent_free(bev);
	abort_close(c->fd);
	conn_free(c);
}

static void
on_request(struct bufferevent *bev, void *arg)
{
	bufferevent_disable(bev, EV_READ);
	if (bufferevent_write(bev, reply, sizeof(reply)) == -1)
		on_event(bev, BEV_EVENT_ERROR, arg);
}

static void
on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa,
    int len, void *arg)
{
	struct bufferevent *bev = bufferevent_socket_new(base, fd,
	    BEV_OPT_CLOSE_ON_FREE);
	struct conn *c = malloc(sizeof(*c));

	(void)sa, (void)len, (void)arg;
	if (c == NULL || bev == NULL)
		err(1, "accept");
	c->fd = fd;
	bufferevent_setcb(bev, on_request, close_later, on_event, c);
	bufferevent_set_timeouts(bev, &life, &life);
	bufferevent_enable(bev, EV_READ);
	if (++n == CONNS)
		evconnlistener_disable(l);	/* the others wait there */
}

static void
on_term(evutil_socket_t sig, short what, void *self)
{
	(void)sig, (void)what;
	event_free(self);
	evconnlistener_free(listener);
	listener = NULL;
}

int
main(int argc, char *argv[])
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);

	sin.sin_port = htons((in_port_t)(argc < 2 ? 0 :
	    strtol(argv[1], NULL, 10)));
	signal(SIGPIPE, SIG_IGN);	/* libevent writes with writev(2) */
	base = event_base_new();
	event_add(event_new(base, SIGTERM, EV_SIGNAL, on_term,
	    event_self_cbarg()), NULL);
	listener = evconnlistener_new_bind(base, on_accept, NULL,
	    LEV_OPT_CLOSE_ON_FREE, 100, (struct sockaddr *)&sin, sizeof(sin));
	if (listener == NULL || getsockname(evconnlistener_get_fd(listener),
	    (struct sockaddr *)&sin, &len) == -1)
		err(1, "listen");
	printf("listening on 127.0.0.1 port %d\n", ntohs(sin.sin_port));
	fflush(stdout);
	event_base_dispatch(base);	/* until nothing is left to wait for */
	printf("event_server: %d of %d delivered\n", delivered, ended);
	return 0;
}
