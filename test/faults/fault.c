/*
 * fault.c - system calls of the library that fail as a test plans it
 *
 * ld --wrap=recv makes of each recv a __wrap_recv, and __real_recv is what it
 * was, be it a sanitizer's.  The Makefile has the list.
 */
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "faults/fault.h"

#ifndef SOL_MPTCP
#define SOL_MPTCP	284
#endif
#ifndef MPTCP_INFO
#define MPTCP_INFO	1
#endif
#ifndef TCP_ZEROCOPY_RECEIVE
#define TCP_ZEROCOPY_RECEIVE	35
#endif

#define PLAN_MAX	8

/* What is left of a short answer. */
#define SHORT_ANSWER	20	/* little more than a head of netlink(7) */
#define SHORT_INFO	104	/* the struct tcp_info of Linux 2.6 */

static const char *const names[FAULT_CALLS] = {
	[FAULT_NONE] =		"nothing",
	[FAULT_RECV] =		"recv",
	[FAULT_RECV_NOTICE] =	"recv of MSG_ERRQUEUE",
	[FAULT_RECV_DIAG] =	"recv of sock_diag",
	[FAULT_SEND_DIAG] =	"send to sock_diag",
	[FAULT_SOCKET_DIAG] =	"socket of sock_diag",
	[FAULT_SO_TYPE] =	"SO_TYPE",
	[FAULT_SO_PROTOCOL] =	"SO_PROTOCOL",
	[FAULT_SO_DOMAIN] =	"SO_DOMAIN",
	[FAULT_SO_ERROR] =	"SO_ERROR",
	[FAULT_SO_ACCEPTCONN] =	"SO_ACCEPTCONN",
	[FAULT_SO_LINGER] =	"SO_LINGER",
	[FAULT_TCP_INFO] =	"TCP_INFO",
	[FAULT_TCP_ZEROCOPY] =	"TCP_ZEROCOPY_RECEIVE",
	[FAULT_MPTCP_INFO] =	"MPTCP_INFO",
	[FAULT_SIOCOUTQ] =	"SIOCOUTQ",
	[FAULT_FIONREAD] =	"FIONREAD",
	[FAULT_GETPEERNAME] =	"getpeername",
	[FAULT_GETSOCKNAME] =	"getsockname",
	[FAULT_FCNTL] =		"fcntl",
	[FAULT_SHUT_WR] =	"SHUT_WR",
	[FAULT_SHUT_RD] =	"SHUT_RD",
	[FAULT_CONNECT] =	"connect",
	[FAULT_CLOSE] =		"close",
	[FAULT_CLOSE_OTHER] =	"close of another",
	[FAULT_POLL] =		"poll",
	[FAULT_POLL_WAIT] =	"poll that waits",
	[FAULT_EPOLL_CREATE] =	"epoll_create1",
	[FAULT_EPOLL_ADD] =	"EPOLL_CTL_ADD",
	[FAULT_EPOLL_DEL] =	"EPOLL_CTL_DEL",
	[FAULT_EPOLL_WAIT] =	"epoll_wait",
	[FAULT_EVENTFD] =	"eventfd",
	[FAULT_PIPE] =		"pipe",
	[FAULT_READ] =		"read",
	[FAULT_WRITE] =		"write",
	[FAULT_MALLOC] =	"malloc",
	[FAULT_CALLOC] =	"calloc",
	[FAULT_MMAP] =		"mmap",
	[FAULT_MADVISE] =	"madvise",
	[FAULT_THREAD] =	"pthread_create",
	[FAULT_LOCK] =		"making a lock"
};

static struct fault plan[PLAN_MAX];
static size_t planned;
static int connection = -1;
static unsigned calls[FAULT_CALLS];
static unsigned met, stray;
static void (*action)(int);
static int action_arg;
static _Thread_local bool library;

