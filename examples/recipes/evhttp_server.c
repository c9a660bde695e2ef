/*
 * evhttp_server.c - recipe: a server with the evhttp of libevent
 *
 * evhttp answers an upload over evhttp_set_max_body_size() with its own 413,
 * and closes while the client sends.  Was: evhttp_new() and callbacks for
 * requests.  Now evhttp calls on_close() before each close, and a reaper closes
 * a duplicate of the descriptor.  evhttp shows its connection only with a
 * request that it accepts; so on_accept() makes each bufferevent, and meet()
 * takes the connection from that.  Copy them, and main()'s reaper and bevcb.
 * A program adds evconnlistener_set_error_cb(), to wait: ENFILE spins here.
 * Usage: evhttp_server [port].  Each request gets a 413.  SIGTERM stops it.
 * Needs libevent-dev (pkg-config libevent).
 */
#include <netinet/in.h>

#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include <graceclose.h>

#define CONNS	12			/* and closes: less than */
#define CLOSES	36			/* RLIMIT_NOFILE together */
static const struct timeval life = { 3, 0 };	/* of a connection */
static struct graceclose_reaper *reaper;
static struct evhttp *http;
static struct evhttp_bound_socket *bound;	/* NULL: the server stops */
static int n;

/* evhttp then calls shutdown(2) with SHUT_WR and close(2): no harm. */
static void
on_close(struct evhttp_connection *evcon, void *life_event)
{
	static const struct graceclose_opts quiet = { .timeout_ms = 3000,
	    .until = GRACECLOSE_QUIET, .idle_ms = 1000 };
	struct bufferevent *bev = evhttp_connection_get_bufferevent(evcon);
	int fd = fcntl(bufferevent_getfd(bev), F_DUPFD_CLOEXEC, 0);

	/* evhttp closes first, and epoll(7) would keep the duplicate. */
	bufferevent_disable(bev, EV_READ | EV_WRITE);
	event_free(life_event);
	/* It is empty between two chunks too: there, ask a flag as well. */
	if (evbuffer_get_length(bufferevent_get_output(bev)) > 0)
		abort_close(fd);	/* the client sees an error, no EOF */
	else if (graceclose_reaper_close(reaper, fd, &quiet, NULL) == -1)
		close(fd);
	if (n-- == CONNS && bound != NULL)
		evconnlistener_enable(evhttp_bound_socket_get_listener(bound));
}

static void
on_life_over(evutil_socket_t fd, short what, void *evcon)
{
	(void)fd, (void)what;
	evhttp_connection_free(evcon);	/* calls on_close() */
}

/* The argument of evhttp's callbacks is its connection. */
static void
meet(evutil_socket_t fd, short what, void *bev)
{
	struct event_base *base = bufferevent_get_base(bev);
	struct event *life_event;
	void *evcon;

	(void)fd, (void)what;
	bufferevent_getcb(bev, NULL, NULL, NULL, &evcon);
	if ((life_event = evtimer_new(base, on_life_over, evcon)) == NULL ||
	    evcon == NULL || evtimer_add(life_event, &life) == -1)
		err(1, "meet");
	evhttp_connection_set_closecb(evcon, on_close, life_event);
}

/* Where no place is free the others wait in the listener's queue. */
static struct bufferevent *
on_accept(struct event_base *base, void *arg)
{
	struct bufferevent *bev = bufferevent_socket_new(base, -1,
	    BEV_OPT_CLOSE_ON_FREE);

	(void)arg;
	/* It comes before any event of the connection. */
	if (bev == NULL ||
	    event_base_once(base, -1, EV_TIMEOUT, meet, bev, NULL) == -1)
		err(1, "accept");
	if (++n == CONNS)
		evconnlistener_disable(evhttp_bound_socket_get_listener(bound));
	return bev;
}

static void
on_request(struct evhttp_request *req, void *arg)
{
	(void)arg;
	evhttp_send_error(req, 413, NULL);
}

static void
on_term(evutil_socket_t sig, short what, void *self)
{
	(void)sig, (void)what;
	event_free(self);
	evhttp_del_accept_socket(http, bound);
	bound = NULL;
}

int
main(int argc, char *argv[])
{
	const struct graceclose_reaper_opts oldest = { .max = CLOSES,
	    .when_full = GRACECLOSE_OLDEST };
	struct event_base *base = event_base_new();
	struct graceclose_reaper_stats s;
	struct sockaddr_in sin = { 0 };
	socklen_t len = sizeof(sin);

	signal(SIGPIPE, SIG_IGN);	/* libevent writes with writev(2) */
	event_add(event_new(base, SIGTERM, EV_SIGNAL, on_term,
	    event_self_cbarg()), NULL);
	http = evhttp_new(base);
	evhttp_set_max_body_size(http, 1000);
	evhttp_set_gencb(http, on_request, NULL);
	evhttp_set_bevcb(http, on_accept, NULL);
	bound = evhttp_bind_socket_with_handle(http, "127.0.0.1",
	    (ev_uint16_t)(argc > 1 ? strtol(argv[1], NULL, 10) : 0));
	reaper = graceclose_reaper_new(&oldest);
	if (bound == NULL || reaper == NULL ||
	    getsockname(evhttp_bound_socket_get_fd(bound),
	    (struct sockaddr *)&sin, &len) == -1)
		err(1, "listen");
	printf("listening on 127.0.0.1 port %d\n", ntohs(sin.sin_port));
	fflush(stdout);
	event_base_dispatch(base);	/* until nothing is left to wait for */
	graceclose_reaper_flush(reaper, 5000);
	graceclose_reaper_stats(reaper, &s);
	graceclose_reaper_free(reaper);
	evhttp_free(http);
	printf("evhttp_server: %d of %d delivered\n", (int)s.ok, (int)(s.ok +
	    s.reset + s.expired + s.flooded + s.aborted + s.invalid));
	return 0;
}
