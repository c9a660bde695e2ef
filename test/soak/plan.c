/*
 * plan.c - draws what one close of the soak is like
 *
 * All of it comes from the seed and the number alone, so that a close can be
 * had again whatever ran beside it.  What is drawn often is what comes to an
 * end soon: a peer that is silent for good costs the whole limit.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "soak/plan.h"
#include "support/util.h"

#define NELEM(a)	(sizeof(a) / sizeof((a)[0]))
#define PICK(s, a)	((a)[t_random((s), (uint32_t)NELEM(a))])

const char *const plan_forms[FORMS] = {
	"graceful_close", "linger_close", "abort_close", "graceclose",
	"epoll loop", "poll loop", "reaper"
};

static bool
chance(uint64_t *s, unsigned percent)
{
	return t_random(s, 100) < percent;
}

/* Low and high among them. */
static int
between(uint64_t *s, int low, int high)
{
	return low + (int)t_random(s, (uint32_t)(high - low + 1));
}

/*
 * The network
 */

static void
draw_impairments(uint64_t *s, struct t_impair *w)
{
	static const int delays[] = { 0, 0, 100, 1000, 5000, 10000 };

	memset(w, 0, sizeof(*w));
	if (chance(s, 30))
		return;
	w->delay_us = PICK(s, delays);
	if (chance(s, 50))
		w->jitter_us = between(s, 0, 5000);
	if (chance(s, 50))
		w->loss = t_random(s, 150);
	if (chance(s, 30))
		w->duplicate = t_random(s, 150);
	if (chance(s, 30)) {
		w->reorder = t_random(s, 150);
		w->reorder_us = between(s, 500, 20000);
	}
}

/*
 * The peers.  A script is a few moves of any kind, as the grammar has them,
 * and an ending.
 */

enum { ANY = -1 };		/* a number that is drawn by its kind */

static const struct t_move moves[] = {
	{ P_AWAIT_DATA,	ANY },
	{ P_AWAIT_DATA,	ANY },
	{ P_SLEEP,	ANY },
	{ P_SLEEP,	ANY },
	{ P_SEND,	ANY },
	{ P_SEND,	ANY },
	{ P_ACK_LATE,	ANY },
	{ P_WINDOW,	ANY },
	{ P_ACKS,	0 },
	{ P_ACKS,	1 },
	{ P_ACK_UP_TO,	ANY },
	{ P_DRIP,	ANY },
	{ P_STOP,	0 },
	{ P_RST_OUTSIDE, 0 },
	{ P_RST,	1000 },		/* in the window, not exact */
	{ P_REPEATS,	0 },
	{ P_AWAIT_ACKED, 0 }
};

#define ENDING	4
#define MIDDLE	(T_MOVES - 1 - ENDING - 1)	/* begin, and P_END */
static const struct t_move endings[][ENDING] = {
	{ { P_AWAIT_FIN, 0 }, { P_FIN, 0 } },		/* as it should be */
	{ { P_AWAIT_FIN, 0 }, { P_FIN, 0 } },
	{ { P_AWAIT_FIN, 0 }, { P_SEND, ANY }, { P_FIN, 0 } },
	{ { P_AWAIT_FIN, 0 }, { P_SLEEP, ANY }, { P_FIN, 0 } },
	{ { P_AWAIT_ANY_FIN, 0 }, { P_FIN, 0 } },
	{ { P_FIN, 0 } },				/* half-close */
	{ { P_SEND, ANY }, { P_FIN, 0 } },
	{ { P_ACKS, 0 }, { P_AWAIT_ANY_FIN, 0 }, { P_FIN, 0 },
	    { P_ACKS, 1 } },				/* simultaneous */
	{ { P_FIN, 0 }, { P_AWAIT_ACKED, 0 }, { P_DATA_BEHIND, 100 } },
	{ { P_AWAIT_FIN, 0 } },				/* never its FIN */
	{ { P_AWAIT_FIN, 0 }, { P_DRIP, ANY } },
	{ { P_FLOOD, ANY } },
	{ { P_RST, 0 } },
	{ { P_AWAIT_FIN, 0 }, { P_RST, 0 } },
	{ { P_ACKS, 0 }, { P_AWAIT_ANY_FIN, 0 }, { P_RST, 0 } },
	{ { P_FIN, 0 }, { P_SLEEP, ANY }, { P_RST, 0 } },
	{ { P_VANISH, 0 } },
	{ { P_AWAIT_FIN, 0 }, { P_VANISH, 0 } }
};

static struct t_move
draw_move(uint64_t *s, const struct plan *p, struct t_move m)
{
	static const int sends[] = { 1, 100, 1400, 5000, 60000 };
	static const int floods[] = { 1000, 10000, 50000 };
	static const int windows[] = { 0, 1, 1400, 4096, T_PEER_WINDOW };

	if (m.n != ANY)
		return m;
	switch (m.kind) {
	case P_AWAIT_DATA:
	case P_ACK_UP_TO:
		m.n = (int64_t)t_random(s, (uint32_t)p->size + 1);
		break;
	case P_SEND:
		m.n = PICK(s, sends);
		break;
	case P_FLOOD:				/* each millisecond */
		m.n = PICK(s, floods);
		break;
	case P_WINDOW:
		m.n = PICK(s, windows);
		break;
	default:				/* milliseconds */
		m.n = between(s, 1, 50);
		break;
	}
	return m;
}

