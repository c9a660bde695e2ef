/*
 * What each outcome looks like on the wire, over IPv4 and IPv6, each side
 * connecting in turn
 */
#include <poll.h>
#include <stdbool.h>

#include <graceclose.h>

#include "api/wire_scenes.h"
#include "api/wire_view.h"
#include "support/sniff.h"
#include "support/util.h"

#define LIMIT_MS	60	/* longer than an ACK is delayed */
#define LATE_MS		1500	/* on a machine with much to do */

/*
 * Ways to have it closed
 */

static int
by_call(int fd, const struct graceclose_opts *o)
{
	return graceclose(fd, o, NULL);
}

/* A verb is that call with fixed options. */
static int
by_verb(int fd, const struct graceclose_opts *o)
{
	static const struct graceclose_opts none;

	if (o->until == GRACECLOSE_DELIVERED &&
	    o->on_expiry == GRACECLOSE_RESET && o->idle_ms == -1)
		return linger_close(fd, o->timeout_ms);
	if (memcmp(o, &none, sizeof(none)) == 0)
		return graceful_close(fd);
	return by_call(fd, o);
}

static int
by_loop(int fd, const struct graceclose_opts *o)
{
	struct graceclose gc;
	struct pollfd pfd;

	if (graceclose_begin(&gc, fd, o) == -1)
		return -1;
	while (graceclose_step(&gc) == 1) {
		pfd.events = graceclose_events(&gc);
		pfd.fd = pfd.events != 0 ? fd : -1;
		(void)poll(&pfd, 1, graceclose_timeout(&gc));
	}
	return graceclose_end(&gc, NULL);
}

static int
by_reaper(int fd, const struct graceclose_opts *o)
{
	struct graceclose_reaper *r;
	struct t_verdict v;

	memset(&v, 0, sizeof(v));
	v.fd = fd;
	r = wire_reaper(0, GRACECLOSE_REFUSE);
	ck_assert_int_eq(graceclose_reaper_close(r, fd, o, &v), 0);
	ck_assert_int_eq(graceclose_reaper_flush(r, T_LIMIT_MS), 0);
	graceclose_reaper_free(r);
	errno = v.report.error;
	return v.report.error == 0 ? 0 : -1;
}

static int (*const ways[])(int, const struct graceclose_opts *) = {
	by_verb, by_call, by_loop, by_reaper
};
#define WAYS		4

/*
 * The outcomes
 */

#define DELIVERED	.until = GRACECLOSE_DELIVERED
#define RESET		.on_expiry = GRACECLOSE_RESET
#define LINGER(ms)	DELIVERED, RESET, .timeout_ms = (ms), .idle_ms = -1
#define WHOLE		.timeout_ms = LIMIT_MS, .idle_ms = -1
#define IDLE		.timeout_ms = -1, .idle_ms = LIMIT_MS

struct scene {
	const char	*name;
	void		(*before)(struct t_pair *);
	void		(*meanwhile)(int);
	struct graceclose_opts opts;
	int		 error;
	const char	*us, *peer;	/* when the call is back */
	const char	*later;		/* we, when the peer has ended, too */
	const char	*peer_later;
};

