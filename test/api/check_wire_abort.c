/*
 * What each abort looks like on the wire, over IPv4 and IPv6, each side
 * connecting in turn, and what close(2) sends by itself
 */
#include <sys/socket.h>

#include <netinet/tcp.h>

#include <poll.h>
#include <unistd.h>

#include <graceclose.h>

#include "api/wire_scenes.h"
#include "api/wire_view.h"
#include "support/sniff.h"
#include "support/util.h"

/*
 * Abort
 */

static void
shut_wr(struct t_pair *p)
{
	t_fin(p->us);
	t_wait_outq(p->us, 0);
}

static void
shut_rd(struct t_pair *p)
{
	ck_assert_int_eq(shutdown(p->us, SHUT_RD), 0);
}

static void
full_peer_fin(struct t_pair *p)
{
	w_peer_fin(p);
	w_full(p);
	t_fin(p->us);
	t_wait_state(p->us, TCP_LAST_ACK);
}

static void
ended(struct t_pair *p)
{
	t_fin(p->us);
	t_saw(t_read_all(p->peer), 0, 0);
	t_close(p->peer);
	p->peer = -1;
	t_wait_dead(p->us);
}

struct abort_scene {
	const char	*name;
	void		(*before)(struct t_pair *);
	const char	*us, *peer;
};

static const struct abort_scene aborts[] = {
	{ "open", NULL, "R", "" },
	{ "unread", w_unread, "R", "D" },
	{ "reply on its way", w_reply, "DR", "" },
	{ "window shut", w_full, "DR", "" },
	{ "cut off", w_cut_off, "DR", "" },
	{ "SO_LINGER 5 left", w_left_linger_5, "DR", "" },
	{ "own SHUT_RD", shut_rd, "R", "" },
	{ "own SHUT_WR", shut_wr, "FR", "" },
	{ "peer's FIN", w_peer_fin, "R", "F" },
	{ "unread, peer closed", w_unread_peer_closed, "R", "DF" },
	{ "LAST_ACK with more to send", full_peer_fin, "DR", "F" },
	{ "ended in order", ended, "F", "F" },
	{ "reset", w_peer_reset, "", "R" }
};
#define ABORTS		((int)(sizeof(aborts) / sizeof(aborts[0])))

static int
linger_0(int fd)
{
	return linger_close(fd, 0);
}

static int (*const abort_verbs[])(int) = { abort_close, linger_0 };
#define ABORT_VERBS	2

/*
 * One index stands for the verb and the kind of connection; the rest of it for
 * the scene.
 */
#define ABORT_ANY	(ABORT_VERBS * T_ANY_PLAIN)
#define abort_verb(i)	abort_verbs[(i) / T_ANY_PLAIN % ABORT_VERBS]

START_TEST(abort_is_a_reset_now_and_never_a_fin)
{
	const struct abort_scene *scene = &aborts[_i / ABORT_ANY];
	struct conn c;

	t_need_any(_i % T_ANY_PLAIN);
	wire_connect(&c, scene->name, _i % T_ANY_PLAIN);
	if (scene->before != NULL)
		scene->before(&c.p);
	t_ok(abort_verb(_i)(c.p.us));
	sent_already(&c, scene->us);
	sent(&c, scene->us, scene->peer);
	wire_finish(&c);
}
END_TEST

START_TEST(abort_resets_in_spite_of_a_duplicate_which_then_sends_nothing)
{
	struct conn c;
	int copy;

	t_need_any(_i % T_ANY_PLAIN);
	wire_connect(&c, "it", _i % T_ANY_PLAIN);
	copy = dup(c.p.us);
	t_ok(abort_verb(_i)(c.p.us));
	sent_already(&c, "R");
	ck_assert_int_ne(t_try_write(copy), 0);
	t_fin(copy);
	t_close(copy);
	sent(&c, "R", "");
	wire_finish(&c);
}
END_TEST

START_TEST(abort_resets_in_spite_of_a_forked_holder)
{
	struct conn c;
	pid_t child;

	t_need_any(_i % T_ANY_PLAIN);
	wire_connect(&c, "it", _i % T_ANY_PLAIN);
	child = t_hold();
	t_ok(abort_verb(_i)(c.p.us));
	sent_already(&c, "R");
	t_hold_end(child);
	sent(&c, "R", "");
	wire_finish(&c);
}
END_TEST

START_TEST(abort_resets_in_spite_of_a_blocked_reader_who_wakes)
{
	struct t_blocked b;
	struct conn c;

	t_need_any(_i % T_ANY_PLAIN);
	wire_connect(&c, "it", _i % T_ANY_PLAIN);
	t_blocked(&b, c.p.us);
	t_ok(abort_verb(_i)(c.p.us));
	sent_already(&c, "R");
	t_join(b.thread);
	ck_assert_int_le(b.n, 0);
	sent(&c, "R", "");
	wire_finish(&c);
}
END_TEST

