/*
 * fuzz_closer.c - every close, against anything that a network, a kernel and a
 * caller may do
 *
 *	clang -g -O1 -std=c11 -D_GNU_SOURCE -Iinclude -Itest -Ilib -I. \
 *	    -fsanitize=fuzzer,address,undefined \
 *	    -o fuzz_closer test/fuzz/fuzz_closer.c test/fuzz/judge.c \
 *	    test/fuzz/kernel*.c
 *	./fuzz_closer -max_len=400 -max_total_time=600 \
 *	    /tmp/corpus test/fuzz/corpus_closer
 *
 * The library's own sources are part of this file, on top of kernel.h.  The
 * input: what the descriptor is and has been through, which call the caller
 * makes with which options, and what happens between any two system calls.
 * Whatever that is the promise holds, and each must() is a sentence of it.  The
 * sentences about the verdict are in judge.c.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "closer.h"
#include "kernel/kernel.h"
#include "graceclose.h"
#include "fuzz/judge.h"
#include "fuzz/kernel.h"
#include "fuzz/kernel_call.h"
#include "fuzz/kernel_layer.h"
#include "fuzz/kernel_net.h"

#define WHOLE_TURN	900000		/* input that one step takes easily */
#define NAP_LONGEST	64		/* ms, where no event will come */

#define UNTRIED		2		/* what no step has returned */

#define one_of(table)	kernel_one_of(table)

/*
 * The verbs
 */

static const struct graceclose_opts	plain;

static void
try_graceful_close(void)
{
	int r;

	kernel.may_wait = true;
	r = graceful_close(KERNEL_FD);
	if (kernel.kind == KERNEL_CLOSED && !kernel.liar)
		must(r == -1 && errno == EBADF);
	else if (r == 0 || kernel.closes > 0)
		judge(r, &plain, NULL);
}

static void
try_abort_close(void)
{
	int r = abort_close(KERNEL_FD), error = errno;

	judge_return(r, error);
	must(kernel.others == 0);
	if (kernel.liar)
		return;
	judge_released();
	if (kernel.kind <= KERNEL_LOCAL_UNCONNECTED && r == -1)
		must(error == EIO && kernel.failures > 0);
	if (kernel.kind < KERNEL_LOCAL)
		must(kernel.rst_sent || kernel.state == TCP_CLOSE ||
		    kernel.state == TCP_LAST_ACK ||
		    kernel.state == TCP_CLOSING);
	if (kernel.kind >= KERNEL_STREAMS)
		must(!kernel.rst_sent);
}

static void
try_linger_close(void)
{
	static const int limits[] = { 1, 100, 3000, INT_MAX, -1, INT_MIN, 0 };
	struct graceclose_opts o = { .until = GRACECLOSE_DELIVERED,
	    .on_expiry = GRACECLOSE_RESET, .timeout_ms = one_of(limits),
	    .idle_ms = -1 };
	int r;

	if (kernel.liar && (o.timeout_ms < 0 || o.timeout_ms == INT_MAX))
		o.timeout_ms = 3000;

	kernel.endless = o.timeout_ms < 0 || o.timeout_ms == INT_MAX;
	kernel.may_wait = true;
	r = linger_close(KERNEL_FD, o.timeout_ms);
	if (o.timeout_ms < 0)
		o.timeout_ms = -1;
	if (kernel.kind == KERNEL_CLOSED && !kernel.liar)
		must(r == -1 && errno == EBADF);
	else if (o.timeout_ms != 0 && (r == 0 || kernel.closes > 0))
		judge(r, &o, NULL);
}

/* Those of 1.2.0. */
static void
draw_more_options(struct graceclose_opts *o)
{
	unsigned b = kernel_draw(64);

	if (b & 1)
		o->until = GRACECLOSE_QUIET;
	if (b & 2)
		o->flags = GRACECLOSE_EDGES;
	if (b & 4) {
		o->late = judge_take_late;
		o->arg = &judge_late_arg;
	}
	if (b == 63)
		o->flags |= 2;
}

