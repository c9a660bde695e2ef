/*
 * graceful_close: 0 says delivered and finished, and the peer agrees
 */
#include <sys/socket.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

#define MEBIBYTE	1048576

/*
 * What 0 promises
 */

START_TEST(peer_gets_every_byte_and_eof)
{
	struct t_reader r;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.us, 100000);
	t_reader(&r, p.peer, 1);
	t_ok(graceful_close(p.us));
	t_released(p.us);
	t_saw(t_reader_join(&r), 100000, 0);
}
END_TEST

START_TEST(nonblocking_descriptor_is_no_different)
{
	struct t_reader r;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_nonblock(p.us);
	t_write(p.us, 100000);
	t_reader(&r, p.peer, 1);
	t_ok(graceful_close(p.us));
	t_released(p.us);
	t_saw(t_reader_join(&r), 100000, 0);
}
END_TEST

START_TEST(waits_for_the_peer_to_finish)
{
	struct t_later l;
	struct t_pair p;
	int64_t end;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_later(&l, 100, t_fin, p.peer);
	t_ok(graceful_close(p.us));
	end = t_now_ms();
	t_between(end - t_later_join(&l), 0, 1000);
	t_released(p.us);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(peer_that_had_closed_is_a_success)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_close(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_ok(graceful_close(p.us));
	t_released(p.us);
}
END_TEST

static void *
read_after_a_while(void *arg)
{
	struct t_reader *r = arg;

	usleep(150000);
	r->got = t_read_all(r->fd);
	return NULL;
}

/*
 * The peer's EOF arrived before the close, and a megabyte of ours is not
 * acknowledged: EOF is not delivery.
 */
START_TEST(peer_that_half_closed_first_gets_all_data)
{
	struct t_reader r;
	struct t_pair p;
	int64_t start;

	t_need_any(_i);
	t_need_buffer(SO_SNDBUF, 2 * MEBIBYTE);
	t_pair_any(&p, _i);
	t_sndbuf(p.us, 4 * MEBIBYTE);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_write(p.us, MEBIBYTE);
	r.fd = p.peer;
	start = t_now_ms();
	t_thread(&r.thread, read_after_a_while, &r);
	t_ok(graceful_close(p.us));
	t_saw(t_reader_join(&r), MEBIBYTE, 0);
	t_between(t_now_ms() - start, 140, 4000);
	t_released(p.us);
	t_close(p.peer);
}
END_TEST

/* The peer half-closed first, and no byte can pass until it reads. */
START_TEST(verdict_waits_for_the_acknowledgement_after_eof)
{
	struct t_later l;
	struct t_pair p;
	int64_t end;

	t_need_filters();
	t_pair_any(&p, _i);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_drop(p.peer, T_DROP_ALL);
	t_write(p.us, 1000);
	t_later(&l, 150, t_heal, p.peer);
	t_ok(graceful_close(p.us));
	end = t_now_ms();
	ck_assert_int_ge(end, t_later_join(&l));
	t_saw(t_read_all(p.peer), 1000, 0);
	t_close(p.peer);
}
END_TEST

struct upload {
	pthread_t	thread;
	struct t_got	got;
	int		fd;
	int		error;
};

/* Sends 2 MB without a look at the server's answer, then reads the reply. */
static void *
upload(void *arg)
{
	struct upload *u = arg;
	char buf[10000];
	int i;

	memset(buf, 'u', sizeof(buf));
	for (i = 0; i < 200 && u->error == 0; i++)
		if (send(u->fd, buf, sizeof(buf), MSG_NOSIGNAL) == -1)
			u->error = errno;
	shutdown(u->fd, SHUT_WR);
	u->got = t_read_all(u->fd);
	return NULL;
}

START_TEST(early_reply_to_an_upload_arrives_whole)
{
	struct upload u;
	struct t_pair p;

	t_need(_i);
	t_need_buffer(SO_SNDBUF, 2 * MEBIBYTE);
	t_pair(&p, _i);
	t_sndbuf(p.us, 4 * MEBIBYTE);
	memset(&u, 0, sizeof(u));
	u.fd = p.peer;
	t_thread(&u.thread, upload, &u);
	t_read(p.us, 4096);
	t_write(p.us, MEBIBYTE);
	t_ok(graceful_close(p.us));
	t_join(u.thread);
	ck_assert_str_eq(t_errno(u.error), "0");
	t_saw(u.got, MEBIBYTE, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(unread_input_does_not_reset_the_reply)
{
	struct t_reader r;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.peer, 5000);
	t_wait_inq(p.us, 5000);
	t_write(p.us, 50000);
	t_reader(&r, p.peer, 1);
	t_ok(graceful_close(p.us));
	t_saw(t_reader_join(&r), 50000, 0);
}
END_TEST

START_TEST(urgent_input_is_discarded_as_well)
{
	struct t_pair p;

	t_need(_i);
	t_pair(&p, _i);
	t_write(p.peer, 10);
	ck_assert_int_eq(send(p.peer, "!", 1, MSG_OOB), 1);
	t_write(p.peer, 10);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_ok(graceful_close(p.us));
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(low_water_mark_does_not_stop_the_drain)
{
	struct t_later l;
	struct t_pair p;
	int lowat;

	t_need(_i);
	t_pair(&p, _i);
	lowat = 60000;
	setsockopt(p.us, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof(lowat));
	t_write(p.peer, 1000);
	t_later(&l, 50, t_fin, p.peer);
	t_ok(graceful_close(p.us));
	t_later_join(&l);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

/*
 * What other code did to the socket before
 */

/* Not for AF_UNIX, where SHUT_RD shuts the peer's writing side. */
START_TEST(own_shut_rd_is_not_taken_for_the_peers_fin)
{
	struct t_later l;
	struct t_pair p;
	int64_t end;

	t_need_any(_i);
	t_pair_any(&p, _i);
	ck_assert_int_eq(shutdown(p.us, SHUT_RD), 0);
	t_later(&l, 100, t_fin, p.peer);
	t_ok(graceful_close(p.us));
	end = t_now_ms();
	ck_assert_int_ge(end, t_later_join(&l));
	t_released(p.us);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

/* All may be over before the close begins. */
START_TEST(own_shut_wr_before_changes_nothing)
{
	struct t_reader r;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.us, 20000);
	t_fin(p.us);
	t_reader(&r, p.peer, 1);
	t_ok_once_over(graceful_close(p.us));
	t_released(p.us);
	t_saw(t_reader_join(&r), 20000, 0);
}
END_TEST

START_TEST(own_shut_rdwr_before_still_waits_for_the_peer)
{
	struct t_later l;
	struct t_pair p;
	int64_t end;

	t_need_any(_i);
	t_pair_any(&p, _i);
	ck_assert_int_eq(shutdown(p.us, SHUT_RDWR), 0);
	t_later(&l, 100, t_fin, p.peer);
	t_ok(graceful_close(p.us));
	end = t_now_ms();
	ck_assert_int_ge(end, t_later_join(&l));
	t_close(p.peer);
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
	t_ok_once_over(graceful_close(p.us));
	t_released(p.us);
}
END_TEST

START_TEST(connection_that_the_peer_ended_first_is_a_success)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.peer, 100);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_fin(p.us);
	t_saw(t_read_all(p.peer), 0, 0);
	t_ok_once_over(graceful_close(p.us));
	t_released(p.us);
	t_close(p.peer);
}
END_TEST

static const int linger_seconds[] = { 0, 5 };

START_TEST(inherited_linger_neither_resets_nor_blocks)
{
	struct t_reader r;
	struct t_pair p;

	t_need(_i / 2);
	t_pair(&p, _i / 2);
	t_linger(p.us, linger_seconds[_i % 2]);
	t_write(p.us, 100000);
	t_reader(&r, p.peer, 1);
	t_ok(graceful_close(p.us));
	t_released(p.us);
	t_saw(t_reader_join(&r), 100000, 0);
}
END_TEST

START_TEST(duplicate_does_not_keep_the_peer_waiting)
{
	struct t_reader r;
	struct t_pair p;
	int copy;

	t_need_any(_i);
	t_pair_any(&p, _i);
	copy = dup(p.us);
	t_write(p.us, 1000);
	t_reader(&r, p.peer, 1);
	t_ok(graceful_close(p.us));
	t_released(p.us);
	t_saw(t_reader_join(&r), 1000, 0);
	t_close(copy);
}
END_TEST

START_TEST(forked_holder_does_not_keep_the_peer_waiting)
{
	struct t_reader r;
	struct t_pair p;
	pid_t child;

	t_need_any(_i);
	t_pair_any(&p, _i);
	child = t_hold();
	t_write(p.us, 1000);
	t_reader(&r, p.peer, 0);
	t_fin(p.peer);
	t_ok(graceful_close(p.us));
	t_released(p.us);
	t_saw(t_reader_join(&r), 1000, 0);
	t_hold_end(child);
	t_close(p.peer);
}
END_TEST

/*
 * Resets.  The test itself decides what the peer sees; each test checks that
 * the close returns the right errno.
 */

START_TEST(reset_before_the_close_is_econnreset)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_reset(p.peer);
	t_wait_reset(p.us);
	t_fails(graceful_close(p.us), ECONNRESET);
	t_released(p.us);
}
END_TEST

START_TEST(reset_behind_unread_data_is_econnreset)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.peer, 100);
	t_wait_inq(p.us, 100);
	t_reset(p.peer);
	t_wait_reset(p.us);
	t_fails(graceful_close(p.us), ECONNRESET);
	t_released(p.us);
}
END_TEST

