/* kernel_read.c - see kernel_read.h */
#include <sys/types.h>
#include <sys/socket.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include <errno.h>
#include <string.h>

#include "fuzz/kernel.h"
#include "fuzz/kernel_call.h"
#include "fuzz/kernel_lie.h"

/* sock_diag(7), by the token of the connection: mptcp_diag_dump_one(). */
static ssize_t
recv_diag(void *buf, size_t size)
{
	static const int errors[] = { EAGAIN, ENOBUFS, 0 };
	struct {
		struct nlmsghdr		header;
		struct inet_diag_msg	msg;
	} a;
	int error = kernel_pass(errors);

	memset(&a, 0, sizeof(a));
	a.header.nlmsg_len = sizeof(a);
	a.header.nlmsg_type = kernel.no_diag ? NLMSG_ERROR :
	    SOCK_DIAG_BY_FAMILY;
	a.msg.idiag_state = (uint8_t)kernel.state;
	if (error != 0)
		return kernel_answer(error, 0);
	if (kernel_lies())
		memset(&a, (int)kernel_draw(256), sizeof(a));
	kernel.fin_told = false;	/* recv alone has proved nothing */
	kernel_tell_fin();
	kernel_must(size >= sizeof(a));
	memcpy(buf, &a, sizeof(a));
	return (ssize_t)(kernel_lies() ? kernel_draw(sizeof(a)) : sizeof(a));
}

/* tcp_recvmsg_locked(), mptcp_recvmsg(), unix_stream_read_generic(). */
static ssize_t
recv_nothing(void)
{
	bool tcp = kernel.kind == KERNEL_TCP;

	kernel_tell_fin();
	if (kernel.kind == KERNEL_LISTENER)
		return kernel_answer(ENOTCONN, 0);
	if (tcp && kernel.peer_fin && !kernel.cut)	/* SOCK_DONE */
		return 0;
	if (kernel.error != 0)
		return kernel_answer(kernel_take_error(), 0);
	if (kernel.shut & KERNEL_RD)
		return 0;
	if (kernel.state == TCP_CLOSE)
		return kernel_answer(kernel_is_local() ? EINVAL : ENOTCONN, 0);
	return kernel_answer(EAGAIN, 0);
}

static ssize_t
recv_notice(void)
{
	if (kernel.notices == 0)
		return kernel_answer(EAGAIN, 0);
	kernel.notices--;
	kernel.consumed++;
	return 0;
}

static ssize_t
recv_unread(void *buf, size_t size, int flags)
{
	size_t n = (size_t)kernel.unread < size ? (size_t)kernel.unread : size;

	kernel_must(buf != NULL || (flags & MSG_TRUNC) || kernel.liar);
	if (kernel_is_local() && buf == NULL)
		return kernel_answer(EFAULT, 0);
	if (!(flags & MSG_TRUNC))
		memset(buf, 'x', n);
	if (flags & MSG_PEEK)
		return (ssize_t)n;
	kernel.unread -= (int64_t)n;
	kernel.discarded += (int64_t)n;
	kernel.consumed++;
	kernel.told = kernel.now;
	kernel.news = true;
	return (ssize_t)n;
}

/* AF_UNIX has no error queue, and takes MSG_ERRQUEUE for any other recv(2). */
ssize_t
kernel_recv(int fd, void *buf, size_t size, int flags)
{
	static const int errors[] = { EINTR, ENOMEM, ENOBUFS, 0 };
	bool queue = (flags & MSG_ERRQUEUE) != 0;
	int error;

	kernel_must(flags & MSG_DONTWAIT);
	if (fd == KERNEL_NLFD)
		return recv_diag(buf, size);
	if ((error = kernel_enter(fd, errors)) != 0) {
		if (kernel.balked < kernel.unread)
			kernel.balked = kernel.unread;
		return kernel_answer(error, 0);
	}
	if (kernel_lies())
		return kernel_any_input(queue || (flags & MSG_PEEK) != 0 ?
		    NULL : buf, size);
	if (queue && !kernel_is_local())
		return recv_notice();
	if (kernel.unread != 0)
		return recv_unread(buf, size, flags);
	kernel.swept = kernel.calls;
	return recv_nothing();
}

ssize_t
kernel_send(int fd, const void *buf, size_t size, int flags)
{
	static const int errors[] = { ECONNREFUSED, ENOBUFS, 0 };
	int error = kernel_pass(errors);

	(void)buf;
	(void)flags;
	kernel_must(fd == KERNEL_NLFD && kernel.others > 0);
	return error != 0 ? kernel_answer(error, 0) : (ssize_t)size;
}
