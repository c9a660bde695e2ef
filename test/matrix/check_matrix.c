/*
 * check_matrix.c - every form of close against every kind of peer
 *
 * What each must return follows from what the peer does (matrix_peer.c) and
 * what the pages promise (matrix_expect.c).  All cases run at once, in worker
 * processes (workers.h).  Then each case is a test of its own, which gives its
 * result.
 */
#include <sys/types.h>

#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network/workers.h"
#include "matrix/matrix_case.h"
#include "matrix/matrix_table.h"
#include "network/stall.h"

#define WORKERS		(T_VALGRIND ? 12 : 40)
#define CASES		4096
#define CASE_MS		90000
#define WHY		128
#define SOON_US		200000
#define FEW_US		1000000		/* and divided by how many they are */

static struct m_case cases[CASES];
static size_t ncases;
static struct m_result *results;
static struct t_case_result *verdicts;
static char *missing;			/* why there is no link, or "" */

static const struct m_peer *only_peer;
static const struct m_form *only_form;

/*
 * Which cases there are
 */

static void
add(const struct m_case *c, size_t variant)
{
	struct m_case *new = &cases[ncases];

	if ((only_peer != NULL && c->peer != only_peer) ||
	    (only_form != NULL && c->form != only_form))
		return;
	if (ncases++ == CASES)
		errx(1, "more than %d cases", CASES);
	*new = *c;
	/* Either side connects with each form, and with each peer. */
	variant += (size_t)(c->peer - m_peers) + (size_t)(c->form - m_forms);
	new->nonblocking = variant % 2 != 0;
	new->connecting = variant / 2 % 2 != 0;
}

/* 30 seconds of a flood take the others' CPU time: the drip is enough. */
static bool
fits(const struct m_case *c)
{
	if (c->form->form == F_GRACEFUL && (c->peer->ways & M_FLOODS) != 0)
		return false;
	if (!m_ends(c->form, c->peer))
		return false;
	if (c->fault == NULL)
		return true;
	/* A lost segment shows valgrind nothing new. */
	return !T_VALGRIND && c->form->faulted &&
	    (c->peer->ways & M_FAULTS) != 0 &&
	    (c->fault->kinds == T_RST) == m_aborts(c->form);
}

/* Blocking and not, though one of them where time is short. */
static void
add_case(struct m_case *c)
{
	bool families = (c->peer->ways & M_KERNEL) != 0;

	if (!fits(c))
		return;
	c->family = T_IPV4;
	add(c, 0);
	c->family = families ? T_IPV6 : T_IPV4;
	if (families || m_slow() == 1)
		add(c, 1);
}

static void
add_faults(struct m_case *c)
{
	size_t i;

	c->fault = NULL;
	add_case(c);
	for (i = 0; i < m_nfaults; i++) {
		c->fault = &m_faults[i];
		add_case(c);
	}
}

/* The form that takes longest comes first. */
static void
add_all(void)
{
	struct m_case c;
	size_t p, f;

	memset(&c, 0, sizeof(c));
	for (f = 0; f < m_nforms; f++)
		for (p = 0; p < m_npeers; p++) {
			c.form = &m_forms[f];
			c.peer = &m_peers[p];
			add_faults(&c);
		}
}

static const char *
name(const struct m_case *c)
{
	static char buf[160];

	snprintf(buf, sizeof(buf), "%s, by %s%s%s (%s, %s, %s)",
	    c->peer->script.name, c->form->name,
	    c->fault != NULL ? ", " : "",
	    c->fault != NULL ? c->fault->name : "",
	    t_families[c->family].name,
	    c->connecting ? "connecting" : "accepting",
	    c->nonblocking ? "O_NONBLOCK" : "blocking");
	return buf;
}

/*
 * What the workers do, and the tests
 */

/* The parent has no link, but reports why its workers have none either. */
static void
work(size_t i, void *arg, void *result)
{
	char *why = arg;

	if (t_link_missing() != NULL)
		snprintf(why, WHY, "%s", t_link_missing());
	else
		m_case_run(&cases[i], result);
}

START_TEST(each_close_keeps_its_promise_and_reports_the_truth)
{
	const struct t_case_result *v = &verdicts[_i];

	ck_assert_msg(v->run, "%s: was not run", name(&cases[_i]));
	ck_assert_msg(v->wrong[0] == '\0', "%s: %s", name(&cases[_i]),
	    v->wrong);
	ck_assert(results[_i].ran);
}
END_TEST

struct timing {
	int64_t	due_us, took_us;
};

static int
by_time(const void *va, const void *vb)
{
	const struct timing *a = va, *b = vb;

	if (a->due_us != b->due_us)
		return a->due_us < b->due_us ? -1 : 1;
	return (a->took_us > b->took_us) - (a->took_us < b->took_us);
}

/*
 * Of this form, where nothing was lost or duplicated, in workers that ran
 * whenever they could.
 */
