/*
 * check_faults.c - the promise, with each call to the kernel failing in turn
 *
 * What a form of close asks of the kernel, and how often, is counted first,
 * with nothing failing.  Then each of these calls fails: each time it is made,
 * alone and with all that follow it, in each way that a kernel has, or has had.
 * Whatever fails, the call returns in time, the descriptor is closed once and
 * nothing else is, the report agrees with itself, and 0 is only said of what
 * the peer has.  Where the verdict does not hang on what failed it stays.
 */
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <graceclose.h>

#include "network/workers.h"
#include "faults/fault.h"
#include "support/util.h"

#define SENT		3000	/* bytes, by us */
#define LATE		5000	/* by the peer */
#define LATER_MS	3	/* when a peer does what it does */
#define SHORT_MS	16	/* limit where it is known to run out */
#define LONG_MS		100	/* and where it is not to */
/* The machine may have been at fault. */
#define PATIENCE_MS	(T_SLOW ? 16000 : 8000)
/* The rest of a loop is like it. */
#define NTH_MAX		(T_VALGRIND ? 1 : 4)
#define MEMBERS	12
#define CASE_MS	(T_SLOW ? 240000 : 60000)
#define STORM		3	/* EINTR does not go on for ever */

/*
 * Connections
 */

enum { PLAIN, MULTIPATH, FELL_BACK, LOCAL, WAYS };

static const struct way {
	const char	*name;
	int		 listens, connects;	/* families */
} ways[WAYS] = {
	[PLAIN] =	{ "TCP",		T_IPV4,	 T_IPV4 },
	[MULTIPATH] =	{ "MPTCP",		T_MPTCP, T_MPTCP },
	[FELL_BACK] =	{ "MPTCP to TCP",	T_IPV4,	 T_MPTCP },
	[LOCAL] =	{ "AF_UNIX",		T_UNIX,	 T_UNIX }
};

/* We connect: a listener of MPTCP hands out TCP to those who know no better. */
static void
pair_by(struct t_pair *p, const struct way *w)
{
	int lfd = t_listen(w->listens);

	p->us = t_connect(w->connects, lfd);
	p->peer = t_accept(lfd);
	t_close(lfd);
}

/*
 * Peers
 */

static void
takes(struct t_pair *p)
{
	t_write(p->us, SENT);
}

static void
closed(struct t_pair *p)
{
	takes(p);
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
}

/* By a thread, and we may be gone by then. */
static void
fin(int fd)
{
	(void)shutdown(fd, SHUT_WR);
}

static void
send_and_fin(int fd)
{
	static const char late[LATE];

	(void)send(fd, late, sizeof(late), MSG_NOSIGNAL);
	fin(fd);
}

static void
sent_and_closed(struct t_pair *p)
{
	takes(p);
	send_and_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
}

static void
has_reset(struct t_pair *p)
{
	takes(p);
	t_reset(p->peer);
	p->peer = -1;
	t_wait_dead(p->us);
}

/* The error is gone, with whoever has read it. */
static void
has_reset_and_we_know(struct t_pair *p)
{
	has_reset(p);
	(void)t_pending_error(p->us);
}

static void
takes_nothing(struct t_pair *p)
{
	t_drop(p->peer, T_DROP_ALL);
	takes(p);
}

static void
closed_and_takes_nothing(struct t_pair *p)
{
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
	takes_nothing(p);
}

#define EITHER	(-1)	/* 0 or ECONNRESET, whichever is first */

/* What a close is to say, by `until`, when nothing fails. */
static const struct peer {
	const char	*name;
	void		(*before)(struct t_pair *);
	void		(*later)(int);
	int		 ways;		/* loop end */
	int		 error[2];
} peers[] = {
	{ "that has closed",		closed,		NULL,	WAYS,
	  { 0, 0 } },
	{ "that closes later",		takes,		fin,	WAYS,
	  { 0, 0 } },
	{ "that never closes",		takes,		NULL,	WAYS,
	  { ETIMEDOUT, 0 } },
	{ "that has sent and closed",	sent_and_closed, NULL,	WAYS,
	  { 0, 0 } },
	{ "that sends and closes later", takes,		send_and_fin, WAYS,
	  { 0, 0 } },
	{ "that has reset",		has_reset,	NULL,	WAYS,
	  { ECONNRESET, ECONNRESET } },
	{ "whose reset has been read",	has_reset_and_we_know, NULL, PLAIN + 1,
	  { ECONNRESET, ECONNRESET } },
	{ "that resets later",		takes,		t_reset, WAYS,
	  { ECONNRESET, EITHER } },
	{ "that takes nothing",		takes_nothing,	NULL,	PLAIN + 1,
	  { ETIMEDOUT, ETIMEDOUT } },
	{ "that has closed and takes nothing", closed_and_takes_nothing, NULL,
	  PLAIN + 1, { ETIMEDOUT, ETIMEDOUT } }
};
#define PEERS	(sizeof(peers) / sizeof(peers[0]))

/*
 * Forms of close, and what is known after one.
 */

struct run {
	struct t_pair	p;
	int		limit;		/* ms */
	int		result, error;
	bool		kept;		/* the descriptor was not taken */
	int		told;		/* how many reports there are */
	struct graceclose_report report;
};

/* A call of the library. */
#define CALL(r, call) do {						\
	errno = T_ERRNO_UNTOUCHED;					\
	fault_enter();							\
	(r)->result = (call);						\
	(r)->error = errno;						\
	fault_leave();							\
} while (0)

static void
do_graceful_close(struct run *r)
{
	CALL(r, graceful_close(r->p.us));
}

