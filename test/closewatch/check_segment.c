/*
 * check_segment.c - packets made by hand, of every link type, whole and cut
 * off at every length
 */
#include <sys/types.h>

#include <stdlib.h>
#include <string.h>

#include "closewatch/segment.h"
#include "support/util.h"

/* As <pcap/dlt.h> has them. */
#define DLT_NULL	0
#define DLT_EN10MB	1
#define DLT_RAW		12
#define DLT_LOOP	108
#define DLT_LINUX_SLL	113
#define DLT_LINUX_SLL2	276

/* Bytes, high one first. */
#define B16(n)		(n) >> 8 & 0xff, (n) & 0xff
#define B32(n)		B16((n) >> 16), B16(n)

#define ZERO6		0, 0, 0, 0, 0, 0
#define IP4		0x08, 0x00
#define IP6		0x86, 0xdd
#define ETHER		ZERO6, ZERO6	/* what lo has for addresses */
#define VLAN		0x81, 0x00, 0x00, 0x07,
#define QINQ		0x88, 0xa8, 0x00, 0x07,
#define SLL		0, 0, 3, 4, 0, 6, ZERO6, 0, 0
#define SLL2(type)	type, 0, 0, 0, 0, 0, 1, 3, 4, 0, 6, ZERO6, 0, 0

#define IPV4_(first, total, fragment, protocol)				\
	first, 0, B16(total), 0, 1, B16(fragment), 64, protocol, 0, 0,	\
	127, 0, 0, 1, 127, 0, 0, 2
#define IPV4(total)	IPV4_(0x45, total, 0x4000, 6)
#define IPV6_(length, next)						\
	0x60, 0, 0, 0, B16(length), next, 64,				\
	ZERO6, ZERO6, 0, 0, 0, 1, 0x20, 1, ZERO6, ZERO6, 0, 2
#define IPV6(length)	IPV6_(length, 6)

#define PORTS		0x12, 0x67, 0x00, 0x50		/* 4711, 80 */
#define TCP_(words, flags)						\
	PORTS, B32(0x80000001), B32(0x7fffffff), (words) << 4, flags,	\
	B16(0xfff0), 0, 0, 0, 0
#define TCP(flags)	TCP_(5, flags)

#define PACKET(...)	(const unsigned char[]){ __VA_ARGS__ },		\
			sizeof((const unsigned char[]){ __VA_ARGS__ })

