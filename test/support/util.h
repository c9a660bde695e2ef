/*
 * util.h - what the suites share: connected pairs of every family, a peer
 * to be nasty with, and assertions that say errno by name
 *
 * Every suite runs with CK_FORK=yes and CK_FORK=no.  Threads only record what
 * they see; the test itself asserts, after it joined them.
 */
#ifndef TEST_UTIL_H
#define TEST_UTIL_H

#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <check.h>

#include <graceclose.h>

/* A sanitizer has its own memory, is slower, and cannot do everything. */
#ifdef __has_feature
#define T_HAS_FEATURE(f)	__has_feature(f)
#else
#define T_HAS_FEATURE(f)	0
#endif
#if defined(__SANITIZE_ADDRESS__) || T_HAS_FEATURE(address_sanitizer)
#define T_ASAN		1
#else
#define T_ASAN		0
#endif
#if defined(__SANITIZE_THREAD__) || T_HAS_FEATURE(thread_sanitizer)
#define T_TSAN		1
#else
#define T_TSAN		0
#endif
#define T_SANITIZED	(T_ASAN || T_TSAN)

/* So does valgrind; it also blocks signals late, and makes calls of its own. */
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define T_VALGRIND	(RUNNING_ON_VALGRIND != 0)
#else
#define T_VALGRIND	0
#endif
#define T_SLOW		(T_SANITIZED || T_VALGRIND)

#define T_IDLE_CPU_MS	(T_VALGRIND ? 200 : 20)	/* to wait costs no more */

/*
 * A library for plain POSIX cannot see acknowledgements, nor what poll(2) and
 * recv(2) do not show, and says so by less than a verdict, never by a wrong
 * one.  T_KNOWS is what it says with all that it may ask Linux, or without.
 */
#ifdef GRACECLOSE_PORTABLE
#define T_PORTABLE	1
#else
#define T_PORTABLE	0
#endif
#define T_KNOWS(all, posix)	(T_PORTABLE ? (posix) : (all))

#define T_LIMIT_MS	8000	/* patience for what must come in the end */
#define T_TRIES		3	/* where a stall may be as long as a limit */

/* Families, as an index for tcase_add_loop_test; the TCP ones come first. */
enum {
	T_IPV4,
	T_IPV6,
	T_MPTCP,
	T_UNIX,
	T_FAMILIES,
	T_PLAIN = T_MPTCP,	/* loop end: plain TCP, filters work there */
	T_TCP = T_UNIX		/* loop end: whatever has acknowledgements */
};

/*
 * The same with each side connecting in turn: even indices accept, odd ones
 * connect.
 */
#define T_ANY_PLAIN	(2 * T_PLAIN)
#define T_ANY_TCP	(2 * T_TCP)
#define T_ANY		(2 * T_FAMILIES)

struct t_family {
	const char	*name;
	int		 domain;
	int		 protocol;
};

extern const struct t_family t_families[T_FAMILIES];

/*
 * A connection: our side, which the library closes, and the peer's.
 */
struct t_pair {
	int	us;
	int	peer;
};

/* Runner.  t_case: with a time limit and the fixture that finds leaks. */
int		 t_main(Suite *);
TCase		*t_case(Suite *, const char *);

/*
 * Leave the test, say why, be counted.  Usable in the test function only,
 * as it returns.
 */
#define t_skip(why) do {						\
	t_skipped(__func__, (why));					\
	return;								\
} while (0)
void		 t_skipped(const char *, const char *);

/* Leaves the test where plain POSIX has no... */
#define T_NO_ACK	"plain POSIX shows no acknowledgement"
#define T_NO_COUNT	"plain POSIX does not count what is unacknowledged"
#define T_NO_NOTICE	"plain POSIX has no error queue to empty"
#define T_NO_PAST	"plain POSIX does not tell of an end before"
#define T_NO_EDGE	"plain POSIX has no edges to wait for"
#define t_not_portable(why) do {					\
	if (T_PORTABLE)							\
		t_skip(why);						\
} while (0)

/*
 * Why the family is absent here, or NULL: for the kernel, and for the library
 * as well.
 */
const char	*t_absent(int);
const char	*t_missing(int);
#define t_need_kernel(family) do {					\
	if (t_absent(family) != NULL)					\
		t_skip(t_absent(family));				\
} while (0)
#define t_need(family) do {						\
	if (t_missing(family) != NULL)					\
		t_skip(t_missing(family));				\
} while (0)
#define t_need_any(i) t_need((i) / 2)

