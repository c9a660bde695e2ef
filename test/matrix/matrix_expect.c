/*
 * matrix_expect.c - the oracle
 */
#include <sys/types.h>

#include <errno.h>
#include <string.h>

#include "matrix/matrix_expect.h"

#define SLACK_MS	4000		/* of a machine that has other work */

static int
later_of(int a, int b)
{
	return a > b ? a : b;
}

static int
earlier_of(int a, int b)
{
	return a < b ? a : b;
}

/*
 * When delivery is known.  "In builds for plain POSIX delivered is known only
 * when the connection has ended altogether."
 */
static int
delivered_at(const struct m_peer *p)
{
	return M_COUNTS ? p->delivered : later_of(p->delivered, p->finished);
}

/*
 * "Delivered: our FIN and every byte before it were acknowledged.  Finished:
 * the peer's FIN arrived."  When what was asked for is reached.
 */
static int
reached_at(const struct graceclose_opts *o, const struct m_peer *p)
{
	return o->until == GRACECLOSE_DELIVERED ? delivered_at(p) :
	    later_of(delivered_at(p), p->finished);
}

/*
 * idle_ms is "without an acknowledgement or input", and a FIN is input: when
 * it runs out first.
 */
static int
idle_at(const struct graceclose_opts *o, const struct m_peer *p)
{
	int first = earlier_of(delivered_at(p), p->finished);
	int second = later_of(delivered_at(p), p->finished);
	int last = M_COUNTS && (p->ways & M_HALFWAY) != 0 ?
	    p->delivered / 2 : 0;

	if (o->idle_ms == -1 || (p->ways & M_ENDLESS) != 0)
		return M_NEVER;
	if (first != M_NEVER && first - last < o->idle_ms)
		last = later_of(first, 0);
	if (second != M_NEVER && second - last < o->idle_ms)
		last = later_of(second, 0);
	return last + o->idle_ms;
}

static int
expires_at(const struct graceclose_opts *o, const struct m_peer *p)
{
	return earlier_of(idle_at(o, p),
	    o->timeout_ms == -1 ? M_NEVER : o->timeout_ms);
}

/* Input comes before the FIN behind it, and so do its bytes beyond the cap. */
static int
flooded_at(const struct graceclose_opts *o, const struct m_peer *p)
{
	bool more = (p->ways & M_FLOODS) != 0 ||
	    p->before + p->late > o->discard_max;

	return o->discard_max != 0 && more ? 0 : M_NEVER;
}

/* Which of the four comes first, and when. */
static int
decide(const struct graceclose_opts *o, const struct m_peer *p, int *at)
{
	const struct {
		int	outcome;
		int	at;
	} ends[] = {
		{ GRACECLOSE_FLOODED, flooded_at(o, p) },
		{ GRACECLOSE_OK, reached_at(o, p) },
		{ GRACECLOSE_WAS_RESET, p->reset },
		{ GRACECLOSE_EXPIRED, expires_at(o, p) }
	};
	size_t i, first = 0;

	for (i = 1; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (ends[i].at < ends[first].at)
			first = i;
	*at = ends[first].at;
	return ends[first].outcome;
}

/*
 * "The peer's FIN was seen": not one behind input that was not accepted, and
 * one that comes when the wait is over by another cause is a matter of luck.
 */
static int
finishes(const struct graceclose_opts *o, const struct m_peer *p, int outcome,
    int at)
{
	if (o->until == GRACECLOSE_DELIVERED && outcome == GRACECLOSE_OK &&
	    p->finished == at)
		return M_EITHER;
	return p->finished <= at && outcome != GRACECLOSE_FLOODED;
}

/*
 * An RST of ours is what a cut with GRACECLOSE_RESET sends, and what the kernel
 * answers input with that nobody will read.  In LAST_ACK and CLOSING, with
 * everything sent already, it sends none: see abort_close(3).  An inexact RST
 * ends what is left of FIN_WAIT2 after a close(2), unlike FIN_WAIT2 before it,
 * and the FIN behind it then finds nothing (tcp_timewait_state_process()).
 */
static int
resets(const struct graceclose_opts *o, const struct m_peer *p,
    const struct m_expected *e)
{
	bool input = (p->ways & (M_ENDLESS | M_CHALLENGED)) != 0 ||
	    p->late != 0;

	switch (e->outcome) {
	case GRACECLOSE_OK:
		return input && e->finished != 1 ? M_EITHER : 0;
	case GRACECLOSE_WAS_RESET:
		return 0;
	case GRACECLOSE_FLOODED:
		/* Both FINs may be here: nothing is left to reset. */
		return p->finished == M_NEVER ? 1 : M_EITHER;
	}
	if (o->on_expiry == GRACECLOSE_RESET)
		return !e->finished || (p->ways & M_SHUT) != 0;
	return (p->ways & M_ENDLESS) != 0 ? M_EITHER : 0;
}

/* "Late input thrown away": all of it, unless the close was over before. */
static void
discards(const struct graceclose_opts *o, const struct m_peer *p,
    struct m_expected *e)
{
	e->discarded_least = e->discarded_most = p->before + p->late;
	if (e->outcome == GRACECLOSE_FLOODED)
		e->discarded_least = o->discard_max + 1;
	if (e->outcome == GRACECLOSE_OK && e->finished != 1)
		e->discarded_least = p->before;
	if ((p->ways & M_ENDLESS) != 0)
		e->discarded_most = UINT64_MAX;
}

bool
m_ends(const struct m_form *f, const struct m_peer *p)
{
	struct graceclose_opts o = m_opts(f);
	int at;

	(void)decide(&o, p, &at);
	return at != M_NEVER;
}

static void
expect_abort(const struct m_peer *p, struct m_expected *e)
{
	memset(e, 0, sizeof(*e));
	e->error = T_ERRNO_UNTOUCHED;
	e->most_ms = (int64_t)SLACK_MS * m_slow();
	e->reset = p->reset != M_BEFORE;
	if ((p->ways & M_AT_ONCE) != 0)
		e->reset = M_EITHER;
}

void
m_expect(const struct m_form *f, const struct m_peer *p, struct m_expected *e)
{
	static const int errors[] = { 0, ECONNRESET, ETIMEDOUT, EMSGSIZE };
	struct graceclose_opts o = m_opts(f);
	int at;

	if (m_aborts(f)) {
		expect_abort(p, e);
		return;
	}
	memset(e, 0, sizeof(*e));
	e->outcome = decide(&o, p, &at);
	e->reported = errors[e->outcome];
	e->value = e->reported == 0 ? 0 : -1;
	e->error = e->value == 0 ? T_ERRNO_UNTOUCHED : e->reported;
	e->delivered = delivered_at(p) <= at;
	e->finished = finishes(&o, p, e->outcome, at);
	e->unacked = e->delivered ? 0 : (uint64_t)(M_WRITTEN - p->acks);
	e->least_ms = later_of(at, 0);
	e->most_ms = e->least_ms + (int64_t)SLACK_MS * m_slow();
	e->reset = resets(&o, p, e);
	e->later = e->outcome == GRACECLOSE_EXPIRED &&
	    o.on_expiry == GRACECLOSE_DETACH && (p->ways & M_WAKES) != 0;
	discards(&o, p, e);
	/* Before the end it knows of neither: the segments are the judge. */
	if (!M_COUNTS && e->outcome != GRACECLOSE_OK)
		e->delivered = e->finished = M_EITHER;
}
