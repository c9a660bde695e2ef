/*
 * live.h - the segments of loopback while an example runs
 *
 * It needs libpcap at build time and the right to capture.  Without either
 * live_open() says so, and the example goes on.
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
struct live_segment {
	struct segment	s;
	int		client_state;	/* TCP_ESTABLISHED..., 0: gone, */
	int		server_state;	/* or LIVE_UNSEEN */
};

#define LIVE_UNSEEN	(-1)

struct live;

/*
 * Capture the TCP segments of loopback from now on; with a file name also into
 * that file, as tcpdump -w does.  NULL: *why says in one line why not.
 */
struct live *live_open(const char *pcap_file, const char **why);

/*
 * The segments of the connection between these two ports (host byte order)
 * since the last live_forget().  The call waits until no more arrive.  The
 * result is valid until the next call.
 */
const struct live_segment *live_segments(struct live *w, in_port_t client,
	    in_port_t server, size_t *n);
void	live_forget(struct live *w);

/* How many segments, of all connections, the kernel dropped. */
unsigned live_missed(struct live *w);

/* live_close(NULL) does nothing. */
void	live_close(struct live *w);

#endif /* LIVE_H */
