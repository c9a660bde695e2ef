/* judge.c - see judge.h */
#include <errno.h>

#include "fuzz/judge.h"
#include "fuzz/kernel.h"
#include "fuzz/kernel_layer.h"

#define SWEEP_LEAST	(1 << 25)	/* what the end of a close takes */

bool
judge_truth_is_known(void)
{
	return !kernel.liar && kernel.kind < KERNEL_STREAMS;
}

/*
 * A reset during the handshake of Fast Open, with nothing written, leaves the
 * count at 0, as no FIN was sent yet: nothing was lost.
 */
bool
judge_delivered(void)
{
	if (kernel.kind == KERNEL_LOCAL)
		return (kernel.shut & KERNEL_WR) != 0 && !kernel.dead &&
		    kernel.acked == kernel.written;
	/* A tardy layer may tell after the verdict. */
	if (kernel.heard || (kernel.tardy ? kernel.torn_then[1] :
	    kernel.above > 0 || kernel.lost > 0))
		return false;
	return kernel.fin_acked || kernel.answered ||
	    (kernel.was_opening && kernel.written == 0);
}

/* Nobody knows of the peer's FIN: before Linux 4.18, or as recv failed. */
static bool
blind(int64_t unread)
{
	return kernel.old || kernel.balked >= unread;
}

/*
 * What is lost without a trace: a reset whose error the caller has taken, after
 * the peer's FIN and with nothing unacknowledged, is like an end in order.
 * MPTCP that fell back forgets everything at once.
 */
bool
judge_forgotten(void)
{
	if (kernel.torn && (kernel.error_taken || kernel.hushed))
		return true;
	if (!kernel.dead || !kernel.error_taken)
		return false;
	return kernel.kind == KERNEL_FALLBACK ||
	    ((kernel.peer_fin || blind(KERNEL_PAGE)) &&
	    (kernel.acked == kernel.written || kernel.kind == KERNEL_LOCAL));
}

/*
 * The opposite, an end in order that looks like a reset: it came before the
 * close, and is not told from a reset whose error somebody has taken; or there
 * is an error, and nobody says that it is ICMP's; or the peer's FIN never
 * shows, and recv(2) has failed.
 */
bool
judge_blamed(void)
{
	bool doubtful = kernel.too_late || kernel.layer != KERNEL_NO_LAYER ||
	    kernel.balks > 0;

	return kernel.ended && (doubtful ?
	    kernel.muddled || kernel.unmarked || blind(KERNEL_PAGE) :
	    kernel.muddled && blind(1));
}

/*
 * Late input
 */

static int64_t	handed;		/* bytes */
char		judge_late_arg;

void
judge_begin(void)
{
	handed = 0;
}

void
judge_take_late(void *arg, const void *data, size_t n)
{
	const uint8_t *p = data;
	size_t i;

	must(arg == &judge_late_arg && n > 0 && n <= 65536);
	must(kernel.closes == 0);
	for (i = 0; i < n && !kernel.liar; i += i == KERNEL_ENDS &&
	    n > 2 * KERNEL_ENDS ? n - 2 * KERNEL_ENDS : 1)
		must(p[i] == kernel_pattern(kernel.late_from + handed +
		    (int64_t)i));
	handed += (int64_t)n;
}

/*
 * The verdict
 */

static void
check_report(const struct graceclose_report *r, int error,
    const struct graceclose_opts *o)
{
	static const int errors[] = { 0, ECONNRESET, ETIMEDOUT, EMSGSIZE,
	    ECANCELED };

	must(r->error == error);
	must(r->outcome >= GRACECLOSE_OK && r->outcome <= GRACECLOSE_INVALID);
	if (r->outcome != GRACECLOSE_INVALID)
		must(r->error == errors[r->outcome]);
	else
		must(r->error != 0 || error == 0);
	must(r->reserved0 == 0 && r->reserved == 0);
	must(r->delivered == 0 || r->delivered == 1);
	must(r->finished == 0 || r->finished == 1);
	if (r->delivered)
		must(r->unacked == 0);
	if (error == 0)
		must(r->delivered &&
		    (r->finished || o->until != GRACECLOSE_FINISHED));
	if (r->outcome == GRACECLOSE_FLOODED)
		must(o->discard_max != 0 && r->discarded > o->discard_max);
	if (kernel.started != 0)
		must((int64_t)r->elapsed_us ==
		    kernel.clock[0] - kernel.started);
	else
		must(r->elapsed_us == 0);
	if (o->late != NULL)
		must((int64_t)r->discarded == handed);
	else if (!kernel.liar)
		must((int64_t)r->discarded == kernel.discarded);
}

