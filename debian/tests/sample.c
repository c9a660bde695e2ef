/*
 * sample.c - README.md's first lines on two connections: the peer of the first
 * reads everything and closes, the peer of the second resets
 *
 * readme.h has these lines, as the test took them out of README.md.  What they
 * log goes to standard error.  `sample' prints the count of bytes that the
 * first peer got.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <graceclose.h>

static char data[100000];

static void
readme(int fd)
{
#include "readme.h"
}

/* A connection over loopback: its end here, *peer the other one. */
static int
connect_to_self(int *peer)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	int fd, listener;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (fd == -1 || listener == -1 ||
	    bind(listener, (struct sockaddr *)&at, sizeof(at)) == -1 ||
	    listen(listener, 1) == -1 ||
	    getsockname(listener, (struct sockaddr *)&at, &len) == -1 ||
	    connect(fd, (struct sockaddr *)&at, len) == -1 ||
	    (*peer = accept(listener, NULL, NULL)) == -1)
		err(1, "loopback");
	close(listener);
	return fd;
}

/* The peer of the first connection, a process of its own: the bytes it got. */
static void
read_all(int peer)
{
	char buf[4096];
	size_t got = 0;
	ssize_t n;

	while ((n = read(peer, buf, sizeof(buf))) > 0)
		got += (size_t)n;
	if (n == -1)
		err(1, "the peer");
	printf("%zu\n", got);
	fflush(stdout);
	_exit(0);
}

int
main(void)
{
	int fd, peer, status;

	openlog("sample", LOG_PERROR, LOG_DAEMON);
	fd = connect_to_self(&peer);
	switch (fork()) {
	case -1:
		err(1, "fork");
	case 0:
		close(fd);
		read_all(peer);
	}
	close(peer);
	if (write(fd, data, sizeof(data)) != (ssize_t)sizeof(data))
		err(1, "write");
	syslog(LOG_NOTICE, "delivered:");
	readme(fd);
	if (wait(&status) == -1 || status != 0)
		errx(1, "the peer failed");

	fd = connect_to_self(&peer);
	if (write(fd, data, 10) != 10)
		err(1, "write");
	syslog(LOG_NOTICE, "reset:");
	if (abort_close(peer) == -1)
		err(1, "abort_close");
	readme(fd);
	return 0;
}
