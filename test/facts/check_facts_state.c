/*
 * check_facts_state.c - where this kernel shows the state of a connection
 *
 * No test here calls the library; see check_facts.c.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <linux/mptcp.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include <poll.h>
#include <unistd.h>

#include "support/util.h"

#ifndef SOL_MPTCP
#define SOL_MPTCP	284
#endif

/* 0 or the errno value; *inq may be NULL. */
static int
zerocopy(int fd, unsigned *inq)
{
	struct tcp_zerocopy_receive zc;
	socklen_t len;

	memset(&zc, 0, sizeof(zc));
	len = inq == NULL ? offsetof(struct tcp_zerocopy_receive, inq) :
	    offsetof(struct tcp_zerocopy_receive, inq) + sizeof(zc.inq);
	if (getsockopt(fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len) == -1)
		return errno;
	if (inq != NULL)
		*inq = zc.inq;
	return 0;
}

static void
tcp_info(int fd, struct tcp_info *ti)
{
	socklen_t len;

	memset(ti, 0, sizeof(*ti));
	len = sizeof(*ti);
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, ti, &len), 0);
}

/*
 * TCP_ZEROCOPY_RECEIVE with nowhere to map to
 */

/* tcp_zerocopy_receive(): -EIO for SOCK_DONE, which only tcp_fin() sets. */
START_TEST(zerocopy_says_eio_for_the_peers_fin_with_nothing_unread)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_need_fin_look();
	t_pair(&p, _i);
	t_error_is(zerocopy(p.us, NULL), 0);
	t_write(p.peer, 1);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_error_is(zerocopy(p.us, NULL), 0);
	t_read(p.us, 1);
	t_error_is(zerocopy(p.us, NULL), EIO);
	t_fin(p.us);
	t_wait_outq(p.us, 0);		/* LAST_ACK became CLOSE */
	t_error_is(zerocopy(p.us, NULL), EIO);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/* tcp_inq_hint() goes by sequence numbers; SIOCINQ takes the FIN off. */
START_TEST(zerocopy_counts_a_fin_behind_data_as_a_byte)
{
	struct t_pair p;
	unsigned inq = 0;

	t_need_kernel(_i);
	t_need_fin_look();
	t_pair(&p, _i);
	t_write(p.peer, 3);
	t_wait_inq(p.us, 3);
	t_error_is(zerocopy(p.us, &inq), 0);
	ck_assert_uint_eq(inq, 3);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_error_is(zerocopy(p.us, &inq), 0);
	ck_assert_uint_eq(inq, 4);
	ck_assert_int_eq(t_inq(p.us), 3);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/* From a page on it wants a mapping (find_tcp_vma()): EINVAL, unread input. */
START_TEST(zerocopy_says_einval_for_a_page_of_input)
{
	struct t_pair p;
	int page;

	t_need_kernel(_i);
	page = (int)sysconf(_SC_PAGESIZE);
	t_pair(&p, _i);
	t_write(p.peer, (size_t)page);
	t_wait_inq(p.us, page);
	t_error_is(zerocopy(p.us, NULL), EINVAL);
	ck_assert_int_eq(t_inq(p.us), page);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

START_TEST(zerocopy_is_not_fooled_by_own_shutdowns)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_need_fin_look();
	t_pair(&p, _i);
	ck_assert_int_eq(shutdown(p.us, SHUT_RD), 0);
	t_error_is(zerocopy(p.us, NULL), 0);
	t_fin(p.us);
	t_wait_outq(p.us, 0);		/* FIN_WAIT2 */
	t_error_is(zerocopy(p.us, NULL), 0);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

START_TEST(zerocopy_is_not_fooled_by_a_reset_and_consumes_no_error)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_need_fin_look();
	t_pair_reset(&p, _i);
	t_error_is(zerocopy(p.us, NULL), 0);
	t_error_is(t_pending_error(p.us), ECONNRESET);
	t_error_is(zerocopy(p.us, NULL), 0);
	ck_assert_int_eq(t_peek(p.us), 0);
	t_close(p.us);
}
END_TEST

/* A reset after the FIN does not take SOCK_DONE back. */
START_TEST(zerocopy_says_eio_for_a_reset_after_the_fin)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_need_fin_look();
	t_pair(&p, _i);
	t_fin(p.peer);
	t_wait_readable(p.us);
	t_reset(p.peer);
	t_wait_dead(p.us);
	t_error_is(zerocopy(p.us, NULL), EIO);
	t_error_is(t_pending_error(p.us), EPIPE);
	t_close(p.us);
}
END_TEST

