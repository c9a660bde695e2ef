/*
 * check_crowd.c - servers that end their connections in every way, and what
 * replycheck says of them
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <stdint.h>
#include <unistd.h>

#include "replycheck/asked.h"
#include "support/util.h"

#define REQUESTS	5
#define UPLOAD		((uint64_t)16 << 20)	/* more than queues hold */
#define SMALL		1000
#define SILENCE_MS	t_patient(1000)

static const char head[] = "POST / HTTP/1.1\r\n\r\n";

/*
 * What the server does with a connection; the first bytes of the request are
 * there, and are unread.  It runs in a thread, and asserts nothing.
 */

static void
say(int fd, const char *text)
{
	(void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void
replies_and_drains(int fd)
{
	say(fd, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno");
	asked_drain(fd);
}

static void
replies_and_closes(int fd)
{
	say(fd, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno");
}

static void
loses_a_part(int fd)
{
	say(fd, "HTTP/1.1 413 No\r\nContent-Length: 3\r\n\r\nno");
}

static void
cuts_it_short(int fd)
{
	loses_a_part(fd);
	asked_drain(fd);
}

static void
says_nothing(int fd)
{
	asked_drain(fd);
}

static void
resets(int fd)
{
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER,
	    &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
}

static void
is_silent(int fd)
{
	static char buf[65536];

	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
}

static void
takes_all(int fd)
{
	char buf[sizeof(head) - 1 + SMALL];

	(void)recv(fd, buf, sizeof(buf), MSG_WAITALL);
	replies_and_drains(fd);
}

static const struct manner {
	const char	 *name;
	void		(*serve)(int fd);
	uint64_t	 upload;
	enum attempt_end end;
	int		 status;
	bool		 tcp;		/* not HTTP */
	bool		 stops;		/* a simple client stops there */
	bool		 late;
} manners[] = {
	{ "drains", replies_and_drains, UPLOAD, ATTEMPT_WHOLE, 413, false,
	    false, false },
	{ "tcp", replies_and_drains, UPLOAD, ATTEMPT_WHOLE, 0, true, false,
	    false },
	{ "closes", replies_and_closes, UPLOAD, ATTEMPT_WHOLE, 413, false,
	    true, false },
	{ "loses", loses_a_part, UPLOAD, ATTEMPT_RESET, 413, false, true,
	    false },
	{ "cuts", cuts_it_short, UPLOAD, ATTEMPT_TRUNCATED, 413, false, false,
	    false },
	{ "nothing", says_nothing, UPLOAD, ATTEMPT_NONE, 0, false, false,
	    false },
	{ "resets", resets, UPLOAD, ATTEMPT_RESET, 0, false, true, false },
	{ "silent", is_silent, SMALL, ATTEMPT_TIMEOUT, 0, false, false, true },
	{ "takes all", takes_all, SMALL, ATTEMPT_WHOLE, 413, false, false,
	    true },
};
#define MANNERS	((int)(sizeof(manners) / sizeof(manners[0])))

static void
serve(int fd, const void *arg)
{
	const struct manner *m = arg;
	char c;

	(void)recv(fd, &c, 1, MSG_PEEK);
	m->serve(fd);
}

static void
ask(struct crowd *c, const struct manner *m, bool reads_while, int slow_ms)
{
	const struct request r = { head, sizeof(head) - 1, m->upload, NULL,
	    !m->tcp, reads_while, slow_ms, m->end == ATTEMPT_TIMEOUT ?
	    SILENCE_MS : T_LIMIT_MS };

	asked(c, &r, REQUESTS, serve, m);
}

/* A client that reads while it sends may have the reply before that fails. */
START_TEST(end_of_each_request_is_counted)
{
	const struct manner *m = &manners[_i / 2];
	bool reads_while = _i % 2 != 0;
	int whole = m->end == ATTEMPT_WHOLE ? REQUESTS : 0;
	struct crowd c;

	ask(&c, m, reads_while, 0);
	ck_assert_int_eq(c.number, REQUESTS);
	ck_assert_msg(c.ends[m->end] == REQUESTS, "%s: %d of %d", m->name,
	    c.ends[m->end], REQUESTS);
	ck_assert_int_eq(crowd_lost(&c), REQUESTS - whole);
	ck_assert_int_eq(c.late, m->late ? REQUESTS : 0);
	ck_assert_int_eq(c.statuses[0].status, m->status);
	ck_assert_int_eq(c.statuses[0].number, m->status != 0 ? REQUESTS : 0);
	ck_assert_int_eq(c.statuses[1].number, 0);
	if (reads_while && m->stops)
		return;
	ck_assert_int_eq(c.send_failed, m->stops ? REQUESTS : 0);
	ck_assert_int_eq(c.simple, m->stops ? 0 : whole);
}
END_TEST

/* The client looks at its connection for the first time when all is over. */
START_TEST(reply_is_found_behind_a_reset_that_came_first)
{
	const struct request r = { head, sizeof(head) - 1, SMALL, NULL, true,
	    _i != 0, 0, T_LIMIT_MS };
	int listener = t_listen(T_IPV4), fd;
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	struct attempt a;
	struct pollfd p;

	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&addr,
	    &len), 0);
	attempt_begin(&a, &r, (struct sockaddr *)&addr, len);
	fd = t_accept(listener);
	replies_and_closes(fd);
	resets(fd);
	t_close(fd);
	t_wait_reset(a.wire.fd);
	while (!attempt_over(&a)) {
		(void)poll(&p, 1, attempt_wants(&a, &r, &p));
		attempt_step(&a, &r, p.revents);
	}
	ck_assert_int_eq(a.end, ATTEMPT_WHOLE);
	ck_assert(!attempt_simple(&a));
	t_close(listener);
}
END_TEST

START_TEST(server_that_is_not_there_is_counted)
{
	const struct request r = { head, sizeof(head) - 1, SMALL, NULL, true,
	    false, 0, T_LIMIT_MS };
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	int bound = t_socket(T_IPV4);	/* and nobody listens */
	struct crowd c;

	memset(&addr, 0, sizeof(addr));
	addr.ss_family = AF_INET;
	ck_assert_int_eq(bind(bound, (struct sockaddr *)&addr,
	    sizeof(struct sockaddr_in)), 0);
	ck_assert_int_eq(getsockname(bound, (struct sockaddr *)&addr, &len),
	    0);
	crowd_run(&c, &r, (struct sockaddr *)&addr, len, REQUESTS, 2, NULL);
	ck_assert_int_eq(c.ends[ATTEMPT_UNCONNECTED], REQUESTS);
	ck_assert_int_eq(c.late, 0);
	ck_assert_int_eq(crowd_asked(&c), 0);
	ck_assert_int_eq(crowd_lost(&c), 0);
	t_error_is(c.error, ECONNREFUSED);
	t_close(bound);
}
END_TEST

/* It waits once, between the head and the body. */
START_TEST(slow_client_rests_between_blocks)
{
	int64_t start = t_now_ms();
	struct crowd c;

	ask(&c, &manners[MANNERS - 1], _i != 0, SILENCE_MS);
	ck_assert_int_eq(c.ends[ATTEMPT_WHOLE], REQUESTS);
	ck_assert_int_ge(t_now_ms() - start, SILENCE_MS);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("crowd");
	TCase *tc = t_case(s, "crowd");

	tcase_add_loop_test(tc, end_of_each_request_is_counted, 0,
	    2 * MANNERS);
	tcase_add_loop_test(tc, reply_is_found_behind_a_reset_that_came_first,
	    0, 2);
	tcase_add_test(tc, server_that_is_not_there_is_counted);
	tcase_add_loop_test(tc, slow_client_rests_between_blocks, 0, 2);
	return t_main(s);
}
