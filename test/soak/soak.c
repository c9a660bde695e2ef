/*
 * soak.c - thousands of random closes over a network with random impairments
 *
 * Each close draws, from a seed and its number, the impairments of the link
 * (loss, duplicates, reordering, delay), what the peer does (a script of moves,
 * or a program on a kernel), what was written and read before, the options, the
 * form, and whether signals arrive.  Then one rule must hold:
 *
 *	The close returned 0 if and only if every byte and our FIN were
 *	acknowledged before a limit ran out, and, where the caller asked for
 *	it, the peer's FIN had arrived.  Each other return has its cause: a
 *	reset that reached us, a limit that ran out, input beyond the cap, or
 *	the caller, who ended it.  The report, errno and the value agree.  The
 *	report counts the bytes that were not acknowledged and those that were
 *	discarded.  No limit ran out early, and nothing took longer than the
 *	limits allow.  The descriptor is released, and no other one is left.
 *	An RST was sent where the options say so, and nowhere else.
 *
 * The oracle (oracle.h) derives the truth from the segments, and asks no
 * kernel.  What may differ by the time between the last look and the return has
 * a margin; a return of 0 has none.  judge.c is the rule in C.
 *
 * Usage: soak [-s seconds] [-n closes] [-S seed] [-c case] [-j workers] [-v]
 */
#include <sys/types.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <bsd/stdlib.h>

#include <graceclose.h>

#include "network/closing.h"
#include "network/workers.h"
#include "soak/judge.h"
#include "soak/plan.h"
#include "soak/run_close.h"
#include "support/util.h"
#include "network/link.h"
#include "network/stall.h"

#define EX_BROKEN	1
#define EX_BAD_USAGE	2
#define EX_SKIPPED	77

#define SECONDS		10
#define SECONDS_MAX	1000000
#define WORKERS		24
#define WORKERS_MAX	256
#define BATCH		10000		/* cases of one call of t_workers() */
#define CASE_MS		(T_SANITIZED ? 120000 : 60000)
#define FAILURES_MAX	10
#define ALL_OUTCOMES	1000		/* closes that have to show them all */

#define LATES		32		/* powers of 2, in microseconds */
#define SOON_US		(T_SLOW ? 1000000 : 50000)

enum { PEER_SCRIPT, PEER_IPV4, PEER_IPV6, PEERS };

/* What one close leaves for the summary. */
struct mark {
	bool		judged;
	bool		timely;		/* late_us is known */
	int64_t		late_us;
	unsigned char	outcome;
	unsigned char	form;
	unsigned char	peer;
};

struct summary {
	size_t		run, failed;
	size_t		slowest;	/* case */
	int64_t		slowest_ms;
	size_t		outcome[GRACECLOSE_INVALID + 1];
	size_t		form[FORMS];
	size_t		peer[PEERS];
	size_t		late[LATES];	/* by how much: less than 2^i us */
};

/* What the workers and their parent share. */
struct common {
	uint64_t	seed;
	size_t		first;		/* case of this batch */
	bool		verbose;
	int		failures;
};

static struct common *common;

/*
 * In a worker
 */

static void
mark_it(struct mark *m, const struct plan *p, const struct closing *c,
    const struct judgement *j)
{
	int outcome = judge_outcome(c);

	m->outcome = (unsigned char)(outcome != -1 ? outcome :
	    GRACECLOSE_INVALID);
	m->form = (unsigned char)p->way.form;
	m->peer = p->scripted ? PEER_SCRIPT :
	    p->family == T_IPV4 ? PEER_IPV4 : PEER_IPV6;
	m->timely = j->timely;
	m->late_us = j->late_us;
	m->judged = true;
}

static void
work(size_t i, void *arg, void *shared)
{
	struct closing closing;
	struct judgement j;
	struct plan plan;
	bool right;
	int fds;

	(void)arg;
	if (__atomic_load_n(&common->failures, __ATOMIC_RELAXED) >=
	    FAILURES_MAX)
		return;
	plan_draw(&plan, common->seed, common->first + i);
	fds = t_fd_count();
	right = run_close(&plan, &closing, &j, common->verbose);
	if (!right && t_worker_final())
		__atomic_add_fetch(&common->failures, 1, __ATOMIC_RELAXED);
	ck_assert_int_eq(t_fd_count(), fds);
	mark_it(shared, &plan, &closing, &j);
	ck_assert_msg(right, "%s", j.wrong);
}

