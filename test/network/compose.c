/* compose.c - one TCP segment as an IPv4 packet, and ICMP about one */
#include <string.h>

#include "network/compose.h"

#define IP_HEADER	20
#define TCP_HEADER	20
#define ICMP_HEADER	8
#define OPTION_MSS	0x02040000	/* kind 2, length 4, the value */

static void
put16(unsigned char *p, uint32_t value)
{
	p[0] = (unsigned char)(value >> 8);
	p[1] = (unsigned char)value;
}

static void
put32(unsigned char *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value);
}

/* The sum of the Internet checksum (RFC 1071), on top of another one. */
static uint32_t
sum(const unsigned char *p, size_t n, uint32_t total)
{
	size_t i;

	for (i = 0; i < n; i++)
		total += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	return total;
}

static uint32_t
checksum(uint32_t total)
{
	while (total > 0xffff)
		total = (total >> 16) + (total & 0xffff);
	return total ^ 0xffff;
}

static void
put_ip(unsigned char *ip, int protocol, const struct endpoint *from,
    const struct endpoint *to, size_t length)
{
	memset(ip, 0, IP_HEADER);
	ip[0] = 4 << 4 | IP_HEADER / 4;
	put16(ip + 2, (uint32_t)length);
	ip[6] = 0x40;			/* do not fragment */
	ip[8] = 64;
	ip[9] = (unsigned char)protocol;
	memcpy(ip + 12, from->addr, 4);
	memcpy(ip + 16, to->addr, 4);
	put16(ip + 10, checksum(sum(ip, IP_HEADER, 0)));
}

size_t
compose(unsigned char *packet, const struct segment *s, uint16_t mss,
    const unsigned char *data)
{
	unsigned char *tcp = packet + IP_HEADER;
	size_t header = TCP_HEADER + ((s->flags & SEGMENT_SYN) != 0 ? 4 : 0);
	size_t length = header + s->length;
	uint32_t total;

	put_ip(packet, IPPROTO_TCP, &s->from, &s->to, IP_HEADER + length);
	memset(tcp, 0, header);
	put16(tcp, s->from.port);
	put16(tcp + 2, s->to.port);
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->ack);
	tcp[12] = (unsigned char)(header / 4 << 4);
	tcp[13] = s->flags;
	put16(tcp + 14, s->window);
	if (header > TCP_HEADER)
		put32(tcp + TCP_HEADER, OPTION_MSS | mss);
	if (s->length > 0)
		memcpy(tcp + header, data, s->length);
	/* Both addresses, protocol and length are part of it (RFC 9293). */
	total = sum(packet + 12, 8, IPPROTO_TCP + (uint32_t)length);
	put16(tcp + 16, checksum(sum(tcp, length, total)));
	return IP_HEADER + length;
}

size_t
compose_icmp(unsigned char *packet, const struct segment *quoted, int type,
    int code)
{
	unsigned char *icmp = packet + IP_HEADER;
	struct segment s = *quoted;
	size_t length;

	s.length = 0;
	length = ICMP_HEADER + compose(icmp + ICMP_HEADER, &s, 0, NULL);
	put_ip(packet, IPPROTO_ICMP, &s.to, &s.from, IP_HEADER + length);
	memset(icmp, 0, ICMP_HEADER);
	icmp[0] = (unsigned char)type;
	icmp[1] = (unsigned char)code;
	put16(icmp + 2, checksum(sum(icmp, length, 0)));
	return IP_HEADER + length;
}