/* These closes end as soon as the peer has acted. */
static const struct scene quick[] = {
	/* Finished: a FIN from each, and a last ACK. */
	{ "nothing to say", NULL, w_reads, { 0 }, 0, "F", "F", NULL, NULL },
	{ "reply on its way", w_reply, w_reads, { 0 }, 0, "DF", "F", NULL,
	    NULL },
	{ "upload", NULL, w_uploads, { 0 }, 0, "F", "DF", NULL, NULL },
	{ "upload and reply", w_reply, w_uploads, { 0 }, 0, "DF", "DF", NULL,
	    NULL },
	{ "peer closed first", w_peer_closed_first, NULL, { 0 }, 0, "F", "F",
	    NULL, NULL },
	{ "unread, peer closed first", w_unread_peer_closed, NULL, { 0 }, 0,
	    "F", "DF", NULL, NULL },
	{ "unread", w_unread, w_reads, { 0 }, 0, "F", "DF", NULL, NULL },
	{ "unread, as much as allowed", w_unread, w_reads,
	    { .discard_max = 1000 }, 0, "F", "DF", NULL, NULL },
	{ "SO_LINGER 0 left", w_left_linger_0, w_reads, { 0 }, 0, "DF", "F",
	    NULL,
	    NULL },
	{ "SO_LINGER 5 left", w_left_linger_5, w_reads, { 0 }, 0, "DF", "F",
	    NULL,
	    NULL },
	{ "SO_LINGER 0 left, unread", w_unread_left_linger_0, w_reads, { 0 }, 0,
	    "F", "DF", NULL, NULL },
	{ "SO_LINGER 0 left, peer closed first", w_peer_closed_left_linger_0,
	    NULL, { 0 }, 0, "F", "F", NULL, NULL },

	/* The peer resets: we send nothing after that. */
	{ "reset after EOF", NULL, w_resets_after_eof, { 0 }, ECONNRESET, "F",
	    "R", NULL, NULL },
	{ "reset after the reply", w_reply, w_resets_after_eof, { RESET },
	    ECONNRESET, "DF", "R", NULL, NULL },
	{ "reply not read", w_reply, w_closes_without_reading, { 0 },
	    ECONNRESET,
	    "DF", "R", NULL, NULL },
	{ "reset long ago", w_peer_reset, NULL, { 0 }, ECONNRESET, "", "R",
	    NULL,
	    NULL },
	{ "reset long ago, lingering", w_peer_reset, NULL, { LINGER(5000) },
	    ECONNRESET, "", "R", NULL, NULL },

	/* Too much input. The kernel itself answers what is left unread. */
	{ "one byte too many", w_unread, NULL, { .discard_max = 999 }, EMSGSIZE,
	    "F", "D", "F", "DF" },
	{ "one byte too many, RESET", w_unread, NULL,
	    { RESET, .discard_max = 999 }, EMSGSIZE, "FR", "D", NULL, NULL },
	{ "far too many", w_unread, NULL, { .discard_max = 99 }, EMSGSIZE, "FR",
	    "D", NULL, NULL },
	{ "far too many, RESET", w_unread, NULL,
	    { RESET, .discard_max = 99 }, EMSGSIZE, "FR", "D", NULL, NULL }
};
#define QUICK		((int)(sizeof(quick) / sizeof(quick[0])))

