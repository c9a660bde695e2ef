/*
 * Cases that a closing library easily gets wrong: each looks like an orderly
 * end but is a failure, or looks like a failure but is an orderly end
 */
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

/* Options with these limits, and a report with other bytes in it. */
static struct graceclose_opts o;
static struct graceclose_report r;

static void
given(int until, int timeout_ms)
{
	o = t_opts(until, GRACECLOSE_DETACH, timeout_ms, 0);
	memset(&r, 0xaa, sizeof(r));
}

static void
fin_arrives(struct t_pair *p)
{
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
}

/*
 * Another holder aborts the connection while we wait.  Its connect(AF_UNSPEC)
 * leaves no error and resets the counts.
 */

static void
abort_it(int fd)
{
	abort_close(fd);
}

/* The bytes that the peer received; it must have been reset. */
static void
nothing_is_missing_in(struct t_pair *p, size_t sent)
{
	struct t_got got;

	t_wait_dead(p->peer);
	got = t_read_all(p->peer);
	ck_assert_str_eq(t_errno(got.error), "ECONNRESET");
	t_accounts_for(&r, got.bytes, sent);
}

/* Index: until, whether the peer finished first, and the family. */
static size_t
pair_with_unacked(struct t_pair *p, int i)
{
	size_t n;

	t_pair_small(p, i / 4);
	if (i / 2 % 2 == 1)
		fin_arrives(p);
	n = t_fill_settled(p);
	ck_assert_int_gt(t_outq(p->us), 0);
	given(i % 2, 5000);
	return n;
}

START_TEST(abort_by_another_holder_while_we_wait_is_econnreset)
{
	struct t_later l;
	struct t_pair p;
	uint64_t unacked;
	size_t n;

	n = pair_with_unacked(&p, _i);
	unacked = (uint64_t)t_outq(p.us);
	t_later(&l, 50, abort_it, dup(p.us));
	t_fails(graceclose(p.us, &o, &r), ECONNRESET);
	t_between(t_now_ms() - t_later_join(&l), 0, 1000);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_WAS_RESET, ECONNRESET, 0,
	    T_KNOWS(_i / 2 % 2, 0));
	ck_assert_uint_eq(r.unacked, T_KNOWS(unacked, 0));
	nothing_is_missing_in(&p, n);
	t_close(p.peer);
}
END_TEST

START_TEST(abort_by_another_holder_between_steps_is_econnreset)
{
	struct graceclose gc;
	struct t_pair p;
	uint64_t unacked;
	size_t n;

	n = pair_with_unacked(&p, _i);
	unacked = (uint64_t)t_outq(p.us);
	t_ok(graceclose_begin(&gc, p.us, &o));
	t_returns(graceclose_step(&gc), 1);
	t_ok(abort_close(dup(p.us)));
	t_fails(graceclose_step(&gc), ECONNRESET);
	t_fails(graceclose_end(&gc, &r), ECONNRESET);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_WAS_RESET, ECONNRESET, 0,
	    T_KNOWS(_i / 2 % 2, 0));
	ck_assert_uint_eq(r.unacked, T_KNOWS(unacked, 0));
	nothing_is_missing_in(&p, n);
	t_close(p.peer);
}
END_TEST

/*
 * The library's first count then comes after the abort, and is not of our
 * bytes.
 */
START_TEST(abort_by_another_holder_before_the_first_step_leaves_no_count)
{
	struct graceclose gc;
	struct t_pair p;

	(void)pair_with_unacked(&p, _i);
	t_ok(graceclose_begin(&gc, p.us, &o));
	t_ok(abort_close(dup(p.us)));
	t_fails(graceclose_step(&gc), ECONNRESET);
	t_fails(graceclose_end(&gc, &r), ECONNRESET);
	t_released(p.us);
	ck_assert_int_eq(r.delivered, 0);
	ck_assert_uint_eq(r.unacked, 0);
	t_close(p.peer);
}
END_TEST

/*
 * graceclose_end is called twice.  Another connection has the descriptor number
 * by then.
 */

static void
leave_open(struct t_pair *p)
{
	(void)p;
}

static void
reset_arrives(struct t_pair *p)
{
	t_reset(p->peer);
	t_wait_reset(p->us);
	p->peer = -1;
}

static const struct {
	void	(*make)(struct t_pair *);
	int	error;
} ends[] = {
	{ fin_arrives,		0 },
	{ reset_arrives,	ECONNRESET },
	{ leave_open,		ECANCELED }
};
#define NENDS		3

static void
step_to_the_end(struct graceclose *gc, int fd)
{
	struct pollfd pfd = { fd, POLLIN, 0 };

	while (graceclose_step(gc) == 1 && graceclose_events(gc) == 0)
		poll(&pfd, 0, graceclose_timeout(gc));
}

