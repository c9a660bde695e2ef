/*
 * forced_reset - what an RST does, and which calls send one
 *
 * An echo server answers "Hi, gopher?" and closes the connection after a while.
 * The client then waits in a blocking read, and the server's own reader thread
 * in another.  The closing thread calls close(), with SO_LINGER off, {1,0}
 * (Go's SetLinger(0)) or {1,1} (Go's SetLinger(1)), or abort_close(), or
 * linger_close().  Three parts:
 *
 *	1. The server's own reader is blocked in recv().  close() then has no
 *	   effect, because that recv() still holds the connection.
 *	2. No thread is blocked at the server's end, as in Go, whose runtime
 *	   wakes the reader before it closes.
 *	3. The client does not read, and the send queue has bytes.  The ways
 *	   differ in what arrives.
 *
 * Many texts on SetLinger(0) end with a question: what if it were SetLinger(1)?
 * The last lines answer it from the measurements.
 *
 * Usage: forced_reset [--after ms] [--data bytes] [--wire [--ascii]]
 *	[--pcap file] [--help]
 */
#include <sys/socket.h>

#include <netinet/tcp.h>

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
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
#include "stage/reader.h"

#define HELLO		"Hi, gopher?"
#define HELLO_SIZE	(sizeof(HELLO) - 1)
#define PATIENCE_MS	300		/* for a thread that may never wake */
#define LINGER_MS	300		/* what linger_close() is given */
#define SETTLE_MS	2000		/* for the last acknowledgement */
#define CLIENT_RCVBUF	16384
#define WIDTH		95
#define DATA_MIN	(128 * 1024)	/* more than the receive queue holds */
#define DATA_MAX	(1024 * 1024)

static int	after_ms = 200;
static size_t	data_size = 262144;
static char	data[DATA_MAX];

static int
so_linger(int fd, int on, int seconds)
{
	struct linger linger = { .l_onoff = on, .l_linger = seconds };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger,
	    sizeof(linger)) == -1)
		err(1, "setsockopt SO_LINGER");
	return close(fd);
}

static int
linger_off(int fd)
{
	return so_linger(fd, 0, 0);
}

static int
linger_0(int fd)
{
	return so_linger(fd, 1, 0);
}

static int
linger_1(int fd)
{
	return so_linger(fd, 1, 1);
}

static int
linger_verb(int fd)
{
	return linger_close(fd, LINGER_MS);
}

enum { CLOSE, OFF, LINGER_0, LINGER_1, ABORT, LINGER_VERB, WAYS };

static const struct way {
	const char	*name;
	int		(*go)(int fd);
} ways[WAYS] = {
	[CLOSE] = { "close()", close },
	[OFF] = { "SO_LINGER off, close()", linger_off },
	[LINGER_0] = { "SO_LINGER {1,0}, close()", linger_0 },
	[LINGER_1] = { "SO_LINGER {1,1}, close()", linger_1 },
	[ABORT] = { "abort_close()", abort_close },
	[LINGER_VERB] = { "linger_close(fd, 300)", linger_verb },
};

/* What one way of closing did. */
struct outcome {
	int		 rv;
	int		 error;
	double		 took;		/* ms, of the closing call */
	const char	*client_got;	/* EOF or an errno, at the end */
	double		 client_after;	/* ms after the call was made */
	bool		 client_stuck;	/* until its own SHUT_WR */
	const char	*reader_got;	/* the server's own reader, part 1 */
	bool		 reader_stuck;
	size_t		 sent;		/* part 3: what send() took */
	size_t		 queued;	/* of it, not yet acknowledged */
	size_t		 arrived;
	bool		 went_on;	/* the kernel sent after close() */
};

static struct outcome	with_reader[WAYS], alone[WAYS], full[WAYS];

static const char *
returned(const struct outcome *o)
{
	return o->rv == 0 ? "0" : show_errno(o->error);
}

/* The closing call of this way, timed. */
static double
call_it(const struct way *way, struct ends *ends, struct outcome *o)
{
	int fd = ends->server.fd;
	double began = show_now();

	ends->server.fd = -1;
	show_step(ends, began, "server", "...", "%s", way->name);
	began = show_now();
	o->rv = way->go(fd);
	o->error = errno;
	o->took = show_now() - began;
	show_step(ends, began + o->took, "server", returned(o),
	    "  that call took %.2f ms", o->took);
	return began;
}

