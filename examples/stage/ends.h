/*
 * ends.h - the two ends of one TCP connection over loopback, and what the
 * kernel says of each
 */
#ifndef ENDS_H
#define ENDS_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>

#include "closewatch/diag.h"

/*
 * An end has fd -1 if its descriptor was closed, or if a closing verb is at
 * work on it: no other code may use that number any more.  The kernel often
 * keeps the connection longer, so ends_look() then finds it by its ports.
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

/* Close the descriptors that are still open, and ignore errors. */
void	ends_close(struct ends *ends);

/* The same connection, for a thread that uses only one descriptor. */
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

/* Send all, blocking: how many bytes send() took; after an error, errno. */
size_t	ends_send(int fd, const void *data, size_t size);

#endif /* ENDS_H */
