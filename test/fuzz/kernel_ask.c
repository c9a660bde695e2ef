/*
 * kernel_ask.c - see kernel_ask.h; the functions of Linux that it follows are
 * named where they are not obvious
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/mptcp.h>
#include <linux/sockios.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fuzz/kernel.h"
#include "fuzz/kernel_call.h"
#include "fuzz/kernel_layer.h"
#include "fuzz/kernel_lie.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP	262
#endif
#ifndef SOL_MPTCP
#define SOL_MPTCP	284
#endif
#ifndef SOL_TLS
#define SOL_TLS		282
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef TCP_ZEROCOPY_RECEIVE
#define TCP_ZEROCOPY_RECEIVE 35
#endif

#define JUMP		65537	/* connect(AF_UNSPEC) adds it to write_seq */

/* What connect(AF_UNSPEC) makes of MPTCP that fell back: mptcp_disconnect(). */
static bool
native_again(void)
{
	return kernel.kind == KERNEL_FALLBACK && kernel.cut;
}

/* tcp_zerocopy_receive(); what MPTCP has is not in its TCP socket's queue. */
static int
zerocopy(uint32_t *in, socklen_t len)
{
	int64_t unread = kernel.kind == KERNEL_FALLBACK ? 0 :
	    kernel_tcp_unread();
	bool fin = kernel.peer_fin && !kernel.cut;

	kernel_must(len >= 5 * sizeof(*in));
	if (!kernel_is_tcp() || native_again())
		return EOPNOTSUPP;
	if (kernel.old)
		return ENOPROTOOPT;
	if (kernel.kind == KERNEL_LISTENER)
		return ENOTCONN;
	if (unread >= KERNEL_PAGE)
		return EINVAL;
	if (unread == 0 && fin) {
		if (kernel.layer == KERNEL_NO_LAYER || kernel.started != 0)
			kernel_tell_fin();
		return EIO;
	}
	in[4] = (uint32_t)(unread + fin);	/* tcp_inq_hint() */
	return 0;
}

/*
 * The kernel's struct tcp_info as far as Linux 4.19 knew it, and before that;
 * libcs have less (glibc) or more (musl).
 */
struct info {
	union {
		struct tcp_info	head;
		struct {
			uint8_t		before[120];
			uint64_t	bytes_acked;	/* SYN and FIN, too */
			uint64_t	bytes_received;
			uint32_t	segs_out, segs_in;
			uint32_t	notsent_bytes;	/* the FIN is one */
			uint8_t		counters[52];
			uint64_t	bytes_sent;	/* of payload */
			uint64_t	bytes_retrans;
		};
	};
};
#define INFO_BEFORE	offsetof(struct info, bytes_sent)
#define INFO_SIZE	(offsetof(struct info, bytes_retrans) + 8)

/*
 * On MPTCP this is a subflow's, which knows nothing of our FIN.  Of MPTCP that
 * fell back the counters begin anew at the end in order: __mptcp_close_ssk().
 */
static int
get_info(void *value, socklen_t *len)
{
	struct info info;
	size_t size = kernel.old ? INFO_BEFORE : INFO_SIZE;

	if (kernel_is_local() || kernel.kind == KERNEL_DATAGRAM)
		return EOPNOTSUPP;
	if (kernel.old) {	/* nothing else shows a FIN there */
		kernel.fin_told = false;
		kernel_tell_fin();
	}
	memset(&info, 0, sizeof(info));
	info.head.tcpi_state = (uint8_t)(kernel.kind == KERNEL_MPTCP &&
	    kernel.state != TCP_CLOSE ? TCP_ESTABLISHED : kernel.state);
	info.head.tcpi_rcv_space = kernel.kind < KERNEL_STREAMS ? 14600 : 0;
	info.bytes_acked = (uint64_t)kernel.acked + kernel.fin_acked +
	    kernel.connecting;
	info.segs_in = kernel.cut ||
	    (kernel.kind == KERNEL_FALLBACK && kernel.ended) ? 0 : 2;
	info.bytes_sent = (uint64_t)kernel.written;
	info.notsent_bytes = kernel.fin && !kernel.fin_left;
	*len = *len < size ? *len : (socklen_t)size;
	memcpy(value, &info, *len);
	return 0;
}

/* mptcp_destroy_common() forgets the token, an orderly end does not. */
static int
get_token(struct mptcp_info *info)
{
	if (kernel.kind != KERNEL_MPTCP && !native_again())
		return EOPNOTSUPP;
	memset(info, 0, sizeof(*info));
	info->mptcpi_token = kernel.dead || kernel.cut ? 0 : 0xabcdef01;
	return 0;
}

static int
get_option(int name)
{
	switch (name) {
	case SO_TYPE:
		return kernel.kind == KERNEL_DATAGRAM ? SOCK_DGRAM :
		    SOCK_STREAM;
	case SO_PROTOCOL:
		if (kernel_is_local())
			return 0;
		return kernel.kind == KERNEL_MPTCP ||
		    kernel.kind == KERNEL_FALLBACK ? IPPROTO_MPTCP :
		    kernel.kind == KERNEL_DATAGRAM ? IPPROTO_UDP : IPPROTO_TCP;
	case SO_DOMAIN:
		return kernel_is_local() ? AF_UNIX : AF_INET;
	case SO_ACCEPTCONN:
		return kernel.kind == KERNEL_LISTENER;
	case SO_ERROR:
		return kernel_take_error();
	}
	kernel_must(name == SO_TYPE);
	return 0;
}

