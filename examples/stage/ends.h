/*
 * ends.h - the two ends of one TCP connection over loopback, and what the
 * kernel says of each.
 */
#ifndef ENDS_H
#define ENDS_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>

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

struct look {
	int	state;			/* TCP_ESTABLISHED..., or ENDS_GONE */
	long	unacked;		/* sent, not acknowledged; no FIN */
	long	unread;			/* received, not read */
};

#define ENDS_GONE	0		/* no TCP state has this number */

/* Connect; a rcvbuf that is not 0 keeps the client's receive queue small. */
void	ends_open(struct ends *ends, int rcvbuf);

/* Close what is still open.  What a dead connection says does not matter. */
void	ends_close(struct ends *ends);

/* The same connection as a thread sees it that has only one descriptor. */
struct ends
	ends_client_view(const struct ends *ends);
struct ends
	ends_server_view(const struct ends *ends);

void	ends_look(const struct ends *ends, struct look *client,
	    struct look *server);
const char *
	ends_state_name(int state);

/*
 * The state of any connection over 127.0.0.1, by the ports (network byte
 * order) of one end of it; ENDS_GONE, or -1 with errno.  Asks by a socket that
 * ends_diag_open() made, so that no descriptor comes and goes meanwhile.
 */
int	ends_diag_open(void);
int	ends_diag_state(int diag, in_port_t local, in_port_t remote);

/* Wait, 5 s at most, until both are in one of these states: ENDS_IN | ... */
#define ENDS_IN(state)	(1u << (state))
#define ENDS_ANY	(~0u)
bool	ends_await(const struct ends *ends, unsigned client, unsigned server);

/* Wait until all that the client sent was acknowledged; 5 s at most. */
bool	ends_await_acked(const struct ends *ends);

/* Send all of it, blocking; how much was taken, errno says what stopped it. */
size_t	ends_send(int fd, const void *data, size_t size);

#endif /* ENDS_H */
