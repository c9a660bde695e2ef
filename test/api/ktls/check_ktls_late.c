/*
 * kTLS, receiving: late input is discarded, or handed over, whatever kind of
 * record it is; what cannot be decrypted costs no CPU and loses no reply
 */
#include <sys/socket.h>

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <graceclose.h>

#include "api/ktls/ktls.h"

#define LATE_MS		400	/* when the peer reads; a spin would show */
#define REPLY		30000	/* what we have sent before the close */

static const int receiving[] = { KTLS_RX, KTLS_BOTH };
#define DIRECTIONS	2

/* Late input: so many records of a type and a size. */
static const struct input {
	const char	*name;
	int		 type;
	int		 records;
	size_t		 size;
} inputs[] = {
	{ "a record", KTLS_DATA, 1, 1000 },
	{ "many records", KTLS_DATA, 50, 700 },
	{ "whole records", KTLS_DATA, 4, KTLS_RECORD },
	{ "an alert", KTLS_ALERT, 1, 2 },
	{ "handshake records", KTLS_HANDSHAKE, 5, 300 }
};
#define INPUTS		5

static size_t
send_input(int fd, const struct input *in)
{
	int i;

	for (i = 0; i < in->records; i++)
		ktls_send(fd, in->type, in->size, i, 0);
	return (size_t)in->records * in->size;
}

/* Raw bytes: what SIOCINQ counts. */
static int
raw(const struct input *in)
{
	return in->records * (int)(in->size + KTLS_OVERHEAD);
}

/* We send; with kTLS this takes two records. */
static void
reply(int fd)
{
	t_write(fd, REPLY);
}

static int64_t
closing_ms(const struct closing *c)
{
	return (c->end_us - c->start_us) / 1000;
}

/* A thread of a blocking form, and a loop, slept most of the time. */
static void
slept(const struct closing *c, int64_t cpu_ms)
{
	ck_assert_msg(cpu_ms <= 100 + closing_ms(c) / 4,
	    "%lld ms of CPU in %lld ms", (long long)cpu_ms,
	    (long long)closing_ms(c));
	ck_assert_uint_lt(c->turns, 500);
}

static void
went_well(const struct closing *c, const struct closing_way *w,
    size_t discarded)
{
	ck_assert_int_eq(c->value, 0);
	ck_assert(c->released);
	if (!closing_reports(w->form))
		return;
	ck_assert_int_eq(c->report.delivered, 1);
	ck_assert_uint_eq(c->report.unacked, 0);
	if (w->opts.until == GRACECLOSE_FINISHED) {
		t_report_is(&c->report, GRACECLOSE_OK, 0, 1, 1);
		ck_assert_uint_eq(c->report.discarded, discarded);
	}
}

/*
 * Discarded
 */

START_TEST(late_input_is_discarded_without_a_spin)
{
	const struct closing_way *w = &ktls_ways[_i / DIRECTIONS / INPUTS];
	const struct input *in = &inputs[_i / DIRECTIONS % INPUTS];
	struct ktls_peer peer;
	struct closing c;
	struct t_pair p;
	int64_t cpu;
	size_t n;

	ktls_need();
	ktls_pair(&p, receiving[_i % DIRECTIONS]);
	reply(p.us);
	n = send_input(p.peer, in);
	t_wait_inq(p.us, raw(in));
	ktls_peer(&peer, p.peer, LATE_MS, 0);
	cpu = t_cpu_ms();
	closing_run(&c, w, p.us);
	slept(&c, t_cpu_ms() - cpu);
	t_saw(ktls_peer_join(&peer), REPLY, 0);
	went_well(&c, w, n);
}
END_TEST

/* It comes after our FIN. */
struct talker {
	pthread_t		 thread;
	const struct input	*in;
	struct t_got		 got;
	size_t			 sent;
	int			 fd;
};

static void *
talk(void *arg)
{
	struct talker *t = arg;

	t->got = t_read_all(t->fd);
	t->sent = send_input(t->fd, t->in);
	close(t->fd);
	return NULL;
}

START_TEST(input_after_our_fin_is_discarded)
{
	const struct closing_way *w = &ktls_ways[_i / INPUTS];
	struct talker t = { .in = &inputs[_i % INPUTS] };
	struct closing c;
	struct t_pair p;

	ktls_need();
	ktls_pair(&p, KTLS_BOTH);
	reply(p.us);
	t.fd = p.peer;
	t_thread(&t.thread, talk, &t);
	closing_run(&c, w, p.us);
	t_join(t.thread);
	t_saw(t.got, REPLY, 0);
	went_well(&c, w, t.sent);
	ck_assert_uint_lt(c.turns, 500);
}
END_TEST

