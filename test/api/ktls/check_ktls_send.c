/*
 * kTLS, sending: what waits in the TLS layer is delivered before 0 is returned,
 * and no close delivers less than close(2)
 *
 * SIOCOUTQ does not count what waits there, and SHUT_WR destroys it:
 * test/facts/check_facts_ktls.c.
 */
#include <sys/socket.h>

#include <poll.h>
#include <unistd.h>

#include <graceclose.h>

#include "api/ktls/ktls.h"

#define LATE_MS		150	/* when the peer begins to read */

static const int sending[] = { KTLS_TX, KTLS_BOTH };

/* The last close, and the peer beside it. */
static const struct closing_way	*way;
static struct closing		 closed;
static struct ktls_peer		 peer;

/* The peer has plain TCP: it sees the records themselves. */
static void
pair_with_plain_peer(struct t_pair *p, int directions)
{
	t_pair(p, T_IPV4);
	ktls_on(p->us, directions, 1);
}

/* Closes us in way i while the peer waits, reads and closes. */
static struct t_got
close_beside_peer(const struct t_pair *p, int i, int after_ms, int parses)
{
	way = &ktls_ways[i];
	ktls_peer(&peer, p->peer, after_ms, parses);
	closing_run(&closed, way, p->us);
	return ktls_peer_join(&peer);
}

/* The close went well, and the peer got so much and an orderly end. */
static void
delivered(struct t_got got, size_t n)
{
	t_saw(got, n, 0);
	ck_assert_int_eq(closed.value, 0);
	ck_assert_int_eq(closed.error, T_ERRNO_UNTOUCHED);
	ck_assert(closed.released);
	if (!closing_reports(way->form))
		return;
	ck_assert_int_eq(closed.report.delivered, 1);
	ck_assert_uint_eq(closed.report.unacked, 0);
	ck_assert_int_eq(closed.report.cause, 0);
	if (way->opts.until == GRACECLOSE_FINISHED)
		t_report_is(&closed.report, GRACECLOSE_OK, 0, 1, 1);
}

/* So many records, whole, and none that the program did not send. */
static void
records_are(int n)
{
	ck_assert_int_eq(peer.wire.records, n);
	ck_assert_int_eq(peer.wire.empty, 0);
	ck_assert_int_eq(peer.wire.odd, 0);
	ck_assert_uint_eq(peer.wire.torn, 0);
}

/*
 * Delivered
 */

START_TEST(records_that_wait_above_tcp_are_delivered)
{
	struct t_pair p;
	size_t n;

	ktls_need();
	ktls_pair(&p, sending[_i % 2]);
	n = ktls_fill(p.us);
	delivered(close_beside_peer(&p, _i / 2, LATE_MS, 0), n);
	ck_assert_uint_lt(closed.turns, 500);
}
END_TEST

/* As above, but the peer sees the records themselves. */
START_TEST(no_record_is_sent_that_the_program_did_not_send)
{
	struct t_pair p;
	size_t n;

	ktls_need();
	pair_with_plain_peer(&p, KTLS_TX);
	n = ktls_fill(p.us);
	delivered(close_beside_peer(&p, _i, LATE_MS, 1), n);
	records_are((int)(n / KTLS_RECORD));
}
END_TEST

/* close(2) loses it: test/facts/check_facts_ktls.c. */
START_TEST(open_record_of_msg_more_is_sent_and_nothing_else)
{
	struct t_pair p;

	ktls_need();
	pair_with_plain_peer(&p, KTLS_TX);
	ktls_send(p.us, KTLS_DATA, 3000, 'x', MSG_MORE);
	delivered(close_beside_peer(&p, _i, 0, 1), 3000);
	records_are(1);
}
END_TEST

START_TEST(open_record_behind_a_full_queue_is_sent_as_well)
{
	struct t_pair p;
	size_t n;

	ktls_need();
	pair_with_plain_peer(&p, KTLS_TX);
	n = ktls_fill_open(p.us);
	delivered(close_beside_peer(&p, _i, LATE_MS, 1), n);
	ck_assert_int_eq(peer.wire.empty, 0);
	ck_assert_int_eq(peer.wire.odd, 0);
	ck_assert_uint_eq(peer.wire.torn, 0);
}
END_TEST

START_TEST(nothing_sent_is_an_empty_stream)
{
	struct t_pair p;

	ktls_need();
	pair_with_plain_peer(&p, KTLS_BOTH);
	delivered(close_beside_peer(&p, _i, 0, 1), 0);
	records_are(0);
}
END_TEST

