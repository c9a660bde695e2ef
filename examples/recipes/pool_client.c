/*
 * pool_client.c - recipe: a client that keeps idle connections
 *
 * For clients of HTTP, databases and caches, which use a connection again.
 * The server may have closed an idle connection meanwhile.  A request that is
 * written to it fails or is lost.  peer_closed() asks before the write, without
 * a packet and without reading input.
 *
 * Copy take(), put() and request().  main() is a self-check over loopback.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include <graceclose.h>

#define POOL_MAX	16

static int pool[POOL_MAX];
static int idle;		/* so many of them */
static int connections;		/* made, for the self-check */

/* --- the recipe ---------------------------------------------------------- */

/* A connection on which the server still listens; -1: no connection. */
static int
take(const struct sockaddr_in *server)
{
	int fd;

	while (idle > 0) {
		fd = pool[--idle];
		if (peer_closed(fd) == 0)
			return fd;
		abort_close(fd);	/* the server left: nothing to save */
	}
	if ((fd = socket(AF_INET, SOCK_STREAM, 0)) == -1)
		return -1;
	if (connect(fd, (const struct sockaddr *)server,
	    sizeof(*server)) == -1) {
		close(fd);
		return -1;
	}
	connections++;
	return fd;
}

static void
put(int fd)
{
	if (idle < POOL_MAX)
		pool[idle++] = fd;
	else
		graceful_close(fd);
}

/*
 * 0, or -1 and errno.  The server may also close between peer_closed() and the
 * reply.  Repeat only a request that may arrive twice.
 */
static int
request(const struct sockaddr_in *server, char question, char *answer)
{
	int fd = take(server);

	if (fd == -1)
		return -1;
	if (send(fd, &question, 1, MSG_NOSIGNAL) != 1 ||
	    recv(fd, answer, 1, 0) != 1) {
		abort_close(fd);
		return -1;
	}
	put(fd);
	return 0;
}

/* --- the self-check ------------------------------------------------------ */

/* Answer so many requests of one connection, then close it. */
static void
serve(int listener, int requests)
{
	int fd = accept(listener, NULL, NULL);
	char c;

	while (requests-- > 0)
		if (recv(fd, &c, 1, 0) != 1 || send(fd, &c, 1, 0) != 1)
			err(1, "server");
	graceful_close(fd);
}

static void
ask(const struct sockaddr_in *server, char question)
{
	char answer = '\0';

	if (request(server, question, &answer) == -1 || answer != question)
		err(1, "request %c", question);
}

int
main(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	struct pollfd fin = { .events = POLLIN };
	int listener, status;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((listener = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    bind(listener, (struct sockaddr *)&sin, len) == -1 ||
	    listen(listener, 2) == -1 ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) == -1)
		err(1, "listen");
	if (fork() == 0) {
		serve(listener, 1);
		serve(listener, 2);
		_exit(0);
	}
	ask(&sin, 'a');
	fin.fd = pool[0];
	poll(&fin, 1, -1);		/* the server closes the idle one */
	ask(&sin, 'b');
	ask(&sin, 'c');
	while (idle > 0)
		graceful_close(pool[--idle]);
	wait(&status);
	printf("pool_client: 3 requests, %d connections\n", connections);
	return connections != 2 || status != 0;
}
