/*
 * impairments.c - what a link does to a segment, by chance and by rules
 */
#include <string.h>

#include "support/util.h"
#include "network/impairments.h"

void
impairments_begin(struct impairments *c, uint64_t seed)
{
	memset(c, 0, sizeof(*c));
	c->chance[T_OUT] = 2 * seed;
	c->chance[T_IN] = 2 * seed + 1;
}

bool
impairments_add_rule(struct impairments *c, const struct t_rule *r)
{
	if (c->nrules == T_RULES)
		return false;
	c->matched[c->nrules] = 0;
	c->rules[c->nrules++] = *r;
	return true;
}

static bool
happens(struct impairments *c, int way, unsigned of_1000)
{
	return t_random(&c->chance[way], 1000) < of_1000;
}

/* Each segment draws as many numbers, so that a seed gives the same fates. */
void
impairments_by_chance(struct impairments *c, int way, struct fate *f)
{
	const struct t_impair *w = &c->impair[way];
	uint32_t jitter = w->jitter_us > 0 ? (uint32_t)w->jitter_us + 1 : 1;

	f->lost = happens(c, way, w->loss);
	f->duplicated = happens(c, way, w->duplicate);
	f->reorder_us = happens(c, way, w->reorder) ? w->reorder_us : 0;
	f->delay_us = w->delay_us +
	    (int64_t)t_random(&c->chance[way], jitter);
}

static bool
applies(struct impairments *c, size_t i, int way, int kinds)
{
	const struct t_rule *r = &c->rules[i];
	unsigned first = r->nth > 0 ? r->nth : 1;

	if (r->way != way || (r->kinds & kinds) == 0)
		return false;
	c->matched[i]++;
	return c->matched[i] >= first &&
	    (r->times == 0 || c->matched[i] - first < r->times);
}

void
impairments_by_rules(struct impairments *c, int way, int kinds,
    bool copy, struct fate *f)
{
	size_t i;

	for (i = 0; i < c->nrules; i++) {
		if (!applies(c, i, way, kinds))
			continue;
		switch (c->rules[i].action) {
		case T_LOSS:
			f->lost = true;
			break;
		case T_DELAY:
			f->reorder_us += (int64_t)c->rules[i].delay_ms * 1000;
			break;
		case T_DUPLICATE:
			f->duplicated = !copy;
			break;
		}
	}
}