/* The options, most of them valid. */
static bool
draw_options(struct graceclose_opts *o)
{
	static const int limits[] = { 0, -1, 1, 5, 100, 3000, 60000, -2 };
	static const uint64_t caps[] = { 0, 1, 100, 4096, 1 << 20, UINT64_MAX };
	unsigned b = kernel_draw(256);

	memset(o, 0, sizeof(*o));
	o->until = (int)(b & 1);
	o->on_expiry = (int)(b >> 1 & 1);
	if ((b & 0xf0) == 0xf0)
		*((b & 4) ? &o->until : &o->on_expiry) = (b & 4) ? 3 : 2;
	o->timeout_ms = one_of(limits);
	o->idle_ms = one_of(limits);
	o->discard_max = one_of(caps);
	if ((b & 0xe0) == 0xc0)
		draw_more_options(o);
	if ((b & 0xf0) == 0xe0)
		o->reserved = 1;
	/* What a liar says may never come to an end. */
	if (kernel.liar && o->timeout_ms == -1)
		o->timeout_ms = 60000;
	kernel.endless = (o->timeout_ms == -1) && (o->idle_ms == -1);
	return (b & 0xf0) < 0xe0 && o->flags < 2 && o->timeout_ms != -2 &&
	    o->idle_ms != -2;
}

/* Nothing was taken: then nothing was done. */
static void
check_untaken(bool valid_opts, const struct graceclose_report *report)
{
	must(errno == EINVAL || errno == EBADF);
	must(valid_opts || errno == EINVAL);
	must(kernel.closes == 0 && kernel.others == 0);
	must(kernel.liar || kernel.consumed == 0);
	must(kernel.liar || !valid_opts || kernel.kind == KERNEL_CLOSED);
	if (report != NULL) {
		must(report->error == errno);
		must(report->outcome == GRACECLOSE_INVALID);
	}
}

static void
try_graceclose(void)
{
	struct graceclose_report report = { .error = MARK }, *rp = &report;
	struct graceclose_opts o;
	bool good = draw_options(&o);
	int r;

	if (kernel_draw(4) == 3)
		rp = NULL;
	kernel.may_wait = true;
	r = graceclose(KERNEL_FD, &o, rp);
	if (kernel.closes == 0 && r == -1)
		check_untaken(good, rp);
	else
		judge(r, &o, rp);
}

/*
 * Step by step
 */

/* What the next step cannot but see. */
struct before {
	unsigned	failures;
	int		state;
	bool		dead, delivered, ended, answered, cut, much, missed;
	bool		first;
};

static struct before
look_before(const struct graceclose *gc, const struct graceclose_opts *o)
{
	struct before b = { kernel.failures, kernel.state, kernel.dead,
	    judge_delivered(), kernel.peer_fin && judge_delivered(),
	    kernel.answered, kernel.cut, kernel.unread > WHOLE_TURN,
	    kernel.missed, gc->wake == 0 };

	if (o->discard_max != 0 && (uint64_t)(kernel.discarded +
	    kernel.unread + kernel.inside + kernel_tcp_unread()) >
	    o->discard_max)
		b.much = true;
	return b;
}

/* MPTCP that fell back knows nothing any more by the time it is asked. */
static bool
forgets(const struct before *b)
{
	return kernel.kind == KERNEL_FALLBACK &&
	    kernel.state == TCP_CLOSE && b->state != TCP_CLOSE;
}

/* That the RST does no more than answer is not known of everything. */
static bool
certain(void)
{
	return kernel.kind == KERNEL_TCP && kernel.layer == KERNEL_NO_LAYER &&
	    !kernel.too_late && !kernel.old && !kernel.muddled &&
	    !kernel.stuck;
}

