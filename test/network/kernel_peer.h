/*
 * kernel_peer.h - a peer that is a program on the kernel THERE
 *
 * It waits, writes, reads in its way, and ends in its way, all in a thread of
 * its own and never for longer than until there_stop().
 */
#ifndef TEST_KERNEL_PEER_H
#define TEST_KERNEL_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum there_reads { READS_NOTHING, READS_SLOWLY, READS_ALL };
enum there_ends { ENDS_NEVER, HALF_CLOSES, CLOSES, RESETS };

struct there_ways {
	int	after_ms;		/* does nothing until then */
	size_t	writes;			/* bytes, as soon as they go */
	int	reads;			/* enum there_reads */
	int	ends;			/* enum there_ends */
	int	end_ms;			/* ends then; -1: once it read the end */
};

struct there {
	pthread_t		thread;
	struct there_ways	ways;
	int			fd;
	bool			stop;
	uint64_t		read, written;
	bool			intact;	/* what it read is t_pattern() */
	bool			eof;	/* our FIN, or that: */
	bool			failed;	/* a read did */
};

void	there_begin(struct there *, int fd, const struct there_ways *);
/* Ends its ways, and reads what there is still to read. */
void	there_stop(struct there *);
void	there_end(struct there *);	/* releases what it has */

extern const char *const there_reads[], *const there_ends[];

#endif /* TEST_KERNEL_PEER_H */
