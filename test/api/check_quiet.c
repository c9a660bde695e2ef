/*
 * GRACECLOSE_QUIET: every byte is delivered, and then the peer either finishes
 * or sends nothing for idle_ms
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <graceclose.h>

#include "api/every_form.h"
#include "support/util.h"

#define IDLE_MS		200
#define SOON_MS		1000	/* late, on a machine with much to do */
#define ACK_MS		60	/* from the last ACK to the peer's EOF */

/*
 * The peer has every byte: plain POSIX cannot know it before the peer's FIN, so
 * that most of these tests need more.
 */
static void
delivered(const struct t_pair *p)
{
	t_write(p->us, 1000);
	t_read(p->peer, 1000);
}

/* The peer saw the end of an orderly close: nothing has reset it. */
static void
ends_in_order(int peer)
{
	t_saw(t_read_all(peer), 0, 0);
	t_close(peer);
}

/* The close went on for so long after that time, and not for much longer. */
static void
quiet_since(int64_t ms, int64_t low)
{
	t_between(closed.end_us / 1000 - ms, low, low + SOON_MS);
}

/*
 * Silence
 */

START_TEST(silent_peer_that_has_everything_is_a_success)
{
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	t_need(_i / NFORMS);
	t_pair(&p, _i / NFORMS);
	delivered(&p);
	form_given(_i, GRACECLOSE_QUIET, -1, IDLE_MS);
	form_close(p.us);
	form_succeeded(0);
	form_took(IDLE_MS - 1, IDLE_MS + SOON_MS);
	ck_assert_uint_eq(closed.report.discarded, 0);
	ends_in_order(p.peer);
}
END_TEST

/* A success is no expiry: on_expiry does not apply. */
START_TEST(quiet_close_does_not_reset_a_silent_peer)
{
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	t_need(diagonal(_i));
	t_pair(&p, diagonal(_i));
	delivered(&p);
	form_given(_i, GRACECLOSE_QUIET, -1, 100);
	way.opts.on_expiry = GRACECLOSE_RESET;
	form_close(p.us);
	form_succeeded(0);
	ends_in_order(p.peer);
}
END_TEST

static void
say_a_byte(int fd)
{
	(void)t_try_write(fd);
}

/* The peer's last words count from when they came. */
START_TEST(silence_begins_after_the_last_input)
{
	struct t_later l;
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	t_need(diagonal(_i));
	t_pair(&p, diagonal(_i));
	delivered(&p);
	form_given(_i, GRACECLOSE_QUIET, -1, 2 * IDLE_MS);
	t_later(&l, IDLE_MS, say_a_byte, p.peer);
	form_close(p.us);
	form_succeeded(0);
	quiet_since(t_later_join(&l), 2 * IDLE_MS - 1);
	ck_assert_uint_eq(closed.report.discarded, 1);
	ends_in_order(p.peer);
}
END_TEST

/* Nor does it begin before the delivery.  MPTCP needs seconds for that. */
START_TEST(silence_begins_after_the_last_acknowledgement)
{
	struct t_reader peer;
	struct t_pair p;
	const int family = diagonal(_i) == T_MPTCP ? T_IPV4 : diagonal(_i);
	size_t n;

	t_not_portable(T_NO_ACK);
	t_need(family);
	t_pair_small(&p, family);
	n = t_fill(p.us);
	form_given(_i, GRACECLOSE_QUIET, -1, 3 * IDLE_MS);
	t_reader_later(&peer, p.peer, IDLE_MS);
	form_close(p.us);
	t_saw(t_reader_join(&peer), n, 0);
	form_succeeded(0);
	quiet_since(peer.done_ms, 3 * IDLE_MS - ACK_MS);
	t_close(p.peer);
}
END_TEST

