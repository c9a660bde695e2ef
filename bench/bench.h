/*
 * bench.h - what the benches share: a clock, connections, and ratios
 *
 * A and B take turns in one run, so that what else the machine does meets
 * both; the ratio is taken turn by turn, and its median and quartiles are
 * printed.  Absolute figures are shown for orientation only.
 */
#ifndef BENCH_H
#define BENCH_H

#include <netinet/in.h>

#include <time.h>

#define BENCH_TURNS_MAX	200
#define BENCH_NO_TARGET	0.0	/* a ratio to know, not to keep */

/*
 * The turns asked for on the command line, or so many; --help and bad values
 * end the program.  what: a sentence on what it prints.
 */
int		 bench_turns(int, char **, const char *, int);

/* Connections over loopback; whatever fails ends the program. */
struct bench_pair {
	int	us;
	int	peer;
};

int		 bench_listen(struct sockaddr_in *, int);
int		 bench_connect(const struct sockaddr_in *);
struct bench_pair bench_connected(void);

/* As many descriptors as wanted, or how many there may be. */
int		 bench_descriptors(int);

double		 bench_ns(clockid_t);

/* Statistics; quantile wants them sorted. */
void		 bench_sort(double *, int);
double		 bench_quantile(const double *, int, double);

/* One side of a comparison, a figure a turn. */
struct bench_side {
	const char	*name;
	double		 turn[BENCH_TURNS_MAX];
};

/* Prints the ratio of the first to the second: turns, unit, target. */
void		 bench_ratio(const struct bench_side *,
		    const struct bench_side *, int, double, const char *,
		    double);

#endif /* BENCH_H */
