/*
 * verdict.c - how a close ends: 0 or -1, and what the report says
 *
 * A close has succeeded when two things are known, each by itself: our FIN is
 * acknowledged (delivered), and the peer's FIN arrived (finished).  EOF alone
 * says nothing of delivery, as the peer may have half-closed before our data
 * reached it; delivery alone does not say that the peer has finished.
 */
#include <sys/types.h>

#include <errno.h>
#include <string.h>

#include "closer.h"
#include "graceclose.h"
#include "kernel/kernel.h"

#define SWEEP_MAX	((size_t)1 << 25)	/* a full receive buffer */

bool
graceclose_reached(const struct graceclose *gc)
{
	return gc->delivered &&
	    (gc->finished || gc->until == GRACECLOSE_DELIVERED);
}

bool
graceclose_flooded(const struct graceclose *gc)
{
	return gc->discard_max != 0 && gc->discarded > gc->discard_max;
}

void
graceclose_over(struct graceclose *gc, int outcome, int error)
{
	gc->phase = OVER;
	gc->outcome = (unsigned char)outcome;
	gc->error = error;
	gc->wake = 0;
	if (gc->started != 0)
		gc->ended = graceclose_tcp_clock();
}

int64_t
graceclose_count(struct graceclose *gc)
{
	int64_t outq = graceclose_tcp_outq(gc->fd, gc->kind);

	if (outq >= 0)
		gc->unacked = (uint64_t)outq;
	if (outq > 0 && (gc->flags & HALF_CLOSED) != 0)
		gc->unacked--;
	return outq;
}

/* A layer above TCP still held bytes when the FIN went. */
static bool
torn(const struct graceclose *gc, int error)
{
	return error == EPIPE && gc->kind == GRACECLOSE_KIND_LAYERED;
}

/*
 * The error is told once; a last look would find nothing of it any more.  A
 * layer above TCP may tell it when our FIN is acknowledged long since.
 */
static void
cut_off(struct graceclose *gc, int error)
{
	(void)graceclose_count(gc);
	gc->delivered = 0;
	gc->cause = error;
	graceclose_over(gc, GRACECLOSE_WAS_RESET, ECONNRESET);
}

/*
 * Where SIOCOUTQ of 0 may hide a loss an error tells of it.  A layer above TCP
 * is told EPIPE when it hands on bytes behind our FIN; the peer of AF_UNIX that
 * closes throws away what it has not read, but leaves ECONNRESET here first
 * (unix_release_sock()).  True: there was an error.
 */
static bool
in_doubt(struct graceclose *gc)
{
	int error;

	if (gc->kind != GRACECLOSE_KIND_LAYERED &&
	    gc->kind != GRACECLOSE_KIND_LOCAL)
		return false;
	if ((error = graceclose_tcp_take_error(gc->fd)) <= 0)
		return false;
	if (gc->kind == GRACECLOSE_KIND_LOCAL || torn(gc, error)) {
		cut_off(gc, error);
	} else if (!graceclose_tcp_goes_on(gc->fd, gc->kind)) {
		gc->cause = error;
		gc->flags |= MISSED;	/* bury() will need both */
	}
	return true;
}

/*
 * Our FIN is the last of the bytes, so it is among the unacknowledged ones
 * until the count is 0, and none can be added.  A count that grew is not that
 * of this connection any more; nor is one that another holder's
 * connect(AF_UNSPEC) started anew.
 */
bool
graceclose_acknowledge(struct graceclose *gc, bool early)
{
	uint64_t before = gc->unacked;
	bool fin = (gc->flags & HALF_CLOSED) != 0;
	int64_t outq;

	outq = graceclose_tcp_outq(gc->fd, gc->kind);
	if (outq == 0 && in_doubt(gc)) {
		gc->unacked = 0;
		return false;
	}
	if (outq == 0 && fin && !gc->finished && (gc->flags & COUNTED) == 0) {
		/* The state, then the count: the handshake may end between. */
		if (early || graceclose_tcp_opening(gc->fd, gc->kind))
			return false;
		outq = graceclose_tcp_outq(gc->fd, gc->kind);
	}
	if (graceclose_tcp_forgot(gc->fd, gc->kind))
		return false;
	if (outq > 0 && fin && gc->kind != GRACECLOSE_KIND_LOCAL)
		outq--;
	else if (outq == 0 && fin && (gc->flags & WITHHELD) == 0)
		gc->delivered = 1;
	if (outq < 0 || ((gc->flags & COUNTED) != 0 &&
	    (uint64_t)outq >= before))
		return gc->delivered;
	if (outq > 0 && graceclose_tcp_anew(gc->fd))
		return false;
	gc->flags |= COUNTED;
	gc->unacked = (uint64_t)outq;
	return gc->delivered || gc->unacked != before;
}

/* The last look is taken while the descriptor can still be asked. */
void
graceclose_fail(struct graceclose *gc, int outcome, int error)
{
	if (gc->delivered)
		(void)in_doubt(gc);	/* a layer may have told since */
	else if (outcome != GRACECLOSE_WAS_RESET ||
	    graceclose_tcp_remembers(gc->fd, gc->kind))
		(void)graceclose_acknowledge(gc, false);
	if (gc->phase == OVER && outcome != GRACECLOSE_INVALID &&
	    outcome != GRACECLOSE_ABORTED)	/* by what that look found */
		return;
	if (graceclose_reached(gc) && outcome != GRACECLOSE_ABORTED)
		graceclose_over(gc, GRACECLOSE_OK, 0);
	else
		graceclose_over(gc, outcome, error);
}

