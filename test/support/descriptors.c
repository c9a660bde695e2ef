/*
 * descriptors.c - how many descriptors there are, and some that are no
 * connection
 */
#include <sys/resource.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "support/descriptors.h"
#include "support/pairs.h"
#include "support/wait.h"

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
	union {
		struct sockaddr		sa;
		struct sockaddr_in	in;
	} a;
	socklen_t len;
	int fd;

	fd = open_udp(family);
	len = sizeof(a.in);
	memset(&a, 0, sizeof(a));
	a.in.sin_family = AF_INET;
	a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, &a.sa, len), 0);
	ck_assert_int_eq(getsockname(fd, &a.sa, &len), 0);
	ck_assert_int_eq(connect(fd, &a.sa, len), 0);
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
