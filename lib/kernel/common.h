/*
 * common.h - what the files of lib/kernel/ share
 *
 * Nothing outside of this folder includes it; kernel.h is the interface.
 */
#ifndef GRACECLOSE_COMMON_H
#define GRACECLOSE_COMMON_H

#include <stdbool.h>

/* An integer option of a socket, or -1 with errno. */
int	graceclose_sockopt(int fd, int level, int name);

/* Whether the socket has a peer: getpeername(2) and its errno value, or 0. */
int	graceclose_peername(int fd);

/*
 * The kind of a descriptor of which nothing is known, by what every socket can
 * tell.  -1 with errno: EBADF, ENOTSOCK, EOPNOTSUPP, ENOTCONN.
 */
int	graceclose_kind_of_socket(int fd);

/* Of each system: the kind of a stream socket, or -1 for none that we know. */
int	graceclose_kind_by_protocol(int fd);

/*
 * The wait of graceclose_tcp_wait() without epoll.  poll(2) says EINVAL where
 * RLIMIT_NOFILE is 0, and a sandbox may refuse it; then the wait is a nap.
 */
void	graceclose_wait_poll(int fd, short events, int timeout_ms);

#endif /* GRACECLOSE_COMMON_H */
