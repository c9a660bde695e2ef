/*
 * impairments.h - decides whether a link loses, duplicates, delays or reorders
 * a segment: by chance, and by the rules of a test
 */
#ifndef TEST_IMPAIRMENTS_H
#define TEST_IMPAIRMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network/link.h"

/* What happens to one segment. */
struct fate {
	int64_t		delay_us;
	int64_t		reorder_us;	/* besides, and overtaken */
	bool		lost;
	bool		duplicated;
};

struct impairments {
	struct t_rule	rules[T_RULES];
	unsigned	matched[T_RULES];
	size_t		nrules;
	struct t_impair impair[T_WAYS];
	uint64_t	chance[T_WAYS];
};

void	impairments_begin(struct impairments *, uint64_t seed);
/* False: there is no room for one more. */
bool	impairments_add_rule(struct impairments *, const struct t_rule *);

/* For each segment: first by chance, then by the rules that its kinds match. */
void	impairments_by_chance(struct impairments *, int way, struct fate *);
void	impairments_by_rules(struct impairments *, int way, int kinds,
	    bool copy, struct fate *);

#endif /* TEST_IMPAIRMENTS_H */
