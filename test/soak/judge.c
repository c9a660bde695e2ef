/*
 * judge.c - decides whether a close of the soak kept the promise
 *
 * It compares the verdict of the library with the segments that had reached our
 * kernel at the return.  Where the last look may have been earlier, it takes
 * those of MARGIN_US before as well: in between either answer is right.  A
 * return of 0 has no margin.
 *
 * Plain POSIX (GRACECLOSE_PORTABLE) shows no acknowledgements, nor whether the
 * peer's FIN ended the input.  It learns both only from the end of the whole
 * connection, counts nothing, and only data is progress.  A 0 must be as true
 * as elsewhere.
 *
 * Where the segments do not show what our kernel did (`unsure`: not one close
 * in ten thousand) the close is not judged.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "network/progress.h"
#include "soak/judge.h"
#include "support/util.h"
#include "network/link.h"

#ifdef GRACECLOSE_PORTABLE
#define SEES_ACKS	false
#else
#define SEES_ACKS	true
#endif

#define MARGIN_US	(T_SANITIZED ? 500000 : 100000)	/* a stall */
#define SLACK_US	(T_SANITIZED ? 8000000 : 2000000) /* to be late by */
#define NEVER		INT64_MAX

struct trial {
	const struct evidence	*e;
	const struct plan	*p;
	const struct closing	*c;
	const struct graceclose_report *r;
	struct progress	progress;
	struct t_proof	before, then;	/* MARGIN_US before the return; at it */
	struct t_proof	alive;		/* at the end, or the reset */
	struct t_proof	all;
	int		outcome;
	int64_t		over_us;	/* what was asked for was true */
	int64_t		reset_us;	/* one that we had to believe came */
	struct judgement *j;
};

