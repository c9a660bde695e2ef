/*
 * check_network.c - the link, its impairments, and what its log proves of
 * connections between two kernels
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "support/util.h"
#include "network/link.h"

#define SIZE		100000
#define REPLY		1000
#define HANDSHAKE_SEGMENTS 3

/* We accept or connect, by an index below T_ANY_TCP. */
#define pair_or_skip(p, i) do {						\
	if (t_link_missing() != NULL)					\
		t_skip(t_link_missing());				\
	t_need_any(i);							\
	t_link_begin((uint64_t)(i));					\
	t_link_pair((p), (i) / 2, (i) % 2 == 1);			\
} while (0)

static struct t_packet log_copy[T_LOG];

static void
rule(int way, int kinds, unsigned nth, enum t_action action, int delay_ms)
{
	struct t_rule r = { .way = way, .kinds = kinds, .nth = nth,
	    .times = 1, .action = action, .delay_ms = delay_ms };

	t_link_rule(&r);
}

static struct t_counts
counts(void)
{
	struct t_counts c;

	t_link_settle();
	t_link_counts(&c);
	return c;
}

static struct t_proof
proof(int64_t until_us)
{
	struct t_proof t;

	t_link_proof(&t, until_us);
	return t;
}

/*
 * From us to the peer, with our FIN; then a reply with its own.  Before that a
 * peer of MPTCP may not say again that it has our FIN, if that was lost.
 */
static void
transfer(struct t_pair *p, size_t size)
{
	struct t_reader r;

	t_reader(&r, p->peer, 0);
	t_write(p->us, size);
	t_fin(p->us);
	t_saw(t_reader_join(&r), size, 0);
	t_write(p->peer, REPLY);
	t_fin(p->peer);
	t_saw(t_read_all(p->us), REPLY, 0);
	t_wait_outq(p->us, 0);
}

static void
ended_well(const struct t_proof *t, size_t size)
{
	ck_assert_uint_eq(t->sent, size);
	ck_assert_uint_eq(t->acked, size);
	ck_assert_uint_eq(t->taken, REPLY);
	ck_assert(t->fin_sent && t->fin_acked && t->fin_taken);
	ck_assert(!t->rst_sent && !t->rst_reached);
}

/* The nth nth_packet of some kind this way, of what was carried. */
static const struct t_packet *
nth_packet(int way, int kinds, unsigned nth)
{
	size_t i, n = t_link_log(log_copy, T_LOG);

	for (i = 0; i < n; i++)
		if (log_copy[i].way == way && (log_copy[i].kinds & kinds) &&
		    log_copy[i].fate == T_CARRIED && --nth == 0)
			return &log_copy[i];
	t_link_print(stdout);
	ck_abort_msg("no such segment");
	return NULL;
}

/*
 * The link
 */

START_TEST(without_impairments_nothing_is_lost_or_repeated)
{
	struct t_counts c;
	struct t_proof t;
	struct t_pair p;

	pair_or_skip(&p, _i);
	transfer(&p, SIZE);
	c = counts();
	ck_assert_mem_eq(c.seen, c.carried, sizeof(c.seen));
	ck_assert_uint_eq(c.seen[T_OUT][T_SYN_BIT], 1);
	ck_assert_uint_eq(c.seen[T_IN][T_SYN_BIT], 1);
	ck_assert_uint_ge(c.seen[T_OUT][T_DATA_BIT], SIZE / 1500);
	ck_assert_uint_eq(c.seen[T_OUT][T_OTHER_BIT], 0);
	ck_assert_uint_eq(c.seen[T_IN][T_OTHER_BIT], 0);
	t = proof(INT64_MAX);
	ended_well(&t, SIZE);
	t_close_pair(&p);
}
END_TEST

START_TEST(a_lost_fin_is_sent_again)
{
	struct t_counts c;
	struct t_proof t;
	struct t_pair p;

	pair_or_skip(&p, _i);
	rule(T_OUT, T_FIN, 1, T_LOSS, 0);
	transfer(&p, SIZE);
	c = counts();
	ck_assert_uint_ge(c.seen[T_OUT][T_FIN_BIT], 2);
	ck_assert_uint_eq(c.carried[T_OUT][T_FIN_BIT] + 1,
	    c.seen[T_OUT][T_FIN_BIT]);
	t = proof(INT64_MAX);
	ended_well(&t, SIZE);
	t_close_pair(&p);
}
END_TEST