/*
 * All of them
 */

static const char *const outcomes[] = { "ok", "reset", "expired", "flooded",
    "aborted", "other" };
static const char *const peers[PEERS] = { "scripted", "IPv4", "IPv6" };

struct wanted {
	int64_t		seconds;	/* 0: until all are run */
	size_t		closes;
	size_t		workers;
	bool		single;
};

static size_t
magnitude(int64_t us)
{
	size_t i = 0;

	while (i + 1 < LATES && us >= (int64_t)1 << i)
		i++;
	return i;
}

/* Half of them were late by less than that. */
static int64_t
median_us(const struct summary *s)
{
	size_t i, all = 0, below = 0;

	for (i = 0; i < LATES; i++)
		all += s->late[i];
	for (i = 0; i < LATES; i++)
		if ((below += s->late[i]) * 2 >= all)
			break;
	return (int64_t)1 << i;
}

static void
count(struct summary *s, const struct t_case_result *r, const struct mark *m,
    size_t number)
{
	if (r->elapsed_ms > s->slowest_ms) {
		s->slowest_ms = r->elapsed_ms;
		s->slowest = number;
	}
	if (!m->judged)
		return;
	s->run++;
	s->outcome[m->outcome]++;
	s->form[m->form]++;
	s->peer[m->peer]++;
	if (m->timely && r->stall_ms < STALL_MS)
		s->late[magnitude(m->late_us)]++;
}

/* A close that failed before it was judged has printed nothing. */
static void
complain(struct summary *s, const struct t_case_result *r,
    const struct mark *m, size_t number)
{
	struct plan p;

	if (s->failed++ >= FAILURES_MAX || m->judged)
		return;
	plan_draw(&p, common->seed, number);
	plan_print(stderr, &p);
	fprintf(stderr, "  WRONG: %s\nagain: soak -S %" PRIu64 " -c %zu\n\n",
	    r->wrong, p.seed, p.number);
}

static void
run_batch(struct summary *s, const struct wanted *w, size_t n, int64_t end_ms)
{
	struct mark *marks = t_shared(n * sizeof(*marks));
	struct t_case_result *results = t_shared(n * sizeof(*results));
	size_t i;

	(void)t_workers(w->workers, n, CASE_MS, end_ms, t_link_prepare, work,
	    NULL, marks, sizeof(*marks), results);
	for (i = 0; i < n; i++) {
		if (!results[i].run)
			continue;
		count(s, &results[i], &marks[i], common->first + i);
		if (results[i].wrong[0] != '\0')
			complain(s, &results[i], &marks[i],
			    common->first + i);
	}
	(void)munmap(marks, n * sizeof(*marks));
	(void)munmap(results, n * sizeof(*results));
}

static void
run_all(struct summary *s, const struct wanted *w)
{
	int64_t end_ms = w->seconds == 0 ? 0 :
	    t_now_ms() + w->seconds * 1000;
	size_t n, left = w->closes;

	while (left > 0 && s->failed < FAILURES_MAX &&
	    (end_ms == 0 || t_now_ms() < end_ms)) {
		n = left < BATCH ? left : BATCH;
		run_batch(s, w, n, end_ms);
		common->first += n;
		left -= n;
	}
}

static void
line(const char *title, const char *const *names, const size_t *counts,
    size_t n)
{
	const char *comma = "";
	size_t i;

	printf("%-9s", title);
	for (i = 0; i < n; i++) {
		if (counts[i] == 0)
			continue;
		printf("%s %s %zu", comma, names[i], counts[i]);
		comma = ",";
	}
	printf("\n");
}

static void
print_summary(const struct summary *s, int64_t ms)
{
	printf("closes    %zu, of seed %" PRIu64 ", in %.1f s, %.0f a second; "
	    "%zu broke the promise\n", s->run, common->seed,
	    (double)ms / 1000, (double)s->run * 1000 / (double)ms, s->failed);
	line("outcomes", outcomes, s->outcome, GRACECLOSE_INVALID + 1);
	line("forms", plan_forms, s->form, FORMS);
	line("peers", peers, s->peer, PEERS);
	printf("late      half of them by less than %.1f ms\n",
	    (double)median_us(s) / 1000);
	printf("slowest   case %zu, %.1f s\n", s->slowest,
	    (double)s->slowest_ms / 1000);
}

