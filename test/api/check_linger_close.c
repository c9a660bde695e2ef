/*
 * linger_close: waits until everything is delivered, or until a limit, and then
 * sends RST
 */
#include <sys/socket.h>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

/*
 * Delivered
 */

/*
 * The peer neither reads nor sends its FIN, but its TCP has received
 * everything.
 */
START_TEST(delivery_is_enough)
{
	struct t_pair p;
	size_t left;

	t_not_portable(T_NO_ACK);
	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.us, 10000);
	left = t_take_if_local(p.peer, 10000);
	t_ok(linger_close(p.us, 5000));
	t_released(p.us);
	t_saw(t_read_all(p.peer), left, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(nonblocking_descriptor_waits_as_well)
{
	struct t_reader r;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_nonblock(p.us);
	t_write(p.us, 100000);
	t_reader(&r, p.peer, 1);
	t_ok(linger_close(p.us, 5000));
	t_released(p.us);
	t_saw(t_reader_join(&r), 100000, 0);
}
END_TEST

START_TEST(unread_input_does_not_reset_what_was_delivered)
{
	struct t_pair p;
	size_t left;

	t_not_portable(T_NO_ACK);
	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.peer, 5000);
	t_wait_inq(p.us, 5000);
	t_write(p.us, 10000);
	left = t_take_if_local(p.peer, 10000);
	t_ok(linger_close(p.us, 5000));
	t_saw(t_read_all(p.peer), left, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(peer_that_half_closed_first_gets_all_data)
{
	struct t_reader r;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_write(p.us, 60000);
	t_reader(&r, p.peer, 1);
	t_ok(linger_close(p.us, 5000));
	t_saw(t_reader_join(&r), 60000, 0);
}
END_TEST

START_TEST(connection_that_ended_in_order_is_a_success)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.us, 100);
	t_fin(p.us);
	t_saw(t_read_all(p.peer), 100, 0);
	t_close(p.peer);
	t_wait_dead(p.us);
	t_ok_once_over(linger_close(p.us, 5000));
	t_released(p.us);
}
END_TEST

static const int linger_seconds[] = { 0, 5 };

START_TEST(inherited_linger_does_not_matter)
{
	struct t_pair p;
	size_t left;

	t_not_portable(T_NO_ACK);
	t_need(_i / 2);
	t_pair(&p, _i / 2);
	t_linger(p.us, linger_seconds[_i % 2]);
	t_write(p.us, 10000);
	left = t_take_if_local(p.peer, 10000);
	t_ok(linger_close(p.us, 5000));
	t_saw(t_read_all(p.peer), left, 0);
	t_close(p.peer);
}
END_TEST

/*
 * No acknowledgement arrives until the peer sends a byte at a known moment,
 * which acknowledges everything.
 */
static void
heal_and_speak(int fd)
{
	t_heal(fd);
	send(fd, "x", 1, MSG_NOSIGNAL);
}

static int64_t
behind_the_acknowledgement(int i)
{
	struct t_later l;
	struct t_pair p;
	int64_t late;
	int copy;

	t_pair_any(&p, i);
	copy = dup(p.us);
	t_drop(p.us, T_DROP_ACK);
	t_write(p.us, 1000);
	t_wait_inq(p.peer, 1000);
	t_later(&l, 120, heal_and_speak, p.peer);
	t_ok(linger_close(p.us, 5000));
	late = t_now_ms();
	late -= t_later_join(&l);
	ck_assert_int_ge(late, 0);
	t_saw(t_read_all(p.peer), 1000, 0);
	t_close(copy);
	t_close(p.peer);
	return late;
}

START_TEST(returns_as_soon_as_the_acknowledgement_is_here)
{
	t_not_portable(T_NO_ACK);
	t_need_filters();
	t_prompt(behind_the_acknowledgement, _i, 60);
}
END_TEST