/*
 * Every byte was handed over, in order, that the library has read; and on an
 * end in order every byte that came.
 */
static void
check_late(int error, const struct graceclose_opts *o)
{
	if (o->late == NULL || kernel.liar)
		return;
	must(handed == kernel.position - kernel.late_from);
	if (error == 0 && kernel.peer_fin && kernel.failures == 0 &&
	    !kernel.spilt)
		must(kernel.unread == 0);
}

/*
 * What the kernel gave as the cause of the end; it is told where nobody else
 * has taken it, and where nothing may hide it.
 */
static void
check_cause(const struct graceclose_report *r)
{
	if (kernel.liar)
		return;
	must(r->cause == 0 || r->cause == kernel.death ||
	    r->cause == kernel.unreachable ||
	    (r->cause == EPIPE && kernel.torn) ||
	    (r->cause == ECONNRESET && kernel.cut));
	if (kernel.kind == KERNEL_TCP && kernel.dead && !kernel.cut &&
	    !kernel.error_taken && kernel.unreachable == 0 &&
	    !kernel.torn && r->outcome == GRACECLOSE_WAS_RESET)
		must(r->cause == kernel.death);
}

/*
 * Until the handshake of Fast Open is over there is no count.  Another holder's
 * connect(AF_UNSPEC) leaves one of before, or none, unless getpeername(2) fails
 * just then.
 */
static void
check_unacked(const struct graceclose_report *r)
{
	int64_t n = (int64_t)r->unacked;
	bool fin = kernel.caller_fin && kernel.dead;

	if (kernel.kind == KERNEL_LOCAL)
		must(n == 0);
	if (kernel.kind != KERNEL_TCP || kernel.was_opening ||
	    kernel.uncounted || r->outcome == GRACECLOSE_INVALID ||
	    judge_forgotten() || (kernel.cut && n == 0))
		return;
	/* A layer may have handed on more since. */
	if (kernel.layer == KERNEL_NO_LAYER || kernel.fin)
		must(n >= kernel.written - kernel.acked);
	if (!kernel.cut && kernel.counted != -1)
		must(n <= kernel.counted + fin);
	if (kernel.cut && kernel.failures == 0)
		must(n <= kernel.written + fin);
}

/* What is said against what is so. */
static void
check_truth(const struct graceclose_report *r)
{
	if (judge_forgotten())
		return;
	if (r->delivered)
		must(judge_delivered());
	if (r->finished)
		must(kernel.peer_fin);
	else if (r->outcome == GRACECLOSE_WAS_RESET &&
	    kernel.kind == KERNEL_TCP && kernel.layer == KERNEL_NO_LAYER &&
	    !kernel.cut && !blind(1))
		must(!kernel.fin_first);
	check_unacked(r);
}

/* Before the clock was read once more, as it is when a close is over. */
bool
judge_ran_out(const struct graceclose_opts *o)
{
	int64_t now = kernel.clock[1];
	int whole = o->timeout_ms == 0 ? 30000 : o->timeout_ms;
	int idle = o->idle_ms == 0 ? 5000 : o->idle_ms;

	return (whole != -1 && now - kernel.started >= whole * INT64_C(1000)) ||
	    (idle != -1 && now - kernel.told_then[1] >= idle * INT64_C(1000));
}

/* For QUIET: before the two looks at the clock with which a close expires. */
static bool
knew(void)
{
	return kernel.knows != 0 && kernel.knows + 2 <= kernel.reads;
}

static bool
whole_ran_out(const struct graceclose_opts *o)
{
	int whole = o->timeout_ms == 0 ? 30000 : o->timeout_ms;

	return whole != -1 &&
	    kernel.clock[1] - kernel.started >= whole * INT64_C(1000);
}

static bool
fell_silent(const struct graceclose_opts *o)
{
	int idle = o->idle_ms == 0 ? 5000 : o->idle_ms;

	return idle != -1 &&
	    kernel.clock[1] - kernel.told_then[1] >= idle * INT64_C(1000);
}

