/* kernel.c - see kernel.h */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/kernel.h"
#include "fuzz/kernel_call.h"
#include "fuzz/kernel_layer.h"
#include "fuzz/kernel_net.h"

struct kernel		kernel;
static const uint8_t	*script;
static size_t		script_left;
static int64_t		silent_since;	/* when the script was used up */

void
kernel_panic(const char *what, const char *file, int line)
{
	fprintf(stderr, "not so, %s line %d: %s\n", file, line, what);
	fprintf(stderr, "kind %d state %d: written %lld acked %lld%s, "
	    "unread %lld%s, shut %d, error %d%s%s%s; now %lld, started %lld, "
	    "%u calls, %u events, %u failures; layer %d above %lld open %lld "
	    "lost %lld inside %lld%s\n", kernel.kind, kernel.state,
	    (long long)kernel.written, (long long)kernel.acked,
	    kernel.fin_acked ? " and FIN" : "", (long long)kernel.unread,
	    kernel.peer_fin ? " and FIN" : "", kernel.shut, kernel.error,
	    kernel.dead ? ", dead" : "", kernel.cut ? ", cut" : "",
	    kernel.ended ? ", ended" : "", (long long)kernel.now,
	    (long long)kernel.started, kernel.calls, kernel.events,
	    kernel.failures, kernel.layer, (long long)kernel.above,
	    (long long)kernel.open, (long long)kernel.lost,
	    (long long)kernel.inside, kernel.answered ? ", answered" : "");
	abort();
}

bool
kernel_is_tcp(void)
{
	return kernel.kind == KERNEL_TCP || kernel.kind == KERNEL_FALLBACK ||
	    kernel.kind == KERNEL_UNCONNECTED ||
	    kernel.kind == KERNEL_CONNECTING || kernel.kind == KERNEL_LISTENER;
}

bool
kernel_is_local(void)
{
	return kernel.kind == KERNEL_LOCAL ||
	    kernel.kind == KERNEL_LOCAL_UNCONNECTED;
}

/*
 * The string
 */

unsigned
kernel_draw(unsigned below)
{
	if (script_left == 0)
		return 0;
	if (--script_left == 0)
		silent_since = kernel.now;
	return *script++ % below;
}

int64_t
kernel_draw_amount(void)
{
	static const int64_t amounts[] = { 1, 2, 3, 100, KERNEL_PAGE - 1,
	    KERNEL_PAGE, 65536, 1 << 20, (1 << 20) + 1, 3 << 20, 5 << 20 };

	return kernel_one_of(amounts);
}

bool
kernel_silent(void)
{
	return script_left == 0;
}

bool
kernel_forsaken(void)
{
	return kernel_silent() && kernel.now - silent_since > KERNEL_PATIENCE;
}

/*
 * How it begins
 */

static int
first_state(void)
{
	switch (kernel.kind) {
	case KERNEL_TCP:
		return kernel_draw(8) == 7 && kernel.layer == KERNEL_NO_LAYER ?
		    TCP_SYN_RECV : TCP_ESTABLISHED;
	case KERNEL_LISTENER:
		return TCP_LISTEN;
	case KERNEL_CONNECTING:
		return TCP_SYN_SENT;
	}
	return kernel.kind < KERNEL_STREAMS ? TCP_ESTABLISHED : TCP_CLOSE;
}

static void
shut_by_caller(int direction)
{
	if (kernel.state == TCP_CLOSE)
		return;
	kernel.shut |= direction;
	if (direction == KERNEL_WR) {
		kernel.caller_fin = true;
		if (!kernel_is_local())
			kernel_send_fin();
	} else if (kernel_is_local()) {
		kernel.peer_fin = true;
	}
}

static void
error_to_caller(void)
{
	kernel.error_taken |= kernel_take_error() != 0 && kernel.dead;
	kernel.muddled = false;
}

/* What the caller has done before, and what came meanwhile. */
static void
live(void)
{
	unsigned n = kernel_draw(8);

	while (n-- > 0) {
		switch (kernel_draw(20)) {
		case 15:
			shut_by_caller(KERNEL_RD);
			break;
		case 16:
			shut_by_caller(KERNEL_WR);
			break;
		case 17:
			error_to_caller();
			break;
		case 18:
			kernel.linger.l_onoff = 1;
			kernel.linger.l_linger = (int)kernel_draw(2) * 5;
			break;
		case 19:
			if (kernel.layer != KERNEL_NO_LAYER)
				kernel_layer_read_some();
			else
				kernel.unread = 0;
			break;
		default:
			kernel_happen(kernel_draw(KERNEL_TIME));
		}
	}
}

static void
draw_traits(void)
{
	unsigned traits = kernel_draw(256);
	bool tcp = kernel.kind == KERNEL_TCP;

	kernel.old = (tcp || kernel.kind == KERNEL_FALLBACK) &&
	    (traits & 3) == 3;
	kernel.recverr = tcp && (traits & 1) != 0;
	kernel.connecting = tcp && (traits & 4) != 0;
	kernel.narrow = tcp && (traits & 8) != 0;
	if (tcp && (traits & 0xf0) == 0xd0)
		kernel.layer = KERNEL_TLS;
	else if (tcp && (traits & 0xf0) == 0xb0)
		kernel.layer = traits & 8 ? KERNEL_TLS_RX : KERNEL_ULP;
	kernel.unmarked = kernel.kind == KERNEL_FALLBACK && (traits & 4) != 0;
	kernel.stuck = tcp && (traits & 0xf8) == 0x98;
	kernel.sockmap = tcp && (traits & 0xf8) == 0x90;
	kernel.no_diag = (traits & 0xc) == 0xc;
	/* Without poll(2) nobody asks AF_UNIX for an error, and takes none. */
	kernel.no_files = (traits & 0xf0) == 0xe0 && !kernel_is_local();
	kernel.liar = (traits & 0xf0) == 0xf0;
}

void
kernel_boot(const uint8_t *bytes, size_t n)
{
	static const int kinds[] = { KERNEL_TCP, KERNEL_TCP, KERNEL_TCP,
	    KERNEL_TCP, KERNEL_MPTCP, KERNEL_FALLBACK, KERNEL_LOCAL,
	    KERNEL_UNCONNECTED, KERNEL_CONNECTING, KERNEL_LISTENER,
	    KERNEL_LOCAL_UNCONNECTED, KERNEL_DATAGRAM, KERNEL_PIPE,
	    KERNEL_PATH, KERNEL_CLOSED };

	memset(&kernel, 0, sizeof(kernel));
	script = bytes;
	script_left = n;
	silent_since = 0;
	kernel.now = 1000000;
	kernel.kind = kernel_one_of(kinds);
	draw_traits();
	kernel.state = first_state();
	if (kernel.kind < KERNEL_STREAMS && kernel_draw(4) != 0)
		kernel.written = kernel_draw_amount();
	kernel_layer_draw();
	live();
	kernel_watch();
}

void
kernel_watch(void)
{
	kernel.consumed = kernel.failures = kernel.events = 0;
	kernel.discarded = 0;
	kernel.counted = -1;
	kernel.uncounted = false;
	kernel.started = kernel.progressed = kernel.told = 0;
	kernel.news = kernel.fin_told = false;
	kernel.reads = kernel.knows = 0;
	kernel.looked = kernel.swept = kernel.balks = 0;
	kernel.missed = false;
	kernel.fin_first = kernel.peer_fin;
	kernel.late_from = kernel.position;
}
