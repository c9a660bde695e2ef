/*
 * check_facts_close.c - what this kernel does when a connection is closed
 *
 * No test here calls the library; see check_facts.c.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <linux/tcp.h>
#include <netinet/in.h>

#include <poll.h>
#include <unistd.h>

#include "support/util.h"

#define t_error_is(e, expected) \
	ck_assert_str_eq(t_errno(e), t_errno(expected))

/*
 * Output that waits for the peer to read; returns how much.  MPTCP gets large
 * buffers, see mptcp_reset_is_lost_on_a_shut_window in check_facts_linger.c.
 */
static size_t
full_pair(struct t_pair *p, int family)
{
	if (family == T_MPTCP) {
		t_pair(p, family);
		return t_fill(p->us);
	}
	t_pair_small(p, family);
	return t_fill_settled(p);
}

static ssize_t
take(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT);
}

/* The peer finds a reset, and less than the n bytes that were sent. */
static void
peer_lost_some(int peer, size_t n)
{
	struct t_got got;

	got = t_read_all(peer);
	t_error_is(got.error, ECONNRESET);
	ck_assert_uint_lt(got.bytes, n);
}

/*
 * Ways to answer a client that is still sending (RFC 1122 4.2.2.13, RFC 2525
 * 2.17): input that nobody will read is answered with a reset, and the reply
 * that still waits for room at the client is gone.
 */

START_TEST(close_with_unread_input_loses_the_reply)
{
	struct t_pair p;
	size_t n;

	t_need_kernel(_i);
	n = full_pair(&p, _i);
	t_write(p.peer, 1);
	t_wait_readable(p.us);
	t_close(p.us);
	t_wait_dead(p.peer);
	peer_lost_some(p.peer, n);
	t_close(p.peer);
}
END_TEST

START_TEST(shutdown_and_close_with_unread_input_lose_the_reply)
{
	struct t_pair p;
	size_t n;

	t_need_kernel(_i);
	n = full_pair(&p, _i);
	t_write(p.peer, 1);
	t_wait_readable(p.us);
	t_fin(p.us);
	t_close(p.us);
	t_wait_dead(p.peer);
	peer_lost_some(p.peer, n);
	t_close(p.peer);
}
END_TEST

/* One drain is not enough: the orphan answers what comes later with RST. */
START_TEST(input_after_shutdown_drain_and_close_loses_the_reply)
{
	struct t_pair p;
	size_t n;

	t_need_kernel(_i);
	n = full_pair(&p, _i);
	t_write(p.peer, 1);
	t_wait_readable(p.us);
	t_fin(p.us);
	ck_assert_int_eq(take(p.us), 1);
	t_close(p.us);
	t_write(p.peer, 1);
	t_wait_dead(p.peer);
	peer_lost_some(p.peer, n);
	t_close(p.peer);
}
END_TEST

START_TEST(shutdown_and_drain_to_the_end_lose_nothing)
{
	struct t_reader reader;
	struct t_pair p;
	size_t n;

	t_need_kernel(_i);
	n = full_pair(&p, _i);
	t_write(p.peer, 1);
	t_wait_readable(p.us);
	t_fin(p.us);
	t_reader(&reader, p.peer, 1);
	t_saw(t_read_all(p.us), 1, 0);
	t_close(p.us);
	t_saw(t_reader_join(&reader), n, 0);
}
END_TEST

/* Also when all was delivered: tcp_close() looks at the receive queue last. */
START_TEST(close_with_unread_input_after_our_fin_resets)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_fin(p.us);
	t_wait_outq(p.us, 0);
	t_write(p.peer, 1);
	t_wait_readable(p.us);
	t_close(p.us);
	t_wait_dead(p.peer);
	t_error_is(t_pending_error(p.peer), EPIPE);
	t_close(p.peer);
}
END_TEST

/*
 * EOF is not delivery: the peer's FIN says nothing of our own data
 */

