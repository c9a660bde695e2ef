/*
 * closer.c - the one state machine: half-close, drain, wait, judge
 *
 * A close is over when two things are known, each by itself: our FIN is
 * acknowledged (delivered), and the peer's FIN is here (finished).  EOF alone
 * says nothing of delivery, as the peer may have half-closed before our data
 * reached it; delivery alone does not say that the peer is through.
 *
 *	IDLE --begin--> GOING --step--> OVER --end--> RELEASED
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>

#include "graceclose.h"
#include "internal.h"

enum { IDLE = 0, GOING, OVER, RELEASED };	/* phase */

#define HALF_CLOSED	1	/* flags: our FIN is queued, or further */
#define DEAF		2	/* recv says EOF, but no FIN came: SHUT_RD */
#define MORE		4	/* the last step left input unread */

#define TIMEOUT_MS	30000
#define IDLE_MS		5000
#define NAP_MAX_MS	256
#define STEP_MAX	((size_t)1 << 20) /* bytes of input that a step takes */
#define SWEEP_STEPS	32		/* as many at the end: a full buffer */
#define NEVER		INT64_MAX

static bool
valid(const struct graceclose_opts *o)
{
	return (o->until == GRACECLOSE_FINISHED ||
	    o->until == GRACECLOSE_DELIVERED) &&
	    (o->on_expiry == GRACECLOSE_DETACH ||
	    o->on_expiry == GRACECLOSE_RESET) &&
	    o->timeout_ms >= -1 && o->idle_ms >= -1 &&
	    (o->reserved[0] | o->reserved[1] | o->reserved[2]) == 0;
}

static bool
reached(const struct graceclose *gc)
{
	return gc->delivered &&
	    (gc->finished || gc->until == GRACECLOSE_DELIVERED);
}

static void
over(struct graceclose *gc, int outcome, int error)
{
	gc->phase = OVER;
	gc->outcome = (unsigned char)outcome;
	gc->error = error;
	gc->wake = 0;
}

/*
 * Looks at what the peer's TCP has acknowledged; true where that is news.  Our
 * FIN is the last of the bytes, so it is among them until the count is 0.
 */
static bool
acknowledge(struct graceclose *gc)
{
	int64_t outq = graceclose_tcp_outq(gc->fd, gc->kind);
	uint64_t before = gc->unacked;

	if (outq < 0)
		return false;
	gc->unacked = (uint64_t)outq;
	if ((gc->flags & HALF_CLOSED) == 0)
		return false;
	if (outq > 0)
		gc->unacked--;
	else
		gc->delivered = gc->finished ||
		    !graceclose_tcp_opening(gc->fd, gc->kind);
	return gc->delivered || gc->unacked != before;
}

/* The last look, while the descriptor can still be asked, may save the day. */
static void
fail(struct graceclose *gc, int outcome, int error)
{
	if (!gc->delivered && (outcome != GRACECLOSE_WAS_RESET ||
	    graceclose_tcp_remembers(gc->fd, gc->kind)))
		(void)acknowledge(gc);
	if (reached(gc) && outcome != GRACECLOSE_ABORTED)
		over(gc, GRACECLOSE_OK, 0);
	else
		over(gc, outcome, error);
}

/* Discards what is unread, as far as a full receive buffer goes. */
static void
sweep(struct graceclose *gc)
{
	ssize_t n = 1;
	int i;

	for (i = 0; i < SWEEP_STEPS && n > 0; i++) {
		n = graceclose_tcp_discard(gc->fd, STEP_MAX);
		if (n > 0)
			gc->discarded += (uint64_t)n;
	}
}

