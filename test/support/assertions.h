/*
 * assertions.h - assertions that print errno by name, and those on verdicts
 */
#ifndef TEST_ASSERTIONS_H
#define TEST_ASSERTIONS_H

#include <errno.h>
#include <stdint.h>

#include <graceclose.h>

#include "support/rights.h"
#include "support/runner.h"

/* errno by name. */
const char	*t_errno(int);
#define t_error_is(e, expected) \
	ck_assert_str_eq(t_errno(e), t_errno(expected))
#define t_errno_is(e)	t_error_is(errno, e)

/* The call returns `value` and errno stays what it was. */
#define T_ERRNO_UNTOUCHED	4711
#define t_returns(call, value) do {					\
	errno = T_ERRNO_UNTOUCHED;					\
	ck_assert_int_eq((call), (value));				\
	ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);			\
} while (0)
#define t_ok(call)	t_returns(call, 0)

/* The call returns -1 with this errno. */
#define t_fails(call, e) do {						\
	errno = T_ERRNO_UNTOUCHED;					\
	ck_assert_int_eq((call), -1);					\
	t_errno_is(e);							\
} while (0)

/*
 * The close of a connection that had ended in order before: plain POSIX cannot
 * know whether it did, and may return ENOTCONN.  Nor can Linux where it does not
 * show the peer's FIN, and may return ECONNRESET (graceclose(7)).
 */
#define t_ok_once_over(call) do {					\
	int t_result_;							\
	errno = T_ERRNO_UNTOUCHED;					\
	t_result_ = (call);						\
	if (T_PORTABLE && t_result_ == -1) {				\
		t_errno_is(ENOTCONN);					\
	} else if (t_result_ == -1 && t_no_fin_look() != NULL) {	\
		t_errno_is(ECONNRESET);					\
	} else {							\
		ck_assert_int_eq(t_result_, 0);				\
		ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);		\
	}								\
} while (0)

#define t_between(ms, low, high) do {					\
	int64_t t_ms_ = (ms);						\
	ck_assert_int_ge(t_ms_, (low));					\
	ck_assert_int_le(t_ms_, (high));				\
} while (0)

/* The outcome that goes with an errno value; 0 is OK. */
int		 t_outcome(int);

#define t_report_is(r, outcome_, error_, delivered_, finished_) do {	\
	const struct graceclose_report *t_r_ = (r);			\
	ck_assert_int_eq(t_r_->outcome, (outcome_));			\
	t_error_is(t_r_->error, (error_));				\
	ck_assert_int_eq(t_r_->delivered, (delivered_));		\
	ck_assert_int_eq(t_r_->finished, (finished_));			\
	ck_assert_int_eq(t_r_->reserved0, 0);				\
	ck_assert_uint_eq(t_r_->reserved, 0);				\
} while (0)

/* Every byte sent is at the peer, or counted as unacknowledged. */
#define t_accounts_for(r, at_peer, sent) do {				\
	uint64_t t_here_ = (uint64_t)(at_peer), t_sent_ = (sent);	\
	ck_assert_uint_le(t_here_, t_sent_);				\
	ck_assert_uint_eq((r)->unacked, T_KNOWS(t_sent_ - t_here_, 0));	\
} while (0)

#endif /* TEST_ASSERTIONS_H */
