/*
 * packets.h - the packets of an interface, or of a file as tcpdump -w makes it
 *
 * It needs libpcap at build time.  Without it both functions fail, and *why
 * says so in one line.
 */
#ifndef PACKETS_H
#define PACKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "closewatch/follow.h"
#include "closewatch/segment.h"

struct packets;

/* NULL: *why says in one line why.  A port of 0: all ports. */
struct packets *packets_interface(const char *name, int port,
	    const char **why);

/* "-" is standard input. */
struct packets *packets_file(const char *name, const char **why);

/* A file that still grows: packets_read() waits at its end for more. */
struct packets *packets_followed(const char *name,
	    const struct follow_options *o, const char **why);

void	packets_close(struct packets *p);

/* Called for each packet; s is NULL if it is no TCP, or broken. */
typedef void	packets_take(void *arg, int64_t us, const struct segment *s);

/*
 * Read a batch of packets: their number; -1: an error, see packets_error().
 * On an interface the call waits at most timeout_ms (-1: without limit).  In a
 * file it reads the next packets; 0 is the end.  Of a file that still grows,
 * packets_ended() says why that is the end; NULL: packets_stop().
 */
int	packets_read(struct packets *p, int timeout_ms, packets_take *take,
	    void *arg);
const char *packets_error(struct packets *p);
const char *packets_ended(const struct packets *p);

/* Safe in a signal handler: wake packets_read(), end the reading of a file. */
void	packets_stop(struct packets *p);
bool	packets_stopped(const struct packets *p);

/* How many packets the kernel dropped. */
uint64_t packets_missed(struct packets *p);

#endif /* PACKETS_H */
