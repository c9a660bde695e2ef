/*
 * every_form.c - one close in every form that takes options
 */
#include <string.h>

#include "api/every_form.h"
#include "support/util.h"

const enum closing_form every_form[NFORMS] = {
	F_BLOCKING, F_EPOLL, F_POLL, F_REAPER
};

struct closing_way way;
struct closing closed;

void
form_given(int i, int until, int timeout_ms, int idle_ms)
{
	way = (struct closing_way){ .form = form_of(i), .cancel_ms = -1,
	    .opts = t_opts(until, GRACECLOSE_DETACH, timeout_ms, idle_ms) };
}

void
form_close(int fd)
{
	closing_run(&closed, &way, fd);
}

void
form_succeeded(int finished)
{
	t_error_is(closed.error, T_ERRNO_UNTOUCHED);
	ck_assert_int_eq(closed.value, 0);
	ck_assert(closed.released);
	t_report_is(&closed.report, GRACECLOSE_OK, 0, 1, finished);
	ck_assert_uint_eq(closed.report.unacked, 0);
	t_error_is(closed.report.cause, 0);
}

void
form_failed(int error)
{
	ck_assert_int_eq(closed.value, -1);
	t_error_is(closed.error, error);
	ck_assert(closed.released);
	ck_assert_int_eq(closed.report.outcome, t_outcome(error));
	t_error_is(closed.report.error, error);
}

void
form_knows(int delivered, int finished)
{
	ck_assert_int_eq(closed.report.delivered, delivered);
	ck_assert_int_eq(closed.report.finished, finished);
}

void
form_took(int64_t low, int64_t high)
{
	t_between((int64_t)closed.report.elapsed_us / 1000, low, high);
}