START_TEST(zerocopy_knows_a_listener)
{
	int fd;

	t_need_kernel(_i);
	fd = t_listen(_i);
	t_error_is(zerocopy(fd, NULL), ENOTCONN);
	t_close(fd);
}
END_TEST

/* do_tcp_getsockopt() is TCP's own: elsewhere there is no such option. */
START_TEST(zerocopy_is_unknown_but_to_tcp)
{
	static const int domains[] = { AF_INET, AF_INET6, AF_UNIX };
	struct t_pair p;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) {
		if ((fd = socket(domains[i], SOCK_DGRAM, 0)) == -1)
			continue;
		ck_assert(zerocopy(fd, NULL) == EOPNOTSUPP ||
		    errno == ENOPROTOOPT);
		t_close(fd);
	}
	t_pair(&p, T_UNIX);
	t_error_is(zerocopy(p.us, NULL), EOPNOTSUPP);
	t_close(p.us);
	t_close(p.peer);
	t_need_kernel(T_MPTCP);
	t_pair(&p, T_MPTCP);
	t_error_is(zerocopy(p.us, NULL), EOPNOTSUPP);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

/*
 * getpeername(2): inet_getname() says ENOTCONN in TCPF_CLOSE and TCPF_SYN_SENT
 */

/* MPTCP's worker is some time behind the acknowledgement. */
static void
wait_nameless(int fd)
{
	int64_t end;

	end = t_now_ms() + T_LIMIT_MS;
	while (t_peername(fd) == 0 && t_now_ms() < end)
		t_pause(1);
	t_error_is(t_peername(fd), ENOTCONN);
}

START_TEST(getpeername_works_until_the_last_fin_is_acknowledged)
{
	struct t_reader reader;
	struct t_pair p;
	size_t n;

	t_need_kernel(_i);
	n = t_pair_full(&p, _i);
	t_fin(p.peer);
	t_wait_readable(p.us);		/* CLOSE_WAIT */
	t_error_is(t_peername(p.us), 0);
	t_fin(p.us);			/* LAST_ACK, but FIN_WAIT2 for peer */
	t_error_is(t_peername(p.us), 0);
	t_error_is(t_peername(p.peer), 0);
	t_reader(&reader, p.peer, 1);
	t_saw(t_reader_join(&reader), n, 0);
	t_wait_outq(p.us, 0);
	wait_nameless(p.us);
	t_close(p.us);
}
END_TEST

START_TEST(getpeername_fails_after_an_orderly_end_on_either_side)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair(&p, _i);
	t_fin(p.us);
	t_wait_readable(p.peer);
	t_fin(p.peer);
	t_wait_dead(p.us);
	t_wait_outq(p.peer, 0);
	wait_nameless(p.us);		/* TIME_WAIT */
	wait_nameless(p.peer);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

START_TEST(getpeername_fails_after_a_reset)
{
	struct t_pair p;

	t_need_kernel(_i);
	t_pair_reset(&p, _i);
	t_error_is(t_peername(p.us), ENOTCONN);
	t_error_is(t_pending_error(p.us), ECONNRESET);
	t_error_is(t_peername(p.us), ENOTCONN);
	t_close(p.us);
}
END_TEST

/*
 * TCP_INFO
 */