static void
do_linger_close(struct run *r)
{
	CALL(r, linger_close(r->p.us, r->limit));
}

static void
do_abort_close(struct run *r)
{
	CALL(r, abort_close(r->p.us));
}

static void
do_close(struct run *r, int until, int on_expiry)
{
	struct graceclose_opts o = t_opts(until, on_expiry, r->limit, -1);

	CALL(r, graceclose(r->p.us, &o, &r->report));
	r->told++;
}

static void
do_finished(struct run *r)
{
	do_close(r, GRACECLOSE_FINISHED, GRACECLOSE_DETACH);
}

static void
do_delivered(struct run *r)
{
	do_close(r, GRACECLOSE_DELIVERED, GRACECLOSE_RESET);
}

/* A loop of somebody's; epfd -1: it has poll alone. */
static void
do_steps(struct run *r, int epfd)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_DETACH, r->limit, -1);
	struct graceclose gc;
	struct epoll_event ev;
	struct pollfd p;
	int ms;

	CALL(r, graceclose_begin(&gc, r->p.us, &o));
	if ((r->kept = r->result == -1))
		return;
	for (;;) {
		CALL(r, graceclose_step(&gc));
		if (r->result != 1)
			break;
		ms = graceclose_timeout(&gc);
		p = (struct pollfd){ r->p.us, graceclose_events(&gc), 0 };
		if (epfd != -1)
			(void)epoll_wait(epfd, &ev, 1, ms);
		else
			(void)poll(&p, p.events != 0, ms);
	}
	CALL(r, graceclose_end(&gc, &r->report));
	r->told++;
}

static void
do_poll_loop(struct run *r)
{
	do_steps(r, -1);
}

static void
do_epoll_loop(struct run *r)
{
	struct epoll_event ev = { .events = GRACECLOSE_EPOLL };
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	ck_assert_int_ne(epfd, -1);
	ck_assert_int_eq(epoll_ctl(epfd, EPOLL_CTL_ADD, r->p.us, &ev), 0);
	do_steps(r, epfd);
	t_close(epfd);
}

static void
reaped(void *arg, void *cookie, const struct graceclose_report *report)
{
	struct run *r = cookie;

	(void)arg;
	r->report = *report;
	r->told++;
}

static void
do_reaper(struct run *r)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_DETACH, r->limit, -1);
	const struct graceclose_reaper_opts ro = { .done = reaped };
	struct graceclose_reaper *reaper = NULL;
	int result;

	CALL(r, (reaper = graceclose_reaper_new(&ro)) != NULL ? 0 : -1);
	if ((r->kept = reaper == NULL))
		return;
	CALL(r, graceclose_reaper_close(reaper, r->p.us, &o, r));
	r->kept = r->result == -1;
	fault_enter();
	result = graceclose_reaper_flush(reaper, PATIENCE_MS);
	graceclose_reaper_free(reaper);
	fault_leave();
	if (r->kept)
		return;
	ck_assert_int_eq(result, 0);
	r->result = r->report.error == 0 ? 0 : -1;
	r->error = r->report.error == 0 ? T_ERRNO_UNTOUCHED : r->report.error;
}

enum { UNTIL_FINISHED, UNTIL_DELIVERED, AT_ONCE };

static const struct form {
	const char	*name;
	void		(*run)(struct run *);
	int		 until;
	int		 reports;
	bool		 limited;	/* else for peers that end it */
} forms[] = {
	{ "graceful_close",	do_graceful_close, UNTIL_FINISHED, 0, false },
	{ "linger_close",	do_linger_close, UNTIL_DELIVERED, 0, true },
	{ "abort_close",	do_abort_close, AT_ONCE, 0, true },
	{ "graceclose, finished", do_finished, UNTIL_FINISHED, 1, true },
	{ "graceclose, delivered", do_delivered, UNTIL_DELIVERED, 1, true },
	{ "steps with epoll",	do_epoll_loop, UNTIL_FINISHED, 1, true },
	{ "steps with poll",	do_poll_loop, UNTIL_FINISHED, 1, true },
	{ "reaper",		do_reaper, UNTIL_FINISHED, 1, true }
};
#define FORMS	(sizeof(forms) / sizeof(forms[0]))

/*
 * Ways to fail.  The verdict must stand when one call fails so, or when each
 * does; where it need not, it may be a failure that names something else.
 */

enum {
	SAFE,
	STANDS,
	/* Plain POSIX looks by recv(2), so there the verdict hangs on it. */
#ifdef GRACECLOSE_PORTABLE
	READS = SAFE
#else
	READS = STANDS
#endif
};

