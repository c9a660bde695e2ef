/*
 * The tests' own machinery: a test that failed on a busy machine runs again,
 * and a failure that is not the machine's stays one
 *
 * With PLANTED in the environment this program has one test, which fails on
 * purpose; test/run.sh runs it as it runs every suite, or a script that runs it
 * and tells run.sh nothing but an exit status.
 */
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/starved.h"
#include "support/util.h"

/*
 * A busy machine: this thread and others that never sleep, on one processor
 */

#define BUSY		3
#define MOST_BUSY	96	/* on all of them */
#define BUSY_MS		150

static pid_t
busy_child(void)
{
	pid_t parent = getpid(), pid;

	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == parent)
			;
		_exit(0);
	}
	return pid;
}

/* Returns the processors that the thread had before. */
static cpu_set_t
stay_on_one_processor(void)
{
	cpu_set_t all, one;
	size_t cpu = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	return all;
}

/* A script is measured by the whole machine, so all of it must be busy. */
static void
run_on_a_busy_machine(void)
{
	long i, n = BUSY * sysconf(_SC_NPROCESSORS_ONLN);
	pid_t pids[MOST_BUSY];
	int64_t end;

	if (n > MOST_BUSY)
		n = MOST_BUSY;
	for (i = 0; i < n; i++)
		ck_assert_int_ne(pids[i] = busy_child(), -1);
	for (end = t_now_ms() + (int64_t)5 * BUSY_MS; t_now_ms() < end; )
		;
	for (i = 0; i < n; i++)
		t_hold_end(pids[i]);
}

static void
run_on_a_busy_processor(void)
{
	cpu_set_t all = stay_on_one_processor();
	pid_t pids[BUSY];
	int64_t end;
	int i;

	for (i = 0; i < BUSY; i++)
		ck_assert_int_ne(pids[i] = busy_child(), -1);
	for (end = t_now_ms() + BUSY_MS; t_now_ms() < end; )
		;
	for (i = 0; i < BUSY; i++)
		t_hold_end(pids[i]);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(all), &all), 0);
}

START_TEST(thread_that_waits_for_a_processor_is_starved)
{
	struct starved begin;
	char why[160];
	int starved;

	starved_begin(&begin);
	run_on_a_busy_processor();
	starved = starved_since(&begin, why, sizeof(why));
	ck_assert_msg(starved == 1, "not starved after %s", why);
	ck_assert_ptr_nonnull(strstr(why, "run-delay"));
}
END_TEST

static int64_t
starved_at_once(int unused)
{
	struct starved begin;

	(void)unused;
	starved_begin(&begin);
	return starved_since(&begin, NULL, 0);
}

START_TEST(moment_without_work_is_not_starved)
{
	t_prompt(starved_at_once, 0, 0);
}
END_TEST

/* Not its process group, which make(1) may belong to. */
START_TEST(child_that_is_overdue_ends_alone)
{
	int status;
	pid_t child;

	child = fork();
	if (child == 0) {
		close(STDERR_FILENO);	/* its complaint is no news */
		if (setsid() == -1)
			_exit(10);
		raise(SIGALRM);
		_exit(11);
	}
	ck_assert_int_ne(child, -1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EXIT_FAILURE);
}
END_TEST

/*
 * Planted failures
 */

/* Counts the runs of the planted test in a file: 1 in the first. */
static int
count_run(void)
{
	const char *file = getenv("PLANTED_RUNS");
	char text[64] = "";
	int fd, n;

	ck_assert_ptr_nonnull(file);
	fd = open(file, O_RDWR | O_APPEND | O_CLOEXEC);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(dprintf(fd, "%d ", t_patience()) > 0, 1);
	ck_assert(pread(fd, text, sizeof(text) - 1, 0) > 0);
	t_close(fd);
	for (n = 0, fd = 0; text[fd] != '\0'; fd++)
		n += text[fd] == ' ';
	return n;
}

START_TEST(planted_success)
{
	count_run();
}
END_TEST

START_TEST(planted_failure_of_the_library)
{
	count_run();
	ck_abort_msg("planted");
}
END_TEST

static void
starve(void)
{
	if (getenv("PLANTED_SCRIPT") != NULL)
		run_on_a_busy_machine();
	else
		run_on_a_busy_processor();
}

START_TEST(planted_failure_of_a_starved_library)
{
	count_run();
	starve();
	ck_abort_msg("planted");
}
END_TEST

START_TEST(planted_failure_of_the_machine)
{
	if (count_run() > 2)
		return;
	starve();
	ck_abort_msg("planted");
}
END_TEST