int
graceclose_sweep(struct graceclose *gc)
{
	size_t swept = 0;
	ssize_t n = 1;

	while (swept < SWEEP_MAX && n > 0) {
		n = graceclose_input(gc, STEP_MAX);
		if (n > 0)
			swept += (size_t)n;
	}
	return n == -1 && (errno == ECONNRESET || torn(gc, errno)) ? errno : 0;
}

/* Both FINs were acknowledged, or ours has been answered. */
static void
ended(struct graceclose *gc)
{
	gc->delivered = gc->finished = 1;
	gc->unacked = 0;
	gc->cause = 0;
	if (graceclose_flooded(gc) && gc->until != GRACECLOSE_DELIVERED)
		graceclose_over(gc, GRACECLOSE_FLOODED, EMSGSIZE);
	else
		graceclose_over(gc, GRACECLOSE_OK, 0);
}

/*
 * Whether the RST is the answer to our FIN of a peer that has forgotten the
 * connection: its FIN_WAIT2 timed out, or its TIME_WAIT table is full.  An RST
 * that came first made shutdown(2) fail, and there is no FIN of ours.
 */
static bool
only_answered(const struct graceclose *gc)
{
	return gc->finished && gc->unacked == 0 &&
	    (gc->flags & (HALF_CLOSED | COUNTED | WITHHELD)) ==
	    (HALF_CLOSED | COUNTED) &&
	    graceclose_tcp_fin_left(gc->fd, gc->kind);
}

/* The peer's FIN may have come before the reset, and recv saw the reset. */
static void
lost(struct graceclose *gc, int error)
{
	if (error > 0)
		gc->cause = error;
	if (graceclose_tcp_at_end(gc->fd, gc->kind))
		gc->finished = 1;
	graceclose_fail(gc, GRACECLOSE_WAS_RESET, ECONNRESET);
	if (error == ECONNRESET && gc->outcome == GRACECLOSE_WAS_RESET &&
	    graceclose_tcp_remembers(gc->fd, gc->kind) && only_answered(gc))
		ended(gc);
}

/*
 * What is unread is taken first, since it hides whether a FIN or a reset came
 * behind it.
 */
void
graceclose_bury(struct graceclose *gc)
{
	int error = graceclose_tcp_take_error(gc->fd);
	int swept = graceclose_sweep(gc);

	if (error == 0)
		error = swept != 0 ? swept : gc->cause;
	if (torn(gc, error)) {
		cut_off(gc, error);
		return;
	}
	switch (graceclose_tcp_state_of_gone(gc->fd, gc->kind, error != 0,
	    (gc->flags & (HALF_CLOSED | MISSED)) == HALF_CLOSED)) {
	case GRACECLOSE_STATE_ENDED:
		ended(gc);
		break;
	case -1:
		graceclose_over(gc, GRACECLOSE_INVALID, ENOTCONN);
		break;
	default:
		lost(gc, error);
	}
}

void
graceclose_refused(struct graceclose *gc, int error)
{
	switch (error) {
	case EAGAIN:
#if EWOULDBLOCK != EAGAIN
	case EWOULDBLOCK:
#endif
		break;
	case EINTR:
	case ENOBUFS:
	case ENOMEM:
	case EACCES:		/* a sandbox refuses it */
	case EPERM:
	case ENOSYS:
	case EFAULT:		/* a layer has it, and cannot give it */
	case EINVAL:
	case EIO:
	case EBADMSG:
		gc->flags |= MISSED;
		break;
	case ENOTCONN:
		graceclose_bury(gc);
		break;
	default:
		if (torn(gc, error))
			cut_off(gc, error);
		else if (graceclose_tcp_goes_on(gc->fd, gc->kind))
			gc->flags |= MISSED;
		else if (graceclose_tcp_was_connected(gc->fd, gc->kind))
			lost(gc, error);
		else
			graceclose_over(gc, GRACECLOSE_INVALID, ENOTCONN);
	}
}

int
graceclose_verdict(const struct graceclose *gc, int saved)
{
	errno = saved;
	if (gc->phase == GOING)
		return 1;
	if (gc->error == 0)
		return 0;
	errno = gc->error;
	return -1;
}

void
graceclose_fill(const struct graceclose *gc, struct graceclose_report *report)
{
	memset(report, 0, sizeof(*report));
	report->outcome = gc->outcome;
	report->error = gc->error;
	report->delivered = gc->delivered;
	report->finished = gc->finished;
	/* AF_UNIX counts buffers there, not bytes. */
	if (gc->kind != GRACECLOSE_KIND_LOCAL)
		report->unacked = gc->unacked;
	report->discarded = gc->discarded;
	report->elapsed_us = (uint64_t)(gc->ended - gc->started);
	report->cause = gc->cause;
}

void
graceclose_no_close(struct graceclose_report *report, int error)
{
	if (report == NULL)
		return;
	memset(report, 0, sizeof(*report));
	report->outcome = GRACECLOSE_INVALID;
	report->error = error;
}
