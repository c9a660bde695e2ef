/*
 * early_reply - how a client loses a reply that the server sent in full
 *
 * A client uploads 2 MB.  After the first bytes the server need not read the
 * rest (wrong password, too large, moved elsewhere).  It sends its reply of 1
 * MiB, and closes.  If input is still unread, or still arrives, the kernel
 * sends an RST.  The RST destroys the part of the reply that has not left yet
 * (RFC 1122 4.2.2.13, RFC 2525 2.17).  The client gets only a part of a reply
 * that send() had taken whole.
 *
 * Often advised are shutdown() before close(), one read before close(), and
 * SO_LINGER.  They change nothing while the client still sends.  Reading until
 * the end of the upload helps: graceful_close() and linger_close() do that.
 * The example runs each way many times.
 *
 * Usage: early_reply [--runs n] [--wire [--ascii]] [--pcap file] [--help]
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

#include "closewatch/option.h"
#include "stage/ends.h"
#include "stage/narrator.h"
#include "stage/tap.h"

#define UPLOAD		2000000
#define REQUEST		16384		/* what the server reads of it */
#define REPLY		1048576
#define CLIENT_SNDBUF	65536		/* the upload takes its time */
#define LINGER_MS	5000
#define TIMEOUT_S	10		/* for send() and recv() */
#define RUNS_MAX	1000

static int	runs = 50;
static char	upload[UPLOAD], reply[REPLY];

/* Read what has arrived, once. */
static void
drain_once(int fd)
{
	static char buf[UPLOAD / 2];

	recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
}

static int
shut_close(int fd)
{
	shutdown(fd, SHUT_WR);
	return close(fd);
}

static int
shut_drain_close(int fd)
{
	shutdown(fd, SHUT_WR);
	drain_once(fd);
	return close(fd);
}

static int
drain_shut_close(int fd)
{
	drain_once(fd);
	shutdown(fd, SHUT_WR);
	return close(fd);
}

static int
so_linger_close(int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 1 };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger,
	    sizeof(linger)) == -1)
		err(1, "setsockopt SO_LINGER");
	return close(fd);
}

static int
linger_verb(int fd)
{
	return linger_close(fd, LINGER_MS);
}

enum { CLOSE, SHUT, SHUT_DRAIN, DRAIN_SHUT, LINGER, GRACEFUL, LINGER_VERB,
    WAYS };

static const struct way {
	const char	*name;
	int		(*go)(int fd);
	bool		 loses;
} ways[WAYS] = {
	[CLOSE] = { "close()", close, true },
	[SHUT] = { "SHUT_WR, close()", shut_close, true },
	[SHUT_DRAIN] = { "SHUT_WR, one drain, close()", shut_drain_close,
	    true },
	[DRAIN_SHUT] = { "one drain, SHUT_WR, close()", drain_shut_close,
	    true },
	[LINGER] = { "SO_LINGER {1,1}, close()", so_linger_close, true },
	[GRACEFUL] = { "graceful_close()", graceful_close, false },
	[LINGER_VERB] = { "linger_close(fd, 5000)", linger_verb, false },
};

/* A simple client: send all, then read all. */
struct client {
	struct ends	 view;
	size_t		 sent;
	size_t		 got;
	char		 end[40];	/* what its last calls returned */
};

static size_t
read_reply(int fd, ssize_t *last)
{
	static char buf[65536];
	size_t got = 0;

	while ((*last = recv(fd, buf, sizeof(buf), 0)) > 0)
		got += (size_t)*last;
	return got;
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
	return NULL;
}

static void
limit_waits(int fd)
{
	struct timeval tv = { .tv_sec = TIMEOUT_S };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == -1)
		err(1, "setsockopt SO_RCVTIMEO, SO_SNDTIMEO");
}

/* The server reads the beginning of the request, and replies at once. */
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
	double at, took;
	int fd, rv;

	ends_open(&ends, 0);
	tap_connection(&ends);
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
	show_step(&view, show_now(), "server", "...", "%s", way->name);
	at = show_now();
	rv = way->go(fd);
	took = show_now() - at;
	show_step(&view, at + took, "server", show_got(rv),
	    "  that call took %.2f ms", took);
	pthread_join(thread, NULL);
	return rv;
}

/* The outcome of all runs of one way. */
struct tally {
	int	whole;
	int	cut;
	int	false_eof;		/* cut, and the last recv said EOF */
	int	failed;			/* the closing call said -1 */
	size_t	got[RUNS_MAX];
	char	ends[RUNS_MAX][40];
};

static int
by_size(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x > y) - (x < y);
}

