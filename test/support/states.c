/*
 * states.c - a connection in every state that a close may find
 */
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>

#include <graceclose.h>

#include "support/assertions.h"
#include "support/clock.h"
#include "support/rights.h"
#include "support/states.h"
#include "support/transfer.h"
#include "support/trouble.h"
#include "support/wait.h"

static void
peer_goes(struct t_pair *p, void (*how)(int))
{
	how(p->peer);
	p->peer = -1;
}

static void
unread(struct t_pair *p)
{
	t_write(p->peer, 100);
	t_wait_inq(p->us, 100);
}

static void
peer_fin(struct t_pair *p)
{
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
}

/* Where our own SHUT_RD hides the peer's FIN from poll: its ACK tells. */
static void
peer_fin_unseen(struct t_pair *p)
{
	t_fin(p->peer);
	t_wait_outq(p->peer, 0);
}

static void
peer_reset(struct t_pair *p)
{
	peer_goes(p, t_reset);
	t_wait_reset(p->us);
}

static void
own_shutdown(struct t_pair *p, int how)
{
	ck_assert_int_eq(shutdown(p->us, how), 0);
	if (how != SHUT_RD)
		t_wait_outq(p->us, 0);
}

static void
consume_error(struct t_pair *p)
{
	ck_assert_int_ne(t_pending_error(p->us), 0);
}

static void
s_open(struct t_pair *p)
{
	(void)p;
}

static void
s_spoke(struct t_pair *p)
{
	t_write(p->us, 100);
	t_read(p->peer, 100);
	t_write(p->peer, 100);
	t_read(p->us, 100);
}

/* A window too small for a segment gets a part of one, by a probe: 200 ms. */
static void
s_full(struct t_pair *p)
{
	t_sndbuf(p->us, 65536);
	do
		t_fill(p->us);
	while (t_ready(p->us, POLLOUT, t_now_ms() + 300) ||
	    t_try_write(p->us) == 0);
}

static void
s_peer_closed(struct t_pair *p)
{
	peer_goes(p, t_close);
	t_wait_poll(p->us, POLLRDHUP);
}

static void
s_unread_peer_fin(struct t_pair *p)
{
	unread(p);
	peer_fin(p);
}

static void
s_unread_peer_closed(struct t_pair *p)
{
	unread(p);
	s_peer_closed(p);
}

static void
s_urgent(struct t_pair *p)
{
	ck_assert_int_eq(send(p->peer, "!", 1, MSG_OOB), 1);
	t_wait_poll(p->us, POLLPRI);
}

static void
s_unread_reset(struct t_pair *p)
{
	unread(p);
	peer_reset(p);
}

static void
s_fin_reset(struct t_pair *p)
{
	peer_fin(p);
	peer_reset(p);
}

static void
s_unread_fin_reset(struct t_pair *p)
{
	s_unread_peer_fin(p);
	peer_reset(p);
}

static void
s_reset_recv(struct t_pair *p)
{
	char c;

	peer_reset(p);
	t_fails(recv(p->us, &c, 1, 0), ECONNRESET);
}

static void
s_reset_so_error(struct t_pair *p)
{
	peer_reset(p);
	consume_error(p);
}

static void
s_unread_reset_so_error(struct t_pair *p)
{
	s_unread_reset(p);
	consume_error(p);
}

/* Where nothing is left to be acknowledged, nothing is left to tell, either. */
static void
s_fin_unacked_reset_so_error(struct t_pair *p)
{
	peer_fin(p);
	t_drop(p->peer, T_DROP_ALL);
	t_write(p->us, 100);
	peer_reset(p);
	consume_error(p);
}

static void
s_shut_rd(struct t_pair *p)
{
	own_shutdown(p, SHUT_RD);
}

static void
s_shut_rd_unread(struct t_pair *p)
{
	unread(p);
	own_shutdown(p, SHUT_RD);
}

static void
s_shut_rd_fin(struct t_pair *p)
{
	own_shutdown(p, SHUT_RD);
	peer_fin_unseen(p);
}

