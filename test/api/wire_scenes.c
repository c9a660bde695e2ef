/*
 * wire_scenes.c - what a connection went through, and what its peer does
 */
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <poll.h>
#include <unistd.h>

#include "api/wire_scenes.h"
#include "api/wire_view.h"
#include "support/sniff.h"

#define REPLY		20000	/* fits in every window */
#define UPLOAD		65536
#define UPLOADS		5

/*
 * What it has been through
 */

void
w_reply(struct t_pair *p)
{
	t_write(p->us, REPLY);
}

void
w_left_linger_0(struct t_pair *p)
{
	t_linger(p->us, 0);
	w_reply(p);
}

void
w_left_linger_5(struct t_pair *p)
{
	t_linger(p->us, 5);
	w_reply(p);
}

void
w_unread(struct t_pair *p)
{
	t_write(p->peer, 1000);
	t_wait_inq(p->us, 1000);
}

void
w_unread_left_linger_0(struct t_pair *p)
{
	t_linger(p->us, 0);
	w_unread(p);
}

void
w_peer_closed_first(struct t_pair *p)
{
	t_close(p->peer);
	p->peer = -1;
	t_wait_poll(p->us, POLLRDHUP);
}

void
w_peer_closed_left_linger_0(struct t_pair *p)
{
	t_linger(p->us, 0);
	w_peer_closed_first(p);
}

void
w_unread_peer_closed(struct t_pair *p)
{
	w_unread(p);
	w_peer_closed_first(p);
}

void
w_peer_fin(struct t_pair *p)
{
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
}

void
w_peer_reset(struct t_pair *p)
{
	t_reset(p->peer);
	p->peer = -1;
	t_wait_reset(p->us);
}

/* No segment reaches the peer any more. */
void
w_cut_off(struct t_pair *p)
{
	t_drop(p->peer, T_DROP_ALL);
	t_write(p->us, 1000);
}

void
w_cut_off_left_linger_5(struct t_pair *p)
{
	t_linger(p->us, 5);
	w_cut_off(p);
}

void
w_cut_off_peer_fin(struct t_pair *p)
{
	w_peer_fin(p);
	w_cut_off(p);
}

void
w_fin_lost(struct t_pair *p)
{
	t_drop(p->peer, T_DROP_FIN);
}

void
w_peer_fin_lost(struct t_pair *p)
{
	t_drop(p->us, T_DROP_FIN);
	t_fin(p->peer);
	t_heal(p->us);
}

/* The peer's window is zero, and more is queued. */
void
w_full(struct t_pair *p)
{
	const int size = 65536;

	ck_assert_int_eq(setsockopt(p->us, SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size)), 0);
	t_fill(p->us);
}

void
w_full_left_linger_5(struct t_pair *p)
{
	t_linger(p->us, 5);
	w_full(p);
}

/*
 * What the peer does during the close, in a thread; it closes its descriptor
 */

void
w_reads(int fd)
{
	t_read_all(fd);
	close(fd);
}

void
w_uploads(int fd)
{
	static const char data[UPLOAD];
	int i;

	for (i = 0; i < UPLOADS; i++)
		(void)send(fd, data, sizeof(data), MSG_NOSIGNAL);
	w_reads(fd);
}

/*
 * Waits until a FIN was sent to this descriptor, and was delivered or dropped.
 * The test is in the library meanwhile, so that only this thread reads the
 * capture.
 */
static void
await_fin(int fd)
{
	const in_port_t port = wire_port(fd);
	const struct segment *s;
	int64_t end;
	size_t i, n;

	for (end = t_now_ms() + T_LIMIT_MS; t_now_ms() < end; t_pause(1)) {
		s = sniff_settled(&n);
		for (i = 0; i < n; i++)
			if (s[i].to.port == port &&
			    (s[i].flags & SEGMENT_FIN) != 0)
				return;
	}
}

void
w_hears_again(int fd)
{
	await_fin(fd);
	t_heal(fd);
	w_reads(fd);
}

void
w_resets_after_eof(int fd)
{
	t_read_all(fd);
	t_reset(fd);
}

void
w_resets_later(int fd)
{
	await_fin(fd);
	t_reset(fd);
}

void
w_closes_without_reading(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLRDHUP };

	(void)poll(&pfd, 1, T_LIMIT_MS);
	close(fd);
}
