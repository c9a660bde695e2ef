/*
 * kernel_peer.h - a peer that uses a socket of the kernel in its namespace
 *
 * A thread waits, writes, reads and ends the connection as kernel_peer_ways
 * says, until kernel_peer_stop() at the latest.
 */
#ifndef TEST_KERNEL_PEER_H
#define TEST_KERNEL_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kernel_peer_reads { READS_NOTHING, READS_SLOWLY, READS_ALL };
enum kernel_peer_ends { ENDS_NEVER, HALF_CLOSES, CLOSES, RESETS };

struct kernel_peer_ways {
	int	after_ms;		/* does nothing until then */
	size_t	writes;			/* bytes, as soon as they go */
	int	reads;			/* enum kernel_peer_reads */
	int	ends;			/* enum kernel_peer_ends */
	int	end_ms;			/* ends then; -1: once it read the end */
};

struct kernel_peer {
	pthread_t		thread;
	struct kernel_peer_ways	ways;
	int			fd;
	bool			stop;
	uint64_t		read, written;
	bool			intact;	/* what it read is t_pattern() */
	bool			eof;	/* our FIN, or that: */
	bool			failed;	/* a read did */
};

void	kernel_peer_begin(struct kernel_peer *, int fd,
	    const struct kernel_peer_ways *);
/* Stops the thread, and reads what is left to read. */
void	kernel_peer_stop(struct kernel_peer *);
void	kernel_peer_end(struct kernel_peer *);	/* releases what it has */

extern const char *const kernel_peer_reads[], *const kernel_peer_ends[];

#endif /* TEST_KERNEL_PEER_H */
