/*
 * packet_log.h - one packet in the log of a wire: what it is, how it reads
 */
#ifndef TEST_PACKET_LOG_H
#define TEST_PACKET_LOG_H

#include <stddef.h>
#include <stdio.h>

#include "network/link.h"

/* Sets all that the packet itself says. */
void	packet_log_parse(struct t_packet *, const void *packet, size_t length);
void	packet_log_print(FILE *, const struct t_packet *, size_t n);

#endif /* TEST_PACKET_LOG_H */