static void
draw_script(uint64_t *s, struct plan *p)
{
	const struct t_move *ending = PICK(s, endings);
	struct t_move *m = p->script.moves;
	size_t n;

	p->script.name = "drawn";
	*m++ = (struct t_move){ P_AWAIT_GO, 0 };	/* it is connected */
	for (n = chance(s, 40) ? 0 : t_random(s, MIDDLE + 1); n > 0; n--)
		*m++ = draw_move(s, p, PICK(s, moves));
	for (n = 0; n < ENDING && ending[n].kind != P_END; n++)
		*m++ = draw_move(s, p, ending[n]);
}

static void
draw_kernel_peer(uint64_t *s, struct kernel_peer_ways *w)
{
	static const size_t writes[] = { 0, 0, 1, 2000, 50000, 200000 };
	static const int reads[] = { READS_ALL, READS_ALL, READS_ALL,
	    READS_SLOWLY, READS_NOTHING };
	static const int ends[] = { HALF_CLOSES, CLOSES, CLOSES, CLOSES,
	    RESETS, ENDS_NEVER };

	w->after_ms = chance(s, 60) ? 0 : between(s, 0, 100);
	w->writes = PICK(s, writes);
	w->reads = PICK(s, reads);
	w->ends = PICK(s, ends);
	w->end_ms = chance(s, 70) ? -1 : between(s, 0, 100);
}

/*
 * The connection, and the close
 */

static size_t
draw_size(uint64_t *s)
{
	static const uint32_t most[] = { 1, 2, 1400, 20000, 65536, 300000 };

	return t_random(s, PICK(s, most));
}

static void
draw_connection(uint64_t *s, struct plan *p)
{
	static const int families[] = { T_IPV4, T_IPV6 };

	p->scripted = chance(s, 60);
	p->family = p->scripted ? T_IPV4 : PICK(s, families);
	p->connecting = chance(s, 50);
	p->size = draw_size(s);
	p->sndbuf = chance(s, 70) ? 1 << 20 : chance(s, 50) ? 0 : 16384;
	if (p->scripted)
		draw_script(s, p);
	else
		draw_kernel_peer(s, &p->kernel_peer);
	p->pause_ms = chance(s, 50) ? 0 : between(s, 0, 30);
	p->reads = chance(s, 60) ? 0 : (size_t)between(s, 1, 100000);
	p->linger = chance(s, 90) ? -1 : between(s, 0, 1);
}

static bool
makes(const struct plan *p, enum t_move_kind kind)
{
	size_t i;

	for (i = 0; i < T_MOVES; i++)
		if (p->script.moves[i].kind == kind)
			return true;
	return false;
}

/* Whether the peer may give signs of life, yet no end, for ever. */
static bool
endless(const struct plan *p)
{
	return makes(p, P_DRIP) || makes(p, P_FLOOD);
}

/* Or come to an end after minutes only: a window of one byte at a time. */
static bool
lasts(const struct plan *p)
{
	return endless(p) || makes(p, P_WINDOW);
}

static void
draw_options(uint64_t *s, struct plan *p)
{
	struct graceclose_opts *o = &p->way.opts;

	o->until = chance(s, 60) ? GRACECLOSE_FINISHED : GRACECLOSE_DELIVERED;
	o->on_expiry = chance(s, 60) ? GRACECLOSE_DETACH : GRACECLOSE_RESET;
	o->timeout_ms = chance(s, 20) && !lasts(p) ? -1 :
	    between(s, 10, 800);
	o->idle_ms = chance(s, 30) && o->timeout_ms != -1 ? -1 :
	    between(s, 10, 400);
	if (chance(s, 20))
		o->discard_max = (uint64_t)between(s, 1, 60000);
}

static void
draw_close(uint64_t *s, struct plan *p)
{
	static const enum closing_form forms[] = { F_LINGER, F_LINGER,
	    F_BLOCKING, F_BLOCKING, F_BLOCKING, F_EPOLL, F_EPOLL, F_POLL,
	    F_REAPER, F_REAPER };

	p->way.form = PICK(s, forms);
	p->nonblock = chance(s, 40);
	p->way.storm = chance(s, 25);
	p->way.cancel_ms = -1;
	draw_options(s, p);
	/* Its own limits are 5 and 30 seconds. */
	if (chance(s, 5) && !lasts(p))
		p->way.form = F_GRACEFUL;
	else if (chance(s, 3))
		p->way.form = F_ABORT;
	switch (p->way.form) {
	case F_LINGER:
		p->way.opts = t_opts(GRACECLOSE_DELIVERED, GRACECLOSE_RESET,
		    between(s, 1, 800), -1);
		break;
	case F_GRACEFUL:
	case F_ABORT:
		memset(&p->way.opts, 0, sizeof(p->way.opts));
		break;
	case F_BLOCKING:
		break;
	default:
		if (chance(s, 5))
			p->way.cancel_ms = chance(s, 30) ? 0 :
			    between(s, 1, 100);
	}
}

