/*
 * Unread input at the close: it hides a reset, and discard_max counts it
 */
#include <sys/socket.h>

#include <netinet/tcp.h>

#include <poll.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

#define MEBIBYTES(n)	((n) * (size_t)1048576)

/* Options with these limits, and a report with other bytes in it. */
static struct graceclose_opts o;
static struct graceclose_report r;

static void
given(int until, int timeout_ms)
{
	o = t_opts(until, GRACECLOSE_DETACH, timeout_ms, 0);
	memset(&r, 0xaa, sizeof(r));
}

static void
fin_arrives(struct t_pair *p)
{
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
}

/*
 * A reset behind unread input.  Once SO_ERROR is read, only the missing FIN
 * distinguishes it from an orderly end.  TCP_ZEROCOPY_RECEIVE looks for the FIN
 * only where less than a page is unread.
 */

static const size_t unread[] = { 100, 10000 };
#define NUNREAD		2

START_TEST(reset_behind_unread_input_is_econnreset)
{
	size_t n = unread[_i / 2 % NUNREAD];
	struct t_pair p;
	socklen_t len;
	int error;

	t_pair_any(&p, _i / 2 / NUNREAD);
	t_write(p.peer, n);
	t_wait_inq(p.us, (int)n);
	t_reset(p.peer);
	t_wait_reset(p.us);
	if (_i % 2 == 1) {
		len = sizeof(error);
		ck_assert_int_eq(getsockopt(p.us, SOL_SOCKET, SO_ERROR,
		    &error, &len), 0);
		ck_assert_str_eq(t_errno(error), "ECONNRESET");
	}
	given(GRACECLOSE_FINISHED, 5000);
	if (_i % 2 == 1 && T_PORTABLE) {
		t_fails(graceclose(p.us, &o, &r), ENOTCONN);
		t_report_is(&r, GRACECLOSE_INVALID, ENOTCONN, 0, 0);
	} else {
		t_fails(graceclose(p.us, &o, &r), ECONNRESET);
		t_report_is(&r, GRACECLOSE_WAS_RESET, ECONNRESET, 0, 0);
	}
	t_released(p.us);
	ck_assert_uint_eq(r.discarded, n);
	ck_assert_uint_eq(r.unacked, 0);
}
END_TEST

/*
 * More unread input than discard_max, on a connection that is already over: no
 * peer is left to be stopped, but the limit holds.
 */

/* Either side may have sent its FIN first. */
static void
end_in_order(struct t_pair *p, size_t n, int we_first)
{
	t_write(p->peer, n);
	if (we_first) {
		t_fin(p->us);
		t_wait_outq(p->us, 0);
	}
	fin_arrives(p);
	t_fin(p->us);
	t_wait_state(p->us, TCP_CLOSE);
	ck_assert_int_eq(t_inq(p->us), (int)n);
}

/* Index: who ends it first, how much is unread, and which pair. */
#define T_ENDED		(2 * NUNREAD * T_ANY_PLAIN)

START_TEST(more_than_discard_max_is_a_flood_after_an_orderly_end_too)
{
	size_t n = unread[_i / 2 % NUNREAD];
	struct t_pair p;

	t_not_portable(T_NO_PAST);
	t_pair_any(&p, _i / 2 / NUNREAD);
	end_in_order(&p, n, _i % 2);
	given(GRACECLOSE_FINISHED, 5000);
	o.discard_max = n - 1;
	t_fails(graceclose(p.us, &o, &r), EMSGSIZE);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_FLOODED, EMSGSIZE, 1, 1);
	ck_assert_uint_ge(r.discarded, n);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

/*
 * A caller that waits only for delivery succeeds, however much input is unread.
 */
START_TEST(until_delivered_a_flood_after_an_orderly_end_is_none)
{
	size_t n = unread[_i / 2 % NUNREAD];
	struct t_pair p;

	t_not_portable(T_NO_PAST);
	t_pair_any(&p, _i / 2 / NUNREAD);
	end_in_order(&p, n, _i % 2);
	given(GRACECLOSE_DELIVERED, 5000);
	o.discard_max = n - 1;
	t_ok(graceclose(p.us, &o, &r));
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(r.unacked, 0);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(exactly_discard_max_is_accepted_after_an_orderly_end_too)
{
	size_t n = unread[_i / 2 % NUNREAD];
	struct t_pair p;

	t_not_portable(T_NO_PAST);
	t_pair_any(&p, _i / 2 / NUNREAD);
	end_in_order(&p, n, _i % 2);
	given(GRACECLOSE_FINISHED, 5000);
	o.discard_max = n;
	t_ok(graceclose(p.us, &o, &r));
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(r.discarded, n);
	ck_assert_uint_eq(r.unacked, 0);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

/*
 * graceclose_end reads what the last step left; otherwise the peer gets
 * ECONNRESET.
 */
START_TEST(unix_peer_gets_our_data_and_eof_however_much_is_unread)
{
	struct t_pair p;

	t_need_buffer(SO_SNDBUF, (int)MEBIBYTES(4));
	t_pair_any(&p, T_ANY_TCP + _i);
	t_sndbuf(p.peer, (int)MEBIBYTES(16));
	t_write(p.peer, MEBIBYTES(3));
	t_write(p.us, 5);
	t_read(p.peer, 5);
	given(GRACECLOSE_DELIVERED, 5000);
	t_ok(graceclose(p.us, &o, &r));
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 0);
	ck_assert_uint_eq(r.discarded, MEBIBYTES(3));
	ck_assert_uint_eq(r.unacked, 0);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

/*
 * A peer may send faster than graceclose_end discards, so that it stops at a
 * limit.
 */
START_TEST(end_discards_32_mebibytes_at_most)
{
	struct t_pair p;

	t_need_buffer(SO_SNDBUF, (int)MEBIBYTES(80));
	t_pair_any(&p, T_ANY_TCP + _i);
	t_sndbuf(p.peer, (int)MEBIBYTES(80));
	t_write(p.peer, MEBIBYTES(36));
	given(GRACECLOSE_DELIVERED, 5000);
	t_ok(graceclose(p.us, &o, &r));
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 0);
	/* That limit, and what one step took. */
	ck_assert_uint_eq(r.discarded, MEBIBYTES(33));
	t_saw(t_read_all(p.peer), 0, ECONNRESET);
	t_close(p.peer);
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("unread input");
	tc = t_case(s, "unread input");
	tcase_add_loop_test(tc, reset_behind_unread_input_is_econnreset, 0,
	    2 * NUNREAD * T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    more_than_discard_max_is_a_flood_after_an_orderly_end_too, 0,
	    T_ENDED);
	tcase_add_loop_test(tc,
	    until_delivered_a_flood_after_an_orderly_end_is_none, 0, T_ENDED);
	tcase_add_loop_test(tc,
	    exactly_discard_max_is_accepted_after_an_orderly_end_too, 0,
	    T_ENDED);
	tcase_add_loop_test(tc,
	    unix_peer_gets_our_data_and_eof_however_much_is_unread, 0, 2);
	tcase_add_loop_test(tc, end_discards_32_mebibytes_at_most, 0, 2);
	return t_main(s);
}
