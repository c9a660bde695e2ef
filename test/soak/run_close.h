/*
 * run_close.h - one close of the soak, from the connection to the judgement
 */
#ifndef TEST_RUN_CLOSE_H
#define TEST_RUN_CLOSE_H

#include <stdbool.h>

#include "network/closing.h"
#include "soak/judge.h"
#include "soak/plan.h"

/*
 * Runs it on the link of this process, which exists.  False: the close broke
 * the promise.  Then, unless the case will run again, stderr has the reason,
 * the plan and the segments.  `verbose` prints every close, without segments.
 */
bool	run_close(const struct plan *, struct closing *, struct judgement *,
	    bool verbose);

#endif /* TEST_RUN_CLOSE_H */