/* idle_ms 0 is 5 s; the clock runs faster for the library alone. */
START_TEST(default_silence_is_five_seconds)
{
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	t_need(_i);
	t_pair(&p, _i);
	delivered(&p);
	form_given(0, GRACECLOSE_QUIET, 0, 0);
	t_storm();
	t_clock(50);
	form_close(p.us);
	t_clock(1);
	t_storm_end();
	form_succeeded(0);
	form_took(4999, 15000);
	ends_in_order(p.peer);
}
END_TEST

START_TEST(waiting_for_silence_costs_few_turns_and_little_cpu)
{
	struct t_pair p;
	int64_t cpu;

	t_not_portable(T_NO_ACK);
	t_need(diagonal(_i));
	t_pair(&p, diagonal(_i));
	delivered(&p);
	form_given(_i, GRACECLOSE_QUIET, -1, 600);
	cpu = t_cpu_ms();
	form_close(p.us);
	ck_assert_int_le(t_cpu_ms() - cpu, T_IDLE_CPU_MS);
	ck_assert_uint_le(closed.turns, 60);
	form_succeeded(0);
	ends_in_order(p.peer);
}
END_TEST

/*
 * The peer finishes
 */

static int64_t
behind_the_fin(int i)
{
	struct t_later l;
	struct t_pair p;
	int64_t late;

	t_pair(&p, i / NFORMS);
	delivered(&p);
	form_given(i, GRACECLOSE_QUIET, -1, -1);
	t_later(&l, 100, t_fin, p.peer);
	form_close(p.us);
	late = closed.end_us / 1000 - t_later_join(&l);
	form_succeeded(1);
	ends_in_order(p.peer);
	return late;
}

START_TEST(peers_fin_ends_the_wait_for_silence)
{
	t_need(_i / NFORMS);
	t_prompt(behind_the_fin, _i, 100);
}
END_TEST

START_TEST(peer_that_has_finished_before_is_finished)
{
	struct t_pair p;

	t_need_any(_i / NFORMS);
	t_pair_any(&p, _i / NFORMS);
	delivered(&p);
	t_write(p.peer, 5000);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	form_given(_i, GRACECLOSE_QUIET, 0, 0);
	form_close(p.us);
	form_succeeded(1);
	ck_assert_uint_eq(closed.report.discarded, 5000);
	ends_in_order(p.peer);
}
END_TEST

/* The end of its side is not enough: what we sent must be there as well. */
START_TEST(finished_peer_with_a_shut_window_is_not_enough)
{
	struct t_pair p;
	size_t n;

	t_need(diagonal(_i));
	t_pair_small(&p, diagonal(_i));
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	n = t_fill(p.us);
	form_given(_i, GRACECLOSE_QUIET, -1, IDLE_MS);
	form_close(p.us);
	form_failed(ETIMEDOUT);
	ck_assert_int_eq(closed.report.delivered, 0);
	t_saw(t_read_all(p.peer), n, 0);
	t_close(p.peer);
}
END_TEST

/*
 * The peer goes on sending
 */

struct talker {
	pthread_t	thread;
	int		fd;
	int		bytes;		/* so many, one each 20 ms */
	int		sent;
	int64_t		last_ms;	/* when the last one was sent */
};

static void *
talk(void *arg)
{
	struct talker *t = arg;

	while (t->sent < t->bytes) {
		t->last_ms = t_now_ms();
		if (send(t->fd, "x", 1, MSG_NOSIGNAL) != 1)
			break;
		t->sent++;
		t_pause(20);
	}
	return NULL;
}

static void
talker(struct talker *t, int fd, int bytes)
{
	*t = (struct talker){ .fd = fd, .bytes = bytes };
	t_thread(&t->thread, talk, t);
}

static void
listen_to_a_talker(int i)
{
	struct talker t;
	struct t_pair p;

	t_pair(&p, diagonal(i));
	delivered(&p);
	talker(&t, p.peer, 1000000);
	form_given(i, GRACECLOSE_QUIET, 3 * IDLE_MS, IDLE_MS);
	form_close(p.us);
	shutdown(p.peer, SHUT_RDWR);
	t_join(t.thread);
	t_close(p.peer);
}

