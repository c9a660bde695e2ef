/*
 * course.c - when a connection made progress, as the wire saw it
 */
#include <netinet/in.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../examples/segment.h"
#include "course.h"
#include "wire.h"

struct event {
	const struct t_passage	*p;
	int64_t			 us;
};

struct sign {
	int64_t		us;
	bool		firm;
};

/* Sequence numbers as far as they are known, which wrap. */
struct numbers {
	uint32_t	sent;		/* by us, the next */
	uint32_t	acked;		/* of that */
	uint32_t	expected;	/* of the peer's, the next in order */
	uint32_t	first;		/* of the peer's bytes */
	bool		known;		/* the peer's */
	uint32_t	end;		/* behind its FIN, where that came: */
	bool		ends;
};

static struct t_passage passages[T_LOG];
static struct event events[T_LOG];
static struct sign signs[T_LOG];

static bool
after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static int
by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->us != y->us)
		return x->us < y->us ? -1 : 1;
	return x->p < y->p ? -1 : x->p > y->p;
}

/* What counts is when our kernel had it, or sent it. */
static size_t
order(size_t length)
{
	const struct t_passage *p;
	size_t n = 0;

	for (p = passages; p < passages + length; p++) {
		if ((p->kinds & T_OTHER) != 0 ||
		    (p->way == T_IN && p->fate != T_CARRIED))
			continue;
		events[n].p = p;
		events[n++].us = p->way == T_IN ? p->out_us : p->s.us;
	}
	qsort(events, n, sizeof(events[0]), by_time);
	return n;
}

static void
sign(struct course *c, int64_t us, bool firm)
{
	signs[c->nsigns].us = us;
	signs[c->nsigns++].firm = firm;
}

static void
left(struct course *c, struct numbers *k, const struct event *e)
{
	const struct segment *s = &e->p->s;
	uint32_t end = s->seq + segment_span(s);

	if ((s->flags & SEGMENT_RST) != 0) {
		if (c->rst_us == INT64_MAX)
			c->rst_us = e->us;
		return;
	}
	if ((s->flags & SEGMENT_SYN) != 0) {
		k->acked = s->seq;
		k->sent = end;
	}
	if (after(end, k->sent))
		k->sent = end;
	if (k->known && after(s->ack, k->expected)) {
		k->expected = s->ack;
		sign(c, e->us, false);
	}
}

static void
arrived(struct course *c, struct numbers *k, const struct event *e, bool acks)
{
	const struct segment *s = &e->p->s;
	uint32_t end = s->seq + segment_span(s);
	bool news = false;

	if ((s->flags & SEGMENT_RST) != 0) {
		if (c->rst_us == INT64_MAX)
			c->any_rst_us = e->us;
		return;
	}
	if ((s->flags & SEGMENT_SYN) != 0) {
		k->expected = k->first = s->seq + 1;
		k->known = true;
	}
	if ((s->flags & SEGMENT_FIN) != 0 && c->fin_us == INT64_MAX) {
		c->fin_us = e->us;
		k->end = end;
		k->ends = true;
	}
	if (s->length > 0 || after(end - 1, k->expected))
		c->late_us = e->us;
	if (s->length > 0) {
		if (s->seq + s->length - k->first > c->came)
			c->came = s->seq + s->length - k->first;
	}
	if ((s->flags & SEGMENT_ACK) != 0 && after(s->ack, k->acked) &&
	    !after(s->ack, k->sent)) {
		k->acked = s->ack;
		news = acks;
	}
	if (k->ends && after(end, k->end))	/* nothing comes behind it */
		end = k->end;
	if (after(end, k->expected) && !after(s->seq, k->expected)) {
		k->expected = end;
		news |= acks || s->length > 0;
	}
	if (news)
		sign(c, e->us, true);
}

void
course_read(struct course *c, bool acks)
{
	struct numbers k;
	size_t i, n;

	memset(c, 0, sizeof(*c));
	memset(&k, 0, sizeof(k));
	c->fin_us = c->rst_us = INT64_MAX;
	c->late_us = c->any_rst_us = INT64_MIN;
	n = t_wire_log(passages, T_LOG);
	c->whole = n > 0 && (passages[0].kinds & T_SYN) != 0;
	n = order(n);
	for (i = 0; i < n; i++) {
		if (events[i].p->way == T_OUT)
			left(c, &k, &events[i]);
		else
			arrived(c, &k, &events[i], acks);
	}
}

int64_t
course_last(const struct course *c, bool firm, int64_t from, int64_t until_us)
{
	int64_t last = from;
	size_t i;

	for (i = 0; i < c->nsigns && signs[i].us <= until_us; i++)
		if (signs[i].us > last && (signs[i].firm || !firm))
			last = signs[i].us;
	return last;
}

int64_t
course_gap(const struct course *c, int64_t from, int64_t until_us)
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
