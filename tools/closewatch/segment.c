/* segment.c - see segment.h */
#include <sys/socket.h>

#include <arpa/inet.h>

#include <stdio.h>
#include <string.h>

#include "closewatch/segment.h"

/*
 * Link types by the values of <pcap/dlt.h>, so that this file needs no libpcap.
 * A raw IP packet has one number in a file and two in programs; 14 is
 * OpenBSD's.
 */
#define LINK_NULL	0
#define LINK_EN10MB	1
#define LINK_RAW	12
#define LINK_RAW_BSD	14
#define LINK_RAW_FILE	101
#define LINK_LOOP	108
#define LINK_SLL	113
#define LINK_SLL2	276

#define ETHER_IPV4	0x0800
#define ETHER_VLAN	0x8100
#define ETHER_IPV6	0x86dd
#define ETHER_QINQ	0x88a8
#define ETHER_QINQ_OLD	0x9100

#define IPV4_HEADER	20
#define IPV4_OFFSET	0x1fff
#define IPV6_HEADER	40
#define IPV6_OFFSET	0xfff8
#define IPV6_PAD1	0
#define IPV6_JUMBO	0xc2		/* RFC 2675 */

#define TCP_HEADER	20
#define OPTION_END	0
#define OPTION_NOP	1
#define OPTION_MPTCP	30

/* The rest of a packet, behind the headers that were read. */
struct rest {
	const unsigned char	*at;
	size_t			 have;		/* bytes captured */
	size_t			 was;		/* bytes on the link */
	size_t			 length;	/* bytes by the IP header */
};