static const struct sample {
	const char		*name;
	int			 link;
	const unsigned char	*bytes;
	size_t			 size;
	size_t			 headers;	/* 0: is no TCP segment */
	uint32_t		 length;
	bool			 mptcp;		/* is said in a SYN */
} samples[] = {
	{ "Ethernet, IPv4", DLT_EN10MB, PACKET(ETHER, IP4, IPV4(43),
	    TCP(0x18), 'a', 'b', 'c'), 54, 3, 0 },
	{ "Ethernet, IPv6", DLT_EN10MB, PACKET(ETHER, IP6, IPV6(23),
	    TCP(0x18), 'a', 'b', 'c'), 74, 3, 0 },
	{ "a frame that was padded", DLT_EN10MB, PACKET(ETHER, IP4, IPV4(40),
	    TCP(0x10), ZERO6), 54, 0, 0 },
	{ "only headers captured", DLT_EN10MB, PACKET(ETHER, IP4,
	    IPV4(1500), TCP(0x10)), 54, 1460, 0 },
	{ "VLAN", DLT_EN10MB, PACKET(ETHER, VLAN IP4, IPV4(40), TCP(0x10)),
	    58, 0, 0 },
	{ "VLAN in VLAN", DLT_EN10MB, PACKET(ETHER, QINQ VLAN IP6, IPV6(20),
	    TCP(0x10)), 82, 0, 0 },
	{ "raw, IPv4", DLT_RAW, PACKET(IPV4(41), TCP(0x10), 'a'), 40, 1, 0 },
	{ "raw, IPv6", DLT_RAW, PACKET(IPV6(21), TCP(0x10), 'a'), 60, 1, 0 },
	{ "raw, as files have it", 101, PACKET(IPV4(40), TCP(0x10)), 40, 0,
	    0 },
	{ "raw, as OpenBSD has it", 14, PACKET(IPV4(40), TCP(0x10)), 40, 0,
	    0 },
	{ "null, little endian", DLT_NULL, PACKET(2, 0, 0, 0, IPV4(40),
	    TCP(0x10)), 44, 0, 0 },
	{ "null, big endian", DLT_NULL, PACKET(0, 0, 0, 2, IPV4(40),
	    TCP(0x10)), 44, 0, 0 },
	{ "null, IPv6 of macOS", DLT_NULL, PACKET(30, 0, 0, 0, IPV6(20),
	    TCP(0x10)), 64, 0, 0 },
	{ "null, neither", DLT_NULL, PACKET(7, 0, 0, 0, IPV4(40), TCP(0x10)),
	    0, 0, 0 },
	{ "loop, IPv6 of OpenBSD", DLT_LOOP, PACKET(0, 0, 0, 24, IPV6(20),
	    TCP(0x10)), 64, 0, 0 },
	{ "cooked", DLT_LINUX_SLL, PACKET(SLL, IP4, IPV4(40), TCP(0x10)), 56,
	    0, 0 },
	{ "cooked, version 2", DLT_LINUX_SLL2, PACKET(SLL2(B16(0x86dd)),
	    IPV6(20), TCP(0x10)), 80, 0, 0 },
	{ "an unknown link", 4711, PACKET(IPV4(40), TCP(0x10)), 0, 0, 0 },
	{ "ARP", DLT_EN10MB, PACKET(ETHER, 0x08, 0x06, IPV4(40), TCP(0x10)),
	    0, 0, 0 },

	{ "IPv4 with options", DLT_RAW, PACKET(IPV4_(0x47, 48, 0, 6), 1, 1,
	    1, 1, 1, 1, 1, 0, TCP(0x10)), 48, 0, 0 },
	{ "IPv4, a header that is too short", DLT_RAW, PACKET(IPV4_(0x44, 44,
	    0, 6), TCP(0x10), 0, 0, 0, 0), 0, 0, 0 },
	{ "IPv4, first fragment", DLT_RAW, PACKET(IPV4_(0x45, 44, 0x2000, 6),
	    TCP(0x10), 1, 2, 3, 4), 40, 4, 0 },
	{ "IPv4, a later fragment", DLT_RAW, PACKET(IPV4_(0x45, 44, 0x2001,
	    6), TCP(0x10), 1, 2, 3, 4), 0, 0, 0 },
	{ "IPv4, a fragment with half a header", DLT_RAW, PACKET(IPV4_(0x45,
	    28, 0x2000, 6), TCP(0x10)), 0, 0, 0 },
	{ "IPv4, more header than packet", DLT_RAW, PACKET(IPV4(19),
	    TCP(0x10)), 0, 0, 0 },
	{ "IPv4, longer than it can say", DLT_RAW, PACKET(IPV4(0), TCP(0x10),
	    1, 2, 3, 4), 40, 4, 0 },
	{ "IPv4, UDP", DLT_RAW, PACKET(IPV4_(0x45, 40, 0, 17), TCP(0x10)), 0,
	    0, 0 },
	{ "IPv4 that says IPv6", DLT_EN10MB, PACKET(ETHER, IP6, IPV4(40),
	    TCP(0x10), ZERO6, ZERO6, ZERO6, ZERO6), 0, 0, 0 },

	{ "IPv6, extensions", DLT_RAW, PACKET(IPV6_(76, 0),
	    60, 0, 1, 4, 0, 0, 0, 0,				/* hop */
	    43, 1, 1, 12, ZERO6, ZERO6,				/* options */
	    51, 0, 0, 0, 0, 0, 0, 0,				/* routing */
	    6, 4, ZERO6, ZERO6, ZERO6, 0, 0, 0, 0,		/* AH */
	    TCP(0x10)), 116, 0, 0 },
	{ "IPv6, first fragment", DLT_RAW, PACKET(IPV6_(29, 44),
	    6, 0, 0, 1, 0, 0, 0, 9, TCP(0x10), 'a'), 68, 1, 0 },
	{ "IPv6, a later fragment", DLT_RAW, PACKET(IPV6_(29, 44),
	    6, 0, 0, 9, 0, 0, 0, 9, TCP(0x10), 'a'), 0, 0, 0 },
	{ "IPv6, jumbogram", DLT_RAW, PACKET(IPV6_(0, 0),
	    6, 0, 0xc2, 4, B32(100028), TCP(0x10), 'a'), 68, 100000, 0 },
	{ "IPv6, longer than it can say", DLT_RAW, PACKET(IPV6(0), TCP(0x10),
	    'a'), 60, 1, 0 },
	{ "IPv6, longer than it can say, nor does an option", DLT_RAW, PACKET(
	    IPV6_(0, 0), 6, 0, 0xc2, 4, B32(9), TCP(0x10), 'a'), 68, 1, 0 },
	{ "IPv6, a jumbo option where none can be", DLT_RAW, PACKET(
	    IPV6_(29, 0), 6, 0, 0xc2, 4, B32(100028), TCP(0x10), 'a'), 68, 1,
	    0 },
	{ "IPv6, ICMP", DLT_RAW, PACKET(IPV6_(20, 58), TCP(0x10)), 0, 0, 0 },

	{ "a SYN with its options", DLT_RAW, PACKET(IPV4(72), TCP_(13, 0x12),
	    2, 4, 0xff, 0xd7, 4, 2, 8, 10, B32(1), B32(0), 1, 3, 3, 7,
	    30, 12, 1, 1, B32(1), B32(2)), 72, 0, 1 },
	{ "a SYN with data", DLT_RAW, PACKET(IPV4(46), TCP_(6, 0x02), 3, 3,
	    0, 0, 'a', 'b'), 44, 2, 0 },
	{ "a SYN of MPTCP", DLT_RAW, PACKET(IPV4(44), TCP_(6,
	    0x02), 30, 4, 1, 0), 44, 0, 1 },
	{ "an option behind the end", DLT_RAW, PACKET(IPV4(44), TCP_(6, 0x02),
	    0, 30, 3, 7), 44, 0, 0 },
	{ "an option without length", DLT_RAW, PACKET(IPV4(44), TCP_(6,
	    0x02), 1, 1, 1, 30), 44, 0, 0 },
	{ "an option of length 0", DLT_RAW, PACKET(IPV4(44), TCP_(6, 0x02),
	    8, 0, 30, 2), 44, 0, 0 },
	{ "an option that is too long", DLT_RAW, PACKET(IPV4(44), TCP_(6,
	    0x02), 1, 30, 4, 7), 44, 0, 0 },
	{ "MPTCP, but no SYN", DLT_RAW, PACKET(IPV4(44), TCP_(6, 0x10), 30,
	    4, 1, 0), 44, 0, 0 },
	{ "TCP, a header that is too short", DLT_RAW, PACKET(IPV4(40), TCP_(4,
	    0x10)), 0, 0, 0 },
	{ "TCP, more header than packet", DLT_RAW, PACKET(IPV4(40), TCP_(6,
	    0x10), 0, 0, 0, 0), 0, 0, 0 },
};
#define SAMPLES	((int)(sizeof(samples) / sizeof(samples[0])))

