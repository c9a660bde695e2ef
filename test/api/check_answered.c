/*
 * An RST that only answers our FIN is no loss
 *
 * The peer closed in order, and its FIN_WAIT2 has timed out since, or its table
 * of TIME_WAIT is full: its host has forgotten the connection, and answers our
 * FIN with RST (RFC 9293 3.10.7.1).  Every byte was acknowledged before.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <graceclose.h>

#include "network/closing.h"
#include "network/link.h"
#include "network/scripted_peer.h"
#include "support/util.h"

#define SIZE		1000
#define UNREAD		5000

/* Every close that waits; the lowest digit of an index. */
static const struct {
	enum closing_form	form;
	int			until;
} ways[] = {
	{ F_GRACEFUL,	GRACECLOSE_FINISHED },
	{ F_LINGER,	GRACECLOSE_DELIVERED },
	{ F_BLOCKING,	GRACECLOSE_FINISHED },
	{ F_BLOCKING,	GRACECLOSE_DELIVERED },
	{ F_BLOCKING,	GRACECLOSE_QUIET },
	{ F_EPOLL,	GRACECLOSE_FINISHED },
	{ F_EPOLL,	GRACECLOSE_DELIVERED },
	{ F_POLL,	GRACECLOSE_FINISHED },
	{ F_POLL,	GRACECLOSE_QUIET },
	{ F_REAPER,	GRACECLOSE_FINISHED },
	{ F_REAPER,	GRACECLOSE_DELIVERED },
	{ F_REAPER,	GRACECLOSE_QUIET }
};
#define WAYS		((int)(sizeof(ways) / sizeof(ways[0])))

static struct closing closed;

static void
run(int i, int fd)
{
	struct closing_way w = { .form = ways[i % WAYS].form,
	    .cancel_ms = -1, .opts = t_opts(ways[i % WAYS].until,
	    GRACECLOSE_DETACH, T_LIMIT_MS, 0) };

	closing_run(&closed, &w, fd);
}

static bool
has_report(int i)
{
	return closing_reports(ways[i % WAYS].form);
}

/* A kernel that does not show the peer's FIN may leave a close in doubt. */
static void
succeeded(int i, uint64_t discarded)
{
	if (closed.value == -1 && t_no_fin_look() != NULL) {
		t_error_is(closed.error, ECONNRESET);
		ck_assert(closed.released);
		return;
	}
	t_error_is(closed.error, T_ERRNO_UNTOUCHED);
	ck_assert_int_eq(closed.value, 0);
	ck_assert(closed.released);
	if (!has_report(i))
		return;
	t_report_is(&closed.report, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(closed.report.unacked, 0);
	ck_assert_uint_eq(closed.report.discarded, discarded);
}

static void
was_reset(int i, int finished, uint64_t unacked)
{
	t_error_is(closed.error, ECONNRESET);
	ck_assert_int_eq(closed.value, -1);
	ck_assert(closed.released);
	if (!has_report(i))
		return;
	t_report_is(&closed.report, GRACECLOSE_WAS_RESET, ECONNRESET, 0,
	    t_no_fin_look() == NULL ? T_KNOWS(finished,
	    closed.report.finished) : closed.report.finished);
	ck_assert_uint_eq(closed.report.unacked, T_KNOWS(unacked, 0));
}

/*
 * A peer that follows a script
 */

/* Index: way, and which side connected. */
static int
meet(const struct t_script *script, int i)
{
	t_link_begin((uint64_t)i + 1);
	return t_peer_connect(script, i / WAYS % 2 == 1);
}

#define meet_or_skip(fd, script) do {					\
	if (t_link_missing() != NULL)					\
		t_skip(t_link_missing());				\
	(fd) = meet((script), _i);					\
} while (0)

static struct t_peer_seen
seen(void)
{
	struct t_peer_seen s;

	t_peer_seen(&s);
	return s;
}

/* SIZE bytes of ours were acknowledged, and the peer's FIN is here. */
static void
all_went_well(int fd)
{
	t_write(fd, SIZE);
	t_wait_outq(fd, 0);
	t_wait_poll(fd, POLLRDHUP);
}

START_TEST(rst_that_answers_our_fin_is_success)
{
	static const struct t_script script = { "answers",
	    { { P_AWAIT_DATA, SIZE }, { P_ACKS, 0 }, { P_FIN, 0 },
	    { P_AWAIT_FIN, 0 }, { P_RST, 0 } } };
	int fd;

	t_not_portable(T_NO_PAST);
	meet_or_skip(fd, &script);
	all_went_well(fd);
	run(_i, fd);
	succeeded(_i, 0);
	ck_assert(seen().fin);
	ck_assert_uint_eq(seen().rsts, 0);
	t_peer_gone();
}
END_TEST

