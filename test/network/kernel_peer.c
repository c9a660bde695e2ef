/*
 * kernel_peer.c - a peer that uses a socket of the kernel in its namespace
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "network/scripted_peer.h"
#include "network/kernel_peer.h"
#include "support/util.h"

#define CHUNK		8192
#define SLOW_MS		10		/* between chunks */
#define TURN_MS		5		/* how soon it sees that it must stop */

const char *const kernel_peer_reads[] = { "nothing", "slowly", "all" };
const char *const kernel_peer_ends[] = { "never ends", "half-closes", "closes",
    "resets" };

static bool
stopped(struct kernel_peer *t)
{
	return __atomic_load_n(&t->stop, __ATOMIC_ACQUIRE);
}

/* Waits for a moment only, so that it can stop; true where there is news. */
static bool
news(struct kernel_peer *t)
{
	struct pollfd p = { t->fd, 0, 0 };

	if (t->ways.reads != READS_NOTHING && !t->eof)
		p.events |= POLLIN;
	if (t->written < t->ways.writes)
		p.events |= POLLOUT;
	if (p.events == 0)
		p.fd = -1;
	return poll(&p, 1, TURN_MS) == 1;
}

static void
take(struct kernel_peer *t)
{
	unsigned char got[CHUNK], want[CHUNK];
	ssize_t n = recv(t->fd, got, sizeof(got), MSG_DONTWAIT);

	if (n > 0) {
		t_pattern(want, t->read, (size_t)n);
		t->intact &= memcmp(got, want, (size_t)n) == 0;
		t->read += (uint64_t)n;
	} else if (n == 0 || errno != EAGAIN) {
		t->eof = true;
		t->failed = n == -1;
	}
	if (t->ways.reads == READS_SLOWLY)
		t_pause(SLOW_MS);
}

static void
give(struct kernel_peer *t)
{
	static const char data[CHUNK];
	size_t left = (size_t)(t->ways.writes - t->written);
	ssize_t n = send(t->fd, data, left < CHUNK ? left : CHUNK,
	    MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0)
		t->written += (uint64_t)n;
	else if (errno != EAGAIN)
		t->ways.writes = (size_t)t->written;
}

static void
finish(struct kernel_peer *t)
{
	switch (t->ways.ends) {
	case HALF_CLOSES:
		t->ways.writes = (size_t)t->written;
		t_fin(t->fd);
		break;
	case CLOSES:
		(void)close(t->fd);
		t->fd = -1;
		break;
	case RESETS:
		t_reset(t->fd);
		t->fd = -1;
		break;
	}
	t->ways.ends = ENDS_NEVER;
}

static void *
live(void *arg)
{
	struct kernel_peer *t = arg;
	int64_t start = t_now_ms();

	while (!stopped(t) && t_now_ms() - start < t->ways.after_ms)
		t_pause(1);
	while (!stopped(t) && t->fd != -1) {
		if (news(t) && t->written < t->ways.writes)
			give(t);
		if (t->ways.reads != READS_NOTHING && !t->eof)
			take(t);
		if (t->ways.end_ms == -1 ? t->eof :
		    t_now_ms() - start >= t->ways.end_ms)
			finish(t);
	}
	return NULL;
}

void
kernel_peer_begin(struct kernel_peer *t, int fd,
    const struct kernel_peer_ways *ways)
{
	memset(t, 0, sizeof(*t));
	t->ways = *ways;
	t->fd = fd;
	t->intact = true;
	t_thread(&t->thread, live, t);
}

void
kernel_peer_stop(struct kernel_peer *t)
{
	__atomic_store_n(&t->stop, true, __ATOMIC_RELEASE);
	t_join(t->thread);
	if (t->fd == -1)
		return;
	t->ways.reads = READS_ALL;
	t->ways.writes = (size_t)t->written;
	while (!t->eof && news(t))
		take(t);
}

void
kernel_peer_end(struct kernel_peer *t)
{
	if (t->fd != -1)
		(void)close(t->fd);
	t->fd = -1;
}
