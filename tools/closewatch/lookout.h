/*
 * lookout.h - looks at packets and tells, on standard output, which
 * connections ended and how; at the end, or now and then, of all in summary
 */
#ifndef LOOKOUT_H
#define LOOKOUT_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stdint.h>

#include "closewatch/conns.h"
#include "stage/ends.h"
#include "closewatch/flow.h"
#include "closewatch/packets.h"
#include "closewatch/tally.h"

struct lookout_options {
	const char	*interface;
	const char	*file;		/* to read instead */
	int		 port;		/* 0: all */
	int		 seconds;	/* 0: until a signal */
	int		 every;		/* 0: one summary, at the end */
	int		 max;		/* connections remembered at once */
	bool		 json;
};

struct lookout {
	const struct lookout_options *options;
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
bool	lookout_open(struct lookout *l, const struct lookout_options *options,
	    const char **why);
void	lookout_close(struct lookout *l);

/* Until the file, or the time, is over, or SIGINT: the exit status. */
int	lookout_run(struct lookout *l);

/*
 * What was seen until now, or comes so soon, of the connection over 127.0.0.1
 * between these ends, the only one that counts from now on; NULL: nothing.
 */
const struct flow *lookout_see(struct lookout *l, const struct ends *ends,
	    int timeout_ms);

void	lookout_summary(struct lookout *l);

#endif /* LOOKOUT_H */
