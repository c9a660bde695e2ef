/*
 * check_syscalls.c - where the number of system calls is a promise
 *
 * The program runs itself under strace(1), in one of the roles below.  The
 * counted calls are those between two calls of getppid(2).
 */
#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <bsd/stdlib.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "graceclose.h"
#include "support/util.h"

#define MANY	1000

/*
 * Roles of the traced program.  They return 0 if the call had the expected
 * result.
 */

static void
mark(void)
{
	(void)getppid();
}

static int
do_nothing(int family)
{
	(void)family;
	mark();
	mark();
	return 0;
}

static int
do_peer_closed(int family)
{
	struct t_pair p;
	int closed;

	t_pair(&p, family);
	mark();
	closed = peer_closed(p.us);
	mark();
	return closed;
}

static int
do_graceful_close(int family)
{
	struct t_pair p;
	int r;

	t_pair(&p, family);
	t_write(p.us, 100);
	t_read(p.peer, 100);
	t_wait_outq(p.us, 0);
	t_fin(p.peer);
	t_wait_readable(p.us);
	mark();
	r = graceful_close(p.us);
	mark();
	return r;
}

static int
do_abort_close(int family)
{
	struct t_pair p;
	int r;

	t_pair(&p, family);
	mark();
	r = abort_close(p.us);
	mark();
	return r;
}

/*
 * Both ends of every connection are probed, so half as many connections are
 * enough.
 */
static int
do_probe_many(int family)
{
	static unsigned char bits[MANY];
	static int fds[MANY];
	struct t_pair p;
	int i, r;

	for (i = 0; i < MANY; i += 2) {
		t_pair(&p, family);
		fds[i] = p.us;
		fds[i + 1] = p.peer;
	}
	mark();
	r = graceclose_probe_many(fds, MANY, bits);
	mark();
	for (i = 0; i < MANY; i++)
		r |= bits[i];
	return r;
}

enum { NOTHING, PEER_CLOSED, GRACEFUL_CLOSE, ABORT_CLOSE, PROBE_MANY };

static int (*const roles[])(int) = {
	do_nothing,
	do_peer_closed,
	do_graceful_close,
	do_abort_close,
	do_probe_many
};

static int my_role, my_family;

START_TEST(play)
{
	ck_assert_int_eq(roles[my_role](my_family), 0);
}
END_TEST

/*
 * The helpers need libcheck's runner around them.  The program calls _exit,
 * because a leak checker cannot work in a traced process.
 */
static void
play_role(const char *role, const char *family)
{
	SRunner *sr;
	TCase *tc;
	Suite *s;

	my_role = (int)strtonum(role, 0, 1000, NULL);
	my_family = (int)strtonum(family, 0, 1000, NULL);
	s = suite_create("role");
	tc = tcase_create("role");
	tcase_add_test(tc, play);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_SILENT);
	_exit(srunner_ntests_failed(sr) == 0 ? 0 : 1);
}

/*
 * Counting, in the test
 */