/* The TCP state is CLOSE, or there never was another: which end was it? */
static void
bury(struct graceclose *gc)
{
	short revents = POLLHUP;

	if (graceclose_tcp_take_error(gc->fd) != 0)
		revents |= POLLERR;
	switch (graceclose_tcp_state(gc->fd, revents)) {
	case GRACECLOSE_STATE_ENDED:
		gc->delivered = gc->finished = 1;
		gc->unacked = 0;
		sweep(gc);
		over(gc, GRACECLOSE_OK, 0);
		break;
	case GRACECLOSE_STATE_DEAD:
		fail(gc, GRACECLOSE_WAS_RESET, ECONNRESET);
		break;
	default:
		over(gc, GRACECLOSE_INVALID, ENOTCONN);
	}
}

/* How much a recv may take: one byte beyond the cap shows that it is passed. */
static size_t
allowance(const struct graceclose *gc, size_t left)
{
	uint64_t room = gc->discard_max - gc->discarded;

	return gc->discard_max != 0 && room < left ? (size_t)room + 1 : left;
}

/* Discards late input, a bounded amount; true where any came. */
static bool
drain(struct graceclose *gc)
{
	size_t left = STEP_MAX;
	ssize_t n = 1;

	while (left > 0 && n > 0) {
		n = graceclose_tcp_discard(gc->fd, allowance(gc, left));
		if (n > 0) {
			left -= (size_t)n < left ? (size_t)n : left;
			gc->discarded += (uint64_t)n;
		}
		if (gc->discard_max != 0 && gc->discarded > gc->discard_max) {
			fail(gc, GRACECLOSE_FLOODED, EMSGSIZE);
			return true;
		}
	}
	gc->flags &= (unsigned char)~MORE;
	if (n > 0)
		gc->flags |= MORE;
	else if (n == 0 && graceclose_tcp_finished(gc->fd, gc->kind))
		gc->finished = 1;
	else if (n == 0)
		gc->flags |= DEAF;
	else if (errno == ENOTCONN)
		bury(gc);
	else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR &&
	    errno != ENOBUFS && errno != ENOMEM)
		fail(gc, GRACECLOSE_WAS_RESET, ECONNRESET);
	return left < STEP_MAX || gc->finished;
}

static int64_t
earlier(int64_t a, int64_t since, int ms)
{
	int64_t b = ms == -1 ? NEVER : since + (int64_t)ms * 1000;

	return a < b ? a : b;
}

/*
 * Not over yet: a limit may have run out, or when is the next look due?  Naps
 * are for loops without epoll's edge, for no event of poll(2) tells of an
 * acknowledgement, nor of a FIN behind our own SHUT_RD.
 */
static void
schedule(struct graceclose *gc, bool progress)
{
	int64_t now = graceclose_tcp_clock();

	if (progress) {
		gc->progressed = now;
		gc->nap_ms = 0;
	}
	gc->wake = earlier(NEVER, gc->started, gc->timeout_ms);
	gc->wake = earlier(gc->wake, gc->progressed, gc->idle_ms);
	if (now >= gc->wake) {
		fail(gc, GRACECLOSE_EXPIRED, ETIMEDOUT);
		return;
	}
	if (!gc->delivered || (gc->flags & DEAF) != 0) {
		gc->nap_ms = gc->nap_ms == 0 ? 1 : gc->nap_ms * 2;
		if (gc->nap_ms > NAP_MAX_MS)
			gc->nap_ms = NAP_MAX_MS;
		gc->wake = earlier(gc->wake, now, gc->nap_ms);
	}
	if ((gc->flags & MORE) != 0)
		gc->wake = now;
}

