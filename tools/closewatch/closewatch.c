/*
 * closewatch - who keeps sending us RSTs, and did we lose data?
 *
 * Watches an interface, or reads a capture of tcpdump -w, and prints a line
 * for each TCP connection that ended: when, between whom, how, by whom, and
 * what was lost.  At the end, or every n seconds, a summary: how many ended in
 * which way, and who sent the RSTs.  Only the headers of TCP are looked at.
 *
 * Lost is what was sent and never acknowledged.  That is the least: a capture
 * does not show what was still in the queue of the sender, nor what was
 * acknowledged and then not read.  Where an RST may have destroyed that, the
 * line says so.
 *
 * A connection that ended is told of a second later, as something may come
 * late that belongs to it: an RST behind the last ACK, as a rule.  No more
 * than --max connections are remembered.  When there is no room for one more
 * the one that has been silent for longest is dropped, and counted.
 *
 * Without arguments it captures on lo while it ends connections of its own in
 * every way there is, and compares.
 *
 * Usage: closewatch [-i interface] [--port n] [--seconds n] [--every n]
 *	      [--json] [--max n]
 *	  closewatch -r file.pcap [...]		("-": standard input)
 *
 * Exit status: 0; 1 when it could not capture or not read all; 2 for a wrong
 * option.
 *
 * With --json each line of the output is an object, of one of two types; all
 * keys are always there.  Times are seconds since 1970, "side" is "client" or
 * "server", what is not known is null.
 *
 *	type		"connection"
 *	time, seconds	when it ended, how long it took
 *	client, client_port, server, server_port
 *	end		"four_way", "three_segment", "simultaneous", "refused",
 *			"reset"
 *	why		of a reset: "unread_input"; "abort" (SO_LINGER 0,
 *			connect(AF_UNSPEC)); "unread_or_abort", which look
 *			alike, mostly; "late_data", that came after the other
 *			side had closed; "silence": keep-alive probes without
 *			an answer; "gone": it was known no more; null
 *	first, reset_by	side, null: nobody
 *	from_syn	false: its beginning was not seen
 *	client_bytes, server_bytes	data that this side sent, each byte once
 *	client_lost, server_lost	of these, never acknowledged
 *	story		all that in words
 *
 *	type		"summary", of all since the beginning
 *	time, seconds	now, since the beginning
 *	segments	of TCP; packets that were none, or broken: not_tcp;
 *			missed: the kernel had no room for
 *	ended, open, half_closed (of the open)
 *	dropped		for want of room; superseded: the same ports began anew
 *	lossy, lost	connections that lost data, bytes
 *	ends		of each end, with a reset's why ("reset_abort"...,
 *			"reset_unknown"): {number, client, server, lossy, lost};
 *			client, server: who closed first, or sent the RST
 *	resetters	who sent RSTs, most first, ten at most: {connections,
 *			overcounted, address, port (null for a client), side,
 *			refused, reset_unread_input..., after (an RST behind
 *			the end), lost}; the true number of connections is
 *			between connections - overcounted and connections
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <bsd/stdlib.h>

#include "closewatch/endings.h"
#include "stage/ends.h"
#include "closewatch/flow.h"
#include "closewatch/lookout.h"
#include "stage/narrator.h"

#define MAX_DEFAULT	10000
#define MAX_LIMIT	1000000
#define SECONDS_LIMIT	(366 * 24 * 3600)

#define LOOK_MS		20
#define LOOK_US		(LOOK_MS * (int64_t)1000)
#define AWAIT_US	(5 * (int64_t)1000000)

static struct lookout_options options = { .max = MAX_DEFAULT };

/* --- it shows itself ----------------------------------------------------- */

static void
await_more(struct lookout *l, const struct ending *e, struct ends *ends)
{
	int64_t limit = l->now + AWAIT_US;
	const struct flow *f;

	do
		f = lookout_see(l, ends, LOOK_MS);
	while ((f == NULL || !e->when(f)) && l->now < limit);
	e->then(ends);
}