static const struct failure {
	enum fault_call	call;
	int		how;
	int		once, always;
} failures[] = {
	{ FAULT_RECV,		EINTR,		READS,	READS },
	{ FAULT_RECV,		EAGAIN,		READS,	SAFE },
	{ FAULT_RECV,		ENOBUFS,	READS,	SAFE },
	{ FAULT_RECV,		ENOMEM,		READS,	SAFE },
	{ FAULT_RECV_NOTICE,	EAGAIN,		STANDS,	STANDS },
	{ FAULT_RECV_NOTICE,	ENOMEM,		STANDS,	STANDS },
	{ FAULT_RECV_DIAG,	EAGAIN,		STANDS,	SAFE },
	{ FAULT_RECV_DIAG,	ENOBUFS,	STANDS,	SAFE },
	{ FAULT_RECV_DIAG,	FAULT_SHORT,	STANDS,	SAFE },
	{ FAULT_SEND_DIAG,	ENOBUFS,	STANDS,	SAFE },
	{ FAULT_SEND_DIAG,	ECONNREFUSED,	STANDS,	SAFE },
	{ FAULT_SOCKET_DIAG,	EMFILE,		STANDS,	SAFE },
	{ FAULT_SOCKET_DIAG,	ENFILE,		STANDS,	SAFE },
	{ FAULT_SOCKET_DIAG,	EACCES,		STANDS,	SAFE },
	{ FAULT_SO_TYPE,	ENOBUFS,	SAFE,	SAFE },
	{ FAULT_SO_PROTOCOL,	ENOPROTOOPT,	SAFE,	SAFE },
	{ FAULT_SO_PROTOCOL,	ENOBUFS,	SAFE,	SAFE },
	{ FAULT_SO_DOMAIN,	ENOPROTOOPT,	SAFE,	SAFE },
	{ FAULT_SO_ERROR,	ENOBUFS,	SAFE,	SAFE },
	{ FAULT_SO_ACCEPTCONN,	ENOPROTOOPT,	STANDS,	STANDS },
	{ FAULT_SO_LINGER,	ENOBUFS,	STANDS,	STANDS },
	{ FAULT_TCP_INFO,	ENOPROTOOPT,	SAFE,	SAFE },
	{ FAULT_TCP_INFO,	EOPNOTSUPP,	SAFE,	SAFE },
	{ FAULT_TCP_INFO,	ENOBUFS,	SAFE,	SAFE },
	{ FAULT_TCP_INFO,	EINVAL,		SAFE,	SAFE },
	{ FAULT_TCP_INFO,	FAULT_SHORT,	STANDS,	STANDS },
	/* Linux before 4.18, and before 5.11 with nowhere to map to. */
	{ FAULT_TCP_ZEROCOPY,	ENOPROTOOPT,	STANDS,	STANDS },
	{ FAULT_TCP_ZEROCOPY,	EINVAL,		STANDS,	STANDS },
	{ FAULT_TCP_ZEROCOPY,	EOPNOTSUPP,	STANDS,	STANDS },
	{ FAULT_TCP_ZEROCOPY,	ENOBUFS,	STANDS,	STANDS },
	{ FAULT_MPTCP_INFO,	EOPNOTSUPP,	SAFE,	SAFE },
	{ FAULT_SIOCOUTQ,	ENOTTY,		SAFE,	SAFE },
	{ FAULT_SIOCOUTQ,	EINVAL,		SAFE,	SAFE },
	{ FAULT_FIONREAD,	EINVAL,		SAFE,	SAFE },
	{ FAULT_GETPEERNAME,	ENOBUFS,	SAFE,	SAFE },
	{ FAULT_GETSOCKNAME,	ENOBUFS,	SAFE,	SAFE },
	{ FAULT_FCNTL,		EINVAL,		STANDS,	STANDS },
	{ FAULT_SHUT_WR,	ENOBUFS,	SAFE,	SAFE },
	{ FAULT_SHUT_WR,	EACCES,		SAFE,	SAFE },
	{ FAULT_SHUT_RD,	ENOBUFS,	STANDS,	STANDS },
	/* Linux 6.4 to 6.6, while a thread waits. */
	{ FAULT_CONNECT,	EBUSY,		STANDS,	STANDS },
	{ FAULT_CONNECT,	EACCES,		STANDS,	STANDS },
	{ FAULT_CLOSE,		EINTR,		STANDS,	STANDS },
	{ FAULT_CLOSE,		EIO,		SAFE,	SAFE },
	{ FAULT_CLOSE_OTHER,	EINTR,		STANDS,	STANDS },
	{ FAULT_CLOSE_OTHER,	EIO,		STANDS,	STANDS },
	{ FAULT_POLL,		EINTR,		STANDS,	STANDS },
	{ FAULT_POLL,		ENOMEM,		SAFE,	SAFE },
	{ FAULT_POLL,		FAULT_NO_RDHUP,	SAFE,	SAFE },
	{ FAULT_POLL_WAIT,	EINTR,		STANDS,	STANDS },
	{ FAULT_POLL_WAIT,	ENOMEM,		STANDS,	STANDS },
	{ FAULT_POLL_WAIT,	FAULT_EMPTY,	STANDS,	STANDS },
	{ FAULT_EPOLL_CREATE,	EMFILE,		STANDS,	STANDS },
	{ FAULT_EPOLL_CREATE,	ENFILE,		STANDS,	STANDS },
	{ FAULT_EPOLL_CREATE,	ENOMEM,		STANDS,	STANDS },
	{ FAULT_EPOLL_ADD,	ENOMEM,		STANDS,	STANDS },
	{ FAULT_EPOLL_ADD,	ENOSPC,		STANDS,	STANDS },
	{ FAULT_EPOLL_ADD,	EPERM,		STANDS,	STANDS },
	{ FAULT_EPOLL_DEL,	ENOENT,		STANDS,	STANDS },
	{ FAULT_EPOLL_WAIT,	EINTR,		STANDS,	STANDS },
	{ FAULT_EPOLL_WAIT,	FAULT_EMPTY,	STANDS,	STANDS },
	{ FAULT_EVENTFD,	EMFILE,		SAFE,	SAFE },
	{ FAULT_EVENTFD,	ENOMEM,		SAFE,	SAFE },
	{ FAULT_PIPE,		EMFILE,		SAFE,	SAFE },
	{ FAULT_READ,		EINTR,		STANDS,	STANDS },
	{ FAULT_READ,		EAGAIN,		STANDS,	STANDS },
	{ FAULT_WRITE,		EAGAIN,		STANDS,	STANDS },
	{ FAULT_MALLOC,		ENOMEM,		SAFE,	SAFE },
	{ FAULT_CALLOC,		ENOMEM,		SAFE,	SAFE },
	{ FAULT_MMAP,		ENOMEM,		STANDS,	STANDS },
	{ FAULT_MADVISE,	EINVAL,		STANDS,	STANDS },
	{ FAULT_THREAD,		EAGAIN,		SAFE,	SAFE },
	{ FAULT_THREAD,		ENOMEM,		SAFE,	SAFE },
	{ FAULT_LOCK,		ENOMEM,		SAFE,	SAFE }
};
#define FAILURES	(sizeof(failures) / sizeof(failures[0]))

