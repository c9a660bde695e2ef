/*
 * graceclose_reaper: children that are forked while closes are under way
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <unistd.h>

#include <graceclose.h>

#include "api/reaper/many_closes.h"

/*
 * fork
 */

#define FAMILY		20
#define FORKS		(T_ASAN ? 30 : 100)

/* The exit status of the child is the number of the line that failed. */
#define child_asserts(what) do {					\
	if (!(what))							\
		_exit(__LINE__ % 200 + 20);				\
} while (0)

static void
child_uses_the_parents_reaper(struct t_pair *p)
{
	struct t_pair q;
	char c;

	child_asserts(try_pair(&q) == 0);
	errno = 0;
	child_asserts(graceclose_reaper_close(reaper, q.us, NULL, NULL) == -1 &&
	    errno == ENOTSUP);
	child_asserts(send(q.us, "x", 1, 0) == 1);
	child_asserts(recv(q.peer, &c, 1, 0) == 1);
	child_asserts(recv(q.peer, &c, 1, MSG_DONTWAIT) == -1);
	errno = 0;
	child_asserts(graceclose_reaper_flush(reaper, 0) == -1 &&
	    errno == ENOTSUP);
	errno = 0;
	child_asserts(graceclose_reaper_flush(reaper, -1) == -1 &&
	    errno == ENOTSUP);
	memset(&stats, 0xaa, sizeof(stats));
	errno = 0;
	graceclose_reaper_stats(reaper, &stats);
	child_asserts(errno == ENOTSUP && stats.now == 0 && stats.ok == 0 &&
	    stats.peak == 0 && stats.aborted == 0 && stats.reserved[3] == 0);
	close(q.us);
	close(q.peer);
	child_asserts(fcntl(p[0].us, F_GETFD) != -1);
}

/*
 * The child closes only the reaper's own descriptors, and waits for no thread.
 */
static void
child_frees_the_parents_reaper(struct t_pair *p)
{
	int before, i;

	before = t_fd_count();
	errno = 0;
	graceclose_reaper_free(reaper);
	child_asserts(errno == 0);
	child_asserts(t_fd_count() < before);
	for (i = 0; i < FAMILY; i++)
		child_asserts(fcntl(p[i].us, F_GETFD) != -1);
}

static void
child_has_its_own(void)
{
	struct graceclose_opts o = timed(GRACECLOSE_DETACH, -1);
	static struct t_verdict v;
	struct t_pair q;

	start_with_done(0, GRACECLOSE_REFUSE, t_done);
	memset(&v, 0, sizeof(v));
	child_asserts(try_pair(&q) == 0);
	child_asserts(try_submit(&v, q.us, &o) == 0);
	close(q.peer);
	child_asserts(graceclose_reaper_flush(reaper, T_LIMIT_MS) == 0);
	child_asserts(v.times == 1 && v.report.outcome == GRACECLOSE_OK);
	graceclose_reaper_free(reaper);
}

/* TSan allows no threads in a child of a process with several threads. */
static pid_t
fork_child(struct t_pair *p, int ready)
{
	pid_t pid;

	pid = fork();
	if (pid != 0) {
		ck_assert_int_ne(pid, -1);
		return pid;
	}
	alarm(20);
	child_uses_the_parents_reaper(p);
	child_frees_the_parents_reaper(p);
	if (!T_TSAN)
		child_has_its_own();
	child_asserts(write(ready, "r", 1) == 1);
	for (;;)
		pause();
}

/*
 * The number is free in this process, although the child still holds the
 * connection.
 */
static void
family_ends(struct t_pair *p, struct t_verdict *v)
{
	int i;

	for (i = 0; i < FAMILY; i++)
		if (i % 2 == 0)
			t_fin(p[i].peer);
	flush_many();
	for (i = 0; i < FAMILY; i++) {
		t_verdict_is(&v[i], i % 2 == 0 ? GRACECLOSE_OK :
		    GRACECLOSE_EXPIRED, i % 2 == 0 ? 0 : ETIMEDOUT,
		    T_KNOWS(1, i % 2 == 0), i % 2 == 0);
		t_saw(t_read_all(p[i].peer), 1000, 0);
	}
	ck_assert_uint_eq(count_over(), FAMILY);
}

