/*
 * peer_closed: its result in every state, and that it changes nothing
 */
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

/* An index for every state, family and side. */
#define NCASES	(t_nstates * T_ANY)

static const struct t_state *
state(int i)
{
	return &t_states[i / T_ANY];
}

static void
verdict(const struct t_state *s, int i, int fd)
{
	int e, got, closed = t_state_closed(s, i);

	errno = T_ERRNO_UNTOUCHED;
	got = peer_closed(fd);
	e = errno;
	ck_assert_msg(got == closed, "%s (%s): %d, not %d", s->name,
	    t_families[i / 2].name, got, closed);
	if (got == -1)
		ck_assert_str_eq(t_errno(e), "ECONNRESET");
	else
		ck_assert_int_eq(e, T_ERRNO_UNTOUCHED);
}

START_TEST(every_state_is_called_by_its_name)
{
	const struct t_state *s = state(_i);
	int i = _i % T_ANY;
	struct t_pair p;

	if (i / 2 >= s->families)
		return;
	t_need_any(i);
	t_need_state(s);
	t_state_pair(&p, s, i);
	verdict(s, i, p.us);
	verdict(s, i, p.us);
	verdict(s, i, p.us);
	t_close_pair(&p);
}
END_TEST

/*
 * The results of a caller's next calls, as text: two reads, the pending error,
 * two writes, another read, and the flags.
 */
static void
future(int fd, char *buf, size_t size)
{
	static char data[65536];
	socklen_t len;
	size_t at;
	ssize_t n;
	int error, i;

	at = (size_t)snprintf(buf, size, "flags %x", fcntl(fd, F_GETFL));
	for (i = 0; i < 2; i++) {
		n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
		at += (size_t)snprintf(buf + at, size - at, ", recv %zd %s", n,
		    n == -1 ? t_errno(errno) : "");
	}
	len = sizeof(error);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	at += (size_t)snprintf(buf + at, size - at, ", error %s",
	    t_errno(error));
	for (i = 0; i < 2; i++)
		at += (size_t)snprintf(buf + at, size - at, ", send %s",
		    t_errno(t_try_write(fd)));
	n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
	snprintf(buf + at, size - at, ", recv %zd", n);
}

/*
 * Two connections reach the same state, and peer_closed() is called on one of
 * them: afterwards both give the same results.  A write to a peer that is gone
 * races with its RST, so the test compares the second write only where the peer
 * lives.
 */
START_TEST(nothing_is_consumed)
{
	const struct t_state *s = state(_i);
	int i = _i % T_ANY;
	struct t_pair seen, unseen;
	char a[512], b[512];

	if (i / 2 >= s->families)
		return;
	t_need_any(i);
	t_need_state(s);
	t_state_pair(&seen, s, i);
	t_state_pair(&unseen, s, i);
	verdict(s, i, seen.us);
	verdict(s, i, seen.us);
	future(seen.us, a, sizeof(a));
	future(unseen.us, b, sizeof(b));
	if (seen.peer == -1 && s->closed == 1) {
		*strstr(a, ", send") = '\0';
		*strstr(b, ", send") = '\0';
	}
	ck_assert_msg(strcmp(a, b) == 0,
	    "%s (%s):\nlooked at: %s\nnot:       %s", s->name,
	    t_families[i / 2].name, a, b);
	t_close_pair(&seen);
	t_close_pair(&unseen);
}
END_TEST

START_TEST(next_read_after_the_look_still_sees_the_reset)
{
	struct t_pair p;
	char c;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_reset(p.peer);
	t_wait_reset(p.us);
	t_fails(peer_closed(p.us), ECONNRESET);
	t_fails(recv(p.us, &c, 1, 0), ECONNRESET);
	if (T_PORTABLE || (t_no_fin_look() != NULL && _i % 2 == 1 &&
	    _i / 2 < T_PLAIN))
		t_returns(peer_closed(p.us), 1);
	else
		t_fails(peer_closed(p.us), ECONNRESET);
	t_close(p.us);
}
END_TEST

