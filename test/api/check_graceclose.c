/*
 * graceclose: the options, the report, and the count of unacknowledged bytes
 */
#include <sys/socket.h>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

/* Options with these limits, and a report with other bytes in it. */
static struct graceclose_opts o;
static struct graceclose_report r;

static void
given(int until, int on_expiry, int timeout_ms, int idle_ms)
{
	o = t_opts(until, on_expiry, timeout_ms, idle_ms);
	memset(&r, 0xaa, sizeof(r));
}

static void
took_us(uint64_t low, uint64_t high)
{
	ck_assert_uint_ge(r.elapsed_us, low);
	ck_assert_uint_le(r.elapsed_us, high);
}

/* What is written from now on stays unacknowledged. */
static void
cut(struct t_pair *p, size_t n)
{
	t_wait_outq(p->us, 0);
	t_drop(p->peer, T_DROP_ALL);
	t_write(p->us, n);
}

/*
 * Success
 */

START_TEST(no_options_and_no_report_will_do)
{
	struct t_reader peer;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.us, 1000);
	t_reader(&peer, p.peer, 1);
	t_ok(graceclose(p.us, NULL, NULL));
	t_released(p.us);
	t_saw(t_reader_join(&peer), 1000, 0);
}
END_TEST

START_TEST(report_of_a_success_is_complete)
{
	struct t_later l;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	given(0, 0, 0, 0);
	t_write(p.us, 1000);
	t_read(p.peer, 1000);
	t_write(p.peer, 54321);
	t_later(&l, 50, t_fin, p.peer);
	t_ok(graceclose(p.us, &o, &r));
	t_later_join(&l);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(r.unacked, 0);
	ck_assert_uint_eq(r.discarded, 54321);
	took_us(30000, 1000000);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(until_delivered_does_not_wait_for_the_peer)
{
	struct t_pair p;
	size_t left;

	t_not_portable(T_NO_ACK);
	t_need_any(_i);
	t_pair_any(&p, _i);
	given(GRACECLOSE_DELIVERED, GRACECLOSE_RESET, 5000, -1);
	t_write(p.us, 1000);
	left = t_take_if_local(p.peer, 1000);
	t_ok(graceclose(p.us, &o, &r));
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 0);
	ck_assert_uint_eq(r.unacked, 0);
	t_saw(t_read_all(p.peer), left, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(without_limits_the_peer_has_all_the_time)
{
	struct t_later l;
	struct t_pair p;

	t_need(_i);
	t_pair(&p, _i);
	given(0, 0, -1, -1);
	t_storm();
	t_later(&l, 200, t_fin, p.peer);
	t_clock(100);
	t_ok(graceclose(p.us, &o, &r));
	t_clock(1);
	t_storm_end();
	t_later_join(&l);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

/*
 * Promptness: the FIN and the last acknowledgement end the wait, not a timer.
 */

static int64_t
behind_the_fin(int family)
{
	struct t_later l;
	struct t_pair p;
	int64_t late;

	t_pair(&p, family);
	t_later(&l, 150, t_fin, p.peer);
	t_ok(graceclose(p.us, NULL, NULL));
	late = t_now_ms();
	late -= t_later_join(&l);
	ck_assert_int_ge(late, 0);
	t_close(p.peer);
	return late;
}

START_TEST(returns_as_soon_as_the_peers_fin_is_here)
{
	t_need(_i);
	t_prompt(behind_the_fin, _i, 60);
}
END_TEST

/*
 * The peer sent its FIN long ago, so there is nothing to read or to poll for.
 * It may acknowledge our FIN 40 ms late.
 */
static int64_t
from_the_peers_eof(int family)
{
	struct t_reader peer;
	struct t_pair p;
	int64_t end;
	size_t n;

	t_pair_small(&p, family);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	n = t_fill(p.us);
	t_reader_later(&peer, p.peer, 150);
	t_ok(graceclose(p.us, NULL, &r));
	end = t_now_ms();
	t_saw(t_reader_join(&peer), n, 0);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
	return llabs(end - peer.done_ms);
}

START_TEST(returns_soon_after_the_acknowledgement_that_follows_eof)
{
	t_need(_i);
	t_prompt(from_the_peers_eof, _i, 150);
}
END_TEST

static void
none(struct t_pair *p)
{
	(void)p;
}

static void
full(struct t_pair *p)
{
	t_fill(p->us);
}

static void
full_after_fin(struct t_pair *p)
{
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
	t_fill(p->us);
}

static void (*const waits[])(struct t_pair *) = {
	none, full, full_after_fin
};
#define NWAITS	3

#define FLOOD	((size_t)16 << 20)	/* more than queues hold */

static size_t behind_the_window;

static void
write_much_then_read(int peer)
{
	char *block = calloc(1, FLOOD);

	(void)send(peer, block, FLOOD, MSG_NOSIGNAL);
	(void)recv(peer, block, behind_the_window, MSG_WAITALL);
	free(block);
}

/*
 * The peer reads only when its own data has gone.  The looks of a close that
 * counts on events would be minutes apart here.  MPTCP takes minutes for so much
 * with windows like these, whoever reads.
 */
START_TEST(input_is_taken_while_an_acknowledgement_is_awaited)
{
	struct t_later l;
	struct t_pair p;

	o = t_opts(GRACECLOSE_DELIVERED, GRACECLOSE_DETACH, -1,
	    20 * T_LIMIT_MS);
	t_not_portable(T_NO_ACK);
	t_need(_i);
	behind_the_window = t_pair_full(&p, _i);
	t_later(&l, 50, write_much_then_read, p.peer);
	t_ok(graceclose(p.us, &o, &r));
	t_later_join(&l);
	ck_assert_int_eq(r.delivered, 1);
	ck_assert_uint_gt(r.discarded, FLOOD / 2);
	t_close(p.peer);
}
END_TEST

/* Level POLLOUT, POLLIN after EOF and POLLHUP are all ready meanwhile. */
START_TEST(waiting_costs_next_to_no_cpu)
{
	struct t_pair p;
	int64_t cpu;

	t_need(_i / NWAITS);
	t_pair_small(&p, _i / NWAITS);
	waits[_i % NWAITS](&p);
	given(0, 0, 1000, -1);
	cpu = t_cpu_ms();
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	ck_assert_int_le(t_cpu_ms() - cpu, T_IDLE_CPU_MS);
	t_close(p.peer);
}
END_TEST

/*
 * Limits
 */

/* Long enough for a delivery on a busy host. */
#define SHORT_MS	400
#define SHORT_US	(SHORT_MS * 1000)

START_TEST(whole_close_is_limited)
{
	struct t_pair p;

	t_need(_i);
	t_pair(&p, _i);
	given(0, 0, SHORT_MS, -1);
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT,
	    T_KNOWS(1, _i == T_UNIX), 0);
	took_us(SHORT_US - 1000, SHORT_US + 1000000);
	ck_assert_uint_eq(r.unacked, 0);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(silence_is_limited)
{
	struct t_pair p;

	t_need(_i);
	t_pair(&p, _i);
	given(0, 0, -1, SHORT_MS);
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT,
	    T_KNOWS(1, _i == T_UNIX), 0);
	took_us(SHORT_US - 1000, SHORT_US + 1000000);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(signals_do_not_move_the_limits)
{
	struct t_pair p;

	t_need(_i / 2);
	t_pair(&p, _i / 2);
	given(0, 0, _i % 2 == 0 ? SHORT_MS : -1,
	    _i % 2 == 0 ? -1 : SHORT_MS);
	t_storm();
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	ck_assert_int_gt(t_storm_end(), 2);
	took_us(SHORT_US - 1000, SHORT_US + 1000000);
	t_close(p.peer);
}
END_TEST

/*
 * Ends such a sender: an MPTCP peer does not notice by itself that our side is
 * closed.
 */
static void
stop(pthread_t t, int fd)
{
	shutdown(fd, SHUT_RDWR);
	t_join(t);
	t_close(fd);
}

static void *
trickle(void *arg)
{
	int fd = *(int *)arg;

	while (send(fd, "x", 1, MSG_NOSIGNAL) == 1)
		usleep(20000);
	return NULL;
}

static void
close_with_a_talker(int family)
{
	struct t_pair p;
	pthread_t t;

	t_pair(&p, family);
	t_thread(&t, trickle, &p.peer);
	given(0, 0, 600, 300);
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	stop(t, p.peer);
}

START_TEST(input_is_progress_but_the_whole_stays_limited)
{
	int tries = 0;

	t_need(_i);
	do
		close_with_a_talker(_i);
	while (r.elapsed_us < 599000 && ++tries < T_TRIES);
	took_us(599000, 1600000);
	ck_assert_uint_gt(r.discarded, 5);
}
END_TEST

static int
close_with_a_slow_reader(int family)
{
	struct t_reader peer;
	struct t_pair p;
	int result;
	size_t n;

	t_pair_small(&p, family);
	n = t_fill(p.us);
	t_reader_slow(&peer, p.peer);
	given(0, 0, -1, 350);
	errno = T_ERRNO_UNTOUCHED;
	result = graceclose(p.us, &o, &r);
	t_error_is(errno, result == 0 ? T_ERRNO_UNTOUCHED : ETIMEDOUT);
	t_saw(t_reader_join(&peer), n, 0);
	t_close(p.peer);
	return result;
}

/* The whole close takes longer than the idle limit. */
START_TEST(acknowledgement_is_progress)
{
	int tries = 0, result;

	t_not_portable(T_NO_ACK);
	do
		result = close_with_a_slow_reader(_i);
	while (result != 0 && ++tries < T_TRIES);
	ck_assert_int_eq(result, 0);
	took_us(370000, 8000000);
}
END_TEST

START_TEST(exactly_discard_max_is_accepted)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.peer, 10000);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	given(0, 0, 0, 0);
	o.discard_max = 10000;
	t_ok(graceclose(p.us, &o, &r));
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(r.discarded, 10000);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(one_byte_beyond_discard_max_is_a_flood)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.peer, 10001);
	t_wait_inq(p.us, 10001);
	given(0, 0, 0, 0);
	o.discard_max = 10000;
	t_fails(graceclose(p.us, &o, &r), EMSGSIZE);
	t_released(p.us);
	ck_assert_int_eq(r.outcome, GRACECLOSE_FLOODED);
	ck_assert_str_eq(t_errno(r.error), "EMSGSIZE");
	ck_assert_int_eq(r.finished, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(flooding_peer_is_stopped_by_discard_max)
{
	struct t_pair p;
	pthread_t t;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_thread(&t, t_flood, &p.peer);
	given(0, 0, 0, 0);
	o.discard_max = 3000000;
	t_fails(graceclose(p.us, &o, &r), EMSGSIZE);
	t_released(p.us);
	ck_assert_int_eq(r.outcome, GRACECLOSE_FLOODED);
	stop(t, p.peer);
}
END_TEST

START_TEST(flooding_peer_is_stopped_by_the_timeout)
{
	struct t_pair p;
	pthread_t t;

	t_need(_i);
	t_pair(&p, _i);
	t_thread(&t, t_flood, &p.peer);
	given(0, 0, 150, 0);
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	t_released(p.us);
	took_us(149000, 1200000);
	ck_assert_uint_gt(r.discarded, 0);
	stop(t, p.peer);
}
END_TEST

/*
 * On expiry
 */

static const int linger_seconds[] = { 0, 5 };

START_TEST(detached_close_delivers_in_the_background)
{
	struct t_pair p;
	size_t n;

	t_need(_i / 2);
	t_pair_small(&p, _i / 2);
	t_linger(p.us, linger_seconds[_i % 2]);
	n = t_fill(p.us);
	given(0, GRACECLOSE_DETACH, 100, -1);
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	took_us(99000, 1100000);
	t_saw(t_read_all(p.peer), n, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(reset_on_expiry_destroys_the_rest)
{
	struct t_got got;
	struct t_pair p;
	size_t n;
	int copy;

	t_pair_small(&p, _i);
	copy = dup(p.us);
	n = t_fill(p.us);
	given(0, GRACECLOSE_RESET, 100, -1);
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	t_wait_dead(p.peer);
	got = t_read_all(p.peer);
	ck_assert_str_eq(t_errno(got.error), "ECONNRESET");
	t_accounts_for(&r, got.bytes, n);
	t_close(copy);
	t_close(p.peer);
}
END_TEST

/* Delivered, but the peer does not finish. */
START_TEST(reset_on_expiry_ends_a_delivered_connection_too)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	given(0, GRACECLOSE_RESET, 100, -1);
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT, T_KNOWS(1, 0), 0);
	t_wait_dead(p.peer);
	ck_assert_str_eq(t_errno(t_try_write(p.peer)), "EPIPE");
	t_close(p.peer);
}
END_TEST

START_TEST(finished_without_delivered_is_reported)
{
	struct t_pair p;
	size_t n;

	t_pair_small(&p, _i);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	n = t_fill(p.us);
	given(0, GRACECLOSE_DETACH, 150, -1);
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT, 0, T_KNOWS(1, 0));
	t_accounts_for(&r, t_inq(p.peer), n);
	t_saw(t_read_all(p.peer), n, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(vanished_peer_expires)
{
	struct t_pair p;

	t_need_filters();
	t_need_repair();
	t_pair_any(&p, _i);
	t_drop(p.us, T_DROP_ALL);
	t_vanish(p.peer);
	t_write(p.us, 777);
	given(0, _i % 2, 5000, 100);
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	ck_assert_uint_eq(r.unacked, T_KNOWS(777, 0));
	took_us(99000, 1100000);
}
END_TEST

/*
 * Unacknowledged bytes
 */

START_TEST(unacked_is_exact_after_expiry)
{
	struct t_pair p;

	t_need_filters();
	t_pair_any(&p, _i);
	t_write(p.us, 1000);
	cut(&p, 2345);
	given(0, 0, 100, -1);
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	ck_assert_uint_eq(r.unacked, T_KNOWS(2345, 0));
	t_close(p.peer);
}
END_TEST

START_TEST(lost_fin_alone_counts_as_no_byte)
{
	struct t_pair p;

	t_need_filters();
	t_pair_any(&p, _i);
	t_write(p.us, 1000);
	cut(&p, 0);
	given(0, 0, 100, -1);
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	ck_assert_uint_eq(r.unacked, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(own_shut_wr_before_counts_as_no_byte)
{
	struct t_pair p;

	t_need_filters();
	t_pair_any(&p, _i);
	cut(&p, 2345);
	t_fin(p.us);
	given(0, 0, 100, -1);
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	ck_assert_uint_eq(r.unacked, T_KNOWS(2345, 0));
	t_close(p.peer);
}
END_TEST

START_TEST(unacked_is_exact_after_a_reset)
{
	struct t_pair p;

	t_need_filters();
	t_pair_any(&p, _i);
	t_write(p.us, 1000);
	cut(&p, 2345);
	t_reset(p.peer);
	t_wait_reset(p.us);
	given(0, 0, 0, 0);
	t_fails(graceclose(p.us, &o, &r), ECONNRESET);
	t_report_is(&r, GRACECLOSE_WAS_RESET, ECONNRESET, 0, 0);
	ck_assert_uint_eq(r.unacked, T_KNOWS(2345, 0));
}
END_TEST

START_TEST(unacked_is_exact_after_a_reset_while_waiting)
{
	struct t_later l;
	struct t_pair p;

	t_need_filters();
	t_pair_any(&p, _i);
	cut(&p, 2345);
	t_later(&l, 50, t_reset, p.peer);
	given(0, 0, 0, 0);
	t_fails(graceclose(p.us, &o, &r), ECONNRESET);
	t_later_join(&l);
	t_report_is(&r, GRACECLOSE_WAS_RESET, ECONNRESET, 0, 0);
	ck_assert_uint_eq(r.unacked, T_KNOWS(2345, 0));
}
END_TEST

/* Every byte was acknowledged, and none was read. */
START_TEST(reset_by_a_peer_that_had_it_all_leaves_nothing_unacked)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.us, 1000);
	t_wait_inq(p.peer, 1000);
	t_wait_outq(p.us, 0);
	t_close(p.peer);
	t_wait_reset(p.us);
	given(0, 0, 0, 0);
	t_fails(graceclose(p.us, &o, &r), ECONNRESET);
	ck_assert_int_eq(r.outcome, GRACECLOSE_WAS_RESET);
	ck_assert_uint_eq(r.unacked, 0);
}
END_TEST

START_TEST(graceclose_unacked_follows_the_connection)
{
	struct t_pair p;

	t_not_portable(T_NO_COUNT);
	t_need_filters();
	t_pair_any(&p, _i);
	t_ok((int)graceclose_unacked(p.us));
	t_write(p.us, 1000);
	t_wait_outq(p.us, 0);
	t_ok((int)graceclose_unacked(p.us));
	cut(&p, 2345);
	t_returns((int)graceclose_unacked(p.us), 2345);
	t_fin(p.us);
	t_returns((int)graceclose_unacked(p.us), 2345);
	t_heal(p.peer);
	t_wait_outq(p.us, 0);
	t_ok((int)graceclose_unacked(p.us));
	t_close_pair(&p);
}
END_TEST

START_TEST(graceclose_unacked_works_after_a_reset)
{
	struct t_pair p;

	t_not_portable(T_NO_COUNT);
	t_need_filters();
	t_pair_any(&p, _i);
	t_write(p.us, 1000);
	cut(&p, 2345);
	t_reset(p.peer);
	t_wait_reset(p.us);
	t_returns((int)graceclose_unacked(p.us), 2345);
	t_returns((int)graceclose_unacked(p.us), 2345);
	t_saw(t_read_all(p.us), 0, ECONNRESET);
	t_returns((int)graceclose_unacked(p.us), 2345);
	t_close(p.us);
}
END_TEST

START_TEST(graceclose_unacked_of_no_connection_has_its_errno)
{
	int fd;

	t_need(t_odds[_i].family);
	fd = t_odd_open(&t_odds[_i]);
	t_fails((int)graceclose_unacked(fd), t_odds[_i].error);
	t_close(fd);
	t_fails((int)graceclose_unacked(fd), EBADF);
}
END_TEST

/*
 * Bad options, bad descriptors
 */

START_TEST(bad_option_is_einval_and_touches_nothing)
{
	struct t_pair p;

	t_pair(&p, T_IPV4);
	t_fails(graceclose(p.us, &t_bad_opts[_i], &r), EINVAL);
	t_fails(graceclose(p.us, &t_bad_opts[_i], NULL), EINVAL);
	/* Not even a FIN went out. */
	t_write(p.us, 10);
	t_read(p.peer, 10);
	t_write(p.peer, 10);
	t_read(p.us, 10);
	ck_assert_int_eq(t_state(p.us), TCP_ESTABLISHED);
	t_close_pair(&p);
}
END_TEST

START_TEST(what_is_no_connection_is_reported_as_invalid)
{
	int fd;

	t_need(t_odds[_i].family);
	fd = t_odd_open(&t_odds[_i]);
	given(0, 0, 0, 0);
	t_fails(graceclose(fd, &o, &r), t_odds[_i].error);
	t_released(fd);
	t_report_is(&r, GRACECLOSE_INVALID, t_odds[_i].error, 0, 0);
	ck_assert_uint_eq(r.unacked, 0);
	ck_assert_uint_eq(r.discarded, 0);
}
END_TEST

START_TEST(no_descriptor_is_ebadf)
{
	given(0, 0, 0, 0);
	t_fails(graceclose(-1, NULL, NULL), EBADF);
	t_fails(graceclose(INT32_MAX, &o, &r), EBADF);
}
END_TEST

static void
success_and_limits(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "success");
	tcase_add_loop_test(tc, no_options_and_no_report_will_do, 0, T_ANY);
	tcase_add_loop_test(tc, report_of_a_success_is_complete, 0, T_ANY);
	tcase_add_loop_test(tc, until_delivered_does_not_wait_for_the_peer, 0,
	    T_ANY);
	tcase_add_loop_test(tc, without_limits_the_peer_has_all_the_time, 0,
	    T_FAMILIES);

	tc = t_case(s, "promptness");
	tcase_add_loop_test(tc, returns_as_soon_as_the_peers_fin_is_here, 0,
	    T_FAMILIES);
	tcase_add_loop_test(tc,
	    returns_soon_after_the_acknowledgement_that_follows_eof, 0, T_TCP);
	tcase_add_loop_test(tc,
	    input_is_taken_while_an_acknowledgement_is_awaited, 0, T_PLAIN);
	tcase_add_loop_test(tc, waiting_costs_next_to_no_cpu, 0, NWAITS);

	tc = t_case(s, "limits");
	tcase_add_loop_test(tc, whole_close_is_limited, 0, T_FAMILIES);
	tcase_add_loop_test(tc, silence_is_limited, 0, T_FAMILIES);
	tcase_add_loop_test(tc, signals_do_not_move_the_limits, 0, 2 * T_TCP);
	tcase_add_loop_test(tc, input_is_progress_but_the_whole_stays_limited,
	    0, T_PLAIN);
	tcase_add_loop_test(tc, acknowledgement_is_progress, 0, T_PLAIN);
	tcase_add_loop_test(tc, exactly_discard_max_is_accepted, 0, T_ANY);
	tcase_add_loop_test(tc, one_byte_beyond_discard_max_is_a_flood, 0,
	    T_ANY);
	tcase_add_loop_test(tc, flooding_peer_is_stopped_by_discard_max, 0,
	    T_ANY);
	tcase_add_loop_test(tc, flooding_peer_is_stopped_by_the_timeout, 0,
	    T_FAMILIES);
}

static void
expiry_and_unacked(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "expiry");
	tcase_add_loop_test(tc, detached_close_delivers_in_the_background, 0,
	    2 * T_TCP);
	tcase_add_loop_test(tc, reset_on_expiry_destroys_the_rest, 0, T_PLAIN);
	tcase_add_loop_test(tc,
	    reset_on_expiry_ends_a_delivered_connection_too, 0, T_ANY_TCP);
	tcase_add_loop_test(tc, finished_without_delivered_is_reported, 0,
	    T_PLAIN);
	tcase_add_loop_test(tc, vanished_peer_expires, 0, T_ANY_PLAIN);

	tc = t_case(s, "unacked");
	tcase_add_loop_test(tc, unacked_is_exact_after_expiry, 0, T_ANY_PLAIN);
	tcase_add_loop_test(tc, lost_fin_alone_counts_as_no_byte, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, own_shut_wr_before_counts_as_no_byte, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, unacked_is_exact_after_a_reset, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, unacked_is_exact_after_a_reset_while_waiting,
	    0, T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    reset_by_a_peer_that_had_it_all_leaves_nothing_unacked, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, graceclose_unacked_follows_the_connection, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, graceclose_unacked_works_after_a_reset, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    graceclose_unacked_of_no_connection_has_its_errno, 0, T_ODDS);
}

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("graceclose");
	success_and_limits(s);
	expiry_and_unacked(s);
	tc = t_case(s, "invalid");
	tcase_add_loop_test(tc, bad_option_is_einval_and_touches_nothing, 0,
	    T_BAD_OPTS);
	tcase_add_loop_test(tc, what_is_no_connection_is_reported_as_invalid,
	    0, T_ODDS);
	tcase_add_test(tc, no_descriptor_is_ebadf);
	return t_main(s);
}