/* One may be late where the machine has other work, but not most of them. */
static bool
timely(const struct summary *s)
{
	if (s->run < ALL_OUTCOMES || median_us(s) < SOON_US)
		return true;
	warnx("half of the closes were late by more than %d ms",
	    SOON_US / 1000);
	return false;
}

/* A soak that never saw one of the outcomes has proved little. */
static bool
seen_all(const struct summary *s)
{
	bool all = s->run > 0;
	size_t i;

	if (!all)
		warnx("no close was run");
	for (i = GRACECLOSE_OK; i <= GRACECLOSE_FLOODED; i++) {
		if (s->run < ALL_OUTCOMES || s->outcome[i] > 0)
			continue;
		warnx("no close of %zu was %s", s->run, outcomes[i]);
		all = false;
	}
	return all;
}

static void __attribute__((noreturn))
usage(FILE *f, int status)
{
	fprintf(f, "usage: soak [-s seconds] [-n closes] [-S seed] [-c case] "
	    "[-j workers] [-v]\n\n"
	    "Closes connections over a network with random impairments, and "
	    "judges each close.\n\n"
	    "  -s  so long [%d, or as long as -n takes]\n"
	    "  -n  so many closes\n"
	    "  -S  the seed of them all [by the clock]\n"
	    "  -c  this close alone, and print it\n"
	    "  -j  so many at once [%d]\n"
	    "  -v  print each close\n\n"
	    "exit: 0 all kept the promise, %d not, %d usage, %d no network of "
	    "its own here\n", SECONDS, WORKERS, EX_BROKEN, EX_BAD_USAGE,
	    EX_SKIPPED);
	exit(status);
}

static long long
number(const char *arg, long long low, long long high)
{
	const char *error;
	long long n = strtonum(arg, low, high, &error);

	if (error != NULL) {
		warnx("%s is %s", arg, error);
		usage(stderr, EX_BAD_USAGE);
	}
	return n;
}

static void
take_option(struct wanted *w, int c)
{
	switch (c) {
	case 's':
		w->seconds = number(optarg, 1, SECONDS_MAX);
		break;
	case 'n':
		w->closes = (size_t)number(optarg, 1, LLONG_MAX);
		break;
	case 'S':
		common->seed = (uint64_t)number(optarg, 0, LLONG_MAX);
		break;
	case 'c':
		common->first = (size_t)number(optarg, 0, LLONG_MAX);
		common->verbose = w->single = true;
		break;
	case 'j':
		w->workers = (size_t)number(optarg, 1, WORKERS_MAX);
		break;
	case 'v':
		common->verbose = true;
		break;
	case 'h':
		usage(stdout, 0);
	default:
		usage(stderr, EX_BAD_USAGE);
	}
}

static void
take_options(struct wanted *w, int argc, char *argv[])
{
	static const struct option longopts[] = {
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "s:n:S:c:j:vh", longopts,
	    NULL)) != -1)
		take_option(w, c);
	if (optind != argc)
		usage(stderr, EX_BAD_USAGE);
	if (w->single)
		w->closes = 1;
	else if (w->closes == 0 && w->seconds == 0)
		w->seconds = SECONDS;
	if (w->closes == 0)
		w->closes = SIZE_MAX;
}

/* Asked in a process of its own: to ask moves it into that network. */
static bool
has_network(void)
{
	char *why = t_shared(200);
	pid_t pid = fork();

	if (pid == -1)
		err(EX_BROKEN, "fork");
	if (pid == 0) {
		t_link_prepare();
		if (t_link_missing() != NULL)
			(void)snprintf(why, 200, "%s", t_link_missing());
		_exit(0);
	}
	(void)waitpid(pid, NULL, 0);
	if (why[0] != '\0')
		printf("SKIP soak: %s\n", why);
	return why[0] == '\0';
}

int
main(int argc, char *argv[])
{
	struct wanted w = { .workers = WORKERS };
	struct summary s = { .run = 0 };
	int64_t start_ms = t_now_ms();

	common = t_shared(sizeof(*common));
	common->seed = (uint64_t)time(NULL);
	take_options(&w, argc, argv);
	if (!has_network())
		return EX_SKIPPED;
	run_all(&s, &w);
	print_summary(&s, t_now_ms() - start_ms);
	return s.failed == 0 && seen_all(&s) && timely(&s) ? 0 : EX_BROKEN;
}
