/*
 * wait.c - waits for a state of a socket
 */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "support/clock.h"
#include "support/runner.h"
#include "support/wait.h"

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
t_ready(int fd, short events, int64_t end_ms)
{
	struct pollfd pfd;
	int64_t left;

	if ((left = end_ms - t_now_ms()) <= 0)
		return 0;
	pfd.fd = fd;
	pfd.events = events;
	return poll(&pfd, 1, (int)left) == 1;
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
