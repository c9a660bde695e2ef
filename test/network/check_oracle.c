/*
 * check_oracle.c - what segments prove, of connections that stand in a table
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <stdbool.h>

#include "network/oracle.h"
#include "support/util.h"
#include "network/link.h"

/*
 * Numbers are those of tcpdump(1): each side's SYN is 0.  A segment takes 10 us
 * unless out_us says otherwise.
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
	same(fin_answered);
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

int
main(void)
{
	Suite *s = suite_create("oracle");
	TCase *tc = t_case(s, "segments");

	tcase_add_loop_test(tc, the_log_proves_what_our_kernel_had_to_accept,
	    0, NSCENES);
	tcase_add_test(tc,
	    what_is_acknowledged_later_was_taken_when_it_came);
	tcase_add_loop_test(tc, a_window_may_be_wider_than_it_can_tell, 0, 2);
	return t_main(s);
}
