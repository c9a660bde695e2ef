/*
 * check_facts_mptcp.c - where this kernel shows the state of MPTCP, and what
 * is different when the peer only speaks TCP
 *
 * No test here calls the library; see check_facts.c.
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/inet_diag.h>
#include <linux/mptcp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <poll.h>
#include <unistd.h>

#include "support/util.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP	262
#endif
#ifndef SOL_MPTCP
#define SOL_MPTCP	284
#endif
#ifndef TCP_ZEROCOPY_RECEIVE
#define TCP_ZEROCOPY_RECEIVE 35
#endif

#define WRITTEN		150000	/* more than the peer has room for */

/* errno of MPTCP_INFO, or 0 and the token. */
static int
mptcp_token(int fd, uint32_t *token)
{
	struct mptcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (getsockopt(fd, SOL_MPTCP, MPTCP_INFO, &info, &len) == -1)
		return errno;
	*token = info.mptcpi_token;
	return 0;
}

/* What sock_diag(7) says of the state; -1 where it knows no MPTCP. */
static int
diag_state(int fd)
{
	struct {
		struct nlmsghdr		header;
		struct inet_diag_req_v2	req;
		struct rtattr		attr;
		uint32_t		protocol;
	} q;
	struct {
		struct nlmsghdr		header;
		struct inet_diag_msg	msg;
		char			more[1024];
	} a;
	int nl;

	memset(&q, 0, sizeof(q));
	memset(&a, 0, sizeof(a));
	q.header.nlmsg_len = sizeof(q);
	q.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	q.header.nlmsg_flags = NLM_F_REQUEST;
	q.req.sdiag_family = AF_INET;
	q.req.idiag_states = ~(uint32_t)0;
	q.attr.rta_type = INET_DIAG_REQ_PROTOCOL;
	q.attr.rta_len = RTA_LENGTH(sizeof(q.protocol));
	q.protocol = IPPROTO_MPTCP;
	ck_assert_int_eq(mptcp_token(fd, &q.req.id.idiag_cookie[0]), 0);
	nl = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
	ck_assert_int_ne(nl, -1);
	ck_assert_int_eq(send(nl, &q, sizeof(q), 0), sizeof(q));
	ck_assert_int_gt(recv(nl, &a, sizeof(a), 0), 0);
	t_close(nl);
	return a.header.nlmsg_type == SOCK_DIAG_BY_FAMILY ?
	    a.msg.idiag_state : -1;
}

static void
wait_diag_state(int fd, int state)
{
	int64_t end = t_now_ms() + T_LIMIT_MS;

	while (diag_state(fd) != state) {
		ck_assert_msg(t_now_ms() < end, "state %d did not come", state);
		(void)poll(NULL, 0, 1);
	}
}

/*
 * poll(2) and TCP_INFO show our own SHUT_RD and the peer's DATA_FIN alike
 * (mptcp_poll(), RCV_SHUTDOWN); mptcp_diag_dump_one() finds the connection by
 * its token and shows its state, and that tells them apart.
 */
START_TEST(sock_diag_tells_own_shut_rd_from_the_peers_fin)
{
	struct t_pair p;

	t_need_kernel(T_MPTCP);
	t_pair(&p, T_MPTCP);
	if (diag_state(p.us) == -1) {
		t_close_pair(&p);
		t_skip("no CONFIG_INET_MPTCP_DIAG in this kernel");
	}
	ck_assert_int_eq(diag_state(p.us), TCP_ESTABLISHED);
	ck_assert_int_eq(shutdown(p.us, SHUT_RD), 0);
	ck_assert_int_ne(t_wait_poll(p.us, POLLRDHUP) & POLLRDHUP, 0);
	ck_assert_int_eq(diag_state(p.us), TCP_ESTABLISHED);
	t_fin(p.peer);
	wait_diag_state(p.us, TCP_CLOSE_WAIT);
	ck_assert_int_eq(t_state(p.us), TCP_ESTABLISHED);	/* a subflow's */
	t_fin(p.us);
	wait_diag_state(p.us, TCP_CLOSE);
	t_close_pair(&p);
}
END_TEST

/* An MPTCP socket of ours, connected to a peer that speaks TCP alone. */
static void
fallback_pair(struct t_pair *p, int small)
{
	int listener = t_listen(T_IPV4), size = 4096;

	if (small)
		ck_assert_int_eq(setsockopt(listener, SOL_SOCKET, SO_RCVBUF,
		    &size, sizeof(size)), 0);
	p->us = t_connect(T_MPTCP, listener);
	p->peer = t_accept(listener);
	t_close(listener);
}

static int
zerocopy(int fd)
{
	char zeros[16] = { 0 };
	socklen_t len = sizeof(zeros);

	return getsockopt(fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, zeros,
	    &len) == -1 ? errno : 0;
}

/*
 * Options are handed on to the TCP socket below (mptcp_getsockopt()), so that
 * it passes for TCP; SO_PROTOCOL alone still says MPTCP (RFC 8684 3.7).
 */
START_TEST(mptcp_that_fell_back_passes_for_tcp_but_for_so_protocol)
{
	struct t_pair p;
	uint32_t token = 0;
	int protocol = 0;
	socklen_t len = sizeof(protocol);

	t_need_kernel(T_MPTCP);
	fallback_pair(&p, 0);
	ck_assert_int_eq(zerocopy(p.us), 0);
	ck_assert_int_ne(mptcp_token(p.us, &token), 0);
	ck_assert_int_eq(getsockopt(p.us, SOL_SOCKET, SO_PROTOCOL, &protocol,
	    &len), 0);
	ck_assert_int_eq(protocol, IPPROTO_MPTCP);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	ck_assert_str_eq(t_errno(zerocopy(p.us)), t_errno(EIO));
	t_close_pair(&p);
}
END_TEST