static const char *
commonest_end(const struct tally *t, int *count)
{
	const char *best = "";

	*count = 0;
	for (int i = 0; i < runs; i++) {
		int n = 0;

		for (int j = 0; j < runs; j++)
			n += strcmp(t->ends[i], t->ends[j]) == 0;
		if (n > *count) {
			*count = n;
			best = t->ends[i];
		}
	}
	return best;
}

static void
run_many(const struct way *way, struct tally *t)
{
	struct client c;

	memset(t, 0, sizeof(*t));
	for (int i = 0; i < runs; i++) {
		if (run_once(way, &c) == -1)
			t->failed++;
		t->got[i] = c.got;
		memcpy(t->ends[i], c.end, sizeof(c.end));
		if (c.got == REPLY)
			t->whole++;
		else
			t->cut++;
		if (c.got < REPLY && strstr(c.end, "EOF") != NULL)
			t->false_eof++;
	}
	qsort(t->got, (size_t)runs, sizeof(t->got[0]), by_size);
}

static void
print_tally(const struct way *way, const struct tally *t)
{
	int count;
	const char *end = commonest_end(t, &count);
	size_t middle = (size_t)runs / 2;
	size_t median = runs % 2 == 1 ? t->got[middle] :
	    (t->got[middle - 1] + t->got[middle]) / 2;

	show_text("%-27s %5d %6d %5d %14zu  %s (%d of %d)\n", way->name, runs,
	    t->whole, t->cut, median, end, count, runs);
	show_expect(t->failed == 0, "%s failed %d times", way->name,
	    t->failed);
	if (way->loses)		/* a busy machine may let one pass */
		show_expect(t->cut * 10 >= runs * 9, "%s cut only %d of %d",
		    way->name, t->cut, runs);
	else
		show_expect(t->cut == 0, "%s cut %d of %d", way->name, t->cut,
		    runs);
}

static void
compare(void)
{
	static struct tally t;
	int cut = 0, false_eof = 0;

	show_title("Every way, many times");
	show_text("\n%-27s %5s %6s %5s %14s  %s\n", "server calls", "runs",
	    "whole", "cut", "median bytes", "client got at the end");
	show_rule(95);
	for (int i = 0; i < WAYS; i++) {
		run_many(&ways[i], &t);
		print_tally(&ways[i], &t);
		cut += t.cut;
		false_eof += t.false_eof;
	}
	show_text("\n"
	    "whole, cut: replies that arrived in full, or not.  At the "
	    "end, most often: first what the\nclient's send() got, if that "
	    "failed, then its last recv().\n\n"
	    "%d of %d cut replies ended with EOF, as if they were whole: the "
	    "kernel reports an RST once,\nand send() had got that error "
	    "already.\n",
	    false_eof, cut);
	show_text("\n"
	    "As long as the client sends, only reading helps: graceful_close() "
	    "and linger_close() send\nthe FIN, and discard input until the "
	    "client has acknowledged the reply.\n");
}

static void
narrate(const struct way *way, const char *title)
{
	struct client c;

	show_scene(title);
	run_once(way, &c);
	tap_scene_end();
	show_text("\nThe client got %zu of %d bytes of the reply: %s.\n",
	    c.got, REPLY, c.got == REPLY ? "all" : "the rest is lost");
}

static _Noreturn void
usage(FILE *out, int status)
{
	fprintf(out, "usage: %s [--runs n] " TAP_SYNOPSIS " [--help]\n"
	    "  --runs n      run each way n times (%d)\n" TAP_USAGE,
	    getprogname(), runs);
	exit(status);
}

static void
parse_options(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "runs", required_argument, NULL, 'r' },
		TAP_OPTIONS,
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			runs = option_number("--runs", optarg, 1, RUNS_MAX);
			break;
		case 'h':
			usage(stdout, 0);
		default:
			if (!tap_option(c, optarg))
				exit(2);	/* getopt_long said why */
		}
	}
	if (optind < argc)
		errx(2, "unexpected argument: %s", argv[optind]);
}

int
main(int argc, char *argv[])
{
	setprogname(argv[0]);
	parse_options(argc, argv);

	show_title("An early reply: sent in full, and cut by the close");
	show_text("\n"
	    "A client sends %d bytes, then reads.  The server reads %d of "
	    "them, sends its reply\nof %d bytes at once, and closes.\n",
	    UPLOAD, REQUEST, REPLY);
	show_legend();
	tap_open();
	narrate(&ways[CLOSE], "As it goes wrong: the server calls close()");
	narrate(&ways[GRACEFUL], "The remedy: the server calls "
	    "graceful_close()");
	tap_close();
	compare();
	return show_verdict();
}
