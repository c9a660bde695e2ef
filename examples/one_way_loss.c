/*
 * one_way_loss - how a write that succeeded is lost, and three remedies
 *
 * A server only reads, and closes an idle connection after a while.  A client
 * only writes, and never reads.  Neither makes a mistake that a compiler or a
 * manual would point out, and yet data is lost:
 *
 *	The server's close() sends a FIN.
 *	The client's next write succeeds: after a FIN its sender sends nothing
 *	more, but may still receive.
 *	The server's kernel has no socket for the bytes, and answers with RST.
 *	The write after that one fails with EPIPE.
 *
 * The first of these two writes is lost, although send() returned success.  The
 * example shows the loss, then three remedies.  The server reads to the end
 * before it closes; the client asks before it writes; the client counts the
 * lost bytes and sends them again.  At the end it compares peer_closed() with a
 * probe that is often advised, a recv() of no bytes.
 *
 * Usage: one_way_loss [--idle ms] [--size bytes] [--wire [--ascii]]
 *	[--pcap file] [--svg file] [--help]
 */
#include <sys/socket.h>

#include <netinet/tcp.h>

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
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
#include "stage/picture.h"
#include "stage/tap.h"

#define SIZE_MAX_MESSAGE 32768
#define MESSAGES	3	/* one before the idle time, two after */

static int	idle_ms = 200;
static size_t	size = 1000;
static char	message[SIZE_MAX_MESSAGE];

/* The outcome of one way. */
struct outcome {
	const char	*way;
	size_t		 wrote;		/* send() returned so many */
	size_t		 read;		/* the server's program read */
	char		 found[80];	/* which end noticed, and how */
};

enum { PLAIN, GRACEFUL, HALF_CLOSE, ASK, RESEND, WAYS };
static struct outcome	outcomes[WAYS];

static void
open_scene(struct ends *ends, const char *title)
{
	show_scene(title);
	ends_open(ends, 0);
	tap_connection(ends);
	show_step(ends, show_now(), "client", "0", "connect()");
}

/* A write of one message: whether the kernel took it. */
static bool
client_writes(struct ends *ends, struct outcome *o, int number)
{
	double at = show_now();
	ssize_t n = send(ends->client.fd, message, size, MSG_NOSIGNAL);

	show_step(ends, at, "client", show_got(n),
	    "send() message %d, %zu bytes", number, size);
	picture_call(at, false, n == -1 ? SVG_BAD : SVG_PLAIN,
	    n == -1 ? "send(): %s" : "send() = %s", show_got(n));
	if (n > 0)
		o->wrote += (size_t)n;
	return n == (ssize_t)size;
}

static void
server_reads(struct ends *ends, struct outcome *o)
{
	static char buf[SIZE_MAX_MESSAGE];
	ssize_t n = recv(ends->server.fd, buf, size, MSG_WAITALL);

	show_step(ends, show_now(), "server", n == 0 ? "0 (EOF)" :
	    show_got(n), "recv()");
	picture_call(show_now(), true, SVG_PLAIN, "recv() = %s", show_got(n));
	if (n > 0)
		o->read += (size_t)n;
}

/* The server waits for input until its time limit. */
static void
server_idles(struct ends *ends)
{
	struct pollfd pfd = { .fd = ends->server.fd, .events = POLLIN };
	int n = poll(&pfd, 1, idle_ms);

	show_step(ends, show_now(), "server", n == 0 ? "0 (timeout)" :
	    show_got(n), "poll() for input, %d ms", idle_ms);
}

static void
server_closes(struct ends *ends)
{
	double at = show_now();
	int rv = close(ends->server.fd);

	ends->server.fd = -1;
	ends_await(ends, ENDS_IN(TCP_CLOSE_WAIT), ENDS_IN(TCP_FIN_WAIT2));
	show_step(ends, at, "server", show_got(rv), "close()");
	picture_call(at, true, SVG_PLAIN, "close() = %d", rv);
}

