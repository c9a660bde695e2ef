/*
 * kernel_net.c - see kernel_net.h; the functions of Linux that it follows are
 * named where they are not obvious
 */
#include <errno.h>
#include <stdio.h>

#include "fuzz/kernel.h"
#include "fuzz/kernel_layer.h"
#include "fuzz/kernel_net.h"

#define BUFFER	((int64_t)6 << 20)	/* net.ipv4.tcp_rmem */

/* A change of state, of which epoll(7) tells, and which ends a wait. */
static void
wake(void)
{
	kernel.edge = true;
}

static void
set_error(int error, bool icmp)
{
	kernel.hushed |= kernel.torn && kernel.error == EPIPE;
	kernel.error = error;
	kernel.icmp = icmp;
}

/* tcp_done() and tcp_time_wait(): the end in order, or not. */
static void
done(int error)
{
	kernel.state = TCP_CLOSE;
	kernel.shut |= kernel.unmarked ? KERNEL_WR : KERNEL_RD | KERNEL_WR;
	if (error != 0)
		set_error(error, false);
	kernel.muddled |= kernel.icmp;
	wake();
}

static void
die(int error)
{
	if (kernel.state == TCP_CLOSE)
		return;
	kernel.was_opening = kernel.state == TCP_SYN_RECV;
	kernel.dead = true;
	kernel.death = error;
	done(error);
}

/*
 * A peer that has forgotten the connection answers our FIN so, as its FIN_WAIT2
 * has timed out, or its TIME_WAIT table is full.  What a tardy layer still holds,
 * or has lost without a word, nobody knows.
 */
static void
reset(void)
{
	if (kernel.state == TCP_CLOSE)
		return;
	kernel.answered = kernel.peer_fin && kernel.fin_left &&
	    kernel.acked == kernel.written &&
	    (kernel.tardy ? !kernel.torn : kernel.above + kernel.lost == 0);
	die(kernel.state == TCP_CLOSE_WAIT ? EPIPE : ECONNRESET);
}

void
kernel_send_fin(void)
{
	if (kernel.state == TCP_ESTABLISHED)
		kernel.state = TCP_FIN_WAIT1;
	else if (kernel.state == TCP_CLOSE_WAIT)
		kernel.state = TCP_LAST_ACK;
	else
		return;
	kernel.fin = true;
	kernel.fin_left = !kernel.narrow;
}

/* A FIN waits for the handshake: commit 94062790aedb. */
static void
established(void)
{
	if (kernel.state != TCP_SYN_RECV)
		return;
	kernel.state = TCP_ESTABLISHED;
	if (kernel.shut & KERNEL_WR)
		kernel_send_fin();
	wake();
}

static void
acknowledge_fin(void)
{
	if (!kernel.fin || kernel.fin_acked || kernel.state == TCP_CLOSE)
		return;
	kernel.fin_acked = kernel.fin_left = true;
	if (kernel.state == TCP_FIN_WAIT1) {
		kernel.state = TCP_FIN_WAIT2;
	} else {
		kernel.ended = true;
		done(0);
	}
	wake();
}

static void
acknowledge_bytes(int64_t n)
{
	if (kernel.state == TCP_CLOSE || kernel.state == TCP_SYN_RECV)
		return;
	if (kernel.acked < kernel.written && n >= kernel.written - kernel.acked)
		kernel_layer_drained();
	kernel.acked += n;
	if (kernel.acked > kernel.written)
		kernel.acked = kernel.written;
	if (kernel.acked == kernel.written && kernel.fin)
		kernel.fin_left = true;		/* the window is open again */
}

static void
acknowledge_all(void)
{
	established();
	acknowledge_bytes(INT64_MAX / 2);
	acknowledge_fin();
}

static void
input(int64_t n)
{
	if (kernel.state == TCP_CLOSE || kernel.peer_fin)
		return;
	if (n > BUFFER - kernel.unread)
		n = BUFFER - kernel.unread;
	if (kernel.layer == KERNEL_NO_LAYER)
		kernel.unread += n;
	else
		kernel_layer_input(n);
	wake();
}

static void
peer_fin(void)
{
	if (kernel.state == TCP_CLOSE || kernel.state == TCP_SYN_RECV ||
	    kernel.peer_fin)
		return;
	kernel.peer_fin = true;
	if (!kernel.unmarked)
		kernel.shut |= KERNEL_RD;
	switch (kernel.state) {
	case TCP_ESTABLISHED:
		kernel.state = TCP_CLOSE_WAIT;
		break;
	case TCP_FIN_WAIT1:
		kernel.state = TCP_CLOSING;
		break;
	case TCP_FIN_WAIT2:
		kernel.ended = true;
		done(0);
		break;
	}
	wake();
}

/*
 * Another holder's connect(AF_UNSPEC), or our own: tcp_disconnect();
 * mptcp_disconnect() leaves no error.
 */