/*
 * Connections over 127.0.0.1, ::1 or an abstract AF_UNIX name.  t_pair: the
 * peer connected to us; t_pair_connecting: we connected; t_pair_any: by an
 * index below T_ANY; t_pair_small: the peer's receive buffer is 4096 bytes
 * (MPTCP: 32768) and our send buffer small, so that t_fill soon meets a
 * window of zero; t_pair_full: that is done, and returns how much it took;
 * t_pair_reset: the peer sent RST, and we have it.
 */
int		 t_socket(int);
int		 t_listen(int);			/* port 0 */
int		 t_connect(int, int);		/* family, listener */
int		 t_accept(int);
void		 t_pair(struct t_pair *, int);
void		 t_pair_connecting(struct t_pair *, int);
void		 t_pair_any(struct t_pair *, int);
void		 t_pair_small(struct t_pair *, int);
size_t		 t_pair_full(struct t_pair *, int);
void		 t_pair_reset(struct t_pair *, int);
void		 t_sndbuf(int, int);		/* beyond wmem_max, too */
void		 t_close(int);			/* must succeed */

/* Waiting for a state rather than for a time; fail beyond T_LIMIT_MS. */
int		 t_state(int);			/* tcpi_state */
void		 t_wait_state(int, int);	/* TCP_CLOSE_WAIT and so on */
int		 t_wait_poll(int, int);		/* the revents */
void		 t_wait_readable(int);
void		 t_wait_dead(int);		/* RST or FINs: POLLHUP */
void		 t_wait_reset(int);		/* POLLERR */
void		 t_wait_outq(int, int);		/* SIOCOUTQ at this value */
void		 t_wait_inq(int, int);		/* SIOCINQ at least this */
int		 t_outq(int);
int		 t_inq(int);

/* Transfer.  No SIGPIPE, no endless wait. */
struct t_got {
	size_t	bytes;
	int	error;		/* 0: EOF; ETIMEDOUT: neither within limit */
};

void		 t_write(int, size_t);		/* all of it */
int		 t_try_write(int);		/* errno of one byte, or 0 */
size_t		 t_fill(int);			/* until EAGAIN stays */
/* t_fill by us, until what the peer has of it is acknowledged: 40 ms, or more */
size_t		 t_fill_settled(const struct t_pair *);
struct t_got	 t_read_all(int);		/* until EOF or errno */
void		 t_read(int, size_t);		/* exactly so much */
void		 t_fin(int);			/* shutdown(SHUT_WR) */

/* Looks at a socket; the first two take its pending error away. */
ssize_t		 t_peek(int);			/* at one byte */
int		 t_pending_error(int);		/* SO_ERROR */
int		 t_peername(int);		/* errno of getpeername, or 0 */

/* Trouble. */
#define T_DROP_ALL	0x100	/* every segment */
#define T_DROP_DATA	0x200	/* segments with payload */
#define T_DROP_ACK	0x400	/* pure ACKs: no payload, SYN, FIN, RST */
#define T_DROP_FIN	0x01	/* segments with this flag */
#define T_DROP_RST	0x04

void		 t_reset(int);			/* RST, and close */
void		 t_vanish(int);			/* close; no FIN, no RST */
void		 t_drop(int, int);		/* on the receiving socket */
void		 t_heal(int);
void		 t_linger(int, int);		/* SO_LINGER {1, s} */
void		 t_nonblock(int);

/*
 * A thread; t_join fails the test when it takes longer than T_LIMIT_MS.
 */
void		 t_thread(pthread_t *, void *(*)(void *), void *);
void		 t_join(pthread_t);

/*
 * Reads everything, then closes the descriptor when `close` is set.
 * t_reader_later: begins `after_ms` from now; t_reader_slow: takes 8192 bytes
 * every 40 ms, and sends its FIN at the end.
 */
struct t_reader {
	pthread_t	 thread;
	struct t_got	 got;
	int		 fd;
	int		 close;
	int		 after_ms;
	int64_t		 done_ms;	/* t_now_ms at EOF */
};
void		 t_reader(struct t_reader *, int, int);
void		 t_reader_later(struct t_reader *, int, int);
void		 t_reader_slow(struct t_reader *, int);
struct t_got	 t_reader_join(struct t_reader *);

