/*
 * Calls that send nothing, and the pieces and the reaper on the wire, over IPv4
 * and IPv6, each side connecting in turn
 */
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <fcntl.h>
#include <unistd.h>

#include <graceclose.h>

#include "api/wire_scenes.h"
#include "api/wire_view.h"
#include "support/sniff.h"
#include "support/util.h"

#define LIMIT_MS	60	/* longer than an ACK is delayed */
#define RESET		.on_expiry = GRACECLOSE_RESET

/*
 * Calls that send nothing
 */

static void
do_abort(int fd)
{
	t_ok(abort_close(fd));
}

static void
do_graceful(int fd)
{
	t_fails(graceful_close(fd), ENOTCONN);
}

static void
do_linger(int fd)
{
	t_fails(linger_close(fd, 1000), ENOTCONN);
}

static void
do_linger_0(int fd)
{
	t_ok(linger_close(fd, 0));
}

static void (*const unconnected[])(int) = {
	do_abort, do_graceful, do_linger, do_linger_0
};
#define UNCONNECTED	4

/* No segment leaves this port or arrives at it. */
static void
port_is_silent(in_port_t port)
{
	const struct segment *s;
	size_t i, n;

	s = sniff_settled(&n);
	for (i = 0; i < n; i++)
		ck_assert(s[i].from.port != port && s[i].to.port != port);
}

START_TEST(unconnected_socket_is_closed_and_sends_nothing)
{
	int family = _i % T_PLAIN, listening = _i / T_PLAIN % 2, fd;
	in_port_t port;

	t_need_any(2 * family);
	fd = listening ? t_listen(family) : t_socket(family);
	port = wire_port(fd);
	unconnected[_i / T_PLAIN / 2](fd);
	port_is_silent(port);
	t_released(fd);
}
END_TEST

/*
 * The states in which our FIN waits for its acknowledgement; here it never
 * comes.
 */
static bool
is_waiting(int fd)
{
	int state = t_state(fd);

	return state == TCP_FIN_WAIT1 || state == TCP_CLOSING ||
	    state == TCP_LAST_ACK;
}

START_TEST(looking_sends_nothing)
{
	const struct t_state *state = &t_states[_i / T_PLAIN];
	unsigned char bits;
	struct conn c;
	int i = _i % T_PLAIN * 2 + _i / T_PLAIN % 2;

	t_need_any(i);
	wire_connect(&c, state->name, i);
	state->make(&c.p);
	if (is_waiting(c.p.us))
		(void)wire_quiet_within(&c, LIMIT_MS);
	else
		wire_quiet(&c);
	(void)peer_closed(c.p.us);
	(void)graceclose_probe(c.p.us);
	(void)graceclose_probe_many(&c.p.us, 1, &bits);
	(void)graceclose_unacked(c.p.us);
	silent(&c);
	wire_finish(&c);
	t_reset(c.p.us);
}
END_TEST

START_TEST(bad_options_send_nothing)
{
	const struct graceclose_opts *o = &t_bad_opts[_i / T_ANY_PLAIN];
	struct graceclose_reaper *r;
	struct graceclose gc;
	struct conn c;

	t_need_any(_i % T_ANY_PLAIN);
	wire_connect(&c, "it", _i % T_ANY_PLAIN);
	w_unread(&c.p);
	wire_quiet(&c);
	r = wire_reaper(0, GRACECLOSE_REFUSE);
	t_fails(graceclose(c.p.us, o, NULL), EINVAL);
	t_fails(graceclose_begin(&gc, c.p.us, o), EINVAL);
	t_fails(graceclose_begin(NULL, c.p.us, NULL), EINVAL);
	t_fails(graceclose_step(&gc), EINVAL);
	t_fails(graceclose_end(&gc, NULL), EINVAL);
	t_fails(graceclose_reaper_close(r, c.p.us, o, NULL), EINVAL);
	graceclose_reaper_free(r);
	silent(&c);
	wire_finish(&c);
	t_reset(c.p.us);
}
END_TEST

START_TEST(no_descriptor_sends_nothing)
{
	struct conn c;

	t_need_any(_i);
	wire_connect(&c, "it", _i);
	wire_quiet(&c);
	t_fails(graceful_close(-1), EBADF);
	t_fails(linger_close(-1, 1000), EBADF);
	t_fails(linger_close(-1, 0), EBADF);
	t_fails(abort_close(-1), EBADF);
	t_fails(peer_closed(-1), EBADF);
	silent(&c);
	wire_finish(&c);
	t_reset(c.p.us);
}
END_TEST

/*
 * Piece by piece
 */

START_TEST(begin_sends_the_fin_and_nothing_else)
{
	struct graceclose gc;
	struct conn c;

	t_need_any(_i);
	wire_connect(&c, "it", _i);
	w_unread(&c.p);
	t_ok(graceclose_begin(&gc, c.p.us, NULL));
	sent_already(&c, "F");
	sent(&c, "F", "D");
	t_fails(graceclose_end(&gc, NULL), ECANCELED);
	sent(&c, "F", "D");
	wire_peer_ends(&c);
	sent_in_order(&c, "F", "DF");
}
END_TEST

/*
 * graceclose_end before the close is over: DETACH leaves the rest to the
 * kernel, RESET sends RST.
 */
