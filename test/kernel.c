/*
 * kernel.c - the scripted kernel: one connection, virtual time, no real call
 *
 * The functions of Linux that it follows are named where they are not obvious;
 * as far as the library rests on them the suites check_facts_* show the habit
 * on a real kernel.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP	262
#endif
#ifndef SOL_MPTCP
#define SOL_MPTCP	284
#endif
#ifndef TCP_ZEROCOPY_RECEIVE
#define TCP_ZEROCOPY_RECEIVE 35
#endif

#define RD		1		/* of kernel.shut */
#define WR		2
#define EPFD		8		/* its own descriptors */
#define NLFD		9
#define PAGE		4096
#define BUFFER		((int64_t)6 << 20)	/* net.ipv4.tcp_rmem */
#define CALLS_MAX	60000		/* more: it does not end */
#define PATIENCE	((int64_t)10000000)
#define JUMP		65537		/* of connect(AF_UNSPEC) */

struct kernel		kernel;
static const uint8_t	*script;
static size_t		script_left;
static int64_t		silent_since;	/* when the script was used up */
static bool		edge;		/* epoll has something new to tell */

static const int64_t amounts[] = { 1, 2, 3, 100, PAGE - 1, PAGE, 65536,
    1 << 20, (1 << 20) + 1, 3 << 20, 5 << 20 };
static const int64_t times[] = { 1, 999, 1000, 1001, 16000, 64000, 255000,
    1000000, 4999000, 5000000, 30000000, 61000000 };

void
kernel_panic(const char *what, int line)
{
	fprintf(stderr, "not so, line %d: %s\n", line, what);
	fprintf(stderr, "kind %d state %d: written %lld acked %lld%s, "
	    "unread %lld%s, shut %d, error %d%s%s%s; now %lld, started %lld, "
	    "%u calls, %u events, %u failures\n", kernel.kind, kernel.state,
	    (long long)kernel.written, (long long)kernel.acked,
	    kernel.fin_acked ? " and FIN" : "", (long long)kernel.unread,
	    kernel.peer_fin ? " and FIN" : "", kernel.shut, kernel.error,
	    kernel.dead ? ", dead" : "", kernel.cut ? ", cut" : "",
	    kernel.ended ? ", ended" : "", (long long)kernel.now,
	    (long long)kernel.started, kernel.calls, kernel.events,
	    kernel.failures);
	abort();
}

/* 0 where the script is used up: the least that may happen. */
unsigned
kernel_draw(unsigned below)
{
	if (script_left == 0)
		return 0;
	if (--script_left == 0)
		silent_since = kernel.now;
	return *script++ % below;
}

bool
kernel_silent(void)
{
	return script_left == 0;
}

#define one_of(table) \
	((table)[kernel_draw(sizeof(table) / sizeof((table)[0]))])

/* -DKERNEL_TRACE tells the story of a finding. */
#ifdef KERNEL_TRACE
#define trace(...)	((void)fprintf(stderr, __VA_ARGS__))
#else
#define trace(...)	((void)0)
#endif

static bool
is_tcp(void)			/* or has one below, and passes for it */
{
	return kernel.kind == KERNEL_TCP || kernel.kind == KERNEL_FALLBACK ||
	    kernel.kind == KERNEL_UNCONNECTED ||
	    kernel.kind == KERNEL_CONNECTING || kernel.kind == KERNEL_LISTENER;
}

static bool
is_local(void)
{
	return kernel.kind == KERNEL_LOCAL ||
	    kernel.kind == KERNEL_LOCAL_UNCONNECTED;
}

/*
 * What happens
 */

/* A change of state, of which epoll(7) tells, and which ends a wait. */
static void
wake(void)
{
	edge = true;
}

/* tcp_done() and tcp_time_wait(): the end in order, or not. */
static void
done(int error)
{
	kernel.state = TCP_CLOSE;
	kernel.shut = RD | WR;
	kernel.error = error;
	wake();
}

static void
die(int error)
{
	if (kernel.state == TCP_CLOSE)
		return;
	kernel.was_opening = kernel.state == TCP_SYN_RECV;
	kernel.dead = true;
	done(error);
}

static void
reset(void)
{
	die(kernel.state == TCP_CLOSE_WAIT ? EPIPE : ECONNRESET);
}