/* For a thread: sends from *(int *)arg as long as that goes. */
void		*t_flood(void *);

/* Something done to a descriptor `after_ms` from now, by a thread. */
struct t_later {
	pthread_t	 thread;
	void		(*what)(int);
	int		 fd;
	int		 after_ms;
	int64_t		 done_ms;	/* t_now_ms right before it was done */
};
void		 t_later(struct t_later *, int, void (*)(int), int);
int64_t		 t_later_join(struct t_later *);

/* A signal every millisecond (valgrind: 5), handler without SA_RESTART. */
void		 t_storm(void);
int		 t_storm_end(void);		/* how many there were */

/* A child that holds every descriptor of the test until it is ended. */
pid_t		 t_hold(void);
void		 t_hold_end(pid_t);

/* Until the thread sleeps in this system call (SYS_recvfrom). */
void		 t_wait_blocked(const pid_t *, long);

/* A thread in recv(2), known to sleep there; what that returned is in `n`. */
struct t_blocked {
	pthread_t	 thread;
	pid_t		 tid;
	int		 fd;
	ssize_t		 n;
};
void		 t_blocked(struct t_blocked *, int);

/*
 * Descriptors that are no connection, and what a close says of them.
 */
struct t_odd {
	const char	*name;
	int		(*open)(int);
	int		 family;	/* to be asked for by t_need */
	int		 error;
};
#define T_ODDS		14
extern const struct t_odd t_odds[T_ODDS];
int		 t_odd_open(const struct t_odd *);

/*
 * Options of a close: with these limits; and some that are EINVAL.
 */
struct graceclose_opts
		 t_opts(int until, int on_expiry, int timeout_ms, int idle_ms);
#define T_BAD_OPTS	9
extern const struct graceclose_opts t_bad_opts[T_BAD_OPTS];

/*
 * Something is late by so much at most, in ms, the soonest of five times: a
 * stall of the machine makes one of them late, and a timer each.
 */
void		 t_prompt(int64_t (*late)(int), int arg, int64_t limit_ms);

/* The outcome that goes with an errno value; 0 is OK. */
int		 t_outcome(int);

#define t_report_is(r, outcome_, error_, delivered_, finished_) do {	\
	const struct graceclose_report *t_r_ = (r);			\
	ck_assert_int_eq(t_r_->outcome, (outcome_));			\
	t_error_is(t_r_->error, (error_));				\
	ck_assert_int_eq(t_r_->delivered, (delivered_));		\
	ck_assert_int_eq(t_r_->finished, (finished_));			\
	ck_assert_uint_eq(t_r_->reserved[0], 0);			\
	ck_assert_uint_eq(t_r_->reserved[1], 0);			\
} while (0)

/*
 * What a connection may have been through, and what a look at it is to say.
 * `make` gets a fresh pair; it sets the peer's descriptor to -1 when it
 * closed that.  Bits outside of `sure` are not asked for.
 */
struct t_state {
	const char	*name;
	void		(*make)(struct t_pair *);
	int		 families;	/* loop end: T_PLAIN, T_TCP... */
	int		 closed;	/* peer_closed(): 1, 0, -1 */
	int		 bits;
	int		 sure;
};
extern const struct t_state t_states[];
extern const int t_nstates;
void		 t_state_pair(struct t_pair *, const struct t_state *, int);
void		 t_close_pair(struct t_pair *);

/*
 * CLOCK_MONOTONIC of the library runs so many times faster from now on; 1
 * ends it.  A poll waits no shorter for it, so run a storm as well.
 * t_now_ms and the waits here keep to real time.
 */
void		 t_clock(int);

/*
 * A reaper, which may have NULL for options; t_reaper_free waits until its
 * thread is gone from /proc as well.
 */
#define T_REAPER	"graceclose"	/* the thread's name */
struct graceclose_reaper *
		 t_reaper(const struct graceclose_reaper_opts *);
void		 t_reaper_free(struct graceclose_reaper *);

/*
 * What a reaper told of one close: t_done writes it into its cookie.  `place`
 * counts the calls of t_done in the program; `released` says that fd was no
 * descriptor any more, and means nothing where the number is another's again.
 */
