/*
 * transfer.h - sends and receives without SIGPIPE and without endless waits
 */
#ifndef TEST_TRANSFER_H
#define TEST_TRANSFER_H

#include <sys/types.h>

#include <stddef.h>

#include "support/pairs.h"

struct t_got {
	size_t	bytes;
	int	error;		/* 0: EOF; ETIMEDOUT: neither within limit */
};

void		 t_write(int, size_t);		/* all of it */
int		 t_try_write(int);		/* errno of one byte, or 0 */
size_t		 t_fill(int);			/* until EAGAIN stays */
/* t_fill by us, until what the peer has of it is acknowledged: 40 ms or more */
size_t		 t_fill_settled(const struct t_pair *);
struct t_got	 t_read_all(int);		/* until EOF or errno */
void		 t_read(int, size_t);		/* exactly so much */
void		 t_fin(int);			/* shutdown(SHUT_WR) */

/*
 * On AF_UNIX delivered means that the peer's program has read everything.  It
 * reads n bytes there, and returns what is left to be read: n, or 0.
 */
size_t		 t_take_if_local(int, size_t n);

/* Looks at a socket; the first two take its pending error away. */
ssize_t		 t_peek(int);			/* at one byte */
int		 t_pending_error(int);		/* SO_ERROR */
int		 t_peername(int);		/* errno of getpeername, or 0 */

/* How the connection ended for the peer. */
#define t_saw(got, n, e) do {						\
	struct t_got t_saw_ = (got);					\
	t_error_is(t_saw_.error, e);					\
	ck_assert_uint_eq(t_saw_.bytes, (n));				\
} while (0)

#endif /* TEST_TRANSFER_H */
