/*
 * A sandbox that refuses one system call of a close, each in turn
 *
 * Whatever is refused: 0 is returned only where it is true, a reset is named
 * only where there was one, the close ends within its limit, it does not spin,
 * the descriptor is released, and the peer gets what close(2) alone would have
 * delivered.
 */
#include <sys/wait.h>

#include <stdio.h>

#include <graceclose.h>

#include "api/sandbox.h"
#include "api/sandbox_close.h"
#include "network/workers.h"
#include "support/util.h"

#define WORKERS		12
#define CASE_MS		60000
#define CASES_MAX	4096
/* A reaper's thread costs some ms; a spin costs all of the time. */
#define CPU_MS(elapsed)	((T_SLOW ? 100 : 20) + (elapsed) / 4)
#define LATE_MS		(T_SLOW ? 8000 : 3000)	/* for a busy machine */

/* No limit can hold without a clock, and the loop needs its own poll(2). */
static bool
refusable(const struct sandbox_form *f, const char *call)
{
	/* Without epoll only the pipe wakes a reaper's thread. */
#ifdef GRACECLOSE_PORTABLE
	if (strcmp(call, "write") == 0)
		return false;
#endif
	return strcmp(call, "clock_gettime") != 0 &&
	    strcmp(call, f->ours) != 0;
}

static const int refusals[] = { EPERM, EACCES, ENOSYS };
#define REFUSALS	3

static struct refused {
	int	form, family, peer, error;
	char	call[24];
} cases[CASES_MAX];
static size_t ncases;
static struct t_case_result results[CASES_MAX];

/* The errno matters little: all of them with one form and one peer. */
static bool
wanted(const struct sandbox_form *f, int peer, int refusal)
{
	if (f->limit_ms == SANDBOX_IDLE)
		return refusal == 0 && peer < (T_SLOW ? 1 : 2);
	if (refusal != 0)
		return f == &sandbox_forms[SANDBOX_GRACECLOSE] && peer == 2;
	return !T_SLOW || peer == 2 || peer == SANDBOX_SILENT;
}

/* TSan allows no threads in a child of a process with several threads. */
static bool
forbidden(int form)
{
	return T_TSAN && sandbox_forms[form].threads;
}

static void
add(int form, int family, int peer)
{
	const struct sandbox_form *f = &sandbox_forms[form];
	const char *calls = f->calls;
	char name[24];
	int i;

	while (sandbox_next(&calls, name, sizeof(name)) != NULL)
		for (i = 0; i < REFUSALS; i++)
			if (wanted(f, peer, i) && ncases < CASES_MAX &&
			    refusable(f, name)) {
				cases[ncases] = (struct refused){ form,
				    family, peer, refusals[i], "" };
				memcpy(cases[ncases].call, name,
				    sizeof(name));
				ncases++;
			}
}

/*
 * What is wrong
 */

static bool
was_reset(const struct sandbox_case *c)
{
	return sandbox_expected(c) == ECONNRESET ||
	    sandbox_expected(c) == SANDBOX_EITHER;
}

static const char *
wrong_report(const struct sandbox_case *c)
{
	const struct graceclose_report *r = &c->said->report;

	if (c->said->told == 0)
		return NULL;
	if (r->error != (c->said->result == 0 ? 0 : c->said->error))
		return "the report has another error";
	if (r->outcome != t_outcome(r->error))
		return "the outcome does not go with the error";
	if (r->delivered && r->unacked != 0)
		return "delivered, with bytes unacknowledged";
	if (c->s.elapsed_us < (int64_t)SANDBOX_LIMIT * 1000 &&
	    r->outcome == GRACECLOSE_EXPIRED)
		return "expired before its time";
	return NULL;
}

