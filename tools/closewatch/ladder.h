/*
 * ladder.h - the segments of one connection for people: as lines like those of
 * tcpdump(8), or as a ladder diagram
 */
#ifndef LADDER_H
#define LADDER_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "closewatch/flow.h"
#include "closewatch/segment.h"
#include "closewatch/live.h"

/*
 * One row: a segment, a long run of data segments, or the ACKs between them.
 * Numbers are relative, as in tcpdump: the SYN is 0, data begins at 1.  Where
 * the kernel was not asked for a state, it follows from the segments (RFC 9293,
 * 3.3.2) and is not sure.
 */
struct ladder_row {
	int64_t		us;
	uint32_t	seq, end;	/* end: after data and FIN */
	uint32_t	ack;
	uint32_t	length;
	uint16_t	window;
	uint8_t		flags;
	bool		to_server;
	bool		again;		/* a retransmission */
	bool		probe;		/* of a closed window */
	bool		unacked;	/* not acknowledged before the reset */
	unsigned	count;
	int		client_state;
	int		server_state;
	bool		client_sure;
	bool		server_sure;
};

/* The rows of n segments: n at most.  Ports in host byte order. */
size_t	ladder_rows(struct ladder_row *rows, const struct live_segment *w,
	    size_t n, in_port_t client);

/* How the connection ended, as flow_story() says it; "" of no segments. */
const char *ladder_story(const struct live_segment *w, size_t n, char *buf);

/* "[P.], seq 1:1001, ack 1, win 512, length 1000"; buf is returned. */
#define LADDER_LINE_SIZE	128
const char *ladder_line(const struct ladder_row *row, char *buf);

/*
 * " CLOSE_WAIT", "(CLOSE_WAIT)" if it is not sure, "" if it is unknown: at most
 * 13 columns.
 */
#define LADDER_STATE_SIZE	16
const char *ladder_state(int state, bool sure, char *buf);

struct ladder_style {
	bool	utf8;		/* else ASCII */
	bool	colour;
};

/*
 * UTF-8 where the locale has it and `ascii` does not forbid it; colour on a
 * terminal, unless NO_COLOR is set.
 */
struct ladder_style
	ladder_style(FILE *out, bool ascii);

/* Begin red (RST), bold (FIN) or yellow (unacked) for a row; end it. */
const char *ladder_colour(const struct ladder_row *row,
	    struct ladder_style style);
const char *ladder_plain(const struct ladder_row *row,
	    struct ladder_style style);

/* At most 79 columns.  Times are in ms since zero_us. */
void	ladder_draw(FILE *out, const struct ladder_row *rows, size_t n,
	    int64_t zero_us, struct ladder_style style);

#endif /* LADDER_H */
