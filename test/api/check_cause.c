/*
 * report.cause: what the kernel gave as the end of the connection; report.error
 * stays ECONNRESET, whatever it was
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <graceclose.h>

#include "api/every_form.h"
#include "network/compose.h"
#include "network/link.h"
#include "network/scripted_peer.h"
#include "support/util.h"

#define SIZE		((size_t)1000)
#define GIVE_UP_MS	300		/* TCP_USER_TIMEOUT */

/* Plain POSIX may not know it, but says nothing that is wrong. */
static void
caused_by(int e)
{
	form_failed(ECONNRESET);
	if (!T_PORTABLE || closed.report.cause != 0)
		t_error_is(closed.report.cause, e);
}

/* The connection did not end by itself. */
static void
no_cause(int e)
{
	form_failed(e);
	t_error_is(closed.report.cause, 0);
}

/*
 * RST
 */

START_TEST(rst_before_the_close_is_econnreset)
{
	struct t_pair p;

	t_need_any(_i / NFORMS);
	t_pair_any(&p, _i / NFORMS);
	t_reset(p.peer);
	t_wait_reset(p.us);
	form_given(_i, GRACECLOSE_FINISHED, 0, 0);
	form_close(p.us);
	caused_by(ECONNRESET);
}
END_TEST

START_TEST(rst_while_the_close_waits_is_econnreset)
{
	struct t_later l;
	struct t_pair p;

	t_need_any(_i / NFORMS);
	t_pair_any(&p, _i / NFORMS);
	t_write(p.us, SIZE);
	t_read(p.peer, SIZE);
	form_given(_i, GRACECLOSE_FINISHED, 0, 0);
	t_later(&l, 50, t_reset, p.peer);
	form_close(p.us);
	t_later_join(&l);
	caused_by(ECONNRESET);
}
END_TEST

/* Bytes are outstanding, and ours is the only FIN. */
START_TEST(rst_of_a_shut_window_is_econnreset)
{
	struct t_later l;
	struct t_pair p;

	(void)t_pair_full(&p, _i / NFORMS);
	form_given(_i, GRACECLOSE_FINISHED, 0, 0);
	t_later(&l, 50, t_reset, p.peer);
	form_close(p.us);
	t_later_join(&l);
	caused_by(ECONNRESET);
	ck_assert_int_eq(closed.report.delivered, 0);
}
END_TEST

/* In CLOSE_WAIT the kernel calls it EPIPE, tcp_reset(). */
START_TEST(rst_behind_the_peers_fin_is_epipe)
{
	struct t_pair p;

	t_pair_any(&p, _i / NFORMS);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_reset(p.peer);
	t_wait_reset(p.us);
	form_given(_i, GRACECLOSE_FINISHED, 0, 0);
	form_close(p.us);
	caused_by(EPIPE);
}
END_TEST

/* Behind the peer's FIN and ours it is LAST_ACK, where it has no other name. */
START_TEST(rst_behind_both_fins_is_econnreset)
{
	struct t_later l;
	struct t_pair p;

	t_pair_small(&p, _i / NFORMS);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	(void)t_fill(p.us);
	form_given(_i, GRACECLOSE_FINISHED, 0, 0);
	t_later(&l, 50, t_reset, p.peer);
	form_close(p.us);
	t_later_join(&l);
	caused_by(ECONNRESET);
}
END_TEST

/* Nobody can tell any more. */
START_TEST(error_that_the_program_has_taken_is_unknown)
{
	struct t_pair p;

	t_pair_any(&p, _i / NFORMS);
	t_write(p.us, SIZE);
	t_reset(p.peer);
	t_wait_reset(p.us);
	t_error_is(t_pending_error(p.us), ECONNRESET);
	form_given(_i, GRACECLOSE_FINISHED, 0, 0);
	form_close(p.us);
	if (T_PORTABLE && closed.report.error == ENOTCONN)
		return;
	no_cause(ECONNRESET);
}
END_TEST

/* Linux reports it like this where the peer's program left bytes unread. */
START_TEST(local_peer_that_closed_over_unread_data_is_econnreset)
{
	struct t_pair p;

	t_pair(&p, T_UNIX);
	t_write(p.us, SIZE);
	t_close(p.peer);
	t_wait_dead(p.us);
	form_given(_i, GRACECLOSE_FINISHED, 0, 0);
	form_close(p.us);
	caused_by(ECONNRESET);
}
END_TEST

