/*
 * GRACECLOSE_EDGES: a loop that gets the edges of epoll needs no naps, only the
 * time to the next limit, or a look now and then
 */
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <graceclose.h>

#include "api/every_form.h"
#include "support/util.h"

#define LOOKS		4		/* in an idle_ms, at most */
#define NAP_MS		100		/* longer is no nap */
#define SOON_MS		1000		/* late, on a machine with much to do */

/*
 * A loop of one close, which counts why it went on.
 */
static struct graceclose_opts o;
static struct graceclose_report r;

static struct turns {
	int	events;
	int	looks;			/* no event: the timeout ran out */
	int	shortest_ms;		/* of the timeouts */
	int64_t	begun_ms;
} turns;

static void
given(int until, int timeout_ms, int idle_ms)
{
	o = t_opts(until, GRACECLOSE_DETACH, timeout_ms, idle_ms);
	o.flags = GRACECLOSE_EDGES;
	memset(&r, 0xaa, sizeof(r));
}

static int
watch(int fd)
{
	struct epoll_event ev;
	int ep;

	memset(&ev, 0, sizeof(ev));
	ev.events = GRACECLOSE_EPOLL;
	ck_assert_int_ne(ep = epoll_create1(EPOLL_CLOEXEC), -1);
	ck_assert_int_eq(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
	return ep;
}

/* What is left until the nearer limit, of a close without progress. */
static int
left_ms(void)
{
	int64_t limit = INT32_MAX, now = t_now_ms();

	if (o.timeout_ms != -1)
		limit = turns.begun_ms + o.timeout_ms - now;
	if (o.idle_ms != -1 && turns.begun_ms + o.idle_ms - now < limit)
		limit = turns.begun_ms + o.idle_ms - now;
	return (int)limit;
}

/* The last timeout is short, because a limit is near; no other one may be. */
static void
count_timeout(int timeout)
{
	if (timeout == -1 || timeout >= left_ms() - 20)
		return;
	if (turns.shortest_ms == -1 || timeout < turns.shortest_ms)
		turns.shortest_ms = timeout;
}

/* Up to the verdict: 0, or -1 with errno. */
static int
loop(struct graceclose *gc, int fd)
{
	struct epoll_event ev;
	int ep = watch(fd), error, n, result;

	turns = (struct turns){ .shortest_ms = -1, .begun_ms = t_now_ms() };
	while ((result = graceclose_step(gc)) == 1) {
		count_timeout(graceclose_timeout(gc));
		n = epoll_wait(ep, &ev, 1, graceclose_timeout(gc));
		if (n == 1)
			turns.events++;
		else
			turns.looks++;
	}
	error = errno;
	t_close(ep);
	errno = error;
	return result;
}

/*
 * No naps
 */

static void
shut(struct t_pair *p)
{
	(void)t_fill(p->us);
}

static void
shut_after_fin(struct t_pair *p)
{
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
	(void)t_fill(p->us);
}

static void
delivered(struct t_pair *p)
{
	t_write(p->us, 1000);
	t_read(p->peer, 1000);
}

static void (*const silences[])(struct t_pair *) = {
	shut, shut_after_fin, delivered
};
#define SILENCES	3

START_TEST(timeout_is_no_nap_while_nothing_happens)
{
	struct graceclose gc;
	struct t_pair p;

	t_not_portable(T_NO_EDGE);
	t_need(_i / SILENCES);
	t_pair_small(&p, _i / SILENCES);
	silences[_i % SILENCES](&p);
	given(GRACECLOSE_FINISHED, -1, 1000);
	t_ok(graceclose_begin(&gc, p.us, &o));
	t_fails(loop(&gc, p.us), ETIMEDOUT);
	ck_assert_int_le(turns.looks, LOOKS + 1);
	ck_assert_int_le(turns.events, 8);
	if (turns.shortest_ms != -1)
		ck_assert_int_ge(turns.shortest_ms, NAP_MS);
	t_fails(graceclose_end(&gc, &r), ETIMEDOUT);
	t_between((int64_t)r.elapsed_us / 1000, 999, 1000 + SOON_MS);
	t_close(p.peer);
}
END_TEST

struct blocked {
	pid_t	tid;
	int	fd;
	int	result;
	int	error;
};

static void *
close_it(void *arg)
{
	struct blocked *b = arg;

	__atomic_store_n(&b->tid, gettid(), __ATOMIC_RELEASE);
	b->result = graceclose(b->fd, &o, NULL);
	b->error = errno;
	return NULL;
}

/* Index: which silence, and until: a graceful_close, or a linger_close. */
START_TEST(blocking_close_sleeps_while_nothing_happens)
{
	struct blocked b = { .tid = 0 };
	pthread_t thread;
	struct t_pair p;

	t_not_portable(T_NO_EDGE);
	t_pair_small(&p, T_IPV4);
	silences[_i / 2](&p);
	given(_i % 2, -1, _i % 2 == 0 ? 0 : -1);
	o.flags = 0;
	b.fd = p.us;
	ck_assert_int_eq(pthread_create(&thread, NULL, close_it, &b), 0);
	t_wait_blocked(&b.tid, T_WAIT);
	t_wait_asleep(b.tid, 2 * NAP_MS);
	t_reset(p.peer);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(b.result, -1);
	ck_assert_int_eq(b.error, ECONNRESET);
	t_released(p.us);
}
END_TEST

/* The clock runs faster for the library alone, and so do the waits here. */
#define SPEED		25

static const int idles[] = { 0, 1500, 2000, 4000, 5000, 10000, 20000 };
#define IDLES		((int)(sizeof(idles) / sizeof(idles[0])))

START_TEST(looks_are_four_at_most_however_long_the_silence)
{
	struct epoll_event ev;
	struct graceclose gc;
	struct t_pair p;
	int ep, looks = 0;

	t_not_portable(T_NO_EDGE);
	t_pair_full(&p, T_IPV4);
	given(GRACECLOSE_FINISHED, -1, idles[_i]);
	ep = watch(p.us);
	t_clock(SPEED);
	t_ok(graceclose_begin(&gc, p.us, &o));
	while (graceclose_step(&gc) == 1)
		if (epoll_wait(ep, &ev, 1,
		    graceclose_timeout(&gc) / SPEED + 1) == 0)
			looks++;
	t_clock(1);
	t_errno_is(ETIMEDOUT);
	ck_assert_int_le(looks, LOOKS + 1);
	t_close(ep);
	t_fails(graceclose_end(&gc, NULL), ETIMEDOUT);
	t_close(p.peer);
}
END_TEST

/* There is nothing to look for: no progress prolongs this close. */
START_TEST(without_idle_the_timeout_is_no_nap_either)
{
	struct graceclose gc;
	struct t_pair p;

	t_not_portable(T_NO_EDGE);
	t_need(_i / SILENCES);
	t_pair_small(&p, _i / SILENCES);
	silences[_i % SILENCES](&p);
	given(GRACECLOSE_FINISHED, 600, -1);
	t_ok(graceclose_begin(&gc, p.us, &o));
	t_fails(loop(&gc, p.us), ETIMEDOUT);
	ck_assert_int_le(turns.looks, LOOKS + 1);
	t_fails(graceclose_end(&gc, &r), ETIMEDOUT);
	t_between((int64_t)r.elapsed_us / 1000, 599, 600 + SOON_MS);
	t_close(p.peer);
}
END_TEST

/* Steps without any news, one after the other, do not shorten it. */
START_TEST(needless_steps_do_not_shorten_the_timeout)
{
	struct graceclose gc;
	struct t_pair p;
	int i;

	t_not_portable(T_NO_EDGE);
	t_need(_i / SILENCES);
	t_pair_small(&p, _i / SILENCES);
	silences[_i % SILENCES](&p);
	if (_i % SILENCES == 2)
		t_wait_outq(p.us, 0);
	given(GRACECLOSE_FINISHED, -1, 4000);
	t_ok(graceclose_begin(&gc, p.us, &o));
	t_pause(50);			/* the FIN may be acknowledged */
	for (i = 0; i < 20; i++) {
		t_returns(graceclose_step(&gc), 1);
		ck_assert_int_ge(graceclose_timeout(&gc), NAP_MS);
		ck_assert_int_le(graceclose_timeout(&gc), 4000);
	}
	t_fails(graceclose_end(&gc, NULL), ECANCELED);
	t_close(p.peer);
}
END_TEST

#define INPUT	((size_t)3 << 20)

/* Input that a step left is no event of epoll: it is due at once. */
START_TEST(input_beyond_a_mebibyte_is_due_at_once)
{
	struct graceclose gc;
	struct t_pair p;
	int big = 16 * 1048576;

	t_need(_i);
	t_need_buffer(SO_RCVBUF, big / 4);
	t_need_buffer(SO_SNDBUF, big / 4);
	t_pair(&p, _i);
	t_rcvbuf(p.us, big);
	t_sndbuf(p.peer, big);
	t_write(p.peer, INPUT);
	t_fin(p.peer);
	t_wait_inq(p.us, INPUT);
	given(GRACECLOSE_FINISHED, 0, 0);
	t_ok(graceclose_begin(&gc, p.us, &o));
	t_returns(graceclose_step(&gc), 1);
	ck_assert_int_gt(t_inq(p.us), 0);
	ck_assert_int_eq(graceclose_timeout(&gc), 0);
	t_ok(loop(&gc, p.us));
	t_ok(graceclose_end(&gc, &r));
	ck_assert_uint_eq(r.discarded, INPUT);
	t_close(p.peer);
}
END_TEST

/*
 * The verdict comes with its event
 */

/* No look comes within this time. */
#define NO_LOOK_MS	20000

static int64_t
from_the_fin(struct t_pair *p)
{
	struct graceclose gc;
	struct t_later l;
	int64_t late;

	given(GRACECLOSE_FINISHED, -1, NO_LOOK_MS);
	t_ok(graceclose_begin(&gc, p->us, &o));
	t_later(&l, 150, t_fin, p->peer);
	t_ok(loop(&gc, p->us));
	late = t_now_ms() - t_later_join(&l);
	t_ok(graceclose_end(&gc, &r));
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	t_close(p->peer);
	return late;
}

static int64_t
behind_the_fin(int i)
{
	struct t_pair p;

	t_pair_any(&p, i);
	delivered(&p);
	return from_the_fin(&p);
}

START_TEST(peers_fin_brings_the_verdict)
{
	t_need_any(_i);
	t_prompt(behind_the_fin, _i, 60);
}
END_TEST

/* Our own SHUT_RD came before: poll shows no FIN then, an edge comes. */
static int64_t
behind_the_fin_of_a_deaf_socket(int family)
{
	struct t_pair p;

	t_pair(&p, family);
	delivered(&p);
	ck_assert_int_eq(shutdown(p.us, SHUT_RD), 0);
	return from_the_fin(&p);
}

START_TEST(fin_behind_our_own_shut_rd_brings_the_verdict)
{
	t_not_portable(T_NO_EDGE);
	t_prompt(behind_the_fin_of_a_deaf_socket, _i, 60);
}
END_TEST

/* Index: until, and the pair. */
static int64_t
from_the_last_acknowledgement(int i)
{
	struct graceclose gc;
	struct t_reader peer;
	struct t_pair p;
	int64_t end;
	size_t n;

	t_pair_small(&p, i / 2);
	if (i % 2 == 1) {
		t_fin(p.peer);
		t_wait_poll(p.us, POLLRDHUP);
	}
	n = t_fill(p.us);
	given(i % 2 == 1 ? GRACECLOSE_FINISHED : GRACECLOSE_DELIVERED, -1,
	    NO_LOOK_MS);
	t_ok(graceclose_begin(&gc, p.us, &o));
	t_reader_later(&peer, p.peer, 150);
	t_ok(loop(&gc, p.us));
	end = t_now_ms();
	t_ok(graceclose_end(&gc, &r));
	t_report_is(&r, GRACECLOSE_OK, 0, 1, i % 2);
	t_saw(t_reader_join(&peer), n, 0);
	t_close(p.peer);
	return llabs(end - peer.done_ms);
}

START_TEST(last_acknowledgement_brings_the_verdict)
{
	t_not_portable(T_NO_EDGE);
	t_need(_i / 2);
	t_prompt(from_the_last_acknowledgement, _i, 150);
}
END_TEST

static int64_t
behind_the_reset(int i)
{
	struct graceclose gc;
	struct t_later l;
	struct t_pair p;
	int64_t late;

	t_pair_any(&p, i / SILENCES);
	if (i % SILENCES == 2)
		delivered(&p);
	else
		silences[i % SILENCES](&p);
	given(GRACECLOSE_FINISHED, -1, NO_LOOK_MS);
	t_ok(graceclose_begin(&gc, p.us, &o));
	t_later(&l, 150, t_reset, p.peer);
	t_fails(loop(&gc, p.us), ECONNRESET);
	late = t_now_ms() - t_later_join(&l);
	t_fails(graceclose_end(&gc, NULL), ECONNRESET);
	return late;
}

START_TEST(reset_brings_the_verdict)
{
	t_not_portable(T_NO_EDGE);
	t_prompt(behind_the_reset, _i, 60);
}
END_TEST

START_TEST(flood_brings_the_verdict)
{
	struct graceclose gc;
	struct t_pair p;
	pthread_t t;

	t_need(_i);
	t_pair(&p, _i);
	given(GRACECLOSE_FINISHED, -1, NO_LOOK_MS);
	o.discard_max = 3000000;
	t_ok(graceclose_begin(&gc, p.us, &o));
	t_thread(&t, t_flood, &p.peer);
	t_fails(loop(&gc, p.us), EMSGSIZE);
	t_fails(graceclose_end(&gc, NULL), EMSGSIZE);
	shutdown(p.peer, SHUT_RDWR);
	t_join(t);
	t_close(p.peer);
}
END_TEST

START_TEST(silence_brings_the_verdict_of_quiet)
{
	struct graceclose gc;
	struct t_pair p;

	t_not_portable(T_NO_EDGE);
	t_need(_i);
	t_pair(&p, _i);
	delivered(&p);
	given(GRACECLOSE_QUIET, -1, 400);
	t_ok(graceclose_begin(&gc, p.us, &o));
	t_ok(loop(&gc, p.us));
	ck_assert_int_le(turns.looks, LOOKS + 1);
	t_ok(graceclose_end(&gc, &r));
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 0);
	t_between((int64_t)r.elapsed_us / 1000, 399, 400 + SOON_MS);
	t_close(p.peer);
}
END_TEST