/* In memory of its own, so that AddressSanitizer detects a read beyond it. */
static bool
parse(struct segment *s, const struct sample *p, size_t have)
{
	unsigned char *bytes = malloc(have + 1);
	bool ok;

	ck_assert_ptr_nonnull(bytes);
	memset(s, 0xa5, sizeof(*s));
	s->us = 4711;
	memcpy(bytes + 1, p->bytes, have);
	ok = segment_parse(s, p->link, bytes + 1, have, have);
	free(bytes);
	return ok;
}

static void
compare_addresses(const struct segment *s)
{
	char from[ENDPOINT_SIZE], to[ENDPOINT_SIZE];

	endpoint_text(&s->from, from);
	endpoint_text(&s->to, to);
	if (s->from.family == AF_INET) {
		ck_assert_str_eq(from, "127.0.0.1.4711");
		ck_assert_str_eq(to, "127.0.0.2.80");
	} else {
		ck_assert_int_eq(s->from.family, AF_INET6);
		ck_assert_str_eq(from, "::1.4711");
		ck_assert_str_eq(to, "2001::2.80");
	}
	ck_assert_int_eq(s->to.family, s->from.family);
}

static void
compare(const struct segment *s, const struct sample *p, uint32_t length)
{
	compare_addresses(s);
	ck_assert_int_eq(s->us, 4711);
	ck_assert_uint_eq(s->seq, 0x80000001);
	ck_assert_uint_eq(s->ack, s->flags & SEGMENT_ACK ? 0x7fffffff : 0);
	ck_assert_uint_eq(s->length, length);
	ck_assert_uint_eq(s->window, 0xfff0);
	ck_assert(s->mptcp == p->mptcp);
}

START_TEST(a_packet_is_read)
{
	const struct sample *p = &samples[_i];
	struct segment s;

	ck_assert_msg(parse(&s, p, p->size) == (p->headers != 0), "%s",
	    p->name);
	if (p->headers != 0)
		compare(&s, p, p->length);
}
END_TEST

/* A length that only the capture has is as short as the capture. */
START_TEST(a_packet_is_read_when_its_headers_are_there)
{
	const struct sample *p = &samples[_i];
	bool too_long = strstr(p->name, "longer than it can say") != NULL;
	struct segment s;
	size_t have;

	for (have = 0; have < p->size; have++) {
		ck_assert_msg(parse(&s, p, have) ==
		    (p->headers != 0 && have >= p->headers),
		    "%s, %zu bytes of it", p->name, have);
		if (p->headers != 0 && have >= p->headers)
			compare(&s, p, too_long ?
			    (uint32_t)(have - p->headers) : p->length);
	}
}
END_TEST

