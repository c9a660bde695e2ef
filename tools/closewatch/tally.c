/* tally.c - see tally.h */
#include <stdlib.h>

#include "closewatch/tally.h"

#define TOP	10			/* resetters in a summary */

static const struct {
	const char	*name, *key;
} kinds[TALLY_KINDS] = {
	[TALLY_FOUR_WAY] = { "in order, four segments", "four_way" },
	[TALLY_THREE_SEGMENT] = { "in order, three segments",
	    "three_segment" },
	[TALLY_SIMULTANEOUS] = { "in order, both at once", "simultaneous" },
	[TALLY_REFUSED] = { "refused", "refused" },
	[TALLY_RESET + FLOW_WHY_NONE] = { "reset", "reset_unknown" },
	[TALLY_RESET + FLOW_WHY_UNREAD] = { "reset, unread input",
	    "reset_unread_input" },
	[TALLY_RESET + FLOW_WHY_LATE_DATA] = { "reset, data after the close",
	    "reset_late_data" },
	[TALLY_RESET + FLOW_WHY_ABORT] = { "reset, abort", "reset_abort" },
	[TALLY_RESET + FLOW_WHY_EITHER] = { "reset, unread input or abort",
	    "reset_unread_or_abort" },
	[TALLY_RESET + FLOW_WHY_SILENCE] = { "reset, no keep-alive answer",
	    "reset_silence" },
	[TALLY_RESET + FLOW_WHY_GONE] = { "reset, no such connection",
	    "reset_gone" },
};

int
tally_kind(const struct flow *f)
{
	switch (f->end) {
	case FLOW_FOUR_WAY:
		return TALLY_FOUR_WAY;
	case FLOW_THREE_SEGMENT:
		return TALLY_THREE_SEGMENT;
	case FLOW_SIMULTANEOUS:
		return TALLY_SIMULTANEOUS;
	case FLOW_REFUSED:
		return TALLY_REFUSED;
	default:
		return TALLY_RESET + (int)f->why;
	}
}

const char *
tally_name(int kind)
{
	return kinds[kind].name;
}

const char *
tally_key(int kind)
{
	return kinds[kind].key;
}

const char *
tally_side(int side)
{
	return side == FLOW_CLIENT ? "client" : "server";
}

static void
count(struct tally_count *c, int by, uint64_t lost)
{
	c->number++;
	if (by != -1)
		c->by[by]++;
	c->lossy += lost > 0;
	c->lost += lost;
}

/*
 * The hosts that send most RSTs, in bounded memory (Metwally and others,
 * "Efficient Computation of Frequent and Top-k Elements in Data Streams",
 * 2005): a new host takes the place of the one with the fewest, and its count.
 */
static struct tally_resetter *
resetter(struct tally *t, const struct endpoint *who, int side)
{
	struct tally_resetter *r, *fewest = t->resetters;

	for (r = t->resetters; r < t->resetters + t->nresetters; r++) {
		if (r->side == side && endpoint_equal(&r->who, who))
			return r;
		if (r->conns < fewest->conns)
			fewest = r;
	}
	if (t->nresetters < TALLY_RESETTERS)
		r = &t->resetters[t->nresetters++];
	else
		r = fewest;
	*r = (struct tally_resetter){ .who = *who, .side = side,
	    .conns = r->conns, .overcounted = r->conns };
	return r;
}

static void
count_resetter(struct tally *t, const struct flow *f, int side, uint64_t lost)
{
	struct endpoint who = f->who[side];
	struct tally_resetter *r;

	if (side == FLOW_CLIENT)
		who.port = 0;
	r = resetter(t, &who, side);
	r->conns++;
	if (f->reset_by != side) {
		r->of[TALLY_AFTER]++;
		return;
	}
	r->of[tally_kind(f)]++;
	r->lost += lost;
}

void
tally_conn(struct tally *t, const struct flow *f)
{
	uint64_t lost = flow_lost(f, FLOW_CLIENT) + flow_lost(f, FLOW_SERVER);
	int by = f->reset_by != -1 ? f->reset_by : f->first;

	count(&t->all, by, lost);
	count(&t->of[tally_kind(f)], by, lost);
	for (int side = 0; side < 2; side++)
		if (f->side[side].sent_rst)
			count_resetter(t, f, side, lost);
}

static int
by_conns(const void *a, const void *b)
{
	uint64_t x = ((const struct tally_resetter *)a)->conns;
	uint64_t y = ((const struct tally_resetter *)b)->conns;

	return (x < y) - (x > y);
}

/* The table has no order of its own, so it is sorted in place. */
size_t
tally_top(struct tally *t)
{
	qsort(t->resetters, t->nresetters, sizeof(t->resetters[0]), by_conns);
	return t->nresetters < TOP ? t->nresetters : TOP;
}
