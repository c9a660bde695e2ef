/*
 * check_conns.c - what conns.h reports and counts, where a judge says whose a
 * connection is
 */
#include <sys/socket.h>

#include "closewatch/conns.h"
#include "support/util.h"

#define MS	((int64_t)1000)
#define SECOND	(1000 * MS)

static struct {
	enum conns_whose answer;	/* of the judge */
	int		 asked, told;
	uint32_t	 isn;		/* of the clients */
} world;

static enum conns_whose
judge(void *arg, const struct flow *f, enum conns_whose side[2])
{
	(void)arg;
	(void)f;
	(void)side;
	world.asked++;
	return world.answer;
}

static void
tell(void *arg, const struct flow *f, int64_t over_us)
{
	(void)arg;
	(void)f;
	(void)over_us;
	world.told++;
}

static struct conns *
judged(enum conns_whose answer)
{
	struct conns *cs = conns_open(10, tell, NULL);

	ck_assert_ptr_nonnull(cs);
	memset(&world, 0, sizeof(world));
	world.answer = answer;
	conns_judge_by(cs, judge, NULL);
	return cs;
}

/* The client's ports are 1000 and so on; the server's is 80. */
static bool
feed(struct conns *cs, bool by_client, in_port_t client, uint8_t flags,
    int64_t now)
{
	struct endpoint c = { .family = AF_INET, .addr = { 10 },
	    .port = client };
	struct endpoint s = { .family = AF_INET, .addr = { 11 }, .port = 80 };
	struct segment segment = { .us = now, .from = by_client ? c : s,
	    .to = by_client ? s : c, .seq = by_client ? world.isn : 0,
	    .ack = by_client ? 0 : world.isn + 1, .window = 1000,
	    .flags = flags };

	return conns_feed(cs, &segment, now);
}

static bool
begin(struct conns *cs, in_port_t client, int64_t now)
{
	return feed(cs, true, client, SEGMENT_SYN, now);
}

static void
refuse(struct conns *cs, in_port_t client, int64_t now)
{
	feed(cs, false, client, SEGMENT_RST | SEGMENT_ACK, now);
}

static void
check_counts(struct conns *cs, int told, uint64_t open, uint64_t unsure)
{
	struct conns_count n = conns_count(cs);

	ck_assert_int_eq(world.told, told);
	ck_assert_uint_eq(n.open, open);
	ck_assert_uint_eq(n.unsure, unsure);
	ck_assert_uint_eq(n.dropped, 0);
	ck_assert_uint_eq(n.superseded, 0);
}

START_TEST(ours_is_judged_once_and_told)
{
	struct conns *cs = judged(CONNS_OURS);

	ck_assert(begin(cs, 1000, 0));
	check_counts(cs, 0, 1, 0);
	refuse(cs, 1000, 0);
	conns_tick(cs, SECOND);
	check_counts(cs, 1, 0, 0);
	ck_assert_int_eq(world.asked, 1);
	conns_close(cs);
}
END_TEST

/* Its places are free for others, however many there are. */
START_TEST(of_others_nothing_is_told_or_counted)
{
	struct conns *cs = judged(CONNS_OTHERS);

	for (in_port_t i = 0; i < 100; i++)
		ck_assert(!begin(cs, 1000 + i, 0));
	check_counts(cs, 0, 0, 0);
	ck_assert_int_eq(world.asked, 100);
	ck_assert(!begin(cs, 1099, MS));	/* not asked again */
	ck_assert_int_eq(world.asked, 100);
	for (in_port_t i = 0; i < 100; i++)
		refuse(cs, 1000 + i, MS);
	conns_tell_all(cs, SECOND);
	check_counts(cs, 0, 0, 0);
	conns_close(cs);
}
END_TEST

START_TEST(a_new_connection_with_the_ports_of_others_is_judged)
{
	struct conns *cs = judged(CONNS_OTHERS);

	begin(cs, 1000, 0);
	refuse(cs, 1000, 0);
	world.isn = 5000;
	world.answer = CONNS_OURS;
	ck_assert(begin(cs, 1000, SECOND));
	check_counts(cs, 0, 1, 0);
	conns_close(cs);
}
END_TEST

