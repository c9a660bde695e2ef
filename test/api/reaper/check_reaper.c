/*
 * graceclose_reaper: closes that nobody waits for
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <linux/net_tstamp.h>
#include <netinet/tcp.h>

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

#define SOON_MS		500	/* late, on a machine with much to do */
#define MANY		1000

static struct graceclose_reaper *reaper;
static struct graceclose_reaper_stats st;
static struct graceclose_opts o;
static struct t_verdict v[MANY];

static void
start_with_done(unsigned max, int when_full, void (*done)(void *, void *,
    const struct graceclose_report *))
{
	reaper = t_reaper(&(struct graceclose_reaper_opts){
	    .max = max, .when_full = when_full, .done = done, .arg = &reaper });
}

static void
start_limited(unsigned max, int when_full)
{
	start_with_done(max, when_full, t_done);
}

static void
start(void)
{
	start_limited(0, GRACECLOSE_REFUSE);
}

static void
stop(void)
{
	t_reaper_free(reaper);
}

static void
unlimited(void)
{
	o = t_opts(GRACECLOSE_FINISHED, GRACECLOSE_DETACH, -1, -1);
}

static void
submit(struct t_verdict *verdict, int fd)
{
	memset(verdict, 0, sizeof(*verdict));
	verdict->fd = fd;
	t_ok(graceclose_reaper_close(reaper, fd, &o, verdict));
}

static void
flush(void)
{
	t_ok(graceclose_reaper_flush(reaper, T_LIMIT_MS));
}

static void
look(void)
{
	memset(&st, 0xaa, sizeof(st));
	errno = T_ERRNO_UNTOUCHED;
	graceclose_reaper_stats(reaper, &st);
	ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);
	ck_assert_uint_eq(st.reserved[0] | st.reserved[1] | st.reserved[2] |
	    st.reserved[3], 0);
	ck_assert_uint_le(st.evicted, st.aborted);
	ck_assert_uint_le(st.now, st.peak);
}

/* So many are over, all of them with this outcome. */
static void
counted(int outcome, uint64_t n)
{
	uint64_t by[6];
	int i;

	look();
	by[GRACECLOSE_OK] = st.ok;
	by[GRACECLOSE_WAS_RESET] = st.reset;
	by[GRACECLOSE_EXPIRED] = st.expired;
	by[GRACECLOSE_FLOODED] = st.flooded;
	by[GRACECLOSE_ABORTED] = st.aborted;
	by[GRACECLOSE_INVALID] = st.invalid;
	for (i = 0; i < 6; i++)
		ck_assert_uint_eq(by[i], i == outcome ? n : 0);
}

static void
under_way(unsigned n)
{
	look();
	ck_assert_uint_eq(st.now, n);
}

/* AF_UNIX: cheap where only the number matters. */
static void
cheap_pair(struct t_pair *p)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    fds), 0);
	p->us = fds[0];
	p->peer = fds[1];
}

static void
peer_fin(struct t_pair *p)
{
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
}

static void
peer_gets_reset(int peer)
{
	t_wait_dead(peer);
	ck_assert_str_eq(t_errno(t_read_all(peer).error), "ECONNRESET");
}

/* Where the peer had read everything, the error may be EPIPE only. */
static void
peer_is_dead(int peer)
{
	t_wait_dead(peer);
	ck_assert_str_eq(t_errno(t_try_write(peer)), "EPIPE");
}

static void
untouched(struct t_pair *p)
{
	ck_assert_int_ne(fcntl(p->us, F_GETFD), -1);
	t_write(p->us, 10);
	t_read(p->peer, 10);
	t_write(p->peer, 10);
	t_read(p->us, 10);
	t_fails((int)recv(p->peer, &(char){ 0 }, 1, MSG_DONTWAIT), EAGAIN);
}

/*
 * To the end
 */

START_TEST(peer_reads_all_and_closes_later)
{
	struct t_reader peer;
	struct t_pair p;

	t_need_any(_i);
	start();
	t_pair_any(&p, _i);
	t_write(p.us, 100000);
	o = t_opts(0, 0, 0, 0);
	submit(&v[0], p.us);
	t_write(p.peer, 5000);
	t_pause(20);
	ck_assert_int_eq(t_told(&v[0]), 0);
	under_way(1);
	t_reader(&peer, p.peer, 1);
	t_saw(t_reader_join(&peer), 100000, 0);
	flush();
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(v[0].report.unacked, 0);
	ck_assert_uint_eq(v[0].report.discarded, 5000);
	ck_assert_uint_ge(v[0].report.elapsed_us, 19000);
	ck_assert_uint_le(v[0].report.elapsed_us, 2000000);
	ck_assert_ptr_eq(v[0].arg, &reaper);
	ck_assert_int_eq(v[0].tid, t_named(T_REAPER));
	counted(GRACECLOSE_OK, 1);
	ck_assert_uint_eq(st.now, 0);
	ck_assert_uint_eq(st.peak, 1);
	stop();
}
END_TEST

static int64_t
behind_the_fin(int family)
{
	struct t_later l;
	struct t_pair p;
	int64_t late;

	start();
	t_pair(&p, family);
	unlimited();
	submit(&v[0], p.us);
	t_later(&l, 100, t_fin, p.peer);
	flush();
	late = v[0].at_ms - t_later_join(&l);
	ck_assert_int_ge(late, 0);
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
	stop();
	return late;
}

START_TEST(verdict_comes_as_soon_as_the_peers_fin)
{
	t_need(_i);
	t_prompt(behind_the_fin, _i, 100);
}
END_TEST

/*
 * Nothing is left to be read, and nothing is there to expire: the edge of the
 * last acknowledgement is what ends this, for looks are rarer.
 */
static int64_t
from_the_last_acknowledgement(int i)
{
	struct t_reader peer;
	struct t_pair p;
	size_t n;

	start();
	t_pair_small(&p, i / 2);
	unlimited();
	if (i % 2 == 1)
		peer_fin(&p);
	else
		o.until = GRACECLOSE_DELIVERED;
	n = t_fill(p.us);
	submit(&v[0], p.us);
	t_reader_later(&peer, p.peer, 300);
	flush();
	t_saw(t_reader_join(&peer), n, 0);
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, i % 2);
	t_close(p.peer);
	stop();
	return llabs(v[0].at_ms - peer.done_ms);
}

START_TEST(verdict_comes_with_the_last_acknowledgement)
{
	if (_i % 2 == 0)
		t_not_portable(T_NO_ACK);
	t_need(_i / 2);
	t_prompt(from_the_last_acknowledgement, _i, 100);
}
END_TEST

/* The FIN comes first, and our data is acknowledged after it. */
static int64_t
from_the_delivery_behind_a_fin(int family)
{
	struct t_reader peer;
	struct t_pair p;
	size_t n;

	start();
	t_pair_small(&p, family);
	n = t_fill(p.us);
	unlimited();
	submit(&v[0], p.us);
	t_fin(p.peer);
	t_reader_later(&peer, p.peer, 300);
	t_pause(200);
	ck_assert_int_eq(t_told(&v[0]), 0);
	flush();
	t_saw(t_reader_join(&peer), n, 0);
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
	stop();
	return llabs(v[0].at_ms - peer.done_ms);
}

START_TEST(verdict_waits_for_delivery_after_a_fin_that_came_meanwhile)
{
	t_need(_i);
	t_prompt(from_the_delivery_behind_a_fin, _i, 100);
}
END_TEST

/* The peer talks only TCP: such a descriptor has edges of its own. */
START_TEST(mptcp_that_fell_back_is_no_different)
{
	struct t_pair p;
	size_t n;
	int lfd, size = 32768;

	t_need(T_MPTCP);
	start();
	lfd = t_listen(T_IPV4);
	ck_assert_int_eq(setsockopt(lfd, SOL_SOCKET, SO_RCVBUF, &size,
	    sizeof(size)), 0);
	p.us = t_connect(T_MPTCP, lfd);
	p.peer = t_accept(lfd);
	t_close(lfd);
	unlimited();
	if (_i == 1)
		peer_fin(&p);
	n = t_fill(p.us);
	submit(&v[0], p.us);
	t_saw(t_read_all(p.peer), n, 0);
	if (_i == 0)
		t_fin(p.peer);
	flush();
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
	stop();
}
END_TEST

START_TEST(until_delivered_does_not_wait_for_the_peer)
{
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	t_need_any(_i);
	start();
	t_pair_any(&p, _i);
	o = t_opts(GRACECLOSE_DELIVERED, GRACECLOSE_RESET, 5000, -1);
	t_write(p.us, 1000);
	submit(&v[0], p.us);
	flush();
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 0);
	t_saw(t_read_all(p.peer), 1000, 0);
	t_close(p.peer);
	counted(GRACECLOSE_OK, 1);
	stop();
}
END_TEST

