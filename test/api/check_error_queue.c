/*
 * Notices in the error queue, and a process with no free descriptor: neither
 * costs CPU time nor hides the peer's FIN
 */
#include <sys/resource.h>
#include <sys/socket.h>

#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <poll.h>
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
 * poll(2) then does not wait for any descriptor, and returns EINVAL.  Index:
 * whether the close has limits, and which pair.
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

/* Without epoll the blocking close has only level-triggered poll(2). */
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

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("error queue");
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
	return t_main(s);
}