/*
 * The bytes are delivered, but no step has found out: the caller still ended it
 * early.
 */
START_TEST(end_that_finds_it_delivered_is_still_the_callers)
{
	struct graceclose gc;
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	t_pair_any(&p, _i);
	t_write(p.us, 100);
	given(GRACECLOSE_DELIVERED, 5000);
	t_ok(graceclose_begin(&gc, p.us, &o));
	t_wait_outq(p.us, 0);
	t_fails(graceclose_end(&gc, &r), ECANCELED);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_ABORTED, ECANCELED, 1, 0);
	ck_assert_uint_eq(r.unacked, 0);
	t_saw(t_read_all(p.peer), 100, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(second_end_repeats_its_answer_and_closes_nothing)
{
	struct graceclose_report again;
	struct graceclose gc;
	struct t_pair new, old;
	int e = ends[_i % NENDS].error;

	t_pair(&old, _i / NENDS);
	t_pair(&new, _i / NENDS);
	ends[_i % NENDS].make(&old);
	given(GRACECLOSE_FINISHED, 5000);
	t_ok(graceclose_begin(&gc, old.us, &o));
	step_to_the_end(&gc, old.us);
	errno = 0;
	ck_assert_int_eq(graceclose_end(&gc, &r), e == 0 ? 0 : -1);
	t_errno_is(e);
	t_released(old.us);
	ck_assert_int_eq(dup2(new.us, old.us), old.us);
	usleep(2000);			/* elapsed_us must not go on */
	memset(&again, 0xaa, sizeof(again));
	errno = 0;
	ck_assert_int_eq(graceclose_end(&gc, &again), e == 0 ? 0 : -1);
	t_errno_is(e);
	ck_assert_mem_eq(&again, &r, sizeof(r));
	t_close(new.us);
	t_write(old.us, 10);
	t_read(new.peer, 10);
	t_write(new.peer, 10);
	t_read(old.us, 10);
	t_close(old.us);
	t_close(new.peer);
	if (old.peer != -1)
		t_close(old.peer);
}
END_TEST

/*
 * The peer sent FIN, then RST; the program has read the error, and every byte
 * is acknowledged.  If we accepted, the kernel shows that our FIN was never
 * sent; if we connected, it does not.  Index: family, who connected, and
 * whether bytes were acknowledged.
 */
START_TEST(reset_behind_a_fin_is_no_success_where_we_accepted)
{
	const int connected = _i % 2, sent = _i / 2 % 2;
	struct t_pair p;

	t_not_portable(T_NO_PAST);
	t_need_fin_look();
	if (connected)
		t_pair_connecting(&p, _i / 4);
	else
		t_pair(&p, _i / 4);
	if (sent) {
		t_write(p.us, 1000);
		t_read(p.peer, 1000);
		t_wait_outq(p.us, 0);
	}
	fin_arrives(&p);
	t_reset(p.peer);
	t_wait_reset(p.us);
	t_error_is(t_try_write(p.us), EPIPE);
	ck_assert_int_eq(peer_closed(p.us), connected ? 1 : -1);
	given(GRACECLOSE_FINISHED, 5000);
	ck_assert_int_eq(graceclose(p.us, &o, &r), connected ? 0 : -1);
	t_released(p.us);
	if (connected)
		t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	else
		t_report_is(&r, GRACECLOSE_WAS_RESET, ECONNRESET, 0, 1);
	ck_assert_uint_eq(r.unacked, 0);
}
END_TEST

/*
 * No connection yet, and none at all
 */

/* The listener drops every segment, so that the SYN stays unanswered. */
static int
connecting(int lfd)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	memset(&ss, 0, sizeof(ss));
	len = sizeof(ss);
	ck_assert_int_eq(getsockname(lfd, (struct sockaddr *)&ss, &len), 0);
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	t_fails(connect(fd, (struct sockaddr *)&ss, len), EINPROGRESS);
	ck_assert_int_eq(t_state(fd), TCP_SYN_SENT);
	return fd;
}

START_TEST(connecting_socket_is_enotconn)
{
	const int error = T_KNOWS(ENOTCONN, ECONNRESET);
	int fd, lfd;

	t_need_filters();
	lfd = t_listen(_i);
	t_drop(lfd, T_DROP_ALL);
	fd = connecting(lfd);
	t_fails(peer_closed(fd), ENOTCONN);
	t_fails(graceclose_unacked(fd), ENOTCONN);
	given(GRACECLOSE_FINISHED, 5000);
	t_fails(graceclose(fd, &o, &r), error);
	t_released(fd);
	t_report_is(&r, T_KNOWS(GRACECLOSE_INVALID, GRACECLOSE_WAS_RESET),
	    error, 0, 0);
	ck_assert_uint_eq(r.unacked, 0);
	fd = connecting(lfd);
	t_fails(graceful_close(fd), error);
	t_released(fd);
	t_close(lfd);
}
END_TEST