/* The exit status of the role, with the record in `fd`. */
static int
trace(int role, int family, int fd)
{
	char self[PATH_MAX], out[32], role_arg[16], family_arg[16];
	int status;
	ssize_t n;
	pid_t pid;

	ck_assert_int_gt(n = readlink("/proc/self/exe", self,
	    sizeof(self) - 1), 0);
	self[n] = '\0';
	snprintf(out, sizeof(out), "/dev/fd/%d", fd);
	snprintf(role_arg, sizeof(role_arg), "%d", role);
	snprintf(family_arg, sizeof(family_arg), "%d", family);
	ck_assert_int_ne(pid = fork(), -1);
	if (pid == 0) {
		if (role == NOTHING)	/* what it complains of is no news */
			close(STDERR_FILENO);
		execlp("strace", "strace", "-qq", "-e", "trace=all", "-o", out,
		    self, role_arg, family_arg, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The number of calls between the marks, and how many of them are poll(2). */
static void
count(FILE *record, int *calls, int *polls)
{
	char line[65536];
	int marks;

	*calls = *polls = marks = 0;
	rewind(record);
	while (fgets(line, sizeof(line), record) != NULL) {
		if (strncmp(line, "getppid(", 8) == 0)
			marks++;
		else if (marks == 1 && line[0] != '-' && line[0] != '+') {
			++*calls;
			if (strncmp(line, "poll(", 5) == 0 ||
			    strncmp(line, "ppoll(", 6) == 0)
				++*polls;
		}
	}
	ck_assert_int_eq(marks, 2);
}

static void
counted(int role, int family, int *calls, int *polls)
{
	FILE *record;

	ck_assert_ptr_nonnull(record = tmpfile());
	ck_assert_int_eq(trace(role, family, fileno(record)), 0);
	count(record, calls, polls);
	fclose(record);
}

/* Why the calls cannot be counted here, or NULL. */
static const char *
untraceable(void)
{
	FILE *record;
	int status;

	ck_assert_ptr_nonnull(record = tmpfile());
	status = trace(NOTHING, T_IPV4, fileno(record));
	fclose(record);
	if (status == 127)
		return "strace(1) is not installed";
	return status == 0 ? NULL : "ptrace(2) is not allowed here";
}

#define t_need_strace() do {						\
	const char *t_why_ = untraceable();				\
	if (t_why_ != NULL)						\
		t_skip(t_why_);						\
} while (0)

START_TEST(peer_closed_is_one_poll_on_a_quiet_connection)
{
	int calls, polls;

	t_need(_i);
	t_need_strace();
	counted(PEER_CLOSED, _i, &calls, &polls);
	ck_assert_int_eq(calls, 1);
	ck_assert_int_eq(polls, 1);
}
END_TEST

START_TEST(graceful_close_after_the_peers_fin_is_seven_calls)
{
	int calls, polls;

	t_not_portable(T_NO_EDGE);
	t_need(_i);
	t_need_strace();
	counted(GRACEFUL_CLOSE, _i, &calls, &polls);
	ck_assert_int_le(calls, 7);
}
END_TEST

START_TEST(abort_close_is_five_calls)
{
	int calls, polls;

	t_need(_i);
	t_need_strace();
	counted(ABORT_CLOSE, _i, &calls, &polls);
	ck_assert_int_le(calls, T_KNOWS(5, 7));
}
END_TEST

/* The traced program inherits the resource limits of this one. */
START_TEST(probe_many_is_one_poll_over_a_thousand_quiet_connections)
{
	struct rlimit rl, enough;
	int calls, polls;

	t_need(_i);
	t_need_strace();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &rl), 0);
	enough = rl;
	if (enough.rlim_cur < MANY + 64)
		enough.rlim_cur = MANY + 64;
	if (setrlimit(RLIMIT_NOFILE, &enough) == -1)
		t_skip("too few descriptors are allowed here");
	counted(PROBE_MANY, _i, &calls, &polls);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &rl), 0);
	ck_assert_int_eq(calls, 1);
	ck_assert_int_eq(polls, 1);
}
END_TEST

int
main(int argc, char *argv[])
{
	Suite *s;
	TCase *tc;

	if (argc == 3)
		play_role(argv[1], argv[2]);
	s = suite_create("syscalls");
	tc = t_case(s, "syscalls");
	tcase_add_loop_test(tc,
	    peer_closed_is_one_poll_on_a_quiet_connection, 0, T_TCP);
	tcase_add_loop_test(tc,
	    graceful_close_after_the_peers_fin_is_seven_calls, 0, T_PLAIN);
	tcase_add_loop_test(tc, abort_close_is_five_calls, 0, T_PLAIN);
	tcase_add_loop_test(tc,
	    probe_many_is_one_poll_over_a_thousand_quiet_connections, 0,
	    T_PLAIN);

	return t_main(s);
}
