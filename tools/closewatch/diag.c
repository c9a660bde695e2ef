/* diag.c - see diag.h */
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include <string.h>

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
	memset(answer, 0, sizeof(*answer));
	return send(diag, request, sizeof(*request), 0) != -1 &&
	    recv(diag, answer, sizeof(*answer), 0) >=
	    (ssize_t)NLMSG_LENGTH(sizeof(answer->body.error));
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