START_TEST(peer_that_goes_on_sending_is_drained_until_the_timeout)
{
	int tries = 0;

	t_not_portable(T_NO_ACK);
	t_need(diagonal(_i));
	do
		listen_to_a_talker(_i);
	while (closed.value == 0 && ++tries < T_TRIES);
	form_failed(ETIMEDOUT);
	form_knows(1, 0);
	form_took(3 * IDLE_MS - 1, 3 * IDLE_MS + SOON_MS);
	ck_assert_uint_gt(closed.report.discarded, 5);
}
END_TEST

START_TEST(peer_that_goes_on_sending_is_drained_until_the_cap)
{
	struct t_pair p;
	pthread_t t;

	t_need(_i / NFORMS);
	t_pair(&p, _i / NFORMS);
	delivered(&p);
	t_thread(&t, t_flood, &p.peer);
	form_given(_i, GRACECLOSE_QUIET, -1, -1);
	way.opts.discard_max = 3000000;
	form_close(p.us);
	form_failed(EMSGSIZE);
	ck_assert_int_eq(closed.report.finished, 0);
	shutdown(p.peer, SHUT_RDWR);
	t_join(t);
	t_close(p.peer);
}
END_TEST

static int64_t	talked_until;

static void
let_it_finish_talking(int i)
{
	struct talker t;
	struct t_pair p;

	t_pair(&p, diagonal(i));
	delivered(&p);
	talker(&t, p.peer, 25);
	form_given(i, GRACECLOSE_QUIET, -1, IDLE_MS);
	form_close(p.us);
	t_join(t.thread);
	talked_until = t.last_ms;
	ends_in_order(p.peer);
}

/* It talks for longer than the silence: each byte begins the wait anew. */
START_TEST(peer_that_stops_sending_is_quiet)
{
	int tries = 0;

	t_not_portable(T_NO_ACK);
	t_need(diagonal(_i));
	do
		let_it_finish_talking(_i);
	while (closed.report.discarded < 25 && ++tries < T_TRIES);
	form_succeeded(0);
	ck_assert_uint_eq(closed.report.discarded, 25);
	quiet_since(talked_until, IDLE_MS - 1);
}
END_TEST

static uint64_t	taken;

static void
take(void *arg, const void *data, size_t n)
{
	(void)data;
	*(uint64_t *)arg += n;
}

/* The program gets what the peer says before it falls silent. */
START_TEST(quiet_peer_is_heard_to_the_last_byte)
{
	struct talker t;
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	t_need(diagonal(_i));
	t_pair(&p, diagonal(_i));
	delivered(&p);
	talker(&t, p.peer, 5);
	taken = 0;
	form_given(_i, GRACECLOSE_QUIET, -1, 2 * IDLE_MS);
	way.opts.late = take;
	way.opts.arg = &taken;
	form_close(p.us);
	t_join(t.thread);
	form_succeeded(0);
	ck_assert_uint_eq(taken, 5);
	ck_assert_uint_eq(closed.report.discarded, 5);
	ends_in_order(p.peer);
}
END_TEST

/*
 * The limits
 */

START_TEST(before_the_delivery_idle_is_a_limit)
{
	struct t_pair p;
	size_t n;

	t_need(diagonal(_i));
	t_pair_small(&p, diagonal(_i));
	n = t_fill(p.us);
	form_given(_i, GRACECLOSE_QUIET, -1, IDLE_MS);
	form_close(p.us);
	form_failed(ETIMEDOUT);
	form_knows(0, 0);
	form_took(IDLE_MS - 1, IDLE_MS + SOON_MS);
	t_saw(t_read_all(p.peer), n, 0);
	t_close(p.peer);
}
END_TEST

