/*
 * graceclose_reaper: done, flush, free and new
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <fcntl.h>
#include <unistd.h>

#include <graceclose.h>

#include "api/reaper/one_reaper.h"

/*
 * done
 */

/* A stock of connections for a done that closes the next one. */
static struct t_pair stock[40];
static int taken, results[40];
static unsigned nows[40];

static void
done_and_next(void *arg, void *cookie, const struct graceclose_report *report)
{
	struct graceclose_reaper_stats now;
	int next;

	t_done(arg, cookie, report);
	graceclose_reaper_stats(reaper, &now);
	nows[(struct t_verdict *)cookie - verdicts] = now.now;
	if (taken == 40)
		return;
	next = taken++;
	verdicts[next].fd = stock[next].us;
	results[next] = graceclose_reaper_close(reaper, stock[next].us, &opts,
	    &verdicts[next]);
}

/*
 * Some closes end at once, some wait: each has given its place back before done
 * is called.
 */
START_TEST(done_may_close_the_next_even_at_max_1)
{
	int i;

	start_with_done(1, _i, done_and_next);
	unlimited();
	memset(verdicts, 0, sizeof(verdicts));
	for (i = 0; i < 40; i++) {
		results[i] = -1;
		cheap_pair(&stock[i]);
		if (i % 3 == 1)
			t_fin(stock[i].peer);
	}
	taken = 1;
	submit(&verdicts[0], stock[0].us);
	for (i = 0; i < 40; i++)
		t_fin(stock[i].peer);
	flush();
	for (i = 0; i < 40; i++) {
		t_verdict_is(&verdicts[i], GRACECLOSE_OK, 0, 1, 1);
		ck_assert_uint_eq(nows[i], 0);
		if (i > 0)
			ck_assert_int_eq(results[i], 0);
		t_close(stock[i].peer);
	}
	counted(GRACECLOSE_OK, 40);
	ck_assert_uint_eq(stats.peak, 1);
	stop();
}
END_TEST

/* A done that does not return until release() is called. */
static int inside, let_go;

static void
done_that_waits(void *arg, void *cookie,
    const struct graceclose_report *report)
{
	int64_t end = t_now_ms() + T_LIMIT_MS;

	__atomic_store_n(&inside, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&let_go, __ATOMIC_ACQUIRE) &&
	    t_now_ms() < end)
		t_pause(1);
	t_done(arg, cookie, report);
}

static void
wait_inside(void)
{
	int64_t end;

	for (end = t_now_ms() + T_LIMIT_MS;
	    !__atomic_load_n(&inside, __ATOMIC_ACQUIRE); t_pause(1))
		ck_assert_int_lt(t_now_ms(), end);
}

static void
start_that_waits(void)
{
	inside = let_go = 0;
	start_with_done(0, GRACECLOSE_REFUSE, done_that_waits);
}

static void
release(void)
{
	__atomic_store_n(&let_go, 1, __ATOMIC_RELEASE);
}

START_TEST(slow_done_delays_no_other_close)
{
	struct t_pair p, q;
	int64_t begin;

	start_that_waits();
	unlimited();
	cheap_pair(&p);
	cheap_pair(&q);
	submit(&verdicts[0], p.us);
	t_close(p.peer);
	wait_inside();
	begin = t_now_ms();
	under_way(0);
	submit(&verdicts[1], q.us);
	under_way(1);
	t_fails(graceclose_reaper_flush(reaper, 0), ETIMEDOUT);
	t_between(t_now_ms() - begin, 0, SOON_MS);
	ck_assert_int_eq(t_told(&verdicts[0]), 0);
	release();
	t_close(q.peer);
	flush();
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	t_verdict_is(&verdicts[1], GRACECLOSE_OK, 0, 1, 1);
	stop();
}
END_TEST

static void *
close_in_a_thread(void *arg)
{
	struct t_verdict *verdict = arg;

	errno = T_ERRNO_UNTOUCHED;
	if (graceclose_reaper_close(reaper, verdict->fd, &opts, verdict) == -1)
		return &errno;
	return errno == T_ERRNO_UNTOUCHED ? NULL : &reaper;
}

