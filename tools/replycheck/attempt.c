/* attempt.c - see attempt.h */
#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <string.h>
#include <time.h>

#include "replycheck/attempt.h"

#define BLOCK	65536

/* Microseconds. */
static int64_t
now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

static void
over(struct attempt *a, enum attempt_end end)
{
	const struct linger none = { .l_onoff = 1 };

	/* Else the kernel goes on for minutes to send what nobody takes. */
	if (end == ATTEMPT_TIMEOUT)
		(void)setsockopt(a->wire.fd, SOL_SOCKET, SO_LINGER, &none,
		    sizeof(none));
	a->end = end;
	a->sending = false;
	wire_end(&a->wire);
}

bool
attempt_over(const struct attempt *a)
{
	return a->wire.fd == -1;
}

void
attempt_begin(struct attempt *a, const struct request *r,
    const struct sockaddr *addr, socklen_t len)
{
	int fd;

	memset(a, 0, sizeof(*a));
	reply_begin(&a->reply, r->http);
	a->until_us = now_us() + r->timeout_ms * INT64_C(1000);
	a->sending = true;
	fd = socket(addr->sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	wire_begin(&a->wire, fd);
	if (fd != -1 && (connect(fd, addr, len) == 0 || errno == EINPROGRESS))
		return;
	a->error = errno;
	over(a, ATTEMPT_UNCONNECTED);
}

uint64_t
request_size(const struct request *r)
{
	return r->head_size + r->body_size;
}

/* The reply is read while the request is sent, or behind it. */
static bool
reads(const struct attempt *a, const struct request *r)
{
	return a->stage == ATTEMPT_ASKS && (r->reads_while || !a->sending);
}

int
attempt_wants(const struct attempt *a, const struct request *r,
    struct pollfd *p)
{
	int64_t now = now_us(), at = a->until_us;
	bool rests = a->sending && a->due_us > now;

	p->fd = a->wire.fd;
	p->events = 0;
	if (attempt_over(a))
		return 0;
	if (a->stage == ATTEMPT_SHAKES)
		p->events = a->wire.wants;
	else if (a->sending && !rests)
		p->events = POLLOUT;
	if (reads(a, r))
		p->events |= POLLIN;
	if (rests && a->due_us < at)
		at = a->due_us;
	return at <= now ? 0 : (int)((at - now + 999) / 1000);
}

/* The next bytes to send: the head, or up to the end of a block. */
static const char *
next_block(const struct attempt *a, const struct request *r, size_t *n)
{
	static const char zeros[BLOCK];
	uint64_t left = request_size(r) - a->sent;

	if (a->sent < r->head_size) {
		*n = r->head_size - (size_t)a->sent;
		return r->head + a->sent;
	}
	*n = BLOCK - (size_t)((a->sent - r->head_size) % BLOCK);
	if (left < *n)
		*n = (size_t)left;
	return zeros;
}

/* The port of IPv4 has the same place. */
static in_port_t
port_of(int fd)
{
	struct sockaddr_in6 addr;
	socklen_t len = sizeof(addr);

	memset(&addr, 0, sizeof(addr));
	(void)getsockname(fd, (struct sockaddr *)&addr, &len);
	return ntohs(addr.sin6_port);
}

/* The server has reset the connection already: it may have replied before. */
static bool
was_connected(int error)
{
	return error == ECONNRESET || error == EPIPE;
}

/* connect(2) has ended, or the handshake can go on. */
static void
get_ready(struct attempt *a, const struct request *r)
{
	socklen_t len = sizeof(a->error);

	if (a->stage == ATTEMPT_CONNECTS) {
		a->port = port_of(a->wire.fd);
		if (getsockopt(a->wire.fd, SOL_SOCKET, SO_ERROR, &a->error,
		    &len) == -1)
			a->error = errno;
		if (r->tls == NULL && was_connected(a->error)) {
			a->send_error = a->error;
			a->error = 0;
			a->sending = false;
		}
		if (a->error == 0)
			a->stage = ATTEMPT_SHAKES;
	}
	if (a->stage == ATTEMPT_SHAKES) {
		if (r->tls == NULL || wire_shake(&a->wire, r->tls) == 0)
			a->stage = ATTEMPT_ASKS;
		else if (errno != EAGAIN)
			a->error = errno;
	}
	if (a->error != 0)
		over(a, was_connected(a->error) ? ATTEMPT_RESET :
		    ATTEMPT_UNCONNECTED);
}

static void
send_some(struct attempt *a, const struct request *r)
{
	const char *block;
	ssize_t sent;
	size_t n;

	block = next_block(a, r, &n);
	if (a->sent + n == request_size(r))
		a->late = a->reply.bytes == 0 && !wire_readable(&a->wire);
	sent = wire_send(&a->wire, block, n);
	if (sent == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (sent == -1) {
		a->send_error = errno;
		a->sending = false;
		return;
	}
	a->sent += (uint64_t)sent;
	if ((size_t)sent == n)
		a->due_us = now_us() + r->slow_ms * INT64_C(1000);
	a->sending = a->sent < request_size(r);
}

/* The connection has ended, in order or not. */
static void
ended(struct attempt *a, bool in_order)
{
	if (reply_whole(&a->reply, in_order))
		over(a, ATTEMPT_WHOLE);
	else if (!in_order)
		over(a, ATTEMPT_RESET);
	else
		over(a, a->reply.bytes > 0 ? ATTEMPT_TRUNCATED : ATTEMPT_NONE);
}

/*
 * Whether recv(2) of 0 is the server's FIN.  It also returns 0 where send(2)
 * took the error of an RST; that is EPIPE if the FIN came first.
 */
static bool
in_order(const struct attempt *a)
{
	return a->send_error == 0 || a->send_error == EPIPE;
}

static void
recv_some(struct attempt *a)
{
	static char buf[BLOCK];
	ssize_t n = wire_recv(&a->wire, buf, sizeof(buf));

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1)
		a->error = errno;
	if (n <= 0) {
		ended(a, n == 0 && in_order(a));
		return;
	}
	reply_take(&a->reply, buf, (size_t)n);
	if (reply_whole(&a->reply, false))
		over(a, ATTEMPT_WHOLE);
}

/*
 * After a send that failed recv(2) finds what came before, then the error or
 * the end.
 */
void
attempt_step(struct attempt *a, const struct request *r, short revents)
{
	if (a->stage != ATTEMPT_ASKS && revents != 0)
		get_ready(a, r);
	if (!attempt_over(a) && a->stage == ATTEMPT_ASKS && a->sending &&
	    (revents & (POLLOUT | POLLERR | POLLHUP)) != 0)
		send_some(a, r);
	if (!attempt_over(a) && reads(a, r) && revents != 0)
		recv_some(a);
	if (attempt_over(a) || now_us() < a->until_us)
		return;
	a->error = ETIMEDOUT;
	over(a, a->stage == ATTEMPT_ASKS ? ATTEMPT_TIMEOUT :
	    ATTEMPT_UNCONNECTED);
}

bool
attempt_simple(const struct attempt *a)
{
	return a->end == ATTEMPT_WHOLE && a->send_error == 0;
}
