/*
 * oracle.c - see oracle.h
 */
#include <stdlib.h>
#include <string.h>

#include "network/oracle.h"
#include "network/link.h"

/*
 * Places
 */

/* The place near to `ref` that has this sequence number. */
static place
place_of(const struct oracle *t, int way, uint32_t seq, place ref)
{
	return ref + (int32_t)(seq - (t->isn[way] + (uint32_t)ref));
}

static place
least(place a, place b)
{
	return a < b ? a : b;
}

place
oracle_place(const struct oracle *t, uint32_t seq)
{
	return place_of(t, T_IN, seq, t->arrived);
}

/* Bytes in front of a place: SYN and FIN are none. */
static uint64_t
bytes(place p, place fin)
{
	if (fin > 0)
		p = least(p, fin);
	return p > 0 ? (uint64_t)(p - 1) : 0;
}

static int64_t
window(const struct oracle *t, int way, const struct segment *s)
{
	bool scaled = t->shift[T_OUT] >= 0 && t->shift[T_IN] >= 0 &&
	    (s->flags & SEGMENT_SYN) == 0;

	return (int64_t)s->window << (scaled ? t->shift[way] : 0);
}

/*
 * What arrives
 */

static void
step(struct oracle *t, place to, int64_t us)
{
	size_t i = t->narrivals++ % ORACLE_ARRIVALS;

	t->arrived = to;
	t->arrivals[i].to = to;
	t->arrivals[i].us = us;
}

/* When the peer's bytes up to a place were all here. */
static int64_t
arrival(const struct oracle *t, place to, int64_t us)
{
	size_t i, n = t->narrivals;

	for (i = 0; i < n && i < ORACLE_ARRIVALS; i++) {
		if (t->arrivals[(n - 1 - i) % ORACLE_ARRIVALS].to < to)
			break;
		us = t->arrivals[(n - 1 - i) % ORACLE_ARRIVALS].us;
	}
	return us;
}

/* Nothing comes behind a FIN. */
static place
limited(const struct oracle *t, place to)
{
	return t->fin[T_IN] > 0 ? least(to, t->fin[T_IN] + 1) : to;
}

/* The gap in front of some is closed: they have arrived, too. */
static place
join(struct oracle *t, place to)
{
	size_t i = 0;

	while (i < t->nearly) {
		if (t->early[i].from > to) {
			i++;
			continue;
		}
		if (t->early[i].to > to)
			to = t->early[i].to;
		t->early[i] = t->early[--t->nearly];
		i = 0;
	}
	return to;
}

static void
arrive(struct oracle *t, const struct t_packet *p, place seq)
{
	place end = seq + segment_span(&p->s);

	if (end <= t->arrived || (seq >= t->edge && p->s.length > 0))
		return;
	if (p->s.flags & SEGMENT_FIN)
		t->fin[T_IN] = end - 1;
	if (seq <= t->arrived) {
		end = limited(t, join(t, end));
		if (end > t->arrived)
			step(t, end, p->out_us);
	} else if (t->nearly < ORACLE_GAPS)
		t->early[t->nearly++] = (struct oracle_range){ seq, end };
}

/* The highest number behind a gap: a RST there is right as well in Linux. */
static place
highest_early(const struct oracle *t)
{
	place highest = 0;
	size_t i;

	for (i = 0; i < t->nearly && t->sack[T_IN] && t->sack[T_OUT]; i++)
		if (t->early[i].to > highest)
			highest = t->early[i].to;
	return highest;
}

/*
 * RFC 5961 3.2: the very number that is expected.  Linux, tcp_reset_check():
 * some count the RST behind their FIN as if there had been none.
 */
static bool
believed(const struct oracle *t, place seq)
{
	return seq == t->arrived || (seq > 0 && seq == highest_early(t)) ||
	    (t->fin[T_IN] > 0 && t->arrived > t->fin[T_IN] &&
	    seq == t->arrived - 1);
}

/*
 * Segments, one after the other
 */

static void
progress(struct oracle *t, int64_t us)
{
	if (us > t->t.progress_us)
		t->t.progress_us = us;
}