static int
linger_a_second(int fd)
{
	return linger_close(fd, 1000);
}

static int
linger_not_at_all(int fd)
{
	return linger_close(fd, 0);
}

static const struct {
	int	(*close)(int);
	int	result;		/* of a listening socket */
} verbs[] = {
	{ graceful_close,	-1 },
	{ linger_a_second,	-1 },
	{ linger_not_at_all,	0 },
	{ abort_close,		0 }
};
#define NVERBS		4

START_TEST(listener_that_others_share_goes_on)
{
	struct linger l;
	struct t_pair p;
	socklen_t len;
	int copy, lfd;

	t_need(_i / NVERBS);
	lfd = t_listen(_i / NVERBS);
	t_linger(lfd, 7);
	ck_assert_int_ne(copy = dup(lfd), -1);
	if (verbs[_i % NVERBS].result == 0)
		t_ok(verbs[_i % NVERBS].close(copy));
	else
		t_fails(verbs[_i % NVERBS].close(copy), ENOTCONN);
	t_released(copy);
	len = sizeof(l);
	ck_assert_int_eq(getsockopt(lfd, SOL_SOCKET, SO_LINGER, &l, &len), 0);
	ck_assert_int_eq(l.l_onoff, 1);
	ck_assert_int_eq(l.l_linger, 7);
	p.peer = t_connect(_i / NVERBS, lfd);
	t_nonblock(lfd);
	p.us = t_accept(lfd);
	t_write(p.us, 10);
	t_read(p.peer, 10);
	t_close(lfd);
	t_close_pair(&p);
}
END_TEST

START_TEST(udp_socket_that_others_share_goes_on)
{
	struct sockaddr_in sin;
	struct t_pair p;
	socklen_t len;
	int copy;

	memset(&sin, 0, sizeof(sin));
	sin.sin_family = AF_INET;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p.peer = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	p.us = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	len = sizeof(sin);
	ck_assert_int_eq(bind(p.peer, (struct sockaddr *)&sin, len), 0);
	ck_assert_int_eq(getsockname(p.peer, (struct sockaddr *)&sin, &len),
	    0);
	ck_assert_int_eq(connect(p.us, (struct sockaddr *)&sin, len), 0);
	ck_assert_int_ne(copy = dup(p.us), -1);
	t_fails(verbs[_i].close(copy), EOPNOTSUPP);
	t_released(copy);
	ck_assert_int_eq(send(p.us, "ten bytes.", 10, MSG_NOSIGNAL), 10);
	t_read(p.peer, 10);
	t_close_pair(&p);
}
END_TEST

/* Every socket call on it fails with EBADF, although it is open. */
START_TEST(descriptor_of_o_path_is_enotsock_and_released)
{
	int fd;

	ck_assert_int_ne(fd = open("/", O_PATH | O_CLOEXEC), -1);
	t_fails(verbs[_i].close(fd), ENOTSOCK);
	t_released(fd);
	ck_assert_int_ne(fd = open("/", O_PATH | O_CLOEXEC), -1);
	given(GRACECLOSE_FINISHED, 5000);
	t_fails(graceclose(fd, &o, &r), ENOTSOCK);
	t_released(fd);
	t_report_is(&r, GRACECLOSE_INVALID, ENOTSOCK, 0, 0);
}
END_TEST

START_TEST(seqpacket_with_a_peer_is_eopnotsupp_and_released)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    fds), 0);
	t_fails(verbs[_i].close(fds[0]), EOPNOTSUPP);
	t_released(fds[0]);
	t_saw(t_read_all(fds[1]), 0, 0);
	t_close(fds[1]);
}
END_TEST

/* A family with stream sockets whose end the library cannot see. */
START_TEST(stream_of_another_family_is_eopnotsupp_and_released)
{
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		t_skip("no AF_VSOCK here");
	t_fails(verbs[_i].close(fd), EOPNOTSUPP);
	t_released(fd);
}
END_TEST

/*
 * The thread is in another network namespace than the connection: sock_diag(7)
 * does not find MPTCP sockets from there.
 */

struct abroad {
	int	fd, result, error;
};

