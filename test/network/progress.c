/*
 * progress.c - when a connection made progress, by the log of the link
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "closewatch/segment.h"
#include "network/progress.h"
#include "network/oracle.h"
#include "network/link.h"

struct sign {
	int64_t		us;
	bool		firm;
};

static struct t_packet packets[T_LOG];
static struct sign signs[T_LOG];

/* How far it had come before the segment that is looked at. */
struct reading {
	struct progress	*c;
	bool		 acks;
	place		 acked, arrived;
};

static void
sign(struct progress *c, int64_t us, bool firm)
{
	signs[c->nsigns].us = us;
	signs[c->nsigns++].firm = firm;
}

/* Our kernel may have known more than the log. */
static void
left(struct reading *r, const struct oracle *t, const struct t_packet *p)
{
	struct progress *c = r->c;

	if ((p->s.flags & SEGMENT_RST) != 0 && c->rst_us == INT64_MAX)
		c->rst_us = p->s.us;
	if (t->arrived > r->arrived)
		sign(c, p->s.us, false);
}

static void
arrived(struct reading *r, const struct oracle *t, const struct t_packet *p)
{
	struct progress *c = r->c;
	place seq = oracle_place(t, p->s.seq);
	uint64_t came = (uint64_t)(seq - 1) + p->s.length;

	if ((p->s.flags & SEGMENT_RST) != 0) {
		if (c->rst_us == INT64_MAX)
			c->any_rst_us = p->out_us;
		return;
	}
	if ((p->s.flags & SEGMENT_FIN) != 0)
		c->fin_came = true;
	if (p->s.length > 0 || seq + segment_span(&p->s) - 1 > r->arrived)
		c->late_us = p->out_us;
	if (p->s.length > 0 && came > c->came)
		c->came = came;
	if ((r->acks && t->acked > r->acked) || (t->arrived > r->arrived &&
	    (r->acks || p->s.length > 0)))
		sign(c, p->out_us, true);
}

static void
look(void *arg, const struct oracle *t, const struct t_packet *p)
{
	struct reading *r = arg;

	if (p->way == T_OUT)
		left(r, t, p);
	else
		arrived(r, t, p);
	r->acked = t->acked;
	r->arrived = t->arrived;
}

void
progress_read(struct progress *c, bool acks)
{
	struct reading r = { .c = c, .acks = acks };
	static struct oracle t;
	size_t n;

	memset(c, 0, sizeof(*c));
	c->rst_us = INT64_MAX;
	c->late_us = c->any_rst_us = INT64_MIN;
	n = t_link_log(packets, T_LOG);
	c->whole = n > 0 && (packets[0].kinds & T_SYN) != 0;
	oracle_begin(&t);
	oracle_add(&t, packets, n, INT64_MAX, look, &r);
	if (!c->whole)
		c->came = UINT64_MAX;
}

int64_t
progress_last(const struct progress *c, bool firm, int64_t from,
    int64_t until_us)
{
	int64_t last = from;
	size_t i;

	for (i = 0; i < c->nsigns && signs[i].us <= until_us; i++)
		if (signs[i].us > last && (signs[i].firm || !firm))
			last = signs[i].us;
	return last;
}

int64_t
progress_gap(const struct progress *c, int64_t from, int64_t until_us)
{
	int64_t gap = 0, last = from;
	size_t i;

	for (i = 0; i < c->nsigns && signs[i].us <= until_us; i++) {
		if (signs[i].us <= from || !signs[i].firm)
			continue;
		if (signs[i].us - last > gap)
			gap = signs[i].us - last;
		last = signs[i].us;
	}
	return until_us - last > gap ? until_us - last : gap;
}