/* Unlike TCP, and MPTCP proper, it keeps no count of what a reset destroyed. */
START_TEST(mptcp_that_fell_back_forgets_at_a_reset_what_was_unacknowledged)
{
	struct t_pair p;

	t_need_kernel(T_MPTCP);
	fallback_pair(&p, 1);
	t_write(p.us, WRITTEN);
	ck_assert_int_gt(t_outq(p.us), 0);
	t_reset(p.peer);
	t_wait_dead(p.us);
	ck_assert_int_eq(t_outq(p.us), 0);
	t_close(p.us);
}
END_TEST

/*
 * While nothing is acknowledged SIOCOUTQ has what the TCP socket holds twice,
 * and the SYN, which Linux 6.1 leaves out; SIOCOUTQNSD has it once
 * (mptcp_ioctl_outq()).
 */
START_TEST(mptcp_that_fell_back_counts_what_is_unacknowledged_twice)
{
	struct t_pair p;
	int n = 0;

	t_need_kernel(T_MPTCP);
	t_need_filters();
	fallback_pair(&p, 0);
	t_drop(p.peer, T_DROP_ALL);
	t_write(p.us, 1000);
	t_between(t_outq(p.us), 2000, 2000 + 1);
	ck_assert_int_eq(ioctl(p.us, SIOCOUTQNSD, &n), 0);
	ck_assert_int_eq(n, 1000);
	t_fin(p.us);
	ck_assert_int_eq(t_outq(p.us), 1000 + 1);
	ck_assert_int_eq(ioctl(p.us, SIOCOUTQNSD, &n), 0);
	ck_assert_int_eq(n, 1000 + 1);
	t_close_pair(&p);
}
END_TEST

/* getpeername(2) fails already in LAST_ACK, while data is still delivered. */
START_TEST(mptcp_that_fell_back_forgets_its_peer_in_last_ack)
{
	int64_t end = t_now_ms() + T_LIMIT_MS;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct t_pair p;

	t_need_kernel(T_MPTCP);
	fallback_pair(&p, 1);
	t_write(p.us, WRITTEN);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_fin(p.us);
	t_wait_state(p.us, TCP_LAST_ACK);
	/* The MPTCP socket follows its TCP one by a work queue. */
	while (getpeername(p.us, (struct sockaddr *)&ss, &len) == 0) {
		ck_assert_msg(t_now_ms() < end, "the peer is still known");
		(void)poll(NULL, 0, 1);
	}
	t_errno_is(ENOTCONN);
	ck_assert_int_eq(t_state(p.us), TCP_LAST_ACK);
	ck_assert_int_gt(t_outq(p.us), 0);
	t_close_pair(&p);
}
END_TEST

/* tcpi_segs_in, which glibc's struct tcp_info does not have. */
static uint32_t
segments_in(int fd)
{
	struct {
		char		before[140];
		uint32_t	segs_in;
	} info;
	socklen_t len = sizeof(info);

	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len),
	    0);
	ck_assert_uint_eq(len, sizeof(info));
	return info.segs_in;
}

/*
 * An end in order starts the counters of the TCP socket anew, as
 * __mptcp_close_ssk() disconnects it.  A reset leaves them, and an error.
 * connect(AF_UNSPEC) leaves no error, but mptcp_disconnect() ends the fallback.
 * Index: the end.
 */
START_TEST(mptcp_that_fell_back_shows_how_it_ended)
{
	const struct sockaddr unspec = { .sa_family = AF_UNSPEC };
	int64_t end = t_now_ms() + T_LIMIT_MS;
	uint32_t token = 1;
	struct t_pair p;

	t_need_kernel(T_MPTCP);
	fallback_pair(&p, 0);
	ck_assert_uint_gt(segments_in(p.us), 0);
	t_fin(p.us);
	t_wait_state(p.us, TCP_FIN_WAIT2);
	switch (_i) {
	case 0:
		t_fin(p.peer);
		while (segments_in(p.us) != 0)
			ck_assert_int_lt(t_now_ms(), end);
		ck_assert_int_ne(mptcp_token(p.us, &token), 0);
		t_error_is(t_pending_error(p.us), 0);
		break;
	case 1:
		t_reset(p.peer);
		p.peer = -1;
		t_wait_dead(p.us);
		ck_assert_uint_gt(segments_in(p.us), 0);
		ck_assert_int_ne(mptcp_token(p.us, &token), 0);
		t_error_is(t_pending_error(p.us), ECONNRESET);
		break;
	default:
		t_ok(connect(p.us, &unspec, sizeof(unspec)));
		ck_assert_uint_eq(segments_in(p.us), 0);
		ck_assert_int_eq(mptcp_token(p.us, &token), 0);
		ck_assert_uint_eq(token, 0);
		t_error_is(t_pending_error(p.us), 0);
	}
	t_close(p.us);
	if (p.peer != -1)
		t_close(p.peer);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("facts_mptcp");
	TCase *tc = t_case(s, "state");

	tcase_add_test(tc, sock_diag_tells_own_shut_rd_from_the_peers_fin);
	tc = t_case(s, "fallback");
	tcase_add_test(tc,
	    mptcp_that_fell_back_passes_for_tcp_but_for_so_protocol);
	tcase_add_test(tc,
	    mptcp_that_fell_back_forgets_at_a_reset_what_was_unacknowledged);
	tcase_add_test(tc,
	    mptcp_that_fell_back_counts_what_is_unacknowledged_twice);
	tcase_add_test(tc, mptcp_that_fell_back_forgets_its_peer_in_last_ack);
	tcase_add_loop_test(tc, mptcp_that_fell_back_shows_how_it_ended, 0, 3);
	return t_main(s);
}
