/*
 * graceful_stop.c - recipe: a server that stops, and loses no reply by that
 *
 * After SIGTERM it takes what waits in the listener's queue, because the close
 * of the listener would reset that, and closes the listener.  Idle connections
 * are half-closed and drained: a request that crosses the FIN has no reply, but
 * no RST either.  Replies under way are finished; after STOP_S the rest is cut.
 * For a reload, start a process that inherits the listener: the queue goes on.
 * turn() takes note of the signal first: what came before it is answered.
 *
 * Usage: graceful_stop [port].  Each request gets a 413.  SIGTERM stops it.
 */
#include <sys/socket.h>

#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <graceclose.h>

#define CONNS	40			/* fewer than RLIMIT_NOFILE */
#define LIFE_S	3			/* for a request, and for a reply */
#define STOP_S	5			/* for the whole stop */

static const char reply[200000] = "HTTP/1.1 413 Content Too Large\r\n"
    "Content-Length: 199942\r\n\r\n";
static struct conn {
	int		  fd;
	bool		  served, last, closing;
	size_t		  left;		/* of the reply under way */
	time_t		  came;		/* it, or its last request */
	struct graceclose gc;
} conns[CONNS];
static int listener, n, ended, delivered;
static int stopping;			/* SIGALRM: no time is left */
static volatile sig_atomic_t told;

static void
stop(int sig)
{
	if (told == 0)
		alarm(STOP_S);
	if (told != SIGALRM)
		told = sig;
}

/* False: the connection is over, and was closed. */
static bool
conn_turn(struct conn *c)
{
	static const struct graceclose_opts quiet = {
		.until = GRACECLOSE_QUIET, .timeout_ms = 3000, .idle_ms = 1000
	};
	char request[1024];
	ssize_t got = 1;

	if (c->left == 0 && !c->closing && (got = recv(c->fd, request,
	    sizeof(request), MSG_DONTWAIT)) > 0)
		*c = (struct conn){ .fd = c->fd, .left = sizeof(reply),
		    .last = *request != 'G', .served = true,
		    .came = time(NULL) };
	if (c->left > 0 && (got = send(c->fd, reply + sizeof(reply) - c->left,
	    c->left, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
		c->left -= (size_t)got;
	if ((got > 0 || (got == -1 && errno == EAGAIN)) && !c->closing &&
	    stopping != SIGALRM && time(NULL) - c->came < LIFE_S &&
	    (c->left > 0 || !c->served || (!c->last && !stopping)))
		return true;
	ended += c->served && !c->closing;
	if (c->left > 0 || !c->served || (!c->closing &&
	    graceclose_begin(&c->gc, c->fd, &quiet) == -1)) {
		abort_close(c->fd);	/* the client sees an error, no EOF */
		return false;
	}
	c->closing = true;
	if (graceclose_step(&c->gc) == 1 && stopping != SIGALRM)
		return true;
	delivered += graceclose_end(&c->gc, NULL) == 0;
	return false;
}

static void
take(void)
{
	int fd = stopping == SIGALRM ? -1 : accept(listener, NULL, NULL);

	if (fd != -1) {
		conns[n++] = (struct conn){ .fd = fd, .came = time(NULL) };
	} else if (stopping == SIGALRM || (stopping && errno == EAGAIN)) {
		close(listener);	/* the queue is empty, or it is late */
		listener = -1;
	} else
		poll(NULL, 0, 10);	/* ENFILE, for example: wait */
}

static void
turn(void)
{
	bool room = n < CONNS && listener != -1;
	int i, t, ms = room && told ? 0 : 1000;
	struct pollfd p[CONNS + 1];

	stopping = told;
	for (i = 0; i < n; i++) {
		p[i].events = conns[i].left > 0 ? POLLOUT : POLLIN;
		if (conns[i].closing) {
			p[i].events = graceclose_events(&conns[i].gc);
			t = graceclose_timeout(&conns[i].gc);
			ms = t != -1 && t < ms ? t : ms;
		}
		p[i].fd = p[i].events != 0 ? conns[i].fd : -1;
	}
	p[n] = (struct pollfd){ room ? listener : -1, POLLIN, 0 };
	poll(p, (nfds_t)n + 1, ms);
	if (room && (stopping || p[n].revents != 0))
		take();
	for (i = n - 1; i >= 0; i--)	/* the last takes the place */
		if (!conn_turn(&conns[i]))
			conns[i] = conns[--n];
}

int
main(int argc, char *argv[])
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);

	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	sin.sin_port = htons((in_port_t)strtol(argc > 1 ? argv[1] : "", 0, 10));
	if (signal(SIGTERM, stop) == SIG_ERR ||
	    signal(SIGALRM, stop) == SIG_ERR ||
	    bind(listener, (struct sockaddr *)&sin, len) == -1 ||
	    listen(listener, 100) == -1 ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) == -1)
		err(1, "listen");
	dprintf(1, "listening on 127.0.0.1 port %d\n", ntohs(sin.sin_port));
	while (listener != -1 || n > 0)
		turn();
	printf("graceful_stop: %d of %d delivered\n", delivered, ended);
	return 0;
}
