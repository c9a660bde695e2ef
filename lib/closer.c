/*
 * closer.c - the one state machine: half-close, drain, wait, close
 *
 * A step looks for late input and for acknowledgements; verdict.c says what
 * they mean.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>

#include "closer.h"
#include "graceclose.h"
#include "kernel/kernel.h"

#define TIMEOUT_MS	30000
#define IDLE_MS		5000
#define SETTLED		4		/* looks, with nothing to send */

static bool
valid(const struct graceclose_opts *o)
{
	return (o->until == GRACECLOSE_FINISHED ||
	    o->until == GRACECLOSE_DELIVERED ||
	    o->until == GRACECLOSE_QUIET) &&
	    (o->on_expiry == GRACECLOSE_DETACH ||
	    o->on_expiry == GRACECLOSE_RESET) &&
	    o->timeout_ms >= -1 && o->idle_ms >= -1 &&
	    (o->flags & ~GRACECLOSE_EDGES) == 0 && o->reserved == 0;
}

/* How much a recv may take: one byte beyond the cap shows that it is passed. */
static size_t
allowance(const struct graceclose *gc, size_t left)
{
	uint64_t room;

	if (gc->discard_max == 0)
		return left;
	room = gc->discard_max - gc->discarded;
	return room < left - 1 ? (size_t)room + 1 : left;
}

/* What the last recv(2) returned, with errno, says of the input. */
static void
heed(struct graceclose *gc, ssize_t n)
{
	bool missed = (gc->flags & MISSED) != 0;

	gc->flags &= (unsigned char)~(MORE | MISSED | FAILING);
	if (graceclose_flooded(gc))
		graceclose_fail(gc, GRACECLOSE_FLOODED, EMSGSIZE);
	else if (n > 0)
		gc->flags |= MORE;
	else if (n == -1)
		graceclose_refused(gc, errno);
	else if (graceclose_tcp_finished(gc->fd, gc->kind))
		gc->finished = 1;
	else
		gc->flags |= DEAF;
	if (missed && (gc->flags & MISSED) != 0)
		gc->flags |= FAILING;
}

/* Takes late input, a bounded amount; true where any came. */
static bool
drain(struct graceclose *gc)
{
	size_t left = STEP_MAX;
	ssize_t n = 1;

	/* A recv that fails may cause the next event by itself. */
	if ((gc->flags & FAILING) != 0 && graceclose_tcp_clock() < gc->wake)
		return false;
	/* After a step without progress the FIN is the likeliest news. */
	if ((gc->flags & STALLED) != 0 && gc->until != GRACECLOSE_DELIVERED &&
	    graceclose_tcp_at_end(gc->fd, gc->kind)) {
		gc->flags &= (unsigned char)~MORE;
		gc->finished = 1;
		return true;
	}
	while (left > 0 && n > 0 && !graceclose_flooded(gc)) {
		n = graceclose_input(gc, allowance(gc, left));
		if (n > 0)
			left -= (size_t)n;
	}
	heed(gc, n);
	return left < STEP_MAX || gc->finished;
}

/*
 * Two steps in a row without progress: POLLERR, which cannot be masked.  Or a
 * layer says that there is input, and gives none.
 */
static void
clear_notices(struct graceclose *gc, bool progress)
{
	if (progress) {
		gc->flags &= (unsigned char)~STALLED;
		return;
	}
	if ((gc->flags & STALLED) != 0) {
		graceclose_tcp_skip_notice(gc->fd, gc->kind);
		if (gc->kind == GRACECLOSE_KIND_LAYERED &&
		    graceclose_tcp_clock() < gc->wake)
			gc->flags |= MISSED | FAILING;
	}
	gc->flags |= STALLED;
}

