/*
 * compose.h - writes one TCP segment as an IPv4 packet, the reverse of
 * segment_parse(), or an ICMP message about a segment
 */
#ifndef TEST_COMPOSE_H
#define TEST_COMPOSE_H

#include <stddef.h>
#include <stdint.h>

#include "closewatch/segment.h"

/*
 * Writes the segment, with s->length bytes of data, checksums and all; a SYN
 * gets the option MSS.  The packet has room for COMPOSE_HEADERS and the data.
 * Returns its length.
 */
#define COMPOSE_HEADERS	44
size_t	 compose(unsigned char *packet, const struct segment *s, uint16_t mss,
	    const unsigned char *data);

/*
 * A message of ICMP (RFC 792) to the sender of this segment, which it quotes
 * without its data.
 */
#define COMPOSE_ICMP	(28 + COMPOSE_HEADERS)
size_t	 compose_icmp(unsigned char *packet, const struct segment *quoted,
	    int type, int code);

#endif /* TEST_COMPOSE_H */
