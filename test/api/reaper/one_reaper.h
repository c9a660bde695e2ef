/*
 * one_reaper.h - a reaper for each test, its options, and what it reports
 */
#ifndef TEST_ONE_REAPER_H
#define TEST_ONE_REAPER_H

#include <graceclose.h>

#include "support/util.h"

#define SOON_MS		500	/* late, on a machine with much to do */
#define MANY		1000

extern struct graceclose_reaper *reaper;
extern struct graceclose_reaper_stats stats;	/* as look() found them */
extern struct graceclose_opts opts;		/* those of submit() */
extern struct t_verdict verdicts[MANY];

void	 start(void);
void	 start_limited(unsigned max, int when_full);
void	 start_with_done(unsigned max, int when_full,
	    void (*done)(void *, void *, const struct graceclose_report *));
void	 stop(void);

/* Options: no limit; one limit, idle or in all, and what then. */
void	 unlimited(void);
void	 limited(int idle, int on_expiry, int limit_ms);

void	 submit(struct t_verdict *, int fd);
void	 flush(void);

/* Counters: read; all closes so far have this outcome; so many are open. */
void	 look(void);
void	 counted(int outcome, uint64_t n);
void	 under_way(unsigned n);

/* This close expired when its limit had passed, and not much later. */
void	 expired_after(const struct t_verdict *, int64_t begin,
	    int64_t limit_ms);

/* Wakes the reaper's thread by a close that ends at once. */
void	 poke(void);

/* AF_UNIX: cheap where only the number matters. */
void	 cheap_pair(struct t_pair *);

/* What the peer does, and how it finds the connection. */
void	 peer_fin(struct t_pair *);
void	 peer_gets_reset(int peer);
void	 peer_is_dead(int peer);

/* The library has neither closed nor changed our side. */
void	 untouched(struct t_pair *);

#endif /* TEST_ONE_REAPER_H */
