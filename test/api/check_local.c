/*
 * AF_UNIX: delivered means that the peer's program has read every byte
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <graceclose.h>

#include "api/every_form.h"
#include "support/util.h"

#define SIZE		50000
#define SHORT_MS	150
#define SOON_MS		1000	/* late, on a machine with much to do */

/* How the two ends came about; an index. */
enum { ACCEPTED, CONNECTED, SOCKETPAIR, WAYS };

static void
pair(struct t_pair *p, int i)
{
	int fds[2];

	switch (i % WAYS) {
	case ACCEPTED:
		t_pair(p, T_UNIX);
		break;
	case CONNECTED:
		t_pair_connecting(p, T_UNIX);
		break;
	default:
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM |
		    SOCK_CLOEXEC, 0, fds), 0);
		*p = (struct t_pair){ fds[0], fds[1] };
	}
}

/* Bytes that the peer's program has not read. */
static void
pair_with_unread(struct t_pair *p, int i)
{
	pair(p, i);
	t_write(p->us, SIZE);
	t_wait_inq(p->peer, SIZE);
}

static void
was_silent(int64_t begun)
{
	t_between(t_now_ms() - begun, SHORT_MS - 1, SHORT_MS + SOON_MS);
}

static void
read_it(int fd)
{
	(void)t_read_all(fd);
}

/*
 * linger_close: delivered is enough
 */

START_TEST(linger_close_to_a_peer_that_reads_nothing_expires)
{
	struct t_pair p;
	int64_t begun;

	pair_with_unread(&p, _i);
	begun = t_now_ms();
	t_fails(linger_close(p.us, SHORT_MS), ETIMEDOUT);
	was_silent(begun);
	t_released(p.us);
	t_close(p.peer);
}
END_TEST

/* One byte is as much as all. */
START_TEST(linger_close_to_a_peer_that_reads_all_but_a_byte_expires)
{
	struct t_pair p;
	int64_t begun;

	pair_with_unread(&p, _i);
	t_read(p.peer, SIZE - 1);
	begun = t_now_ms();
	t_fails(linger_close(p.us, SHORT_MS), ETIMEDOUT);
	was_silent(begun);
	t_close(p.peer);
}
END_TEST

static int64_t
from_the_last_byte(int i)
{
	struct t_reader peer;
	struct t_pair p;
	int64_t end;

	pair_with_unread(&p, i);
	t_reader_later(&peer, p.peer, SHORT_MS);
	t_ok(linger_close(p.us, T_LIMIT_MS));
	end = t_now_ms();
	t_released(p.us);
	t_saw(t_reader_join(&peer), SIZE, 0);
	t_close(p.peer);
	return llabs(end - peer.done_ms);
}

START_TEST(linger_close_returns_once_the_peer_has_read_everything)
{
	t_not_portable(T_NO_ACK);
	t_prompt(from_the_last_byte, _i, 150);
}
END_TEST

static void
returns_at_once(struct t_pair *p)
{
	int64_t begun = t_now_ms();

	t_ok(linger_close(p->us, T_LIMIT_MS));
	t_between(t_now_ms() - begun, 0, SOON_MS);
	t_saw(t_read_all(p->peer), 0, 0);
	t_close(p->peer);
}

START_TEST(linger_close_of_what_was_read_before_returns_at_once)
{
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	pair_with_unread(&p, _i);
	t_read(p.peer, SIZE);
	returns_at_once(&p);
}
END_TEST

START_TEST(linger_close_of_nothing_sent_returns_at_once)
{
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	pair(&p, _i);
	returns_at_once(&p);
}
END_TEST

/*
 * graceful_close: the peer must have finished as well
 */

START_TEST(graceful_close_waits_until_the_peer_has_read_and_closed)
{
	struct t_reader peer;
	struct t_pair p;

	pair_with_unread(&p, _i);
	t_reader(&peer, p.peer, 1);
	t_ok(graceful_close(p.us));
	t_released(p.us);
	t_saw(t_reader_join(&peer), SIZE, 0);
}
END_TEST

/* Index: way, and whether it half-closes before. */
START_TEST(peer_that_closes_over_unread_data_is_econnreset)
{
	struct t_later l;
	struct t_pair p;

	pair_with_unread(&p, _i);
	if (_i / WAYS == 1) {
		t_fin(p.peer);
		t_wait_poll(p.us, POLLRDHUP);
	}
	t_later(&l, 50, t_close, p.peer);
	t_fails(graceful_close(p.us), ECONNRESET);
	t_later_join(&l);
	t_released(p.us);
}
END_TEST

