/*
 * table.h - what became of the requests, as a table or as JSON
 */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>

#include "replycheck/crowd.h"

struct table {
	const char	*url;
	bool		 json;
	int		 rows;		/* so far */
	int		 requests, lost, late, resets, timeouts; /* in all */
	int		 simple;	/* replies that a simple client has */
};

void	table_row(struct table *t, const struct request *r,
	    const struct crowd *c);

/* What follows from the rows; nothing in JSON. */
void	table_end(const struct table *t);

/* Whether this client, or a simple one, has lost a reply. */
bool	table_lost(const struct table *t);

#endif /* TABLE_H */
