/*
 * check_faults_kernel.c - single calls that fail as one kernel or one moment
 * has it, each with what must be true then
 */
#include <sys/types.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include <graceclose.h>

#include "faults/faulted.h"

/* Linux 6.4 to 6.6 do not disconnect a socket that a thread waits for. */
START_TEST(abort_wakes_the_reader_where_connect_says_ebusy)
{
	const struct fault busy = { FAULT_CONNECT, EBUSY, 1, FAULT_ALWAYS };
	struct t_blocked reader;
	struct t_pair p;
	struct run r;

	t_need(faulted_ways[_i].connects);
	faulted_pair(&p, &faulted_ways[_i]);
	t_blocked(&reader, p.us);
	fault_plan(p.us, &busy, 1);
	CALL(&r, abort_close(p.us));
	ck_assert_int_eq(r.result, 0);
	ck_assert_int_eq(r.error, T_ERRNO_UNTOUCHED);
	t_join(reader.thread);
	t_released(p.us);
	t_saw(t_read_all(p.peer), 0, _i == LOCAL ? 0 : ECONNRESET);
	t_close(p.peer);
}
END_TEST

/*
 * Linux 4.18 to 5.6 say EINVAL to our TCP_ZEROCOPY_RECEIVE before they look
 * at the socket (commit c8856c051454).
 */
START_TEST(abort_leaves_a_listener_alone_where_zerocopy_is_einval)
{
	const struct fault old = { FAULT_TCP_ZEROCOPY, EINVAL, 1,
	    FAULT_ALWAYS };
	int lfd = t_listen(T_IPV4), other = dup(lfd), us;
	struct run r;

	ck_assert_int_ne(other, -1);
	fault_plan(lfd, &old, 1);
	CALL(&r, abort_close(lfd));
	ck_assert_int_eq(r.result, 0);
	ck_assert_int_ne(us = t_connect(T_IPV4, other), -1);
	t_close(t_accept(other));
	t_close(us);
	t_close(other);
}
END_TEST

/* Acknowledged between the last step's look and the limit. */
START_TEST(acknowledgement_at_the_last_look_is_in_time)
{
	const struct fault blind = { FAULT_SIOCOUTQ, EINVAL, 1, FAULT_ALWAYS };
	const struct fault once = { FAULT_SIOCOUTQ, EINVAL, 1, 1 };
	const int limit = 500;		/* the first step is before it */
	struct graceclose_opts o = t_opts(GRACECLOSE_DELIVERED,
	    GRACECLOSE_RESET, limit, -1);
	struct graceclose gc;
	struct run r = { .told = 0 };

	t_not_portable(T_NO_ACK);
	faulted_pair(&r.p, &faulted_ways[PLAIN]);
	faulted_send(&r.p);
	fault_plan(r.p.us, &blind, 1);
	CALL(&r, graceclose_begin(&gc, r.p.us, &o));
	CALL(&r, graceclose_step(&gc));
	ck_assert_int_eq(r.result, 1);
	t_pause(limit + 1);
	t_wait_outq(r.p.us, 0);
	fault_plan(r.p.us, &once, 1);
	CALL(&r, graceclose_step(&gc));
	ck_assert_uint_eq(fault_met(), 1);
	ck_assert_int_eq(r.result, 0);
	CALL(&r, graceclose_end(&gc, &r.report));
	ck_assert_int_eq(r.result, 0);
	ck_assert_int_eq(r.error, T_ERRNO_UNTOUCHED);
	t_report_is(&r.report, GRACECLOSE_OK, 0, 1, 0);
	ck_assert_uint_eq(r.report.unacked, 0);
	ck_assert_uint_eq(faulted_arrived(r.p.peer), SENT);
	fault_plan(-1, NULL, 0);
	t_close(r.p.peer);
}
END_TEST

/*
 * SHUT_WR fails as on a connection that has ended, which may be reset while it
 * is swept: AF_UNIX reports that once, to the next read.
 */
START_TEST(reset_that_the_sweep_meets_is_econnreset)
{
	const struct fault f[] = {
		{ FAULT_SHUT_WR, ENOTCONN, 1, FAULT_ALWAYS },
		{ FAULT_RECV, ECONNRESET, 1, 1 }
	};
	struct run r = { .limit = LONG_MS };

	t_need(faulted_ways[_i].connects);
	faulted_pair(&r.p, &faulted_ways[_i]);
	faulted_closed(&r.p);
	fault_plan(r.p.us, f, sizeof(f) / sizeof(f[0]));
	faulted_finished(&r);
	ck_assert_uint_eq(fault_met(), 2);
	ck_assert_int_eq(r.result, -1);
	t_error_is(r.error, ECONNRESET);
	ck_assert_int_eq(r.report.outcome, GRACECLOSE_WAS_RESET);
	fault_plan(-1, NULL, 0);
	t_close(r.p.peer);
}
END_TEST

/*
 * The peer resets just before one call of a close, each call in turn.  The peer
 * has read nothing, and its FIN never comes: no call may end in success.  Where
 * SHUT_WR is refused too, the RST can come while bury() looks.
 */