/*
 * The kernel gave up
 */

static void
give_up_soon(int fd)
{
	unsigned ms = GIVE_UP_MS;

	ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms,
	    sizeof(ms)), 0);
}

START_TEST(user_timeout_without_acknowledgements_is_etimedout)
{
	struct t_pair p;

	t_need_filters();
	t_pair_any(&p, _i / NFORMS);
	t_write(p.us, SIZE);
	t_wait_outq(p.us, 0);
	give_up_soon(p.us);
	t_drop(p.peer, T_DROP_ALL);
	t_write(p.us, SIZE);
	form_given(_i, GRACECLOSE_FINISHED, -1, -1);
	form_close(p.us);
	caused_by(ETIMEDOUT);
	ck_assert_uint_eq(closed.report.unacked, T_KNOWS(SIZE, 0));
	t_close(p.peer);
}
END_TEST

/* The peer lives and acknowledges, but its window stays shut. */
START_TEST(user_timeout_of_a_shut_window_is_etimedout)
{
	struct t_pair p;

	(void)t_pair_full(&p, _i % T_PLAIN);
	give_up_soon(p.us);
	form_given(_i, GRACECLOSE_FINISHED, -1, -1);
	form_close(p.us);
	caused_by(ETIMEDOUT);
	ck_assert_int_eq(closed.report.delivered, 0);
	t_close(p.peer);
}
END_TEST

/* Before the close: it finds a dead connection. */
START_TEST(user_timeout_before_the_close_is_etimedout)
{
	struct t_pair p;

	t_need_filters();
	t_pair(&p, _i % T_PLAIN);
	give_up_soon(p.us);
	t_drop(p.peer, T_DROP_ALL);
	t_write(p.us, SIZE);
	t_wait_reset(p.us);
	form_given(_i, GRACECLOSE_FINISHED, 0, 0);
	form_close(p.us);
	caused_by(ETIMEDOUT);
	ck_assert_uint_eq(closed.report.unacked, T_KNOWS(SIZE, 0));
	t_close(p.peer);
}
END_TEST

static void
probe_soon(int fd)
{
	int one = 1;

	ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &one,
	    sizeof(one)), 0);
	ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &one,
	    sizeof(one)), 0);
	ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &one,
	    sizeof(one)), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one,
	    sizeof(one)), 0);
}

/* Everything is delivered, and then the peer answers no more. */
START_TEST(keepalive_without_an_answer_is_etimedout)
{
	struct graceclose_report *r = &closed.report;
	struct graceclose gc;
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	t_need_filters();
	t_pair(&p, _i);
	probe_soon(p.us);
	form_given(0, GRACECLOSE_FINISHED, -1, -1);
	t_ok(graceclose_begin(&gc, p.us, &way.opts));
	t_wait_outq(p.us, 0);
	t_drop(p.peer, T_DROP_ALL);
	t_wait_reset(p.us);
	while (graceclose_step(&gc) == 1)
		t_pause(1);
	t_fails(graceclose_end(&gc, r), ECONNRESET);
	t_report_is(r, GRACECLOSE_WAS_RESET, ECONNRESET, 1, 0);
	t_error_is(r->cause, ETIMEDOUT);
	t_close(p.peer);
}
END_TEST

/*
 * ICMP
 */

static struct t_packet	packets[T_LOG];

/*
 * The first byte that the peer has not acknowledged: the kernel ignores ICMP
 * with other numbers (RFC 5927 4.1).
 */
static struct segment
last_segment(void)
{
	size_t i, n = t_link_log(packets, T_LOG);
	struct segment s = { .length = 0 };

	for (i = 0; i < n; i++)
		if (packets[i].way == T_OUT && packets[i].s.length > 0)
			s = packets[i].s;
	return s;
}

static const struct {
	int	type, code, error;
} messages[] = {
	{ ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, EHOSTUNREACH },
	{ ICMP_DEST_UNREACH, ICMP_NET_UNREACH, ENETUNREACH },
	{ ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, EHOSTUNREACH }
};
#define MESSAGES	((int)(sizeof(messages) / sizeof(messages[0])))