/* "Hi, gopher?" to the server; the reader or this thread echoes it. */
static void
greet(const struct ends *ends, bool server_has_reader)
{
	char buf[HELLO_SIZE];
	double at = show_now();
	ssize_t n = send(ends->client.fd, HELLO, HELLO_SIZE, MSG_NOSIGNAL);

	show_step(ends, at, "client", show_got(n), "send() \"%s\"", HELLO);
	if (!server_has_reader) {
		n = recv(ends->server.fd, buf, sizeof(buf), MSG_WAITALL);
		if (n > 0)
			ends_send(ends->server.fd, buf, (size_t)n);
	}
	n = recv(ends->client.fd, buf, sizeof(buf), MSG_WAITALL);
	show_step(ends, show_now(), "client", show_got(n),
	    "recv(), the echo of it");
	show_expect(n == (ssize_t)HELLO_SIZE, "the echo: %s", show_got(n));
}

static void
idle(const struct ends *ends)
{
	poll(NULL, 0, after_ms);
	show_step(ends, show_now(), "server", "-", "%d ms later: enough",
	    after_ms);
}

/* If a thread still waits, the client ends its side, which wakes it. */
static void
client_gives_up(const struct ends *ends)
{
	double at = show_now();
	int rv;

	show_step(ends, at, "client", "-", "still blocked after %d ms",
	    PATIENCE_MS);
	at = show_now();
	rv = shutdown(ends->client.fd, SHUT_WR);
	show_step(ends, at, "client", show_got(rv), "shutdown(SHUT_WR), to "
	    "end it");
}

static void
client_is_done(struct ends *ends, struct reader *client, double began,
    struct outcome *o)
{
	double at;

	reader_join(client);
	o->client_got = reader_end(client);
	o->client_after = client->at - began;
	at = show_now();
	close(ends->client.fd);
	ends->client.fd = -1;
	show_step(ends, at, "client", "0", "close()");
}

static void
close_on_reader(const struct way *way, struct outcome *o)
{
	struct ends ends, client_view, server_view;
	struct reader client, reader;
	double began;

	show_scene(way->name);
	ends_open(&ends, 0);
	tap_connection(&ends);
	client_view = ends_client_view(&ends);
	server_view = ends_server_view(&ends);
	server_view.server.fd = -1;	/* closed while the reader uses it */
	reader_start(&reader, "reader", &server_view, ends.server.fd, true);
	greet(&ends, true);
	reader_settle(&reader);
	reader_start(&client, "client", &client_view, ends.client.fd, false);
	idle(&ends);

	began = call_it(way, &ends, o);
	o->client_stuck = !reader_over(&client, PATIENCE_MS);
	o->reader_stuck = !reader_over(&reader, o->client_stuck ? 0 :
	    PATIENCE_MS);
	if (o->client_stuck)
		client_gives_up(&ends);
	client_is_done(&ends, &client, began, o);
	reader_join(&reader);
	o->reader_got = reader_end(&reader);
	tap_scene_end();
	ends_close(&ends);
}

static void
close_alone(const struct way *way, struct outcome *o)
{
	struct ends ends, client_view;
	struct reader client;
	double began;

	show_scene(way->name);
	ends_open(&ends, 0);
	tap_connection(&ends);
	client_view = ends_client_view(&ends);
	greet(&ends, false);
	reader_start(&client, "client", &client_view, ends.client.fd, false);
	idle(&ends);

	began = call_it(way, &ends, o);
	o->client_stuck = !reader_over(&client, PATIENCE_MS);
	if (o->client_stuck)
		client_gives_up(&ends);
	client_is_done(&ends, &client, began, o);
	tap_scene_end();
	ends_close(&ends);
}

/* The client does not read: its receive queue fills, then the send queue. */
static void
fill(const struct ends *ends, struct outcome *o)
{
	struct diag_look client, server;
	double at = show_now();
	ssize_t n = send(ends->server.fd, data, data_size,
	    MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n == -1)
		err(1, "send");
	do {
		show_nap();
		ends_look(ends, &client, &server);
	} while (client.unread + server.unacked != n &&
	    show_now() < at + SETTLE_MS);
	show_step(ends, at, "server", show_got(n), "send() %zu bytes",
	    data_size);
	o->sent = (size_t)n;
	o->queued = (size_t)server.unacked;
}

static void
close_full(const struct way *way, struct outcome *o)
{
	struct ends ends, client_view;
	struct diag_look client_look, server_look;
	struct reader client;
	double began;

	show_scene(way->name);
	ends_open(&ends, CLIENT_RCVBUF);
	tap_connection(&ends);
	fill(&ends, o);
	began = call_it(way, &ends, o);
	ends_look(&ends, &client_look, &server_look);
	o->went_on = server_look.unacked > 0;
	show_step(&ends, show_now(), "client", "-", "begins to read only now");
	client_view = ends_client_view(&ends);
	reader_start(&client, "client", &client_view, ends.client.fd, false);
	client_is_done(&ends, &client, began, o);
	o->arrived = client.bytes;
	tap_scene_end();
	ends_close(&ends);
}

