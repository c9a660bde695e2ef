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
#include <poll.h>
#include <stdbool.h>
#include <string.h>

#include "graceclose.h"
#include "kernel/kernel.h"

enum { IDLE = 0, GOING, OVER, RELEASED };	/* phase */

#define HALF_CLOSED	1	/* flags: our FIN is queued, or further */
#define COUNTED		2	/* unacked holds a count */
#define DEAF		4	/* recv says EOF, but no FIN came: SHUT_RD */
#define MORE		8	/* the last step left input unread */
#define STALLED		16	/* the last step brought nothing new */
#define MISSED		32	/* recv could not look: no event will tell */
#define KNOWN		64	/* the kind is the proper one */

#define TIMEOUT_MS	30000
#define IDLE_MS		5000
#define NAP_MAX_MS	64
#define LOOK_MIN_US	((int64_t)256000)
#define LOOK_TICK_US	((int64_t)65536)
#define STEP_MAX	((size_t)1 << 20) /* bytes of input a step takes */
#define SWEEP_MAX	((size_t)1 << 25) /* and the end: a full buffer */
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
	if (gc->started != 0)
		gc->ended = graceclose_tcp_clock();
}

/* MPTCP that fell back passes for TCP, but counts otherwise. */
static void
know_kind(struct graceclose *gc)
{
	if ((gc->flags & KNOWN) == 0)
		gc->kind = (unsigned char)graceclose_tcp_kind_proper(gc->fd,
		    gc->kind);
	gc->flags |= KNOWN;
}

/*
 * Looks at what the peer's TCP has acknowledged; true where that is news.  Our
 * FIN is the last of the bytes, so it is among them until the count is 0, and
 * none can be added: a count that grew belongs to no connection any longer, nor
 * does one that another holder's connect(AF_UNSPEC) started anew.
 */
static bool
acknowledge(struct graceclose *gc)
{
	uint64_t before = gc->unacked;
	bool fin = (gc->flags & HALF_CLOSED) != 0;
	int64_t outq;

	know_kind(gc);
	outq = graceclose_tcp_outq(gc->fd, gc->kind);
	if (outq == 0 && fin && !gc->finished) {
		/* The state, then the count: the handshake may end between. */
		if (graceclose_tcp_opening(gc->fd, gc->kind))
			return false;
		outq = graceclose_tcp_outq(gc->fd, gc->kind);
	}
	if (graceclose_tcp_forgot(gc->fd, gc->kind))
		return false;
	if (outq > 0 && fin)
		outq--;
	else if (outq == 0 && fin)
		gc->delivered = 1;
	if (outq < 0 || ((gc->flags & COUNTED) != 0 &&
	    (uint64_t)outq >= before))
		return gc->delivered;
	if (outq > 0 && graceclose_tcp_anew(gc->fd, gc->kind))
		return false;
	gc->flags |= COUNTED;
	gc->unacked = (uint64_t)outq;
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

static bool
flooded(const struct graceclose *gc)
{
	return gc->discard_max != 0 && gc->discarded > gc->discard_max;
}

/*
 * Discards what is unread, as far as a full receive buffer goes.  True: there
 * was a reset, and nobody is told of it again.
 */
static bool
sweep(struct graceclose *gc)
{
	size_t swept = 0;
	ssize_t n = 1;

	while (swept < SWEEP_MAX && n > 0) {
		n = graceclose_tcp_discard(gc->fd, gc->kind, STEP_MAX);
		if (n > 0)
			swept += (size_t)n;
	}
	gc->discarded += swept;
	return n == -1 && errno == ECONNRESET;
}

/* The peer's FIN may have come before the reset, and recv was in its way. */
static void
lost(struct graceclose *gc)
{
	if (graceclose_tcp_at_end(gc->fd, gc->kind))
		gc->finished = 1;
	fail(gc, GRACECLOSE_WAS_RESET, ECONNRESET);
}

/*
 * Nothing is left of the connection: which end was it?  What is unread goes
 * first, since it hides whether a FIN or a reset came behind it.
 */
static void
bury(struct graceclose *gc)
{
	bool error = graceclose_tcp_take_error(gc->fd) != 0;

	error |= sweep(gc);
	switch (graceclose_tcp_state_of_gone(gc->fd, gc->kind, error,
	    (gc->flags & HALF_CLOSED) != 0)) {
	case GRACECLOSE_STATE_ENDED:
		gc->delivered = gc->finished = 1;
		gc->unacked = 0;
		if (flooded(gc) && gc->until == GRACECLOSE_FINISHED)
			over(gc, GRACECLOSE_FLOODED, EMSGSIZE);
		else
			over(gc, GRACECLOSE_OK, 0);
		break;
	case -1:
		over(gc, GRACECLOSE_INVALID, ENOTCONN);
		break;
	default:
		lost(gc);
	}
}

/* What recv failed with: not yet, a reset, or nothing to reset. */
static void
refused(struct graceclose *gc, int error)
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
		gc->flags |= MISSED;
		break;
	case ENOTCONN:
		bury(gc);
		break;
	default:
		if (graceclose_tcp_goes_on(gc->fd, gc->kind))
			gc->flags |= MISSED;
		else if (graceclose_tcp_was_connected(gc->fd, gc->kind))
			lost(gc);
		else
			over(gc, GRACECLOSE_INVALID, ENOTCONN);
	}
}

