/*
 * pool_epoll.c - recipe: a client that lets epoll(7) watch its idle connections
 *
 * For thousands of idle connections: quiet ones cost nothing.  Before one is
 * handed out, epoll_wait() names those with news, without waiting for any.
 * peer_closed() says whether they have ended.  If not, they have input, which
 * would be read as the next answer.  harmless() reads what the server may send
 * between answers.  With TLS these are session tickets: SSL_peek() reads them,
 * and returns -1 with SSL_ERROR_WANT_READ where nothing else is there.
 * One in use leaves the set, by EPOLL_CTL_DEL, before it is closed and freed.
 */
#define _GNU_SOURCE 1			/* POLLRDHUP */
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <graceclose.h>

struct conn {
	int		  fd, idle;
	LIST_ENTRY(conn)  list;
};
static LIST_HEAD(conns, conn) idle = LIST_HEAD_INITIALIZER(idle);
static int epfd, news;			/* news: for the self-check */

/* --- the recipe ---------------------------------------------------------- */

/* Here: notes, which are bytes 'n'.  Nothing else, and no end, may follow. */
static int
harmless(int fd)
{
	ssize_t n;
	char c;

	while ((n = recv(fd, &c, 1, MSG_DONTWAIT)) == 1 && c == 'n')
		continue;
	return n == -1 && errno == EAGAIN;
}

/* An event loop may wait for epfd, and call this as soon as there is news. */
static void
sweep(void)
{
	struct epoll_event ev[64];
	struct conn *c;
	int n;

	while ((n = epoll_wait(epfd, ev, 64, 0)) > 0)
		for (news += n; n > 0; n--) {
			c = ev[n - 1].data.ptr;
			if (!c->idle ||
			    (peer_closed(c->fd) == 0 && harmless(c->fd)))
				continue;
			LIST_REMOVE(c, list);
			epoll_ctl(epfd, EPOLL_CTL_DEL, c->fd, NULL);
			abort_close(c->fd);	/* nothing to save */
			free(c);
		}
}

/* NULL: there is none, connect. */
static struct conn *
take(void)
{
	struct conn *c;

	sweep();
	if ((c = LIST_FIRST(&idle)) != NULL) {
		LIST_REMOVE(c, list);
		c->idle = 0;
	}
	return c;
}

/* An event that was ignored in use is reported again: MOD looks anew. */
static void
put(struct conn *c)
{
	struct epoll_event ev = { .data.ptr = c,
	    .events = EPOLLIN | EPOLLRDHUP | EPOLLET };

	c->idle = epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &ev) == 0 ||
	    epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev) == 0;
	if (c->idle)
		LIST_INSERT_HEAD(&idle, c, list);
	else {				/* ENOSPC, for example */
		close(c->fd);		/* nothing is under way */
		free(c);
	}
}

/* --- the self-check: what a server does to idle connections -------------- */

#define MANY	210			/* 30 of each fate */
static const struct fate { const char *sends; int ends, stays; } fates[] = {
	{ "", 0, 1 }, { "", 'F', 0 }, { "", 'R', 0 }, { "stray", 0, 0 },
	{ "n", 0, 1 }, { "n", 'F', 0 }, { "HTTP/1.1 408 ...", 'F', 0 }
};

int
main(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *at = (struct sockaddr *)&sin;
	socklen_t len = sizeof(sin);
	int in = socket(AF_INET, SOCK_STREAM, 0), server[MANY], i, used = 0;

	if ((epfd = epoll_create1(EPOLL_CLOEXEC)) == -1 ||
	    bind(in, at, len) == -1 || listen(in, 1) == -1 ||
	    getsockname(in, at, &len) == -1)
		err(1, "listen");
	for (i = 0; i < MANY; i++) {
		const struct fate *f = &fates[i % 7];
		struct conn *c = calloc(1, sizeof(*c));
		struct pollfd p = { socket(AF_INET, SOCK_STREAM, 0),
		    f->ends == 'F' ? POLLRDHUP : POLLIN, 0 };

		if (c == NULL || connect(c->fd = p.fd, at, len) == -1 ||
		    (server[i] = accept(in, NULL, NULL)) == -1)
			err(1, "connect");
		put(c);
		if (i % 2 == 1)		/* it is in use meanwhile */
			c = take();
		dprintf(server[i], "%s", f->sends);
		if (f->ends != 0)
			(void)(f->ends == 'R' ? abort_close : close)(server[i]);
		poll(&p, 1, i % 7 == 0 ? 0 : -1);
		sweep();
		if (i % 2 == 1)
			put(c);
	}
	for (struct conn *c; (c = take()) != NULL; close(c->fd), free(c))
		used += send(c->fd, "q", 1, MSG_NOSIGNAL) == 1;
	for (i = 0; i < MANY; i++)
		if (fates[i % 7].ends == 0 && fates[i % 7].stays !=
		    (recv(server[i], &(char){ 0 }, 1, 0) == 1))
			errx(1, "the fate of connection %d was missed", i);
	printf("pool_epoll: %d are usable, %d had news\n", used, news);
	return used != MANY / 7 * 2 || news < MANY / 7 * 6 / 2 * 3;
}