static void
client_meets_eof(struct ends *ends)
{
	char byte;
	ssize_t n = recv(ends->client.fd, &byte, 1, MSG_DONTWAIT);

	show_step(ends, show_now(), "client", n == 0 ? "0 (EOF)" :
	    show_got(n), "recv(), does not wait");
	show_expect(n == 0, "the client's recv got %s", show_got(n));
}

static void
client_closes(struct ends *ends)
{
	double at = show_now();
	int rv = close(ends->client.fd);

	ends->client.fd = -1;
	show_step(ends, at, "client", show_got(rv), "close()");
}

static int
client_closes_gracefully(struct ends *ends)
{
	double at = show_now();
	int rv = graceful_close(ends->client.fd);

	ends->client.fd = -1;
	show_step(ends, at, "client", show_got(rv), "graceful_close()");
	picture_call(at, false, SVG_PLAIN, "graceful_close()");
	picture_call(show_now(), false, rv == 0 ? SVG_GOOD : SVG_BAD, "= %s",
	    show_got(rv));
	return rv;
}

/* Message 1 arrives; then nothing, until the time limit of the server. */
static void
first_message(struct ends *ends, struct outcome *o)
{
	client_writes(ends, o, 1);
	server_reads(ends, o);
	server_idles(ends);
}

/* The loss itself: a write that succeeds and is lost, then EPIPE. */
static int
lose_one(struct ends *ends, struct outcome *o)
{
	first_message(ends, o);
	server_closes(ends);
	show_expect(client_writes(ends, o, 2), "message 2 was not taken");
	ends_await(ends, ENDS_IN(TCP_CLOSE), ENDS_ANY);
	show_expect(!client_writes(ends, o, 3), "message 3 was taken");
	return errno;
}

static void
as_it_goes_wrong(struct outcome *o)
{
	static char verdict[40];
	struct ends ends;
	int error;

	o->way = "server: close()";
	open_scene(&ends, "0. As it goes wrong: the server calls close()");
	error = lose_one(&ends, o);
	snprintf(verdict, sizeof(verdict), "send() returned %zu.", size);
	picture_column("With close()", SVG_BAD, verdict,
	    "Nobody read it. The next send() failed, too late.");
	tap_scene_end();
	ends_close(&ends);
	show_expect(error == EPIPE, "message 3 got %s", show_errno(error));
	show_text("\n"
	    "send() took %zu bytes, the server's program got %zu: %zu bytes "
	    "are lost.\nThe write that lost them succeeded; the next one "
	    "failed with %s, too late.\n", o->wrote, o->read,
	    o->wrote - o->read, show_errno(error));
	snprintf(o->found, sizeof(o->found), "client: %s, one write too late",
	    show_errno(error));
}

/* graceful_close() blocks until the client ends, so it has its own thread. */
struct closer {
	struct ends		 ends;
	struct graceclose_report report;
	int			 rv;
};

static void *
close_gracefully(void *arg)
{
	struct closer *c = arg;
	int fd = c->ends.server.fd;

	c->ends.server.fd = -1;
	show_step(&c->ends, show_now(), "server", "...",
	    "graceclose(fd, NULL, &report)");
	c->rv = graceclose(fd, NULL, &c->report);
	show_step(&c->ends, show_now(), "server", show_got(c->rv),
	    "graceclose() is over");
	return NULL;
}