/* How much a recv may take: one byte beyond the cap shows that it is passed. */
static size_t
allowance(const struct graceclose *gc, size_t left)
{
	uint64_t room = gc->discard_max - gc->discarded;

	return gc->discard_max != 0 && room < left - 1 ? (size_t)room + 1 :
	    left;
}

/* Discards late input, a bounded amount; true where any came. */
static bool
drain(struct graceclose *gc)
{
	size_t left = STEP_MAX;
	ssize_t n = 1;

	/* After a step in vain the FIN is what is most likely news. */
	if (gc->wake != 0 && graceclose_tcp_at_end(gc->fd, gc->kind)) {
		gc->flags &= (unsigned char)~MORE;
		gc->finished = 1;
		return true;
	}
	gc->flags &= (unsigned char)~MISSED;
	while (left > 0 && n > 0 && !flooded(gc)) {
		n = graceclose_tcp_discard(gc->fd, gc->kind,
		    allowance(gc, left));
		if (n > 0) {
			left -= (size_t)n;
			gc->discarded += (uint64_t)n;
		}
	}
	gc->flags &= (unsigned char)~MORE;
	if (flooded(gc))
		fail(gc, GRACECLOSE_FLOODED, EMSGSIZE);
	else if (n > 0)
		gc->flags |= MORE;
	else if (n == -1)
		refused(gc, errno);
	else if (graceclose_tcp_finished(gc->fd, gc->kind))
		gc->finished = 1;
	else
		gc->flags |= DEAF;
	return left < STEP_MAX || gc->finished;
}

static int64_t
earlier(int64_t a, int64_t since, int ms)
{
	int64_t b = ms == -1 ? NEVER : since + (int64_t)ms * 1000;

	return a < b ? a : b;
}

/* Woken for nothing, and again: POLLERR cannot be masked. */
static void
clear_notices(struct graceclose *gc, bool progress)
{
	if (progress) {
		gc->flags &= (unsigned char)~STALLED;
		return;
	}
	if ((gc->flags & STALLED) != 0)
		graceclose_tcp_skip_notice(gc->fd, gc->kind);
	gc->flags |= STALLED;
}

/* When the first of the limits runs out. */
static int64_t
limit(const struct graceclose *gc)
{
	return earlier(earlier(NEVER, gc->started, gc->timeout_ms),
	    gc->progressed, gc->idle_ms);
}

/* Whether something may come that no event of poll(2) tells of. */
static bool
unseen(const struct graceclose *gc)
{
	return !gc->delivered || (gc->flags & (DEAF | MISSED)) != 0;
}

