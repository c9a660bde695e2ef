/* tiny_tcp.c - see tiny_tcp.h */
#include <sys/types.h>
#include <sys/socket.h>

#include <string.h>

#include "network/compose.h"
#include "network/scripted_peer.h"
#include "network/tiny_tcp.h"
#include "network/link.h"

#define LINK_RAW	12		/* DLT_RAW */
#define ISN		(UINT32_MAX - 999)	/* the numbers wrap soon */
#define NEVER		INT64_MAX
#define PERIOD		65521		/* of the pattern: a prime */

/* The place of a number, which is less than 2^31 away from `near`. */
static int64_t
place(int64_t near, uint32_t isn, uint32_t number)
{
	return near + (int32_t)(number - isn - (uint32_t)near);
}

/* No segment's size divides the period, nor does a power of two. */
static unsigned char
pattern(uint64_t at)
{
	return (unsigned char)((uint32_t)(at % PERIOD) * 40503U >> 8);
}

void
t_pattern(unsigned char *buf, uint64_t from, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		buf[i] = pattern(from + i);
}

bool
tiny_tcp_established(const struct tiny_tcp *t)
{
	return t->heard && t->una > 0;
}

void
tiny_tcp_die(struct tiny_tcp *t, enum tiny_tcp_life left)
{
	t->life = left;
	t->nlates = 0;
}

int64_t
tiny_tcp_bytes(const struct tiny_tcp *t, int64_t upto)
{
	return most(upto - 1 - (t->fin && upto == t->got), 0);
}

/* Both FINs are acknowledged: nothing is left that a RST could take away. */
static bool
in_time_wait(const struct tiny_tcp *t)
{
	return t->fin && t->acked == t->got && t->closing && t->una > t->end;
}

/* What of ours would it still take, by place? */
static int64_t
edge(const struct tiny_tcp *t)
{
	return t->acked + t->window;
}

/*
 * Segments
 */

static void
transmit(const struct tiny_tcp *t, int flags, uint32_t seq, uint32_t ack,
    int64_t from, int64_t n)
{
	unsigned char data[T_PEER_MSS], packet[COMPOSE_HEADERS + sizeof(data)];
	struct segment s = {
		.from = t->peer, .to = t->us, .seq = seq, .ack = ack,
		.length = (uint32_t)n, .window = (uint16_t)t->window,
		.flags = (uint8_t)flags
	};

	t_pattern(data, (uint64_t)from, (size_t)n);
	t_link_send(packet, compose(packet, &s, T_PEER_MSS, data));
}

/* Whatever it sends tells what it has acknowledged, not what it has. */
void
tiny_tcp_say(struct tiny_tcp *t, int flags, int64_t at, int64_t n)
{
	uint32_t seq = ISN + (uint32_t)at;

	if (t->life != TINY_TCP_LIVING)
		return;
	if (t->heard)
		transmit(t, flags | SEGMENT_ACK, seq,
		    t->isn + (uint32_t)t->acked, at - 1, n);
	else
		transmit(t, flags, seq, 0, at - 1, n);
}

/* As the host of a connection that is no more (RFC 9293, 3.5.2). */
static void
refuse(const struct tiny_tcp *t, const struct segment *s)
{
	if ((s->flags & SEGMENT_ACK) != 0)
		transmit(t, SEGMENT_RST, s->ack, 0, 0, 0);
	else
		transmit(t, SEGMENT_RST | SEGMENT_ACK, 0,
		    s->seq + segment_span(s), 0, 0);
}

/*
 * Acknowledging
 */

void
tiny_tcp_tell(struct tiny_tcp *t)
{
	if (tiny_tcp_established(t))
		tiny_tcp_say(t, 0, t->max, 0);
}

/* What is here now is to be acknowledged, sooner or later. */
static void
owe(struct tiny_tcp *t)
{
	if (!t->acks)
		return;
	if (t->nlates < TINY_TCP_LATES)
		t->nlates++;
	t->lates[t->nlates - 1].due_us = t->now_us + t->late_us;
	t->lates[t->nlates - 1].place = t->got;
}

