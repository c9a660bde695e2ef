/*
 * linux.h - what the files linux*.c share
 */
#ifndef GRACECLOSE_LINUX_H
#define GRACECLOSE_LINUX_H

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <stdbool.h>
#include <stdint.h>

#include "kernel/kernel.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP	262
#endif

/*
 * TCP_ZEROCOPY_RECEIVE with no address to map to: 0 or the errno value.  It
 * moves no byte and takes no pending error, and answers three questions in one
 * call: this is TCP; it is not listening (ENOTCONN); the peer's FIN is here and
 * nothing is unread before it (EIO).  *inq is the number of unread bytes where
 * that is less than a page; a FIN behind them counts as one more.
 */
int	graceclose_linux_look(int fd, uint32_t *inq);

/* One TCP socket and no other, whatever lies above it. */
static inline bool
graceclose_linux_is_tcp(int kind)
{
	return kind == GRACECLOSE_KIND_TCP || kind == GRACECLOSE_KIND_LAYERED;
}

/* A TCP state of <netinet/tcp.h>, or -1 where the kernel shows none. */
int	graceclose_linux_state(int fd, int kind);

/* Whether another holder's connect(AF_UNSPEC) opened both directions again. */
bool	graceclose_linux_reopened(int fd);

/*
 * The token of an MPTCP connection, 0 once a reset has taken it away, which an
 * orderly end does not; -1 with errno.
 */
int64_t	graceclose_mptcp_token(int fd);

/* As tcpi_state would say it of the MPTCP connection; -1: unknown. */
int	graceclose_mptcp_state(int fd);

/* Whether the peer only speaks TCP; false where nobody knows. */
bool	graceclose_mptcp_fell_back(int fd);

#endif /* GRACECLOSE_LINUX_H */
