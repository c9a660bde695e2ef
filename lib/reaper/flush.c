/*
 * flush.c - wait until nothing is under way
 */
#include <sys/types.h>

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "graceclose.h"
#include "reaper/reaper.h"

static struct timespec
from_now(int ms)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000L;
	if (ts.tv_nsec >= 1000000000L) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000L;
	}
	return ts;
}

/* No point of cancellation either: it would leave with the lock held. */
int
graceclose_reaper_flush(struct graceclose_reaper *r, int timeout_ms)
{
	struct timespec deadline = from_now(timeout_ms > 0 ? timeout_ms : 0);
	int cancel, error = 0, saved = errno;

	if (graceclose_reaper_usable(r) == -1)
		return -1;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	(void)pthread_mutex_lock(&r->lock);
	r->inside++;
	while (r->pending > 0 && error == 0)
		error = timeout_ms < 0 ?
		    pthread_cond_wait(&r->quiet, &r->lock) :
		    pthread_cond_timedwait(&r->quiet, &r->lock, &deadline);
	if (r->pending == 0)
		error = 0;
	graceclose_reaper_leave(r);
	(void)pthread_mutex_unlock(&r->lock);
	(void)pthread_setcancelstate(cancel, NULL);
	errno = error != 0 ? error : saved;
	return error != 0 ? -1 : 0;
}
