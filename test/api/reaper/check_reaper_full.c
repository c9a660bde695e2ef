/*
 * graceclose_reaper: which closes it refuses, and what a full reaper does
 */
#include <netinet/tcp.h>

#include <graceclose.h>

#include "api/reaper/one_reaper.h"

/*
 * Not taken
 */

/* The place that was reserved is free again. */
START_TEST(bad_option_takes_nothing)
{
	struct t_pair p;

	start_limited(1, GRACECLOSE_REFUSE);
	t_pair(&p, T_IPV4);
	memset(&verdicts[0], 0, sizeof(verdicts[0]));
	t_fails(graceclose_reaper_close(reaper, p.us, &t_bad_opts[_i],
	    &verdicts[0]),
	    EINVAL);
	t_fails(graceclose_reaper_close(reaper, p.us, &t_bad_opts[_i],
	    &verdicts[0]),
	    EINVAL);
	ck_assert_int_eq(t_told(&verdicts[0]), 0);
	untouched(&p);
	ck_assert_int_eq(t_state(p.us), TCP_ESTABLISHED);
	t_ok(graceclose_reaper_flush(reaper, 0));
	look();
	ck_assert_uint_eq(stats.peak, 0);
	counted(-1, 0);
	unlimited();
	submit(&verdicts[0], p.us);
	t_close(p.peer);
	flush();
	stop();
}
END_TEST

START_TEST(no_descriptor_is_ebadf)
{
	start_limited(1, GRACECLOSE_REFUSE);
	memset(&verdicts[0], 0, sizeof(verdicts[0]));
	t_fails(graceclose_reaper_close(reaper, -1, NULL, &verdicts[0]), EBADF);
	t_fails(graceclose_reaper_close(reaper, INT32_MAX, NULL, &verdicts[0]),
	    EBADF);
	ck_assert_int_eq(t_told(&verdicts[0]), 0);
	t_ok(graceclose_reaper_flush(reaper, 0));
	counted(-1, 0);
	stop();
	ck_assert_int_eq(t_told(&verdicts[0]), 0);
}
END_TEST

START_TEST(no_reaper_is_einval)
{
	struct t_pair p;

	t_pair(&p, T_IPV4);
	memset(&verdicts[0], 0, sizeof(verdicts[0]));
	t_fails(graceclose_reaper_close(NULL, p.us, NULL, &verdicts[0]),
	    EINVAL);
	t_fails(graceclose_reaper_flush(NULL, 0), EINVAL);
	memset(&stats, 0xaa, sizeof(stats));
	errno = 0;
	graceclose_reaper_stats(NULL, &stats);
	t_errno_is(EINVAL);
	ck_assert_uint_eq(stats.ok | stats.aborted | stats.now | stats.peak, 0);
	graceclose_reaper_stats(NULL, NULL);
	untouched(&p);
	ck_assert_int_eq(t_told(&verdicts[0]), 0);
	t_close_pair(&p);
}
END_TEST

/*
 * Full
 */

START_TEST(full_reaper_refuses_and_touches_nothing)
{
	struct t_pair p[3];
	int i;

	t_need_any(_i);
	start_limited(2, GRACECLOSE_REFUSE);
	unlimited();
	for (i = 0; i < 3; i++)
		t_pair_any(&p[i], _i);
	submit(&verdicts[0], p[0].us);
	submit(&verdicts[1], p[1].us);
	memset(&verdicts[2], 0, sizeof(verdicts[2]));
	t_fails(graceclose_reaper_close(reaper, p[2].us, &opts, &verdicts[2]),
	    EAGAIN);
	untouched(&p[2]);
	if (_i < T_ANY_PLAIN)
		ck_assert_int_eq(t_state(p[2].us), TCP_ESTABLISHED);
	ck_assert_int_eq(t_told(&verdicts[2]), 0);
	under_way(2);
	t_fin(p[0].peer);
	t_wait_told(&verdicts[0]);
	submit(&verdicts[2], p[2].us);
	under_way(2);
	ck_assert_uint_eq(stats.peak, 2);
	t_fin(p[1].peer);
	t_fin(p[2].peer);
	flush();
	for (i = 0; i < 3; i++) {
		t_saw(t_read_all(p[i].peer), 0, 0);
		t_close(p[i].peer);
		t_verdict_is(&verdicts[i], GRACECLOSE_OK, 0, 1, 1);
	}
	counted(GRACECLOSE_OK, 3);
	stop();
}
END_TEST

