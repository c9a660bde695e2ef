/*
 * abort_close: the peer sees a RST now, even if other descriptors or processes
 * hold the connection
 */
#include <sys/socket.h>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

/* What the peer's program sees: the result of a read, then of two writes. */
static void
is_reset(int fd, size_t bytes)
{
	t_wait_dead(fd);
	t_saw(t_read_all(fd), bytes, ECONNRESET);
	ck_assert_str_eq(t_errno(t_try_write(fd)), "EPIPE");
}

START_TEST(peer_is_reset)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_ok(abort_close(p.us));
	t_released(p.us);
	is_reset(p.peer, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(writing_peer_learns_it_at_its_next_write)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_ok(abort_close(p.us));
	t_wait_dead(p.peer);
	ck_assert_str_eq(t_errno(t_try_write(p.peer)), "ECONNRESET");
	ck_assert_str_eq(t_errno(t_try_write(p.peer)), "EPIPE");
	t_close(p.peer);
}
END_TEST

START_TEST(unread_input_makes_no_difference)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.peer, 5000);
	t_wait_inq(p.us, 5000);
	t_ok(abort_close(p.us));
	t_released(p.us);
	is_reset(p.peer, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(unsent_data_is_destroyed)
{
	struct t_got got;
	struct t_pair p;
	size_t n;

	t_pair_small(&p, _i);
	n = t_fill(p.us);
	t_ok(abort_close(p.us));
	t_wait_dead(p.peer);
	got = t_read_all(p.peer);
	ck_assert_str_eq(t_errno(got.error), "ECONNRESET");
	ck_assert_uint_lt(got.bytes, n);
	t_close(p.peer);
}
END_TEST

static const int linger_seconds[] = { 0, 5 };

START_TEST(inherited_linger_does_not_block)
{
	struct t_pair p;
	int64_t start;

	t_need(_i / 2);
	t_pair_small(&p, _i / 2);
	t_linger(p.us, linger_seconds[_i % 2]);
	t_fill(p.us);
	start = t_now_ms();
	t_ok(abort_close(p.us));
	t_between(t_now_ms() - start, 0, 500);
	t_released(p.us);
	t_close(p.peer);
}
END_TEST

/*
 * Other holders of the connection
 */

START_TEST(duplicate_does_not_stop_the_reset)
{
	struct t_pair p;
	int copy;

	t_need_any(_i);
	t_pair_any(&p, _i);
	copy = dup(p.us);
	t_ok(abort_close(p.us));
	t_released(p.us);
	is_reset(p.peer, 0);
	ck_assert_int_ne(t_try_write(copy), 0);
	t_close(copy);
	t_close(p.peer);
}
END_TEST

START_TEST(forked_holder_does_not_stop_the_reset)
{
	struct t_pair p;
	pid_t child;

	t_need_any(_i);
	t_pair_any(&p, _i);
	child = t_hold();
	t_ok(abort_close(p.us));
	t_released(p.us);
	is_reset(p.peer, 0);
	t_hold_end(child);
	t_close(p.peer);
}
END_TEST

START_TEST(thread_blocked_in_recv_wakes_and_the_peer_is_reset)
{
	struct t_blocked b;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_blocked(&b, p.us);
	t_ok(abort_close(p.us));
	is_reset(p.peer, 0);
	t_join(b.thread);
	ck_assert_int_le(b.n, 0);
	t_released(p.us);
	t_close(p.peer);
}
END_TEST

/* Both at once, and the thread uses the duplicate. */
START_TEST(blocked_thread_with_a_duplicate_wakes_as_well)
{
	struct t_blocked b;
	struct t_pair p;
	int copy;

	t_need_any(_i);
	t_pair_any(&p, _i);
	copy = dup(p.us);
	t_blocked(&b, copy);
	t_ok(abort_close(p.us));
	is_reset(p.peer, 0);
	t_join(b.thread);
	ck_assert_int_le(b.n, 0);
	t_close(copy);
	t_close(p.peer);
}
END_TEST

/*
 * States
 */

START_TEST(after_own_shut_wr_the_peer_is_reset)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_fin(p.us);
	t_wait_outq(p.us, 0);
	t_ok(abort_close(p.us));
	t_released(p.us);
	/*
	 * The peer had our FIN already: its writes fail with EPIPE, its reads
	 * return EOF.
	 */
	t_wait_dead(p.peer);
	ck_assert_str_eq(t_errno(t_try_write(p.peer)), "EPIPE");
	t_close(p.peer);
}
END_TEST

START_TEST(after_own_shut_rd_the_peer_is_reset)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	ck_assert_int_eq(shutdown(p.us, SHUT_RD), 0);
	t_ok(abort_close(p.us));
	t_released(p.us);
	is_reset(p.peer, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(after_the_peers_fin_the_peer_is_reset)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.us, 100);
	t_read(p.peer, 100);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_ok(abort_close(p.us));
	t_released(p.us);
	t_wait_dead(p.peer);
	t_saw(t_read_all(p.peer), 0, ECONNRESET);
	t_close(p.peer);
}
END_TEST