START_TEST(peer_that_has_closed_over_unread_data_is_econnreset)
{
	struct t_pair p;

	pair_with_unread(&p, _i);
	t_close(p.peer);
	t_fails(graceful_close(p.us), ECONNRESET);
	t_released(p.us);
}
END_TEST

/*
 * The report, in every form.  Index: form, way.
 */

START_TEST(unread_at_the_peer_is_not_delivered)
{
	struct t_pair p;

	pair_with_unread(&p, _i / NFORMS);
	form_given(_i, GRACECLOSE_DELIVERED, SHORT_MS, -1);
	form_close(p.us);
	form_failed(ETIMEDOUT);
	form_knows(0, 0);
	t_saw(t_read_all(p.peer), SIZE, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(half_closed_peer_that_reads_nothing_is_finished_and_no_more)
{
	struct t_pair p;

	pair_with_unread(&p, _i / NFORMS);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	form_given(_i, GRACECLOSE_FINISHED, SHORT_MS, -1);
	form_close(p.us);
	form_failed(ETIMEDOUT);
	form_knows(0, T_KNOWS(1, closed.report.finished));
	t_saw(t_read_all(p.peer), SIZE, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(read_by_the_peer_is_delivered)
{
	struct t_later l;
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	pair_with_unread(&p, _i / NFORMS);
	form_given(_i, GRACECLOSE_DELIVERED, -1, -1);
	t_later(&l, 50, read_it, p.peer);
	form_close(p.us);
	t_later_join(&l);
	form_succeeded(0);
	t_close(p.peer);
}
END_TEST

/*
 * Reading is progress, as an acknowledgement is.  The kernel counts whole
 * buffers, here of 64 KiB: the peer needs 320 ms for each.
 */
#define BUFFERS		((size_t)3 * 65536)

static void
close_with_a_slow_reader(int i)
{
	struct t_reader peer;
	struct t_pair p;

	pair(&p, i / NFORMS);
	t_write(p.us, BUFFERS);
	t_reader_slow(&peer, p.peer);
	form_given(i, GRACECLOSE_FINISHED, -1, 700);
	form_close(p.us);
	t_saw(t_reader_join(&peer), BUFFERS, 0);
	t_close(p.peer);
}

START_TEST(reading_is_progress)
{
	int tries = 0;

	t_not_portable(T_NO_ACK);
	do
		close_with_a_slow_reader(_i);
	while (closed.value != 0 && ++tries < T_TRIES);
	form_succeeded(1);
	form_took(710, 8000);
}
END_TEST

START_TEST(detached_close_leaves_everything_to_read)
{
	struct t_pair p;

	pair_with_unread(&p, _i / NFORMS);
	form_given(_i, GRACECLOSE_FINISHED, 50, -1);
	form_close(p.us);
	form_failed(ETIMEDOUT);
	t_saw(t_read_all(p.peer), SIZE, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(reset_of_a_peer_that_left_bytes_unread_says_not_delivered)
{
	struct t_pair p;

	pair_with_unread(&p, _i / NFORMS);
	t_close(p.peer);
	form_given(_i, GRACECLOSE_FINISHED, 0, 0);
	form_close(p.us);
	form_failed(ECONNRESET);
	ck_assert_int_eq(closed.report.delivered, 0);
}
END_TEST

/*
 * The program took the ECONNRESET before: the kernel has thrown the unread
 * bytes away with the peer's socket, and nothing tells this end from an orderly
 * one (unix_release_sock()).  The close does not wait for anything.
 */
START_TEST(close_after_the_error_was_taken_does_not_wait)
{
	struct t_pair p;
	int64_t begun;

	pair_with_unread(&p, _i / NFORMS);
	t_close(p.peer);
	t_error_is(t_pending_error(p.us), ECONNRESET);
	form_given(_i, GRACECLOSE_FINISHED, -1, -1);
	begun = t_now_ms();
	form_close(p.us);
	t_between(t_now_ms() - begun, 0, SOON_MS);
	ck_assert(closed.released);
	ck_assert_int_ne(closed.report.outcome, GRACECLOSE_EXPIRED);
	if (closed.value == -1 && closed.error != ENOTCONN)
		t_error_is(closed.error, ECONNRESET);
}
END_TEST

/*
 * Late input: it may carry descriptors, which the kernel releases with it.
 */

static void
send_descriptor(int to, int fd)
{
	union {
		struct cmsghdr	align;
		char		buf[CMSG_SPACE(sizeof(fd))];
	} control;
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr msg;
	struct cmsghdr *cmsg;

	memset(&msg, 0, sizeof(msg));
	memset(&control, 0, sizeof(control));
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	msg.msg_control = control.buf;
	msg.msg_controllen = sizeof(control.buf);
	cmsg = CMSG_FIRSTHDR(&msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	ck_assert_int_eq(sendmsg(to, &msg, MSG_NOSIGNAL), 1);
}

static size_t	bytes_taken;

static void
take(void *arg, const void *data, size_t n)
{
	(void)data;
	*(size_t *)arg += n;
}

/* Index: form, and whether late() takes the input. */
START_TEST(descriptors_in_late_input_are_not_left_open)
{
	int fds[2], i, before;
	struct t_pair p;
	char c;

	pair(&p, SOCKETPAIR);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	for (i = 0; i < 10; i++)
		send_descriptor(p.peer, fds[1]);
	t_fin(p.peer);
	t_close(fds[1]);
	before = t_fd_count();
	bytes_taken = 0;
	form_given(_i, GRACECLOSE_FINISHED, 0, 0);
	if (_i / NFORMS == 1) {
		way.opts.late = take;
		way.opts.arg = &bytes_taken;
	}
	form_close(p.us);
	form_succeeded(1);
	ck_assert_uint_eq(closed.report.discarded, 10);
	ck_assert_uint_eq(bytes_taken, _i / NFORMS == 1 ? 10 : 0);
	ck_assert_int_eq(t_fd_count(), before - 1);
	/* No writer is left: the pipe is at its end. */
	t_wait_poll(fds[0], POLLIN);
	ck_assert_int_eq(read(fds[0], &c, 1), 0);
	t_close(fds[0]);
	t_close(p.peer);
}
END_TEST

static void
reports(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "report");
	tcase_add_loop_test(tc, unread_at_the_peer_is_not_delivered, 0,
	    NFORMS * WAYS);
	tcase_add_loop_test(tc,
	    half_closed_peer_that_reads_nothing_is_finished_and_no_more, 0,
	    NFORMS * WAYS);
	tcase_add_loop_test(tc, read_by_the_peer_is_delivered, 0,
	    NFORMS * WAYS);
	tcase_add_loop_test(tc, reading_is_progress, 0, NFORMS);
	tcase_add_loop_test(tc, detached_close_leaves_everything_to_read, 0,
	    NFORMS * WAYS);
	tcase_add_loop_test(tc,
	    reset_of_a_peer_that_left_bytes_unread_says_not_delivered, 0,
	    NFORMS * WAYS);
	tcase_add_loop_test(tc, close_after_the_error_was_taken_does_not_wait,
	    0, NFORMS * WAYS);
	tcase_add_loop_test(tc, descriptors_in_late_input_are_not_left_open,
	    0, 2 * NFORMS);
}

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("local");
	tc = t_case(s, "linger_close");
	tcase_add_loop_test(tc,
	    linger_close_to_a_peer_that_reads_nothing_expires, 0, WAYS);
	tcase_add_loop_test(tc,
	    linger_close_to_a_peer_that_reads_all_but_a_byte_expires, 0, WAYS);
	tcase_add_loop_test(tc,
	    linger_close_returns_once_the_peer_has_read_everything, 0, WAYS);
	tcase_add_loop_test(tc,
	    linger_close_of_what_was_read_before_returns_at_once, 0, WAYS);
	tcase_add_loop_test(tc, linger_close_of_nothing_sent_returns_at_once,
	    0, WAYS);

	tc = t_case(s, "graceful_close");
	tcase_add_loop_test(tc,
	    graceful_close_waits_until_the_peer_has_read_and_closed, 0, WAYS);
	tcase_add_loop_test(tc,
	    peer_that_closes_over_unread_data_is_econnreset, 0, 2 * WAYS);
	tcase_add_loop_test(tc,
	    peer_that_has_closed_over_unread_data_is_econnreset, 0, WAYS);
	reports(s);
	return t_main(s);
}