static void
server_closes_gracefully(struct outcome *o)
{
	struct ends ends;
	struct closer closer;
	pthread_t thread;

	o->way = "server: graceful_close()";
	open_scene(&ends, "1a. The server calls graceful_close() (here with a "
	    "report)");
	first_message(&ends, o);
	closer = (struct closer){ .ends = ends_server_view(&ends) };
	ends.server.fd = -1;
	if ((errno = pthread_create(&thread, NULL, close_gracefully,
	    &closer)) != 0)
		err(1, "pthread_create");
	ends_await(&ends, ENDS_IN(TCP_CLOSE_WAIT), ENDS_IN(TCP_FIN_WAIT2));
	show_expect(client_writes(&ends, o, 2), "message 2 was not taken");
	ends_await_acked(&ends);
	show_expect(client_writes(&ends, o, 3), "message 3 was not taken");
	ends_await_acked(&ends);
	client_meets_eof(&ends);
	client_closes(&ends);
	pthread_join(thread, NULL);
	tap_scene_end();
	show_expect(closer.rv == 0, "graceclose() returned %d", closer.rv);
	show_expect(closer.report.discarded == 2 * size,
	    "report.discarded is %" PRIu64, closer.report.discarded);
	show_text("\n"
	    "No RST, no EPIPE: the server acknowledged both writes, and the "
	    "client saw its FIN (EOF)\nwhen it read.  But graceful_close() is "
	    "for a server that wants no more input.  It discards\nwhat still "
	    "arrives, and counts it: report.discarded is %" PRIu64
	    ".\nTo lose nothing a server must read on, as in 1b.\n",
	    closer.report.discarded);
	snprintf(o->found, sizeof(o->found),
	    "server: discarded %" PRIu64 "; client: EOF",
	    closer.report.discarded);
}

static void
server_half_closes(struct outcome *o)
{
	struct ends ends;
	double at;
	int rv, client;

	o->way = "server: SHUT_WR, read to EOF";
	open_scene(&ends, "1b. The server half-closes, reads on to the end, "
	    "then calls graceful_close()");
	first_message(&ends, o);
	at = show_now();
	rv = shutdown(ends.server.fd, SHUT_WR);
	ends_await(&ends, ENDS_IN(TCP_CLOSE_WAIT), ENDS_IN(TCP_FIN_WAIT2));
	show_step(&ends, at, "server", show_got(rv),
	    "shutdown(SHUT_WR)");
	picture_call(at, true, SVG_PLAIN, "shutdown(SHUT_WR)");
	for (int i = 2; i <= MESSAGES; i++) {
		client_writes(&ends, o, i);
		server_reads(&ends, o);
	}
	client_meets_eof(&ends);
	client = client_closes_gracefully(&ends);
	server_reads(&ends, o);
	rv = graceful_close(ends.server.fd);
	ends.server.fd = -1;
	show_step(&ends, show_now(), "server", show_got(rv),
	    "graceful_close()");
	if (client == 0)
		picture_column("With graceful_close()", SVG_GOOD,
		    "graceful_close() = 0:",
		    "the server acknowledged every byte.");
	tap_scene_end();
	show_expect(client == 0, "the client's graceful_close() returned %d",
	    client);
	show_expect(rv == 0, "the server's graceful_close() returned %d", rv);
	show_text("\n"
	    "After a half-close the server sends nothing more, but still "
	    "receives: nothing is lost.\nThe client's graceful_close() "
	    "returned %d: the server acknowledged every byte, and ended its\n"
	    "side.  The server's returned %d: the client ended its side, "
	    "too.\n", client, rv);
	snprintf(o->found, sizeof(o->found),
	    "client: EOF; server: graceful_close() %d", rv);
}

/* The rest of the messages, over a new connection. */
static void
deliver_again(struct outcome *o, int from)
{
	struct ends ends;

	ends_open(&ends, 0);
	tap_connection(&ends);
	show_step(&ends, show_now(), "client", "0", "connect() once more");
	for (int i = from; i <= MESSAGES; i++) {
		client_writes(&ends, o, i);
		server_reads(&ends, o);
	}
	tap_scene_end();
	ends_close(&ends);
}

static int
client_asks(struct ends *ends, int number)
{
	int rv = peer_closed(ends->client.fd);

	show_step(ends, show_now(), "client", show_got(rv),
	    "peer_closed(), before message %d", number);
	return rv;
}

