/*
 * check_scripted_peer.c - each move of the scripted peer, on a kernel socket:
 * only a peer that does what it says can prove anything of the library
 *
 * Even indices: it connects to us; odd ones: we connect to it.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/tcp.h>

#include "network/scripted_peer.h"
#include "network/link.h"

#define BOTH		2		/* loop end: either connects */
#define QUIET_MS	150		/* that nothing comes after it */
#define MORE		100000

/* Waits of t_peer_await. */
static bool
done(const struct t_peer_seen *s)
{
	return s->done;
}

static bool
all_here(const struct t_peer_seen *s)
{
	return s->received == MORE;
}

static bool
fin_here(const struct t_peer_seen *s)
{
	return s->fin;
}

static bool
fin_acked_by_us(const struct t_peer_seen *s)
{
	return s->fin_sent_acked;
}

static bool
reset_by_us(const struct t_peer_seen *s)
{
	return s->rst;
}

static int
meet(const struct t_script *script, int i)
{
	t_link_begin(1);
	return t_peer_connect(script, i % BOTH != 0);
}

static void
part(int fd)
{
	t_close(fd);
	t_peer_gone();
}

static struct t_peer_seen
seen(void)
{
	struct t_peer_seen s;

	t_peer_seen(&s);
	ck_assert(s.intact);
	return s;
}

