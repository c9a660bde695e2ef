/*
 * judge.h - decides whether a close of the soak kept the promise, by the log of
 * the link
 */
#ifndef TEST_JUDGE_H
#define TEST_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network/closing.h"
#include "soak/plan.h"

struct evidence {
	const struct plan	*plan;
	const struct closing	*closing;
	uint64_t	written;	/* by us, before the close */
	uint64_t	read;
	bool		disturbed;	/* a write or a read took the error */
	bool		heard;		/* what the peer has is known */
	bool		heard_all;	/* every byte */
	bool		heard_right;	/* and our FIN */
};

struct judgement {
	bool	right;			/* it kept the promise */
	char	wrong[400];		/* in what it did not */
	bool	timed;			/* a stall of the machine can do that */
	int64_t	late_us;		/* behind what it had to wait for, */
	bool	timely;			/* if that is known */
};

void	judge(const struct evidence *, struct judgement *);

/* enum graceclose_outcome by what was returned; -1: none has that errno. */
int	judge_outcome(const struct closing *);

#endif /* TEST_JUDGE_H */
