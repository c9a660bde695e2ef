/*
 * wire.h - when the last acknowledgement and the FIN of the clients passed `lo'
 *
 * A packet socket sees them.  It needs CAP_NET_RAW, which a namespace of its
 * own gives.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdint.h>

/* Begins to listen for short segments to that port; -1: not allowed. */
int	wire_open(uint16_t port);

/* Reads what came: times of CLOCK_REALTIME in seconds, 0: there was none. */
void	wire_read(int fd, double *ack, double *fin);

#endif /* WIRE_H */