#define GET(p)		__atomic_load_n((p), __ATOMIC_SEQ_CST)
#define SET(p, v)	__atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define ADD(p)		__atomic_add_fetch((p), 1, __ATOMIC_SEQ_CST)

/* The library must have no thread now. */
void
fault_plan(int fd, const struct fault *f, size_t n)
{
	size_t i;

	for (i = 0; i < FAULT_CALLS; i++)
		SET(&calls[i], 0);
	SET(&met, 0);
	SET(&stray, 0);
	SET(&connection, fd);
	for (planned = 0; planned < n && planned < PLAN_MAX; planned++)
		plan[planned] = f[planned];
}

void
fault_action(void (*act)(int), int arg)
{
	action = act;
	action_arg = arg;
}

void
fault_enter(void)
{
	library = true;
}

void
fault_leave(void)
{
	library = false;
}

unsigned
fault_calls(enum fault_call call)
{
	return GET(&calls[call]);
}

unsigned
fault_met(void)
{
	return GET(&met);
}

unsigned
fault_stray(void)
{
	return GET(&stray);
}

const char *
fault_name(enum fault_call call)
{
	return names[call];
}

/* The action's own calls are the test's. */
static void
act(void)
{
	library = false;
	action(action_arg);
	library = true;
}

/* How this call fails; 0: it does not. */
static int
fate(enum fault_call call)
{
	unsigned n;
	size_t i;

	if (!library || call == FAULT_NONE)
		return 0;
	n = ADD(&calls[call]);
	for (i = 0; i < planned; i++)
		if (plan[i].call == call && n >= plan[i].from &&
		    n <= plan[i].to) {
			ADD(&met);
			if (plan[i].how == FAULT_ACT)
				act();
			return plan[i].how;
		}
	return 0;
}

/* Whether it is to fail, with errno as it is to be. */
static bool
fails(enum fault_call call)
{
	int how = fate(call);

	if (how > 0)
		errno = how;
	return how > 0;
}

/* A call of the library, in two lines. */
#define WRAP(type, name, params, args, call, failed)			\
	type __real_##name params;					\
	type __wrap_##name params;					\
	type __wrap_##name params					\
	{								\
		return fails(call) ? (failed) : __real_##name args;	\
	}

/*
 * Input and output
 */

ssize_t	__real_recv(int, void *, size_t, int);
ssize_t	__wrap_recv(int, void *, size_t, int);
ssize_t	__real_write(int, const void *, size_t);
ssize_t	__wrap_write(int, const void *, size_t);

ssize_t
__wrap_recv(int fd, void *buf, size_t len, int flags)
{
	int how = fate(fd != GET(&connection) ? FAULT_RECV_DIAG :
	    (flags & MSG_ERRQUEUE) != 0 ? FAULT_RECV_NOTICE : FAULT_RECV);

	if (how == FAULT_NOWHERE && buf == NULL)
		how = EFAULT;
	if (how > 0) {
		errno = how;
		return -1;
	}
	if (how == FAULT_SHORT && len > SHORT_ANSWER)
		len = SHORT_ANSWER;
	return __real_recv(fd, buf, len, flags);
}

ssize_t
__wrap_write(int fd, const void *buf, size_t len)
{
	ssize_t n = __real_write(fd, buf, len);

	return fails(FAULT_WRITE) ? -1 : n;
}

WRAP(ssize_t, send, (int fd, const void *buf, size_t len, int flags),
    (fd, buf, len, flags), FAULT_SEND_DIAG, -1)
WRAP(ssize_t, read, (int fd, void *buf, size_t len), (fd, buf, len),
    FAULT_READ, -1)

/*
 * Questions about a connection
 */

int	__real_getsockopt(int, int, int, void *, socklen_t *);
int	__wrap_getsockopt(int, int, int, void *, socklen_t *);
int	__real_ioctl(int, unsigned long, ...);
int	__wrap_ioctl(int, unsigned long, ...);
int	__real_fcntl(int, int, ...);
int	__wrap_fcntl(int, int, ...);

