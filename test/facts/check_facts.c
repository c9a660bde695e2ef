/*
 * check_facts.c - what this kernel lets a program see of a connection
 *
 * No test here calls the library.  Each shows one habit of the kernel that the
 * library rests on, so that a kernel with other habits fails here first.  This
 * file is about recv(2), poll(2) and epoll(7); check_facts_state.c about other
 * calls that show the state, check_facts_close.c about closing,
 * check_facts_linger.c about SO_LINGER and resets, check_facts_fastopen.c about
 * SYN_RECV, check_facts_mptcp.c about MPTCP.
 */
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <poll.h>
#include <unistd.h>

#include "support/util.h"

/* Everything that poll knows, without waiting. */
static int
events(int fd)
{
	struct pollfd pfd;

	pfd.fd = fd;
	pfd.events = POLLIN | POLLRDHUP | POLLOUT | POLLWRBAND;
	ck_assert_int_ge(poll(&pfd, 1, 0), 0);
	return pfd.revents;
}

/*
 * recv(2) as a probe
 */

/* tcp_recvmsg_locked() is satisfied with 0 bytes as soon as one is queued. */
START_TEST(zero_length_recv_returns_0_on_an_open_connection_with_input)
{
	struct t_pair p;
	char c;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_write(p.peer, 1);
	t_wait_readable(p.us);
	ck_assert_int_eq(recv(p.us, &c, 0, MSG_DONTWAIT), 0);
	ck_assert_int_eq(recv(p.us, &c, 1, MSG_DONTWAIT), 1);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/* tcp_recvmsg_locked() looks at the queue before it looks at the state. */
START_TEST(peek_is_blind_to_a_fin_behind_data_but_poll_is_not)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_write(p.peer, 1);
	t_fin(p.peer);
	ck_assert_int_eq(t_wait_poll(p.us, POLLRDHUP) & POLLERR, 0);
	ck_assert_int_eq(t_peek(p.us), 1);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/* The same for a reset: tcp_reset() leaves the receive queue alone. */
START_TEST(peek_is_blind_to_a_reset_behind_data_but_poll_is_not)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_write(p.peer, 1);
	t_wait_readable(p.us);
	t_reset(p.peer);
	t_wait_dead(p.us);
	ck_assert_int_eq(t_peek(p.us), 1);
	ck_assert_int_eq(events(p.us) & (POLLERR | POLLHUP),
	    POLLERR | POLLHUP);
	t_close(p.us);
}
END_TEST

/* tcp_fin() sets SOCK_DONE, at which recv returns 0 before any error. */
START_TEST(peek_takes_a_reset_after_the_fin_for_the_end)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_fin(p.peer);
	t_wait_readable(p.us);
	t_reset(p.peer);
	t_wait_dead(p.us);
	ck_assert_int_eq(t_peek(p.us), 0);
	ck_assert_int_eq(events(p.us) & (POLLERR | POLLHUP),
	    POLLERR | POLLHUP);
	t_close(p.us);
}
END_TEST

/* sock_error() hands sk_err out once, MSG_PEEK or not: then a false EOF. */
START_TEST(peek_consumes_the_pending_error)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair_reset(&p, _i);
	t_fails((int)t_peek(p.us), ECONNRESET);
	ck_assert_int_eq(t_peek(p.us), 0);
	t_error_is(t_try_write(p.us), EPIPE);
	t_close(p.us);
}
END_TEST

START_TEST(so_error_consumes_the_pending_error)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair_reset(&p, _i);
	t_error_is(t_pending_error(p.us), ECONNRESET);
	t_error_is(t_pending_error(p.us), 0);
	ck_assert_int_eq(t_peek(p.us), 0);
	t_error_is(t_try_write(p.us), EPIPE);
	t_close(p.us);
}
END_TEST