/*
 * The peer closed with our data unread, or our write reached its closed
 * socket.  The write before succeeded, and only this look shows that it was
 * lost.
 */
START_TEST(write_into_a_closed_peer_shows_at_the_next_look)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_close(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_returns(peer_closed(p.us), 1);
	t_write(p.us, 1);
	t_wait_dead(p.us);
	t_fails(peer_closed(p.us), ECONNRESET);
	t_close(p.us);
}
END_TEST

START_TEST(connection_that_the_kernel_gave_up_is_dead)
{
	struct t_pair p;
	int ms;

	t_need_filters();
	t_pair(&p, _i);
	ms = 200;
	ck_assert_int_eq(setsockopt(p.us, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms,
	    sizeof(ms)), 0);
	t_drop(p.us, T_DROP_ALL);
	t_write(p.us, 100);
	t_returns(peer_closed(p.us), 0);
	t_wait_dead(p.us);
	t_fails(peer_closed(p.us), ECONNRESET);
	t_close_pair(&p);
}
END_TEST

/* A limit of the probe, not a promise. */
START_TEST(peer_that_vanished_in_silence_looks_open)
{
	struct t_pair p;

	t_need_repair();
	t_pair(&p, _i);
	t_vanish(p.peer);
	t_returns(peer_closed(p.us), 0);
	t_close(p.us);
}
END_TEST

static void
send_zerocopy(int fd)
{
	static const char data[16384];
	int on;

	on = 1;
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on,
	    sizeof(on)), 0);
	ck_assert_int_eq(send(fd, data, sizeof(data), MSG_ZEROCOPY |
	    MSG_NOSIGNAL), (int)sizeof(data));
}

static void
notification_waits(int fd)
{
	struct msghdr msg;
	char control[256];

	memset(&msg, 0, sizeof(msg));
	msg.msg_control = control;
	msg.msg_controllen = sizeof(control);
	ck_assert_int_eq(recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT), 0);
	ck_assert_uint_gt(msg.msg_controllen, 0);
}

START_TEST(zerocopy_notification_is_not_death)
{
	struct t_pair p;

	t_pair(&p, _i);
	send_zerocopy(p.us);
	t_read(p.peer, 16384);
	t_wait_poll(p.us, POLLERR);
	t_returns(peer_closed(p.us), 0);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_returns(peer_closed(p.us), 1);
	notification_waits(p.us);
	t_close_pair(&p);
}
END_TEST

START_TEST(zerocopy_notification_does_not_hide_death)
{
	struct t_pair p;

	t_pair(&p, _i);
	send_zerocopy(p.us);
	t_read(p.peer, 16384);
	t_wait_poll(p.us, POLLERR);
	t_reset(p.peer);
	t_wait_poll(p.us, POLLHUP);
	t_fails(peer_closed(p.us), ECONNRESET);
	notification_waits(p.us);
	t_close(p.us);
}
END_TEST

START_TEST(time_stamp_is_not_death)
{
	struct t_pair p;
	int on;

	t_pair(&p, _i);
	on = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE |
	    SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_OPT_TSONLY;
	ck_assert_int_eq(setsockopt(p.us, SOL_SOCKET, SO_TIMESTAMPING, &on,
	    sizeof(on)), 0);
	t_write(p.us, 100);
	t_read(p.peer, 100);
	t_wait_poll(p.us, POLLERR);
	t_returns(peer_closed(p.us), 0);
	t_close_pair(&p);
}
END_TEST

START_TEST(nonblocking_flag_makes_no_difference)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_nonblock(p.us);
	t_returns(peer_closed(p.us), 0);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_returns(peer_closed(p.us), 1);
	t_close_pair(&p);
}
END_TEST

/*
 * Cost.  The test traces a child, which stops at each system call; getppid(2)
 * marks the beginning and the end.
 */

static void
look_between_marks(int fd)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1)
		_exit(77);
	raise(SIGSTOP);
	syscall(SYS_getppid);
	if (peer_closed(fd) != 0)
		_exit(1);
	syscall(SYS_getppid);
	_exit(0);
}