/* The failure that is not starved must not run a third time. */
START_TEST(planted_failure_behind_one_of_the_machine)
{
	if (count_run() == 1)
		starve();
	ck_abort_msg("planted");
}
END_TEST

START_TEST(planted_stall_of_the_machine)
{
	if (count_run() > 1)
		return;
	alarm(1);
	for (;;)
		run_on_a_busy_processor();
}
END_TEST

/* A processor that was busy for a moment is no excuse. */
START_TEST(planted_hang_of_the_library)
{
	count_run();
	run_on_a_busy_processor();
	alarm(2);
	for (;;)
		pause();
}
END_TEST

/* As ThreadSanitizer does, which goes on. */
START_TEST(planted_report_of_a_sanitizer)
{
	if (count_run() > 1)
		return;
	fputs("WARNING: ThreadSanitizer: data race (planted)\n", stderr);
	run_on_a_busy_processor();
	ck_abort_msg("planted");
}
END_TEST

#define MANY_RUNS	"1 2 4 8 "

/*
 * What run.sh makes of each: the patience of each run, the number of repeats
 * that it prints, and its last line.
 */
struct planted {
	const char	*name;
	const TTest	*const *test;
	const char	*runs;
	const char	*repeats;
	const char	*last_line;
};

static const struct planted planted[] = {
	{ "success", &planted_success, "1 ", "0 times",
	    "1 passed, 0 failed, 0 skipped\n" },
	{ "failure", &planted_failure_of_the_library, "1 ", "0 times",
	    "0 passed, 1 failed, 0 skipped\n" },
	{ "starved failure", &planted_failure_of_a_starved_library, MANY_RUNS,
	    "3 times check_support:planted_failure_of_a_starved_library:0",
	    "0 passed, 1 failed, 0 skipped\n" },
	{ "starved twice", &planted_failure_of_the_machine, "1 2 4 ",
	    "2 times check_support:planted_failure_of_the_machine:0",
	    "1 passed, 0 failed, 0 skipped\n" },
	{ "starved, failure", &planted_failure_behind_one_of_the_machine,
	    "1 2 ",
	    "1 times check_support:planted_failure_behind_one_of_the_machine:0",
	    "0 passed, 1 failed, 0 skipped\n" },
	{ "starved, report", &planted_report_of_a_sanitizer, "1 ", "0 times",
	    "0 passed, 1 failed, 0 skipped\n" },
	{ "starved, overdue", &planted_stall_of_the_machine, "1 2 ", "1 times ",
	    "1 passed, 0 failed, 0 skipped\n" },
	{ "starved, hangs", &planted_hang_of_the_library, "1 ", "0 times",
	    "0 passed, 1 failed, 0 skipped\n" }
};
#define NPLANTED	((int)(sizeof(planted) / sizeof(planted[0])))

/* The same in a script, which writes no summary and names no test. */
static const struct planted scripts[] = {
	{ "success", &planted_success, "1 ", "0 times",
	    "1 passed, 0 failed, 0 skipped\n" },
	{ "failure", &planted_failure_of_the_library, "1 ", "0 times",
	    "0 passed, 1 failed, 0 skipped\n" },
	{ "starved failure", &planted_failure_of_a_starved_library, MANY_RUNS,
	    "3 times planted.sh\n", "0 passed, 1 failed, 0 skipped\n" },
	{ "starved twice", &planted_failure_of_the_machine, "1 2 4 ",
	    "2 times planted.sh\n", "1 passed, 0 failed, 0 skipped\n" },
	{ "starved, failure", &planted_failure_behind_one_of_the_machine,
	    "1 2 ", "1 times planted.sh\n", "0 passed, 1 failed, 0 skipped\n" }
};
#define NSCRIPTS	((int)(sizeof(scripts) / sizeof(scripts[0])))

struct outcome {
	char	runs[64];
	char	repeats[160];
	char	last_line[160];
};

static void
read_output(FILE *f, struct outcome *outcome)
{
	static const char again[] = "run again: ";
	char line[512];
	const char *at;

	while (fgets(line, sizeof(line), f) != NULL) {
		if ((at = strstr(line, again)) != NULL)
			(void)snprintf(outcome->repeats,
			    sizeof(outcome->repeats), "%.150s",
			    at + strlen(again));
		(void)snprintf(outcome->last_line, sizeof(outcome->last_line),
		    "%.150s", line);
	}
}

/*
 * Lets run.sh run this program, or the script that does, with the planted test;
 * its exit status.
 */