/* The peer's FIN is here before our close begins. */
START_TEST(peer_that_half_closed_first_gets_every_record)
{
	struct t_pair p;
	size_t n;

	ktls_need();
	ktls_pair(&p, KTLS_BOTH);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	n = ktls_fill(p.us);
	delivered(close_beside_peer(&p, _i, LATE_MS, 0), n);
}
END_TEST

START_TEST(own_shut_wr_behind_everything_changes_nothing)
{
	struct t_pair p;

	ktls_need();
	ktls_pair(&p, KTLS_BOTH);
	ktls_send(p.us, KTLS_DATA, 3000, 'x', 0);
	t_fin(p.us);
	delivered(close_beside_peer(&p, _i, 0, 0), 3000);
}
END_TEST

/*
 * Not delivered
 */

/* A window of zero, a full queue, and more than a record in the TLS layer. */
static size_t
stuffed(struct t_pair *p, int directions)
{
	size_t n;

	t_pair_small(p, T_IPV4);
	ktls_on(p->us, directions, 1);
	n = ktls_fill(p->us);
	ck_assert(!t_ready(p->us, POLLOUT, t_now_ms() + 60));
	ck_assert_int_lt(t_outq(p->us) + t_inq(p->peer), (int)n);
	return n;
}

START_TEST(expiry_of_linger_close_resets)
{
	struct ktls_wire w;
	struct t_pair p;
	int64_t cpu, start;
	size_t n;

	ktls_need();
	n = stuffed(&p, sending[_i]);
	cpu = t_cpu_ms();
	start = t_now_ms();
	t_fails(linger_close(p.us, 400), ETIMEDOUT);
	t_between(t_now_ms() - start, 399, 1400);
	ck_assert_int_le(t_cpu_ms() - cpu, 100);
	t_released(p.us);
	t_wait_dead(p.peer);
	w = ktls_wire(p.peer);
	t_error_is(w.error, ECONNRESET);
	ck_assert_uint_lt(w.payload, n);
	t_close(p.peer);
}
END_TEST

/* What the peer gets that begins to read when the close is over. */
static struct ktls_wire
after(int (*closes)(int), size_t *n)
{
	struct ktls_wire w;
	struct t_pair p;

	*n = stuffed(&p, KTLS_TX);
	ck_assert_int_eq(closes(p.us), 0);
	w = ktls_wire(p.peer);
	t_close(p.peer);
	return w;
}

static int
detach(int fd)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_DELIVERED,
	    GRACECLOSE_DETACH, 300, -1);
	struct graceclose_report r;

	t_fails(graceclose(fd, &o, &r), ETIMEDOUT);
	t_released(fd);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	ck_assert_int_eq(r.cause, 0);
	return 0;
}

/*
 * close(2) cuts what the TLS layer holds, too.  How much is taken before the
 * close differs now and then, and the two are compared where it does not.
 */
static void
delivers_no_less(int (*closes)(int))
{
	struct ktls_wire theirs, ours;
	int tries = T_TRIES;
	size_t n[2];

	do {
		theirs = after(close, &n[0]);
		ours = after(closes, &n[1]);
	} while (n[0] != n[1] && --tries > 0);
	printf("close(2) %zu of %zu, graceclose %zu of %zu\n", theirs.payload,
	    n[0], ours.payload, n[1]);
	t_error_is(ours.error, 0);
	ck_assert_uint_le(n[1] - ours.payload, n[0] - theirs.payload);
}

START_TEST(detached_close_delivers_no_less_than_close_2)
{
	ktls_need();
	delivers_no_less(detach);
}
END_TEST

/* Ended by the program before anything could be delivered. */
static int
cancelled(int fd)
{
	struct graceclose_report r;
	struct graceclose gc;

	t_ok(graceclose_begin(&gc, fd, NULL));
	ck_assert_int_eq(graceclose_step(&gc), 1);
	t_fails(graceclose_end(&gc, &r), ECANCELED);
	t_report_is(&r, GRACECLOSE_ABORTED, ECANCELED, 0, 0);
	return 0;
}

START_TEST(close_that_the_program_ends_delivers_no_less_than_close_2)
{
	ktls_need();
	delivers_no_less(cancelled);
}
END_TEST

static int
linger_zero(int fd)
{
	return linger_close(fd, 0);
}

static int (*const aborts[])(int) = { abort_close, linger_zero };

START_TEST(abort_resets)
{
	struct ktls_wire w;
	struct t_pair p;
	size_t n;

	ktls_need();
	n = stuffed(&p, sending[_i % 2]);
	t_ok(aborts[_i / 2](p.us));
	t_released(p.us);
	t_wait_dead(p.peer);
	w = ktls_wire(p.peer);
	t_error_is(w.error, ECONNRESET);
	ck_assert_uint_lt(w.payload, n);
	t_close(p.peer);
}
END_TEST