static void
send_fin(void)
{
	if (kernel.state == TCP_ESTABLISHED)
		kernel.state = TCP_FIN_WAIT1;
	else if (kernel.state == TCP_CLOSE_WAIT)
		kernel.state = TCP_LAST_ACK;
	else
		return;
	kernel.fin = true;
}

/* A FIN waits for the handshake: commit 94062790aedb. */
static void
established(void)
{
	if (kernel.state != TCP_SYN_RECV)
		return;
	kernel.state = TCP_ESTABLISHED;
	if (kernel.shut & WR)
		send_fin();
	wake();
}

static void
acknowledge_fin(void)
{
	if (!kernel.fin || kernel.fin_acked || kernel.state == TCP_CLOSE)
		return;
	kernel.fin_acked = true;
	if (kernel.state == TCP_FIN_WAIT1) {
		kernel.state = TCP_FIN_WAIT2;
	} else {
		kernel.ended = true;
		done(0);
	}
	wake();
}

static void
acknowledge_bytes(int64_t n)
{
	if (kernel.state == TCP_CLOSE || kernel.state == TCP_SYN_RECV)
		return;
	kernel.acked += n;
	if (kernel.acked > kernel.written)
		kernel.acked = kernel.written;
}

static void
acknowledge_all(void)
{
	established();
	acknowledge_bytes(INT64_MAX / 2);
	acknowledge_fin();
}

static void
input(int64_t n)
{
	if (kernel.state == TCP_CLOSE || kernel.peer_fin)
		return;
	if (n > BUFFER - kernel.unread)
		n = BUFFER - kernel.unread;
	kernel.unread += n;
	wake();
}

static void
peer_fin(void)
{
	if (kernel.state == TCP_CLOSE || kernel.state == TCP_SYN_RECV ||
	    kernel.peer_fin)
		return;
	kernel.peer_fin = true;
	kernel.shut |= RD;
	switch (kernel.state) {
	case TCP_ESTABLISHED:
		kernel.state = TCP_CLOSE_WAIT;
		break;
	case TCP_FIN_WAIT1:
		kernel.state = TCP_CLOSING;
		break;
	case TCP_FIN_WAIT2:
		kernel.ended = true;
		done(0);
		break;
	}
	wake();
}

/* Another holder's connect(AF_UNSPEC), or our own: tcp_disconnect(). */
static void
disconnect(void)
{
	int state = kernel.state;

	if (state != TCP_CLOSE && state != TCP_LISTEN)
		kernel.dead = true;
	if (state != TCP_CLOSE && state != TCP_LISTEN &&
	    state != TCP_LAST_ACK && state != TCP_CLOSING)
		kernel.error = ECONNRESET;
	kernel.state = TCP_CLOSE;
	kernel.cut = true;
	kernel.shut = 0;
	kernel.unread = 0;
	wake();
}

/* unix_release_sock(): a reset where the peer leaves something unread. */
static void
happen_locally(unsigned what)
{
	switch (what) {
	case 3:
		if (!(kernel.shut & RD))
			input(one_of(amounts));
		break;
	case 4:
		kernel.peer_fin = true;
		kernel.shut |= RD;
		wake();
		break;
	case 5:
		if (!kernel.dead) {
			kernel.dead = kernel.peer_fin = true;
			done(ECONNRESET);
		}
		break;
	}
}

/* Input, and whatever else comes with bytes to tell of it. */
static void
happen_to_tcp(unsigned what)
{
	switch (what) {
	case 1:
		acknowledge_bytes(one_of(amounts));
		break;
	case 2:
		acknowledge_all();
		break;
	case 3:
		input(one_of(amounts));
		break;
	case 4:
		peer_fin();
		break;
	case 5:
		reset();
		break;
	case 6:
		die(kernel_draw(2) ? EHOSTUNREACH : ETIMEDOUT);
		break;
	case 7:
		if (kernel.kind == KERNEL_TCP)
			kernel.notices++;
		wake();
		break;
	case 8:
		established();
		break;
	case 9:
		acknowledge_bytes(INT64_MAX / 2);
		break;
	case 10:
		acknowledge_all();
		peer_fin();
		break;
	case 11:
		if (kernel.kind == KERNEL_TCP)
			disconnect();
		break;
	}
}

