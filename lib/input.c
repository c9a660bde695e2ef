/*
 * input.c - late input: thrown away, or handed to the program
 */
#include <sys/types.h>

#include "closer.h"
#include "graceclose.h"
#include "kernel/kernel.h"

#define PIECE	8192		/* on the stack of any thread */

/* A message of a layer, such as an alert of TLS, is not for the program. */
static ssize_t
hand_over(struct graceclose *gc, size_t max)
{
	char piece[PIECE];
	ssize_t n;
	bool data;

	n = graceclose_tcp_receive(gc->fd, gc->kind, piece,
	    max < sizeof(piece) ? max : sizeof(piece), &data);
	if (n > 0 && data) {
		gc->discarded += (uint64_t)n;
		gc->late(gc->arg, piece, (size_t)n);
	}
	return n;
}

ssize_t
graceclose_input(struct graceclose *gc, size_t max)
{
	ssize_t n;

	if (gc->late != NULL)
		return hand_over(gc, max);
	n = graceclose_tcp_discard(gc->fd, gc->kind, max);
	if (n > 0)
		gc->discarded += (uint64_t)n;
	return n;
}
