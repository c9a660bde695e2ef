/* conns.c - see conns.h */
#include <sys/queue.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "closewatch/conns.h"

#define SECOND		((int64_t)1000000)
#define LINGER		(1 * SECOND)	/* ended: a segment may be late */
#define AGAIN		(10 * SECOND / 1000)	/* the judge was too busy */
#define FORGET		(130 * SECOND)	/* reported: RTO_MAX is 120 s */

/*
 * Each connection is in one of these queues; the first of a queue has been in
 * it longest.  DOUBT: open, and not known to be ours.  A reported connection
 * stays until its place is needed, so that a very late segment does not begin a
 * new one.
 */
enum stage { OPEN, DOUBT, ENDED, REPORTED, STAGES };

struct conn {
	struct flow		flow;
	enum stage		stage;
	int64_t			since;	/* in the queue */
	int64_t			over_us;
	enum conns_whose	whose, side[2];
	TAILQ_ENTRY(conn)	queue;
	TAILQ_ENTRY(conn)	later;		/* if whose is LATER */
	LIST_ENTRY(conn)	chain;
};

TAILQ_HEAD(queue, conn);
LIST_HEAD(chain, conn);

struct conns {
	conns_tell	*tell;
	void		*arg;
	struct conn	*all;		/* the places, max of them */
	size_t		 used, max;	/* used: ever taken */
	struct queue	 queues[STAGES];
	struct chain	*table;
	size_t		 chains;	/* a power of two */
	uint64_t	 secret;	/* or a sender could fill one chain */
	uint64_t	 dropped, superseded, unsure;
	conns_judge	*judge;		/* NULL: all are ours */
	void		*judge_arg;
	struct queue	 later;
	int64_t		 again;		/* when they are judged again */
};

struct conns *
conns_open(size_t max, conns_tell *tell, void *arg)
{
	struct conns *cs = calloc(1, sizeof(*cs));

	if (cs == NULL)
		return NULL;
	cs->tell = tell;
	cs->arg = arg;
	cs->max = max;
	for (cs->chains = 64; cs->chains < max; cs->chains *= 2)
		;
	cs->all = calloc(max, sizeof(*cs->all));
	cs->table = calloc(cs->chains, sizeof(*cs->table));
	if (cs->all == NULL || cs->table == NULL ||
	    getentropy(&cs->secret, sizeof(cs->secret)) == -1) {
		conns_close(cs);
		return NULL;
	}
	for (int i = 0; i < STAGES; i++)
		TAILQ_INIT(&cs->queues[i]);
	TAILQ_INIT(&cs->later);
	return cs;
}

void
conns_judge_by(struct conns *cs, conns_judge *judge, void *arg)
{
	cs->judge = judge;
	cs->judge_arg = arg;
}

void
conns_close(struct conns *cs)
{
	free(cs->all);
	free(cs->table);
	free(cs);
}

/* --- the table ----------------------------------------------------------- */

static uint64_t
hash(const struct conns *cs, const struct endpoint *e)
{
	uint64_t half[2], h = cs->secret ^ e->port;

	memcpy(half, e->addr, sizeof(half));
	for (int i = 0; i < 2; i++) {
		h = (h ^ half[i]) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
	}
	return h * 0xbf58476d1ce4e5b9u;
}

/* Both directions of a connection are in one chain. */
static struct chain *
chain_of(const struct conns *cs, const struct segment *s)
{
	uint64_t h = hash(cs, &s->from) + hash(cs, &s->to);

	return &cs->table[(h >> 32) & (cs->chains - 1)];
}

static struct conn *
find(const struct conns *cs, const struct segment *s)
{
	const struct endpoint *who;
	struct conn *c;

	for (c = LIST_FIRST(chain_of(cs, s)); c != NULL;
	    c = LIST_NEXT(c, chain)) {
		who = c->flow.who;
		if ((endpoint_equal(&who[0], &s->from) &&
		    endpoint_equal(&who[1], &s->to)) ||
		    (endpoint_equal(&who[1], &s->from) &&
		    endpoint_equal(&who[0], &s->to)))
			break;
	}
	return c;
}