static int
run_planted(const struct planted *p, const char *fork_mode, bool script,
    struct outcome *outcome)
{
	char command[1024], program[256] = "", runner[256], starter[256];
	char file[] = "/tmp/check_support.XXXXXX";
	ssize_t n;
	int fd, status;
	FILE *f;

	memset(outcome, 0, sizeof(*outcome));
	ck_assert(readlink("/proc/self/exe", program, sizeof(program) - 1) > 0);
	t_beside(runner, sizeof(runner), __FILE__, "../run.sh");
	t_beside(starter, sizeof(starter), __FILE__, "planted.sh");
	ck_assert_int_ne(fd = mkostemp(file, O_CLOEXEC), -1);
	(void)snprintf(command, sizeof(command), "env -u RUN -u CHECK_PATIENCE "
	    "-u CK_RUN_CASE CK_FORK=%s PLANTED='%s' PLANTED_RUNS=%s "
	    "PLANTED_PROGRAM=%s %s %s 2>&1", fork_mode, p->name, file, program,
	    runner, script ? starter : program);
	f = popen(command, "re");	/* NOLINT(cert-env33-c): our own words */
	ck_assert_ptr_nonnull(f);
	read_output(f, outcome);
	status = pclose(f);
	n = read(fd, outcome->runs, sizeof(outcome->runs) - 1);
	t_close(fd);
	unlink(file);
	ck_assert_int_ge(n, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool
begins_with(const char *text, const char *begin)
{
	return strncmp(text, begin, strlen(begin)) == 0;
}

static bool
ran_as_planted(const struct planted *p, const struct outcome *outcome)
{
	return strcmp(outcome->runs, p->runs) == 0 &&
	    begins_with(outcome->repeats, p->repeats);
}

/*
 * On a machine that is busy with other work a failure that takes no time may
 * have been starved as well, and a script always is.  It is a failure all the
 * same.
 */
static void
assert_run_sh_repeats(const struct planted *p, const char *fork_mode,
    bool script)
{
	struct outcome outcome;
	struct starved begin;
	int status, tries = 0;
	char why[160];

	alarm((unsigned)(4 * T_SECONDS));	/* for up to four programs */
	do {
		starved_begin(&begin);
		status = run_planted(p, fork_mode, script, &outcome);
		/* A script that got too much of the machine was not starved. */
		if (script && status == 1 && p->last_line[0] != '0')
			continue;
		ck_assert_str_eq(outcome.last_line, p->last_line);
		ck_assert_int_eq(status, p->last_line[0] == '0');
		if (ran_as_planted(p, &outcome))
			return;
	} while (++tries < T_TRIES);
	ck_assert_str_eq(outcome.last_line, p->last_line);
	ck_assert_msg(script && starved_since(&begin, why, sizeof(why)) &&
	    begins_with(outcome.runs, p->runs), "runs: %s; repeats: %s",
	    outcome.runs, outcome.repeats);
}

START_TEST(run_sh_repeats_only_tests_that_the_machine_starved)
{
	int i = _i / 2;

	if (T_SANITIZED && i >= NPLANTED - 2)
		t_skip("a sanitizer may hold its lock when the alarm comes");
	assert_run_sh_repeats(&planted[i], _i % 2 == 0 ? "yes" : "no", false);
}
END_TEST

START_TEST(run_sh_repeats_only_scripts_that_the_machine_starved)
{
	assert_run_sh_repeats(&scripts[_i], "no", true);
}
END_TEST

static Suite *
planted_suite(const char *name)
{
	Suite *s = suite_create("planted");
	TCase *tc = t_case(s, "planted");
	int i;

	for (i = 0; i < NPLANTED; i++)
		if (strcmp(planted[i].name, name) == 0)
			tcase_add_test(tc, *planted[i].test);
	return s;
}

int
main(void)
{
	const char *name = getenv("PLANTED");
	Suite *s;
	TCase *tc;

	if (name != NULL)
		return t_main(planted_suite(name));
	s = suite_create("support");
	tc = t_case(s, "starved");
	tcase_add_test(tc, thread_that_waits_for_a_processor_is_starved);
	tcase_add_test(tc, moment_without_work_is_not_starved);
	tc = t_case(s, "overdue");
	tcase_add_test(tc, child_that_is_overdue_ends_alone);
	tc = t_case(s, "repeats");
	tcase_set_timeout(tc, 4 * T_SECONDS + 5);
	tcase_add_loop_test(tc, run_sh_repeats_only_tests_that_the_machine_starved,
	    0, 2 * NPLANTED);
	tcase_add_loop_test(tc,
	    run_sh_repeats_only_scripts_that_the_machine_starved, 0, NSCRIPTS);
	return t_main(s);
}
