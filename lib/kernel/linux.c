/*
 * linux.c - how Linux is asked what a socket is, and how its connection stands
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

#include "kernel/common.h"
#include "kernel/kernel.h"
#include "kernel/linux.h"

#ifndef TCP_ULP
#define TCP_ULP			31
#endif
#ifndef TCP_ZEROCOPY_RECEIVE
#define TCP_ZEROCOPY_RECEIVE	35
#endif

const short graceclose_tcp_events = POLLIN | POLLRDHUP | POLLOUT | POLLWRBAND;

/* The head of the kernel's struct tcp_zerocopy_receive; libcs have less. */
struct zerocopy {
	uint64_t	address;
	uint32_t	length;
	uint32_t	recv_skip_hint;
	uint32_t	inq;
};

/*
 * Unlike a recv of 0 or POLLRDHUP it is not fooled by our own SHUT_RD or by a
 * reset, because it looks at SOCK_DONE, which only tcp_fin() sets
 * (tcp_zerocopy_receive() in net/ipv4/tcp.c, Linux 4.18).  It does not see
 * unread bytes behind a mark of urgent data.
 */
int
graceclose_linux_look(int fd, uint32_t *inq)
{
	struct zerocopy zc;
	socklen_t len = offsetof(struct zerocopy, inq) + sizeof(zc.inq);

	memset(&zc, 0, sizeof(zc));
	if (getsockopt(fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len) == -1)
		return errno;
	*inq = zc.inq;
	return 0;
}

/* How much of it the kernel has filled, in bytes; 0: nothing. */
static socklen_t
tcp_info(int fd, void *info, socklen_t len)
{
	memset(info, 0, len);
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) == -1 ? 0 :
	    len;
}

int
graceclose_linux_state(int fd, int kind)
{
	struct tcp_info info;

	if (kind == GRACECLOSE_KIND_MPTCP)
		return graceclose_mptcp_state(fd);
	/* qemu-user's is an int, whose first byte is 0 on a big-endian one. */
	return tcp_info(fd, &info, sizeof(info)) == 0 ||
	    info.tcpi_state == 0 ? -1 : info.tcpi_state;
}

bool
graceclose_linux_reopened(int fd)
{
	struct pollfd p = { fd, POLLRDHUP, 0 };

	return graceclose_tcp_poll(&p, 1) != -1 &&
	    (p.revents & POLLRDHUP) == 0;
}

int
graceclose_kind_by_protocol(int fd)
{
	switch (graceclose_sockopt(fd, SOL_SOCKET, SO_PROTOCOL)) {
	case IPPROTO_TCP:
		return GRACECLOSE_KIND_TCP;
	case IPPROTO_MPTCP:
		return graceclose_mptcp_fell_back(fd) ?
		    GRACECLOSE_KIND_FALLBACK : GRACECLOSE_KIND_MPTCP;
	}
	return graceclose_sockopt(fd, SOL_SOCKET, SO_DOMAIN) == AF_UNIX ?
	    GRACECLOSE_KIND_LOCAL : -1;
}

int
graceclose_tcp_kind(int fd, int *input)
{
	uint32_t inq = 0;

	*input = GRACECLOSE_INPUT_UNKNOWN;
	switch (graceclose_linux_look(fd, &inq)) {
	case EIO:
		*input = GRACECLOSE_INPUT_ENDED;
		return GRACECLOSE_KIND_TCP;
	case 0:
		if (inq == 0)
			*input = GRACECLOSE_INPUT_NONE;
		return GRACECLOSE_KIND_TCP;
	case ENOTCONN:
		errno = ENOTCONN;
		return -1;
	}
	return graceclose_kind_of_socket(fd);
}

/*
 * The upper layer protocol (Linux 4.13).  Plain TCP has none; the TCP socket of
 * an MPTCP connection has "mptcp" (mptcp_subflow_create_socket()).
 */
int
graceclose_tcp_kind_proper(int fd, int kind)
{
	char name[16] = "";
	socklen_t len = sizeof(name);

	if (kind != GRACECLOSE_KIND_TCP)
		return kind;
	if (getsockopt(fd, IPPROTO_TCP, TCP_ULP, name, &len) == -1)
		return graceclose_sockopt(fd, SOL_SOCKET, SO_PROTOCOL) ==
		    IPPROTO_MPTCP ? GRACECLOSE_KIND_FALLBACK : kind;
	if (len == 0 || name[0] == '\0')
		return kind;
	return strncmp(name, "mptcp", sizeof(name)) == 0 ?
	    GRACECLOSE_KIND_FALLBACK : GRACECLOSE_KIND_LAYERED;
}

