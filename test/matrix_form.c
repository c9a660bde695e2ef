/*
 * matrix_form.c - the table of forms, and how each of them is called
 */
#include <sys/types.h>
#include <sys/epoll.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "matrix_form.h"
#include "wire.h"

#define FINISHED	GRACECLOSE_FINISHED
#define DELIVERED	GRACECLOSE_DELIVERED
#define DETACH		GRACECLOSE_DETACH
#define RESET		GRACECLOSE_RESET

#define WHOLE		1000		/* timeout_ms of most */
#define IDLE		500		/* idle_ms, where it is to be first */
#define BOTH		2000		/* and timeout_ms then */
#define CAP		10000		/* discard_max */

/* until, on_expiry, timeout_ms, idle_ms, discard_max; asks, faulted */
const struct m_form m_forms[] = {
	{ "graceful_close", M_GRACEFUL,
	    FINISHED, DETACH, 30000, 5000, 0, false, true },
	{ "linger_close", M_LINGER,
	    DELIVERED, RESET, WHOLE, -1, 0, false, true },
	{ "linger_close 0", M_LINGER,
	    DELIVERED, RESET, 0, -1, 0, false, false },
	{ "abort_close", M_ABORT,
	    DELIVERED, RESET, 0, -1, 0, false, true },
	{ "graceclose", M_BLOCKING,
	    FINISHED, DETACH, WHOLE, -1, 0, false, false },
	{ "graceclose, idle", M_BLOCKING,
	    FINISHED, RESET, BOTH, IDLE, 0, false, true },
	{ "delivered", M_BLOCKING,
	    DELIVERED, DETACH, BOTH, IDLE, 0, false, true },
	{ "delivered, or RST", M_BLOCKING,
	    DELIVERED, RESET, WHOLE, -1, 0, false, false },
	{ "capped", M_BLOCKING,
	    FINISHED, DETACH, WHOLE, -1, CAP, false, false },
	{ "capped, or RST", M_BLOCKING,
	    FINISHED, RESET, WHOLE, IDLE, CAP, false, false },
	{ "asked before", M_BLOCKING,
	    FINISHED, DETACH, WHOLE, -1, 0, true, false },
	{ "epoll loop", M_EPOLL,
	    FINISHED, DETACH, BOTH, IDLE, 0, false, true },
	{ "epoll, delivered", M_EPOLL,
	    DELIVERED, RESET, WHOLE, -1, 0, false, true },
	{ "poll loop", M_POLL,
	    FINISHED, RESET, WHOLE, -1, 0, false, true },
	{ "reaper", M_REAPER,
	    FINISHED, DETACH, WHOLE, IDLE, 0, false, true },
	{ "reaper, delivered", M_REAPER,
	    DELIVERED, RESET, WHOLE, -1, 0, false, false },
};

const size_t m_nforms = sizeof(m_forms) / sizeof(m_forms[0]);

int
m_slow(void)
{
	const char *s = getenv("T_SLOW");
	long factor = s != NULL ? strtol(s, NULL, 10) : 1;

	return (factor > 1 && factor < 100 ? (int)factor : 1) *
	    (T_SANITIZED ? 2 : 1);
}

/* The verbs' limits are what they are; the others are ours to choose. */
struct graceclose_opts
m_opts(const struct m_form *f)
{
	int slow = f->how == M_GRACEFUL ? 1 : m_slow();
	struct graceclose_opts o = t_opts(f->until, f->on_expiry,
	    f->timeout_ms * slow,
	    f->idle_ms == -1 ? -1 : f->idle_ms * slow);

	o.discard_max = f->discard_max;
	return o;
}

static int
with_epoll(int fd, const struct graceclose_opts *o,
    struct graceclose_report *report)
{
	struct epoll_event ev;
	struct graceclose gc;
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	memset(&ev, 0, sizeof(ev));
	ev.events = GRACECLOSE_EPOLL;
	ck_assert_int_eq(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev), 0);
	errno = T_ERRNO_UNTOUCHED;
	ck_assert_int_eq(graceclose_begin(&gc, fd, o), 0);
	while (graceclose_step(&gc) == 1) {
		(void)epoll_wait(epfd, &ev, 1, graceclose_timeout(&gc));
		errno = T_ERRNO_UNTOUCHED;
	}
	t_close(epfd);
	errno = T_ERRNO_UNTOUCHED;
	return graceclose_end(&gc, report);
}

static int
with_poll(int fd, const struct graceclose_opts *o,
    struct graceclose_report *report)
{
	struct graceclose gc;
	struct pollfd p;

	errno = T_ERRNO_UNTOUCHED;
	ck_assert_int_eq(graceclose_begin(&gc, fd, o), 0);
	while (graceclose_step(&gc) == 1) {
		p.events = graceclose_events(&gc);
		p.fd = p.events != 0 ? fd : -1;
		(void)poll(&p, 1, graceclose_timeout(&gc));
		errno = T_ERRNO_UNTOUCHED;
	}
	return graceclose_end(&gc, report);
}

static int
with_reaper(int fd, const struct graceclose_opts *o,
    struct graceclose_report *report)
{
	struct graceclose_reaper_opts ro;
	struct graceclose_reaper *reaper;
	struct t_verdict v;
	int rc, error;

	memset(&ro, 0, sizeof(ro));
	memset(&v, 0, sizeof(v));
	ro.done = t_done;
	v.fd = fd;
	reaper = t_reaper(&ro);
	errno = T_ERRNO_UNTOUCHED;
	rc = graceclose_reaper_close(reaper, fd, o, &v);
	error = errno;
	t_ok(graceclose_reaper_flush(reaper, -1));
	ck_assert_int_eq(t_told(&v), 1);
	ck_assert_int_eq(v.released, 1);
	t_reaper_free(reaper);
	*report = v.report;
	errno = error;
	return rc;
}

void
m_close(const struct m_form *f, int fd, struct m_told *t)
{
	struct graceclose_opts o = m_opts(f);
	int64_t begun = t_now_us();

	memset(t, 0, sizeof(*t));
	errno = T_ERRNO_UNTOUCHED;
	switch (f->how) {
	case M_GRACEFUL:
		t->rc = graceful_close(fd);
		break;
	case M_LINGER:
		t->rc = linger_close(fd, o.timeout_ms);
		break;
	case M_ABORT:
		t->rc = abort_close(fd);
		break;
	case M_BLOCKING:
		t->rc = graceclose(fd, &o, &t->report);
		break;
	case M_EPOLL:
		t->rc = with_epoll(fd, &o, &t->report);
		break;
	case M_POLL:
		t->rc = with_poll(fd, &o, &t->report);
		break;
	case M_REAPER:
		t->rc = with_reaper(fd, &o, &t->report);
		break;
	}
	t->error = errno;
	t->us = t_now_us() - begun;
}
