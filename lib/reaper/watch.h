/*
 * watch.h - how the reaper's thread waits: events of descriptors, and a wake-up
 *
 * watch_epoll.c has the edges of epoll(7).  watch_posix.c has the wake-up alone,
 * and each close goes by its timer.  The Makefile links one of the two.
 */
#ifndef GRACECLOSE_WATCH_H
#define GRACECLOSE_WATCH_H

#include <stdbool.h>

#define GRACECLOSE_BATCH	64

struct graceclose_watch {
	int	set;
	int	alarm;
};

int	graceclose_watch_open(struct graceclose_watch *w);	/* -1: errno */
void	graceclose_watch_close(struct graceclose_watch *w);

/*
 * The next event of fd gives `data'.  acks: so do all that follow, and one is
 * the acknowledgement of our FIN.  -1: no event will come.
 */
int	graceclose_watch_add(struct graceclose_watch *w, int fd, void *data,
	    bool acks);

/* After that next event: all that follow.  -1: no event will come. */
int	graceclose_watch_again(struct graceclose_watch *w, int fd, void *data);

/*
 * To be called before the descriptor is closed, where events may still come:
 * if a fork has left a duplicate somewhere, close(2) does not end them.
 */
void	graceclose_watch_remove(struct graceclose_watch *w, int fd);

/* Waits; the data of at most GRACECLOSE_BATCH events, and their number. */
int	graceclose_watch_wait(struct graceclose_watch *w, void **data,
	    int timeout_ms);

/* Ends a wait, from any thread. */
void	graceclose_watch_wake(struct graceclose_watch *w);

#endif /* GRACECLOSE_WATCH_H */
