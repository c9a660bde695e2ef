/*
 * What the tests of bad networks stand on: the wire, what its log proves, and
 * the crew whose members have one each
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "network/workers.h"
#include "network/oracle.h"
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
truth(int64_t until_us)
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
 * The wire
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
	t = truth(INT64_MAX);
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
	t = truth(INT64_MAX);
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
	t = truth(INT64_MAX);
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
	t = truth(INT64_MAX);
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
	t = truth(INT64_MAX);
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
	t = truth(INT64_MAX);
	ended_well(&t, SIZE);
	t_close_pair(&p);
}
END_TEST

START_TEST(a_log_that_is_full_keeps_its_truth)
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
	t = truth(INT64_MAX);
	ended_well(&t, size);
	t_close_pair(&p);
}
END_TEST

/*
 * A program as the host THERE
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
 * The truth of real connections
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
	t = truth(INT64_MAX);
	ck_assert_uint_eq(t.sent, 3000);
	ck_assert_uint_eq(t.acked, 1000);
	ck_assert_uint_eq(t.taken, 700);
	ck_assert(t.fin_sent && !t.fin_acked && !t.fin_taken);
	ck_assert_int_eq(t_outq(p.us), 2001);
	t = truth(before_us);
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
	t = truth(INT64_MAX);
	ck_assert(t.rst_reached && !t.rst_sent);
	t_link_begin(0);
	t_link_pair(&p, _i / 2, _i % 2 == 1);
	t_reset(p.us);
	t_wait_reset(p.peer);
	t_close(p.peer);
	t = truth(INT64_MAX);
	ck_assert(!t.rst_reached && t.rst_sent);
}
END_TEST

/*
 * The truth of connections as they stand in a table: numbers are those of
 * tcpdump(1), each side's SYN is 0; a segment takes 10 us, or what `at` says
 */
#define US	0xfffffff0u		/* so that they wrap soon */
#define PEER	0xfffffffau
#define A	SEGMENT_ACK
#define S	SEGMENT_SYN
#define F	SEGMENT_FIN
#define R	SEGMENT_RST

struct scene {
	const char	*name;
	struct {
		int		way;
		int		flags;
		uint32_t	seq, ack, length;
		int64_t		out_us;		/* 0: after 10 us */
	}		segments[12];
	struct t_proof	t;
};

#define HANDSHAKE							\
	{ T_OUT, S, 0, 0, 0, 0 }, { T_IN, S | A, 0, 1, 0, 0 },		\
	{ T_OUT, A, 1, 1, 0, 0 }