static void *
close_abroad(void *arg)
{
	struct abroad *a = arg;

	a->result = unshare(CLONE_NEWNET);
	a->error = errno;
	if (a->result == -1)
		return NULL;
	errno = T_ERRNO_UNTOUCHED;
	a->result = graceclose(a->fd, &o, &r);
	a->error = errno;
	return &a->result;
}

/* Index: whether the peer stays, and the family. */
START_TEST(connection_of_another_namespace_is_closed_as_any_other)
{
	struct abroad a;
	struct t_pair p;
	size_t left;
	pthread_t t;
	void *been;

	t_need(_i / 2);
	t_pair(&p, _i / 2);
	t_write(p.us, 1000);
	left = t_take_if_local(p.peer, 1000);
	if (_i % 2 == 0)
		fin_arrives(&p);
	given(GRACECLOSE_FINISHED, 300);
	a.fd = p.us;
	t_thread(&t, close_abroad, &a);
	ck_assert_int_eq(pthread_join(t, &been), 0);
	if (been == NULL) {
		t_close_pair(&p);
		t_skip("a network namespace takes CAP_SYS_ADMIN");
	}
	t_released(p.us);
	ck_assert_int_eq(a.result, _i % 2 == 0 ? 0 : -1);
	t_error_is(a.error, _i % 2 == 0 ? T_ERRNO_UNTOUCHED : ETIMEDOUT);
	if (_i % 2 == 0)
		t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	t_saw(t_read_all(p.peer), left, 0);
	t_close(p.peer);
}
END_TEST

/*
 * No close at all
 */

START_TEST(no_close_is_einval)
{
	struct graceclose gc;
	struct t_pair p;

	t_pair(&p, T_IPV4);
	t_fails(graceclose_begin(NULL, p.us, NULL), EINVAL);
	t_ok(peer_closed(p.us));
	t_ok(peer_closed(p.peer));
	t_close_pair(&p);
	memset(&gc, 0, sizeof(gc));
	memset(&r, 0xaa, sizeof(r));
	t_fails(graceclose_step(NULL), EINVAL);
	t_fails(graceclose_step(&gc), EINVAL);
	t_fails(graceclose_end(NULL, &r), EINVAL);
	t_report_is(&r, GRACECLOSE_INVALID, EINVAL, 0, 0);
	memset(&r, 0xaa, sizeof(r));
	t_fails(graceclose_end(&gc, &r), EINVAL);
	t_report_is(&r, GRACECLOSE_INVALID, EINVAL, 0, 0);
	t_returns(graceclose_events(NULL), 0);
	t_returns(graceclose_events(&gc), 0);
	t_returns(graceclose_timeout(NULL), 0);
	t_returns(graceclose_timeout(&gc), 0);
}
END_TEST

static void
what_is_shared(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "reset behind a FIN");
	tcase_add_loop_test(tc,
	    reset_behind_a_fin_is_no_success_where_we_accepted, 0,
	    4 * T_PLAIN);

	tc = t_case(s, "another holder");
	tcase_add_loop_test(tc,
	    abort_by_another_holder_while_we_wait_is_econnreset, 0,
	    4 * T_PLAIN);
	tcase_add_loop_test(tc,
	    abort_by_another_holder_between_steps_is_econnreset, 0,
	    4 * T_PLAIN);
	tcase_add_loop_test(tc,
	    abort_by_another_holder_before_the_first_step_leaves_no_count, 0,
	    4 * T_PLAIN);
	tcase_add_loop_test(tc, listener_that_others_share_goes_on, 0,
	    NVERBS * T_FAMILIES);
	tcase_add_loop_test(tc, udp_socket_that_others_share_goes_on, 0,
	    NVERBS);

	tc = t_case(s, "no connection");
	tcase_add_loop_test(tc, connecting_socket_is_enotconn, 0, T_PLAIN);
	tcase_add_loop_test(tc, descriptor_of_o_path_is_enotsock_and_released,
	    0, NVERBS);
	tcase_add_loop_test(tc,
	    seqpacket_with_a_peer_is_eopnotsupp_and_released, 0, NVERBS);
	tcase_add_loop_test(tc,
	    stream_of_another_family_is_eopnotsupp_and_released, 0, NVERBS);
	tcase_add_test(tc, no_close_is_einval);

	tc = t_case(s, "another namespace");
	tcase_add_loop_test(tc,
	    connection_of_another_namespace_is_closed_as_any_other, 0,
	    2 * T_FAMILIES);
}

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("hard_cases");
	tc = t_case(s, "end");
	tcase_add_loop_test(tc,
	    end_that_finds_it_delivered_is_still_the_callers, 0, T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    second_end_repeats_its_answer_and_closes_nothing, 0,
	    NENDS * T_PLAIN);
	what_is_shared(s);
	return t_main(s);
}
