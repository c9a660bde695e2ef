/*
 * TCP Fast Open (RFC 7413): accept(2) returns a connection that can be written
 * to, and closed, before the client's ACK completes the handshake.  Until then
 * SIOCOUTQ is 0 whatever was written (tcp_ioctl()), as if it had arrived.
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

static struct graceclose_opts o;
static struct graceclose_report r;

static void
given(int until, int timeout_ms)
{
	o = t_opts(until, GRACECLOSE_DETACH, timeout_ms, 0);
	memset(&r, 0xaa, sizeof(r));
}

/*
 * In a child, so that the network of the test itself stays what it is.
 * Nothing asserts here.
 */

static int
write_file(const char *path, const char *text)
{
	ssize_t n;
	int fd;

	if ((fd = open(path, O_WRONLY | O_CLOEXEC)) == -1)
		return -1;
	n = write(fd, text, strlen(text));
	return close(fd) == -1 || n == -1 ? -1 : 0;
}

/*
 * Enters a network namespace of its own, where Fast Open needs no cookie.  A
 * lost segment is sent again soon, if the kernel supports that (Linux 6.15).
 */
static int
own_network(void)
{
	char map[32];
	struct ifreq ifr;
	int fd;

	snprintf(map, sizeof(map), "0 %u 1", (unsigned)getuid());
	memset(&ifr, 0, sizeof(ifr));
	memcpy(ifr.ifr_name, "lo", 3);
	ifr.ifr_flags = IFF_UP;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == -1 ||
	    write_file("/proc/self/uid_map", map) == -1 ||
	    write_file("/proc/sys/net/ipv4/tcp_fastopen", "1543") == -1 ||
	    (fd = socket(AF_INET, SOCK_DGRAM, 0)) == -1 ||
	    ioctl(fd, SIOCSIFFLAGS, &ifr) == -1)
		return -1;
	(void)write_file("/proc/sys/net/ipv4/tcp_rto_max_ms", "1000");
	return close(fd);
}

/* A client whose SYN carries a byte, and which receives no answer. */
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
half_made(struct t_pair *p)
{
	struct sockaddr_in sin;
	struct pollfd pfd = { -1, POLLIN, 0 };

	memset(&sin, 0, sizeof(sin));
	sin.sin_family = AF_INET;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((pfd.fd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    bind(pfd.fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(pfd.fd, 8) == -1 || (p->peer = deaf_client(pfd.fd)) == -1 ||
	    poll(&pfd, 1, T_LIMIT_MS) != 1)
		return -1;
	return p->us = accept(pfd.fd, NULL, NULL);
}

/*
 * The child hands its two sockets over, which keep their network.
 */

#define NO_NETWORK	(-1)		/* instead of an errno value */

union control {
	struct cmsghdr	align;
	char		space[CMSG_SPACE(sizeof(struct t_pair))];
};

static struct cmsghdr *
envelope(struct msghdr *msg, struct iovec *iov, union control *c, int *error)
{
	struct cmsghdr *cmsg;

	memset(msg, 0, sizeof(*msg));
	memset(c, 0, sizeof(*c));
	iov->iov_base = error;
	iov->iov_len = sizeof(*error);
	msg->msg_iov = iov;
	msg->msg_iovlen = 1;
	msg->msg_control = c;
	msg->msg_controllen = sizeof(*c);
	cmsg = CMSG_FIRSTHDR(msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(struct t_pair));
	return cmsg;
}

static int
child(int fd)
{
	struct cmsghdr *cmsg;
	struct msghdr msg;
	struct iovec iov;
	struct t_pair p;
	union control c;
	int error;

	cmsg = envelope(&msg, &iov, &c, &error);
	error = own_network() == -1 ? NO_NETWORK :
	    half_made(&p) == -1 ? errno : 0;
	if (error == 0)
		memcpy(CMSG_DATA(cmsg), &p, sizeof(p));
	else
		msg.msg_controllen = 0;
	return sendmsg(fd, &msg, MSG_NOSIGNAL) == -1;
}

/* NO_NETWORK, or 0 and a pair. */
static int
pair_in_syn_recv(struct t_pair *p)
{
	struct cmsghdr *cmsg;
	struct msghdr msg;
	struct iovec iov;
	union control c;
	int error, fds[2];
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    fds), 0);
	ck_assert_int_ne(pid = fork(), -1);
	if (pid == 0)
		_exit(child(fds[1]));
	t_close(fds[1]);
	cmsg = envelope(&msg, &iov, &c, &error);
	ck_assert_int_eq(recvmsg(fds[0], &msg, MSG_CMSG_CLOEXEC),
	    sizeof(error));
	t_close(fds[0]);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	if (error == NO_NETWORK)
		return error;
	ck_assert_str_eq(t_errno(error), "0");
	ck_assert_uint_gt(msg.msg_controllen, 0);
	memcpy(p, CMSG_DATA(cmsg), sizeof(*p));
	ck_assert_int_eq(t_state(p->us), TCP_SYN_RECV);
	return 0;
}

