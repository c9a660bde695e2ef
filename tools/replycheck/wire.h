/*
 * wire.h - what carries a request: TCP, or TLS above it
 */
#ifndef WIRE_H
#define WIRE_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

struct wire {
	int	 fd;		/* -1: closed */
	short	 wants;		/* POLLIN or POLLOUT, for the handshake */
	void	*tls;		/* of OpenSSL; NULL: none */
};

/* NULL: it speaks TLS, and ignores SIGPIPE from now on.  Else: why not. */
const char *wire_tls_missing(void);

void	wire_begin(struct wire *w, int fd);
void	wire_end(struct wire *w);

/*
 * The handshake, with any certificate; host is the server's name for SNI.
 * Returns 0, or -1: EAGAIN, and wants says what is to be awaited; else another
 * errno, EPROTO for what is no TLS.
 */
int	wire_shake(struct wire *w, const char *host);

/* As send(2) and recv(2), without SIGPIPE. */
ssize_t	wire_send(struct wire *w, const void *buf, size_t n);
ssize_t	wire_recv(struct wire *w, void *buf, size_t n);

/* Whether wire_recv() would return something now, or fail. */
bool	wire_readable(struct wire *w);

#endif /* WIRE_H */