/* The FIN stands behind unread input, which recv(2) must take first. */
START_TEST(rst_that_answers_our_fin_over_unread_input_is_success)
{
	static const struct t_script script = { "answers",
	    { { P_AWAIT_DATA, SIZE }, { P_ACKS, 0 }, { P_SEND, UNREAD },
	    { P_FIN, 0 }, { P_AWAIT_FIN, 0 }, { P_RST, 0 } } };
	int fd;

	t_not_portable(T_NO_PAST);
	meet_or_skip(fd, &script);
	all_went_well(fd);
	run(_i, fd);
	succeeded(_i, UNREAD);
	t_peer_gone();
}
END_TEST

START_TEST(rst_that_answers_our_fin_without_data_is_success)
{
	static const struct t_script script = { "answers",
	    { { P_ACKS, 0 }, { P_FIN, 0 }, { P_AWAIT_FIN, 0 },
	    { P_RST, 0 } } };
	int fd;

	t_not_portable(T_NO_PAST);
	meet_or_skip(fd, &script);
	t_wait_poll(fd, POLLRDHUP);
	run(_i, fd);
	succeeded(_i, 0);
	t_peer_gone();
}
END_TEST

/* Both FINs cross, then the peer's host forgets (our state is CLOSING). */
START_TEST(rst_after_both_fins_crossed_is_success)
{
	static const struct t_script script = { "crosses",
	    { { P_AWAIT_DATA, SIZE }, { P_ACKS, 0 }, { P_AWAIT_FIN, 0 },
	    { P_FIN, 0 }, { P_AWAIT_ACKED, 0 }, { P_RST, 0 } } };
	int fd;

	t_not_portable(T_NO_PAST);
	meet_or_skip(fd, &script);
	t_write(fd, SIZE);
	t_wait_outq(fd, 0);
	run(_i, fd);
	succeeded(_i, 0);
	t_peer_gone();
}
END_TEST

/* The program sent the FIN itself, and the RST comes while the close waits. */
START_TEST(rst_that_answers_a_fin_of_the_program_is_success)
{
	static const struct t_script script = { "answers late",
	    { { P_AWAIT_DATA, SIZE }, { P_ACKS, 0 }, { P_FIN, 0 },
	    { P_AWAIT_FIN, 0 }, { P_SLEEP, 100 }, { P_RST, 0 } } };
	int fd;

	t_not_portable(T_NO_PAST);
	meet_or_skip(fd, &script);
	all_went_well(fd);
	t_fin(fd);
	run(_i, fd);
	succeeded(_i, 0);
	t_peer_gone();
}
END_TEST

/*
 * What stays a reset
 */

START_TEST(rst_before_our_fin_is_econnreset)
{
	static const struct t_script script = { "does not wait",
	    { { P_AWAIT_DATA, SIZE }, { P_FIN, 0 }, { P_AWAIT_ACKED, 0 },
	    { P_RST, 0 } } };
	int fd;

	meet_or_skip(fd, &script);
	t_write(fd, SIZE);
	t_wait_reset(fd);
	run(_i, fd);
	was_reset(_i, 1, 0);
	t_peer_gone();
}
END_TEST

START_TEST(rst_before_the_peers_fin_is_econnreset)
{
	static const struct t_script script = { "has no FIN",
	    { { P_AWAIT_DATA, SIZE }, { P_ACKS, 0 }, { P_AWAIT_FIN, 0 },
	    { P_RST, 0 } } };
	int fd;

	meet_or_skip(fd, &script);
	t_write(fd, SIZE);
	t_wait_outq(fd, 0);
	run(_i, fd);
	was_reset(_i, 0, 0);
	t_peer_gone();
}
END_TEST

/* The FIN comes too late: the connection is dead when it arrives. */
START_TEST(rst_in_front_of_the_peers_fin_is_econnreset)
{
	static const struct t_script script = { "FIN behind RST",
	    { { P_AWAIT_DATA, SIZE }, { P_ACKS, 0 }, { P_AWAIT_FIN, 0 },
	    { P_SEND, UNREAD }, { P_AWAIT_ACKED, 0 }, { P_RST, 0 },
	    { P_FIN, 0 } } };
	int fd;

	meet_or_skip(fd, &script);
	t_write(fd, SIZE);
	t_wait_outq(fd, 0);
	run(_i, fd);
	was_reset(_i, 0, 0);
	t_peer_gone();
}
END_TEST

#define DATA		3000
#define ACKED		700

/* Where 200 ms are short data is sent again first, and the FIN waits for it. */
#define AWAIT_FIN_OR	(T_SLOW ? P_SLEEP : P_AWAIT_ANY_FIN)

