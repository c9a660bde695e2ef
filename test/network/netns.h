/*
 * netns.h - two hosts on this machine: network namespaces, with no link yet
 *
 * Each namespace has a TUN device.  What a host sends to the other can be read
 * from its device's descriptor, and it receives what is written there.  Both
 * speak IPv4 and IPv6, send segments of at most T_NETNS_MTU bytes, and send no
 * packet by themselves.
 */
#ifndef TEST_NETNS_H
#define TEST_NETNS_H

#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>

enum { T_NS_US, T_NS_PEER, T_NETNS_COUNT };

#define T_NETNS_MTU	1500

/*
 * t_netns_prepare makes both and moves the process to T_NS_US, before the
 * process has a thread.  A child that calls it gets two of its own.
 * t_netns_missing: why the machine allows none, or NULL.
 */
void		 t_netns_prepare(void);
const char	*t_netns_missing(void);
int		 t_netns_rto_ms(void);

int		 t_netns_tun(int host);		/* not blocking */
int		 t_netns_socket(int host, int family);
socklen_t	 t_netns_address(struct sockaddr_storage *, int host,
		    int family, in_port_t port);

#endif /* TEST_NETNS_H */
