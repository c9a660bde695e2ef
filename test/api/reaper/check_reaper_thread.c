/*
 * graceclose_reaper: its thread, its memory, and signals
 */
#include <sys/socket.h>

#include <linux/net_tstamp.h>

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <graceclose.h>

#include "api/reaper/one_reaper.h"

/*
 * The thread
 */

/*
 * The signals that cannot be blocked: SIGKILL, SIGSTOP, and those that the C
 * library keeps for itself: two of glibc's, three of musl's.
 */
static uint64_t
cannot_be_blocked(void)
{
	uint64_t set = (uint64_t)1 << (SIGKILL - 1) |
	    (uint64_t)1 << (SIGSTOP - 1);
	int sig;

	for (sig = 32; sig < SIGRTMIN; sig++)
		set |= (uint64_t)1 << (sig - 1);
	return set;
}

START_TEST(thread_has_a_name_and_blocks_every_signal)
{
	pid_t tid;

	start();
	tid = t_named(T_REAPER);
	ck_assert_int_ne(tid, 0);
	ck_assert_int_ne(tid, gettid());
	ck_assert_uint_eq(t_status(tid, "SigBlk", 16) | cannot_be_blocked() |
	    (T_VALGRIND ? (uint64_t)1 << 63 : 0), UINT64_MAX);
	stop();
}
END_TEST

/* The thread has no turn for a while, with so many closes under way. */
static void
sleeps(unsigned n)
{
	uint64_t ticks, turns;
	pid_t tid;

	tid = t_named(T_REAPER);
	t_wait_asleep(tid, 400);	/* the looks are over */
	ticks = t_ticks(tid);
	turns = t_turns(tid);
	t_pause(500);
	ck_assert_uint_eq(t_turns(tid), turns);
	ck_assert_uint_eq(t_ticks(tid), ticks);
	under_way(n);
}

static const int sleep_limits[] = { -1, 3600000 };

START_TEST(thread_sleeps_while_many_wait)
{
	static struct t_pair p[200];
	int i;

	t_not_portable(T_NO_EDGE);
	start();
	for (i = 0; i < 200; i++) {
		t_pair(&p[i], i % 2 == 0 ? T_IPV4 : T_UNIX);
		t_write(p[i].us, 1000);
		t_read(p[i].peer, 1000);
		opts = t_opts(0, 0, sleep_limits[_i], sleep_limits[_i]);
		submit(&verdicts[i], p[i].us);
	}
	sleeps(200);
	for (i = 0; i < 200; i++)
		t_close(p[i].peer);
	flush();
	counted(GRACECLOSE_OK, 200);
	stop();
}
END_TEST

START_TEST(thread_sleeps_with_nothing_to_do)
{
	start();
	sleeps(0);
	poke();
	sleeps(0);
	stop();
}
END_TEST

/* POLLERR cannot be masked, and the notice stays in the queue. */
START_TEST(queued_notice_does_not_keep_the_thread_busy)
{
	int on = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE |
	    SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_OPT_TSONLY;
	struct t_pair p;

	t_not_portable(T_NO_EDGE);
	start();
	t_pair(&p, _i);
	ck_assert_int_eq(setsockopt(p.us, SOL_SOCKET, SO_TIMESTAMPING, &on,
	    sizeof(on)), 0);
	t_write(p.us, 100);
	t_read(p.peer, 100);
	t_wait_outq(p.us, 0);
	unlimited();
	submit(&verdicts[0], p.us);
	sleeps(1);
	t_fin(p.peer);
	flush();
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
	stop();
}
END_TEST

/*
 * Another descriptor is a duplicate, so close(2) takes nothing out of an epoll
 * set.  The thread must get no more events of that connection.
 */
START_TEST(duplicate_elsewhere_brings_no_more_events)
{
	uint64_t turns;
	struct t_pair p;
	pid_t tid;
	int copy;

	t_need(_i);
	start();
	tid = t_named(T_REAPER);
	t_pair(&p, _i);
	copy = dup(p.us);
	opts = t_opts(0, GRACECLOSE_DETACH, 30, -1);
	submit(&verdicts[0], p.us);
	flush();
	t_verdict_is(&verdicts[0], GRACECLOSE_EXPIRED, ETIMEDOUT,
	    T_KNOWS(1, _i == T_UNIX), 0);
	t_wait_asleep(tid, 50);
	turns = t_turns(tid);
	t_write(p.peer, 100);
	t_read(copy, 100);
	t_fin(p.peer);
	t_wait_poll(copy, POLLRDHUP);
	t_pause(50);
	ck_assert_uint_eq(t_turns(tid), turns);
	ck_assert_int_eq(t_told(&verdicts[0]), 1);
	t_close(copy);
	t_close(p.peer);
	stop();
}
END_TEST

