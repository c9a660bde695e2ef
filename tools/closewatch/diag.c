/* diag.c - see diag.h */
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "closewatch/diag.h"

int
diag_open(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
	    NETLINK_SOCK_DIAG);
}

/* The kernel counts a FIN as one byte sent until it is acknowledged... */
long
diag_without_fin(int state, long queued)
{
	if (queued > 0 && (state == TCP_FIN_WAIT1 || state == TCP_CLOSING ||
	    state == TCP_LAST_ACK))
		queued--;
	return queued;
}

/* ...and, for sock_diag(7), the peer's FIN as one byte received. */
static long
without_peers_fin(int state, long queued)
{
	if (queued > 0 && (state == TCP_CLOSE_WAIT || state == TCP_CLOSING ||
	    state == TCP_LAST_ACK))
		queued--;
	return queued;
}

struct diag_request {
	struct nlmsghdr		header;
	struct inet_diag_req_v2	body;
};

struct diag_answer {
	struct nlmsghdr	header;
	union {
		struct inet_diag_msg	found;
		struct nlmsgerr		error;
	}		body;
	char		attributes[256];
};

static bool
ask_kernel(int diag, const struct diag_request *request,
    struct diag_answer *answer)
{
	ssize_t n;

	memset(answer, 0, sizeof(*answer));
	if (send(diag, request, sizeof(*request), 0) == -1)
		return false;
	do	/* or the next question would have this answer */
		n = recv(diag, answer, sizeof(*answer), 0);
	while (n == -1 && errno == EINTR);
	return n >= (ssize_t)NLMSG_LENGTH(sizeof(answer->body.error));
}

/*
 * TCP_INFO takes a descriptor.  For a connection that only the kernel still has
 * sock_diag(7) gives the state and the two queues.
 */