/* Where recv says EOF all the time, the peer's FIN must be seen otherwise. */
START_TEST(own_shut_rd_is_not_taken_for_the_peers_fin)
{
	struct t_later l;
	struct t_pair p;

	t_need_any(_i);
	start();
	t_pair_any(&p, _i);
	ck_assert_int_eq(shutdown(p.us, SHUT_RD), 0);
	unlimited();
	submit(&v[0], p.us);
	t_later(&l, 100, t_fin, p.peer);
	flush();
	t_between(v[0].at_ms - t_later_join(&l), 0, SOON_MS);
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
	stop();
}
END_TEST

static const int linger_seconds[] = { 0, 5 };

START_TEST(inherited_linger_neither_resets_nor_blocks)
{
	struct t_pair p, q;
	int64_t begin;
	size_t n;

	t_need(_i / 2);
	start();
	t_pair_small(&p, _i / 2);
	t_pair(&q, _i / 2);
	t_linger(p.us, linger_seconds[_i % 2]);
	n = t_fill(p.us);
	o = t_opts(0, GRACECLOSE_DETACH, 50, -1);
	begin = t_now_ms();
	submit(&v[0], p.us);
	o = t_opts(0, GRACECLOSE_DETACH, 100, -1);
	submit(&v[1], q.us);
	flush();
	t_between(t_now_ms() - begin, 99, 1200);
	t_verdict_is(&v[0], GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	t_verdict_is(&v[1], GRACECLOSE_EXPIRED, ETIMEDOUT,
	    T_KNOWS(1, 0), 0);
	t_saw(t_read_all(p.peer), n, 0);
	t_saw(t_read_all(q.peer), 0, 0);
	t_close(p.peer);
	t_close(q.peer);
	stop();
}
END_TEST

START_TEST(many_closes_end_together)
{
	static struct t_pair p[100];
	int i, later;

	t_need(_i);
	start();
	unlimited();
	for (i = 0; i < 100; i++) {
		t_pair(&p[i], _i);
		t_write(p[i].us, 1000);
		submit(&v[i], p[i].us);
	}
	look();
	ck_assert_uint_eq(st.now, 100);
	ck_assert_uint_eq(st.peak, 100);
	for (i = 0; i < 100; i++) {
		later = 99 - i;
		t_read(p[later].peer, 1000);
		t_close(p[later].peer);
	}
	flush();
	for (i = 0; i < 100; i++)
		t_verdict_is(&v[i], GRACECLOSE_OK, 0, 1, 1);
	counted(GRACECLOSE_OK, 100);
	ck_assert_uint_eq(st.now, 0);
	ck_assert_uint_eq(st.peak, 100);
	stop();
}
END_TEST

START_TEST(neither_options_nor_done_are_needed)
{
	struct t_pair p[2];
	int i;

	reaper = t_reaper(NULL);
	t_pair(&p[0], _i);
	t_pair(&p[1], _i);
	t_fin(p[0].peer);
	for (i = 0; i < 2; i++) {
		t_write(p[i].us, 100);
		t_ok(graceclose_reaper_close(reaper, p[i].us, NULL, NULL));
		t_fin(p[i].peer);
		t_saw(t_read_all(p[i].peer), 100, 0);
	}
	flush();
	for (i = 0; i < 2; i++) {
		t_released(p[i].us);
		t_close(p[i].peer);
	}
	counted(GRACECLOSE_OK, 2);
	stop();
}
END_TEST

/*
 * Over at once: in the caller's thread, before close returns.
 */

static int
over_at_once(int family, uint64_t turns)
{
	struct t_pair p;

	t_pair(&p, family);
	t_write(p.us, 1000);
	t_read(p.peer, 1000);
	peer_fin(&p);
	submit(&v[0], p.us);
	if (t_told(&v[0]) == 0 || v[0].tid != gettid()) {
		flush();
		t_close(p.peer);
		return 0;
	}
	ck_assert_uint_eq(t_turns(t_named(T_REAPER)), turns);
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	ck_assert_ptr_eq(v[0].arg, &reaper);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
	return 1;
}

/*
 * On loopback our FIN is acknowledged before shutdown(2) returns, unless the
 * kernel leaves the work to ksoftirqd, or MPTCP's worker; hence the tries, as
 * many as there is time for.
 */
START_TEST(peer_that_had_closed_is_over_in_the_callers_thread)
{
	int64_t end;
	int tries;

	t_need(_i);
	start();
	o = t_opts(0, 0, 0, 0);
	end = t_now_ms() + T_LIMIT_MS;
	tries = 0;
	do {
		if (t_now_ms() > end && _i == T_MPTCP) {
			stop();
			t_skip("MPTCP's worker was never in time");
		}
		ck_assert_int_le(t_now_ms(), end);
		t_wait_asleep(t_named(T_REAPER), 50);
		tries++;
	} while (!over_at_once(_i, t_turns(t_named(T_REAPER))));
	counted(GRACECLOSE_OK, (uint64_t)tries);
	ck_assert_uint_eq(st.now, 0);
	stop();
}
END_TEST

START_TEST(connection_that_had_ended_is_over_in_the_callers_thread)
{
	struct t_pair p;

	t_need_any(_i);
	start();
	t_pair_any(&p, _i);
	t_write(p.peer, 100);
	t_fin(p.us);
	t_wait_poll(p.peer, POLLRDHUP);
	t_close(p.peer);
	t_wait_dead(p.us);
	t_wait_outq(p.us, 0);
	o = t_opts(0, 0, 0, 0);
	submit(&v[0], p.us);
	if (T_PORTABLE && _i / 2 != T_UNIX)
		t_verdict_is(&v[0], GRACECLOSE_INVALID, ENOTCONN, 0, 0);
	else
		t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(v[0].report.discarded, 100);
	ck_assert_int_eq(v[0].tid, gettid());
	counted(v[0].report.outcome, 1);
	stop();
}
END_TEST

START_TEST(dead_connection_is_over_in_the_callers_thread)
{
	struct t_pair p;

	t_need_any(_i);
	start();
	t_pair_any(&p, _i);
	t_reset(p.peer);
	t_wait_reset(p.us);
	o = t_opts(0, 0, 0, 0);
	submit(&v[0], p.us);
	t_verdict_is(&v[0], GRACECLOSE_WAS_RESET, ECONNRESET, 0, 0);
	ck_assert_int_eq(v[0].tid, gettid());
	counted(GRACECLOSE_WAS_RESET, 1);
	stop();
}
END_TEST

START_TEST(what_is_no_connection_is_invalid_in_the_callers_thread)
{
	int fd;

	t_need(t_odds[_i].family);
	start();
	fd = t_odd_open(&t_odds[_i]);
	o = t_opts(0, 0, 0, 0);
	submit(&v[0], fd);
	t_verdict_is(&v[0], GRACECLOSE_INVALID, t_odds[_i].error, 0, 0);
	ck_assert_uint_eq(v[0].report.unacked, 0);
	ck_assert_uint_eq(v[0].report.discarded, 0);
	ck_assert_int_eq(v[0].tid, gettid());
	counted(GRACECLOSE_INVALID, 1);
	ck_assert_uint_eq(st.now, 0);
	stop();
}
END_TEST

/*
 * Failures of the connection
 */

START_TEST(reset_while_waiting_is_econnreset)
{
	struct t_later l;
	struct t_pair p;

	t_need_any(_i);
	start();
	t_pair_any(&p, _i);
	unlimited();
	submit(&v[0], p.us);
	t_later(&l, 100, t_reset, p.peer);
	flush();
	t_between(v[0].at_ms - t_later_join(&l), 0, SOON_MS);
	t_verdict_is(&v[0], GRACECLOSE_WAS_RESET, ECONNRESET,
	    T_KNOWS(1, 0), 0);
	ck_assert_int_eq(v[0].tid, t_named(T_REAPER));
	counted(GRACECLOSE_WAS_RESET, 1);
	stop();
}
END_TEST

START_TEST(unacked_is_exact_after_a_reset)
{
	struct t_later l;
	struct t_pair p;

	start();
	t_pair_any(&p, _i);
	t_write(p.us, 1000);
	t_wait_outq(p.us, 0);
	t_drop(p.peer, T_DROP_ALL);
	t_write(p.us, 2345);
	unlimited();
	submit(&v[0], p.us);
	t_later(&l, 50, t_reset, p.peer);
	flush();
	t_later_join(&l);
	t_verdict_is(&v[0], GRACECLOSE_WAS_RESET, ECONNRESET, 0, 0);
	ck_assert_uint_eq(v[0].report.unacked, T_KNOWS(2345, 0));
	stop();
}
END_TEST

static void
send_5000(int fd)
{
	t_write(fd, 5000);
}

/* The cap is passed before the close, or while the thread has it. */
START_TEST(more_than_discard_max_is_a_flood)
{
	struct t_later l;
	struct t_pair p;

	t_need_any(_i / 2);
	start();
	t_pair_any(&p, _i / 2);
	unlimited();
	o.discard_max = 1999;
	if (_i % 2 == 0) {
		send_5000(p.peer);
		t_wait_inq(p.us, 5000);
		submit(&v[0], p.us);
		ck_assert_int_eq(v[0].tid, gettid());
	} else {
		submit(&v[0], p.us);
		t_later(&l, 20, send_5000, p.peer);
		flush();
		t_later_join(&l);
		ck_assert_int_eq(v[0].tid, t_named(T_REAPER));
	}
	t_verdict_is(&v[0], GRACECLOSE_FLOODED, EMSGSIZE,
	    v[0].report.delivered, 0);
	ck_assert_uint_eq(v[0].report.discarded, 2000);
	t_wait_dead(p.peer);
	t_close(p.peer);
	counted(GRACECLOSE_FLOODED, 1);
	stop();
}
END_TEST

/*
 * Limits
 */

static void
limited(int idle, int on_expiry, int limit_ms)
{
	if (idle)
		o = t_opts(0, on_expiry, -1, limit_ms);
	else
		o = t_opts(0, on_expiry, limit_ms, -1);
}

static void
expired_after(const struct t_verdict *verdict, int64_t begin, int64_t limit_ms)
{
	t_between(verdict->at_ms - begin, limit_ms - 1, limit_ms + SOON_MS);
	ck_assert_uint_ge(verdict->report.elapsed_us,
	    (uint64_t)(limit_ms - 1) * 1000);
	ck_assert_uint_le(verdict->report.elapsed_us,
	    (uint64_t)(limit_ms + SOON_MS) * 1000);
}

START_TEST(expiry_that_detaches_delivers_in_the_background)
{
	struct t_pair p;
	int64_t begin;
	size_t n;

	t_need(_i / 2);
	start();
	t_pair_small(&p, _i / 2);
	n = t_fill(p.us);
	limited(_i % 2, GRACECLOSE_DETACH, 150);
	begin = t_now_ms();
	submit(&v[0], p.us);
	flush();
	t_verdict_is(&v[0], GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	expired_after(&v[0], begin, 150);
	ck_assert_int_eq(v[0].report.unacked > 0, T_KNOWS(1, 0));
	t_saw(t_read_all(p.peer), n, 0);
	t_close(p.peer);
	counted(GRACECLOSE_EXPIRED, 1);
	stop();
}
END_TEST

START_TEST(expiry_that_resets_destroys_the_rest)
{
	struct t_got got;
	struct t_pair p;
	int64_t begin;
	size_t n;
	int copy;

	start();
	t_pair_small(&p, _i / 2);
	copy = dup(p.us);
	n = t_fill(p.us);
	limited(_i % 2, GRACECLOSE_RESET, 150);
	begin = t_now_ms();
	submit(&v[0], p.us);
	flush();
	t_verdict_is(&v[0], GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	expired_after(&v[0], begin, 150);
	t_wait_dead(p.peer);
	got = t_read_all(p.peer);
	ck_assert_str_eq(t_errno(got.error), "ECONNRESET");
	t_accounts_for(&v[0].report, got.bytes, n);
	t_close(copy);
	t_close(p.peer);
	counted(GRACECLOSE_EXPIRED, 1);
	stop();
}
END_TEST

/* Index: limit, what then, and family. */
START_TEST(peer_that_does_not_finish_expires)
{
	int family = _i / 4, on_expiry = _i / 2 % 2;
	struct t_pair p;
	int64_t begin;

	t_need(family);
	start();
	t_pair(&p, family);
	t_write(p.us, 100);
	t_read(p.peer, 100);
	limited(_i % 2, on_expiry, 300);
	begin = t_now_ms();
	submit(&v[0], p.us);
	flush();
	t_verdict_is(&v[0], GRACECLOSE_EXPIRED, ETIMEDOUT,
	    T_KNOWS(1, family == T_UNIX), 0);
	expired_after(&v[0], begin, 300);
	if (on_expiry == GRACECLOSE_RESET)
		peer_is_dead(p.peer);
	else
		t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
	stop();
}
END_TEST

static const int limits[] = { 1200, -1, 200, 3600000, 20, 700, 100 };
#define NLIMITS		7
#define NEXPIRING	5

/* Never by another's limit, and in the order of the limits. */
START_TEST(each_expires_in_its_own_time)
{
	struct t_pair p[NLIMITS];
	int64_t begin[NLIMITS];
	int i, k;

	start();
	for (i = 0; i < NLIMITS; i++) {
		t_pair(&p[i], T_IPV4);
		limited(_i, GRACECLOSE_DETACH, limits[i]);
		begin[i] = t_now_ms();
		submit(&v[i], p[i].us);
	}
	t_wait_told(&v[0]);
	for (i = 0; i < NLIMITS; i++) {
		if (limits[i] == -1 || limits[i] > 1200) {
			ck_assert_int_eq(t_told(&v[i]), 0);
			continue;
		}
		t_verdict_is(&v[i], GRACECLOSE_EXPIRED, ETIMEDOUT,
		    T_KNOWS(1, 0), 0);
		expired_after(&v[i], begin[i], limits[i]);
		for (k = 0; k < NLIMITS; k++)
			if (t_told(&v[k]) == 1 && limits[k] < limits[i])
				ck_assert_int_lt(v[k].place, v[i].place);
	}
	counted(GRACECLOSE_EXPIRED, NEXPIRING);
	ck_assert_uint_eq(st.now, NLIMITS - NEXPIRING);
	stop();
	t_verdict_is(&v[1], GRACECLOSE_ABORTED, ECANCELED,
	    T_KNOWS(1, 0), 0);
	t_verdict_is(&v[3], GRACECLOSE_ABORTED, ECANCELED,
	    T_KNOWS(1, 0), 0);
	for (i = 0; i < NLIMITS; i++) {
		t_saw(t_read_all(p[i].peer), 0, 0);
		t_close(p[i].peer);
	}
}
END_TEST

/* Among others that end before their limits, at any time. */
START_TEST(scattered_limits_expire_in_time)
{
	static struct t_pair p[MANY];
	static int64_t begin[MANY];
	static int limit[MANY];
	uint64_t chance = 1;
	int i, n = MANY / 2;

	start();
	for (i = 0; i < n; i++) {
		cheap_pair(&p[i]);
		limit[i] = 1 + (int)t_random(&chance, 600);
		limited(i / 2 % 2, GRACECLOSE_DETACH, limit[i]);
		begin[i] = t_now_ms();
		submit(&v[i], p[i].us);
		if (i % 2 == 1)
			t_close(p[i - 1].peer);
	}
	flush();
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(t_told(&v[i]), 1);
		if (v[i].report.outcome == GRACECLOSE_EXPIRED)
			expired_after(&v[i], begin[i], limit[i]);
		else if (i % 2 == 1)
			ck_abort_msg("limit of %d ms did not expire",
			    limit[i]);
		if (i % 2 == 1)
			t_close(p[i].peer);
	}
	look();
	ck_assert_uint_eq(st.ok + st.expired, (uint64_t)n);
	stop();
}
END_TEST

/* How late, with a thread that sleeps until another limit. */
static int64_t
lateness(int limit_ms)
{
	int64_t begin;
	struct t_pair p;

	cheap_pair(&p);
	limited(0, GRACECLOSE_DETACH, limit_ms);
	begin = t_now_ms();
	submit(&v[0], p.us);
	t_wait_told(&v[0]);
	t_close(p.peer);
	return v[0].at_ms - begin - limit_ms;
}

static int64_t
behind_the_shorter_limit(int limit_ms)
{
	struct t_pair p;
	int64_t late;

	cheap_pair(&p);
	limited(0, GRACECLOSE_DETACH, 150);
	submit(&v[1], p.us);
	t_wait_asleep(t_named(T_REAPER), 20);
	late = lateness(limit_ms);
	ck_assert_int_ge(late, -1);
	flush();
	t_close(p.peer);
	return late;
}

START_TEST(shorter_limit_wakes_the_thread)
{
	start();
	t_prompt(behind_the_shorter_limit, 60, 20);
	stop();
}
END_TEST

/* So long that all are submitted before the first is due. */
START_TEST(same_limit_of_many_expires_at_once)
{
	const int limit_ms = 500 * t_patience();
	static struct t_pair p[MANY];
	int64_t begin, last;
	int i;

	t_files(2 * MANY + 100);
	start();
	for (i = 0; i < MANY; i++)
		cheap_pair(&p[i]);
	limited(0, GRACECLOSE_DETACH, limit_ms);
	begin = t_now_ms();
	for (i = 0; i < MANY; i++)
		submit(&v[i], p[i].us);
	last = t_now_ms();
	flush();
	for (i = 0; i < MANY; i++) {
		t_verdict_is(&v[i], GRACECLOSE_EXPIRED, ETIMEDOUT, 1, 0);
		if (i > 0)
			ck_assert_int_gt(v[i].place, v[0].place);
		t_between(v[i].at_ms, begin + limit_ms - 1,
		    last + limit_ms + SOON_MS);
		t_saw(t_read_all(p[i].peer), 0, 0);
		t_close(p[i].peer);
	}
	counted(GRACECLOSE_EXPIRED, MANY);
	ck_assert_uint_eq(st.peak, MANY);
	stop();
}
END_TEST

/*
 * The clock of the library runs 400000 times faster, but the thread sleeps no
 * shorter for it: other closes wake it all the time.  So each of these has its
 * limit pass at some distance from where it was a moment before, on whatever
 * level of a wheel, in whatever slot it may have been.
 */
#define SPEED		400000

static const int long_limits[] = {	/* seconds */
	200000, 2000, 60000, 20000, 400000, 120000
};
#define NLONG		6

/* An event now, with limits that even this clock does not reach. */
static void
poke(void)
{
	struct t_verdict verdict;
	struct t_pair p;

	unlimited();
	cheap_pair(&p);
	submit(&verdict, p.us);
	t_close(p.peer);
	t_wait_told(&verdict);
}

START_TEST(limits_of_hours_and_days_expire_in_time)
{
	int64_t begin[NLONG], limit;
	struct t_pair p[NLONG];
	int i;

	t_clock(SPEED);
	start();
	for (i = 0; i < NLONG; i++) {
		cheap_pair(&p[i]);
		limited(_i, GRACECLOSE_DETACH, long_limits[i] * 1000);
		begin[i] = t_now_ms();
		submit(&v[i], p[i].us);
	}
	while (t_told(&v[4]) == 0) {
		ck_assert_int_lt(t_now_ms() - begin[0], T_LIMIT_MS);
		poke();
	}
	for (i = 0; i < NLONG; i++) {
		t_verdict_is(&v[i], GRACECLOSE_EXPIRED, ETIMEDOUT, 1, 0);
		limit = (int64_t)long_limits[i] * 1000 / SPEED;
		t_between(v[i].at_ms - begin[i], limit - 1, limit + SOON_MS);
		t_close(p[i].peer);
	}
	stop();
	t_clock(1);
}
END_TEST

/* 5 seconds of silence, and 30 in all. */
START_TEST(without_options_the_limits_are_those_of_graceful_close)
{
	int64_t begin;
	struct t_pair p;

	t_clock(50);
	start();
	cheap_pair(&p);
	memset(&v[0], 0, sizeof(v[0]));
	v[0].fd = p.us;
	begin = t_now_ms();
	t_ok(graceclose_reaper_close(reaper, p.us, NULL, &v[0]));
	while (t_told(&v[0]) == 0) {
		ck_assert_int_lt(t_now_ms() - begin, T_LIMIT_MS);
		/* It fails where the close is over, and not told of yet. */
		if (_i == 1)
			(void)send(p.peer, "x", 1, MSG_NOSIGNAL);
		else
			poke();
		t_pause(5);
	}
	t_verdict_is(&v[0], GRACECLOSE_EXPIRED, ETIMEDOUT, 1, 0);
	t_between(v[0].at_ms - begin, _i == 1 ? 599 : 99,
	    (_i == 1 ? 600 : 100) + SOON_MS);
	t_close(p.peer);
	stop();
	t_clock(1);
}
END_TEST

static void *
trickle(void *arg)
{
	int fd = *(int *)arg, i;

	for (i = 0; i < 8; i++) {
		t_pause(50);
		if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
			break;
	}
	return NULL;
}

/* 8 times 50 ms, and then 250 of silence; or 350 in all.  Returns the start. */
static int64_t
close_three_talkers(int family)
{
	struct t_pair p, silent, whole;
	pthread_t t[2];
	int64_t begin;

	start();
	t_pair(&p, family);
	t_pair(&silent, family);
	t_pair(&whole, family);
	begin = t_now_ms();
	o = t_opts(0, 0, -1, 250);
	submit(&v[0], p.us);
	submit(&v[1], silent.us);
	o = t_opts(0, 0, 350, 250);
	submit(&v[2], whole.us);
	t_thread(&t[0], trickle, &p.peer);
	t_thread(&t[1], trickle, &whole.peer);
	flush();
	t_join(t[0]);
	t_join(t[1]);
	t_close(p.peer);
	t_close(silent.peer);
	t_close(whole.peer);
	stop();
	return begin;
}

START_TEST(input_starts_the_idle_limit_anew)
{
	const int known = T_KNOWS(1, _i == T_UNIX);
	int i, tries = 0;
	int64_t begin;

	t_need(_i);
	do
		begin = close_three_talkers(_i);
	while ((v[0].report.elapsed_us < 649000 ||
	    v[2].report.elapsed_us < 349000) && ++tries < T_TRIES);
	for (i = 0; i < 3; i++)
		t_verdict_is(&v[i], GRACECLOSE_EXPIRED, ETIMEDOUT, known, 0);
	expired_after(&v[0], begin, 400 + 250);
	expired_after(&v[1], begin, 250);
	expired_after(&v[2], begin, 350);
	ck_assert_uint_eq(v[0].report.discarded, 8);
	ck_assert_uint_eq(v[1].report.discarded, 0);
	ck_assert_int_lt(v[1].place, v[2].place);
	ck_assert_int_lt(v[2].place, v[0].place);
}
END_TEST

static void
close_with_a_slow_reader(int family)
{
	struct t_reader peer;
	struct t_pair p;
	size_t n;

	start();
	t_pair_small(&p, family);
	n = t_fill(p.us);
	t_reader_slow(&peer, p.peer);
	o = t_opts(0, 0, -1, 350);
	submit(&v[0], p.us);
	flush();
	t_saw(t_reader_join(&peer), n, 0);
	t_close(p.peer);
	stop();
}

/* The whole takes longer than the idle limit. */
START_TEST(acknowledgement_starts_the_idle_limit_anew)
{
	int tries = 0;

	t_not_portable(T_NO_ACK);
	do
		close_with_a_slow_reader(_i);
	while (v[0].report.outcome == GRACECLOSE_EXPIRED && ++tries < T_TRIES);
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_ge(v[0].report.elapsed_us, 370000);
}
END_TEST

/*
 * An acknowledgement that leaves others to come makes no event, so up to a
 * quarter of the limit may pass before it is noticed, but never more.
 */
START_TEST(silence_after_an_acknowledgement_is_limited)
{
	int64_t acked, begin;
	struct t_pair p;
	int left;

	t_not_portable(T_NO_ACK);
	start();
	t_pair_small(&p, _i);
	t_fill(p.us);
	o = t_opts(0, 0, -1, 400);
	begin = t_now_ms();
	submit(&v[0], p.us);
	t_pause(200);
	left = t_outq(p.us);
	t_read(p.peer, (size_t)t_inq(p.peer));
	while ((acked = t_now_ms()) - begin < 390 && t_outq(p.us) == left)
		t_pause(1);
	flush();
	t_verdict_is(&v[0], GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	if (acked - begin < 390)
		t_between(v[0].at_ms - acked, 350, 400 + 100 + SOON_MS);
	t_close(p.peer);
	stop();
}
END_TEST

/*
 * Not taken
 */

/* And the place that was kept is free again. */
START_TEST(bad_option_takes_nothing)
{
	struct t_pair p;

	start_limited(1, GRACECLOSE_REFUSE);
	t_pair(&p, T_IPV4);
	memset(&v[0], 0, sizeof(v[0]));
	t_fails(graceclose_reaper_close(reaper, p.us, &t_bad_opts[_i], &v[0]),
	    EINVAL);
	t_fails(graceclose_reaper_close(reaper, p.us, &t_bad_opts[_i], &v[0]),
	    EINVAL);
	ck_assert_int_eq(t_told(&v[0]), 0);
	untouched(&p);
	ck_assert_int_eq(t_state(p.us), TCP_ESTABLISHED);
	t_ok(graceclose_reaper_flush(reaper, 0));
	look();
	ck_assert_uint_eq(st.peak, 0);
	counted(-1, 0);
	unlimited();
	submit(&v[0], p.us);
	t_close(p.peer);
	flush();
	stop();
}
END_TEST

START_TEST(no_descriptor_is_ebadf)
{
	start_limited(1, GRACECLOSE_REFUSE);
	memset(&v[0], 0, sizeof(v[0]));
	t_fails(graceclose_reaper_close(reaper, -1, NULL, &v[0]), EBADF);
	t_fails(graceclose_reaper_close(reaper, INT32_MAX, NULL, &v[0]),
	    EBADF);
	ck_assert_int_eq(t_told(&v[0]), 0);
	t_ok(graceclose_reaper_flush(reaper, 0));
	counted(-1, 0);
	stop();
	ck_assert_int_eq(t_told(&v[0]), 0);
}
END_TEST

START_TEST(no_reaper_is_einval)
{
	struct t_pair p;

	t_pair(&p, T_IPV4);
	memset(&v[0], 0, sizeof(v[0]));
	t_fails(graceclose_reaper_close(NULL, p.us, NULL, &v[0]), EINVAL);
	t_fails(graceclose_reaper_flush(NULL, 0), EINVAL);
	memset(&st, 0xaa, sizeof(st));
	errno = 0;
	graceclose_reaper_stats(NULL, &st);
	t_errno_is(EINVAL);
	ck_assert_uint_eq(st.ok | st.aborted | st.now | st.peak, 0);
	graceclose_reaper_stats(NULL, NULL);
	untouched(&p);
	ck_assert_int_eq(t_told(&v[0]), 0);
	t_close_pair(&p);
}
END_TEST

/*
 * Full
 */

START_TEST(full_reaper_refuses_and_touches_nothing)
{
	struct t_pair p[3];
	int i;

	t_need_any(_i);
	start_limited(2, GRACECLOSE_REFUSE);
	unlimited();
	for (i = 0; i < 3; i++)
		t_pair_any(&p[i], _i);
	submit(&v[0], p[0].us);
	submit(&v[1], p[1].us);
	memset(&v[2], 0, sizeof(v[2]));
	t_fails(graceclose_reaper_close(reaper, p[2].us, &o, &v[2]), EAGAIN);
	untouched(&p[2]);
	if (_i < T_ANY_PLAIN)
		ck_assert_int_eq(t_state(p[2].us), TCP_ESTABLISHED);
	ck_assert_int_eq(t_told(&v[2]), 0);
	under_way(2);
	t_fin(p[0].peer);
	t_wait_told(&v[0]);
	submit(&v[2], p[2].us);
	under_way(2);
	ck_assert_uint_eq(st.peak, 2);
	t_fin(p[1].peer);
	t_fin(p[2].peer);
	flush();
	for (i = 0; i < 3; i++) {
		t_saw(t_read_all(p[i].peer), 0, 0);
		t_close(p[i].peer);
		t_verdict_is(&v[i], GRACECLOSE_OK, 0, 1, 1);
	}
	counted(GRACECLOSE_OK, 3);
	stop();
}
END_TEST

/* A place is kept first, even for what would be over at once. */
START_TEST(full_reaper_refuses_what_would_be_over_at_once)
{
	struct t_pair p, q;
	int fd;

	start_limited(1, GRACECLOSE_REFUSE);
	unlimited();
	t_pair(&p, T_IPV4);
	t_pair(&q, T_IPV4);
	peer_fin(&q);
	fd = t_odd_open(&t_odds[0]);
	submit(&v[0], p.us);
	t_fails(graceclose_reaper_close(reaper, q.us, &o, &v[1]), EAGAIN);
	t_fails(graceclose_reaper_close(reaper, fd, &o, &v[1]), EAGAIN);
	ck_assert_int_eq(t_state(q.us), TCP_CLOSE_WAIT);
	t_close(fd);
	t_fin(p.peer);
	flush();
	submit(&v[1], q.us);
	flush();
	t_verdict_is(&v[1], GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
	t_close(q.peer);
	stop();
}
END_TEST

START_TEST(oldest_is_cut_as_its_on_expiry_says)
{
	struct t_pair p[5];
	size_t n[5];
	int i;

	start_limited(3, GRACECLOSE_OLDEST);
	for (i = 0; i < 5; i++) {
		t_pair_small(&p[i], _i);
		n[i] = t_fill(p[i].us);
	}
	for (i = 0; i < 5; i++) {
		unlimited();
		o.on_expiry = i % 2;
		submit(&v[i], p[i].us);
		look();
		ck_assert_uint_le(st.now, 3);
	}
	t_wait_told(&v[0]);
	t_wait_told(&v[1]);
	ck_assert_uint_eq(st.now, 3);
	for (i = 0; i < 2; i++)
		t_verdict_is(&v[i], GRACECLOSE_ABORTED, ECANCELED, 0, 0);
	ck_assert_int_lt(v[0].place, v[1].place);
	ck_assert_int_eq(v[0].tid, t_named(T_REAPER));
	t_saw(t_read_all(p[0].peer), n[0], 0);
	peer_gets_reset(p[1].peer);
	counted(GRACECLOSE_ABORTED, 2);
	ck_assert_uint_eq(st.evicted, 2);
	ck_assert_uint_eq(st.peak, 3);
	for (i = 2; i < 5; i++) {
		ck_assert_int_eq(t_told(&v[i]), 0);
		t_saw(t_read_all(p[i].peer), n[i], 0);
		t_fin(p[i].peer);
	}
	flush();
	for (i = 2; i < 5; i++)
		t_verdict_is(&v[i], GRACECLOSE_OK, 0, 1, 1);
	for (i = 0; i < 5; i++)
		t_close(p[i].peer);
	look();
	ck_assert_uint_eq(st.ok, 3);
	ck_assert_uint_eq(st.evicted, 2);
	stop();
}
END_TEST

/* Whatever the limits are, and whoever has left the row in between. */
START_TEST(age_alone_decides_who_is_cut)
{
	struct t_pair p[6];
	int i;

	start_limited(4, GRACECLOSE_OLDEST);
	for (i = 0; i < 6; i++)
		cheap_pair(&p[i]);
	for (i = 0; i < 4; i++) {
		o = t_opts(0, 0, 3600000 - 600000 * i, -1);
		submit(&v[i], p[i].us);
	}
	t_fin(p[1].peer);
	t_wait_told(&v[1]);
	unlimited();
	submit(&v[4], p[4].us);
	look();
	ck_assert_uint_eq(st.evicted, 0);
	submit(&v[5], p[5].us);
	t_wait_told(&v[0]);
	t_verdict_is(&v[0], GRACECLOSE_ABORTED, ECANCELED, 1, 0);
	t_verdict_is(&v[1], GRACECLOSE_OK, 0, 1, 1);
	under_way(4);
	ck_assert_uint_eq(st.evicted, 1);
	stop();
	for (i = 2; i < 6; i++) {
		t_verdict_is(&v[i], GRACECLOSE_ABORTED, ECANCELED, 1, 0);
		t_saw(t_read_all(p[i].peer), 0, 0);
	}
	for (i = 0; i < 6; i++)
		t_close(p[i].peer);
}
END_TEST

/* What is over at once needs no place. */
START_TEST(what_is_over_at_once_evicts_nobody)
{
	struct t_pair p, q;

	start_limited(1, GRACECLOSE_OLDEST);
	unlimited();
	cheap_pair(&p);
	submit(&v[0], p.us);
	cheap_pair(&q);
	t_close(q.peer);
	submit(&v[1], q.us);
	t_verdict_is(&v[1], GRACECLOSE_OK, 0, 1, 1);
	under_way(1);
	ck_assert_uint_eq(st.evicted, 0);
	t_close(p.peer);
	flush();
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	stop();
}
END_TEST

/* And none of those cut is heard of again when its limit would run out. */
START_TEST(row_of_evictions_keeps_the_order)
{
	static struct t_pair p[200];
	int i;

	start_limited(1, GRACECLOSE_OLDEST);
	limited(0, GRACECLOSE_DETACH, _i == 0 ? -1 : 100);
	for (i = 0; i < 200; i++) {
		cheap_pair(&p[i]);
		submit(&v[i], p[i].us);
	}
	if (_i == 0)
		t_fin(p[199].peer);
	flush();
	look();
	ck_assert_uint_eq(st.evicted, 199);
	ck_assert_uint_eq(st.aborted, 199);
	ck_assert_uint_eq(_i == 0 ? st.ok : st.expired, 1);
	ck_assert_uint_eq(st.peak, 1);
	for (i = 0; i < 200; i++) {
		ck_assert_int_eq(t_told(&v[i]), 1);
		t_saw(t_read_all(p[i].peer), 0, 0);
		t_close(p[i].peer);
	}
	for (i = 0; i < 199; i++) {
		ck_assert_int_eq(v[i].report.outcome, GRACECLOSE_ABORTED);
		ck_assert_int_lt(v[i].place, v[i + 1].place);
	}
	stop();
}
END_TEST

/*
 * done
 */

/* A stock of connections for a done that closes the next one. */
static struct t_pair stock[40];
static int taken, results[40];
static unsigned nows[40];

static void
done_and_next(void *arg, void *cookie, const struct graceclose_report *report)
{
	struct graceclose_reaper_stats now;
	int next;

	t_done(arg, cookie, report);
	graceclose_reaper_stats(reaper, &now);
	nows[(struct t_verdict *)cookie - v] = now.now;
	if (taken == 40)
		return;
	next = taken++;
	v[next].fd = stock[next].us;
	results[next] = graceclose_reaper_close(reaper, stock[next].us, &o,
	    &v[next]);
}

/* Some are over at once, some wait: each gave its place back before. */
START_TEST(done_may_close_the_next_even_at_max_1)
{
	int i;

	start_with_done(1, _i, done_and_next);
	unlimited();
	memset(v, 0, sizeof(v));
	for (i = 0; i < 40; i++) {
		results[i] = -1;
		cheap_pair(&stock[i]);
		if (i % 3 == 1)
			t_fin(stock[i].peer);
	}
	taken = 1;
	submit(&v[0], stock[0].us);
	for (i = 0; i < 40; i++)
		t_fin(stock[i].peer);
	flush();
	for (i = 0; i < 40; i++) {
		t_verdict_is(&v[i], GRACECLOSE_OK, 0, 1, 1);
		ck_assert_uint_eq(nows[i], 0);
		if (i > 0)
			ck_assert_int_eq(results[i], 0);
		t_close(stock[i].peer);
	}
	counted(GRACECLOSE_OK, 40);
	ck_assert_uint_eq(st.peak, 1);
	stop();
}
END_TEST

/* Holds whoever calls it until it is let go. */
static int inside, let_go;

static void
done_that_waits(void *arg, void *cookie,
    const struct graceclose_report *report)
{
	int64_t end = t_now_ms() + T_LIMIT_MS;

	__atomic_store_n(&inside, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&let_go, __ATOMIC_ACQUIRE) &&
	    t_now_ms() < end)
		t_pause(1);
	t_done(arg, cookie, report);
}

static void
wait_inside(void)
{
	int64_t end;

	for (end = t_now_ms() + T_LIMIT_MS;
	    !__atomic_load_n(&inside, __ATOMIC_ACQUIRE); t_pause(1))
		ck_assert_int_lt(t_now_ms(), end);
}

static void
start_that_waits(void)
{
	inside = let_go = 0;
	start_with_done(0, GRACECLOSE_REFUSE, done_that_waits);
}

static void
release(void)
{
	__atomic_store_n(&let_go, 1, __ATOMIC_RELEASE);
}

START_TEST(slow_done_holds_nobody_up)
{
	struct t_pair p, q;
	int64_t begin;

	start_that_waits();
	unlimited();
	cheap_pair(&p);
	cheap_pair(&q);
	submit(&v[0], p.us);
	t_close(p.peer);
	wait_inside();
	begin = t_now_ms();
	under_way(0);
	submit(&v[1], q.us);
	under_way(1);
	t_fails(graceclose_reaper_flush(reaper, 0), ETIMEDOUT);
	t_between(t_now_ms() - begin, 0, SOON_MS);
	ck_assert_int_eq(t_told(&v[0]), 0);
	release();
	t_close(q.peer);
	flush();
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	t_verdict_is(&v[1], GRACECLOSE_OK, 0, 1, 1);
	stop();
}
END_TEST

static void *
close_in_a_thread(void *arg)
{
	struct t_verdict *verdict = arg;

	errno = T_ERRNO_UNTOUCHED;
	if (graceclose_reaper_close(reaper, verdict->fd, &o, verdict) == -1)
		return &errno;
	return errno == T_ERRNO_UNTOUCHED ? NULL : &reaper;
}

/* Also for a done that runs in the thread of another caller. */
START_TEST(flush_waits_until_every_done_has_returned)
{
	struct t_pair p;
	pthread_t t;
	void *result;

	start_that_waits();
	unlimited();
	cheap_pair(&p);
	memset(&v[0], 0, sizeof(v[0]));
	v[0].fd = p.us;
	if (_i == 0)
		t_close(p.peer);
	t_thread(&t, close_in_a_thread, &v[0]);
	if (_i == 1) {
		while (look(), st.now == 0)
			t_pause(1);
		t_close(p.peer);
	}
	wait_inside();
	under_way(0);
	t_fails(graceclose_reaper_flush(reaper, 0), ETIMEDOUT);
	t_fails(graceclose_reaper_flush(reaper, 30), ETIMEDOUT);
	release();
	t_ok(graceclose_reaper_flush(reaper, -1));
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	ck_assert_int_eq(pthread_join(t, &result), 0);
	ck_assert_ptr_null(result);
	stop();
}
END_TEST

/*
 * flush
 */

START_TEST(flush_with_nothing_under_way_is_0)
{
	int64_t begin;

	start();
	begin = t_now_ms();
	t_ok(graceclose_reaper_flush(reaper, 0));
	t_ok(graceclose_reaper_flush(reaper, T_LIMIT_MS));
	t_ok(graceclose_reaper_flush(reaper, -1));
	t_ok(graceclose_reaper_flush(reaper, -4711));
	t_between(t_now_ms() - begin, 0, SOON_MS);
	stop();
}
END_TEST

START_TEST(flush_waits_no_longer_than_it_may)
{
	struct t_pair p;
	int64_t begin;

	start();
	unlimited();
	t_pair(&p, T_IPV4);
	submit(&v[0], p.us);
	begin = t_now_ms();
	t_fails(graceclose_reaper_flush(reaper, 0), ETIMEDOUT);
	t_between(t_now_ms() - begin, 0, SOON_MS);
	t_storm();
	begin = t_now_ms();
	/* Nearly a second more than a second: its nanoseconds run over. */
	t_fails(graceclose_reaper_flush(reaper, 1999), ETIMEDOUT);
	t_between(t_now_ms() - begin, 1998, 1999 + SOON_MS);
	ck_assert_int_gt(t_storm_end(), 2);
	ck_assert_int_eq(t_told(&v[0]), 0);
	t_close(p.peer);
	flush();
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	stop();
}
END_TEST

START_TEST(negative_flush_waits_for_ever)
{
	struct t_later l;
	struct t_pair p;

	start();
	unlimited();
	t_pair(&p, T_IPV4);
	submit(&v[0], p.us);
	t_later(&l, 200, t_fin, p.peer);
	t_storm();
	t_ok(graceclose_reaper_flush(reaper, -1 - _i));
	ck_assert_int_gt(t_storm_end(), 2);
	t_between(t_now_ms() - t_later_join(&l), 0, SOON_MS);
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
	stop();
}
END_TEST

/*
 * free
 */

START_TEST(free_of_nothing_does_nothing)
{
	errno = T_ERRNO_UNTOUCHED;
	graceclose_reaper_free(NULL);
	ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);
	start();
	stop();
}
END_TEST

START_TEST(free_cuts_what_is_left)
{
	struct t_pair p[6];
	size_t n[6];
	pid_t tid;
	int i;

	start();
	tid = t_named(T_REAPER);
	for (i = 0; i < 6; i++) {
		t_pair_small(&p[i], _i);
		n[i] = t_fill(p[i].us);
		limited(0, i % 2, i < 3 ? 3600000 : -1);
		submit(&v[i], p[i].us);
	}
	stop();
	for (i = 0; i < 6; i++) {
		t_verdict_is(&v[i], GRACECLOSE_ABORTED, ECANCELED, 0, 0);
		ck_assert_int_eq(v[i].tid, tid);
		if (i % 2 == GRACECLOSE_RESET)
			peer_gets_reset(p[i].peer);
		else
			t_saw(t_read_all(p[i].peer), n[i], 0);
		t_close(p[i].peer);
	}
}
END_TEST

START_TEST(free_without_done_cuts_as_well)
{
	struct t_pair p[2];
	int i;

	reaper = t_reaper(NULL);
	for (i = 0; i < 2; i++) {
		t_pair(&p[i], T_IPV4);
		unlimited();
		o.on_expiry = i;
		t_ok(graceclose_reaper_close(reaper, p[i].us, &o, NULL));
	}
	stop();
	for (i = 0; i < 2; i++)
		t_released(p[i].us);
	t_saw(t_read_all(p[0].peer), 0, 0);
	peer_is_dead(p[1].peer);
	t_close(p[0].peer);
	t_close(p[1].peer);
}
END_TEST

/* Unread input would make close(2) reset the rest of what we sent. */
START_TEST(free_does_not_reset_behind_unread_input)
{
	struct t_pair p;
	size_t n;

	start();
	t_pair_small(&p, _i);
	n = t_fill(p.us);
	unlimited();
	submit(&v[0], p.us);
	t_write(p.peer, 3000);
	stop();
	t_verdict_is(&v[0], GRACECLOSE_ABORTED, ECANCELED, 0, 0);
	t_saw(t_read_all(p.peer), n, 0);
	t_close(p.peer);
}
END_TEST

static int refused_fd, refused_result, refused_errno;

static void
done_and_refused(void *arg, void *cookie,
    const struct graceclose_report *report)
{
	t_done(arg, cookie, report);
	if (report->outcome != GRACECLOSE_ABORTED)
		return;
	refused_result = graceclose_reaper_close(reaper, refused_fd, &o, NULL);
	refused_errno = errno;
}

START_TEST(reaper_that_is_being_freed_takes_no_more)
{
	struct t_pair p, q;

	start_with_done(0, _i, done_and_refused);
	unlimited();
	t_pair(&p, T_IPV4);
	t_pair(&q, T_IPV4);
	refused_fd = q.us;
	refused_result = 0;
	submit(&v[0], p.us);
	t_wait_outq(p.us, 0);
	stop();
	t_verdict_is(&v[0], GRACECLOSE_ABORTED, ECANCELED, T_KNOWS(1, 0),
	    0);
	ck_assert_int_eq(refused_result, -1);
	ck_assert_str_eq(t_errno(refused_errno), "EINVAL");
	untouched(&q);
	t_close_pair(&q);
	t_close(p.peer);
}
END_TEST

static void *
free_in_a_thread(void *arg)
{
	graceclose_reaper_free(arg);
	return NULL;
}

static int
ends_within(pthread_t t, int limit_ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += limit_ms * 1000000L;
	ts.tv_sec += ts.tv_nsec / 1000000000L;
	ts.tv_nsec %= 1000000000L;
	return pthread_timedjoin_np(t, NULL, &ts) == 0;
}

/* A caller whose done has not returned is still inside. */
START_TEST(free_waits_for_callers_that_are_inside)
{
	struct t_pair p;
	pthread_t t, freeing;
	void *result;

	start_that_waits();
	unlimited();
	cheap_pair(&p);
	t_close(p.peer);
	memset(&v[0], 0, sizeof(v[0]));
	v[0].fd = p.us;
	t_thread(&t, close_in_a_thread, &v[0]);
	wait_inside();
	t_thread(&freeing, free_in_a_thread, reaper);
	ck_assert(!ends_within(freeing, 100));
	release();
	ck_assert_int_eq(pthread_join(t, &result), 0);
	ck_assert_ptr_null(result);
	t_join(freeing);
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
}
END_TEST

static void *
flush_in_a_thread(void *arg)
{
	__atomic_store_n((pid_t *)arg, gettid(), __ATOMIC_RELEASE);
	return graceclose_reaper_flush(reaper, -1) == 0 ? NULL : &errno;
}

START_TEST(free_ends_a_flush)
{
	pid_t tid = 0;
	struct t_pair p;
	pthread_t t;
	void *result;

	start();
	unlimited();
	cheap_pair(&p);
	submit(&v[0], p.us);
	t_thread(&t, flush_in_a_thread, &tid);
	t_wait_blocked(&tid, SYS_futex);
	stop();
	ck_assert_int_eq(pthread_join(t, &result), 0);
	ck_assert_ptr_null(result);
	t_verdict_is(&v[0], GRACECLOSE_ABORTED, ECANCELED, 1, 0);
	t_close(p.peer);
}
END_TEST

/* Else it would leave with the lock held, or never. */
START_TEST(cancelled_caller_leaves_in_order)
{
	struct t_pair p;
	pid_t tid = 0;
	pthread_t t;

	start();
	unlimited();
	cheap_pair(&p);
	submit(&v[0], p.us);
	t_thread(&t, flush_in_a_thread, &tid);
	t_wait_blocked(&tid, SYS_futex);
	ck_assert_int_eq(pthread_cancel(t), 0);
	t_pause(20);
	under_way(1);
	t_close(p.peer);
	t_join(t);
	flush();
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	stop();
}
END_TEST

/*
 * new
 */

static const struct graceclose_reaper_opts bad_new[] = {
	{ .when_full = 2 },
	{ .when_full = -1 },
	{ .reserved = { 1, 0, 0, 0 } },
	{ .reserved = { 0, 1, 0, 0 } },
	{ .reserved = { 0, 0, 1, 0 } },
	{ .reserved = { 0, 0, 0, (uint64_t)1 << 63 } }
};
#define NBAD_NEW	6

START_TEST(bad_option_makes_no_reaper)
{
	errno = 0;
	ck_assert_ptr_null(graceclose_reaper_new(&bad_new[_i]));
	t_errno_is(EINVAL);
	ck_assert_int_eq(t_named(T_REAPER), 0);
}
END_TEST

/* However many descriptors are left, up to what it needs. */
START_TEST(no_descriptor_free_makes_no_reaper)
{
	struct rlimit before, l;
	int i, spare;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	spare = dup(0);
	t_close(spare);
	l = before;
	for (i = 0, reaper = NULL; reaper == NULL; i++) {
		ck_assert_int_lt(i, 8);
		l.rlim_cur = (rlim_t)spare + (rlim_t)i;
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &l), 0);
		errno = 0;
		reaper = graceclose_reaper_new(NULL);
		if (reaper == NULL)
			t_errno_is(EMFILE);
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_gt(i, 1);
	stop();
}
END_TEST

static int
inherited_by_exec(void)
{
	int fd, n;

	for (fd = n = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) == 0;
	return n;
}

START_TEST(descriptors_of_a_reaper_are_two_and_close_on_exec)
{
	int all, before;

	before = inherited_by_exec();
	all = t_fd_count();
	start();
	ck_assert_int_eq(t_fd_count() - all, 2);
	ck_assert_int_eq(inherited_by_exec(), before);
	stop();
}
END_TEST

START_TEST(several_reapers_do_not_disturb_each_other)
{
	struct graceclose_reaper *first;
	struct t_pair p, q;

	start();
	first = reaper;
	unlimited();
	cheap_pair(&p);
	cheap_pair(&q);
	submit(&v[0], p.us);
	start();
	submit(&v[1], q.us);
	t_close(q.peer);
	flush();
	counted(GRACECLOSE_OK, 1);
	graceclose_reaper_free(reaper);
	reaper = first;
	under_way(1);
	counted(-1, 0);
	t_close(p.peer);
	flush();
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	t_verdict_is(&v[1], GRACECLOSE_OK, 0, 1, 1);
	stop();
}
END_TEST

/*
 * The thread
 */

/* All but what cannot be blocked: SIGKILL, SIGSTOP, two of the C library's. */
#define CANNOT		((uint64_t)1 << 8 | (uint64_t)1 << 18 |		\
			(uint64_t)1 << 31 | (uint64_t)1 << 32)