/* tcp_poll() and getpeername read sk_err and the state, they take nothing. */
START_TEST(poll_and_getpeername_consume_nothing)
{
	struct t_pair p;
	int i;

	t_need_kernel(_i);
	t_pair_reset(&p, _i);
	for (i = 0; i < 3; i++) {
		ck_assert_int_ne(events(p.us) & POLLERR, 0);
		t_error_is(t_peername(p.us), ENOTCONN);
	}
	t_error_is(t_pending_error(p.us), ECONNRESET);
	t_close(p.us);
}
END_TEST

/* RCV_SHUTDOWN is one bit for both: our own SHUT_RD looks like a FIN. */
START_TEST(own_shut_rd_looks_like_the_peers_fin)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	ck_assert_int_eq(shutdown(p.us, SHUT_RD), 0);
	ck_assert_int_eq(t_peek(p.us), 0);
	ck_assert_int_eq(events(p.us) & (POLLIN | POLLRDHUP),
	    POLLIN | POLLRDHUP);
	t_write(p.us, 1);
	t_read(p.peer, 1);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/* tcp_rcv_established() does not ask RCV_SHUTDOWN: input is still taken. */
START_TEST(input_still_arrives_after_own_shut_rd)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	ck_assert_int_eq(shutdown(p.us, SHUT_RD), 0);
	t_write(p.peer, 1);
	t_wait_inq(p.us, 1);
	ck_assert_int_eq(t_peek(p.us), 1);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/* A datagram may be empty (RFC 768): a recv of 0 bytes is no end of file. */
START_TEST(peek_takes_an_empty_datagram_for_the_end)
{
	int type, sv[2];

	for (type = SOCK_DGRAM; type != 0;
	    type = type == SOCK_DGRAM ? SOCK_SEQPACKET : 0) {
		ck_assert_int_eq(socketpair(AF_UNIX, type, 0, sv), 0);
		ck_assert_int_eq(send(sv[1], "", 0, MSG_NOSIGNAL), 0);
		t_wait_readable(sv[0]);
		ck_assert_int_eq(t_peek(sv[0]), 0);
		t_close(sv[0]);
		t_close(sv[1]);
	}
}
END_TEST

/*
 * poll(2) as a probe
 */

