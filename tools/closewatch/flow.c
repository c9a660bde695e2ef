/* flow.c - see flow.h */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "closewatch/flow.h"

/* No window is larger (RFC 7323, 2.3): a number beyond is of no use. */
#define REACH	(1 << 30)

/*
 * Between keep-alive probes, and before giving up, is a second or more; so many
 * microseconds are enough to tell.
 */
#define PATIENCE	900000

/* How far a is after b; sequence numbers wrap (RFC 9293, 3.4). */
static int32_t
beyond(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

static bool
far(const struct flow_side *side, uint32_t seq)
{
	int32_t n = beyond(seq, side->next);

	return n > REACH || n < -REACH;
}

/*
 * The side has sent nothing yet that takes sequence numbers.  If a capture
 * begins with a keep-alive probe, the first number is one too low.
 */
static bool
unsure(const struct flow_side *me)
{
	return me->seen && !me->sent_syn && me->span == 0;
}

static int
sender(const struct flow *f, const struct segment *s)
{
	for (int me = 0; me < 2; me++)
		if (endpoint_equal(&s->from, &f->who[me]) &&
		    endpoint_equal(&s->to, &f->who[!me]))
			return me;
	return -1;
}

static void
learn(struct flow_side *side, uint32_t seq)
{
	side->isn = side->next = side->acked = seq;
	side->seen = true;
}

/* Before an acknowledged or a sent number is counted. */
static bool
began_with_probe(struct flow_side *me, uint32_t next)
{
	if (!unsure(me) || me->segments == 0 || next != me->next + 1)
		return false;
	learn(me, next);
	return true;
}

/*
 * A SYN of this connection: a retransmission, or one that later segments of
 * the same side overtook.
 */
static bool
own_syn(const struct flow_side *me, const struct segment *s)
{
	return s->seq + (me->sent_syn ? 0 : 1) == me->isn;
}

static void
feed_syn(struct flow_side *me, const struct segment *s)
{
	if (s->seq != me->isn) {
		me->isn--;
		me->span++;
	}
	me->sent_syn = true;
}

static void
advance(struct flow_side *side, uint32_t to)
{
	int32_t n = beyond(to, side->next);

	if (n <= 0 || (side->sent_fin && beyond(to, side->fin + 1) > 0))
		return;
	side->span += (uint32_t)n;
	side->next = to;
}

/*
 * The capture has the acknowledgement before the FIN itself, as happens when
 * two queues capture the two directions.  Until now the FIN counted as a byte.
 */
static bool
was_acked(struct flow_side *me, uint32_t fin, uint64_t sent)
{
	if (me->next != fin + 1 || me->acked != me->next)
		return false;
	if (unsure(me)) {
		me->isn--;
		me->span++;
		return true;
	}
	return sent > 0;
}

static enum flow_end
both_closed(const struct flow_side *other, const struct segment *s)
{
	if (other->fin_acked)
		return FLOW_FOUR_WAY;
	if ((s->flags & SEGMENT_ACK) && s->ack == other->fin + 1)
		return FLOW_THREE_SEGMENT;
	return FLOW_SIMULTANEOUS;
}

static void
feed_fin(struct flow *f, int by, const struct segment *s)
{
	struct flow_side *me = &f->side[by], *other = &f->side[!by];
	uint32_t fin = s->seq + segment_span(s) - 1;

	if (me->sent_fin || (beyond(me->next, fin) > 0 &&
	    !was_acked(me, fin, flow_sent(f, by))))
		return;
	me->sent_fin = true;
	me->fin = fin;
	me->fin_acked = me->acked == fin + 1;
	if ((s->flags & SEGMENT_ACK) && other->seen)
		advance(other, s->ack);		/* the capture may lack it */
	other->before = flow_sent(f, !by);
	if (f->reset_by != -1)
		return;
	if (!other->sent_fin) {
		f->end = FLOW_HALF_CLOSED;
		f->first = by;
	} else if (me->fin_acked && me->before > flow_sent(f, by)) {
		f->end = FLOW_THREE_SEGMENT;	/* the other one answered it */
		f->first = by;
	} else {
		f->end = both_closed(other, s);
	}
}

/*
 * Acknowledged bytes were sent, even if the capture lacks them.  No byte
 * follows a FIN.
 */
static void
feed_ack(struct flow_side *other, uint32_t ack)
{
	if (!other->seen)
		learn(other, ack);
	began_with_probe(other, ack);
	advance(other, ack);
	if (beyond(ack, other->acked) <= 0 || beyond(ack, other->next) > 0)
		return;
	other->acked = ack;
	if (other->sent_fin && ack == other->fin + 1)
		other->fin_acked = true;
}

static void
feed_window(struct flow_side *me, const struct flow_side *other,
    const struct segment *s)
{
	if (s->ack == other->acked)	/* not overtaken by a later one */
		me->shut = s->window == 0;
}

/*
 * RFC 5961, 3.2: an RST resets if its number is the next one expected.  To
 * another number in the window the receiver sends an ACK; a true RST then comes
 * again with the right number.  The receiver expects the number that it
 * acknowledged last, or the one after all that passed.  After a FIN, Linux also
 * accepts the number of the FIN (tcp_reset_check() in net/ipv4/tcp_input.c).
 */
static bool
expected(const struct flow_side *me, const struct segment *s)
{
	return s->seq == me->acked || s->seq == me->next ||
	    (me->fin_acked && s->seq == me->fin);
}

/*
 * A capture may lack what was sent right before the RST.  A side that ends its
 * own connection acknowledges exactly what it received; an attacker who guesses
 * cannot.
 */
static bool
skips(const struct flow_side *me, const struct flow_side *other,
    const struct segment *s)
{
	return (s->flags & SEGMENT_ACK) && !me->sent_fin && other->seen &&
	    beyond(s->seq, me->next) > 0 && beyond(s->seq, me->next) < REACH &&
	    beyond(s->ack, other->acked) >= 0 &&
	    beyond(s->ack, other->next) <= 0;
}

/*
 * What Linux puts on the wire (test/closewatch/captures shows each but
 * the last):
 *
 * An RST without ACK answers a segment for which there is no socket, or whose
 * data no program can read any more.  It takes its number from that segment.
 *
 * An RST with ACK ends an established connection.  close(2) with unread input,
 * SO_LINGER 0 and connect(AF_UNSPEC) send the same one.  But if nothing was
 * received, nothing was unread.  close(2) discards the receive queue first, so
 * that a window of 0 opens with the RST.  connect(AF_UNSPEC) leaves the window
 * at 0; a program that reads and then aborts mostly opens it before.  The
 * kernel also sends one when its keep-alive probes get no answer.
 */
static enum flow_why
cause(const struct flow *f, int by, const struct segment *s)
{
	const struct flow_side *me = &f->side[by], *other = &f->side[!by];
	uint32_t received;

	if (!(s->flags & SEGMENT_ACK))
		return me->sent_fin && flow_lost(f, !by) > 0 ?
		    FLOW_WHY_LATE_DATA : FLOW_WHY_GONE;
	if (me->probed && s->us - me->sent_us >= PATIENCE)
		return FLOW_WHY_SILENCE;
	received = s->ack - other->isn - 1;
	if (other->sent_fin && s->ack == other->fin + 1)
		received--;
	if (other->sent_syn && received == 0)
		return FLOW_WHY_ABORT;
	return me->shut && s->window != 0 ? FLOW_WHY_UNREAD : FLOW_WHY_EITHER;
}

/* A side that only sent a SYN accepts one RST (RFC 9293, 3.10.7.3). */
static bool
refuses(const struct flow *f, int by, const struct segment *s)
{
	const struct flow_side *other = &f->side[!by];

	return (s->flags & SEGMENT_ACK) && beyond(s->ack, other->isn) > 0 &&
	    beyond(s->ack, other->next) <= 0;
}

static void
feed_rst(struct flow *f, int by, const struct segment *s)
{
	struct flow_side *me = &f->side[by];
	bool to_syn = !me->seen && f->from_syn;

	if (flow_over(f)) {
		me->sent_rst = true;
		return;
	}
	if (to_syn && !refuses(f, by, s))
		return;
	if (me->seen && began_with_probe(me, s->seq))
		me->probed = true;
	else if (me->seen && !expected(me, s) &&
	    !skips(me, &f->side[!by], s))
		return;
	if (me->seen)
		advance(me, s->seq);
	me->sent_rst = true;
	f->reset_by = by;
	if (f->first == -1)
		f->first = by;
	f->why = to_syn ? FLOW_WHY_NONE : cause(f, by, s);
	f->end = to_syn ? FLOW_REFUSED : FLOW_RESET;
}

/*
 * A keep-alive probe repeats a number that was acknowledged already, to get an
 * ACK (RFC 9293, 3.8.4).  Some systems send a byte with it.
 */
static bool
is_probe(const struct flow_side *me, const struct segment *s)
{
	return !(s->flags & (SEGMENT_SYN | SEGMENT_FIN)) && s->length <= 1 &&
	    s->seq + 1 == me->next && me->acked == me->next;
}

static void
feed_other(struct flow *f, int by, const struct segment *s)
{
	struct flow_side *me = &f->side[by], *other = &f->side[!by];

	if ((s->flags & SEGMENT_SYN) && me->seen && !own_syn(me, s))
		return;
	if ((me->seen && far(me, s->seq)) ||
	    ((s->flags & SEGMENT_ACK) && other->seen && far(other, s->ack)))
		return;
	if (!me->seen)
		learn(me, s->seq);
	began_with_probe(me, s->seq);
	me->probed = is_probe(me, s);
	me->sent_us = s->us;
	other->probed = false;
	if (s->flags & SEGMENT_SYN)
		feed_syn(me, s);
	if (s->flags & SEGMENT_FIN)
		feed_fin(f, by, s);
	advance(me, s->seq + segment_span(s));
	if (s->flags & SEGMENT_ACK) {
		f->mptcp |= s->mptcp;		/* the other side accepts it */
		feed_ack(other, s->ack);
		feed_window(me, other, s);
	}
}

void
flow_feed(struct flow *f, const struct segment *s)
{
	int by = sender(f, s);

	if (by == -1)
		return;
	f->side[by].segments++;
	f->last_us = s->us;
	if (s->flags & SEGMENT_RST)
		feed_rst(f, by, s);
	else
		feed_other(f, by, s);
}

/* A SYN with ACK shows the number of the SYN that it answers. */
static void
learn_client(struct flow_side *client, const struct segment *s)
{
	learn(client, s->ack - 1);
	client->sent_syn = true;
	client->next++;
	client->span++;
}

void
flow_begin(struct flow *f, const struct segment *s)
{
	bool syn = (s->flags & SEGMENT_SYN) != 0;
	bool ack = (s->flags & SEGMENT_ACK) != 0;
	int by = syn ? ack : s->from.port < s->to.port;

	*f = (struct flow){
		.first = -1,
		.reset_by = -1,
		.from_syn = syn && !(s->flags & SEGMENT_RST),
		.began_us = s->us,
		.last_us = s->us,
	};
	f->who[by] = s->from;
	f->who[!by] = s->to;
	if (f->from_syn && ack)
		learn_client(&f->side[FLOW_CLIENT], s);
	flow_feed(f, s);
}

/*
 * An open connection answers a SYN with an ACK.  The SYN comes again when that
 * ACK caused a reset (RFC 5961, 4.2); only the second SYN begins a connection.
 * If the capture lacks the end of the old connection, the answer to the SYN
 * shows which connection it is.
 */
bool
flow_has(const struct flow *f, const struct segment *s)
{
	int by = sender(f, s);

	if (by == -1)
		return false;
	if (!(s->flags & SEGMENT_SYN) || (s->flags & SEGMENT_RST))
		return true;
	if (f->side[by].seen && own_syn(&f->side[by], s))
		return true;
	if (flow_over(f))
		return false;
	return !(s->flags & SEGMENT_ACK) || !f->side[by].seen;
}

bool
flow_over(const struct flow *f)
{
	return f->end == FLOW_RESET || f->end == FLOW_REFUSED ||
	    (f->side[0].fin_acked && f->side[1].fin_acked);
}

uint64_t
flow_sent(const struct flow *f, int side)
{
	const struct flow_side *me = &f->side[side];

	return me->span - (me->sent_syn ? 1 : 0) - (me->sent_fin ? 1 : 0);
}

uint64_t
flow_lost(const struct flow *f, int side)
{
	const struct flow_side *me = &f->side[side];
	uint32_t lost = me->next - me->acked;

	if (f->side[!side].segments == 0)
		return 0;
	if (me->sent_syn && me->acked == me->isn)
		lost--;
	if (me->sent_fin && !me->fin_acked)
		lost--;
	return lost;
}

/* --- the story --- */

struct text {
	char	*at;
	size_t	 left;
};

static const char *
name(int side)
{
	return side == FLOW_CLIENT ? "client" : "server";
}

static void __attribute__((format(printf, 2, 3)))
say(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->at, t->left, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->left)
		n = t->left > 0 ? (int)t->left - 1 : 0;
	t->at += n;
	t->left -= (size_t)n;
}

