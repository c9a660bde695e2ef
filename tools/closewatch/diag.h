/*
 * diag.h - what the kernel says of a TCP connection, asked by its ports
 *
 * sock_diag(7), which ss(8) asks too, also answers when no program has a
 * descriptor of the connection any more.
 */
#ifndef DIAG_H
#define DIAG_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stdint.h>

#include "closewatch/segment.h"

struct diag_look {
	int	state;			/* TCP_ESTABLISHED..., or DIAG_GONE */
	long	unacked;		/* sent, not acknowledged; no FIN */
	long	unread;			/* received, not read */
};

#define DIAG_GONE	0		/* no TCP state has this number */

/* The socket that diag_look() asks by; -1 and errno. */
int	diag_open(void);

/*
 * One end of a connection over 127.0.0.1, by its ports (network byte order).
 * False and errno: the kernel did not answer.
 */
bool	diag_look(int diag, in_port_t local, in_port_t remote,
	    struct diag_look *look);

/*
 * The socket at the local end of any TCP connection: the established one, else
 * one that listens there.  Its inode number is 0 before accept(2), and after
 * close(2).  False: there is none, or the kernel did not answer.
 */
struct diag_socket {
	int		state;
	uint32_t	inode;
};

bool	diag_socket(int diag, const struct endpoint *local,
	    const struct endpoint *remote, struct diag_socket *found);

/*
 * Calls the function for each socket that listens, with AF_INET or AF_INET6.
 * An IPv4 address in IPv6 is given as IPv4; both: an IPv6 socket that takes
 * IPv4, too.  -1 and errno.
 */
typedef void	diag_listener(void *arg, const struct endpoint *local,
	    bool both, uint32_t inode);

int	diag_listeners(int family, diag_listener *tell, void *arg);

/*
 * The bytes of a send queue, without the FIN: the kernel counts a FIN of its
 * own as one byte until the peer acknowledges it.
 */
long	diag_without_fin(int state, long queued);

/* "ESTABLISHED"..., "gone". */
const char *
	diag_state_name(int state);

#endif /* DIAG_H */