/* Two lengths are needed where the packet has none of its own. */
START_TEST(a_packet_may_be_longer_than_what_was_captured)
{
	const struct sample *p = &samples[_i];
	bool too_long = strstr(p->name, "longer than it can say") != NULL;
	struct segment s = { .us = 4711 };

	if (p->headers == 0)
		return;
	ck_assert(segment_parse(&s, p->link, p->bytes, p->headers,
	    p->headers + 100000));
	compare(&s, p, too_long ? 100000 : p->length);
	ck_assert(segment_parse(&s, p->link, p->bytes, p->size, 0));
	compare(&s, p, p->length);
}
END_TEST

/* Any byte may be wrong: segment_parse() reads nothing beyond the packet. */
START_TEST(a_damaged_packet_does_no_harm)
{
	struct sample p = samples[_i];
	unsigned char bytes[256];
	struct segment s;
	size_t at;
	int bit;

	ck_assert_uint_le(p.size, sizeof(bytes));
	memcpy(bytes, p.bytes, p.size);
	p.bytes = bytes;
	for (at = 0; at < p.size; at++) {
		for (bit = 0; bit < 8; bit++) {
			bytes[at] ^= (unsigned char)(1 << bit);
			parse(&s, &p, p.size);
			bytes[at] ^= (unsigned char)(1 << bit);
		}
	}
}
END_TEST

START_TEST(no_packet_at_all)
{
	struct segment s;
	int link;

	for (link = 0; link < 300; link++)
		ck_assert(!segment_parse(&s, link, "", 0, 0));
}
END_TEST

static const struct {
	uint8_t		 flags;
	const char	*text;
	uint32_t	 span;		/* with a payload of 10 */
} flags[] = {
	{ SEGMENT_SYN, "[S]", 11 },
	{ SEGMENT_SYN | SEGMENT_ACK, "[S.]", 11 },
	{ SEGMENT_ACK, "[.]", 10 },
	{ SEGMENT_PSH | SEGMENT_ACK, "[P.]", 10 },
	{ SEGMENT_FIN | SEGMENT_ACK, "[F.]", 11 },
	{ SEGMENT_FIN | SEGMENT_PSH | SEGMENT_ACK, "[FP.]", 11 },
	{ SEGMENT_RST, "[R]", 10 },
	{ SEGMENT_RST | SEGMENT_ACK, "[R.]", 10 },
	{ SEGMENT_SYN | 0xc0, "[SEW]", 11 },
	{ 0xff, "[FSRP.UEW]", 12 },
	{ 0, "[none]", 10 },
};

START_TEST(flags_are_as_tcpdump_has_them)
{
	struct segment s = { .flags = flags[_i].flags, .length = 10 };
	char buf[SEGMENT_FLAGS_SIZE];

	ck_assert_str_eq(segment_flags(&s, buf), flags[_i].text);
	ck_assert_uint_eq(segment_span(&s), flags[_i].span);
}
END_TEST

START_TEST(endpoints_differ_in_address_port_and_family)
{
	struct endpoint a = { AF_INET, { 127, 0, 0, 1 }, 80 }, b = a;

	b.addr[15] = 1;
	ck_assert(endpoint_equal(&a, &b));
	a.family = b.family = AF_INET6;
	ck_assert(!endpoint_equal(&a, &b));
	b = a;
	ck_assert(endpoint_equal(&a, &b));
	b.port = 81;
	ck_assert(!endpoint_equal(&a, &b));
	b = a;
	b.family = AF_INET;
	ck_assert(!endpoint_equal(&a, &b));
}
END_TEST

START_TEST(the_longest_address_fits)
{
	struct endpoint e = { .family = AF_INET6, .port = 65535 };
	char buf[ENDPOINT_SIZE];

	memset(e.addr, 0xff, sizeof(e.addr));
	ck_assert_str_eq(endpoint_text(&e, buf),
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff.65535");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("segment");
	TCase *tc = t_case(s, "segment");

	tcase_add_loop_test(tc, a_packet_is_read, 0, SAMPLES);
	tcase_add_loop_test(tc, a_packet_is_read_when_its_headers_are_there,
	    0, SAMPLES);
	tcase_add_loop_test(tc, a_packet_may_be_longer_than_what_was_captured,
	    0, SAMPLES);
	tcase_add_loop_test(tc, a_damaged_packet_does_no_harm, 0, SAMPLES);
	tcase_add_test(tc, no_packet_at_all);
	tcase_add_loop_test(tc, flags_are_as_tcpdump_has_them, 0,
	    (int)(sizeof(flags) / sizeof(flags[0])));
	tcase_add_test(tc, endpoints_differ_in_address_port_and_family);
	tcase_add_test(tc, the_longest_address_fits);
	return t_main(s);
}
