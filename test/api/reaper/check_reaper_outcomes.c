/*
 * graceclose_reaper: each outcome, from OK to WAS_RESET, FLOODED and INVALID
 */
#include <sys/socket.h>

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <graceclose.h>

#include "api/reaper/one_reaper.h"

/*
 * To the end
 */

START_TEST(peer_reads_all_and_closes_later)
{
	struct t_reader peer;
	struct t_pair p;

	t_need_any(_i);
	start();
	t_pair_any(&p, _i);
	t_write(p.us, 100000);
	opts = t_opts(0, 0, 0, 0);
	submit(&verdicts[0], p.us);
	t_write(p.peer, 5000);
	t_pause(20);
	ck_assert_int_eq(t_told(&verdicts[0]), 0);
	under_way(1);
	t_reader(&peer, p.peer, 1);
	t_saw(t_reader_join(&peer), 100000, 0);
	flush();
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(verdicts[0].report.unacked, 0);
	ck_assert_uint_eq(verdicts[0].report.discarded, 5000);
	ck_assert_uint_ge(verdicts[0].report.elapsed_us, 19000);
	ck_assert_uint_le(verdicts[0].report.elapsed_us, 2000000);
	ck_assert_ptr_eq(verdicts[0].arg, &reaper);
	ck_assert_int_eq(verdicts[0].tid, t_named(T_REAPER));
	counted(GRACECLOSE_OK, 1);
	ck_assert_uint_eq(stats.now, 0);
	ck_assert_uint_eq(stats.peak, 1);
	stop();
}
END_TEST

static int64_t
behind_the_fin(int family)
{
	struct t_later l;
	struct t_pair p;
	int64_t late;

	start();
	t_pair(&p, family);
	unlimited();
	submit(&verdicts[0], p.us);
	t_later(&l, 100, t_fin, p.peer);
	flush();
	late = verdicts[0].at_ms - t_later_join(&l);
	ck_assert_int_ge(late, 0);
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
	stop();
	return late;
}

START_TEST(verdict_comes_as_soon_as_the_peers_fin)
{
	t_need(_i);
	t_prompt(behind_the_fin, _i, 100);
}
END_TEST

/*
 * Nothing is left to read, and no limit is set: only the edge of the last
 * acknowledgement can end this close so soon.
 */
static int64_t
from_the_last_acknowledgement(int i)
{
	struct t_reader peer;
	struct t_pair p;
	size_t n;

	start();
	t_pair_small(&p, i / 2);
	unlimited();
	if (i % 2 == 1)
		peer_fin(&p);
	else
		opts.until = GRACECLOSE_DELIVERED;
	n = t_fill(p.us);
	submit(&verdicts[0], p.us);
	t_reader_later(&peer, p.peer, 300);
	flush();
	t_saw(t_reader_join(&peer), n, 0);
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, i % 2);
	t_close(p.peer);
	stop();
	return llabs(verdicts[0].at_ms - peer.done_ms);
}

START_TEST(verdict_comes_with_the_last_acknowledgement)
{
	if (_i % 2 == 0)
		t_not_portable(T_NO_ACK);
	t_need(_i / 2);
	t_prompt(from_the_last_acknowledgement, _i, 100);
}
END_TEST

/* The peer's FIN arrives first, and our data is acknowledged after it. */
static int64_t
from_the_delivery_behind_a_fin(int family)
{
	struct t_reader peer;
	struct t_pair p;
	size_t n;

	start();
	t_pair_small(&p, family);
	n = t_fill(p.us);
	unlimited();
	submit(&verdicts[0], p.us);
	t_fin(p.peer);
	t_reader_later(&peer, p.peer, 300);
	t_pause(200);
	ck_assert_int_eq(t_told(&verdicts[0]), 0);
	flush();
	t_saw(t_reader_join(&peer), n, 0);
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
	stop();
	return llabs(verdicts[0].at_ms - peer.done_ms);
}

START_TEST(verdict_waits_for_delivery_after_a_fin_that_came_meanwhile)
{
	t_need(_i);
	t_prompt(from_the_delivery_behind_a_fin, _i, 100);
}
END_TEST

/* The peer knows only TCP: the edges of such a descriptor differ. */
START_TEST(mptcp_that_fell_back_is_no_different)
{
	struct t_pair p;
	size_t n;
	int lfd, size = 32768;

	t_need(T_MPTCP);
	start();
	lfd = t_listen(T_IPV4);
	ck_assert_int_eq(setsockopt(lfd, SOL_SOCKET, SO_RCVBUF, &size,
	    sizeof(size)), 0);
	p.us = t_connect(T_MPTCP, lfd);
	p.peer = t_accept(lfd);
	t_close(lfd);
	unlimited();
	if (_i == 1)
		peer_fin(&p);
	n = t_fill(p.us);
	submit(&verdicts[0], p.us);
	t_saw(t_read_all(p.peer), n, 0);
	if (_i == 0)
		t_fin(p.peer);
	flush();
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
	stop();
}
END_TEST