static void
happen(unsigned what)
{
	kernel.events++;
	trace("  event %u in state %d\n", what, kernel.state);
	if (what >= 12)
		kernel.now += one_of(times);
	else if (is_local())
		happen_locally(what);
	else if (kernel.kind < KERNEL_STREAMS)
		happen_to_tcp(what);
}

/* The script is used up: what else ends a close that has no limits. */
static void
end_it(void)
{
	if (kernel.liar) {
		reset();
		kernel.peer_fin = true;
	} else if (is_local()) {
		happen_locally(4);
	} else {
		happen_to_tcp(10);
	}
}

/*
 * Between any two calls: something happens, or not, and the call may fail with
 * one of these (0 is the last).  Returns the errno value, or 0.
 */
static int
pass_as(const char *call, const int *errors)
{
	unsigned b, n = 0;

	trace("%s at %lld\n", call, (long long)kernel.now);
	(void)call;
	kernel_must(++kernel.calls < CALLS_MAX);
	if (kernel.endless && kernel_silent() &&
	    kernel.now - silent_since > PATIENCE)
		end_it();
	b = kernel_draw(256);
	if ((b & 15) != 0)
		happen(b & 15);
	if (b >> 4 < 14)
		return 0;
	while (errors[n] != 0)
		n++;
	if (n == 0)
		return 0;
	kernel.failures++;
	n = kernel_draw(n);
	trace("  fails: %s\n", strerror(errors[n]));
	return errors[n];
}

#define pass(errors)	pass_as(__func__, errors)

static bool
lies(void)
{
	return kernel.liar && kernel_draw(4) != 0;
}

/* Any number: small, large, negative. */
static int
any(void)
{
	static const int numbers[] = { 0, 1, 2, -1, 4096, INT32_MAX,
	    INT32_MIN };
	unsigned n = kernel_draw(64);

	return n < 7 ? numbers[n] : (int)(n << 24 | kernel_draw(256) << 16 |
	    kernel_draw(256) << 8 | kernel_draw(256));
}

static int
any_errno(void)
{
	static const int errors[] = { EINTR, EAGAIN, ENOBUFS, ENOMEM, EBUSY,
	    ENOPROTOOPT, EMFILE, EBADF, ENOTSOCK, EOPNOTSUPP, ENOTCONN,
	    ECONNRESET, EPIPE, ETIMEDOUT, EINVAL, EFAULT, EIO, EPERM };

	return one_of(errors);
}

/* What a call returns: -1 and errno, or the value. */
static int
answer(int error, int value)
{
	if (error == 0)
		return value;
	errno = error;
	return -1;
}

/* The descriptor itself: is it open, and is it a socket? */
static int
not_a_socket(int fd)
{
	kernel_must(fd == KERNEL_FD || kernel.liar);
	kernel_must(kernel.closes == 0);
	switch (kernel.kind) {
	case KERNEL_CLOSED:
	case KERNEL_PATH:
		return EBADF;
	case KERNEL_PIPE:
		return ENOTSOCK;
	}
	return 0;
}

/*
 * The calls
 */

static int
take_error(void)
{
	int error = kernel.error;

	kernel.consumed += error != 0;
	kernel.error = 0;
	return error;
}

/* That the peer's FIN is here is news once. */
static void
tell_fin(void)
{
	kernel.news |= kernel.peer_fin && !kernel.fin_told;
	kernel.fin_told = kernel.peer_fin;
}

/* sock_diag(7), by the token of the connection: mptcp_diag_dump_one(). */
static ssize_t
recv_diag(void *buf, size_t size)
{
	static const int errors[] = { EAGAIN, ENOBUFS, 0 };
	struct {
		struct nlmsghdr		header;
		struct inet_diag_msg	msg;
	} a;
	int error = pass(errors);

	memset(&a, 0, sizeof(a));
	a.header.nlmsg_len = sizeof(a);
	a.header.nlmsg_type = kernel.no_diag ? NLMSG_ERROR :
	    SOCK_DIAG_BY_FAMILY;
	a.msg.idiag_state = (uint8_t)kernel.state;
	if (error != 0)
		return answer(error, 0);
	if (lies())
		memset(&a, (int)kernel_draw(256), sizeof(a));
	kernel.fin_told = false;	/* recv alone has proved nothing */
	tell_fin();
	kernel_must(size >= sizeof(a));
	memcpy(buf, &a, sizeof(a));
	return lies() ? (ssize_t)kernel_draw(sizeof(a)) : (ssize_t)sizeof(a);
}

