/*
 * flush.c - wait until nothing is under way
 */
#include <sys/types.h>

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "graceclose.h"
#include "kernel/kernel.h"
#include "reaper/reaper.h"

#define LOOK_MS	10		/* where a condition cannot wait as long */

#if GRACECLOSE_STEADY
static int
wait_until(struct graceclose_reaper *r, int64_t deadline_us)
{
	struct timespec ts;

	ts.tv_sec = (time_t)(deadline_us / 1000000);
	ts.tv_nsec = (long)(deadline_us % 1000000 * 1000);
	return pthread_cond_timedwait(&r->quiet, &r->lock, &ts);
}
#else
/*
 * A condition that waits by the time of day would wait for an hour where
 * somebody sets the clock back by one.  So this looks again after short naps.
 */
static int
wait_until(struct graceclose_reaper *r, int64_t deadline_us)
{
	int64_t left = deadline_us - graceclose_tcp_clock();

	if (left <= 0)
		return ETIMEDOUT;
	(void)pthread_mutex_unlock(&r->lock);
	graceclose_tcp_nap(left < LOOK_MS * 1000 ? (int)(left / 1000) + 1 :
	    LOOK_MS);
	(void)pthread_mutex_lock(&r->lock);
	return 0;
}
#endif

/* No point of cancellation either: it would leave with the lock held. */
int
graceclose_reaper_flush(struct graceclose_reaper *r, int timeout_ms)
{
	int64_t deadline = graceclose_tcp_clock() +
	    (timeout_ms > 0 ? (int64_t)timeout_ms * 1000 : 0);
	int cancel, error = 0, saved = errno;

	if (graceclose_reaper_usable(r) == -1)
		return -1;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	(void)pthread_mutex_lock(&r->lock);
	r->inside++;
	while (r->pending > 0 && error == 0)
		error = timeout_ms < 0 ?
		    pthread_cond_wait(&r->quiet, &r->lock) :
		    wait_until(r, deadline);
	if (r->pending == 0)
		error = 0;
	graceclose_reaper_leave(r);
	(void)pthread_mutex_unlock(&r->lock);
	(void)pthread_setcancelstate(cancel, NULL);
	errno = error != 0 ? error : saved;
	return error != 0 ? -1 : 0;
}