int
graceclose_begin(struct graceclose *gc, int fd,
    const struct graceclose_opts *opts)
{
	static const struct graceclose_opts defaults;
	const struct graceclose_opts *o = opts != NULL ? opts : &defaults;
	int kind, saved = errno;
	bool finished;

	if (gc == NULL) {
		errno = EINVAL;
		return -1;
	}
	memset(gc, 0, sizeof(*gc));
	gc->fd = -1;
	if (!valid(o)) {
		errno = EINVAL;
		return -1;
	}
	kind = graceclose_tcp_kind(fd, &finished);
	if (kind == -1 && errno == EBADF)
		return -1;
	gc->fd = fd;
	gc->phase = GOING;
	gc->until = (unsigned char)o->until;
	gc->on_expiry = (unsigned char)o->on_expiry;
	gc->timeout_ms = o->timeout_ms != 0 ? o->timeout_ms : TIMEOUT_MS;
	gc->idle_ms = o->idle_ms != 0 ? o->idle_ms : IDLE_MS;
	gc->discard_max = o->discard_max;
	gc->started = gc->progressed = graceclose_tcp_clock();
	if (kind == -1) {
		over(gc, GRACECLOSE_INVALID, errno);
	} else {
		gc->kind = (unsigned char)kind;
		gc->finished = finished;
		if (shutdown(fd, SHUT_WR) == 0)
			gc->flags = HALF_CLOSED;
		else
			bury(gc);
	}
	errno = saved;
	return 0;
}

/* What step and end return: 1, 0, or -1 with errno. */
static int
verdict(const struct graceclose *gc, int saved)
{
	errno = saved;
	if (gc->phase == GOING)
		return 1;
	if (gc->error == 0)
		return 0;
	errno = gc->error;
	return -1;
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
	if (gc->phase == GOING && !gc->delivered)
		progress |= acknowledge(gc);
	if (gc->phase == GOING) {
		if (reached(gc))
			over(gc, GRACECLOSE_OK, 0);
		else if ((gc->finished || (gc->flags & DEAF) != 0) &&
		    graceclose_tcp_gone(gc->fd))
			bury(gc);
		else
			schedule(gc, progress);
	}
	return verdict(gc, saved);
}

short
graceclose_events(const struct graceclose *gc)
{
	if (gc == NULL || gc->phase != GOING || gc->finished ||
	    (gc->flags & DEAF) != 0)
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
	return ms <= 0 ? 0 : ms < INT_MAX ? (int)ms : INT_MAX;
}

/*
 * A close(2) that the connection outlives must neither linger nor reset, and
 * the kernel answers unread input with RST (RFC 2525 2.17); the rest it does
 * by itself.
 */
static void
detach(struct graceclose *gc)
{
	graceclose_tcp_unlinger(gc->fd);
	if (gc->outcome != GRACECLOSE_INVALID &&
	    gc->outcome != GRACECLOSE_FLOODED)
		sweep(gc);
}

static void
release(struct graceclose *gc)
{
	bool cut = gc->outcome == GRACECLOSE_EXPIRED ||
	    gc->outcome == GRACECLOSE_FLOODED ||
	    gc->outcome == GRACECLOSE_ABORTED;
	int error;

	if (cut && gc->on_expiry == GRACECLOSE_RESET)
		graceclose_tcp_abort(gc->fd);
	else if (!gc->delivered || !gc->finished)
		detach(gc);
	error = graceclose_tcp_close(gc->fd);
	if (gc->error == 0 && error != 0)
		over(gc, GRACECLOSE_INVALID, error);
	gc->fd = -1;
	gc->phase = RELEASED;
}

static void
fill(const struct graceclose *gc, struct graceclose_report *report)
{
	memset(report, 0, sizeof(*report));
	report->outcome = gc->outcome;
	report->error = gc->error;
	report->delivered = gc->delivered;
	report->finished = gc->finished;
	report->unacked = gc->unacked;
	report->discarded = gc->discarded;
	report->elapsed_us = (uint64_t)(graceclose_tcp_clock() - gc->started);
}

int
graceclose_end(struct graceclose *gc, struct graceclose_report *report)
{
	int saved = errno;

	if (gc == NULL || gc->phase == IDLE) {
		errno = EINVAL;
		return -1;
	}
	if (gc->phase == GOING)
		fail(gc, GRACECLOSE_ABORTED, ECANCELED);
	if (gc->phase == OVER)
		release(gc);
	if (report != NULL)
		fill(gc, report);
	return verdict(gc, saved);
}
