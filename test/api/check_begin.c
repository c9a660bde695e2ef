/*
 * graceclose_begin and the calls that follow it: the same close in the caller's
 * own loop
 */
#include <sys/epoll.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

#define MEBIBYTE	1048576

_Static_assert(sizeof(struct graceclose) == 128, "part of the ABI");

static struct graceclose_opts o;
static struct graceclose_report r;

static void
given(int until, int on_expiry, int timeout_ms, int idle_ms)
{
	o = t_opts(until, on_expiry, timeout_ms, idle_ms);
	memset(&r, 0xaa, sizeof(r));
}

/* The structure may hold any bytes before. */
static void
begin(struct graceclose *gc, int fd)
{
	memset(gc, 0xaa, sizeof(*gc));
	t_ok(graceclose_begin(gc, fd, &o));
}

static void
events_are_sane(const struct graceclose *gc)
{
	int events, timeout;

	errno = T_ERRNO_UNTOUCHED;
	events = graceclose_events(gc);
	timeout = graceclose_timeout(gc);
	ck_assert(events == 0 || events == POLLIN);
	ck_assert_int_ge(timeout, -1);
	if (o.timeout_ms > 0)
		ck_assert_int_le(timeout, o.timeout_ms);
	ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);
}

/* The loop of graceclose_begin(3); no step may block. */
static int
poll_loop(struct graceclose *gc, int fd, int *turns)
{
	struct pollfd pfd;
	int64_t start;
	int result;

	for (*turns = 0; ; ++*turns) {
		start = t_now_ms();
		result = graceclose_step(gc);
		ck_assert_int_le(t_now_ms() - start, 500);
		if (result != 1)
			return result;
		events_are_sane(gc);
		pfd.events = graceclose_events(gc);
		pfd.fd = pfd.events == 0 ? -1 : fd;
		poll(&pfd, 1, graceclose_timeout(gc));
	}
}

static int
epoll_loop(struct graceclose *gc, int fd, int *turns)
{
	struct epoll_event ev;
	int ep, result;

	ep = epoll_create1(EPOLL_CLOEXEC);
	memset(&ev, 0, sizeof(ev));
	ev.events = GRACECLOSE_EPOLL;
	ck_assert_int_eq(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
	for (*turns = 0; (result = graceclose_step(gc)) == 1; ++*turns) {
		events_are_sane(gc);
		epoll_wait(ep, &ev, 1, graceclose_timeout(gc));
	}
	if (result == -1)
		*turns = errno;
	/*
	 * The descriptor is still open, so that the caller can take it out of
	 * the loop.
	 */
	ck_assert_int_eq(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL), 0);
	t_close(ep);
	if (result == -1)
		errno = *turns;
	return result;
}

static int (*const loops[])(struct graceclose *, int, int *) = {
	poll_loop, epoll_loop
};

/* Index: loop and pair. */
#define T_LOOP		(2 * T_ANY)
#define T_LOOP_TCP	(2 * T_ANY_TCP)

/*
 * To the end
 */

START_TEST(loop_brings_a_close_to_its_end)
{
	struct graceclose gc;
	struct t_reader peer;
	struct t_pair p;
	int turns;

	t_need_any(_i / 2);
	t_pair_any(&p, _i / 2);
	t_write(p.us, 100000);
	t_write(p.peer, 5000);
	t_reader(&peer, p.peer, 1);
	given(0, 0, 0, 0);
	begin(&gc, p.us);
	ck_assert_int_eq(loops[_i % 2](&gc, p.us, &turns), 0);
	ck_assert_int_ne(fcntl(p.us, F_GETFD), -1);
	t_ok(graceclose_end(&gc, &r));
	t_released(p.us);
	t_saw(t_reader_join(&peer), 100000, 0);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(r.unacked, 0);
	ck_assert_uint_eq(r.discarded, 5000);
}
END_TEST

/* EOF arrived before the close, so that poll(2) has nothing to wait for. */
static int64_t
from_the_delivery_after_eof(int i)
{
	struct graceclose gc;
	struct t_reader peer;
	struct t_pair p;
	int64_t end;
	size_t n;
	int turns;

	t_pair_small(&p, i / 2);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	n = t_fill(p.us);
	given(0, 0, 0, 0);
	begin(&gc, p.us);
	t_reader_later(&peer, p.peer, 150);
	ck_assert_int_eq(loops[i % 2](&gc, p.us, &turns), 0);
	end = t_now_ms();
	ck_assert_int_lt(turns, 200);
	t_ok(graceclose_end(&gc, &r));
	t_saw(t_reader_join(&peer), n, 0);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
	return llabs(end - peer.done_ms);
}