/*
 * LAST_ACK and CLOSING still have a peer, and MPTCP that fell back forgets the
 * peer's name too early there.
 */
bool
graceclose_tcp_gone(int fd, int kind)
{
	if (graceclose_peername(fd) != ENOTCONN)
		return false;
	return kind != GRACECLOSE_KIND_FALLBACK ||
	    graceclose_linux_state(fd, kind) == TCP_CLOSE;
}

/* MPTCP does not know IP_RECVERR. */
bool
graceclose_tcp_goes_on(int fd, int kind)
{
	int state = graceclose_linux_is_tcp(kind) ?
	    graceclose_linux_state(fd, kind) : -1;

	return state != -1 && state != TCP_CLOSE;
}

/*
 * Linux measures out the receive space when a connection is established.
 * Emulators may know no more of struct tcp_info than its first words.
 */
bool
graceclose_tcp_was_connected(int fd, int kind)
{
	struct tcp_info info;

	return kind == GRACECLOSE_KIND_LOCAL ||
	    tcp_info(fd, &info, sizeof(info)) <
	    offsetof(struct tcp_info, tcpi_total_retrans) ||
	    info.tcpi_rcv_space != 0;
}

/*
 * FIONREAD, because MSG_PEEK would take a pending error where there is no data.
 * MPTCP counts the peer's DATA_FIN, or our SHUT_RD, as a byte there.  kTLS does
 * not count what it has decrypted.
 */