static void
client_asks_first(struct outcome *o)
{
	struct ends ends;
	int before, after;

	o->way = "client: peer_closed() first";
	open_scene(&ends, "2. The client calls peer_closed() before each "
	    "write");
	before = client_asks(&ends, 1);
	first_message(&ends, o);
	server_closes(&ends);
	after = client_asks(&ends, 2);
	client_closes(&ends);
	deliver_again(o, 2);
	show_expect(before == 0, "peer_closed() before: %d", before);
	show_expect(after == 1, "peer_closed() after: %d", after);
	show_text("\n"
	    "peer_closed() is %d before the server's close and %d after it.  "
	    "So the client connected\nagain before it wrote.  It cannot see "
	    "a FIN that has not arrived yet: peer_closed() makes\nthe gap "
	    "smaller, only a server that reads on (1b) closes it.\n",
	    before, after);
	snprintf(o->found, sizeof(o->found),
	    "client: peer_closed() %d, in time", after);
}

static void
client_counts_and_resends(struct outcome *o)
{
	struct ends ends;
	int64_t unacked;
	int error;

	o->way = "client: send the lost again";
	open_scene(&ends, "3. After the loss: the client asks how much was "
	    "lost, and sends it again");
	error = lose_one(&ends, o);
	unacked = graceclose_unacked(ends.client.fd);
	show_step(&ends, show_now(), "client", show_got(unacked),
	    "graceclose_unacked()");
	client_closes(&ends);
	show_expect(error == EPIPE, "message 3 got %s", show_errno(error));
	show_expect(unacked == (int64_t)size, "unacked is %" PRId64, unacked);
	if (unacked > 0 && (size_t)unacked <= o->wrote)
		o->wrote -= (size_t)unacked;	/* these are written anew */
	deliver_again(o, unacked > 0 ? 2 : 3);
	show_text("\n"
	    "The kernel knows: of what send() took, the last %" PRId64
	    " bytes were never acknowledged.\nThe client sent them again on "
	    "a new connection, with the message that had failed.\n"
	    "(Acknowledged bytes have reached the server's kernel; only an "
	    "answer proves that its\nprogram read them.)\n", unacked);
	snprintf(o->found, sizeof(o->found),
	    "client: %s, unacked %" PRId64,
	    show_errno(error), unacked);
}

static void
print_outcomes(void)
{
	show_title("The outcome of each way");
	show_text("\n%-29s %8s %8s %6s  %s\n", "what was done", "written",
	    "read", "lost", "which end noticed, and how");
	show_rule(95);
	for (int i = 0; i < WAYS; i++) {
		const struct outcome *o = &outcomes[i];

		show_text("%-29s %8zu %8zu %6zu  %s\n", o->way, o->wrote,
		    o->read, o->wrote - o->read, o->found);
	}
	show_expect(outcomes[PLAIN].wrote == 2 * size &&
	    outcomes[PLAIN].read == size, "no loss with close()");
	show_expect(outcomes[GRACEFUL].wrote == MESSAGES * size &&
	    outcomes[GRACEFUL].read == size, "graceful_close()");
	for (int i = HALF_CLOSE; i < WAYS; i++)
		show_expect(outcomes[i].wrote == MESSAGES * size &&
		    outcomes[i].read == MESSAGES * size, "%s lost something",
		    outcomes[i].way);
}

/*
 * CheckFdCloseWait, in C, from segmentfault.com/a/1190000008373622, which
 * describes this loss.  A recv() of no bytes returns 0 whenever there is input,
 * with a FIN or without.
 */
static bool
check_fd_close_wait(int fd)
{
	char none;

	return recv(fd, &none, 0, MSG_DONTWAIT) == 0;
}

/* Bring the connection into this state, for the two probes. */
static void
server_sends(struct ends *ends)
{
	struct pollfd pfd = { .fd = ends->client.fd, .events = POLLIN };

	if (ends_send(ends->server.fd, "news!", 5) != 5)
		err(1, "send");
	poll(&pfd, 1, -1);
}

static void
server_fins(struct ends *ends)
{
	shutdown(ends->server.fd, SHUT_WR);
	ends_await(ends, ENDS_IN(TCP_CLOSE_WAIT), ENDS_ANY);
}

static void
server_sends_and_fins(struct ends *ends)
{
	server_sends(ends);
	server_fins(ends);
}

static void
server_resets(struct ends *ends)
{
	abort_close(ends->server.fd);
	ends->server.fd = -1;
	ends_await(ends, ENDS_IN(TCP_CLOSE), ENDS_ANY);
}

