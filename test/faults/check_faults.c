/*
 * check_faults.c - the promise, with each call to the kernel failing in turn
 *
 * What a form of close asks of the kernel, and how often, is counted first,
 * with nothing failing.  Then each of these calls fails: each time it is made,
 * alone and with all that follow it, in each way that a kernel has, or has had.
 * Whatever fails, the call returns in time, the descriptor is closed once and
 * nothing else is closed.  The report agrees with itself, and 0 is
 * returned only where the peer has every byte.  A verdict that does not depend
 * on what failed stays as it was.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <stdbool.h>
#include <stdio.h>

#include "faults/failures.h"
#include "faults/faulted.h"
#include "network/workers.h"

#define LATER_MS	3	/* when a peer does what it does */
#define WORKERS		12
#define CASE_MS		(T_SLOW ? 240000 : 60000)
#define STORM		3	/* EINTR does not go on for ever */

/*
 * A case, and what is to be said of it.
 */

struct outcome {
	int		result, error;
	const char	*wrong;		/* NULL: as it should be */
	unsigned	met;
	unsigned	calls[FAULT_CALLS];
};

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
	if (p->reserved0 != 0 || p->reserved != 0)
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
	    faulted_arrived(r->p.peer) != SENT)
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

	faulted_pair(&r.p, s->way);
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

	if (expected == EITHER)
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
	return x->call != FAULT_TCP_ZEROCOPY ||
	    s->way == &faulted_ways[PLAIN] ||
	    s->way == &faulted_ways[FELL_BACK];
}

/*
 * Without epoll, or its own alarm in it, a reaper cannot be had.  TCP_INFO
 * alone tells how MPTCP that fell back has ended where the peer's FIN never
 * shows, as on Linux 7.2.
 */
static int
demand(const struct setting *s, const struct fault *f, int demanded)
{
	if (f->call == FAULT_TCP_INFO && s->way == &faulted_ways[FELL_BACK])
		return SAFE;
	return s->form->run == faulted_by_reaper &&
	    (f->call == FAULT_EPOLL_CREATE ||
	    (f->call == FAULT_EPOLL_ADD && f->from == 1)) ? SAFE : demanded;
}

static int
limit_of(const struct setting *s)
{
	return s->form->until != AT_ONCE &&
	    s->peer->error[s->form->until] == ETIMEDOUT ? SHORT_MS : LONG_MS;
}

/* The results of a setting. */
struct tally {
	unsigned	cases, met, failed;
	size_t		len;
	char		said[4000];
};

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
	snprintf(how, sizeof(how), "%s", failures_how(f->how));
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

/* Plain POSIX has no acknowledgements: its results differ. */
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
	if (!faulted_setting(i, &s) || faulted_missing(&s) != NULL)
		return;
	play(&s, NULL, 0, limit_of(&s) * t_worker_patience(), &undisturbed);
	/* A stall of the machine is not what the others are measured by. */
	if (undisturbed.error == ETIMEDOUT && limit_of(&s) == LONG_MS)
		play(&s, NULL, 0, PATIENCE_MS / 4, &undisturbed);
	if ((wrong = undisturbed.wrong) != NULL ||
	    (wrong = unexpected(&s, &undisturbed)) != NULL)
		tell(t, &nothing, wrong, &undisturbed);
	/* All the others are measured by it. */
	for (x = 0; x < nfailures && wrong == NULL; x++)
		if (applies(&s, &failures[x]))
			fail_each(&s, &failures[x], &undisturbed, t);
	if (wrong == NULL)
		try(&s, absent, ABSENT, SAFE, &undisturbed, t);
	ck_assert_msg(t->failed == 0, "%u of %u cases:%s", t->failed, t->cases,
	    t->said);
}

static struct t_case_result results[SETTINGS];
static struct tally *tallies;

START_TEST(whatever_fails_the_promise_holds)
{
	struct tally *t = &tallies[_i];
	struct setting s;

	if (!faulted_setting((size_t)_i, &s))
		return;
	if (faulted_missing(&s) != NULL)
		t_skip(faulted_missing(&s));
	ck_assert_msg(results[_i].wrong[0] == '\0', "%s, %s, peer %s: %s",
	    s.form->name, s.way->name, s.peer->name, results[_i].wrong);
	ck_assert_uint_gt(t->cases, 0);
	ck_assert_msg(t->failed == 0, "%s, %s, peer %s: %u of %u cases:%s",
	    s.form->name, s.way->name, s.peer->name, t->failed, t->cases,
	    t->said);
}
END_TEST

static void
run_all(void)
{
	unsigned cases = 0, met = 0;
	size_t i;

	tallies = t_shared(SETTINGS * sizeof(*tallies));
	t_workers(WORKERS, SETTINGS, CASE_MS, 0, NULL, fail_all, NULL, tallies,
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
	Suite *s = suite_create("faults");
	TCase *tc = t_case(s, "forms");

	run_all();
	tcase_add_loop_test(tc, whatever_fails_the_promise_holds, 0,
	    (int)SETTINGS);
	return t_main(s);
}