void
kernel_disconnect(void)
{
	int state = kernel.state;

	if (state != TCP_CLOSE && state != TCP_LISTEN)
		kernel.dead = true;
	if (state != TCP_CLOSE && state != TCP_LISTEN &&
	    state != TCP_LAST_ACK && state != TCP_CLOSING &&
	    kernel.kind != KERNEL_FALLBACK)
		set_error(ECONNRESET, false);
	kernel.state = TCP_CLOSE;
	kernel.cut = true;
	kernel.shut = 0;
	kernel.unread = 0;
	wake();
}

/*
 * tcp_v4_err(): it says so once, and the connection goes on (check_icmp.c shows
 * it).
 */
static void
unreachable(void)
{
	static const int errors[] = { EHOSTUNREACH, ECONNREFUSED };
	int error = kernel_one_of(errors);

	if (!kernel.recverr || kernel.state == TCP_CLOSE ||
	    kernel.state == TCP_SYN_RECV)
		return;
	set_error(error, true);
	kernel.unreachable = error;
	wake();
}

static void
notice(void)
{
	if (kernel.kind == KERNEL_TCP)
		kernel.notices++;
	wake();
}

/*
 * Events
 */

/* The peer's program reads; unix_write_space() tells us. */
static void
read_by_peer(int64_t n)
{
	if (kernel.dead || kernel.acked == kernel.written)
		return;
	kernel.acked += n;
	if (kernel.acked > kernel.written)
		kernel.acked = kernel.written;
	wake();
}

/* unix_release_sock(): a reset where the peer leaves something unread. */
static void
closed_by_peer(void)
{
	if (kernel.peer_fin && kernel.shut == (KERNEL_RD | KERNEL_WR))
		return;
	kernel.peer_fin = true;
	if (!kernel.dead && kernel.acked < kernel.written) {
		kernel.dead = true;
		kernel.death = ECONNRESET;
		done(ECONNRESET);
	}
	kernel.shut = KERNEL_RD | KERNEL_WR;
	wake();
}

static void
happen_locally(unsigned event)
{
	switch (event) {
	case KERNEL_ACK_SOME:
		read_by_peer(kernel_draw_amount());
		break;
	case KERNEL_ACK_ALL:
	case KERNEL_ACK_DATA:
		read_by_peer(INT64_MAX / 2);
		break;
	case KERNEL_INPUT:
		if (!(kernel.shut & KERNEL_RD))
			input(kernel_draw_amount());
		break;
	case KERNEL_PEER_FIN:
		kernel.peer_fin = true;
		kernel.shut |= KERNEL_RD;
		wake();
		break;
	case KERNEL_END:
		read_by_peer(INT64_MAX / 2);
		closed_by_peer();
		break;
	case KERNEL_RST:
		closed_by_peer();
		break;
	}
}

/* What the peer's TCP acknowledges of ours. */
static void
acknowledge(unsigned event)
{
	switch (event) {
	case KERNEL_ACK_SOME:
		acknowledge_bytes(kernel_draw_amount());
		break;
	case KERNEL_ACK_DATA:
		acknowledge_bytes(INT64_MAX / 2);
		break;
	case KERNEL_ACK_ALL:
	case KERNEL_END:
		acknowledge_all();
		break;
	case KERNEL_ESTABLISHED:
		established();
		break;
	}
}

static void
happen_to_tcp(unsigned event)
{
	acknowledge(event);
	switch (event) {
	case KERNEL_INPUT:
		input(kernel_draw_amount());
		break;
	case KERNEL_PEER_FIN:
	case KERNEL_END:
		peer_fin();
		break;
	case KERNEL_RST:
		reset();
		break;
	case KERNEL_GIVEN_UP:
		die(kernel_draw(2) ? EHOSTUNREACH : ETIMEDOUT);
		break;
	case KERNEL_NOTICE:
		notice();
		break;
	case KERNEL_CUT:
		if (kernel_is_tcp() && kernel.layer == KERNEL_NO_LAYER)
			kernel_disconnect();
		break;
	case KERNEL_ICMP:
		unreachable();
		break;
	}
}

void
kernel_pass_time(int64_t us)
{
	kernel.now += us;
	kernel_layer_tick();
}

void
kernel_happen(unsigned event)
{
	static const int64_t times[] = { 1, 999, 1000, 1001, 16000, 64000,
	    255000, 1000000, 4999000, 5000000, 30000000, 61000000 };

	kernel.events++;
	kernel_trace("  event %u in state %d\n", event, kernel.state);
	if (event == KERNEL_PUSH && kernel.above > 0)
		kernel_layer_push();
	else if (event >= KERNEL_TIME)
		kernel_pass_time(kernel_one_of(times));
	else if (kernel_is_local())
		happen_locally(event);
	else if (kernel.kind < KERNEL_STREAMS)
		happen_to_tcp(event);
}

void
kernel_end_it(void)
{
	kernel.stuck = false;
	if (kernel.liar) {
		reset();
		if (!kernel.peer_fin)
			wake();
		kernel.peer_fin = true;
	} else if (kernel_is_local()) {
		happen_locally(KERNEL_END);
	} else {
		happen_to_tcp(KERNEL_END);
	}
}