/* Flush waits also for a done that runs in the thread of another caller. */
START_TEST(flush_waits_until_every_done_has_returned)
{
	struct t_pair p;
	pthread_t t;
	void *result;

	start_that_waits();
	unlimited();
	cheap_pair(&p);
	memset(&verdicts[0], 0, sizeof(verdicts[0]));
	verdicts[0].fd = p.us;
	if (_i == 0)
		t_close(p.peer);
	t_thread(&t, close_in_a_thread, &verdicts[0]);
	if (_i == 1) {
		while (look(), stats.now == 0)
			t_pause(1);
		t_close(p.peer);
	}
	wait_inside();
	under_way(0);
	t_fails(graceclose_reaper_flush(reaper, 0), ETIMEDOUT);
	t_fails(graceclose_reaper_flush(reaper, 30), ETIMEDOUT);
	release();
	t_ok(graceclose_reaper_flush(reaper, -1));
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	ck_assert_int_eq(pthread_join(t, &result), 0);
	ck_assert_ptr_null(result);
	stop();
}
END_TEST

/*
 * flush
 */

START_TEST(flush_with_nothing_under_way_is_0)
{
	int64_t begin;

	start();
	begin = t_now_ms();
	t_ok(graceclose_reaper_flush(reaper, 0));
	t_ok(graceclose_reaper_flush(reaper, T_LIMIT_MS));
	t_ok(graceclose_reaper_flush(reaper, -1));
	t_ok(graceclose_reaper_flush(reaper, -4711));
	t_between(t_now_ms() - begin, 0, SOON_MS);
	stop();
}
END_TEST

START_TEST(flush_waits_no_longer_than_it_may)
{
	struct t_pair p;
	int64_t begin;

	start();
	unlimited();
	t_pair(&p, T_IPV4);
	submit(&verdicts[0], p.us);
	begin = t_now_ms();
	t_fails(graceclose_reaper_flush(reaper, 0), ETIMEDOUT);
	t_between(t_now_ms() - begin, 0, SOON_MS);
	t_storm();
	begin = t_now_ms();
	/*
	 * The sum of both nanosecond parts is more than a second: the carry
	 * must be right.
	 */
	t_fails(graceclose_reaper_flush(reaper, 1999), ETIMEDOUT);
	t_between(t_now_ms() - begin, 1998, 1999 + SOON_MS);
	ck_assert_int_gt(t_storm_end(), 2);
	ck_assert_int_eq(t_told(&verdicts[0]), 0);
	t_close(p.peer);
	flush();
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	stop();
}
END_TEST

START_TEST(negative_flush_waits_for_ever)
{
	struct t_later l;
	struct t_pair p;

	start();
	unlimited();
	t_pair(&p, T_IPV4);
	submit(&verdicts[0], p.us);
	t_later(&l, 200, t_fin, p.peer);
	t_storm();
	t_ok(graceclose_reaper_flush(reaper, -1 - _i));
	ck_assert_int_gt(t_storm_end(), 2);
	t_between(t_now_ms() - t_later_join(&l), 0, SOON_MS);
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
	stop();
}
END_TEST

/*
 * free
 */

START_TEST(free_of_nothing_does_nothing)
{
	errno = T_ERRNO_UNTOUCHED;
	graceclose_reaper_free(NULL);
	ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);
	start();
	stop();
}
END_TEST

START_TEST(free_aborts_every_close_under_way)
{
	struct t_pair p[6];
	size_t n[6];
	pid_t tid;
	int i;

	start();
	tid = t_named(T_REAPER);
	for (i = 0; i < 6; i++) {
		t_pair_small(&p[i], _i);
		n[i] = t_fill(p[i].us);
		limited(0, i % 2, i < 3 ? 3600000 : -1);
		submit(&verdicts[i], p[i].us);
	}
	stop();
	for (i = 0; i < 6; i++) {
		t_verdict_is(&verdicts[i], GRACECLOSE_ABORTED, ECANCELED, 0, 0);
		ck_assert_int_eq(verdicts[i].tid, tid);
		if (i % 2 == GRACECLOSE_RESET)
			peer_gets_reset(p[i].peer);
		else
			t_saw(t_read_all(p[i].peer), n[i], 0);
		t_close(p[i].peer);
	}
}
END_TEST

START_TEST(free_without_done_aborts_as_well)
{
	struct t_pair p[2];
	int i;

	reaper = t_reaper(NULL);
	for (i = 0; i < 2; i++) {
		t_pair(&p[i], T_IPV4);
		unlimited();
		opts.on_expiry = i;
		t_ok(graceclose_reaper_close(reaper, p[i].us, &opts, NULL));
	}
	stop();
	for (i = 0; i < 2; i++)
		t_released(p[i].us);
	t_saw(t_read_all(p[0].peer), 0, 0);
	peer_is_dead(p[1].peer);
	t_close(p[0].peer);
	t_close(p[1].peer);
}
END_TEST