/* sock_queue_err_skb() raises EPOLLERR for a notification as for an error. */
START_TEST(pollerr_alone_may_be_a_zerocopy_notification)
{
	static char block[32768];
	struct t_pair p;
	int on = 1;

	t_need_kernel(_i);
	t_pair(&p, _i);
	ck_assert_int_eq(setsockopt(p.us, SOL_SOCKET, SO_ZEROCOPY, &on,
	    sizeof(on)), 0);
	ck_assert_int_gt(send(p.us, block, sizeof(block),
	    MSG_ZEROCOPY | MSG_NOSIGNAL), 0);
	ck_assert_int_eq(t_wait_poll(p.us, 0) & (POLLERR | POLLHUP), POLLERR);
	t_fails((int)t_peek(p.us), EAGAIN);
	t_error_is(t_pending_error(p.us), 0);
	t_write(p.us, 1);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/* tcp_poll(): POLLHUP is both directions shut, which LAST_ACK is, too. */
START_TEST(pollhup_in_last_ack_still_delivers)
{
	struct t_reader reader;
	struct t_pair p;
	size_t n;

	t_need_kernel(_i);
	n = t_pair_full(&p, _i);
	t_fin(p.peer);
	t_wait_readable(p.us);
	t_fin(p.us);
	ck_assert_int_eq(events(p.us) & (POLLHUP | POLLERR), POLLHUP);
	ck_assert_int_gt(t_outq(p.us), 0);
	t_reader(&reader, p.peer, 1);
	t_saw(t_reader_join(&reader), n, 0);
	t_wait_outq(p.us, 0);
	t_close(p.us);
}
END_TEST

/* tcp_poll() knows no EPOLLWRBAND; datagram_poll() and unix_poll() do. */
START_TEST(tcp_never_reports_pollwrband)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	ck_assert_int_eq(events(p.us), POLLOUT);
	t_write(p.peer, 1);
	t_wait_readable(p.us);
	ck_assert_int_eq(events(p.us), POLLIN | POLLOUT);
	t_close(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	ck_assert_int_eq(events(p.us), POLLIN | POLLRDHUP | POLLOUT);
	t_close(p.us);
}
END_TEST

START_TEST(udp_and_unix_report_pollwrband)
{
	int fd, type, sv[2];

	ck_assert_int_ne(fd = socket(AF_INET, SOCK_DGRAM, 0), -1);
	ck_assert_int_eq(events(fd), POLLOUT | POLLWRBAND);
	t_close(fd);
	for (type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
		ck_assert_int_eq(socketpair(AF_UNIX, type, 0, sv), 0);
		ck_assert_int_eq(events(sv[0]), POLLOUT | POLLWRBAND);
		t_close(sv[0]);
		t_close(sv[1]);
	}
}
END_TEST

/* tcp_poll(): a listener asks only its queue, TCP_CLOSE is POLLHUP. */
START_TEST(unconnected_sockets_and_pipes_never_look_quiet)
{
	int fd, fds[2];

	t_need_kernel(_i);
	fd = t_listen(_i);
	ck_assert_int_eq(events(fd), 0);
	t_fails((int)t_peek(fd), ENOTCONN);
	t_close(fd);
	fd = t_socket(_i);
	ck_assert_int_eq(events(fd), POLLOUT | POLLHUP);
	t_fails((int)t_peek(fd), ENOTCONN);
	t_close(fd);
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(events(fds[0]), 0);
	t_close(fds[0]);
	t_close(fds[1]);
}
END_TEST

static void
ignore(int sig)
{
	(void)sig;
}

/* do_poll() asks signal_pending() before it looks at the time-out. */
START_TEST(poll_without_a_timeout_may_still_fail_with_eintr)
{
	const struct timespec now = { 0, 0 };
	struct sigaction sa, old;
	sigset_t usr1, mask;
	struct pollfd pfd;
	struct t_pair p;

	t_pair(&p, _i);
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = ignore;
	ck_assert_int_eq(sigaction(SIGUSR1, &sa, &old), 0);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &usr1, &mask), 0);
	sigdelset(&mask, SIGUSR1);
	pfd.fd = p.us;
	pfd.events = POLLIN;
	ck_assert_int_eq(raise(SIGUSR1), 0);
	t_fails(ppoll(&pfd, 1, &now, &mask), EINTR);
	pfd.events = POLLIN | POLLOUT;	/* what is ready goes before */
	ck_assert_int_eq(raise(SIGUSR1), 0);
	ck_assert_int_eq(ppoll(&pfd, 1, &now, &mask), 1);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &mask, NULL), 0);
	ck_assert_int_eq(sigaction(SIGUSR1, &old, NULL), 0);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/*
 * Events of a closing connection.  POLLOUT is always there after SHUT_WR;
 * an edge comes with sk_state_change(), as FIN_WAIT1 becomes FIN_WAIT2, and
 * with tcp_done(), as LAST_ACK becomes CLOSE (tcp_rcv_state_process()).
 */

/* Registers; what happens from now on is an edge.  Our FIN has no answer yet. */
static int
edges(int fd)
{
	struct epoll_event ev;
	int epfd;

	epfd = epoll_create1(EPOLL_CLOEXEC);
	ck_assert_int_ne(epfd, -1);
	memset(&ev, 0, sizeof(ev));
	ev.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	ck_assert_int_eq(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev), 0);
	while (epoll_wait(epfd, &ev, 1, 0) == 1)
		;
	ck_assert_int_gt(t_outq(fd), 0);
	return epfd;
}

/* No timer: were there no edge at the last ACK, this would end in failure. */
static void
delivered_by_edges_alone(int epfd, int fd)
{
	struct epoll_event ev;

	do {
		ck_assert_msg(epoll_wait(epfd, &ev, 1, T_LIMIT_MS) == 1,
		    "no edge, though SIOCOUTQ is %d", t_outq(fd));
	} while (t_outq(fd) > 0);
}

