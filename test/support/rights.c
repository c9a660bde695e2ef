/*
 * rights.c - what a test may do here, and a network namespace where it may more
 *
 * TCP_REPAIR takes CAP_NET_ADMIN in the user namespace of the network, and on
 * some kernels SO_ATTACH_FILTER on a TCP socket does, too.  A process without
 * it moves to a user and a network namespace of its own, where it has it.
 * SO_RCVBUFFORCE and SO_SNDBUFFORCE take CAP_NET_ADMIN in the initial user
 * namespace.
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/rights.h"

#ifndef TCP_ZEROCOPY_RECEIVE
#define TCP_ZEROCOPY_RECEIVE	35
#endif

/* Not where the socket or the option fails for another reason. */
static bool
not_permitted(int level, int opt, const void *value, socklen_t len)
{
	bool result;
	int fd;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return false;
	result = setsockopt(fd, level, opt, value, len) == -1 &&
	    errno == EPERM;
	close(fd);
	return result;
}

const char *
t_no_repair(void)
{
	int on = 1;

	return not_permitted(IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) ?
	    "TCP_REPAIR takes CAP_NET_ADMIN" : NULL;
}

const char *
t_no_filters(void)
{
	struct sock_filter keep[] = { BPF_STMT(BPF_RET | BPF_K, 0xffffffffU) };
	struct sock_fprog prog = { 1, keep };

	return not_permitted(SOL_SOCKET, SO_ATTACH_FILTER, &prog,
	    sizeof(prog)) ?
	    "SO_ATTACH_FILTER on a TCP socket takes CAP_NET_ADMIN here" : NULL;
}

/* The kernel doubles what it is given, and limits it first. */
static bool
has_buffer(int opt, int size)
{
	socklen_t len;
	int fd, got;

	got = 0;
	len = sizeof(got);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, opt, &size, sizeof(size));
	(void)getsockopt(fd, SOL_SOCKET, opt, &got, &len);
	close(fd);
	return got / 2 >= size;
}

const char *
t_no_buffer(int opt, int size)
{
	bool in = opt == SO_RCVBUF;

	if (!not_permitted(SOL_SOCKET, in ? SO_RCVBUFFORCE : SO_SNDBUFFORCE,
	    &size, sizeof(size)) || has_buffer(opt, size))
		return NULL;
	return in ? "SO_RCVBUFFORCE takes CAP_NET_ADMIN, rmem_max is low" :
	    "SO_SNDBUFFORCE takes CAP_NET_ADMIN, wmem_max is low";
}

/*
 * Before Linux 5.11 the option wants an address to map to (EINVAL), whatever
 * the socket is.
 */
const char *
t_no_fin_look(void)
{
	char zeros[16] = { 0 };
	socklen_t len = sizeof(zeros);
	int fd, saved = errno;
	bool shown;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	shown = getsockopt(fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, zeros,
	    &len) == 0;
	close(fd);
	errno = saved;
	return shown ? NULL :
	    "TCP_ZEROCOPY_RECEIVE does not show the peer's FIN here";
}

/*
 * A network namespace of our own
 */

static bool
put(const char *path, const char *text)
{
	size_t len = strlen(text);
	bool result;
	int fd;

	if ((fd = open(path, O_WRONLY | O_CLOEXEC)) == -1)
		return false;
	result = write(fd, text, len) == (ssize_t)len;
	close(fd);
	return result;
}

static bool
loopback_up(void)
{
	struct ifreq ifr;
	bool result;
	int fd;

	memset(&ifr, 0, sizeof(ifr));
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "lo");
	ifr.ifr_flags = IFF_UP;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	result = ioctl(fd, SIOCSIFFLAGS, &ifr) == 0;
	close(fd);
	return result;
}

/* The user stays who it was: a test that needs root is not to take it so. */
static bool
enter_own_network(void)
{
	char uid[32], gid[32];
	unsigned u = (unsigned)geteuid(), g = (unsigned)getegid();

	(void)snprintf(uid, sizeof(uid), "%u %u 1", u, u);
	(void)snprintf(gid, sizeof(gid), "%u %u 1", g, g);
	return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 &&
	    put("/proc/self/setgroups", "deny") &&
	    put("/proc/self/gid_map", gid) &&
	    put("/proc/self/uid_map", uid) && loopback_up() &&
	    t_no_repair() == NULL;
}

/*
 * A child tries it first: where a security module takes the rights away, the
 * namespace can be entered, but its loopback stays down.
 */
__attribute__((constructor))
static void
gain_rights(void)
{
	int status;
	pid_t child;

	if (t_no_repair() == NULL)
		return;
	if ((child = fork()) == 0)
		_exit(enter_own_network() ? 0 : 1);
	if (child != -1 && waitpid(child, &status, 0) == child && status == 0)
		(void)enter_own_network();
}
