/*
 * What Linux 6.1 does with kTLS, as graceclose(7) says; no function of the
 * library is called
 */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "api/ktls/ktls.h"

#ifndef SOL_TLS
#define SOL_TLS		282
#endif
#ifndef TCP_ULP
#define TCP_ULP		31
#endif
#ifndef TCP_ZEROCOPY_RECEIVE
#define TCP_ZEROCOPY_RECEIVE	35
#endif

/*
 * What a socket says about itself
 */

/* errno of getsockopt(2) with four bytes, or 0. */
static int
offloads(int fd, int direction)
{
	char buf[4];
	socklen_t len = sizeof(buf);

	return getsockopt(fd, SOL_TLS, direction, buf, &len) == -1 ? errno : 0;
}

static const int directions[] = { 0, KTLS_TX, KTLS_RX, KTLS_BOTH };

START_TEST(four_bytes_of_an_option_tell_the_layer_and_the_directions)
{
	int d = directions[_i];
	struct t_pair p;
	char name[4] = "";
	socklen_t len = sizeof(name);

	ktls_need();
	t_pair(&p, T_IPV4);
	ktls_on(p.us, d, 1);
	ck_assert_int_eq(getsockopt(p.us, IPPROTO_TCP, TCP_ULP, name, &len),
	    0);
	ck_assert_uint_eq(len, d == 0 ? 0 : 4);
	ck_assert_int_eq(memcmp(name, d == 0 ? "\0\0\0" : "tls", 4), 0);
	t_error_is(offloads(p.us, TLS_TX),
	    d == 0 ? EOPNOTSUPP : (d & KTLS_TX) != 0 ? 0 : EBUSY);
	t_error_is(offloads(p.us, TLS_RX),
	    d == 0 ? EOPNOTSUPP : (d & KTLS_RX) != 0 ? 0 : EBUSY);
	t_close_pair(&p);
}
END_TEST

/*
 * Sending
 */

/*
 * The sign of the loss is EPIPE, on a connection that lives.  SIOCOUTQ falls to
 * 0 all the same, once the peer has acknowledged the rest and our FIN.
 */
START_TEST(shut_wr_destroys_what_waits_above_tcp_and_leaves_epipe)
{
	struct ktls_wire w;
	struct t_pair p;
	size_t n;

	ktls_need();
	t_pair_small(&p, T_IPV4);
	ktls_on(p.us, KTLS_TX, 1);
	n = ktls_fill(p.us);
	ck_assert_int_lt(t_outq(p.us) + t_inq(p.peer), (int)n);
	t_fin(p.us);
	t_wait_reset(p.us);
	t_error_is(t_pending_error(p.us), EPIPE);
	w = ktls_wire(p.peer);
	t_error_is(w.error, 0);
	ck_assert_uint_lt(w.payload, n);
	t_wait_outq(p.us, 0);
	ck_assert_int_eq(t_state(p.us), TCP_FIN_WAIT2);
	t_close_pair(&p);
}
END_TEST

static void
set_sndbuf(int fd)
{
	t_sndbuf(fd, 200000);
}

static void
leave(int fd)
{
	(void)fd;
}

static void (*const before_fin[])(int) = { leave, set_sndbuf };

/* A bigger SO_SNDBUF makes TLS send at once, without an acknowledgement. */
START_TEST(fin_loses_nothing_once_the_send_queue_was_empty)
{
	struct ktls_peer peer;
	struct t_pair p;
	size_t n;
	int looks;

	ktls_need();
	ktls_pair(&p, KTLS_TX);
	n = ktls_fill(p.us);
	before_fin[_i](p.us);
	ktls_peer(&peer, p.peer, 150, 0);
	for (looks = 0; looks < 3; looks++) {
		t_wait_outq(p.us, 0);
		t_pause(5);
	}
	t_fin(p.us);
	t_saw(ktls_peer_join(&peer), n, 0);
	t_close(p.us);
}
END_TEST

static int
close_alone(int fd)
{
	return close(fd);
}

static int
shut_and_close(int fd)
{
	t_fin(fd);
	return close(fd);
}

static int
send_nothing(int fd)
{
	ck_assert_int_eq(send(fd, "", 0, MSG_NOSIGNAL), 0);
	return close(fd);
}

static int (*const losing[])(int) = {
	close_alone, shut_and_close, send_nothing
};