START_TEST(a_held_segment_is_overtaken)
{
	const struct t_packet *held;
	int64_t left_us, us;
	struct t_pair p;

	pair_or_skip(&p, _i);
	rule(T_OUT, T_DATA, 1, T_DELAY, 100);
	transfer(&p, SIZE);
	t_link_settle();
	held = nth_packet(T_OUT, T_DATA, 1);
	left_us = held->out_us;
	us = left_us - held->s.us;
	ck_assert_int_ge(us, 100000);
	ck_assert_int_lt(nth_packet(T_OUT, T_DATA, 2)->out_us, left_us);
	t_close_pair(&p);
}
END_TEST

START_TEST(a_doubled_segment_counts_twice)
{
	struct t_counts c;
	struct t_proof t;
	struct t_pair p;
	uint32_t seq;

	pair_or_skip(&p, _i);
	rule(T_IN, T_FIN, 1, T_DUPLICATE, 0);
	rule(T_IN, T_FIN, 3, T_LOSS, 0);
	transfer(&p, SIZE);
	c = counts();
	ck_assert_uint_ge(c.seen[T_IN][T_FIN_BIT], 2);
	ck_assert_uint_ge(c.carried[T_IN][T_FIN_BIT], 2);
	seq = nth_packet(T_IN, T_FIN, 1)->s.seq;
	ck_assert_uint_eq(nth_packet(T_IN, T_FIN, 2)->s.seq, seq);
	t = proof(INT64_MAX);
	ended_well(&t, SIZE);
	t_close_pair(&p);
}
END_TEST

START_TEST(delay_and_jitter_keep_the_order)
{
	const struct t_impair slow = { .delay_us = 3000, .jitter_us = 3000 };
	struct t_pair p;
	int64_t out_us;
	size_t i, n;

	pair_or_skip(&p, _i);
	t_link_impair(T_OUT, &slow);
	transfer(&p, SIZE);
	t_link_settle();
	n = t_link_log(log_copy, T_LOG);
	for (i = HANDSHAKE_SEGMENTS, out_us = 0; i < n; i++) {
		if (log_copy[i].way != T_OUT)
			continue;
		ck_assert_int_ge(log_copy[i].out_us - log_copy[i].s.us, 3000);
		ck_assert_int_ge(log_copy[i].out_us, out_us);
		out_us = log_copy[i].out_us;
	}
	t_close_pair(&p);
}
END_TEST

START_TEST(every_byte_gets_through_all_impairments)
{
	const struct t_impair bad = { .loss = 100, .duplicate = 50,
	    .reorder = 50, .reorder_us = 2000, .delay_us = 200,
	    .jitter_us = 200 };
	struct t_pair p;
	struct t_proof t;

	pair_or_skip(&p, _i);
	t_link_impair(T_OUT, &bad);
	t_link_impair(T_IN, &bad);
	transfer(&p, SIZE);
	t_link_settle();
	t = proof(INT64_MAX);
	if (_i / 2 != T_MPTCP)
		ended_well(&t, SIZE);
	t_close_pair(&p);
}
END_TEST

/* IPv4 with a wrong checksum, which a kernel drops without a word. */
static void
send_debris(int n)
{
	unsigned char packet[40] = { 0x45, 0, 0, sizeof(packet) };

	for (; n > 0; n--)
		t_link_send(packet, sizeof(packet));
	t_link_settle();
}

#define DEBRIS	300

static void
fates(uint64_t seed, int fate[DEBRIS])
{
	const struct t_impair bad = { .loss = 100, .reorder = 100,
	    .jitter_us = 500, .reorder_us = 1000 };
	size_t i, n;

	t_link_begin(seed);
	t_link_impair(T_IN, &bad);
	send_debris(DEBRIS);
	n = t_link_log(log_copy, T_LOG);
	ck_assert_uint_eq(n, DEBRIS);
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(log_copy[i].kinds, T_OTHER);
		fate[i] = log_copy[i].fate;
	}
}

