/*
 * attempt.h - one request: sent, and its reply awaited
 *
 * The client is careful: where sending fails it still reads what has come.  A
 * simple client would stop there, without a reply.
 */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#include <sys/socket.h>

#include <netinet/in.h>

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "replycheck/reply.h"
#include "replycheck/wire.h"

/* What every request sends, and how. */
struct request {
	const char	*head;		/* and body, of --raw */
	size_t		 head_size;
	uint64_t	 body_size;	/* zeros */
	const char	*tls;		/* the server's name; NULL: no TLS */
	bool		 http;
	bool		 reads_while;	/* it sends */
	int		 slow_ms;	/* between two blocks */
	int		 timeout_ms;	/* in all */
};

enum attempt_end {
	ATTEMPT_WHOLE,
	ATTEMPT_TRUNCATED,	/* the server ended in order, too early */
	ATTEMPT_RESET,		/* or the connection broke, before the end */
	ATTEMPT_NONE,		/* the server ended in order, without a byte */
	ATTEMPT_TIMEOUT,
	ATTEMPT_UNCONNECTED,
	ATTEMPT_ENDS
};

enum attempt_stage {
	ATTEMPT_CONNECTS,
	ATTEMPT_SHAKES,		/* hands, for TLS */
	ATTEMPT_ASKS
};

struct attempt {
	struct wire	 wire;		/* closed: it is over */
	enum attempt_stage stage;
	bool		 sending;
	bool		 late;		/* no reply before the last block */
	uint64_t	 sent;
	int64_t		 due_us;	/* the next block */
	int64_t		 until_us;
	in_port_t	 port;		/* its own, in host byte order */
	int		 send_error;	/* errno; 0: none */
	int		 error;		/* of connect(2), TLS, recv(2) */
	enum attempt_end end;
	struct reply	 reply;
};

/* Bytes, head and body. */
uint64_t request_size(const struct request *r);

void	attempt_begin(struct attempt *a, const struct request *r,
	    const struct sockaddr *addr, socklen_t len);

/* What it waits for; returns how long at most, in milliseconds. */
int	attempt_wants(const struct attempt *a, const struct request *r,
	    struct pollfd *p);
void	attempt_step(struct attempt *a, const struct request *r, short revents);

bool	attempt_over(const struct attempt *a);

/* Of one that is over: a client that stops where sending fails has it. */
bool	attempt_simple(const struct attempt *a);

#endif /* ATTEMPT_H */