/* The nth segment enters at 100 n us. */
static const struct scene scenes[] = {
	{ "both FINs, and numbers that wrap",
	    { HANDSHAKE,
	    { T_OUT, A, 1, 1, 100, 0 }, { T_IN, A, 1, 101, 50, 0 },
	    { T_OUT, A | F, 101, 51, 0, 0 }, { T_IN, A | F, 51, 102, 0, 0 },
	    { T_OUT, A, 102, 52, 0, 0 } },
	    { .sent = 100, .acked = 100, .taken = 50, .fin_sent = true,
	    .fin_acked = true, .fin_here = true,
	    .fin_taken = true, .fin_acked_us = 710,
	    .fin_taken_us = 710, .progress_us = 710 } },
	{ "an ACK of what was never sent",
	    { HANDSHAKE,
	    { T_OUT, A, 1, 1, 100, 0 }, { T_IN, A, 1, 102, 0, 0 } },
	    { .sent = 100 } },
	{ "an ACK on a segment that is too old",
	    { HANDSHAKE,
	    { T_IN, A, 1, 1, 50, 0 }, { T_OUT, A, 1, 51, 100, 0 },
	    { T_IN, A, 1, 101, 20, 0 } },
	    { .sent = 100, .taken = 50, .progress_us = 410 } },
	{ "an ACK on a segment beyond our window",
	    { HANDSHAKE,
	    { T_OUT, A, 1, 1, 100, 0 }, { T_IN, A, 1002, 101, 0, 0 } },
	    { .sent = 100 } },
	{ "a FIN with an ACK that is older than the widest window",
	    { HANDSHAKE,
	    { T_OUT, A, 1, 1, 1000, 0 }, { T_IN, A, 1, 1001, 0, 0 },
	    { T_OUT, A, 1001, 1, 1000, 0 }, { T_IN, A, 1, 2001, 0, 0 },
	    { T_IN, A | F, 1, 1000, 0, 0 }, { T_IN, A | F, 1, 1001, 0, 0 },
	    { T_OUT, A, 2001, 2, 0, 0 } },
	    { .sent = 2000, .acked = 2000, .fin_here = true,
	    .fin_taken = true, .fin_taken_us = 910, .progress_us = 910 } },
	{ "a FIN that overtook the data before it",
	    { HANDSHAKE,
	    { T_IN, A, 1, 1, 50, 900 }, { T_IN, A | F, 51, 1, 0, 0 },
	    { T_OUT, A, 1, 1, 0, 0 }, { T_OUT, A, 1, 1, 0, 0 },
	    { T_OUT, A, 1, 1, 0, 0 }, { T_OUT, A, 1, 52, 0, 0 } },
	    { .taken = 50, .fin_here = true,
	    .fin_taken = true, .fin_taken_us = 900,
	    .progress_us = 900 } },
	{ "data behind the FIN",
	    { HANDSHAKE,
	    { T_IN, A | F, 1, 1, 0, 0 }, { T_IN, A, 2, 1, 50, 0 },
	    { T_OUT, A, 1, 2, 0, 0 } },
	    { .fin_here = true,
	    .fin_taken = true, .fin_taken_us = 410, .progress_us = 410 } },
	{ "a RST with the number that is expected",
	    { HANDSHAKE,
	    { T_IN, A, 1, 1, 50, 0 }, { T_IN, R | A, 51, 1, 0, 0 } },
	    { .rst_reached = true, .rst_reached_us = 510 } },
	{ "a RST with another number of our window",
	    { HANDSHAKE,
	    { T_IN, A, 1, 1, 50, 0 }, { T_IN, R | A, 52, 1, 0, 0 } },
	    { .rst_sent = false } },
	{ "a RST to our SYN",
	    { { T_OUT, S, 0, 0, 0, 0 }, { T_IN, R | A, 0, 1, 0, 0 } },
	    { .rst_reached = true, .rst_reached_us = 210 } },
	{ "an ACK behind a RST of ours",
	    { HANDSHAKE,
	    { T_OUT, A, 1, 1, 100, 0 }, { T_OUT, R | A, 101, 1, 0, 0 },
	    { T_IN, A, 1, 101, 0, 0 } },
	    { .sent = 100, .rst_sent = true, .rst_us = 500 } },
	{ "a FIN that a RST of ours is the first to acknowledge",
	    { HANDSHAKE,
	    { T_IN, A, 1, 1, 50, 0 }, { T_IN, A | F, 51, 1, 0, 0 },
	    { T_OUT, A, 1, 51, 0, 0 }, { T_OUT, R | A, 1, 52, 0, 0 } },
	    { .taken = 50, .fin_here = true,
	    .fin_taken = true, .rst_sent = true,
	    .fin_taken_us = 510, .rst_us = 700, .progress_us = 510 } },
	{ "a FIN that is not acknowledged yet",
	    { HANDSHAKE, { T_IN, A | F, 1, 1, 0, 0 } }, { .fin_here = true } },
	{ "a FIN behind a gap",
	    { HANDSHAKE, { T_IN, A | F, 51, 1, 0, 0 } }, { .sent = 0 } },
	{ "RSTs when all is over",
	    { HANDSHAKE,
	    { T_OUT, A | F, 1, 1, 0, 0 }, { T_IN, A | F, 1, 2, 0, 0 },
	    { T_OUT, A, 2, 2, 0, 0 }, { T_IN, R, 2, 0, 0, 0 },
	    { T_OUT, R, 2, 0, 0, 0 } },
	    { .fin_sent = true, .fin_acked = true, .fin_here = true,
	    .fin_taken = true,
	    .fin_acked_us = 510, .fin_taken_us = 510, .progress_us = 510 } }
};
#define NSCENES	((int)(sizeof(scenes) / sizeof(scenes[0])))