/*
 * An acknowledgement that leaves other bytes outstanding causes no edge: only a
 * look finds it, and idle_ms begins anew.
 */
static int
close_with_a_slow_reader(int family)
{
	struct graceclose gc;
	struct t_reader peer;
	struct t_pair p;
	int error, result;
	size_t n;

	t_pair_small(&p, family);
	n = t_fill(p.us);
	t_reader_slow(&peer, p.peer);
	given(GRACECLOSE_FINISHED, -1, 350);
	t_ok(graceclose_begin(&gc, p.us, &o));
	errno = 0;
	result = loop(&gc, p.us);
	error = errno;
	(void)graceclose_end(&gc, &r);
	t_saw(t_reader_join(&peer), n, 0);
	t_close(p.peer);
	if (result != 0)
		t_error_is(error, ETIMEDOUT);
	return result;
}

START_TEST(acknowledgement_is_progress_though_no_edge_shows_it)
{
	int tries = 0, result;

	t_not_portable(T_NO_EDGE);
	do
		result = close_with_a_slow_reader(_i);
	while (result != 0 && ++tries < T_TRIES);
	ck_assert_int_eq(result, 0);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	t_between((int64_t)r.elapsed_us / 1000, 370, 8000);
}
END_TEST

/*
 * What it saves
 */

