/*
 * closing.c - closes one connection in any form, as the pages show it
 *
 * It takes the time of the return at once, so that the verdict may rest only on
 * what the link carried up to then.
 */
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "network/closing.h"
#include "support/util.h"
#include "network/link.h"

#define PATIENCE_MS	60000	/* of a flush; workers kill earlier */

/* Another thread may have got the number again by now, for a file. */
static bool
is_socket(int fd, ino_t socket)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    st.st_ino == socket;
}

static void
returned(struct closing *c, int fd, int value)
{
	c->error = errno;
	c->end_us = t_now_us();
	c->value = value;
	c->released = !is_socket(fd, c->socket);
}

static void
by_verb(struct closing *c, const struct closing_way *w, int fd)
{
	int value;

	errno = T_ERRNO_UNTOUCHED;
	if (w->form == F_GRACEFUL)
		value = graceful_close(fd);
	else if (w->form == F_LINGER)
		value = linger_close(fd, w->opts.timeout_ms);
	else
		value = abort_close(fd);
	returned(c, fd, value);
}

static void
by_call(struct closing *c, const struct closing_way *w, int fd)
{
	int value;

	errno = T_ERRNO_UNTOUCHED;
	value = graceclose(fd, &w->opts, &c->report);
	returned(c, fd, value);
}

/* What is left until the caller has enough of it. */
static int
patience(const struct closing *c, const struct closing_way *w)
{
	int64_t left;

	if (w->cancel_ms == -1)
		return INT_MAX;
	left = (c->start_us - t_now_us()) / 1000 + w->cancel_ms;
	return left < 0 ? 0 : (int)left;
}

static int
shorter(int timeout_ms, int limit_ms)
{
	return timeout_ms == -1 || timeout_ms > limit_ms ? limit_ms :
	    timeout_ms;
}

/* Waits as the form does: epoll with epfd, poll with -1. */
static void
wait_for(const struct graceclose *gc, int epfd, int fd, int limit_ms)
{
	int timeout = shorter(graceclose_timeout(gc), limit_ms);
	struct pollfd pfd = { fd, graceclose_events(gc), 0 };
	struct epoll_event ev;

	if (epfd != -1) {
		(void)epoll_wait(epfd, &ev, 1, timeout);
		return;
	}
	if (pfd.events == 0)
		pfd.fd = -1;
	(void)poll(&pfd, 1, timeout);
}

static void
loop(struct closing *c, const struct closing_way *w, int fd, int epfd)
{
	struct graceclose gc;
	int left, value = 1;

	t_ok(graceclose_begin(&gc, fd, &w->opts));
	errno = T_ERRNO_UNTOUCHED;
	while ((left = patience(c, w)) != 0 &&
	    (value = graceclose_step(&gc)) == 1) {
		ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);
		c->turns++;
		wait_for(&gc, epfd, fd, left);
		errno = T_ERRNO_UNTOUCHED;
	}
	c->cancelled = left == 0;
	if (epfd != -1)
		ck_assert_int_eq(epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), 0);
	errno = T_ERRNO_UNTOUCHED;
	returned(c, fd, graceclose_end(&gc, &c->report));
	if (!c->cancelled)
		ck_assert_int_eq(c->value, value);
}

static void
by_epoll(struct closing *c, const struct closing_way *w, int fd)
{
	struct epoll_event ev;
	int epfd;

	memset(&ev, 0, sizeof(ev));
	ev.events = GRACECLOSE_EPOLL;
	ck_assert_int_ne(epfd = epoll_create1(EPOLL_CLOEXEC), -1);
	ck_assert_int_eq(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev), 0);
	loop(c, w, fd, epfd);
	(void)close(epfd);
}

static void
by_poll(struct closing *c, const struct closing_way *w, int fd)
{
	loop(c, w, fd, -1);
}

/* What the reaper tells, in the words of a call that returned. */
struct told {
	struct closing	*c;
	int		 fd;
	int		 times;
};

static void
tell(void *arg, void *cookie, const struct graceclose_report *report)
{
	struct told *t = cookie;

	(void)arg;
	errno = report->error != 0 ? report->error : T_ERRNO_UNTOUCHED;
	returned(t->c, t->fd, report->error != 0 ? -1 : 0);
	t->c->report = *report;
	t->times++;
}

static void
by_reaper(struct closing *c, const struct closing_way *w, int fd)
{
	struct graceclose_reaper *r =
	    t_reaper(&(struct graceclose_reaper_opts){ .done = tell });
	struct told t = { c, fd, 0 };

	t_ok(graceclose_reaper_close(r, fd, &w->opts, &t));
	if (graceclose_reaper_flush(r, shorter(w->cancel_ms,
	    PATIENCE_MS)) == -1)
		c->cancelled = true;
	t_reaper_free(r);
	ck_assert_int_eq(t.times, 1);
}

void
closing_run(struct closing *c, const struct closing_way *w, int fd)
{
	static void (*const by[FORMS])(struct closing *,
	    const struct closing_way *, int) = {
		[F_GRACEFUL] = by_verb, [F_LINGER] = by_verb,
		[F_ABORT] = by_verb, [F_BLOCKING] = by_call,
		[F_EPOLL] = by_epoll, [F_POLL] = by_poll,
		[F_REAPER] = by_reaper
	};
	struct stat st;

	memset(c, 0, sizeof(*c));
	ck_assert_int_eq(fstat(fd, &st), 0);
	c->socket = st.st_ino;
	if (w->storm)
		t_storm();
	c->start_us = t_now_us();
	by[w->form](c, w, fd);
	if (w->storm)
		(void)t_storm_end();
}

/* A look a nap, a few naps after each progress, and a signal each ms. */
unsigned
closing_turns(const struct closing *c, const struct t_counts *n)
{
	unsigned came = n->carried[T_IN][T_DATA_BIT] +
	    n->carried[T_IN][T_ACK_BIT] + n->carried[T_IN][T_FIN_BIT];

	return 100 + 10 * came +
	    2 * (unsigned)((c->end_us - c->start_us) / 1000);
}