START_TEST(loop_waits_for_delivery_after_eof_without_spinning)
{
	t_need(_i / 2);
	t_prompt(from_the_delivery_after_eof, _i, 300);
}
END_TEST

/*
 * Without any timer the edges alone carry the close to its end.  The timeout is
 * for a kernel that gives no such edge.
 */
static int64_t
from_the_last_acknowledgement(int i)
{
	struct epoll_event ev;
	struct graceclose gc;
	struct t_reader peer;
	struct t_pair p;
	int64_t end;
	size_t n;
	int ep, result;

	t_pair_small(&p, i / 2);
	if (i % 2 == 1) {
		t_fin(p.peer);
		t_wait_poll(p.us, POLLRDHUP);
	}
	n = t_fill(p.us);
	given(GRACECLOSE_DELIVERED, 0, -1, -1);
	begin(&gc, p.us);
	ep = epoll_create1(EPOLL_CLOEXEC);
	memset(&ev, 0, sizeof(ev));
	ev.events = GRACECLOSE_EPOLL;
	ck_assert_int_eq(epoll_ctl(ep, EPOLL_CTL_ADD, p.us, &ev), 0);
	t_reader_later(&peer, p.peer, 150);
	while ((result = graceclose_step(&gc)) == 1)
		ck_assert_int_eq(epoll_wait(ep, &ev, 1, T_LIMIT_MS), 1);
	end = t_now_ms();
	ck_assert_int_eq(result, 0);
	t_close(ep);
	t_ok(graceclose_end(&gc, NULL));
	t_saw(t_reader_join(&peer), n, 0);
	t_close(p.peer);
	return llabs(end - peer.done_ms);
}

START_TEST(epoll_edge_comes_with_the_last_acknowledgement)
{
	t_not_portable(T_NO_EDGE);
	t_prompt(from_the_last_acknowledgement, _i, 300);
}
END_TEST

START_TEST(many_closes_share_one_epoll)
{
	static struct graceclose gc[50];
	static struct t_pair p[50];
	static int ended[50];
	struct epoll_event ev;
	int ep, i, left;

	t_need(_i);
	given(0, 0, 5000, -1);
	ep = epoll_create1(EPOLL_CLOEXEC);
	for (i = 0; i < 50; i++) {
		t_pair(&p[i], _i);
		t_write(p[i].us, 1000);
		begin(&gc[i], p[i].us);
		ev.events = GRACECLOSE_EPOLL;
		ev.data.u32 = (uint32_t)i;
		ck_assert_int_eq(epoll_ctl(ep, EPOLL_CTL_ADD, p[i].us, &ev),
		    0);
		ck_assert_int_eq(graceclose_step(&gc[i]), 1);
		ended[i] = 0;
	}
	for (i = 0; i < 50; i++) {
		t_read(p[i].peer, 1000);
		t_fin(p[i].peer);
	}
	for (left = 50; left > 0; ) {
		ck_assert_int_eq(epoll_wait(ep, &ev, 1, T_LIMIT_MS), 1);
		i = (int)ev.data.u32;
		if (ended[i] || graceclose_step(&gc[i]) == 1)
			continue;
		ended[i] = 1;
		left--;
	}
	t_close(ep);
	for (i = 0; i < 50; i++) {
		t_ok(graceclose_end(&gc[i], &r));
		t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
		t_close(p[i].peer);
	}
}
END_TEST

