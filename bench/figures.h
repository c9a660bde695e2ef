/*
 * figures.h - what was measured: a value of each round, medians, ratios, tables
 *
 * A and B take turns in each round, so that other load on the machine disturbs
 * both.  A ratio has a value for each round; its median and quartiles count.
 */
#ifndef FIGURES_H
#define FIGURES_H

#include <stdbool.h>
#include <stdio.h>

#define ROUNDS_MAX	99
#define NO_TARGET	(-1.0)

struct quartiles {
	double	q1, median, q3;
};

/* One figure of one round.  The strings stay with the caller. */
void	figures_add(const char *work, const char *peer, const char *what,
	    const char *unit, double value);

/* Sets *q; false: there is no such figure. */
bool	figures_get(const char *work, const char *peer, const char *what,
	    struct quartiles *q);

/* A row for a peer that is not there: in its place a text. */
void	figures_missing(const char *work, const char *peer, const char *text);

/* All of a work: a row for each peer, a column for each of the names. */
void	figures_table(const char *work, const char *title,
	    const char *const *columns, int n);

/* The median of the ratios of `a' to `b', and what is asked of it. */
void	figures_ratio(const char *text, const char *work, const char *what,
	    const char *a, const char *b, double target);

/* Says which peers take less of it than the best of ours. */
void	figures_ahead(const char *work, const char *what,
	    bool (*ours)(const char *));

/* One target to hold that is no ratio. */
void	figures_bound(const char *text, const char *work, const char *what,
	    const char *peer, double target);

/* All targets, each with its ratio. */
void	figures_targets(void);

void	figures_json(FILE *);

/* Sorts, and takes a quantile. */
double	quantile(double *, int, double);

#endif /* FIGURES_H */