/* Sends these bytes of the pattern, without waiting. */
static void
put(int fd, uint64_t from, size_t n)
{
	static unsigned char buf[MORE];

	ck_assert_uint_le(n, sizeof(buf));
	t_sndbuf(fd, 4 * MORE);
	t_pattern(buf, from, n);
	ck_assert_int_eq(send(fd, buf, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Nothing has happened to our direction: what we send now arrives. */
static void
part_in_order(int fd)
{
	put(fd, 0, MORE);
	t_fin(fd);
	t_wait_outq(fd, 0);
	ck_assert_uint_eq(seen().received, MORE);
	part(fd);
}

/* Reads to the end; returns how many bytes, each one checked. */
static uint64_t
get(int fd)
{
	unsigned char buf[16384], expected[sizeof(buf)];
	uint64_t at = 0;
	ssize_t n;

	for (;;) {
		t_wait_readable(fd);
		n = recv(fd, buf, sizeof(buf), 0);
		ck_assert_msg(n != -1, "recv: %s", t_errno(errno));
		if (n == 0)
			return at;
		t_pattern(expected, at, (size_t)n);
		ck_assert_int_eq(memcmp(buf, expected, (size_t)n), 0);
		at += (uint64_t)n;
	}
}

START_TEST(the_pattern_is_the_same_wherever_one_begins)
{
	unsigned char whole[4096], part[100];
	uint64_t from = 65521 - 2000;

	t_pattern(whole, from, sizeof(whole));
	t_pattern(part, from + 1950, sizeof(part));
	ck_assert_int_eq(memcmp(whole + 1950, part, sizeof(part)), 0);
	ck_assert_int_ne(memcmp(whole, whole + 2048, 2048), 0);
}
END_TEST

START_TEST(a_peer_that_behaves_gets_every_byte_and_both_fins)
{
	static const struct t_script script = { "behaves",
	    { { P_AWAIT_FIN, 0 }, { P_SEND, 5000 }, { P_FIN, 0 } } };
	struct t_peer_seen s;
	int fd;

	fd = meet(&script, _i);
	put(fd, 0, MORE);
	t_fin(fd);
	ck_assert_uint_eq(get(fd), 5000);
	t_wait_outq(fd, 0);
	t_peer_await(fin_acked_by_us, "got the ACK of its FIN");
	s = seen();
	ck_assert_uint_eq(s.received, MORE);
	ck_assert_uint_eq(s.acked, MORE);
	ck_assert(s.fin && s.fin_acked && s.fin_sent && s.done);
	ck_assert_uint_eq(s.sent, 5000);
	ck_assert_uint_eq(s.sent_acked, 5000);
	ck_assert(!s.rst);
	ck_assert_uint_eq(s.rsts, 0);
	part(fd);
}
END_TEST

START_TEST(what_it_does_not_acknowledge_stays_ours)
{
	static const struct t_script script = { "acknowledges nothing",
	    { { P_ACKS, 0 } } };
	struct t_peer_seen s;
	int fd;

	fd = meet(&script, _i);
	put(fd, 0, 1000);
	t_fin(fd);
	t_peer_await(fin_here, "got our FIN");
	t_pause(QUIET_MS);
	ck_assert_int_eq(t_outq(fd), 1001);
	ck_assert_int_eq(t_state(fd), TCP_FIN_WAIT1);
	s = seen();
	ck_assert_uint_eq(s.received, 1000);
	ck_assert_uint_eq(s.acked, 0);
	ck_assert(!s.fin_acked);
	part(fd);
}
END_TEST

START_TEST(a_late_ack_is_no_earlier_than_it_says)
{
	static const struct t_script script = { "late",
	    { { P_ACK_LATE, 120 } } };
	int64_t begun;
	int fd;

	fd = meet(&script, _i);
	begun = t_now_ms();
	put(fd, 0, 1000);
	t_wait_outq(fd, 0);
	ck_assert_int_ge(t_now_ms() - begun, 119);
	begun = t_now_ms();
	t_fin(fd);
	t_wait_state(fd, TCP_FIN_WAIT2);
	ck_assert_int_ge(t_now_ms() - begun, 119);
	part(fd);
}
END_TEST

START_TEST(an_ack_up_to_a_byte_leaves_exactly_the_rest)
{
	static const struct t_script script = { "700",
	    { { P_ACK_UP_TO, 700 }, { P_AWAIT_GO, 0 }, { P_ACKS, 1 } } };
	int fd;

	fd = meet(&script, _i);
	put(fd, 0, 3000);
	t_wait_outq(fd, 2300);
	t_fin(fd);
	t_peer_await(fin_here, "got our FIN");
	t_pause(QUIET_MS);
	ck_assert_int_eq(t_outq(fd), 2301);
	ck_assert_uint_eq(seen().acked, 700);
	t_peer_go();
	t_wait_outq(fd, 0);
	ck_assert_uint_eq(seen().acked, 3000);
	part(fd);
}
END_TEST

START_TEST(a_window_of_zero_takes_nothing_until_it_opens)
{
	static const struct t_script script = { "zero window",
	    { { P_WINDOW, 0 }, { P_AWAIT_GO, 0 }, { P_WINDOW, 3000 } } };
	int fd;

	fd = meet(&script, _i);
	put(fd, 0, MORE);
	t_fin(fd);
	t_pause(2 * QUIET_MS);
	ck_assert_int_eq(t_outq(fd), MORE + 1);
	ck_assert_int_eq(t_state(fd), TCP_FIN_WAIT1);
	ck_assert_uint_eq(seen().received, 0);
	t_peer_go();
	t_wait_outq(fd, 0);
	ck_assert_uint_eq(seen().received, MORE);
	part(fd);
}
END_TEST

START_TEST(a_window_that_shuts_takes_no_more_of_what_comes)
{
	static const struct t_script script = { "shuts",
	    { { P_AWAIT_DATA, 2000 }, { P_WINDOW, 0 } } };
	uint64_t received;
	int fd;

	fd = meet(&script, _i);
	put(fd, 0, MORE);
	t_peer_await(done, "shut its window");
	received = seen().received;
	ck_assert_uint_lt(received, 2000 + T_PEER_MSS);
	t_wait_outq(fd, (int)(MORE - received));
	t_pause(QUIET_MS);
	ck_assert_uint_eq(seen().received, received);
	part(fd);
}
END_TEST

START_TEST(a_drip_is_one_byte_at_a_time)
{
	static const struct t_script script = { "drips",
	    { { P_DRIP, 20 }, { P_AWAIT_GO, 0 }, { P_FIN, 0 } } };
	int64_t begun;
	int fd;

	begun = t_now_ms();
	fd = meet(&script, _i);
	t_wait_inq(fd, 6);
	ck_assert_int_ge(t_now_ms() - begun, 100);
	t_peer_go();
	ck_assert_uint_ge(get(fd), 6);
	ck_assert_uint_eq(seen().sent, seen().sent_acked);
	part(fd);
}
END_TEST

/* At so many bytes a ms; 0: whatever goes. */
static const int64_t floods[] = { 0, 3000 };
#define FLOODS		(int)(sizeof(floods) / sizeof(floods[0]))

START_TEST(a_flood_is_all_right_bytes)
{
	struct t_script script = { "floods",
	    { { P_FLOOD, floods[_i / BOTH] }, { P_SLEEP, 100 },
	    { P_STOP, 0 }, { P_FIN, 0 } } };
	uint64_t got;
	int fd;

	fd = meet(&script, _i);
	got = get(fd);
	ck_assert_uint_eq(got, seen().sent);
	ck_assert_uint_gt(got, 3000);
	part(fd);
}
END_TEST

START_TEST(a_flood_keeps_to_our_window)
{
	static const struct t_script script = { "floods",
	    { { P_FLOOD, 0 }, { P_AWAIT_GO, 0 }, { P_FIN, 0 } } };
	int fd, before;

	fd = meet(&script, _i);
	do {
		before = t_inq(fd);
		t_pause(QUIET_MS);
	} while (t_inq(fd) != before);
	ck_assert_int_ge(before, 10000);
	ck_assert_int_eq(t_state(fd), TCP_ESTABLISHED);
	t_peer_go();
	ck_assert_uint_eq(get(fd), seen().sent);
	part(fd);
}
END_TEST

START_TEST(its_fin_may_come_first)
{
	static const struct t_script script = { "half-closes",
	    { { P_SEND, 3000 }, { P_FIN, 0 }, { P_AWAIT_ACKED, 0 } } };
	int fd;

	fd = meet(&script, _i);
	t_wait_state(fd, TCP_CLOSE_WAIT);
	t_peer_await(done, "was acknowledged");
	ck_assert_uint_eq(get(fd), 3000);
	put(fd, 0, MORE);
	t_peer_await(all_here, "got all");
	t_fin(fd);
	t_wait_state(fd, TCP_CLOSE);
	ck_assert_int_eq(t_outq(fd), 0);
	ck_assert(seen().fin_acked && seen().fin_sent_acked);
	part(fd);
}
END_TEST

START_TEST(both_fins_may_cross)
{
	static const struct t_script script = { "simultaneous close",
	    { { P_AWAIT_DATA, 100 }, { P_ACKS, 0 }, { P_AWAIT_ANY_FIN, 0 },
	    { P_FIN, 0 }, { P_AWAIT_GO, 0 }, { P_ACKS, 1 } } };
	int fd;

	fd = meet(&script, _i);
	put(fd, 0, 100);
	t_fin(fd);
	t_wait_state(fd, TCP_CLOSING);
	t_pause(QUIET_MS);
	ck_assert_int_eq(t_outq(fd), 1);
	ck_assert_int_eq(t_state(fd), TCP_CLOSING);
	ck_assert(seen().fin && !seen().fin_acked);
	t_peer_go();
	t_wait_state(fd, TCP_CLOSE);
	ck_assert_int_eq(t_outq(fd), 0);
	part(fd);
}
END_TEST

START_TEST(a_fin_that_comes_again_is_acknowledged_again)
{
	static const struct t_script script = { "closes first",
	    { { P_FIN, 0 } } };
	static const struct t_rule rule = { T_IN, T_ACK, 1, 2, T_LOSS, 0 };
	struct t_counts before, after;
	unsigned fins;
	int fd;

	fd = meet(&script, _i);
	t_wait_state(fd, TCP_CLOSE_WAIT);
	t_link_rule(&rule);
	t_link_counts(&before);
	t_fin(fd);
	t_wait_state(fd, TCP_CLOSE);
	t_link_settle();
	t_link_counts(&after);
	fins = after.seen[T_OUT][T_FIN_BIT] - before.seen[T_OUT][T_FIN_BIT];
	ck_assert_uint_ge(fins, 3);
	ck_assert_uint_eq(fins,
	    after.seen[T_IN][T_ACK_BIT] - before.seen[T_IN][T_ACK_BIT]);
	part(fd);
}
END_TEST

START_TEST(data_behind_its_fin_is_no_data)
{
	static const struct t_script script = { "data behind",
	    { { P_SEND, 1000 }, { P_FIN, 0 }, { P_AWAIT_ACKED, 0 },
	    { P_DATA_BEHIND, 2000 } } };
	int fd;

	fd = meet(&script, _i);
	t_wait_state(fd, TCP_CLOSE_WAIT);
	t_peer_await(done, "sent more");
	t_link_settle();
	ck_assert_uint_eq(get(fd), 1000);
	part_in_order(fd);
}
END_TEST

START_TEST(a_fin_with_a_gap_before_it_is_seen_but_not_taken)
{
	static const struct t_script script = { "any FIN",
	    { { P_AWAIT_ANY_FIN, 0 } } };
	static const struct t_rule gap = { T_OUT, T_DATA, 0, 0, T_LOSS, 0 };
	int fd;

	fd = meet(&script, _i);
	t_link_rule(&gap);
	put(fd, 0, 1000);
	t_fin(fd);
	t_peer_await(done, "saw a FIN");
	ck_assert(!seen().fin);
	ck_assert_uint_eq(seen().received, 0);
	part(fd);
}
END_TEST

START_TEST(a_reset_at_the_expected_number_ends_it)
{
	static const struct t_script script = { "resets",
	    { { P_SEND, 500 }, { P_AWAIT_DATA, 1000 }, { P_RST, 0 } } };
	int fd;

	fd = meet(&script, _i);
	put(fd, 0, 1000);
	t_wait_reset(fd);
	t_error_is(t_pending_error(fd), ECONNRESET);
	part(fd);
}
END_TEST

START_TEST(a_reset_that_was_lost_comes_again_as_an_answer)
{
	static const struct t_script script = { "resets",
	    { { P_AWAIT_DATA, 1000 }, { P_RST, 0 } } };
	static const struct t_rule rule = { T_IN, T_RST, 1, 1, T_LOSS, 0 };
	int fd;

	t_link_begin(1);
	t_link_rule(&rule);
	fd = t_peer_connect(&script, _i);
	put(fd, 0, 1000);
	t_peer_await(done, "sent the RST");
	ck_assert_int_eq(t_state(fd), TCP_ESTABLISHED);
	put(fd, 1000, 1);
	t_wait_reset(fd);
	t_error_is(t_pending_error(fd), ECONNRESET);
	part(fd);
}
END_TEST

/*
 * Of these the connection survives: RFC 5961 3.2 answers one in the window by
 * a challenge ACK, and drops one outside.
 */
static const struct {
	struct t_move	move;
	unsigned	challenges;
} harmless[] = {
	{ { P_RST, 1 },			1 },
	{ { P_RST, 1000 },		1 },
	{ { P_RST_OUTSIDE, 0 },		0 }
};
#define HARMLESS	(int)(sizeof(harmless) / sizeof(harmless[0]))

START_TEST(a_reset_at_another_number_ends_nothing)
{
	struct t_script script = { "resets in vain",
	    { { P_AWAIT_GO, 0 }, harmless[_i / BOTH].move,
	    { P_AWAIT_GO, 0 }, { P_SEND, 10 }, { P_FIN, 0 } } };
	struct t_counts before, after;
	int fd;

	fd = meet(&script, _i);
	t_link_settle();
	t_link_counts(&before);
	t_peer_go();
	t_pause(QUIET_MS);
	t_link_counts(&after);
	ck_assert_uint_eq(after.carried[T_IN][T_RST_BIT],
	    before.carried[T_IN][T_RST_BIT] + 1);
	ck_assert_uint_eq(after.seen[T_OUT][T_ACK_BIT],
	    before.seen[T_OUT][T_ACK_BIT] + harmless[_i / BOTH].challenges);
	t_peer_go();
	ck_assert_uint_eq(get(fd), 10);
	part_in_order(fd);
}
END_TEST

/*
 * Some systems reset a connection whose FIN was acknowledged at the number of
 * that FIN, one too low; Linux believes it (tcp_reset_check()).
 */
START_TEST(after_its_fin_a_reset_at_the_number_of_the_fin_ends_it)
{
	static const struct t_script script = { "resets one too low",
	    { { P_FIN, 0 }, { P_AWAIT_ACKED, 0 }, { P_RST, -1 } } };
	int fd;

	fd = meet(&script, _i);
	t_wait_reset(fd);
	t_error_is(t_pending_error(fd), EPIPE);
	part(fd);
}
END_TEST

START_TEST(our_reset_is_believed)
{
	static const struct t_script script = { "behaves", { { P_SEND, 10 } } };
	int fd;

	fd = meet(&script, _i);
	t_wait_inq(fd, 10);
	put(fd, 0, 1000);
	t_reset(fd);
	t_peer_await(reset_by_us, "got our RST");
	ck_assert_uint_ge(seen().rsts, 1);
	t_peer_gone();
}
END_TEST

START_TEST(nothing_comes_from_one_that_vanished)
{
	static const struct t_script script = { "vanishes",
	    { { P_AWAIT_DATA, 1000 }, { P_VANISH, 0 } } };
	struct t_counts before, after;
	int fd;

	fd = meet(&script, _i);
	put(fd, 0, 1000);
	t_wait_outq(fd, 0);
	t_peer_await(done, "vanished");
	t_link_counts(&before);
	put(fd, 1000, 2000);
	t_fin(fd);
	t_pause(QUIET_MS);
	t_link_counts(&after);
	ck_assert_int_eq(memcmp(before.seen[T_IN], after.seen[T_IN],
	    sizeof(before.seen[T_IN])), 0);
	ck_assert_int_eq(t_outq(fd), 2001);
	ck_assert_uint_eq(seen().acked, 1000);
	part(fd);
}
END_TEST

/* Each of these segments is lost, some times; that is made good. */
static const struct t_rule losses[] = {
	{ T_OUT, T_SYN,		1, 1, T_LOSS, 0 },
	{ T_IN,	 T_SYN,		1, 1, T_LOSS, 0 },
	{ T_OUT, T_ACK,		1, 1, T_LOSS, 0 },
	{ T_IN,	 T_ACK,		1, 1, T_LOSS, 0 },
	{ T_OUT, T_DATA,	1, 1, T_LOSS, 0 },
	{ T_OUT, T_DATA,	2, 3, T_LOSS, 0 },
	{ T_IN,	 T_DATA,	1, 1, T_LOSS, 0 },
	{ T_IN,	 T_DATA,	2, 3, T_LOSS, 0 },
	{ T_OUT, T_FIN,		1, 1, T_LOSS, 0 },
	{ T_IN,	 T_FIN,		1, 1, T_LOSS, 0 },
	{ T_IN,	 T_FIN,		1, 2, T_LOSS, 0 },
	{ T_OUT, T_ACK,		2, 9, T_LOSS, 0 },
	{ T_IN,	 T_ACK,		2, 9, T_LOSS, 0 },
	{ T_OUT, T_DATA,	2, 1, T_DELAY, 30 },
	{ T_IN,	 T_DATA,	2, 1, T_DELAY, 30 },
	{ T_IN,	 T_FIN,		1, 1, T_DUPLICATE, 0 },
	{ T_OUT, T_FIN,		1, 1, T_DUPLICATE, 0 },
	{ T_IN,	 T_DATA,	2, 4, T_DUPLICATE, 0 },
	{ T_OUT, T_DATA,	2, 4, T_DUPLICATE, 0 }
};
#define LOSSES	(int)(sizeof(losses) / sizeof(losses[0]))

static void
exchange(int fd)
{
	put(fd, 0, 20000);
	t_fin(fd);
	ck_assert_uint_eq(get(fd), 20000);
	t_wait_outq(fd, 0);
	t_peer_await(fin_acked_by_us, "got the ACK of its FIN");
	ck_assert_uint_eq(seen().received, 20000);
	ck_assert_uint_eq(seen().sent_acked, 20000);
	ck_assert(seen().fin_acked && !seen().rst);
	part(fd);
}

START_TEST(what_is_lost_comes_again_where_we_close_first)
{
	static const struct t_script script = { "closes second",
	    { { P_AWAIT_FIN, 0 }, { P_SEND, 20000 }, { P_FIN, 0 } } };

	t_link_begin(1);
	t_link_rule(&losses[_i / BOTH]);
	exchange(t_peer_connect(&script, _i % BOTH != 0));
}
END_TEST

START_TEST(what_is_lost_comes_again_where_it_closes_first)
{
	static const struct t_script script = { "closes first",
	    { { P_SEND, 20000 }, { P_FIN, 0 } } };

	t_link_begin(1);
	t_link_rule(&losses[_i / BOTH]);
	exchange(t_peer_connect(&script, _i % BOTH != 0));
}
END_TEST

/*
 * Who had to repeat a SYN waits for 3 seconds at the next loss (RFC 6298, 5.7):
 * so the impairments begin after the handshake.
 */
START_TEST(impairments_spoil_nothing)
{
	static const struct t_script script = { "both at once",
	    { { P_AWAIT_GO, 0 }, { P_SEND, 20000 }, { P_AWAIT_FIN, 0 },
	    { P_FIN, 0 } } };
	static const struct t_impair bad = { .loss = 50, .duplicate = 50,
	    .reorder = 50, .reorder_us = 3000, .delay_us = 100,
	    .jitter_us = 1000 };

	int fd;

	t_link_begin((uint64_t)_i);
	fd = t_peer_connect(&script, _i % BOTH != 0);
	t_link_impair(T_OUT, &bad);
	t_link_impair(T_IN, &bad);
	t_peer_go();
	exchange(fd);
}
END_TEST

START_TEST(nothing_comes_again_where_it_repeats_nothing)
{
	static const struct t_script script = { "no repeats",
	    { { P_REPEATS, 0 }, { P_SEND, 1000 }, { P_AWAIT_GO, 0 },
	    { P_REPEATS, 1 }, { P_FIN, 0 } } };
	static const struct t_rule rule = { T_IN, T_DATA, 1, 1, T_LOSS, 0 };
	int fd;

	t_link_begin(1);
	t_link_rule(&rule);
	fd = t_peer_connect(&script, _i);
	t_pause(4 * T_PEER_RTO_MS);
	ck_assert_int_eq(t_inq(fd), 0);
	ck_assert_uint_eq(seen().sent, 1000);
	ck_assert_uint_eq(seen().sent_acked, 0);
	t_peer_go();
	ck_assert_uint_eq(get(fd), 1000);
	part(fd);
}
END_TEST

START_TEST(there_is_a_wire)
{
	if (t_link_missing() != NULL)
		t_skip(t_link_missing());
}
END_TEST

int
main(void)
{
	const struct {
		const TTest	*test;
		int		 n;
	} tests[] = {
		{ a_peer_that_behaves_gets_every_byte_and_both_fins, BOTH },
		{ what_it_does_not_acknowledge_stays_ours, BOTH },
		{ a_late_ack_is_no_earlier_than_it_says, BOTH },
		{ an_ack_up_to_a_byte_leaves_exactly_the_rest, BOTH },
		{ a_window_of_zero_takes_nothing_until_it_opens, BOTH },
		{ a_window_that_shuts_takes_no_more_of_what_comes, BOTH },
		{ a_drip_is_one_byte_at_a_time, BOTH },
		{ a_flood_is_all_right_bytes, FLOODS * BOTH },
		{ a_flood_keeps_to_our_window, BOTH },
		{ its_fin_may_come_first, BOTH },
		{ both_fins_may_cross, BOTH },
		{ a_fin_that_comes_again_is_acknowledged_again, BOTH },
		{ data_behind_its_fin_is_no_data, BOTH },
		{ a_fin_with_a_gap_before_it_is_seen_but_not_taken, BOTH },
		{ a_reset_at_the_expected_number_ends_it, BOTH },
		{ a_reset_that_was_lost_comes_again_as_an_answer, BOTH },
		{ a_reset_at_another_number_ends_nothing, HARMLESS * BOTH },
		{ after_its_fin_a_reset_at_the_number_of_the_fin_ends_it,
		    BOTH },
		{ our_reset_is_believed, BOTH },
		{ nothing_comes_from_one_that_vanished, BOTH },
		{ what_is_lost_comes_again_where_we_close_first,
		    LOSSES * BOTH },
		{ what_is_lost_comes_again_where_it_closes_first,
		    LOSSES * BOTH },
		{ impairments_spoil_nothing, 8 * BOTH },
		{ nothing_comes_again_where_it_repeats_nothing, BOTH }
	};
	Suite *s = suite_create("peer");
	TCase *tc = t_case(s, "peer");
	size_t i;

	t_link_prepare();
	tcase_add_test(tc, the_pattern_is_the_same_wherever_one_begins);
	tcase_add_test(tc, there_is_a_wire);
	for (i = 0; t_link_missing() == NULL &&
	    i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_loop_test(tc, tests[i].test, 0, tests[i].n);
	return t_main(s);
}