START_TEST(reset_whose_error_recv_consumed_is_econnreset)
{
	struct t_pair p;
	char c;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_reset(p.peer);
	t_wait_reset(p.us);
	t_fails(recv(p.us, &c, 1, 0), ECONNRESET);
	t_fails(graceful_close(p.us), T_KNOWS(ECONNRESET, ENOTCONN));
	t_released(p.us);
}
END_TEST

START_TEST(reset_whose_error_so_error_consumed_is_econnreset)
{
	struct t_pair p;
	socklen_t len;
	int error;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_reset(p.peer);
	t_wait_reset(p.us);
	len = sizeof(error);
	ck_assert_int_eq(getsockopt(p.us, SOL_SOCKET, SO_ERROR, &error, &len),
	    0);
	ck_assert_str_eq(t_errno(error), "ECONNRESET");
	t_fails(graceful_close(p.us), T_KNOWS(ECONNRESET, ENOTCONN));
	t_released(p.us);
}
END_TEST

START_TEST(reset_after_the_peers_fin_is_econnreset)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_reset(p.peer);
	t_wait_reset(p.us);
	t_fails(graceful_close(p.us), ECONNRESET);
	t_released(p.us);
}
END_TEST

START_TEST(reset_while_waiting_is_econnreset)
{
	struct t_later l;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_later(&l, 50, t_reset, p.peer);
	t_fails(graceful_close(p.us), ECONNRESET);
	t_between(t_now_ms() - t_later_join(&l), 0, 1000);
	t_released(p.us);
}
END_TEST