static const char *
what_it_got(const char *got, bool stuck, char *buf, size_t size)
{
	if (!stuck)
		return got;
	snprintf(buf, size, "nothing (%s later)", got);
	return buf;
}

static void
print_with_reader(void)
{
	char client[40], reader[40];

	show_text("\n%-25s %9s  %-8s  %-26s  %s\n", "server calls", "took ms",
	    "returned", "client's read got", "its own reader got");
	show_rule(WIDTH);
	for (int i = 0; i < WAYS; i++) {
		const struct outcome *o = &with_reader[i];

		show_text("%-25s %9.2f  %-8s  %-26s  %s\n", ways[i].name,
		    o->took, returned(o),
		    what_it_got(o->client_got, o->client_stuck, client,
		    sizeof(client)),
		    what_it_got(o->reader_got, o->reader_stuck, reader,
		    sizeof(reader)));
	}
}

static void
print_alone(void)
{
	show_text("\n%-25s %9s  %-8s  %-17s  %s\n", "server calls", "took ms",
	    "returned", "client's read got", "ms after the call began");
	show_rule(WIDTH);
	for (int i = 0; i < WAYS; i++) {
		const struct outcome *o = &alone[i];

		show_text("%-25s %9.2f  %-8s  %-17s %8.1f\n", ways[i].name,
		    o->took, returned(o), o->client_got, o->client_after);
	}
}

static void
print_full(void)
{
	show_text("\n%-25s %9s  %-9s %8s %8s %8s %8s  %s\n", "server calls",
	    "took ms", "returned", "sent", "queued", "arrived", "lost",
	    "at the end");
	show_rule(WIDTH);
	for (int i = 0; i < WAYS; i++) {
		const struct outcome *o = &full[i];

		show_text("%-25s %9.2f  %-9s %8zu %8zu %8zu %8zu  %s\n",
		    ways[i].name, o->took, returned(o), o->sent, o->queued,
		    o->arrived, o->sent - o->arrived, o->client_got);
	}
}

static bool
is(const char *got, const char *name)
{
	return strcmp(got, name) == 0;
}

/* Part 1: only the verbs, the last two, act on the connection. */
static void
expect_with_reader(void)
{
	for (int i = 0; i < WAYS; i++) {
		const struct outcome *o = &with_reader[i];
		bool by_descriptor = i < ABORT;

		show_expect(o->rv == 0, "%s: %s", ways[i].name, returned(o));
		show_expect(o->client_stuck == by_descriptor,
		    "%s: the client was %sstuck", ways[i].name,
		    o->client_stuck ? "" : "not ");
		show_expect(is(o->client_got, i == LINGER_0 || i == ABORT ?
		    "ECONNRESET" : "EOF"), "%s: the client got %s",
		    ways[i].name, o->client_got);
	}
	show_expect(!with_reader[ABORT].reader_stuck,
	    "abort_close() left the reader blocked");
}

static void
expect_alone(void)
{
	for (int i = 0; i < WAYS; i++) {
		const struct outcome *o = &alone[i];

		show_expect(o->rv == 0, "%s: %s", ways[i].name, returned(o));
		show_expect(!o->client_stuck && is(o->client_got,
		    i == LINGER_0 || i == ABORT ? "ECONNRESET" : "EOF"),
		    "%s: the client got %s", ways[i].name, o->client_got);
		show_expect(o->took < 900, "%s: took %.1f ms", ways[i].name,
		    o->took);
	}
}

static void
expect_full(void)
{
	for (int i = 0; i < WAYS; i++) {
		const struct outcome *o = &full[i];
		bool resets = i == LINGER_0 || i == ABORT || i == LINGER_VERB;

		show_expect(o->queued > 0, "%s: empty queue", ways[i].name);
		show_expect((o->arrived < o->sent) == resets,
		    "%s: %zu of %zu arrived", ways[i].name, o->arrived,
		    o->sent);
		show_expect(is(o->client_got, resets ? "ECONNRESET" : "EOF"),
		    "%s: the client got %s", ways[i].name, o->client_got);
		show_expect(is(returned(o), i == LINGER_VERB ? "ETIMEDOUT" :
		    "0"), "%s: returned %s", ways[i].name, returned(o));
	}
	show_expect(full[LINGER_1].took > 900 && full[LINGER_1].took < 1900,
	    "{1,1} took %.1f ms", full[LINGER_1].took);
	show_expect(full[LINGER_VERB].took >= LINGER_MS - 10,
	    "linger_close() took %.1f ms", full[LINGER_VERB].took);
}

