/*
 * epoll_loop.c - recipe: a server with one thread and an epoll(7) loop
 *
 * For event-driven servers.  A connection is registered once, when it is
 * accepted, with GRACECLOSE_EPOLL.  When the reply is written, the loop steps
 * the close at every event and after graceclose_timeout(), until it is over.
 * Copy all but main() and client(), which are a self-check over loopback.
 */
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <graceclose.h>

struct conn {
	int		  fd;
	int		  asked;	/* the request has come */
	size_t		  sent;		/* of the reply */
	struct graceclose gc;
	LIST_ENTRY(conn)  list;		/* of those being closed */
};
static const char reply[200000];
static LIST_HEAD(conns, conn) closing;
static int ended, ok;

/* The next step of the close. */
static void
conn_close(struct conn *c)
{
	if (graceclose_step(&c->gc) == 1)
		return;				/* not over yet */
	ok += graceclose_end(&c->gc, NULL) == 0;
	ended++;
	LIST_REMOVE(c, list);
	free(c);
}

/* Edge-triggered: read and write as much as goes.  -1: an error. */
static ssize_t
conn_serve(struct conn *c)
{
	char request[1024];
	ssize_t n = 1;

	if (!c->asked)
		c->asked = (n = recv(c->fd, request, sizeof(request),
		    MSG_DONTWAIT)) > 0;
	while (c->asked && c->sent < sizeof(reply) && (n = send(c->fd,
	    reply + c->sent, sizeof(reply) - c->sent,
	    MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
		c->sent += (size_t)n;
	return n > 0 || (n == -1 && errno == EAGAIN) ? 0 : -1;
}

static void
conn_turn(struct conn *c)
{
	if (c->sent == sizeof(reply)) {
		conn_close(c);
	} else if (conn_serve(c) == -1) {
		abort_close(c->fd);	/* the client left, or reset it */
		free(c);
	} else if (c->sent == sizeof(reply)) {
		if (graceclose_begin(&c->gc, c->fd, NULL) == -1)
			err(1, "graceclose_begin");
		LIST_INSERT_HEAD(&closing, c, list);
		conn_close(c);
	}
}

static void
conn_accept(int epfd, int listener)
{
	struct epoll_event ev = { .events = GRACECLOSE_EPOLL };
	struct conn *c = ev.data.ptr = calloc(1, sizeof(*c));

	if (c == NULL || (c->fd = accept(listener, NULL, NULL)) == -1 ||
	    epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev) == -1)
		err(1, "accept");	/* a server logs it, and goes on */
}

/* With thousands of closes keep their times in a heap. */
static void
loop_turn(int epfd, int listener)
{
	struct epoll_event events[16];
	struct conn *c, *next;
	int n, ms, least = -1;

	for (c = LIST_FIRST(&closing); c != NULL; c = next) {
		next = LIST_NEXT(c, list);
		ms = graceclose_timeout(&c->gc);
		if (least == -1 || (ms != -1 && ms < least))
			least = ms;
		if (ms == 0)
			conn_close(c);		/* may free it */
	}
	n = epoll_wait(epfd, events, 16, least);
	for (int i = 0; i < n; i++)
		if (events[i].data.ptr == NULL)
			conn_accept(epfd, listener);
		else
			conn_turn(events[i].data.ptr);
}

/* It sends more than the server reads, and must still get the reply whole. */
static int
client(const struct sockaddr *server, socklen_t len)
{
	static char upload[100000], buf[sizeof(reply)];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return connect(fd, server, len) == -1 ||
	    send(fd, upload, sizeof(upload), MSG_NOSIGNAL) == -1 ||
	    recv(fd, buf, sizeof(buf), MSG_WAITALL) != (ssize_t)sizeof(reply) ||
	    recv(fd, buf, 1, 0) != 0;
}

int
main(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *addr = (struct sockaddr *)&sin;
	socklen_t len = sizeof(sin);
	struct epoll_event ev = { .events = EPOLLIN };
	int epfd = epoll_create1(0), listener, status;

	if ((listener = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    bind(listener, addr, len) == -1 || listen(listener, 3) == -1 ||
	    getsockname(listener, addr, &len) == -1 ||
	    epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &ev) == -1)
		err(1, "listen");
	if (fork() == 0)
		_exit(client(addr, len) + client(addr, len));
	while (ended < 2)
		loop_turn(epfd, listener);
	printf("epoll_loop: %d of 2 replies delivered\n", ok);
	return wait(&status) == -1 || status != 0 || ok != 2;
}
