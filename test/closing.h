/*
 * closing.h - one close in any of the forms, and what is to be seen of it
 */
#ifndef TEST_CLOSING_H
#define TEST_CLOSING_H

#include <stdbool.h>
#include <stdint.h>

#include <graceclose.h>

#include "plan.h"

struct closing {
	int		value;		/* what it returned */
	int		error;		/* errno then, T_ERRNO_UNTOUCHED before */
	bool		reported;	/* there is a report in this form */
	struct graceclose_report report;
	bool		released;	/* the descriptor, at the return */
	bool		cancelled;	/* we ended it */
	int64_t		start_us, end_us;
};

void	closing_run(struct closing *, const struct plan *, int fd);

#endif /* TEST_CLOSING_H */