START_TEST(thread_has_a_name_and_blocks_every_signal)
{
	pid_t tid;

	start();
	tid = t_named(T_REAPER);
	ck_assert_int_ne(tid, 0);
	ck_assert_int_ne(tid, gettid());
	ck_assert_uint_eq(t_status(tid, "SigBlk", 16) | CANNOT |
	    (T_VALGRIND ? (uint64_t)1 << 63 : 0), UINT64_MAX);
	stop();
}
END_TEST

/* Nothing happens for a while, with so many under way. */
static void
sleeps(unsigned n)
{
	uint64_t ticks, turns;
	pid_t tid;

	tid = t_named(T_REAPER);
	t_wait_asleep(tid, 400);	/* the looks are over */
	ticks = t_ticks(tid);
	turns = t_turns(tid);
	t_pause(500);
	ck_assert_uint_eq(t_turns(tid), turns);
	ck_assert_uint_eq(t_ticks(tid), ticks);
	under_way(n);
}

static const int sleep_limits[] = { -1, 3600000 };

START_TEST(thread_sleeps_while_many_wait)
{
	static struct t_pair p[200];
	int i;

	t_not_portable(T_NO_EDGE);
	start();
	for (i = 0; i < 200; i++) {
		t_pair(&p[i], i % 2 == 0 ? T_IPV4 : T_UNIX);
		t_write(p[i].us, 1000);
		t_read(p[i].peer, 1000);
		o = t_opts(0, 0, sleep_limits[_i], sleep_limits[_i]);
		submit(&v[i], p[i].us);
	}
	sleeps(200);
	for (i = 0; i < 200; i++)
		t_close(p[i].peer);
	flush();
	counted(GRACECLOSE_OK, 200);
	stop();
}
END_TEST