/* tcp_init_buffer_space() sets it as the handshake ends, for good. */
START_TEST(rcv_space_is_set_by_the_first_connection_and_stays)
{
	const struct sockaddr unspec = { .sa_family = AF_UNSPEC };
	struct tcp_info ti;
	struct t_pair p;
	int fd;

	t_need_kernel(_i);
	fd = t_socket(_i);
	tcp_info(fd, &ti);
	ck_assert_uint_eq(ti.tcpi_rcv_space, 0);
	t_close(fd);
	t_pair_reset(&p, _i);
	tcp_info(p.us, &ti);
	ck_assert_uint_gt(ti.tcpi_rcv_space, 0);
	ck_assert_uint_gt(ti.tcpi_segs_in, 0);
	t_close(p.us);
	t_pair(&p, _i);
	/* tcp_disconnect() keeps that, and starts the counters anew. */
	ck_assert_int_eq(connect(p.us, &unspec, sizeof(unspec)), 0);
	tcp_info(p.us, &ti);
	ck_assert_uint_gt(ti.tcpi_rcv_space, 0);
	ck_assert_uint_eq(ti.tcpi_segs_in, 0);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

START_TEST(rcv_space_is_0_after_a_refused_connect)
{
	struct sockaddr_storage ss;
	struct tcp_info ti;
	socklen_t len;
	int bound, fd;

	t_need_kernel(_i);
	bound = t_listen(_i);
	len = sizeof(ss);
	ck_assert_int_eq(getsockname(bound, (struct sockaddr *)&ss, &len), 0);
	t_close(bound);
	fd = t_socket(_i);
	t_fails(connect(fd, (struct sockaddr *)&ss, len), ECONNREFUSED);
	tcp_info(fd, &ti);
	ck_assert_uint_eq(ti.tcpi_rcv_space, 0);
	ck_assert_uint_eq(ti.tcpi_segs_in, 0);
	t_close(fd);
}
END_TEST

/*
 * MPTCP_INFO: mptcp_destroy_common() and MP_FASTCLOSE forget the token
 */

static unsigned
token(int fd)
{
	struct mptcp_info mi;
	socklen_t len;

	memset(&mi, 0, sizeof(mi));
	len = sizeof(mi);
	ck_assert_int_eq(getsockopt(fd, SOL_MPTCP, MPTCP_INFO, &mi, &len), 0);
	return mi.mptcpi_token;
}

START_TEST(mptcp_token_outlives_an_orderly_end)
{
	struct t_pair p;

	t_need_kernel(T_MPTCP);
	t_pair(&p, T_MPTCP);
	ck_assert_uint_ne(token(p.us), 0);
	t_fin(p.us);
	t_wait_readable(p.peer);
	t_fin(p.peer);
	t_wait_dead(p.us);
	t_wait_outq(p.us, 0);
	ck_assert_uint_ne(token(p.us), 0);
	t_close(p.us);
	t_close(p.peer);
}
END_TEST

START_TEST(mptcp_token_is_0_after_a_reset)
{
	struct t_pair p;

	t_need_kernel(T_MPTCP);
	t_pair_reset(&p, T_MPTCP);
	ck_assert_uint_eq(token(p.us), 0);
	t_error_is(t_pending_error(p.us), ECONNRESET);
	ck_assert_uint_eq(token(p.us), 0);
	t_close(p.us);
}
END_TEST

#define plain(tc, test)	tcase_add_loop_test(tc, test, 0, T_PLAIN)
#define any_tcp(tc, test) tcase_add_loop_test(tc, test, 0, T_TCP)

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("facts_state");
	tc = t_case(s, "zerocopy");
	plain(tc, zerocopy_says_eio_for_the_peers_fin_with_nothing_unread);
	plain(tc, zerocopy_counts_a_fin_behind_data_as_a_byte);
	plain(tc, zerocopy_says_einval_for_a_page_of_input);
	plain(tc, zerocopy_is_not_fooled_by_own_shutdowns);
	plain(tc, zerocopy_is_not_fooled_by_a_reset_and_consumes_no_error);
	plain(tc, zerocopy_says_eio_for_a_reset_after_the_fin);
	plain(tc, zerocopy_knows_a_listener);
	tcase_add_test(tc, zerocopy_is_unknown_but_to_tcp);

	tc = t_case(s, "getpeername");
	any_tcp(tc, getpeername_works_until_the_last_fin_is_acknowledged);
	any_tcp(tc, getpeername_fails_after_an_orderly_end_on_either_side);
	any_tcp(tc, getpeername_fails_after_a_reset);

	tc = t_case(s, "info");
	plain(tc, rcv_space_is_set_by_the_first_connection_and_stays);
	plain(tc, rcv_space_is_0_after_a_refused_connect);
	tcase_add_test(tc, mptcp_token_outlives_an_orderly_end);
	tcase_add_test(tc, mptcp_token_is_0_after_a_reset);

	return t_main(s);
}
