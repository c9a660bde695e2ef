/*
 * check_faults_lasting.c - a call that goes on failing: it costs no processor
 * time, it is no reset, and an abort tries again
 */
#include <sys/epoll.h>

#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

#include <graceclose.h>

#include "faults/faulted.h"

#define WAIT_MS		500
/* Naps of 64 ms, after shorter ones, and some calls in each step. */
#define STEPS_MAX	30
#define CALLS_MAX	(5 * STEPS_MAX)

/*
 * Forms that drive a close, and how many steps there were.
 */

struct lasting {
	struct run	r;
	int		steps;
};

static void
blocking(struct lasting *l)
{
	faulted_finished(&l->r);
}

static void
reaper(struct lasting *l)
{
	faulted_by_reaper(&l->r);
}

static void
steps(struct lasting *l, unsigned flags, int epfd)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_DETACH, l->r.limit, -1);
	struct graceclose gc;
	struct epoll_event ev;
	struct pollfd p;
	int ms;

	o.flags = flags;
	CALL(&l->r, graceclose_begin(&gc, l->r.p.us, &o));
	for (;;) {
		CALL(&l->r, graceclose_step(&gc));
		if (l->r.result != 1)
			break;
		l->steps++;
		ms = graceclose_timeout(&gc);
		p = (struct pollfd){ l->r.p.us, graceclose_events(&gc), 0 };
		if (epfd != -1)
			(void)epoll_wait(epfd, &ev, 1, ms);
		else
			(void)poll(&p, p.events != 0, ms);
	}
	CALL(&l->r, graceclose_end(&gc, &l->r.report));
}

static void
with_poll(struct lasting *l)
{
	steps(l, 0, -1);
}

static void
with_epoll(struct lasting *l, unsigned flags)
{
	struct epoll_event ev = { .events = GRACECLOSE_EPOLL };
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	ck_assert_int_ne(epfd, -1);
	ck_assert_int_eq(epoll_ctl(epfd, EPOLL_CTL_ADD, l->r.p.us, &ev), 0);
	steps(l, flags, epfd);
	t_close(epfd);
}

static void
with_edges(struct lasting *l)
{
	with_epoll(l, GRACECLOSE_EDGES);
}

static void
with_naps(struct lasting *l)
{
	with_epoll(l, 0);
}

static const struct {
	const char	*name;
	void		(*run)(struct lasting *);
} forms[] = {
	{ "graceclose",		blocking },
	{ "steps with poll",	with_poll },
	{ "steps with epoll",	with_naps },
	{ "steps with edges",	with_edges },
	{ "reaper",		reaper }
};
#define DRIVEN	((int)(sizeof(forms) / sizeof(forms[0])))

/*
 * A recv(2) that goes on failing
 */

static const int failures_of_recv[] = { EFAULT, EIO, EBADMSG, EPERM, EINVAL };
#define NRECV	5

/* Index: EFAULT with each form and way, then the others with poll. */
static void
take_index(int i, int *form, int *way, int *how)
{
	const int all = DRIVEN * WAYS;

	*form = i < all ? i % DRIVEN : 1;
	*way = i < all ? i / DRIVEN : (i - all) % WAYS;
	*how = i < all ? EFAULT : failures_of_recv[1 + (i - all) / WAYS];
}
#define LASTING	(DRIVEN * WAYS + (NRECV - 1) * WAYS)

static void
late_input(struct t_pair *p)
{
	static const char late[LATE];

	faulted_send(p);
	ck_assert_int_eq(send(p->peer, late, sizeof(late), MSG_NOSIGNAL),
	    (int)sizeof(late));
	t_wait_readable(p->us);
}

/* The peer has sent and stays silent. */
START_TEST(recv_that_goes_on_failing_is_no_spin_and_no_reset)
{
	struct lasting l = { .r = { .limit = WAIT_MS } };
	struct fault f = { FAULT_RECV, 0, 1, FAULT_ALWAYS };
	int form, way;

	take_index(_i, &form, &way, &f.how);
	t_need(faulted_ways[way].connects);
	faulted_pair(&l.r.p, &faulted_ways[way]);
	late_input(&l.r.p);
	fault_plan(l.r.p.us, &f, 1);
	forms[form].run(&l);
	ck_assert_uint_gt(fault_met(), 0);
	ck_assert_int_eq(l.r.result, -1);
	t_error_is(l.r.error, ETIMEDOUT);
	ck_assert_int_eq(l.r.report.outcome, GRACECLOSE_EXPIRED);
	ck_assert_int_eq(l.r.report.finished, 0);
	ck_assert_msg(l.steps <= STEPS_MAX, "%s: %d steps in %d ms",
	    forms[form].name, l.steps, WAIT_MS);
	ck_assert_msg(fault_calls(FAULT_RECV) <= CALLS_MAX,
	    "%s: %u calls of recv in %d ms", forms[form].name,
	    fault_calls(FAULT_RECV), WAIT_MS);
	ck_assert_uint_eq(faulted_arrived(l.r.p.peer), SENT);
	fault_plan(-1, NULL, 0);
	t_close(l.r.p.peer);
}
END_TEST

