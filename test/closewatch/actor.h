/*
 * actor.h - a process that listens and connects over loopback as it is told
 */
#ifndef ACTOR_H
#define ACTOR_H

#include <sys/types.h>

#include <netinet/in.h>

#include <stdbool.h>

struct actor {
	pid_t	pid;
	int	fd;			/* what tells it */
};

/* uid: whom it becomes; 0: it stays what it is.  NULL: no name of its own. */
void		actor_start(struct actor *a, uid_t uid, const char *name);
void		actor_end(struct actor *a);

/*
 * Ports in host byte order.  In IPv6 `any` takes IPv4 as well; otherwise the
 * address is that of loopback.  A port of 0 is a new one, and every port may
 * be shared (SO_REUSEPORT).
 */
in_port_t	actor_listen(struct actor *a, int family, bool any,
		    in_port_t port);

/* The port of the client. */
in_port_t	actor_connect(struct actor *a, int family, in_port_t server);

/* The port of the server; 0: nobody has connected for a while. */
in_port_t	actor_accept(struct actor *a);

/* Close the last connection, first or after the peer has. */
void		actor_close(struct actor *a);
void		actor_close_second(struct actor *a);
void		actor_stop_listening(struct actor *a);

#endif /* ACTOR_H */
