/*
 * util.c - what the suites share; util.h says what each helper is for
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP	262
#endif

#define TEST_SECONDS	(T_VALGRIND ? 100 : 25)

const struct t_family t_families[T_FAMILIES] = {
	{ "IPv4",	AF_INET,	IPPROTO_TCP },
	{ "IPv6",	AF_INET6,	IPPROTO_TCP },
	{ "MPTCP",	AF_INET,	IPPROTO_MPTCP },
	{ "AF_UNIX",	AF_UNIX,	0 }
};

union address {
	struct sockaddr		sa;
	struct sockaddr_in	in;
	struct sockaddr_in6	in6;
	struct sockaddr_un	un;
};

/* Shared with the forked tests, so that their skips are counted as well. */
static int *skips;

static int fds_before;
static uint64_t mask_before;
static volatile sig_atomic_t sigpipes;
static volatile sig_atomic_t storm_signals;
static timer_t storm_timer;

/*
 * Runner
 */

static void
count_sigpipe(int sig)
{
	(void)sig;
	sigpipes++;
}

static uint64_t
blocked_signals(void)
{
	sigset_t mask;
	uint64_t set;
	int sig;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	set = 0;
	for (sig = 1; sig < 64; sig++)
		if (sigismember(&mask, sig) == 1)
			set |= (uint64_t)1 << sig;
	return set;
}

/*
 * CK_FORK=no knows no time limits, hence the alarm.  libcheck's own handler
 * would kill the process group, which then is that of make(1) and of whoever
 * called it: this one ends its process alone, be it a child of a test.
 */
static void
overdue(int sig)
{
	static const char text[] = ": not done in time\n";
	const char *name = tcase_name();

	(void)sig;
	if (name == NULL)
		name = "the fixture";
	(void)!write(STDERR_FILENO, name, strlen(name));
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(EXIT_FAILURE);
}

static void
setup(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = count_sigpipe;
	ck_assert_int_eq(sigaction(SIGPIPE, &sa, NULL), 0);
	sa.sa_handler = overdue;
	ck_assert_int_eq(sigaction(SIGALRM, &sa, NULL), 0);
	sigpipes = 0;
	mask_before = blocked_signals();
	fds_before = t_fd_count();
	alarm(TEST_SECONDS);
}

static void
teardown(void)
{
	alarm(0);
	t_clock(1);
	ck_assert_uint_eq(blocked_signals(), mask_before);
	ck_assert_msg(sigpipes == 0, "%d SIGPIPE raised", (int)sigpipes);
	ck_assert_msg(t_fd_count() == fds_before,
	    "%d descriptors before the test, %d after it", fds_before,
	    t_fd_count());
}

TCase *
t_case(Suite *s, const char *name)
{
	TCase *tc;

	tc = tcase_create(name);
	tcase_set_timeout(tc, TEST_SECONDS);
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(s, tc);
	return tc;
}

/*
 * ThreadSanitizer starts its symbolizer, with pipes to it, when it first looks
 * a race up, be it a suppressed one: not in the middle of a test.
 */
#if T_TSAN
void	__sanitizer_symbolize_pc(void *, const char *, char *, size_t);

static void
start_symbolizer(void)
{
	char name[64];

	__sanitizer_symbolize_pc(__builtin_return_address(0), "%f", name,
	    sizeof(name));
}
#else
static void
start_symbolizer(void)
{
}
#endif

int
t_main(Suite *s)
{
	SRunner *sr;
	int failed;

	start_symbolizer();
	skips = mmap(NULL, sizeof(*skips), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (skips == MAP_FAILED)
		return 1;
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	if (*skips > 0)
		printf("Skipped: %d\n", *skips);
	munmap(skips, sizeof(*skips));
	return failed == 0 ? 0 : 1;
}

void
t_skipped(const char *func, const char *why)
{
	size_t len;

	/* START_TEST(name) makes a function name_fn. */
	len = strlen(func);
	if (len > 3 && strcmp(func + len - 3, "_fn") == 0)
		len -= 3;
	printf("SKIP %.*s: %s\n", (int)len, func, why);
	fflush(stdout);
	__atomic_add_fetch(skips, 1, __ATOMIC_RELAXED);
}

/*
 * Connections
 */

static socklen_t
loopback(int family, union address *a)
{
	memset(a, 0, sizeof(*a));
	a->sa.sa_family = (sa_family_t)t_families[family].domain;
	switch (a->sa.sa_family) {
	case AF_INET:
		a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(a->in);
	case AF_INET6:
		a->in6.sin6_addr = in6addr_loopback;
		return sizeof(a->in6);
	default:
		/* No name: the kernel invents an abstract one. */
		return sizeof(a->un.sun_family);
	}
}

static int
open_socket(int family)
{
	return socket(t_families[family].domain, SOCK_STREAM | SOCK_CLOEXEC,
	    t_families[family].protocol);
}

const char *
t_absent(int family)
{
	static char why[96];
	union address a;
	int fd;

	if ((fd = open_socket(family)) == -1 ||
	    bind(fd, &a.sa, loopback(family, &a)) == -1)
		snprintf(why, sizeof(why), "no %s here: %s",
		    t_families[family].name, strerror(errno));
	else
		why[0] = '\0';
	if (fd != -1)
		close(fd);
	return why[0] == '\0' ? NULL : why;
}

const char *
t_missing(int family)
{
	if (T_PORTABLE && family == T_MPTCP)
		return "plain POSIX does not know MPTCP";
	return t_absent(family);
}

int
t_socket(int family)
{
	int fd;

	fd = open_socket(family);
	ck_assert_msg(fd != -1, "socket: %s", strerror(errno));
	return fd;
}

static void
start_listening(int fd, int family)
{
	union address a;
	socklen_t len;

	len = loopback(family, &a);
	ck_assert_int_eq(bind(fd, &a.sa, len), 0);
	ck_assert_int_eq(listen(fd, 128), 0);
}

int
t_listen(int family)
{
	int fd;

	fd = t_socket(family);
	start_listening(fd, family);
	return fd;
}

static void
connect_to(int fd, int lfd)
{
	union address a;
	socklen_t len;

	len = sizeof(a);
	ck_assert_int_eq(getsockname(lfd, &a.sa, &len), 0);
	ck_assert_msg(connect(fd, &a.sa, len) == 0, "connect: %s",
	    strerror(errno));
}

int
t_connect(int family, int lfd)
{
	int fd;

	fd = t_socket(family);
	connect_to(fd, lfd);
	return fd;
}

int
t_accept(int lfd)
{
	int fd;

	fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_msg(fd != -1, "accept: %s", strerror(errno));
	return fd;
}

void
t_pair(struct t_pair *p, int family)
{
	int lfd;

	lfd = t_listen(family);
	p->peer = t_connect(family, lfd);
	p->us = t_accept(lfd);
	t_close(lfd);
}

void
t_pair_connecting(struct t_pair *p, int family)
{
	int lfd;

	lfd = t_listen(family);
	p->us = t_connect(family, lfd);
	p->peer = t_accept(lfd);
	t_close(lfd);
}

void
t_pair_any(struct t_pair *p, int i)
{
	if (i % 2 == 0)
		t_pair(p, i / 2);
	else
		t_pair_connecting(p, i / 2);
}

static void
buffer(int fd, int opt, int size)
{
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, opt, &size, sizeof(size)),
	    0);
}

