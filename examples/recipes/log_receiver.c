/*
 * log_receiver.c - recipe: a server whose clients only write
 *
 * For collectors of log lines and measurements.  A client that never reads does
 * not see the server's FIN in what it reads, and goes on writing for a while.
 * graceful_close() would throw these lines away, close(2) would reset the
 * connection under them.  With `late' the close hands them to a function of the
 * program, until the client has ended its side, or a limit is reached.
 * Copy struct source, take() and stop().  The rest is a self-check.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include <graceclose.h>

/* --- the recipe ---------------------------------------------------------- */

struct source {
	int		fd;
	unsigned long	lines;		/* here the program would store them */
	size_t		part;		/* bytes of a line without its end */
};

/* Before the close, and during it. */
static void
take(void *arg, const void *buf, size_t n)
{
	struct source *s = arg;
	const char *p = buf;

	for (; n > 0; n--, s->part++)
		if (*p++ == '\n') {
			s->lines++;
			s->part = (size_t)-1;
		}
}

/*
 * The program stops, or drops this client.  A client that polls sees the FIN,
 * and ends.  Another one is cut off at the limit: the RST tells it that lines
 * may be lost.  0: the client has ended by itself, and every line is here.
 */
static int
stop(struct source *s)
{
	const struct graceclose_opts opts = {
		.on_expiry = GRACECLOSE_RESET,
		.timeout_ms = 5000,
		.late = take,
		.arg = s
	};

	if (graceclose(s->fd, &opts, NULL) == -1)
		return -1;
	if (s->part == 0)
		return 0;
	errno = EPROTO;			/* its last line has no end */
	return -1;
}

/* --- the self-check ------------------------------------------------------ */

/*
 * Writes lines until it sees the server's FIN, and a few more; says how many.
 * A deaf one goes on for as long as it can.
 */
static void
client(const struct sockaddr_in *server, int result, bool deaf)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), more = 1000;
	struct pollfd fin = { .fd = fd, .events = POLLIN };
	unsigned long lines = 0;

	if (connect(fd, (const struct sockaddr *)server,
	    sizeof(*server)) == -1)
		err(1, "connect");
	while (more > 0 && send(fd, "a line\n", 7, MSG_NOSIGNAL) == 7) {
		lines++;
		if (deaf)
			poll(NULL, 0, 1);
		else if (poll(&fin, 1, 0) != 0)
			more--;
	}
	if (!deaf && graceful_close(fd) == -1)
		err(1, "client");
	if (write(result, &lines, sizeof(lines)) != sizeof(lines))
		err(1, "write");
}

/* A line more than the client knows of would be as wrong as one less. */
static int
receive(int listener, const struct sockaddr_in *addr, bool deaf)
{
	struct source s = { .fd = -1 };
	unsigned long sent = 0;
	char buf[4096];
	int result[2], status, r;
	ssize_t n;

	if (pipe(result) == -1)
		err(1, "pipe");
	if (fork() == 0) {
		client(addr, result[1], deaf);
		_exit(0);
	}
	s.fd = accept(listener, NULL, NULL);
	while (s.lines < 100 && (n = recv(s.fd, buf, sizeof(buf), 0)) > 0)
		take(&s, buf, (size_t)n);
	r = stop(&s);
	if (read(result[0], &sent, sizeof(sent)) != sizeof(sent))
		err(1, "read");
	wait(&status);
	close(result[0]);
	close(result[1]);
	printf("log_receiver: %lu lines sent, %lu received, close %d\n", sent,
	    s.lines, r);
	return status != 0 || s.lines > sent || (deaf ? r != -1 :
	    r != 0 || s.lines != sent);
}

int
main(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(addr);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&addr, len) == -1 ||
	    listen(listener, 2) == -1 ||
	    getsockname(listener, (struct sockaddr *)&addr, &len) == -1)
		err(1, "listen");
	return receive(listener, &addr, false) | receive(listener, &addr, true);
}