static bool
one_way(const struct flow *f)
{
	return f->side[0].segments == 0 || f->side[1].segments == 0;
}

/*
 * A listening socket that is closed resets the connections in its accept
 * queue.  A server that sent no data may have been such a socket.
 */
static const char *
why(const struct flow *f)
{
	bool silent = f->reset_by == FLOW_SERVER && f->from_syn &&
	    flow_sent(f, FLOW_SERVER) == 0 && !f->side[FLOW_SERVER].sent_fin;

	switch (f->why) {
	case FLOW_WHY_UNREAD:
		return "unread input";
	case FLOW_WHY_LATE_DATA:
		return "late data";
	case FLOW_WHY_ABORT:
		return silent ? "abort, or never accepted" : "abort";
	case FLOW_WHY_SILENCE:
	case FLOW_WHY_EITHER:
		if (one_way(f))
			return "unread input, abort, or silence";
		if (f->why == FLOW_WHY_SILENCE)
			return "no answer to keep-alive";
		return silent ? "unread input, abort, or never accepted" :
		    "unread input, or abort";
	default:
		return "no such connection";
	}
}

static void
say_fins(struct text *t, const struct flow *f)
{
	static const char *const ways[] = {
		[FLOW_FOUR_WAY] = "four-way",
		[FLOW_THREE_SEGMENT] = "three-segment",
		[FLOW_SIMULTANEOUS] = "simultaneous",
	};
	int last = !f->first;
	uint64_t more = flow_sent(f, last) - f->side[last].before;

	if (one_way(f)) {
		say(t, "%s closed", name(f->first));
		return;
	}
	say(t, "%s closed first", name(f->first));
	if (more > 0)
		say(t, "; %s sent %llu byte%s more", name(last),
		    (unsigned long long)more, more == 1 ? "" : "s");
	if (f->end == FLOW_HALF_CLOSED)
		say(t, "; %s has not", name(last));
	else
		say(t, "; %s", ways[f->end]);
}

