/*
 * relay.c - recipe: a relay, proxy or tunnel between two connections
 *
 * A relay that closes both connections at the first EOF cuts off the reply to a
 * client that half-closes.  This one hands a FIN on as a FIN, and a reset as a
 * reset, and says whether each side got everything.
 * Copy all up to relay().  The rest is a self-check over loopback.
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

#define IDLE_MS	60000

/* --- the recipe ---------------------------------------------------------- */

struct way {
	int	from, to;
	bool	ended;			/* the FIN was handed on */
	size_t	begin, end;		/* what waits in buf */
	char	buf[65536];
};

/* What can be done now; -1: the connection to one side is broken. */
static int
pass(struct way *w)
{
	ssize_t n;

	if (w->begin == w->end && !w->ended) {
		n = recv(w->from, w->buf, sizeof(w->buf), MSG_DONTWAIT);
		if (n == -1)
			return errno == EAGAIN ? 0 : -1;
		if ((w->ended = n == 0))
			return shutdown(w->to, SHUT_WR);
		w->begin = 0;
		w->end = (size_t)n;
	}
	if (w->begin < w->end) {
		n = send(w->to, w->buf + w->begin, w->end - w->begin,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n == -1)
			return errno == EAGAIN ? 0 : -1;
		w->begin += (size_t)n;
	}
	return 0;
}

/* What poll(2) shall wait for: without an event even POLLHUP would end it. */
static struct pollfd
wanted(int fd, const struct way *from, const struct way *to)
{
	int events = to->begin < to->end ? POLLOUT : 0;

	if (from->begin == from->end && !from->ended)
		events |= POLLIN;
	return (struct pollfd){ events != 0 ? fd : -1, (short)events, 0 };
}

/* 0 where both sides have everything.  Both connections are closed. */
static int
relay(int client, int server)
{
	static struct way there, back;
	struct pollfd p[2];
	int r = 0;

	there = (struct way){ .from = client, .to = server };
	back = (struct way){ .from = server, .to = client };
	while (r == 0 && !(there.ended && back.ended)) {
		p[0] = wanted(client, &there, &back);
		p[1] = wanted(server, &back, &there);
		if (poll(p, 2, IDLE_MS) == 0 || pass(&there) == -1 ||
		    pass(&back) == -1)
			r = -1;
	}
	if (r == 0)
		return graceful_close(client) | graceful_close(server);
	abort_close(client);		/* no FIN: neither has everything */
	abort_close(server);
	return -1;
}

/* --- the self-check ------------------------------------------------------ */

#define SIZE	1000000
static char data[SIZE];
static struct sockaddr_in addr = { .sin_family = AF_INET };

static int
dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == -1)
		err(1, "connect");
	return fd;
}

/* A client sends, half-closes, reads; a server reads, sends; or it resets. */
static int
peer(int fd, bool asks, bool resets)
{
	if (!asks && resets)
		return recv(fd, data, 1, 0) != 1 || abort_close(fd) == -1;
	if (asks && (send(fd, data, SIZE, MSG_NOSIGNAL) == SIZE || resets))
		shutdown(fd, SHUT_WR);
	if (recv(fd, data, SIZE, MSG_WAITALL) != SIZE ||
	    recv(fd, data, 1, 0) != 0)
		return !resets;
	return !asks && send(fd, data, SIZE, MSG_NOSIGNAL) != SIZE;
}

int
main(void)
{
	int in = socket(AF_INET, SOCK_STREAM, 0), status, i, failed = 0, a, b;
	socklen_t len = sizeof(addr);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(in, (struct sockaddr *)&addr, len) == -1 || listen(in, 2) ||
	    getsockname(in, (struct sockaddr *)&addr, &len) == -1)
		err(1, "listen");
	for (i = 0; i < 2; i++) {
		a = dial();
		if (fork() == 0)
			_exit(peer(a, true, i == 1));
		close(a);
		a = accept(in, NULL, NULL);
		b = dial();
		if (fork() == 0)
			_exit(close(a) || close(b) ||
			    peer(accept(in, NULL, NULL), false, i == 1));
		failed += (relay(a, b) == 0) != (i == 0);
		while (wait(&status) != -1)
			failed += status != 0;
	}
	printf("relay: %d failed\n", failed);
	return failed > 0;
}
