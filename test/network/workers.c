/*
 * workers.c - see workers.h
 *
 * What the members and their parent share is one mapping: the number of the
 * next case, what each member is at, and the results.
 */
#include <sys/types.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "network/workers.h"
#include "support/util.h"

#define NO_CASE		SIZE_MAX
#define LOOK_MS		5
#define STILLBORN_MAX	3	/* members that die before their first case */

struct member {
	pid_t	pid;		/* 0: none */
	int	killed;
	size_t	at;		/* its case, or NO_CASE */
	size_t	last;		/* the one before, or NO_CASE */
	int64_t	since_ms;	/* its beginning, or the end of the last */
};

struct ship {
	size_t	next;		/* case */
	struct member *members;
	struct t_case_result *results;
};

/* What was asked for; each member has its copy. */
static struct {
	size_t	members, n;
	int64_t	limit_ms, until_ms;
	void	(*prepare)(void);
	void	(*work)(size_t, void *, void *);
	void	*arg;
	char	*shared;
	size_t	size;
} order;
static struct ship ship;
static size_t *next_case;

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
 * A member
 */

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
	struct t_case_result *r = &ship.results[i];
	Suite *s = suite_create("crew");
	SRunner *sr;
	bool well;

	tcase_add_loop_test(t_case(s, "case"), the_case, (int)i, (int)i + 1);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_SILENT);
	well = srunner_ntests_failed(sr) == 0;
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
	return i < order.n ? i : NO_CASE;
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
serve(struct member *self)
{
	bool well = true;
	size_t i;

	clean_environment();
	be_quiet();
	if (order.prepare != NULL)
		order.prepare();
	while (well && (i = take_case()) != NO_CASE) {
		__atomic_store_n(&self->since_ms, t_now_ms(),
		    __ATOMIC_RELAXED);
		__atomic_store_n(&self->at, i, __ATOMIC_RELEASE);
		well = run_case(i);
		ship.results[i].elapsed_ms = t_now_ms() - self->since_ms;
		ship.results[i].run = true;
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

/* A group of its own: what a member has started goes with it. */
static void
hire(struct member *m)
{
	pid_t parent = getpid(), pid;

	m->at = m->last = NO_CASE;
	m->since_ms = t_now_ms();
	m->killed = 0;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			serve(m);
		_exit(1);
	}
	if (pid == -1)
		perror("fork");
	else
		setpgid(pid, pid);
	m->pid = pid == -1 ? 0 : pid;
}

static void
tell_death(const struct member *m, int status)
{
	struct t_case_result *r = &ship.results[m->at];

	r->run = true;
	r->status = status;
	r->elapsed_ms = t_now_ms() - m->since_ms;
	if (m->killed)
		snprintf(r->wrong, sizeof(r->wrong),
		    "not done after %jd ms: killed",
		    (intmax_t)order.limit_ms);
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
	return __atomic_load_n(next_case, __ATOMIC_RELAXED) < order.n &&
	    !too_late();
}

/* Its group goes while it is not yet reaped: nobody else has its number. */
static bool
dead(const struct member *m)
{
	siginfo_t si = { .si_pid = 0 };

	if (waitid(P_PID, (id_t)m->pid, &si, WEXITED | WNOHANG | WNOWAIT) ==
	    -1 || si.si_pid == 0)
		return false;
	kill(-m->pid, SIGKILL);
	return true;
}

/* True: it is gone, before it had a case, and not because all was done. */
static bool
bury(struct member *m)
{
	bool stillborn;
	int status = 0;

	(void)waitpid(m->pid, &status, 0);
	/* What watches memory or threads speaks up in the end. */
	if (m->at == NO_CASE && status != 0)
		m->at = m->last;
	stillborn = m->at == NO_CASE && status != 0;
	if (m->at != NO_CASE)
		tell_death(m, status);
	m->pid = 0;
	return stillborn;
}

static void
kill_late(struct member *m)
{
	int64_t since = __atomic_load_n(&m->since_ms, __ATOMIC_RELAXED);

	if (t_now_ms() - since <= order.limit_ms)
		return;
	m->killed = 1;
	kill(-m->pid, SIGKILL);
}

/* Looks after all of them; how many there still are. */
static size_t
look_after(unsigned *stillborn)
{
	size_t i, alive = 0;
	struct member *m;

	for (i = 0; i < order.members; i++) {
		m = &ship.members[i];
		if (m->pid != 0 && dead(m)) {
			if (bury(m))
				(*stillborn)++;
			if (more() && *stillborn < STILLBORN_MAX)
				hire(m);
		} else if (m->pid != 0)
			kill_late(m);
		alive += m->pid != 0;
	}
	return alive;
}

static size_t
count_run(void)
{
	size_t i, count = 0;

	for (i = 0; i < order.n; i++)
		count += ship.results[i].run;
	return count;
}

static void
sail(void)
{
	unsigned stillborn = 0;
	size_t i;

	for (i = 0; i < order.members && more(); i++)
		hire(&ship.members[i]);
	while (look_after(&stillborn) > 0)
		t_pause(LOOK_MS);
}

size_t
t_workers(size_t members, size_t n, int64_t limit_ms, int64_t until_ms,
    void (*prepare)(void), void (*work)(size_t, void *, void *),
    void *arg, void *shared, size_t size, struct t_case_result *results)
{
	size_t run;

	order.members = members < n ? members : n;
	order.n = n;
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
	ship.members = t_shared(order.members * sizeof(*ship.members));
	ship.results = t_shared(n * sizeof(*ship.results));
	sail();
	memcpy(results, ship.results, n * sizeof(*results));
	run = count_run();
	munmap(next_case, sizeof(*next_case));
	munmap(ship.members, order.members * sizeof(*ship.members));
	munmap(ship.results, n * sizeof(*ship.results));
	return run;
}
