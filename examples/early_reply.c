/*
 * early_reply - how a reply is lost that was sent in full
 *
 * A client uploads 2 MB.  The server sees after the first bytes that it need
 * not read the rest (wrong password, too large, moved elsewhere), sends its
 * reply of 1 MiB, and closes.  Closing a connection on which input is still
 * unread, or still comes in, sends an RST, and an RST destroys the part of the
 * reply that has not left yet (RFC 1122 4.2.2.13, RFC 2525 2.17).  The client
 * gets a part of a reply that send() had taken whole.
 *
 * The remedies that are often advised, shutdown() before close(), reading what
 * is there before close(), SO_LINGER, change nothing as long as the client
 * goes on sending.  Reading to the end of the upload does: this is what
 * graceful_close() and linger_close() do.  Each way is run many times.
 *
 * Usage: early_reply [--runs n] [--help]
 */
#include <sys/socket.h>
#include <sys/time.h>

#include <netinet/tcp.h>

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/stdlib.h>

#include <graceclose.h>

#include "ends.h"
#include "show.h"

#define UPLOAD		(2 * 1000 * 1000)
#define REQUEST		16384		/* what the server reads of it */
#define REPLY		(1024 * 1024)
#define CLIENT_SNDBUF	65536		/* the upload takes its time */
#define LINGER_MS	5000
#define TIMEOUT_S	10		/* nobody hangs for ever */
#define RUNS_MAX	1000

static int	runs = 50;
static char	upload[UPLOAD], reply[REPLY];

static void
drain_once(int fd)
{
	char buf[65536];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static int
shut_close(int fd)
{
	shutdown(fd, SHUT_WR);
	return (close(fd));
}

static int
shut_drain_close(int fd)
{
	shutdown(fd, SHUT_WR);
	drain_once(fd);
	return (close(fd));
}

static int
drain_shut_close(int fd)
{
	drain_once(fd);
	shutdown(fd, SHUT_WR);
	return (close(fd));
}

static int
so_linger_close(int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 1 };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger,
	    sizeof(linger)) == -1)
		err(1, "setsockopt SO_LINGER");
	return (close(fd));
}

static int
linger_verb(int fd)
{
	return (linger_close(fd, LINGER_MS));
}

static const struct way {
	const char	*name;
	int		(*go)(int fd);
	bool		 loses;
} ways[] = {
	{ "close()", close, true },
	{ "SHUT_WR, close()", shut_close, true },
	{ "SHUT_WR, one drain, close()", shut_drain_close, true },
	{ "one drain, SHUT_WR, close()", drain_shut_close, true },
	{ "SO_LINGER {1,1}, close()", so_linger_close, true },
	{ "graceful_close()", graceful_close, false },
	{ "linger_close(fd, 5000)", linger_verb, false },
};
#define WAYS	(sizeof(ways) / sizeof(ways[0]))

/* A simple client: send all, then read all. */
struct client {
	struct ends	 view;
	size_t		 sent;
	size_t		 got;
	char		 end[40];	/* how it learned that it was over */
};

static size_t
read_reply(int fd, ssize_t *last)
{
	static char buf[65536];
	size_t got = 0;

	while ((*last = recv(fd, buf, sizeof(buf), 0)) > 0)
		got += (size_t)*last;
	return (got);
}

static void *
client_main(void *arg)
{
	struct client *c = arg;
	int fd = c->view.client.fd;
	const char *sending = NULL;
	ssize_t last;
	double at;

	c->sent = ends_send(fd, upload, UPLOAD);
	if (c->sent < UPLOAD)
		sending = show_errno(errno);
	show_step(&c->view, show_now(), "client", sending != NULL ? sending :
	    "all", "send(), %zu of %d bytes", c->sent, UPLOAD);
	c->got = read_reply(fd, &last);
	snprintf(c->end, sizeof(c->end), "%s%s%s",
	    sending != NULL ? sending : "", sending != NULL ? ", " : "",
	    last == 0 ? "EOF" : show_errno(errno));
	show_step(&c->view, show_now(), "client", last == 0 ? "0 (EOF)" :
	    show_got(last), "recv(), %zu of %d bytes, then", c->got, REPLY);
	at = show_now();
	c->view.client.fd = -1;
	show_step(&c->view, at, "client", show_got(close(fd)), "close()");
	return (NULL);
}

static void
limit_waits(int fd)
{
	struct timeval tv = { .tv_sec = TIMEOUT_S };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == -1)
		err(1, "setsockopt SO_RCVTIMEO, SO_SNDTIMEO");
}

/* The server reads the first of the request, and answers at once. */
static void
answer_early(const struct ends *view)
{
	static char buf[REQUEST];
	int fd = view->server.fd;
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_WAITALL);
	size_t sent;

	if (n != REQUEST)
		err(1, "the server's recv");
	show_step(view, show_now(), "server", show_got(n), "recv(), enough");
	if ((sent = ends_send(fd, reply, REPLY)) != REPLY)
		err(1, "the server's send: %zu of %d bytes", sent, REPLY);
	show_step(view, show_now(), "server", "all", "send(), the reply of %d",
	    REPLY);
}

static int
run_once(const struct way *way, struct client *c)
{
	struct ends ends, view;
	pthread_t thread;
	double at;
	int fd, rv;

	ends_open(&ends, 0);
	limit_waits(ends.client.fd);
	limit_waits(ends.server.fd);
	if (setsockopt(ends.client.fd, SOL_SOCKET, SO_SNDBUF,
	    &(int){ CLIENT_SNDBUF }, sizeof(int)) == -1)
		err(1, "setsockopt SO_SNDBUF");
	*c = (struct client){ .view = ends_client_view(&ends) };
	view = ends_server_view(&ends);
	if ((errno = pthread_create(&thread, NULL, client_main, c)) != 0)
		err(1, "pthread_create");
	answer_early(&view);
	fd = view.server.fd;
	view.server.fd = -1;
	at = show_now();
	rv = way->go(fd);
	show_step(&view, show_now(), "server", show_got(rv), "%s, %.1f ms",
	    way->name, show_now() - at);
	pthread_join(thread, NULL);
	return (rv);
}
int main(int argc, char **argv){
	struct client c;
	(void)argc;
	setprogname(argv[0]);
	for (size_t i = 0; i < WAYS; i++) {
		show_scene(ways[i].name);
		run_once(&ways[i], &c);
		show_scene_end();
	}
	for (size_t i = 0; i < WAYS; i++) {
		puts(ways[i].name);
		for (int j = 0; j < 20; j++) {
		int rv = run_once(&ways[i], &c);
		printf("  %d %zu %zu %s\n", rv, c.sent, c.got, c.end);
		}
	}
	(void)runs;
}
