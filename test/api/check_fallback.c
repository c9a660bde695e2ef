/*
 * MPTCP, native and fallen back.  If the peer knows only TCP, an MPTCP socket
 * uses TCP underneath (RFC 8684 3.7), but it answers neither like MPTCP nor
 * like TCP.  After the peer's FIN a reset sets its count of unacknowledged
 * bytes to 0, as an orderly end does.
 */
#include <sys/resource.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

/* The lowest bit of an index; FELL_BACK is 0. */
enum { FELL_BACK, NATIVE, KINDS };

#define OUTSTANDING	150000

/* Options with these limits, and a report with other bytes in it. */
static struct graceclose_opts o;
static struct graceclose_report r;

static void
given(int until, int timeout_ms)
{
	o = t_opts(until, GRACECLOSE_DETACH, timeout_ms, 0);
	memset(&r, 0xaa, sizeof(r));
}

/*
 * We connect, because an MPTCP listener accepts plain TCP sockets from peers
 * that know only TCP.
 */
static void
pair(struct t_pair *p, int kind)
{
	int lfd, size = 32768;

	lfd = t_listen(kind == FELL_BACK ? T_IPV4 : T_MPTCP);
	ck_assert_int_eq(setsockopt(lfd, SOL_SOCKET, SO_RCVBUF, &size,
	    sizeof(size)), 0);
	p->us = t_connect(T_MPTCP, lfd);
	p->peer = t_accept(lfd);
	t_close(lfd);
}

/*
 * No segment is on its way any more; *unacked is what the peer's TCP did not
 * take.  After a fallback our count is too high until the last byte is
 * acknowledged.
 */
static size_t
pair_with_shut_window(struct t_pair *p, int kind, int peer_first,
    uint64_t *unacked)
{
	size_t n;

	pair(p, kind);
	if (peer_first) {
		t_fin(p->peer);
		t_wait_poll(p->us, POLLRDHUP);
	}
	t_sndbuf(p->us, 2 * OUTSTANDING);
	n = t_fill_settled(p);
	ck_assert_uint_ge(n, OUTSTANDING);
	*unacked = (uint64_t)t_outq(p->us);
	ck_assert_uint_gt(*unacked, 0);
	ck_assert_uint_lt(*unacked, n);
	return n;
}

/*
 * After a fallback and the peer's FIN the count cannot be known, as the top of
 * this file says.
 */
static void
unacked_is(uint64_t n, int kind, int peer_first)
{
	if (kind == FELL_BACK && peer_first)
		ck_assert_uint_le(r.unacked, n);
	else
		ck_assert_uint_eq(r.unacked, n);
}

static void *
read_later(void *arg)
{
	struct t_reader *peer = arg;

	usleep(50000);
	peer->got = t_read_all(peer->fd);
	return NULL;
}

START_TEST(peer_that_half_closed_first_and_reads_it_all_is_a_success)
{
	struct t_reader peer;
	struct t_pair p;
	uint64_t unacked;
	size_t n;

	t_need(T_MPTCP);
	n = pair_with_shut_window(&p, _i % KINDS, 1, &unacked);
	given(_i / KINDS, 0);
	peer.fd = p.peer;
	t_thread(&peer.thread, read_later, &peer);
	t_ok(graceclose(p.us, &o, &r));
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(r.unacked, 0);
	t_saw(t_reader_join(&peer), n, 0);
	t_close(p.peer);
}
END_TEST

/*
 * In LAST_ACK getpeername(2) fails on such a socket, as if the connection had
 * ended.  The library for plain POSIX does not support MPTCP.  Index: until.
 */
START_TEST(fallback_in_last_ack_is_no_success)
{
	struct t_pair p;

	t_need_kernel(T_MPTCP);
	t_need_filters();
	pair(&p, FELL_BACK);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_drop(p.peer, T_DROP_ALL);
	t_write(p.us, 1000);
	given(_i, 200);
	t_fails(graceclose(p.us, &o, &r), T_KNOWS(ETIMEDOUT, EOPNOTSUPP));
	t_released(p.us);
	ck_assert_int_eq(r.delivered, 0);
	ck_assert_uint_eq(r.unacked, T_KNOWS(1000, 0));
	t_close(p.peer);
}
END_TEST

/* SIOCOUTQ counts twice what the socket below holds.  Index: until. */
START_TEST(each_byte_that_the_peer_never_took_is_counted_once)
{
	struct t_pair p;
	size_t n;

	t_need(T_MPTCP);
	t_need_filters();
	pair(&p, FELL_BACK);
	t_sndbuf(p.us, OUTSTANDING);
	t_drop(p.peer, T_DROP_ALL);
	n = t_fill(p.us);
	ck_assert_int_eq(graceclose_unacked(p.us), (int64_t)n);
	given(_i, 100);
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	ck_assert_uint_eq(r.unacked, n);
	t_close(p.peer);
}
END_TEST

