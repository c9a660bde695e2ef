/*
 * graceclose_reaper: the kernel refuses epoll, a thread, or memory
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <unistd.h>

#include <graceclose.h>

#include "api/reaper/many_closes.h"

/*
 * Failing system calls.  The library's calls of epoll_ctl reach this function
 * by the linker's --wrap (Makefile).
 */

static int epoll_refuses;	/* with this errno, when it is to add */

int	__real_epoll_ctl(int, int, int, struct epoll_event *);
int	__wrap_epoll_ctl(int, int, int, struct epoll_event *);

int
__wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	int error = __atomic_load_n(&epoll_refuses, __ATOMIC_RELAXED);

	if (op == EPOLL_CTL_ADD && error != 0) {
		errno = error;
		return -1;
	}
	return __real_epoll_ctl(epfd, op, fd, event);
}

static const int epoll_errors[] = { ENOSPC, ENOMEM };

/* Index: the error, what ends the close, and whether there is a done. */
START_TEST(close_that_epoll_refuses_goes_by_its_timer)
{
	struct graceclose_opts o = timed(GRACECLOSE_RESET, -1);
	struct t_verdict v;
	struct t_pair p;
	size_t n;

	memset(&v, 0, sizeof(v));
	start_with_done(1, GRACECLOSE_REFUSE, _i / 4 == 0 ? t_done : NULL);
	t_pair_small(&p, T_IPV4);
	n = t_fill(p.us);
	o.timeout_ms = _i / 2 % 2 == 0 ? -1 : 100;
	o.idle_ms = 20 * T_LIMIT_MS;	/* looks would be far apart */
	__atomic_store_n(&epoll_refuses, epoll_errors[_i % 2],
	    __ATOMIC_RELAXED);
	t_ok(try_submit(&v, p.us, &o));
	__atomic_store_n(&epoll_refuses, 0, __ATOMIC_RELAXED);
	if (o.timeout_ms == -1) {
		t_saw(t_read_all(p.peer), n, 0);
		t_fin(p.peer);
	}
	flush_many();
	t_released(p.us);
	ck_assert_uint_eq(count_over(), 1);
	ck_assert_uint_eq(o.timeout_ms == -1 ? stats.ok : stats.expired, 1);
	if (_i / 4 == 0 && o.timeout_ms == -1)
		t_verdict_is(&v, GRACECLOSE_OK, 0, 1, 1);
	else if (_i / 4 == 0)
		t_verdict_is(&v, GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	t_close(p.peer);
	stop();
}
END_TEST

/* Which needs no epoll. */
START_TEST(close_that_is_over_at_once_does_not_ask_epoll)
{
	struct graceclose_opts o = timed(GRACECLOSE_RESET, -1);
	struct t_verdict v;
	struct t_pair p;

	memset(&v, 0, sizeof(v));
	start_with_done(0, GRACECLOSE_REFUSE, t_done);
	ck_assert_int_eq(try_pair(&p), 0);
	t_close(p.peer);
	__atomic_store_n(&epoll_refuses, ENOSPC, __ATOMIC_RELAXED);
	t_ok(try_submit(&v, p.us, &o));
	__atomic_store_n(&epoll_refuses, 0, __ATOMIC_RELAXED);
	t_verdict_is(&v, GRACECLOSE_OK, 0, 1, 1);
	stop();
}
END_TEST

START_TEST(reaper_that_epoll_refuses_is_not_made)
{
	t_not_portable(T_NO_EDGE);
	epoll_refuses = epoll_errors[_i];
	errno = 0;
	ck_assert_ptr_null(graceclose_reaper_new(NULL));
	epoll_refuses = 0;
	t_errno_is(epoll_errors[_i]);
	ck_assert_int_eq(t_named(T_REAPER), 0);
}
END_TEST

/*
 * The kernel refuses the thread to a user who is not root and has reached
 * RLIMIT_NPROC.  A child sets that limit, so that the test itself does not have
 * it.
 */
START_TEST(reaper_without_a_thread_is_not_made)
{
	struct rlimit none = { 0, 0 };
	int fds, status;
	pid_t child;

	child = fork();
	ck_assert_int_ne(child, -1);
	if (child == 0) {
		fds = t_fd_count();
		if (setrlimit(RLIMIT_NPROC, &none) == -1 ||
		    (geteuid() == 0 && setresuid(65534, 65534, 65534) == -1))
			_exit(10);
		errno = 0;
		if (graceclose_reaper_new(NULL) != NULL)
			_exit(11);
		if (errno != EAGAIN)
			_exit(12);
		_exit(t_fd_count() == fds ? 0 : 13);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* malloc fails after so many more allocations of the library; -1: never. */
static int memory_left = -1;

/* The linker leads the library here: malloc(3) itself cannot be another. */
void	*__real_malloc(size_t);
void	*__real_calloc(size_t, size_t);
void	*__wrap_malloc(size_t);
void	*__wrap_calloc(size_t, size_t);

static int
starved(void)
{
	int left = __atomic_load_n(&memory_left, __ATOMIC_RELAXED);

	if (left == -1)
		return 0;
	if (left > 0) {
		__atomic_sub_fetch(&memory_left, 1, __ATOMIC_RELAXED);
		return 0;
	}
	errno = ENOMEM;
	return 1;
}

void *
__wrap_malloc(size_t n)
{
	return starved() ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return starved() ? NULL : __real_calloc(n, size);
}

static void
starve(int after)
{
	__atomic_store_n(&memory_left, after, __ATOMIC_RELAXED);
}

START_TEST(close_without_memory_is_aborted)
{
	struct graceclose_opts o = timed(_i, -1);
	struct t_verdict v;
	struct t_pair p;
	int result;
	size_t n;

	if (T_SLOW)
		t_skip("a sanitizer has its own memory");
	memset(&v, 0, sizeof(v));
	start_with_done(0, GRACECLOSE_REFUSE, t_done);
	t_pair_small(&p, T_IPV4);
	n = t_fill(p.us);
	starve(0);
	result = try_submit(&v, p.us, &o);
	starve(-1);
	ck_assert_int_eq(result, 0);
	flush_many();
	t_verdict_is(&v, GRACECLOSE_ABORTED, ECANCELED, 0, 0);
	if (_i == GRACECLOSE_RESET)
		t_wait_dead(p.peer);
	else
		t_saw(t_read_all(p.peer), n, 0);
	ck_assert_uint_eq(count_over(), 1);
	ck_assert_uint_eq(stats.aborted, 1);
	t_close(p.peer);
	stop();
}
END_TEST

/* Each allocation fails in turn; that of a thread is EAGAIN. */
START_TEST(reaper_without_memory_is_not_made)
{
	int after;

	if (T_SLOW)
		t_skip("a sanitizer has its own memory");
	for (reaper = NULL, after = 0; reaper == NULL; after++) {
		ck_assert_int_lt(after, 20);
		errno = 0;
		starve(after);
		reaper = graceclose_reaper_new(NULL);
		starve(-1);
		if (reaper == NULL)
			ck_assert(errno == ENOMEM || errno == EAGAIN);
	}
	ck_assert_int_gt(after, 1);
	stop();
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("reaper failures");
	tc = case_in_own_network(s, "failures");
	tcase_add_loop_test(tc, close_that_epoll_refuses_goes_by_its_timer,
	    0, 8);
	tcase_add_test(tc, close_that_is_over_at_once_does_not_ask_epoll);
	tcase_add_loop_test(tc, reaper_that_epoll_refuses_is_not_made, 0, 2);
	tcase_add_test(tc, reaper_without_a_thread_is_not_made);
	tcase_add_loop_test(tc, close_without_memory_is_aborted, 0, 2);
	tcase_add_test(tc, reaper_without_memory_is_not_made);
	return t_main(s);
}