bool
diag_look(int diag, in_port_t local, in_port_t remote, struct diag_look *look)
{
	struct diag_request request = {
		.header.nlmsg_len = sizeof(request),
		.header.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.header.nlmsg_flags = NLM_F_REQUEST,
		.body.sdiag_family = AF_INET,
		.body.sdiag_protocol = IPPROTO_TCP,
		.body.idiag_states = ~0u,
		.body.id.idiag_sport = local,
		.body.id.idiag_dport = remote,
		.body.id.idiag_src[0] = htonl(INADDR_LOOPBACK),
		.body.id.idiag_dst[0] = htonl(INADDR_LOOPBACK),
		.body.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE,
		.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE,
	};
	struct diag_answer answer;
	const struct inet_diag_msg *found = &answer.body.found;

	*look = (struct diag_look){ .state = DIAG_GONE };
	if (!ask_kernel(diag, &request, &answer))
		return false;
	if (answer.header.nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return true;			/* ENOENT */
	look->state = found->idiag_state;
	look->unacked = diag_without_fin(look->state,
	    (long)found->idiag_wqueue);
	look->unread = without_peers_fin(look->state,
	    (long)found->idiag_rqueue);
	return true;
}

static size_t
address_size(int family)
{
	return family == AF_INET ? 4 : 16;
}

bool
diag_socket(int diag, const struct endpoint *local,
    const struct endpoint *remote, struct diag_socket *found)
{
	struct diag_request request = {
		.header.nlmsg_len = sizeof(request),
		.header.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.header.nlmsg_flags = NLM_F_REQUEST,
		.body.sdiag_family = (uint8_t)local->family,
		.body.sdiag_protocol = IPPROTO_TCP,
		.body.idiag_states = ~0u,
		.body.id.idiag_sport = htons(local->port),
		.body.id.idiag_dport = htons(remote->port),
		.body.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE,
		.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE,
	};
	size_t size = address_size(local->family);
	struct diag_answer answer;

	memcpy(request.body.id.idiag_src, local->addr, size);
	memcpy(request.body.id.idiag_dst, remote->addr, size);
	if (!ask_kernel(diag, &request, &answer) ||
	    answer.header.nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return false;
	found->state = answer.body.found.idiag_state;
	found->inode = answer.body.found.idiag_inode;
	return true;
}

/* Linux gives this attribute of each IPv6 socket that listens. */
static bool
takes_both(const struct nlmsghdr *h)
{
	const char *data = (const char *)h;
	size_t at = NLMSG_LENGTH(sizeof(struct inet_diag_msg));
	struct rtattr a;

	while (at + sizeof(a) < h->nlmsg_len) {
		memcpy(&a, data + at, sizeof(a));
		if (a.rta_type == INET_DIAG_SKV6ONLY)
			return data[at + RTA_LENGTH(0)] == 0;
		if (a.rta_len < sizeof(a))
			break;
		at += RTA_ALIGN(a.rta_len);
	}
	return true;
}

static void
tell_listener(const struct nlmsghdr *h, diag_listener *tell, void *arg)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	const unsigned char *addr = (const void *)m->id.idiag_src;
	struct endpoint local = { .family = m->idiag_family,
	    .port = ntohs(m->id.idiag_sport) };

	if (local.family == AF_INET6 &&
	    memcmp(addr, mapped, sizeof(mapped)) == 0) {
		local.family = AF_INET;
		addr += sizeof(mapped);
	}
	memcpy(local.addr, addr, address_size(local.family));
	tell(arg, &local, local.family == AF_INET6 && takes_both(h),
	    m->idiag_inode);
}

/* 1: more follows; 0: that was the last; -1 and errno. */
static int
read_listeners(int diag, diag_listener *tell, void *arg)
{
	union {
		struct nlmsghdr	header;
		char		room[32768];
	} buf;
	const struct nlmsghdr *h = &buf.header;
	ssize_t n = recv(diag, &buf, sizeof(buf), 0);
	unsigned left = (unsigned)n;

	if (n == -1)
		return errno == EINTR ? 1 : -1;
	for (; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR) {
			errno = -((const struct nlmsgerr *)
			    NLMSG_DATA(h))->error;
			return -1;
		}
		tell_listener(h, tell, arg);
	}
	return n > 0;
}

/* With a socket of its own, that no answer to another question is left. */
int
diag_listeners(int family, diag_listener *tell, void *arg)
{
	struct diag_request request = {
		.header.nlmsg_len = sizeof(request),
		.header.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		.body.sdiag_family = (uint8_t)family,
		.body.sdiag_protocol = IPPROTO_TCP,
		.body.idiag_states = 1u << TCP_LISTEN,
	};
	int diag = diag_open(), rv = 1, error;

	if (diag == -1)
		return -1;
	if (send(diag, &request, sizeof(request), 0) == -1)
		rv = -1;
	while (rv == 1)
		rv = read_listeners(diag, tell, arg);
	error = errno;
	close(diag);
	errno = error;
	return rv;
}

const char *
diag_state_name(int state)
{
	static const char *const names[] = {
		[DIAG_GONE] = "gone",
		[TCP_ESTABLISHED] = "ESTABLISHED",
		[TCP_SYN_SENT] = "SYN_SENT",
		[TCP_SYN_RECV] = "SYN_RECV",
		[TCP_FIN_WAIT1] = "FIN_WAIT1",
		[TCP_FIN_WAIT2] = "FIN_WAIT2",
		[TCP_TIME_WAIT] = "TIME_WAIT",
		[TCP_CLOSE] = "CLOSE",
		[TCP_CLOSE_WAIT] = "CLOSE_WAIT",
		[TCP_LAST_ACK] = "LAST_ACK",
		[TCP_LISTEN] = "LISTEN",
		[TCP_CLOSING] = "CLOSING",
	};

	if (state < 0 || (size_t)state >= sizeof(names) / sizeof(names[0]))
		return "unknown";
	return names[state];
}