static void
icmp_arrives(int i)
{
	unsigned char packet[COMPOSE_ICMP];
	struct segment s = last_segment();

	t_link_send(packet, compose_icmp(packet, &s, messages[i].type,
	    messages[i].code));
}

/*
 * SIZE bytes arrived, as many did not at first (times 0: never), and a router
 * says why.
 */
static void
router_says(struct t_pair *p, int i, unsigned times)
{
	struct t_rule lost = { .way = T_OUT, .kinds = T_DATA | T_FIN,
	    .times = times, .action = T_LOSS };

	t_link_begin((uint64_t)i + 1);
	t_link_pair(p, T_IPV4, false);
	t_write(p->us, SIZE);
	t_wait_outq(p->us, 0);
	give_up_soon(p->us);
	t_link_rule(&lost);
	t_write(p->us, SIZE);
	t_link_settle();		/* until the link has lost it */
	icmp_arrives(i);
}

/* tcp_write_err(): the last ICMP error is the reason. */
START_TEST(giving_up_after_icmp_has_its_error)
{
	struct t_pair p;

	if (t_link_missing() != NULL)
		t_skip(t_link_missing());
	router_says(&p, _i / NFORMS, 0);
	form_given(_i, GRACECLOSE_FINISHED, -1, -1);
	form_close(p.us);
	caused_by(messages[_i / NFORMS].error);
	ck_assert_uint_eq(closed.report.unacked, T_KNOWS(SIZE, 0));
	t_close(p.peer);
}
END_TEST

/* It was no end: the connection outlived it. */
START_TEST(icmp_of_a_connection_that_goes_on_is_no_cause)
{
	struct t_reader reader;
	struct t_pair p;

	if (t_link_missing() != NULL)
		t_skip(t_link_missing());
	router_says(&p, _i / NFORMS, 3);
	t_reader(&reader, p.peer, 1);
	form_given(_i, GRACECLOSE_FINISHED, 0, 0);
	form_close(p.us);
	form_succeeded(1);
	t_saw(t_reader_join(&reader), 2 * SIZE, 0);
}
END_TEST

/*
 * No end by the kernel: no cause
 */

START_TEST(success_has_no_cause)
{
	struct t_reader reader;
	struct t_pair p;

	t_need_any(_i / NFORMS);
	t_pair_any(&p, _i / NFORMS);
	t_write(p.us, SIZE);
	t_reader(&reader, p.peer, 1);
	form_given(_i, GRACECLOSE_FINISHED, 0, 0);
	form_close(p.us);
	form_succeeded(1);
	t_saw(t_reader_join(&reader), SIZE, 0);
}
END_TEST

/* An RST that only answers our FIN is the end of a success. */
START_TEST(answered_fin_has_no_cause)
{
	static const struct t_script script = { "answers",
	    { { P_AWAIT_DATA, SIZE }, { P_ACKS, 0 }, { P_FIN, 0 },
	    { P_AWAIT_FIN, 0 }, { P_RST, 0 } } };
	int fd;

	t_not_portable(T_NO_PAST);
	if (t_link_missing() != NULL)
		t_skip(t_link_missing());
	t_link_begin(1);
	fd = t_peer_connect(&script, _i / NFORMS == 1);
	t_write(fd, SIZE);
	t_wait_outq(fd, 0);
	t_wait_poll(fd, POLLRDHUP);
	form_given(_i, GRACECLOSE_FINISHED, 0, 0);
	form_close(fd);
	form_succeeded(1);
	t_peer_gone();
}
END_TEST

START_TEST(expiry_has_no_cause)
{
	struct t_pair p;

	t_need(_i / NFORMS);
	t_pair(&p, _i / NFORMS);
	form_given(_i, GRACECLOSE_FINISHED, 50, -1);
	way.opts.on_expiry = _i % 2;
	form_close(p.us);
	no_cause(ETIMEDOUT);
	t_close(p.peer);
}
END_TEST

