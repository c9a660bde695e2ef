/*
 * stats.c - how many, and how they ended
 */
#include <sys/types.h>

#include <pthread.h>
#include <string.h>

#include "graceclose.h"
#include "reaper/reaper.h"

void
graceclose_reaper_stats(struct graceclose_reaper *r,
    struct graceclose_reaper_stats *stats)
{
	if (stats == NULL)
		return;
	memset(stats, 0, sizeof(*stats));
	if (graceclose_reaper_usable(r) == -1)
		return;
	(void)pthread_mutex_lock(&r->lock);
	*stats = r->stats;
	(void)pthread_mutex_unlock(&r->lock);
}