/* The opposite: neither has, though all that was news is counted. */
bool
judge_within(const struct graceclose_opts *o)
{
	int64_t now = kernel.clock[0];
	int whole = o->timeout_ms == 0 ? 30000 : o->timeout_ms;
	int idle = o->idle_ms == 0 ? 5000 : o->idle_ms;

	return (whole == -1 || now - kernel.started < whole * INT64_C(1000)) &&
	    (idle == -1 || now - kernel.progressed < idle * INT64_C(1000));
}

/*
 * Not where a count changes for another reason than that the peer took bytes: a
 * layer that has lost some, poll(2) that AF_UNIX needs and that fails.
 */
bool
judge_counts(void)
{
	return !(kernel.layer != KERNEL_NO_LAYER && kernel.dead) &&
	    !(kernel_is_local() && kernel.failures > 0);
}

static void
check_error(int error, const struct graceclose_opts *o)
{
	switch (error) {
	case 0:
		if (!judge_truth_is_known() || judge_forgotten())
			break;
		must(kernel.refused == 0);
		must(judge_delivered());
		if (o->until == GRACECLOSE_FINISHED)
			must(kernel.peer_fin);
		else if (o->until == GRACECLOSE_QUIET && !kernel.peer_fin)
			must(fell_silent(o));
		break;
	case ECONNRESET:
		must(kernel.liar || kernel.dead || kernel.cut ||
		    kernel.torn || judge_blamed());
		break;
	case EACCES:
	case EPERM:
		must(kernel.liar || error == kernel.refused);
		break;
	case ETIMEDOUT:
		if (!kernel.liar && o->until == GRACECLOSE_QUIET && knew())
			must(whole_ran_out(o));
		/* connect(AF_UNSPEC) right behind a count makes it worthless. */
		must(kernel.liar || judge_ran_out(o) || !judge_counts() ||
		    kernel.cut);
		break;
	case EMSGSIZE:
		must(kernel.liar || (o->discard_max != 0 &&
		    (uint64_t)kernel.discarded > o->discard_max));
		break;
	case ENOTCONN:
		must(kernel.liar || kernel.kind >= KERNEL_STREAMS);
		break;
	case ENOTSOCK:
		must(kernel.liar || kernel.kind == KERNEL_PIPE ||
		    kernel.kind == KERNEL_PATH);
		break;
	case EOPNOTSUPP:
		must(kernel.liar || kernel.kind == KERNEL_DATAGRAM);
		break;
	case ECANCELED:
		break;
	case EIO:			/* of close(2) */
		must(kernel.failures > 0 || kernel.liar);
		break;
	default:
		must(kernel.liar);
	}
}

/*
 * What left: after a normal end no RST but for input that came too late to be
 * swept away, and one where the caller wants it.
 */
static void
check_wire(int error, const struct graceclose_opts *o)
{
	bool cut = error == ETIMEDOUT || error == EMSGSIZE ||
	    error == ECANCELED;

	if (!judge_truth_is_known())
		return;
	must(!kernel.garbled);
	if (kernel.refused && error == kernel.refused)
		must(!kernel.blocked && (!kernel.rst_sent || kernel.spilt));
	if (kernel.failures > 0)
		return;
	must(!kernel.blocked);
	if (cut && o->on_expiry == GRACECLOSE_RESET)
		must(kernel.rst_sent || kernel.state == TCP_CLOSE ||
		    kernel.state == TCP_LAST_ACK ||
		    kernel.state == TCP_CLOSING ||
		    kernel.kind == KERNEL_LOCAL);
	else if (kernel.rst_sent && error != EMSGSIZE)
		must(kernel.spilt && (kernel.swept > kernel.looked ||
		    kernel.partial > 0 || kernel.discarded >= SWEEP_LEAST));
}

void
judge_released(void)
{
	must(kernel.closes == (kernel.kind != KERNEL_CLOSED));
	must(kernel.others == 0);
}

void
judge_return(int r, int error)
{
	must(r == 0 || r == -1);
	must(r == -1 || error == MARK);
}

void
judge(int r, const struct graceclose_opts *o,
    const struct graceclose_report *report)
{
	int error = r == 0 ? 0 : errno;

	judge_return(r, errno);
	must(r == 0 || (error != 0 && error != MARK));
	check_error(error, o);
	judge_released();
	check_wire(error, o);
	check_late(error, o);
	if (report == NULL)
		return;
	check_report(report, error, o);
	check_cause(report);
	if (judge_truth_is_known())
		check_truth(report);
}