/*
 * The reaper reserves a place first, even for a close that would end at once.
 */
START_TEST(full_reaper_refuses_what_would_be_over_at_once)
{
	struct t_pair p, q;
	int fd;

	start_limited(1, GRACECLOSE_REFUSE);
	unlimited();
	t_pair(&p, T_IPV4);
	t_pair(&q, T_IPV4);
	peer_fin(&q);
	fd = t_odd_open(&t_odds[0]);
	submit(&verdicts[0], p.us);
	t_fails(graceclose_reaper_close(reaper, q.us, &opts, &verdicts[1]),
	    EAGAIN);
	t_fails(graceclose_reaper_close(reaper, fd, &opts, &verdicts[1]),
	    EAGAIN);
	ck_assert_int_eq(t_state(q.us), TCP_CLOSE_WAIT);
	t_close(fd);
	t_fin(p.peer);
	flush();
	submit(&verdicts[1], q.us);
	flush();
	t_verdict_is(&verdicts[1], GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
	t_close(q.peer);
	stop();
}
END_TEST

START_TEST(oldest_is_evicted_as_its_on_expiry_says)
{
	struct t_pair p[5];
	size_t n[5];
	int i;

	start_limited(3, GRACECLOSE_OLDEST);
	for (i = 0; i < 5; i++) {
		t_pair_small(&p[i], _i);
		n[i] = t_fill(p[i].us);
	}
	for (i = 0; i < 5; i++) {
		unlimited();
		opts.on_expiry = i % 2;
		submit(&verdicts[i], p[i].us);
		look();
		ck_assert_uint_le(stats.now, 3);
	}
	t_wait_told(&verdicts[0]);
	t_wait_told(&verdicts[1]);
	ck_assert_uint_eq(stats.now, 3);
	for (i = 0; i < 2; i++)
		t_verdict_is(&verdicts[i], GRACECLOSE_ABORTED, ECANCELED, 0, 0);
	ck_assert_int_lt(verdicts[0].place, verdicts[1].place);
	ck_assert_int_eq(verdicts[0].tid, t_named(T_REAPER));
	t_saw(t_read_all(p[0].peer), n[0], 0);
	peer_gets_reset(p[1].peer);
	counted(GRACECLOSE_ABORTED, 2);
	ck_assert_uint_eq(stats.evicted, 2);
	ck_assert_uint_eq(stats.peak, 3);
	for (i = 2; i < 5; i++) {
		ck_assert_int_eq(t_told(&verdicts[i]), 0);
		t_saw(t_read_all(p[i].peer), n[i], 0);
		t_fin(p[i].peer);
	}
	flush();
	for (i = 2; i < 5; i++)
		t_verdict_is(&verdicts[i], GRACECLOSE_OK, 0, 1, 1);
	for (i = 0; i < 5; i++)
		t_close(p[i].peer);
	look();
	ck_assert_uint_eq(stats.ok, 3);
	ck_assert_uint_eq(stats.evicted, 2);
	stop();
}
END_TEST

/* Limits do not matter, nor closes between them that have ended. */
START_TEST(oldest_is_evicted_whatever_the_limits_are)
{
	struct t_pair p[6];
	int i;

	start_limited(4, GRACECLOSE_OLDEST);
	for (i = 0; i < 6; i++)
		cheap_pair(&p[i]);
	for (i = 0; i < 4; i++) {
		opts = t_opts(0, 0, 3600000 - 600000 * i, -1);
		submit(&verdicts[i], p[i].us);
	}
	t_fin(p[1].peer);
	t_wait_told(&verdicts[1]);
	unlimited();
	submit(&verdicts[4], p[4].us);
	look();
	ck_assert_uint_eq(stats.evicted, 0);
	submit(&verdicts[5], p[5].us);
	t_wait_told(&verdicts[0]);
	t_verdict_is(&verdicts[0], GRACECLOSE_ABORTED, ECANCELED, 1, 0);
	t_verdict_is(&verdicts[1], GRACECLOSE_OK, 0, 1, 1);
	under_way(4);
	ck_assert_uint_eq(stats.evicted, 1);
	stop();
	for (i = 2; i < 6; i++) {
		t_verdict_is(&verdicts[i], GRACECLOSE_ABORTED, ECANCELED, 1, 0);
		t_saw(t_read_all(p[i].peer), 0, 0);
	}
	for (i = 0; i < 6; i++)
		t_close(p[i].peer);
}
END_TEST

/* A close that ends at once needs no place. */
START_TEST(close_that_ends_at_once_evicts_no_other)
{
	struct t_pair p, q;

	start_limited(1, GRACECLOSE_OLDEST);
	unlimited();
	cheap_pair(&p);
	submit(&verdicts[0], p.us);
	cheap_pair(&q);
	t_close(q.peer);
	submit(&verdicts[1], q.us);
	t_verdict_is(&verdicts[1], GRACECLOSE_OK, 0, 1, 1);
	under_way(1);
	ck_assert_uint_eq(stats.evicted, 0);
	t_close(p.peer);
	flush();
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	stop();
}
END_TEST

/*
 * No evicted close is reported again when its limit would expire.  One that the
 * thread was just looking at may be told before the one that went before it.
 */
START_TEST(evictions_come_in_the_order_of_age)
{
	static struct t_pair p[200];
	int i;

	start_limited(1, GRACECLOSE_OLDEST);
	limited(0, GRACECLOSE_DETACH, _i == 0 ? -1 : 300 * t_patience());
	for (i = 0; i < 200; i++) {
		cheap_pair(&p[i]);
		submit(&verdicts[i], p[i].us);
	}
	if (_i == 0)
		t_fin(p[199].peer);
	flush();
	look();
	ck_assert_uint_eq(stats.evicted, 199);
	ck_assert_uint_eq(stats.aborted, 199);
	ck_assert_uint_eq(_i == 0 ? stats.ok : stats.expired, 1);
	ck_assert_uint_eq(stats.peak, 1);
	for (i = 0; i < 200; i++) {
		ck_assert_int_eq(t_told(&verdicts[i]), 1);
		t_saw(t_read_all(p[i].peer), 0, 0);
		t_close(p[i].peer);
	}
	for (i = 0; i < 199; i++) {
		ck_assert_int_eq(verdicts[i].report.outcome,
		    GRACECLOSE_ABORTED);
		ck_assert_int_lt(verdicts[i].place,
		    verdicts[i < 198 ? i + 2 : i + 1].place);
	}
	stop();
}
END_TEST

static void
the_refusals(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "not taken");
	tcase_add_loop_test(tc, bad_option_takes_nothing, 0, T_BAD_OPTS);
	tcase_add_test(tc, no_descriptor_is_ebadf);
	tcase_add_test(tc, no_reaper_is_einval);

	tc = t_case(s, "full");
	tcase_add_loop_test(tc, full_reaper_refuses_and_touches_nothing, 0,
	    T_ANY);
	tcase_add_test(tc, full_reaper_refuses_what_would_be_over_at_once);
	tcase_add_loop_test(tc, oldest_is_evicted_as_its_on_expiry_says, 0,
	    T_PLAIN);
	tcase_add_test(tc, oldest_is_evicted_whatever_the_limits_are);
	tcase_add_test(tc, close_that_ends_at_once_evicts_no_other);
	tcase_add_loop_test(tc, evictions_come_in_the_order_of_age, 0, 2);
}

int
main(void)
{
	Suite *s;

	s = suite_create("reaper full");
	the_refusals(s);
	return t_main(s);
}
