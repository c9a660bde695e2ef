/*
 * netns.h - two hosts on this machine, with nothing between them
 *
 * Each is a network namespace with a TUN device: what one host sends to the
 * other can be read from the descriptor of its own device, and what is written
 * there it receives.  IPv4 and IPv6, segments of at most T_HOSTS_MTU bytes, no
 * packet that the test did not ask for.
 */
#ifndef TEST_NETNS_H
#define TEST_NETNS_H

#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>

enum { T_HERE, T_THERE, T_HOSTS };

#define T_HOSTS_MTU	1500

/*
 * t_hosts_prepare: makes both, and moves the process to T_HERE; before there
 * is a thread.  A child that calls it gets two of its own.  t_hosts_missing:
 * why there are none, or NULL.
 */
void		 t_hosts_prepare(void);
const char	*t_hosts_missing(void);
int		 t_hosts_rto_ms(void);

int		 t_hosts_tun(int host);		/* not blocking */
int		 t_hosts_socket(int host, int family);
socklen_t	 t_hosts_address(struct sockaddr_storage *, int host,
		    int family, in_port_t port);

#endif /* TEST_NETNS_H */
