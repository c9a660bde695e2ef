/*
 * check_facts_linger.c - what SO_LINGER and connect(AF_UNSPEC) really do
 *
 * No test here calls the library; see check_facts.c.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <poll.h>
#include <unistd.h>

#include "support/util.h"

#define t_error_is(e, expected) \
	ck_assert_str_eq(t_errno(e), t_errno(expected))

/*
 * Output that waits for the peer to read; returns how much.  MPTCP gets large
 * buffers, see mptcp_reset_is_lost_on_a_shut_window.
 */
static size_t
full_pair(struct t_pair *p, int family)
{
	if (family == T_MPTCP)
		t_pair(p, family);
	else
		t_pair_small(p, family);
	return t_fill(p->us);
}

static int
disconnect(int fd)
{
	const struct sockaddr unspec = { .sa_family = AF_UNSPEC };

	return connect(fd, &unspec, sizeof(unspec)) == -1 ? errno : 0;
}

static void
t_dead_with(int fd, int error)
{
	t_wait_dead(fd);
	t_error_is(t_pending_error(fd), error);
}

/*
 * A time to linger
 */

/*
 * inet_release() hands the time to tcp_close() whatever the descriptor's
 * flags, and sk_stream_wait_close() has no result: no EWOULDBLOCK, no verdict
 * and no reset.
 */
