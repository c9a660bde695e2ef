/*
 * transfer.c - sends and receives without SIGPIPE and without endless waits
 */
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "support/clock.h"
#include "support/runner.h"
#include "support/transfer.h"
#include "support/wait.h"

static const char payload[65536];

void
t_write(int fd, size_t n)
{
	int64_t end;
	size_t chunk;
	ssize_t sent;

	end = t_now_ms() + T_LIMIT_MS;
	while (n > 0) {
		chunk = n < sizeof(payload) ? n : sizeof(payload);
		sent = send(fd, payload, chunk, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent == -1 && errno == EAGAIN)
			ck_assert_msg(t_ready(fd, POLLOUT, end),
			    "%zu bytes cannot be written", n);
		else
			ck_assert_msg(sent > 0, "send: %s", strerror(errno));
		if (sent > 0)
			n -= (size_t)sent;
	}
}

int
t_try_write(int fd)
{
	if (send(fd, payload, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == -1)
		return errno;
	return 0;
}

/*
 * The peer's kernel may take some more after the first EAGAIN: full is what
 * stays full for longer than an acknowledgement is delayed, 40 ms.
 */
size_t
t_fill(int fd)
{
	ssize_t sent;
	size_t n;

	n = 0;
	do {
		while ((sent = send(fd, payload, sizeof(payload),
		    MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
			n += (size_t)sent;
		ck_assert_int_eq(errno, EAGAIN);
	} while (t_ready(fd, POLLOUT, t_now_ms() + 60));
	return n;
}

size_t
t_fill_settled(const struct t_pair *p)
{
	size_t n = t_fill(p->us);

	t_wait_outq(p->us, (int)n - t_inq(p->peer));
	return n;
}

/* Called by threads too: asserts nothing. */
struct t_got
t_read_all(int fd)
{
	static __thread char buf[65536];
	struct t_got got;
	int64_t end;
	ssize_t n;

	memset(&got, 0, sizeof(got));
	end = t_now_ms() + T_LIMIT_MS;
	for (;;) {
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0)
			return got;
		if (n > 0)
			got.bytes += (size_t)n;
		else if (errno != EAGAIN) {
			got.error = errno;
			return got;
		} else if (!t_ready(fd, POLLIN, end)) {
			got.error = ETIMEDOUT;
			return got;
		}
	}
}

void
t_read(int fd, size_t n)
{
	char buf[4096];
	ssize_t got;

	while (n > 0) {
		t_wait_readable(fd);
		got = recv(fd, buf, n < sizeof(buf) ? n : sizeof(buf), 0);
		ck_assert_msg(got > 0, "recv: %s",
		    got == 0 ? "EOF" : strerror(errno));
		n -= (size_t)got;
	}
}

void
t_fin(int fd)
{
	shutdown(fd, SHUT_WR);
}

ssize_t
t_peek(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
}

int
t_pending_error(int fd)
{
	int error;
	socklen_t len;

	len = sizeof(error);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len),
	    0);
	return error;
}

int
t_peername(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len;

	len = sizeof(ss);
	return getpeername(fd, (struct sockaddr *)&ss, &len) == -1 ? errno : 0;
}

size_t
t_take_if_local(int fd, size_t n)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	if (ss.ss_family != AF_UNIX)
		return n;
	t_read(fd, n);
	return 0;
}