START_TEST(until_delivered_does_not_wait_for_the_peer)
{
	struct t_pair p;
	size_t left;

	t_not_portable(T_NO_ACK);
	t_need_any(_i);
	start();
	t_pair_any(&p, _i);
	opts = t_opts(GRACECLOSE_DELIVERED, GRACECLOSE_RESET, 5000, -1);
	t_write(p.us, 1000);
	left = t_take_if_local(p.peer, 1000);
	submit(&verdicts[0], p.us);
	flush();
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 0);
	t_saw(t_read_all(p.peer), left, 0);
	t_close(p.peer);
	counted(GRACECLOSE_OK, 1);
	stop();
}
END_TEST

/*
 * recv(2) always returns 0 here, so the peer's FIN must be seen in another way.
 */
START_TEST(own_shut_rd_is_not_taken_for_the_peers_fin)
{
	struct t_later l;
	struct t_pair p;

	t_need_any(_i);
	start();
	t_pair_any(&p, _i);
	ck_assert_int_eq(shutdown(p.us, SHUT_RD), 0);
	unlimited();
	submit(&verdicts[0], p.us);
	t_later(&l, 100, t_fin, p.peer);
	flush();
	t_between(verdicts[0].at_ms - t_later_join(&l), 0, SOON_MS);
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
	stop();
}
END_TEST

static const int linger_seconds[] = { 0, 5 };