/* The silence was too short to be quiet. */
START_TEST(timeout_before_the_silence_is_over_is_an_expiry)
{
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	t_need(diagonal(_i));
	t_pair(&p, diagonal(_i));
	delivered(&p);
	form_given(_i, GRACECLOSE_QUIET, 200, 5000);
	form_close(p.us);
	form_failed(ETIMEDOUT);
	form_knows(1, 0);
	form_took(199, 200 + SOON_MS);
	ends_in_order(p.peer);
}
END_TEST

/* No silence is long enough then. */
START_TEST(without_idle_only_the_peers_fin_is_a_success)
{
	struct t_pair p;

	t_need(diagonal(_i));
	t_pair(&p, diagonal(_i));
	delivered(&p);
	form_given(_i, GRACECLOSE_QUIET, 300, -1);
	form_close(p.us);
	form_failed(ETIMEDOUT);
	form_knows(T_KNOWS(1, diagonal(_i) == T_UNIX), 0);
	form_took(299, 300 + SOON_MS);
	ends_in_order(p.peer);
}
END_TEST

/* MPTCP and AF_UNIX know no RST, or know it otherwise. */
START_TEST(reset_during_the_silence_is_econnreset)
{
	struct t_later l;
	struct t_pair p;

	t_need_any(_i / NFORMS);
	t_pair_any(&p, _i / NFORMS);
	delivered(&p);
	form_given(_i, GRACECLOSE_QUIET, -1, 5000);
	t_later(&l, 100, t_reset, p.peer);
	form_close(p.us);
	t_between(closed.end_us / 1000 - t_later_join(&l), 0, SOON_MS);
	form_failed(ECONNRESET);
	form_knows(T_KNOWS(1, 0), 0);
}
END_TEST

/*
 * Loops and reaper
 */

START_TEST(end_before_the_silence_is_over_is_ecanceled)
{
	struct graceclose_report r;
	struct graceclose gc;
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	t_need(_i);
	t_pair(&p, _i);
	delivered(&p);
	form_given(0, GRACECLOSE_QUIET, -1, 5000);
	t_ok(graceclose_begin(&gc, p.us, &way.opts));
	t_wait_outq(p.us, 0);
	t_returns(graceclose_step(&gc), 1);
	t_fails(graceclose_end(&gc, &r), ECANCELED);
	t_report_is(&r, GRACECLOSE_ABORTED, ECANCELED, 1, 0);
	ends_in_order(p.peer);
}
END_TEST

/* With poll: the rest of the silence, neither 0 nor for ever. */
START_TEST(timeout_is_the_rest_of_the_silence)
{
	struct graceclose gc;
	struct t_pair p;
	int64_t begun;
	int timeout;

	t_not_portable(T_NO_ACK);
	t_need(_i);
	t_pair(&p, _i);
	delivered(&p);
	form_given(0, GRACECLOSE_QUIET, -1, 4000);
	begun = t_now_ms();
	t_ok(graceclose_begin(&gc, p.us, &way.opts));
	t_wait_outq(p.us, 0);
	t_returns(graceclose_step(&gc), 1);
	timeout = graceclose_timeout(&gc);
	ck_assert_int_le(timeout, 4000);
	ck_assert_int_ge(timeout, 4000 - (t_now_ms() - begun) - 1);
	ck_assert_int_eq(graceclose_events(&gc), POLLIN);
	t_fails(graceclose_end(&gc, NULL), ECANCELED);
	ends_in_order(p.peer);
}
END_TEST

#define SILENT		20

