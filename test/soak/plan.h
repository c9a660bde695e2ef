/*
 * plan.h - draws one close of the soak, its network and its peer, from a seed
 * and a number
 */
#ifndef TEST_PLAN_H
#define TEST_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "network/closing.h"
#include "network/scripted_peer.h"
#include "network/kernel_peer.h"
#include "network/link.h"

struct plan {
	uint64_t	seed;
	size_t		number;
	/* the network */
	struct t_impair impair[T_WAYS];
	/* the peer */
	bool		scripted;
	struct t_script	script;
	struct kernel_peer_ways kernel_peer;
	int		family;
	/* the connection before the close */
	bool		connecting;	/* we did */
	size_t		size;		/* to be written, if it goes */
	int		sndbuf;		/* 0: as the kernel has it */
	int		pause_ms;	/* between that and the close */
	size_t		reads;		/* of what has come then */
	int		linger;		/* SO_LINGER seconds left on; -1 */
	bool		nonblock;
	struct closing_way way;
};

extern const char *const plan_forms[FORMS];

void	plan_draw(struct plan *, uint64_t seed, size_t number);
void	plan_print(FILE *, const struct plan *);

/* The limits that the options mean; -1: none. */
int	plan_timeout_ms(const struct plan *);
int	plan_idle_ms(const struct plan *);

#endif /* TEST_PLAN_H */