START_TEST(rst_while_data_is_unacknowledged_is_econnreset)
{
	const struct t_script script = { "acknowledges a part",
	    { { P_FIN, 0 }, { P_ACK_UP_TO, ACKED }, { AWAIT_FIN_OR, 300 },
	    { P_RST, 0 } } };
	int fd;

	meet_or_skip(fd, &script);
	t_wait_poll(fd, POLLRDHUP);
	t_write(fd, DATA);
	t_wait_outq(fd, DATA - ACKED);
	run(_i, fd);
	was_reset(_i, 1, DATA - ACKED);
	t_peer_gone();
}
END_TEST

/* One byte counts as much as the FIN alone. */
START_TEST(rst_while_one_byte_is_unacknowledged_is_econnreset)
{
	const struct t_script script = { "all but a byte",
	    { { P_FIN, 0 }, { P_ACK_UP_TO, SIZE - 1 },
	    { AWAIT_FIN_OR, 300 }, { P_RST, 0 } } };
	int fd;

	meet_or_skip(fd, &script);
	t_wait_poll(fd, POLLRDHUP);
	t_write(fd, SIZE);
	t_wait_outq(fd, 1);
	run(_i, fd);
	was_reset(_i, 1, 1);
	t_peer_gone();
}
END_TEST

/*
 * Before Linux 6.7 a window of zero counts only in a segment that acknowledges
 * or brings something new (tcp_may_update_window()).
 */
static bool
window_is_shut(int fd)
{
	struct {
		char		others[228];
		uint32_t	snd_wnd;	/* Linux 5.4; libcs have less */
	} info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len),
	    0);
	return info.snd_wnd == 0;
}

static void
go(int unused)
{
	(void)unused;
	t_peer_go();
}

/* The RST cannot answer a FIN that was not sent. */
START_TEST(rst_while_our_fin_waits_for_the_window_is_econnreset)
{
	static const struct t_script script = { "shuts its window",
	    { { P_AWAIT_DATA, SIZE }, { P_WINDOW, 0 }, { P_FIN, 0 },
	    { P_AWAIT_GO, 0 }, { P_RST, 0 } } };
	struct t_later l;
	int fd;

	meet_or_skip(fd, &script);
	all_went_well(fd);
	if (!window_is_shut(fd)) {
		t_close(fd);
		t_peer_go();
		t_peer_gone();
		t_skip("this kernel does not let the peer shut its window");
	}
	t_later(&l, 150, go, -1);
	run(_i, fd);
	t_later_join(&l);
	ck_assert(!seen().fin);
	was_reset(_i, 1, 0);
	t_peer_gone();
}
END_TEST

/* The same with data in front of the FIN. */
START_TEST(rst_while_data_waits_for_the_window_is_econnreset)
{
	static const struct t_script script = { "shuts its window",
	    { { P_AWAIT_DATA, SIZE }, { P_WINDOW, 0 }, { P_FIN, 0 },
	    { P_AWAIT_GO, 0 }, { P_RST, 0 } } };
	struct t_later l;
	int fd;

	meet_or_skip(fd, &script);
	all_went_well(fd);
	t_write(fd, DATA);
	t_later(&l, 150, go, -1);
	run(_i, fd);
	t_later_join(&l);
	was_reset(_i, 1, DATA);
	t_peer_gone();
}
END_TEST

/*
 * Peers of the kernel, over loopback
 */

/* The number of TCP sockets that have this port, FIN_WAIT2 included. */
static int
sockets_at(const char *table, unsigned port)
{
	unsigned local;
	char line[512];
	int n = 0;
	FILE *f;

	if ((f = fopen(table, "re")) == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		/* NOLINTNEXTLINE(cert-err34-c): four digits, no overflow */
		if (sscanf(line, " %*d: %*32[0-9A-F]:%4x", &local) == 1 &&
		    local == port)
			n++;
	fclose(f);
	return n;
}

static unsigned
port_of(int fd)
{
	struct sockaddr_in6 sin6;	/* the port has the same place */
	socklen_t len = sizeof(sin6);

	memset(&sin6, 0, sizeof(sin6));
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sin6, &len), 0);
	return ntohs(sin6.sin6_port);
}

/* The peer connected, so that its port is its own. */
static void
wait_forgotten(unsigned port)
{
	int64_t end = t_now_ms() + T_LIMIT_MS;

	while (sockets_at("/proc/net/tcp", port) +
	    sockets_at("/proc/net/tcp6", port) > 0) {
		ck_assert_msg(t_now_ms() < end, "the peer remembers");
		t_pause(20);
	}
}