/*
 * Resets.  Index: kind, until, and whether the peer had half-closed first.
 */
#define T_RESETS	(KINDS * 2 * 2)
#define T_UNTIL(i)	((i) / KINDS % 2)
#define T_FIRST(i)	((i) / KINDS / 2)

START_TEST(reset_while_we_wait_is_econnreset)
{
	struct t_later l;
	struct t_pair p;
	uint64_t unacked;

	t_need(T_MPTCP);
	pair_with_shut_window(&p, _i % KINDS, T_FIRST(_i), &unacked);
	given(T_UNTIL(_i), 5000);
	t_later(&l, 50, t_reset, p.peer);
	t_fails(graceclose(p.us, &o, &r), ECONNRESET);
	t_between(t_now_ms() - t_later_join(&l), 0, 1000);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_WAS_RESET, ECONNRESET, 0, T_FIRST(_i));
	unacked_is(unacked, _i % KINDS, T_FIRST(_i));
}
END_TEST

START_TEST(reset_that_a_late_step_finds_is_econnreset)
{
	struct graceclose gc;
	struct t_pair p;
	uint64_t unacked;

	t_need(T_MPTCP);
	pair_with_shut_window(&p, _i % KINDS, T_FIRST(_i), &unacked);
	given(T_UNTIL(_i), 5000);
	t_ok(graceclose_begin(&gc, p.us, &o));
	t_returns(graceclose_step(&gc), 1);
	t_reset(p.peer);
	t_wait_reset(p.us);
	t_fails(graceclose_step(&gc), ECONNRESET);
	t_fails(graceclose_end(&gc, &r), ECONNRESET);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_WAS_RESET, ECONNRESET, 0, T_FIRST(_i));
	unacked_is(unacked, _i % KINDS, T_FIRST(_i));
}
END_TEST

/*
 * The library asks for the kind of socket only when the answer can be trusted.
 * Index: until, and whether the peer had half-closed first.
 */
START_TEST(reset_that_the_first_step_finds_is_econnreset)
{
	struct graceclose gc;
	struct t_pair p;

	t_need(T_MPTCP);
	t_need_filters();
	pair(&p, FELL_BACK);
	if (_i / 2 == 1) {
		t_fin(p.peer);
		t_wait_poll(p.us, POLLRDHUP);
	}
	t_drop(p.peer, T_DROP_ALL);
	t_write(p.us, 1000);
	given(_i % 2, 5000);
	t_ok(graceclose_begin(&gc, p.us, &o));
	t_reset(p.peer);
	t_wait_reset(p.us);
	t_fails(graceclose_step(&gc), ECONNRESET);
	t_fails(graceclose_end(&gc, &r), ECONNRESET);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_WAS_RESET, ECONNRESET, 0, _i / 2);
	ck_assert_uint_le(r.unacked, 1000);
}
END_TEST

static void
abort_it(int fd)
{
	abort_close(fd);
}

START_TEST(abort_by_another_holder_while_we_wait_is_econnreset)
{
	struct t_later l;
	struct t_pair p;
	uint64_t unacked;

	t_need(T_MPTCP);
	pair_with_shut_window(&p, _i % KINDS, T_FIRST(_i), &unacked);
	given(T_UNTIL(_i), 5000);
	t_later(&l, 50, abort_it, dup(p.us));
	t_fails(graceclose(p.us, &o, &r), ECONNRESET);
	t_between(t_now_ms() - t_later_join(&l), 0, 1000);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_WAS_RESET, ECONNRESET, 0, T_FIRST(_i));
	unacked_is(unacked, _i % KINDS, T_FIRST(_i));
	t_close(p.peer);
}
END_TEST

/* A close under way, whose peer has everything and may still send. */
static void
begin_delivered(struct graceclose *gc, struct t_pair *p)
{
	int64_t end = t_now_ms() + T_LIMIT_MS;

	pair(p, FELL_BACK);
	t_write(p->us, 1000);
	given(GRACECLOSE_FINISHED, 5000);
	t_ok(graceclose_begin(gc, p->us, &o));
	while (!gc->delivered) {
		ck_assert_int_lt(t_now_ms(), end);
		t_returns(graceclose_step(gc), 1);
	}
}

static void
ends_as_reset(struct graceclose *gc, const struct t_pair *p)
{
	t_fails(graceclose_end(gc, &r), ECONNRESET);
	t_released(p->us);
	t_report_is(&r, GRACECLOSE_WAS_RESET, ECONNRESET, 1, 0);
}

/* Nothing is left of the reset then but what TCP_INFO counts. */
START_TEST(reset_whose_error_another_holder_took_is_econnreset)
{
	struct graceclose gc;
	struct t_pair p = { -1, -1 };

	t_need(T_MPTCP);
	begin_delivered(&gc, &p);
	t_reset(p.peer);
	t_wait_reset(p.us);
	t_error_is(t_pending_error(p.us), ECONNRESET);
	t_fails(graceclose_step(&gc), ECONNRESET);
	ends_as_reset(&gc, &p);
}
END_TEST

