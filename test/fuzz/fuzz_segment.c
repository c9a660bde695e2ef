/*
 * fuzz_segment.c - packets that nobody has checked, through segment.c and
 * flow.c
 *
 *	clang -g -O1 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined \
 *	    -o fuzz_segment test/fuzz_segment.c \
 *	    examples/segment.c examples/flow.c
 *	./fuzz_segment -max_total_time=600 /tmp/corpus test/corpus
 *
 * The input: a byte for the link type, then records.  A record that begins
 * with a byte above 127, which says how much longer the packet was than what
 * was captured, has two bytes for a length, and a packet as it is.  Another is
 * a segment in short, ten bytes, out of which a packet is made: so connections
 * come about that chance would not make.
 */
#include <sys/socket.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "closewatch/flow.h"
#include "closewatch/segment.h"

#define SHORT	10
#define HEADERS	44			/* IPv4, TCP, and one option word */
#define RAW	12			/* DLT_RAW */

static const int links[] = { 0, 1, 12, 14, 101, 108, 113, 276, 4711 };

static struct flow	flow;
static bool		going;

#define must(ok) do {							\
	if (!(ok)) {							\
		fprintf(stderr, "%d: not so: %s\n", __LINE__, #ok);	\
		abort();						\
	}								\
} while (0)

static void
check_segment(const struct segment *s)
{
	char flags[SEGMENT_FLAGS_SIZE], text[ENDPOINT_SIZE];

	must(strlen(segment_flags(s, flags)) < sizeof(flags));
	must(strlen(endpoint_text(&s->from, text)) < sizeof(text));
	must(endpoint_equal(&s->from, &s->from));
	must(s->from.family == s->to.family);
	must(s->from.family == AF_INET || s->from.family == AF_INET6);
	must((s->flags & SEGMENT_SYN) || !s->mptcp);
	must((s->flags & SEGMENT_ACK) || s->ack == 0);
	must(segment_span(s) - s->length <= 2);
}

static void
check_flow(void)
{
	char story[FLOW_STORY_SIZE];

	memset(story, 'x', sizeof(story));
	must(flow_story(&flow, story) == story);
	must(memchr(story, '\0', sizeof(story)) != NULL);
	must(strlen(story) > 0 && strlen(story) < sizeof(story) - 1);
	for (int i = 0; i < 2; i++) {
		must(flow_lost(&flow, i) <= flow_sent(&flow, i));
		must(flow_sent(&flow, i) <= flow.side[i].span);
		must(!flow.side[i].fin_acked || flow.side[i].sent_fin);
	}
	must(!flow_over(&flow) || flow.first != -1);
	must((flow.reset_by != -1) ==
	    (flow.end == FLOW_RESET || flow.end == FLOW_REFUSED));
	must((flow.why != FLOW_WHY_NONE) == (flow.end == FLOW_RESET));
}

/* In memory of its own: a byte too many is found. */
static void
feed(int link, const uint8_t *packet, size_t size, size_t was, int64_t us)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);
	struct segment s = { .us = us };

	must(copy != NULL);
	memcpy(copy, packet, size);
	if (segment_parse(&s, link, copy, size, was)) {
		check_segment(&s);
		if (going && flow_has(&flow, &s))
			flow_feed(&flow, &s);
		else
			flow_begin(&flow, &s);
		going = true;
		check_flow();
	}
	free(copy);
}

static void
put16(uint8_t *p, unsigned n)
{
	p[0] = (uint8_t)(n >> 8);
	p[1] = (uint8_t)n;
}

/* Numbers near each other, and near both ends of a connection. */
static void
feed_short(const uint8_t *in, int64_t us)
{
	uint8_t p[HEADERS] = { 0x45, [8] = 64, 6, [12] = 127, 0, 0, 1, 127, 0,
	    0, 1, [32] = 0x60, [40] = in[9] & 31, 4, 0, 0 };
	bool server = in[0] & 1, same = in[0] & 2;

	put16(p + 2, HEADERS + (unsigned)in[6]);
	put16(p + 20, server && !same ? 80 : 40000);
	put16(p + 22, server || same ? 40000 : 80);
	put16(p + 24, in[0] & 4 ? 0xffff : 0);
	put16(p + 26, (unsigned)(in[2] << 8 | in[3]));
	put16(p + 28, in[0] & 8 ? 0xffff : 0);
	put16(p + 30, (unsigned)(in[4] << 8 | in[5]));
	if (in[0] & 0x10)
		p[24] ^= in[9];
	p[33] = in[1];
	put16(p + 34, (unsigned)(in[7] << 8 | in[8]));
	feed(RAW, p, sizeof(p), sizeof(p), us);
}

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t size)
{
	int64_t us = 0;
	size_t n;
	int link;

	if (size == 0)
		return 0;
	going = false;
	link = links[*in++ % (sizeof(links) / sizeof(links[0]))];
	for (size--; size >= SHORT; in += n, size -= n) {
		if (in[0] < 128) {
			n = SHORT;
			feed_short(in, us++);
			continue;
		}
		in += 3;
		size -= 3;
		n = (size_t)(in[-2] << 8 | in[-1]);
		n = n < size ? n : size;
		feed(link, in, n, n * in[-3] / 128, us++);
	}
	return 0;
}