#define need_syn_recv(p) do {						\
	if (pair_in_syn_recv(p) != 0)					\
		t_skip("no network of our own with TCP Fast Open");	\
} while (0)

static void
hear_again_and_get(struct t_pair *p, size_t n)
{
	t_heal(p->peer);
	t_wait_poll(p->peer, POLLIN);
	t_saw(t_read_all(p->peer), n, 0);
	t_close(p->peer);
}

/* Index: until, and whether the program has read what came with the SYN. */
START_TEST(unfinished_handshake_is_not_taken_for_delivery)
{
	struct t_pair p;

	need_syn_recv(&p);
	if (_i / 2 == 1)
		t_read(p.us, 1);
	t_write(p.us, 12);
	given(_i % 2, 150);
	t_fails(graceclose(p.us, &o, &r), ETIMEDOUT);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	if (_i % 2 == GRACECLOSE_DELIVERED)
		hear_again_and_get(&p, 12);
	else
		t_close(p.peer);
}
END_TEST

START_TEST(unfinished_handshake_is_not_taken_for_delivery_by_a_step)
{
	struct graceclose gc;
	struct t_pair p;
	int i;

	need_syn_recv(&p);
	t_write(p.us, 12);
	given(GRACECLOSE_DELIVERED, 5000);
	t_ok(graceclose_begin(&gc, p.us, &o));
	for (i = 0; i < 10; i++)
		t_returns(graceclose_step(&gc), 1);
	t_fails(graceclose_end(&gc, &r), ECANCELED);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_ABORTED, ECANCELED, 0, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(handshake_that_ends_while_we_wait_is_delivered)
{
	struct t_later l;
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	need_syn_recv(&p);
	t_write(p.us, 12);
	given(GRACECLOSE_DELIVERED, 0);
	t_later(&l, 100, t_heal, p.peer);
	t_ok(graceclose(p.us, &o, &r));
	t_between(t_now_ms() - t_later_join(&l), 0, T_LIMIT_MS);
	t_released(p.us);
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 0);
	ck_assert_uint_eq(r.unacked, 0);
	hear_again_and_get(&p, 12);
}
END_TEST

START_TEST(count_of_unacked_is_enotconn_in_an_unfinished_handshake)
{
	struct t_pair p;

	t_not_portable(T_NO_COUNT);
	need_syn_recv(&p);
	t_write(p.us, 12);
	t_fails((int)graceclose_unacked(p.us), ENOTCONN);
	t_close_pair(&p);
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("fastopen");
	tc = t_case(s, "syn_recv");
	tcase_add_loop_test(tc,
	    unfinished_handshake_is_not_taken_for_delivery, 0, 4);
	tcase_add_test(tc,
	    unfinished_handshake_is_not_taken_for_delivery_by_a_step);
	tcase_add_test(tc, handshake_that_ends_while_we_wait_is_delivered);
	tcase_add_test(tc,
	    count_of_unacked_is_enotconn_in_an_unfinished_handshake);
	return t_main(s);
}
