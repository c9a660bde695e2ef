/*
 * check_wheel.c - the timer wheel against a list that is searched
 *
 * The wheel is private to the library.  The suites are linked with the static
 * library, where they can call it.
 */
#include <sys/types.h>

#include <stdio.h>
#include <stdlib.h>

#include "reaper/reaper.h"
#include "support/util.h"

#define TIMERS	200
#define TURNS	20000

static struct graceclose_wheel wheel;
static struct graceclose_timer timers[TIMERS];
static int64_t want[TIMERS];	/* what each was set for, NEVER: not set */

/* A delay of any magnitude, from milliseconds to weeks. */
static int64_t
delay(void)
{
	int64_t bits = random() % 32;

	return random() & (((int64_t)1 << bits) - 1);
}

static int64_t
earliest(void)
{
	int64_t t = GRACECLOSE_NEVER;
	int i;

	for (i = 0; i < TIMERS; i++)
		if (want[i] < t)
			t = want[i];
	return t;
}

static void
start(int64_t now)
{
	int i;

	graceclose_wheel_init(&wheel, now);
	for (i = 0; i < TIMERS; i++) {
		want[i] = GRACECLOSE_NEVER;
		timers[i].link.next = timers[i].link.prev = NULL;
	}
}

static void
set(int i, int64_t due)
{
	graceclose_wheel_unset(&wheel, &timers[i]);
	graceclose_wheel_set(&wheel, &timers[i], due);
	want[i] = due;
}

/* The wheel returns each timer that is due by then, and no other. */
static void
pop_all(int64_t now)
{
	struct graceclose_timer *t;
	int64_t last = 0;

	while (graceclose_wheel_next(&wheel) <= now) {
		if ((t = graceclose_wheel_pop(&wheel, now)) == NULL)
			continue;
		ck_assert(want[t - timers] <= now);
		ck_assert(want[t - timers] >= last);
		last = want[t - timers];
		want[t - timers] = GRACECLOSE_NEVER;
	}
	ck_assert(earliest() > now);
	ck_assert_ptr_null(graceclose_wheel_pop(&wheel, now));
	ck_assert(graceclose_wheel_next(&wheel) <= earliest());
}

START_TEST(timers_of_any_length_pop_when_they_are_due)
{
	const char *seed = getenv("CHECK_SEED");
	unsigned n = seed != NULL ? (unsigned)strtoul(seed, NULL, 10) :
	    (unsigned)t_now_ms();
	int64_t now = 0x3ffffff00;	/* soon all digits change */
	int i, k;

	printf("CHECK_SEED=%u\n", n);
	srandom(n);
	start(now);
	for (i = 0; i < TURNS; i++) {
		k = (int)(random() % TIMERS);
		if (random() % 4 == 0) {
			graceclose_wheel_unset(&wheel, &timers[k]);
			want[k] = GRACECLOSE_NEVER;
		} else {
			set(k, now + delay());
		}
		if (random() % 3 == 0)
			now += delay() >> random() % 24;
		pop_all(now);
	}
}
END_TEST

START_TEST(sleeping_until_next_wakes_seldom)
{
	int64_t due = 30000, now = 12345, wakes = 0;

	start(now);
	set(0, now + due);
	while (now < want[0]) {
		now = graceclose_wheel_next(&wheel);
		ck_assert(graceclose_wheel_pop(&wheel, now) == NULL ||
		    now == want[0]);
		wakes++;
	}
	ck_assert_int_le(wakes, 3);
}
END_TEST

START_TEST(past_times_are_now)
{
	start(1000);
	graceclose_wheel_set(&wheel, &timers[0], 10);
	ck_assert_int_eq(graceclose_wheel_next(&wheel), 1000);
	ck_assert_ptr_eq(graceclose_wheel_pop(&wheel, 1000), &timers[0]);
	ck_assert_ptr_null(graceclose_wheel_pop(&wheel, 1000));
}
END_TEST

START_TEST(an_empty_wheel_never_wakes)
{
	start(1000);
	ck_assert_int_eq(graceclose_wheel_next(&wheel), GRACECLOSE_NEVER);
	set(0, 5000);
	set(1, 5000);
	graceclose_wheel_unset(&wheel, &timers[0]);
	ck_assert_int_le(graceclose_wheel_next(&wheel), 5000);
	graceclose_wheel_unset(&wheel, &timers[1]);
	ck_assert_int_eq(graceclose_wheel_next(&wheel), GRACECLOSE_NEVER);
	graceclose_wheel_unset(&wheel, &timers[1]);
	ck_assert_ptr_null(graceclose_wheel_pop(&wheel, INT64_MAX - 1));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("wheel");
	TCase *tc = t_case(s, "wheel");

	tcase_add_test(tc, timers_of_any_length_pop_when_they_are_due);
	tcase_add_test(tc, sleeping_until_next_wakes_seldom);
	tcase_add_test(tc, past_times_are_now);
	tcase_add_test(tc, an_empty_wheel_never_wakes);
	return t_main(s);
}
