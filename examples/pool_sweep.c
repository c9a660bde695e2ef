/*
 * pool_sweep - a client checks its pool of idle connections before use
 *
 * A client keeps connections to a server, to send the next request without a
 * handshake.  Meanwhile the server ends some of them: it has its own limits, or
 * it was restarted.  No call of the client fails at that moment.  After a FIN
 * the write of the next request succeeds, but the server never gets the
 * request.  If unread input waits, such as an error page before the FIN or a
 * part of an older reply, the client takes it for the reply.
 *
 * graceclose_probe_many() checks all of them with one poll(2) and consumes
 * nothing.  It reports input, a FIN or an RST.  A usable idle connection has
 * none of these; the client replaces the others.  The example runs without the
 * check first, then with it.
 *
 * Usage: pool_sweep [--pool n] [--help]
 */
#include <sys/socket.h>

#include <netinet/tcp.h>

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>

#include <graceclose.h>

#include "closewatch/option.h"
#include "stage/ends.h"
#include "stage/narrator.h"

#define POOL_MAX	400		/* two descriptors each, of 1024 */
#define LINE		32		/* of a request, of a reply; padded */
#define PATIENCE_MS	5000

static int		pool_size = 40;
static struct ends	pool[POOL_MAX];
static unsigned char	bits[POOL_MAX];	/* from graceclose_probe_many() */

/* What the server does to an idle connection. */
static void
nothing(struct ends *ends)
{
	(void)ends;
}

static void
fin(struct ends *ends)
{
	close(ends->server.fd);
	ends->server.fd = -1;
	ends_await(ends, ENDS_IN(TCP_CLOSE_WAIT), ENDS_ANY);
}

static void
stray(struct ends *ends)
{
	struct pollfd pfd = { .fd = ends->client.fd, .events = POLLIN };
	const char line[LINE] = "a line without a request\n";

	if (ends_send(ends->server.fd, line, LINE) != LINE)
		err(1, "send");
	poll(&pfd, 1, PATIENCE_MS);
}

static void
stray_fin(struct ends *ends)
{
	stray(ends);
	fin(ends);
}

static void
rst(struct ends *ends)
{
	abort_close(ends->server.fd);
	ends->server.fd = -1;
	ends_await(ends, ENDS_IN(TCP_CLOSE), ENDS_ANY);
}

enum { OPEN, FIN, STRAY_FIN, STRAY, RST, FATES };

static const struct {
	const char	*name;
	void		(*befall)(struct ends *);
	int		 bits;		/* what the probe must report */
	bool		 vanishes;	/* the next request, without a check */
} fates[FATES] = {
	[OPEN] = { "did nothing", nothing, 0, false },
	[FIN] = { "closed it", fin, GRACECLOSE_FIN, true },
	[STRAY_FIN] = { "sent a line, closed it", stray_fin,
	    GRACECLOSE_UNREAD | GRACECLOSE_FIN, true },
	[STRAY] = { "sent a line", stray, GRACECLOSE_UNREAD, false },
	[RST] = { "reset it", rst, GRACECLOSE_RST, false },
};

/* The requests on connections to which the server did the same. */
struct tally {
	int	conns;
	int	replaced;
	int	taken;			/* send() returned success */
	int	served;			/* the server got it */
	int	right;			/* its reply came back */
	int	wrong;			/* other input was read for it */
};

static void
fill_pool(void)
{
	for (int i = 0; i < pool_size; i++) {
		ends_open(&pool[i], 0);
		fates[i % FATES].befall(&pool[i]);
	}
}

static void
empty_pool(void)
{
	for (int i = 0; i < pool_size; i++)
		ends_close(&pool[i]);
}

/*
 * An idle connection has nothing to deliver, so abort_close() is right: it
 * never waits, whatever the state of the connection.
 */
static void
replace(struct ends *ends)
{
	abort_close(ends->client.fd);
	ends->client.fd = -1;
	ends_close(ends);		/* the server's end, if it had one */
	ends_open(ends, 0);
}

/*
 * The check.  Any bit makes a connection unusable: unread input is no reply to
 * a request that was not sent yet.  The return value of
 * graceclose_probe_many() counts only those with FIN or RST, so it is not
 * enough.
 */
static void
sweep(struct tally t[FATES])
{
	int fds[POOL_MAX];

	for (int i = 0; i < pool_size; i++)
		fds[i] = pool[i].client.fd;
	if (graceclose_probe_many(fds, (size_t)pool_size, bits) == -1)
		err(1, "graceclose_probe_many");
	for (int i = 0; i < pool_size; i++) {
		if (bits[i] == 0)
			continue;
		replace(&pool[i]);
		t[i % FATES].replaced++;
	}
}

/* The server, if it still has the connection. */
static bool
serve(const struct ends *ends)
{
	char request[LINE], line[LINE] = "reply to ";

	if (ends->server.fd == -1 ||
	    recv(ends->server.fd, request, LINE, MSG_WAITALL) != LINE)
		return false;
	strlcat(line, request, sizeof(line));
	return ends_send(ends->server.fd, line, LINE) == LINE;
}

