/*
 * Verbs in a sandbox that allows only the system calls of graceclose(7)
 *
 * `check_sandbox table' prints these calls.
 */
#include <sys/wait.h>

#include <stdio.h>
#include <stdlib.h>

#include <graceclose.h>

#include "api/sandbox.h"
#include "api/sandbox_close.h"
#include "network/workers.h"
#include "support/util.h"

#define T_NO_LIST	"the list is that of the library for Linux"
#define T_SAME_LIST	"the list is the same without a sanitizer"
#define T_OWN_CALLS	"a sanitizer's threads make system calls of their own"

#define ENDS	"exit_group "	/* what ends a child */

/*
 * Calls of the lists that nothing here brings about.  recvmsg and sendmsg are
 * for kTLS, clock_nanosleep is for a process that may have no descriptor at all.
 * connect is for a limit that resets, fcntl for what is no open descriptor.
 * libc may ask a vDSO for the time.
 */
static const char rare[] = "recvmsg sendmsg clock_nanosleep connect fcntl "
    "clock_gettime";

static void
list_of(const struct sandbox_form *f, char *list, size_t size)
{
	(void)snprintf(list, size, ENDS "%s %s %s", f->calls, f->ours,
	    f->threads ? sandbox_libc : "");
}

/* What must have come out where nothing is refused. */
static void
is_as_ever(struct sandbox_case *c)
{
	int error = c->said->result == 0 ? 0 : c->said->error;
	int want = sandbox_expected(c);
	const char *wrong = sandbox_seen(c);

	if (want != SANDBOX_EITHER)
		ck_assert_msg(error == want, "%s, peer %s: %s, not %s",
		    c->form->name, c->peer->name, t_errno(error),
		    t_errno(want));
	ck_assert_msg(wrong == NULL, "%s, peer %s: %s", c->form->name,
	    c->peer->name, wrong);
	ck_assert_int_eq(c->said->told, c->form->reports ? 1 : 0);
}

/* graceful_close waits for five seconds there, and graceclose does the same. */
static bool
takes_long(const struct sandbox_form *f, int peer)
{
	return peer >= SANDBOX_SILENT && f->limit_ms == SANDBOX_IDLE;
}

static void
lives(const struct sandbox_form *f, int family, int peer)
{
	struct sandbox_case c = { .form = f, .peer = &sandbox_peers[peer] };
	char list[1024];
	struct sandbox sb = { SANDBOX_KILL, list, 0, 0 };

	list_of(f, list, sizeof(list));
	sandbox_play(&c, &sb, family);
	ck_assert_msg(c.in_time, "%s, peer %s: it hangs", f->name,
	    c.peer->name);
	ck_assert_msg(WIFEXITED(c.s.status), "%s, peer %s: signal %d ended it",
	    f->name, c.peer->name, WTERMSIG(c.s.status));
	is_as_ever(&c);
	sandbox_over(&c);
}

/* Index: the form, and the family. */
START_TEST(close_works_where_only_its_own_calls_are_allowed)
{
	const struct sandbox_form *f =
	    &sandbox_forms[_i / SANDBOX_FAMILIES];
	int i, family = sandbox_families[_i % SANDBOX_FAMILIES];

	t_not_portable(T_NO_LIST);
	t_need(family);
	t_need_right(sandbox_missing(SANDBOX_KILL));
	if (T_SANITIZED && f->threads)
		t_skip(T_OWN_CALLS);
	for (i = 0; i < SANDBOX_PEERS; i++)
		if (!takes_long(f, i))
			lives(f, family, i);
}
END_TEST

/* Notes in `seen' which of the calls of `list' were made. */
static void
note(const struct sandbox_case *c, const char *list, bool *seen)
{
	char name[32];
	size_t i;

	for (i = 0; sandbox_next(&list, name, sizeof(name)) != NULL; i++)
		seen[i] |= sandbox_made(&c->s, name);
}

static bool
is_in(const char *list, const char *call)
{
	char name[32];

	while (sandbox_next(&list, name, sizeof(name)) != NULL)
		if (strcmp(name, call) == 0)
			return true;
	return false;
}

/* The list holds no call that nothing makes: a sandbox need not allow it. */
static void
all_made(const char *who, const char *calls, const char *unseen,
    const bool *seen)
{
	char name[32];
	size_t i;

	for (i = 0; sandbox_next(&calls, name, sizeof(name)) != NULL; i++)
		ck_assert_msg(seen[i] || is_in(rare, name) ||
		    is_in(unseen, name), "%s never calls %s", who, name);
}