START_TEST(reset_after_own_fin_was_acknowledged_is_econnreset)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.us, 100);
	t_fin(p.us);
	t_saw(t_read_all(p.peer), 100, 0);
	t_wait_outq(p.us, 0);
	t_reset(p.peer);
	t_wait_reset(p.us);
	t_fails(graceful_close(p.us), ECONNRESET);
	t_released(p.us);
}
END_TEST

/*
 * The FIN arrived and data is on its way: here the kernel itself returns EPIPE.
 */
START_TEST(reset_while_data_follows_the_peers_fin_is_econnreset)
{
	struct t_later l;
	struct t_pair p;

	t_need(_i);
	t_pair_small(&p, _i);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_fill(p.us);
	t_later(&l, 50, t_reset, p.peer);
	t_fails(graceful_close(p.us), ECONNRESET);
	t_later_join(&l);
	t_released(p.us);
}
END_TEST

START_TEST(peer_that_closes_without_reading_is_econnreset)
{
	struct t_later l;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.us, 1000);
	t_wait_inq(p.peer, 1000);
	t_later(&l, 30, t_close, p.peer);
	t_fails(graceful_close(p.us), ECONNRESET);
	t_later_join(&l);
	t_released(p.us);
}
END_TEST

/* The peer's host answers our FIN with RST. */
START_TEST(peer_that_forgot_the_connection_is_econnreset)
{
	struct t_pair p;

	t_need_repair();
	t_pair_any(&p, _i);
	t_vanish(p.peer);
	t_fails(graceful_close(p.us), ECONNRESET);
	t_released(p.us);
}
END_TEST