#define CLOSES		100
#define WINDOWS_MS	1000

static struct {
	struct graceclose	gc;
	struct t_pair		p;
	bool			over;
} many[CLOSES];

static unsigned	steps;

static void
step_one(int i)
{
	if (many[i].over)
		return;
	steps++;
	many[i].over = graceclose_step(&many[i].gc) != 1;
}

/* When the next step is due; -1: all are over, as each has a limit. */
static int
nearest(void)
{
	int i, t, timeout = -1;

	for (i = 0; i < CLOSES; i++) {
		if (many[i].over)
			continue;
		t = graceclose_timeout(&many[i].gc);
		if (timeout == -1 || t < timeout)
			timeout = t;
	}
	return timeout;
}

static void
shut_many(void)
{
	static const char data[4096];
	int i;

	for (i = 0; i < CLOSES; i++) {
		t_pair_small(&many[i].p, T_IPV4);
		t_sndbuf(many[i].p.us, 16384);
		while (send(many[i].p.us, data, sizeof(data), MSG_NOSIGNAL |
		    MSG_DONTWAIT) > 0)
			;
	}
}

/* Steps of closes whose peers shut their window, up to their expiry. */
static unsigned
steps_of_many(unsigned flags)
{
	struct epoll_event ev[CLOSES];
	int ep, i, n, timeout;

	given(GRACECLOSE_FINISHED, -1, WINDOWS_MS);
	o.flags = flags;
	steps = 0;
	shut_many();
	ck_assert_int_ne(ep = epoll_create1(EPOLL_CLOEXEC), -1);
	for (i = 0; i < CLOSES; i++) {
		many[i].over = false;
		t_ok(graceclose_begin(&many[i].gc, many[i].p.us, &o));
		ev[0] = (struct epoll_event){ .events = GRACECLOSE_EPOLL };
		ev[0].data.u32 = (uint32_t)i;
		ck_assert_int_eq(epoll_ctl(ep, EPOLL_CTL_ADD, many[i].p.us,
		    &ev[0]), 0);
		step_one(i);
	}
	while ((timeout = nearest()) != -1) {
		n = epoll_wait(ep, ev, CLOSES, timeout);
		while (--n >= 0)
			step_one((int)ev[n].data.u32);
		for (i = 0; i < CLOSES; i++)
			if (graceclose_timeout(&many[i].gc) == 0)
				step_one(i);
	}
	t_close(ep);
	for (i = 0; i < CLOSES; i++) {
		t_fails(graceclose_end(&many[i].gc, NULL), ETIMEDOUT);
		t_close(many[i].p.peer);
	}
	return steps;
}