/* With nothing unread, the FIN can be seen without recv(2). */
START_TEST(recv_that_goes_on_failing_hides_no_end)
{
	const int form = _i % DRIVEN, way = _i / DRIVEN % WAYS;
	const struct fault f = { FAULT_RECV, EFAULT, 1, FAULT_ALWAYS };
	struct lasting l = { .r = { .limit = LONG_MS } };

	t_need(faulted_ways[way].connects);
	faulted_pair(&l.r.p, &faulted_ways[way]);
	faulted_closed(&l.r.p);
	fault_plan(l.r.p.us, &f, 1);
	forms[form].run(&l);
	if (l.r.result == -1)
		t_error_is(l.r.error, ETIMEDOUT);
	ck_assert_uint_eq(faulted_arrived(l.r.p.peer), SENT);
	fault_plan(-1, NULL, 0);
	t_close(l.r.p.peer);
}
END_TEST

/* As a sockmap with a stream verdict has it. */
START_TEST(late_input_is_discarded_by_way_of_a_buffer)
{
	const int form = _i % DRIVEN, way = _i / DRIVEN;
	const struct fault f = { FAULT_RECV, FAULT_NOWHERE, 1, FAULT_ALWAYS };
	struct lasting l = { .r = { .limit = PATIENCE_MS } };
	struct t_later later;

	t_need(faulted_ways[way].connects);
	faulted_pair(&l.r.p, &faulted_ways[way]);
	late_input(&l.r.p);
	fault_plan(l.r.p.us, &f, 1);
	t_later(&later, 100, faulted_fin, l.r.p.peer);
	forms[form].run(&l);
	t_later_join(&later);
	ck_assert_int_eq(l.r.result, 0);
	t_report_is(&l.r.report, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(l.r.report.discarded, LATE);
	ck_assert_int_le(l.steps, STEPS_MAX);
	ck_assert_uint_eq(faulted_arrived(l.r.p.peer), SENT);
	fault_plan(-1, NULL, 0);
	t_close(l.r.p.peer);
}
END_TEST

/*
 * An epoll(7) that fails.  The looks of a close that has edges would be minutes
 * apart here; without edges it naps.
 */

static size_t behind_the_window;

static void
read_it_all(int peer)
{
	t_read(peer, behind_the_window);
}

START_TEST(acknowledgement_is_seen_soon_where_epoll_fails)
{
	static const enum fault_call calls[] = { FAULT_EPOLL_CREATE,
	    FAULT_EPOLL_ADD, FAULT_EPOLL_WAIT };
	const struct fault f = { calls[_i], EPERM, 1, FAULT_ALWAYS };
	struct graceclose_opts o = t_opts(GRACECLOSE_DELIVERED,
	    GRACECLOSE_DETACH, -1, 20 * T_LIMIT_MS);
	struct t_later later;
	struct run r;

	t_not_portable(T_NO_EDGE);
	behind_the_window = t_pair_full(&r.p, T_IPV4);
	fault_plan(r.p.us, &f, 1);
	t_later(&later, 100, read_it_all, r.p.peer);
	CALL(&r, graceclose(r.p.us, &o, &r.report));
	t_later_join(&later);
	ck_assert_uint_gt(fault_met(), 0);
	fault_plan(-1, NULL, 0);
	ck_assert_int_eq(r.result, 0);
	ck_assert_int_eq(r.report.delivered, 1);
	t_released(r.p.us);
	t_close(r.p.peer);
}
END_TEST

/*
 * connect(AF_UNSPEC) that is EBUSY while a thread reads (Linux 5.10.262, 6.4 to
 * 6.6): a moment after SHUT_RD has woken it, connect succeeds.
 */

#define ABORT_MS	(T_SLOW ? 2000 : 500)

static void
cut_by_abort(struct run *r)
{
	CALL(r, abort_close(r->p.us));
}

static void
cut_by_linger(struct run *r)
{
	CALL(r, linger_close(r->p.us, 1));
}

static void
cut_by_options(struct run *r)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_RESET, 1, -1);

	CALL(r, graceclose(r->p.us, &o, NULL));
}