/* These wait for a delayed ACK, for a retransmission, or for a limit. */
static const struct scene slow[] = {
	/* Delivered: the peer may take its time. */
	{ "delivered, nothing to say", NULL, NULL, { LINGER(5000) }, 0, "F",
	    "", "F", "F" },
	{ "delivered, reply", w_reply, NULL, { LINGER(5000) }, 0, "DF", "",
	    "DF",
	    "F" },
	{ "delivered, no limit", w_reply, NULL, { LINGER(-1) }, 0, "DF", "",
	    "DF", "F" },
	{ "delivered, DETACH", w_reply, NULL, { DELIVERED }, 0, "DF", "", "DF",
	    "F" },
	{ "delivered, unread", w_unread, NULL, { LINGER(5000) }, 0, "F", "D",
	    "F", "DF" },
	{ "delivered, SO_LINGER 0 left", w_left_linger_0, NULL,
	    { LINGER(5000) }, 0, "DF", "", "DF", "F" },
	{ "delivered, SO_LINGER 5 left", w_left_linger_5, NULL,
	    { LINGER(5000) }, 0, "DF", "", "DF", "F" },
	{ "delivered, SO_LINGER 0 left, unread", w_unread_left_linger_0, NULL,
	    { LINGER(5000) }, 0, "F", "D", "F", "DF" },

	/* Lost segments are retransmitted under their old sequence numbers. */
	{ "our FIN lost", w_fin_lost, w_hears_again, { LINGER(-1) }, 0, "F",
	    "F",
	    NULL, NULL },
	{ "reply and FIN lost", w_cut_off, w_hears_again, { LINGER(5000) }, 0,
	    "DF", "F", NULL, NULL },
	{ "FINs cross", w_peer_fin_lost, w_reads, { 0 }, 0, "F", "F", NULL,
	    NULL },
	{ "reset before it was delivered", w_cut_off, w_resets_later,
	    { LINGER(5000) }, ECONNRESET, "DF", "R", NULL, NULL },
	{ "FIN, then reset", w_cut_off_peer_fin, w_resets_later, { 0 },
	    ECONNRESET, "DF", "FR", NULL, NULL },

	/* Expired and detached: the kernel goes on, and sends no RST. */
	{ "expired", NULL, NULL, { WHOLE }, ETIMEDOUT, "F", "", "F", "F" },
	{ "idle", NULL, NULL, { IDLE }, ETIMEDOUT, "F", "", "F", "F" },
	{ "expired, unread", w_unread, NULL, { WHOLE }, ETIMEDOUT, "F", "D",
	    "F",
	    "DF" },
	{ "expired, cut off", w_cut_off, NULL, { WHOLE }, ETIMEDOUT, "DF", "",
	    "DF", "F" },
	{ "expired, window shut", w_full, NULL, { WHOLE }, ETIMEDOUT, "D", "",
	    "DF", "F" },
	{ "expired, SO_LINGER 0 left", w_left_linger_0, NULL, { WHOLE },
	    ETIMEDOUT, "DF", "", "DF", "F" },
	{ "expired, SO_LINGER 5 left", w_full_left_linger_5, NULL, { WHOLE },
	    ETIMEDOUT, "D", "", "DF", "F" },

	/*
	 * Expired and reset.  A RST that comes after a gap, here where the lost
	 * FIN was, may be forged: the peer sends an ACK back, and the RST that
	 * answers this ACK has the expected number (RFC 5961, 3.2).
	 */
	{ "expired, RESET", NULL, NULL, { RESET, WHOLE }, ETIMEDOUT, "FR", "",
	    NULL, NULL },
	{ "idle, RESET", NULL, NULL, { RESET, IDLE }, ETIMEDOUT, "FR", "",
	    NULL, NULL },
	{ "lingering, cut off", w_cut_off, NULL, { LINGER(LIMIT_MS) },
	    ETIMEDOUT, "DFR", "", NULL, NULL },
	{ "lingering, FIN lost", w_fin_lost, NULL, { LINGER(LIMIT_MS) },
	    ETIMEDOUT, "FRR", "", NULL, NULL },
	{ "lingering, window shut", w_full, NULL, { LINGER(LIMIT_MS) },
	    ETIMEDOUT, "DR", "", NULL, NULL },
	{ "lingering, SO_LINGER 5 left", w_cut_off_left_linger_5, NULL,
	    { LINGER(LIMIT_MS) }, ETIMEDOUT, "DFR", "", NULL, NULL }
};
#define SLOW		((int)(sizeof(slow) / sizeof(slow[0])))

static int64_t
clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/*
 * The RST is not early.  The limit follows CLOCK_MONOTONIC, while captures have
 * CLOCK_REALTIME, which may have been set since the call began.  In this order
 * of reads a pause between them makes the RST late, but never early.
 */
static void
reset_in_time(const struct conn *c, int64_t start_us)
{
	int64_t ago_us, now_us;
	struct view v;

	wire_look(&v, c);
	ago_us = clock_us(CLOCK_REALTIME) - v.last.us;
	now_us = clock_us(CLOCK_MONOTONIC);
	t_between((now_us - ago_us - start_us) / 1000, LIMIT_MS,
	    LIMIT_MS + LATE_MS);
}

/* The segment was lost, and was retransmitted. */
static void
repeated_something(const struct conn *c)
{
	struct view v;

	wire_look(&v, c);
	ck_assert_msg(v.repeats > 0, "%s: nothing was sent again", c->name);
}

static void
close_it(struct conn *c, const struct scene *scene, int way)
{
	struct t_later l;
	int result;

	if (scene->meanwhile != NULL)
		t_later(&l, 0, scene->meanwhile, c->p.peer);
	errno = 0;
	result = ways[way](c->p.us, &scene->opts);
	ck_assert_str_eq(t_errno(errno), t_errno(scene->error));
	ck_assert_int_eq(result, scene->error == 0 ? 0 : -1);
	if (scene->meanwhile != NULL) {
		t_later_join(&l);
		c->p.peer = -1;
	}
}

