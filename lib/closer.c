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
#define NAP_MAX_MS	64
#define LOOK_MIN_US	((int64_t)256000)
#define LOOK_TICK_US	((int64_t)65536)
#define SETTLED_MS	5		/* SETTLED times with nothing to send */
#define SETTLED		4
#define NEVER		INT64_MAX

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
	if (gc->wake != 0 && graceclose_tcp_at_end(gc->fd, gc->kind)) {
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

static int64_t
earlier(int64_t a, int64_t since, int ms)
{
	int64_t b = ms == -1 ? NEVER : since + (int64_t)ms * 1000;

	return a < b ? a : b;
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

/* When the first of the limits runs out. */
static int64_t
limit(const struct graceclose *gc)
{
	return earlier(earlier(NEVER, gc->started, gc->timeout_ms),
	    gc->progressed, gc->idle_ms);
}

/* Whether something may come that causes no event of poll(2). */
static bool
unseen(const struct graceclose *gc)
{
	return !gc->delivered || (gc->flags & (DEAF | MISSED)) != 0;
}

/* A limit has run out.  For QUIET silence after delivery is an end in order. */
static void
expire(struct graceclose *gc)
{
	int64_t quiet = earlier(NEVER, gc->progressed, gc->idle_ms);

	if (gc->until == GRACECLOSE_QUIET && gc->delivered &&
	    quiet <= earlier(NEVER, gc->started, gc->timeout_ms))
		graceclose_over(gc, GRACECLOSE_OK, 0);
	else
		graceclose_fail(gc, GRACECLOSE_EXPIRED, ETIMEDOUT);
}

/*
 * A loop that gets epoll's edges needs no naps.  But an acknowledgement that
 * leaves other bytes outstanding causes no edge, and idle_ms starts anew from
 * it; and the edge that comes with the last acknowledgement is undocumented.
 * So there are looks: further and further apart in the reaper, four in an
 * idle_ms in a loop of the program's.
 */
static int64_t
next_look(const struct graceclose *gc, int64_t now)
{
	int64_t look, due = limit(gc);

	if (!unseen(gc))
		return due;
	if (gc->idle_ms != -1)
		due = earlier(due, now, gc->idle_ms / 4 + 1);
	if ((gc->options & GRACECLOSE_EDGES) != 0 && gc->idle_ms != -1)
		return due;
	look = now - gc->progressed;
	if (look < LOOK_MIN_US)
		look = LOOK_MIN_US;
	/* A wake-up costs more than a look, so many closes look together. */
	look = (now + look) | (LOOK_TICK_US - 1);
	return look < due ? look : due;
}

/*
 * Naps are for loops without epoll's edges: an acknowledgement causes no event
 * of poll(2), and neither does a FIN behind our own SHUT_RD.  Nor does epoll
 * see what leaves a layer above TCP.
 */
static int
next_nap(struct graceclose *gc)
{
	gc->nap_ms = gc->nap_ms == 0 ? 1 : gc->nap_ms * 2;
	if (gc->nap_ms > NAP_MAX_MS)
		gc->nap_ms = NAP_MAX_MS;
	return gc->flushed != 0 ? SETTLED_MS : gc->nap_ms;
}

/* Ends the close where a limit has run out, or says when the next look is. */
static void
schedule(struct graceclose *gc, bool progress)
{
	int64_t now = graceclose_tcp_clock();

	if (gc->started == 0)
		gc->started = gc->progressed = now;
	if (progress) {
		gc->progressed = now;
		gc->nap_ms = 0;
	}
	gc->wake = limit(gc);
	if (now >= gc->wake)
		expire(gc);
	else if ((gc->flags & MORE) != 0)
		gc->wake = now;
	else if ((gc->options & GRACECLOSE_EDGES) != 0 &&
	    (gc->flags & (WITHHELD | MISSED)) == 0)
		gc->wake = next_look(gc, now);
	else if (unseen(gc))
		gc->wake = earlier(gc->wake, now, next_nap(gc));
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
	} else if (now >= earlier(NEVER, gc->flushed, SETTLED_MS)) {
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
	int kind, saved = errno;
	bool finished;

	if (gc != NULL)
		memset(gc, 0, sizeof(*gc));
	if (gc == NULL || !valid(o)) {
		errno = EINVAL;
		return -1;
	}
	kind = graceclose_tcp_kind(fd, &finished);
	if (kind == -1 && errno == EBADF)
		return -1;
	if (kind == -1) {
		take(gc, fd, o);
		graceclose_over(gc, GRACECLOSE_INVALID, errno);
	} else {
		gc->kind = (unsigned char)graceclose_tcp_kind_proper(fd, kind);
		/* A layer may have taken the input from TCP. */
		gc->finished = finished && gc->kind != GRACECLOSE_KIND_LAYERED;
		take(gc, fd, o);
		if (graceclose_tcp_withholds(fd, gc->kind))
			gc->flags = graceclose_tcp_fin_unacked(fd, gc->kind) ?
			    WITHHELD | HALF_CLOSED : WITHHELD;
		else
			half_close(gc);
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

int
graceclose_step(struct graceclose *gc)
{
	bool progress = false;
	int saved = errno;

	if (gc == NULL || gc->phase == IDLE) {
		errno = EINVAL;
		return -1;
	}
	if (gc->phase == GOING && !gc->finished)
		progress = drain(gc);
	if (gc->phase == GOING && (gc->flags & WITHHELD) != 0)
		progress |= settle(gc);
	else if (gc->phase == GOING && !gc->delivered)
		progress |= graceclose_acknowledge(gc);
	if (gc->phase == GOING && graceclose_reached(gc))
		graceclose_over(gc, GRACECLOSE_OK, 0);
	if (gc->phase == GOING)
		clear_notices(gc, progress);
	if (gc->phase == GOING && gone(gc))
		graceclose_bury(gc);
	if (gc->phase == GOING)
		schedule(gc, progress);
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

int
graceclose_timeout(const struct graceclose *gc)
{
	int64_t ms;

	if (gc == NULL || gc->phase == IDLE || gc->wake == 0)
		return 0;
	if (gc->wake == NEVER)
		return -1;
	ms = (gc->wake - graceclose_tcp_clock() + 999) / 1000;
	return ms <= 0 ? 0 : (int)ms;	/* no limit is beyond INT_MAX */
}

int64_t
graceclose_due(const struct graceclose *gc, bool edges)
{
	int64_t now;

	if ((gc->flags & (MORE | WITHHELD | MISSED)) != 0)
		return gc->wake;
	now = graceclose_tcp_clock();
	return edges ? next_look(gc, now) : earlier(gc->wake, now, NAP_MAX_MS);
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
