/*
 * Cases that a closing library easily gets wrong: each looks like an orderly
 * end, or like the death of a connection, and is the other
 */
#include <sys/resource.h>
#include <sys/socket.h>

#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

#define MEBIBYTES(n)	((n) * (size_t)1048576)

/* Options with these limits, and a report full of rubbish. */
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
 * A reset behind unread input.  Once SO_ERROR is read nothing but the missing
 * FIN tells it from an orderly end, and TCP_ZEROCOPY_RECEIVE looks for that
 * only where less than a page is unread.
 */

static const size_t unread[] = { 100, 10000 };
#define NUNREAD		2

START_TEST(reset_behind_unread_input_is_econnreset)
{
	size_t n = unread[_i / 2 % NUNREAD];
	struct t_pair p;
	socklen_t len;
	int error;

	t_pair_any(&p, _i / 2 / NUNREAD);
	t_write(p.peer, n);
	t_wait_inq(p.us, (int)n);
	t_reset(p.peer);
	t_wait_reset(p.us);
	if (_i % 2 == 1) {
		len = sizeof(error);
		ck_assert_int_eq(getsockopt(p.us, SOL_SOCKET, SO_ERROR,
		    &error, &len), 0);
		ck_assert_str_eq(t_errno(error), "ECONNRESET");
	}
	given(GRACECLOSE_FINISHED, 5000);
	if (_i % 2 == 1 && T_PORTABLE) {
		t_fails(graceclose(p.us, &o, &r), ENOTCONN);
		t_report_is(&r, GRACECLOSE_INVALID, ENOTCONN, 0, 0);
	} else {
		t_fails(graceclose(p.us, &o, &r), ECONNRESET);
		t_report_is(&r, GRACECLOSE_WAS_RESET, ECONNRESET, 0, 0);
	}
	t_released(p.us);
	ck_assert_uint_eq(r.discarded, n);
	ck_assert_uint_eq(r.unacked, 0);
}
END_TEST

/*
 * More unread than discard_max, on a connection that is over already: there
 * is no peer left to be stopped, yet the cap holds.
 */

/* Either side may have ended it first. */
static void
end_in_order(struct t_pair *p, size_t n, int we_first)
{
	t_write(p->peer, n);
	if (we_first) {
		t_fin(p->us);
		t_wait_outq(p->us, 0);
	}
	fin_arrives(p);
	t_fin(p->us);
	t_wait_state(p->us, TCP_CLOSE);
	ck_assert_int_eq(t_inq(p->us), (int)n);
}

/* Index: who ends it first, how much is unread, and which pair. */
#define T_ENDED		(2 * NUNREAD * T_ANY_PLAIN)

START_TEST(more_than_discard_max_is_a_flood_after_an_orderly_end_too)
{
	size_t n = unread[_i / 2 % NUNREAD];
	struct t_pair p;

	t_not_portable(T_NO_PAST);
	t_pair_any(&p, _i / 2 / NUNREAD);
	end_in_order(&p, n, _i % 2);
	given(GRACECLOSE_FINISHED, 5000);
	o.discard_max = n - 1;
	t_fails(graceclose(p.us, &o, &r), EMSGSIZE);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_FLOODED, EMSGSIZE, 1, 1);
	ck_assert_uint_ge(r.discarded, n);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

/* Who only asks for delivery has that, however much there is. */
START_TEST(until_delivered_a_flood_after_an_orderly_end_is_none)
{
	size_t n = unread[_i / 2 % NUNREAD];
	struct t_pair p;

	t_not_portable(T_NO_PAST);
	t_pair_any(&p, _i / 2 / NUNREAD);
	end_in_order(&p, n, _i % 2);
	given(GRACECLOSE_DELIVERED, 5000);
	o.discard_max = n - 1;
	t_ok(graceclose(p.us, &o, &r));
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(r.unacked, 0);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(exactly_discard_max_is_accepted_after_an_orderly_end_too)
{
	size_t n = unread[_i / 2 % NUNREAD];
	struct t_pair p;

	t_not_portable(T_NO_PAST);
	t_pair_any(&p, _i / 2 / NUNREAD);
	end_in_order(&p, n, _i % 2);
	given(GRACECLOSE_FINISHED, 5000);
	o.discard_max = n;
	t_ok(graceclose(p.us, &o, &r));
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(r.discarded, n);
	ck_assert_uint_eq(r.unacked, 0);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

/* The end takes what the last step left: else the peer gets ECONNRESET. */
START_TEST(unix_peer_gets_our_data_and_eof_however_much_is_unread)
{
	struct t_pair p;

	t_pair_any(&p, T_ANY_TCP + _i);
	t_sndbuf(p.peer, (int)MEBIBYTES(16));
	t_write(p.peer, MEBIBYTES(3));
	t_write(p.us, 5);
	given(GRACECLOSE_DELIVERED, 5000);
	t_ok(graceclose(p.us, &o, &r));
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 0);
	ck_assert_uint_eq(r.discarded, MEBIBYTES(3));
	ck_assert_uint_eq(r.unacked, 0);
	t_saw(t_read_all(p.peer), 5, 0);
	t_close(p.peer);
}
END_TEST

/* A peer may send faster than we can discard: nobody stays for ever. */
START_TEST(end_discards_32_mebibytes_at_most)
{
	struct t_pair p;

	t_pair_any(&p, T_ANY_TCP + _i);
	t_sndbuf(p.peer, (int)MEBIBYTES(80));
	t_write(p.peer, MEBIBYTES(36));
	given(GRACECLOSE_DELIVERED, 5000);
	t_ok(graceclose(p.us, &o, &r));
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 0);
	/* That, and what the one step took. */
	ck_assert_uint_eq(r.discarded, MEBIBYTES(33));
	t_saw(t_read_all(p.peer), 0, ECONNRESET);
	t_close(p.peer);
}
END_TEST