START_TEST(negative_limit_waits_for_ever)
{
	struct t_later l;
	struct t_pair p;
	int64_t end;

	t_not_portable(T_NO_ACK);
	t_need_filters();
	t_pair_any(&p, _i);
	t_drop(p.peer, T_DROP_ALL);
	t_write(p.us, 1000);
	t_later(&l, 300, t_heal, p.peer);
	t_storm();
	t_clock(100);
	t_ok(linger_close(p.us, -1));
	t_clock(1);
	end = t_now_ms();
	ck_assert_int_gt(t_storm_end(), 2);
	ck_assert_int_ge(end, t_later_join(&l));
	t_saw(t_read_all(p.peer), 1000, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(low_water_mark_does_not_stop_the_drain)
{
	struct t_pair p;
	size_t left;
	int lowat;

	t_not_portable(T_NO_ACK);
	t_need(_i);
	t_pair(&p, _i);
	lowat = 60000;
	setsockopt(p.us, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof(lowat));
	t_write(p.peer, 1000);
	t_wait_inq(p.us, 1000);
	t_write(p.us, 1000);
	left = t_take_if_local(p.peer, 1000);
	t_ok(linger_close(p.us, 5000));
	t_saw(t_read_all(p.peer), left, 0);
	t_close(p.peer);
}
END_TEST

/*
 * Expired
 */

/* The kernel's RST for MPTCP does not pass a window of zero. */
static void
sees_the_reset(int fd, int family, size_t less_than)
{
	struct t_got got;

	if (family == T_MPTCP)
		return;
	t_wait_dead(fd);
	got = t_read_all(fd);
	ck_assert_str_eq(t_errno(got.error), "ECONNRESET");
	ck_assert_uint_lt(got.bytes, less_than);
}

START_TEST(expiry_resets_what_was_not_delivered)
{
	struct t_pair p;
	int64_t cpu, start;
	size_t n;

	t_need(_i);
	t_pair_small(&p, _i);
	n = t_fill(p.us);
	cpu = t_cpu_ms();
	start = t_now_ms();
	t_fails(linger_close(p.us, 200), ETIMEDOUT);
	t_between(t_now_ms() - start, 199, 1200);
	ck_assert_int_le(t_cpu_ms() - cpu, T_IDLE_CPU_MS);
	t_released(p.us);
	sees_the_reset(p.peer, _i, n);
	t_close(p.peer);
}
END_TEST

START_TEST(expiry_resets_even_while_a_duplicate_lives)
{
	struct t_pair p;
	size_t n;
	int copy;

	t_pair_small(&p, _i);
	copy = dup(p.us);
	n = t_fill(p.us);
	t_fails(linger_close(p.us, 100), ETIMEDOUT);
	t_released(p.us);
	sees_the_reset(p.peer, _i, n);
	t_close(copy);
	t_close(p.peer);
}
END_TEST

START_TEST(expiry_resets_whatever_linger_was_inherited)
{
	struct t_pair p;
	int64_t start;
	size_t n;

	t_need(_i / 2);
	t_pair_small(&p, _i / 2);
	t_linger(p.us, linger_seconds[_i % 2]);
	n = t_fill(p.us);
	start = t_now_ms();
	t_fails(linger_close(p.us, 100), ETIMEDOUT);
	t_between(t_now_ms() - start, 99, 1100);
	sees_the_reset(p.peer, _i / 2, n);
	t_close(p.peer);
}
END_TEST

/* LAST_ACK: EOF came long ago, and our data cannot be delivered. */
START_TEST(expiry_resets_after_the_peers_fin_as_well)
{
	struct t_pair p;
	size_t n;

	t_need(_i);
	t_pair_small(&p, _i);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	n = t_fill(p.us);
	t_fails(linger_close(p.us, 100), ETIMEDOUT);
	t_released(p.us);
	sees_the_reset(p.peer, _i, n);
	t_close(p.peer);
}
END_TEST

/* Ten seconds of the library's clock take half a second. */
START_TEST(there_is_no_idle_limit)
{
	struct t_pair p;
	int64_t start;

	t_need(_i);
	t_pair_small(&p, _i);
	t_fill(p.us);
	t_storm();
	t_clock(20);
	start = t_now_ms();
	t_fails(linger_close(p.us, 10000), ETIMEDOUT);
	t_between(t_now_ms() - start, 495, 1500);
	t_clock(1);
	ck_assert_int_gt(t_storm_end(), 2);
	t_close(p.peer);
}
END_TEST

START_TEST(signals_do_not_move_the_deadline)
{
	struct t_pair p;
	int limit = T_VALGRIND ? 1000 : 200;
	int64_t start;

	t_need(_i);
	t_pair_small(&p, _i);
	t_fill(p.us);
	t_storm();
	start = t_now_ms();
	t_fails(linger_close(p.us, limit), ETIMEDOUT);
	t_between(t_now_ms() - start, limit - 1, limit + 1000);
	ck_assert_int_gt(t_storm_end(), 2);
	t_close(p.peer);
}
END_TEST

/* Drops every segment: no answer, not even RST. */
START_TEST(vanished_peer_expires)
{
	struct t_pair p;

	t_need_filters();
	t_need_repair();
	t_pair_any(&p, _i);
	t_drop(p.us, T_DROP_ALL);
	t_vanish(p.peer);
	t_write(p.us, 1000);
	t_fails(linger_close(p.us, 100), ETIMEDOUT);
	t_released(p.us);
}
END_TEST

START_TEST(zero_is_an_abort)
{
	struct t_pair p;
	int copy;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.us, 100);
	t_read(p.peer, 100);
	copy = _i / 2 == T_MPTCP ? -1 : dup(p.us);
	t_ok(linger_close(p.us, 0));
	t_released(p.us);
	t_wait_dead(p.peer);
	t_saw(t_read_all(p.peer), 0, ECONNRESET);
	ck_assert_str_eq(t_errno(t_try_write(p.peer)), "EPIPE");
	if (copy != -1)
		t_close(copy);
	t_close(p.peer);
}
END_TEST

/*
 * Resets
 */

START_TEST(reset_before_the_close_is_econnreset)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.peer, 10);
	t_wait_inq(p.us, 10);
	t_reset(p.peer);
	t_wait_reset(p.us);
	t_fails(linger_close(p.us, 5000), ECONNRESET);
	t_released(p.us);
}
END_TEST

