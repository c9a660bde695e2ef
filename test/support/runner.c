/*
 * runner.c - runs a suite, counts skips, finds what a test left behind, and
 * notes the tests that failed because the machine was busy
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/descriptors.h"
#include "support/runner.h"
#include "support/starved.h"

/* Shared with the forked tests, so that their skips are counted as well. */
static int *skips;

static int fds_before;
static uint64_t mask_before;
static volatile sig_atomic_t sigpipes;

/*
 * From the environment, which the programs that a test starts do not inherit:
 * they have other tests.
 */
static char only[128], starved_list[256];
static int patience = 1;
static bool emulated;
static pid_t main_pid;

static void
take(char *to, size_t size, const char *name)
{
	const char *value = getenv(name);

	(void)snprintf(to, size, "%s", value == NULL ? "" : value);
	unsetenv(name);
}

__attribute__((constructor))
static void
read_environment(void)
{
	const char *factor = getenv("CHECK_PATIENCE");
	long n = factor == NULL ? 0 : strtol(factor, NULL, 10);

	if (n > 1)
		patience = n < 100 ? (int)n : 100;
	emulated = getenv("CHECK_EMULATED") != NULL;
	take(only, sizeof(only), "CHECK_ONLY");
	take(starved_list, sizeof(starved_list), "CHECK_STARVED");
	main_pid = getpid();
}

int
t_patience(void)
{
	return patience;
}

int
t_emulated(void)
{
	return emulated;
}

int
t_patient(int n)
{
	return n * patience;
}

/*
 * The test that runs
 */

#define TESTS_MAX	256

/* What libcheck runs is run_test, which calls the test itself. */
static struct test {
	TTest	 shell;
	TFun	 fn;
} tests[TESTS_MAX];
static int ntests;

static struct {
	const char	*name;
	int		 index;
	struct starved	 begin;
} running;
static bool forked, in_main, tainted, certain;

/* The entry of this name, or a free one. */
static struct test *
find_test(const char *name)
{
	int i;

	for (i = 0; i < ntests; i++)
		if (tests[i].shell.name == name)
			return &tests[i];
	if (ntests == TESTS_MAX) {
		fputs("more tests than TESTS_MAX\n", stderr);
		abort();
	}
	return &tests[ntests++];
}

static void
run_test(int index)
{
	running.name = tcase_name();
	running.index = index;
	find_test(running.name)->fn(index);
}

/* What CHECK_ONLY leaves of a loop. */
static void
limit_loop(const char *name, int *start, int *end)
{
	size_t len = strlen(name);
	int i;

	if (strncmp(only, name, len) != 0 ||
	    (only[len] != '\0' && only[len] != ':')) {
		*end = *start;
		return;
	}
	if (only[len] == '\0')
		return;
	i = (int)strtol(only + len + 1, NULL, 10);
	*start = i > *start ? i : *start;
	*end = i + 1 < *end ? i + 1 : *end;
}

void
t_add_test(TCase *tc, const TTest *test, int start, int end)
{
	struct test *t = find_test(test->name);

	t->shell = *test;
	t->shell.fn = run_test;
	t->fn = test->fn;
	if (only[0] != '\0' && getpid() == main_pid)
		limit_loop(test->name, &start, &end);
	if (start < end)
		_tcase_add_test(tc, &t->shell, 0, 0, start, end);
}

/* Not a process that the test has started, which may run tests of its own. */
static bool
is_test(void)
{
	return in_main && running.name != NULL &&
	    (forked ? getppid() : getpid()) == main_pid;
}

/*
 * In a signal handler dprintf(3) might wait for the lock of malloc(3), and
 * check_faults replaces write(2).
 */
static void
put(int fd, const char *line)
{
	(void)syscall(SYS_write, fd, line, strlen(line));
}

static void
note_starved(const char *why)
{
	char line[400];
	int fd;

	(void)snprintf(line, sizeof(line), "STARVED %s:%d after %s\n",
	    running.name, running.index, why);
	put(STDERR_FILENO, line);
	if (starved_list[0] == '\0')
		return;
	(void)snprintf(line, sizeof(line), "%s:%d\n", running.name,
	    running.index);
	fd = open(starved_list, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
	    0666);
	put(fd, line);
	syscall(SYS_close, fd);
}

/* One that waits for nothing has not waited for the host either. */
#define EMULATED_MS	50

static bool
may_have_waited(void)
{
	return emulated && t_now_ms() - running.begin.at_ms >= EMULATED_MS;
}

