/*
 * A thread that is cancelled in a close: nothing leaks, and the descriptor is
 * released as on_expiry says
 */
#include <sys/syscall.h>

#include <pthread.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

#define TIMES	(T_SLOW ? 10 : 100)
#define SENT	3000
#define LONG_MS	(4 * T_LIMIT_MS)	/* a limit that does not run out */

/*
 * gcc's AddressSanitizer does not know that the frames are gone that a cancel
 * has left, and takes the rest of the thread for an overflow.
 */
#define t_need_unwinding() do {						\
	if (T_ASAN)							\
		t_skip("AddressSanitizer loses a cancelled thread's stack");\
} while (0)

/*
 * Closes
 */

static int
close_gracefully(int fd)
{
	return graceful_close(fd);
}

static int
close_lingering(int fd)
{
	return linger_close(fd, LONG_MS);
}

static int
close_detaching(int fd)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_DETACH, LONG_MS, -1);

	return graceclose(fd, &o, NULL);
}

static int
close_resetting(int fd)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_RESET, LONG_MS, -1);

	return graceclose(fd, &o, NULL);
}

/* full: the peer takes nothing more, so that no FIN hides the RST. */
static const struct form {
	const char	*name;
	int		(*close)(int);
	bool		 resets;
	bool		 full;
} forms[] = {
	{ "graceful_close",	close_gracefully,	false,	false },
	{ "linger_close",	close_lingering,	true,	true },
	{ "graceclose, detach",	close_detaching,	false,	false },
	{ "graceclose, reset",	close_resetting,	true,	true }
};
#define FORMS	((int)(sizeof(forms) / sizeof(forms[0])))

/*
 * The thread
 */

struct closing {
	pthread_t	 thread;
	pid_t		 tid;
	int		(*close)(int);
	int		 fd;
	int		 state, type;		/* as set before the close */
	bool		 pending;		/* the cancel comes first */
	bool		 ready, go;
	bool		 returned;
	int		 result, error;
	int		 state_after, type_after;
};

/* No point of cancellation. */
static void
await(const bool *flag)
{
	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void
say(bool *flag)
{
	__atomic_store_n(flag, true, __ATOMIC_RELEASE);
}

static void *
be_closing(void *arg)
{
	struct closing *c = arg;

	(void)pthread_setcancelstate(c->state, NULL);
	(void)pthread_setcanceltype(c->type, NULL);
	if (c->pending) {
		say(&c->ready);
		await(&c->go);
	}
	__atomic_store_n(&c->tid, gettid(), __ATOMIC_RELEASE);
	errno = T_ERRNO_UNTOUCHED;
	c->result = c->close(c->fd);
	c->error = errno;
	say(&c->returned);
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &c->state_after);
	(void)pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &c->type_after);
	(void)pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	pthread_testcancel();
	return NULL;
}

static void
start(struct closing *c, int (*how)(int), int fd, int state, int type)
{
	*c = (struct closing){ .close = how, .fd = fd, .state = state,
	    .type = type };
	t_thread(&c->thread, be_closing, c);
}

/* Its cancel is pending when it enters the close. */
static void
start_cancelled(struct closing *c, int (*how)(int), int fd)
{
	*c = (struct closing){ .close = how, .fd = fd, .pending = true,
	    .state = PTHREAD_CANCEL_ENABLE, .type = PTHREAD_CANCEL_DEFERRED };
	t_thread(&c->thread, be_closing, c);
	await(&c->ready);
	ck_assert_int_eq(pthread_cancel(c->thread), 0);
	say(&c->go);
}

/* Whether the thread was cancelled, in the close or after it. */
static bool
join(struct closing *c)
{
	struct timespec ts;
	void *how;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 2 * T_LIMIT_MS / 1000;
	ck_assert_msg(pthread_timedjoin_np(c->thread, &how, &ts) == 0,
	    "the cancelled thread hangs");
	return how == PTHREAD_CANCELED;
}

/*
 * Connections
 */

static size_t
connection(struct t_pair *p, const struct form *f, int family)
{
	if (f->full)
		return t_pair_full(p, family);
	t_pair(p, family);
	t_write(p->us, SENT);
	return SENT;
}

static void
peer_has(struct t_pair *p, const struct form *f, size_t sent)
{
	struct t_got got;

	if (f->resets)
		t_wait_dead(p->peer);
	got = t_read_all(p->peer);
	t_error_is(got.error, f->resets ? ECONNRESET : 0);
	if (!f->resets)
		ck_assert_uint_eq(got.bytes, sent);
	t_close(p->peer);
}

/* The descriptors of the pair are gone, and no other is left. */
static void
is_released(const struct closing *c, int before)
{
	t_released(c->fd);
	ck_assert_int_eq(t_fd_count(), before + 1);
}