START_TEST(connection_that_the_kernel_gave_up_is_econnreset)
{
	struct t_pair p;
	int ms;

	t_need_filters();
	t_pair(&p, _i);
	ms = 200;
	ck_assert_int_eq(setsockopt(p.us, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms,
	    sizeof(ms)), 0);
	t_drop(p.us, T_DROP_ALL);
	t_write(p.us, 100);
	t_wait_dead(p.us);
	t_fails(graceful_close(p.us), ECONNRESET);
	t_released(p.us);
	t_close(p.peer);
}
END_TEST

/*
 * A bad network
 */

START_TEST(lost_fin_is_sent_again)
{
	struct t_reader r;
	struct t_later l;
	struct t_pair p;
	int64_t end;

	t_need_filters();
	t_pair_any(&p, _i);
	t_drop(p.peer, T_DROP_FIN);
	t_reader(&r, p.peer, 1);
	t_write(p.us, 100);
	t_later(&l, 100, t_heal, p.peer);
	t_ok(graceful_close(p.us));
	end = t_now_ms();
	ck_assert_int_ge(end, t_later_join(&l));
	t_saw(t_reader_join(&r), 100, 0);
}
END_TEST

START_TEST(lost_fin_of_the_peer_is_awaited)
{
	struct t_reader r;
	struct t_later l;
	struct t_pair p;
	int64_t end;
	int copy;

	t_need_filters();
	t_pair_any(&p, _i);
	copy = dup(p.us);
	t_drop(p.us, T_DROP_FIN);
	t_reader(&r, p.peer, 1);
	t_write(p.us, 100);
	t_later(&l, 100, t_heal, copy);
	t_ok(graceful_close(p.us));
	end = t_now_ms();
	ck_assert_int_ge(end, t_later_join(&l));
	t_saw(t_reader_join(&r), 100, 0);
	t_close(copy);
}
END_TEST

START_TEST(lost_acknowledgements_are_awaited)
{
	struct t_later l;
	struct t_pair p;
	int64_t end;
	int copy;

	t_need_filters();
	t_pair_any(&p, _i);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	copy = dup(p.us);
	t_drop(p.us, T_DROP_ACK);
	t_write(p.us, 100);
	t_later(&l, 100, t_heal, copy);
	t_ok(graceful_close(p.us));
	end = t_now_ms();
	ck_assert_int_ge(end, t_later_join(&l));
	t_saw(t_read_all(p.peer), 100, 0);
	t_close(copy);
	t_close(p.peer);
}
END_TEST

START_TEST(window_of_zero_is_waited_out)
{
	struct t_reader r;
	struct t_pair p;
	size_t n;

	t_need(_i);
	t_pair_small(&p, _i);
	n = t_fill(p.us);
	t_fin(p.peer);
	r.fd = p.peer;
	t_thread(&r.thread, read_after_a_while, &r);
	t_ok(graceful_close(p.us));
	t_released(p.us);
	t_saw(t_reader_join(&r), n, 0);
	t_close(p.peer);
}
END_TEST

/*
 * Time
 */

/*
 * In real time: the close sends no RST and costs no CPU time.  The peer, which
 * was only slow, can still read everything and close in order.
 */
