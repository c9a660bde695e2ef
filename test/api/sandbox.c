/*
 * sandbox.c - a child whose system calls are filtered: seccomp(2) and BPF
 *
 * A watched child has a filter that asks its parent about every call
 * (SECCOMP_RET_USER_NOTIF).  The parent takes the listener out of the child
 * with pidfd_getfd(2), notes the number, and lets the call go on.
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/sandbox.h"
#include "support/util.h"

#if defined(__x86_64__) && !defined(__ILP32__)
#define ARCH	AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH	AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH	AUDIT_ARCH_RISCV64
#else
#define ARCH	0	/* where libc takes other calls than those named */
#endif

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd	438
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open	434
#endif
#ifndef SECCOMP_USER_NOTIF_FLAG_CONTINUE
#define SECCOMP_USER_NOTIF_FLAG_CONTINUE	1
#endif

#define NUMBERS_MAX	1024	/* of system calls */
#define PROGRAM_MAX	512

struct sandbox_page {
	int		listener;	/* in the child; -1: not yet */
	int		error;		/* why there is no filter */
	bool		done;
	int64_t		elapsed_us, cpu_us;
	unsigned char	made[NUMBERS_MAX];
};

/*
 * Names and numbers.  A name has two where libc may take either.
 */

#define ONE(name)	{ #name, SYS_##name, -1 }
#define NAMED(name, other)	{ #name, SYS_##other, -1 }
static const struct {
	const char	*name;
	int		 number, other;
} names[] = {
	ONE(getsockopt), ONE(setsockopt), ONE(getsockname), ONE(getpeername),
	ONE(ioctl), ONE(fcntl), ONE(shutdown), ONE(connect), ONE(close),
	ONE(recvfrom), ONE(recvmsg), ONE(sendto), ONE(sendmsg),
	 ONE(socket), ONE(write),
	ONE(read), ONE(epoll_create1), ONE(epoll_ctl), ONE(eventfd2),
	ONE(getpid), ONE(futex), ONE(mmap), ONE(munmap), ONE(mprotect),
	ONE(madvise), ONE(mremap), ONE(brk), ONE(clone), ONE(exit),
	ONE(exit_group),
	ONE(rt_sigaction), ONE(rt_sigprocmask), ONE(rt_sigreturn),
	 ONE(set_robust_list),
	ONE(prctl), ONE(getrandom), ONE(sched_getaffinity),
	{ "clock_nanosleep", SYS_clock_nanosleep, SYS_nanosleep },
	ONE(clock_gettime),
	ONE(restart_syscall), ONE(prlimit64), ONE(gettid),
	ONE(getrlimit),
#ifdef SYS_newfstatat
	ONE(newfstatat),
#else
	NAMED(newfstatat, fstatat64),
#endif
#ifdef SYS_clone3
	ONE(clone3),
#endif
#ifdef SYS_rseq
	ONE(rseq),
#endif
#ifdef SYS_open
	{ "openat", SYS_openat, SYS_open },	/* musl */
#else
	ONE(openat),
#endif
#ifdef SYS_poll
	{ "poll", SYS_poll, SYS_ppoll },
#else
	NAMED(poll, ppoll),
#endif
#ifdef SYS_epoll_wait
	{ "epoll_wait", SYS_epoll_wait, SYS_epoll_pwait },
#else
	NAMED(epoll_wait, epoll_pwait),
#endif
};
#define NAMES	(sizeof(names) / sizeof(names[0]))

const char *
sandbox_next(const char **calls, char *name, size_t size)
{
	size_t len;

	*calls += strspn(*calls, " ");
	len = strcspn(*calls, " ");
	if (len == 0)
		return NULL;
	(void)snprintf(name, size, "%.*s", (int)len, *calls);
	*calls += len;
	return name;
}

/* Its place among the names; a name that nobody knows fails the test. */
static size_t
find(const char *name)
{
	size_t i;

	for (i = 0; i < NAMES; i++)
		if (strcmp(names[i].name, name) == 0)
			return i;
	ck_abort_msg("%s: no system call of this name", name);
	return 0;
}

/*
 * Filters
 */

struct program {
	struct sock_filter	code[PROGRAM_MAX];
	unsigned short		len;
};

