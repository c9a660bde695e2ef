/*
 * bench.h - the works of the bench, and what main() tells them
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdio.h>

#include "peers/peer.h"

struct bench {
	int	rounds;
	bool	quick;		/* small works: do they run at all? */
	bool	failed;		/* a measurement has failed */
};

/* Each work measures, and prints its table; work_early.c and so on. */
void	work_early(struct bench *);
void	work_mass(struct bench *);
void	work_background(struct bench *);
void	work_truth(struct bench *);
void	work_deadline(struct bench *);
void	work_finished(struct bench *);
void	work_probe(struct bench *);
void	work_drain(struct bench *);

/* All peers, in the order of the tables. */
extern const struct peer *const	 peers[];
extern const int		 npeers;

/* Whether a name is that of a form of this library. */
bool	bench_ours(const char *);

/*
 * Whether a peer takes part in a work: it can, as far as it is built, and it is
 * there; else its row says what to install.
 */
bool	bench_there(const char *, const struct peer *, bool);

/* One line on standard error, so that a long run shows where it is. */
void	bench_progress(struct bench *, const char *, int, const char *);

/* Says which measurement failed. */
void	bench_failed(struct bench *, const char *, const char *);

/* The peer of turn k in a round: each second round goes backwards. */
int	bench_turn(int, int, int);

/* The next file to plot from; NULL: none is wanted. */
FILE	*bench_plot(const char *);

#endif /* BENCH_H */
