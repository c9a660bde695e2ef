/*
 * check.c - runs the tests of a suite, each in a process of its own
 *
 * A test fails by an assertion, which notes its place in memory that the
 * processes share, by another exit status than 0, by a signal, or by its time
 * limit.  Whatever process a test leaves behind in its group is killed.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

struct entry {
	const TTest	*test;
	int		 start, end;
};

struct TCase {
	TCase		*next;
	const char	*name;
	double		 timeout;
	SFun		 setup, teardown;
	struct entry	*entries;
	int		 count;
};

struct Suite {
	const char	*name;
	TCase		*first, *last;
};

struct TestResult {
	int		 failed;	/* an assertion of any process */
	char		 file[128];
	int		 line;
	char		 message[1024];
};

struct SRunner {
	Suite		*suite;
	enum fork_status fork_status;
	int		 checks, failures, errors;
	TestResult	 first;		/* of the failures */
};

/* What runs: the test, where its failure goes, and how to leave it. */
static const char *test_name;
static TestResult *result;
static bool forking;
static jmp_buf out;

static void *
need(void *p)
{
	if (p == NULL) {
		perror("check");
		abort();
	}
	return p;
}

/*
 * Suites
 */

Suite *
suite_create(const char *name)
{
	Suite *s = need(calloc(1, sizeof(*s)));

	s->name = name;
	return s;
}

void
suite_add_tcase(Suite *s, TCase *tc)
{
	if (s->last == NULL)
		s->first = tc;
	else
		s->last->next = tc;
	s->last = tc;
}

TCase *
tcase_create(const char *name)
{
	TCase *tc = need(calloc(1, sizeof(*tc)));

	tc->name = name;
	tc->timeout = 4;
	return tc;
}

void
tcase_set_timeout(TCase *tc, double seconds)
{
	tc->timeout = seconds;
}

void
tcase_add_checked_fixture(TCase *tc, SFun setup, SFun teardown)
{
	tc->setup = setup;
	tc->teardown = teardown;
}

void
_tcase_add_test(TCase *tc, const TTest *test, int sig, int status, int start,
    int end)
{
	(void)sig;
	(void)status;
	tc->entries = need(realloc(tc->entries,
	    (size_t)(tc->count + 1) * sizeof(*tc->entries)));
	tc->entries[tc->count++] = (struct entry){ test, start, end };
}

const char *
tcase_name(void)
{
	return test_name;
}

/*
 * One test
 */

/* The first failure of a test stands, whichever process it is in. */
void
_ck_assert_failed(const char *file, int line, const char *what,
    const char *format, ...)
{
	va_list ap;

	if (!__atomic_exchange_n(&result->failed, 1, __ATOMIC_ACQ_REL)) {
		snprintf(result->file, sizeof(result->file), "%s", file);
		result->line = line;
		if (format == NULL) {
			snprintf(result->message, sizeof(result->message),
			    "%s", what);
		} else {
			va_start(ap, format);
			vsnprintf(result->message, sizeof(result->message),
			    format, ap);
			va_end(ap);
		}
	}
	if (forking)
		exit(EXIT_FAILURE);
	longjmp(out, 1);
}

/* As in libcheck the teardown of a test that failed in this process is left
   out. */
static void
perform(const TCase *tc, const struct entry *e, int i)
{
	test_name = e->test->name;
	if (forking || setjmp(out) == 0) {
		if (tc->setup != NULL)
			tc->setup();
		e->test->fn(i);
		if (tc->teardown != NULL)
			tc->teardown();
	}
}

/* The group of its own is what the end of the test kills. */
static void
be_test(const TCase *tc, const struct entry *e, int i, pid_t parent)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	perform(tc, e, i);
	exit(EXIT_SUCCESS);
}

/* The status of a child, or -1 where it was late and has been killed. */
static int
await(pid_t pid, double seconds)
{
	struct pollfd p = { .events = POLLIN };
	int late, status;

	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	late = poll(&p, 1, (int)(seconds * 1000)) == 0;
	if (late)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) == -1)
		;
	kill(-pid, SIGKILL);
	close(p.fd);
	return late ? -1 : status;
}

