/*
 * ladder.h - the segments of one connection for the eye: as lines, the way
 * tcpdump(1) has them, or as the ladder of the textbooks
 */
#ifndef LADDER_H
#define LADDER_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "closewatch/segment.h"
#include "closewatch/live.h"

/*
 * What is told as one: a segment, or a long run of data segments, or of the
 * ACKs in between.  Numbers are relative, as in tcpdump: SYN 0, data from 1.
 * States that nobody saw follow from the segments (RFC 9293, 3.3.2); they are
 * not sure.
 */
struct ladder_row {
	int64_t		us;
	uint32_t	seq, end;	/* end: after data and FIN */
	uint32_t	ack;
	uint32_t	length;
	uint16_t	window;
	uint8_t		flags;
	bool		to_server;
	bool		again;		/* had all been sent before */
	bool		probe;		/* of a closed window */
	bool		unacked;	/* nobody did before the reset */
	unsigned	count;
	int		client_state;
	int		server_state;
	bool		client_sure;
	bool		server_sure;
};

/* The rows of n segments: n at most.  Ports in host byte order. */
size_t	ladder_rows(struct ladder_row *rows, const struct wire_segment *w,
	    size_t n, in_port_t client);

/* "[P.], seq 1:1001, ack 1, win 512, length 1000"; buf is returned. */
#define LADDER_LINE_SIZE	128
const char *ladder_line(const struct ladder_row *row, char *buf);

/*
 * " CLOSE_WAIT", "(CLOSE_WAIT)" where it is not sure, nothing where it cannot
 * be told: at most 13 wide.
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

/* Makes a row red (RST), bold (FIN) or yellow (unacked); and ends that. */
const char *ladder_colour(const struct ladder_row *row,
	    struct ladder_style style);
const char *ladder_plain(const struct ladder_row *row,
	    struct ladder_style style);

/* At most 79 columns.  Times are in ms since zero_us. */
void	ladder_draw(FILE *out, const struct ladder_row *rows, size_t n,
	    int64_t zero_us, struct ladder_style style);

#endif /* LADDER_H */
