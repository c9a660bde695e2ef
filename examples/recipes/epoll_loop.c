/*
 * epoll_loop.c - recipe: a server with one thread and an epoll(7) loop
 *
 * A connection is registered once, with GRACECLOSE_EPOLL.  After the reply the
 * loop steps the close at every event and after graceclose_timeout().  When
 * many clients hold connections, the oldest is cut.
 * Copy all but main(), a self-check over loopback.
 */
#define _GNU_SOURCE 1			/* accept4(2) */
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <graceclose.h>

#define CONNS	500			/* fewer than RLIMIT_NOFILE */
#define LIFE_S	10			/* of a connection */
struct conn {
	int		  fd, asked, closing;
	size_t		  sent;		/* of the reply */
	time_t		  came;
	struct graceclose gc;
	TAILQ_ENTRY(conn) list;		/* the oldest first */
};
static const char reply[200000];
static TAILQ_HEAD(conns, conn) conns = TAILQ_HEAD_INITIALIZER(conns);
static int nconns, ended, ok;

/* Its close is over, or it is cut: before the whole reply by an RST. */
static void
conn_end(struct conn *c)
{
	ok += c->closing && graceclose_end(&c->gc, NULL) == 0;
	if (!c->closing)
		abort_close(c->fd);
	ended++;
	TAILQ_REMOVE(&conns, c, list);
	nconns--;
	free(c);
}

/* Edge-triggered: read and write as much as goes, then close. */
static void
conn_turn(struct conn *c)
{
	static const struct graceclose_opts quiet = { .idle_ms = 1000,
	    .until = GRACECLOSE_QUIET, .flags = GRACECLOSE_EDGES };
	char request[1024];
	ssize_t n = 1;

	if (!c->asked)
		c->asked = (n = read(c->fd, request, sizeof(request))) > 0;
	while (c->asked && c->sent < sizeof(reply) && (n = send(c->fd,
	    reply + c->sent, sizeof(reply) - c->sent, MSG_NOSIGNAL)) > 0)
		c->sent += (size_t)n;
	if (n == -1 && errno == EAGAIN)
		return;
	if (!c->closing && n > 0)
		c->closing = graceclose_begin(&c->gc, c->fd, &quiet) == 0;
	if (!c->closing || graceclose_step(&c->gc) != 1)
		conn_end(c);
}

static void
conn_accept(int epfd, int listener)
{
	struct epoll_event ev = { .events = GRACECLOSE_EPOLL };
	struct conn *c = ev.data.ptr = calloc(1, sizeof(*c));

	if (c == NULL ||
	    (c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) == -1) {
		free(c);
		usleep(10000);		/* ENFILE, for example: wait */
		return;
	}
	c->came = time(NULL);
	TAILQ_INSERT_TAIL(&conns, c, list);
	if (++nconns > CONNS)
		conn_end(TAILQ_FIRST(&conns));
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev) == -1)
		conn_end(c);
}

/* With thousands of connections keep their times in a heap. */
static void
loop_turn(int epfd, int listener)
{
	struct epoll_event events[16];
	struct conn *c, *next;
	int n, ms, least = 1000, wanted = 0;

	for (c = TAILQ_FIRST(&conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, list);
		ms = c->closing ? graceclose_timeout(&c->gc) : least;
		if (ms < least)
			least = ms;
		if (time(NULL) - c->came > LIFE_S)
			conn_end(c);
		else if (ms == 0)
			conn_turn(c);		/* may free it */
	}
	n = epoll_wait(epfd, events, 16, least);
	for (int i = 0; i < n; i++)
		if (events[i].data.ptr == NULL)
			wanted = 1;
		else
			conn_turn(events[i].data.ptr);
	if (wanted)		/* last, as it may free any connection */
		conn_accept(epfd, listener);
}

int
main(void)
{
	static char upload[100000], buf[sizeof(reply)];
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *addr = (struct sockaddr *)&sin;
	socklen_t len = sizeof(sin);
	struct epoll_event ev = { .events = EPOLLIN };
	int epfd = epoll_create1(0), status, fd;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(listener, addr, len) == -1 || listen(listener, 3) == -1 ||
	    getsockname(listener, addr, &len) == -1 ||
	    epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &ev) == -1)
		err(1, "listen");
	/* It sends more than the server reads, and gets the reply whole. */
	if (fork() == 0)
		_exit((fd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
		    connect(fd, addr, len) == -1 ||
		    send(fd, upload, sizeof(upload), MSG_NOSIGNAL) == -1 ||
		    recv(fd, buf, sizeof(buf), MSG_WAITALL) != sizeof(reply) ||
		    recv(fd, buf, 1, 0) != 0);
	while (ended < 1)
		loop_turn(epfd, listener);
	printf("epoll_loop: %d of %d delivered\n", ok, ended);
	return wait(&status) == -1 || status != 0 || ok != 1;
}
