/*
 * packet_log.c - one entry in the log of a link
 */
#include <stdio.h>
#include <string.h>

#include "network/packet_log.h"
#include "network/link.h"

#define LINK_RAW	12		/* DLT_RAW: an IP packet, no more */

#define IPV6_HEADER	40
#define TCP_HEADER	20
#define OPTION_NOP	1
#define OPTION_WINDOW	3		/* RFC 7323 */
#define OPTION_SACK	4		/* RFC 2018 */
#define SHIFT_MAX	14

#define PRINTED		80		/* lines at each end of a long log */

static int
kinds(const struct segment *s)
{
	int k = 0;

	if (s->flags & SEGMENT_SYN)
		k |= T_SYN;
	if (s->flags & SEGMENT_FIN)
		k |= T_FIN;
	if (s->flags & SEGMENT_RST)
		k |= T_RST;
	if (s->length > 0)
		k |= T_DATA;
	return k == 0 && (s->flags & SEGMENT_ACK) ? T_ACK : k;
}

static void
option(struct t_packet *p, const unsigned char *o)
{
	if (o[0] == OPTION_SACK)
		p->sack = true;
	else if (o[0] == OPTION_WINDOW && o[1] == 3)
		p->shift = o[2] < SHIFT_MAX ? o[2] : SHIFT_MAX;
}

/* Headers are where segment_parse() has found them. */
static void
options(struct t_packet *p, const unsigned char *packet, size_t length)
{
	size_t ip = p->s.from.family == AF_INET6 ? IPV6_HEADER :
	    (size_t)(packet[0] & 0x0f) * 4;
	size_t at = ip + TCP_HEADER, end, size;

	if (at > length)
		return;
	end = ip + (size_t)(packet[ip + 12] >> 4) * 4;
	for (; end <= length && at < end && packet[at] != 0; at += size) {
		size = packet[at] == OPTION_NOP ? 1 : 0;
		if (size == 0 && at + 1 < end)
			size = packet[at + 1];
		if (size == 0 || at + size > end)
			return;
		if (size > 1)
			option(p, packet + at);
	}
}

void
packet_log_parse(struct t_packet *p, const void *packet, size_t length)
{
	p->shift = -1;
	p->sack = false;
	if (!segment_parse(&p->s, LINK_RAW, packet, length, length)) {
		memset(&p->s, 0, sizeof(p->s));
		p->kinds = T_OTHER;
		return;
	}
	p->kinds = kinds(&p->s);
	if (p->kinds & T_SYN)
		options(p, packet, length);
}

/*
 * Numbers are those of the first of each way, and what follows: SYN is 0.
 */
struct isns {
	uint32_t	isn[T_WAYS];
	bool		known[T_WAYS];
	int64_t		since_us;
};

static void
meet(struct isns *n, int way, uint32_t seq)
{
	if (n->known[way])
		return;
	n->known[way] = true;
	n->isn[way] = seq;
}

static const char *
fate(const struct t_packet *p, char *buf, size_t size)
{
	switch (p->fate) {
	case T_LOST:
		return "lost";
	case T_UNDER_WAY:
		return "under way";
	default:
		if (p->out_us - p->s.us < 1000)
			return "";
		snprintf(buf, size, "after %.1f ms",
		    (double)(p->out_us - p->s.us) / 1000);
		return buf;
	}
}

static void
line(FILE *f, struct isns *n, const struct t_packet *p)
{
	char flags[SEGMENT_FLAGS_SIZE], buf[40];
	uint32_t from, to;

	if (p->kinds & T_OTHER) {
		fprintf(f, "%10.3f %c no TCP %s\n",
		    (double)(p->s.us - n->since_us) / 1000,
		    p->way == T_OUT ? '>' : '<', fate(p, buf, sizeof(buf)));
		return;
	}
	meet(n, p->way, p->s.seq);
	if (p->s.flags & SEGMENT_ACK)
		meet(n, 1 - p->way, p->s.ack - 1);
	from = p->s.seq - n->isn[p->way];
	to = from + p->s.length;
	fprintf(f, "%10.3f %c %-6s %u:%u(%u)",
	    (double)(p->s.us - n->since_us) / 1000,
	    p->way == T_OUT ? '>' : '<', segment_flags(&p->s, flags), from,
	    to, p->s.length);
	if (p->s.flags & SEGMENT_ACK)
		fprintf(f, " ack %u", p->s.ack - n->isn[1 - p->way]);
	fprintf(f, " win %u %s\n", (unsigned)p->s.window,
	    fate(p, buf, sizeof(buf)));
}

void
packet_log_print(FILE *f, const struct t_packet *log, size_t n)
{
	struct isns isns = { .since_us = n > 0 ? log[0].s.us : 0 };
	size_t i;

	for (i = 0; i < n; i++) {
		if (i < PRINTED || i + PRINTED >= n)
			line(f, &isns, &log[i]);
		else if (i == PRINTED)
			fprintf(f, "       ... %zu more ...\n",
			    n - (size_t)2 * PRINTED);
	}
}
