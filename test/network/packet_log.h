/*
 * packet_log.h - one packet in the log of a wire: what it is, how it reads
 */
#ifndef TEST_PACKET_LOG_H
#define TEST_PACKET_LOG_H

#include <stddef.h>
#include <stdio.h>

#include "network/link.h"

/* Sets all that the packet itself says. */
void	passage_read(struct t_passage *, const void *packet, size_t length);
void	passage_print(FILE *, const struct t_passage *, size_t n);

#endif /* TEST_PACKET_LOG_H */