START_TEST(reaper_counts_silent_peers_as_ok)
{
	static struct t_verdict v[SILENT];
	static struct t_pair p[SILENT];
	struct graceclose_reaper_stats stats;
	struct graceclose_reaper *r;
	int i;

	t_not_portable(T_NO_ACK);
	t_need(_i);
	memset(v, 0, sizeof(v));
	r = t_reaper(&(struct graceclose_reaper_opts){ .done = t_done });
	form_given(0, GRACECLOSE_QUIET, 0, IDLE_MS);
	for (i = 0; i < SILENT; i++) {
		t_pair(&p[i], _i);
		delivered(&p[i]);
		v[i].fd = p[i].us;
		t_ok(graceclose_reaper_close(r, p[i].us, &way.opts, &v[i]));
	}
	t_ok(graceclose_reaper_flush(r, T_LIMIT_MS));
	graceclose_reaper_stats(r, &stats);
	t_reaper_free(r);
	ck_assert_uint_eq(stats.ok, SILENT);
	ck_assert_uint_eq(stats.expired + stats.reset + stats.aborted, 0);
	for (i = 0; i < SILENT; i++) {
		t_verdict_is(&v[i], GRACECLOSE_OK, 0, 1, 0);
		ends_in_order(p[i].peer);
	}
}
END_TEST

static void
what_fails(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "limits");
	tcase_add_loop_test(tc, before_the_delivery_idle_is_a_limit, 0,
	    DIAGONAL);
	tcase_add_loop_test(tc,
	    timeout_before_the_silence_is_over_is_an_expiry, 0, DIAGONAL);
	tcase_add_loop_test(tc, without_idle_only_the_peers_fin_is_a_success,
	    0, DIAGONAL);
	tcase_add_loop_test(tc, reset_during_the_silence_is_econnreset, 0,
	    NFORMS * T_ANY_PLAIN);

	tc = t_case(s, "loops");
	tcase_add_loop_test(tc, end_before_the_silence_is_over_is_ecanceled,
	    0, T_FAMILIES);
	tcase_add_loop_test(tc, timeout_is_the_rest_of_the_silence, 0,
	    T_FAMILIES);
	tcase_add_loop_test(tc, reaper_counts_silent_peers_as_ok, 0,
	    T_FAMILIES);
}

static void
what_the_peer_does(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "finishes");
	tcase_add_loop_test(tc, peers_fin_ends_the_wait_for_silence, 0,
	    NFORMS * T_FAMILIES);
	tcase_add_loop_test(tc, peer_that_has_finished_before_is_finished, 0,
	    NFORMS * T_ANY);
	tcase_add_loop_test(tc, finished_peer_with_a_shut_window_is_not_enough,
	    0, DIAGONAL);

	tc = t_case(s, "goes on");
	tcase_add_loop_test(tc,
	    peer_that_goes_on_sending_is_drained_until_the_timeout, 0,
	    DIAGONAL / 2);
	tcase_add_loop_test(tc,
	    peer_that_goes_on_sending_is_drained_until_the_cap, 0,
	    NFORMS * T_FAMILIES);
	tcase_add_loop_test(tc, peer_that_stops_sending_is_quiet, 0,
	    DIAGONAL / 2);
	tcase_add_loop_test(tc, quiet_peer_is_heard_to_the_last_byte, 0,
	    DIAGONAL);
}

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("quiet");
	tc = t_case(s, "silence");
	tcase_add_loop_test(tc,
	    silent_peer_that_has_everything_is_a_success, 0,
	    NFORMS * T_FAMILIES);
	tcase_add_loop_test(tc, quiet_close_does_not_reset_a_silent_peer, 0,
	    DIAGONAL);
	tcase_add_loop_test(tc, silence_begins_after_the_last_input, 0,
	    DIAGONAL / 2);
	tcase_add_loop_test(tc,
	    silence_begins_after_the_last_acknowledgement, 0, DIAGONAL / 2);
	tcase_add_loop_test(tc, default_silence_is_five_seconds, 0,
	    T_FAMILIES);
	tcase_add_loop_test(tc,
	    waiting_for_silence_costs_few_turns_and_little_cpu, 0,
	    DIAGONAL / 2);
	what_the_peer_does(s);
	what_fails(s);
	return t_main(s);
}