START_TEST(reset_while_waiting_is_econnreset)
{
	struct t_later l;
	struct t_pair p;

	t_need(_i);
	t_pair_small(&p, _i);
	t_fill(p.us);
	t_later(&l, 50, t_reset, p.peer);
	t_fails(linger_close(p.us, 5000), ECONNRESET);
	t_between(t_now_ms() - t_later_join(&l), 0, 1000);
	t_released(p.us);
}
END_TEST

START_TEST(reset_whose_error_was_consumed_is_econnreset)
{
	struct t_pair p;
	char c;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_reset(p.peer);
	t_wait_reset(p.us);
	t_fails(recv(p.us, &c, 1, 0), ECONNRESET);
	t_fails(linger_close(p.us, 5000), T_KNOWS(ECONNRESET, ENOTCONN));
	t_released(p.us);
}
END_TEST

/*
 * Not a connection
 */

START_TEST(what_is_no_connection_is_released_with_its_errno)
{
	int fd;

	t_need(t_odds[_i].family);
	fd = t_odd_open(&t_odds[_i]);
	t_fails(linger_close(fd, 100), t_odds[_i].error);
	t_released(fd);
}
END_TEST

START_TEST(no_descriptor_is_ebadf)
{
	t_fails(linger_close(-1, 100), EBADF);
	t_fails(linger_close(-1, -1), EBADF);
	t_fails(linger_close(-1, 0), EBADF);
	t_fails(linger_close(INT32_MAX, 100), EBADF);
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("linger_close");
	tc = t_case(s, "delivered");
	tcase_add_loop_test(tc, delivery_is_enough, 0, T_ANY);
	tcase_add_loop_test(tc, nonblocking_descriptor_waits_as_well, 0,
	    T_ANY);
	tcase_add_loop_test(tc,
	    unread_input_does_not_reset_what_was_delivered, 0, T_ANY);
	tcase_add_loop_test(tc, peer_that_half_closed_first_gets_all_data, 0,
	    T_ANY);
	tcase_add_loop_test(tc, connection_that_ended_in_order_is_a_success, 0,
	    T_ANY);
	tcase_add_loop_test(tc, inherited_linger_does_not_matter, 0,
	    2 * T_FAMILIES);
	tcase_add_loop_test(tc, returns_as_soon_as_the_acknowledgement_is_here,
	    0, T_ANY_PLAIN);
	tcase_add_loop_test(tc, negative_limit_waits_for_ever, 0, 2);
	tcase_add_loop_test(tc, low_water_mark_does_not_stop_the_drain, 0,
	    T_FAMILIES);

	tc = t_case(s, "expired");
	tcase_add_loop_test(tc, expiry_resets_what_was_not_delivered, 0,
	    T_TCP);
	tcase_add_loop_test(tc, expiry_resets_even_while_a_duplicate_lives, 0,
	    T_PLAIN);
	tcase_add_loop_test(tc, expiry_resets_whatever_linger_was_inherited, 0,
	    2 * T_TCP);
	tcase_add_loop_test(tc, expiry_resets_after_the_peers_fin_as_well, 0,
	    T_TCP);
	tcase_add_loop_test(tc, there_is_no_idle_limit, 0, T_TCP);
	tcase_add_loop_test(tc, signals_do_not_move_the_deadline, 0, T_TCP);
	tcase_add_loop_test(tc, vanished_peer_expires, 0, T_ANY_PLAIN);
	tcase_add_loop_test(tc, zero_is_an_abort, 0, T_ANY_TCP);

	tc = t_case(s, "reset");
	tcase_add_loop_test(tc, reset_before_the_close_is_econnreset, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, reset_while_waiting_is_econnreset, 0, T_TCP);
	tcase_add_loop_test(tc, reset_whose_error_was_consumed_is_econnreset,
	    0, T_ANY_TCP);

	tc = t_case(s, "no connection");
	tcase_add_loop_test(tc,
	    what_is_no_connection_is_released_with_its_errno, 0, T_ODDS);
	tcase_add_test(tc, no_descriptor_is_ebadf);
	return t_main(s);
}
