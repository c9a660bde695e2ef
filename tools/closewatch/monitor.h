/*
 * monitor.h - looks at packets and tells, on standard output, which
 * connections ended and how; at the end, or now and then, of all in summary
 */
#ifndef MONITOR_H
#define MONITOR_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stdint.h>

#include "closewatch/chosen.h"
#include "closewatch/conns.h"
#include "closewatch/flow.h"
#include "closewatch/packets.h"
#include "closewatch/tally.h"

struct monitor_options {
	const char	*interface;
	const char	*file;		/* to read instead */
	int		 port;		/* 0: all */
	int		 seconds;	/* 0: until a signal */
	int		 every;		/* 0: one summary, at the end */
	int		 max;		/* connections remembered at once */
	bool		 json;
	struct chosen	*chosen;	/* what is drawn; NULL: nothing */
};

struct monitor {
	const struct monitor_options *options;
	struct packets	*packets;
	struct conns	*conns;
	struct tally	 tally;
	in_port_t	 client, server; /* only this connection; 0: all */

	/*
	 * The time in microseconds since 1970: of the last packet while a file
	 * is read, else of a clock that no one sets.
	 */
	int64_t		 now, began;
	int64_t		 offset;	/* of that clock */
	int64_t		 due;		/* when the next summary is */
	bool		 said;		/* all there is, in the last one */
};

/* False: *why is one line that says why not.  Exits for want of memory. */
bool	monitor_open(struct monitor *m, const struct monitor_options *options,
	    const char **why);
void	monitor_close(struct monitor *m);

/* Until the file, or the time, is over, or SIGINT: the exit status. */
int	monitor_run(struct monitor *m);

/*
 * What was seen until now, or comes so soon, of the connection over 127.0.0.1
 * between these ports (host byte order), the only one that counts from now on;
 * NULL: nothing.
 */
const struct flow *monitor_see(struct monitor *m, in_port_t client,
	    in_port_t server, int timeout_ms);

void	monitor_summary(struct monitor *m);

#endif /* MONITOR_H */