static void
exchange(struct ends *ends, int number, struct tally *t)
{
	struct pollfd pfd = { .fd = ends->client.fd, .events = POLLIN };
	char line[LINE] = "", expected[LINE];

	snprintf(line, sizeof(line), "request %d\n", number);
	snprintf(expected, sizeof(expected), "reply to request %d\n", number);
	if (ends_send(ends->client.fd, line, LINE) != LINE)
		return;			/* the client got an error */
	t->taken++;
	t->served += serve(ends);
	if (poll(&pfd, 1, PATIENCE_MS) != 1 ||
	    recv(ends->client.fd, line, LINE, MSG_WAITALL) != LINE)
		return;
	if (strncmp(line, expected, LINE) == 0)
		t->right++;
	else
		t->wrong++;
}

static void
use_pool(struct tally t[FATES])
{
	for (int i = 0; i < pool_size; i++) {
		t[i % FATES].conns++;
		exchange(&pool[i], i, &t[i % FATES]);
	}
}

static void
print_head(void)
{
	show_text("\n%-23s %5s  %-10s  %8s  %5s  %6s  %8s  %5s  %5s\n",
	    "the server meanwhile", "conns", "probe", "replaced", "taken",
	    "served", "VANISHED", "right", "wrong");
	show_rule(95);
}

static const char *
bits_name(int set)
{
	static const char *const names[] = {
		"0", "UNREAD", "FIN", "UNREAD FIN", "RST", "UNREAD RST",
		"FIN RST", "all three"
	};

	return names[set & 7];
}

static void
print_tally(const char *name, const char *said, const struct tally *t)
{
	show_text("%-23s %5d  %-10s  %8d  %5d  %6d  %8d  %5d  %5d\n", name,
	    t->conns, said, t->replaced, t->taken, t->served,
	    t->taken - t->served, t->right, t->wrong);
}

static struct tally
print_tallies(const struct tally t[FATES], bool swept)
{
	struct tally all = { 0 };

	print_head();
	for (int i = 0; i < FATES; i++) {
		print_tally(fates[i].name, swept && t[i].conns > 0 ?
		    bits_name(bits[i]) : "-", &t[i]);
		all.conns += t[i].conns;
		all.replaced += t[i].replaced;
		all.taken += t[i].taken;
		all.served += t[i].served;
		all.right += t[i].right;
		all.wrong += t[i].wrong;
	}
	print_tally("together", "", &all);
	return all;
}

static void
without_sweep(void)
{
	struct tally t[FATES] = { 0 }, all;

	show_title("A request on each connection, without a check");
	fill_pool();
	use_pool(t);
	empty_pool();
	all = print_tallies(t, false);
	for (int i = 0; i < FATES; i++)
		show_expect(t[i].taken - t[i].served ==
		    (fates[i].vanishes ? t[i].conns : 0),
		    "%d vanished where the server %s",
		    t[i].taken - t[i].served, fates[i].name);
	show_expect(t[RST].taken == 0, "a dead connection took a request");
	show_expect(t[STRAY].wrong == t[STRAY].conns &&
	    t[STRAY_FIN].wrong == t[STRAY_FIN].conns, "no wrong reply");
	show_text("\n%d of %d requests vanished: send() took them, the server "
	    "never got them.  %d replies were\nwrong: the client read older "
	    "input as the reply.  Only the %d on reset connections failed\n"
	    "at once.\n", all.taken - all.served, all.conns, all.wrong,
	    all.conns - all.taken);
}

static void
with_sweep(void)
{
	struct tally t[FATES] = { 0 }, all;
	double before, took;

	show_title("The same after graceclose_probe_many()");
	fill_pool();
	before = show_now();
	sweep(t);
	took = show_now() - before;
	use_pool(t);
	empty_pool();
	all = print_tallies(t, true);
	for (int i = 0; i < pool_size; i++)
		show_expect(bits[i] == fates[i % FATES].bits,
		    "connection %d, which the server %s, has bits %d", i,
		    fates[i % FATES].name, bits[i]);
	show_expect(all.right == all.conns && all.served == all.conns &&
	    all.replaced == all.conns - t[OPEN].conns,
	    "%d replaced, %d served, %d right", all.replaced, all.served,
	    all.right);
	show_text("\n"
	    "The server served every request, and each got its own reply.  The "
	    "check, with %d new\nconnections, took %.1f ms.  It does not see "
	    "what the server does afterwards: that gap is small,\nnot closed.  "
	    "A request that must not be sent twice is certain only when its "
	    "reply has arrived.\n", all.replaced, took);
}

static _Noreturn void
usage(FILE *out, int status)
{
	fprintf(out, "usage: %s [--pool n] [--help]\n"
	    "  --pool n  connections in the pool (%d)\n", getprogname(),
	    pool_size);
	exit(status);
}

static void
parse_options(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "pool", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			pool_size = option_number("--pool", optarg, 1,
			    POOL_MAX);
			break;
		case 'h':
			usage(stdout, 0);
		default:
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

	show_title("A pool of idle connections, and what the server did");
	show_text("\nA client has %d connections to a server.  While they are "
	    "idle, the server leaves every fifth\nalone, and closes, resets or "
	    "writes to the others.\n", pool_size);
	without_sweep();
	with_sweep();
	return show_verdict();
}