static void
check_step(int r, const struct before *b, const struct graceclose_opts *o)
{
	if (r == 1 && !kernel.liar && !kernel.cut && judge_counts())
		must(judge_within(o));
	/* What comes between begin and the first step wakes the loop. */
	if (r == 1 && b->first && kernel_wakes(o->flags == GRACECLOSE_EDGES))
		return;
	if (!judge_truth_is_known() || kernel.failures > b->failures ||
	    b->much || b->missed || kernel.cut != b->cut || forgets(b))
		return;
	/* What lies above TCP may still have to say that it lost something. */
	if (kernel.layer != KERNEL_NO_LAYER && (r == 1 || (r == -1 &&
	    (errno == EMSGSIZE || (errno == ECONNRESET && kernel.dead &&
	    kernel.caller_fin) || (errno == ETIMEDOUT && judge_ran_out(o))))))
		return;
	if (b->dead || b->ended ||
	    (b->delivered && o->until == GRACECLOSE_DELIVERED))
		must(r != 1);
	if (kernel.refused && kernel.layer == KERNEL_NO_LAYER)
		must(r == -1 && errno == kernel.refused);
	if (kernel.refused || kernel.cut || judge_forgotten() ||
	    (kernel.dead && kernel.kind == KERNEL_LOCAL))
		return;
	if (b->answered) {
		must(r == 0 || !certain());
		return;
	}
	if (!b->dead && !judge_blamed() && !kernel.torn && (b->ended ||
	    (b->delivered && o->until == GRACECLOSE_DELIVERED)))
		must(r == 0);
	if (b->dead && !b->delivered)
		must(r == -1 && errno == ECONNRESET);
}

static int
step(struct graceclose *gc, const struct graceclose_opts *o)
{
	struct before b = look_before(gc, o);
	int r, error;

	errno = MARK;
	kernel.fresh = false;
	r = graceclose_step(gc);
	error = errno;
	must(r >= -1 && r <= 1);
	must(r == -1 ? error != 0 : error == MARK);
	check_step(r, &b, o);
	must(kernel.closes == 0 && kernel.others == 0);
	errno = error;
	return r;
}

/*
 * With every edge of epoll it is the time to a limit or to a look, at most four
 * in an idle_ms; but what lies above TCP tells nobody, and a step may be full.
 */
static void
check_no_nap(const struct graceclose_opts *o, int ms, int64_t taken)
{
	int whole = o->timeout_ms == 0 ? 30000 : o->timeout_ms;
	int idle = o->idle_ms == 0 ? 5000 : o->idle_ms;
	int64_t due = kernel.clock[0] + (int64_t)ms * 1000;
	int64_t least = kernel.clock[1] + 256000;

	if (kernel.liar || kernel.layer != KERNEL_NO_LAYER || kernel.stuck ||
	    ms == -1 || taken > WHOLE_TURN)
		return;
	if (idle != -1 && least > kernel.clock[1] + idle * INT64_C(250))
		least = kernel.clock[1] + idle * INT64_C(250);
	if (idle != -1 && least > kernel.told + idle * INT64_C(1000))
		least = kernel.told + idle * INT64_C(1000);
	if (whole != -1 && least > kernel.started + whole * INT64_C(1000))
		least = kernel.started + whole * INT64_C(1000);
	must(due >= least);
}

/* What a loop waits for, and how long: not beyond a limit. */
static void
rest(const struct graceclose *gc, const struct graceclose_opts *o, bool edges,
    int64_t taken)
{
	short events = graceclose_events(gc);
	int ms = graceclose_timeout(gc);

	must(events == 0 || events == POLLIN);
	must(ms >= -1);
	must(ms != -1 || (o->timeout_ms == -1 && o->idle_ms == -1));
	if (o->timeout_ms != -1 && kernel.started != 0 && ms > 0)
		must(kernel.clock[0] + ms * INT64_C(1000) <= kernel.started +
		    (int64_t)(o->timeout_ms ? o->timeout_ms : 30000) * 1000 +
		    999);
	if (kernel.missed && !kernel.liar)
		must(ms <= NAP_LONGEST);
	else if (o->flags == GRACECLOSE_EDGES)
		check_no_nap(o, ms, taken);
	kernel_wait(edges, events, ms);
}