const struct flow *
conns_find(const struct conns *cs, const struct segment *s)
{
	const struct conn *c = find(cs, s);

	return c != NULL && c->stage != REPORTED ? &c->flow : NULL;
}

/* --- from queue to queue ------------------------------------------------- */

static void
enqueue(struct conns *cs, struct conn *c, enum stage stage, int64_t now)
{
	c->stage = stage;
	c->since = now;
	TAILQ_INSERT_TAIL(&cs->queues[stage], c, queue);
}

static void
move(struct conns *cs, struct conn *c, enum stage stage, int64_t now)
{
	TAILQ_REMOVE(&cs->queues[c->stage], c, queue);
	enqueue(cs, c, stage, now);
}

static void
set_whose(struct conns *cs, struct conn *c, enum conns_whose whose)
{
	if (c->whose == CONNS_LATER)
		TAILQ_REMOVE(&cs->later, c, later);
	if (whose == CONNS_LATER)
		TAILQ_INSERT_TAIL(&cs->later, c, later);
	c->whose = whose;
}

static void
detach(struct conns *cs, struct conn *c)
{
	set_whose(cs, c, CONNS_UNSURE);
	TAILQ_REMOVE(&cs->queues[c->stage], c, queue);
	LIST_REMOVE(c, chain);
}

static void
tell(struct conns *cs, struct conn *c, int64_t now)
{
	if (c->whose == CONNS_OURS) {
		cs->tell(cs->arg, &c->flow, c->over_us);
	} else {
		cs->unsure++;
		set_whose(cs, c, CONNS_UNSURE);
	}
	move(cs, c, REPORTED, now);
}

static void
tell_ended(struct conns *cs, int64_t until, int64_t now)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&cs->queues[ENDED])) != NULL &&
	    c->since <= until)
		tell(cs, c, now);
}

/* One of others counts as reported, so that its segments begin no new one. */
static void
judge(struct conns *cs, struct conn *c, int64_t now)
{
	if (TAILQ_EMPTY(&cs->later))
		cs->again = now + AGAIN;
	set_whose(cs, c, cs->judge == NULL ? CONNS_OURS :
	    cs->judge(cs->judge_arg, &c->flow, c->side));
	if (c->whose == CONNS_OTHERS)
		move(cs, c, REPORTED, now);
	else if (c->whose == CONNS_OURS && c->stage == DOUBT)
		move(cs, c, OPEN, now);
}

/* Up to the first that must wait again. */
static void
judge_later(struct conns *cs, int64_t now)
{
	struct conn *c;

	if (now < cs->again)
		return;
	cs->again = now + AGAIN;
	while ((c = TAILQ_FIRST(&cs->later)) != NULL) {
		judge(cs, c, now);
		if (c->whose == CONNS_LATER)
			break;
	}
}

void
conns_tick(struct conns *cs, int64_t now)
{
	judge_later(cs, now);
	tell_ended(cs, now - LINGER, now);
}

void
conns_tell_all(struct conns *cs, int64_t now)
{
	tell_ended(cs, INT64_MAX, now);
}

int64_t
conns_due(const struct conns *cs)
{
	const struct conn *c = TAILQ_FIRST(&cs->queues[ENDED]);
	int64_t due = c != NULL ? c->since + LINGER : INT64_MAX;

	return !TAILQ_EMPTY(&cs->later) && cs->again < due ? cs->again : due;
}

/* --- a segment ----------------------------------------------------------- */

/* An open one is forgotten. */
static void
count_lost(struct conns *cs, const struct conn *c, uint64_t *count)
{
	if (c->stage == DOUBT)
		count = &cs->unsure;
	++*count;
}

/*
 * The place for a new connection: of one that was reported; else of one that
 * ended, which is reported early; else of an open one, and of ours last.
 */
