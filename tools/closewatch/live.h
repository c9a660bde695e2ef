/*
 * live.h - what a connection looks like on the wire, while an example runs
 *
 * Needs libpcap at build time and the right to capture; without either, wire
 * says so once and the example goes on without.
 */
#ifndef LIVE_H
#define LIVE_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>

#include "closewatch/segment.h"

/*
 * A segment, and where both ends stood after it.  The kernel is asked a tenth
 * of a millisecond later; when the next segment is on the wire by then, nobody
 * knows any more.  Only 127.0.0.1 is asked for.
 */
struct wire_segment {
	struct segment	s;
	int		client_state;	/* TCP_ESTABLISHED..., 0: gone, */
	int		server_state;	/* or WIRE_UNSEEN */
};

#define WIRE_UNSEEN	(-1)

struct wire;

/*
 * Captures the TCP segments of loopback from now on; with a file name also
 * into that file, as tcpdump -w does.  NULL: not here, and *why is one line
 * that says so.
 */
struct wire *wire_open(const char *pcap_file, const char **why);

/*
 * What was captured of the connection between these two ports (host byte
 * order) since the last wire_forget(), once nothing more has come for a
 * moment.  Valid until the next call.
 */
const struct wire_segment *wire_segments(struct wire *w, in_port_t client,
	    in_port_t server, size_t *n);
void	wire_forget(struct wire *w);

/* How many segments, of all connections, came too fast to be captured. */
unsigned wire_missed(struct wire *w);

/* wire_close(NULL) does nothing. */
void	wire_close(struct wire *w);

#endif /* LIVE_H */