/* The peer's side is plain TCP, so that all is as without kTLS. */
START_TEST(plain_late_input_of_a_socket_that_only_sends_records)
{
	const struct closing_way *w = &ktls_ways[_i];
	struct ktls_peer peer;
	struct closing c;
	struct t_pair p;

	ktls_need();
	ktls_pair(&p, KTLS_TX);
	reply(p.us);
	t_write(p.peer, 50000);
	t_wait_inq(p.us, 50000);
	ktls_peer(&peer, p.peer, LATE_MS, 0);
	closing_run(&c, w, p.us);
	t_saw(ktls_peer_join(&peer), REPLY, 0);
	went_well(&c, w, 50000);
}
END_TEST

START_TEST(cap_counts_payload)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_RESET, 5000, -1);
	struct graceclose_report r;
	struct t_pair p;

	ktls_need();
	ktls_pair(&p, KTLS_BOTH);
	o.discard_max = 1999;
	ktls_send(p.peer, KTLS_DATA, 1000, 'a', 0);
	ktls_send(p.peer, KTLS_DATA, 1000, 'b', 0);
	t_wait_inq(p.us, 2 * (1000 + KTLS_OVERHEAD));
	t_fails(graceclose(p.us, &o, &r), EMSGSIZE);
	t_released(p.us);
	ck_assert_int_eq(r.outcome, GRACECLOSE_FLOODED);
	t_saw(t_read_all(p.peer), 0, ECONNRESET);
	t_close(p.peer);
}
END_TEST

/*
 * Handed over
 */

static struct {
	unsigned char	data[100000];
	size_t		n;
} taken;

static void
take(void *arg, const void *data, size_t n)
{
	*(int *)arg += 1;
	if (n > sizeof(taken.data) - taken.n)
		n = sizeof(taken.data) - taken.n;
	memcpy(taken.data + taken.n, data, n);
	taken.n += n;
}

/* So many bytes of a value, from there on. */
static void
holds(size_t from, size_t n, int value)
{
	size_t i;

	ck_assert_uint_ge(taken.n, from + n);
	for (i = from; i < from + n; i++)
		ck_assert_msg(taken.data[i] == value, "byte %zu is %d, not %d",
		    i, taken.data[i], value);
}

static void
close_with_hook(int fd, struct graceclose_report *r)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_DETACH, 5000, -1);
	int calls = 0;

	taken.n = 0;
	o.late = take;
	o.arg = &calls;
	t_ok(graceclose(fd, &o, r));
	t_released(fd);
	t_report_is(r, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(r->discarded, taken.n);
	ck_assert_int_ge(calls, 1);
}

START_TEST(application_data_alone_is_handed_over_in_order)
{
	struct graceclose_report r;
	struct ktls_peer peer;
	struct t_pair p;
	int i;

	ktls_need();
	ktls_pair(&p, receiving[_i]);
	reply(p.us);
	for (i = 0; i < 20; i++) {
		ktls_send(p.peer, KTLS_DATA, 1000, i, 0);
		if (i % 5 == 0)
			ktls_send(p.peer, KTLS_HANDSHAKE, 200, 99, 0);
	}
	ktls_send(p.peer, KTLS_ALERT, 2, 1, 0);
	t_wait_inq(p.us, 20 * (1000 + KTLS_OVERHEAD) +
	    4 * (200 + KTLS_OVERHEAD) + 2 + KTLS_OVERHEAD);
	ktls_peer(&peer, p.peer, 50, 0);
	close_with_hook(p.us, &r);
	t_saw(ktls_peer_join(&peer), REPLY, 0);
	ck_assert_uint_eq(taken.n, 20000);
	for (i = 0; i < 20; i++)
		holds((size_t)i * 1000, 1000, i);
}
END_TEST

/*
 * FIONREAD is 0 where the rest of a record waits, and TCP has the peer's FIN
 * and nothing unread: test/facts/check_facts_ktls.c.
 */
