/*
 * packets.h - the packets of an interface, or of a file as tcpdump -w makes it
 *
 * Needs libpcap at build time; without it there are none, and the one line of
 * *why says so.
 */
#ifndef PACKETS_H
#define PACKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "closewatch/segment.h"

struct packets;

/* NULL: *why is one line that says why not.  A port of 0: all ports. */
struct packets *packets_interface(const char *name, int port,
	    const char **why);

/* "-" is standard input. */
struct packets *packets_file(const char *name, const char **why);

void	packets_close(struct packets *p);

/* What a packet is given to; NULL: it is no TCP, or broken. */
typedef void	packets_take(void *arg, int64_t us, const struct segment *s);

/*
 * A batch of packets: how many; -1: an error, see packets_error().  Of an
 * interface those there are, for which it waits so long (-1: for ever); of a
 * file the next, 0 at its end.
 */
int	packets_read(struct packets *p, int timeout_ms, packets_take *take,
	    void *arg);
const char *packets_error(struct packets *p);

/* May be called by a signal handler: wakes packets_read(), ends a file. */
void	packets_stop(struct packets *p);
bool	packets_stopped(const struct packets *p);

/* How many the kernel had no room for. */
uint64_t packets_missed(struct packets *p);

#endif /* PACKETS_H */