START_TEST(gives_up_after_five_seconds_without_progress)
{
	struct t_pair p;
	int64_t cpu, start;

	t_pair(&p, T_IPV4);
	t_write(p.us, 1000);
	cpu = t_cpu_ms();
	start = t_now_ms();
	t_fails(graceful_close(p.us), ETIMEDOUT);
	t_between(t_now_ms() - start, 4990, 6500);
	ck_assert_int_le(t_cpu_ms() - cpu, T_IDLE_CPU_MS);
	t_released(p.us);
	t_saw(t_read_all(p.peer), 1000, 0);
	t_close(p.peer);
}
END_TEST

static void *
trickle(void *arg)
{
	int fd = *(int *)arg;

	while (send(fd, "x", 1, MSG_NOSIGNAL) == 1)
		usleep(20000);
	return NULL;
}

/*
 * The peer never stops sending, so that the idle limit never expires.  A second
 * of the library's clock takes 50 ms.
 */
START_TEST(gives_up_after_thirty_seconds_in_all)
{
	struct t_pair p;
	pthread_t t;
	int64_t start;

	t_pair(&p, T_IPV4);
	t_thread(&t, trickle, &p.peer);
	t_storm();
	t_clock(20);
	start = t_now_ms();
	t_fails(graceful_close(p.us), ETIMEDOUT);
	t_between(t_now_ms() - start, 1490, 3000);
	t_clock(1);
	ck_assert_int_gt(t_storm_end(), 2);
	t_released(p.us);
	t_join(t);
	t_close(p.peer);
}
END_TEST

/* A poll(2) that a signal interrupts neither ends the wait nor restarts it. */
START_TEST(signals_do_not_move_the_deadline)
{
	struct t_pair p;
	int64_t start;

	t_need(_i);
	t_pair(&p, _i);
	t_storm();
	t_clock(20);
	start = t_now_ms();
	t_fails(graceful_close(p.us), ETIMEDOUT);
	t_between(t_now_ms() - start, 245, 1000);
	t_clock(1);
	ck_assert_int_gt(t_storm_end(), 2);
	t_released(p.us);
	t_close(p.peer);
}
END_TEST

