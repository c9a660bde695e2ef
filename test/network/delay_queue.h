/*
 * delay_queue.h - the packets under way on a wire, by the time when they are due
 *
 * For one wire, and for whoever holds its lock.
 */
#ifndef TEST_DELAY_QUEUE_H
#define TEST_DELAY_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network/netns.h"

#define TRANSIT_MAX	4096

struct parcel {
	int64_t		due_us;
	uint64_t	turn;		/* of those due at once */
	uint64_t	number;		/* of its passage */
	size_t		length;
	int		way;
	unsigned char	packet[T_HOSTS_MTU];
};

void		 transit_clear(void);
/* A place for one more, with its turn, or NULL; filled in, it is put. */
struct parcel	*transit_new(void);
void		 transit_put(struct parcel *);
/* The first one, which is under way no more; its place is given back. */
struct parcel	*transit_take(void);
void		 transit_done(struct parcel *);

int64_t		 transit_due(void);	/* of the first; INT64_MAX: none */
size_t		 transit_count(void);
const struct parcel *transit_at(size_t);	/* in no order */

#endif /* TEST_DELAY_QUEUE_H */