/* Until it has ended, and nothing more comes; NULL: it did not end. */
static const struct flow *
await_end(struct lookout *l, const struct ends *ends)
{
	int64_t limit = l->now + AWAIT_US, news = l->now;
	uint64_t segments = l->tally.segments;
	const struct flow *f;

	do {
		f = lookout_see(l, ends, LOOK_MS);
		if (l->tally.segments != segments)
			news = l->now;
		segments = l->tally.segments;
		if (f != NULL && flow_over(f) && l->now - news >= LOOK_US)
			return f;
	} while (l->now < limit);
	return NULL;
}

static void
show_ending(struct lookout *l, const struct ending *e)
{
	struct ends ends = { 0 };
	const struct flow *f;
	const char *refused;

	show_text("\n%s\n", e->title);
	if ((refused = e->play(&ends)) != NULL) {
		show_text("not here: %s: %s\n", refused, show_errno(errno));
		ends_close(&ends);
		return;
	}
	if (e->when != NULL)
		await_more(l, e, &ends);
	if ((f = await_end(l, &ends)) == NULL) {
		show_expect(false, "%s: no end was seen", e->title);
	} else {
		ending_verify(e, f);
		conns_tell_all(l->conns, l->now);
	}
	ends_close(&ends);
}

static int
show_itself(struct lookout *l)
{
	show_title("What ended on lo, and how");
	show_text("\nAs `%s -i lo` prints it, under what was done:\n",
	    getprogname());
	for (const struct ending *e = endings; e->title != NULL; e++)
		show_ending(l, e);
	lookout_summary(l);
	show_text("\nthere, back: what the client sent, the server sent.  "
	    "What was sent and not acknowledged\nis lost.  What an RST "
	    "destroyed in a queue is lost, too, before it was sent or before "
	    "it was\nread, but no capture shows that.\n");
	lookout_close(l);
	return show_verdict();
}

/* --- the options --------------------------------------------------------- */

static _Noreturn void
usage(FILE *out, int status)
{
	fprintf(out,
	    "usage: %s [-i interface | -r file.pcap] [options] [--help]\n"
	    "without options it is shown on connections of its own\n"
	    "  -i interface   to watch (lo); \"any\": all of them\n"
	    "  -r file        to read instead, as tcpdump -w makes it; -: "
	    "standard input\n"
	    "  --port n       only connections to or from this port\n"
	    "  --seconds n    end after so long, without a signal\n"
	    "  --every n      a summary every n seconds, not only at the end\n"
	    "  --max n        connections remembered at once (%d)\n"
	    "  --json         for machines: an object a line; the head of "
	    "closewatch.c says which\n", getprogname(), options.max);
	exit(status);
}

static void
take_option(int c)
{
	switch (c) {
	case 'i':
		options.interface = optarg;
		break;
	case 'r':
		options.file = optarg;
		break;
	case 'p':
		options.port = show_number("--port", optarg, 1, 65535);
		break;
	case 's':
		options.seconds = show_number("--seconds", optarg, 1,
		    SECONDS_LIMIT);
		break;
	case 'e':
		options.every = show_number("--every", optarg, 1,
		    SECONDS_LIMIT);
		break;
	case 'm':
		options.max = show_number("--max", optarg, 1, MAX_LIMIT);
		break;
	case 'j':
		options.json = true;
		break;
	case 'h':
		usage(stdout, 0);
	default:
		exit(2);		/* getopt_long said why */
	}
}

static void
parse_options(int argc, char *argv[])
{
	static const struct option names[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "seconds", required_argument, NULL, 's' },
		{ "every", required_argument, NULL, 'e' },
		{ "max", required_argument, NULL, 'm' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "i:r:", names, NULL)) != -1)
		take_option(c);
	if (optind < argc)
		errx(2, "unexpected argument: %s", argv[optind]);
	if (options.interface != NULL && options.file != NULL)
		errx(2, "-i and -r: one of them");
	if (options.interface == NULL && options.file == NULL)
		options.interface = "lo";
}

/* Who may not capture here has nothing to be shown, which is no failure. */
int
main(int argc, char *argv[])
{
	static struct lookout lookout;
	const char *why;

	setprogname(argv[0]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	parse_options(argc, argv);
	if (lookout_open(&lookout, &options, &why))
		return argc > 1 ? lookout_run(&lookout) :
		    show_itself(&lookout);
	if (argc > 1)
		errx(1, "%s: %s", options.file != NULL ? options.file :
		    options.interface, why);
	show_text("%s: lo: %s\n", getprogname(), why);
	return 0;
}
