/*
 * ktls.c - connections whose TLS records the kernel makes and reads
 */
#include <sys/socket.h>
#include <sys/uio.h>

#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "api/ktls/ktls.h"

#ifndef SOL_TLS
#define SOL_TLS		282
#endif
#ifndef TCP_ULP
#define TCP_ULP		31
#endif

#define HEAD	13		/* type, version, length, explicit nonce */
#define TAG	16

static const char payload[65536];

const char *
ktls_missing(void)
{
	struct t_pair p;
	int e;

	if (T_PORTABLE)
		return "plain POSIX does not know kTLS";
	t_pair(&p, T_IPV4);
	e = setsockopt(p.us, IPPROTO_TCP, TCP_ULP, "tls", 4) == -1 ? errno : 0;
	t_close_pair(&p);
	return e == 0 ? NULL : "this kernel has no TCP_ULP \"tls\"";
}

/* Each side's records have a key of their own. */
static void
set_key(int fd, int direction, int from)
{
	struct tls12_crypto_info_aes_gcm_128 k;

	memset(&k, from, sizeof(k));
	k.info.version = TLS_1_2_VERSION;
	k.info.cipher_type = TLS_CIPHER_AES_GCM_128;
	memset(k.rec_seq, 0, sizeof(k.rec_seq));
	ck_assert_msg(setsockopt(fd, SOL_TLS, direction, &k, sizeof(k)) == 0,
	    "SOL_TLS: %s", strerror(errno));
}

void
ktls_on(int fd, int directions, int ours)
{
	if (directions == 0)
		return;
	ck_assert_msg(setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4) == 0,
	    "TCP_ULP: %s", strerror(errno));
	if (directions & KTLS_TX)
		set_key(fd, TLS_TX, ours ? 'a' : 'b');
	if (directions & KTLS_RX)
		set_key(fd, TLS_RX, ours ? 'b' : 'a');
}

void
ktls_pair(struct t_pair *p, int directions)
{
	t_pair(p, T_IPV4);
	ktls_on(p->us, directions, 1);
	ktls_on(p->peer, ((directions & KTLS_TX) != 0 ? KTLS_RX : 0) |
	    ((directions & KTLS_RX) != 0 ? KTLS_TX : 0), 0);
}

static size_t
fill(int fd, size_t piece, int flags)
{
	size_t n = 0;
	ssize_t sent;

	while ((sent = send(fd, payload, piece, flags | MSG_NOSIGNAL)) > 0)
		n += (size_t)sent;
	ck_assert_int_eq(sent, -1);
	t_errno_is(EAGAIN);
	return n;
}

/*
 * Linux doubles SO_SNDBUF.  A record takes 18000 to 25000 bytes of it in small
 * segments, so that the second one is begun, and does not fit.
 */
size_t
ktls_fill(int fd)
{
	t_sndbuf(fd, 15000);
	t_nonblock(fd);
	return fill(fd, KTLS_RECORD, 0);
}

size_t
ktls_fill_open(int fd)
{
	t_sndbuf(fd, 20000);
	t_nonblock(fd);
	return fill(fd, 1000, MSG_MORE);
}

static void
set_type(struct msghdr *m, void *buf, size_t size, int type)
{
	struct cmsghdr *c;

	m->msg_control = buf;
	m->msg_controllen = (socklen_t)size;	/* musl has no more */
	c = CMSG_FIRSTHDR(m);
	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_SET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(c) = (unsigned char)type;
}

/* Without MSG_DONTWAIT the kernel takes all of it, or fails. */
void
ktls_send(int fd, int type, size_t n, int with, int flags)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(1)];
	char data[KTLS_RECORD];
	struct iovec iov = { data, n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	ck_assert_uint_le(n, sizeof(data));
	memset(data, with, sizeof(data));
	memset(control, 0, sizeof(control));
	if (type != KTLS_DATA)
		set_type(&m, control, sizeof(control), type);
	sent = sendmsg(fd, &m, flags | MSG_NOSIGNAL);
	ck_assert_msg(sent == (ssize_t)n, "sendmsg: %zd: %s", sent,
	    strerror(errno));
}

int
ktls_flush(int fd, int type)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(1)];
	struct msghdr m = { .msg_iov = NULL };

	memset(control, 0, sizeof(control));
	set_type(&m, control, sizeof(control), type);
	return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == 0 ? 0 : errno;
}