static void
cancel_in(const struct form *f, int family, int type)
{
	int before = t_fd_count();
	struct closing c;
	struct t_pair p;
	size_t sent;

	sent = connection(&p, f, family);
	start(&c, f->close, p.us, PTHREAD_CANCEL_ENABLE, type);
	t_wait_blocked(&c.tid, T_WAIT);
	ck_assert_int_eq(pthread_cancel(c.thread), 0);
	ck_assert(join(&c));
	ck_assert(!c.returned);
	is_released(&c, before);
	peer_has(&p, f, sent);
}

/*
 * Index: the form, and the family.  AF_UNIX has no reset, and MPTCP
 * acknowledges what would fill a window of TCP.
 */
START_TEST(cancelled_close_releases_everything)
{
	const struct form *f = &forms[_i % FORMS];
	int i, family = _i / FORMS;

	t_need_unwinding();
	t_need(family);
	if (family >= T_PLAIN && f->full)
		return;
	for (i = 0; i < (f->full ? TIMES / 5 : TIMES); i++)
		cancel_in(f, family, PTHREAD_CANCEL_DEFERRED);
}
END_TEST

/* It is asynchronous in the wait alone, where everything is accounted for. */
START_TEST(thread_of_asynchronous_cancellation_releases_everything)
{
	int i;

	t_need_unwinding();
	for (i = 0; i < TIMES / 5; i++)
		cancel_in(&forms[_i], T_IPV4, PTHREAD_CANCEL_ASYNCHRONOUS);
}
END_TEST

/*
 * The cancel may hit anywhere in the close: then it is released, or it has
 * returned 0 and the cancel comes after it.
 */
START_TEST(cancel_at_any_moment_leaks_nothing)
{
	const struct form *f = &forms[0];
	int i, before = t_fd_count();
	struct closing c;
	struct t_pair p;

	t_need_unwinding();
	for (i = 0; i < 4 * TIMES; i++) {
		connection(&p, f, T_IPV4);
		if (i % 2 == 0) {
			t_fin(p.peer);
			t_wait_poll(p.us, POLLRDHUP);
		}
		start(&c, f->close, p.us, PTHREAD_CANCEL_ENABLE,
		    PTHREAD_CANCEL_DEFERRED);
		while (i % 4 < 2 &&
		    __atomic_load_n(&c.tid, __ATOMIC_ACQUIRE) == 0)
			sched_yield();
		ck_assert_int_eq(pthread_cancel(c.thread), 0);
		(void)join(&c);
		is_released(&c, before);
		t_saw(t_read_all(p.peer), SENT, 0);
		t_close(p.peer);
	}
}
END_TEST

START_TEST(close_entered_with_a_cancel_pending_releases_everything)
{
	const struct form *f = &forms[_i];
	int before = t_fd_count();
	struct closing c;
	struct t_pair p;
	size_t sent;

	t_need_unwinding();
	sent = connection(&p, f, T_IPV4);
	start_cancelled(&c, f->close, p.us);
	ck_assert(join(&c));
	ck_assert(!c.returned);
	is_released(&c, before);
	peer_has(&p, f, sent);
}
END_TEST