bool
graceclose_tcp_unread(int fd, short revents)
{
	bool doubtful;
	char c;
	int n;

	if (ioctl(fd, FIONREAD, &n) == -1)
		return false;
	if (n == 0)
		doubtful = graceclose_tcp_kind_proper(fd,
		    GRACECLOSE_KIND_TCP) == GRACECLOSE_KIND_LAYERED;
	else
		doubtful = n == 1 && graceclose_sockopt(fd, SOL_SOCKET,
		    SO_PROTOCOL) == IPPROTO_MPTCP;
	if (!doubtful)
		return n > 0;
	return (revents & POLLERR) == 0 &&
	    recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

/* Whether the state says that the peer's FIN is here, or `unknown'. */
static bool
finished_by_state(int fd, int kind, bool unknown)
{
	int state = graceclose_linux_state(fd, kind);

	if (state == -1)
		return unknown;
	return state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK ||
	    state == TCP_CLOSING;
}

/* On AF_UNIX our SHUT_RD ends the peer's side as well. */
bool
graceclose_tcp_finished(int fd, int kind)
{
	uint32_t inq;

	if (kind == GRACECLOSE_KIND_LOCAL)
		return true;
	switch (kind != GRACECLOSE_KIND_MPTCP ?
	    graceclose_linux_look(fd, &inq) : -1) {
	case EIO:
		return true;
	case 0:
		return false;
	}
	return finished_by_state(fd, kind, false);
}

/* A layer may have taken input from TCP, and hold it unread. */
bool
graceclose_tcp_at_end(int fd, int kind)
{
	uint32_t inq;

	return kind == GRACECLOSE_KIND_TCP &&
	    graceclose_linux_look(fd, &inq) == EIO;
}

/* The counters of the kernel's struct tcp_info; libcs have less. */
struct tcp_counters {
	char		state_and_times[120];
	uint64_t	bytes_acked;
	char		bytes_received_and_segs_out[12];
	uint32_t	segs_in;
	uint32_t	notsent_bytes;	/* a FIN counts as one; Linux 4.6 */
	char		other_counters[52];
	uint64_t	bytes_sent;	/* of payload; Linux 4.19 */
	uint64_t	bytes_retrans;	/* among these */
};

bool
graceclose_tcp_fin_left(int fd, int kind)
{
	struct tcp_counters c;

	return graceclose_linux_is_tcp(kind) && tcp_info(fd, &c, sizeof(c)) >=
	    offsetof(struct tcp_counters, other_counters) &&
	    c.notsent_bytes == 0;
}

/*
 * Whether a connection is known to have ended without our FIN, of one that is
 * gone with all its data acknowledged.  An acknowledged FIN counts as a byte.
 * So does the SYN of the side that connected, which hides its absence there.
 */
static bool
fin_never_left(int fd)
{
	struct tcp_counters c;

	return tcp_info(fd, &c, sizeof(c)) == sizeof(c) &&
	    c.bytes_acked == c.bytes_sent - c.bytes_retrans;
}

/*
 * MPTCP that fell back remembers little.  Where data came right before the
 * peer's FIN it may never show that FIN (Linux 7.2, mptcp_check_data_fin()).
 * But an end in order starts the counters of its TCP socket anew, and a reset,
 * which leaves an error, does so rarely (__mptcp_close_ssk()).  Another
 * holder's connect(AF_UNSPEC) does so, too, and makes it native MPTCP again;
 * that is asked last, as connect(2) may come in between.
 */
static int
end_of_fallback(int fd, bool seen)
{
	struct tcp_counters c;
	bool anew = graceclose_linux_reopened(fd);

	if (anew && (!seen || tcp_info(fd, &c, sizeof(c)) <
	    offsetof(struct tcp_counters, notsent_bytes) || c.segs_in != 0))
		return GRACECLOSE_STATE_DEAD;
	return graceclose_mptcp_token(fd) == -1 ?
	    GRACECLOSE_STATE_ENDED : GRACECLOSE_STATE_DEAD;
}

/*
 * Whether the peer's FIN came before TCP forgot the connection.  FIONREAD
 * leaves a FIN out, graceclose_linux_look() counts it.  The two are asked in
 * this order, as input that vanishes in between would look like a FIN.
 */
static int
end_of_tcp(int fd, bool seen)
{
	uint32_t inq = 0;
	int look, unread = 0;
	bool counts = ioctl(fd, FIONREAD, &unread) == 0;

	look = graceclose_linux_look(fd, &inq);
	if (look == 0)
		return counts && inq > (uint32_t)unread ?
		    GRACECLOSE_STATE_ENDED : GRACECLOSE_STATE_DEAD;
	/* It cannot look before Linux 5.11, and the error may be taken. */
	return !seen && look != EIO ?
	    GRACECLOSE_STATE_DEAD : GRACECLOSE_STATE_ENDED;
}

/*
 * AF_UNIX may have been reset since the caller last read.  recv(2) takes the
 * socket's lock, and returns an error before EOF (unix_stream_read_generic()).
 */
static int
end_of_local(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0 ?
	    GRACECLOSE_STATE_ENDED : GRACECLOSE_STATE_DEAD;
}

/*
 * An error, or output that was never acknowledged, says that the connection did
 * not end in order.  Where neither is left, it did if the peer's FIN ever came.
 */
int
graceclose_tcp_state_of_gone(int fd, int kind, bool error, bool seen)
{
	int64_t left;

	if (!graceclose_tcp_was_connected(fd, kind)) {
		errno = ENOTCONN;
		return -1;
	}
	/* Of MPTCP that fell back SIOCOUTQ alone knows what nobody took. */
	left = graceclose_tcp_outq(fd, kind == GRACECLOSE_KIND_FALLBACK ?
	    GRACECLOSE_KIND_TCP : kind);
	if (error || left > 0 || (kind != GRACECLOSE_KIND_FALLBACK &&
	    graceclose_linux_reopened(fd)))
		return GRACECLOSE_STATE_DEAD;
	switch (kind) {
	case GRACECLOSE_KIND_TCP:
	case GRACECLOSE_KIND_LAYERED:
		return fin_never_left(fd) ? GRACECLOSE_STATE_DEAD :
		    end_of_tcp(fd, seen);
	case GRACECLOSE_KIND_MPTCP:
		return graceclose_mptcp_token(fd) == 0 ?
		    GRACECLOSE_STATE_DEAD : GRACECLOSE_STATE_ENDED;
	case GRACECLOSE_KIND_FALLBACK:
		return end_of_fallback(fd, seen);
	}
	return end_of_local(fd);
}

int
graceclose_tcp_state(int fd, short revents)
{
	int input, kind;
	bool finished;

	/* AF_UNIX looks like a datagram socket to poll, when it is quiet. */
	if (revents == (POLLOUT | POLLWRBAND) &&
	    graceclose_sockopt(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM)
		return GRACECLOSE_STATE_OPEN;
	if ((kind = graceclose_tcp_kind(fd, &input)) == -1)
		return -1;
	kind = graceclose_tcp_kind_proper(fd, kind);
	finished = input == GRACECLOSE_INPUT_ENDED;
	if (kind == GRACECLOSE_KIND_LOCAL) {
		if ((revents & POLLERR) != 0 && (revents & POLLHUP) != 0)
			return GRACECLOSE_STATE_DEAD;
		finished = (revents & POLLRDHUP) != 0;
	} else if (graceclose_tcp_gone(fd, kind)) {
		return graceclose_tcp_state_of_gone(fd, kind,
		    (revents & POLLERR) != 0, true);
	} else if (!finished && (revents & POLLRDHUP) != 0) {
		finished = finished_by_state(fd, kind, true);
	}
	return finished ? GRACECLOSE_STATE_FINISHED : GRACECLOSE_STATE_OPEN;
}