/* The answer to the question, from the runs above. */
static void
answer(void)
{
	const struct outcome *a = &alone[LINGER_1], *f = &full[LINGER_1];
	bool reset = is(a->client_got, "ECONNRESET") ||
	    is(f->client_got, "ECONNRESET");

	show_title("And what if SetLinger(0) were SetLinger(1)?");
	show_text("\n"
	    "With nothing to send, close() returned %s after %.1f ms, and the "
	    "client's read got %s.\n(With SO_LINGER off it got %s, with "
	    "SetLinger(0) %s.)\n\n", returned(a), a->took, a->client_got,
	    alone[OFF].client_got, alone[LINGER_0].client_got);
	show_text("With %zu bytes that the client had no room for, close() "
	    "blocked for %.0f ms and then\nreturned %s, as if all were well, "
	    "%s.\nThe client read later, and got %zu of %zu bytes, then "
	    "%s.\n\n", f->queued, f->took, returned(f), f->went_on ?
	    "while the kernel was still trying" :
	    "and the kernel had nothing left", f->arrived, f->sent,
	    f->client_got);
	show_text("So SetLinger(1) %s: close() waits up to a second, "
	    "%s,\nand %s whether that was enough.  linger_close() reports it: "
	    "here it returned\n%s after %.0f ms.\n", reset ? "also resets" :
	    "is no slower SetLinger(0)", reset ? "then cuts" : "cuts nothing",
	    f->rv == 0 ? "does not report" : "reports",
	    returned(&full[LINGER_VERB]), full[LINGER_VERB].took);
}

static void
part_1(void)
{
	show_title("Part 1: the server's own reader waits in recv()");
	for (int i = 0; i < WAYS; i++)
		close_on_reader(&ways[i], &with_reader[i]);
	print_with_reader();
	expect_with_reader();
	show_text("(later: when the client ended its side)\n\n"
	    "close() removes the descriptor, but the blocked recv() keeps "
	    "the connection.  The kernel\nsends no FIN and no RST, whatever "
	    "SO_LINGER says, until the reader wakes for another reason.\nThe "
	    "verbs act on the connection: abort_close() woke the client with "
	    "%s and the\nreader with %s.  (A reader that calls recv() again "
	    "would use a descriptor number that may\nbelong to another file: "
	    "stop your readers before you close.)\n",
	    with_reader[ABORT].client_got, with_reader[ABORT].reader_got);
}

static void
part_2(void)
{
	show_title("Part 2: no thread at the server's end is blocked");
	for (int i = 0; i < WAYS; i++)
		close_alone(&ways[i], &alone[i]);
	print_alone();
	expect_alone();
	show_text("\n"
	    "A call that waited waited for the acknowledgement of the FIN, "
	    "which kernels delay.\n");
}

static void
part_3(void)
{
	show_title("Part 3: the client does not read, the server has bytes "
	    "in its send queue");
	for (int i = 0; i < WAYS; i++)
		close_full(&ways[i], &full[i]);
	print_full();
	expect_full();
	show_text("(queued: of what send() took, not yet acknowledged when "
	    "the server closed)\n");
}

static _Noreturn void
usage(FILE *out, int status)
{
	fprintf(out, "usage: %s [--after ms] [--data bytes] " TAP_SYNOPSIS
	    " [--help]\n"
	    "  --after ms    how long the server waits before it closes (%d)\n"
	    "  --data bytes  what the server sends in part 3 (%zu)\n" TAP_USAGE,
	    getprogname(), after_ms, data_size);
	exit(status);
}

static void
parse_options(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "after", required_argument, NULL, 'a' },
		{ "data", required_argument, NULL, 'd' },
		TAP_OPTIONS,
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'a':
			after_ms = option_number("--after", optarg, 1, 60000);
			break;
		case 'd':
			data_size = (size_t)option_number("--data", optarg,
			    DATA_MIN, DATA_MAX);
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

	show_title("Closing by force: FIN, RST, or nothing at all");
	show_text("\n"
	    "A client sends \"%s\" to an echo server, reads the answer, and "
	    "waits in the next read.\n%d ms later the server closes.  What "
	    "does that read get?\n", HELLO, after_ms);
	show_legend();
	tap_open();
	part_1();
	part_2();
	part_3();
	tap_close();
	answer();
	return show_verdict();
}
