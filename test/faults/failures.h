/*
 * failures.h - the ways in which a kernel lets each system call fail
 */
#ifndef TEST_FAILURES_H
#define TEST_FAILURES_H

#include <stddef.h>

#include "faults/fault.h"

/*
 * Whether the verdict must stand when one call fails so, or when each does.
 * Where it need not, it may be an error that names something else.
 */
enum { SAFE, STANDS };

struct failure {
	enum fault_call	call;
	int		how;
	int		once, always;
};

extern const struct failure failures[];
extern const size_t nfailures;

const char	*failures_how(int how);		/* for a message */

#endif /* TEST_FAILURES_H */
