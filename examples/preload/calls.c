/*
 * calls.c - the calls of libc that this library stands before
 *
 * LD_PRELOAD=libgraceclose_preload.so puts the reaper of libgraceclose behind
 * the close(2) of connections that a program accepted.  It is an experiment: it
 * shows whether a server would gain from graceful_close(3), without a change of
 * the server.  README.md says how to use it.
 *
 * What it cannot know, and what then happens:
 * - static programs, Go and setuid programs do not load it: nothing;
 * - a close within libc, as of fclose(3), or by io_uring: it is a plain one;
 * - a duplicate by io_uring or by system calls that are instructions of the
 *   program: such a program is not for this library.
 */
#include <sys/syscall.h>

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "preload/preload.h"

/* Other names, as the headers may declare these with other types. */
int	pre_accept(int, struct sockaddr *, socklen_t *) __asm__("accept");
int	pre_accept4(int, struct sockaddr *, socklen_t *, int)
	    __asm__("accept4");
int	pre_close_range(unsigned, unsigned, int) __asm__("close_range");
int	pre_fcntl(int, int, ...) __asm__("fcntl");
int	pre_fcntl64(int, int, ...) __asm__("fcntl64")
	    __attribute__((alias("fcntl")));
int	pre_sendmmsg(int, struct mmsghdr *, unsigned, int) __asm__("sendmmsg");
pid_t	pre_vfork(void) __asm__("vfork");

static struct pre_real real;
static atomic_bool found;

/* dlsym(3) returns the object pointer for a function, as POSIX demands. */
const struct pre_real *
pre_real(void)
{
	if (found)
		return &real;
#define FIND(f)	*(void **)&real.f = dlsym(RTLD_NEXT, #f);
	PRE_CALLS(FIND) FIND(accept) FIND(accept4)
	found = true;
	return &real;
}

static void
in_child(void)
{
	pre_holders_child();
	pre_takeover_child();
}

__attribute__((constructor)) static void
begin(void)
{
	(void)pre_real();
	if (pthread_atfork(pre_holders_prepare, pre_holders_parent,
	    in_child) == 0)
		(void)pre_holders_open();
}

__attribute__((destructor)) static void
end(void)
{
	pre_at_exit(true);
}

static enum pre_kind
kind(int fd)
{
	return pre_active() ? pre_kind(fd) : PRE_OTHER;
}

static int
accepted(int fd)
{
	if (fd != -1 && pre_active()) {
		pre_track(fd);
		pre_accepted();
	}
	return fd;
}

int
pre_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	return accepted(pre_real()->accept(fd, addr, len));
}

int
pre_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return accepted(pre_real()->accept4(fd, addr, len, flags));
}

int
close(int fd)
{
	int kept = -1, result;

	switch (kind(fd)) {
	case PRE_HIDDEN:
		errno = EBADF;
		return -1;
	case PRE_CONNECTION:
		kept = pre_keep(fd);
		break;
	default:
		break;
	}
	result = pre_real()->close(fd);
	pre_hand_over(kept);
	return result;
}

/* The ranges between what is known, and that by itself. */
int
pre_close_range(unsigned first, unsigned last, int flags)
{
	int known;

	if (!pre_active() || !pre_own() || flags != 0)
		return pre_real()->close_range(first, last, flags);
	while (first < PRE_FDS && (known = pre_next((int)first,
	    last < INT_MAX ? (int)last : INT_MAX)) != -1) {
		if (first < (unsigned)known && pre_real()->close_range(first,
		    (unsigned)known - 1, 0) == -1)
			return -1;
		(void)close(known);
		if ((first = (unsigned)known + 1) > last)
			return 0;
	}
	return pre_real()->close_range(first, last, 0);
}

void
closefrom(int low)
{
	long fd = low < 0 ? 0 : low, n = sysconf(_SC_OPEN_MAX);

	if (pre_close_range((unsigned)fd, ~0U, 0) == 0)
		return;
	for (; fd < n; fd++)		/* before Linux 5.9, or in a sandbox */
		(void)close((int)fd);
}

static int
duplicated(int from, int to)
{
	if (to != -1 && pre_active())
		pre_copied(from, to);
	return to;
}

int
dup(int fd)
{
	return duplicated(fd, pre_real()->dup(fd));
}

/* The connection that had the number is closed by this. */
static int
replace(int from, int to, int flags, bool three)
{
	enum pre_kind was = kind(to);
	int kept = -1, result;

	if (was == PRE_HIDDEN) {
		errno = EBUSY;
		return -1;
	}
	if (was == PRE_CONNECTION && from != to &&
	    (flags & ~O_CLOEXEC) == 0 &&
	    pre_real()->fcntl(from, F_GETFD) != -1)
		kept = pre_keep(to);
	result = three ? pre_real()->dup3(from, to, flags) :
	    pre_real()->dup2(from, to);
	if (from != to)
		(void)duplicated(from, result);
	pre_hand_over(kept);
	return result;
}

