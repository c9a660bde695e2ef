/*
 * served.c - what an example or a recipe that is flooded lacks: a request of
 * one line, an answer, and a port
 *
 * check_flood.sh compiles it together with an example of a page, or with
 * RECIPE, which is then included.  SERVER is the function to call with the
 * listening socket.
 */
#include <sys/socket.h>
#include <sys/types.h>

#include <netinet/in.h>

#include <err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef SERVER
#define SERVER	run
#endif

#ifdef RECIPE
#define main recipe_main
#include RECIPE
#undef main
#ifdef LOOP
/* The recipe has a turn of the loop. */
static void
SERVER(int listener)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int epfd = epoll_create1(0);

	if (epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &ev) == -1)
		err(1, "epoll_ctl");
	for (;;)
		loop_turn(epfd, listener);
}
#endif
#else
int	SERVER(int listener);
int	serve(int fd);

static const char answer[10000];

/* As a program that knows nothing of hostile clients would do it. */
int
serve(int fd)
{
	char line[256];
	size_t len = 0;
	ssize_t n;

	do {
		n = recv(fd, line + len, sizeof(line) - len, 0);
		if (n <= 0)
			return -1;
		len += (size_t)n;
		if (memchr(line, '\n', len) != NULL)
			return send(fd, answer, sizeof(answer), MSG_NOSIGNAL) ==
			    sizeof(answer) ? 0 : -1;
	} while (len < sizeof(line));
	return -1;
}
#endif

int
main(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener == -1 ||
	    bind(listener, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(listener, SOMAXCONN) == -1 ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) == -1)
		err(1, "listen");
	printf("listening on 127.0.0.1 port %d\n", ntohs(sin.sin_port));
	fflush(stdout);
	SERVER(listener);
	return 1;		/* only a signal ends it */
}