static void
acknowledge(struct tiny_tcp *t)
{
	size_t n = 0;

	while (n < t->nlates && t->lates[n].due_us <= t->now_us)
		t->acked = most(t->acked, t->lates[n++].place);
	if (n == 0)
		return;
	t->nlates -= n;
	memmove(t->lates, t->lates + n, t->nlates * sizeof(t->lates[0]));
	tiny_tcp_tell(t);
}

void
tiny_tcp_acks(struct tiny_tcp *t, bool acks)
{
	t->acks = acks;
	t->nlates = 0;
	if (acks) {
		t->acked = t->got;
		tiny_tcp_tell(t);
	}
}

void
tiny_tcp_late(struct tiny_tcp *t, int64_t us)
{
	bool owing = t->nlates != 0;

	t->late_us = us;
	t->nlates = 0;
	if (owing)
		owe(t);
}

static void
settle(struct tiny_tcp *t)
{
	acknowledge(t);
	t->news(t);
}

/*
 * Sending
 */

static void
send_next(struct tiny_tcp *t, int flags, int64_t n)
{
	tiny_tcp_say(t, flags, t->nxt, n);
	t->nxt += (flags & (SEGMENT_SYN | SEGMENT_FIN)) != 0 ? 1 : n;
	t->max = most(t->max, t->nxt);
}

/* Data and FIN, as our window, the caller and a lost segment allow. */
static void
send_all(struct tiny_tcp *t)
{
	int64_t upto = least(t->end, t->una + t->room);

	if (t->cautious)
		upto = least(upto, t->una + T_PEER_MSS);
	while (t->nxt < upto)
		send_next(t, SEGMENT_PSH, least(upto - t->nxt, T_PEER_MSS));
	if (t->closing && t->nxt == t->end)
		send_next(t, SEGMENT_FIN, 0);
}

void
tiny_tcp_push(struct tiny_tcp *t)
{
	if (t->life != TINY_TCP_LIVING || t->us.port == 0)
		return;
	if (t->nxt == 0)
		send_next(t, SEGMENT_SYN, 0);
	if (tiny_tcp_established(t))
		send_all(t);
	if (t->rto_us == NEVER && t->una < t->end + t->closing &&
	    (t->repeats || t->una == 0))
		t->rto_us = t->now_us + (int64_t)T_PEER_RTO_MS * 1000;
}

/*
 * Nothing was acknowledged for too long: one segment again, or one byte to
 * probe a window that has no room.
 */
static void
repeat(struct tiny_tcp *t)
{
	t->rto_us = NEVER;
	if (!t->repeats && t->una > 0)
		return;
	t->nxt = t->una;
	t->cautious = true;
	if (tiny_tcp_established(t) && t->room == 0 && t->una < t->end) {
		tiny_tcp_say(t, SEGMENT_PSH, t->una, 1);
		t->probed = t->una == t->max;
	}
}

/*
 * Input
 */

/*
 * One in the window is believed, as before RFC 5961: data that was lost before
 * it makes it no less of a reset.
 */
static void
take_rst(struct tiny_tcp *t, const struct segment *s)
{
	int64_t at = place(t->got, t->isn, s->seq);

	t->rsts++;
	if (t->life != TINY_TCP_LIVING || !t->heard ||
	    (at != t->got && (at < t->got || at >= edge(t))))
		return;
	t->rst = !in_time_wait(t);
	tiny_tcp_die(t, TINY_TCP_SILENT);
}

/* The ACK and the window of a segment of ours. */
static void
take_ack(struct tiny_tcp *t, const struct segment *s)
{
	int64_t at = place(t->una, ISN, s->ack);

	if (at < t->una || at > t->max + t->probed)
		return;
	t->room = s->window;
	if (at == t->una)
		return;
	t->una = at;
	t->nxt = most(t->nxt, at);
	t->max = most(t->max, at);
	t->cautious = t->probed = false;
	t->rto_us = NEVER;
}

/* Ours, again perhaps: then the answer to it was lost. */
static void
take_syn(struct tiny_tcp *t, const struct segment *s)
{
	if (!t->heard) {
		t->heard = true;
		t->isn = s->seq;
		t->got = t->acked = 1;
	}
	if ((s->flags & SEGMENT_ACK) != 0) {
		take_ack(t, s);
		tiny_tcp_tell(t);
	} else if (t->una == 0) {
		t->nxt = 0;
	}
}