/* Unread input would make close(2) reset the rest of what we sent. */
START_TEST(free_does_not_reset_behind_unread_input)
{
	struct t_pair p;
	size_t n;

	start();
	t_pair_small(&p, _i);
	n = t_fill(p.us);
	unlimited();
	submit(&verdicts[0], p.us);
	t_write(p.peer, 3000);
	stop();
	t_verdict_is(&verdicts[0], GRACECLOSE_ABORTED, ECANCELED, 0, 0);
	t_saw(t_read_all(p.peer), n, 0);
	t_close(p.peer);
}
END_TEST

static int refused_fd, refused_result, refused_errno;

static void
done_and_refused(void *arg, void *cookie,
    const struct graceclose_report *report)
{
	t_done(arg, cookie, report);
	if (report->outcome != GRACECLOSE_ABORTED)
		return;
	refused_result = graceclose_reaper_close(reaper, refused_fd, &opts,
	    NULL);
	refused_errno = errno;
}

START_TEST(reaper_that_is_being_freed_takes_no_more)
{
	struct t_pair p, q;

	start_with_done(0, _i, done_and_refused);
	unlimited();
	t_pair(&p, T_IPV4);
	t_pair(&q, T_IPV4);
	refused_fd = q.us;
	refused_result = 0;
	submit(&verdicts[0], p.us);
	t_wait_outq(p.us, 0);
	stop();
	t_verdict_is(&verdicts[0], GRACECLOSE_ABORTED, ECANCELED, T_KNOWS(1, 0),
	    0);
	ck_assert_int_eq(refused_result, -1);
	ck_assert_str_eq(t_errno(refused_errno), "EINVAL");
	untouched(&q);
	t_close_pair(&q);
	t_close(p.peer);
}
END_TEST

static void *
free_in_a_thread(void *arg)
{
	graceclose_reaper_free(arg);
	return NULL;
}

static int
ends_within(pthread_t t, int limit_ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += limit_ms * 1000000L;
	ts.tv_sec += ts.tv_nsec / 1000000000L;
	ts.tv_nsec %= 1000000000L;
	return pthread_timedjoin_np(t, NULL, &ts) == 0;
}

/* A caller whose done has not returned is still inside the reaper. */
START_TEST(free_waits_for_callers_that_are_inside)
{
	struct t_pair p;
	pthread_t t, freeing;
	void *result;

	start_that_waits();
	unlimited();
	cheap_pair(&p);
	t_close(p.peer);
	memset(&verdicts[0], 0, sizeof(verdicts[0]));
	verdicts[0].fd = p.us;
	t_thread(&t, close_in_a_thread, &verdicts[0]);
	wait_inside();
	t_thread(&freeing, free_in_a_thread, reaper);
	ck_assert(!ends_within(freeing, 100));
	release();
	ck_assert_int_eq(pthread_join(t, &result), 0);
	ck_assert_ptr_null(result);
	t_join(freeing);
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
}
END_TEST

static void *
flush_in_a_thread(void *arg)
{
	__atomic_store_n((pid_t *)arg, gettid(), __ATOMIC_RELEASE);
	return graceclose_reaper_flush(reaper, -1) == 0 ? NULL : &errno;
}

START_TEST(free_ends_a_flush)
{
	pid_t tid = 0;
	struct t_pair p;
	pthread_t t;
	void *result;

	start();
	unlimited();
	cheap_pair(&p);
	submit(&verdicts[0], p.us);
	t_thread(&t, flush_in_a_thread, &tid);
	t_wait_blocked(&tid, SYS_futex);
	stop();
	ck_assert_int_eq(pthread_join(t, &result), 0);
	ck_assert_ptr_null(result);
	t_verdict_is(&verdicts[0], GRACECLOSE_ABORTED, ECANCELED, 1, 0);
	t_close(p.peer);
}
END_TEST

/* Otherwise it would exit with the lock held, or never exit. */
START_TEST(cancelled_caller_leaves_in_order)
{
	struct t_pair p;
	pid_t tid = 0;
	pthread_t t;

	start();
	unlimited();
	cheap_pair(&p);
	submit(&verdicts[0], p.us);
	t_thread(&t, flush_in_a_thread, &tid);
	t_wait_blocked(&tid, SYS_futex);
	ck_assert_int_eq(pthread_cancel(t), 0);
	t_pause(20);
	under_way(1);
	t_close(p.peer);
	t_join(t);
	flush();
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	stop();
}
END_TEST

