/*
 * many_closes.c - closes and connections in numbers, for threads as well
 */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <fcntl.h>
#include <sched.h>

#include "api/reaper/many_closes.h"

struct graceclose_opts
timed(int on_expiry, int timeout_ms)
{
	return t_opts(GRACECLOSE_FINISHED, on_expiry, timeout_ms, -1);
}

/* A thread may call this: it asserts nothing. */
int
try_submit(struct t_verdict *v, int fd, const struct graceclose_opts *o)
{
	v->fd = fd;
	return graceclose_reaper_close(reaper, fd, o, v);
}

void
flush_many(void)
{
	t_ok(graceclose_reaper_flush(reaper, 2 * T_LIMIT_MS));
}

uint64_t
count_over(void)
{
	graceclose_reaper_stats(reaper, &stats);
	return stats.ok + stats.reset + stats.expired + stats.flooded +
	    stats.aborted + stats.invalid;
}

/*
 * Many connections from one listener.  These functions assert nothing, so that
 * threads can call them.
 */
int
try_listen(struct sockaddr_in *a, const char *host)
{
	socklen_t len = sizeof(*a);
	int fd;

	memset(a, 0, sizeof(*a));
	a->sin_family = AF_INET;
	a->sin_addr.s_addr = inet_addr(host);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd != -1 && bind(fd, (struct sockaddr *)a, len) == 0 &&
	    listen(fd, 128) == 0 &&
	    getsockname(fd, (struct sockaddr *)a, &len) == 0)
		return fd;
	return -1;
}

int
try_connect(struct t_pair *p, int lfd, const struct sockaddr_in *a)
{
	p->us = -1;
	p->peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->peer != -1 && connect(p->peer, (const struct sockaddr *)a,
	    sizeof(*a)) == 0)
		p->us = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
	return p->us;
}

/* AF_UNIX: cheap where only the number matters. */
int
try_pair(struct t_pair *p)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		return -1;
	p->us = fds[0];
	p->peer = fds[1];
	return 0;
}

void
send_bytes(int fd, size_t n)
{
	static const char data[65536];
	ssize_t sent;

	while (n > 0 && (sent = send(fd, data, n < sizeof(data) ? n :
	    sizeof(data), MSG_NOSIGNAL)) > 0)
		n -= (size_t)sent;
}

/*
 * Each test has a network namespace of its own.  Thousands of connections leave
 * as many in TIME_WAIT.  Where these reach tcp_max_tw_buckets, the kernel
 * forgets a peer that closed before our FIN arrived, and answers that FIN with
 * RST.
 */
static int home;

static void
enter_network(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home == -1 || unshare(CLONE_NEWNET) == -1)
		return;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
	t_close(fd);
}

static void
leave_network(void)
{
	if (home == -1)
		return;
	(void)setns(home, CLONE_NEWNET);
	t_close(home);
}

TCase *
case_in_own_network(Suite *s, const char *name)
{
	TCase *tc;

	tc = t_case(s, name);
	tcase_add_checked_fixture(tc, enter_network, leave_network);
	return tc;
}
