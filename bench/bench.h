/*
 * bench.h - what the benches share: a clock, connections, and ratios
 *
 * A and B take turns in one run, so that other load on the machine disturbs
 * both.  Each turn has its ratio; the bench prints the median and the quartiles
 * of the ratios.  Absolute figures are for orientation only.
 */
#ifndef BENCH_H
#define BENCH_H

#include <netinet/in.h>

#include <time.h>

#define BENCH_TURNS_MAX	200
#define BENCH_NO_TARGET	0.0	/* a ratio without a bound */

/*
 * The number of turns that the command line names, or the default; --help and
 * wrong arguments end the program.  what: a sentence on what it prints.
 */
int		 bench_turns(int, char **, const char *, int);

/* Connections over loopback; an error ends the program. */
struct bench_pair {
	int	us;
	int	peer;
};

int		 bench_listen(struct sockaddr_in *, int);
int		 bench_connect(const struct sockaddr_in *);
struct bench_pair bench_connected(void);

/* Waits until so many closes find room in the kernel's TIME_WAIT table. */
void		 bench_await_time_wait(int);

/* Allows the program as many descriptors as wanted; returns how many it got. */
int		 bench_descriptors(int);

double		 bench_ns(clockid_t);

/* Statistics; bench_quantile takes sorted values. */
void		 bench_sort(double *, int);
double		 bench_quantile(const double *, int, double);

/* One side of a comparison: a figure for each turn. */
struct bench_side {
	const char	*name;
	double		 turn[BENCH_TURNS_MAX];
};

/* Prints the ratio of the first to the second: turns, unit, target. */
void		 bench_ratio(const struct bench_side *,
		    const struct bench_side *, int, double, const char *,
		    double);

#endif /* BENCH_H */