static void
take(struct graceclose *gc, int fd, const struct graceclose_opts *o)
{
	gc->fd = fd;
	gc->phase = GOING;
	gc->until = (unsigned char)o->until;
	gc->on_expiry = (unsigned char)o->on_expiry;
	gc->timeout_ms = o->timeout_ms != 0 ? o->timeout_ms : TIMEOUT_MS;
	gc->idle_ms = o->idle_ms != 0 ? o->idle_ms : IDLE_MS;
	gc->discard_max = o->discard_max;
	gc->late = o->late;
	gc->arg = o->arg;
	gc->options = o->flags;
	if (!gc->finished)		/* else it may be over at once */
		gc->started = gc->progressed = graceclose_tcp_clock();
}

/*
 * Sends the FIN.  Where something forbids that, its errno is the answer; where
 * the connection has ended before, its end is.
 */
static void
half_close(struct graceclose *gc)
{
	if (shutdown(gc->fd, SHUT_WR) == 0)
		gc->flags |= HALF_CLOSED;
	else if (errno == ENOTCONN)
		graceclose_bury(gc);
	else
		graceclose_fail(gc, GRACECLOSE_INVALID, errno);
}

/*
 * A layer above TCP sends what it holds once TCP has room, at a time that
 * nobody tells; SHUT_WR would destroy it.  So the FIN goes when TCP has had
 * nothing to send at some looks in a row.  Behind a FIN of the program's own
 * that is time to tell of the loss.  True: the count has changed.
 */
static bool
settle(struct graceclose *gc)
{
	uint64_t before = gc->unacked;
	int64_t now;
	int pushed;

	if (graceclose_count(gc) != 0) {
		gc->flushed = gc->looks = 0;
		return gc->unacked != before;
	}
	now = graceclose_tcp_clock();
	if (gc->looks == 0) {
		gc->flushed = now;
		if ((pushed = graceclose_tcp_push(gc->fd)) == -1)
			graceclose_refused(gc, EPIPE);
		else
			gc->looks = (unsigned char)pushed;
	} else if (now - gc->flushed >= SETTLED_MS * INT64_C(1000)) {
		gc->flushed = now;
		gc->looks++;
	}
	if (gc->looks > SETTLED) {
		gc->flags &= (unsigned char)~(WITHHELD | HALF_CLOSED);
		gc->flushed = 0;
		half_close(gc);
	}
	return gc->unacked != before;
}

int
graceclose_begin(struct graceclose *gc, int fd,
    const struct graceclose_opts *opts)
{
	static const struct graceclose_opts defaults;
	const struct graceclose_opts *o = opts != NULL ? opts : &defaults;
	int input, kind, saved = errno;

	if (gc != NULL)
		memset(gc, 0, sizeof(*gc));
	if (gc == NULL || !valid(o)) {
		errno = EINVAL;
		return -1;
	}
	kind = graceclose_tcp_kind(fd, &input);
	if (kind == -1 && errno == EBADF)
		return -1;
	if (kind == -1) {
		take(gc, fd, o);
		graceclose_over(gc, GRACECLOSE_INVALID, errno);
	} else {
		gc->kind = (unsigned char)graceclose_tcp_kind_proper(fd, kind);
		/* A layer may have taken the input from TCP. */
		gc->finished = input == GRACECLOSE_INPUT_ENDED &&
		    gc->kind != GRACECLOSE_KIND_LAYERED;
		if (input == GRACECLOSE_INPUT_UNKNOWN)
			gc->flags |= MORE;
		take(gc, fd, o);
		if (!graceclose_tcp_withholds(fd, gc->kind))
			half_close(gc);
		else if (graceclose_tcp_fin_unacked(fd, gc->kind))
			gc->flags |= WITHHELD | HALF_CLOSED;
		else
			gc->flags |= WITHHELD;
	}
	errno = saved;
	return 0;
}

/* Whether recv(2) says nothing of the connection any more. */
static bool
no_more(const struct graceclose *gc)
{
	return gc->finished || (gc->flags & DEAF) != 0 ||
	    ((gc->flags & MISSED) != 0 && graceclose_tcp_failed(gc->fd));
}