/* tcp_recvmsg_locked(), mptcp_recvmsg(), unix_stream_read_generic(). */
static ssize_t
recv_nothing(void)
{
	bool tcp = kernel.kind == KERNEL_TCP;

	tell_fin();
	if (kernel.kind == KERNEL_LISTENER)
		return answer(ENOTCONN, 0);
	if (tcp && kernel.peer_fin && !kernel.cut)	/* SOCK_DONE */
		return 0;
	if (kernel.error != 0)
		return answer(take_error(), 0);
	if (kernel.shut & RD)
		return 0;
	if (kernel.state == TCP_CLOSE)
		return answer(is_local() ? EINVAL : ENOTCONN, 0);
	return answer(EAGAIN, 0);
}

static ssize_t
recv_notice(void)
{
	if (kernel.notices == 0)
		return answer(EAGAIN, 0);
	kernel.notices--;
	kernel.consumed++;
	return 0;
}

static ssize_t
recv_any(void *buf, size_t size)
{
	size_t n = (size_t)any();

	if (kernel_draw(2))
		return answer(any_errno(), 0);
	n = n < size ? n : size;
	if (buf != NULL)
		memset(buf, (int)kernel_draw(256), n < 64 ? n : 64);
	kernel.discarded += (int64_t)n;
	return (ssize_t)n;
}

/*
 * A failure may hide news of which epoll(7) has told already; then a limit is
 * what ends the close, and without any it had better not fail.
 */
ssize_t
kernel_recv(int fd, void *buf, size_t size, int flags)
{
	static const int errors[] = { EINTR, ENOMEM, ENOBUFS, EAGAIN, 0 };
	int error;
	size_t n;

	kernel_must(flags & MSG_DONTWAIT);
	if (fd == NLFD)
		return recv_diag(buf, size);
	if ((error = not_a_socket(fd)) == 0)
		error = pass(kernel.endless ? errors + 4 : errors);
	if (error != 0)
		return answer(error, 0);
	if (lies())
		return recv_any(flags & (MSG_PEEK | MSG_ERRQUEUE) ? NULL : buf,
		    size);
	if (flags & MSG_ERRQUEUE)
		return recv_notice();
	if (kernel.unread == 0) {
		kernel.swept = kernel.calls;
		return recv_nothing();
	}
	kernel_must(buf != NULL || (flags & MSG_TRUNC));
	if (is_local() && buf == NULL)
		return answer(EFAULT, 0);
	n = (size_t)kernel.unread < size ? (size_t)kernel.unread : size;
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

ssize_t
kernel_send(int fd, const void *buf, size_t size, int flags)
{
	static const int errors[] = { ECONNREFUSED, ENOBUFS, 0 };
	int error = pass(errors);

	(void)buf;
	(void)flags;
	kernel_must(fd == NLFD && kernel.others > 0);
	return error != 0 ? answer(error, 0) : (ssize_t)size;
}

/* tcp_zerocopy_receive(); what MPTCP has is not in its TCP socket's queue. */
static int
zerocopy(uint32_t *in, socklen_t len)
{
	int64_t unread = kernel.kind == KERNEL_FALLBACK ? 0 : kernel.unread;
	bool fin = kernel.peer_fin && !kernel.cut;

	kernel_must(len >= 5 * sizeof(*in));
	if (!is_tcp())
		return EOPNOTSUPP;
	if (kernel.old)
		return ENOPROTOOPT;
	if (kernel.kind == KERNEL_LISTENER)
		return ENOTCONN;
	if (unread >= PAGE)
		return EINVAL;
	if (unread == 0 && fin) {
		tell_fin();
		return EIO;
	}
	in[4] = (uint32_t)(unread + fin);	/* tcp_inq_hint() */
	return 0;
}

/* On MPTCP this is a subflow's, which knows nothing of our FIN. */
static int
get_info(struct tcp_info *info, socklen_t *len)
{
	bool connected = kernel.kind < KERNEL_STREAMS;

	if (is_local() || kernel.kind == KERNEL_DATAGRAM)
		return EOPNOTSUPP;
	kernel_must(*len == sizeof(*info));
	memset(info, 0, sizeof(*info));
	info->tcpi_state = (uint8_t)(kernel.kind == KERNEL_MPTCP &&
	    kernel.state != TCP_CLOSE ? TCP_ESTABLISHED : kernel.state);
	info->tcpi_rcv_space = connected ? 14600 : 0;
	return 0;
}

/* mptcp_destroy_common() forgets the token, an orderly end does not. */
static int
get_token(struct mptcp_info *info)
{
	if (kernel.kind != KERNEL_MPTCP)
		return EOPNOTSUPP;
	memset(info, 0, sizeof(*info));
	info->mptcpi_token = kernel.dead ? 0 : 0xabcdef01;
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
		if (is_local())
			return 0;
		return kernel.kind == KERNEL_MPTCP ||
		    kernel.kind == KERNEL_FALLBACK ? IPPROTO_MPTCP :
		    kernel.kind == KERNEL_DATAGRAM ? IPPROTO_UDP : IPPROTO_TCP;
	case SO_DOMAIN:
		return is_local() ? AF_UNIX : AF_INET;
	case SO_ACCEPTCONN:
		return kernel.kind == KERNEL_LISTENER;
	case SO_ERROR:
		return take_error();
	}
	kernel_must(name == SO_TYPE);
	return 0;
}

