/*
 * pairs.h - connections of every family, over loopback
 */
#ifndef TEST_PAIRS_H
#define TEST_PAIRS_H

#include <stddef.h>

#include "support/runner.h"

/* Families, as an index for tcase_add_loop_test; the TCP ones come first. */
enum {
	T_IPV4,
	T_IPV6,
	T_MPTCP,
	T_UNIX,
	T_FAMILIES,
	T_PLAIN = T_MPTCP,	/* loop end: plain TCP, filters work there */
	T_TCP = T_UNIX		/* loop end: whatever has acknowledgements */
};

/*
 * The same with each side connecting in turn: even indices accept, odd ones
 * connect.
 */
#define T_ANY_PLAIN	(2 * T_PLAIN)
#define T_ANY_TCP	(2 * T_TCP)
#define T_ANY		(2 * T_FAMILIES)

struct t_family {
	const char	*name;
	int		 domain;
	int		 protocol;
};

extern const struct t_family t_families[T_FAMILIES];

/*
 * A connection: our side, which the library closes, and the peer's.
 */
struct t_pair {
	int	us;
	int	peer;
};

/*
 * Why the family is absent here, or NULL: for the kernel, and for the library
 * as well.
 */
const char	*t_absent(int);
const char	*t_missing(int);
#define t_need_kernel(family) do {					\
	if (t_absent(family) != NULL)					\
		t_skip(t_absent(family));				\
} while (0)
#define t_need(family) do {						\
	if (t_missing(family) != NULL)					\
		t_skip(t_missing(family));				\
} while (0)
#define t_need_any(i) t_need((i) / 2)

int		 t_socket(int);
int		 t_listen(int);			/* port 0 */
int		 t_connect(int, int);		/* family, listener */
int		 t_accept(int);

/*
 * Pairs over 127.0.0.1, ::1 or an abstract AF_UNIX name.
 * t_pair: the peer connected to us; t_pair_connecting: we connected;
 * t_pair_any: by an index below T_ANY.
 * t_pair_small: the peer's receive buffer has 4096 bytes (MPTCP: 32768) and
 * our send buffer is small, so that t_fill soon meets a window of zero.
 * t_pair_full: that is done; returns how many bytes were sent.
 * t_pair_reset: the peer sent RST, and our kernel received it.
 */
void		 t_pair(struct t_pair *, int);
void		 t_pair_connecting(struct t_pair *, int);
void		 t_pair_any(struct t_pair *, int);
void		 t_pair_small(struct t_pair *, int);
size_t		 t_pair_full(struct t_pair *, int);
void		 t_pair_reset(struct t_pair *, int);

void		 t_rcvbuf(int, int);		/* beyond rmem_max, too, */
void		 t_sndbuf(int, int);		/* or wmem_max, where allowed */
void		 t_close(int);			/* must succeed */
void		 t_close_pair(struct t_pair *);	/* a peer of -1 is closed */

#endif /* TEST_PAIRS_H */