START_TEST(thread_sleeps_with_nothing_to_do)
{
	start();
	sleeps(0);
	poke();
	sleeps(0);
	stop();
}
END_TEST

/* POLLERR cannot be masked, and nobody will read that notice. */
START_TEST(queued_notice_does_not_keep_the_thread_busy)
{
	int on = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE |
	    SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_OPT_TSONLY;
	struct t_pair p;

	t_not_portable(T_NO_EDGE);
	start();
	t_pair(&p, _i);
	ck_assert_int_eq(setsockopt(p.us, SOL_SOCKET, SO_TIMESTAMPING, &on,
	    sizeof(on)), 0);
	t_write(p.us, 100);
	t_read(p.peer, 100);
	t_wait_outq(p.us, 0);
	unlimited();
	submit(&v[0], p.us);
	sleeps(1);
	t_fin(p.peer);
	flush();
	t_verdict_is(&v[0], GRACECLOSE_OK, 0, 1, 1);
	t_close(p.peer);
	stop();
}
END_TEST

/*
 * Somebody else has a duplicate, so close(2) takes nothing out of an epoll set:
 * the thread must not hear of that connection any more.
 */
START_TEST(duplicate_elsewhere_brings_no_more_events)
{
	uint64_t turns;
	struct t_pair p;
	pid_t tid;
	int copy;

	t_need(_i);
	start();
	tid = t_named(T_REAPER);
	t_pair(&p, _i);
	copy = dup(p.us);
	o = t_opts(0, GRACECLOSE_DETACH, 30, -1);
	submit(&v[0], p.us);
	flush();
	t_verdict_is(&v[0], GRACECLOSE_EXPIRED, ETIMEDOUT,
	    T_KNOWS(1, _i == T_UNIX), 0);
	t_wait_asleep(tid, 50);
	turns = t_turns(tid);
	t_write(p.peer, 100);
	t_read(copy, 100);
	t_fin(p.peer);
	t_wait_poll(copy, POLLRDHUP);
	t_pause(50);
	ck_assert_uint_eq(t_turns(tid), turns);
	ck_assert_int_eq(t_told(&v[0]), 1);
	t_close(copy);
	t_close(p.peer);
	stop();
}
END_TEST

