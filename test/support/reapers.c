/*
 * reapers.c - a reaper, and what it reports of each close
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/proc.h"
#include "support/reapers.h"
#include "support/runner.h"

struct graceclose_reaper *
t_reaper(const struct graceclose_reaper_opts *ro)
{
	struct graceclose_reaper *reaper;

	errno = T_ERRNO_UNTOUCHED;
	reaper = graceclose_reaper_new(ro);
	ck_assert_msg(reaper != NULL, "new: %s", strerror(errno));
	ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);
	return reaper;
}

void
t_reaper_free(struct graceclose_reaper *reaper)
{
	pid_t tid = t_named(T_REAPER);

	errno = T_ERRNO_UNTOUCHED;
	graceclose_reaper_free(reaper);
	ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);
	t_wait_gone(tid);
}

static int places;

void
t_done(void *arg, void *cookie, const struct graceclose_report *report)
{
	struct t_verdict *v = cookie;

	v->report = *report;
	v->arg = arg;
	v->tid = gettid();
	v->released = fcntl(v->fd, F_GETFD) == -1;
	v->place = __atomic_add_fetch(&places, 1, __ATOMIC_RELAXED);
	v->at_ms = t_now_ms();
	__atomic_add_fetch(&v->times, 1, __ATOMIC_RELEASE);
}

int
t_told(const struct t_verdict *v)
{
	return __atomic_load_n(&v->times, __ATOMIC_ACQUIRE);
}

void
t_wait_told(const struct t_verdict *v)
{
	int64_t end;

	for (end = t_now_ms() + T_LIMIT_MS; t_told(v) == 0; t_pause(1))
		ck_assert_msg(t_now_ms() < end, "done is not called");
}
