/*
 * runner.h - runs a suite, counts skips, finds what a test left behind, and
 * notes the tests that failed because the machine was busy
 *
 * From the environment:
 *   CHECK_ONLY=name or name:index   run this test alone
 *   CHECK_PATIENCE=n                wait n times as long for what must come
 *   CHECK_STARVED=file              append each test that failed while
 *                                   starved (starved.h), as name:index
 * test/run.sh sets all three when it runs such a test again.
 *   CHECK_EMULATED=1                the processor is emulated (test/guest/):
 *                                   CPU time is worth less, and a test that
 *                                   failed after a while counts as starved:
 *                                   only the host knows when all had to wait
 */
#ifndef TEST_RUNNER_H
#define TEST_RUNNER_H

#include <stddef.h>

#include <check.h>

#include "support/platform.h"

/*
 * The patience of a test, in ms, for what must come in the end, and how often
 * it tries where a stall may be as long as a limit.  Both grow with
 * CHECK_PATIENCE; what a test asserts of the library never does.
 */
#define T_LIMIT_MS	t_patient(8000)
#define T_TRIES		t_patient(3)
#define T_SECONDS	t_patient(T_VALGRIND ? 100 : 25)
int		 t_patience(void);		/* 1 by default */
int		 t_patient(int);		/* so much, times patience */
int		 t_emulated(void);

/*
 * t_main runs the suite.  t_case has a time limit for each test, T_SECONDS,
 * and a fixture that finds leaked descriptors, signals and masks.
 */
int		 t_main(Suite *);
TCase		*t_case(Suite *, const char *);

/* libcheck's own macros, with CHECK_ONLY obeyed. */
void		 t_add_test(TCase *, const TTest *, int start, int end);
#undef tcase_add_test
#define tcase_add_test(tc, test)	t_add_test((tc), (test), 0, 1)
#undef tcase_add_loop_test
#define tcase_add_loop_test(tc, test, start, end)			\
	t_add_test((tc), (test), (start), (end))

/* Every failed assertion passes here before libcheck leaves the test. */
void		 t_failing(void);
#define _ck_assert_failed(...)						\
	(t_failing(), _ck_assert_failed(__VA_ARGS__))

/*
 * Leave the test, say why, be counted.  Usable in the test function only,
 * as it returns.
 */
#define t_skip(why) do {						\
	t_skipped(__func__, (why));					\
	return;								\
} while (0)
void		 t_skipped(const char *, const char *);

/* Leaves the test where plain POSIX has no... */
#define T_NO_ACK	"plain POSIX shows no acknowledgement"
#define T_NO_COUNT	"plain POSIX does not count unacknowledged bytes"
#define T_NO_NOTICE	"plain POSIX has no error queue to empty"
#define T_NO_PAST	"plain POSIX does not show that a connection ended"
#define T_NO_EDGE	"plain POSIX has no edges to wait for"
#define t_not_portable(why) do {					\
	if (T_PORTABLE)							\
		t_skip(why);						\
} while (0)

/* The path of `name` in the folder of `source`, which is __FILE__. */
void		 t_beside(char *buf, size_t size, const char *source,
		    const char *name);

#endif /* TEST_RUNNER_H */