START_TEST(early_end_acts_as_on_expiry_says)
{
	static const struct graceclose_opts reset = { RESET };
	struct graceclose gc;
	struct conn c;
	int cut = _i / T_ANY_PLAIN;

	t_need_any(_i % T_ANY_PLAIN);
	wire_connect(&c, "it", _i % T_ANY_PLAIN);
	t_linger(c.p.us, cut ? 5 : 0);
	w_reply(&c.p);
	t_ok(graceclose_begin(&gc, c.p.us, cut ? &reset : NULL));
	t_returns(graceclose_step(&gc), 1);
	sent_already(&c, "DF");
	t_fails(graceclose_end(&gc, NULL), ECANCELED);
	sent_already(&c, cut ? "DFR" : "DF");
	sent(&c, cut ? "DFR" : "DF", "");
	if (!cut) {
		wire_peer_ends(&c);
		sent_in_order(&c, "DF", "F");
	}
	wire_finish(&c);
}
END_TEST

/*
 * The reaper
 */

/* What the reaper sends when it aborts a close. */
static void
was_cut(struct conn *c, int on_expiry)
{
	if (on_expiry == GRACECLOSE_RESET) {
		sent(c, "FR", "");
		wire_finish(c);
	} else {
		sent(c, "F", "");
		wire_peer_ends(c);
		sent_in_order(c, "F", "F");
	}
}

static void
hand_over(struct graceclose_reaper *r, const struct conn *c,
    struct t_verdict *v, int on_expiry)
{
	const struct graceclose_opts o = t_opts(0, on_expiry, 0, 0);

	memset(v, 0, sizeof(*v));
	v->fd = c->p.us;
	t_ok(graceclose_reaper_close(r, c->p.us, &o, v));
	sent_already(c, "F");
}

START_TEST(reaper_sends_the_fin_in_the_callers_thread_and_free_aborts)
{
	struct graceclose_reaper *r;
	struct t_verdict v;
	struct conn c;
	int on_expiry = _i / T_ANY_PLAIN;

	t_need_any(_i % T_ANY_PLAIN);
	wire_connect(&c, "it", _i % T_ANY_PLAIN);
	r = wire_reaper(0, GRACECLOSE_REFUSE);
	hand_over(r, &c, &v, on_expiry);
	sent(&c, "F", "");
	graceclose_reaper_free(r);
	ck_assert_str_eq(t_errno(v.report.error), "ECANCELED");
	was_cut(&c, on_expiry);
}
END_TEST

START_TEST(full_reaper_evicts_the_oldest_only)
{
	struct graceclose_reaper *r;
	struct conn old, young;
	struct t_verdict v[2];
	int on_expiry = _i / T_ANY_PLAIN;

	t_need_any(_i % T_ANY_PLAIN);
	wire_connect(&old, "the older", _i % T_ANY_PLAIN);
	wire_connect(&young, "the younger", _i % T_ANY_PLAIN);
	r = wire_reaper(1, GRACECLOSE_OLDEST);
	hand_over(r, &old, &v[0], on_expiry);
	hand_over(r, &young, &v[1], on_expiry);
	t_wait_told(&v[0]);
	was_cut(&old, on_expiry);
	sent(&young, "F", "");
	wire_peer_ends(&young);
	t_wait_told(&v[1]);
	sent_in_order(&young, "F", "F");
	graceclose_reaper_free(r);
}
END_TEST

START_TEST(full_reaper_that_refuses_sends_nothing)
{
	struct graceclose_reaper *r;
	struct conn old, young;
	struct t_verdict v;

	t_need_any(_i);
	wire_connect(&old, "the older", _i);
	wire_connect(&young, "the younger", _i);
	r = wire_reaper(1, GRACECLOSE_REFUSE);
	hand_over(r, &old, &v, GRACECLOSE_RESET);
	wire_quiet(&young);
	t_fails(graceclose_reaper_close(r, young.p.us, NULL, NULL), EAGAIN);
	silent(&young);
	wire_peer_ends(&old);
	t_wait_told(&v);
	sent_in_order(&old, "F", "F");
	graceclose_reaper_free(r);
	wire_finish(&young);
	t_reset(young.p.us);
}
END_TEST

START_TEST(capture_is_not_available)
{
	t_skip(sniff_missing());
}
END_TEST

static void
add_silent(TCase *tc)
{
	tcase_add_loop_test(tc, unconnected_socket_is_closed_and_sends_nothing,
	    0, UNCONNECTED * 2 * T_PLAIN);
	tcase_add_loop_test(tc, looking_sends_nothing, 0,
	    t_nstates * T_PLAIN);
	tcase_add_loop_test(tc, bad_options_send_nothing, 0,
	    T_BAD_OPTS * T_ANY_PLAIN);
	tcase_add_loop_test(tc, no_descriptor_sends_nothing, 0, T_ANY_PLAIN);
}

static void
add_pieces(TCase *tc)
{
	tcase_add_loop_test(tc, begin_sends_the_fin_and_nothing_else, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, early_end_acts_as_on_expiry_says, 0,
	    2 * T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    reaper_sends_the_fin_in_the_callers_thread_and_free_aborts, 0,
	    2 * T_ANY_PLAIN);
	tcase_add_loop_test(tc, full_reaper_evicts_the_oldest_only, 0,
	    2 * T_ANY_PLAIN);
	tcase_add_loop_test(tc, full_reaper_that_refuses_sends_nothing, 0,
	    T_ANY_PLAIN);
}

int
main(void)
{
	Suite *s;

	sniff_prepare();
	s = suite_create("wire silent");
	if (sniff_missing() != NULL) {
		tcase_add_test(t_case(s, "none"), capture_is_not_available);
		return t_main(s);
	}
	add_silent(wire_case(s, "silence"));
	add_pieces(wire_case(s, "piece by piece"));
	return t_main(s);
}