/*
 * Both FINs are on their way and nothing is queued behind ours: Linux drops the
 * connection and sends nothing (tcp_disconnect()).
 */
START_TEST(abort_in_last_ack_with_all_sent_sends_nothing)
{
	struct conn c;

	t_need_any(_i % T_ANY_PLAIN);
	wire_connect(&c, "it", _i % T_ANY_PLAIN);
	w_cut_off_peer_fin(&c.p);
	t_fin(c.p.us);
	t_wait_state(c.p.us, TCP_LAST_ACK);
	t_ok(abort_verb(_i)(c.p.us));
	sent(&c, "DF", "F");
	wire_finish(&c);
}
END_TEST

/*
 * For comparison: what close(2) does by itself
 */

static void
shut_wr_unread(struct t_pair *p)
{
	shut_wr(p);
	w_unread(p);
}

static void
cut_off_linger_1(struct t_pair *p)
{
	t_linger(p->us, 1);
	w_cut_off(p);
}

static const struct abort_scene plain[] = {
	{ "nothing unread", NULL, "F", "" },
	{ "unread", w_unread, "R", "D" },
	{ "unread, after SHUT_WR", shut_wr_unread, "FR", "D" },
	{ "unread, peer closed first", w_unread_peer_closed, "R", "DF" },
	{ "SO_LINGER 0", w_left_linger_0, "DR", "" },
	{ "SO_LINGER 1, expired", cut_off_linger_1, "DF", "" }
};
#define PLAIN		((int)(sizeof(plain) / sizeof(plain[0])))

START_TEST(close_alone_resets_or_not_as_it_happens)
{
	const struct abort_scene *scene = &plain[_i / T_PLAIN];
	struct conn c;
	int i = _i % T_PLAIN * 2 + _i / T_PLAIN % 2;

	t_need_any(i);
	wire_connect(&c, scene->name, i);
	if (scene->before != NULL)
		scene->before(&c.p);
	t_close(c.p.us);
	sent(&c, scene->us, scene->peer);
	wire_finish(&c);
}
END_TEST

START_TEST(linger_0_sends_nothing_while_there_is_a_duplicate)
{
	struct conn c;
	int copy;

	t_need_any(_i);
	wire_connect(&c, "it", _i);
	copy = dup(c.p.us);
	wire_quiet(&c);
	t_reset(c.p.us);
	silent(&c);
	t_close(copy);
	sent(&c, "R", "");
	wire_finish(&c);
}
END_TEST

/* After a close that did not wait, the kernel answers input with RST. */
START_TEST(input_after_the_end_of_the_wait_is_reset_by_the_kernel)
{
	struct conn c;

	t_not_portable(T_NO_ACK);
	t_need_any(_i);
	wire_connect(&c, "it", _i);
	t_ok(linger_close(c.p.us, T_LIMIT_MS));
	sent(&c, "F", "");
	t_write(c.p.peer, 1);
	sent(&c, "FR", "D");
	wire_finish(&c);
}
END_TEST

START_TEST(capture_is_not_available)
{
	t_skip(sniff_missing());
}
END_TEST

static void
add_aborts(TCase *tc)
{
	tcase_add_loop_test(tc, abort_is_a_reset_now_and_never_a_fin, 0,
	    ABORTS * ABORT_ANY);
	tcase_add_loop_test(tc,
	    abort_resets_in_spite_of_a_duplicate_which_then_sends_nothing, 0,
	    ABORT_ANY);
	tcase_add_loop_test(tc, abort_resets_in_spite_of_a_forked_holder, 0,
	    ABORT_ANY);
	tcase_add_loop_test(tc,
	    abort_resets_in_spite_of_a_blocked_reader_who_wakes, 0, ABORT_ANY);
	tcase_add_loop_test(tc, abort_in_last_ack_with_all_sent_sends_nothing,
	    0, ABORT_ANY);
}

static void
add_comparison(TCase *tc)
{
	tcase_add_loop_test(tc, close_alone_resets_or_not_as_it_happens, 0,
	    PLAIN * T_PLAIN);
	tcase_add_loop_test(tc,
	    linger_0_sends_nothing_while_there_is_a_duplicate, 0, T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    input_after_the_end_of_the_wait_is_reset_by_the_kernel, 0,
	    T_ANY_PLAIN);
}

int
main(void)
{
	Suite *s;

	sniff_prepare();
	s = suite_create("wire abort");
	if (sniff_missing() != NULL) {
		tcase_add_test(t_case(s, "none"), capture_is_not_available);
		return t_main(s);
	}
	add_aborts(wire_case(s, "abort"));
	add_comparison(wire_case(s, "comparison"));
	return t_main(s);
}