START_TEST(many_shut_windows_cost_a_third_of_the_steps_at_most)
{
	unsigned naps, edges;

	t_not_portable(T_NO_EDGE);
	(void)t_files((size_t)4 * CLOSES);
	naps = steps_of_many(0);
	edges = steps_of_many(GRACECLOSE_EDGES);
	if (!T_SLOW)		/* naps that are late are fewer */
		ck_assert_uint_le(edges, naps / 3);
	ck_assert_uint_le(edges, (uintmax_t)CLOSES * (LOOKS + 4));
}
END_TEST

/*
 * The flag, and what is no flag
 */

/* A call or a reaper has its own way to wait: the flag changes nothing. */
START_TEST(flag_changes_no_verdict)
{
	struct t_reader peer;
	struct t_pair p;

	t_need(_i / NFORMS);
	t_pair(&p, _i / NFORMS);
	t_write(p.us, 100000);
	t_write(p.peer, 5000);
	t_reader(&peer, p.peer, 1);
	form_given(_i, GRACECLOSE_FINISHED, 0, 0);
	way.opts.flags = GRACECLOSE_EDGES;
	form_close(p.us);
	form_succeeded(1);
	ck_assert_uint_eq(closed.report.discarded, 5000);
	t_saw(t_reader_join(&peer), 100000, 0);
}
END_TEST