/*
 * new
 */

static const struct graceclose_reaper_opts bad_new[] = {
	{ .when_full = 2 },
	{ .when_full = -1 },
	{ .reserved = { 1, 0, 0, 0 } },
	{ .reserved = { 0, 1, 0, 0 } },
	{ .reserved = { 0, 0, 1, 0 } },
	{ .reserved = { 0, 0, 0, (uint64_t)1 << 63 } }
};
#define NBAD_NEW	6

START_TEST(bad_option_makes_no_reaper)
{
	errno = 0;
	ck_assert_ptr_null(graceclose_reaper_new(&bad_new[_i]));
	t_errno_is(EINVAL);
	ck_assert_int_eq(t_named(T_REAPER), 0);
}
END_TEST

/*
 * With each number of free descriptors, up to the number that the reaper needs.
 */
START_TEST(no_descriptor_free_makes_no_reaper)
{
	struct rlimit before, l;
	int i, spare;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	spare = dup(0);
	t_close(spare);
	l = before;
	for (i = 0, reaper = NULL; reaper == NULL; i++) {
		ck_assert_int_lt(i, 8);
		l.rlim_cur = (rlim_t)spare + (rlim_t)i;
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &l), 0);
		errno = 0;
		reaper = graceclose_reaper_new(NULL);
		if (reaper == NULL)
			t_errno_is(EMFILE);
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_gt(i, 1);
	stop();
}
END_TEST

static int
inherited_by_exec(void)
{
	int fd, n;

	for (fd = n = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) == 0;
	return n;
}

START_TEST(descriptors_of_a_reaper_are_two_and_close_on_exec)
{
	int all, before;

	before = inherited_by_exec();
	all = t_fd_count();
	start();
	ck_assert_int_eq(t_fd_count() - all, 2);
	ck_assert_int_eq(inherited_by_exec(), before);
	stop();
}
END_TEST

START_TEST(several_reapers_do_not_disturb_each_other)
{
	struct graceclose_reaper *first;
	struct t_pair p, q;

	start();
	first = reaper;
	unlimited();
	cheap_pair(&p);
	cheap_pair(&q);
	submit(&verdicts[0], p.us);
	start();
	submit(&verdicts[1], q.us);
	t_close(q.peer);
	flush();
	counted(GRACECLOSE_OK, 1);
	graceclose_reaper_free(reaper);
	reaper = first;
	under_way(1);
	counted(-1, 0);
	t_close(p.peer);
	flush();
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	t_verdict_is(&verdicts[1], GRACECLOSE_OK, 0, 1, 1);
	stop();
}
END_TEST

static void
the_calls(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "done");
	tcase_add_loop_test(tc, done_may_close_the_next_even_at_max_1, 0, 2);
	tcase_add_test(tc, slow_done_delays_no_other_close);

	tc = t_case(s, "flush");
	tcase_add_test(tc, flush_with_nothing_under_way_is_0);
	tcase_add_test(tc, flush_waits_no_longer_than_it_may);
	tcase_add_loop_test(tc, negative_flush_waits_for_ever, 0, 2);
	tcase_add_loop_test(tc, flush_waits_until_every_done_has_returned, 0,
	    2);

	tc = t_case(s, "free");
	tcase_add_test(tc, free_of_nothing_does_nothing);
	tcase_add_loop_test(tc, free_aborts_every_close_under_way, 0, T_PLAIN);
	tcase_add_test(tc, free_without_done_aborts_as_well);
	tcase_add_loop_test(tc, free_does_not_reset_behind_unread_input, 0,
	    T_PLAIN);
	tcase_add_loop_test(tc, reaper_that_is_being_freed_takes_no_more, 0,
	    2);
	tcase_add_test(tc, free_waits_for_callers_that_are_inside);
	tcase_add_test(tc, free_ends_a_flush);
	tcase_add_test(tc, cancelled_caller_leaves_in_order);

	tc = t_case(s, "new");
	tcase_add_loop_test(tc, bad_option_makes_no_reaper, 0, NBAD_NEW);
	tcase_add_test(tc, no_descriptor_free_makes_no_reaper);
	tcase_add_test(tc, descriptors_of_a_reaper_are_two_and_close_on_exec);
	tcase_add_test(tc, several_reapers_do_not_disturb_each_other);
}

int
main(void)
{
	Suite *s;

	s = suite_create("reaper calls");
	the_calls(s);
	return t_main(s);
}
