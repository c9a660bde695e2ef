/*
 * fork_server.c - recipe: a server that forks a process for each connection
 *
 * For inetd services, and for every server whose process serves one connection
 * and then exits.  The child writes its reply and calls graceful_close(), which
 * waits until the client has the reply.  The client may still be sending then:
 * with close(2) the kernel would answer with an RST, and the client could lose
 * the reply.
 *
 * Copy serve() and accept_one().  main() is a self-check over loopback.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <err.h>
#include <stdio.h>
#include <unistd.h>

#include <graceclose.h>

#define CLIENTS		3
#define REPLY_SIZE	200000

static const char reply[REPLY_SIZE];

/* --- the recipe ---------------------------------------------------------- */

/* Send all of it: 0, or -1 and errno.  MSG_NOSIGNAL: no SIGPIPE. */
static int
send_all(int fd, const char *data, size_t size)
{
	ssize_t n;

	for (; size > 0; data += n, size -= (size_t)n)
		if ((n = send(fd, data, size, MSG_NOSIGNAL)) == -1)
			return -1;
	return 0;
}

/* The child: its exit status is 0 if the client has the whole reply. */
static int
serve(int fd)
{
	char request[1024];

	if (recv(fd, request, sizeof(request), 0) <= 0 ||
	    send_all(fd, reply, sizeof(reply)) == -1) {
		warn("request");
		abort_close(fd);	/* the client sees an error, no EOF */
		return 1;
	}
	if (graceful_close(fd) == -1) {	/* was: close(fd) */
		warn("the client may lack a part of the reply");
		return 1;
	}
	return 0;
}

/*
 * The parent closes its duplicate with close(2), which sends nothing as long
 * as the child has the connection.  A server that does not call wait(2) sets
 * SIGCHLD to SIG_IGN.
 */
static void
accept_one(int listener)
{
	int fd = accept(listener, NULL, NULL);

	if (fd == -1)
		err(1, "accept");
	switch (fork()) {
	case -1:
		err(1, "fork");
	case 0:
		close(listener);
		_exit(serve(fd));
	default:
		close(fd);
	}
}

/* --- the self-check ------------------------------------------------------ */

/* It sends more than the server reads, and must still get the reply whole. */
static int
client(const struct sockaddr_in *server)
{
	static char upload[100000], buf[65536];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t got = 0;
	ssize_t n;

	if (connect(fd, (const struct sockaddr *)server,
	    sizeof(*server)) == -1 ||
	    send_all(fd, upload, sizeof(upload)) == -1)
		err(1, "client");
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		got += (size_t)n;
	if (n == -1)
		warn("client: after %zu bytes", got);
	close(fd);
	return n == 0 && got == REPLY_SIZE ? 0 : 1;
}

int
main(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int listener, status, failed = 0;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((listener = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    bind(listener, (struct sockaddr *)&sin, len) == -1 ||
	    listen(listener, CLIENTS) == -1 ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) == -1)
		err(1, "listen");
	for (int i = 0; i < CLIENTS; i++)
		if (fork() == 0)
			_exit(client(&sin));
	for (int i = 0; i < CLIENTS; i++)
		accept_one(listener);
	while (wait(&status) != -1)
		failed += status != 0;
	printf("fork_server: %d of %d processes failed\n", failed,
	    2 * CLIENTS);
	return failed > 0;
}