/* Index: the bit; with and without EDGES. */
START_TEST(unknown_flag_is_einval_and_touches_nothing)
{
	struct graceclose_reaper *reaper = t_reaper(NULL);
	struct graceclose gc;
	struct t_pair p;

	t_pair(&p, T_IPV4);
	given(GRACECLOSE_FINISHED, 0, 0);
	o.flags = 1U << _i % 32;
	if (o.flags == GRACECLOSE_EDGES)
		o.reserved = 1U << _i / 32;
	else if (_i >= 32)
		o.flags |= GRACECLOSE_EDGES;
	t_fails(graceclose(p.us, &o, NULL), EINVAL);
	t_fails(graceclose_begin(&gc, p.us, &o), EINVAL);
	t_fails(graceclose_reaper_close(reaper, p.us, &o, NULL), EINVAL);
	t_reaper_free(reaper);
	t_write(p.us, 10);
	t_read(p.peer, 10);
	ck_assert_int_eq(t_state(p.us), TCP_ESTABLISHED);
	t_close_pair(&p);
}
END_TEST

START_TEST(reserved_is_einval_and_touches_nothing)
{
	struct graceclose_report report;
	struct t_pair p;

	t_pair(&p, T_IPV4);
	given(GRACECLOSE_FINISHED, 0, 0);
	o.flags = 0;
	o.reserved = 1U << _i;
	memset(&report, 0xaa, sizeof(report));
	t_fails(graceclose(p.us, &o, &report), EINVAL);
	t_report_is(&report, GRACECLOSE_INVALID, EINVAL, 0, 0);
	t_error_is(report.cause, 0);
	ck_assert_int_eq(t_state(p.us), TCP_ESTABLISHED);
	t_close_pair(&p);
}
END_TEST