/* A layer above TCP may be about to say that it still held bytes. */
static bool
gone(const struct graceclose *gc)
{
	return no_more(gc) && graceclose_tcp_gone(gc->fd, gc->kind) &&
	    ((gc->flags & WITHHELD) == 0 ||
	    graceclose_tcp_outq(gc->fd, gc->kind) != 0);
}

/*
 * The first step, where begin found no input and an edge will tell of what
 * comes: the peer's FIN is the next that counts, and most closes end with it.
 */
static bool
awaits_edge(const struct graceclose *gc)
{
	return gc->wake == 0 && gc->kind == GRACECLOSE_KIND_TCP &&
	    (gc->options & GRACECLOSE_EDGES) != 0 &&
	    gc->until == GRACECLOSE_FINISHED && !gc->finished &&
	    (gc->flags & MORE) == 0;
}

int
graceclose_step(struct graceclose *gc)
{
	bool progress = false, early;
	int saved = errno;

	if (gc == NULL || gc->phase == IDLE) {
		errno = EINVAL;
		return -1;
	}
	early = awaits_edge(gc);
	if (gc->phase == GOING && !gc->finished && !early &&
	    (gc->options & NO_INPUT) == 0)
		progress = drain(gc);
	if (gc->phase == GOING && (gc->flags & WITHHELD) != 0)
		progress |= settle(gc);
	else if (gc->phase == GOING && !gc->delivered)
		progress |= graceclose_acknowledge(gc, early);
	if (gc->phase == GOING && graceclose_reached(gc))
		graceclose_over(gc, GRACECLOSE_OK, 0);
	if (gc->phase == GOING)
		clear_notices(gc, progress);
	if (gc->phase == GOING && gone(gc))
		graceclose_bury(gc);
	if (gc->phase == GOING)
		graceclose_schedule(gc, progress);
	return graceclose_verdict(gc, saved);
}

short
graceclose_events(const struct graceclose *gc)
{
	if (gc == NULL || gc->phase != GOING || gc->finished ||
	    (gc->flags & (DEAF | MISSED)) != 0)
		return 0;
	return POLLIN;
}

/*
 * The connection outlives the descriptor: close(2) must neither linger nor
 * reset.  The kernel answers unread input with RST (RFC 2525 2.17); it delivers
 * the rest by itself.
 */
static void
detach(struct graceclose *gc)
{
	graceclose_tcp_unlinger(gc->fd);
	if (gc->outcome != GRACECLOSE_FLOODED)
		(void)graceclose_sweep(gc);
}

static void
release(struct graceclose *gc)
{
	bool cut = gc->outcome == GRACECLOSE_EXPIRED ||
	    gc->outcome == GRACECLOSE_FLOODED ||
	    gc->outcome == GRACECLOSE_ABORTED;
	int error;

	if (cut && gc->on_expiry == GRACECLOSE_RESET)
		graceclose_tcp_abort(gc->fd, gc->kind);
	else if (gc->kind != 0 && (!gc->delivered || !gc->finished))
		detach(gc);
	error = graceclose_tcp_close(gc->fd);
	if (gc->error == 0 && error != 0)
		graceclose_over(gc, GRACECLOSE_INVALID, error);
	gc->fd = -1;
	gc->phase = RELEASED;
}

int
graceclose_end(struct graceclose *gc, struct graceclose_report *report)
{
	int saved = errno;

	if (gc == NULL || gc->phase == IDLE) {
		graceclose_no_close(report, EINVAL);
		errno = EINVAL;
		return -1;
	}
	if (gc->phase == GOING)
		graceclose_fail(gc, GRACECLOSE_ABORTED, ECANCELED);
	if (gc->phase == OVER)
		release(gc);
	if (report != NULL)
		graceclose_fill(gc, report);
	return graceclose_verdict(gc, saved);
}