START_TEST(no_options_will_do)
{
	struct graceclose gc;
	struct t_pair p;
	int turns;

	t_pair(&p, _i);
	t_fin(p.peer);
	t_ok(graceclose_begin(&gc, p.us, NULL));
	ck_assert_int_eq(poll_loop(&gc, p.us, &turns), 0);
	t_ok(graceclose_end(&gc, NULL));
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

/*
 * begin
 */

START_TEST(begin_alone_sends_the_fin)
{
	struct graceclose gc;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	given(0, 0, 0, 0);
	t_write(p.us, 100);
	begin(&gc, p.us);
	t_saw(t_read_all(p.peer), 100, 0);
	t_fails(graceclose_end(&gc, NULL), ECANCELED);
	t_close(p.peer);
}
END_TEST

START_TEST(bad_option_takes_nothing)
{
	struct graceclose gc;
	struct t_pair p;

	t_pair(&p, T_IPV4);
	t_fails(graceclose_begin(&gc, p.us, &t_bad_opts[_i]), EINVAL);
	t_write(p.us, 10);
	t_read(p.peer, 10);
	ck_assert_int_eq(t_state(p.us), TCP_ESTABLISHED);
	t_close_pair(&p);
}
END_TEST

START_TEST(no_descriptor_is_ebadf)
{
	struct graceclose gc;

	given(0, 0, 0, 0);
	t_fails(graceclose_begin(&gc, -1, &o), EBADF);
	t_fails(graceclose_begin(&gc, INT32_MAX, NULL), EBADF);
}
END_TEST

START_TEST(what_is_no_connection_shows_at_the_first_step)
{
	struct graceclose gc;
	int fd;

	t_need(t_odds[_i].family);
	fd = t_odd_open(&t_odds[_i]);
	given(0, 0, 0, 0);
	begin(&gc, fd);
	t_fails(graceclose_step(&gc), t_odds[_i].error);
	t_fails(graceclose_step(&gc), t_odds[_i].error);
	ck_assert_int_ne(fcntl(fd, F_GETFD), -1);
	t_fails(graceclose_end(&gc, &r), t_odds[_i].error);
	t_released(fd);
	t_report_is(&r, GRACECLOSE_INVALID, t_odds[_i].error, 0, 0);
}
END_TEST

START_TEST(dead_connection_shows_at_the_first_step)
{
	struct graceclose gc;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_reset(p.peer);
	t_wait_reset(p.us);
	given(0, 0, 0, 0);
	begin(&gc, p.us);
	t_fails(graceclose_step(&gc), ECONNRESET);
	t_fails(graceclose_end(&gc, &r), ECONNRESET);
	t_released(p.us);
	ck_assert_int_eq(r.outcome, GRACECLOSE_WAS_RESET);
}
END_TEST

/*
 * step
 */

START_TEST(early_steps_are_harmless)
{
	struct graceclose gc;
	struct t_pair p;
	int i;

	t_need_any(_i);
	t_pair_any(&p, _i);
	given(0, 0, -1, -1);
	begin(&gc, p.us);
	for (i = 0; i < 1000; i++) {
		t_returns(graceclose_step(&gc), 1);
		events_are_sane(&gc);
	}
	t_fin(p.peer);
	ck_assert_int_eq(poll_loop(&gc, p.us, &i), 0);
	t_ok(graceclose_end(&gc, NULL));
	t_close(p.peer);
}
END_TEST

START_TEST(late_steps_return_the_same_result)
{
	struct graceclose gc;
	struct t_pair p;
	int turns;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_fin(p.peer);
	given(0, 0, 0, 0);
	begin(&gc, p.us);
	ck_assert_int_eq(poll_loop(&gc, p.us, &turns), 0);
	t_ok(graceclose_step(&gc));
	ck_assert_int_eq(graceclose_events(&gc), 0);
	t_ok(graceclose_step(&gc));
	t_ok(graceclose_end(&gc, NULL));
	t_close(p.peer);

	t_pair_any(&p, _i);
	given(0, 0, 30, 0);
	begin(&gc, p.us);
	t_fails(poll_loop(&gc, p.us, &turns), ETIMEDOUT);
	t_fails(graceclose_step(&gc), ETIMEDOUT);
	ck_assert_int_eq(graceclose_events(&gc), 0);
	t_fails(graceclose_step(&gc), ETIMEDOUT);
	t_fails(graceclose_end(&gc, NULL), ETIMEDOUT);
	t_close(p.peer);
}
END_TEST

/* Another connection has the descriptor number by then. */
START_TEST(calls_after_the_end_touch_no_descriptor)
{
	struct graceclose gc;
	struct t_pair old, new;
	int i;

	t_pair(&old, T_IPV4);
	t_pair(&new, T_IPV4);
	given(0, _i % 2, 0, 0);
	if (_i / 2 == 1)
		t_close(old.peer);
	begin(&gc, old.us);
	if (_i / 2 == 1)
		poll_loop(&gc, old.us, &i);
	graceclose_end(&gc, NULL);
	ck_assert_int_eq(dup2(new.us, old.us), old.us);
	t_write(new.peer, 10);
	t_wait_inq(new.us, 10);
	for (i = 0; i < 5; i++) {
		ck_assert_int_ne(graceclose_step(&gc), 1);
		ck_assert_int_eq(graceclose_events(&gc), 0);
		graceclose_timeout(&gc);
		graceclose_end(&gc, NULL);
	}
	ck_assert_int_ne(fcntl(old.us, F_GETFD), -1);
	t_read(old.us, 10);
	t_write(old.us, 10);
	t_read(new.peer, 10);
	t_close(old.us);
	if (_i / 2 == 0)
		t_close(old.peer);
	t_close_pair(&new);
}
END_TEST

START_TEST(step_takes_a_mebibyte_at_most)
{
	struct graceclose gc;
	struct t_pair p;
	int before, big, steps, taken;

	t_need(_i);
	t_need_buffer(SO_RCVBUF, 4 * MEBIBYTE);
	t_need_buffer(SO_SNDBUF, 4 * MEBIBYTE);
	t_pair(&p, _i);
	big = 16 * MEBIBYTE;
	t_rcvbuf(p.us, big);
	t_sndbuf(p.peer, big);
	t_write(p.peer, (size_t)3 * MEBIBYTE);
	t_fin(p.peer);
	t_wait_inq(p.us, 3 * MEBIBYTE);
	given(0, 0, 0, 0);
	begin(&gc, p.us);
	for (steps = 0; (before = t_inq(p.us)) > MEBIBYTE; steps++) {
		t_returns(graceclose_step(&gc), 1);
		taken = before - t_inq(p.us);
		ck_assert_int_gt(taken, 0);
		ck_assert_int_le(taken, MEBIBYTE);
		ck_assert_int_eq(graceclose_timeout(&gc), 0);
	}
	ck_assert_int_ge(steps, 2);
	ck_assert_int_eq(poll_loop(&gc, p.us, &steps), 0);
	t_ok(graceclose_end(&gc, &r));
	ck_assert_uint_eq(r.discarded, (size_t)3 * MEBIBYTE);
	t_close(p.peer);
}
END_TEST

START_TEST(blocking_descriptor_does_not_make_step_block)
{
	struct graceclose gc;
	struct t_pair p;
	int64_t start;
	int i;

	t_need(_i);
	t_pair_small(&p, _i);
	t_fill(p.us);
	t_linger(p.us, 5);
	given(0, 0, 0, 0);
	start = t_now_ms();
	begin(&gc, p.us);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(graceclose_step(&gc), 1);
	t_fails(graceclose_end(&gc, NULL), ECANCELED);
	t_between(t_now_ms() - start, 0, 1000);
	t_close(p.peer);
}
END_TEST

/*
 * timeout
 */

START_TEST(without_limits_the_timeout_may_be_for_ever)
{
	struct graceclose gc;
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	t_pair(&p, _i);
	given(0, 0, -1, -1);
	begin(&gc, p.us);
	t_wait_outq(p.us, 0);
	ck_assert_int_eq(graceclose_step(&gc), 1);
	ck_assert_int_eq(graceclose_events(&gc), POLLIN);
	ck_assert_int_eq(graceclose_timeout(&gc), -1);
	t_fails(graceclose_end(&gc, NULL), ECANCELED);
	t_close(p.peer);
}
END_TEST

START_TEST(loop_expires_in_time)
{
	struct graceclose gc;
	struct t_pair p;
	int64_t cpu, start;
	int turns;

	t_need(_i / 2);
	t_pair(&p, _i / 2);
	given(0, 0, 150, -1);
	cpu = t_cpu_ms();
	start = t_now_ms();
	begin(&gc, p.us);
	t_fails(loops[_i % 2](&gc, p.us, &turns), ETIMEDOUT);
	t_between(t_now_ms() - start, 149, 1200);
	ck_assert_int_le(t_cpu_ms() - cpu, T_IDLE_CPU_MS);
	ck_assert_int_ne(fcntl(p.us, F_GETFD), -1);
	t_fails(graceclose_end(&gc, &r), ETIMEDOUT);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT,
	    T_KNOWS(1, _i / 2 == T_UNIX), 0);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(loop_expires_in_silence)
{
	struct graceclose gc;
	struct t_pair p;
	int64_t start;
	int turns;

	t_need(_i / 2);
	t_pair(&p, _i / 2);
	given(0, 0, -1, 150);
	start = t_now_ms();
	begin(&gc, p.us);
	t_fails(loops[_i % 2](&gc, p.us, &turns), ETIMEDOUT);
	t_between(t_now_ms() - start, 149, 1200);
	t_fails(graceclose_end(&gc, &r), ETIMEDOUT);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT,
	    T_KNOWS(1, _i / 2 == T_UNIX), 0);
	t_close(p.peer);
}
END_TEST