struct t_verdict {
	struct graceclose_report report;
	void		*arg;
	pid_t		 tid;		/* the thread that called */
	int		 fd;
	int		 released;
	int		 times;
	int		 place;
	int64_t		 at_ms;		/* t_now_ms then */
};
void		 t_done(void *, void *, const struct graceclose_report *);
int		 t_told(const struct t_verdict *);	/* how often, so far */
void		 t_wait_told(const struct t_verdict *);

#define t_verdict_is(v, outcome_, error_, delivered_, finished_) do {	\
	const struct t_verdict *t_v_ = (v);				\
	ck_assert_int_eq(t_told(t_v_), 1);				\
	ck_assert_int_eq(t_v_->released, 1);				\
	t_report_is(&t_v_->report, outcome_, error_, delivered_,	\
	    finished_);							\
} while (0)

/*
 * Other threads of this process.  t_named: the youngest of that name, or 0;
 * t_status: a number from its line in /proc, to that base; t_turns: how often
 * it was put on a CPU; t_ticks: the time that it has spent there.
 * t_wait_asleep: until it has slept for so long without a break.
 */
pid_t		 t_named(const char *);
uint64_t	 t_status(pid_t, const char *, int);
uint64_t	 t_turns(pid_t);
uint64_t	 t_ticks(pid_t);
void		 t_wait_asleep(pid_t, int);
void		 t_wait_gone(pid_t);

/*
 * Many descriptors: as many as asked for or fewer, and how many there are.
 */
size_t		 t_files(size_t);

/*
 * Chance that can be had again: CHECK_SEED in the environment, or another one
 * each time, which is printed.
 */
uint64_t	 t_seed(void);
uint32_t	 t_random(uint64_t *, uint32_t);	/* below the limit */

/* What lies in the folder of a source file, which the compiler calls so. */
void		 t_beside(char *buf, size_t size, const char *source,
		    const char *name);

void		 t_pause(int);			/* milliseconds */

/* Measures. */
int64_t		 t_now_ms(void);
int64_t		 t_cpu_ms(void);		/* of this thread */
int		 t_fd_count(void);

/* Is the number free again? */
#define t_released(fd) do {						\
	errno = 0;							\
	ck_assert_int_eq(fcntl((fd), F_GETFD), -1);			\
	t_errno_is(EBADF);						\
} while (0)

#define t_between(ms, low, high) do {					\
	int64_t t_ms_ = (ms);						\
	ck_assert_int_ge(t_ms_, (low));					\
	ck_assert_int_le(t_ms_, (high));				\
} while (0)

/* errno by name. */
const char	*t_errno(int);
#define t_error_is(e, expected) \
	ck_assert_str_eq(t_errno(e), t_errno(expected))
#define t_errno_is(e)	t_error_is(errno, e)

/* The call returns `value` and errno stays what it was. */
#define T_ERRNO_UNTOUCHED	4711
#define t_returns(call, value) do {					\
	errno = T_ERRNO_UNTOUCHED;					\
	ck_assert_int_eq((call), (value));				\
	ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);			\
} while (0)
#define t_ok(call)	t_returns(call, 0)

/*
 * The close of a connection that had ended in order before: plain POSIX does
 * not know whether it did, and says so.
 */
#define t_ok_once_over(call) do {					\
	int t_result_;							\
	errno = T_ERRNO_UNTOUCHED;					\
	t_result_ = (call);						\
	if (T_PORTABLE && t_result_ == -1) {				\
		t_errno_is(ENOTCONN);					\
	} else {							\
		ck_assert_int_eq(t_result_, 0);				\
		ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);		\
	}								\
} while (0)

/* The call returns -1 with this errno. */
#define t_fails(call, e) do {						\
	errno = T_ERRNO_UNTOUCHED;					\
	ck_assert_int_eq((call), -1);					\
	t_errno_is(e);							\
} while (0)

/* Every byte sent is at the peer, or counted as unacknowledged. */
#define t_accounts_for(r, at_peer, sent) do {				\
	uint64_t t_here_ = (uint64_t)(at_peer), t_sent_ = (sent);	\
	ck_assert_uint_le(t_here_, t_sent_);				\
	ck_assert_uint_eq((r)->unacked, T_KNOWS(t_sent_ - t_here_, 0));	\
} while (0)

/* How it ended for the peer. */
#define t_saw(got, n, e) do {						\
	struct t_got t_saw_ = (got);					\
	t_error_is(t_saw_.error, e);					\
	ck_assert_uint_eq(t_saw_.bytes, (n));				\
} while (0)

#endif /* TEST_UTIL_H */