/* LAST_ACK: our data and our FIN cannot get through. */
START_TEST(in_last_ack_the_peer_is_reset)
{
	struct t_pair p;
	size_t n;

	t_pair_small(&p, _i);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	n = t_fill(p.us);
	t_fin(p.us);
	t_wait_state(p.us, TCP_LAST_ACK);
	t_ok(abort_close(p.us));
	t_wait_dead(p.peer);
	ck_assert_uint_lt(t_read_all(p.peer).bytes, n);
	t_close(p.peer);
}
END_TEST

START_TEST(connection_that_ended_in_order_leaves_nothing_to_abort)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_fin(p.us);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
	t_wait_dead(p.us);
	t_ok(abort_close(p.us));
	t_released(p.us);
}
END_TEST

START_TEST(reset_connection_leaves_nothing_to_abort)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_reset(p.peer);
	t_wait_dead(p.us);
	t_ok(abort_close(p.us));
	t_released(p.us);
}
END_TEST

/*
 * AF_UNIX has no RST, but the peer sees an error
 */

START_TEST(unix_peer_with_unread_input_is_reset)
{
	struct t_pair p;

	t_pair(&p, T_UNIX);
	t_write(p.peer, 10);
	t_ok(abort_close(p.us));
	t_released(p.us);
	is_reset(p.peer, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(unix_peer_is_told_in_spite_of_a_duplicate)
{
	struct t_pair p;
	int copy;

	t_pair(&p, T_UNIX);
	copy = dup(p.us);
	t_ok(abort_close(p.us));
	t_released(p.us);
	t_wait_readable(p.peer);
	t_saw(t_read_all(p.peer), 0, 0);
	ck_assert_str_eq(t_errno(t_try_write(p.peer)), "EPIPE");
	t_close(copy);
	t_close(p.peer);
}
END_TEST

START_TEST(unix_thread_blocked_in_recv_wakes)
{
	struct t_blocked b;
	struct t_pair p;

	t_pair(&p, T_UNIX);
	t_blocked(&b, p.us);
	t_ok(abort_close(p.us));
	t_join(b.thread);
	ck_assert_int_le(b.n, 0);
	t_released(p.us);
	t_close(p.peer);
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
	if (t_odds[_i].error == ENOTCONN)
		t_ok(abort_close(fd));
	else
		t_fails(abort_close(fd), t_odds[_i].error);
	t_released(fd);
}
END_TEST

START_TEST(no_descriptor_is_ebadf)
{
	t_fails(abort_close(-1), EBADF);
	t_fails(abort_close(INT32_MAX), EBADF);
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("abort_close");
	tc = t_case(s, "reset");
	tcase_add_loop_test(tc, peer_is_reset, 0, T_ANY_TCP);
	tcase_add_loop_test(tc, writing_peer_learns_it_at_its_next_write, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, unread_input_makes_no_difference, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, unsent_data_is_destroyed, 0, T_PLAIN);
	tcase_add_loop_test(tc, inherited_linger_does_not_block, 0,
	    2 * T_FAMILIES);

	tc = t_case(s, "other holders");
	tcase_add_loop_test(tc, duplicate_does_not_stop_the_reset, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, forked_holder_does_not_stop_the_reset, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc,
	    thread_blocked_in_recv_wakes_and_the_peer_is_reset, 0, T_ANY_TCP);
	tcase_add_loop_test(tc, blocked_thread_with_a_duplicate_wakes_as_well,
	    0, T_ANY_TCP);

	tc = t_case(s, "states");
	tcase_add_loop_test(tc, after_own_shut_wr_the_peer_is_reset, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, after_own_shut_rd_the_peer_is_reset, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, after_the_peers_fin_the_peer_is_reset, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, in_last_ack_the_peer_is_reset, 0, T_PLAIN);
	tcase_add_loop_test(tc,
	    connection_that_ended_in_order_leaves_nothing_to_abort, 0, T_ANY);
	tcase_add_loop_test(tc, reset_connection_leaves_nothing_to_abort, 0,
	    T_ANY_TCP);

	tc = t_case(s, "AF_UNIX");
	tcase_add_test(tc, unix_peer_with_unread_input_is_reset);
	tcase_add_test(tc, unix_peer_is_told_in_spite_of_a_duplicate);
	tcase_add_test(tc, unix_thread_blocked_in_recv_wakes);

	tc = t_case(s, "no connection");
	tcase_add_loop_test(tc,
	    what_is_no_connection_is_released_with_its_errno, 0, T_ODDS);
	tcase_add_test(tc, no_descriptor_is_ebadf);
	return t_main(s);
}
