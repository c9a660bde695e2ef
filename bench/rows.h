/*
 * rows.h - figures for few and for many, and how the last grew beside the first
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include <time.h>

#define TURNS_MAX	200
#define SIZES_MAX	4

/* Figures of each size, in each turn. */
struct row {
	const char	*name;
	const char	*unit;
	double		 scale;
	double		 turn[SIZES_MAX][TURNS_MAX];
};

double	rows_ns(clockid_t);	/* nanoseconds of it */

/* A line with the sizes, and a line of medians. */
void	rows_head(const char *, const int *, int);
void	rows_print(struct row *, int, int);

#endif /* BENCH_ROWS_H */