/*
 * A notice in the error queue: level POLLERR, which cannot be masked, on a
 * healthy connection.
 */

static void
queue_zerocopy_notification(struct t_pair *p)
{
	static const char data[16384];
	int on = 1;

	ck_assert_int_eq(setsockopt(p->us, SOL_SOCKET, SO_ZEROCOPY, &on,
	    sizeof(on)), 0);
	ck_assert_int_eq(send(p->us, data, sizeof(data), MSG_ZEROCOPY |
	    MSG_NOSIGNAL), (int)sizeof(data));
	t_read(p->peer, sizeof(data));
}

static void
queue_time_stamp(struct t_pair *p)
{
	int on = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE |
	    SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_OPT_TSONLY;

	ck_assert_int_eq(setsockopt(p->us, SOL_SOCKET, SO_TIMESTAMPING, &on,
	    sizeof(on)), 0);
	t_write(p->us, 100);
	t_read(p->peer, 100);
}

static void (*const notices[])(struct t_pair *) = {
	queue_zerocopy_notification, queue_time_stamp
};
#define NNOTICES	2

static void
pair_with_notice(struct t_pair *p, int i)
{
	t_pair_any(p, i / NNOTICES);
	notices[i % NNOTICES](p);
	t_wait_outq(p->us, 0);
	ck_assert_int_eq(t_wait_poll(p->us, 0) & (POLLERR | POLLHUP),
	    POLLERR);
}

/* The loop of graceclose_begin(3), with options and a count of its turns. */
static int
close_with_poll(int fd, int *turns)
{
	struct graceclose	gc;
	struct pollfd		pfd;

	*turns = 0;
	if (graceclose_begin(&gc, fd, &o) == -1)
		return -1;
	while (graceclose_step(&gc) == 1) {
		pfd.events = graceclose_events(&gc);
		pfd.fd = pfd.events != 0 ? fd : -1;
		poll(&pfd, 1, graceclose_timeout(&gc));
		++*turns;
	}
	return graceclose_end(&gc, &r);
}

START_TEST(queued_notice_does_not_keep_a_poll_loop_busy)
{
	struct t_pair p;
	int turns;

	t_not_portable(T_NO_NOTICE);
	pair_with_notice(&p, _i);
	given(GRACECLOSE_FINISHED, 300);
	t_fails(close_with_poll(p.us, &turns), ETIMEDOUT);
	t_released(p.us);
	ck_assert_int_le(turns, 40);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT, 1, 0);
	ck_assert_uint_eq(r.unacked, 0);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(queued_notice_does_not_hide_the_peers_fin)
{
	struct t_later l;
	struct t_pair p;
	int turns;

	t_not_portable(T_NO_NOTICE);
	pair_with_notice(&p, _i);
	given(GRACECLOSE_FINISHED, 5000);
	t_later(&l, 50, t_fin, p.peer);
	t_ok(close_with_poll(p.us, &turns));
	t_between(t_now_ms() - t_later_join(&l), 0, 1000);
	t_released(p.us);
	ck_assert_int_le(turns, 40);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

static int
graceclose_with_descriptors(int fd, int limit)
{
	struct rlimit low, old;
	int error, free_one, result;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)limit;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	free_one = dup(fd);
	errno = T_ERRNO_UNTOUCHED;
	result = graceclose(fd, &o, &r);
	error = errno;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_int_eq(free_one, -1);
	errno = error;
	return result;
}

static int
graceclose_with_no_descriptor_free(int fd)
{
	int free_one;

	ck_assert_int_ne(free_one = dup(fd), -1);
	t_close(free_one);
	return graceclose_with_descriptors(fd, free_one);
}

/*
 * Then poll(2) does not wait for any, either, and says EINVAL.  Index: whether
 * there are limits of ours, and which pair.
 */
START_TEST(descriptor_limit_of_0_costs_no_cpu)
{
	struct t_later l;
	struct t_pair p;
	int64_t cpu;

	t_pair_any(&p, _i / 2);
	given(GRACECLOSE_FINISHED, _i % 2 == 0 ? 5000 : -1);
	o.idle_ms = -1;
	t_later(&l, 200, t_fin, p.peer);
	cpu = t_cpu_ms();
	t_ok(graceclose_with_descriptors(p.us, 0));
	ck_assert_int_le(t_cpu_ms() - cpu, 30);
	t_between(t_now_ms() - t_later_join(&l), 0, 1000);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
}
END_TEST

