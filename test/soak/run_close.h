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
 * On the wire of this process, which is there.  False: it broke the promise,
 * and stderr has been told how, with the plan and the segments; with `verbose`
 * of any close, but for the segments.
 */
bool	run_close(const struct plan *, struct closing *, struct judgement *,
	    bool verbose);

#endif /* TEST_RUN_CLOSE_H */