/* The acknowledgement of our FIN is there at once, or a moment later. */
START_TEST(close_with_little_to_wait_for_releases_everything)
{
	struct closing c;
	struct t_pair p;

	t_need_unwinding();
	t_not_portable(T_NO_ACK);
	t_need(_i);
	t_pair(&p, _i);
	t_write(p.us, SENT);
	t_read(p.peer, SENT);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	start_cancelled(&c, close_gracefully, p.us);
	ck_assert(join(&c));
	t_released(p.us);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

/*
 * abort_close
 */

START_TEST(abort_close_is_no_point_of_cancellation)
{
	int before = t_fd_count(), i;
	struct closing c;
	struct t_pair p;

	t_need(_i);
	for (i = 0; i < TIMES; i++) {
		t_pair(&p, _i);
		start_cancelled(&c, abort_close, p.us);
		ck_assert(join(&c));
		ck_assert(c.returned);
		ck_assert_int_eq(c.result, 0);
		ck_assert_int_eq(c.error, T_ERRNO_UNTOUCHED);
		ck_assert_int_eq(c.state_after, PTHREAD_CANCEL_ENABLE);
		is_released(&c, before);
		t_saw(t_read_all(p.peer), 0, _i == T_UNIX ? 0 : ECONNRESET);
		t_close(p.peer);
	}
}
END_TEST

static int
linger_for_no_time(int fd)
{
	return linger_close(fd, 0);
}

START_TEST(nor_is_linger_close_with_no_time)
{
	struct closing c;
	struct t_pair p;

	t_pair(&p, T_IPV4);
	start_cancelled(&c, linger_for_no_time, p.us);
	ck_assert(join(&c));
	ck_assert(c.returned);
	ck_assert_int_eq(c.result, 0);
	t_released(p.us);
	t_saw(t_read_all(p.peer), 0, ECONNRESET);
	t_close(p.peer);
}
END_TEST

/*
 * State and type
 */

/* It is cancelled only when it says so, with its verdict in hand. */
START_TEST(thread_that_cannot_be_cancelled_gets_its_verdict)
{
	struct closing c;
	struct t_pair p;

	t_need(_i);
	t_pair(&p, _i);
	t_write(p.us, SENT);
	start(&c, close_detaching, p.us, PTHREAD_CANCEL_DISABLE,
	    PTHREAD_CANCEL_DEFERRED);
	t_wait_blocked(&c.tid, T_WAIT);
	ck_assert_int_eq(pthread_cancel(c.thread), 0);
	t_saw(t_read_all(p.peer), SENT, 0);
	t_close(p.peer);
	ck_assert(join(&c));
	ck_assert(c.returned);
	if (!T_PORTABLE || c.result == 0)
		ck_assert_int_eq(c.result, 0);
	ck_assert_int_eq(c.state_after, PTHREAD_CANCEL_DISABLE);
	ck_assert_int_eq(c.type_after, PTHREAD_CANCEL_DEFERRED);
	t_released(p.us);
}
END_TEST

/* Index: the form, abort_close after the last; state and type. */
START_TEST(state_and_type_are_as_before)
{
	static const int states[] = { PTHREAD_CANCEL_ENABLE,
	    PTHREAD_CANCEL_DISABLE };
	static const int types[] = { PTHREAD_CANCEL_DEFERRED,
	    PTHREAD_CANCEL_ASYNCHRONOUS };
	int (*how)(int) = _i / 4 < FORMS ? forms[_i / 4].close : abort_close;
	struct closing c;
	struct t_pair p;

	t_pair(&p, T_IPV4);
	t_write(p.us, SENT);
	t_read(p.peer, SENT);
	t_fin(p.peer);
	start(&c, how, p.us, states[_i % 2], types[_i / 2 % 2]);
	ck_assert(!join(&c));
	ck_assert(c.returned);
	ck_assert_int_eq(c.state_after, states[_i % 2]);
	ck_assert_int_eq(c.type_after, types[_i / 2 % 2]);
	t_released(p.us);
	t_close(p.peer);
}
END_TEST

static int
close_nothing(int fd)
{
	(void)fd;
	errno = T_ERRNO_UNTOUCHED;
	return graceful_close(-1) == -1 && errno == EBADF &&
	    abort_close(-1) == -1 && errno == EBADF &&
	    graceclose(-1, &t_bad_opts[0], NULL) == -1 && errno == EINVAL ?
	    0 : -1;
}

START_TEST(state_is_as_before_where_there_is_nothing_to_close)
{
	struct closing c;

	start(&c, close_nothing, -1, PTHREAD_CANCEL_ENABLE,
	    PTHREAD_CANCEL_DEFERRED);
	ck_assert(!join(&c));
	ck_assert_int_eq(c.result, 0);
	ck_assert_int_eq(c.state_after, PTHREAD_CANCEL_ENABLE);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cancel");
	TCase *tc = t_case(s, "cancelled");

	tcase_add_loop_test(tc, cancelled_close_releases_everything, 0,
	    FORMS * T_FAMILIES);
	tcase_add_loop_test(tc,
	    thread_of_asynchronous_cancellation_releases_everything, 0,
	    FORMS);
	tcase_add_test(tc, cancel_at_any_moment_leaks_nothing);
	tcase_add_loop_test(tc,
	    close_entered_with_a_cancel_pending_releases_everything, 0,
	    FORMS);
	tcase_add_loop_test(tc,
	    close_with_little_to_wait_for_releases_everything, 0, T_FAMILIES);

	tc = t_case(s, "abort");
	tcase_add_loop_test(tc, abort_close_is_no_point_of_cancellation, 0,
	    T_FAMILIES);
	tcase_add_test(tc, nor_is_linger_close_with_no_time);

	tc = t_case(s, "state");
	tcase_add_loop_test(tc,
	    thread_that_cannot_be_cancelled_gets_its_verdict, 0, T_FAMILIES);
	tcase_add_loop_test(tc, state_and_type_are_as_before, 0,
	    4 * (FORMS + 1));
	tcase_add_test(tc,
	    state_is_as_before_where_there_is_nothing_to_close);
	return t_main(s);
}