/*
 * A limit may have run out, or when is the next look due?  Naps are for loops
 * without epoll's edge, for no event of poll(2) tells of an acknowledgement,
 * nor of a FIN behind our own SHUT_RD.
 */
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
	if (now >= gc->wake) {
		fail(gc, GRACECLOSE_EXPIRED, ETIMEDOUT);
		return;
	}
	if (unseen(gc)) {
		gc->nap_ms = gc->nap_ms == 0 ? 1 : gc->nap_ms * 2;
		if (gc->nap_ms > NAP_MAX_MS)
			gc->nap_ms = NAP_MAX_MS;
		gc->wake = earlier(gc->wake, now, gc->nap_ms);
	}
	if ((gc->flags & MORE) != 0)
		gc->wake = now;
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
	if (!gc->finished)		/* else it may be over at once */
		gc->started = gc->progressed = graceclose_tcp_clock();
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
	gc->finished = finished;
	take(gc, fd, o);
	if (kind == -1) {
		over(gc, GRACECLOSE_INVALID, errno);
	} else {
		gc->kind = (unsigned char)kind;
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
	if (gc->phase == GOING && reached(gc))
		over(gc, GRACECLOSE_OK, 0);
	if (gc->phase == GOING)
		clear_notices(gc, progress);
	if (gc->phase == GOING &&
	    (gc->finished || (gc->flags & DEAF) != 0) &&
	    graceclose_tcp_gone(gc->fd, gc->kind))
		bury(gc);
	if (gc->phase == GOING)
		schedule(gc, progress);
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
	return ms <= 0 ? 0 : (int)ms;	/* no limit is beyond INT_MAX */
}

/*
 * The time of the next step, after one that returned 1, in a loop that keeps
 * timers.  Where it gets epoll's edges it needs no naps, but none of them tells
 * of an acknowledgement that leaves others to come, and idle_ms starts anew
 * from it; nor is the one that comes with the last of them documented.  So
 * there are looks, ever fewer of them.  Without edges naps find whatever comes.
 */
int64_t
graceclose_due(const struct graceclose *gc, bool edges)
{
	int64_t look, now, due = limit(gc);

	if ((gc->flags & MORE) != 0)
		return gc->wake;
	if (edges && !unseen(gc))
		return due;
	now = graceclose_tcp_clock();
	if (!edges)
		return earlier(gc->wake, now, NAP_MAX_MS);
	look = now - gc->progressed;
	if (look < LOOK_MIN_US)
		look = LOOK_MIN_US;
	/* Many closes look together: to wake up costs more than a look. */
	look = (now + look) | (LOOK_TICK_US - 1);
	if (gc->idle_ms != -1)
		due = earlier(due, now, gc->idle_ms / 4 + 1);
	return look < due ? look : due;
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
	if (gc->outcome != GRACECLOSE_FLOODED)
		(void)sweep(gc);
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
	else if (gc->outcome != GRACECLOSE_INVALID &&
	    (!gc->delivered || !gc->finished))
		detach(gc);
	error = graceclose_tcp_close(gc->fd);
	if (gc->error == 0 && error != 0)
		over(gc, GRACECLOSE_INVALID, error);
	gc->fd = -1;
	gc->phase = RELEASED;
}

static void
fill(struct graceclose *gc, struct graceclose_report *report)
{
	memset(report, 0, sizeof(*report));
	report->outcome = gc->outcome;
	report->error = gc->error;
	report->delivered = gc->delivered;
	report->finished = gc->finished;
	report->unacked = gc->unacked;
	report->discarded = gc->discarded;
	report->elapsed_us = (uint64_t)(gc->ended - gc->started);
}

/* What there is to report of a close that never began. */
void
graceclose_no_close(struct graceclose_report *report, int error)
{
	if (report == NULL)
		return;
	memset(report, 0, sizeof(*report));
	report->outcome = GRACECLOSE_INVALID;
	report->error = error;
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
		fail(gc, GRACECLOSE_ABORTED, ECANCELED);
	if (gc->phase == OVER)
		release(gc);
	if (report != NULL)
		fill(gc, report);
	return verdict(gc, saved);
}