/* MPTCP needs seconds to get through a window of 4096. */
void
t_pair_small(struct t_pair *p, int family)
{
	int lfd;

	lfd = t_listen(family);
	p->peer = t_socket(family);
	buffer(p->peer, SO_RCVBUF, family == T_MPTCP ? 32768 : 4096);
	connect_to(p->peer, lfd);
	p->us = t_accept(lfd);
	buffer(p->us, SO_SNDBUF, 65536);
	t_close(lfd);
}

size_t
t_pair_full(struct t_pair *p, int family)
{
	t_pair_small(p, family);
	return t_fill(p->us);
}

void
t_pair_reset(struct t_pair *p, int family)
{
	t_pair(p, family);
	t_reset(p->peer);
	t_wait_dead(p->us);
}

void
t_sndbuf(int fd, int size)
{
	/* In a namespace of users nobody may go beyond wmem_max. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size,
	    sizeof(size)) == -1)
		buffer(fd, SO_SNDBUF, size);
}

void
t_close(int fd)
{
	ck_assert_msg(close(fd) == 0, "close: %s", strerror(errno));
}

/*
 * Waiting for a state
 */

void
t_beside(char *buf, size_t size, const char *source, const char *name)
{
	const char *slash = strrchr(source, '/');
	int folder = slash != NULL ? (int)(slash + 1 - source) : 0;

	(void)snprintf(buf, size, "%.*s%s", folder, source, name);
}

void
t_pause(int ms)
{
	struct timespec ts;

	ts.tv_sec = ms / 1000;
	ts.tv_nsec = ms % 1000 * 1000000L;
	while (nanosleep(&ts, &ts) == -1 && errno == EINTR)
		;
}

int
t_state(int fd)
{
	struct tcp_info ti;
	socklen_t len;

	memset(&ti, 0, sizeof(ti));
	len = sizeof(ti);
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len), 0);
	return ti.tcpi_state;
}

int
t_outq(int fd)
{
	int n;

	ck_assert_int_eq(ioctl(fd, SIOCOUTQ, &n), 0);
	return n;
}

int
t_inq(int fd)
{
	int n;

	ck_assert_int_eq(ioctl(fd, SIOCINQ, &n), 0);
	return n;
}

static void
wait_value(const char *what, int (*get)(int), int fd, int value, int or_more)
{
	int64_t end;
	int now;

	end = t_now_ms() + T_LIMIT_MS;
	while ((now = get(fd)) != value && !(or_more && now > value)) {
		ck_assert_msg(t_now_ms() < end, "%s stays %d, not %d", what,
		    now, value);
		t_pause(1);
	}
}

void
t_wait_state(int fd, int state)
{
	wait_value("TCP state", t_state, fd, state, 0);
}

void
t_wait_outq(int fd, int n)
{
	wait_value("SIOCOUTQ", t_outq, fd, n, 0);
}

void
t_wait_inq(int fd, int n)
{
	wait_value("SIOCINQ", t_inq, fd, n, 1);
}

int
t_wait_poll(int fd, int events)
{
	struct pollfd pfd;
	int64_t end;
	int n;

	end = t_now_ms() + T_LIMIT_MS;
	pfd.fd = fd;
	pfd.events = (short)events;
	do {
		n = poll(&pfd, 1, 100);
		ck_assert_msg(t_now_ms() < end, "no event of 0x%x came",
		    (unsigned)events);
	} while (n == 0 || (n == -1 && errno == EINTR));
	ck_assert_int_eq(n, 1);
	return pfd.revents;
}

void
t_wait_readable(int fd)
{
	t_wait_poll(fd, POLLIN);
}

