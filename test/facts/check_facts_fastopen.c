/*
 * check_facts_fastopen.c - what this kernel says of a half-made connection
 *
 * TCP Fast Open (RFC 7413): accept(2) gives a connection in SYN_RECV, which
 * may be written to and shut while the client's ACK is still to come.  There
 * tcp_ioctl() answers SIOCOUTQ with 0, as it does in SYN_SENT, whatever is
 * unacknowledged.  No test here calls the library; see
 * check_facts.c.
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <linux/filter.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "support/util.h"

struct fastopen {
	int	step;		/* how far the child got */
	int	error;
	int	state;
	int	sent;
	int	outq;
	int	outq_after_fin;
	int	peername;
};

/* A network of this process's own, where Fast Open needs no cookie. */
static int
own_network(struct fastopen *r)
{
	const char modes[] = "1543";	/* 0x607 */
	char map[32];
	struct ifreq ifr;
	int fd, n;

	n = snprintf(map, sizeof(map), "0 %u 1", (unsigned)getuid());
	r->step = 1;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == -1)
		return -1;
	r->step = 2;
	if ((fd = open("/proc/self/uid_map", O_WRONLY)) == -1 ||
	    write(fd, map, (size_t)n) == -1 || close(fd) == -1)
		return -1;
	r->step = 3;
	if ((fd = open("/proc/sys/net/ipv4/tcp_fastopen", O_WRONLY)) == -1 ||
	    write(fd, modes, sizeof(modes) - 1) == -1 || close(fd) == -1)
		return -1;
	r->step = 4;
	memset(&ifr, 0, sizeof(ifr));
	memcpy(ifr.ifr_name, "lo", 3);
	ifr.ifr_flags = IFF_UP;
	if ((fd = socket(AF_INET, SOCK_DGRAM, 0)) == -1 ||
	    ioctl(fd, SIOCSIFFLAGS, &ifr) == -1)
		return -1;
	return close(fd);
}

/* A client whose SYN carries a byte, and who hears nothing that comes back. */
static int
deaf_client(int lfd)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { 1, &none };
	struct sockaddr_in sin;
	socklen_t len;
	int fd;

	len = sizeof(sin);
	if (getsockname(lfd, (struct sockaddr *)&sin, &len) == -1 ||
	    (fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
	    sizeof(prog)) == -1)
		return -1;
	if (sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
	    (struct sockaddr *)&sin, sizeof(sin)) == -1 &&
	    errno != EINPROGRESS)
		return -1;
	return fd;
}

static int
serve_fastopen(struct fastopen *r)
{
	struct sockaddr_in sin;
	struct pollfd pfd;
	struct tcp_info ti;
	socklen_t len;
	int fd;

	memset(&sin, 0, sizeof(sin));
	sin.sin_family = AF_INET;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	pfd.events = POLLIN;
	r->step = 5;
	if ((pfd.fd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    bind(pfd.fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(pfd.fd, 8) == -1 || deaf_client(pfd.fd) == -1)
		return -1;
	r->step = 6;
	if (poll(&pfd, 1, T_LIMIT_MS) != 1 ||
	    (fd = accept(pfd.fd, NULL, NULL)) == -1)
		return -1;
	r->step = 7;
	r->sent = (int)send(fd, "twelve bytes", 12, MSG_NOSIGNAL);
	ioctl(fd, SIOCOUTQ, &r->outq);
	if (shutdown(fd, SHUT_WR) == -1)
		return -1;
	ioctl(fd, SIOCOUTQ, &r->outq_after_fin);
	len = sizeof(sin);
	r->peername = getpeername(fd, (struct sockaddr *)&sin, &len);
	len = sizeof(ti);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len) == -1)
		return -1;
	r->state = ti.tcpi_state;
	return 0;
}

/* In a child: the network of the test itself stays what it is. */
static void
fastopen(struct fastopen *r)
{
	int fds[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_ne(pid = fork(), -1);
	if (pid == 0) {
		memset(r, -1, sizeof(*r));
		r->error = 0;
		if (own_network(r) == -1 || serve_fastopen(r) == -1)
			r->error = errno;
		_exit(write(fds[1], r, sizeof(*r)) == sizeof(*r) ? 0 : 1);
	}
	t_close(fds[1]);
	ck_assert_int_eq(read(fds[0], r, sizeof(*r)), sizeof(*r));
	t_close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

START_TEST(outq_is_0_in_syn_recv_whatever_is_unacknowledged)
{
	struct fastopen r;

	fastopen(&r);
	if (r.error != 0 && r.step < 5)
		t_skip("no network namespace of our own, or no Fast Open");
	ck_assert_msg(r.error == 0, "step %d: %s", r.step, t_errno(r.error));
	ck_assert_int_eq(r.state, TCP_SYN_RECV);
	ck_assert_int_eq(r.sent, 12);
	ck_assert_int_eq(r.outq, 0);
	ck_assert_int_eq(r.outq_after_fin, 0);
	ck_assert_int_eq(r.peername, 0);
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("facts_fastopen");
	tc = t_case(s, "syn_recv");
	tcase_add_test(tc, outq_is_0_in_syn_recv_whatever_is_unacknowledged);

	return t_main(s);
}