/*
 * The wait behind the peer's FIN for the last acknowledgement: no peer here
 * ends before it has everything.
 */
static const char *
unseen_of(const struct sandbox_form *f)
{
	return f->until == GRACECLOSE_FINISHED && !f->threads ?
	    "epoll_create1 epoll_ctl epoll_wait" : "";
}

static void
watch_close(const struct sandbox_form *f, int family, int peer, bool *seen)
{
	struct sandbox_case c = { .form = f, .peer = &sandbox_peers[peer] };
	struct sandbox sb = { SANDBOX_WATCH, NULL, 0, 0 };
	const char *other;
	char list[1024];

	list_of(f, list, sizeof(list));
	sandbox_play(&c, &sb, family);
	other = sandbox_made_other(&c.s, list);
	ck_assert_msg(other == NULL, "%s, %s, peer %s: calls %s, too",
	    f->name, t_families[family].name, c.peer->name, other);
	is_as_ever(&c);
	note(&c, f->calls, seen);
	sandbox_over(&c);
}

START_TEST(close_makes_the_calls_of_its_list_and_no_other)
{
	const struct sandbox_form *f = &sandbox_forms[_i];
	bool seen[64] = { false };
	int i, family;

	t_not_portable(T_NO_LIST);
	t_need(T_MPTCP);
	t_need_right(sandbox_missing(SANDBOX_WATCH));
	if (T_SLOW)
		t_skip(T_SAME_LIST);
	for (family = 0; family < SANDBOX_FAMILIES; family++)
		for (i = 0; i < SANDBOX_PEERS; i++)
			if (!takes_long(f, i))
				watch_close(f, sandbox_families[family], i,
				    seen);
	all_made(f->name, f->calls, unseen_of(f), seen);
}
END_TEST

/*
 * Looks
 */

/* The look, outside of the sandbox: it takes nothing away. */
static void
look_here(struct sandbox_case *c, struct sandbox_said *said)
{
	memset(said, 0, sizeof(*said));
	said->fd = c->p.us;
	c->look->act(said);
}

static void
look_there(struct sandbox_case *c, const struct sandbox *sb,
    const struct t_state *st, int family)
{
	struct sandbox_said said;

	t_state_pair(&c->p, st, 2 * family);	/* of T_ANY */
	c->said = t_shared(sizeof(*c->said));
	look_here(c, &said);
	c->said->fd = c->p.us;
	sandbox_start(&c->s, sb, c->look->act, c->said);
	c->in_time = sandbox_end(&c->s, T_LIMIT_MS);
	ck_assert_msg(c->in_time && WIFEXITED(c->s.status),
	    "%s, %s: ended by status %d", c->look->name, st->name,
	    c->s.status);
	ck_assert_msg(c->said->result == said.result &&
	    c->said->error == said.error, "%s, %s: %d (%s), not %d (%s)",
	    c->look->name, st->name, c->said->result,
	    t_errno(c->said->error), said.result, t_errno(said.error));
	t_close_pair(&c->p);
}

static void
look_at_all(const struct sandbox_look *l, int mode, bool *seen)
{
	struct sandbox_case c = { .look = l };
	char list[1024];
	struct sandbox sb = { mode, list, 0, 0 };
	const char *other;
	int i, k, family;

	(void)snprintf(list, sizeof(list), ENDS "%s", l->calls);
	for (k = 0; k < SANDBOX_FAMILIES; k++) {
		family = sandbox_families[k];
		for (i = 0; i < t_nstates; i++) {
			if (family >= t_states[i].families ||
			    t_state_missing(&t_states[i]) != NULL)
				continue;
			sb.calls = mode == SANDBOX_WATCH ? NULL : list;
			look_there(&c, &sb, &t_states[i], family);
			if (mode != SANDBOX_WATCH)
				continue;
			other = sandbox_made_other(&c.s, list);
			ck_assert_msg(other == NULL, "%s, %s, %s: calls %s",
			    l->name, t_families[family].name,
			    t_states[i].name, other);
			note(&c, l->calls, seen);
		}
	}
}

START_TEST(look_works_where_only_its_own_calls_are_allowed)
{
	t_not_portable(T_NO_LIST);
	t_need(T_MPTCP);
	t_need_right(sandbox_missing(SANDBOX_KILL));
	look_at_all(&sandbox_looks[_i], SANDBOX_KILL, NULL);
}
END_TEST