START_TEST(descriptor_limit_of_0_moves_no_limit)
{
	struct t_pair p;

	t_pair_any(&p, _i);
	given(GRACECLOSE_FINISHED, 40);
	t_fails(graceclose_with_descriptors(p.us, 0), ETIMEDOUT);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT, T_KNOWS(1, 0), 0);
	ck_assert_uint_ge(r.elapsed_us, 40000);
	ck_assert_uint_lt(r.elapsed_us, 2000000);
	t_close(p.peer);
}
END_TEST

/* Without epoll the blocking close has nothing but level poll, either. */
START_TEST(queued_notice_costs_no_cpu_with_no_descriptor_free)
{
	struct t_pair p;
	int64_t cpu;

	t_not_portable(T_NO_NOTICE);
	pair_with_notice(&p, _i);
	given(GRACECLOSE_FINISHED, 300);
	cpu = t_cpu_ms();
	t_fails(graceclose_with_no_descriptor_free(p.us), ETIMEDOUT);
	ck_assert_int_le(t_cpu_ms() - cpu, 30);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT, 1, 0);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

/*
 * Another holder aborts the connection while we wait.  Its
 * connect(AF_UNSPEC) leaves no error behind and starts the counts anew.
 */

static void
abort_it(int fd)
{
	abort_close(fd);
}

/* What the peer got, and that it was reset. */
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

/* The first count is taken too late then, and is none of ours. */
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
 * Ended twice.  Somebody else's connection has the number by then.
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

/* Delivered, but nobody has looked: the caller ended it all the same. */
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
 * FIN, then RST, whose error the program has taken, and nothing is left to be
 * acknowledged: that our FIN never left shows, but not where we connected.
 * Index: family, who connected; and bytes that were acknowledged, or none.
 */
START_TEST(reset_behind_a_fin_is_no_success_where_we_accepted)
{
	const int connected = _i % 2, sent = _i / 2 % 2;
	struct t_pair p;

	t_not_portable(T_NO_PAST);
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

/* The listener hears nothing, so that the SYN stays unanswered. */
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

/* Every call that asks a socket of it fails with EBADF, yet it is open. */
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

/* A family that can stream, and be closed, but not told the end of. */
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
 * A thread of another network namespace than the connection's: sock_diag(7)
 * does not find MPTCP from there.
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
	pthread_t t;
	void *been;

	t_need(_i / 2);
	t_pair(&p, _i / 2);
	t_write(p.us, 1000);
	if (_i % 2 == 0)
		fin_arrives(&p);
	given(GRACECLOSE_FINISHED, 300);
	a.fd = p.us;
	t_thread(&t, close_abroad, &a);
	ck_assert_int_eq(pthread_join(t, &been), 0);
	if (been == NULL) {
		t_close_pair(&p);
		t_skip("may not make a namespace");
	}
	t_released(p.us);
	ck_assert_int_eq(a.result, _i % 2 == 0 ? 0 : -1);
	t_error_is(a.error, _i % 2 == 0 ? T_ERRNO_UNTOUCHED : ETIMEDOUT);
	if (_i % 2 == 0)
		t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	t_saw(t_read_all(p.peer), 1000, 0);
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
	tc = t_case(s, "unread input");
	tcase_add_loop_test(tc, reset_behind_unread_input_is_econnreset, 0,
	    2 * NUNREAD * T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    more_than_discard_max_is_a_flood_after_an_orderly_end_too, 0,
	    T_ENDED);
	tcase_add_loop_test(tc,
	    until_delivered_a_flood_after_an_orderly_end_is_none, 0, T_ENDED);
	tcase_add_loop_test(tc,
	    exactly_discard_max_is_accepted_after_an_orderly_end_too, 0,
	    T_ENDED);
	tcase_add_loop_test(tc,
	    unix_peer_gets_our_data_and_eof_however_much_is_unread, 0, 2);
	tcase_add_loop_test(tc, end_discards_32_mebibytes_at_most, 0, 2);

	tc = t_case(s, "notices");
	tcase_add_loop_test(tc, queued_notice_does_not_keep_a_poll_loop_busy,
	    0, NNOTICES * T_PLAIN);
	tcase_add_loop_test(tc, queued_notice_does_not_hide_the_peers_fin, 0,
	    NNOTICES * T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    queued_notice_costs_no_cpu_with_no_descriptor_free, 0,
	    NNOTICES * T_PLAIN);
	tcase_add_loop_test(tc, descriptor_limit_of_0_costs_no_cpu, 0,
	    2 * T_ANY_PLAIN);
	tcase_add_loop_test(tc, descriptor_limit_of_0_moves_no_limit, 0,
	    T_ANY_PLAIN);

	tc = t_case(s, "end");
	tcase_add_loop_test(tc,
	    end_that_finds_it_delivered_is_still_the_callers, 0, T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    second_end_repeats_its_answer_and_closes_nothing, 0,
	    NENDS * T_PLAIN);
	what_is_shared(s);
	return t_main(s);
}