static const struct option {
	int		level, name;
	enum fault_call	call;
} options[] = {
	{ SOL_SOCKET,	SO_TYPE,		FAULT_SO_TYPE },
	{ SOL_SOCKET,	SO_PROTOCOL,		FAULT_SO_PROTOCOL },
	{ SOL_SOCKET,	SO_DOMAIN,		FAULT_SO_DOMAIN },
	{ SOL_SOCKET,	SO_ERROR,		FAULT_SO_ERROR },
	{ SOL_SOCKET,	SO_ACCEPTCONN,		FAULT_SO_ACCEPTCONN },
	{ SOL_SOCKET,	SO_LINGER,		FAULT_SO_LINGER },
	{ IPPROTO_TCP,	TCP_INFO,		FAULT_TCP_INFO },
	{ IPPROTO_TCP,	TCP_ZEROCOPY_RECEIVE,	FAULT_TCP_ZEROCOPY },
	{ SOL_MPTCP,	MPTCP_INFO,		FAULT_MPTCP_INFO }
};

static enum fault_call
of_option(int level, int name)
{
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (options[i].level == level && options[i].name == name)
			return options[i].call;
	return FAULT_NONE;
}

static enum fault_call
of_request(unsigned long request)
{
	return request == SIOCOUTQ || request == SIOCOUTQNSD ? FAULT_SIOCOUTQ :
	    request == FIONREAD ? FAULT_FIONREAD : FAULT_NONE;
}

int
__wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	int how = fate(of_option(level, name));

	if (how > 0) {
		errno = how;
		return -1;
	}
	if (how == FAULT_SHORT && *len > SHORT_INFO)
		*len = SHORT_INFO;
	if (how == FAULT_TINY && *len > sizeof(int))
		*len = sizeof(int);
	return __real_getsockopt(fd, level, name, value, len);
}

int
__wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	return fails(of_request(request)) ? -1 :
	    __real_ioctl(fd, request, arg);
}

int
__wrap_fcntl(int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	return fails(FAULT_FCNTL) ? -1 : __real_fcntl(fd, cmd, arg);
}

WRAP(int, setsockopt, (int fd, int level, int name, const void *value,
    socklen_t len), (fd, level, name, value, len), of_option(level, name), -1)
WRAP(int, getpeername, (int fd, struct sockaddr *sa, socklen_t *len),
    (fd, sa, len), FAULT_GETPEERNAME, -1)
WRAP(int, getsockname, (int fd, struct sockaddr *sa, socklen_t *len),
    (fd, sa, len), FAULT_GETSOCKNAME, -1)

/*
 * Calls that change the connection
 */

int	__real_close(int);
int	__wrap_close(int);

int
__wrap_close(int fd)
{
	int r = __real_close(fd);

	if (library && r == -1)
		ADD(&stray);
	return fails(fd == GET(&connection) ? FAULT_CLOSE :
	    FAULT_CLOSE_OTHER) ? -1 : r;
}

WRAP(int, shutdown, (int fd, int how), (fd, how),
    how == SHUT_WR ? FAULT_SHUT_WR : FAULT_SHUT_RD, -1)
WRAP(int, connect, (int fd, const struct sockaddr *sa, socklen_t len),
    (fd, sa, len), FAULT_CONNECT, -1)
WRAP(int, socket, (int domain, int type, int protocol),
    (domain, type, protocol), FAULT_SOCKET_DIAG, -1)

/*
 * Waiting
 */

int	__real_poll(struct pollfd *, nfds_t, int);
int	__wrap_poll(struct pollfd *, nfds_t, int);
int	__real_epoll_wait(int, struct epoll_event *, int, int);
int	__wrap_epoll_wait(int, struct epoll_event *, int, int);

