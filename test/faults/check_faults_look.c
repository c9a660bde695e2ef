/*
 * check_faults_look.c - the looks, with each call to the kernel failing in turn
 *
 * peer_closed() and its like take nothing away, whatever fails, and return the
 * same where they can know it.
 */
#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include <graceclose.h>

#include "faults/failures.h"
#include "faults/fault.h"
#include "support/util.h"

static int64_t
look_probe_many(int fd)
{
	unsigned char bits;

	return graceclose_probe_many(&fd, 1, &bits) == -1 ? -1 : bits;
}

static int64_t
look_probe(int fd)
{
	return graceclose_probe(fd);
}

static int64_t
look_peer_closed(int fd)
{
	return peer_closed(fd);
}

static const struct look {
	const char	*name;
	int64_t		(*look)(int);
} looks[] = {
	{ "peer_closed",	look_peer_closed },
	{ "graceclose_probe",	look_probe },
	{ "graceclose_probe_many", look_probe_many },
	{ "graceclose_unacked",	graceclose_unacked }
};
#define LOOKS	(sizeof(looks) / sizeof(looks[0]))

static int64_t
look(const struct look *l, int fd, const struct fault *f, size_t n)
{
	int64_t said;

	fault_plan(fd, f, n);
	fault_enter();
	said = l->look(fd);
	fault_leave();
	return said;
}

/*
 * A reset whose error is taken differs from an end in order by
 * TCP_ZEROCOPY_RECEIVE alone, or by TCP_INFO where that does not show it.
 */
static bool
blurred(const struct t_state *st, const struct failure *x)
{
	return st->closed == -1 && (x->call == FAULT_TCP_ZEROCOPY ||
	    (x->call == FAULT_TCP_INFO && t_no_fin_look() != NULL));
}

/*
 * Plain POSIX knows by getpeername(2) alone that a connection is gone: where
 * that has no memory, its look goes on to MSG_PEEK, and takes the error.
 */
static bool
misled(const struct t_state *st, const struct failure *x)
{
	return T_PORTABLE && x->call == FAULT_GETPEERNAME && st->closed == -1;
}

static void
look_with(const struct look *l, const struct t_state *st, int fd,
    const struct failure *x, const struct fault *f)
{
	int64_t truth = look(l, fd, NULL, 0), said;
	int unread = st->closed == -1 ? 0 : t_inq(fd);

	said = look(l, fd, f, 1);
	ck_assert_uint_eq(fault_calls(FAULT_CLOSE) + fault_stray(), 0);
	if (st->closed != -1)
		ck_assert_int_eq(t_inq(fd), unread);
	if (x->once == STANDS && !blurred(st, x))
		ck_assert_msg(said == truth, "%s, %s: %s %u: %s: %d, not %d",
		    l->name, st->name, fault_name(f->call), f->from,
		    failures_how(f->how), (int)said, (int)truth);
	ck_assert_msg(look(l, fd, NULL, 0) == truth,
	    "%s, %s: %s %u: %s has taken something away", l->name, st->name,
	    fault_name(f->call), f->from, failures_how(f->how));
}

/* Index: the look, and what the connection has been through. */
START_TEST(whatever_fails_a_look_changes_nothing)
{
	const struct look *l = &looks[(size_t)_i % LOOKS];
	const struct t_state *st = &t_states[(size_t)_i / LOOKS];
	unsigned made[FAULT_CALLS] = { 0 }, n;
	struct t_pair p;
	struct fault f;
	size_t i;

	t_need_state(st);
	t_state_pair(&p, st, T_IPV4);
	(void)look(l, p.us, NULL, 0);
	for (i = 0; i < FAULT_CALLS; i++)
		made[i] = fault_calls((enum fault_call)i);
	for (i = 0; i < nfailures; i++)
		for (n = 1; n <= made[failures[i].call] &&
		    !misled(st, &failures[i]); n++) {
			f = (struct fault){ failures[i].call, failures[i].how,
			    n, n };
			look_with(l, st, p.us, &failures[i], &f);
		}
	fault_plan(-1, NULL, 0);
	t_close_pair(&p);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("faults, looks");
	TCase *tc = t_case(s, "looks");

	tcase_add_loop_test(tc, whatever_fails_a_look_changes_nothing, 0,
	    (int)LOOKS * t_nstates);
	return t_main(s);
}