START_TEST(open_record_is_lost)
{
	struct ktls_wire w;
	struct t_pair p;

	ktls_need();
	t_pair(&p, T_IPV4);
	ktls_on(p.us, KTLS_TX, 1);
	ktls_send(p.us, KTLS_DATA, 3000, 'x', MSG_MORE);
	ck_assert_int_eq(losing[_i](p.us), 0);
	w = ktls_wire(p.peer);
	t_error_is(w.error, 0);
	ck_assert_int_eq(w.records, 0);
	ck_assert_uint_eq(w.torn, 0);
	t_close(p.peer);
}
END_TEST

/*
 * tls_process_cmsg() pushes the open record before it takes the type of the
 * next one, and that has no byte.
 */
START_TEST(message_of_a_record_type_alone_sends_the_open_record)
{
	int type = KTLS_ALERT + _i;
	struct ktls_wire w;
	struct t_pair p;

	ktls_need();
	t_pair(&p, T_IPV4);
	ktls_on(p.us, KTLS_TX, 1);
	ktls_send(p.us, KTLS_DATA, 3000, 'x', MSG_MORE);
	t_error_is(ktls_flush(p.us, type), 0);
	t_error_is(ktls_flush(p.us, type), 0);
	t_close(p.us);
	w = ktls_wire(p.peer);
	t_error_is(w.error, 0);
	ck_assert_int_eq(w.records, 1);
	ck_assert_int_eq(w.odd, 0);
	ck_assert_uint_eq(w.payload, 3000);
	ck_assert_uint_eq(w.torn, 0);
	t_close(p.peer);
}
END_TEST

/* EPIPE is returned there, and not left for SO_ERROR. */
START_TEST(behind_a_fin_that_message_is_epipe_if_a_record_is_open)
{
	struct t_pair p;

	ktls_need();
	t_pair(&p, T_IPV4);
	ktls_on(p.us, KTLS_TX, 1);
	ktls_send(p.us, KTLS_DATA, 3000, 'x', _i == 0 ? 0 : MSG_MORE);
	t_fin(p.us);
	t_error_is(ktls_flush(p.us, KTLS_DATA), _i == 0 ? 0 : EPIPE);
	t_error_is(t_pending_error(p.us), 0);
	t_close_pair(&p);
}
END_TEST

START_TEST(disconnect_is_refused)
{
	struct sockaddr sa;
	struct t_pair p;

	ktls_need();
	ktls_pair(&p, KTLS_TX);
	memset(&sa, 0, sizeof(sa));
	sa.sa_family = AF_UNSPEC;
	t_fails(connect(p.us, &sa, sizeof(sa)), EOPNOTSUPP);
	ck_assert_int_eq(t_state(p.us), TCP_ESTABLISHED);
	t_close_pair(&p);
}
END_TEST

/*
 * Receiving
 */

START_TEST(discard_without_a_buffer_is_efault)
{
	struct t_pair p;

	ktls_need();
	ktls_pair(&p, KTLS_RX);
	ktls_send(p.peer, KTLS_DATA, 1000, 'x', 0);
	t_wait_inq(p.us, 1000 + KTLS_OVERHEAD);
	t_fails(recv(p.us, NULL, 65536, MSG_TRUNC | MSG_DONTWAIT), EFAULT);
	t_error_is(t_pending_error(p.us), EBADMSG);
	t_close_pair(&p);
}
END_TEST

START_TEST(alert_comes_with_a_control_message_only)
{
	struct t_pair p;
	char buf[100];
	int type;

	ktls_need();
	ktls_pair(&p, KTLS_RX);
	ktls_send(p.peer, KTLS_ALERT, 2, 1, 0);
	t_wait_inq(p.us, 2 + KTLS_OVERHEAD);
	t_fails(recv(p.us, buf, sizeof(buf), MSG_DONTWAIT), EIO);
	t_fails(recv(p.us, buf, sizeof(buf), MSG_DONTWAIT), EIO);
	ck_assert_int_eq(ktls_receive(p.us, buf, sizeof(buf), &type), 2);
	ck_assert_int_eq(type, KTLS_ALERT);
	t_close_pair(&p);
}
END_TEST

/* What the kernel's struct tcp_zerocopy_receive begins with. */
struct zerocopy {
	uint64_t	address;
	uint32_t	length;
	uint32_t	recv_skip_hint;
	uint32_t	inq;
};

/*
 * TCP has nothing left, and with RX alone says that the input is at its end;
 * poll(2) alone knows better.
 */
START_TEST(rest_of_a_record_is_counted_by_nobody)
{
	struct zerocopy zc;
	socklen_t len = 20;
	struct t_pair p;
	char buf[300];
	int type;

	ktls_need();
	ktls_pair(&p, KTLS_RX);
	ktls_send(p.peer, KTLS_DATA, 1000, 'x', 0);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	ck_assert_int_eq(ktls_receive(p.us, buf, sizeof(buf), &type), 300);
	ck_assert_int_eq(t_inq(p.us), 0);
	memset(&zc, 0, sizeof(zc));
	t_fails(getsockopt(p.us, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len),
	    EIO);
	ck_assert_int_ne(t_wait_poll(p.us, POLLIN) & POLLIN, 0);
	ck_assert_int_eq(ktls_receive(p.us, buf, sizeof(buf), &type), 300);
	t_close_pair(&p);
}
END_TEST