static size_t
stage(const struct scene *scene, struct t_packet *log)
{
	static const struct endpoint ends[T_WAYS] = {
		[T_OUT] = { .family = AF_INET, .port = 1 },
		[T_IN] = { .family = AF_INET, .port = 2 }
	};
	static const uint32_t isn[T_WAYS] = { [T_OUT] = US, [T_IN] = PEER };
	struct t_packet *p;
	size_t i;
	int way;

	for (i = 0; scene->segments[i].flags != 0; i++) {
		p = &log[i];
		way = scene->segments[i].way;
		*p = (struct t_packet){ .way = way, .shift = -1,
		    .fate = T_CARRIED };
		p->s.us = 100 * (int64_t)(i + 1);
		p->s.from = ends[way];
		p->s.to = ends[1 - way];
		p->s.seq = isn[way] + scene->segments[i].seq;
		p->s.ack = isn[1 - way] + scene->segments[i].ack;
		p->s.length = scene->segments[i].length;
		p->s.flags = (uint8_t)scene->segments[i].flags;
		p->s.window = 1000;
		p->out_us = scene->segments[i].out_us != 0 ?
		    scene->segments[i].out_us : p->s.us + 10;
	}
	return i;
}

#define same(field)	ck_assert_int_eq((int64_t)t.field, \
			    (int64_t)scene->t.field)

START_TEST(the_log_proves_what_our_kernel_had_to_accept)
{
	const struct scene *scene = &scenes[_i];
	struct t_packet log[12];
	struct oracle state;
	struct t_proof t;

	oracle_begin(&state);
	oracle_add(&state, log, stage(scene, log), INT64_MAX, NULL, NULL);
	oracle_proof(&state, &t);
	same(sent);
	same(acked);
	same(taken);
	same(fin_sent);
	same(fin_acked);
	same(fin_here);
	same(fin_taken);
	same(rst_sent);
	same(rst_reached);
	same(unsure);
	same(fin_acked_us);
	same(fin_taken_us);
	same(rst_us);
	same(rst_reached_us);
	same(progress_us);
}
END_TEST

START_TEST(what_is_acknowledged_later_was_taken_when_it_came)
{
	const struct scene *scene = &scenes[0];
	struct t_packet log[12];
	struct oracle state;
	struct t_proof t;

	oracle_begin(&state);
	oracle_add(&state, log, stage(scene, log), 709, NULL, NULL);
	oracle_proof(&state, &t);
	ck_assert(!t.fin_taken && !t.fin_acked);
	oracle_begin(&state);
	oracle_add(&state, log, stage(scene, log), 710, NULL, NULL);
	oracle_proof(&state, &t);
	ck_assert(t.fin_taken && t.fin_acked);
}
END_TEST

START_TEST(a_window_may_be_wider_than_it_can_tell)
{
	static const struct scene beyond = { "beyond it by one",
	    { HANDSHAKE, { T_IN, A, 65537, 1, 0, 0 } }, { .sent = 0 } };
	struct t_packet log[12];
	struct oracle state;
	struct t_proof t;
	size_t i, n = stage(&beyond, log);

	for (i = 0; i < n; i++)
		log[i].s.window = (uint16_t)(UINT16_MAX - _i);
	oracle_begin(&state);
	oracle_add(&state, log, n, INT64_MAX, NULL, NULL);
	oracle_proof(&state, &t);
	ck_assert_int_eq(t.unsure, _i == 0);
}
END_TEST

/*
 * The crew
 */

enum { FAILS = 2, CRASHES = 4, EXITS = 5, HANGS = 6, CASES = 10 };
#define LIMIT_MS	2000

static void
odd_one_out(size_t i, void *arg, void *shared)
{
	ck_assert_str_eq(arg, "the same for all");
	switch (i) {
	case FAILS:
		ck_abort_msg("this is wrong");
		break;
	case CRASHES:
		raise(SIGKILL);
		break;
	case EXITS:
		_exit(3);
	case HANGS:
		t_pause(10 * LIMIT_MS);
		break;
	default:
		*(size_t *)shared = i + 1;
	}
}

