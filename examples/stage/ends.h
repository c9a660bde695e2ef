/*
 * ends.h - the two ends of one TCP connection over loopback, and what the
 * kernel says of each.
 */
#ifndef ENDS_H
#define ENDS_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>

#include "closewatch/diag.h"

/*
 * An end whose descriptor was closed, or was handed to a closing verb that is
 * still at work, has fd -1: nobody else may use that number any more.  The
 * kernel often keeps the connection a while longer, so it is looked up by its
 * ports instead.
 */
struct end {
	int		fd;
	in_port_t	port;		/* network byte order */
};

struct ends {
	struct end	client;
	struct end	server;
};

/* Connect; a rcvbuf that is not 0 keeps the client's receive queue small. */
void	ends_open(struct ends *ends, int rcvbuf);

/* Close what is still open.  What a dead connection says does not matter. */
void	ends_close(struct ends *ends);

/* The same connection as a thread sees it that has only one descriptor. */
struct ends
	ends_client_view(const struct ends *ends);
struct ends
	ends_server_view(const struct ends *ends);

void	ends_look(const struct ends *ends, struct diag_look *client,
	    struct diag_look *server);

/* Wait, 5 s at most, until both are in one of these states: ENDS_IN | ... */
#define ENDS_IN(state)	(1u << (state))
#define ENDS_ANY	(~0u)
bool	ends_await(const struct ends *ends, unsigned client, unsigned server);

/* Wait until all that the client sent was acknowledged; 5 s at most. */
bool	ends_await_acked(const struct ends *ends);

/* Send all of it, blocking; how much was taken, errno says what stopped it. */
size_t	ends_send(int fd, const void *data, size_t size);

#endif /* ENDS_H */
