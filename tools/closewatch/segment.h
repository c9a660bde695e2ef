/*
 * segment.h - one TCP segment of a capture
 */
#ifndef SEGMENT_H
#define SEGMENT_H

#include <sys/types.h>

#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_FIN	0x01
#define SEGMENT_SYN	0x02
#define SEGMENT_RST	0x04
#define SEGMENT_PSH	0x08
#define SEGMENT_ACK	0x10

struct endpoint {
	int		family;		/* AF_INET or AF_INET6 */
	unsigned char	addr[16];	/* the first 4 of it with AF_INET */
	in_port_t	port;		/* host byte order */
};

struct segment {
	int64_t		us;		/* when, in microseconds */
	struct endpoint	from, to;
	uint32_t	seq;
	uint32_t	ack;		/* 0 without SEGMENT_ACK */
	uint32_t	length;		/* of the payload, as the headers say */
	uint16_t	window;		/* not scaled */
	uint8_t		flags;
	bool		mptcp;		/* a SYN with MP_CAPABLE (RFC 8684) */
};

/*
 * Reads a captured packet of a link type of libpcap (DLT_EN10MB, DLT_RAW,
 * DLT_NULL, DLT_LOOP, DLT_LINUX_SLL, DLT_LINUX_SLL2), of which `have` bytes
 * were captured.  On the link it was `was` bytes long, which is the only length
 * of a packet that is too long for the IP header (Linux, "BIG TCP").  False: it
 * is no TCP, or a header is cut off.  Sets all of *s except the time.
 */
bool	segment_parse(struct segment *s, int link, const void *packet,
	    size_t have, size_t was);

/* "[S.]" and so on, as tcpdump(1) puts it; buf is returned. */
#define SEGMENT_FLAGS_SIZE	12
const char *segment_flags(const struct segment *s, char *buf);

/* How many sequence numbers it takes: payload, SYN and FIN. */
uint32_t segment_span(const struct segment *s);

/* "127.0.0.1.4711", "::1.4711". */
#define ENDPOINT_SIZE	56
const char *endpoint_text(const struct endpoint *e, char *buf);
bool	endpoint_equal(const struct endpoint *a, const struct endpoint *b);

#endif /* SEGMENT_H */