START_TEST(a_seed_gives_the_same_impairments_again)
{
	int first[DEBRIS], second[DEBRIS], other[DEBRIS];

	if (t_link_missing() != NULL)
		t_skip(t_link_missing());
	fates(1, first);
	fates(1, second);
	fates(2, other);
	ck_assert_mem_eq(first, second, sizeof(first));
	ck_assert_mem_ne(first, other, sizeof(first));
}
END_TEST

START_TEST(a_cut_wire_carries_nothing)
{
	struct t_counts before, c;
	struct t_proof t;
	struct t_pair p;

	pair_or_skip(&p, _i);
	before = counts();
	t_link_cut(true);
	t_write(p.us, REPLY);
	t_write(p.peer, REPLY);
	t_pause(3 * t_link_rto_ms());
	c = counts();
	ck_assert_mem_eq(c.carried, before.carried, sizeof(c.carried));
	ck_assert_uint_ge(c.seen[T_OUT][T_DATA_BIT], 2);
	t = proof(INT64_MAX);
	ck_assert_uint_eq(t.sent, REPLY);
	ck_assert_uint_eq(t.acked, 0);
	t_link_cut(false);
	t_read(p.us, REPLY);
	t_read(p.peer, REPLY);
	t_close_pair(&p);
}
END_TEST

START_TEST(what_is_left_of_an_old_connection_is_not_seen)
{
	struct t_pair old, p;
	struct t_counts c;
	struct t_proof t;

	pair_or_skip(&old, _i);
	t_link_cut(true);
	t_write(old.us, REPLY);
	t_close_pair(&old);
	t_link_begin(0);
	t_link_pair(&p, _i / 2, _i % 2 == 1);
	t_pause(5 * t_link_rto_ms());
	c = counts();
	ck_assert_uint_eq(c.seen[T_OUT][T_DATA_BIT], 0);
	ck_assert_uint_eq(c.seen[T_OUT][T_SYN_BIT], 1);
	ck_assert_uint_eq(c.seen[T_IN][T_SYN_BIT], 1);
	transfer(&p, SIZE);
	t = proof(INT64_MAX);
	ended_well(&t, SIZE);
	t_close_pair(&p);
}
END_TEST

START_TEST(a_log_that_is_full_keeps_its_proof)
{
	const size_t size = (size_t)T_LOG * 1500;
	struct t_counts c;
	struct t_proof t;
	struct t_pair p;

	pair_or_skip(&p, _i);
	transfer(&p, size);
	c = counts();
	ck_assert_uint_gt(c.seen[T_OUT][T_DATA_BIT], T_LOG);
	ck_assert_uint_le(t_link_log(log_copy, T_LOG), T_LOG);
	t = proof(INT64_MAX);
	ended_well(&t, size);
	t_close_pair(&p);
}
END_TEST

/*
 * A program as the peer's host
 */

struct echo {
	unsigned	inputs, ticks;
	int64_t		due_us, late_us;
};

static void
echo_input(void *arg, const void *packet, size_t length, int64_t now_us)
{
	struct echo *e = arg;

	(void)packet;
	(void)length;
	(void)now_us;
	__atomic_add_fetch(&e->inputs, 1, __ATOMIC_RELEASE);
}

/* Every 5 ms. */
static int64_t
echo_tick(void *arg, int64_t now_us)
{
	struct echo *e = arg;

	if (e->due_us == 0 || now_us >= e->due_us) {
		__atomic_add_fetch(&e->ticks, 1, __ATOMIC_RELEASE);
		e->due_us = now_us + 5000;
	}
	return e->due_us;
}