/* The connection lives on, and what we send arrives. */
START_TEST(record_that_cannot_be_decrypted_stays_and_is_ebadmsg)
{
	struct t_pair p;
	char buf[100];
	int type;

	ktls_need();
	t_pair(&p, T_IPV4);
	ktls_on(p.us, KTLS_RX, 1);
	ktls_corrupt(p.peer, 1000);
	t_wait_inq(p.us, 1000 + KTLS_OVERHEAD);
	t_fails(ktls_receive(p.us, buf, sizeof(buf), &type), EBADMSG);
	t_fails(ktls_receive(p.us, buf, sizeof(buf), &type), EBADMSG);
	ck_assert_int_eq(t_inq(p.us), 1000 + KTLS_OVERHEAD);
	ck_assert_int_eq(t_wait_poll(p.us, POLLIN), POLLIN | POLLERR);
	t_error_is(t_pending_error(p.us), EBADMSG);
	ck_assert_int_eq(t_state(p.us), TCP_ESTABLISHED);
	t_write(p.us, 1000);
	t_fin(p.us);
	t_saw(t_read_all(p.peer), 1000, 0);
	t_close_pair(&p);
}
END_TEST

/*
 * On Linux 6.1 POLLIN stays as well: a level-triggered loop would spin.  Linux
 * 7.2 takes it back.
 */
START_TEST(what_is_no_record_stays_and_is_eagain)
{
	struct t_pair p;
	char buf[100];
	int type, n;

	ktls_need();
	t_pair(&p, T_IPV4);
	ktls_on(p.us, KTLS_RX, 1);
	ktls_plain_text(p.peer);
	t_wait_inq(p.us, 1);
	n = t_inq(p.us);
	t_fails(ktls_receive(p.us, buf, sizeof(buf), &type), EINVAL);
	t_fails(ktls_receive(p.us, buf, sizeof(buf), &type), EAGAIN);
	ck_assert_int_eq(t_inq(p.us), n);
	t_close_pair(&p);
}
END_TEST

/* Nobody can read it, so that close(2) sends RST. */
START_TEST(half_a_record_before_the_fin_is_eof)
{
	static const unsigned char head[13] = { KTLS_DATA, 3, 3, 4 };
	struct t_pair p;
	char buf[100];
	int type;

	ktls_need();
	t_pair(&p, T_IPV4);
	ktls_on(p.us, KTLS_RX, 1);
	ck_assert_int_eq(send(p.peer, head, sizeof(head), MSG_NOSIGNAL), 13);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	ck_assert_int_eq(ktls_receive(p.us, buf, sizeof(buf), &type), 0);
	ck_assert_int_eq(t_inq(p.us), 13);
	t_close(p.us);
	t_wait_reset(p.peer);
	t_close(p.peer);
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("facts_ktls");
	tc = t_case(s, "options");
	tcase_add_loop_test(tc,
	    four_bytes_of_an_option_tell_the_layer_and_the_directions, 0, 4);

	tc = t_case(s, "sending");
	tcase_add_loop_test(tc,
	    shut_wr_destroys_what_waits_above_tcp_and_leaves_epipe, 0, 3);
	tcase_add_loop_test(tc,
	    fin_loses_nothing_once_the_send_queue_was_empty, 0, 2);
	tcase_add_loop_test(tc, open_record_is_lost, 0, 3);
	tcase_add_loop_test(tc,
	    message_of_a_record_type_alone_sends_the_open_record, 0, 3);
	tcase_add_loop_test(tc,
	    behind_a_fin_that_message_is_epipe_if_a_record_is_open, 0, 2);
	tcase_add_test(tc, disconnect_is_refused);

	tc = t_case(s, "receiving");
	tcase_add_test(tc, discard_without_a_buffer_is_efault);
	tcase_add_test(tc, alert_comes_with_a_control_message_only);
	tcase_add_test(tc, rest_of_a_record_is_counted_by_nobody);
	tcase_add_test(tc, record_that_cannot_be_decrypted_stays_and_is_ebadmsg);
	tcase_add_test(tc, what_is_no_record_stays_and_is_eagain);
	tcase_add_test(tc, half_a_record_before_the_fin_is_eof);
	return t_main(s);
}
