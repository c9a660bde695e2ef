/*
 * endings.h - every way there is to end a connection, and what a capture must
 * show of each
 */
#ifndef ENDINGS_H
#define ENDINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "stage/ends.h"
#include "closewatch/flow.h"

struct ending {
	const char	*title;

	/* Plays it; NULL, or what the kernel refused, and errno. */
	const char	*(*play)(struct ends *ends);

	/* When the capture shows that, there is more to do. */
	bool		 (*when)(const struct flow *f);
	void		 (*then)(struct ends *ends);

	unsigned	 kinds;		/* a delayed ACK decides which */
	int		 first, reset_by;
	uint64_t	 lost;		/* of the client's */
	int64_t		 bytes[2];	/* -1: any number */
};

/* One after the other; the last has no title. */
extern const struct ending endings[];

/* What is not as it must be is said: see show_expect(). */
void	ending_verify(const struct ending *e, const struct flow *f);

#endif /* ENDINGS_H */