static int
count_calls(pid_t pid)
{
	struct __ptrace_syscall_info info;
	int calls, marks, status;

	calls = marks = 0;
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD);
	while (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0 &&
	    waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		if (WSTOPSIG(status) != (SIGTRAP | 0x80) ||
		    ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info),
		    &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
			continue;
		if (info.entry.nr == SYS_getppid)
			marks++;
		else if (marks == 1)
			calls++;
	}
	ck_assert_int_eq(marks, 2);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	    "child: status 0x%x", (unsigned)status);
	return calls;
}

START_TEST(quiet_open_connection_costs_one_system_call)
{
	struct t_pair p;
	pid_t pid;
	int status;

	t_need_any(_i);
	if (T_VALGRIND)
		t_skip("valgrind makes calls of its own");
	t_pair_any(&p, _i);
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0)
		look_between_marks(p.us);
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	t_close_pair(&p);
	if (WIFEXITED(status))
		t_skip("no ptrace here");
	ck_assert_int_eq(count_calls(pid), 1);
}
END_TEST

/*
 * Not a connection
 */

START_TEST(what_is_no_connection_is_never_a_closed_peer)
{
	int fd;

	t_need(t_odds[_i].family);
	fd = t_odd_open(&t_odds[_i]);
	t_fails(peer_closed(fd), t_odds[_i].error);
	t_fails(peer_closed(fd), t_odds[_i].error);
	t_close(fd);
}
END_TEST

START_TEST(refused_connection_is_no_connection)
{
	union {
		struct sockaddr		sa;
		struct sockaddr_storage	ss;
	} a;
	socklen_t len;
	int fd, lfd;

	t_need(_i);
	lfd = t_listen(_i);
	len = sizeof(a);
	ck_assert_int_eq(getsockname(lfd, &a.sa, &len), 0);
	t_close(lfd);
	fd = t_socket(_i);
	t_fails(connect(fd, &a.sa, len), ECONNREFUSED);
	t_fails(peer_closed(fd), ENOTCONN);
	t_close(fd);
}
END_TEST

START_TEST(no_descriptor_is_ebadf)
{
	t_fails(peer_closed(-1), EBADF);
	t_fails(peer_closed(INT32_MAX), EBADF);
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("peer_closed");
	tc = t_case(s, "states");
	tcase_add_loop_test(tc, every_state_is_called_by_its_name, 0, NCASES);
	tcase_add_loop_test(tc, nothing_is_consumed, 0, NCASES);
	tcase_add_loop_test(tc, next_read_after_the_look_still_sees_the_reset,
	    0, T_ANY_TCP);
	tcase_add_loop_test(tc,
	    write_into_a_closed_peer_shows_at_the_next_look, 0, T_ANY_PLAIN);
	tcase_add_loop_test(tc, connection_that_the_kernel_gave_up_is_dead, 0,
	    T_PLAIN);
	tcase_add_loop_test(tc, peer_that_vanished_in_silence_looks_open, 0,
	    T_PLAIN);
	tcase_add_loop_test(tc, nonblocking_flag_makes_no_difference, 0,
	    T_ANY);

	tc = t_case(s, "error queue");
	tcase_add_loop_test(tc, zerocopy_notification_is_not_death, 0,
	    T_PLAIN);
	tcase_add_loop_test(tc, zerocopy_notification_does_not_hide_death, 0,
	    T_PLAIN);
	tcase_add_loop_test(tc, time_stamp_is_not_death, 0, T_PLAIN);

	tc = t_case(s, "cost");
	tcase_add_loop_test(tc, quiet_open_connection_costs_one_system_call, 0,
	    T_ANY_TCP);

	tc = t_case(s, "no connection");
	tcase_add_loop_test(tc, what_is_no_connection_is_never_a_closed_peer,
	    0, T_ODDS);
	tcase_add_loop_test(tc, refused_connection_is_no_connection, 0,
	    T_FAMILIES);
	tcase_add_test(tc, no_descriptor_is_ebadf);
	return t_main(s);
}