START_TEST(eof_while_output_is_unacknowledged)
{
	struct t_pair p;
	size_t n;

	t_need_kernel(_i);
	n = full_pair(&p, _i);
	t_fin(p.us);			/* FIN_WAIT1 */
	t_fin(p.peer);			/* CLOSING */
	t_wait_readable(p.us);
	ck_assert_int_eq(take(p.us), 0);
	ck_assert_int_gt(t_outq(p.us), 0);
	t_reset(p.us);			/* what looked finished is destroyed */
	t_wait_dead(p.peer);
	ck_assert_uint_lt(t_read_all(p.peer).bytes, n);
	t_close(p.peer);
}
END_TEST

START_TEST(eof_in_last_ack_while_output_is_unacknowledged)
{
	struct t_reader reader;
	struct t_pair p;
	size_t n;

	t_need_kernel(_i);
	n = full_pair(&p, _i);
	t_fin(p.peer);
	t_wait_readable(p.us);
	t_fin(p.us);
	ck_assert_int_eq(take(p.us), 0);
	ck_assert_int_gt(t_outq(p.us), 0);
	t_reader(&reader, p.peer, 1);
	t_wait_outq(p.us, 0);		/* now it is delivered */
	t_reset(p.us);
	t_saw(t_reader_join(&reader), n, 0);
}
END_TEST

/*
 * SIOCOUTQ: write_seq - snd_una, and a FIN has a sequence number
 */

