/*
 * states.h - a connection in every state that a close may find
 */
#ifndef TEST_STATES_H
#define TEST_STATES_H

#include "support/pairs.h"

/*
 * `make` brings a fresh pair into the state; it sets the peer's descriptor to
 * -1 when it closed that.  `closed` and `bits` are what peer_closed() and the
 * probe must report where the kernel shows whether the peer's FIN came;
 * t_state_closed() and t_state_bits() have what they must report on this
 * kernel.  Bits outside of `sure` may have either value.
 */
struct t_state {
	const char	*name;
	void		(*make)(struct t_pair *);
	int		 families;	/* loop end: T_PLAIN, T_TCP... */
	int		 closed;	/* peer_closed(): 1, 0, -1 */
	int		 bits;
	int		 sure;
};
extern const struct t_state t_states[];
extern const int t_nstates;
/* Why this process cannot bring about the state, or NULL. */
const char	*t_state_missing(const struct t_state *);
#define t_need_state(s) do {						\
	if (t_state_missing(s) != NULL)					\
		t_skip(t_state_missing(s));				\
} while (0)
/* What is said of it, on side `i` of t_pair_any(). */
int		 t_state_closed(const struct t_state *, int);
int		 t_state_bits(const struct t_state *, int);
void		 t_state_pair(struct t_pair *, const struct t_state *, int);

#endif /* TEST_STATES_H */