/* In order, and no further than the window. */
static void
take_data(struct tiny_tcp *t, int64_t at, uint32_t length,
    const unsigned char *data)
{
	int64_t end = least(at + length, edge(t));

	if (at > t->got || t->fin)
		return;
	for (; t->got < end; t->got++)
		if (data[t->got - at] != pattern((uint64_t)t->got - 1))
			t->spoilt = true;
}

/* True where it is in order, and new. */
static bool
take_fin(struct tiny_tcp *t, int64_t at)
{
	t->any_fin = true;
	if (t->fin || at != t->got || at >= edge(t))
		return false;
	t->fin = true;
	t->got++;
	return true;
}

/*
 * The FIN of a segment with data comes after what the script does about the
 * data.  One with nothing in it is answered only where it has no place in the
 * window, which is how a kernel probes.
 */
static void
take(struct tiny_tcp *t, const struct segment *s, const unsigned char *data)
{
	int64_t at = place(t->got, t->isn, s->seq);
	bool fin = (s->flags & SEGMENT_FIN) != 0;

	take_ack(t, s);
	settle(t);
	if (t->life != TINY_TCP_LIVING)
		return;
	take_data(t, at, s->length, data);
	if (s->length != 0 || (!fin && (at < t->got || at > edge(t))))
		owe(t);
	settle(t);
	if (!fin || t->life != TINY_TCP_LIVING)
		return;
	if (take_fin(t, at + s->length) || s->length == 0)
		owe(t);
	settle(t);
}

/* Is it of this connection?  Where we connect, the first SYN makes it that. */
static bool
comes_to(struct tiny_tcp *t, const struct segment *s)
{
	if (!endpoint_equal(&s->to, &t->peer))
		return false;
	if (t->us.port == 0 && s->flags == SEGMENT_SYN)
		t->us.port = s->from.port;
	return endpoint_equal(&s->from, &t->us);
}

void
tiny_tcp_input(struct tiny_tcp *t, const void *packet, size_t length)
{
	const unsigned char *end = (const unsigned char *)packet + length;
	struct segment s;

	if (!segment_parse(&s, LINK_RAW, packet, length, length) ||
	    s.length > length || !comes_to(t, &s))
		return;
	if ((s.flags & SEGMENT_RST) != 0)
		take_rst(t, &s);
	else if (t->life == TINY_TCP_REFUSING)
		refuse(t, &s);
	else if (t->life == TINY_TCP_SILENT)
		return;
	else if ((s.flags & SEGMENT_SYN) != 0)
		take_syn(t, &s);
	else if (t->heard)
		take(t, &s, end - s.length);
}

int64_t
tiny_tcp_tick(struct tiny_tcp *t)
{
	settle(t);
	if (t->rto_us <= t->now_us)
		repeat(t);
	tiny_tcp_push(t);
	if (t->life != TINY_TCP_LIVING)
		return NEVER;
	return t->nlates > 0 ? least(t->rto_us, t->lates[0].due_us) :
	    t->rto_us;
}

/*
 * The beginning
 */

static void
set_endpoint(struct endpoint *e, bool peer, in_port_t port)
{
	struct sockaddr_storage ss;
	struct sockaddr_in in;

	(void)t_link_address(&ss, T_IPV4, peer, port);
	memcpy(&in, &ss, sizeof(in));
	*e = (struct endpoint){ .family = AF_INET, .port = port };
	memcpy(e->addr, &in.sin_addr, 4);
}

void
tiny_tcp_open(struct tiny_tcp *t, in_port_t port, in_port_t theirs,
    void (*news)(struct tiny_tcp *))
{
	*t = (struct tiny_tcp){
		.now_us = t_now_us(), .life = TINY_TCP_LIVING, .news = news,
		.window = T_PEER_WINDOW, .acks = true, .repeats = true,
		.end = 1, .rto_us = NEVER
	};
	set_endpoint(&t->us, false, port);
	set_endpoint(&t->peer, true, theirs);
}