static unsigned
reset_at(int way, enum fault_call call, unsigned nth, bool refused,
    unsigned *made)
{
	const struct fault f[] = {
		{ call, FAULT_ACT, nth, nth },
		{ FAULT_SHUT_WR, ENOBUFS, 1, FAULT_ALWAYS }
	};
	struct run r = { .limit = SHORT_MS };
	unsigned met;

	faulted_pair(&r.p, &faulted_ways[way]);
	faulted_send_unread(&r.p);
	fault_action(t_reset, r.p.peer);
	fault_plan(r.p.us, f, refused ? 2 : 1);
	faulted_finished(&r);
	met = fault_met() - (refused && call != FAULT_SHUT_WR ? 1 : 0);
	ck_assert_msg(r.result == -1, "%s, reset at %s %u%s: a false 0",
	    faulted_ways[way].name, fault_name(call), nth,
	    refused ? ", SHUT_WR refused" : "");
	ck_assert_int_eq(r.report.finished, 0);
	*made = fault_calls(call);
	fault_plan(-1, NULL, 0);
	if (met == 0)
		t_reset(r.p.peer);
	return met;
}

/* Index: how they are connected, and whether SHUT_WR is refused. */
START_TEST(reset_before_any_call_is_no_success)
{
	const bool refused = _i / WAYS != 0;
	unsigned n, made, met = 0;
	int call;

	t_need(faulted_ways[_i % WAYS].connects);
	for (call = FAULT_NONE + 1; call < FAULT_CALLS; call++)
		for (n = 1, made = 1; n <= made && n <= 2 * NTH_MAX; n++)
			met += reset_at(_i % WAYS, (enum fault_call)call, n,
			    refused, &made);
	ck_assert_uint_gt(met, 3);
}
END_TEST

/* Neither epoll nor poll will wait: then it is asked until it is over. */
START_TEST(nothing_that_waits_is_needed)
{
	static const int how[] = { EINTR, ENOMEM, EINVAL };
	const struct fault f[] = {
		{ FAULT_EPOLL_CREATE, EMFILE, 1, FAULT_ALWAYS },
		{ FAULT_POLL_WAIT, how[_i], 1, FAULT_ALWAYS }
	};
	struct run r = { .limit = PATIENCE_MS };
	struct t_later later;

	faulted_pair(&r.p, &faulted_ways[PLAIN]);
	faulted_send(&r.p);
	fault_plan(r.p.us, f, sizeof(f) / sizeof(f[0]));
	t_later(&later, 30, faulted_fin, r.p.peer);
	faulted_finished(&r);
	t_later_join(&later);
	ck_assert_int_eq(r.result, 0);
	ck_assert_int_eq(r.error, T_ERRNO_UNTOUCHED);
	t_report_is(&r.report, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_gt(fault_calls(FAULT_POLL_WAIT), 0);
	ck_assert_uint_eq(faulted_arrived(r.p.peer), SENT);
	fault_plan(-1, NULL, 0);
	t_close(r.p.peer);
}
END_TEST

/* Index: what Linux before 4.14 does not know, or memory that is short. */
START_TEST(child_of_a_fork_is_known_by_its_pid_where_no_page_can_be_marked)
{
	static const struct fault no_mark[] = {
		{ FAULT_MADVISE, EINVAL, 1, FAULT_ALWAYS },
		{ FAULT_MMAP, ENOMEM, 1, FAULT_ALWAYS }
	};
	struct graceclose_reaper *reaper;
	struct t_pair p;
	int status;
	pid_t child;

	t_pair(&p, T_IPV4);
	fault_plan(-1, &no_mark[_i], 1);
	fault_enter();
	reaper = graceclose_reaper_new(NULL);
	fault_leave();
	ck_assert_ptr_nonnull(reaper);
	ck_assert_uint_eq(fault_met(), 1);
	t_ok(graceclose_reaper_flush(reaper, 0));
	child = fork();
	if (child == 0) {
		status = graceclose_reaper_close(reaper, p.us, NULL, NULL) ==
		    -1 && errno == ENOTSUP ? 0 : 1;
		graceclose_reaper_free(reaper);
		_exit(status);
	}
	ck_assert_int_ne(child, -1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	t_ok(graceclose_reaper_close(reaper, p.us, NULL, NULL));
	t_close(p.peer);
	t_ok(graceclose_reaper_flush(reaper, T_LIMIT_MS));
	graceclose_reaper_free(reaper);
	fault_plan(-1, NULL, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("faults, kernels");
	TCase *tc = t_case(s, "kernels");

	tcase_add_loop_test(tc,
	    abort_wakes_the_reader_where_connect_says_ebusy, 0, WAYS);
	tcase_add_test(tc,
	    abort_leaves_a_listener_alone_where_zerocopy_is_einval);
	tcase_add_test(tc, acknowledgement_at_the_last_look_is_in_time);
	tcase_add_loop_test(tc, reset_that_the_sweep_meets_is_econnreset, 0,
	    WAYS);
	tcase_add_loop_test(tc, reset_before_any_call_is_no_success, 0,
	    2 * WAYS);
	tcase_add_loop_test(tc, nothing_that_waits_is_needed, 0, 3);
	tcase_add_loop_test(tc,
	    child_of_a_fork_is_known_by_its_pid_where_no_page_can_be_marked,
	    0, 2);
	return t_main(s);
}