/*
 * Memory
 */

#define MANY_MORE	4000
#define PER_CLOSE	192

static size_t
allocated(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* With or without limits, and however much the peers send. */
START_TEST(close_under_way_costs_no_more_than_192_bytes)
{
	static struct t_pair p[MANY_MORE];
	size_t before, after, limit;
	int i;

	if (T_SLOW)
		t_skip("a sanitizer has its own memory");
	limit = t_files(2 * MANY_MORE + 100);
	if (limit < 2 * MANY_MORE + 100)
		t_skip("not enough descriptors");
	reaper = t_reaper(NULL);
	for (i = 0; i < MANY_MORE; i++)
		cheap_pair(&p[i]);
	before = allocated();
	for (i = 0; i < MANY_MORE; i++) {
		limited(_i, 0, i % 2 == 0 ? -1 : 3600000 + i);
		t_ok(graceclose_reaper_close(reaper, p[i].us, &o, NULL));
	}
	after = allocated();
	ck_assert_uint_le((after - before) / MANY_MORE, PER_CLOSE);
	for (i = 0; i < MANY_MORE; i++)
		t_write(p[i].peer, 5000);
	/* The reaper has taken all input: nothing changes any more. */
	for (i = 0; i < MANY_MORE; i++)
		t_wait_outq(p[i].peer, 0);
	ck_assert_uint_le(allocated(), after + 4096);
	for (i = 0; i < MANY_MORE; i++)
		t_close(p[i].peer);
	flush();
	/* A thread keeps some that it freed. */
	ck_assert_uint_le(allocated(), before + 16384);
	counted(GRACECLOSE_OK, MANY_MORE);
	stop();
}
END_TEST

/*
 * Signals
 */

START_TEST(signals_do_not_disturb)
{
	struct t_pair p[20];
	int64_t begin;
	int i;

	start();
	for (i = 0; i < 20; i++) {
		t_pair(&p[i], T_IPV4);
		t_write(p[i].us, 1000);
	}
	t_storm();
	begin = t_now_ms();
	for (i = 0; i < 20; i++) {
		limited(i % 2, GRACECLOSE_DETACH, i < 10 ? 150 : 1000);
		submit(&v[i], p[i].us);
	}
	t_pause(200);
	for (i = 10; i < 20; i++)
		t_fin(p[i].peer);
	flush();
	ck_assert_int_gt(t_storm_end(), 2);
	for (i = 0; i < 10; i++) {
		t_verdict_is(&v[i], GRACECLOSE_EXPIRED, ETIMEDOUT,
		    T_KNOWS(1, 0), 0);
		t_between(v[i].at_ms - begin, 149, 150 + SOON_MS);
	}
	for (i = 10; i < 20; i++)
		t_verdict_is(&v[i], GRACECLOSE_OK, 0, 1, 1);
	for (i = 0; i < 20; i++) {
		t_saw(t_read_all(p[i].peer), 1000, 0);
		t_close(p[i].peer);
	}
	stop();
}
END_TEST

static void
the_ends(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "to the end");
	tcase_add_loop_test(tc, peer_reads_all_and_closes_later, 0, T_ANY);
	tcase_add_loop_test(tc, verdict_comes_as_soon_as_the_peers_fin, 0,
	    T_FAMILIES);
	tcase_add_loop_test(tc, verdict_comes_with_the_last_acknowledgement, 0,
	    2 * T_TCP);
	tcase_add_loop_test(tc,
	    verdict_waits_for_delivery_after_a_fin_that_came_meanwhile, 0,
	    T_TCP);
	tcase_add_loop_test(tc, mptcp_that_fell_back_is_no_different, 0, 2);
	tcase_add_loop_test(tc, until_delivered_does_not_wait_for_the_peer, 0,
	    T_ANY);
	tcase_add_loop_test(tc, own_shut_rd_is_not_taken_for_the_peers_fin, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, inherited_linger_neither_resets_nor_blocks, 0,
	    2 * T_TCP);
	tcase_add_loop_test(tc, many_closes_end_together, 0, T_FAMILIES);
	tcase_add_loop_test(tc, neither_options_nor_done_are_needed, 0,
	    T_PLAIN);

	tc = t_case(s, "over at once");
	tcase_add_loop_test(tc,
	    peer_that_had_closed_is_over_in_the_callers_thread, 0, T_FAMILIES);
	tcase_add_loop_test(tc,
	    connection_that_had_ended_is_over_in_the_callers_thread, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, dead_connection_is_over_in_the_callers_thread,
	    0, T_ANY_TCP);
	tcase_add_loop_test(tc,
	    what_is_no_connection_is_invalid_in_the_callers_thread, 0, T_ODDS);

	tc = t_case(s, "failures");
	tcase_add_loop_test(tc, reset_while_waiting_is_econnreset, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc, unacked_is_exact_after_a_reset, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, more_than_discard_max_is_a_flood, 0,
	    2 * T_ANY);
}