static int
get_any(void *value, socklen_t *len)
{
	uint8_t *p = value;
	socklen_t i;

	if (kernel_draw(3) == 0)
		return any_errno();
	memset(p, (int)kernel_draw(4) == 0 ? (int)kernel_draw(256) : 0, *len);
	for (i = 0; i < 4 && i < *len; i++)
		p[i] = (uint8_t)kernel_draw(256);
	return 0;
}

int
kernel_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	static const int none[] = { 0 };
	int error = not_a_socket(fd);

	if (error == 0)
		error = pass(none);
	if (error != 0)
		return answer(error, 0);
	if (lies())
		return answer(get_any(value, len), 0);
	if (level == SOL_SOCKET)
		memcpy(value, &(int){ get_option(name) }, sizeof(int));
	else if (level == IPPROTO_TCP && name == TCP_ZEROCOPY_RECEIVE)
		error = zerocopy(value, *len);
	else if (level == IPPROTO_TCP && name == TCP_INFO)
		error = get_info(value, len);
	else if (level == SOL_MPTCP && name == MPTCP_INFO)
		error = get_token(value);
	else
		kernel_panic("an option that it knows", name);
	return answer(error, 0);
}

int
kernel_setsockopt(int fd, int level, int name, const void *value,
    socklen_t len)
{
	static const int none[] = { 0 };
	int error = not_a_socket(fd);

	kernel_must(level == SOL_SOCKET && name == SO_LINGER &&
	    len == sizeof(kernel.linger));
	if (error == 0)
		error = pass(none);
	if (error != 0)
		return answer(error, 0);
	if (lies())
		return answer(any_errno(), 0);
	memcpy(&kernel.linger, value, sizeof(kernel.linger));
	kernel.consumed++;
	return 0;
}

/*
 * inet_getname() knows no peer in CLOSE and SYN_SENT; MPTCP that fell back
 * loses its own state already in LAST_ACK.
 */
static bool
nameless(void)
{
	if (kernel.kind == KERNEL_LOCAL && !kernel.liar)
		return false;
	return kernel.kind >= KERNEL_STREAMS || kernel.state == TCP_CLOSE ||
	    (kernel.kind == KERNEL_FALLBACK && kernel.state == TCP_LAST_ACK);
}

static int
name(int fd, struct sockaddr *sa, bool none)
{
	static const int errors[] = { ENOBUFS, 0 }, *none_local = errors + 1;
	int error = not_a_socket(fd);

	if (error == 0)
		error = pass(is_local() ? none_local : errors);
	if (error == 0 && lies())
		error = any_errno();
	else if (error == 0 && none)
		error = ENOTCONN;
	sa->sa_family = is_local() ? AF_UNIX : AF_INET;
	return answer(error, 0);
}

int
kernel_getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
	(void)len;
	return name(fd, sa, nameless());
}

int
kernel_getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
	(void)len;
	return name(fd, sa, false);
}

