/*
 * linux_input.c - the input, to throw away or to hand over; and the layer above
 * TCP that may be kTLS
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "kernel/kernel.h"
#include "kernel/linux.h"

/* Of <linux/tls.h>, which libcs do not have. */
#define SOL_TLS			282
#define TLS_TX			1
#define TLS_SET_RECORD_TYPE	1
#define TLS_GET_RECORD_TYPE	2
#define TLS_RECORD_TYPE_DATA	23	/* RFC 8446 5.1: application_data */

#define SINK	8192

union control {
	struct cmsghdr	align;
	char		room[CMSG_SPACE(sizeof(unsigned char)) + 64];
};

/* Whether the record that came is data; without a word of it, all is. */
static bool
is_data(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);

	return c == NULL || c->cmsg_level != SOL_TLS ||
	    c->cmsg_type != TLS_GET_RECORD_TYPE ||
	    *CMSG_DATA(c) == TLS_RECORD_TYPE_DATA;
}

/* Without room for a control message kTLS keeps an alert back, for ever. */
ssize_t
graceclose_tcp_receive(int fd, int kind, void *buf, size_t size, bool *data)
{
	struct iovec iov = { buf, size };
	union control control;
	struct msghdr msg;
	ssize_t n;

	*data = true;
	if (kind != GRACECLOSE_KIND_LAYERED)
		return recv(fd, buf, size, MSG_DONTWAIT);
	memset(&msg, 0, sizeof(msg));
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control);
	if ((n = recvmsg(fd, &msg, MSG_DONTWAIT)) > 0)
		*data = is_data(&msg);
	return n;
}

/*
 * MSG_TRUNC does not copy the bytes (tcp(7)).  AF_UNIX does not know it, kTLS
 * destroys the stream by it, and a sockmap with a stream verdict fails.
 */
ssize_t
graceclose_tcp_discard(int fd, int kind, size_t max)
{
	char sink[SINK];
	ssize_t n;
	bool data;

	if (kind != GRACECLOSE_KIND_LOCAL && kind != GRACECLOSE_KIND_LAYERED) {
		n = recv(fd, NULL, max, MSG_TRUNC | MSG_DONTWAIT);
		if (n != -1 || errno != EFAULT)
			return n;
	}
	return graceclose_tcp_receive(fd, kind, sink,
	    max < sizeof(sink) ? max : sizeof(sink), &data);
}

/* AF_UNIX has no error queue, and takes this for a recv that eats a reset. */
void
graceclose_tcp_skip_notice(int fd, int kind)
{
	if (kind != GRACECLOSE_KIND_LOCAL)
		(void)recv(fd, NULL, 0, MSG_ERRQUEUE | MSG_DONTWAIT);
}

/* kTLS may decrypt alone: then EBUSY, as it has no key to encrypt with. */
bool
graceclose_tcp_withholds(int fd, int kind)
{
	uint16_t version_and_cipher[2];
	socklen_t len = sizeof(version_and_cipher);

	return kind == GRACECLOSE_KIND_LAYERED &&
	    (getsockopt(fd, SOL_TLS, TLS_TX, version_and_cipher, &len) != -1 ||
	    errno != EBUSY);
}

/*
 * A record of a given type makes kTLS send the one that is open; this one has
 * no byte, and is not sent (tls_process_cmsg() in net/tls/tls_main.c).
 */
int
graceclose_tcp_push(int fd)
{
	union control control;
	struct msghdr msg;
	struct cmsghdr *c;

	memset(&msg, 0, sizeof(msg));
	memset(&control, 0, sizeof(control));
	msg.msg_control = &control;
	msg.msg_controllen = CMSG_SPACE(sizeof(unsigned char));
	c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_SET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(sizeof(unsigned char));
	*CMSG_DATA(c) = TLS_RECORD_TYPE_DATA;
	if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) != -1)
		return 1;
	if (errno == EPIPE)
		return -1;
	return errno != EAGAIN && errno != EINTR && errno != ENOBUFS &&
	    errno != ENOMEM;
}
