/*
 * monitor.h - read packets, and print on standard output which connections
 * ended and how; at the end, or every n seconds, a summary
 */
#ifndef MONITOR_H
#define MONITOR_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stdint.h>

#include "closewatch/chosen.h"
#include "closewatch/conns.h"
#include "closewatch/flow.h"
#include "closewatch/owner.h"
#include "closewatch/packets.h"
#include "closewatch/tally.h"

struct monitor_options {
	const char	*interface;
	const char	*file;		/* to read instead */
	bool		 follow;	/* the file while it grows */
	int		 idle;		/* seconds without growth; 0: any */
	int		 port;		/* 0: all */
	int		 seconds;	/* 0: until a signal */
	int		 every;		/* 0: one summary, at the end */
	int		 max;		/* connections remembered at once */
	bool		 json;
	struct owner	*owner;		/* of the connections; NULL: any */
	struct chosen	*chosen;	/* what is drawn; NULL: nothing */
};

struct monitor {
	const struct monitor_options *options;
	struct packets	*packets;
	struct conns	*conns;
	struct tally	 tally;
	in_port_t	 client, server; /* of one connection; 0: all */

	/*
	 * The time in microseconds since 1970.  In a file it is the time of the
	 * last packet, and goes on from there while the file does not grow; on
	 * an interface it is that of a clock that is never set.
	 */
	int64_t		 now, began;
	bool		 grew;		/* a packet since the last pause */
	int64_t		 offset;	/* from CLOCK_MONOTONIC to it */
	int64_t		 due;		/* when the next summary is */
	bool		 said;		/* the last summary is complete */
};

/* False: *why says in one line why.  Without memory the program exits. */
bool	monitor_open(struct monitor *m, const struct monitor_options *options,
	    const char **why);
void	monitor_close(struct monitor *m);

/* Run to the end of the file or of the time, or SIGINT: the exit status. */
int	monitor_run(struct monitor *m);

/*
 * Wait at most timeout_ms for packets.  From now on only the connection over
 * 127.0.0.1 between these ports (host byte order) counts.  The result is that
 * connection; NULL: none was seen.
 */
const struct flow *monitor_see(struct monitor *m, in_port_t client,
	    in_port_t server, int timeout_ms);

void	monitor_summary(struct monitor *m);

#endif /* MONITOR_H */
