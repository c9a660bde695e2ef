/*
 * epoll_level.c - recipe: a server with a level-triggered epoll(7) loop
 * EPOLLET belongs to a registration: close_later() changes that of a connection
 * alone.  The old one would spin.  Copy close_turn(), close_later() and turn().
 * Usage: epoll_level [port].  Each request gets a 413.  SIGTERM stops it.
 */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <graceclose.h>

#define CONNS	40			/* and a few descriptors more */
#define LIFE_S	3			/* until the reply is written */
static const char reply[200000] = "HTTP/1.1 413 Content Too Large\r\n"
    "Content-Length: 199942\r\n\r\n";
static struct conn {
	void		  (*turn)(int fd);	/* at an event, or late */
	time_t		  late;
	int		  asked;
	size_t		  sent;			/* of the reply */
	struct graceclose gc;
} conns[CONNS + 24];				/* by descriptor */
static int ep, taken, ended, delivered;
static volatile sig_atomic_t stopping;

static void
stop(int sig)
{
	stopping = sig;
}

static int
wait_for(int fd, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	return epoll_ctl(ep, op, fd, &ev);
}

static void
close_turn(int fd)
{
	if (graceclose_step(&conns[fd].gc) == 1)
		return;
	wait_for(fd, EPOLL_CTL_DEL, 0);
	delivered += graceclose_end(&conns[fd].gc, NULL) == 0;
	conns[fd].turn = NULL;
	ended++;
}

/* The reply is written.  was: close(fd) */
static void
close_later(int fd)
{
	static const struct graceclose_opts quiet = { .flags = GRACECLOSE_EDGES,
	    .until = GRACECLOSE_QUIET, .timeout_ms = 3000, .idle_ms = 1000 };

	if (graceclose_begin(&conns[fd].gc, fd, &quiet) == -1)
		abort_close(fd);		/* then the step fails */
	conns[fd].turn = close_turn;
	if (wait_for(fd, EPOLL_CTL_MOD, GRACECLOSE_EPOLL) == -1)
		close_turn(fd);			/* else an event comes now */
}

static void
conn_turn(int fd)
{
	struct conn *c = &conns[fd];
	char request[1024];
	ssize_t got = c->asked ? send(fd, reply + c->sent, sizeof(reply) -
	    c->sent, MSG_DONTWAIT | MSG_NOSIGNAL) :
	    recv(fd, request, sizeof(request), MSG_DONTWAIT);

	if (got > 0 && !c->asked)
		c->asked = wait_for(fd, EPOLL_CTL_MOD, EPOLLOUT) == 0;
	else if (got > 0 && (c->sent += (size_t)got) == sizeof(reply))
		close_later(fd);
	else if (got == 0 || (got == -1 && errno != EAGAIN) ||
	    time(NULL) >= c->late) {
		wait_for(fd, EPOLL_CTL_DEL, 0);
		abort_close(fd);	/* the client sees an error, no EOF */
		c->turn = NULL;
		ended++;
	}
}

static void
take(int in)
{
	int fd = accept(in, NULL, NULL);

	if (fd == -1 || fd >= CONNS + 24) {
		abort_close(fd);
		poll(NULL, 0, 10);	/* ENFILE, for example: wait */
		return;
	}
	conns[fd] = (struct conn){ conn_turn, .late = time(NULL) + LIFE_S };
	wait_for(fd, EPOLL_CTL_ADD, EPOLLIN);	/* ENOSPC: it will be late */
	taken++;
}

static void
turn(int in)
{
	struct epoll_event ev;
	int t, ms = 1000, full = stopping || taken - ended == CONNS;

	for (struct conn *c = conns; c < conns + CONNS + 24; c++) {
		t = c->turn == close_turn ? graceclose_timeout(&c->gc) :
		    c->turn == conn_turn && time(NULL) >= c->late ? 0 : 1000;
		if (t == 0)
			c->turn((int)(c - conns));
		ms = t != -1 && t < ms ? t : ms;
	}
	wait_for(in, EPOLL_CTL_MOD, full ? 0 : EPOLLIN);
	if (epoll_wait(ep, &ev, 1, ms) == 1)
		conns[ev.data.fd].turn(ev.data.fd);
}

int
main(int argc, char *argv[])
{
	int in = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *addr = (struct sockaddr *)&sin;
	socklen_t len = sizeof(sin);

	sin.sin_port = htons((in_port_t)strtol(argc > 1 ? argv[1] : "", 0, 10));
	if (in >= CONNS || (ep = epoll_create1(0)) == -1 ||
	    signal(SIGTERM, stop) == SIG_ERR || bind(in, addr, len) == -1 ||
	    listen(in, 100) == -1 || wait_for(in, EPOLL_CTL_ADD, 0) == -1 ||
	    getsockname(in, addr, &len) == -1)
		err(1, "listen");
	conns[in].turn = take;
	dprintf(1, "listening on 127.0.0.1 port %d\n", ntohs(sin.sin_port));
	while (!stopping || ended < taken)
		turn(in);
	printf("epoll_level: %d of %d delivered\n", delivered, ended);
	return 0;
}