START_TEST(lingering_blocks_always_then_returns_0_and_resets_nothing)
{
	struct t_pair p;
	int64_t start;
	size_t n;

	n = full_pair(&p, T_IPV4);
	if (_i == 1)
		t_nonblock(p.us);
	t_linger(p.us, 1);
	start = t_now_ms();
	t_close(p.us);
	ck_assert_int_ge(t_now_ms() - start, 900);
	t_saw(t_read_all(p.peer), n, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(lingering_ends_early_at_a_signal_again_with_0)
{
	struct t_pair p;
	int64_t start;
	size_t n;

	if (T_VALGRIND)
		t_skip("valgrind keeps signals back");
	n = full_pair(&p, T_IPV4);
	t_linger(p.us, 20);
	t_storm();
	start = t_now_ms();
	t_close(p.us);
	ck_assert_int_gt(t_storm_end(), 0);
	ck_assert_int_lt(t_now_ms() - start, 10000);
	t_saw(t_read_all(p.peer), n, 0);
	t_close(p.peer);
}
END_TEST

/* sk_clone(): the child copies the listener's sk_lingertime and SOCK_LINGER. */
START_TEST(accepted_socket_inherits_the_listeners_linger)
{
	struct linger l;
	struct t_pair p;
	socklen_t len;
	int lfd;

	t_need_kernel(_i);
	lfd = t_listen(_i);
	t_linger(lfd, 0);
	p.peer = t_connect(_i, lfd);
	p.us = t_accept(lfd);
	len = sizeof(l);
	ck_assert_int_eq(getsockopt(p.us, SOL_SOCKET, SO_LINGER, &l, &len), 0);
	ck_assert_int_eq(l.l_onoff, 1);
	ck_assert_int_eq(l.l_linger, 0);
	t_close(p.us);
	t_dead_with(p.peer, ECONNRESET);
	t_close(p.peer);
	t_close(lfd);
}
END_TEST

/*
 * No time to linger: a reset, but only with the last reference
 */

START_TEST(linger_0_destroys_what_was_not_delivered)
{
	struct t_pair p;
	struct t_got got;
	size_t n;

	t_need_kernel(_i);
	n = full_pair(&p, _i);
	t_reset(p.us);
	t_wait_dead(p.peer);
	got = t_read_all(p.peer);
	t_error_is(got.error, ECONNRESET);
	ck_assert_uint_lt(got.bytes, n);
	t_close(p.peer);
}
END_TEST

/* tcp_need_reset(): FIN_WAIT2 too; the peer, in CLOSE_WAIT, calls it EPIPE. */
START_TEST(linger_0_resets_after_our_fin_as_well)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_fin(p.us);
	t_wait_outq(p.us, 0);
	t_reset(p.us);
	t_dead_with(p.peer, EPIPE);
	t_close(p.peer);
}
END_TEST

/*
 * MP_FASTCLOSE goes out once, in a reset whose sequence number is that of the
 * next byte.  Where the last byte was a probe of a window of zero this is
 * beyond the window (TcpExtBeyondWindow), and the peer takes no notice.  When
 * it sends something it finds that its subflow is gone; the connection waits
 * for another one (net.mptcp.close_timeout).
 */
START_TEST(mptcp_reset_is_lost_on_a_shut_window)
{
	struct t_pair p;

	t_need_kernel(T_MPTCP);
	t_pair_small(&p, T_MPTCP);
	t_fill(p.us);
	t_reset(p.us);
	t_write(p.peer, 1);
	t_wait_state(p.peer, TCP_CLOSE);	/* of the subflow */
	ck_assert_int_eq(t_wait_poll(p.peer, POLLIN) & (POLLHUP | POLLERR), 0);
	t_close(p.peer);
}
END_TEST

/* __fput() runs with the last reference to the file, and not before. */
START_TEST(linger_0_sends_nothing_while_a_duplicate_lives)
{
	struct t_pair p;
	int dupfd;

	t_need_kernel(_i);
	t_pair(&p, _i);
	dupfd = dup(p.us);
	ck_assert_int_ne(dupfd, -1);
	t_reset(p.us);
	t_write(dupfd, 1);
	t_read(p.peer, 1);
	t_close(dupfd);
	t_dead_with(p.peer, ECONNRESET);
	t_close(p.peer);
}
END_TEST

START_TEST(linger_0_sends_nothing_while_a_reader_is_blocked)
{
	struct t_blocked b;
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_blocked(&b, p.us);
	t_reset(p.us);
	t_write(p.peer, 1);		/* still there, and what it waits for */
	t_join(b.thread);
	ck_assert_int_eq(b.n, 1);
	t_dead_with(p.peer, ECONNRESET);
	t_close(p.peer);
}
END_TEST

/* tcp_shutdown() acts on SEND_SHUTDOWN only; sk_state_change() wakes all. */
START_TEST(shut_rd_wakes_a_blocked_reader_and_sends_nothing)
{
	struct t_blocked b;
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_blocked(&b, p.us);
	ck_assert_int_eq(shutdown(p.us, SHUT_RD), 0);
	t_join(b.thread);
	ck_assert_int_eq(b.n, 0);
	t_write(p.us, 1);
	t_read(p.peer, 1);
	t_reset(p.us);
	t_dead_with(p.peer, ECONNRESET);
	t_close(p.peer);
}
END_TEST

/*
 * connect(AF_UNSPEC): tcp_disconnect() acts on the connection itself
 */

START_TEST(disconnect_resets_at_once_though_a_duplicate_lives)
{
	struct t_pair p;
	int dupfd;

	t_need_kernel(_i);
	t_pair(&p, _i);
	dupfd = dup(p.us);
	ck_assert_int_ne(dupfd, -1);
	t_error_is(disconnect(p.us), 0);
	t_dead_with(p.peer, ECONNRESET);
	t_close(p.us);
	t_close(dupfd);
	t_close(p.peer);
}
END_TEST

/* EBUSY with commit 4faeee0cf8a5 and without 419ce133ab92. */
START_TEST(disconnect_resets_at_once_and_wakes_a_blocked_reader)
{
	struct t_blocked b;
	struct t_pair p;
	int error;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_blocked(&b, p.us);
	error = disconnect(p.us);
	if (error == EBUSY)
		shutdown(p.us, SHUT_RD);
	else
		t_dead_with(p.peer, ECONNRESET);
	t_join(b.thread);
	t_close(p.us);
	t_close(p.peer);
	if (error == EBUSY)
		t_skip("this kernel says EBUSY while a thread waits");
	t_error_is(error, 0);
	ck_assert_int_le(b.n, 0);
}
END_TEST

START_TEST(disconnect_resets_after_our_fin_as_well)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_fin(p.us);
	t_wait_outq(p.us, 0);
	t_error_is(disconnect(p.us), 0);
	t_dead_with(p.peer, EPIPE);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/* tcp_disconnect() jumps ahead by a window: write_seq - snd_una is no count. */
START_TEST(disconnect_leaves_a_worthless_outq)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	ck_assert_int_eq(t_outq(p.us), 0);
	t_error_is(disconnect(p.us), 0);
	ck_assert_int_gt(t_outq(p.us), 0);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/*
 * An orphan: closed, and still delivering
 */

/* A local address cannot be bound anew as long as the orphan has it. */
static void
wait_gone(const struct sockaddr_in *sin)
{
	const struct timespec ms = { 0, 1000000 };
	int64_t end;
	int fd;

	fd = t_socket(T_IPV4);
	end = t_now_ms() + T_LIMIT_MS;
	while (bind(fd, (const struct sockaddr *)sin, sizeof(*sin)) == -1) {
		t_errno_is(EADDRINUSE);
		ck_assert_msg(t_now_ms() < end, "the orphan stays");
		nanosleep(&ms, NULL);
	}
	t_close(fd);
}

/* tcp_probe_timer(): a window of zero counts as no answer (RFC 5482). */
START_TEST(user_timeout_kills_an_orphan_with_a_window_of_zero)
{
	const unsigned ms = 300;
	struct sockaddr_in sin;
	struct t_got got;
	struct t_pair p;
	socklen_t len;
	size_t n;

	n = full_pair(&p, T_IPV4);
	ck_assert_int_eq(setsockopt(p.us, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms,
	    sizeof(ms)), 0);
	len = sizeof(sin);
	ck_assert_int_eq(getsockname(p.us, (struct sockaddr *)&sin, &len), 0);
	t_close(p.us);
	wait_gone(&sin);
	got = t_read_all(p.peer);
	t_error_is(got.error, ECONNRESET);
	ck_assert_uint_lt(got.bytes, n);
	t_close(p.peer);
}
END_TEST

#define any_tcp(tc, test) tcase_add_loop_test(tc, test, 0, T_TCP)

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("facts_linger");
	tc = t_case(s, "linger");
	tcase_add_loop_test(tc,
	    lingering_blocks_always_then_returns_0_and_resets_nothing, 0, 2);
	tcase_add_test(tc, lingering_ends_early_at_a_signal_again_with_0);
	any_tcp(tc, accepted_socket_inherits_the_listeners_linger);

	tc = t_case(s, "linger_0");
	any_tcp(tc, linger_0_destroys_what_was_not_delivered);
	any_tcp(tc, linger_0_resets_after_our_fin_as_well);
	tcase_add_test(tc, mptcp_reset_is_lost_on_a_shut_window);
	any_tcp(tc, linger_0_sends_nothing_while_a_duplicate_lives);
	any_tcp(tc, linger_0_sends_nothing_while_a_reader_is_blocked);
	any_tcp(tc, shut_rd_wakes_a_blocked_reader_and_sends_nothing);

	tc = t_case(s, "disconnect");
	any_tcp(tc, disconnect_resets_at_once_though_a_duplicate_lives);
	any_tcp(tc, disconnect_resets_at_once_and_wakes_a_blocked_reader);
	any_tcp(tc, disconnect_resets_after_our_fin_as_well);
	tcase_add_loop_test(tc, disconnect_leaves_a_worthless_outq, 0, T_PLAIN);

	tc = t_case(s, "orphan");
	tcase_add_test(tc, user_timeout_kills_an_orphan_with_a_window_of_zero);

	return t_main(s);
}