START_TEST(a_case_that_fails_dies_or_hangs_is_told_of_and_the_others_go_on)
{
	struct t_case_result r[CASES];
	size_t i, *shared = t_shared(CASES * sizeof(*shared));
	char arg[] = "the same for all";

	ck_assert_uint_eq(t_workers(3, CASES, LIMIT_MS, 0, NULL, odd_one_out,
	    arg, shared, sizeof(*shared), r), CASES);
	for (i = 0; i < CASES; i++) {
		ck_assert_msg(r[i].run, "case %zu was not run", i);
		if (shared[i] != 0)
			ck_assert_str_eq(r[i].wrong, "");
		ck_assert_uint_eq(shared[i], i == FAILS || i == CRASHES ||
		    i == EXITS || i == HANGS ? 0 : i + 1);
	}
	ck_assert_ptr_nonnull(strstr(r[FAILS].wrong, "this is wrong"));
	ck_assert_ptr_nonnull(strstr(r[FAILS].wrong, "check_network.c:"));
	ck_assert_int_eq(r[FAILS].status, 0);
	ck_assert(WIFSIGNALED(r[CRASHES].status));
	ck_assert_ptr_nonnull(strstr(r[CRASHES].wrong, "signal 9"));
	ck_assert_ptr_nonnull(strstr(r[EXITS].wrong, "exited with 3"));
	ck_assert_ptr_nonnull(strstr(r[HANGS].wrong, "killed"));
	ck_assert_int_ge(r[HANGS].elapsed_ms, LIMIT_MS);
}
END_TEST

static void
nap(size_t i, void *arg, void *shared)
{
	(void)i;
	(void)arg;
	(void)shared;
	t_pause(20);
}

START_TEST(a_crew_begins_nothing_after_its_end)
{
	static struct t_case_result r[1000];
	size_t i, run, seen = 0;

	run = t_workers(2, 1000, LIMIT_MS, t_now_ms() + 200, NULL, nap, NULL,
	    NULL, 0, r);
	ck_assert_uint_lt(run, 1000);
	for (i = 0; i < 1000; i++) {
		ck_assert_str_eq(r[i].wrong, "");
		seen += r[i].run;
	}
	ck_assert_uint_eq(seen, run);
}
END_TEST

static void
own_wire(size_t i, void *arg, void *shared)
{
	struct t_proof t;
	struct t_pair p;

	(void)arg;
	(void)shared;
	ck_assert_ptr_null(t_link_missing());
	t_link_begin(i);
	t_link_pair(&p, T_IPV4, i % 2 == 1);
	transfer(&p, SIZE + i);
	t_link_settle();
	t = truth(INT64_MAX);
	ended_well(&t, SIZE + i);
	t_close_pair(&p);
}

START_TEST(each_member_of_a_crew_has_its_own_wire)
{
	struct t_case_result r[16];
	size_t i;

	if (t_link_missing() != NULL)
		t_skip(t_link_missing());
	ck_assert_uint_eq(t_workers(4, 16, T_LIMIT_MS, 0, t_link_prepare,
	    own_wire, NULL, NULL, 0, r), 16);
	for (i = 0; i < 16; i++)
		ck_assert_str_eq(r[i].wrong, "");
}
END_TEST

static Suite *
network_suite(void)
{
	Suite *s = suite_create("network");
	TCase *tc;

	/* First: under ThreadSanitizer who has threads cannot fork. */
	tc = t_case(s, "crew");
	tcase_add_test(tc,
	    a_case_that_fails_dies_or_hangs_is_told_of_and_the_others_go_on);
	tcase_add_test(tc, a_crew_begins_nothing_after_its_end);
	tcase_add_test(tc, each_member_of_a_crew_has_its_own_wire);
	tc = t_case(s, "wire");
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
	tcase_add_loop_test(tc, a_log_that_is_full_keeps_its_truth, 0, 1);
	tcase_add_test(tc, a_host_is_called_for_packets_and_when_it_is_due);
	tc = t_case(s, "truth");
	tcase_add_loop_test(tc, what_no_ack_told_of_is_not_acked, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, resets_of_both_sides_are_told_apart, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, the_log_proves_what_our_kernel_had_to_accept,
	    0, NSCENES);
	tcase_add_test(tc,
	    what_is_acknowledged_later_was_taken_when_it_came);
	tcase_add_loop_test(tc, a_window_may_be_wider_than_it_can_tell, 0, 2);
	return s;
}

int
main(void)
{
	t_link_prepare();
	return t_main(network_suite());
}
