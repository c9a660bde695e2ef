/*
 * check_icmp.c - what ICMP says of a connection is not its end
 *
 * With IP_RECVERR Linux makes such a message the pending error of a connection
 * that lives (tcp_v4_err() in net/ipv4/tcp_ipv4.c): recv(2) fails with it once,
 * and everything goes on, as RFC 1122 4.2.3.9 wants it.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>

#include <poll.h>

#include <graceclose.h>

#include "network/compose.h"
#include "support/util.h"
#include "network/link.h"

#define SIZE		((size_t)1000)

static const struct {
	int	type, code, error;
} messages[] = {
	{ ICMP_DEST_UNREACH, ICMP_NET_UNREACH, ENETUNREACH },
	{ ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, EHOSTUNREACH },
	{ ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, ECONNREFUSED },
	{ ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, EHOSTUNREACH },
	{ ICMP_PARAMETERPROB, 0, EPROTO },
};
#define MESSAGES	((int)(sizeof(messages) / sizeof(messages[0])))

static struct t_packet	packets[T_LOG];

/*
 * A connection that carried SIZE bytes, with IP_RECVERR set to receive ICMP
 * errors.
 */
static void
meet(struct t_pair *p, int i)
{
	int on = 1;

	t_link_begin((uint64_t)i);
	t_link_pair(p, T_IPV4, i % 2 == 1);
	ck_assert_int_eq(setsockopt(p->us, IPPROTO_IP, IP_RECVERR, &on,
	    sizeof(on)), 0);
	t_write(p->us, SIZE);
	t_wait_outq(p->us, 0);
}

#define meet_or_skip(p, i) do {						\
	if (t_link_missing() != NULL)					\
		t_skip(t_link_missing());				\
	meet((p), (i));							\
} while (0)

/*
 * The sequence number that the peer expects next: the kernel ignores ICMP with
 * other numbers (RFC 5927 4.1).
 */
static struct segment
next_segment(void)
{
	size_t i, n = t_link_log(packets, T_LOG);
	struct segment s = { .length = 0 };

	for (i = 0; i < n; i++)
		if (packets[i].way == T_OUT)
			s = packets[i].s;
	s.seq += segment_span(&s);
	s.flags = SEGMENT_ACK;
	return s;
}

static void
icmp_arrives(const struct t_pair *p, int i)
{
	unsigned char packet[COMPOSE_ICMP];
	struct segment s = next_segment();

	t_link_send(packet, compose_icmp(packet, &s, messages[i].type,
	    messages[i].code));
	ck_assert_int_ne(t_wait_poll(p->us, POLLERR) & POLLERR, 0);
}

START_TEST(recv_returns_an_icmp_error_once_and_the_connection_goes_on)
{
	struct t_pair p;
	char c;

	meet_or_skip(&p, _i);
	icmp_arrives(&p, _i);
	t_fails((int)recv(p.us, &c, 1, MSG_DONTWAIT), messages[_i].error);
	t_fails((int)recv(p.us, &c, 1, MSG_DONTWAIT), EAGAIN);
	ck_assert_int_eq(t_state(p.us), TCP_ESTABLISHED);
	t_write(p.us, SIZE);
	t_read(p.peer, 2 * SIZE);
	t_close_pair(&p);
}
END_TEST

START_TEST(probe_after_icmp_says_open_and_leaves_the_error_to_recv)
{
	struct t_pair p;
	char c;

	meet_or_skip(&p, _i);
	icmp_arrives(&p, _i);
	t_ok(peer_closed(p.us));
	t_ok(graceclose_probe(p.us));
	t_fails((int)recv(p.us, &c, 1, MSG_DONTWAIT), messages[_i].error);
	t_close_pair(&p);
}
END_TEST

/*
 * Closes
 */

static struct t_got seen;

static void
read_and_close(int fd)
{
	seen = t_read_all(fd);
	t_close(fd);
}

/* Once all is over plain POSIX does not tell ICMP's error from a reset. */
START_TEST(icmp_before_the_close_is_no_reset)
{
	struct t_later peer;
	struct t_pair p;

	meet_or_skip(&p, _i);
	icmp_arrives(&p, _i);
	t_later(&peer, T_SLOW ? 500 : 50, read_and_close, p.peer);
	t_ok(graceful_close(p.us));
	t_later_join(&peer);
	t_saw(seen, SIZE, 0);
}
END_TEST

START_TEST(icmp_before_a_lingering_close_is_no_reset)
{
	struct t_pair p;

	t_not_portable(T_NO_COUNT);
	meet_or_skip(&p, _i);
	icmp_arrives(&p, _i);
	t_ok(linger_close(p.us, T_LIMIT_MS));
	t_saw(t_read_all(p.peer), SIZE, 0);
	t_close(p.peer);
}
END_TEST

/* A close that has sent its FIN and waits for the peer's FIN. */
static void
begin(struct graceclose *gc, const struct t_pair *p)
{
	t_ok(graceclose_begin(gc, p->us, NULL));
	t_saw(t_read_all(p->peer), SIZE, 0);
	t_wait_state(p->us, TCP_FIN_WAIT2);
	t_returns(graceclose_step(gc), 1);
}

START_TEST(icmp_between_steps_is_no_reset)
{
	struct graceclose_report r;
	struct graceclose gc;
	struct t_pair p;

	meet_or_skip(&p, _i);
	begin(&gc, &p);
	icmp_arrives(&p, _i);
	t_returns(graceclose_step(&gc), 1);
	t_write(p.peer, SIZE);
	t_close(p.peer);
	t_wait_state(p.us, TCP_CLOSE);
	t_ok(graceclose_step(&gc));
	t_ok(graceclose_end(&gc, &r));
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(r.discarded, SIZE);
}
END_TEST

START_TEST(reset_behind_icmp_is_econnreset)
{
	struct graceclose_report r;
	struct graceclose gc;
	struct t_pair p;

	meet_or_skip(&p, _i);
	begin(&gc, &p);
	icmp_arrives(&p, _i);
	t_reset(p.peer);
	t_wait_state(p.us, TCP_CLOSE);
	t_fails(graceclose_step(&gc), ECONNRESET);
	t_fails(graceclose_end(&gc, &r), ECONNRESET);
	t_report_is(&r, GRACECLOSE_WAS_RESET, ECONNRESET, T_KNOWS(1, 0), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("icmp");
	TCase *tc;

	t_link_prepare();
	tc = t_case(s, "looks");
	tcase_add_loop_test(tc,
	    recv_returns_an_icmp_error_once_and_the_connection_goes_on, 0,
	    MESSAGES);
	tcase_add_loop_test(tc,
	    probe_after_icmp_says_open_and_leaves_the_error_to_recv, 0,
	    MESSAGES);
	tc = t_case(s, "closes");
	tcase_add_loop_test(tc, icmp_before_the_close_is_no_reset, 0,
	    MESSAGES);
	tcase_add_loop_test(tc, icmp_before_a_lingering_close_is_no_reset, 0,
	    MESSAGES);
	tcase_add_loop_test(tc, icmp_between_steps_is_no_reset, 0, MESSAGES);
	tcase_add_loop_test(tc, reset_behind_icmp_is_econnreset, 0, MESSAGES);
	return t_main(s);
}