static size_t
timings(struct timing *t, const struct m_form *form, size_t *stalled)
{
	size_t i, n = 0;

	*stalled = 0;
	for (i = 0; i < ncases; i++) {
		if (cases[i].form != form || cases[i].fault != NULL ||
		    !results[i].ran)
			continue;
		if (verdicts[i].stall_ms >= STALL_MS)
			(*stalled)++;
		else
			t[n++] = (struct timing){ results[i].due_us,
			    results[i].took_us };
	}
	qsort(t, n, sizeof(t[0]), by_time);
	return n;
}

/*
 * One close may be late where the machine has other work.  But half of the
 * closes of a form that wait for something at the same time end soon after it.
 * The fewer they are, the more chance decides.
 */
START_TEST(half_of_what_is_due_at_the_same_time_is_over_soon)
{
	static struct timing t[CASES];
	size_t stalled, n = timings(t, &m_forms[_i], &stalled), from, to;
	const struct timing *median;
	int64_t soon;

	if (n == 0 && stalled > 0)
		t_skip("every worker was kept from running");
	for (from = 0; from < n; from = to) {
		for (to = from; to < n && t[to].due_us == t[from].due_us;)
			to++;
		median = &t[from + (to - from - 1) / 2];
		soon = SOON_US + FEW_US / (int64_t)(to - from);
		ck_assert_msg(median->took_us - median->due_us <=
		    soon * m_slow(), "%s: of %zu that were due "
		    "after %jd ms half took more than %jd", m_forms[_i].name,
		    to - from, (intmax_t)median->due_us / 1000,
		    (intmax_t)median->took_us / 1000);
	}
}
END_TEST

START_TEST(every_form_against_every_peer)
{
	t_skip(missing);
}
END_TEST

static void
run_all(void)
{
	results = t_shared(ncases * sizeof(*results));
	verdicts = t_shared(ncases * sizeof(*verdicts));
	missing = t_shared(WHY);
	t_workers(WORKERS, ncases, (int64_t)CASE_MS * m_slow(), 0,
	    t_link_prepare, work, missing, results, sizeof(*results),
	    verdicts);
}

static int
check_all(void)
{
	Suite *s = suite_create("matrix");
	TCase *tc = t_case(s, "every form against every peer");

	if (missing[0] != '\0') {
		tcase_add_test(tc, every_form_against_every_peer);
	} else {
		tcase_add_loop_test(tc,
		    each_close_keeps_its_promise_and_reports_the_truth, 0,
		    (int)ncases);
		tcase_add_loop_test(tc,
		    half_of_what_is_due_at_the_same_time_is_over_soon, 0,
		    (int)m_nforms);
	}
	return t_main(s);
}

/*
 * What is asked for
 */

static void
usage(FILE *f)
{
	size_t i;

	fprintf(f, "usage: check_matrix [--table] [PEER [FORM]]\n"
	    "--table prints the result of each close; PEER and FORM are "
	    "numbers or names of these:\n\n");
	for (i = 0; i < m_npeers || i < m_nforms; i++) {
		fprintf(f, "%4zu %-32s", i,
		    i < m_npeers ? m_peers[i].script.name : "");
		if (i < m_nforms)
			fprintf(f, " %s", m_forms[i].name);
		fputc('\n', f);
	}
}

/* Whether `arg` is this number, or this name. */
static bool
means(const char *arg, size_t i, const char *name)
{
	char number[24];

	snprintf(number, sizeof(number), "%zu", i);
	return strcmp(arg, number) == 0 || strcmp(arg, name) == 0;
}

static void
choose_peer(const char *arg)
{
	size_t i;

	for (i = 0; i < m_npeers && only_peer == NULL; i++)
		if (means(arg, i, m_peers[i].script.name))
			only_peer = &m_peers[i];
	if (only_peer == NULL)
		errx(2, "no such peer: %s", arg);
}

static void
choose_form(const char *arg)
{
	size_t i;

	for (i = 0; i < m_nforms && only_form == NULL; i++)
		if (means(arg, i, m_forms[i].name))
			only_form = &m_forms[i];
	if (only_form == NULL)
		errx(2, "no such form: %s", arg);
}

/* 0 where all closes kept their promise; the tests name the others. */
static int
table(void)
{
	size_t i, wrong = 0;

	if (missing[0] != '\0')
		errx(1, "%s", missing);
	m_table(cases, results, ncases);
	for (i = 0; i < ncases; i++)
		wrong += !verdicts[i].run || verdicts[i].wrong[0] != '\0';
	printf("\n%zu closes, %zu of them not as promised\n", ncases, wrong);
	return wrong == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	bool tabled = argc > 1 && strcmp(argv[1], "--table") == 0;

	argc -= tabled;
	argv += tabled;
	if (argc > 3 || (argc > 1 && argv[1][0] == '-')) {
		usage(argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout :
		    stderr);
		return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
	}
	if (argc > 1)
		choose_peer(argv[1]);
	if (argc > 2)
		choose_form(argv[2]);
	add_all();
	run_all();
	return tabled ? table() : check_all();
}