void
t_wait_dead(int fd)
{
	t_wait_poll(fd, 0);
}

void
t_wait_reset(int fd)
{
	int64_t end;

	end = t_now_ms() + T_LIMIT_MS;
	while ((t_wait_poll(fd, 0) & POLLERR) == 0) {
		ck_assert_msg(t_now_ms() < end, "no reset came");
		t_pause(1);
	}
}

/*
 * Transfer
 */

static const char payload[65536];

static int
ready(int fd, short events, int64_t end)
{
	struct pollfd pfd;
	int64_t left;

	if ((left = end - t_now_ms()) <= 0)
		return 0;
	pfd.fd = fd;
	pfd.events = events;
	return poll(&pfd, 1, (int)left) == 1;
}

void
t_write(int fd, size_t n)
{
	int64_t end;
	size_t chunk;
	ssize_t sent;

	end = t_now_ms() + T_LIMIT_MS;
	while (n > 0) {
		chunk = n < sizeof(payload) ? n : sizeof(payload);
		sent = send(fd, payload, chunk, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent == -1 && errno == EAGAIN)
			ck_assert_msg(ready(fd, POLLOUT, end),
			    "%zu bytes cannot be written", n);
		else
			ck_assert_msg(sent > 0, "send: %s", strerror(errno));
		if (sent > 0)
			n -= (size_t)sent;
	}
}

int
t_try_write(int fd)
{
	if (send(fd, payload, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == -1)
		return errno;
	return 0;
}

/*
 * The peer's kernel may take some more after the first EAGAIN: full is what
 * stays full for longer than an acknowledgement is delayed, 40 ms.
 */
size_t
t_fill(int fd)
{
	ssize_t sent;
	size_t n;

	n = 0;
	do {
		while ((sent = send(fd, payload, sizeof(payload),
		    MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
			n += (size_t)sent;
		ck_assert_int_eq(errno, EAGAIN);
	} while (ready(fd, POLLOUT, t_now_ms() + 60));
	return n;
}

size_t
t_fill_settled(const struct t_pair *p)
{
	size_t n = t_fill(p->us);

	t_wait_outq(p->us, (int)n - t_inq(p->peer));
	return n;
}

/* Called by threads too: asserts nothing. */
struct t_got
t_read_all(int fd)
{
	static __thread char buf[65536];
	struct t_got got;
	int64_t end;
	ssize_t n;

	memset(&got, 0, sizeof(got));
	end = t_now_ms() + T_LIMIT_MS;
	for (;;) {
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0)
			return got;
		if (n > 0)
			got.bytes += (size_t)n;
		else if (errno != EAGAIN) {
			got.error = errno;
			return got;
		} else if (!ready(fd, POLLIN, end)) {
			got.error = ETIMEDOUT;
			return got;
		}
	}
}

void
t_read(int fd, size_t n)
{
	char buf[4096];
	ssize_t got;

	while (n > 0) {
		t_wait_readable(fd);
		got = recv(fd, buf, n < sizeof(buf) ? n : sizeof(buf), 0);
		ck_assert_msg(got > 0, "recv: %s",
		    got == 0 ? "EOF" : strerror(errno));
		n -= (size_t)got;
	}
}

void
t_fin(int fd)
{
	shutdown(fd, SHUT_WR);
}

ssize_t
t_peek(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
}

int
t_pending_error(int fd)
{
	int error;
	socklen_t len;

	len = sizeof(error);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len),
	    0);
	return error;
}

int
t_peername(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len;

	len = sizeof(ss);
	return getpeername(fd, (struct sockaddr *)&ss, &len) == -1 ? errno : 0;
}

/*
 * Trouble
 */

void
t_linger(int fd, int seconds)
{
	struct linger l;

	l.l_onoff = 1;
	l.l_linger = seconds;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

void
t_reset(int fd)
{
	t_linger(fd, 0);
	close(fd);
}

void
t_vanish(int fd)
{
	int on;

	on = 1;
	ck_assert_msg(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on,
	    sizeof(on)) == 0, "TCP_REPAIR: %s", strerror(errno));
	t_close(fd);
}

/*
 * A filter sees a segment from its TCP header on, on the receiving side.
 * There is payload when the segment is longer than its header says.
 */
#define KEEP	0xffffffffU
#define DROP	0U

static void
attach(int fd, struct sock_filter *code, size_t n)
{
	struct sock_fprog prog;

	prog.filter = code;
	prog.len = (unsigned short)n;
	ck_assert_msg(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
	    sizeof(prog)) == 0, "SO_ATTACH_FILTER: %s", strerror(errno));
}

void
t_drop(int fd, int what)
{
	unsigned flags = (unsigned)what & 0x3f;
	unsigned all = what & T_DROP_ALL ? DROP : KEEP;
	unsigned data = what & T_DROP_DATA ? DROP : all;
	unsigned ack = what & T_DROP_ACK ? DROP : all;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flags, 11, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 12),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 2),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, data),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x07, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, ack),
		BPF_STMT(BPF_RET | BPF_K, all),
		BPF_STMT(BPF_RET | BPF_K, DROP)
	};

	attach(fd, code, sizeof(code) / sizeof(code[0]));
}

void
t_heal(int fd)
{
	int none;

	none = 0;
	setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none));
}

void
t_nonblock(int fd)
{
	int fl;

	fl = fcntl(fd, F_GETFL);
	ck_assert_int_eq(fcntl(fd, F_SETFL, fl | O_NONBLOCK), 0);
}

/*
 * Threads and signals
 */