static void __attribute__((format(printf, 2, 3)))
deny(struct trial *t, const char *fmt, ...)
{
	va_list ap;

	if (!t->j->right)
		return;
	t->j->right = false;
	va_start(ap, fmt);
	(void)vsnprintf(t->j->wrong, sizeof(t->j->wrong), fmt, ap);
	va_end(ap);
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t
later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Times as they are told: from the beginning of the close. */
static double
ms(const struct trial *t, int64_t us)
{
	return (double)(us - t->c->start_us) / 1000;
}

static int64_t
elapsed(const struct trial *t)
{
	return t->c->end_us - t->c->start_us;
}

/* Cut by us, as on_expiry says. */
static bool
cut(const struct trial *t)
{
	return t->outcome == GRACECLOSE_EXPIRED ||
	    t->outcome == GRACECLOSE_FLOODED ||
	    t->outcome == GRACECLOSE_ABORTED;
}

static bool
may_reset(const struct trial *t)
{
	return t->p->way.form == F_ABORT ||
	    (cut(t) && t->p->way.opts.on_expiry == GRACECLOSE_RESET);
}

/*
 * The rules, each for itself
 */

/* The value, errno and the report say the same. */
static void
agrees(struct trial *t)
{
	const struct graceclose_report *r = t->r;

	if (t->outcome == -1)
		deny(t, "returned %d with errno %s", t->c->value,
		    t_errno(t->c->error));
	if (t->c->value == 0 && t->c->error != T_ERRNO_UNTOUCHED)
		deny(t, "success set errno to %s", t_errno(t->c->error));
	if (r == NULL)
		return;
	if (r->outcome != t->outcome ||
	    r->error != (t->c->value == 0 ? 0 : t->c->error))
		deny(t, "outcome %d and error %s are reported of outcome %d",
		    r->outcome, t_errno(r->error), t->outcome);
	if ((r->delivered | 1) != 1 || (r->finished | 1) != 1 ||
	    r->reserved0 != 0 || r->reserved != 0)
		deny(t, "fields of the report are out of range");
	if (r->delivered == 1 && r->unacked != 0)
		deny(t, "delivered, but %" PRIu64 " unacked", r->unacked);
	if (t->outcome == GRACECLOSE_OK && (r->delivered == 0 ||
	    (t->p->way.opts.until == GRACECLOSE_FINISHED && r->finished == 0)))
		deny(t, "0 and a report of %d delivered, %d finished",
		    r->delivered, r->finished);
}

static void
releases(struct trial *t)
{
	if (!t->c->released)
		deny(t, "the descriptor is not released");
}

static bool
delivered_by(const struct trial *t, const struct t_proof *proof)
{
	return proof->acked == t->e->written && (proof->fin_acked ||
	    (SEES_ACKS && proof->fin_answered));
}

/*
 * 0 only if.  Where our own write or read took the error away, a reset behind
 * the peer's FIN looks like an end in order; peer_closed(3) describes that.
 */
static void
zero_is_true(struct trial *t)
{
	if (t->outcome != GRACECLOSE_OK || t->p->way.form == F_ABORT)
		return;
	if (t->e->disturbed && t->then.acked == t->e->written &&
	    t->all.rst_reached)
		return;
	if (!delivered_by(t, &t->then))
		deny(t, "0, but %" PRIu64 " of %" PRIu64 " bytes were "
		    "acknowledged, our FIN %s", t->then.acked, t->e->written,
		    t->then.fin_acked ? "too" : "not");
	if (t->p->way.opts.until == GRACECLOSE_FINISHED && !t->then.fin_here)
		deny(t, "0, but the peer had not finished");
	if (t->e->heard && !(SEES_ACKS && t->then.fin_answered ?
	    t->e->heard_all : t->e->heard_right))
		deny(t, "0, but the peer has not every byte and our FIN");
}

/* The flags of the report have to be true for themselves. */
static void
flags_are_true(struct trial *t)
{
	const struct graceclose_report *r = t->r;

	if (r == NULL || t->e->disturbed)
		return;
	if (r->delivered == 1 && !delivered_by(t, &t->then))
		deny(t, "delivered is not true");
	if (r->finished == 1 && !t->then.fin_here)
		deny(t, "finished is not true");
}

/* And what is true has to be reported, but for what came last. */
static void
flags_are_told(struct trial *t)
{
	const struct graceclose_report *r = t->r;

	if (r == NULL || t->e->disturbed)
		return;
	if (SEES_ACKS && r->delivered == 0 && delivered_by(t, &t->before))
		deny(t, "delivered is true, and not reported");
	if (SEES_ACKS && r->finished == 0 &&
	    t->outcome == GRACECLOSE_EXPIRED && t->before.fin_taken)
		deny(t, "finished is true, and not reported");
}

/* The first of the limits, were there no more progress after that. */
static int64_t
limit(const struct trial *t, int64_t progress_us)
{
	int64_t end = NEVER;

	if (plan_timeout_ms(t->p) != -1)
		end = t->c->start_us + (int64_t)plan_timeout_ms(t->p) * 1000;
	if (plan_idle_ms(t->p) != -1)
		end = earlier(end, progress_us +
		    (int64_t)plan_idle_ms(t->p) * 1000);
	return end;
}

/* Whether nothing kept the library from seeing that all was over in time. */
static bool
had_a_chance(const struct trial *t)
{
	int64_t over = later(t->over_us, t->c->start_us);
	int64_t idle = plan_idle_ms(t->p);

	if (t->over_us == NEVER || t->c->cancelled)
		return false;
	if (plan_timeout_ms(t->p) != -1 && over + MARGIN_US >
	    t->c->start_us + (int64_t)plan_timeout_ms(t->p) * 1000)
		return false;
	return idle == -1 || (t->progress.whole &&
	    progress_gap(&t->progress, t->c->start_us, over) + MARGIN_US <
	    idle * 1000);
}

static bool
overrun(const struct trial *t)
{
	return t->p->way.opts.discard_max != 0 &&
	    t->progress.came - t->e->read > t->p->way.opts.discard_max;
}

/* 0 if. */
static void
truth_is_told(struct trial *t)
{
	if (t->outcome == GRACECLOSE_OK || t->p->way.form == F_ABORT ||
	    !had_a_chance(t) || overrun(t))
		return;
	deny(t, "%s, but all was over after %.1f ms", t_errno(t->c->error),
	    ms(t, t->over_us));
}

/* Each failure has its cause. */
static void
failure_is_true(struct trial *t)
{
	switch (t->outcome) {
	case GRACECLOSE_WAS_RESET:
		if (t->reset_us > t->c->end_us)
			deny(t, "ECONNRESET, and no reset came");
		break;
	case GRACECLOSE_FLOODED:
		if (!overrun(t))
			deny(t, "EMSGSIZE, and only %" PRIu64 " bytes came",
			    t->progress.came);
		break;
	case GRACECLOSE_ABORTED:
		if (!t->c->cancelled ||
		    elapsed(t) < (int64_t)t->p->way.cancel_ms * 1000)
			deny(t, "ECANCELED, and the caller did not cancel");
		break;
	}
}

static void
unacked_is_exact(struct trial *t)
{
	uint64_t low, high;

	if (t->r == NULL || t->e->disturbed || !SEES_ACKS)
		return;
	low = t->e->written - t->then.acked;
	high = t->e->written - t->before.acked;
	if (t->r->unacked < low || t->r->unacked > high)
		deny(t, "unacked is %" PRIu64 ", and not %" PRIu64 " to %"
		    PRIu64, t->r->unacked, low, high);
}

/*
 * Of what came, all that was not read before.  The acknowledgements of our
 * kernel are exact where the peer's FIN is among them.
 */
static void
discarded_is_exact(struct trial *t)
{
	uint64_t n, taken = t->all.taken - t->e->read;

	if (t->r == NULL || !t->progress.whole)
		return;
	n = t->r->discarded;
	if (n > t->progress.came - t->e->read)
		deny(t, "%" PRIu64 " bytes discarded, %" PRIu64 " came", n,
		    t->progress.came - t->e->read);
	if (t->outcome == GRACECLOSE_EXPIRED &&
	    n + t->e->read < t->before.taken)
		deny(t, "%" PRIu64 " bytes discarded, %" PRIu64 " were here",
		    n, t->before.taken - t->e->read);
	if (t->r->finished == 1 && !t->all.rst_reached && n != taken &&
	    t->outcome != GRACECLOSE_FLOODED)
		deny(t, "%" PRIu64 " bytes discarded, not %" PRIu64, n, taken);
	if (t->outcome == GRACECLOSE_FLOODED && n <= t->p->way.opts.discard_max)
		deny(t, "flooded with %" PRIu64 " bytes", n);
	if (t->outcome == GRACECLOSE_OK && t->p->way.opts.discard_max != 0 &&
	    t->p->way.opts.until == GRACECLOSE_FINISHED &&
	    n > t->p->way.opts.discard_max)
		deny(t, "not flooded with %" PRIu64 " bytes", n);
}

static void
expiry_is_not_early(struct trial *t)
{
	int64_t progress;

	if (t->outcome != GRACECLOSE_EXPIRED || !t->progress.whole)
		return;
	progress = progress_last(&t->progress, true, t->c->start_us,
	    t->c->end_us - MARGIN_US);
	if (t->c->end_us < limit(t, progress))
		deny(t, "expired after %.1f ms, progress at %.1f ms",
		    ms(t, t->c->end_us), ms(t, progress));
}

static void
nothing_is_late(struct trial *t)
{
	int64_t end = limit(t, progress_last(&t->progress, false,
	    t->c->start_us, t->c->end_us));

	if (t->c->cancelled)
		end = t->c->start_us + (int64_t)t->p->way.cancel_ms * 1000;
	end = earlier(end, later(t->over_us, t->c->start_us));
	end = earlier(end, later(t->reset_us, t->c->start_us));
	if (end == NEVER || !t->progress.whole)
		return;
	t->j->timely = true;
	t->j->late_us = t->c->end_us - end;
	if (t->j->late_us > SLACK_US)
		deny(t, "returned after %.1f ms instead of %.1f",
		    ms(t, t->c->end_us), ms(t, end));
}

static void
no_loop_spins(struct trial *t)
{
	struct t_counts n;

	t_link_counts(&n);
	if (t->c->turns > closing_turns(t->c, &n))
		deny(t, "the loop turned %u times", t->c->turns);
}

static void
time_is_told(struct trial *t)
{
	int64_t told;

	if (t->r == NULL)
		return;
	told = (int64_t)t->r->elapsed_us;
	if (told > elapsed(t))
		deny(t, "elapsed_us %" PRId64 " of %" PRId64, told,
		    elapsed(t));
	if (told + SLACK_US < elapsed(t))
		deny(t, "elapsed_us only %" PRId64 " of %" PRId64, told,
		    elapsed(t));
	if (t->outcome == GRACECLOSE_EXPIRED &&
	    told < limit(t, t->c->start_us) - t->c->start_us)
		deny(t, "expired in %" PRId64 " us", told);
}

/*
 * A kernel sends RST for a connection that is over or closed when something
 * comes for it (RFC 9293, 3.10.7), and at close for what is left unread.  What
 * Linux keeps of a closed one in FIN_WAIT2 believes any RST, exact or not, and
 * is gone then (tcp_timewait_state_process()).
 */
static bool
rst_is_natural(const struct trial *t)
{
	int64_t us = t->progress.rst_us, closing = t->c->end_us - MARGIN_US;
	struct t_proof at;

	t_link_proof(&at, us);
	return (at.fin_acked && at.fin_taken) || t->reset_us <= us ||
	    (us >= closing && t->outcome == GRACECLOSE_FLOODED) ||
	    (us >= closing && (t->progress.late_us >= closing ||
	    t->progress.any_rst_us >= closing));
}

static void
rst_is_allowed(struct trial *t)
{
	if (t->progress.rst_us != NEVER && !may_reset(t) && !rst_is_natural(t))
		deny(t, "an RST left after %.1f ms",
		    ms(t, t->progress.rst_us));
}

/*
 * It must have left where the options say so, unless the peer's FIN was here:
 * then Linux sends none for an acknowledgement that is all that is missing
 * (abort_close(3)).
 */
static void
rst_is_sent(struct trial *t)
{
	if (!may_reset(t) || t->all.rst_sent || t->reset_us != NEVER ||
	    t->e->disturbed)
		return;
	if (t->p->way.form == F_ABORT || !t->progress.fin_came)
		deny(t, "no RST was sent");
}

/*
 * A stall of the machine can break those that are timed; no stall makes a 0
 * false.  So the others come first.
 */
static const struct {
	void	(*apply)(struct trial *);
	bool	timed;
} rules[] = {
	{ agrees,		false },
	{ releases,		false },
	{ zero_is_true,		false },
	{ flags_are_true,	false },
	{ failure_is_true,	false },
	{ no_loop_spins,	false },
	{ rst_is_allowed,	false },
	{ truth_is_told,	true },
	{ flags_are_told,	true },
	{ unacked_is_exact,	true },
	{ discarded_is_exact,	true },
	{ expiry_is_not_early,	true },
	{ nothing_is_late,	true },
	{ time_is_told,		true },
	{ rst_is_sent,		true }
};

int
judge_outcome(const struct closing *c)
{
	int outcome;

	if (c->value == 0)
		return GRACECLOSE_OK;
	if (c->value != -1 || c->error == 0)
		return -1;
	outcome = t_outcome(c->error);
	return outcome == GRACECLOSE_INVALID ? -1 : outcome;
}

/*
 * When what was asked for became true, if no reset was before it.  What plain
 * POSIX can know it knows at the end of both sides.
 */
static int64_t
over(const struct trial *t)
{
	bool both = t->p->way.opts.until == GRACECLOSE_FINISHED || !SEES_ACKS;

	if (!delivered_by(t, &t->alive) || (both && !t->alive.fin_taken))
		return NEVER;
	if (!t->alive.fin_acked)
		return t->reset_us;
	return both ? later(t->alive.fin_acked_us, t->alive.fin_taken_us) :
	    t->alive.fin_acked_us;
}

/*
 * After a reset our kernel takes nothing any more.  What came in the same
 * microsecond, but before it, it has taken.
 */
static void
proof_until(const struct trial *t, struct t_proof *proof, int64_t us)
{
	t_link_proof(proof, earlier(us, t->reset_us));
}

void
judge(const struct evidence *e, struct judgement *j)
{
	struct trial t = { .e = e, .p = e->plan, .c = e->closing, .j = j };
	size_t i;

	*j = (struct judgement){ .right = true };
	/* There a reset whose error is gone looks like any other end. */
	if (e->disturbed && !SEES_ACKS)
		return;
	t_link_proof(&t.all, NEVER);
	if (t.all.unsure)
		return;
	progress_read(&t.progress, SEES_ACKS);
	t.reset_us = t.all.rst_reached ? t.all.rst_reached_us : NEVER;
	proof_until(&t, &t.alive, NEVER);
	proof_until(&t, &t.then, t.c->end_us);
	proof_until(&t, &t.before, t.c->end_us - MARGIN_US);
	t.r = closing_reports(t.p->way.form) ? &t.c->report : NULL;
	t.outcome = judge_outcome(t.c);
	t.over_us = over(&t);
	for (i = 0; i < sizeof(rules) / sizeof(rules[0]) && j->right; i++) {
		rules[i].apply(&t);
		j->timed = rules[i].timed;
	}
}