START_TEST(loop_sees_a_reset)
{
	struct graceclose gc;
	struct t_later l;
	struct t_pair p;
	int turns;

	t_need_any(_i / 2);
	t_pair_any(&p, _i / 2);
	given(0, 0, 0, 0);
	begin(&gc, p.us);
	t_later(&l, 50, t_reset, p.peer);
	t_fails(loops[_i % 2](&gc, p.us, &turns), ECONNRESET);
	t_between(t_now_ms() - t_later_join(&l), 0, 1000);
	t_fails(graceclose_end(&gc, &r), ECONNRESET);
	t_released(p.us);
	ck_assert_int_eq(r.outcome, GRACECLOSE_WAS_RESET);
}
END_TEST

START_TEST(loop_sees_a_flood)
{
	struct graceclose gc;
	struct t_pair p;
	int turns;

	t_need_any(_i / 2);
	t_pair_any(&p, _i / 2);
	t_write(p.peer, 2000);
	t_wait_inq(p.us, 2000);
	given(0, 0, 0, 0);
	o.discard_max = 1999;
	begin(&gc, p.us);
	t_fails(loops[_i % 2](&gc, p.us, &turns), EMSGSIZE);
	t_fails(graceclose_end(&gc, &r), EMSGSIZE);
	t_released(p.us);
	ck_assert_int_eq(r.outcome, GRACECLOSE_FLOODED);
	t_close(p.peer);
}
END_TEST