/* tcp_ioctl(), and mptcp_ioctl_outq(): a FIN counts as one. */
static int64_t
outq(void)
{
	int64_t n = kernel.written - kernel.acked;

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
	int64_t bytes = kernel.written - kernel.acked;

	if (kernel.counted == -1 || bytes < kernel.counted) {
		kernel.news = true;
		if (kernel.counted != -1 && n > 0 &&
		    !kernel.cut && kernel.kind != KERNEL_FALLBACK)
			kernel.told = kernel.now;
	}
	if (n == 0 && kernel.fin_acked)
		kernel.news = true;
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
		return (kernel.shut & RD) != 0;
	return kernel.unread;
}

int
kernel_ioctl(int fd, unsigned long request, int *value)
{
	static const int none[] = { 0 };
	int error = not_a_socket(fd);

	kernel_must(request == SIOCINQ || request == SIOCOUTQ);
	if (error == 0)
		error = pass(none);
	if (error != 0)
		return answer(error, 0);
	if (lies()) {
		*value = any();
		return answer(kernel_draw(2) ? 0 : any_errno(), 0);
	}
	if (kernel.kind == KERNEL_LISTENER)
		return answer(EINVAL, 0);
	*value = (int)(request == SIOCINQ ? inq() : outq());
	if (request == SIOCOUTQ)
		count(*value);
	return 0;
}

int
kernel_fcntl(int fd, int command)
{
	kernel_must(command == F_GETFD);
	kernel_must(fd == KERNEL_FD && kernel.closes == 0);
	return answer(kernel.kind == KERNEL_CLOSED ? EBADF : 0, 0);
}

/* tcp_poll(), datagram_poll(), unix_poll(), pipe_poll(). */
static int
ready(void)
{
	int r = kernel.error != 0 || kernel.notices > 0 ? POLLERR : 0;

	switch (kernel.kind) {
	case KERNEL_CLOSED:
	case KERNEL_PATH:
		return POLLNVAL;
	case KERNEL_PIPE:
	case KERNEL_LISTENER:
		return 0;
	case KERNEL_DATAGRAM:
	case KERNEL_LOCAL:
	case KERNEL_LOCAL_UNCONNECTED:
		r |= POLLWRBAND;
	}
	if (kernel.state == TCP_SYN_SENT)
		return r;
	r |= POLLOUT;
	if (kernel.shut == (RD | WR) ||
	    (kernel.state == TCP_CLOSE && kernel.kind != KERNEL_DATAGRAM))
		r |= POLLHUP;
	if (kernel.shut & RD)
		r |= POLLIN | POLLRDHUP;
	if (kernel.unread > 0)
		r |= POLLIN;
	return r;
}

static short
asked(int events)
{
	return (short)(ready() & (events | POLLERR | POLLHUP | POLLNVAL));
}

/* Until there is news, the time, or the end of it all. */
static bool
sleep_on(bool edges, int events, int timeout_ms)
{
	int64_t end = timeout_ms == -1 ? INT64_MAX :
	    kernel.now + (int64_t)timeout_ms * 1000;

	while (kernel.now < end) {
		if (edges ? edge : events != 0 && asked(events) != 0)
			return true;
		kernel_must(++kernel.calls < CALLS_MAX);
		if (!kernel_silent()) {
			happen(kernel_draw(16));
		} else if (timeout_ms == -1) {
			kernel.now += PATIENCE;
			end_it();
		} else {
			kernel.now = end;
		}
	}
	return false;
}

void
kernel_wait(bool edges, short events, int timeout_ms)
{
	(void)sleep_on(edges, events, timeout_ms);
	edge = false;
}

/* What a wait may not do: come where none may be, or go beyond a limit. */
static void
look_at_wait(int timeout_ms)
{
	kernel_must(timeout_ms >= -1);
	if (timeout_ms != 0)
		kernel_must(kernel.may_wait);
}