static void
syn(struct oracle *t, const struct t_packet *p)
{
	if (t->known[p->way])
		return;
	t->known[p->way] = true;
	t->isn[p->way] = p->s.seq;
	t->shift[p->way] = p->shift;
	t->sack[p->way] = p->sack;
	if (p->way == T_OUT)
		t->edge = 1 + (int64_t)p->s.window;
}

/*
 * Whether it says what we have taken.  Our RSTs do, too: one that answers for
 * no connection has no ACK unless what came had none (RFC 9293 3.10.7.1).
 */
static bool
tells(const struct oracle *t, const struct t_packet *p)
{
	return (p->s.flags & SEGMENT_ACK) && t->known[T_IN];
}

static void
told(struct oracle *t, const struct t_packet *p)
{
	place ack = place_of(t, T_IN, p->s.ack, t->told);
	place edge = ack + window(t, T_OUT, &p->s);
	int64_t us;

	if (!tells(t, p))
		return;
	if (edge >= t->edge) {
		t->edge = edge;
		t->capped = edge - ack == UINT16_MAX;
	}
	if (ack <= t->told)
		return;
	t->told = ack;
	us = arrival(t, ack, p->s.us);
	if (t->fin[T_IN] > 0 && ack > t->fin[T_IN] && !t->t.fin_taken) {
		t->t.fin_taken = true;
		t->t.fin_taken_us = us;
	}
	if (ack > 1)
		progress(t, us);
	/* The kernel knows best. */
	if (ack > t->arrived)
		step(t, join(t, ack), p->s.us);
}

/* A RST answers what is sent again now, and ends nothing. */
static bool
ended(const struct oracle *t)
{
	return t->t.fin_acked && t->t.fin_taken;
}

static void
out(struct oracle *t, const struct t_packet *p)
{
	place end;

	if (p->s.flags & SEGMENT_SYN)
		syn(t, p);
	if (!t->known[T_OUT])
		return;
	if (p->s.flags & SEGMENT_RST) {
		if (!t->t.rst_sent && !ended(t))
			t->t.rst_us = p->s.us;
		t->t.rst_sent |= !ended(t);
		told(t, p);
		return;
	}
	end = place_of(t, T_OUT, p->s.seq, t->sent) + segment_span(&p->s);
	if (end > t->sent)
		t->sent = end;
	if (p->s.flags & SEGMENT_FIN) {
		t->fin[T_OUT] = end - 1;
		t->t.fin_sent = true;
	}
	told(t, p);
}

static void
acknowledged(struct oracle *t, const struct t_packet *p)
{
	place ack = place_of(t, T_OUT, p->s.ack, t->acked);

	if (ack <= t->acked)
		return;
	t->acked = ack;
	if (t->fin[T_OUT] > 0 && ack > t->fin[T_OUT]) {
		t->t.fin_acked = true;
		t->t.fin_acked_us = p->out_us;
	}
	if (ack > 1)
		progress(t, p->out_us);
}

/*
 * An ACK that is older than any window, or of what was never sent: the segment
 * is dropped with all that is in it (RFC 5961 5.2; Linux, tcp_ack()).
 */
static bool
stale(const struct oracle *t, const struct t_packet *p)
{
	place ack = place_of(t, T_OUT, p->s.ack, t->acked);

	return ack > t->sent || ack < t->acked - least(t->widest, t->acked);
}

static bool
fin_here(const struct oracle *t)
{
	return t->fin[T_IN] > 0 && t->arrived > t->fin[T_IN];
}

/* Before there is a window, the number of our SYN is what a RST must know. */
static bool
reset(const struct oracle *t, const struct t_packet *p, place seq)
{
	if (!t->known[T_IN])
		return (p->s.flags & SEGMENT_ACK) && t->known[T_OUT] &&
		    place_of(t, T_OUT, p->s.ack, 1) == 1;
	return believed(t, seq);
}

