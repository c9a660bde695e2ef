/*
 * live.h - the segments of loopback while an example runs
 *
 * It needs libpcap at build time and the right to capture.  Without either
 * wire_open() says so, and the example goes on.
 */
#ifndef LIVE_H
#define LIVE_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>

#include "closewatch/segment.h"

/*
 * A segment, and the states of both ends after it.  The thread asks the kernel
 * a tenth of a millisecond later.  If the next segment is there by then, the
 * states remain unknown.  It asks only for connections of 127.0.0.1.
 */
struct wire_segment {
	struct segment	s;
	int		client_state;	/* TCP_ESTABLISHED..., 0: gone, */
	int		server_state;	/* or WIRE_UNSEEN */
};

#define WIRE_UNSEEN	(-1)

struct wire;

/*
 * Capture the TCP segments of loopback from now on; with a file name also into
 * that file, as tcpdump -w does.  NULL: *why says in one line why not.
 */
struct wire *wire_open(const char *pcap_file, const char **why);

/*
 * The segments of the connection between these two ports (host byte order)
 * since the last wire_forget().  The call waits until no more arrive.  The
 * result is valid until the next call.
 */
const struct wire_segment *wire_segments(struct wire *w, in_port_t client,
	    in_port_t server, size_t *n);
void	wire_forget(struct wire *w);

/* How many segments, of all connections, the kernel dropped. */
unsigned wire_missed(struct wire *w);

/* wire_close(NULL) does nothing. */
void	wire_close(struct wire *w);

#endif /* LIVE_H */
