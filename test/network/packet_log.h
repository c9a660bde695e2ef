/*
 * packet_log.h - one entry in the log of a link: how to read it from a packet,
 * and how to print it
 */
#ifndef TEST_PACKET_LOG_H
#define TEST_PACKET_LOG_H

#include <stddef.h>
#include <stdio.h>

#include "network/link.h"

/* Sets what the packet itself says. */
void	packet_log_parse(struct t_packet *, const void *packet, size_t length);
void	packet_log_print(FILE *, const struct t_packet *, size_t n);

#endif /* TEST_PACKET_LOG_H */