void
ktls_corrupt(int fd, size_t n)
{
	unsigned char head[HEAD] = { KTLS_DATA, 3, 3 };
	size_t len = n + KTLS_OVERHEAD - 5;

	head[3] = (unsigned char)(len >> 8);
	head[4] = (unsigned char)len;
	ck_assert_int_eq(send(fd, head, sizeof(head), MSG_NOSIGNAL), HEAD);
	t_write(fd, n + TAG);
}

void
ktls_plain_text(int fd)
{
	static const char text[] = "GET / HTTP/1.0\r\n\r\n";

	ck_assert_int_eq(send(fd, text, sizeof(text), MSG_NOSIGNAL),
	    sizeof(text));
}

ssize_t
ktls_receive(int fd, void *buf, size_t size, int *type)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(1)];
	struct iovec iov = { buf, size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control, .msg_controllen = sizeof(control) };
	const struct cmsghdr *c;
	ssize_t got = recvmsg(fd, &m, MSG_DONTWAIT);

	*type = 0;
	if (got > 0 && (c = CMSG_FIRSTHDR(&m)) != NULL &&
	    c->cmsg_level == SOL_TLS)
		*type = *CMSG_DATA(c);
	return got;
}

/* So many bytes, or fewer at EOF or an error. */
static size_t
read_bytes(int fd, unsigned char *buf, size_t n, int *error)
{
	int64_t end = t_now_ms() + T_LIMIT_MS;
	size_t have = 0;
	ssize_t got;

	while (have < n && *error == 0) {
		got = recv(fd, buf + have, n - have, MSG_DONTWAIT);
		if (got == 0)
			break;
		if (got > 0)
			have += (size_t)got;
		else if (errno != EAGAIN)
			*error = errno;
		else if (!t_ready(fd, POLLIN, end))
			*error = ETIMEDOUT;
	}
	return have;
}

/* Called by a thread: asserts nothing. */
struct ktls_wire
ktls_wire(int fd)
{
	unsigned char buf[5 + KTLS_RECORD + 256];
	struct ktls_wire w;
	size_t len;

	memset(&w, 0, sizeof(w));
	while ((w.torn = read_bytes(fd, buf, 5, &w.error)) == 5) {
		len = (size_t)buf[3] << 8 | buf[4];
		if (len < KTLS_OVERHEAD - 5 || len > sizeof(buf) - 5)
			break;
		w.torn += read_bytes(fd, buf + 5, len, &w.error);
		if (w.torn < 5 + len)
			break;
		len -= KTLS_OVERHEAD - 5;
		w.records++;
		w.empty += len == 0;
		w.odd += buf[0] != KTLS_DATA;
		w.payload += len;
	}
	return w;
}

static void *
peer_thread(void *arg)
{
	struct ktls_peer *p = arg;

	t_pause(p->after_ms);
	if (p->parses) {
		p->wire = ktls_wire(p->fd);
		p->got = (struct t_got){ p->wire.payload, p->wire.error };
	} else {
		p->got = t_read_all(p->fd);
	}
	close(p->fd);
	return NULL;
}

void
ktls_peer(struct ktls_peer *p, int fd, int after_ms, int parses)
{
	*p = (struct ktls_peer){ .fd = fd, .after_ms = after_ms,
	    .parses = parses };
	t_thread(&p->thread, peer_thread, p);
}

struct t_got
ktls_peer_join(struct ktls_peer *p)
{
	t_join(p->thread);
	return p->got;
}

#define WAY(form_, until_, expiry_, flags_)	{			\
	.form = (form_), .cancel_ms = -1, .opts = {			\
		.until = (until_), .on_expiry = (expiry_),		\
		.timeout_ms = 10000, .flags = (flags_)			\
	}								\
}

const struct closing_way ktls_ways[KTLS_WAYS] = {
	WAY(F_GRACEFUL, GRACECLOSE_FINISHED, GRACECLOSE_DETACH, 0),
	WAY(F_POLL, GRACECLOSE_FINISHED, GRACECLOSE_RESET, 0),
	WAY(F_EPOLL, GRACECLOSE_FINISHED, GRACECLOSE_DETACH, 0),
	WAY(F_EPOLL, GRACECLOSE_FINISHED, GRACECLOSE_DETACH,
	    GRACECLOSE_EDGES),
	WAY(F_REAPER, GRACECLOSE_FINISHED, GRACECLOSE_DETACH, 0),
	WAY(F_LINGER, GRACECLOSE_DELIVERED, GRACECLOSE_RESET, 0),
	WAY(F_BLOCKING, GRACECLOSE_DELIVERED, GRACECLOSE_DETACH, 0)
};