START_TEST(a_host_is_called_for_packets_and_when_it_is_due)
{
	struct echo e = { .inputs = 0 };
	const struct t_host host = { echo_input, echo_tick, &e };
	struct sockaddr_storage ss;
	int64_t began, took;
	unsigned inputs;
	socklen_t len;
	int fd;

	if (t_link_missing() != NULL)
		t_skip(t_link_missing());
	t_link_begin(0);
	began = t_now_us();
	t_link_host(&host);
	fd = t_link_socket(T_IPV4, false);
	t_nonblock(fd);
	len = t_link_address(&ss, T_IPV4, true, 80);
	t_fails(connect(fd, (struct sockaddr *)&ss, len), EINPROGRESS);
	while (__atomic_load_n(&e.ticks, __ATOMIC_ACQUIRE) < 5)
		t_pause(1);
	took = t_now_us() - began;
	t_link_host(NULL);
	inputs = e.inputs;
	ck_assert_uint_ge(inputs, 1);
	ck_assert_int_ge(took, 20000);
	t_close(fd);
	t_pause(20);
	ck_assert_uint_eq(e.inputs, inputs);
}
END_TEST

/*
 * What the log proves of real connections
 */

START_TEST(what_no_ack_told_of_is_not_acked)
{
	int64_t before_us;
	struct t_proof t;
	struct t_pair p;

	pair_or_skip(&p, _i);
	t_write(p.us, 1000);
	t_read(p.peer, 1000);
	t_wait_outq(p.us, 0);
	t_write(p.peer, 700);
	t_read(p.us, 700);
	t_wait_outq(p.peer, 0);
	before_us = t_now_us();
	t_link_rule(&(struct t_rule){ .way = T_IN, .kinds = T_ACK });
	t_write(p.us, 2000);
	t_read(p.peer, 2000);
	t_fin(p.us);
	t_link_settle();
	t = proof(INT64_MAX);
	ck_assert_uint_eq(t.sent, 3000);
	ck_assert_uint_eq(t.acked, 1000);
	ck_assert_uint_eq(t.taken, 700);
	ck_assert(t.fin_sent && !t.fin_acked && !t.fin_taken);
	ck_assert_int_eq(t_outq(p.us), 2001);
	t = proof(before_us);
	ck_assert_uint_eq(t.sent, 1000);
	ck_assert_uint_eq(t.acked, 1000);
	ck_assert_int_le(t.progress_us, before_us);
	t_close_pair(&p);
}
END_TEST

START_TEST(resets_of_both_sides_are_told_apart)
{
	struct t_proof t;
	struct t_pair p;

	pair_or_skip(&p, _i);
	t_reset(p.peer);
	t_wait_reset(p.us);
	t_close(p.us);
	t_link_settle();
	t = proof(INT64_MAX);
	ck_assert(t.rst_reached && !t.rst_sent);
	t_link_begin(0);
	t_link_pair(&p, _i / 2, _i % 2 == 1);
	t_reset(p.us);
	t_wait_reset(p.peer);
	t_close(p.peer);
	t = proof(INT64_MAX);
	ck_assert(!t.rst_reached && t.rst_sent);
}
END_TEST

static Suite *
network_suite(void)
{
	Suite *s = suite_create("network");
	TCase *tc;

	tc = t_case(s, "link");
	tcase_add_loop_test(tc, without_impairments_nothing_is_lost_or_repeated,
	    0, T_ANY_PLAIN);
	tcase_add_loop_test(tc, a_lost_fin_is_sent_again, 0, T_ANY_PLAIN);
	tcase_add_loop_test(tc, a_held_segment_is_overtaken, 0, T_ANY_PLAIN);
	tcase_add_loop_test(tc, a_doubled_segment_counts_twice, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, delay_and_jitter_keep_the_order, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, every_byte_gets_through_all_impairments, 0,
	    T_ANY_TCP);
	tcase_add_test(tc, a_seed_gives_the_same_impairments_again);
	tcase_add_loop_test(tc, a_cut_wire_carries_nothing, 0, T_ANY_PLAIN);
	tcase_add_loop_test(tc, what_is_left_of_an_old_connection_is_not_seen,
	    0, T_ANY_PLAIN);
	tcase_add_loop_test(tc, a_log_that_is_full_keeps_its_proof, 0, 1);
	tcase_add_test(tc, a_host_is_called_for_packets_and_when_it_is_due);
	tc = t_case(s, "proof");
	tcase_add_loop_test(tc, what_no_ack_told_of_is_not_acked, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, resets_of_both_sides_are_told_apart, 0,
	    T_ANY_PLAIN);
	return s;
}

int
main(void)
{
	t_link_prepare();
	return t_main(network_suite());
}
