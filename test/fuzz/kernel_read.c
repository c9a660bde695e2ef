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
#include "fuzz/kernel_layer.h"
#include "fuzz/kernel_lie.h"

#ifndef SOL_TLS
#define SOL_TLS			282
#endif
#define TLS_GET_RECORD_TYPE	2

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

/*
 * tcp_recvmsg_locked(), mptcp_recvmsg(), unix_stream_read_generic(); and
 * tls_rx_rec_wait(), where an error comes before the FIN.
 */
static ssize_t
recv_nothing(void)
{
	bool tcp = kernel.kind == KERNEL_TCP && kernel.layer == KERNEL_NO_LAYER;

	if (kernel.layer == KERNEL_NO_LAYER || kernel.error == 0)
		kernel_tell_fin();
	if (kernel.kind == KERNEL_LISTENER)
		return kernel_answer(ENOTCONN, 0);
	if (tcp && kernel.peer_fin && !kernel.cut)	/* SOCK_DONE */
		return 0;
	if (kernel.error != 0) {
		kernel.missed = true;
		return kernel_answer(kernel_take_error(), 0);
	}
	if (kernel.shut & KERNEL_RD)
		return 0;
	if (kernel.state == TCP_CLOSE && kernel.layer == KERNEL_NO_LAYER)
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
recv_input(void *buf, size_t size, int flags, bool control, bool *data)
{
	*data = true;
	kernel.missed = false;
	if (kernel.unread > 0 || kernel.alert)
		return kernel_read_input(buf, size, flags, control, data);
	kernel.swept = kernel.calls;
	return recv_nothing();
}

/* AF_UNIX has no error queue, and takes MSG_ERRQUEUE for any other recv(2). */
ssize_t
kernel_recv(int fd, void *buf, size_t size, int flags)
{
	static const int errors[] = { EINTR, ENOMEM, ENOBUFS, EPERM, EFAULT,
	    0 };
	bool data, queue = (flags & MSG_ERRQUEUE) != 0;
	int error;

	kernel_must(flags & MSG_DONTWAIT);
	if (fd == KERNEL_NLFD)
		return recv_diag(buf, size);
	if ((error = kernel_enter(fd, errors)) != 0)
		return queue ? kernel_answer(error, 0) : kernel_balk(error);
	if (kernel_lies())
		return kernel_any_input(queue || (flags & MSG_PEEK) != 0 ?
		    NULL : buf, size);
	if (queue && !kernel_is_local())
		return recv_notice();
	kernel_must(buf != NULL || (flags & MSG_TRUNC) || kernel.liar);
	return recv_input(buf, size, flags, false, &data);
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

/* put_cmsg(): the type of the record. */
static void
tell_type(struct msghdr *msg, bool data)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);

	if (c == NULL || (kernel.layer != KERNEL_TLS &&
	    kernel.layer != KERNEL_TLS_RX)) {
		msg->msg_controllen = 0;
		return;
	}
	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_GET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(c) = data ? 23 : 21;
	msg->msg_controllen = CMSG_SPACE(1);
}

ssize_t
kernel_recvmsg(int fd, struct msghdr *msg, int flags)
{
	static const int errors[] = { EINTR, ENOMEM, ENOBUFS, EPERM, 0 };
	void *buf = msg->msg_iov->iov_base;
	size_t size = msg->msg_iov->iov_len;
	int error = kernel_enter(fd, errors);
	bool data = true, room = msg->msg_controllen >= CMSG_SPACE(1);
	ssize_t n;

	kernel_must(flags == MSG_DONTWAIT && msg->msg_iovlen == 1);
	if (error != 0)
		return kernel_balk(error);
	if (kernel_lies()) {
		tell_type(msg, kernel_draw(2) != 0);
		return kernel_any_input(buf, size);
	}
	if ((n = recv_input(buf, size, flags, room, &data)) > 0)
		tell_type(msg, data);
	return n;
}

ssize_t
kernel_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	static const int errors[] = { ENOMEM, EAGAIN, 0 };
	int error = kernel_enter(fd, errors);

	kernel_must((flags & MSG_DONTWAIT) && (flags & MSG_NOSIGNAL));
	kernel.unpushed |= error != 0;
	if (error == 0 && kernel_lies())
		error = kernel_any_errno();
	else if (error == 0)
		error = kernel_tls_close_record(msg);
	return kernel_answer(error, 0);
}