static void
say_end(struct text *t, const struct flow *f)
{
	switch (f->end) {
	case FLOW_OPEN:
		say(t, "open");
		break;
	case FLOW_REFUSED:
		say(t, "%s refused it", name(f->reset_by));
		break;
	case FLOW_RESET:
		if (f->side[f->first].sent_fin)
			say(t, "%s closed first; ", name(f->first));
		say(t, "%s reset it (%s)", name(f->reset_by), why(f));
		break;
	default:
		say_fins(t, f);
	}
}

static void
say_waiting(struct text *t, const struct flow *f)
{
	for (int i = 0; i < 2; i++)
		if (f->side[i].sent_fin && !f->side[i].fin_acked) {
			say(t, "; all but the %s's FIN acknowledged",
			    name(i));
			return;
		}
	say(t, "; all acknowledged");
}

static void
say_lost(struct text *t, const struct flow *f)
{
	uint64_t lost[2] = { flow_lost(f, 0), flow_lost(f, 1) };
	bool over = flow_over(f);
	const char *between = "; ";

	for (int i = 0; i < 2; i++) {
		if (lost[i] == 0)
			continue;
		say(t, "%s%llu byte%s to the %s", between,
		    (unsigned long long)lost[i], lost[i] == 1 ? "" : "s",
		    name(!i));
		between = " and ";
	}
	if (lost[0] + lost[1] > 0)
		say(t, over ? " lost" : " not acknowledged");
	else if (one_way(f))
		say(t, "; only one direction was captured");
	else if (over)
		say(t, "; nothing lost");
	else
		say_waiting(t, f);
}