/*
 * A flood fills the log of the link soon: it flows slower where each way has a
 * delay, and its close has a shorter limit.
 */
static void
dam(struct plan *p)
{
	int way;

	if (!endless(p))
		return;
	for (way = 0; way < T_WAYS; way++)
		if (p->impair[way].delay_us < 5000)
			p->impair[way].delay_us = 5000;
	if (p->way.opts.timeout_ms > 300)
		p->way.opts.timeout_ms = 300;
}

void
plan_draw(struct plan *p, uint64_t seed, size_t number)
{
	uint64_t s = seed * 0xd1342543de82ef95 + number;

	s ^= (uint64_t)t_random(&s, UINT32_MAX) << 32;
	memset(p, 0, sizeof(*p));
	p->seed = seed;
	p->number = number;
	draw_impairments(&s, &p->impair[T_OUT]);
	draw_impairments(&s, &p->impair[T_IN]);
	draw_connection(&s, p);
	draw_close(&s, p);
	dam(p);
}

int
plan_timeout_ms(const struct plan *p)
{
	return p->way.opts.timeout_ms != 0 ? p->way.opts.timeout_ms : 30000;
}

int
plan_idle_ms(const struct plan *p)
{
	return p->way.opts.idle_ms != 0 ? p->way.opts.idle_ms : 5000;
}

/*
 * For a failure
 */

static const char *const move_names[] = {
	[P_END] = "END", [P_AWAIT_DATA] = "AWAIT_DATA",
	[P_AWAIT_FIN] = "AWAIT_FIN", [P_AWAIT_ANY_FIN] = "AWAIT_ANY_FIN",
	[P_AWAIT_ACKED] = "AWAIT_ACKED", [P_AWAIT_GO] = "AWAIT_GO",
	[P_SLEEP] = "SLEEP", [P_ACKS] = "ACKS", [P_ACK_LATE] = "ACK_LATE",
	[P_WINDOW] = "WINDOW", [P_REPEATS] = "REPEATS",
	[P_ACK_UP_TO] = "ACK_UP_TO", [P_SEND] = "SEND", [P_DRIP] = "DRIP",
	[P_FLOOD] = "FLOOD", [P_STOP] = "STOP", [P_FIN] = "FIN",
	[P_DATA_BEHIND] = "DATA_BEHIND", [P_RST] = "RST",
	[P_RST_OUTSIDE] = "RST_OUTSIDE", [P_VANISH] = "VANISH"
};

static void
print_impairments(FILE *f, const char *way, const struct t_impair *w)
{
	fprintf(f, "  %s: of 1000 loss %u, duplicate %u, reorder %u by %d us; "
	    "delay %d us, jitter %d us\n", way, w->loss, w->duplicate,
	    w->reorder, w->reorder_us, w->delay_us, w->jitter_us);
}

static void
print_peer(FILE *f, const struct plan *p)
{
	const struct t_move *m = p->script.moves;
	const struct kernel_peer_ways *w = &p->kernel_peer;

	if (!p->scripted) {
		fprintf(f, "  peer: %s, after %d ms writes %zu, reads %s, %s",
		    t_families[p->family].name, w->after_ms, w->writes,
		    kernel_peer_reads[w->reads], kernel_peer_ends[w->ends]);
		if (w->end_ms == -1)
			fprintf(f, " at the end\n");
		else
			fprintf(f, " after %d ms\n", w->end_ms);
		return;
	}
	fprintf(f, "  peer:");
	for (; m < p->script.moves + T_MOVES && m->kind != P_END; m++)
		fprintf(f, " %s %" PRId64, move_names[m->kind], m->n);
	fprintf(f, "\n");
}

void
plan_print(FILE *f, const struct plan *p)
{
	const struct graceclose_opts *o = &p->way.opts;

	fprintf(f, "case %zu of seed %" PRIu64 "\n", p->number, p->seed);
	print_impairments(f, "out", &p->impair[T_OUT]);
	print_impairments(f, "in", &p->impair[T_IN]);
	print_peer(f, p);
	fprintf(f, "  we %s, write %zu (SO_SNDBUF %d), wait %d ms, read %zu, "
	    "linger %d%s\n", p->connecting ? "connected" : "accepted", p->size,
	    p->sndbuf, p->pause_ms, p->reads, p->linger,
	    p->nonblock ? ", O_NONBLOCK" : "");
	fprintf(f, "  %s until %s, on expiry %s, timeout %d ms, idle %d ms, "
	    "discard %" PRIu64 "%s", plan_forms[p->way.form],
	    o->until == GRACECLOSE_DELIVERED ? "DELIVERED" : "FINISHED",
	    o->on_expiry == GRACECLOSE_RESET ? "RESET" : "DETACH",
	    plan_timeout_ms(p), plan_idle_ms(p), o->discard_max,
	    p->way.storm ? ", signals" : "");
	if (p->way.cancel_ms != -1)
		fprintf(f, ", ended after %d ms", p->way.cancel_ms);
	fprintf(f, "\n");
}