static const char *
wrong(struct sandbox_case *c, const struct refused *x)
{
	int64_t ms = c->s.elapsed_us / 1000;

	if (!c->in_time || ms > sandbox_limit(c) + LATE_MS)
		return "too late";
	if (!WIFEXITED(c->s.status) || WEXITSTATUS(c->s.status) != 0)
		return "a signal ended it";
	if (c->s.cpu_ms > CPU_MS(ms))
		return "it spins";
	if (c->said->result == 0 && c->said->error != T_ERRNO_UNTOUCHED)
		return "success, yet errno changed";
	if (c->said->result == 0 && strcmp(x->call, "close") == 0)
		return "0, and the descriptor is open";
	if (c->said->result == -1 && c->said->error == ECONNRESET &&
	    !was_reset(c))
		return "a false reset";
	if (wrong_report(c) != NULL)
		return wrong_report(c);
	return sandbox_seen(c);
}

/* Its own reaper may be refused: then the descriptor was not taken. */
static void
refuse(size_t i, void *arg, void *shared)
{
	const struct refused *x = &cases[i];
	struct sandbox sb = { SANDBOX_REFUSE, x->call, x->error, 0 };
	struct sandbox_case c = { .form = &sandbox_forms[x->form],
	    .peer = &sandbox_peers[x->peer] };
	const char *why;

	(void)arg;
	(void)shared;
	sandbox_play(&c, &sb, x->family);
	why = wrong(&c, x);
	if (why != NULL && c.in_time)
		t_worker_certain();
	ck_assert_msg(why == NULL, "%s, %s, peer %s: %s %s: %s (%d, %s; "
	    "%d ms, %d ms of CPU)", c.form->name,
	    t_families[x->family].name, c.peer->name, x->call,
	    t_errno(x->error), why, c.said->result, t_errno(c.said->error),
	    (int)(c.s.elapsed_us / 1000), (int)c.s.cpu_ms);
	sandbox_over(&c);
}

/* Index: the form, and the family. */
START_TEST(whatever_a_sandbox_refuses_the_close_keeps_its_promise)
{
	int form = _i / SANDBOX_FAMILIES;
	int family = sandbox_families[_i % SANDBOX_FAMILIES];
	char said[4000] = "";
	size_t i, len = 0, bad = 0, all = 0;

	t_need(family);
	t_need_right(sandbox_missing(SANDBOX_REFUSE));
	if (forbidden(form))
		t_skip("TSan allows no thread there");
	for (i = 0; i < ncases; i++) {
		if (cases[i].form != form || cases[i].family != family)
			continue;
		all++;
		if (results[i].run && results[i].wrong[0] == '\0' &&
		    results[i].status == 0)
			continue;
		bad++;
		if (len + 400 < sizeof(said))
			len += (size_t)snprintf(said + len, 400, "\n%s",
			    results[i].wrong[0] != '\0' ? results[i].wrong :
			    "it died");
	}
	ck_assert_uint_gt(all, 0);
	ck_assert_msg(bad == 0, "%zu of %zu cases:%s", bad, all, said);
}
END_TEST

/* Where a test is skipped its cases have failed, or were not needed. */
static void
run_all(void)
{
	int form, family, peer;

	if (T_VALGRIND)		/* see sandbox_missing() */
		return;
	for (form = 0; form < SANDBOX_FORMS; form++)
		for (family = 0; family < SANDBOX_FAMILIES &&
		    !forbidden(form); family++)
			for (peer = 0; peer < SANDBOX_PEERS; peer++)
				add(form, sandbox_families[family], peer);
	t_workers(WORKERS, ncases, CASE_MS, 0, NULL, refuse, NULL, NULL, 0,
	    results);
	printf("%zu cases, a call was refused in each\n", ncases);
	fflush(stdout);
}

int
main(void)
{
	Suite *s = suite_create("sandbox, refused");
	TCase *tc = t_case(s, "refused");

	run_all();
	tcase_add_loop_test(tc,
	    whatever_a_sandbox_refuses_the_close_keeps_its_promise, 0,
	    SANDBOX_FORMS * SANDBOX_FAMILIES);
	return t_main(s);
}
