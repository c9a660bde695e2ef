/*
 * workers.c - many cases at once, each in a process with a link of its own
 *
 * The workers and their parent share the number of the next case, what each
 * worker does, and the results.
 */
#include <sys/types.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "network/stall.h"
#include "network/workers.h"
#include "support/starved.h"
#include "support/util.h"

#define NO_CASE		SIZE_MAX
#define LOOK_MS		5
#define STILLBORN_MAX	3	/* workers that die before their first case */
#define STALLED_PART	4	/* of the time of a case that was killed */
#define REPEATED_MAX	200	/* cases: with more the machine is no excuse */
/* Of setpriority(2), where it is allowed: workers wait more than they work. */
#define PRIORITY	(-10)
#define PRIORITY_ALONE	(-20)

struct worker {
	pid_t	pid;		/* 0: none */
	bool	killed;
	bool	certain;	/* its case's failure is no matter of time */
	size_t	at;		/* its case, or NO_CASE */
	size_t	last;		/* the one before, or NO_CASE */
	int64_t	since_ms;	/* its beginning, or the end of the last */
	struct stall stall;
};

/* What was asked for; each worker has its copy. */
static struct {
	size_t	workers;
	size_t	end;		/* the case behind the last one */
	int	repeat;		/* 0: the first run */
	int64_t	limit_ms, until_ms;
	void	(*prepare)(void);
	void	(*work)(size_t, void *, void *);
	void	*arg;
	char	*shared;
	size_t	size;
} order;
static struct worker *workers;
static struct t_case_result *results;
static size_t *next_case;

/* In a worker: itself, and the measures at the beginning of its case. */
static struct worker *self;
static struct starved case_began;

void *
t_shared(size_t size)
{
	void *p;

	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		perror("mmap");
		abort();
	}
	return p;
}

/*
 * A worker
 */

int
t_worker_patience(void)
{
	return t_patience() << order.repeat;
}

void
t_worker_certain(void)
{
	if (self != NULL)
		__atomic_store_n(&self->certain, true, __ATOMIC_RELAXED);
}

static bool
was_starved(char *why, size_t size)
{
	bool starved = starved_since(&case_began, why, size) != 0;

	return starved || stall_longest_ms(&self->stall) >= STALL_MS;
}

bool
t_worker_final(void)
{
	return self == NULL || order.repeat == T_REPEATS || self->certain ||
	    !was_starved(NULL, 0);
}

/* The case has its parent's limit, and none of the fixture's. */
START_TEST(the_case)
{
	size_t i = (size_t)_i;

	alarm(0);
	order.work(i, order.arg, order.shared == NULL ? NULL :
	    order.shared + i * order.size);
}
END_TEST

static void
keep_failure(SRunner *sr, struct t_case_result *r)
{
	TestResult **failures;

	failures = srunner_failures(sr);
	snprintf(r->wrong, sizeof(r->wrong), "%s:%d: %s",
	    tr_lfile(failures[0]), tr_lno(failures[0]), tr_msg(failures[0]));
	free(failures);
}

/* False: it failed, and may have left anything behind. */
static bool
run_case(size_t i)
{
	struct t_case_result *r = &results[i];
	Suite *s = suite_create("workers");
	SRunner *sr;
	bool well;

	tcase_add_loop_test(t_case(s, "case"), the_case, (int)i, (int)i + 1);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	__atomic_store_n(&self->certain, false, __ATOMIC_RELAXED);
	stall_begin(&self->stall);
	starved_begin(&case_began);
	srunner_run_all(sr, CK_SILENT);
	r->stall_ms = stall_longest_ms(&self->stall);
	r->starved = was_starved(r->measured, sizeof(r->measured));
	well = srunner_ntests_failed(sr) == 0;
	r->starved = r->starved && (well || !self->certain);
	if (!well)
		keep_failure(sr, r);
	srunner_free(sr);
	return well;
}

static bool
too_late(void)
{
	return order.until_ms != 0 && t_now_ms() >= order.until_ms;
}

static size_t
take_case(void)
{
	size_t i;

	if (too_late())
		return NO_CASE;
	i = __atomic_fetch_add(next_case, 1, __ATOMIC_RELAXED);
	return i < order.end ? i : NO_CASE;
}