static void
s_shut_rd_unread_fin(struct t_pair *p)
{
	s_shut_rd_unread(p);
	peer_fin_unseen(p);
}

static void
s_shut_rd_reset(struct t_pair *p)
{
	own_shutdown(p, SHUT_RD);
	peer_reset(p);
}

static void
s_shut_wr(struct t_pair *p)
{
	own_shutdown(p, SHUT_WR);
}

static void
s_shut_wr_unread(struct t_pair *p)
{
	own_shutdown(p, SHUT_WR);
	unread(p);
}

static void
s_shut_wr_fin(struct t_pair *p)
{
	own_shutdown(p, SHUT_WR);
	peer_fin(p);
}

static void
s_shut_wr_unread_fin(struct t_pair *p)
{
	s_shut_wr_unread(p);
	peer_fin(p);
}

static void
s_fin_shut_wr(struct t_pair *p)
{
	peer_fin(p);
	own_shutdown(p, SHUT_WR);
}

static void
s_shut_wr_reset(struct t_pair *p)
{
	own_shutdown(p, SHUT_WR);
	peer_reset(p);
}

static void
s_shut_wr_reset_so_error(struct t_pair *p)
{
	s_shut_wr_reset(p);
	consume_error(p);
}

static void
s_shut_rdwr(struct t_pair *p)
{
	own_shutdown(p, SHUT_RDWR);
}

static void
s_shut_rdwr_fin(struct t_pair *p)
{
	own_shutdown(p, SHUT_RDWR);
	peer_fin_unseen(p);
}

static void
s_shut_rdwr_reset(struct t_pair *p)
{
	own_shutdown(p, SHUT_RDWR);
	peer_reset(p);
}

static void
s_fin_wait1(struct t_pair *p)
{
	t_drop(p->peer, T_DROP_ALL);
	t_fin(p->us);
	t_wait_state(p->us, TCP_FIN_WAIT1);
}

static void
s_closing(struct t_pair *p)
{
	s_fin_wait1(p);
	t_fin(p->peer);
	t_wait_state(p->us, TCP_CLOSING);
}

static void
s_last_ack(struct t_pair *p)
{
	peer_fin(p);
	t_drop(p->peer, T_DROP_ALL);
	t_write(p->us, 100);
	t_fin(p->us);
	t_wait_state(p->us, TCP_LAST_ACK);
}

#define UNREAD	GRACECLOSE_UNREAD
#define FIN	GRACECLOSE_FIN
#define RST	GRACECLOSE_RST
#define ALL	(UNREAD | FIN | RST)

/* What plain POSIX takes for the peer's FIN, and what it takes it for. */
#define GONE	T_KNOWS(-1, 1), T_KNOWS(RST, FIN)
#define DEAF	T_KNOWS(0, 1), T_KNOWS(0, FIN)
#define BEHIND	T_KNOWS(1, 0), UNREAD | T_KNOWS(FIN, 0)