void
t_thread(pthread_t *t, void *(*fn)(void *), void *arg)
{
	ck_assert_int_eq(pthread_create(t, NULL, fn, arg), 0);
}

void
t_join(pthread_t t)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 2 * T_LIMIT_MS / 1000;
	ck_assert_msg(pthread_timedjoin_np(t, NULL, &ts) == 0,
	    "a thread of the test hangs");
}

static void *
read_all_thread(void *arg)
{
	struct t_reader *r = arg;

	t_pause(r->after_ms);
	r->got = t_read_all(r->fd);
	r->done_ms = t_now_ms();
	if (r->close)
		close(r->fd);
	return NULL;
}

void
t_reader(struct t_reader *r, int fd, int close_too)
{
	*r = (struct t_reader){ .fd = fd, .close = close_too };
	t_thread(&r->thread, read_all_thread, r);
}

void
t_reader_later(struct t_reader *r, int fd, int after_ms)
{
	*r = (struct t_reader){ .fd = fd, .after_ms = after_ms };
	t_thread(&r->thread, read_all_thread, r);
}

static void *
read_slowly(void *arg)
{
	struct t_reader *r = arg;
	char buf[8192];
	ssize_t n;

	while ((n = recv(r->fd, buf, sizeof(buf), 0)) > 0) {
		r->got.bytes += (size_t)n;
		t_pause(40);
	}
	r->got.error = n == 0 ? 0 : errno;
	shutdown(r->fd, SHUT_WR);
	return NULL;
}

void
t_reader_slow(struct t_reader *r, int fd)
{
	*r = (struct t_reader){ .fd = fd };
	t_thread(&r->thread, read_slowly, r);
}

struct t_got
t_reader_join(struct t_reader *r)
{
	t_join(r->thread);
	return r->got;
}

void *
t_flood(void *arg)
{
	static const char data[65536];
	int fd = *(int *)arg;

	while (send(fd, data, sizeof(data), MSG_NOSIGNAL) > 0)
		;
	return NULL;
}

static void *
later_thread(void *arg)
{
	struct t_later *l = arg;

	t_pause(l->after_ms);
	l->done_ms = t_now_ms();
	l->what(l->fd);
	return NULL;
}

void
t_later(struct t_later *l, int after_ms, void (*what)(int), int fd)
{
	memset(l, 0, sizeof(*l));
	l->what = what;
	l->fd = fd;
	l->after_ms = after_ms;
	t_thread(&l->thread, later_thread, l);
}

int64_t
t_later_join(struct t_later *l)
{
	t_join(l->thread);
	return l->done_ms;
}

static void
count_storm(int sig)
{
	(void)sig;
	storm_signals++;
}

/*
 * The signals go to this thread alone, which is the one in the library.
 */
void
t_storm(void)
{
	struct itimerspec its;
	struct sigaction sa;
	struct sigevent se;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = count_storm;
	ck_assert_int_eq(sigaction(SIGUSR2, &sa, NULL), 0);
	storm_signals = 0;
	memset(&se, 0, sizeof(se));
	se.sigev_notify = SIGEV_THREAD_ID;
	se.sigev_signo = SIGUSR2;
	se._sigev_un._tid = gettid();
	ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &se, &storm_timer), 0);
	memset(&its, 0, sizeof(its));
	its.it_interval.tv_nsec = T_VALGRIND ? 5000000 : 1000000;
	its.it_value = its.it_interval;
	ck_assert_int_eq(timer_settime(storm_timer, 0, &its, NULL), 0);
}

int
t_storm_end(void)
{
	timer_delete(storm_timer);
	return storm_signals;
}

/*
 * Other processes and threads
 */

pid_t
t_hold(void)
{
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		alarm(TEST_SECONDS);
		for (;;)
			pause();
	}
	ck_assert_int_ne(pid, -1);
	return pid;
}