static void
emit(struct program *p, unsigned code, unsigned k, unsigned yes, unsigned no)
{
	ck_assert_uint_lt(p->len, PROGRAM_MAX);
	p->code[p->len++] = (struct sock_filter){ (unsigned short)code,
	    (unsigned char)yes, (unsigned char)no, k };
}

static void
emit_call(struct program *p, int number, unsigned action)
{
	if (number == -1)
		return;
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1);
	emit(p, BPF_RET | BPF_K, action, 0, 0);
}

static void
compile(struct program *p, const struct sandbox *sb)
{
	const char *calls = sb->calls != NULL ? sb->calls : "";
	unsigned named = sb->mode == SANDBOX_REFUSE ?
	    SECCOMP_RET_ERRNO | (unsigned)sb->error : SECCOMP_RET_ALLOW;
	unsigned other = sb->mode == SANDBOX_KILL ?
	    SECCOMP_RET_KILL_PROCESS : sb->mode == SANDBOX_WATCH ?
	    SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW;
	char name[32];
	size_t i;

	p->len = 0;
	emit(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch),
	    0, 0);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	emit(p, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
	emit(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr),
	    0, 0);
	while (sandbox_next(&calls, name, sizeof(name)) != NULL) {
		i = find(name);
		emit_call(p, names[i].number, named);
		emit_call(p, names[i].other, named);
	}
	emit(p, BPF_RET | BPF_K, other, 0, 0);
}

/* The listener of a watched process, 0 without one, or -1. */
static int
install(const struct program *p, int mode)
{
	struct sock_fprog prog = { p->len,
	    (struct sock_filter *)(uintptr_t)p->code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	    mode == SANDBOX_WATCH ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0,
	    &prog);
}

/*
 * The watcher
 */