START_TEST(inherited_linger_neither_resets_nor_blocks)
{
	struct t_pair p, q;
	int64_t begin;
	size_t n;

	t_need(_i / 2);
	start();
	t_pair_small(&p, _i / 2);
	t_pair(&q, _i / 2);
	t_linger(p.us, linger_seconds[_i % 2]);
	n = t_fill(p.us);
	opts = t_opts(0, GRACECLOSE_DETACH, 50, -1);
	begin = t_now_ms();
	submit(&verdicts[0], p.us);
	opts = t_opts(0, GRACECLOSE_DETACH, 100, -1);
	submit(&verdicts[1], q.us);
	flush();
	t_between(t_now_ms() - begin, 99, 1200);
	t_verdict_is(&verdicts[0], GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	t_verdict_is(&verdicts[1], GRACECLOSE_EXPIRED, ETIMEDOUT,
	    T_KNOWS(1, 0), 0);
	t_saw(t_read_all(p.peer), n, 0);
	t_saw(t_read_all(q.peer), 0, 0);
	t_close(p.peer);
	t_close(q.peer);
	stop();
}
END_TEST

START_TEST(many_closes_end_together)
{
	static struct t_pair p[100];
	int i, later;

	t_need(_i);
	start();
	unlimited();
	for (i = 0; i < 100; i++) {
		t_pair(&p[i], _i);
		t_write(p[i].us, 1000);
		submit(&verdicts[i], p[i].us);
	}
	look();
	ck_assert_uint_eq(stats.now, 100);
	ck_assert_uint_eq(stats.peak, 100);
	for (i = 0; i < 100; i++) {
		later = 99 - i;
		t_read(p[later].peer, 1000);
		t_close(p[later].peer);
	}
	flush();
	for (i = 0; i < 100; i++)
		t_verdict_is(&verdicts[i], GRACECLOSE_OK, 0, 1, 1);
	counted(GRACECLOSE_OK, 100);
	ck_assert_uint_eq(stats.now, 0);
	ck_assert_uint_eq(stats.peak, 100);
	stop();
}
END_TEST

START_TEST(neither_options_nor_done_are_needed)
{
	struct t_pair p[2];
	int i;

	reaper = t_reaper(NULL);
	t_pair(&p[0], _i);
	t_pair(&p[1], _i);
	t_fin(p[0].peer);
	for (i = 0; i < 2; i++) {
		t_write(p[i].us, 100);
		t_ok(graceclose_reaper_close(reaper, p[i].us, NULL, NULL));
		t_fin(p[i].peer);
		t_saw(t_read_all(p[i].peer), 100, 0);
	}
	flush();
	for (i = 0; i < 2; i++) {
		t_released(p[i].us);
		t_close(p[i].peer);
	}
	counted(GRACECLOSE_OK, 2);
	stop();
}
END_TEST

/*
 * Over at once: in the caller's thread, before close returns.
 */

static int
over_at_once(int family, uint64_t turns)
{
	struct t_pair p;

	t_pair(&p, family);
	t_write(p.us, 1000);
	t_read(p.peer, 1000);
	peer_fin(&p);
	submit(&verdicts[0], p.us);
	if (t_told(&verdicts[0]) == 0 || verdicts[0].tid != gettid()) {
		flush();
		t_close(p.peer);
		return 0;
	}
	ck_assert_uint_eq(t_turns(t_named(T_REAPER)), turns);
	t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	ck_assert_ptr_eq(verdicts[0].arg, &reaper);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
	return 1;
}

/*
 * On loopback our FIN is acknowledged before shutdown(2) returns, unless the
 * kernel leaves the work to ksoftirqd or to MPTCP's worker.  Hence the test
 * tries as often as it has time for.
 */
START_TEST(peer_that_had_closed_is_over_in_the_callers_thread)
{
	int64_t end;
	int tries;

	t_need(_i);
	start();
	opts = t_opts(0, 0, 0, 0);
	end = t_now_ms() + T_LIMIT_MS;
	tries = 0;
	do {
		if (t_now_ms() > end && _i == T_MPTCP) {
			stop();
			t_skip("MPTCP's worker was never in time");
		}
		ck_assert_int_le(t_now_ms(), end);
		t_wait_asleep(t_named(T_REAPER), 50);
		tries++;
	} while (!over_at_once(_i, t_turns(t_named(T_REAPER))));
	counted(GRACECLOSE_OK, (uint64_t)tries);
	ck_assert_uint_eq(stats.now, 0);
	stop();
}
END_TEST

START_TEST(connection_that_had_ended_is_over_in_the_callers_thread)
{
	struct t_pair p;

	t_need_any(_i);
	start();
	t_pair_any(&p, _i);
	t_write(p.peer, 100);
	t_fin(p.us);
	t_wait_poll(p.peer, POLLRDHUP);
	t_close(p.peer);
	t_wait_dead(p.us);
	t_wait_outq(p.us, 0);
	opts = t_opts(0, 0, 0, 0);
	submit(&verdicts[0], p.us);
	if (T_PORTABLE && _i / 2 != T_UNIX)
		t_verdict_is(&verdicts[0], GRACECLOSE_INVALID, ENOTCONN, 0, 0);
	else
		t_verdict_is(&verdicts[0], GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(verdicts[0].report.discarded, 100);
	ck_assert_int_eq(verdicts[0].tid, gettid());
	counted(verdicts[0].report.outcome, 1);
	stop();
}
END_TEST

START_TEST(dead_connection_is_over_in_the_callers_thread)
{
	struct t_pair p;

	t_need_any(_i);
	start();
	t_pair_any(&p, _i);
	t_reset(p.peer);
	t_wait_reset(p.us);
	opts = t_opts(0, 0, 0, 0);
	submit(&verdicts[0], p.us);
	t_verdict_is(&verdicts[0], GRACECLOSE_WAS_RESET, ECONNRESET, 0, 0);
	ck_assert_int_eq(verdicts[0].tid, gettid());
	counted(GRACECLOSE_WAS_RESET, 1);
	stop();
}
END_TEST

START_TEST(what_is_no_connection_is_invalid_in_the_callers_thread)
{
	int fd;

	t_need(t_odds[_i].family);
	start();
	fd = t_odd_open(&t_odds[_i]);
	opts = t_opts(0, 0, 0, 0);
	submit(&verdicts[0], fd);
	t_verdict_is(&verdicts[0], GRACECLOSE_INVALID, t_odds[_i].error, 0, 0);
	ck_assert_uint_eq(verdicts[0].report.unacked, 0);
	ck_assert_uint_eq(verdicts[0].report.discarded, 0);
	ck_assert_int_eq(verdicts[0].tid, gettid());
	counted(GRACECLOSE_INVALID, 1);
	ck_assert_uint_eq(stats.now, 0);
	stop();
}
END_TEST

/*
 * Failures of the connection
 */

START_TEST(reset_while_waiting_is_econnreset)
{
	struct t_later l;
	struct t_pair p;

	t_need_any(_i);
	start();
	t_pair_any(&p, _i);
	unlimited();
	submit(&verdicts[0], p.us);
	t_later(&l, 100, t_reset, p.peer);
	flush();
	t_between(verdicts[0].at_ms - t_later_join(&l), 0, SOON_MS);
	t_verdict_is(&verdicts[0], GRACECLOSE_WAS_RESET, ECONNRESET,
	    T_KNOWS(1, 0), 0);
	ck_assert_int_eq(verdicts[0].tid, t_named(T_REAPER));
	counted(GRACECLOSE_WAS_RESET, 1);
	stop();
}
END_TEST

START_TEST(unacked_is_exact_after_a_reset)
{
	struct t_later l;
	struct t_pair p;

	t_need_filters();
	start();
	t_pair_any(&p, _i);
	t_write(p.us, 1000);
	t_wait_outq(p.us, 0);
	t_drop(p.peer, T_DROP_ALL);
	t_write(p.us, 2345);
	unlimited();
	submit(&verdicts[0], p.us);
	t_later(&l, 50, t_reset, p.peer);
	flush();
	t_later_join(&l);
	t_verdict_is(&verdicts[0], GRACECLOSE_WAS_RESET, ECONNRESET, 0, 0);
	ck_assert_uint_eq(verdicts[0].report.unacked, T_KNOWS(2345, 0));
	stop();
}
END_TEST

static void
send_5000(int fd)
{
	t_write(fd, 5000);
}

/*
 * The input exceeds discard_max before the close, or while the thread has it.
 */
START_TEST(more_than_discard_max_is_a_flood)
{
	struct t_later l;
	struct t_pair p;

	t_need_any(_i / 2);
	start();
	t_pair_any(&p, _i / 2);
	unlimited();
	opts.discard_max = 1999;
	if (_i % 2 == 0) {
		send_5000(p.peer);
		t_wait_inq(p.us, 5000);
		submit(&verdicts[0], p.us);
		ck_assert_int_eq(verdicts[0].tid, gettid());
	} else {
		submit(&verdicts[0], p.us);
		t_later(&l, 20, send_5000, p.peer);
		flush();
		t_later_join(&l);
		ck_assert_int_eq(verdicts[0].tid, t_named(T_REAPER));
	}
	t_verdict_is(&verdicts[0], GRACECLOSE_FLOODED, EMSGSIZE,
	    verdicts[0].report.delivered, 0);
	ck_assert_uint_eq(verdicts[0].report.discarded, 2000);
	t_wait_dead(p.peer);
	t_close(p.peer);
	counted(GRACECLOSE_FLOODED, 1);
	stop();
}
END_TEST

/*
 * One event ended the first close, and a duplicate kept the connection: epoll
 * still has it under this number.  A close without events would nap.
 */
START_TEST(connection_that_comes_back_is_watched_again)
{
	struct t_pair p;
	int other;

	t_not_portable(T_NO_EDGE);
	start();
	t_pair_any(&p, _i);
	ck_assert_int_ne(other = dup(p.us), -1);
	unlimited();
	opts.discard_max = 1999;
	submit(&verdicts[0], p.us);
	send_5000(p.peer);
	flush();
	t_verdict_is(&verdicts[0], GRACECLOSE_FLOODED, EMSGSIZE,
	    verdicts[0].report.delivered, 0);
	ck_assert_int_eq(dup2(other, p.us), p.us);
	t_close(other);
	unlimited();
	submit(&verdicts[1], p.us);
	t_wait_asleep(t_named(T_REAPER), 200);
	t_fin(p.peer);
	flush();
	t_verdict_is(&verdicts[1], GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
	stop();
}
END_TEST

static void
the_ends(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "to the end");
	tcase_add_loop_test(tc, peer_reads_all_and_closes_later, 0, T_ANY);
	tcase_add_loop_test(tc, verdict_comes_as_soon_as_the_peers_fin, 0,
	    T_FAMILIES);
	tcase_add_loop_test(tc, verdict_comes_with_the_last_acknowledgement, 0,
	    2 * T_TCP);
	tcase_add_loop_test(tc,
	    verdict_waits_for_delivery_after_a_fin_that_came_meanwhile, 0,
	    T_TCP);
	tcase_add_loop_test(tc, mptcp_that_fell_back_is_no_different, 0, 2);
	tcase_add_loop_test(tc, until_delivered_does_not_wait_for_the_peer, 0,
	    T_ANY);
	tcase_add_loop_test(tc, own_shut_rd_is_not_taken_for_the_peers_fin, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, inherited_linger_neither_resets_nor_blocks, 0,
	    2 * T_TCP);
	tcase_add_loop_test(tc, many_closes_end_together, 0, T_FAMILIES);
	tcase_add_loop_test(tc, neither_options_nor_done_are_needed, 0,
	    T_PLAIN);

	tc = t_case(s, "over at once");
	tcase_add_loop_test(tc,
	    peer_that_had_closed_is_over_in_the_callers_thread, 0, T_FAMILIES);
	tcase_add_loop_test(tc,
	    connection_that_had_ended_is_over_in_the_callers_thread, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, dead_connection_is_over_in_the_callers_thread,
	    0, T_ANY_TCP);
	tcase_add_loop_test(tc,
	    what_is_no_connection_is_invalid_in_the_callers_thread, 0, T_ODDS);

	tc = t_case(s, "failures");
	tcase_add_loop_test(tc, reset_while_waiting_is_econnreset, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, unacked_is_exact_after_a_reset, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, more_than_discard_max_is_a_flood, 0,
	    2 * T_ANY);
	tcase_add_loop_test(tc, connection_that_comes_back_is_watched_again,
	    0, T_PLAIN);
}

int
main(void)
{
	Suite *s;

	s = suite_create("reaper outcomes");
	the_ends(s);
	return t_main(s);
}