/*
 * end
 */

/*
 * The verdict's time is when the close was over, even if the loop ends later.
 */
START_TEST(report_tells_the_time_of_the_verdict)
{
	struct graceclose gc;
	struct t_pair p;

	t_need(_i);
	t_pair(&p, _i);
	given(GRACECLOSE_FINISHED, GRACECLOSE_DETACH, 100, -1);
	begin(&gc, p.us);
	t_pause(110);
	t_fails(graceclose_step(&gc), ETIMEDOUT);
	t_pause(1000);
	t_fails(graceclose_end(&gc, &r), ETIMEDOUT);
	ck_assert_uint_ge(r.elapsed_us, 100000);
	ck_assert_uint_lt(r.elapsed_us, 1000000);
	t_close(p.peer);
}
END_TEST

START_TEST(end_before_it_is_over_detaches)
{
	struct graceclose gc;
	struct t_pair p;
	size_t n;

	t_need(_i);
	t_pair_small(&p, _i);
	n = t_fill(p.us);
	given(0, GRACECLOSE_DETACH, 0, 0);
	begin(&gc, p.us);
	ck_assert_int_eq(graceclose_step(&gc), 1);
	t_fails(graceclose_end(&gc, &r), ECANCELED);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_ABORTED, ECANCELED, 0, 0);
	t_saw(t_read_all(p.peer), n, 0);
	t_close(p.peer);
}
END_TEST

/* close(2) would answer unread input with RST. */
START_TEST(end_without_a_step_does_not_reset_behind_unread_input)
{
	struct graceclose gc;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.peer, 5000);
	t_wait_inq(p.us, 5000);
	t_write(p.us, 100);
	given(0, GRACECLOSE_DETACH, 0, 0);
	begin(&gc, p.us);
	t_fails(graceclose_end(&gc, NULL), ECANCELED);
	t_released(p.us);
	t_saw(t_read_all(p.peer), 100, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(end_before_it_is_over_resets)
{
	struct graceclose gc;
	struct t_got got;
	struct t_pair p;
	size_t n;
	int copy;

	t_pair_small(&p, _i);
	copy = dup(p.us);
	n = t_fill(p.us);
	given(0, GRACECLOSE_RESET, 0, 0);
	begin(&gc, p.us);
	ck_assert_int_eq(graceclose_step(&gc), 1);
	t_fails(graceclose_end(&gc, &r), ECANCELED);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_ABORTED, ECANCELED, 0, 0);
	t_wait_dead(p.peer);
	got = t_read_all(p.peer);
	ck_assert_str_eq(t_errno(got.error), "ECONNRESET");
	t_accounts_for(&r, got.bytes, n);
	t_close(copy);
	t_close(p.peer);
}
END_TEST

