/*
 * wire.c - see wire.h
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <linux/filter.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#define SHORT		100	/* bytes: a segment without data */
#define IP_HEADER	20	/* without options */
#define FLAGS		(IP_HEADER + 13)
#define FIN		1

int
wire_open(uint16_t port)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 2),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SHORT, 3, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, IP_HEADER + 2),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SHORT),
		BPF_STMT(BPF_RET | BPF_K, 0)
	};
	const struct sock_fprog filter = {
		sizeof(code) / sizeof(code[0]), code
	};
	const int on = 1;
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC,
	    htons(ETH_P_IP));

	if (fd != -1 && (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter,
	    sizeof(filter)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) ==
	    -1)) {
		close(fd);
		return -1;
	}
	return fd;
}

static double
time_of(struct msghdr *m)
{
	struct cmsghdr *c;
	struct timespec ts;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_SOCKET &&
		    c->cmsg_type == SO_TIMESTAMPNS) {
			memcpy(&ts, CMSG_DATA(c), sizeof(ts));
			return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
		}
	return 0;
}

/* The first FIN counts, and the last acknowledgement before it. */
void
wire_read(int fd, double *ack, double *fin)
{
	unsigned char packet[SHORT], control[256];
	struct iovec iov = { packet, sizeof(packet) };

	*ack = *fin = 0;
	if (fd == -1)
		return;
	for (;;) {
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
		    .msg_control = control,
		    .msg_controllen = sizeof(control) };

		if (recvmsg(fd, &m, MSG_DONTWAIT) <= FLAGS)
			break;
		if ((packet[FLAGS] & FIN) == 0 && *fin == 0)
			*ack = time_of(&m);
		else if (*fin == 0)
			*fin = time_of(&m);
	}
	close(fd);
}