static void
play(const struct scene *scene, int way, int i)
{
	int64_t start_us;
	struct conn c;

	wire_connect(&c, scene->name, i);
	if (scene->before != NULL)
		scene->before(&c.p);
	start_us = clock_us(CLOCK_MONOTONIC);
	close_it(&c, scene, way);
	if (scene->error == 0 && scene->later == NULL)
		sent_in_order(&c, scene->us, scene->peer);
	else
		sent(&c, scene->us, scene->peer);
	if (scene->error == ETIMEDOUT && strchr(scene->us, 'R') != NULL)
		reset_in_time(&c, start_us);
	if (scene->meanwhile == w_hears_again)
		repeated_something(&c);
	if (scene->later != NULL) {
		wire_peer_ends(&c);
		sent_in_order(&c, scene->later, scene->peer_later);
	}
	wire_finish(&c);
}

START_TEST(outcome_is_on_the_wire)
{
	t_need_any(_i % T_ANY_PLAIN);
	play(&quick[_i / T_ANY_PLAIN / WAYS], _i / T_ANY_PLAIN % WAYS,
	    _i % T_ANY_PLAIN);
}
END_TEST

/* Every way and every kind of connection occurs, but not every combination. */
START_TEST(outcome_that_takes_time_is_on_the_wire)
{
	int way = _i % WAYS;
	int scene = _i / WAYS;

	if (slow[scene].error == 0 && slow[scene].later != NULL)
		t_not_portable(T_NO_ACK);
	t_need_any((way + scene) % T_ANY_PLAIN);
	play(&slow[scene], way, (way + scene) % T_ANY_PLAIN);
}
END_TEST

/*
 * The FIN is the same: with another sequence number it would be another letter.
 */
START_TEST(lost_fin_is_sent_again_under_its_number)
{
	struct conn c;
	struct view v;

	t_need_any(_i);
	wire_connect(&c, "it", _i);
	w_fin_lost(&c.p);
	ck_assert_int_eq(by_call(c.p.us, &(struct graceclose_opts){ WHOLE }),
	    -1);
	sent(&c, "F", "");
	wire_peer_ends(&c);
	wire_look(&v, &c);
	ck_assert_uint_gt(v.repeats, 0);
	sent_in_order(&c, "F", "F");
}
END_TEST

/*
 * graceful_close's own 5 seconds without progress, on a faster clock: the peer
 * stays open.
 */
START_TEST(graceful_close_that_gives_up_leaves_the_rest_to_the_kernel)
{
	struct conn c;

	t_need_any(_i);
	wire_connect(&c, "it", _i);
	w_reply(&c.p);
	t_storm();
	t_clock(50);
	t_fails(graceful_close(c.p.us), ETIMEDOUT);
	t_clock(1);
	t_storm_end();
	sent(&c, "DF", "");
	wire_peer_ends(&c);
	sent_in_order(&c, "DF", "F");
}
END_TEST

START_TEST(capture_is_not_available)
{
	t_skip(sniff_missing());
}
END_TEST

static void
add_outcomes(TCase *tc)
{
	tcase_add_loop_test(tc, outcome_is_on_the_wire, 0,
	    QUICK * WAYS * T_ANY_PLAIN);
	tcase_add_loop_test(tc, outcome_that_takes_time_is_on_the_wire, 0,
	    SLOW * WAYS);
	tcase_add_loop_test(tc, lost_fin_is_sent_again_under_its_number, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    graceful_close_that_gives_up_leaves_the_rest_to_the_kernel, 0,
	    T_ANY_PLAIN);
}

int
main(void)
{
	Suite *s;

	sniff_prepare();
	s = suite_create("wire outcomes");
	if (sniff_missing() != NULL) {
		tcase_add_test(t_case(s, "none"), capture_is_not_available);
		return t_main(s);
	}
	add_outcomes(wire_case(s, "outcomes"));
	return t_main(s);
}