static struct conn *
room(struct conns *cs, int64_t now)
{
	struct conn *c;

	if (cs->used < cs->max)
		return &cs->all[cs->used++];
	if (TAILQ_EMPTY(&cs->queues[REPORTED]) &&
	    !TAILQ_EMPTY(&cs->queues[ENDED]))
		tell(cs, TAILQ_FIRST(&cs->queues[ENDED]), now);
	if ((c = TAILQ_FIRST(&cs->queues[REPORTED])) == NULL) {
		if ((c = TAILQ_FIRST(&cs->queues[DOUBT])) == NULL)
			c = TAILQ_FIRST(&cs->queues[OPEN]);
		count_lost(cs, c, &cs->dropped);
	}
	detach(cs, c);
	return c;
}

static void
news(struct conns *cs, struct conn *c, const struct segment *s, int64_t now)
{
	bool over = flow_over(&c->flow);

	if (c->stage != OPEN && c->stage != DOUBT)
		return;
	if (over)
		c->over_us = s->us;
	move(cs, c, over ? ENDED : c->stage, now);
}

/* The first four segments of a connection, and then each that doubles them. */
static void
judge_early(struct conns *cs, struct conn *c, int64_t now)
{
	uint64_t n = c->flow.side[0].segments + c->flow.side[1].segments;

	if (c->whose == CONNS_UNSURE && (n <= 4 || (n & (n - 1)) == 0))
		judge(cs, c, now);
}

static void
begin(struct conns *cs, struct conn *c, const struct segment *s, int64_t now)
{
	memset(c, 0, sizeof(*c));
	c->whose = cs->judge == NULL ? CONNS_OURS : CONNS_UNSURE;
	flow_begin(&c->flow, s);
	LIST_INSERT_HEAD(chain_of(cs, s), c, chain);
	enqueue(cs, c, c->whose == CONNS_OURS ? OPEN : DOUBT, now);
	judge_early(cs, c, now);
	news(cs, c, s, now);
}

/* A new connection between the same ports, or a segment after long silence. */
static bool
begins_anew(const struct conn *c, const struct segment *s, int64_t now)
{
	return (c->stage == REPORTED && now - c->since > FORGET) ||
	    !flow_has(&c->flow, s);
}

static void
supersede(struct conns *cs, struct conn *c, const struct segment *s,
    int64_t now)
{
	if (c->stage == ENDED)
		tell(cs, c, now);
	else if (c->stage != REPORTED)
		count_lost(cs, c, &cs->superseded);
	detach(cs, c);
	begin(cs, c, s, now);
}

static struct conn *
feed(struct conns *cs, const struct segment *s, int64_t now)
{
	struct conn *c = find(cs, s);

	if (c == NULL) {
		c = room(cs, now);
		begin(cs, c, s, now);
	} else if (begins_anew(c, s, now)) {
		supersede(cs, c, s, now);
	} else if (c->stage == REPORTED) {
		if (c->whose == CONNS_OTHERS)
			flow_feed(&c->flow, s);	/* until flow_over() */
		move(cs, c, REPORTED, now);	/* sent again: not over */
	} else {
		flow_feed(&c->flow, s);
		judge_early(cs, c, now);
		news(cs, c, s, now);
	}
	return c;
}

bool
conns_feed(struct conns *cs, const struct segment *s, int64_t now)
{
	return feed(cs, s, now)->whose == CONNS_OURS;
}

struct conns_count
conns_count(const struct conns *cs)
{
	struct conns_count count = {
		.dropped = cs->dropped,
		.superseded = cs->superseded,
		.unsure = cs->unsure,
	};
	const struct conn *c;

	c = TAILQ_FIRST(&cs->queues[OPEN]);
	for (; c != NULL; c = TAILQ_NEXT(c, queue)) {
		count.open++;
		count.half_closed += c->flow.end == FLOW_HALF_CLOSED;
	}
	return count;
}