/* Segments 1, 2, 3, 4, 8, 16, ... */
START_TEST(an_unsure_judge_is_asked_less_and_less_often)
{
	struct conns *cs = judged(CONNS_UNSURE);

	for (int i = 0; i < 1024; i++)
		ck_assert(!begin(cs, 1000, 0));
	ck_assert_int_eq(world.asked, 4 + 8);
	check_counts(cs, 0, 0, 0);
	ck_assert_int_eq(conns_due(cs), INT64_MAX);
	refuse(cs, 1000, 0);
	conns_tick(cs, SECOND);
	check_counts(cs, 0, 0, 1);
	conns_close(cs);
}
END_TEST

START_TEST(a_judge_that_becomes_sure_decides)
{
	struct conns *cs = judged(CONNS_UNSURE);

	ck_assert(!begin(cs, 1000, 0));
	world.answer = CONNS_OURS;
	ck_assert(begin(cs, 1000, 0));
	refuse(cs, 1000, 0);
	conns_tick(cs, SECOND);
	check_counts(cs, 1, 0, 0);
	conns_close(cs);
}
END_TEST

/* Without another segment, and in time for the report. */
START_TEST(a_busy_judge_is_asked_again_soon)
{
	struct conns *cs = judged(CONNS_LATER);
	int asked;

	for (in_port_t i = 0; i < 5; i++)
		ck_assert(!begin(cs, 1000 + i, 0));
	refuse(cs, 1000, 0);
	ck_assert_int_gt(conns_due(cs), 0);
	ck_assert_int_le(conns_due(cs), 100 * MS);
	asked = world.asked;
	conns_tick(cs, conns_due(cs));		/* busy: one is enough */
	ck_assert_int_eq(world.asked, asked + 1);
	world.answer = CONNS_OURS;
	conns_tick(cs, conns_due(cs));
	ck_assert_int_eq(world.asked, asked + 1 + 5);
	check_counts(cs, 0, 4, 0);
	conns_tick(cs, 2 * SECOND);
	check_counts(cs, 1, 4, 0);
	ck_assert_int_eq(conns_due(cs), INT64_MAX);
	conns_close(cs);
}
END_TEST

START_TEST(what_was_left_for_later_may_end_or_lose_its_place)
{
	struct conns *cs = judged(CONNS_LATER);

	ck_assert(!begin(cs, 1000, 0));
	refuse(cs, 1000, 0);
	conns_tell_all(cs, 0);
	check_counts(cs, 0, 0, 1);
	ck_assert_int_eq(conns_due(cs), INT64_MAX);
	for (in_port_t i = 0; i < 30; i++)
		begin(cs, 2000 + i, 0);
	ck_assert_uint_eq(conns_count(cs).unsure, 1 + 20);
	world.answer = CONNS_OURS;
	conns_tick(cs, SECOND);
	ck_assert_uint_eq(conns_count(cs).open, 10);
	ck_assert_uint_eq(conns_count(cs).dropped, 0);
	conns_close(cs);
}
END_TEST

/* However long ours is silent. */
START_TEST(ours_does_not_lose_its_place_to_one_in_doubt)
{
	struct conns *cs = judged(CONNS_OURS);

	ck_assert(begin(cs, 1000, 0));
	world.answer = CONNS_UNSURE;
	for (in_port_t i = 0; i < 100; i++)
		ck_assert(!begin(cs, 2000 + i, SECOND));
	refuse(cs, 1000, 2 * SECOND);
	conns_tick(cs, 4 * SECOND);
	check_counts(cs, 1, 0, 91);
	conns_close(cs);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("conns");
	TCase *tc = t_case(s, "conns");

	tcase_add_test(tc, ours_is_judged_once_and_told);
	tcase_add_test(tc, of_others_nothing_is_told_or_counted);
	tcase_add_test(tc,
	    a_new_connection_with_the_ports_of_others_is_judged);
	tcase_add_test(tc, an_unsure_judge_is_asked_less_and_less_often);
	tcase_add_test(tc, a_judge_that_becomes_sure_decides);
	tcase_add_test(tc, a_busy_judge_is_asked_again_soon);
	tcase_add_test(tc, ours_does_not_lose_its_place_to_one_in_doubt);
	tcase_add_test(tc, what_was_left_for_later_may_end_or_lose_its_place);
	return t_main(s);
}