const struct t_state t_states[] = {
	{ "open", s_open, T_FAMILIES, 0, 0, ALL },
	{ "spoke", s_spoke, T_FAMILIES, 0, 0, ALL },
	{ "send buffer full", s_full, T_FAMILIES, 0, 0, ALL },
	{ "unread", unread, T_FAMILIES, 0, UNREAD, ALL },
	{ "urgent byte", s_urgent, T_PLAIN, 0, 0, FIN | RST },
	{ "FIN", peer_fin, T_FAMILIES, 1, FIN, ALL },
	{ "unread, FIN", s_unread_peer_fin, T_FAMILIES, BEHIND, ALL },
	{ "peer closed", s_peer_closed, T_FAMILIES, 1, FIN, ALL },
	{ "unread, peer closed", s_unread_peer_closed, T_FAMILIES, BEHIND,
	    ALL },
	{ "reset", peer_reset, T_TCP, -1, RST, ALL },
	{ "unread, reset", s_unread_reset, T_TCP, -1, RST, FIN | RST },
	{ "FIN, reset", s_fin_reset, T_TCP, -1, RST, RST },
	{ "unread, FIN, reset", s_unread_fin_reset, T_TCP, -1, RST, RST },
	{ "reset, recv", s_reset_recv, T_TCP, GONE, ALL },
	{ "reset, SO_ERROR", s_reset_so_error, T_TCP, GONE, ALL },
	{ "unread, reset, SO_ERROR", s_unread_reset_so_error, T_TCP, GONE,
	    T_KNOWS(RST, FIN) },
	{ "FIN, unacked, reset, SO_ERROR", s_fin_unacked_reset_so_error,
	    T_PLAIN, GONE, T_KNOWS(RST, FIN) },
	{ "SHUT_RD", s_shut_rd, T_TCP, DEAF, ALL },
	{ "unread, SHUT_RD", s_shut_rd_unread, T_TCP, 0, UNREAD, ALL },
	{ "SHUT_RD, FIN", s_shut_rd_fin, T_TCP, 1, FIN, ALL },
	{ "unread, SHUT_RD, FIN", s_shut_rd_unread_fin, T_TCP, BEHIND,
	    ALL },
	{ "SHUT_RD, reset", s_shut_rd_reset, T_TCP, -1, RST, ALL },
	{ "SHUT_WR", s_shut_wr, T_FAMILIES, 0, 0, ALL },
	{ "SHUT_WR, unread", s_shut_wr_unread, T_FAMILIES, 0, UNREAD, ALL },
	{ "SHUT_WR, FIN", s_shut_wr_fin, T_FAMILIES, 1, FIN, ALL },
	{ "SHUT_WR, unread, FIN", s_shut_wr_unread_fin,
	    T_KNOWS(T_FAMILIES, T_TCP), 1, UNREAD | FIN, ALL },
	{ "FIN, SHUT_WR", s_fin_shut_wr, T_FAMILIES, 1, FIN, ALL },
	{ "SHUT_WR, reset", s_shut_wr_reset, T_TCP, -1, RST, ALL },
	{ "SHUT_WR, reset, SO_ERROR", s_shut_wr_reset_so_error, T_TCP, GONE,
	    ALL },
	{ "SHUT_RDWR", s_shut_rdwr, T_TCP, DEAF, ALL },
	{ "SHUT_RDWR, FIN", s_shut_rdwr_fin, T_TCP, 1, FIN, ALL },
	{ "SHUT_RDWR, reset", s_shut_rdwr_reset, T_TCP, -1, RST, ALL },
	{ "FIN_WAIT1", s_fin_wait1, T_PLAIN, 0, 0, ALL },
	{ "CLOSING", s_closing, T_PLAIN, 1, FIN, ALL },
	{ "LAST_ACK", s_last_ack, T_PLAIN, 1, FIN, ALL }
};
const int t_nstates = sizeof(t_states) / sizeof(t_states[0]);

const char *
t_state_missing(const struct t_state *s)
{
	if (s->make == s_fin_unacked_reset_so_error ||
	    s->make == s_fin_wait1 || s->make == s_closing ||
	    s->make == s_last_ack)
		return t_no_filters();
	return NULL;
}

/*
 * A kernel that does not show the peer's FIN does not tell a reset from a
 * normal end once its error is taken and all is acknowledged (peer_closed(3)),
 * unless the connection was accepted, and our FIN had not left.
 */
static bool
looks_ended(const struct t_state *s, int i)
{
	bool fin_left = s->make == s_shut_wr_reset_so_error;

	if (T_PORTABLE || t_no_fin_look() == NULL || i / 2 >= T_PLAIN)
		return false;
	return fin_left || (i % 2 == 1 && (s->make == s_reset_recv ||
	    s->make == s_reset_so_error ||
	    s->make == s_unread_reset_so_error));
}

int
t_state_closed(const struct t_state *s, int i)
{
	return looks_ended(s, i) ? 1 : s->closed;
}

int
t_state_bits(const struct t_state *s, int i)
{
	return looks_ended(s, i) ? FIN : s->bits;
}

void
t_state_pair(struct t_pair *p, const struct t_state *s, int i)
{
	t_pair_any(p, i);
	s->make(p);
}