/* connect(AF_UNSPEC) is EOPNOTSUPP here, so nothing can be sent before. */
START_TEST(abort_resets_at_the_latest_when_the_last_duplicate_is_closed)
{
	struct t_pair p;
	int copy;

	ktls_need();
	ktls_pair(&p, sending[_i]);
	copy = dup(p.us);
	t_ok(abort_close(p.us));
	t_released(p.us);
	t_close(copy);
	t_wait_dead(p.peer);
	t_saw(t_read_all(p.peer), 0, ECONNRESET);
	t_close(p.peer);
}
END_TEST

/* The program has sent the FIN itself, in front of what waits above TCP. */
static void
cut_off(void)
{
	ck_assert_int_eq(closed.value, -1);
	t_error_is(closed.error, ECONNRESET);
	ck_assert(closed.released);
	if (!closing_reports(way->form))
		return;
	ck_assert_int_eq(closed.report.outcome, GRACECLOSE_WAS_RESET);
	ck_assert_int_eq(closed.report.delivered, 0);
	t_error_is(closed.report.cause, EPIPE);
}

START_TEST(own_shut_wr_that_cuts_records_off_is_econnreset)
{
	struct t_pair p;
	struct t_got got;
	size_t n;

	ktls_need();
	n = stuffed(&p, KTLS_TX);
	t_fin(p.us);
	got = close_beside_peer(&p, _i, LATE_MS, 1);
	t_error_is(got.error, 0);
	ck_assert_uint_lt(got.bytes, n);
	cut_off();
}
END_TEST

START_TEST(own_shut_wr_that_cuts_an_open_record_off_is_econnreset)
{
	struct t_pair p;

	ktls_need();
	ktls_pair(&p, KTLS_TX);
	ktls_send(p.us, KTLS_DATA, 3000, 'x', MSG_MORE);
	t_fin(p.us);
	t_saw(close_beside_peer(&p, _i, 0, 0), 0, 0);
	cut_off();
}
END_TEST

START_TEST(peer_that_resets_is_econnreset)
{
	const struct closing_way *w = &ktls_ways[_i];
	struct t_later l;
	struct closing c;
	struct t_pair p;

	ktls_need();
	stuffed(&p, KTLS_BOTH);
	t_later(&l, 100, t_reset, p.peer);
	closing_run(&c, w, p.us);
	t_later_join(&l);
	ck_assert_int_eq(c.value, -1);
	t_error_is(c.error, ECONNRESET);
	ck_assert(c.released);
	if (closing_reports(w->form)) {
		t_report_is(&c.report, GRACECLOSE_WAS_RESET, ECONNRESET, 0, 0);
		t_error_is(c.report.cause, ECONNRESET);
	}
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("ktls_send");
	tc = t_case(s, "delivered");
	tcase_add_loop_test(tc, records_that_wait_above_tcp_are_delivered, 0,
	    2 * KTLS_WAYS);
	tcase_add_loop_test(tc, no_record_is_sent_that_the_program_did_not_send,
	    0, KTLS_WAYS);
	tcase_add_loop_test(tc,
	    open_record_of_msg_more_is_sent_and_nothing_else, 0, KTLS_WAYS);
	tcase_add_loop_test(tc,
	    open_record_behind_a_full_queue_is_sent_as_well, 0, KTLS_WAYS);
	tcase_add_loop_test(tc, nothing_sent_is_an_empty_stream, 0, KTLS_WAYS);
	tcase_add_loop_test(tc, peer_that_half_closed_first_gets_every_record,
	    0, KTLS_WAYS);
	tcase_add_loop_test(tc, own_shut_wr_behind_everything_changes_nothing,
	    0, KTLS_WAYS);

	tc = t_case(s, "not delivered");
	tcase_add_loop_test(tc, expiry_of_linger_close_resets, 0, 2);
	tcase_add_loop_test(tc, detached_close_delivers_no_less_than_close_2,
	    0, 3);
	tcase_add_loop_test(tc,
	    close_that_the_program_ends_delivers_no_less_than_close_2, 0, 3);
	tcase_add_loop_test(tc, abort_resets, 0, 4);
	tcase_add_loop_test(tc,
	    abort_resets_at_the_latest_when_the_last_duplicate_is_closed, 0, 2);
	tcase_add_loop_test(tc,
	    own_shut_wr_that_cuts_records_off_is_econnreset, 0, KTLS_WAYS);
	tcase_add_loop_test(tc,
	    own_shut_wr_that_cuts_an_open_record_off_is_econnreset, 0,
	    KTLS_WAYS);
	tcase_add_loop_test(tc, peer_that_resets_is_econnreset, 0, KTLS_WAYS);
	return t_main(s);
}