static bool
kept_back(const struct flow *f, int side)
{
	return f->side[!side].shut && !f->side[side].sent_fin;
}

/*
 * What the numbers do not show: TCP acknowledges bytes that the program may not
 * have read, and a window of 0 holds bytes back in the send queue.
 */
static void
say_doubts(struct text *t, const struct flow *f)
{
	int from = !f->reset_by;

	if (f->why != FLOW_WHY_ABORT && f->why != FLOW_WHY_LATE_DATA &&
	    flow_sent(f, from) > flow_lost(f, from))
		say(t, "; the %s may not have read all", name(f->reset_by));
	if (kept_back(f, 0) && kept_back(f, 1))
		say(t, "; more may have waited for both windows");
	else if (kept_back(f, 0) || kept_back(f, 1))
		say(t, "; more may have waited for the %s's window",
		    name(kept_back(f, FLOW_CLIENT) ? FLOW_SERVER :
		    FLOW_CLIENT));
}

const char *
flow_story(const struct flow *f, char *buf)
{
	struct text t = { buf, FLOW_STORY_SIZE };

	say_end(&t, f);
	say_lost(&t, f);
	if (f->end == FLOW_RESET)
		say_doubts(&t, f);
	for (int i = 0; i < 2; i++)
		if (f->reset_by == -1 && f->side[i].sent_rst)
			say(&t, "; then a RST from the %s", name(i));
	if (!f->from_syn)
		say(&t, "; begun before the capture");
	if (f->mptcp)
		say(&t, "; MPTCP: one path of it");
	return buf;
}