/* Expiry acts at the end, so that the loop can deregister the descriptor. */
START_TEST(expired_close_is_reset_at_its_end)
{
	struct graceclose gc;
	struct t_pair p;
	int error, turns;

	t_need_any(_i);
	t_pair_any(&p, _i);
	given(0, GRACECLOSE_RESET, 50, 0);
	begin(&gc, p.us);
	t_fails(poll_loop(&gc, p.us, &turns), ETIMEDOUT);
	ck_assert_int_ne(fcntl(p.us, F_GETFD), -1);
	t_fails(graceclose_end(&gc, NULL), ETIMEDOUT);
	t_released(p.us);
	t_wait_dead(p.peer);
	error = t_try_write(p.peer);
	/* MPTCP's worker may handle the reset before it handles our FIN. */
	if (_i / 2 != T_MPTCP || error != ECONNRESET)
		t_error_is(error, EPIPE);
	t_close(p.peer);
}
END_TEST

static void
the_end(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "timeout");
	tcase_add_loop_test(tc, without_limits_the_timeout_may_be_for_ever, 0,
	    T_PLAIN);
	tcase_add_loop_test(tc, loop_expires_in_time, 0, 2 * T_FAMILIES);
	tcase_add_loop_test(tc, loop_expires_in_silence, 0, 2 * T_FAMILIES);
	tcase_add_loop_test(tc, loop_sees_a_reset, 0, T_LOOP_TCP);
	tcase_add_loop_test(tc, loop_sees_a_flood, 0, T_LOOP);

	tc = t_case(s, "end");
	tcase_add_loop_test(tc, report_tells_the_time_of_the_verdict, 0, T_TCP);
	tcase_add_loop_test(tc, end_before_it_is_over_detaches, 0, T_TCP);
	tcase_add_loop_test(tc,
	    end_without_a_step_does_not_reset_behind_unread_input, 0, T_ANY);
	tcase_add_loop_test(tc, end_before_it_is_over_resets, 0, T_PLAIN);
	tcase_add_loop_test(tc, expired_close_is_reset_at_its_end, 0,
	    T_ANY_TCP);
}

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("begin");
	tc = t_case(s, "to the end");
	tcase_add_loop_test(tc, loop_brings_a_close_to_its_end, 0, T_LOOP);
	tcase_add_loop_test(tc,
	    loop_waits_for_delivery_after_eof_without_spinning, 0, 2 * T_TCP);
	tcase_add_loop_test(tc, epoll_edge_comes_with_the_last_acknowledgement,
	    0, 2 * T_PLAIN);
	tcase_add_loop_test(tc, many_closes_share_one_epoll, 0, T_FAMILIES);
	tcase_add_loop_test(tc, no_options_will_do, 0, T_PLAIN);

	tc = t_case(s, "begin");
	tcase_add_loop_test(tc, begin_alone_sends_the_fin, 0, T_ANY);
	tcase_add_loop_test(tc, bad_option_takes_nothing, 0, T_BAD_OPTS);
	tcase_add_test(tc, no_descriptor_is_ebadf);
	tcase_add_loop_test(tc, what_is_no_connection_shows_at_the_first_step,
	    0, T_ODDS);
	tcase_add_loop_test(tc, dead_connection_shows_at_the_first_step, 0,
	    T_ANY_TCP);

	tc = t_case(s, "step");
	tcase_add_loop_test(tc, early_steps_are_harmless, 0, T_ANY);
	tcase_add_loop_test(tc, late_steps_return_the_same_result, 0, T_ANY);
	tcase_add_loop_test(tc, calls_after_the_end_touch_no_descriptor, 0, 4);
	tcase_add_loop_test(tc, step_takes_a_mebibyte_at_most, 0, T_FAMILIES);
	tcase_add_loop_test(tc,
	    blocking_descriptor_does_not_make_step_block, 0, T_FAMILIES);
	the_end(s);
	return t_main(s);
}
