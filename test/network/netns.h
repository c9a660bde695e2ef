/*
 * netns.h - two hosts on this machine, with nothing between them
 *
 * Each is a network namespace with a TUN device: what one host sends to the
 * other can be read from the descriptor of its own device, and what is written
 * there it receives.  IPv4 and IPv6, segments of at most T_NETNS_MTU bytes, no
 * packet that the test did not ask for.
 */
#ifndef TEST_NETNS_H
#define TEST_NETNS_H

#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>

enum { T_NS_US, T_NS_PEER, T_NETNS_COUNT };

#define T_NETNS_MTU	1500

/*
 * t_netns_prepare: makes both, and moves the process to T_NS_US; before there
 * is a thread.  A child that calls it gets two of its own.  t_netns_missing:
 * why there are none, or NULL.
 */
void		 t_netns_prepare(void);
const char	*t_netns_missing(void);
int		 t_netns_rto_ms(void);

int		 t_netns_tun(int host);		/* not blocking */
int		 t_netns_socket(int host, int family);
socklen_t	 t_netns_address(struct sockaddr_storage *, int host,
		    int family, in_port_t port);

#endif /* TEST_NETNS_H */