/*
 * Memory
 */

#define MANY_MORE	4000
#define PER_CLOSE	192

/* 0: this libc does not count. */
static size_t
allocated(void)
{
#ifdef __GLIBC__
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
#else
	return 0;
#endif
}

/* With or without limits, and however much the peers send. */
START_TEST(close_under_way_costs_no_more_than_192_bytes)
{
	static struct t_pair p[MANY_MORE];
	size_t before, after, limit;
	int i;

	if (T_SLOW)
		t_skip("a sanitizer has its own memory");
	if (allocated() == 0)
		t_skip("this libc does not count what it allocates");
	limit = t_files(2 * MANY_MORE + 100);
	if (limit < 2 * MANY_MORE + 100)
		t_skip("not enough descriptors");
	reaper = t_reaper(NULL);
	for (i = 0; i < MANY_MORE; i++)
		cheap_pair(&p[i]);
	before = allocated();
	for (i = 0; i < MANY_MORE; i++) {
		limited(_i, 0, i % 2 == 0 ? -1 : 3600000 + i);
		t_ok(graceclose_reaper_close(reaper, p[i].us, &opts, NULL));
	}
	after = allocated();
	ck_assert_uint_le((after - before) / MANY_MORE, PER_CLOSE);
	for (i = 0; i < MANY_MORE; i++)
		t_write(p[i].peer, 5000);
	/* The reaper has taken all input: nothing changes any more. */
	for (i = 0; i < MANY_MORE; i++)
		t_wait_outq(p[i].peer, 0);
	ck_assert_uint_le(allocated(), after + 4096);
	for (i = 0; i < MANY_MORE; i++)
		t_close(p[i].peer);
	flush();
	/* malloc keeps some freed memory for each thread. */
	ck_assert_uint_le(allocated(), before + 16384);
	counted(GRACECLOSE_OK, MANY_MORE);
	stop();
}
END_TEST

/*
 * Signals
 */

START_TEST(signals_do_not_disturb)
{
	struct t_pair p[20];
	int64_t begin;
	int i;

	start();
	for (i = 0; i < 20; i++) {
		t_pair(&p[i], T_IPV4);
		t_write(p[i].us, 1000);
	}
	t_storm();
	begin = t_now_ms();
	for (i = 0; i < 20; i++) {
		limited(i % 2, GRACECLOSE_DETACH,
		    i < 10 ? 150 : 1000 * t_patience());
		submit(&verdicts[i], p[i].us);
	}
	t_pause(200);
	for (i = 10; i < 20; i++)
		t_fin(p[i].peer);
	flush();
	ck_assert_int_gt(t_storm_end(), 2);
	for (i = 0; i < 10; i++) {
		t_verdict_is(&verdicts[i], GRACECLOSE_EXPIRED, ETIMEDOUT,
		    T_KNOWS(1, 0), 0);
		t_between(verdicts[i].at_ms - begin, 149, 150 + SOON_MS);
	}
	for (i = 10; i < 20; i++)
		t_verdict_is(&verdicts[i], GRACECLOSE_OK, 0, 1, 1);
	for (i = 0; i < 20; i++) {
		t_saw(t_read_all(p[i].peer), 1000, 0);
		t_close(p[i].peer);
	}
	stop();
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("reaper thread");
	tc = t_case(s, "thread");
	tcase_add_test(tc, thread_has_a_name_and_blocks_every_signal);
	tcase_add_loop_test(tc, thread_sleeps_while_many_wait, 0, 2);
	tcase_add_test(tc, thread_sleeps_with_nothing_to_do);
	tcase_add_loop_test(tc, queued_notice_does_not_keep_the_thread_busy, 0,
	    T_PLAIN);
	tcase_add_loop_test(tc, duplicate_elsewhere_brings_no_more_events, 0,
	    T_FAMILIES);

	tc = t_case(s, "memory and signals");
	tcase_add_loop_test(tc, close_under_way_costs_no_more_than_192_bytes,
	    0, 2);
	tcase_add_test(tc, signals_do_not_disturb);
	return t_main(s);
}
