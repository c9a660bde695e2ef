/*
 * readers.c - threads that read at the peer, at once, later or slowly
 */
#include <sys/socket.h>

#include <errno.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/readers.h"
#include "support/threads.h"

static void *
read_all_thread(void *arg)
{
	struct t_reader *r = arg;

	t_pause(r->after_ms);
	r->got = t_read_all(r->fd);
	r->done_ms = t_now_ms();
	if (r->close)
		close(r->fd);
	return NULL;
}

void
t_reader(struct t_reader *r, int fd, int close_too)
{
	*r = (struct t_reader){ .fd = fd, .close = close_too };
	t_thread(&r->thread, read_all_thread, r);
}

void
t_reader_later(struct t_reader *r, int fd, int after_ms)
{
	*r = (struct t_reader){ .fd = fd, .after_ms = after_ms };
	t_thread(&r->thread, read_all_thread, r);
}

static void *
read_slowly(void *arg)
{
	struct t_reader *r = arg;
	char buf[8192];
	ssize_t n;

	while ((n = recv(r->fd, buf, sizeof(buf), 0)) > 0) {
		r->got.bytes += (size_t)n;
		t_pause(40);
	}
	r->got.error = n == 0 ? 0 : errno;
	shutdown(r->fd, SHUT_WR);
	return NULL;
}

void
t_reader_slow(struct t_reader *r, int fd)
{
	*r = (struct t_reader){ .fd = fd };
	t_thread(&r->thread, read_slowly, r);
}

struct t_got
t_reader_join(struct t_reader *r)
{
	t_join(r->thread);
	return r->got;
}

void *
t_flood(void *arg)
{
	static const char data[65536];
	int fd = *(int *)arg;

	while (send(fd, data, sizeof(data), MSG_NOSIGNAL) > 0)
		;
	return NULL;
}