/* As the reaper does, which has timers of its own. */
static void
rest_by_timer(const struct graceclose *gc, const struct graceclose_opts *o,
    bool edges)
{
	int64_t due = graceclose_due(gc), left = due - kernel.now;

	must(due != INT64_MAX || (o->timeout_ms == -1 && o->idle_ms == -1));
	if (due == INT64_MAX)
		kernel_wait(edges, graceclose_events(gc), -1);
	else if (left > 0)
		kernel_wait(edges, graceclose_events(gc),
		    (int)(left / 1000 + 1));
}

static int
go_on(struct graceclose *gc, const struct graceclose_opts *o)
{
	bool edges = kernel_draw(2) != 0 || o->flags == GRACECLOSE_EDGES;
	int64_t before = kernel.discarded;
	int r;

	for (; (r = step(gc, o)) == 1; before = kernel.discarded) {
		switch (kernel_draw(16)) {
		case 15:
			return 1;	/* to end it is free at any time */
		case 14:
			break;		/* a step too many */
		case 13:
			rest_by_timer(gc, o, edges);
			break;
		default:
			rest(gc, o, edges, kernel.discarded - before);
		}
	}
	must(graceclose_events(gc) == 0);
	if (kernel_draw(8) == 7)
		must(graceclose_step(gc) == r);
	return r;
}

static void
check_end(struct graceclose *gc, const struct graceclose_opts *o, int stood)
{
	struct graceclose_report report = { .error = MARK }, again;
	int r, error;

	errno = MARK;
	r = graceclose_end(gc, &report);
	error = errno;
	if (stood == 1)
		must(r == -1 && error == ECANCELED);
	else if (stood != UNTRIED && r != stood)	/* close(2) failed */
		must(stood == 0 && report.outcome == GRACECLOSE_INVALID);
	judge(r, o, &report);
	errno = MARK;
	must(graceclose_end(gc, &again) == r && errno == error);
	must(memcmp(&report, &again, sizeof(report)) == 0);
	must(kernel.closes == 1);
}

static void
try_steps(void)
{
	struct graceclose gc;
	struct graceclose_opts o;
	bool good = draw_options(&o);
	int stood = UNTRIED;

	if (graceclose_begin(&gc, KERNEL_FD, &o) == -1) {
		check_untaken(good, NULL);
		must(graceclose_step(&gc) == -1 && errno == EINVAL);
		return;
	}
	must(errno == MARK && good);
	must(kernel.closes == 0);
	if (kernel_draw(8) != 7)
		stood = go_on(&gc, &o);
	check_end(&gc, &o, stood);
}

/*
 * Looks, which change nothing
 */

/*
 * What a look that consumes nothing cannot tell: POLLERR may be a notice of the
 * error queue, or ICMP's, and after the end it says reset; a page of input
 * hides that no FIN came behind it, once the error is taken.  Nor does a FIN
 * show that the kernel itself does not see.
 */
static bool
blurred(void)
{
	return (kernel.unmarked && kernel.peer_fin) || (kernel.ended &&
	    (kernel.notices > 0 || kernel.muddled || kernel.torn)) ||
	    judge_forgotten() ||
	    (kernel.dead && kernel.error_taken &&
	    kernel_tcp_unread() >= KERNEL_PAGE) ||
	    (kernel.no_diag && kernel.kind == KERNEL_MPTCP);
}

/*
 * What a layer above TCP has unread: part of a record, an alert, or what it has
 * decrypted where an error hides that.
 */
static bool
opaque(void)
{
	return kernel.layer != KERNEL_NO_LAYER && (kernel.partial > 0 ||
	    kernel.alert || (kernel.inside > 0 && (kernel.error != 0 ||
	    kernel.notices > 0)));
}

static bool
is_mptcp(void)
{
	return kernel.kind == KERNEL_MPTCP || kernel.kind == KERNEL_FALLBACK;
}