/*
 * A case, and what is to be said of it.
 */

struct setting {
	const struct form	*form;
	const struct peer	*peer;
	const struct way	*way;
};

struct outcome {
	int		result, error;
	const char	*wrong;		/* NULL: as it should be */
	unsigned	met;
	unsigned	calls[FAULT_CALLS];
};

/* How much of it the peer has, as far as it can still be asked. */
static size_t
arrived(int peer)
{
	char buf[SENT];
	size_t sum = 0;
	ssize_t n;

	while ((n = recv(peer, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		sum += (size_t)n;
	return sum;
}

/* What is wrong with a report in itself, and beside the result. */
static const char *
report_wrong(const struct setting *s, const struct run *r)
{
	const struct graceclose_report *p = &r->report;

	if (p->error != (r->result == 0 ? 0 : r->error))
		return "the report has another error";
	if (p->outcome != t_outcome(p->error))
		return "the outcome does not go with the error";
	if ((p->delivered | p->finished | 1) != 1)
		return "not a flag";
	if (p->outcome == GRACECLOSE_OK && (!p->delivered ||
	    (s->form->until == UNTIL_FINISHED && !p->finished)))
		return "OK, yet not delivered and finished";
	if (p->delivered && p->unacked != 0)
		return "delivered, with bytes unacknowledged";
	if (p->unacked > SENT)
		return "more unacknowledged than was sent";
	if (p->discarded > LATE)
		return "more discarded than was sent";
	if (p->outcome == GRACECLOSE_EXPIRED &&
	    p->elapsed_us < (uint64_t)r->limit * 1000)
		return "expired before its time";
	if ((p->reserved[0] | p->reserved[1]) != 0)
		return "reserved";
	return NULL;
}

/* What holds whatever has failed. */
static const char *
always_wrong(const struct setting *s, struct run *r, int64_t took_ms)
{
	unsigned closes = fault_calls(FAULT_CLOSE);
	const char *wrong;

	if (took_ms > r->limit + PATIENCE_MS)
		return "too late";
	if (closes != (r->kept ? 0 : 1))
		return closes == 0 ? "not closed" : "closed twice";
	if (fault_stray() != 0)
		return "closed what was not open";
	if (r->result == 0 && r->error != T_ERRNO_UNTOUCHED)
		return "success, yet errno changed";
	if (r->told != (r->kept ? 0 : s->form->reports))
		return "not one report";
	if (r->told != 0 && (wrong = report_wrong(s, r)) != NULL)
		return wrong;
	if (r->result == 0 && s->form->until != AT_ONCE && r->p.peer != -1 &&
	    arrived(r->p.peer) != SENT)
		return "0, and the peer does not have it";
	return NULL;
}

static void
play(const struct setting *s, const struct fault *f, size_t n, int limit,
    struct outcome *o)
{
	struct run r = { .limit = limit };
	struct t_later later;
	int64_t start, end;
	size_t i;
	int peer;

	pair_by(&r.p, s->way);
	s->peer->before(&r.p);
	peer = r.p.peer;
	fault_plan(r.p.us, f, n);
	start = t_now_ms();
	if (s->peer->later != NULL)
		t_later(&later, LATER_MS, s->peer->later, peer);
	s->form->run(&r);
	end = t_now_ms();
	if (s->peer->later == t_reset)
		r.p.peer = -1;
	o->wrong = NULL;
	if (s->peer->later != NULL && t_later_join(&later) > end &&
	    r.result == 0 && s->form->until == UNTIL_FINISHED)
		o->wrong = "0 before the peer's FIN";
	if (o->wrong == NULL)
		o->wrong = always_wrong(s, &r, end - start);
	o->result = r.result;
	o->error = r.result == -1 ? r.error : 0;
	o->met = fault_met();
	for (i = 0; i < FAULT_CALLS; i++)
		o->calls[i] = fault_calls((enum fault_call)i);
	fault_plan(-1, NULL, 0);
	if (r.kept)
		t_reset(r.p.us);
	if (r.p.peer != -1)
		t_reset(r.p.peer);
}

/* Errors that may be the answer where something that matters has failed. */
static bool
may_fail_with(int error, int how)
{
	return error == ETIMEDOUT || error == ECONNRESET ||
	    error == ENOTCONN || error == EOPNOTSUPP || error == ECANCELED ||
	    error == ENOSYS || (how > 0 && error == how);
}

/* Whether the verdict is the one that it is when nothing fails. */
static bool
as_ever(const struct setting *s, const struct outcome *o,
    const struct outcome *undisturbed)
{
	int expected = s->form->until == AT_ONCE ? 0 :
	    s->peer->error[s->form->until];

	/* AF_UNIX has handed everything over, whatever becomes of it. */
	if (expected == EITHER || (expected == ECONNRESET &&
	    s->way == &ways[LOCAL] && s->form->until == UNTIL_DELIVERED))
		return o->error == 0 || o->error == ECONNRESET;
	return o->error == undisturbed->error;
}

static const char *
judge(const struct setting *s, const struct outcome *o,
    const struct outcome *undisturbed, int stands, int how)
{
	if (o->wrong != NULL || as_ever(s, o, undisturbed))
		return o->wrong;
	if (o->result == 0)
		return "a false 0";
	if (stands == STANDS)
		return "another verdict";
	return may_fail_with(o->error, how) ? NULL : "an errno of its own";
}

/* AF_UNIX and MPTCP itself have never known it, and say so. */
static bool
applies(const struct setting *s, const struct failure *x)
{
	return x->call != FAULT_TCP_ZEROCOPY || s->way == &ways[PLAIN] ||
	    s->way == &ways[FELL_BACK];
}

/* Without epoll, or its own alarm in it, a reaper cannot be had. */
static int
demand(const struct setting *s, const struct fault *f, int demanded)
{
	return s->form->run == do_reaper && (f->call == FAULT_EPOLL_CREATE ||
	    (f->call == FAULT_EPOLL_ADD && f->from == 1)) ? SAFE : demanded;
}

static int
limit_of(const struct setting *s)
{
	return s->form->until != AT_ONCE &&
	    s->peer->error[s->form->until] == ETIMEDOUT ? SHORT_MS : LONG_MS;
}

/* What there is to tell of a setting. */
struct tally {
	unsigned	cases, met, failed;
	size_t		len;
	char		said[4000];
};

static const char *
how_name(int how)
{
	switch (how) {
	case FAULT_EMPTY:
		return "nothing";
	case FAULT_SHORT:
		return "a part";
	case FAULT_NO_RDHUP:
		return "no POLLRDHUP";
	}
	return t_errno(how);
}

static void
tell(struct tally *t, const struct fault *f, const char *wrong,
    const struct outcome *o)
{
	size_t room = sizeof(t->said) - t->len;
	char how[32];
	int n;

	t->failed++;
	/* A limit may have run out because the machine stalled. */
	if (o->error != ETIMEDOUT)
		t_worker_certain();
	snprintf(how, sizeof(how), "%s", how_name(f->how));
	n = snprintf(t->said + t->len, room, "\n%s %u%s: %s: %s (%d, %s)",
	    fault_name(f->call), f->from, f->to == f->from ? "" : " and on",
	    how, wrong, o->result, t_errno(o->error));
	t->len += (size_t)n < room ? (size_t)n : 0;
}

/* Stalls of the machine may have run a limit out: then with more of it. */
static void
try(const struct setting *s, const struct fault *f, size_t n, int stands,
    const struct outcome *undisturbed, struct tally *t)
{
	const char *wrong;
	struct outcome o;
	int again;

	play(s, f, n, limit_of(s) * t_worker_patience(), &o);
	wrong = judge(s, &o, undisturbed, stands, f->how);
	for (again = 0; again < 3 && wrong != NULL &&
	    o.error == ETIMEDOUT; again++) {
		play(s, f, n, PATIENCE_MS / 4, &o);
		wrong = judge(s, &o, undisturbed, stands, f->how);
	}
	t->cases++;
	t->met += o.met > 0;
	if (wrong != NULL)
		tell(t, f, wrong, &o);
}

/* What an old or a small system does without. */
static const struct fault absent[] = {
	{ FAULT_TCP_INFO,	ENOPROTOOPT,	1, FAULT_ALWAYS },
	{ FAULT_TCP_ZEROCOPY,	ENOPROTOOPT,	1, FAULT_ALWAYS },
	{ FAULT_MPTCP_INFO,	EOPNOTSUPP,	1, FAULT_ALWAYS },
	{ FAULT_SIOCOUTQ,	EINVAL,		1, FAULT_ALWAYS },
	{ FAULT_POLL,		FAULT_NO_RDHUP,	1, FAULT_ALWAYS },
	{ FAULT_EPOLL_CREATE,	ENOSYS,		1, FAULT_ALWAYS },
	{ FAULT_EVENTFD,	ENOSYS,		1, FAULT_ALWAYS },
	{ FAULT_SOCKET_DIAG,	EACCES,		1, FAULT_ALWAYS }
};
#define ABSENT	(sizeof(absent) / sizeof(absent[0]))

static void
fail_each(const struct setting *s, const struct failure *x,
    const struct outcome *undisturbed, struct tally *t)
{
	bool storm = x->how == EINTR || x->how == FAULT_EMPTY;
	struct fault f = { x->call, x->how, 1, 1 };
	unsigned n, made = undisturbed->calls[x->call];

	for (n = 1; n <= made && n <= NTH_MAX; n++) {
		f.from = f.to = n;
		if (s->form->limited || x->once == STANDS)
			try(s, &f, 1, demand(s, &f, x->once), undisturbed, t);
		f.to = storm ? n + STORM : FAULT_ALWAYS;
		if (s->form->limited || x->always == STANDS)
			try(s, &f, 1, demand(s, &f, x->always), undisturbed, t);
	}
}

/* Plain POSIX has no acknowledgements: there all is relative. */
static const char *
unexpected(const struct setting *s, const struct outcome *o)
{
#ifndef GRACECLOSE_PORTABLE
	int error = s->form->until == AT_ONCE ? 0 :
	    s->peer->error[s->form->until];

	if (error != EITHER && o->error != error)
		return "not as expected";
#endif
	(void)s;
	(void)o;
	return NULL;
}

/* A setting by its number; false: it is none. */
static bool
setting(size_t i, struct setting *s)
{
	s->form = &forms[i / (WAYS * PEERS)];
	s->way = &ways[i / PEERS % WAYS];
	s->peer = &peers[i % PEERS];
	return s->way - ways < s->peer->ways && (s->form->limited ||
	    s->peer->error[s->form->until] != ETIMEDOUT);
}

static void
fail_all(size_t i, void *arg, void *shared)
{
	const struct fault nothing = { FAULT_NONE, 0, 0, 0 };
	struct tally *t = shared;
	struct outcome undisturbed;
	const char *wrong;
	struct setting s;
	size_t x;

	(void)arg;
	if (!setting(i, &s) || t_missing(s.way->connects) != NULL)
		return;
	play(&s, NULL, 0, limit_of(&s) * t_worker_patience(), &undisturbed);
	/* A stall of the machine is not what the others are measured by. */
	if (undisturbed.error == ETIMEDOUT && limit_of(&s) == LONG_MS)
		play(&s, NULL, 0, PATIENCE_MS / 4, &undisturbed);
	if ((wrong = undisturbed.wrong) != NULL ||
	    (wrong = unexpected(&s, &undisturbed)) != NULL)
		tell(t, &nothing, wrong, &undisturbed);
	/* All the others are measured by it. */
	for (x = 0; x < FAILURES && wrong == NULL; x++)
		if (applies(&s, &failures[x]))
			fail_each(&s, &failures[x], &undisturbed, t);
	if (wrong == NULL)
		try(&s, absent, ABSENT, SAFE, &undisturbed, t);
	ck_assert_msg(t->failed == 0, "%u of %u cases:%s", t->failed, t->cases,
	    t->said);
}

#define SETTINGS	(FORMS * WAYS * PEERS)

static struct t_case_result results[SETTINGS];
static struct tally *tallies;

START_TEST(whatever_fails_the_promise_holds)
{
	struct tally *t = &tallies[_i];
	struct setting s;

	if (!setting((size_t)_i, &s))
		return;
	t_need(s.way->connects);
	ck_assert_msg(results[_i].wrong[0] == '\0', "%s, %s, peer %s: %s",
	    s.form->name, s.way->name, s.peer->name, results[_i].wrong);
	ck_assert_uint_gt(t->cases, 0);
	ck_assert_msg(t->failed == 0, "%s, %s, peer %s: %u of %u cases:%s",
	    s.form->name, s.way->name, s.peer->name, t->failed, t->cases,
	    t->said);
}
END_TEST

/*
 * Looks: they take nothing away, and say the same where it can be known.
 */

static int64_t
look_probe_many(int fd)
{
	unsigned char bits;

	return graceclose_probe_many(&fd, 1, &bits) == -1 ? -1 : bits;
}

static int64_t
look_probe(int fd)
{
	return graceclose_probe(fd);
}

static int64_t
look_peer_closed(int fd)
{
	return peer_closed(fd);
}

static const struct look {
	const char	*name;
	int64_t		(*look)(int);
} looks[] = {
	{ "peer_closed",	look_peer_closed },
	{ "graceclose_probe",	look_probe },
	{ "graceclose_probe_many", look_probe_many },
	{ "graceclose_unacked",	graceclose_unacked }
};
#define LOOKS	(sizeof(looks) / sizeof(looks[0]))

static int64_t
look(const struct look *l, int fd, const struct fault *f, size_t n)
{
	int64_t said;

	fault_plan(fd, f, n);
	fault_enter();
	said = l->look(fd);
	fault_leave();
	return said;
}

/*
 * A reset whose error somebody has taken is told from an end in order by
 * TCP_ZEROCOPY_RECEIVE alone.
 */
static bool
blurred(const struct t_state *st, const struct failure *x)
{
	return x->call == FAULT_TCP_ZEROCOPY && st->closed == -1;
}

/*
 * Plain POSIX knows by getpeername(2) alone that a connection is gone: where
 * that has no memory, its look goes on to MSG_PEEK, and takes the error.
 */
static bool
misled(const struct t_state *st, const struct failure *x)
{
	return T_PORTABLE && x->call == FAULT_GETPEERNAME && st->closed == -1;
}

static void
look_with(const struct look *l, const struct t_state *st, int fd,
    const struct failure *x, const struct fault *f)
{
	int64_t truth = look(l, fd, NULL, 0), said;
	int unread = st->closed == -1 ? 0 : t_inq(fd);

	said = look(l, fd, f, 1);
	ck_assert_uint_eq(fault_calls(FAULT_CLOSE) + fault_stray(), 0);
	if (st->closed != -1)
		ck_assert_int_eq(t_inq(fd), unread);
	if (x->once == STANDS && !blurred(st, x))
		ck_assert_msg(said == truth, "%s, %s: %s %u: %s: %d, not %d",
		    l->name, st->name, fault_name(f->call), f->from,
		    how_name(f->how), (int)said, (int)truth);
	ck_assert_msg(look(l, fd, NULL, 0) == truth,
	    "%s, %s: %s %u: %s has taken something away", l->name, st->name,
	    fault_name(f->call), f->from, how_name(f->how));
}

/* Index: the look, and what the connection has been through. */
START_TEST(whatever_fails_a_look_changes_nothing)
{
	const struct look *l = &looks[(size_t)_i % LOOKS];
	const struct t_state *st = &t_states[(size_t)_i / LOOKS];
	unsigned made[FAULT_CALLS], n;
	struct t_pair p;
	struct fault f;
	size_t i;

	t_state_pair(&p, st, T_IPV4);
	(void)look(l, p.us, NULL, 0);
	for (i = 0; i < FAULT_CALLS; i++)
		made[i] = fault_calls((enum fault_call)i);
	for (i = 0; i < FAILURES; i++)
		for (n = 1; n <= made[failures[i].call] &&
		    !misled(st, &failures[i]); n++) {
			f = (struct fault){ failures[i].call, failures[i].how,
			    n, n };
			look_with(l, st, p.us, &failures[i], &f);
		}
	fault_plan(-1, NULL, 0);
	t_close_pair(&p);
}
END_TEST

/*
 * Kernels of their own
 */

/* Linux 6.4 to 6.6 do not disconnect a socket that a thread waits for. */
START_TEST(abort_wakes_the_reader_where_connect_says_ebusy)
{
	const struct fault busy = { FAULT_CONNECT, EBUSY, 1, FAULT_ALWAYS };
	struct t_blocked reader;
	struct t_pair p;
	struct run r;

	t_need(ways[_i].connects);
	pair_by(&p, &ways[_i]);
	t_blocked(&reader, p.us);
	fault_plan(p.us, &busy, 1);
	CALL(&r, abort_close(p.us));
	ck_assert_int_eq(r.result, 0);
	ck_assert_int_eq(r.error, T_ERRNO_UNTOUCHED);
	t_join(reader.thread);
	t_released(p.us);
	t_saw(t_read_all(p.peer), 0, _i == LOCAL ? 0 : ECONNRESET);
	t_close(p.peer);
}
END_TEST

/*
 * Linux 4.18 to 5.6 say EINVAL to our TCP_ZEROCOPY_RECEIVE before they look
 * at the socket (commit c8856c051454).
 */
START_TEST(abort_leaves_a_listener_alone_where_zerocopy_is_einval)
{
	const struct fault old = { FAULT_TCP_ZEROCOPY, EINVAL, 1,
	    FAULT_ALWAYS };
	int lfd = t_listen(T_IPV4), other = dup(lfd), us;
	struct run r;

	ck_assert_int_ne(other, -1);
	fault_plan(lfd, &old, 1);
	CALL(&r, abort_close(lfd));
	ck_assert_int_eq(r.result, 0);
	ck_assert_int_ne(us = t_connect(T_IPV4, other), -1);
	t_close(t_accept(other));
	t_close(us);
	t_close(other);
}
END_TEST

/* Acknowledged between the last step's look and the limit. */
START_TEST(acknowledgement_at_the_last_look_is_in_time)
{
	const struct fault blind = { FAULT_SIOCOUTQ, EINVAL, 1, FAULT_ALWAYS };
	const struct fault once = { FAULT_SIOCOUTQ, EINVAL, 1, 1 };
	const int limit = 500;		/* the first step is before it */
	struct graceclose_opts o = t_opts(GRACECLOSE_DELIVERED,
	    GRACECLOSE_RESET, limit, -1);
	struct graceclose gc;
	struct run r = { .told = 0 };

	t_not_portable(T_NO_ACK);
	pair_by(&r.p, &ways[PLAIN]);
	takes(&r.p);
	fault_plan(r.p.us, &blind, 1);
	CALL(&r, graceclose_begin(&gc, r.p.us, &o));
	CALL(&r, graceclose_step(&gc));
	ck_assert_int_eq(r.result, 1);
	t_pause(limit + 1);
	t_wait_outq(r.p.us, 0);
	fault_plan(r.p.us, &once, 1);
	CALL(&r, graceclose_step(&gc));
	ck_assert_uint_eq(fault_met(), 1);
	ck_assert_int_eq(r.result, 0);
	CALL(&r, graceclose_end(&gc, &r.report));
	ck_assert_int_eq(r.result, 0);
	ck_assert_int_eq(r.error, T_ERRNO_UNTOUCHED);
	t_report_is(&r.report, GRACECLOSE_OK, 0, 1, 0);
	ck_assert_uint_eq(r.report.unacked, 0);
	ck_assert_uint_eq(arrived(r.p.peer), SENT);
	fault_plan(-1, NULL, 0);
	t_close(r.p.peer);
}
END_TEST

/*
 * Where SHUT_WR is refused the connection lives on, and may be reset while it
 * is swept: AF_UNIX tells of that once, to whoever reads.
 */
START_TEST(reset_that_the_sweep_meets_is_econnreset)
{
	const struct fault f[] = {
		{ FAULT_SHUT_WR, EACCES, 1, FAULT_ALWAYS },
		{ FAULT_RECV, ECONNRESET, 1, 1 }
	};
	struct run r = { .limit = LONG_MS };

	t_need(ways[_i].connects);
	pair_by(&r.p, &ways[_i]);
	closed(&r.p);
	fault_plan(r.p.us, f, sizeof(f) / sizeof(f[0]));
	do_finished(&r);
	ck_assert_uint_eq(fault_met(), 2);
	ck_assert_int_eq(r.result, -1);
	t_error_is(r.error, ECONNRESET);
	ck_assert_int_eq(r.report.outcome, GRACECLOSE_WAS_RESET);
	fault_plan(-1, NULL, 0);
	t_close(r.p.peer);
}
END_TEST

/*
 * The peer resets just before one call of a close, each call in turn.  The peer
 * has read nothing, and its FIN never comes: no call may end in success.  Where
 * SHUT_WR is refused too, the RST can come while bury() looks.
 */
static unsigned
reset_at(int way, enum fault_call call, unsigned nth, bool refused,
    unsigned *made)
{
	const struct fault f[] = {
		{ call, FAULT_ACT, nth, nth },
		{ FAULT_SHUT_WR, ENOBUFS, 1, FAULT_ALWAYS }
	};
	struct run r = { .limit = SHORT_MS };
	unsigned met;

	pair_by(&r.p, &ways[way]);
	takes(&r.p);
	fault_action(t_reset, r.p.peer);
	fault_plan(r.p.us, f, refused ? 2 : 1);
	do_finished(&r);
	met = fault_met() - (refused && call != FAULT_SHUT_WR ? 1 : 0);
	ck_assert_msg(r.result == -1, "%s, reset at %s %u%s: a false 0",
	    ways[way].name, fault_name(call), nth,
	    refused ? ", SHUT_WR refused" : "");
	ck_assert_int_eq(r.report.finished, 0);
	*made = fault_calls(call);
	fault_plan(-1, NULL, 0);
	if (met == 0)
		t_reset(r.p.peer);
	return met;
}

/* Index: how they are connected, and whether SHUT_WR is refused. */
START_TEST(reset_before_any_call_is_no_success)
{
	const bool refused = _i / WAYS != 0;
	unsigned n, made, met = 0;
	int call;

	t_need(ways[_i % WAYS].connects);
	for (call = FAULT_NONE + 1; call < FAULT_CALLS; call++)
		for (n = 1, made = 1; n <= made && n <= 2 * NTH_MAX; n++)
			met += reset_at(_i % WAYS, (enum fault_call)call, n,
			    refused, &made);
	ck_assert_uint_gt(met, 3);
}
END_TEST

/* Neither epoll nor poll will wait: then it is asked until it is over. */
START_TEST(nothing_that_waits_is_needed)
{
	static const int how[] = { EINTR, ENOMEM, EINVAL };
	const struct fault f[] = {
		{ FAULT_EPOLL_CREATE, EMFILE, 1, FAULT_ALWAYS },
		{ FAULT_POLL_WAIT, how[_i], 1, FAULT_ALWAYS }
	};
	struct run r = { .limit = PATIENCE_MS };
	struct t_later later;

	pair_by(&r.p, &ways[PLAIN]);
	takes(&r.p);
	fault_plan(r.p.us, f, sizeof(f) / sizeof(f[0]));
	t_later(&later, 30, fin, r.p.peer);
	do_finished(&r);
	t_later_join(&later);
	ck_assert_int_eq(r.result, 0);
	ck_assert_int_eq(r.error, T_ERRNO_UNTOUCHED);
	t_report_is(&r.report, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_gt(fault_calls(FAULT_POLL_WAIT), 0);
	ck_assert_uint_eq(arrived(r.p.peer), SENT);
	fault_plan(-1, NULL, 0);
	t_close(r.p.peer);
}
END_TEST

/* Index: what Linux before 4.14 does not know, or memory that is short. */
START_TEST(child_of_a_fork_is_known_by_its_pid_where_no_page_can_be_marked)
{
	static const struct fault no_mark[] = {
		{ FAULT_MADVISE, EINVAL, 1, FAULT_ALWAYS },
		{ FAULT_MMAP, ENOMEM, 1, FAULT_ALWAYS }
	};
	struct graceclose_reaper *reaper;
	struct t_pair p;
	int status;
	pid_t child;

	t_pair(&p, T_IPV4);
	fault_plan(-1, &no_mark[_i], 1);
	fault_enter();
	reaper = graceclose_reaper_new(NULL);
	fault_leave();
	ck_assert_ptr_nonnull(reaper);
	ck_assert_uint_eq(fault_met(), 1);
	t_ok(graceclose_reaper_flush(reaper, 0));
	child = fork();
	if (child == 0) {
		status = graceclose_reaper_close(reaper, p.us, NULL, NULL) ==
		    -1 && errno == ENOTSUP ? 0 : 1;
		graceclose_reaper_free(reaper);
		_exit(status);
	}
	ck_assert_int_ne(child, -1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	t_ok(graceclose_reaper_close(reaper, p.us, NULL, NULL));
	t_close(p.peer);
	t_ok(graceclose_reaper_flush(reaper, T_LIMIT_MS));
	graceclose_reaper_free(reaper);
	fault_plan(-1, NULL, 0);
}
END_TEST

static void
run_all(void)
{
	unsigned cases = 0, met = 0;
	size_t i;

	tallies = t_shared(SETTINGS * sizeof(*tallies));
	t_workers(MEMBERS, SETTINGS, CASE_MS, 0, NULL, fail_all, NULL, tallies,
	    sizeof(*tallies), results);
	for (i = 0; i < SETTINGS; i++) {
		cases += tallies[i].cases;
		met += tallies[i].met;
	}
	printf("%u cases, a call failed in %u of them\n", cases, met);
	fflush(stdout);
}

int
main(void)
{
	Suite *s;
	TCase *tc;

	run_all();
	s = suite_create("faults");
	tc = t_case(s, "forms");
	tcase_add_loop_test(tc, whatever_fails_the_promise_holds, 0,
	    (int)SETTINGS);

	tc = t_case(s, "looks");
	tcase_add_loop_test(tc,
	    whatever_fails_a_look_changes_nothing, 0,
	    (int)LOOKS * t_nstates);

	tc = t_case(s, "kernels");
	tcase_add_loop_test(tc,
	    abort_wakes_the_reader_where_connect_says_ebusy, 0, WAYS);
	tcase_add_test(tc,
	    abort_leaves_a_listener_alone_where_zerocopy_is_einval);
	tcase_add_test(tc, acknowledgement_at_the_last_look_is_in_time);
	tcase_add_loop_test(tc, reset_that_the_sweep_meets_is_econnreset, 0,
	    WAYS);
	tcase_add_loop_test(tc, reset_before_any_call_is_no_success, 0,
	    2 * WAYS);
	tcase_add_loop_test(tc, nothing_that_waits_is_needed, 0, 3);
	tcase_add_loop_test(tc,
	    child_of_a_fork_is_known_by_its_pid_where_no_page_can_be_marked,
	    0, 2);
	return t_main(s);
}