int
kernel_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	int error = kernel_enter(fd, NULL);

	if (error != 0)
		return kernel_answer(error, 0);
	if (kernel_lies())
		return kernel_answer(kernel_any_option(value, *len), 0);
	if (level == SOL_SOCKET)
		memcpy(value, &(int){ get_option(name) }, sizeof(int));
	else if (level == IPPROTO_TCP && name == TCP_ZEROCOPY_RECEIVE)
		error = zerocopy(value, *len);
	else if (level == IPPROTO_TCP && name == TCP_INFO)
		error = get_info(value, len);
	else if (level == IPPROTO_TCP && name == TCP_TIMESTAMP)
		error = kernel_is_tcp() && !native_again() ? 0 : EOPNOTSUPP;
	else if (level == IPPROTO_TCP && name == TCP_ULP)
		error = kernel_get_ulp(value, len);
	else if (level == SOL_TLS)
		error = kernel_get_tls(name);
	else if (level == SOL_MPTCP && name == MPTCP_INFO)
		error = get_token(value);
	else
		kernel_must(name == -1);
	return kernel_answer(error, 0);
}

/*
 * inet_getname() knows no peer in CLOSE and SYN_SENT; MPTCP that fell back
 * loses its own state already in LAST_ACK, if it has seen the peer's FIN.
 */
static bool
nameless(void)
{
	if (kernel.kind == KERNEL_LOCAL && !kernel.liar)
		return false;
	return kernel.kind >= KERNEL_STREAMS || kernel.state == TCP_CLOSE ||
	    (kernel.kind == KERNEL_FALLBACK && !kernel.unmarked &&
	    kernel.state == TCP_LAST_ACK);
}

static int
answer_name(int fd, struct sockaddr *sa, bool none)
{
	static const int errors[] = { ENOBUFS, 0 }, *none_local = errors + 1;
	int error = kernel_enter(fd, kernel_is_local() ? none_local : errors);

	if (error == 0 && kernel_lies())
		error = kernel_any_errno();
	else if (error == 0 && none)
		error = ENOTCONN;
	sa->sa_family = kernel_is_local() ? AF_UNIX : AF_INET;
	return kernel_answer(error, 0);
}

int
kernel_getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
	(void)len;
	return answer_name(fd, sa, nameless());
}

int
kernel_getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
	(void)len;
	return answer_name(fd, sa, false);
}

/*
 * tcp_ioctl(), and mptcp_ioctl_outq(): a FIN counts as one.  AF_UNIX counts the
 * buffers, which a peer that closes throws away: unix_release_sock().
 */
static int64_t
outq(void)
{
	int64_t n = kernel.written - kernel.acked;

	if (kernel_is_local())
		return n == 0 || kernel.dead ? 0 : n + 768;

	if (kernel.state == TCP_SYN_RECV || kernel.state == TCP_SYN_SENT)
		return 0;
	if (kernel.kind == KERNEL_FALLBACK && kernel.state == TCP_CLOSE)
		return 0;
	if (kernel.cut)
		return n + JUMP;
	return n + (kernel.fin && !kernel.fin_acked);
}

static void
count(int64_t n)
{
	int64_t bytes = kernel_is_local() && kernel.dead ? 0 :
	    kernel.written - kernel.acked;

	/* It grows where a layer hands on what it held. */
	if (kernel.counted == -1 || bytes < kernel.counted ||
	    (kernel.layer != KERNEL_NO_LAYER && bytes != kernel.counted)) {
		kernel.news = true;
		if (kernel.counted != -1 && n > 0 &&
		    !kernel.cut && kernel.kind != KERNEL_FALLBACK)
			kernel.told = kernel.now;
	}
	if (n == 0 && kernel.fin_acked) {
		kernel.news = true;
		/* It may forget; a layer may have an error as well. */
		if (kernel.knows == 0 && kernel.state != TCP_CLOSE &&
		    kernel.kind != KERNEL_FALLBACK &&
		    kernel.layer == KERNEL_NO_LAYER)
			kernel.knows = kernel.reads + 1;
	}
	kernel.uncounted = kernel.state == TCP_SYN_RECV;
	if (!kernel.cut && !kernel.uncounted)
		kernel.counted = bytes;
}

/* MPTCP counts the end of the input as a byte: mptcp_ioctl(). */
static int64_t
inq(void)
{
	if (kernel.unread == 0 && (kernel.kind == KERNEL_MPTCP ||
	    kernel.kind == KERNEL_FALLBACK))
		return (kernel.shut & KERNEL_RD) != 0 ||
		    kernel.state == TCP_CLOSE;
	return kernel_tcp_unread();
}

int
kernel_ioctl(int fd, unsigned long request, int *value)
{
	int error = kernel_enter(fd, NULL);

	kernel_must(request == SIOCINQ || request == SIOCOUTQ ||
	    (request == SIOCOUTQNSD &&
	    (kernel.kind == KERNEL_FALLBACK || kernel.liar)));
	if (error != 0)
		return kernel_answer(error, 0);
	if (kernel_lies()) {
		*value = kernel_any();
		error = kernel_draw(2) ? 0 : kernel_any_errno();
		return kernel_answer(error, 0);
	}
	if (kernel.kind == KERNEL_LISTENER)
		return kernel_answer(EINVAL, 0);
	*value = (int)(request == SIOCINQ ? inq() : outq());
	if (request != SIOCINQ)
		count(*value);
	return 0;
}

int
kernel_fcntl(int fd, int command)
{
	kernel_must(command == F_GETFD);
	kernel_must(fd == KERNEL_FD && kernel.closes == 0);
	return kernel_answer(kernel.kind == KERNEL_CLOSED ? EBADF : 0, 0);
}