START_TEST(look_makes_the_calls_of_its_list_and_no_other)
{
	bool seen[64] = { false };

	t_not_portable(T_NO_LIST);
	t_need(T_MPTCP);
	t_need_right(sandbox_missing(SANDBOX_WATCH));
	if (T_SLOW)
		t_skip(T_SAME_LIST);
	look_at_all(&sandbox_looks[_i], SANDBOX_WATCH, seen);
	all_made(sandbox_looks[_i].name, sandbox_looks[_i].calls, "", seen);
}
END_TEST

/*
 * A refused shutdown(2): that is the answer, and the descriptor is closed as
 * close(2) closes it, only that unread input does not make a reset of it.
 */

static const int refusals[] = { EACCES, EPERM };
#define REFUSALS	2
#define HALF_CLOSING	SANDBOX_ABORT	/* forms: all before abort_close */

static void
unread(struct t_pair *p)
{
	t_write(p->us, SANDBOX_SENT);
	t_write(p->peer, SANDBOX_LATE);
	t_wait_readable(p->us);
}

static void
nothing_unread(struct t_pair *p)
{
	t_write(p->us, SANDBOX_SENT);
}

static void
idle(struct t_pair *p)
{
	(void)p;
}

static const struct sandbox_peer quiet_peers[] = {
	{ "that has sent nothing", nothing_unread, idle, 0, { 0, 0 } },
	{ "that has sent", unread, idle, 0, { 0, 0 } }
};
#define QUIET_PEERS	2

static void
refuse_shutdown(const struct sandbox_form *f, int family, int error,
    const struct sandbox_peer *peer)
{
	struct sandbox_case c = { .form = f, .peer = peer };
	struct sandbox sb = { SANDBOX_REFUSE, "shutdown", error, 0 };

	sandbox_play(&c, &sb, family);
	ck_assert(c.in_time && WIFEXITED(c.s.status));
	ck_assert_msg(c.said->result == -1 && c.said->error == error,
	    "%s, %s, peer %s: %d, %s, not %s", f->name,
	    t_families[family].name, peer->name, c.said->result,
	    t_errno(c.said->error), t_errno(error));
	if (f->reports)
		t_report_is(&c.said->report, GRACECLOSE_INVALID, error, 0, 0);
	t_saw(t_read_all(c.p.peer), SANDBOX_SENT, 0);
	sandbox_over(&c);
}

/* Index: form, family, errno. */
START_TEST(refused_shutdown_is_the_answer_and_the_peer_gets_all)
{
	const struct sandbox_form *f =
	    &sandbox_forms[_i / REFUSALS / SANDBOX_FAMILIES];
	int i, family =
	    sandbox_families[_i / REFUSALS % SANDBOX_FAMILIES];

	t_need(family);
	t_need_right(sandbox_missing(SANDBOX_REFUSE));
	for (i = 0; i < QUIET_PEERS; i++)
		refuse_shutdown(f, family, refusals[_i % REFUSALS],
		    &quiet_peers[i]);
}
END_TEST

static void
print_table(void)
{
	size_t i;

	for (i = 0; i < SANDBOX_FORMS; i++)
		printf("%s: %s\n", sandbox_forms[i].name,
		    sandbox_forms[i].calls);
	for (i = 0; i < SANDBOX_LOOKS; i++)
		printf("%s: %s\n", sandbox_looks[i].name,
		    sandbox_looks[i].calls);
	printf("libc: %s\n", sandbox_libc);
}

int
main(int argc, char *argv[])
{
	Suite *s = suite_create("sandbox");
	TCase *tc;

	if (argc == 2 && strcmp(argv[1], "table") == 0) {
		print_table();
		return 0;
	}
	tc = t_case(s, "allowed");
	tcase_add_loop_test(tc,
	    close_works_where_only_its_own_calls_are_allowed, 0,
	    SANDBOX_FORMS * SANDBOX_FAMILIES);
	tcase_add_loop_test(tc,
	    close_makes_the_calls_of_its_list_and_no_other, 0, SANDBOX_FORMS);
	tcase_add_loop_test(tc,
	    look_works_where_only_its_own_calls_are_allowed, 0,
	    SANDBOX_LOOKS);
	tcase_add_loop_test(tc,
	    look_makes_the_calls_of_its_list_and_no_other, 0, SANDBOX_LOOKS);

	tc = t_case(s, "refused shutdown");
	tcase_add_loop_test(tc,
	    refused_shutdown_is_the_answer_and_the_peer_gets_all, 0,
	    HALF_CLOSING * SANDBOX_FAMILIES * REFUSALS);
	return t_main(s);
}
