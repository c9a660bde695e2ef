/* tap.c - see tap.h */
#include <arpa/inet.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "closewatch/flow.h"
#include "closewatch/ladder.h"
#include "stage/narrator.h"
#include "stage/picture.h"
#include "stage/tap.h"
#include "closewatch/live.h"

#define CONNECTIONS_MAX	4		/* of one scene */

struct connection {
	in_port_t	   client, server;	/* host byte order */
	struct ladder_row *rows;
	size_t		   n;
	char			 story[FLOW_STORY_SIZE];
};

static bool		 wanted, ascii;
static const char	*file;
static struct live	*wire;

static struct connection connections[CONNECTIONS_MAX];
static size_t		 nconnections;

bool
tap_option(int option, const char *arg)
{
	switch (option) {
	case TAP_WIRE:
		wanted = true;
		return true;
	case TAP_ASCII:
		ascii = true;
		return true;
	case TAP_PCAP:
		file = arg;
		return true;
	case TAP_SVG:
		picture_file(arg);
		return true;
	default:
		return false;
	}
}

static void
legend(void)
{
	show_text("\n"
	    "-->, <--: a segment from the client, from the server, as "
	    "tcpdump(8) shows it, numbers from 0 on;\n9 x: that many alike.  "
	    "again: a retransmission.  unacked: not acknowledged before the "
	    "reset.\nprobe: of a closed window.  TCP: the state of each end "
	    "0.1 ms later; if the state was shorter,\nit follows from the "
	    "segments and stands in brackets.\n");
}

void
tap_open(void)
{
	const char *why;

	if (!wanted && file == NULL && !picture_wanted())
		return;
	if ((wire = live_open(file, &why)) == NULL && picture_wanted())
		errx(1, "--svg needs a capture: %s", why);
	if (wire == NULL)
		warnx("no capture of the segments: %s", why);
	else if (wanted)
		legend();
}

void
tap_close(void)
{
	if (wire != NULL && live_missed(wire) > 0 && picture_wanted())
		errx(1, "no picture: the kernel dropped %u captured segments",
		    live_missed(wire));
	if (wire != NULL && live_missed(wire) > 0)
		warnx("the kernel dropped %u captured segments",
		    live_missed(wire));
	live_close(wire);
	wire = NULL;
}

void
tap_connection(const struct ends *ends)
{
	if (wire == NULL || nconnections == CONNECTIONS_MAX ||
	    !(wanted || picture_wanted()))
		return;
	picture_begin();
	connections[nconnections++] = (struct connection){
		.client = ntohs(ends->client.port),
		.server = ntohs(ends->server.port),
	};
}

static void
read_connection(struct connection *c)
{
	const struct live_segment *segments;
	size_t n;

	segments = live_segments(wire, c->client, c->server, &n);
	if ((c->rows = calloc(n + 1, sizeof(*c->rows))) == NULL)
		err(1, "calloc");
	c->n = ladder_rows(c->rows, segments, n, c->client);
	(void)ladder_story(segments, n, c->story);
}

/* Where the steps have who, did and got; then their columns of states. */
static void
show_rows(const struct connection *c, struct ladder_style style)
{
	char line[LADDER_LINE_SIZE], client[LADDER_STATE_SIZE];
	char server[LADDER_STATE_SIZE];

	for (size_t i = 0; i < c->n; i++) {
		const struct ladder_row *row = &c->rows[i];
		double at = (double)(row->us - show_began_us()) / 1e3;

		show_line(at, "%8.1f  %s %s%-55s%s %-13s%s\n", at,
		    row->to_server ? "-->" : "<--",
		    ladder_colour(row, style), ladder_line(row, line),
		    ladder_plain(row, style),
		    ladder_state(row->client_state, row->client_sure, client),
		    ladder_state(row->server_state, row->server_sure, server));
	}
}

static void
draw(const struct connection *c, struct ladder_style style)
{
	show_text("\nOn the wire, between ports %u and %u:\n\n", c->client,
	    c->server);
	ladder_draw(stdout, c->rows, c->n, show_began_us(), style);
	show_text("\n%s\n", c->story);
}

void
tap_scene_end(void)
{
	struct ladder_style style = ladder_style(stdout, ascii);

	for (size_t i = 0; i < nconnections; i++) {
		read_connection(&connections[i]);
		if (wanted)
			show_rows(&connections[i], style);
	}
	show_scene_end();
	for (size_t i = 0; i < nconnections; i++) {
		if (wanted)
			draw(&connections[i], style);
		if (i + 1 == nconnections)
			picture_rows(connections[i].rows, connections[i].n);
		free(connections[i].rows);
	}
	nconnections = 0;
	if (wire != NULL)
		live_forget(wire);
}
