/*
 * common.c - what Linux and plain POSIX are asked in the same way
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kernel/common.h"
#include "kernel/kernel.h"

#define BLIND_MS	64	/* a nap, where no descriptor can wake us */
#define ABORT_TRIES	10	/* a millisecond apart */

int
graceclose_sockopt(int fd, int level, int name)
{
	int value;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) == -1 ? -1 : value;
}

int
graceclose_peername(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	return getpeername(fd, (struct sockaddr *)&ss, &len) == -1 ? errno : 0;
}

/* A descriptor of O_PATH is open, although every socket call says EBADF. */
static int
not_a_socket(int fd)
{
	if (errno == EBADF && fcntl(fd, F_GETFD) != -1)
		errno = ENOTSOCK;
	return -1;
}

int
graceclose_kind_of_socket(int fd)
{
	int error, kind, type;

	if ((type = graceclose_sockopt(fd, SOL_SOCKET, SO_TYPE)) == -1)
		return not_a_socket(fd);
	kind = type == SOCK_STREAM ? graceclose_kind_by_protocol(fd) : -1;
	if (kind == -1) {
		errno = EOPNOTSUPP;
	} else if (kind == GRACECLOSE_KIND_LOCAL) {
		/* shutdown(2) of AF_UNIX succeeds unconnected, too. */
		if ((error = graceclose_peername(fd)) != 0) {
			errno = error;
			return -1;
		}
	} else if (graceclose_sockopt(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1) {
		errno = ENOTCONN;
		return -1;
	}
	return kind;
}

/* A pending signal interrupts even a poll that would not wait. */
int
graceclose_tcp_poll(struct pollfd *fds, size_t n)
{
	int r, saved = errno;

	while ((r = poll(fds, (nfds_t)n, 0)) == -1 && errno == EINTR)
		errno = saved;
	return r;
}

bool
graceclose_tcp_failed(int fd)
{
	struct pollfd p = { fd, 0, 0 };

	return graceclose_tcp_poll(&p, 1) != -1 && (p.revents & POLLERR) != 0;
}

int
graceclose_tcp_take_error(int fd)
{
	return graceclose_sockopt(fd, SOL_SOCKET, SO_ERROR);
}

static void
set_linger(int fd, int onoff)
{
	struct linger l;

	memset(&l, 0, sizeof(l));
	l.l_onoff = onoff;
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

void
graceclose_tcp_unlinger(int fd)
{
	set_linger(fd, 0);
}

/* 0 or the errno value. */
static int
disconnect(int fd)
{
	struct sockaddr sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_family = AF_UNSPEC;
	return connect(fd, &sa, sizeof(sa)) == -1 ? errno : 0;
}

/*
 * connect(AF_UNSPEC) acts on the connection: the RST leaves at once, whichever
 * process holds a duplicate, and a thread blocked in recv(2) wakes.  Kernels
 * with commit 4faeee0cf8a5 and without 419ce133ab92 (5.10.262, 6.4 to 6.6)
 * return EBUSY while a thread waits: SHUT_RD wakes it and sends nothing, and a
 * moment later connect succeeds.  Linger 0 does the rest at close, which MPTCP
 * needs after SHUT_WR.  AF_UNIX has none of this, but both of its directions
 * can be shut.
 */
void
graceclose_tcp_abort(int fd, int kind)
{
	int error, tries;

	if (kind == GRACECLOSE_KIND_LOCAL) {
		(void)shutdown(fd, SHUT_RDWR);
		return;
	}
	error = disconnect(fd);
	if (error != 0)
		(void)shutdown(fd, SHUT_RD);
	for (tries = 0; error == EBUSY && tries < ABORT_TRIES; tries++) {
		graceclose_tcp_nap(1);
		error = disconnect(fd);
	}
	set_linger(fd, 1);
}

/* close(2) releases the descriptor also on EINTR, so it is never retried. */
int
graceclose_tcp_close(int fd)
{
	return close(fd) == -1 && errno != EINTR ? errno : 0;
}

void
graceclose_tcp_nap(int timeout_ms)
{
	struct timespec ts = { 0, BLIND_MS * 1000000L };

	if (timeout_ms >= 0 && timeout_ms < BLIND_MS)
		ts.tv_nsec = timeout_ms * 1000000L;
	(void)nanosleep(&ts, NULL);
}

void
graceclose_wait_poll(int fd, short events, int timeout_ms)
{
	struct pollfd p = { fd, events, 0 };

	if (poll(&p, events != 0, timeout_ms) == -1 && errno != EINTR)
		graceclose_tcp_nap(timeout_ms);
}

int64_t
graceclose_tcp_clock(void)
{
	struct timespec ts = { 0, 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