/*
 * In one process for all tests, a test that was left in the middle has threads
 * and descriptors that go on: what fails after it has shown nothing either.
 * But a failure that was not starved stands, whatever comes after it.
 */
static void
failing(int (*starved)(const struct starved *, char *, size_t))
{
	char why[160];

	if (!is_test() || certain)
		return;
	if (!starved(&running.begin, why, sizeof(why)) && !tainted &&
	    !may_have_waited()) {
		certain = true;
		return;
	}
	tainted = true;
	note_starved(why);
}

void
t_failing(void)
{
	failing(starved_since);
}

/*
 * The fixture
 */

static void
count_sigpipe(int sig)
{
	(void)sig;
	sigpipes++;
}

static uint64_t
blocked_signals(void)
{
	sigset_t mask;
	uint64_t set;
	int sig;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	set = 0;
	for (sig = 1; sig < 64; sig++)
		if (sigismember(&mask, sig) == 1)
			set |= (uint64_t)1 << sig;
	return set;
}

/*
 * CK_FORK=no knows no time limits, hence the alarm.  libcheck's own handler
 * would kill the process group, which then includes make(1) and its callers.
 * This one ends its process alone, be it a child of a test.
 */
static void
overdue(int sig)
{
	static const char text[] = ": not done in time\n";
	const char *name = tcase_name();

	(void)sig;
	if (name == NULL)
		name = "the fixture";
	(void)!write(STDERR_FILENO, name, strlen(name));
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	failing(starved_late);
	_exit(EXIT_FAILURE);
}

static void
setup(void)
{
	struct sigaction sa;

	running.name = NULL;
	starved_begin(&running.begin);
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = count_sigpipe;
	ck_assert_int_eq(sigaction(SIGPIPE, &sa, NULL), 0);
	sa.sa_handler = overdue;
	ck_assert_int_eq(sigaction(SIGALRM, &sa, NULL), 0);
	sigpipes = 0;
	mask_before = blocked_signals();
	fds_before = t_fd_count();
	alarm((unsigned)T_SECONDS);
}

static void
teardown(void)
{
	alarm(0);
	t_clock(1);
	ck_assert_uint_eq(blocked_signals(), mask_before);
	ck_assert_msg(sigpipes == 0, "%d SIGPIPE raised", (int)sigpipes);
	ck_assert_msg(t_fd_count() == fds_before,
	    "%d descriptors before the test, %d after it", fds_before,
	    t_fd_count());
}

/* libcheck's own limit comes after the alarm, which can say more. */
TCase *
t_case(Suite *s, const char *name)
{
	TCase *tc;

	tc = tcase_create(name);
	tcase_set_timeout(tc, T_SECONDS + 5);
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(s, tc);
	return tc;
}

/*
 * The suite
 */

/*
 * ThreadSanitizer starts its symbolizer, with pipes to it, when it first looks
 * a race up, be it a suppressed one: not in the middle of a test.
 */
#if T_TSAN
void	__sanitizer_symbolize_pc(void *, const char *, char *, size_t);

static void
start_symbolizer(void)
{
	char name[64];

	__sanitizer_symbolize_pc(__builtin_return_address(0), "%f", name,
	    sizeof(name));
}
#else
static void
start_symbolizer(void)
{
}
#endif

int
t_main(Suite *s)
{
	SRunner *sr;
	int failed;

	start_symbolizer();
	skips = mmap(NULL, sizeof(*skips), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (skips == MAP_FAILED)
		return 1;
	sr = srunner_create(s);
	forked = srunner_fork_status(sr) == CK_FORK;
	in_main = true;
	srunner_run_all(sr, CK_ENV);
	in_main = false;
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	if (*skips > 0)
		printf("Skipped: %d\n", *skips);
	munmap(skips, sizeof(*skips));
	return failed == 0 ? 0 : 1;
}

void
t_skipped(const char *func, const char *why)
{
	size_t len;

	/* START_TEST(name) makes a function name_fn. */
	len = strlen(func);
	if (len > 3 && strcmp(func + len - 3, "_fn") == 0)
		len -= 3;
	printf("SKIP %.*s: %s\n", (int)len, func, why);
	fflush(stdout);
	__atomic_add_fetch(skips, 1, __ATOMIC_RELAXED);
}

void
t_beside(char *buf, size_t size, const char *source, const char *name)
{
	const char *slash = strrchr(source, '/');
	int folder = slash != NULL ? (int)(slash + 1 - source) : 0;

	(void)snprintf(buf, size, "%.*s%s", folder, source, name);
}