START_TEST(rest_of_a_record_is_handed_over)
{
	struct graceclose_report r;
	struct t_pair p;
	char buf[300];
	int type;

	ktls_need();
	ktls_pair(&p, receiving[_i]);
	ktls_send(p.peer, KTLS_DATA, 1000, 'a', 0);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	ck_assert_int_eq(ktls_receive(p.us, buf, sizeof(buf), &type), 300);
	close_with_hook(p.us, &r);
	ck_assert_uint_eq(taken.n, 700);
	holds(0, 700, 'a');
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(rest_of_a_record_is_unread_input)
{
	struct t_pair p;
	char buf[300];
	int type;

	ktls_need();
	ktls_pair(&p, receiving[_i]);
	ktls_send(p.peer, KTLS_DATA, 1000, 'a', 0);
	t_wait_readable(p.us);
	ck_assert_int_eq(graceclose_probe(p.us), GRACECLOSE_UNREAD);
	ck_assert_int_eq(ktls_receive(p.us, buf, sizeof(buf), &type), 300);
	ck_assert_int_eq(graceclose_probe(p.us), GRACECLOSE_UNREAD);
	ck_assert_int_eq(peer_closed(p.us), 0);
	t_close_pair(&p);
}
END_TEST

/*
 * Input that cannot be read
 */

static void
corrupt(int fd)
{
	ktls_corrupt(fd, 1000);
	ktls_corrupt(fd, 5000);
}

static void
half_a_record(int fd)
{
	static const unsigned char head[13] = { KTLS_DATA, 3, 3, 4 };

	ck_assert_int_eq(send(fd, head, sizeof(head), MSG_NOSIGNAL), 13);
}

static void (*const garbage[])(int) = {
	corrupt, ktls_plain_text, half_a_record
};
#define GARBAGE		3

/*
 * The peer reads late, and sends its FIN then.  Whatever the verdict, it has
 * every byte and an end in order, and 0 is not said for less.
 */
START_TEST(unreadable_input_neither_spins_nor_destroys_the_reply)
{
	const struct closing_way *w = &ktls_ways[_i / DIRECTIONS / GARBAGE];
	int directions = receiving[_i % DIRECTIONS];
	struct ktls_peer peer;
	struct closing c;
	struct t_pair p;
	int64_t cpu;

	ktls_need();
	t_pair(&p, T_IPV4);
	ktls_on(p.us, directions, 1);
	reply(p.us);
	garbage[_i / DIRECTIONS % GARBAGE](p.peer);
	t_wait_inq(p.us, 1);
	ktls_peer(&peer, p.peer, LATE_MS, (directions & KTLS_TX) != 0);
	cpu = t_cpu_ms();
	closing_run(&c, w, p.us);
	slept(&c, t_cpu_ms() - cpu);
	ck_assert(c.released);
	ck_assert_int_lt(closing_ms(&c), 10000 + 1000);
	t_saw(ktls_peer_join(&peer), REPLY, 0);
	if (c.value == 0 && closing_reports(w->form))
		ck_assert_int_eq(c.report.delivered, 1);
	if (w->opts.until == GRACECLOSE_DELIVERED)
		ck_assert_int_eq(c.value, 0);
}
END_TEST

/* The peer keeps its side open, and reads when the close is over. */
START_TEST(unreadable_input_does_not_move_the_limits)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_DETACH, 1000, 400);
	struct graceclose_report r;
	int64_t cpu, start;
	struct t_pair p;

	ktls_need();
	t_pair(&p, T_IPV4);
	ktls_on(p.us, KTLS_RX, 1);
	reply(p.us);
	garbage[_i](p.peer);
	t_wait_inq(p.us, 1);
	cpu = t_cpu_ms();
	start = t_now_ms();
	ck_assert_int_eq(graceclose(p.us, &o, &r), -1);
	t_between(t_now_ms() - start, 0, 2000);
	ck_assert_int_le(t_cpu_ms() - cpu, 100 + 1000 / 4);
	t_released(p.us);
	ck_assert_int_eq(r.delivered, 1);
	ck_assert_int_eq(r.finished, 0);
	ck_assert_int_ne(r.outcome, GRACECLOSE_OK);
	ck_assert_int_ne(r.outcome, GRACECLOSE_WAS_RESET);
	ck_assert_uint_eq(t_read_all(p.peer).bytes, REPLY);
	t_close(p.peer);
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("ktls_late");
	tc = t_case(s, "discarded");
	tcase_add_loop_test(tc, late_input_is_discarded_without_a_spin, 0,
	    KTLS_WAYS * INPUTS * DIRECTIONS);
	tcase_add_loop_test(tc, input_after_our_fin_is_discarded, 0,
	    KTLS_FINISHING * INPUTS);
	tcase_add_loop_test(tc,
	    plain_late_input_of_a_socket_that_only_sends_records, 0,
	    KTLS_WAYS);
	tcase_add_test(tc, cap_counts_payload);

	tc = t_case(s, "handed over");
	tcase_add_loop_test(tc, application_data_alone_is_handed_over_in_order,
	    0, DIRECTIONS);
	tcase_add_loop_test(tc, rest_of_a_record_is_handed_over, 0, DIRECTIONS);
	tcase_add_loop_test(tc, rest_of_a_record_is_unread_input, 0,
	    DIRECTIONS);

	tc = t_case(s, "cannot be read");
	tcase_add_loop_test(tc,
	    unreadable_input_neither_spins_nor_destroys_the_reply, 0,
	    KTLS_WAYS * GARBAGE * DIRECTIONS);
	tcase_add_loop_test(tc, unreadable_input_does_not_move_the_limits, 0,
	    GARBAGE);
	return t_main(s);
}