void
t_hold_end(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

void
t_wait_blocked(const pid_t *tid, long call)
{
	char path[64], line[256], *end_of_number;
	FILE *f;
	int64_t end;
	pid_t who;
	long now;

	end = t_now_ms() + T_LIMIT_MS;
	for (now = -1; now != call; t_pause(1)) {
		ck_assert_msg(t_now_ms() < end, "thread does not sleep");
		who = __atomic_load_n(tid, __ATOMIC_ACQUIRE);
		snprintf(path, sizeof(path), "/proc/self/task/%d/syscall",
		    (int)who);
		if (who == 0 || (f = fopen(path, "re")) == NULL)
			continue;
		now = -1;
		if (fgets(line, sizeof(line), f) != NULL) {
			now = strtol(line, &end_of_number, 10);
			if (end_of_number == line)	/* "running" */
				now = -1;
		}
		fclose(f);
	}
}

static void *
block_in_recv(void *arg)
{
	struct t_blocked *b = arg;
	char c;

	__atomic_store_n(&b->tid, gettid(), __ATOMIC_RELEASE);
	b->n = recv(b->fd, &c, 1, 0);
	return NULL;
}

void
t_blocked(struct t_blocked *b, int fd)
{
	*b = (struct t_blocked){ .fd = fd };
	t_thread(&b->thread, block_in_recv, b);
	t_wait_blocked(&b->tid, SYS_recvfrom);
}

/*
 * No connections
 */

static int
open_pipe(int family)
{
	int fds[2];

	(void)family;
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	t_close(fds[1]);
	return fds[0];
}

static int
open_file(int family)
{
	(void)family;
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int
open_udp(int family)
{
	return socket(t_families[family].domain, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* Connected to itself, with an empty datagram waiting. */
static int
open_udp_with_empty_datagram(int family)
{
	union address a;
	socklen_t len;
	int fd;

	fd = open_udp(family);
	len = loopback(family, &a);
	ck_assert_int_eq(bind(fd, &a.sa, len), 0);
	connect_to(fd, fd);
	ck_assert_int_eq(send(fd, "", 0, 0), 0);
	t_wait_readable(fd);
	return fd;
}

static int
open_half(int family, int type)
{
	int fds[2];

	ck_assert_int_eq(socketpair(t_families[family].domain,
	    type | SOCK_CLOEXEC, 0, fds), 0);
	t_close(fds[1]);
	return fds[0];
}

static int
open_unix_dgram(int family)
{
	return open_half(family, SOCK_DGRAM);
}

static int
open_unix_seqpacket(int family)
{
	return open_half(family, SOCK_SEQPACKET);
}

const struct t_odd t_odds[T_ODDS] = {
	{ "pipe", open_pipe, T_UNIX, ENOTSOCK },
	{ "file", open_file, T_UNIX, ENOTSOCK },
	{ "UDP", open_udp, T_IPV4, EOPNOTSUPP },
	{ "UDP, empty datagram", open_udp_with_empty_datagram, T_IPV4,
	    EOPNOTSUPP },
	{ "AF_UNIX datagram", open_unix_dgram, T_UNIX, EOPNOTSUPP },
	{ "AF_UNIX seqpacket", open_unix_seqpacket, T_UNIX, EOPNOTSUPP },
	{ "fresh IPv4", t_socket, T_IPV4, ENOTCONN },
	{ "fresh IPv6", t_socket, T_IPV6, ENOTCONN },
	{ "fresh MPTCP", t_socket, T_MPTCP, ENOTCONN },
	{ "fresh AF_UNIX", t_socket, T_UNIX, ENOTCONN },
	{ "listening IPv4", t_listen, T_IPV4, ENOTCONN },
	{ "listening IPv6", t_listen, T_IPV6, ENOTCONN },
	{ "listening MPTCP", t_listen, T_MPTCP, ENOTCONN },
	{ "listening AF_UNIX", t_listen, T_UNIX, ENOTCONN }
};

int
t_odd_open(const struct t_odd *odd)
{
	int fd;

	fd = odd->open(odd->family);
	ck_assert_msg(fd >= 0, "%s: %s", odd->name, strerror(errno));
	return fd;
}

/*
 * Options
 */

struct graceclose_opts
t_opts(int until, int on_expiry, int timeout_ms, int idle_ms)
{
	return (struct graceclose_opts){
	    .until = until, .on_expiry = on_expiry,
	    .timeout_ms = timeout_ms, .idle_ms = idle_ms };
}

const struct graceclose_opts t_bad_opts[T_BAD_OPTS] = {
	{ .until = 2 },
	{ .until = -1 },
	{ .on_expiry = 2 },
	{ .on_expiry = -1 },
	{ .timeout_ms = -2 },
	{ .idle_ms = -2 },
	{ .reserved = { 1, 0, 0 } },
	{ .reserved = { 0, 1, 0 } },
	{ .reserved = { 0, 0, (uint64_t)1 << 63 } }
};

/*
 * States of a connection
 */

static void
peer_goes(struct t_pair *p, void (*how)(int))
{
	how(p->peer);
	p->peer = -1;
}

static void
unread(struct t_pair *p)
{
	t_write(p->peer, 100);
	t_wait_inq(p->us, 100);
}

static void
peer_fin(struct t_pair *p)
{
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
}

/* Where our own SHUT_RD hides the peer's FIN from poll: its ACK tells. */
static void
peer_fin_unseen(struct t_pair *p)
{
	t_fin(p->peer);
	t_wait_outq(p->peer, 0);
}

static void
peer_reset(struct t_pair *p)
{
	peer_goes(p, t_reset);
	t_wait_reset(p->us);
}

static void
own_shutdown(struct t_pair *p, int how)
{
	ck_assert_int_eq(shutdown(p->us, how), 0);
	if (how != SHUT_RD)
		t_wait_outq(p->us, 0);
}

static void
consume_error(struct t_pair *p)
{
	ck_assert_int_ne(t_pending_error(p->us), 0);
}

static void
s_open(struct t_pair *p)
{
	(void)p;
}

static void
s_spoke(struct t_pair *p)
{
	t_write(p->us, 100);
	t_read(p->peer, 100);
	t_write(p->peer, 100);
	t_read(p->us, 100);
}

/* A window too small for a segment gets a part of one, by a probe: 200 ms. */
static void
s_full(struct t_pair *p)
{
	t_sndbuf(p->us, 65536);
	do
		t_fill(p->us);
	while (ready(p->us, POLLOUT, t_now_ms() + 300) ||
	    t_try_write(p->us) == 0);
}

static void
s_peer_closed(struct t_pair *p)
{
	peer_goes(p, t_close);
	t_wait_poll(p->us, POLLRDHUP);
}

static void
s_unread_peer_fin(struct t_pair *p)
{
	unread(p);
	peer_fin(p);
}

static void
s_unread_peer_closed(struct t_pair *p)
{
	unread(p);
	s_peer_closed(p);
}

static void
s_urgent(struct t_pair *p)
{
	ck_assert_int_eq(send(p->peer, "!", 1, MSG_OOB), 1);
	t_wait_poll(p->us, POLLPRI);
}

static void
s_unread_reset(struct t_pair *p)
{
	unread(p);
	peer_reset(p);
}

static void
s_fin_reset(struct t_pair *p)
{
	peer_fin(p);
	peer_reset(p);
}

static void
s_unread_fin_reset(struct t_pair *p)
{
	s_unread_peer_fin(p);
	peer_reset(p);
}

static void
s_reset_recv(struct t_pair *p)
{
	char c;

	peer_reset(p);
	t_fails(recv(p->us, &c, 1, 0), ECONNRESET);
}

static void
s_reset_so_error(struct t_pair *p)
{
	peer_reset(p);
	consume_error(p);
}

static void
s_unread_reset_so_error(struct t_pair *p)
{
	s_unread_reset(p);
	consume_error(p);
}

/* Where nothing is left to be acknowledged, nothing is left to tell, either. */
static void
s_fin_unacked_reset_so_error(struct t_pair *p)
{
	peer_fin(p);
	t_drop(p->peer, T_DROP_ALL);
	t_write(p->us, 100);
	peer_reset(p);
	consume_error(p);
}

static void
s_shut_rd(struct t_pair *p)
{
	own_shutdown(p, SHUT_RD);
}

static void
s_shut_rd_unread(struct t_pair *p)
{
	unread(p);
	own_shutdown(p, SHUT_RD);
}

static void
s_shut_rd_fin(struct t_pair *p)
{
	own_shutdown(p, SHUT_RD);
	peer_fin_unseen(p);
}

static void
s_shut_rd_unread_fin(struct t_pair *p)
{
	s_shut_rd_unread(p);
	peer_fin_unseen(p);
}

static void
s_shut_rd_reset(struct t_pair *p)
{
	own_shutdown(p, SHUT_RD);
	peer_reset(p);
}

static void
s_shut_wr(struct t_pair *p)
{
	own_shutdown(p, SHUT_WR);
}

static void
s_shut_wr_unread(struct t_pair *p)
{
	own_shutdown(p, SHUT_WR);
	unread(p);
}

static void
s_shut_wr_fin(struct t_pair *p)
{
	own_shutdown(p, SHUT_WR);
	peer_fin(p);
}

static void
s_shut_wr_unread_fin(struct t_pair *p)
{
	s_shut_wr_unread(p);
	peer_fin(p);
}

static void
s_fin_shut_wr(struct t_pair *p)
{
	peer_fin(p);
	own_shutdown(p, SHUT_WR);
}

static void
s_shut_wr_reset(struct t_pair *p)
{
	own_shutdown(p, SHUT_WR);
	peer_reset(p);
}

static void
s_shut_wr_reset_so_error(struct t_pair *p)
{
	s_shut_wr_reset(p);
	consume_error(p);
}

static void
s_shut_rdwr(struct t_pair *p)
{
	own_shutdown(p, SHUT_RDWR);
}

static void
s_shut_rdwr_fin(struct t_pair *p)
{
	own_shutdown(p, SHUT_RDWR);
	peer_fin_unseen(p);
}

static void
s_shut_rdwr_reset(struct t_pair *p)
{
	own_shutdown(p, SHUT_RDWR);
	peer_reset(p);
}

static void
s_fin_wait1(struct t_pair *p)
{
	t_drop(p->peer, T_DROP_ALL);
	t_fin(p->us);
	t_wait_state(p->us, TCP_FIN_WAIT1);
}

static void
s_closing(struct t_pair *p)
{
	s_fin_wait1(p);
	t_fin(p->peer);
	t_wait_state(p->us, TCP_CLOSING);
}

static void
s_last_ack(struct t_pair *p)
{
	peer_fin(p);
	t_drop(p->peer, T_DROP_ALL);
	t_write(p->us, 100);
	t_fin(p->us);
	t_wait_state(p->us, TCP_LAST_ACK);
}

#define UNREAD	GRACECLOSE_UNREAD
#define FIN	GRACECLOSE_FIN
#define RST	GRACECLOSE_RST
#define ALL	(UNREAD | FIN | RST)

/* What plain POSIX takes for the peer's FIN, and what it takes it for. */
#define GONE	T_KNOWS(-1, 1), T_KNOWS(RST, FIN)
#define DEAF	T_KNOWS(0, 1), T_KNOWS(0, FIN)
#define BEHIND	T_KNOWS(1, 0), UNREAD | T_KNOWS(FIN, 0)

const struct t_state t_states[] = {
	{ "open", s_open, T_FAMILIES, 0, 0, ALL },
	{ "spoke", s_spoke, T_FAMILIES, 0, 0, ALL },
	{ "send buffer full", s_full, T_FAMILIES, 0, 0, ALL },
	{ "unread", unread, T_FAMILIES, 0, UNREAD, ALL },
	{ "urgent byte", s_urgent, T_PLAIN, 0, 0, FIN | RST },
	{ "FIN", peer_fin, T_FAMILIES, 1, FIN, ALL },
	{ "unread, FIN", s_unread_peer_fin, T_FAMILIES, BEHIND, ALL },
	{ "peer closed", s_peer_closed, T_FAMILIES, 1, FIN, ALL },
	{ "unread, peer closed", s_unread_peer_closed, T_FAMILIES, BEHIND,
	    ALL },
	{ "reset", peer_reset, T_TCP, -1, RST, ALL },
	{ "unread, reset", s_unread_reset, T_TCP, -1, RST, FIN | RST },
	{ "FIN, reset", s_fin_reset, T_TCP, -1, RST, RST },
	{ "unread, FIN, reset", s_unread_fin_reset, T_TCP, -1, RST, RST },
	{ "reset, recv", s_reset_recv, T_TCP, GONE, ALL },
	{ "reset, SO_ERROR", s_reset_so_error, T_TCP, GONE, ALL },
	{ "unread, reset, SO_ERROR", s_unread_reset_so_error, T_TCP, GONE,
	    T_KNOWS(RST, FIN) },
	{ "FIN, unacked, reset, SO_ERROR", s_fin_unacked_reset_so_error,
	    T_PLAIN, GONE, T_KNOWS(RST, FIN) },
	{ "SHUT_RD", s_shut_rd, T_TCP, DEAF, ALL },
	{ "unread, SHUT_RD", s_shut_rd_unread, T_TCP, 0, UNREAD, ALL },
	{ "SHUT_RD, FIN", s_shut_rd_fin, T_TCP, 1, FIN, ALL },
	{ "unread, SHUT_RD, FIN", s_shut_rd_unread_fin, T_TCP, BEHIND,
	    ALL },
	{ "SHUT_RD, reset", s_shut_rd_reset, T_TCP, -1, RST, ALL },
	{ "SHUT_WR", s_shut_wr, T_FAMILIES, 0, 0, ALL },
	{ "SHUT_WR, unread", s_shut_wr_unread, T_FAMILIES, 0, UNREAD, ALL },
	{ "SHUT_WR, FIN", s_shut_wr_fin, T_FAMILIES, 1, FIN, ALL },
	{ "SHUT_WR, unread, FIN", s_shut_wr_unread_fin,
	    T_KNOWS(T_FAMILIES, T_TCP), 1, UNREAD | FIN, ALL },
	{ "FIN, SHUT_WR", s_fin_shut_wr, T_FAMILIES, 1, FIN, ALL },
	{ "SHUT_WR, reset", s_shut_wr_reset, T_TCP, -1, RST, ALL },
	{ "SHUT_WR, reset, SO_ERROR", s_shut_wr_reset_so_error, T_TCP, GONE,
	    ALL },
	{ "SHUT_RDWR", s_shut_rdwr, T_TCP, DEAF, ALL },
	{ "SHUT_RDWR, FIN", s_shut_rdwr_fin, T_TCP, 1, FIN, ALL },
	{ "SHUT_RDWR, reset", s_shut_rdwr_reset, T_TCP, -1, RST, ALL },
	{ "FIN_WAIT1", s_fin_wait1, T_PLAIN, 0, 0, ALL },
	{ "CLOSING", s_closing, T_PLAIN, 1, FIN, ALL },
	{ "LAST_ACK", s_last_ack, T_PLAIN, 1, FIN, ALL }
};
const int t_nstates = sizeof(t_states) / sizeof(t_states[0]);

void
t_state_pair(struct t_pair *p, const struct t_state *s, int i)
{
	t_pair_any(p, i);
	s->make(p);
}

void
t_close_pair(struct t_pair *p)
{
	t_close(p->us);
	if (p->peer != -1)
		t_close(p->peer);
}

/*
 * Time.  The library's calls of clock_gettime end here: a symbol of the
 * program comes before that of the C library.
 */

static int clock_speed = 1;
static int64_t clock_base;

static int64_t
real_ns(clockid_t id)
{
	struct timespec ts;

	syscall(SYS_clock_gettime, id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t ns;

	if (id != CLOCK_MONOTONIC || clock_speed == 1)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ns = real_ns(id);
	ns += (ns - clock_base) * (clock_speed - 1);
	ts->tv_sec = (time_t)(ns / 1000000000);
	ts->tv_nsec = (long)(ns % 1000000000);
	return 0;
}

void
t_clock(int speed)
{
	clock_base = real_ns(CLOCK_MONOTONIC);
	clock_speed = speed;
}

int64_t
t_now_ms(void)
{
	return real_ns(CLOCK_MONOTONIC) / 1000000;
}

static int64_t
ms(const struct timeval *tv)
{
	return (int64_t)tv->tv_sec * 1000 + tv->tv_usec / 1000;
}

int64_t
t_cpu_ms(void)
{
	struct rusage ru;

	getrusage(RUSAGE_THREAD, &ru);
	return ms(&ru.ru_utime) + ms(&ru.ru_stime);
}

/* The directory's own descriptor and the two dots are not counted. */
int
t_fd_count(void)
{
	DIR *d;
	int n;

	d = opendir("/proc/self/fd");
	ck_assert_ptr_nonnull(d);
	n = -3;
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

void
t_prompt(int64_t (*late)(int), int arg, int64_t limit_ms)
{
	int64_t ms = INT64_MAX;
	int i;

	for (i = 0; i < 5 && ms > limit_ms; i++)
		ms = late(arg);
	ck_assert_int_le(ms, limit_ms);
}

int
t_outcome(int error)
{
	switch (error) {
	case 0:
		return GRACECLOSE_OK;
	case ECONNRESET:
		return GRACECLOSE_WAS_RESET;
	case ETIMEDOUT:
		return GRACECLOSE_EXPIRED;
	case EMSGSIZE:
		return GRACECLOSE_FLOODED;
	case ECANCELED:
		return GRACECLOSE_ABORTED;
	}
	return GRACECLOSE_INVALID;
}

const char *
t_errno(int e)
{
	static char unknown[32];
	const char *name;

	if (e == 0)
		return "0";
	if ((name = strerrorname_np(e)) != NULL)
		return name;
	snprintf(unknown, sizeof(unknown), "errno %d", e);
	return unknown;
}

/*
 * Reapers and their threads
 */

struct graceclose_reaper *
t_reaper(const struct graceclose_reaper_opts *ro)
{
	struct graceclose_reaper *reaper;

	errno = T_ERRNO_UNTOUCHED;
	reaper = graceclose_reaper_new(ro);
	ck_assert_msg(reaper != NULL, "new: %s", strerror(errno));
	ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);
	return reaper;
}

void
t_reaper_free(struct graceclose_reaper *reaper)
{
	pid_t tid = t_named(T_REAPER);

	errno = T_ERRNO_UNTOUCHED;
	graceclose_reaper_free(reaper);
	ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);
	t_wait_gone(tid);
}

static int places;

void
t_done(void *arg, void *cookie, const struct graceclose_report *report)
{
	struct t_verdict *v = cookie;

	v->report = *report;
	v->arg = arg;
	v->tid = gettid();
	v->released = fcntl(v->fd, F_GETFD) == -1;
	v->place = __atomic_add_fetch(&places, 1, __ATOMIC_RELAXED);
	v->at_ms = t_now_ms();
	__atomic_add_fetch(&v->times, 1, __ATOMIC_RELEASE);
}

int
t_told(const struct t_verdict *v)
{
	return __atomic_load_n(&v->times, __ATOMIC_ACQUIRE);
}

void
t_wait_told(const struct t_verdict *v)
{
	int64_t end;

	for (end = t_now_ms() + T_LIMIT_MS; t_told(v) == 0; t_pause(1))
		ck_assert_msg(t_now_ms() < end, "done is not called");
}

/* A line of a file of the thread's; "" where there is none. */
static void
task_line(pid_t tid, const char *file, const char *start, char *line, int size)
{
	char path[64];
	FILE *f;

	line[0] = '\0';
	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", (int)tid, file);
	if ((f = fopen(path, "re")) == NULL)
		return;
	while (fgets(line, size, f) != NULL &&
	    strncmp(line, start, strlen(start)) != 0)
		line[0] = '\0';
	fclose(f);
}

pid_t
t_named(const char *name)
{
	struct dirent *e;
	char line[256];
	pid_t found, tid;
	DIR *d;

	d = opendir("/proc/self/task");
	ck_assert_ptr_nonnull(d);
	for (found = 0; (e = readdir(d)) != NULL; ) {
		tid = (pid_t)strtol(e->d_name, NULL, 10);
		task_line(tid, "comm", name, line, sizeof(line));
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, name) == 0)
			found = tid;
	}
	closedir(d);
	return found;
}

uint64_t
t_status(pid_t tid, const char *what, int base)
{
	char line[256];

	task_line(tid, "status", what, line, sizeof(line));
	ck_assert_msg(strchr(line, ':') != NULL, "no %s of thread %d", what,
	    (int)tid);
	return strtoull(strchr(line, ':') + 1, NULL, base);
}

uint64_t
t_turns(pid_t tid)
{
	return t_status(tid, "voluntary_ctxt_switches", 10) +
	    t_status(tid, "nonvoluntary_ctxt_switches", 10);
}

/* The name may hold blanks; utime and stime are fields 14 and 15. */
uint64_t
t_ticks(pid_t tid)
{
	char line[512], *field;
	uint64_t ticks;
	int i;

	task_line(tid, "stat", "", line, sizeof(line));
	field = strrchr(line, ')');
	for (i = 2; field != NULL && i < 14; i++)
		field = strchr(field + 1, ' ');
	ck_assert_ptr_nonnull(field);
	ticks = strtoull(field, &field, 10);
	return ticks + strtoull(field, NULL, 10);
}

static int
sleeps(pid_t tid)
{
	char line[64];

	task_line(tid, "status", "State:", line, sizeof(line));
	return strncmp(line, "State:\tS", 8) == 0;
}

/* A thread that is kept from its processor has no turns either. */
void
t_wait_asleep(pid_t tid, int for_ms)
{
	uint64_t turns;
	int64_t end;

	end = t_now_ms() + T_LIMIT_MS;
	do {
		ck_assert_msg(t_now_ms() < end, "thread does not sleep");
		turns = t_turns(tid);
		t_pause(for_ms);
	} while (!sleeps(tid) || t_turns(tid) != turns);
}

/* A thread that was joined is in /proc for a moment longer. */
void
t_wait_gone(pid_t tid)
{
	char line[64];
	int64_t end;

	for (end = t_now_ms() + T_LIMIT_MS; ; t_pause(1)) {
		task_line(tid, "comm", "", line, sizeof(line));
		if (line[0] == '\0')
			return;
		ck_assert_msg(t_now_ms() < end, "a thread is left");
	}
}

size_t
t_files(size_t want)
{
	struct rlimit l;
	rlim_t n = want;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &l), 0);
	if (l.rlim_cur >= n)
		return want;
	l.rlim_cur = n;
	if (l.rlim_max < n)
		l.rlim_max = n;
	if (setrlimit(RLIMIT_NOFILE, &l) == 0)
		return want;
	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	return l.rlim_cur < n ? (size_t)l.rlim_cur : want;
}

uint64_t
t_seed(void)
{
	const char *given;
	uint64_t seed;

	if ((given = getenv("CHECK_SEED")) != NULL)
		seed = strtoull(given, NULL, 10);
	else
		seed = (uint64_t)real_ns(CLOCK_REALTIME) / 1000;
	printf("CHECK_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

/* splitmix64: any state will do, 0 included. */
uint32_t
t_random(uint64_t *state, uint32_t below)
{
	uint64_t z;

	z = *state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)((z ^ z >> 31) >> 32) % below;
}
