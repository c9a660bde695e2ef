/*
 * delay_queue.h - the packets under way on a link, ordered by their due time
 *
 * A process has one queue, and the lock of the link guards it.
 */
#ifndef TEST_DELAY_QUEUE_H
#define TEST_DELAY_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network/netns.h"

#define DELAY_QUEUE_MAX	4096

struct queued {
	int64_t		due_us;
	uint64_t	turn;		/* of those due at once */
	uint64_t	number;		/* of its entry in the log */
	size_t		length;
	int		way;
	unsigned char	packet[T_NETNS_MTU];
};

void		 delay_queue_clear(void);
/* A place for one more, with its turn, or NULL; filled in, it is put. */
struct queued	*delay_queue_new(void);
void		 delay_queue_put(struct queued *);
/* The first one, which is under way no more; its place is given back. */
struct queued	*delay_queue_take(void);
void		 delay_queue_done(struct queued *);

int64_t		 delay_queue_due(void);	/* of the first; INT64_MAX: none */
size_t		 delay_queue_count(void);
const struct queued *delay_queue_at(size_t);	/* in no order */

#endif /* TEST_DELAY_QUEUE_H */