static void
the_flag(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "cost");
	tcase_add_test(tc, many_shut_windows_cost_a_third_of_the_steps_at_most);

	tc = t_case(s, "flags");
	tcase_add_loop_test(tc, flag_changes_no_verdict, 0,
	    NFORMS * T_FAMILIES);
	tcase_add_loop_test(tc, unknown_flag_is_einval_and_touches_nothing, 0,
	    64);
	tcase_add_loop_test(tc, reserved_is_einval_and_touches_nothing, 0, 32);
}

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("edges");
	tc = t_case(s, "no naps");
	tcase_add_loop_test(tc, timeout_is_no_nap_while_nothing_happens, 0,
	    SILENCES * T_FAMILIES);
	tcase_add_loop_test(tc,
	    looks_are_four_at_most_however_long_the_silence, 0, IDLES);
	/* What is delivered already is no wait of a linger_close. */
	tcase_add_loop_test(tc, blocking_close_sleeps_while_nothing_happens,
	    0, 2 * SILENCES - 1);
	tcase_add_loop_test(tc, without_idle_the_timeout_is_no_nap_either, 0,
	    SILENCES * T_FAMILIES);
	tcase_add_loop_test(tc, needless_steps_do_not_shorten_the_timeout, 0,
	    SILENCES * T_FAMILIES);
	tcase_add_loop_test(tc, input_beyond_a_mebibyte_is_due_at_once, 0,
	    T_FAMILIES);

	tc = t_case(s, "prompt");
	tcase_add_loop_test(tc, peers_fin_brings_the_verdict, 0, T_ANY);
	tcase_add_loop_test(tc, fin_behind_our_own_shut_rd_brings_the_verdict,
	    0, T_PLAIN);
	tcase_add_loop_test(tc, last_acknowledgement_brings_the_verdict, 0,
	    2 * T_PLAIN);
	tcase_add_loop_test(tc, reset_brings_the_verdict, 0,
	    SILENCES * T_ANY_PLAIN);
	tcase_add_loop_test(tc, flood_brings_the_verdict, 0, T_FAMILIES);
	tcase_add_loop_test(tc, silence_brings_the_verdict_of_quiet, 0,
	    T_FAMILIES);
	tcase_add_loop_test(tc,
	    acknowledgement_is_progress_though_no_edge_shows_it, 0, T_PLAIN);
	the_flag(s);
	return t_main(s);
}
