/*
 * impairments.h - what becomes of a segment: by the rules of a test, by chance
 */
#ifndef TEST_IMPAIRMENTS_H
#define TEST_IMPAIRMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network/link.h"

struct fate {
	int64_t		delay_us;
	int64_t		hold_us;	/* besides, and overtaken */
	bool		lost;
	bool		twice;
};

struct climate {
	struct t_rule	rules[T_RULES];
	unsigned	matched[T_RULES];
	size_t		nrules;
	struct t_weather weather[T_WAYS];
	uint64_t	chance[T_WAYS];
};

void	climate_begin(struct climate *, uint64_t seed);
bool	climate_rule(struct climate *, const struct t_rule *);	/* or full */

/* Of one more segment by chance, then by the rules that its kinds meet. */
void	climate_chance(struct climate *, int way, struct fate *);
void	climate_rules(struct climate *, int way, int kinds, bool copy,
	    struct fate *);

#endif /* TEST_IMPAIRMENTS_H */