/* What libcheck would read of it is meant for the parent's tests. */
static void
clean_environment(void)
{
	static const char *const names[] = { "CK_RUN_SUITE", "CK_RUN_CASE",
	    "CK_INCLUDE_TAGS", "CK_EXCLUDE_TAGS", "CK_LOG_FILE_NAME",
	    "CK_XML_LOG_FILE_NAME", "CK_TAP_LOG_FILE_NAME" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

static void
be_quiet(void)
{
	int fd;

	if ((fd = open("/dev/null", O_RDWR | O_CLOEXEC)) == -1)
		return;
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	close(fd);
}

static void
serve(void)
{
	bool well = true;
	size_t i;

	clean_environment();
	be_quiet();
	(void)setpriority(PRIO_PROCESS, 0, order.repeat > 0 ? PRIORITY_ALONE :
	    PRIORITY);
	if (order.prepare != NULL)
		order.prepare();
	stall_start(&self->stall);
	while (well && (i = take_case()) != NO_CASE) {
		__atomic_store_n(&self->since_ms, t_now_ms(),
		    __ATOMIC_RELAXED);
		__atomic_store_n(&self->at, i, __ATOMIC_RELEASE);
		well = run_case(i);
		results[i].elapsed_ms = t_now_ms() - self->since_ms;
		results[i].run = true;
		__atomic_store_n(&self->since_ms, t_now_ms(),
		    __ATOMIC_RELAXED);
		self->last = i;
		__atomic_store_n(&self->at, NO_CASE, __ATOMIC_RELEASE);
	}
	_exit(0);
}

/*
 * The parent
 */

/* A group of its own: what a worker has started goes with it. */
static void
hire(struct worker *w)
{
	pid_t parent = getpid(), pid;

	memset(w, 0, sizeof(*w));
	w->at = w->last = NO_CASE;
	w->since_ms = t_now_ms();
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		self = w;
		if (getppid() == parent)
			serve();
		_exit(1);
	}
	if (pid == -1)
		perror("fork");
	else
		setpgid(pid, pid);
	w->pid = pid == -1 ? 0 : pid;
}

/*
 * A case that hangs sleeps, and its worker would run if it had to.  A case that
 * was merely slow has its limit used up by stalls.
 */
static void
tell_late(const struct worker *w, struct t_case_result *r)
{
	snprintf(r->wrong, sizeof(r->wrong), "not done after %jd ms: killed",
	    (intmax_t)order.limit_ms);
	r->stall_ms = stall_longest_ms(&w->stall);
	r->starved = stall_total_ms(&w->stall) >= order.limit_ms / STALLED_PART;
	snprintf(r->measured, sizeof(r->measured), "killed");
}

static void
tell_death(const struct worker *w, int status)
{
	struct t_case_result *r = &results[w->at];

	r->run = true;
	r->status = status;
	r->starved = false;
	r->elapsed_ms = t_now_ms() - w->since_ms;
	if (w->killed)
		tell_late(w, r);
	else if (WIFSIGNALED(status))
		snprintf(r->wrong, sizeof(r->wrong), "died of signal %d (%s)",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(r->wrong, sizeof(r->wrong), "exited with %d",
		    WEXITSTATUS(status));
}

static bool
more(void)
{
	return __atomic_load_n(next_case, __ATOMIC_RELAXED) < order.end &&
	    !too_late();
}

/* Its group goes while it is not yet reaped: nobody else has its number. */
static bool
dead(const struct worker *w)
{
	siginfo_t si = { .si_pid = 0 };

	if (waitid(P_PID, (id_t)w->pid, &si, WEXITED | WNOHANG | WNOWAIT) ==
	    -1 || si.si_pid == 0)
		return false;
	kill(-w->pid, SIGKILL);
	return true;
}

/* True: it is gone, before it had a case, and not because all was done. */
static bool
bury(struct worker *w)
{
	bool stillborn;
	int status = 0;

	(void)waitpid(w->pid, &status, 0);
	/* A sanitizer or valgrind reports when its process ends. */
	if (w->at == NO_CASE && status != 0)
		w->at = w->last;
	stillborn = w->at == NO_CASE && status != 0;
	if (w->at != NO_CASE)
		tell_death(w, status);
	if (w->certain && w->at != NO_CASE)
		results[w->at].starved = false;
	w->pid = 0;
	return stillborn;
}

static void
kill_late(struct worker *w)
{
	int64_t since = __atomic_load_n(&w->since_ms, __ATOMIC_RELAXED);

	if (t_now_ms() - since <= order.limit_ms)
		return;
	w->killed = true;
	kill(-w->pid, SIGKILL);
}

/* Looks after all of them; how many there still are. */
static size_t
look_after(unsigned *stillborn)
{
	size_t i, alive = 0;
	struct worker *w;

	for (i = 0; i < order.workers; i++) {
		w = &workers[i];
		if (w->pid != 0 && dead(w)) {
			if (bury(w))
				(*stillborn)++;
			if (more() && *stillborn < STILLBORN_MAX)
				hire(w);
		} else if (w->pid != 0)
			kill_late(w);
		alive += w->pid != 0;
	}
	return alive;
}

static void
run_cases(void)
{
	unsigned stillborn = 0;
	size_t i;

	for (i = 0; i < order.workers && more(); i++)
		hire(&workers[i]);
	while (look_after(&stillborn) > 0)
		t_pause(LOOK_MS);
}

/*
 * Cases that the machine has starved
 */

static bool
shows_nothing(const struct t_case_result *r)
{
	return r->wrong[0] != '\0' && r->starved;
}

static void
repeat_case(size_t i, int64_t limit_ms)
{
	struct t_case_result *r = &results[i];
	int repeats = r->repeats + 1;

	printf("case %zu is run again (repeat %d): %.300s\n"
	    "  it was kept from running for %jd ms at a time; %s\n", i,
	    repeats, r->wrong, (intmax_t)r->stall_ms, r->measured);
	memset(r, 0, sizeof(*r));
	r->repeats = repeats;
	if (order.shared != NULL)
		memset(order.shared + i * order.size, 0, order.size);
	order.repeat = repeats;
	order.workers = 1;
	order.limit_ms = limit_ms << repeats;
	order.until_ms = 0;
	order.end = i + 1;
	*next_case = i;
	run_cases();
	if (!r->run)
		snprintf(r->wrong, sizeof(r->wrong),
		    "failed, and could not run again");
	r->run = true;
}

static void
repeat_starved(size_t n, int64_t limit_ms)
{
	size_t i, starved = 0, passed = 0;

	for (i = 0; i < n; i++)
		starved += shows_nothing(&results[i]);
	if (starved == 0)
		return;
	if (starved > REPEATED_MAX) {
		printf("%zu cases failed while they were kept from running: "
		    "too many to run again\n", starved);
		return;
	}
	for (i = 0; i < n; i++) {
		while (shows_nothing(&results[i]) &&
		    results[i].repeats < T_REPEATS)
			repeat_case(i, limit_ms);
		passed += results[i].repeats > 0 &&
		    results[i].wrong[0] == '\0';
	}
	printf("%zu of %zu cases were kept from running and ran again, alone; "
	    "%zu of them passed\n", starved, n, passed);
	fflush(stdout);
}

static size_t
count_run(size_t n)
{
	size_t i, count = 0;

	for (i = 0; i < n; i++)
		count += results[i].run;
	return count;
}

size_t
t_workers(size_t max, size_t n, int64_t limit_ms, int64_t until_ms,
    void (*prepare)(void), void (*work)(size_t, void *, void *),
    void *arg, void *shared, size_t size, struct t_case_result *copy)
{
	size_t run, nworkers = max < n ? max : n;

	order.workers = nworkers;
	order.end = n;
	order.repeat = 0;
	order.limit_ms = limit_ms;
	order.until_ms = until_ms;
	order.prepare = prepare;
	order.work = work;
	order.arg = arg;
	order.shared = shared;
	order.size = size;
	if (n == 0)
		return 0;
	next_case = t_shared(sizeof(*next_case));
	workers = t_shared(nworkers * sizeof(*workers));
	results = t_shared(n * sizeof(*results));
	run_cases();
	repeat_starved(n, limit_ms);
	order.repeat = 0;
	memcpy(copy, results, n * sizeof(*results));
	run = count_run(n);
	munmap(next_case, sizeof(*next_case));
	munmap(workers, nworkers * sizeof(*workers));
	munmap(results, n * sizeof(*results));
	return run;
}