int
kernel_poll(struct pollfd *p, nfds_t n, int timeout_ms)
{
	static const int errors[] = { EINTR, ENOMEM, EINVAL, 0 };
	int error = pass(errors), r = 0;
	nfds_t i;

	look_at_wait(timeout_ms);
	if (error == EINVAL && n == 0)
		error = 0;
	if (error != 0)
		return answer(error, 0);
	if (lies() && n > 0) {
		p[0].revents = asked(INT16_MAX);
		p[0].revents = (short)(p[0].revents ^ (short)kernel_draw(64));
		return (int)kernel_draw(2);
	}
	if (timeout_ms != 0)
		(void)sleep_on(false, n > 0 ? p[0].events : 0, timeout_ms);
	for (i = 0; i < n; i++) {
		kernel_must(kernel.closes == 0);
		if (p[i].fd == KERNEL_FD)
			p[i].revents = asked(p[i].events);
		else
			p[i].revents = POLLNVAL;
		r += p[i].revents != 0;
	}
	return r;
}

int
kernel_epoll_create1(int flags)
{
	static const int errors[] = { EMFILE, ENFILE, ENOMEM, 0 };
	int error = pass(errors);

	kernel_must(flags == EPOLL_CLOEXEC);
	kernel.others += error == 0;
	return answer(error, EPFD);
}

int
kernel_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	static const int errors[] = { ENOMEM, ENOSPC, 0 };
	int error = pass(errors);

	kernel_must(epfd == EPFD && op == EPOLL_CTL_ADD && fd == KERNEL_FD);
	kernel_must(kernel.closes == 0 && (ev->events & EPOLLET));
	edge = true;
	return answer(error, 0);
}

int
kernel_epoll_wait(int epfd, struct epoll_event *ev, int n, int timeout_ms)
{
	static const int errors[] = { EINTR, 0 };
	int error = pass(errors);

	kernel_must(epfd == EPFD && n == 1);
	look_at_wait(timeout_ms);
	if (error != 0)
		return answer(error, 0);
	(void)sleep_on(true, 0, timeout_ms);
	if (!edge)
		return 0;
	edge = false;
	ev->events = (uint32_t)ready();
	return 1;
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
		return kernel.kind < KERNEL_STREAMS && !is_local();
	}
	return false;
}

/* On MPTCP it resets an established connection, but not after SHUT_WR. */
int
kernel_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	static const int errors[] = { EBUSY, EINTR, 0 };
	int error = not_a_socket(fd);

	(void)len;
	kernel_must(sa->sa_family == AF_UNSPEC);
	if (error == 0)
		error = pass(errors);
	if (error != 0)
		return answer(error, 0);
	kernel.consumed++;
	if (kernel.kind == KERNEL_MPTCP && kernel.state != TCP_ESTABLISHED)
		return 0;
	kernel.rst_sent |= needs_reset();
	disconnect();
	return 0;
}

/* inet_shutdown(), unix_shutdown(). */
int
kernel_shutdown(int fd, int how)
{
	static const int none[] = { 0 };
	int error = not_a_socket(fd);

	if (error == 0)
		error = pass(none);
	if (error != 0)
		return answer(error, 0);
	if (lies())
		return answer(kernel_draw(2) ? 0 : any_errno(), 0);
	kernel.consumed++;
	if (kernel.kind == KERNEL_LISTENER)
		return 0;
	if (kernel.kind == KERNEL_CONNECTING) {
		kernel.state = TCP_CLOSE;
		kernel.error = ECONNRESET;
		return 0;
	}
	if (kernel.state == TCP_CLOSE && !is_local()) {
		kernel.shut |= how + 1;
		return answer(ENOTCONN, 0);
	}
	kernel.shut |= how + 1;
	if (is_local())
		kernel.news = true;	/* delivered at once */
	else if ((how + 1) & WR)
		send_fin();
	wake();
	return 0;
}

int
kernel_socket(int domain, int type, int protocol)
{
	static const int errors[] = { EMFILE, ENOBUFS, EPROTONOSUPPORT, 0 };
	int error = pass(errors);

	(void)type;
	kernel_must(domain == AF_NETLINK && protocol == NETLINK_SOCK_DIAG);
	kernel.others += error == 0;
	return answer(error, NLFD);
}

/* tcp_close(): what is unread, or no time to linger, makes it a reset. */
static void
close_connection(void)
{
	bool zero = kernel.linger.l_onoff && kernel.linger.l_linger == 0;

	if (kernel.state == TCP_CLOSE || is_local() ||
	    kernel.kind >= KERNEL_STREAMS)
		return;
	if (kernel.unread > 0)
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

	if (fd == EPFD || fd == NLFD) {
		kernel_must(kernel.others > 0);
		kernel.others--;
		return 0;
	}
	kernel_must(fd == KERNEL_FD && kernel.closes == 0);
	error = pass(errors);
	if (kernel.kind == KERNEL_CLOSED)
		return answer(EBADF, 0);
	kernel.closes++;
	close_connection();
	return answer(error, 0);
}