int
__wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	int how = fate(timeout == 0 ? FAULT_POLL : FAULT_POLL_WAIT), r;
	nfds_t i;

	if (how > 0) {
		errno = how;
		return -1;
	}
	for (i = 0; i < n && how == FAULT_EMPTY; i++)
		fds[i].revents = 0;
	r = how == FAULT_EMPTY ? 0 : __real_poll(fds, n, timeout);
	for (i = 0; i < n && how == FAULT_NO_RDHUP; i++)
		fds[i].revents &= (short)~POLLRDHUP;
	return r;
}

/* An edge that is there stays, until a call reports it. */
int
__wrap_epoll_wait(int epfd, struct epoll_event *ev, int n, int timeout)
{
	int how = fate(FAULT_EPOLL_WAIT);

	if (how > 0)
		errno = how;
	return how > 0 ? -1 : how == FAULT_EMPTY ? 0 :
	    __real_epoll_wait(epfd, ev, n, timeout);
}

WRAP(int, epoll_create1, (int flags), (flags), FAULT_EPOLL_CREATE, -1)
WRAP(int, epoll_ctl, (int epfd, int op, int fd, struct epoll_event *ev),
    (epfd, op, fd, ev),
    op == EPOLL_CTL_ADD ? FAULT_EPOLL_ADD : FAULT_EPOLL_DEL, -1)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags),
    FAULT_EVENTFD, -1)
WRAP(int, pipe, (int ends[2]), (ends), FAULT_PIPE, -1)

/*
 * Memory and threads
 */

int	__real_pthread_create(pthread_t *, const pthread_attr_t *,
	    void *(*)(void *), void *);
int	__wrap_pthread_create(pthread_t *, const pthread_attr_t *,
	    void *(*)(void *), void *);

WRAP(void *, malloc, (size_t size), (size), FAULT_MALLOC, NULL)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), FAULT_CALLOC, NULL)
WRAP(void *, mmap, (void *addr, size_t len, int prot, int flags, int fd,
    off_t off), (addr, len, prot, flags, fd, off), FAULT_MMAP, MAP_FAILED)
WRAP(int, madvise, (void *addr, size_t len, int advice), (addr, len, advice),
    FAULT_MADVISE, -1)

/* One of the calls that return their error. */
#define WRAP_LOCK(name, params, args)					\
	int __real_##name params;					\
	int __wrap_##name params;					\
	int __wrap_##name params					\
	{								\
		int how = fate(FAULT_LOCK);				\
									\
		return how > 0 ? how : __real_##name args;		\
	}

WRAP_LOCK(pthread_condattr_init, (pthread_condattr_t *attr), (attr))
WRAP_LOCK(pthread_cond_init, (pthread_cond_t *c,
    const pthread_condattr_t *attr), (c, attr))
WRAP_LOCK(pthread_mutex_init, (pthread_mutex_t *m,
    const pthread_mutexattr_t *attr), (m, attr))

struct birth {
	void	*(*start)(void *);
	void	*arg;
	sem_t	taken;
};

static void *
born(void *arg)
{
	struct birth *b = arg;
	void *(*start)(void *) = b->start;
	void *its_arg = b->arg;

	(void)sem_post(&b->taken);
	library = true;
	return start(its_arg);
}

/*
 * It returns its error.  It waits for the thread to have read its birth, so
 * that none needs memory, which the child of a fork would find lost.
 */
int
__wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr,
    void *(*start)(void *), void *arg)
{
	int error, how = fate(FAULT_THREAD);
	struct birth b = { .start = start, .arg = arg };

	if (how > 0 || !library)
		return how > 0 ? how :
		    __real_pthread_create(t, attr, start, arg);
	if (sem_init(&b.taken, 0, 0) == -1)
		return errno;
	error = __real_pthread_create(t, attr, born, &b);
	while (error == 0 && sem_wait(&b.taken) == -1)
		continue;
	(void)sem_destroy(&b.taken);
	return error;
}