static void
check_probe(int bits, int error)
{
	int want = 0;

	if (kernel.kind >= KERNEL_STREAMS) {
		must(bits == -1);
		return;
	}
	must(bits != -1 && error == MARK);
	if (kernel.dead || kernel.cut)
		want = GRACECLOSE_RST;
	else if (kernel.peer_fin)
		want = GRACECLOSE_FIN;
	if (kernel.unread > 0)
		want |= GRACECLOSE_UNREAD;
	/* One byte, or the end: a dead MPTCP connection may not say which. */
	if (is_mptcp() && kernel.dead && kernel.unread == 1)
		want ^= (want ^ bits) & GRACECLOSE_UNREAD;
	if (opaque())
		want ^= (want ^ bits) & GRACECLOSE_UNREAD;
	if (!blurred())
		must(bits == want);
}

static void
look_once(unsigned how)
{
	static const int fds[] = { KERNEL_FD };
	unsigned char b;
	int r;

	switch (how) {
	case 0:
		r = graceclose_probe(KERNEL_FD);
		if (!kernel.liar && kernel.events + kernel.failures == 0)
			check_probe(r, errno);
		break;
	case 1:
		r = graceclose_probe_many(fds, 1, &b);
		must(r >= -1 && r <= 1);
		if (r != -1)
			must(errno == MARK && r ==
			    ((b & (GRACECLOSE_FIN | GRACECLOSE_RST)) != 0));
		break;
	default:
		r = peer_closed(KERNEL_FD);
		must(r >= -1 && r <= 1);
		must(r == -1 || errno == MARK);
		if (!judge_truth_is_known() || blurred() ||
		    kernel.events + kernel.failures > 0)
			break;
		if (r == -1)
			must(errno == ECONNRESET &&
			    (kernel.dead || kernel.cut));
		else
			must(r == kernel.peer_fin);
	}
}

static void
look_at_unacked(void)
{
	int64_t n = graceclose_unacked(KERNEL_FD);
	int64_t truth = kernel.written - kernel.acked;

	must(n >= -1 || kernel.liar);
	must(n == -1 || errno == MARK);
	if (kernel.kind == KERNEL_TCP && !kernel.liar && n != -1 &&
	    kernel.events + kernel.failures == 0)
		must(n >= truth && n <= truth + kernel.dead);
}

/*
 * MPTCP, like kTLS, has no way to ask whether anything is unread behind a FIN
 * but a peek, which takes the error of a reset that arrives just then.
 */
static bool
overtaken(void)
{
	return kernel.events > 0 &&
	    (is_mptcp() || kernel.layer != KERNEL_NO_LAYER);
}

static void
look_around(void)
{
	unsigned n = kernel_draw(4);

	while (n-- > 0) {
		kernel_watch();
		errno = MARK;
		if (kernel_draw(4) == 3)
			look_at_unacked();
		else
			look_once(kernel_draw(3));
		must(kernel.liar || kernel.consumed == 0 || overtaken());
		kernel.error_taken |= kernel.consumed != 0 &&
		    (kernel.dead || kernel.torn);
		must(kernel.closes == 0 && kernel.others == 0);
	}
	kernel_watch();
	errno = MARK;
}

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t size)
{
	static void (*const forms[])(void) = { try_steps, try_graceclose,
	    try_steps, try_graceclose, try_graceful_close, try_linger_close,
	    try_abort_close };

	judge_begin();
	kernel_boot(in, size);
	look_around();
	kernel.watched = true;
	one_of(forms)();
	return 0;
}

/* From here on a system call is one of kernel_call.h. */
#define KERNEL_CALLS
#include "fuzz/kernel_call.h"

/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "lib/abort_close.c"
#include "lib/closer.c"
#include "lib/graceclose.c"
#include "lib/graceful_close.c"
#include "lib/input.c"
#include "lib/kernel/common.c"
#include "lib/kernel/linux.c"
#include "lib/kernel/linux_input.c"
#include "lib/kernel/linux_mptcp.c"
#include "lib/kernel/linux_queue.c"
#include "lib/kernel/linux_wait.c"
#include "lib/linger_close.c"
#include "lib/peer_closed.c"
#include "lib/probe.c"
#include "lib/probe_many.c"
#include "lib/schedule.c"
#include "lib/unacked.c"
#include "lib/verdict.c"
#include "lib/version.c"
/* NOLINTEND(bugprone-suspicious-include) */