static void
the_limits(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "limits");
	tcase_add_loop_test(tc,
	    expiry_that_detaches_delivers_in_the_background, 0, 2 * T_TCP);
	tcase_add_loop_test(tc, expiry_that_resets_destroys_the_rest, 0,
	    2 * T_PLAIN);
	tcase_add_loop_test(tc, peer_that_does_not_finish_expires, 0,
	    4 * T_TCP);
	tcase_add_loop_test(tc, each_expires_in_its_own_time, 0, 2);
	tcase_add_test(tc, scattered_limits_expire_in_time);
	tcase_add_test(tc, shorter_limit_wakes_the_thread);
	tcase_add_test(tc, same_limit_of_many_expires_at_once);
	tcase_add_loop_test(tc, limits_of_hours_and_days_expire_in_time, 0, 2);
	tcase_add_loop_test(tc,
	    without_options_the_limits_are_those_of_graceful_close, 0, 2);
	tcase_add_loop_test(tc, input_starts_the_idle_limit_anew, 0,
	    T_FAMILIES);
	tcase_add_loop_test(tc, acknowledgement_starts_the_idle_limit_anew, 0,
	    T_PLAIN);
	tcase_add_loop_test(tc, silence_after_an_acknowledgement_is_limited, 0,
	    T_PLAIN);
}

