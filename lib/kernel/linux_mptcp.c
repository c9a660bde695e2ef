/*
 * linux_mptcp.c - the state of an MPTCP connection
 *
 * Its TCP_INFO is that of a subflow, which stays ESTABLISHED while the
 * connection is half-closed, and poll shows our own SHUT_RD as it shows the
 * peer's DATA_FIN (RFC 8684 3.3.3).  sock_diag(7) tells the two apart; the
 * token of the connection finds it at once, and nobody needs a privilege for
 * it.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <linux/inet_diag.h>
#include <linux/mptcp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "kernel/linux.h"

#ifndef SOL_MPTCP
#define SOL_MPTCP	284
#endif

struct question {
	struct nlmsghdr		header;
	struct inet_diag_req_v2	req;
	struct rtattr		attr;
	uint32_t		protocol;	/* 262 is too much for req */
};

struct answer {
	struct nlmsghdr		header;
	struct inet_diag_msg	msg;
	char			attrs[1024];
};

int64_t
graceclose_mptcp_token(int fd)
{
	struct mptcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (getsockopt(fd, SOL_MPTCP, MPTCP_INFO, &info, &len) == -1)
		return -1;
	return info.mptcpi_token;
}

/*
 * Without MPTCP_INFO, which every other MPTCP connection has (Linux 5.16), and
 * with an option that MPTCP does not pass on to its first subflow.
 */
bool
graceclose_mptcp_fell_back(int fd)
{
	int now;
	socklen_t len = sizeof(now);

	return graceclose_mptcp_token(fd) == -1 &&
	    getsockopt(fd, IPPROTO_TCP, TCP_TIMESTAMP, &now, &len) == 0;
}

static void
ask(struct question *q, uint32_t token)
{
	memset(q, 0, sizeof(*q));
	q->header.nlmsg_len = sizeof(*q);
	q->header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	q->header.nlmsg_flags = NLM_F_REQUEST;
	q->req.sdiag_family = AF_INET;
	q->req.idiag_states = ~(uint32_t)0;
	q->req.id.idiag_cookie[0] = token;
	q->attr.rta_type = INET_DIAG_REQ_PROTOCOL;
	q->attr.rta_len = RTA_LENGTH(sizeof(q->protocol));
	q->protocol = IPPROTO_MPTCP;
}

/* A thread cancelled in here would leave the netlink socket open. */
static ssize_t
exchange(const struct question *q, struct answer *a)
{
	ssize_t n = -1;
	int cancel, nl;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (nl != -1) {
		if (send(nl, q, sizeof(*q), 0) != -1)
			n = recv(nl, a, sizeof(*a), MSG_DONTWAIT);
		(void)close(nl);
	}
	(void)pthread_setcancelstate(cancel, NULL);
	return n;
}

int
graceclose_mptcp_state(int fd)
{
	struct question q;
	struct answer a;
	int64_t token = graceclose_mptcp_token(fd);
	ssize_t n;

	if (token <= 0)
		return -1;
	ask(&q, (uint32_t)token);
	memset(&a, 0, sizeof(a));
	n = exchange(&q, &a);
	if (n < (ssize_t)(sizeof(a.header) + sizeof(a.msg)) ||
	    a.header.nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return -1;
	return a.msg.idiag_state;
}
