/*
 * loop.h - one epoll(7) loop for the peers that are written by hand
 *
 * The loop accepts, registers each connection for its close, and calls step()
 * at each event.  So what differs between two of these peers is the close.
 */
#ifndef LOOP_H
#define LOOP_H

#include <stddef.h>
#include <stdint.h>

struct loop_peer {
	uint32_t	  events;	/* to register with epoll_ctl(2) */
	size_t		  size;		/* of the state of one close */

	/* Begins, with a limit in ms: sends the FIN.  -1: refused, over. */
	int		(*begin)(void *, int, int);
	/* 1: goes on.  0: over, in order.  -1: failed. */
	int		(*step)(void *, int);
	/* Releases the descriptor. */
	int		(*end)(void *, int);
	/* When to step at the latest, in ms; NULL: there are no limits. */
	int		(*timeout)(const void *);
};

void	loop_start(const struct loop_peer *, int);
void	loop_serve(const struct loop_peer *, int, int);
int	loop_close_all(const struct loop_peer *, const int *, int, int);

#endif /* LOOP_H */
