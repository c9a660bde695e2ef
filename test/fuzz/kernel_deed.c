/*
 * kernel_deed.c - see kernel_deed.h; the functions of Linux that it follows are
 * named where they are not obvious
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <linux/netlink.h>

#include <netinet/tcp.h>

#include <errno.h>
#include <string.h>

#include "fuzz/kernel.h"
#include "fuzz/kernel_call.h"
#include "fuzz/kernel_layer.h"
#include "fuzz/kernel_lie.h"
#include "fuzz/kernel_net.h"

int
kernel_setsockopt(int fd, int level, int name, const void *value,
    socklen_t len)
{
	int error = kernel_enter(fd, NULL);

	kernel_must(level == SOL_SOCKET && name == SO_LINGER &&
	    len == sizeof(kernel.linger));
	if (error != 0)
		return kernel_answer(error, 0);
	if (kernel_lies())
		return kernel_answer(kernel_any_errno(), 0);
	memcpy(&kernel.linger, value, sizeof(kernel.linger));
	kernel.consumed++;
	return 0;
}

/* A RST leaves at once, from the states of tcp_need_reset(). */
static bool
needs_reset(void)
{
	switch (kernel.state) {
	case TCP_ESTABLISHED:
	case TCP_SYN_RECV:
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
	case TCP_CLOSE_WAIT:
		return kernel.kind < KERNEL_STREAMS && !kernel_is_local();
	}
	return false;
}

/* On MPTCP it resets an established connection, but not after SHUT_WR. */
int
kernel_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	static const int errors[] = { EBUSY, EINTR, 0 };
	int error = kernel_enter(fd, errors);

	(void)len;
	kernel_must(sa->sa_family == AF_UNSPEC);
	kernel.busy += error == EBUSY;
	if (error != 0)
		return kernel_answer(error, 0);
	if (kernel.layer != KERNEL_NO_LAYER)	/* tls_disconnect() */
		return kernel_answer(EOPNOTSUPP, 0);
	kernel.consumed++;
	if (kernel.kind == KERNEL_MPTCP && kernel.state != TCP_ESTABLISHED)
		return 0;
	kernel.rst_sent |= needs_reset();
	kernel_disconnect();
	return 0;
}

/* inet_shutdown(), unix_shutdown(). */
static int
shut(int directions)
{
	if (directions & KERNEL_WR)
		kernel_layer_half_close();
	kernel.shut |= directions;
	if (kernel.state == TCP_CLOSE && !kernel_is_local()) {
		kernel.too_late = true;
		return kernel_answer(ENOTCONN, 0);
	}
	if (kernel_is_local())
		kernel.news |= kernel.acked == kernel.written;
	else if (directions & KERNEL_WR)
		kernel_send_fin();
	kernel.edge = true;
	return 0;
}

int
kernel_shutdown(int fd, int how)
{
	static const int errors[] = { EACCES, EPERM, 0 };
	int error = kernel_enter(fd, errors);

	if ((error == EACCES || error == EPERM) && how == SHUT_WR)
		kernel.refused = error;
	if (error != 0)
		return kernel_answer(error, 0);
	if (kernel_lies())
		return kernel_answer(kernel_draw(2) ? 0 : kernel_any_errno(),
		    0);
	kernel.consumed++;
	switch (kernel.kind) {
	case KERNEL_LISTENER:
		return 0;
	case KERNEL_CONNECTING:
		kernel.state = TCP_CLOSE;
		kernel.error = ECONNRESET;
		return 0;
	}
	return shut(how + 1);
}

int
kernel_socket(int domain, int type, int protocol)
{
	static const int errors[] = { EMFILE, ENOBUFS, EPROTONOSUPPORT, 0 };
	int error = kernel_pass(errors);

	(void)type;
	kernel_must(domain == AF_NETLINK && protocol == NETLINK_SOCK_DIAG);
	if (kernel.no_files)
		error = EMFILE;
	kernel.others += error == 0;
	return kernel_answer(error, KERNEL_NLFD);
}

/* tcp_close(): what is unread, or no time to linger, makes it a reset. */
static void
close_connection(void)
{
	bool zero = kernel.linger.l_onoff && kernel.linger.l_linger == 0;

	if (kernel.state == TCP_CLOSE || kernel_is_local() ||
	    kernel.kind >= KERNEL_STREAMS)
		return;
	if (kernel_tcp_unread() > 0)
		kernel.rst_sent = kernel.spilt = true;
	else if (zero)
		kernel.rst_sent |= needs_reset();
	else if (kernel.linger.l_onoff)
		kernel.blocked = true;
}

int
kernel_close(int fd)
{
	static const int errors[] = { EINTR, EIO, 0 };
	int error;

	if (fd == KERNEL_EPFD || fd == KERNEL_NLFD) {
		kernel_must(kernel.others > 0);
		kernel.others--;
		return 0;
	}
	kernel_must(fd == KERNEL_FD && kernel.closes == 0);
	error = kernel_pass(errors);
	if (kernel.kind == KERNEL_CLOSED)
		return kernel_answer(EBADF, 0);
	kernel.closes++;
	close_connection();
	return kernel_answer(error, 0);
}