START_TEST(outq_counts_the_fin_until_it_is_acknowledged)
{
	struct t_reader reader;
	struct t_pair p;
	int before;

	t_need_kernel(_i);
	full_pair(&p, _i);
	before = t_outq(p.us);
	ck_assert_int_gt(before, 0);
	t_fin(p.us);
	ck_assert_int_eq(t_outq(p.us), before + 1);
	t_reader(&reader, p.peer, 0);
	t_wait_outq(p.us, 0);
	t_error_is(t_reader_join(&reader).error, 0);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

START_TEST(outq_is_1_for_a_fin_alone)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_need_filters();
	t_pair(&p, _i);
	t_drop(p.peer, T_DROP_ALL);
	t_fin(p.us);
	ck_assert_int_eq(t_outq(p.us), 1);
	t_heal(p.peer);
	t_wait_outq(p.us, 0);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/* MPTCP shows its own state only as it ends: SIOCOUTQ is what tells. */
START_TEST(mptcp_state_stays_established_after_our_fin)
{
	struct t_pair p;

	t_need_kernel(T_MPTCP);
	t_pair(&p, T_MPTCP);
	t_fin(p.us);
	t_wait_outq(p.us, 0);
	ck_assert_int_eq(t_state(p.us), 1);	/* TCP_ESTABLISHED */
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/* tcp_done() leaves the sequence numbers alone: what was never acknowledged. */
START_TEST(outq_keeps_its_value_after_a_reset)
{
	struct t_pair p;
	int before;

	t_need_kernel(_i);
	full_pair(&p, _i);
	before = t_outq(p.us);
	t_reset(p.peer);
	t_wait_dead(p.us);
	ck_assert_int_eq(t_outq(p.us), before);
	t_error_is(t_pending_error(p.us), ECONNRESET);
	ck_assert_int_eq(t_outq(p.us), before);
	t_close(p.us);
}
END_TEST

/* tcp_ack(): snd_una moves over FIN, and over SYN where we sent the first. */
START_TEST(bytes_acked_counts_fin_and_the_connecting_sides_syn)
{
	struct tcp_info ti;
	struct t_pair p;
	socklen_t len;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_fin(p.us);
	t_wait_outq(p.us, 0);
	t_fin(p.peer);
	t_wait_outq(p.peer, 0);
	len = sizeof(ti);
	ck_assert_int_eq(getsockopt(p.us, IPPROTO_TCP, TCP_INFO, &ti, &len),
	    0);
	ck_assert_uint_eq(ti.tcpi_bytes_acked, 1);
	len = sizeof(ti);
	ck_assert_int_eq(getsockopt(p.peer, IPPROTO_TCP, TCP_INFO, &ti, &len),
	    0);
	ck_assert_uint_eq(ti.tcpi_bytes_acked, 2);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/* RFC 9293 3.10.4: the FIN is queued until what precedes it was sent. */
START_TEST(fin_waits_behind_a_full_window)
{
	struct pollfd pfd;
	struct t_pair p;
	size_t n;

	t_need_kernel(_i);
	n = full_pair(&p, _i);
	t_fin(p.us);
	pfd.fd = p.peer;
	pfd.events = POLLRDHUP;
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	t_saw(t_read_all(p.peer), n, 0);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/*
 * Discarding without a copy
 */

/* tcp(7), MSG_TRUNC; mptcp_recvmsg() does the same since Linux 6.1. */
START_TEST(msg_trunc_with_null_discards)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_write(p.peer, 100);
	t_wait_inq(p.us, 100);
	ck_assert_int_eq(recv(p.us, NULL, 60, MSG_TRUNC | MSG_DONTWAIT), 60);
	ck_assert_int_eq(recv(p.us, NULL, 60, MSG_TRUNC | MSG_DONTWAIT), 40);
	t_fails((int)recv(p.us, NULL, 60, MSG_TRUNC | MSG_DONTWAIT), EAGAIN);
	t_fin(p.peer);
	t_wait_readable(p.us);
	ck_assert_int_eq(recv(p.us, NULL, 60, MSG_TRUNC | MSG_DONTWAIT), 0);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/* unix_stream_read_generic() always copies: EFAULT, and nothing is lost. */
START_TEST(msg_trunc_with_null_is_efault_on_unix)
{
	struct t_pair p;

	t_pair(&p, T_UNIX);
	t_write(p.peer, 100);
	t_fails((int)recv(p.us, NULL, 60, MSG_TRUNC | MSG_DONTWAIT), EFAULT);
	t_read(p.us, 100);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/*
 * After the end
 */

/* tcp_reset(): ECONNRESET, but EPIPE in CLOSE_WAIT, and nothing in CLOSE. */
START_TEST(reset_in_close_wait_is_epipe)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_fin(p.peer);
	t_wait_readable(p.us);
	t_reset(p.peer);
	t_wait_dead(p.us);
	t_error_is(t_pending_error(p.us), EPIPE);
	t_close(p.us);
}
END_TEST

START_TEST(shutdown_after_a_reset_is_enotconn_and_the_cause_stays)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_reset(p.peer);
	t_wait_dead(p.us);
	t_fails(shutdown(p.us, SHUT_WR), ENOTCONN);
	t_error_is(t_pending_error(p.us), ECONNRESET);
	t_close(p.us);
}
END_TEST

/* inet_shutdown(): for TCP_LISTEN only RCV_SHUTDOWN would do something. */
START_TEST(shut_wr_of_a_listener_does_nothing)
{
	int cfd, fd, lfd;

	t_need_kernel(_i);
	lfd = t_listen(_i);
	ck_assert_int_eq(shutdown(lfd, SHUT_WR), 0);
	cfd = t_connect(_i, lfd);
	fd = t_accept(lfd);
	t_close(fd);
	t_close(cfd);
	t_close(lfd);
}
END_TEST

START_TEST(shut_wr_of_an_unconnected_socket_is_enotconn)
{
	int fd;

	t_need_kernel(_i);
	fd = t_socket(_i);
	t_fails(shutdown(fd, SHUT_WR), ENOTCONN);
	t_close(fd);
}
END_TEST

/* The write cannot know yet; RFC 9293 3.10.7.1 answers it with RST. */
START_TEST(first_write_after_the_peers_close_is_lost_second_is_epipe)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_close(p.peer);
	t_wait_readable(p.us);
	t_error_is(t_try_write(p.us), 0);
	t_wait_dead(p.us);
	t_error_is(t_try_write(p.us), EPIPE);
	t_close(p.us);
}
END_TEST

/*
 * An MPTCP connection that was closed lives on for a while and acknowledges
 * what comes, though nobody will read it (__mptcp_close() keeps it until its
 * close time-out): SIOCOUTQ 0 says no more than that.
 */
START_TEST(mptcp_acknowledges_what_is_written_after_the_peers_close)
{
	struct t_pair p;
	int i;

	t_need_kernel(T_MPTCP);
	t_pair(&p, T_MPTCP);
	t_close(p.peer);
	t_wait_readable(p.us);
	for (i = 0; i < 3; i++) {
		t_error_is(t_try_write(p.us), 0);
		t_wait_outq(p.us, 0);
	}
	t_error_is(t_pending_error(p.us), 0);
	t_close(p.us);
}
END_TEST

/* RFC 9293 3.6: a half-closed connection carries data the other way. */
START_TEST(writes_go_on_after_the_peers_shut_wr)
{
	struct t_pair p;
	int i;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_fin(p.peer);
	t_wait_readable(p.us);
	for (i = 0; i < 3; i++) {
		t_error_is(t_try_write(p.us), 0);
		t_read(p.peer, 1);
	}
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/* sock_error() first, then SEND_SHUTDOWN and RCV_SHUTDOWN. */
START_TEST(reset_shows_once_then_write_is_epipe_and_read_is_0)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_reset(p.peer);
	t_wait_dead(p.us);
	t_error_is(t_try_write(p.us), ECONNRESET);
	t_error_is(t_try_write(p.us), EPIPE);
	ck_assert_int_eq(take(p.us), 0);
	t_close(p.us);
}
END_TEST

/*
 * AF_UNIX
 */

/* unix_release_sock() sets ECONNRESET when its queue was not empty. */
START_TEST(unix_close_with_unread_input_is_econnreset_after_the_data)
{
	struct t_pair p;

	t_pair(&p, T_UNIX);
	t_write(p.us, 1);
	t_write(p.peer, 100);
	t_close(p.us);
	t_saw(t_read_all(p.peer), 1, ECONNRESET);
	t_close(p.peer);
}
END_TEST

/* sk_wmem_alloc_get(): the memory of the buffers, not the bytes in them. */
START_TEST(unix_outq_counts_buffers_until_they_are_read)
{
	struct t_pair p;

	t_pair(&p, T_UNIX);
	t_write(p.us, 1);
	ck_assert_int_gt(t_outq(p.us), 1);
	t_fin(p.us);
	t_read(p.peer, 1);
	ck_assert_int_eq(t_outq(p.us), 0);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

#define plain(tc, test)	tcase_add_loop_test(tc, test, 0, T_PLAIN)
#define any_tcp(tc, test) tcase_add_loop_test(tc, test, 0, T_TCP)

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("facts_close");
	tc = t_case(s, "reply");
	any_tcp(tc, close_with_unread_input_loses_the_reply);
	any_tcp(tc, shutdown_and_close_with_unread_input_lose_the_reply);
	plain(tc, input_after_shutdown_drain_and_close_loses_the_reply);
	any_tcp(tc, shutdown_and_drain_to_the_end_lose_nothing);
	any_tcp(tc, close_with_unread_input_after_our_fin_resets);
	any_tcp(tc, eof_while_output_is_unacknowledged);
	any_tcp(tc, eof_in_last_ack_while_output_is_unacknowledged);

	tc = t_case(s, "outq");
	any_tcp(tc, outq_counts_the_fin_until_it_is_acknowledged);
	plain(tc, outq_is_1_for_a_fin_alone);
	tcase_add_test(tc, mptcp_state_stays_established_after_our_fin);
	any_tcp(tc, outq_keeps_its_value_after_a_reset);
	plain(tc, bytes_acked_counts_fin_and_the_connecting_sides_syn);
	any_tcp(tc, fin_waits_behind_a_full_window);

	tc = t_case(s, "discard");
	any_tcp(tc, msg_trunc_with_null_discards);
	tcase_add_test(tc, msg_trunc_with_null_is_efault_on_unix);

	tc = t_case(s, "end");
	any_tcp(tc, reset_in_close_wait_is_epipe);
	any_tcp(tc, shutdown_after_a_reset_is_enotconn_and_the_cause_stays);
	any_tcp(tc, shut_wr_of_a_listener_does_nothing);
	any_tcp(tc, shut_wr_of_an_unconnected_socket_is_enotconn);
	plain(tc, first_write_after_the_peers_close_is_lost_second_is_epipe);
	tcase_add_test(tc,
	    mptcp_acknowledges_what_is_written_after_the_peers_close);
	any_tcp(tc, writes_go_on_after_the_peers_shut_wr);
	any_tcp(tc, reset_shows_once_then_write_is_epipe_and_read_is_0);

	tc = t_case(s, "unix");
	tcase_add_test(tc,
	    unix_close_with_unread_input_is_econnreset_after_the_data);
	tcase_add_test(tc, unix_outq_counts_buffers_until_they_are_read);

	return t_main(s);
}