static void (*const cuts[])(struct run *) = { cut_by_abort, cut_by_linger,
    cut_by_options };
static const unsigned busy_times[] = { 1, 2, 3 };
#define CUTS	3
#define BUSY	3

static void
cut(struct run *r, int how, const struct fault *f, size_t n)
{
	int64_t start;

	fault_plan(r->p.us, f, n);
	start = t_now_ms();
	cuts[how](r);
	t_between(t_now_ms() - start, 0, ABORT_MS);
	fault_plan(-1, NULL, 0);
	t_released(r->p.us);
}

/* Index: how often, and the form.  A window of zero keeps each waiting. */
START_TEST(abort_tries_again_where_connect_is_busy)
{
	const struct fault f = { FAULT_CONNECT, EBUSY, 1,
	    busy_times[_i % BUSY] };
	struct run r = { .limit = 1 };
	int copy;

	t_pair_full(&r.p, T_IPV4);
	ck_assert_int_ne(copy = dup(r.p.us), -1);
	cut(&r, _i / BUSY, &f, 1);
	t_wait_dead(r.p.peer);
	t_error_is(t_read_all(r.p.peer).error, ECONNRESET);
	t_close(copy);
	t_close(r.p.peer);
}
END_TEST

/* The same with a thread that reads through the duplicate, and wakes. */
START_TEST(abort_reaches_the_peer_past_a_reader_that_holds_a_duplicate)
{
	const struct fault f = { FAULT_CONNECT, EBUSY, 1,
	    busy_times[_i % BUSY] };
	struct t_blocked reader;
	struct run r;
	int copy;

	t_pair(&r.p, T_IPV4);
	ck_assert_int_ne(copy = dup(r.p.us), -1);
	t_blocked(&reader, copy);
	cut(&r, 0, &f, 1);
	ck_assert_int_eq(r.result, 0);
	ck_assert_int_eq(r.error, T_ERRNO_UNTOUCHED);
	t_saw(t_read_all(r.p.peer), 0, ECONNRESET);
	t_join(reader.thread);
	ck_assert_int_le(reader.n, 0);
	t_close(copy);
	t_close(r.p.peer);
}
END_TEST

/* What SHUT_RD says is no reason to stop. */
START_TEST(abort_tries_again_where_shut_rd_is_refused)
{
	const struct fault f[] = {
		{ FAULT_CONNECT, EBUSY, 1, 2 },
		{ FAULT_SHUT_RD, EACCES, 1, FAULT_ALWAYS }
	};
	struct run r;
	int copy;

	t_pair(&r.p, T_IPV4);
	ck_assert_int_ne(copy = dup(r.p.us), -1);
	cut(&r, 0, f, 2);
	ck_assert_int_eq(r.result, 0);
	t_saw(t_read_all(r.p.peer), 0, ECONNRESET);
	t_close(copy);
	t_close(r.p.peer);
}
END_TEST

START_TEST(abort_ends_soon_where_connect_is_busy_for_ever)
{
	const struct fault f = { FAULT_CONNECT, EBUSY, 1, FAULT_ALWAYS };
	struct run r = { .limit = 1 };

	t_pair_full(&r.p, T_IPV4);
	cut(&r, _i, &f, 1);
	t_wait_dead(r.p.peer);
	t_error_is(t_read_all(r.p.peer).error, ECONNRESET);
	t_close(r.p.peer);
}
END_TEST

/* Without a reader nothing else is worth another try. */
START_TEST(abort_does_not_wait_where_connect_is_refused)
{
	const struct fault f = { FAULT_CONNECT, EACCES, 1, FAULT_ALWAYS };
	struct run r;

	t_pair(&r.p, T_IPV4);
	fault_plan(r.p.us, &f, 1);
	cut_by_abort(&r);
	ck_assert_int_eq(r.result, 0);
	ck_assert_uint_eq(fault_calls(FAULT_CONNECT), 1);
	ck_assert_uint_eq(fault_calls(FAULT_POLL_WAIT), 0);
	fault_plan(-1, NULL, 0);
	t_saw(t_read_all(r.p.peer), 0, ECONNRESET);
	t_close(r.p.peer);
}
END_TEST