int
kernel_clock_gettime(clockid_t id, struct timespec *ts)
{
	static const int none[] = { 0 };

	kernel_must(id == CLOCK_MONOTONIC);
	(void)pass(none);
	if (kernel.closes == 0)
		kernel.looked = kernel.calls;
	if (kernel.started == 0)
		kernel.started = kernel.progressed = kernel.told = kernel.now;
	if (kernel.news)
		kernel.progressed = kernel.now;
	kernel.news = false;
	kernel.clock[1] = kernel.clock[0];
	kernel.clock[0] = kernel.now;
	kernel.told_then[1] = kernel.told_then[0];
	kernel.told_then[0] = kernel.told;
	ts->tv_sec = kernel.now / 1000000;
	ts->tv_nsec = kernel.now % 1000000 * 1000;
	return 0;
}

/*
 * How it begins
 */

static int
first_state(void)
{
	switch (kernel.kind) {
	case KERNEL_TCP:
		return kernel_draw(8) == 7 ? TCP_SYN_RECV : TCP_ESTABLISHED;
	case KERNEL_LISTENER:
		return TCP_LISTEN;
	case KERNEL_CONNECTING:
		return TCP_SYN_SENT;
	}
	return kernel.kind < KERNEL_STREAMS ? TCP_ESTABLISHED : TCP_CLOSE;
}

/* What the caller has done before, and what came meanwhile. */
static void
live(void)
{
	unsigned n = kernel_draw(8);

	while (n-- > 0) {
		switch (kernel_draw(20)) {
		case 15:
			if (kernel.state == TCP_CLOSE)
				break;
			kernel.shut |= RD;
			kernel.peer_fin |= is_local();
			break;
		case 16:
			if (kernel.state == TCP_CLOSE)
				break;
			kernel.caller_fin = true;
			kernel.shut |= WR;
			if (!is_local())
				send_fin();
			break;
		case 17:
			kernel.error_taken |= take_error() != 0;
			break;
		case 18:
			kernel.linger.l_onoff = 1;
			kernel.linger.l_linger = (int)kernel_draw(2) * 5;
			break;
		case 19:
			kernel.unread = 0;
			break;
		default:
			happen(kernel_draw(12));
		}
	}
}

void
kernel_boot(const uint8_t *bytes, size_t n)
{
	static const unsigned kinds[] = { KERNEL_TCP, KERNEL_TCP, KERNEL_TCP,
	    KERNEL_TCP, KERNEL_MPTCP, KERNEL_FALLBACK, KERNEL_LOCAL,
	    KERNEL_UNCONNECTED, KERNEL_CONNECTING, KERNEL_LISTENER,
	    KERNEL_LOCAL_UNCONNECTED, KERNEL_DATAGRAM, KERNEL_PIPE,
	    KERNEL_PATH, KERNEL_CLOSED };
	unsigned traits;

	memset(&kernel, 0, sizeof(kernel));
	script = bytes;
	script_left = n;
	silent_since = 0;
	edge = false;
	kernel.now = 1000000;
	kernel.kind = (int)one_of(kinds);
	traits = kernel_draw(256);
	kernel.old = (traits & 3) == 3 && kernel.kind == KERNEL_TCP;
	kernel.no_diag = (traits & 0xc) == 0xc;
	kernel.liar = (traits & 0xf0) == 0xf0;
	kernel.state = first_state();
	if (kernel.kind < KERNEL_STREAMS && kernel_draw(4) != 0)
		kernel.written = one_of(amounts);
	live();
	kernel_watch();
}

void
kernel_watch(void)
{
	kernel.consumed = kernel.failures = kernel.events = 0;
	kernel.discarded = 0;
	kernel.counted = -1;
	kernel.uncounted = false;
	kernel.started = kernel.progressed = kernel.told = 0;
	kernel.news = kernel.fin_told = false;
	kernel.looked = kernel.swept = 0;
}