static void
the_refusals(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "not taken");
	tcase_add_loop_test(tc, bad_option_takes_nothing, 0, T_BAD_OPTS);
	tcase_add_test(tc, no_descriptor_is_ebadf);
	tcase_add_test(tc, no_reaper_is_einval);

	tc = t_case(s, "full");
	tcase_add_loop_test(tc, full_reaper_refuses_and_touches_nothing, 0,
	    T_ANY);
	tcase_add_test(tc, full_reaper_refuses_what_would_be_over_at_once);
	tcase_add_loop_test(tc, oldest_is_cut_as_its_on_expiry_says, 0,
	    T_PLAIN);
	tcase_add_test(tc, age_alone_decides_who_is_cut);
	tcase_add_test(tc, what_is_over_at_once_evicts_nobody);
	tcase_add_loop_test(tc, row_of_evictions_keeps_the_order, 0, 2);
}

static void
the_calls(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "done");
	tcase_add_loop_test(tc, done_may_close_the_next_even_at_max_1, 0, 2);
	tcase_add_test(tc, slow_done_holds_nobody_up);

	tc = t_case(s, "flush");
	tcase_add_test(tc, flush_with_nothing_under_way_is_0);
	tcase_add_test(tc, flush_waits_no_longer_than_it_may);
	tcase_add_loop_test(tc, negative_flush_waits_for_ever, 0, 2);
	tcase_add_loop_test(tc, flush_waits_until_every_done_has_returned, 0,
	    2);

	tc = t_case(s, "free");
	tcase_add_test(tc, free_of_nothing_does_nothing);
	tcase_add_loop_test(tc, free_cuts_what_is_left, 0, T_PLAIN);
	tcase_add_test(tc, free_without_done_cuts_as_well);
	tcase_add_loop_test(tc, free_does_not_reset_behind_unread_input, 0,
	    T_PLAIN);
	tcase_add_loop_test(tc, reaper_that_is_being_freed_takes_no_more, 0,
	    2);
	tcase_add_test(tc, free_waits_for_callers_that_are_inside);
	tcase_add_test(tc, free_ends_a_flush);
	tcase_add_test(tc, cancelled_caller_leaves_in_order);

	tc = t_case(s, "new");
	tcase_add_loop_test(tc, bad_option_makes_no_reaper, 0, NBAD_NEW);
	tcase_add_test(tc, no_descriptor_free_makes_no_reaper);
	tcase_add_test(tc, descriptors_of_a_reaper_are_two_and_close_on_exec);
	tcase_add_test(tc, several_reapers_do_not_disturb_each_other);
}

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("reaper");
	the_ends(s);
	the_limits(s);
	the_refusals(s);
	the_calls(s);

	tc = t_case(s, "thread");
	tcase_add_test(tc, thread_has_a_name_and_blocks_every_signal);
	tcase_add_loop_test(tc, thread_sleeps_while_many_wait, 0, 2);
	tcase_add_test(tc, thread_sleeps_with_nothing_to_do);
	tcase_add_loop_test(tc, queued_notice_does_not_keep_the_thread_busy, 0,
	    T_PLAIN);
	tcase_add_loop_test(tc, duplicate_elsewhere_brings_no_more_events, 0,
	    T_FAMILIES);

	tc = t_case(s, "memory and signals");
	tcase_add_loop_test(tc, close_under_way_costs_no_more_than_192_bytes,
	    0, 2);
	tcase_add_test(tc, signals_do_not_disturb);
	return t_main(s);
}