/*
 * TCP_INFO of four bytes, which is what qemu-user 7.2 returns: the state is
 * there and nothing else is, so that what is missing must not be taken for 0.
 */

static const struct tiny {
	const char	*name;
	void		(*before)(struct t_pair *);
	void		(*later)(int);
	int		 error;
} tinies[] = {
	{ "that has closed",	faulted_closed,	NULL,		0 },
	{ "that closes later",	faulted_send,	faulted_fin,	0 },
	{ "that has sent and stays silent", late_input, NULL,	ETIMEDOUT },
	{ "that resets later",	faulted_send,	t_reset,	ECONNRESET }
};
#define TINIES	((int)(sizeof(tinies) / sizeof(tinies[0])))

static const struct fault tiny[] = {
	{ FAULT_TCP_INFO, FAULT_TINY, 1, FAULT_ALWAYS },
	{ FAULT_TCP_ZEROCOPY, ENOPROTOOPT, 1, FAULT_ALWAYS }
};

/* Index: the peer, and whether TCP_ZEROCOPY_RECEIVE is missing as well. */
START_TEST(verdict_stands_where_tcp_info_is_an_int)
{
	const struct tiny *x = &tinies[_i % TINIES];
	struct run r = { .limit = x->error == ETIMEDOUT ? SHORT_MS :
	    PATIENCE_MS };
	struct t_later later;

	faulted_pair(&r.p, &faulted_ways[PLAIN]);
	x->before(&r.p);
	fault_plan(r.p.us, tiny, _i < TINIES ? 1 : 2);
	if (x->later != NULL)
		t_later(&later, 20, x->later, r.p.peer);
	faulted_finished(&r);
	if (x->later != NULL)
		t_later_join(&later);
	fault_plan(-1, NULL, 0);
	t_error_is(r.result == 0 ? 0 : r.error, x->error);
	ck_assert_int_eq(r.report.outcome, t_outcome(x->error));
	if (x->later != t_reset) {
		ck_assert_uint_eq(faulted_arrived(r.p.peer), SENT);
		t_close(r.p.peer);
	}
}
END_TEST

START_TEST(reset_before_the_close_is_one_where_tcp_info_is_an_int)
{
	struct run r = { .limit = PATIENCE_MS };

	t_pair_reset(&r.p, T_IPV4);
	fault_plan(r.p.us, tiny, _i == 0 ? 1 : 2);
	faulted_finished(&r);
	fault_plan(-1, NULL, 0);
	ck_assert_int_eq(r.result, -1);
	t_error_is(r.error, ECONNRESET);
	ck_assert_int_eq(r.report.outcome, GRACECLOSE_WAS_RESET);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("faults that last");
	TCase *tc = t_case(s, "recv");

	tcase_add_loop_test(tc,
	    recv_that_goes_on_failing_is_no_spin_and_no_reset, 0,
	    LASTING);
	tcase_add_loop_test(tc, recv_that_goes_on_failing_hides_no_end, 0,
	    DRIVEN * WAYS);
	tcase_add_loop_test(tc, late_input_is_discarded_by_way_of_a_buffer, 0,
	    DRIVEN * WAYS);

	tc = t_case(s, "epoll");
	tcase_add_loop_test(tc,
	    acknowledgement_is_seen_soon_where_epoll_fails, 0, 3);

	tc = t_case(s, "abort");
	tcase_add_loop_test(tc, abort_tries_again_where_connect_is_busy, 0,
	    CUTS * BUSY);
	tcase_add_loop_test(tc,
	    abort_reaches_the_peer_past_a_reader_that_holds_a_duplicate, 0,
	    BUSY);
	tcase_add_test(tc, abort_tries_again_where_shut_rd_is_refused);
	tcase_add_loop_test(tc,
	    abort_ends_soon_where_connect_is_busy_for_ever, 0, CUTS);
	tcase_add_test(tc, abort_does_not_wait_where_connect_is_refused);

	tc = t_case(s, "TCP_INFO");
	tcase_add_loop_test(tc, verdict_stands_where_tcp_info_is_an_int, 0,
	    2 * TINIES);
	tcase_add_loop_test(tc,
	    reset_before_the_close_is_one_where_tcp_info_is_an_int, 0, 2);
	return t_main(s);
}