int
dup2(int from, int to)
{
	return replace(from, to, 0, false);
}

int
dup3(int from, int to, int flags)
{
	return replace(from, to, flags, true);
}

int
pre_fcntl(int fd, int command, ...)
{
	unsigned long arg;
	va_list ap;
	int result;

	va_start(ap, command);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	result = pre_real()->fcntl(fd, command, arg);
	return command == F_DUPFD || command == F_DUPFD_CLOEXEC ?
	    duplicated(fd, result) : result;
}

int
epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
	pre_learn_set(set);
	return pre_real()->epoll_ctl(set, op, fd, event);
}

/* Descriptors that are sent have holders that nobody counts. */
static void
sent(const struct msghdr *m)
{
	union { const struct msghdr *in; struct msghdr *out; } u = { m };
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(u.out, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			pre_uncertain();
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	if (m != NULL)
		sent(m);
	return pre_real()->sendmsg(fd, m, flags);
}

int
pre_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	unsigned i;

	for (i = 0; i < n; i++)
		sent(&m[i].msg_hdr);
	return pre_real()->sendmmsg(fd, m, n, flags);
}

/* So have those that another program gets. */
#define SPAWNS(type, f, parameters, arguments)				\
type f parameters							\
{									\
	pre_uncertain();						\
	return pre_real()->f arguments;					\
}

SPAWNS(int, posix_spawn, (pid_t *pid, const char *path,
    const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
    char *const argv[], char *const envp[]),
    (pid, path, actions, attr, argv, envp))
SPAWNS(int, posix_spawnp, (pid_t *pid, const char *file,
    const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
    char *const argv[], char *const envp[]),
    (pid, file, actions, attr, argv, envp))
SPAWNS(FILE *, popen, (const char *command, const char *type), (command, type))
SPAWNS(int, system, (const char *command), (command))
SPAWNS(pid_t, _Fork, (void), ())

int
clone(int (*function)(void *), void *stack, int flags, void *arg, ...)
{
	void *parent, *tls, *child;
	va_list ap;

	va_start(ap, arg);
	parent = va_arg(ap, void *);
	tls = va_arg(ap, void *);
	child = va_arg(ap, void *);
	va_end(ap);
	if ((flags & CLONE_THREAD) == 0)
		pre_uncertain();
	return pre_real()->clone(function, stack, flags, arg, parent, tls,
	    child);
}

/* The child would return into the frame of this function: there is none. */
#ifdef __clang__
#define TAIL_CALL	__attribute__((musttail))
#else
#define TAIL_CALL
__attribute__((optimize("O2", "omit-frame-pointer")))
#endif
pid_t
pre_vfork(void)
{
	pid_t (*next)(void) = pre_real()->vfork;

	pre_uncertain();
	TAIL_CALL return next();
}

int
prctl(int option, ...)
{
	unsigned long a[4];
	va_list ap;
	int i;

	va_start(ap, option);
	for (i = 0; i < 4; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (option == PR_SET_SECCOMP)
		pre_stop();
	return pre_real()->prctl(option, a[0], a[1], a[2], a[3]);
}

void
_exit(int status)
{
	pre_at_exit(false);
	pre_real()->_exit(status);
	abort();			/* not reached */
}

void
_Exit(int status)
{
	_exit(status);
}

/* What libuv, libseccomp and others call without libc's functions. */
long
syscall(long number, ...)
{
	long a[6];
	va_list ap;
	int i;

	va_start(ap, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	switch (number) {
	case SYS_accept4:
		return accepted((int)pre_real()->syscall(number, a[0], a[1],
		    a[2], a[3]));
	case SYS_close:
		return close((int)a[0]);
	case SYS_close_range:
		return pre_close_range((unsigned)a[0], (unsigned)a[1],
		    (int)a[2]);
	case SYS_dup3:
		return dup3((int)a[0], (int)a[1], (int)a[2]);
	case SYS_fcntl:
		return pre_fcntl((int)a[0], (int)a[1], a[2]);
	case SYS_seccomp:
		pre_stop();
		break;
	case SYS_dup:
	case SYS_sendmsg:
	case SYS_sendmmsg:
	case SYS_clone3:
		pre_uncertain();
		break;
	case SYS_clone:
		if ((a[0] & CLONE_THREAD) == 0)
			pre_uncertain();
		break;
#ifdef SYS_dup2
	case SYS_accept:
		return accepted((int)pre_real()->syscall(number, a[0], a[1],
		    a[2]));
	case SYS_dup2:
		return dup2((int)a[0], (int)a[1]);
	case SYS_fork:
	case SYS_vfork:
		pre_uncertain();
		break;
#endif
	}
	return pre_real()->syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
