/*
 * graceclose_reaper: timeout_ms and idle_ms, from a millisecond to days
 */
#include <sys/socket.h>

#include <unistd.h>

#include <graceclose.h>

#include "api/reaper/one_reaper.h"

START_TEST(expiry_that_detaches_delivers_in_the_background)
{
	struct t_pair p;
	int64_t begin;
	size_t n;

	t_need(_i / 2);
	start();
	t_pair_small(&p, _i / 2);
	n = t_fill(p.us);
	limited(_i % 2, GRACECLOSE_DETACH, 150);
	begin = t_now_ms();
	submit(&verdicts[0], p.us);
	flush();
	t_verdict_is(&verdicts[0], GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	expired_after(&verdicts[0], begin, 150);
	ck_assert_int_eq(verdicts[0].report.unacked > 0, T_KNOWS(1, 0));
	t_saw(t_read_all(p.peer), n, 0);
	t_close(p.peer);
	counted(GRACECLOSE_EXPIRED, 1);
	stop();
}
END_TEST

START_TEST(expiry_that_resets_destroys_the_rest)
{
	struct t_got got;
	struct t_pair p;
	int64_t begin;
	size_t n;
	int copy;

	start();
	t_pair_small(&p, _i / 2);
	copy = dup(p.us);
	n = t_fill(p.us);
	limited(_i % 2, GRACECLOSE_RESET, 150);
	begin = t_now_ms();
	submit(&verdicts[0], p.us);
	flush();
	t_verdict_is(&verdicts[0], GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	expired_after(&verdicts[0], begin, 150);
	t_wait_dead(p.peer);
	got = t_read_all(p.peer);
	ck_assert_str_eq(t_errno(got.error), "ECONNRESET");
	t_accounts_for(&verdicts[0].report, got.bytes, n);
	t_close(copy);
	t_close(p.peer);
	counted(GRACECLOSE_EXPIRED, 1);
	stop();
}
END_TEST

/* Index: limit, what then, and family. */
START_TEST(peer_that_does_not_finish_expires)
{
	int family = _i / 4, on_expiry = _i / 2 % 2;
	struct t_pair p;
	int64_t begin;

	t_need(family);
	start();
	t_pair(&p, family);
	t_write(p.us, 100);
	t_read(p.peer, 100);
	limited(_i % 2, on_expiry, 300);
	begin = t_now_ms();
	submit(&verdicts[0], p.us);
	flush();
	t_verdict_is(&verdicts[0], GRACECLOSE_EXPIRED, ETIMEDOUT,
	    T_KNOWS(1, family == T_UNIX), 0);
	expired_after(&verdicts[0], begin, 300);
	if (on_expiry == GRACECLOSE_RESET)
		peer_is_dead(p.peer);
	else
		t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
	stop();
}
END_TEST

static const int limits[] = { 1200, -1, 200, 3600000, 20, 700, 100 };
#define NLIMITS		7
#define NEXPIRING	5

/* Each close expires by its own limit, and in the order of the limits. */
START_TEST(each_expires_in_its_own_time)
{
	struct t_pair p[NLIMITS];
	int64_t begin[NLIMITS];
	int i, k;

	start();
	for (i = 0; i < NLIMITS; i++) {
		t_pair(&p[i], T_IPV4);
		limited(_i, GRACECLOSE_DETACH, limits[i]);
		begin[i] = t_now_ms();
		submit(&verdicts[i], p[i].us);
	}
	t_wait_told(&verdicts[0]);
	for (i = 0; i < NLIMITS; i++) {
		if (limits[i] == -1 || limits[i] > 1200) {
			ck_assert_int_eq(t_told(&verdicts[i]), 0);
			continue;
		}
		t_verdict_is(&verdicts[i], GRACECLOSE_EXPIRED, ETIMEDOUT,
		    T_KNOWS(1, 0), 0);
		expired_after(&verdicts[i], begin[i], limits[i]);
		for (k = 0; k < NLIMITS; k++)
			if (t_told(&verdicts[k]) == 1 && limits[k] < limits[i])
				ck_assert_int_lt(verdicts[k].place,
				    verdicts[i].place);
	}
	counted(GRACECLOSE_EXPIRED, NEXPIRING);
	ck_assert_uint_eq(stats.now, NLIMITS - NEXPIRING);
	stop();
	t_verdict_is(&verdicts[1], GRACECLOSE_ABORTED, ECANCELED,
	    T_KNOWS(1, 0), 0);
	t_verdict_is(&verdicts[3], GRACECLOSE_ABORTED, ECANCELED,
	    T_KNOWS(1, 0), 0);
	for (i = 0; i < NLIMITS; i++) {
		t_saw(t_read_all(p[i].peer), 0, 0);
		t_close(p[i].peer);
	}
}
END_TEST

/* Among others that end before their limits, at any time. */
START_TEST(scattered_limits_expire_in_time)
{
	static struct t_pair p[MANY];
	static int64_t begin[MANY];
	static int limit[MANY];
	uint64_t chance = 1;
	int i, n = MANY / 2;

	start();
	for (i = 0; i < n; i++) {
		cheap_pair(&p[i]);
		limit[i] = 1 + (int)t_random(&chance, 600);
		limited(i / 2 % 2, GRACECLOSE_DETACH, limit[i]);
		begin[i] = t_now_ms();
		submit(&verdicts[i], p[i].us);
		if (i % 2 == 1)
			t_close(p[i - 1].peer);
	}
	flush();
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(t_told(&verdicts[i]), 1);
		if (verdicts[i].report.outcome == GRACECLOSE_EXPIRED)
			expired_after(&verdicts[i], begin[i], limit[i]);
		else if (i % 2 == 1)
			ck_abort_msg("limit of %d ms did not expire",
			    limit[i]);
		if (i % 2 == 1)
			t_close(p[i].peer);
	}
	look();
	ck_assert_uint_eq(stats.ok + stats.expired, (uint64_t)n);
	stop();
}
END_TEST

/* How late a close expires while the thread sleeps until another limit. */
static int64_t
lateness(int limit_ms)
{
	int64_t begin;
	struct t_pair p;

	cheap_pair(&p);
	limited(0, GRACECLOSE_DETACH, limit_ms);
	begin = t_now_ms();
	submit(&verdicts[0], p.us);
	t_wait_told(&verdicts[0]);
	t_close(p.peer);
	return verdicts[0].at_ms - begin - limit_ms;
}

static int64_t
behind_the_shorter_limit(int limit_ms)
{
	struct t_pair p;
	int64_t late;

	cheap_pair(&p);
	limited(0, GRACECLOSE_DETACH, 150);
	submit(&verdicts[1], p.us);
	t_wait_asleep(t_named(T_REAPER), 20);
	late = lateness(limit_ms);
	ck_assert_int_ge(late, -1);
	flush();
	t_close(p.peer);
	return late;
}

START_TEST(shorter_limit_wakes_the_thread)
{
	start();
	t_prompt(behind_the_shorter_limit, 60, 20);
	stop();
}
END_TEST

/* So long that all are submitted before the first is due. */
START_TEST(same_limit_of_many_expires_at_once)
{
	const int limit_ms = 2000 * t_patience();
	static struct t_pair p[MANY];
	int64_t begin, last;
	int i;

	t_files(2 * MANY + 100);
	start();
	for (i = 0; i < MANY; i++)
		cheap_pair(&p[i]);
	limited(0, GRACECLOSE_DETACH, limit_ms);
	begin = t_now_ms();
	for (i = 0; i < MANY; i++)
		submit(&verdicts[i], p[i].us);
	last = t_now_ms();
	flush();
	for (i = 0; i < MANY; i++) {
		t_verdict_is(&verdicts[i], GRACECLOSE_EXPIRED, ETIMEDOUT, 1, 0);
		if (i > 0)
			ck_assert_int_gt(verdicts[i].place, verdicts[0].place);
		t_between(verdicts[i].at_ms, begin + limit_ms - 1,
		    last + limit_ms + SOON_MS);
		t_saw(t_read_all(p[i].peer), 0, 0);
		t_close(p[i].peer);
	}
	counted(GRACECLOSE_EXPIRED, MANY);
	ck_assert_uint_eq(stats.peak, MANY);
	stop();
}
END_TEST

/*
 * The library's clock runs 400000 times faster, but the thread sleeps as long
 * as before: other closes wake it all the time.  So each limit passes some
 * distance after the last look at the clock, on every level of the wheel and in
 * every slot.
 */
#define SPEED		400000

static const int long_limits[] = {	/* seconds */
	200000, 2000, 60000, 20000, 400000, 120000
};
#define NLONG		6

START_TEST(limits_of_hours_and_days_expire_in_time)
{
	int64_t begin[NLONG], limit;
	struct t_pair p[NLONG];
	int i;

	t_clock(SPEED);
	start();
	for (i = 0; i < NLONG; i++) {
		cheap_pair(&p[i]);
		limited(_i, GRACECLOSE_DETACH, long_limits[i] * 1000);
		begin[i] = t_now_ms();
		submit(&verdicts[i], p[i].us);
	}
	while (t_told(&verdicts[4]) == 0) {
		ck_assert_int_lt(t_now_ms() - begin[0], T_LIMIT_MS);
		poke();
	}
	for (i = 0; i < NLONG; i++) {
		t_verdict_is(&verdicts[i], GRACECLOSE_EXPIRED, ETIMEDOUT, 1, 0);
		limit = (int64_t)long_limits[i] * 1000 / SPEED;
		t_between(verdicts[i].at_ms - begin[i], limit - 1,
		    limit + SOON_MS);
		t_close(p[i].peer);
	}
	stop();
	t_clock(1);
}
END_TEST

/* 5 seconds of silence, and 30 in all. */
START_TEST(without_options_the_limits_are_those_of_graceful_close)
{
	int64_t begin;
	struct t_pair p;

	t_clock(50);
	start();
	cheap_pair(&p);
	memset(&verdicts[0], 0, sizeof(verdicts[0]));
	verdicts[0].fd = p.us;
	begin = t_now_ms();
	t_ok(graceclose_reaper_close(reaper, p.us, NULL, &verdicts[0]));
	while (t_told(&verdicts[0]) == 0) {
		ck_assert_int_lt(t_now_ms() - begin, T_LIMIT_MS);
		/*
		 * The send fails where the close is over and done was not
		 * called yet.
		 */
		if (_i == 1)
			(void)send(p.peer, "x", 1, MSG_NOSIGNAL);
		else
			poke();
		t_pause(5);
	}
	t_verdict_is(&verdicts[0], GRACECLOSE_EXPIRED, ETIMEDOUT, 1, 0);
	t_between(verdicts[0].at_ms - begin, _i == 1 ? 599 : 99,
	    (_i == 1 ? 600 : 100) + SOON_MS);
	t_close(p.peer);
	stop();
	t_clock(1);
}
END_TEST

static void *
trickle(void *arg)
{
	int fd = *(int *)arg, i;

	for (i = 0; i < 8; i++) {
		t_pause(50);
		if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
			break;
	}
	return NULL;
}

/* 8 times 50 ms, and then 250 of silence; or 350 in all.  Returns the start. */
static int64_t
close_three_talkers(int family)
{
	struct t_pair p, silent, whole;
	pthread_t t[2];
	int64_t begin;

	start();
	t_pair(&p, family);
	t_pair(&silent, family);
	t_pair(&whole, family);
	begin = t_now_ms();
	opts = t_opts(0, 0, -1, 250);
	submit(&verdicts[0], p.us);
	submit(&verdicts[1], silent.us);
	opts = t_opts(0, 0, 350, 250);
	submit(&verdicts[2], whole.us);
	t_thread(&t[0], trickle, &p.peer);
	t_thread(&t[1], trickle, &whole.peer);
	flush();
	t_join(t[0]);
	t_join(t[1]);
	t_close(p.peer);
	t_close(silent.peer);
	t_close(whole.peer);
	stop();
	return begin;
}

START_TEST(input_starts_the_idle_limit_anew)
{
	const int known = T_KNOWS(1, _i == T_UNIX);
	int i, tries = 0;
	int64_t begin;

	t_need(_i);
	do
		begin = close_three_talkers(_i);
	while ((verdicts[0].report.elapsed_us < 649000 ||
	    verdicts[2].report.elapsed_us < 349000) && ++tries < T_TRIES);
	for (i = 0; i < 3; i++)
		t_verdict_is(&verdicts[i], GRACECLOSE_EXPIRED, ETIMEDOUT, known,
		    0);
	expired_after(&verdicts[0], begin, 400 + 250);
	expired_after(&verdicts[1], begin, 250);
	expired_after(&verdicts[2], begin, 350);
	ck_assert_uint_eq(verdicts[0].report.discarded, 8);
	ck_assert_uint_eq(verdicts[1].report.discarded, 0);
	ck_assert_int_lt(verdicts[1].place, verdicts[2].place);
	ck_assert_int_lt(verdicts[2].place, verdicts[0].place);
}
END_TEST

static void
close_with_a_slow_reader(int family)
{
	struct t_reader peer;
	struct t_pair p;
	size_t n;

	start();
	t_pair_small(&p, family);
	n = t_fill(p.us);
	t_reader_slow(&peer, p.peer);
	opts = t_opts(0, 0, -1, 350);
	submit(&verdicts[0], p.us);
	flush();
	t_saw(t_reader_join(&peer), n, 0);
	t_close(p.peer);
	stop();
}

/* The whole close takes longer than the idle limit. */
START_TEST(acknowledgement_starts_the_idle_limit_anew)
{
	int tries = 0;

	t_not_portable(T_NO_ACK);
	do
		close_with_a_slow_reader(_i);
	while (verdicts[0].report.outcome == GRACECLOSE_EXPIRED &&
	    ++tries < T_TRIES);
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_ge(verdicts[0].report.elapsed_us, 370000);
}
END_TEST

/*
 * An acknowledgement before the last makes no event.  The reaper notices it
 * after a quarter of the limit at most.
 */
START_TEST(silence_after_an_acknowledgement_is_limited)
{
	int64_t acked, begin;
	struct t_pair p;
	int left;

	t_not_portable(T_NO_ACK);
	start();
	t_pair_small(&p, _i);
	t_fill(p.us);
	opts = t_opts(0, 0, -1, 400);
	begin = t_now_ms();
	submit(&verdicts[0], p.us);
	t_pause(200);
	left = t_outq(p.us);
	t_read(p.peer, (size_t)t_inq(p.peer));
	while ((acked = t_now_ms()) - begin < 390 && t_outq(p.us) == left)
		t_pause(1);
	flush();
	t_verdict_is(&verdicts[0], GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	if (acked - begin < 390)
		t_between(verdicts[0].at_ms - acked, 350, 400 + 100 + SOON_MS);
	t_close(p.peer);
	stop();
}
END_TEST

static void
the_limits(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "limits");
	tcase_add_loop_test(tc,
	    expiry_that_detaches_delivers_in_the_background, 0, 2 * T_TCP);
	tcase_add_loop_test(tc, expiry_that_resets_destroys_the_rest, 0,
	    2 * T_PLAIN);
	tcase_add_loop_test(tc, peer_that_does_not_finish_expires, 0,
	    4 * T_TCP);
	tcase_add_loop_test(tc, each_expires_in_its_own_time, 0, 2);
	tcase_add_test(tc, scattered_limits_expire_in_time);
	tcase_add_test(tc, shorter_limit_wakes_the_thread);
	tcase_add_test(tc, same_limit_of_many_expires_at_once);
	tcase_add_loop_test(tc, limits_of_hours_and_days_expire_in_time, 0, 2);
	tcase_add_loop_test(tc,
	    without_options_the_limits_are_those_of_graceful_close, 0, 2);
	tcase_add_loop_test(tc, input_starts_the_idle_limit_anew, 0,
	    T_FAMILIES);
	tcase_add_loop_test(tc, acknowledgement_starts_the_idle_limit_anew, 0,
	    T_PLAIN);
	tcase_add_loop_test(tc, silence_after_an_acknowledgement_is_limited, 0,
	    T_PLAIN);
}

int
main(void)
{
	Suite *s;

	s = suite_create("reaper limits");
	the_limits(s);
	return t_main(s);
}
