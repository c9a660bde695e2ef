/*
 * util.h - everything that the suites share
 *
 * Every suite runs with CK_FORK=yes and CK_FORK=no.  Threads only record what
 * they see; the test itself asserts, after it joined them.
 */
#ifndef TEST_UTIL_H
#define TEST_UTIL_H

#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <check.h>

#include <graceclose.h>

#include "support/assertions.h"		/* errno by name, verdicts, bytes */
#include "support/chance.h"		/* a seed, and random numbers */
#include "support/clock.h"		/* time, and a faster clock */
#include "support/descriptors.h"	/* their number; some no connection */
#include "support/options.h"		/* options of a close, good and bad */
#include "support/pairs.h"		/* connections of every family */
#include "support/platform.h"		/* sanitizers, valgrind, plain POSIX */
#include "support/proc.h"		/* other threads, as /proc shows them */
#include "support/readers.h"		/* threads that read at the peer */
#include "support/reapers.h"		/* a reaper and its verdicts */
#include "support/rights.h"		/* what a test may do here */
#include "support/runner.h"		/* suites, skips, time limits */
#include "support/states.h"		/* a connection in every state */
#include "support/threads.h"		/* threads, children, signals */
#include "support/transfer.h"		/* send, receive, peek */
#include "support/trouble.h"		/* lost segments, resets */
#include "support/wait.h"		/* wait for a state, not for a time */

#endif /* TEST_UTIL_H */
