/*
 * check_workers.c - cases in processes of their own, and which run again
 */
#include <sys/types.h>
#include <sys/wait.h>

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "network/workers.h"
#include "support/util.h"
#include "network/link.h"

enum { FAILS = 2, CRASHES = 4, EXITS = 5, HANGS = 6, CASES = 10 };
#define LIMIT_MS	2000

static void
odd_one_out(size_t i, void *arg, void *shared)
{
	ck_assert_str_eq(arg, "the same for all");
	t_worker_certain();
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

START_TEST(a_case_that_fails_dies_or_hangs_is_reported_and_the_others_go_on)
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
	ck_assert_ptr_nonnull(strstr(r[FAILS].wrong, "check_workers.c:"));
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

START_TEST(no_case_begins_after_the_end)
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
own_link(size_t i, void *arg, void *shared)
{
	const size_t size = 1000 + i;
	struct t_proof t;
	struct t_pair p;

	(void)arg;
	(void)shared;
	ck_assert_ptr_null(t_link_missing());
	t_link_begin(i);
	t_link_pair(&p, T_IPV4, i % 2 == 1);
	t_write(p.us, size);
	t_read(p.peer, size);
	t_wait_outq(p.us, 0);
	t_link_settle();
	t_link_proof(&t, INT64_MAX);
	ck_assert_uint_eq(t.sent, size);
	ck_assert_uint_eq(t.acked, size);
	ck_assert(!t.rst_sent && !t.rst_reached);
	t_close_pair(&p);
}

START_TEST(each_worker_has_its_own_link)
{
	struct t_case_result r[16];
	size_t i;

	if (t_link_missing() != NULL)
		t_skip(t_link_missing());
	ck_assert_uint_eq(t_workers(4, 16, T_LIMIT_MS, 0, t_link_prepare,
	    own_link, NULL, NULL, 0, r), 16);
	for (i = 0; i < 16; i++)
		ck_assert_str_eq(r[i].wrong, "");
}
END_TEST


/*
 * Cases that the machine keeps from running
 */

#define STOPPED_MS	300

/* Stops this process, which a child of it wakes. */
static void
stop_for_a_while(void)
{
	pid_t parent = getpid(), child = fork();

	ck_assert_int_ne(child, -1);
	if (child == 0) {
		usleep(STOPPED_MS * 1000);
		kill(parent, SIGCONT);
		_exit(0);
	}
	raise(SIGSTOP);
	waitpid(child, NULL, 0);
}

/* One stall is no excuse. */
static void
stalls_and_hangs(size_t i, void *arg, void *shared)
{
	(void)i;
	(void)arg;
	(void)shared;
	stop_for_a_while();
	t_pause(10 * LIMIT_MS);
}

START_TEST(a_case_that_hangs_has_failed)
{
	struct t_case_result r[1];

	ck_assert_uint_eq(t_workers(1, 1, LIMIT_MS, 0, NULL, stalls_and_hangs,
	    NULL, NULL, 0, r), 1);
	ck_assert_ptr_nonnull(strstr(r[0].wrong, "killed"));
	ck_assert_int_ge(r[0].stall_ms, STOPPED_MS / 2);
	ck_assert(!r[0].starved || r[0].repeats == T_REPEATS);
}
END_TEST

enum { ONCE, EACH_TIME, CERTAIN, NOT_AT_ALL, STALLS };

/* What is in `arg` outlives a repeat; what is in `shared` does not. */
static void
stalls(size_t i, void *arg, void *shared)
{
	int *runs = arg, *here = shared, run = runs[i]++;
	int64_t start = t_now_ms();

	ck_assert_int_eq((*here)++, 0);
	ck_assert_int_eq(t_worker_patience(), t_patience() << run);
	if (i == CERTAIN)
		t_worker_certain();
	if (i != NOT_AT_ALL && (i != ONCE || run == 0))
		stop_for_a_while();
	if (i == EACH_TIME || i == CERTAIN)
		ck_abort_msg("this is wrong");
	/* On a busy machine the other cases may be late as well. */
	if (i == ONCE && run == 0)
		ck_assert_int_lt(t_now_ms() - start, STOPPED_MS);
}

START_TEST(a_case_that_was_kept_from_running_runs_again)
{
	int *runs = t_shared(STALLS * sizeof(*runs));
	int *here = t_shared(STALLS * sizeof(*here));
	struct t_case_result r[STALLS];

	ck_assert_uint_eq(t_workers(2, STALLS, T_LIMIT_MS, 0, NULL, stalls,
	    runs, here, sizeof(*here), r), STALLS);
	ck_assert_str_eq(r[ONCE].wrong, "");
	ck_assert_int_eq(r[ONCE].repeats, 1);
	ck_assert_int_eq(runs[ONCE], 2);
	ck_assert_ptr_nonnull(strstr(r[EACH_TIME].wrong, "this is wrong"));
	ck_assert_int_eq(r[EACH_TIME].repeats, T_REPEATS);
	ck_assert_int_eq(runs[EACH_TIME], 1 + T_REPEATS);
	ck_assert_int_ge(r[EACH_TIME].stall_ms, STOPPED_MS / 2);
	ck_assert_ptr_nonnull(strstr(r[CERTAIN].wrong, "this is wrong"));
	ck_assert_int_eq(r[CERTAIN].repeats, 0);
	ck_assert_str_eq(r[NOT_AT_ALL].wrong, "");
	ck_assert_int_eq(runs[NOT_AT_ALL], 1);
}
END_TEST

static void
fails(size_t i, void *arg, void *shared)
{
	(void)i;
	(void)arg;
	(void)shared;
	ck_abort_msg("this is wrong");
}

/* Elsewhere the machine may be busy: then it fails as often as it may run. */
START_TEST(a_case_that_fails_each_time_has_failed)
{
	struct t_case_result r[1];

	ck_assert_uint_eq(t_workers(1, 1, T_LIMIT_MS, 0, NULL, fails, NULL,
	    NULL, 0, r), 1);
	ck_assert_ptr_nonnull(strstr(r[0].wrong, "this is wrong"));
	ck_assert(!r[0].starved || r[0].repeats == T_REPEATS);
}
END_TEST

/* Under ThreadSanitizer a process that has threads cannot fork. */
int
main(void)
{
	Suite *s = suite_create("workers");
	TCase *tc = t_case(s, "cases");

	t_link_prepare();
	tcase_add_test(tc,
	    a_case_that_fails_dies_or_hangs_is_reported_and_the_others_go_on);
	tcase_add_test(tc, no_case_begins_after_the_end);
	tcase_add_test(tc, each_worker_has_its_own_link);
	tc = t_case(s, "repeats");
	tcase_add_test(tc, a_case_that_was_kept_from_running_runs_again);
	tcase_add_test(tc, a_case_that_fails_each_time_has_failed);
	tcase_add_test(tc, a_case_that_hangs_has_failed);
	return t_main(s);
}