static const struct {
	const char	*situation;
	void		(*make)(struct ends *);
	bool		 closed;
	bool		 check_is_right;
	int		 asked;		/* what peer_closed() should return */
} situations[] = {
	{ "open, nothing to read", NULL, false, true, 0 },
	{ "open, 5 bytes to read", server_sends, false, false, 0 },
	{ "closed (FIN)", server_fins, true, true, 1 },
	{ "closed (FIN) behind 5 unread bytes", server_sends_and_fins, true,
	    true, 1 },
	{ "dead (RST)", server_resets, true, false, -1 },
};

/* peer_closed() first, as the other consumes a pending error. */
static void
compare_in(size_t i)
{
	struct ends ends;
	bool check;
	int rv, error;

	ends_open(&ends, 0);
	if (situations[i].make != NULL)
		situations[i].make(&ends);
	rv = peer_closed(ends.client.fd);
	error = errno;
	check = check_fd_close_wait(ends.client.fd);
	ends_close(&ends);
	show_text("%-37s %-26s %d%s%s\n", situations[i].situation,
	    check == situations[i].closed ? (check ? "closed" : "open") :
	    (check ? "closed   <-- WRONG" : "open     <-- WRONG"), rv,
	    rv == -1 ? ", " : "", rv == -1 ? show_errno(error) : "");
	show_expect((check == situations[i].closed) ==
	    situations[i].check_is_right && rv == situations[i].asked,
	    "%s", situations[i].situation);
}

static void
compare_probes(void)
{
	show_title("A probe often advised, recv(fd, buf, 0, MSG_DONTWAIT), "
	    "beside peer_closed()");
	show_text("\n%-37s %-26s %s\n", "the connection is",
	    "CheckFdCloseWait says", "peer_closed()");
	show_rule(80);
	for (size_t i = 0; i < sizeof(situations) / sizeof(situations[0]); i++)
		compare_in(i);
	show_text("\n"
	    "A recv() of no bytes returns 0 when there is input, data or FIN.  "
	    "After an RST it fails,\nand CheckFdCloseWait takes every "
	    "failure for an open connection.\n");
}

static _Noreturn void
usage(FILE *out, int status)
{
	fprintf(out, "usage: %s [--idle ms] [--size bytes] " TAP_SYNOPSIS
	    " " PICTURE_SYNOPSIS " [--help]\n"
	    "  --idle ms     how long the server waits before it closes (%d)\n"
	    "  --size bytes  size of a message (%zu)\n" PICTURE_USAGE TAP_USAGE,
	    getprogname(), idle_ms, size);
	exit(status);
}

static void
parse_options(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "idle", required_argument, NULL, 'i' },
		{ "size", required_argument, NULL, 's' },
		TAP_OPTIONS,
		TAP_SVG_OPTION,
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'i':
			idle_ms = option_number("--idle", optarg, 1, 60000);
			break;
		case 's':
			size = (size_t)option_number("--size", optarg, 1,
			    SIZE_MAX_MESSAGE);
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
	memset(message, 'm', sizeof(message));

	show_title("One-way traffic: a write that succeeds, and is lost");
	show_text("\n"
	    "The client only writes: %d messages of %zu bytes.  The server "
	    "only reads, and closes the\nconnection when nothing came for "
	    "%d ms; that happens after message 1.\n", MESSAGES, size,
	    idle_ms);
	show_legend();
	tap_open();
	as_it_goes_wrong(&outcomes[PLAIN]);
	server_closes_gracefully(&outcomes[GRACEFUL]);
	server_half_closes(&outcomes[HALF_CLOSE]);
	client_asks_first(&outcomes[ASK]);
	client_counts_and_resends(&outcomes[RESEND]);
	tap_close();
	print_outcomes();
	compare_probes();
	if (show_verdict() != EXIT_SUCCESS)
		return EXIT_FAILURE;
	picture_save("A write that close() loses, and the same with "
	    "graceful_close()");
	return EXIT_SUCCESS;
}