/*
 * connect(AF_UNSPEC) leaves no error, nothing unacknowledged, and counters at
 * 0, as an end in order does.  Index: whether poll(2) fails.
 */
START_TEST(abort_by_another_holder_after_delivery_is_econnreset)
{
	const struct sockaddr unspec = { .sa_family = AF_UNSPEC };
	struct rlimit low, old;
	struct graceclose gc;
	struct t_pair p = { -1, -1 };
	int error, result;

	t_need(T_MPTCP);
	begin_delivered(&gc, &p);
	t_ok(connect(p.us, &unspec, sizeof(unspec)));
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	if (_i == 1)
		low.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	result = graceclose_step(&gc);
	error = errno;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_int_eq(result, -1);
	t_error_is(error, ECONNRESET);
	ends_as_reset(&gc, &p);
	t_close(p.peer);
}
END_TEST

/*
 * Our own SHUT_RD makes recv(2) return 0, as the peer's FIN does.  On a busy
 * host MPTCP may need seconds for its FIN, so the test does not require
 * delivery within a time.
 */

START_TEST(own_shut_rd_is_not_taken_for_the_peers_fin)
{
	struct t_later l;
	struct t_pair p;
	int64_t end;

	t_need(T_MPTCP);
	pair(&p, _i);
	t_write(p.us, 100);
	ck_assert_int_eq(shutdown(p.us, SHUT_RD), 0);
	t_ok(peer_closed(p.us));
	given(GRACECLOSE_FINISHED, 0);
	t_later(&l, 50, t_fin, p.peer);
	t_ok(graceclose(p.us, &o, &r));
	end = t_now_ms();
	t_between(end - t_later_join(&l), 0, 4000);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	t_saw(t_read_all(p.peer), 100, 0);
	t_close(p.peer);
}
END_TEST

static int
graceclose_with_no_descriptor_free(int fd)
{
	struct rlimit low, old;
	int error, free_one, result;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	ck_assert_int_ne(free_one = dup(fd), -1);
	t_close(free_one);
	low.rlim_cur = (rlim_t)free_one;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	free_one = dup(fd);
	result = graceclose(fd, &o, &r);
	error = errno;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_int_eq(free_one, -1);
	errno = error;
	return result;
}

/* sock_diag(7), which could tell, takes a descriptor: no answer is no FIN. */
START_TEST(own_shut_rd_with_no_descriptor_free_is_no_success)
{
	struct t_pair p;

	t_need(T_MPTCP);
	pair(&p, _i);
	t_write(p.us, 100);
	ck_assert_int_eq(shutdown(p.us, SHUT_RD), 0);
	given(GRACECLOSE_FINISHED, 200);
	t_fails(graceclose_with_no_descriptor_free(p.us), ETIMEDOUT);
	t_released(p.us);
	ck_assert_int_eq(r.outcome, GRACECLOSE_EXPIRED);
	ck_assert_int_eq(r.finished, 0);
	t_saw(t_read_all(p.peer), 100, 0);
	t_close(p.peer);
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("fallback");
	tc = t_case(s, "half-closed first");
	tcase_add_loop_test(tc,
	    peer_that_half_closed_first_and_reads_it_all_is_a_success, 0,
	    KINDS * 2);
	tcase_add_loop_test(tc, fallback_in_last_ack_is_no_success, 0, 2);

	tc = t_case(s, "count");
	tcase_add_loop_test(tc,
	    each_byte_that_the_peer_never_took_is_counted_once, 0, 2);

	tc = t_case(s, "reset");
	tcase_add_loop_test(tc, reset_while_we_wait_is_econnreset, 0,
	    T_RESETS);
	tcase_add_loop_test(tc, reset_that_a_late_step_finds_is_econnreset, 0,
	    T_RESETS);
	tcase_add_loop_test(tc, reset_that_the_first_step_finds_is_econnreset,
	    0, 4);
	tcase_add_loop_test(tc,
	    abort_by_another_holder_while_we_wait_is_econnreset, 0, T_RESETS);
	tcase_add_test(tc,
	    reset_whose_error_another_holder_took_is_econnreset);
	tcase_add_loop_test(tc,
	    abort_by_another_holder_after_delivery_is_econnreset, 0, 2);

	tc = t_case(s, "own SHUT_RD");
	tcase_add_loop_test(tc, own_shut_rd_is_not_taken_for_the_peers_fin, 0,
	    KINDS);
	tcase_add_loop_test(tc,
	    own_shut_rd_with_no_descriptor_free_is_no_success, 0, KINDS);
	return t_main(s);
}
