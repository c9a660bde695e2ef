/*
 * poll_loop.c - recipe: a server with one thread and a poll(2) loop
 *
 * poll(2) has no event for an acknowledgement.  graceclose_timeout() says when
 * to step again instead, and graceclose_events() what to wait for.  Where that
 * is nothing, the descriptor is left out: POLLHUP would wake the loop again and
 * again.
 *
 * Usage: poll_loop [port].  Each request gets a 413.  SIGTERM stops it.
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

#include <graceclose.h>

#define CONNS	40			/* fewer than RLIMIT_NOFILE */
#define LIFE_S	3			/* until the reply is written */

static const char reply[200000] = "HTTP/1.1 413 Content Too Large\r\n"
    "Content-Length: 199942\r\n\r\n";

struct conn {
	int		  fd;
	bool		  asked, closing;
	size_t		  sent;		/* of the reply */
	time_t		  came;
	struct graceclose gc;
};
static struct conn conns[CONNS];
static int n, ended, delivered;
static volatile sig_atomic_t stopping;

static void
stop(int sig)
{
	stopping = sig;
}

/* What poll(2) shall wait for, and for how long at most. */
static struct pollfd
conn_wants(const struct conn *c, int *ms)
{
	int t, events = c->asked ? POLLOUT : POLLIN;

	if (c->closing) {
		events = graceclose_events(&c->gc);
		t = graceclose_timeout(&c->gc);
		if (t != -1 && t < *ms)
			*ms = t;
	}
	return (struct pollfd){ events != 0 ? c->fd : -1, (short)events, 0 };
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

	if (!c->asked && (got = recv(c->fd, request, sizeof(request),
	    MSG_DONTWAIT)) > 0)
		c->asked = true;
	while (c->asked && c->sent < sizeof(reply) && got > 0) {
		got = send(c->fd, reply + c->sent, sizeof(reply) - c->sent,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		c->sent += got > 0 ? (size_t)got : 0;
	}
	if (got == -1 && errno == EAGAIN && !stopping &&
	    time(NULL) - c->came < LIFE_S)
		return true;
	if (c->sent < sizeof(reply) || (!c->closing &&
	    graceclose_begin(&c->gc, c->fd, &quiet) == -1)) {
		abort_close(c->fd);	/* the client sees an error, no EOF */
		return false;
	}
	c->closing = true;
	if (graceclose_step(&c->gc) == 1)
		return true;
	delivered += graceclose_end(&c->gc, NULL) == 0;
	ended++;
	return false;
}

/* Where no place is free the others wait in the listener's queue. */
static void
take(int listener)
{
	int fd = accept(listener, NULL, NULL);

	if (fd == -1)
		poll(NULL, 0, 10);	/* ENFILE, for example: wait */
	else
		conns[n++] = (struct conn){ .fd = fd, .came = time(NULL) };
}

static void
turn(int listener)
{
	struct pollfd p[CONNS + 1];
	int i, ms = 1000;

	for (i = 0; i < n; i++)
		p[i] = conn_wants(&conns[i], &ms);
	p[n].fd = n < CONNS && !stopping ? listener : -1;
	p[n].events = POLLIN;
	if (poll(p, (nfds_t)n + 1, ms) == -1)
		return;
	if (p[n].fd != -1 && p[n].revents != 0)
		take(listener);
	for (i = n - 1; i >= 0; i--)	/* the last takes the place */
		if (!conn_turn(&conns[i]))
			conns[i] = conns[--n];
}

int
main(int argc, char *argv[])
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	const struct sigaction term = { .sa_handler = stop };
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);

	sin.sin_port = htons((in_port_t)strtol(argc > 1 ? argv[1] : "", 0, 10));
	if (sigaction(SIGTERM, &term, NULL) == -1 ||
	    bind(listener, (struct sockaddr *)&sin, len) == -1 ||
	    listen(listener, 100) == -1 ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) == -1)
		err(1, "listen");
	printf("listening on 127.0.0.1 port %d\n", ntohs(sin.sin_port));
	fflush(stdout);
	while (!stopping || n > 0)
		turn(listener);
	printf("poll_loop: %d of %d delivered\n", delivered, ended);
	return 0;
}