/* The peer has read everything and closed; returns its port. */
static unsigned
peer_closes(struct t_pair *p, int family)
{
	unsigned port;

	t_pair(p, family);
	t_write(p->us, SIZE);
	t_read(p->peer, SIZE);
	t_wait_outq(p->us, 0);
	port = port_of(p->peer);
	t_close(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
	return port;
}

static bool
set_buckets(const char *n)
{
	int fd = open("/proc/sys/net/ipv4/tcp_max_tw_buckets",
	    O_WRONLY | O_CLOEXEC);
	bool result;

	result = fd != -1 &&
	    write(fd, n, strlen(n)) == (ssize_t)strlen(n);
	if (fd != -1)
		close(fd);
	return result;
}

/* Only in a network namespace of our own. */
START_TEST(peer_whose_time_wait_table_is_full_is_success)
{
	struct t_pair p;

	t_not_portable(T_NO_PAST);
	if (t_link_missing() != NULL)
		t_skip(t_link_missing());
	if (!set_buckets("0"))
		t_skip("tcp_max_tw_buckets cannot be set here");
	wait_forgotten(peer_closes(&p, _i / WAYS));
	run(_i, p.us);
	ck_assert(set_buckets("131072"));
	succeeded(_i, 0);
}
END_TEST

/* TCP_LINGER2 is tcp_fin_timeout for one socket; all ways wait together. */
START_TEST(peer_whose_fin_wait2_timed_out_is_success)
{
	struct t_pair p[WAYS];
	unsigned ports[WAYS];
	int i, lfd, second = 1;

	t_not_portable(T_NO_PAST);
	lfd = t_listen(_i);
	for (i = 0; i < WAYS; i++) {
		p[i].peer = t_connect(_i, lfd);
		p[i].us = t_accept(lfd);
		ck_assert_int_eq(setsockopt(p[i].peer, IPPROTO_TCP,
		    TCP_LINGER2, &second, sizeof(second)), 0);
		t_write(p[i].us, SIZE);
		t_read(p[i].peer, SIZE);
		t_wait_outq(p[i].us, 0);
		ports[i] = port_of(p[i].peer);
		t_close(p[i].peer);
	}
	t_close(lfd);
	for (i = 0; i < WAYS; i++)
		wait_forgotten(ports[i]);
	for (i = 0; i < WAYS; i++) {
		run(i, p[i].us);
		succeeded(i, 0);
	}
}
END_TEST

/* The peer left our bytes unread: its close is a reset, before our FIN. */
START_TEST(peer_that_closed_over_unread_data_is_econnreset)
{
	struct t_pair p;

	t_pair(&p, _i / WAYS);
	t_write(p.us, SIZE);
	t_wait_inq(p.peer, SIZE);
	t_wait_outq(p.us, 0);
	t_close(p.peer);
	t_wait_reset(p.us);
	run(_i, p.us);
	was_reset(_i, 0, 0);
}
END_TEST

static void
resets(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "resets");
	tcase_add_loop_test(tc, rst_before_our_fin_is_econnreset, 0, 2 * WAYS);
	tcase_add_loop_test(tc, rst_before_the_peers_fin_is_econnreset, 0,
	    2 * WAYS);
	tcase_add_loop_test(tc, rst_in_front_of_the_peers_fin_is_econnreset,
	    0, WAYS);
	tcase_add_loop_test(tc,
	    rst_while_data_is_unacknowledged_is_econnreset, 0, 2 * WAYS);
	tcase_add_loop_test(tc,
	    rst_while_one_byte_is_unacknowledged_is_econnreset, 0, 2 * WAYS);
	tcase_add_loop_test(tc,
	    rst_while_our_fin_waits_for_the_window_is_econnreset, 0,
	    2 * WAYS);
	tcase_add_loop_test(tc,
	    rst_while_data_waits_for_the_window_is_econnreset, 0, WAYS);
	tcase_add_loop_test(tc,
	    peer_that_closed_over_unread_data_is_econnreset, 0,
	    T_PLAIN * WAYS);
}

int
main(void)
{
	Suite *s;
	TCase *tc;

	t_link_prepare();
	s = suite_create("answered");
	tc = t_case(s, "answered");
	tcase_add_loop_test(tc, rst_that_answers_our_fin_is_success, 0,
	    2 * WAYS);
	tcase_add_loop_test(tc,
	    rst_that_answers_our_fin_over_unread_input_is_success, 0,
	    2 * WAYS);
	tcase_add_loop_test(tc,
	    rst_that_answers_our_fin_without_data_is_success, 0, 2 * WAYS);
	tcase_add_loop_test(tc, rst_after_both_fins_crossed_is_success, 0,
	    2 * WAYS);
	tcase_add_loop_test(tc,
	    rst_that_answers_a_fin_of_the_program_is_success, 0, 2 * WAYS);

	tc = t_case(s, "kernel peers");
	tcase_add_loop_test(tc, peer_whose_time_wait_table_is_full_is_success,
	    0, T_PLAIN * WAYS);
	tcase_add_loop_test(tc, peer_whose_fin_wait2_timed_out_is_success, 0,
	    T_PLAIN);
	resets(s);
	return t_main(s);
}