static void
in(struct oracle *t, const struct t_packet *p)
{
	place seq;

	/* Behind the end there is no socket any more that takes anything. */
	if (ended(t) || t->t.rst_sent || t->t.rst_reached)
		return;
	if ((p->s.flags & (SEGMENT_SYN | SEGMENT_RST)) == SEGMENT_SYN)
		syn(t, p);
	seq = oracle_place(t, p->s.seq);
	if (p->s.flags & SEGMENT_RST) {
		t->t.rst_reached = reset(t, p, seq);
		if (t->t.rst_reached)
			t->t.rst_reached_us = p->out_us;
		t->t.fin_answered = t->t.rst_reached && fin_here(t) &&
		    t->t.fin_sent && t->acked == t->fin[T_OUT];
		return;
	}
	if (!t->known[T_IN] || (t->told > 0 &&
	    seq + segment_span(&p->s) < t->told))
		return;
	/* The window may be wider than 16 bits can tell: tcp_select_window(). */
	if (t->told > 0 && seq > t->edge) {
		t->t.unsure |= t->capped;
		return;
	}
	if ((p->s.flags & SEGMENT_ACK) && t->known[T_OUT]) {
		if (stale(t, p))
			return;
		acknowledged(t, p);
	}
	if (window(t, T_IN, &p->s) > t->widest)
		t->widest = window(t, T_IN, &p->s);
	arrive(t, p, seq);
}

/*
 * In the order of what our kernel did: what it sent counts as it entered the
 * link, what it received as it left
 */

static int64_t
when(const struct t_packet *p)
{
	return p->way == T_OUT ? p->s.us : p->out_us;
}

struct turn {
	int64_t		us;
	const struct t_packet *p;
};

static int
by_time(const void *va, const void *vb)
{
	const struct turn *a = va, *b = vb;

	if (a->us != b->us)
		return a->us < b->us ? -1 : 1;
	return a->p < b->p ? -1 : a->p > b->p;
}

static bool
concerns(struct oracle *t, const struct t_packet *p)
{
	const struct endpoint *us = p->way == T_OUT ? &p->s.from : &p->s.to;
	const struct endpoint *peer = p->way == T_OUT ? &p->s.to : &p->s.from;

	if ((p->kinds & T_OTHER) || (p->way == T_IN && p->fate != T_CARRIED))
		return false;
	if (!t->begun && (p->s.flags & SEGMENT_SYN)) {
		t->begun = true;
		t->us = *us;
		t->peer = *peer;
	}
	return t->begun && endpoint_equal(&t->us, us) &&
	    endpoint_equal(&t->peer, peer);
}

/*
 * What we acknowledged later than `until_us` may have been taken before it:
 * an ACK can wait for 40 ms, or for the RST, and for the link to read it.
 */
static void
late(struct oracle *t, const struct t_packet *p)
{
	if (p->way == T_OUT && tells(t, p) &&
	    place_of(t, T_IN, p->s.ack, t->told) <= t->arrived)
		told(t, p);
}

void
oracle_begin(struct oracle *t)
{
	memset(t, 0, sizeof(*t));
	t->shift[T_OUT] = t->shift[T_IN] = -1;
}

void
oracle_add(struct oracle *t, const struct t_packet *log, size_t n,
    int64_t until_us, void (*each)(void *, const struct oracle *,
    const struct t_packet *), void *arg)
{
	static struct turn turns[T_LOG];
	size_t i, many = 0;

	for (i = 0; i < n; i++)
		if (concerns(t, &log[i]))
			turns[many++] = (struct turn){ when(&log[i]), &log[i] };
	qsort(turns, many, sizeof(turns[0]), by_time);
	for (i = 0; i < many; i++) {
		if (turns[i].us > until_us)
			late(t, turns[i].p);
		else if (turns[i].p->way == T_OUT)
			out(t, turns[i].p);
		else
			in(t, turns[i].p);
		if (each != NULL)
			each(arg, t, turns[i].p);
	}
}

void
oracle_proof(const struct oracle *t, struct t_proof *result)
{
	*result = t->t;
	result->sent = bytes(t->sent, t->fin[T_OUT]);
	result->acked = bytes(t->acked, t->fin[T_OUT]);
	result->taken = bytes(t->told, t->fin[T_IN]);
	result->fin_here = fin_here(t);
}