/* Errors mean that the call is over already, by the end of the child. */
static void *
watch(void *arg)
{
	struct sandboxed *s = arg;
	struct pollfd p = { s->listener, POLLIN, 0 };
	struct seccomp_notif_resp resp;
	struct seccomp_notif req;

	while (poll(&p, 1, -1) > 0 && (p.revents & POLLIN) != 0) {
		memset(&req, 0, sizeof(req));
		if (ioctl(s->listener, SECCOMP_IOCTL_NOTIF_RECV, &req) == -1)
			continue;
		if (!__atomic_load_n(&s->page->done, __ATOMIC_ACQUIRE) &&
		    req.data.nr >= 0 && req.data.nr < NUMBERS_MAX)
			s->page->made[req.data.nr] = 1;
		memset(&resp, 0, sizeof(resp));
		resp.id = req.id;
		resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		(void)ioctl(s->listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
	}
	return NULL;
}

/* The child waits at its first call until it is watched. */
static void
begin_to_watch(struct sandboxed *s)
{
	int64_t end = t_now_ms() + T_LIMIT_MS;
	int pidfd, fd;

	while ((fd = __atomic_load_n(&s->page->listener, __ATOMIC_ACQUIRE)) ==
	    -1 && t_now_ms() < end)
		t_pause(1);
	ck_assert_int_ne(fd, -1);
	pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	ck_assert_int_ne(pidfd, -1);
	s->listener = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	ck_assert_int_ne(s->listener, -1);
	t_close(pidfd);
	t_thread(&s->watcher, watch, s);
	s->watched = true;
}

/*
 * The child
 */

static int64_t
clock_us(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
be_child(struct sandbox_page *page, const struct sandbox *sb,
    const struct program *p, void (*act)(void *), void *arg)
{
	/* Where every call counts, the clock's must not. */
	bool timed = sb->mode == SANDBOX_OPEN || sb->mode == SANDBOX_REFUSE;
	int64_t start = 0, cpu = 0;
	int fd = 0;

	alarm((unsigned)T_SECONDS);
	if (sb->kept > 0)
		(void)close(sb->kept);
	if (sb->mode != SANDBOX_OPEN && (fd = install(p, sb->mode)) == -1) {
		page->error = errno;
		_exit(2);
	}
	__atomic_store_n(&page->listener, fd, __ATOMIC_RELEASE);
	if (timed) {
		start = clock_us(CLOCK_MONOTONIC);
		cpu = clock_us(CLOCK_PROCESS_CPUTIME_ID);
	}
	act(arg);
	if (timed) {
		page->elapsed_us = clock_us(CLOCK_MONOTONIC) - start;
		page->cpu_us = clock_us(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	}
	__atomic_store_n(&page->done, true, __ATOMIC_RELEASE);
	/* For coverage, _exit writes files, which the filter would notice. */
	if (sb->mode == SANDBOX_KILL)
		syscall(SYS_exit_group, 0);
	_exit(0);
}

void
sandbox_start(struct sandboxed *s, const struct sandbox *sb,
    void (*act)(void *), void *arg)
{
	struct program p;

	memset(s, 0, sizeof(*s));
	s->listener = -1;
	if (sb->mode != SANDBOX_OPEN)
		compile(&p, sb);
	s->page = mmap(NULL, sizeof(*s->page), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(s->page, MAP_FAILED);
	s->page->listener = -1;
	fflush(NULL);
	ck_assert_int_ne(s->pid = fork(), -1);
	if (s->pid == 0)
		be_child(s->page, sb, &p, act, arg);
	if (sb->mode == SANDBOX_WATCH)
		begin_to_watch(s);
}

bool
sandbox_end(struct sandboxed *s, int limit_ms)
{
	int64_t end = t_now_ms() + limit_ms;
	bool in_time = true;
	pid_t pid;

	while ((pid = waitpid(s->pid, &s->status, WNOHANG)) == 0) {
		if (in_time && t_now_ms() >= end) {
			in_time = false;
			(void)kill(s->pid, SIGKILL);
		}
		t_pause(1);
	}
	ck_assert_int_eq(pid, s->pid);
	s->elapsed_us = s->page->elapsed_us;
	s->cpu_ms = s->page->cpu_us / 1000;
	if (s->watched) {
		t_join(s->watcher);
		t_close(s->listener);
	}
	ck_assert_msg(!in_time || s->page->error == 0, "no filter: %s",
	    t_errno(s->page->error));
	return in_time;
}

/*
 * What it made
 */

static bool
made(const struct sandboxed *s, int number)
{
	return number >= 0 && number < NUMBERS_MAX &&
	    s->page->made[number] != 0;
}

bool
sandbox_made(const struct sandboxed *s, const char *call)
{
	size_t i = find(call);

	return made(s, names[i].number) || made(s, names[i].other);
}

static bool
among(int number, const char *calls)
{
	char name[32];
	size_t i;

	while (sandbox_next(&calls, name, sizeof(name)) != NULL) {
		i = find(name);
		if (names[i].number == number || names[i].other == number)
			return true;
	}
	return false;
}

const char *
sandbox_made_other(const struct sandboxed *s, const char *calls)
{
	static char text[32];
	size_t i;
	int n;

	for (n = 0; n < NUMBERS_MAX; n++) {
		if (!made(s, n) || among(n, calls))
			continue;
		(void)snprintf(text, sizeof(text), "number %d", n);
		for (i = 0; i < NAMES; i++)
			if (names[i].number == n || names[i].other == n)
				return names[i].name;
		return text;
	}
	return NULL;
}

/*
 * What this machine allows
 */

/* Whether the parent may take a descriptor out of its child. */
static bool
may_take(void)
{
	pid_t child = t_hold();
	int pidfd = (int)syscall(SYS_pidfd_open, child, 0), fd = -1;

	if (pidfd != -1)
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, STDERR_FILENO, 0);
	if (fd != -1)
		t_close(fd);
	if (pidfd != -1)
		t_close(pidfd);
	t_hold_end(child);
	return fd != -1;
}

const char *
sandbox_missing(int mode)
{
	struct sandbox sb = { mode, mode == SANDBOX_REFUSE ? "mremap" :
	    "exit_group", EPERM, 0 };
	struct program p;
	int status;
	pid_t pid;

	if (ARCH == 0)
		return "the system calls of this architecture have other names";
	if (T_VALGRIND)
		return "valgrind makes system calls of its own";
	compile(&p, &sb);
	ck_assert_int_ne(pid = fork(), -1);
	if (pid == 0)
		syscall(SYS_exit_group, install(&p, mode) == -1 ? 1 : 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return "seccomp(2) filters are not allowed here";
	return mode != SANDBOX_WATCH || may_take() ? NULL :
	    "pidfd_getfd(2) is not allowed here";
}
