/* clients.c - see clients.h */
#include <sys/socket.h>
#include <sys/time.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <graceclose.h>

#include "stage/ends.h"
#include "stage/clients.h"
#include "stage/narrator.h"

#define UPLOAD		2000000
#define SNDBUF		65536	/* the upload takes its time */
#define PATIENCE_S	10	/* for send() and recv() */
#define STAY_MS		1500	/* or until the server resets */

struct client {
	enum manner	manner;
	int		fd;
	pthread_t	thread;
	bool		left;
	atomic_size_t	got;
	const char	*end;		/* what its last recv said */
};

static struct client	clients[MANNERS][CLIENTS_EACH];
static int		came[MANNERS];

static const char *const manners[MANNERS] = {
	[POLITE] = "polite",
	[HALF_CLOSING] = "half-closing first",
	[UPLOADING] = "uploading 2 MB",
	[RESETTING] = "resetting",
	[SILENT] = "silent",
	[STAYING] = "staying",
};

static struct sockaddr_in
loopback(in_port_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons(port);
	return sin;
}

int
clients_listen(in_port_t *port)
{
	struct sockaddr_in sin = loopback(*port);
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);

	if (fd == -1)
		err(1, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 },
	    sizeof(int)) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, len) == -1 ||
	    listen(fd, SOMAXCONN) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) == -1)
		err(1, "listen on 127.0.0.1 port %d", *port);
	*port = ntohs(sin.sin_port);
	return fd;
}

static int
arrive(in_port_t port)
{
	struct timeval tv = { .tv_sec = PATIENCE_S };
	struct sockaddr_in sin = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		err(1, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ SNDBUF },
	    sizeof(int)) == -1)
		err(1, "setsockopt");
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		err(1, "connect to 127.0.0.1 port %d", port);
	return fd;
}

static void
read_reply(struct client *g)
{
	char buf[32768];
	ssize_t n;

	while ((n = recv(g->fd, buf, sizeof(buf), 0)) > 0)
		g->got += (size_t)n;
	g->end = n == 0 ? "EOF" : show_errno(errno);
}

/* Until the server ends the connection (POLLHUP). */
static void
stay(int fd)
{
	struct pollfd pfd = { .fd = fd };

	poll(&pfd, 1, STAY_MS);
}

static void *
client_main(void *arg)
{
	static const char upload[UPLOAD];
	struct client *g = arg;
	int fd = g->fd;

	if (g->manner != SILENT)
		ends_send(fd, CLIENTS_ASK, strlen(CLIENTS_ASK));
	if (g->manner == HALF_CLOSING)
		shutdown(fd, SHUT_WR);
	if (g->manner == UPLOADING)
		ends_send(fd, upload, UPLOAD);
	if (g->manner == RESETTING) {
		recv(fd, &(char){ 0 }, 1, 0);
		g->end = "left with an RST";
		abort_close(fd);
		return NULL;
	}
	read_reply(g);
	if (g->manner == STAYING)
		stay(fd);
	close(fd);
	return NULL;
}

void
clients_come(in_port_t port, enum manner manner, int count)
{
	while (count-- > 0 && came[manner] < CLIENTS_EACH) {
		struct client *g = &clients[manner][came[manner]++];

		memset(g, 0, sizeof(*g));
		g->manner = manner;
		g->fd = arrive(port);
		if ((errno = pthread_create(&g->thread, NULL, client_main,
		    g)) != 0)
			err(1, "pthread_create");
	}
}

void
clients_left(enum manner manner)
{
	for (int i = 0; i < came[manner]; i++) {
		struct client *g = &clients[manner][i];

		if (!g->left)
			pthread_join(g->thread, NULL);
		g->left = true;
	}
}

int
clients_whole(enum manner manner)
{
	int whole = 0;

	for (int i = 0; i < came[manner]; i++)
		whole += clients[manner][i].got == CLIENTS_REPLY;
	return whole;
}

void
clients_replied(enum manner manner)
{
	double limit = show_now() + PATIENCE_S * 1000;

	while (clients_whole(manner) < came[manner] && show_now() < limit)
		show_nap();
}

void
clients_all_left(void)
{
	for (int m = 0; m < MANNERS; m++)
		clients_left((enum manner)m);
}

static int
by_size(const void *a, const void *b)
{
	size_t x = ((const struct client *)a)->got;
	size_t y = ((const struct client *)b)->got;

	return (x > y) - (x < y);
}

void
clients_print(void)
{
	show_text("\n%-20s %5s %6s %14s  %s\n", "clients", "came", "whole",
	    "median bytes", "at the end");
	show_rule(60);
	for (int m = 0; m < MANNERS; m++) {
		struct client *median = &clients[m][came[m] / 2];

		if (came[m] == 0)
			continue;
		qsort(clients[m], (size_t)came[m], sizeof(clients[m][0]),
		    by_size);
		show_text("%-20s %5d %6d %14zu  %s\n", manners[m], came[m],
		    clients_whole((enum manner)m), median->got, median->end);
	}
}

void
clients_forget(void)
{
	memset(came, 0, sizeof(came));
}

int
clients_visit(in_port_t port, int count)
{
	for (int m = 0; m < MANNERS; m++)
		clients_come(port, (enum manner)m, count);
	clients_all_left();
	clients_print();
	for (int m = 0; m < MANNERS; m++)
		show_expect(m == RESETTING || m == SILENT ||
		    clients_whole((enum manner)m) == count,
		    "%s: %d of %d replies were whole", manners[m],
		    clients_whole((enum manner)m), count);
	return show_verdict();
}