START_TEST(flood_has_no_cause)
{
	struct t_pair p;

	t_need(_i / NFORMS);
	t_pair(&p, _i / NFORMS);
	t_write(p.peer, 2000);
	t_wait_inq(p.us, 2000);
	form_given(_i, GRACECLOSE_FINISHED, 0, 0);
	way.opts.discard_max = 1000;
	form_close(p.us);
	no_cause(EMSGSIZE);
	t_close(p.peer);
}
END_TEST

START_TEST(close_that_the_program_ended_has_no_cause)
{
	struct graceclose_report r;
	struct graceclose gc;
	struct t_pair p;

	t_need(_i);
	t_pair(&p, _i);
	form_given(0, GRACECLOSE_FINISHED, 0, 0);
	t_ok(graceclose_begin(&gc, p.us, &way.opts));
	t_returns(graceclose_step(&gc), 1);
	t_fails(graceclose_end(&gc, &r), ECANCELED);
	t_error_is(r.cause, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(what_is_no_connection_has_no_cause)
{
	struct graceclose_report r;
	int fd;

	t_need(t_odds[_i].family);
	fd = t_odd_open(&t_odds[_i]);
	memset(&r, 0xaa, sizeof(r));
	t_fails(graceclose(fd, NULL, &r), t_odds[_i].error);
	t_error_is(r.cause, 0);
	memset(&r, 0xaa, sizeof(r));
	t_fails(graceclose(-1, NULL, &r), EBADF);
	t_report_is(&r, GRACECLOSE_INVALID, EBADF, 0, 0);
	t_error_is(r.cause, 0);
}
END_TEST

static void
no_end(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "no cause");
	tcase_add_loop_test(tc, success_has_no_cause, 0, NFORMS * T_ANY);
	tcase_add_loop_test(tc, answered_fin_has_no_cause, 0, NFORMS * 2);
	tcase_add_loop_test(tc, expiry_has_no_cause, 0, NFORMS * T_FAMILIES);
	tcase_add_loop_test(tc, flood_has_no_cause, 0, NFORMS * T_FAMILIES);
	tcase_add_loop_test(tc, close_that_the_program_ended_has_no_cause, 0,
	    T_FAMILIES);
	tcase_add_loop_test(tc, what_is_no_connection_has_no_cause, 0, T_ODDS);
}

static void
gives_up(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "gives up");
	tcase_add_loop_test(tc,
	    user_timeout_without_acknowledgements_is_etimedout, 0,
	    NFORMS * T_ANY_PLAIN);
	tcase_add_loop_test(tc, user_timeout_of_a_shut_window_is_etimedout, 0,
	    NFORMS);
	tcase_add_loop_test(tc, user_timeout_before_the_close_is_etimedout, 0,
	    NFORMS);
	tcase_add_loop_test(tc, keepalive_without_an_answer_is_etimedout, 0,
	    T_PLAIN);

	tc = t_case(s, "ICMP");
	tcase_add_loop_test(tc, giving_up_after_icmp_has_its_error, 0,
	    NFORMS * MESSAGES);
	tcase_add_loop_test(tc, icmp_of_a_connection_that_goes_on_is_no_cause,
	    0, NFORMS);
}

int
main(void)
{
	Suite *s;
	TCase *tc;

	t_link_prepare();
	s = suite_create("cause");
	tc = t_case(s, "RST");
	tcase_add_loop_test(tc, rst_before_the_close_is_econnreset, 0,
	    NFORMS * T_ANY_TCP);
	tcase_add_loop_test(tc, rst_while_the_close_waits_is_econnreset, 0,
	    NFORMS * T_ANY_TCP);
	tcase_add_loop_test(tc, rst_of_a_shut_window_is_econnreset, 0,
	    NFORMS * T_PLAIN);
	tcase_add_loop_test(tc, rst_behind_the_peers_fin_is_epipe, 0,
	    NFORMS * T_ANY_PLAIN);
	tcase_add_loop_test(tc, rst_behind_both_fins_is_econnreset, 0,
	    NFORMS * T_PLAIN);
	tcase_add_loop_test(tc, error_that_the_program_has_taken_is_unknown,
	    0, NFORMS * T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    local_peer_that_closed_over_unread_data_is_econnreset, 0, NFORMS);
	gives_up(s);
	no_end(s);
	return t_main(s);
}