static uint16_t
get16(const unsigned char *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t
get32(const unsigned char *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* The next n bytes, or NULL when they are not there. */
static const unsigned char *
take(struct rest *r, size_t n)
{
	const unsigned char *at = r->at;

	if (r->have < n || r->length < n)
		return NULL;
	r->at += n;
	r->have -= n;
	r->was -= n;
	r->length -= n;
	return at;
}

/*
 * The address family of DLT_NULL has the byte order of the capturing machine,
 * and each system has its own number for IPv6.  The IP version in the packet
 * itself decides.
 */
static int
bsd_type(const unsigned char *p)
{
	uint32_t family = get32(p);

	if (family > 0xffff)
		family = (uint32_t)p[1] << 8 | p[0];
	switch (family) {
	case 2:
		return ETHER_IPV4;
	case 10:			/* Linux */
	case 24:			/* NetBSD, OpenBSD */
	case 28:			/* FreeBSD */
	case 30:			/* macOS */
		return ETHER_IPV6;
	default:
		return -1;
	}
}

static int
raw_type(const struct rest *r)
{
	if (r->have == 0)
		return -1;
	switch (r->at[0] >> 4) {
	case 4:
		return ETHER_IPV4;
	case 6:
		return ETHER_IPV6;
	default:
		return -1;
	}
}

/* Take off the header of the link: the type of the next one; -1: unknown. */
static int
link_type(int link, struct rest *r)
{
	const unsigned char *p;

	switch (link) {
	case LINK_EN10MB:
		return (p = take(r, 14)) != NULL ? get16(p + 12) : -1;
	case LINK_SLL:
		return (p = take(r, 16)) != NULL ? get16(p + 14) : -1;
	case LINK_SLL2:
		return (p = take(r, 20)) != NULL ? get16(p) : -1;
	case LINK_NULL:
	case LINK_LOOP:
		return (p = take(r, 4)) != NULL ? bsd_type(p) : -1;
	case LINK_RAW:
	case LINK_RAW_BSD:
	case LINK_RAW_FILE:
		return raw_type(r);
	default:
		return -1;
	}
}

static int
without_vlan(int type, struct rest *r)
{
	const unsigned char *p;

	while (type == ETHER_VLAN || type == ETHER_QINQ ||
	    type == ETHER_QINQ_OLD) {
		if ((p = take(r, 4)) == NULL)
			return -1;
		type = get16(p + 2);
	}
	return type;
}

static void
set_addresses(struct segment *s, int family, const unsigned char *from,
    size_t size)
{
	s->from = s->to = (struct endpoint){ .family = family };
	memcpy(s->from.addr, from, size);
	memcpy(s->to.addr, from + size, size);
}

/*
 * The IP header says where the packet ends, as short frames are padded.  A
 * packet that the card will segment, or has merged, may be longer than its
 * header can say.  The header then says 0 (Linux, "BIG TCP"; some TSO drivers
 * before it), and all bytes belong to the packet.
 */
static void
set_length(struct rest *r, size_t length)
{
	r->length = length != 0 ? length : r->was;
}

static bool
ipv4(struct segment *s, struct rest *r)
{
	const unsigned char *p = r->at;
	size_t header;

	if (r->have < IPV4_HEADER || p[0] >> 4 != 4)
		return false;
	header = (size_t)(p[0] & 0x0f) * 4;
	if (header < IPV4_HEADER)
		return false;
	if (p[9] != IPPROTO_TCP || (get16(p + 6) & IPV4_OFFSET) != 0)
		return false;
	set_length(r, get16(p + 2));
	set_addresses(s, AF_INET, p + 12, 4);
	return take(r, header) != NULL;
}

/* The length of a jumbogram is a hop-by-hop option. */
static void
find_jumbo(struct rest *r, const unsigned char *option, size_t left)
{
	size_t size;

	for (; left > 0; option += size, left -= size) {
		size = option[0] == IPV6_PAD1 || left < 2 ? 1 : 2u + option[1];
		if (size > left)
			return;
		if (option[0] == IPV6_JUMBO && size == 6 &&
		    get32(option + 2) > r->length)
			r->length = get32(option + 2);
	}
}

/*
 * Take off one extension header: the type of the next one; -1: unreadable.
 */
static int
extension(int type, struct rest *r, bool may_be_jumbo)
{
	const unsigned char *p = r->at;
	size_t size;

	if (r->have < 8)
		return -1;
	if (type == IPPROTO_FRAGMENT)
		size = 8;
	else if (type == IPPROTO_AH)
		size = ((size_t)p[1] + 2) * 4;
	else
		size = ((size_t)p[1] + 1) * 8;
	if (type == IPPROTO_FRAGMENT && (get16(p + 2) & IPV6_OFFSET) != 0)
		return -1;
	if (size > r->have)
		return -1;
	if (type == IPPROTO_HOPOPTS && may_be_jumbo)
		find_jumbo(r, p + 2, size - 2);
	return take(r, size) != NULL ? p[0] : -1;
}

static bool
is_extension(int type)
{
	return type == IPPROTO_HOPOPTS || type == IPPROTO_ROUTING ||
	    type == IPPROTO_DSTOPTS || type == IPPROTO_FRAGMENT ||
	    type == IPPROTO_AH || type == IPPROTO_MH;
}

static bool
ipv6(struct segment *s, struct rest *r)
{
	const unsigned char *p = take(r, IPV6_HEADER);
	bool may_be_jumbo;
	int type;

	if (p == NULL || p[0] >> 4 != 6)
		return false;
	may_be_jumbo = get16(p + 4) == 0;
	set_length(r, get16(p + 4));
	set_addresses(s, AF_INET6, p + 8, 16);
	for (type = p[6]; is_extension(type);)
		type = extension(type, r, may_be_jumbo);
	return type == IPPROTO_TCP;
}

static bool
has_mptcp(const unsigned char *option, size_t left)
{
	size_t size;

	for (; left > 0 && option[0] != OPTION_END; option += size) {
		if (option[0] == OPTION_NOP)
			size = 1;
		else if (left < 2 || option[1] < 2 || option[1] > left)
			return false;
		else
			size = option[1];
		if (option[0] == OPTION_MPTCP)
			return true;
		left -= size;
	}
	return false;
}

static bool
tcp(struct segment *s, struct rest *r)
{
	const unsigned char *p = r->at;
	size_t header;

	if (r->have < TCP_HEADER)
		return false;
	header = (size_t)(p[12] >> 4) * 4;
	if (header < TCP_HEADER || take(r, header) == NULL)
		return false;
	s->from.port = get16(p);
	s->to.port = get16(p + 2);
	s->seq = get32(p + 4);
	s->flags = p[13];
	s->ack = s->flags & SEGMENT_ACK ? get32(p + 8) : 0;
	s->window = get16(p + 14);
	s->mptcp = (s->flags & SEGMENT_SYN) &&
	    has_mptcp(p + TCP_HEADER, header - TCP_HEADER);
	s->length = (uint32_t)r->length;
	return true;
}

bool
segment_parse(struct segment *s, int link, const void *packet, size_t have,
    size_t was)
{
	struct rest r = { packet, have, was > have ? was : have, SIZE_MAX };

	switch (without_vlan(link_type(link, &r), &r)) {
	case ETHER_IPV4:
		return ipv4(s, &r) && tcp(s, &r);
	case ETHER_IPV6:
		return ipv6(s, &r) && tcp(s, &r);
	default:
		return false;
	}
}

const char *
segment_flags(const struct segment *s, char *buf)
{
	static const char letters[] = "FSRP.UEW";
	char *p = buf;

	if (s->flags == 0)
		return memcpy(buf, "[none]", sizeof("[none]"));
	*p++ = '[';
	for (int bit = 0; bit < 8; bit++)
		if (s->flags & 1 << bit)
			*p++ = letters[bit];
	*p++ = ']';
	*p = '\0';
	return buf;
}

uint32_t
segment_span(const struct segment *s)
{
	return s->length + (s->flags & SEGMENT_SYN ? 1 : 0) +
	    (s->flags & SEGMENT_FIN ? 1 : 0);
}

const char *
endpoint_text(const struct endpoint *e, char *buf)
{
	char addr[INET6_ADDRSTRLEN];

	if (inet_ntop(e->family, e->addr, addr, sizeof(addr)) == NULL)
		addr[0] = '\0';
	snprintf(buf, ENDPOINT_SIZE, "%s.%u", addr, (unsigned)e->port);
	return buf;
}

bool
endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->family == b->family && a->port == b->port &&
	    memcmp(a->addr, b->addr, a->family == AF_INET ? 4 : 16) == 0;
}