/*
 * The child holds a duplicate of every connection, and of the epoll set, where
 * a close(2) here takes nothing out.  Half of the closes end in order, half
 * expire, and their peers go on.
 */
START_TEST(fork_in_the_middle_of_the_work)
{
	struct graceclose_opts o = timed(GRACECLOSE_DETACH, 600);
	static struct t_verdict v[FAMILY];
	static struct t_pair p[FAMILY];
	uint64_t turns;
	pid_t child;
	int i, ready[2];
	char c;

	memset(v, 0, sizeof(v));
	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	start_with_done(0, GRACECLOSE_REFUSE, t_done);
	for (i = 0; i < FAMILY; i++) {
		t_pair(&p[i], T_IPV4);
		t_write(p[i].us, 1000);
	}
	for (i = 0; i < FAMILY; i++)
		t_ok(try_submit(&v[i], p[i].us, &o));
	/* A fork does not free the locks of ASan's memory, as libc's. */
	if (T_ASAN)
		t_wait_asleep(t_named(T_REAPER), 50);
	child = fork_child(p, ready[1]);
	t_close(ready[1]);
	ck_assert_msg(read(ready[0], &c, 1) == 1, "the child failed");
	family_ends(p, v);
	t_wait_asleep(t_named(T_REAPER), 50);
	turns = t_turns(t_named(T_REAPER));
	for (i = 1; i < FAMILY; i += 2) {
		t_write(p[i].peer, 100);
		t_fin(p[i].peer);
	}
	t_pause(50);
	ck_assert_uint_eq(t_turns(t_named(T_REAPER)), turns);
	t_hold_end(child);
	for (i = 0; i < FAMILY; i++)
		t_close(p[i].peer);
	t_close(ready[0]);
	stop();
}
END_TEST

/* The threads submit while this is set. */
static int hammering;

/* Some thread is always inside the reaper, and may hold the lock. */
static void *
hammer(void *arg)
{
	struct graceclose_opts o = timed(GRACECLOSE_DETACH, -1);
	uint64_t *taken = arg;
	struct t_pair p;

	while (__atomic_load_n(&hammering, __ATOMIC_ACQUIRE)) {
		if (try_pair(&p) == -1)
			break;
		if (graceclose_reaper_close(reaper, p.us, &o, NULL) == 0)
			++*taken;
		close(p.peer);
	}
	return NULL;
}

/*
 * Only the parent asserts with libcheck: that allocates, and in the child
 * ASan's allocator may stay locked for ever.
 */
static int
child_of_the_hammered(void)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		alarm(10);
		errno = 0;
		child_asserts(graceclose_reaper_flush(reaper, -1) == -1);
		child_asserts(errno == ENOTSUP);
		child_asserts(graceclose_reaper_close(reaper, 0, NULL, NULL) ==
		    -1);
		child_asserts(errno == ENOTSUP);
		graceclose_reaper_stats(reaper, &stats);
		graceclose_reaper_free(reaper);
		_exit(0);
	}
	ck_assert_int_ne(pid, -1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

START_TEST(fork_while_threads_submit)
{
	uint64_t taken[2] = { 0, 0 };
	pthread_t t[2];
	int i;

	if (T_VALGRIND)
		t_skip("valgrind's socketpair(2) lies when no descriptor is "
		    "left");
	start_with_done(0, GRACECLOSE_REFUSE, NULL);
	__atomic_store_n(&hammering, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++)
		t_thread(&t[i], hammer, &taken[i]);
	for (i = 0; i < FORKS; i++)
		ck_assert_int_eq(child_of_the_hammered(), 0);
	__atomic_store_n(&hammering, 0, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++)
		t_join(t[i]);
	flush_many();
	ck_assert_uint_eq(count_over(), taken[0] + taken[1]);
	ck_assert_uint_eq(stats.ok, taken[0] + taken[1]);
	stop();
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("reaper forks");
	tc = case_in_own_network(s, "fork");
	tcase_add_test(tc, fork_in_the_middle_of_the_work);
	tcase_add_test(tc, fork_while_threads_submit);
	return t_main(s);
}