START_TEST(pollout_is_always_ready_after_shut_wr)
{
	struct pollfd pfd;
	struct t_pair p;

	t_need_kernel(_i);
	t_pair_full(&p, _i);
	pfd.fd = p.us;
	pfd.events = POLLOUT;
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	t_fin(p.us);
	ck_assert_int_eq(poll(&pfd, 1, 0), 1);
	ck_assert_int_eq(pfd.revents, POLLOUT);
	ck_assert_int_gt(t_outq(p.us), 0);
	t_reset(p.us);
	t_close(p.peer);
}
END_TEST

START_TEST(edge_when_our_fin_is_acknowledged_in_fin_wait)
{
	struct t_pair p;
	int epfd;

	t_need_kernel(_i);
	t_need_filters();
	t_pair(&p, _i);
	t_drop(p.peer, T_DROP_ALL);
	t_fin(p.us);
	epfd = edges(p.us);
	t_heal(p.peer);
	delivered_by_edges_alone(epfd, p.us);
	t_close(epfd);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

START_TEST(edge_when_our_fin_is_acknowledged_in_last_ack)
{
	struct t_pair p;
	int epfd;

	t_need_kernel(_i);
	t_need_filters();
	t_pair(&p, _i);
	t_fin(p.peer);
	t_wait_outq(p.peer, 0);
	t_drop(p.peer, T_DROP_ALL);
	t_fin(p.us);
	epfd = edges(p.us);
	t_heal(p.peer);
	delivered_by_edges_alone(epfd, p.us);
	t_close(epfd);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

START_TEST(edge_when_a_large_reply_is_acknowledged)
{
	struct t_reader reader;
	struct t_pair p;
	size_t n;
	int epfd;

	t_need_kernel(_i);
	if (T_VALGRIND)
		t_skip("valgrind runs one thread at a time");
	n = t_pair_full(&p, _i);
	t_fin(p.us);
	epfd = edges(p.us);
	t_reader(&reader, p.peer, 0);
	delivered_by_edges_alone(epfd, p.us);
	t_saw(t_reader_join(&reader), n, 0);
	t_close(epfd);
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

	s = suite_create("facts");
	tc = t_case(s, "recv");
	plain(tc, zero_length_recv_returns_0_on_an_open_connection_with_input);
	any_tcp(tc, peek_is_blind_to_a_fin_behind_data_but_poll_is_not);
	plain(tc, peek_is_blind_to_a_reset_behind_data_but_poll_is_not);
	plain(tc, peek_takes_a_reset_after_the_fin_for_the_end);
	any_tcp(tc, peek_consumes_the_pending_error);
	any_tcp(tc, so_error_consumes_the_pending_error);
	any_tcp(tc, poll_and_getpeername_consume_nothing);
	any_tcp(tc, own_shut_rd_looks_like_the_peers_fin);
	plain(tc, input_still_arrives_after_own_shut_rd);
	tcase_add_test(tc, peek_takes_an_empty_datagram_for_the_end);

	tc = t_case(s, "poll");
	plain(tc, pollerr_alone_may_be_a_zerocopy_notification);
	any_tcp(tc, pollhup_in_last_ack_still_delivers);
	any_tcp(tc, tcp_never_reports_pollwrband);
	tcase_add_test(tc, udp_and_unix_report_pollwrband);
	any_tcp(tc, unconnected_sockets_and_pipes_never_look_quiet);
	tcase_add_test(tc, poll_without_a_timeout_may_still_fail_with_eintr);

	tc = t_case(s, "events");
	any_tcp(tc, pollout_is_always_ready_after_shut_wr);
	plain(tc, edge_when_our_fin_is_acknowledged_in_fin_wait);
	plain(tc, edge_when_our_fin_is_acknowledged_in_last_ack);
	any_tcp(tc, edge_when_a_large_reply_is_acknowledged);

	return t_main(s);
}