START_TEST(signals_do_not_end_the_wait)
{
	struct t_later l;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_later(&l, 100, t_fin, p.peer);
	t_storm();
	t_ok(graceful_close(p.us));
	ck_assert_int_gt(t_storm_end(), 2);
	t_later_join(&l);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

/*
 * The peer's host drops every segment until the close has given up.  Afterwards
 * the kernel goes on by itself, and never sends RST.
 */
START_TEST(expired_close_goes_on_in_the_background)
{
	struct t_reader r;
	struct t_pair p;
	size_t n;

	t_need(_i / 2);
	t_pair_small(&p, _i / 2);
	t_linger(p.us, linger_seconds[_i % 2]);
	n = t_fill(p.us);
	t_storm();
	t_clock(20);
	t_fails(graceful_close(p.us), ETIMEDOUT);
	t_clock(1);
	t_storm_end();
	t_released(p.us);
	t_reader(&r, p.peer, 0);
	t_saw(t_reader_join(&r), n, 0);
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
	t_fails(graceful_close(fd), t_odds[_i].error);
	t_released(fd);
}
END_TEST

START_TEST(no_descriptor_is_ebadf)
{
	int fd;

	t_fails(graceful_close(-1), EBADF);
	t_fails(graceful_close(INT32_MAX), EBADF);
	fd = t_socket(T_IPV4);
	t_close(fd);
	t_fails(graceful_close(fd), EBADF);
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("graceful_close");
	tc = t_case(s, "zero");
	tcase_add_loop_test(tc, peer_gets_every_byte_and_eof, 0, T_ANY);
	tcase_add_loop_test(tc, nonblocking_descriptor_is_no_different, 0,
	    T_ANY);
	tcase_add_loop_test(tc, waits_for_the_peer_to_finish, 0, T_ANY);
	tcase_add_loop_test(tc, peer_that_had_closed_is_a_success, 0, T_ANY);
	tcase_add_loop_test(tc, peer_that_half_closed_first_gets_all_data, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc,
	    verdict_waits_for_the_acknowledgement_after_eof, 0, T_ANY_PLAIN);
	tcase_add_loop_test(tc, early_reply_to_an_upload_arrives_whole, 0,
	    T_TCP);
	tcase_add_loop_test(tc, unread_input_does_not_reset_the_reply, 0,
	    T_ANY);
	tcase_add_loop_test(tc, urgent_input_is_discarded_as_well, 0, T_PLAIN);
	tcase_add_loop_test(tc, low_water_mark_does_not_stop_the_drain, 0,
	    T_FAMILIES);

	tc = t_case(s, "inherited state");
	tcase_add_loop_test(tc, own_shut_rd_is_not_taken_for_the_peers_fin, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, own_shut_wr_before_changes_nothing, 0, T_ANY);
	tcase_add_loop_test(tc, own_shut_rdwr_before_still_waits_for_the_peer,
	    0, T_ANY_TCP);
	tcase_add_loop_test(tc, connection_that_ended_in_order_is_a_success, 0,
	    T_ANY);
	tcase_add_loop_test(tc,
	    connection_that_the_peer_ended_first_is_a_success, 0, T_ANY);
	tcase_add_loop_test(tc, inherited_linger_neither_resets_nor_blocks, 0,
	    2 * T_FAMILIES);
	tcase_add_loop_test(tc, duplicate_does_not_keep_the_peer_waiting, 0,
	    T_ANY);
	tcase_add_loop_test(tc, forked_holder_does_not_keep_the_peer_waiting,
	    0, T_ANY);

	tc = t_case(s, "reset");
	tcase_add_loop_test(tc, reset_before_the_close_is_econnreset, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, reset_behind_unread_data_is_econnreset, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, reset_whose_error_recv_consumed_is_econnreset,
	    0, T_ANY_TCP);
	tcase_add_loop_test(tc,
	    reset_whose_error_so_error_consumed_is_econnreset, 0, T_ANY_TCP);
	tcase_add_loop_test(tc, reset_after_the_peers_fin_is_econnreset, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, reset_while_waiting_is_econnreset, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc,
	    reset_after_own_fin_was_acknowledged_is_econnreset, 0, T_ANY_TCP);
	tcase_add_loop_test(tc,
	    reset_while_data_follows_the_peers_fin_is_econnreset, 0, T_TCP);
	tcase_add_loop_test(tc, peer_that_closes_without_reading_is_econnreset,
	    0, T_ANY);
	tcase_add_loop_test(tc, peer_that_forgot_the_connection_is_econnreset,
	    0, T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    connection_that_the_kernel_gave_up_is_econnreset, 0, T_PLAIN);

	tc = t_case(s, "bad network");
	tcase_add_loop_test(tc, lost_fin_is_sent_again, 0, T_ANY_PLAIN);
	tcase_add_loop_test(tc, lost_fin_of_the_peer_is_awaited, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, lost_acknowledgements_are_awaited, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, window_of_zero_is_waited_out, 0, T_TCP);

	tc = t_case(s, "time");
	tcase_add_test(tc, gives_up_after_five_seconds_without_progress);
	tcase_add_test(tc, gives_up_after_thirty_seconds_in_all);
	tcase_add_loop_test(tc, signals_do_not_move_the_deadline, 0,
	    T_FAMILIES);
	tcase_add_loop_test(tc, signals_do_not_end_the_wait, 0, T_ANY);
	tcase_add_loop_test(tc, expired_close_goes_on_in_the_background, 0,
	    2 * T_TCP);

	tc = t_case(s, "no connection");
	tcase_add_loop_test(tc,
	    what_is_no_connection_is_released_with_its_errno, 0, T_ODDS);
	tcase_add_test(tc, no_descriptor_is_ebadf);
	return t_main(s);
}