/* A sentence where the process itself went wrong, or NULL. */
static const char *
ending(int status)
{
	static char text[64];

	if (status == -1)
		return "Test timeout expired";
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "Received signal %d (%s)",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0)
		snprintf(text, sizeof(text), "Early exit with status %d",
		    WEXITSTATUS(status));
	else
		return NULL;
	return text;
}

static const char *
run_forked(const TCase *tc, const struct entry *e, int i)
{
	pid_t pid, parent = getpid();

	fflush(NULL);
	pid = fork();
	if (pid == -1)
		return "fork(2) failed";
	if (pid == 0)
		be_test(tc, e, i, parent);
	setpgid(pid, pid);
	return ending(await(pid, tc->timeout));
}

/*
 * A runner
 */

SRunner *
srunner_create(Suite *s)
{
	SRunner *sr = need(calloc(1, sizeof(*sr)));
	const char *fork_how = getenv("CK_FORK");

	sr->suite = s;
	sr->fork_status = fork_how != NULL && strcmp(fork_how, "no") == 0 ?
	    CK_NOFORK : CK_FORK;
	return sr;
}

void
srunner_set_fork_status(SRunner *sr, enum fork_status status)
{
	sr->fork_status = status;
}

enum fork_status
srunner_fork_status(SRunner *sr)
{
	return sr->fork_status;
}

static void
report(SRunner *sr, const TCase *tc, const struct entry *e, int i,
    const char *error, bool aloud)
{
	const TestResult *r = result;
	char kind = r->failed ? 'F' : 'E';

	sr->checks++;
	if (r->failed)
		sr->failures++;
	else if (error != NULL)
		sr->errors++;
	else
		kind = 'P';
	if (kind != 'P' && sr->failures + sr->errors == 1)
		sr->first = *r;
	if (aloud && (kind != 'P' || getenv("CK_VERBOSITY") != NULL))
		printf("%s:%d:%c:%s:%s:%d: %s\n",
		    r->failed ? r->file : e->test->file,
		    r->failed ? r->line : e->test->line, kind, tc->name,
		    e->test->name, i, r->failed ? r->message :
		    error != NULL ? error : "Passed");
}

static void
run_entry(SRunner *sr, const TCase *tc, const struct entry *e, bool aloud)
{
	const char *error;
	int i;

	for (i = e->start; i < e->end; i++) {
		memset(result, 0, sizeof(*result));
		error = NULL;
		if (sr->fork_status == CK_NOFORK)
			perform(tc, e, i);
		else
			error = run_forked(tc, e, i);
		report(sr, tc, e, i, error, aloud);
	}
}

/* A test may run a suite of its own, in the middle of this one. */
void
srunner_run_all(SRunner *sr, enum print_output output)
{
	TestResult *result_before = result;
	const char *name_before = test_name, *only = getenv("CK_RUN_CASE");
	bool forking_before = forking;
	const TCase *tc;
	int i;

	result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (result == MAP_FAILED)
		need(NULL);
	forking = sr->fork_status != CK_NOFORK;
	for (tc = sr->suite->first; tc != NULL; tc = tc->next)
		for (i = 0; i < tc->count; i++)
			if (only == NULL || strcmp(only, tc->name) == 0)
				run_entry(sr, tc, &tc->entries[i],
				    output != CK_SILENT);
	munmap(result, sizeof(*result));
	result = result_before;
	test_name = name_before;
	forking = forking_before;
	if (output != CK_SILENT)
		printf("%s: Checks: %d, Failures: %d, Errors: %d\n",
		    sr->suite->name, sr->checks, sr->failures, sr->errors);
	fflush(stdout);
}

int
srunner_ntests_failed(SRunner *sr)
{
	return sr->failures + sr->errors;
}

/* Of the failures only the first; the caller frees the array. */
TestResult **
srunner_failures(SRunner *sr)
{
	TestResult **list = need(malloc(sizeof(void *)));

	*list = &sr->first;
	return list;
}

void
srunner_free(SRunner *sr)
{
	TCase *tc, *next;

	for (tc = sr->suite->first; tc != NULL; tc = next) {
		next = tc->next;
		free(tc->entries);
		free(tc);
	}
	free(sr->suite);
	free(sr);
}

const char *
tr_msg(TestResult *r)
{
	return r->message;
}

const char *
tr_lfile(TestResult *r)
{
	return r->file;
}

int
tr_lno(TestResult *r)
{
	return r->line;
}
