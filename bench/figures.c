/*
 * figures.c - see figures.h
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "figures.h"

#define SERIES_MAX	1024
#define TARGETS_MAX	64
#define COLUMNS_MAX	8

struct series {
	const char	*work, *peer, *what, *unit;
	const char	*missing;
	double		 value[ROUNDS_MAX];
	int		 n;
};

struct target {
	const char	*text;
	struct quartiles q;
	double		 most;		/* NO_TARGET: for orientation */
	int		 rounds;
	bool		 ratio;
};

static struct series series[SERIES_MAX];
static int nseries;
static struct target targets[TARGETS_MAX];
static int ntargets;

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Between two values it takes what lies in proportion between them. */
double
quantile(double *values, int n, double q)
{
	double at = q * (n - 1);
	int low = (int)at;

	if (n == 0)
		return 0;
	qsort(values, (size_t)n, sizeof(*values), by_value);
	if (low >= n - 1)
		return values[n - 1];
	return values[low] + (at - low) * (values[low + 1] - values[low]);
}

static struct quartiles
quartiles_of(const double *values, int n)
{
	double v[ROUNDS_MAX];

	memcpy(v, values, (size_t)n * sizeof(*v));
	return (struct quartiles){ quantile(v, n, 0.25), quantile(v, n, 0.5),
	    quantile(v, n, 0.75) };
}

static struct series *
find(const char *work, const char *peer, const char *what)
{
	int i;

	for (i = 0; i < nseries; i++)
		if (strcmp(series[i].work, work) == 0 &&
		    strcmp(series[i].peer, peer) == 0 &&
		    strcmp(series[i].what, what) == 0)
			return &series[i];
	return NULL;
}

static struct series *
make(const char *work, const char *peer, const char *what)
{
	struct series *s = find(work, peer, what);

	if (s != NULL)
		return s;
	if (nseries == SERIES_MAX)
		errx(1, "more than %d figures", SERIES_MAX);
	s = &series[nseries++];
	s->work = work;
	s->peer = peer;
	s->what = what;
	s->unit = "";
	return s;
}

void
figures_add(const char *work, const char *peer, const char *what,
    const char *unit, double value)
{
	struct series *s = make(work, peer, what);

	s->unit = unit;
	if (s->n < ROUNDS_MAX)
		s->value[s->n++] = value;
}

void
figures_missing(const char *work, const char *peer, const char *text)
{
	make(work, peer, "")->missing = text;
}

bool
figures_get(const char *work, const char *peer, const char *what,
    struct quartiles *q)
{
	const struct series *s = find(work, peer, what);

	if (s == NULL || s->n == 0)
		return false;
	*q = quartiles_of(s->value, s->n);
	return true;
}

/* --- tables --- */

static int
width_of(const char *column)
{
	int n = (int)strlen(column);

	return n < 8 ? 10 : n + 2;
}

static void
print_cell(const struct series *s, int width)
{
	struct quartiles q;

	if (s == NULL || s->n == 0) {
		printf("%*s", width, "-");
		return;
	}
	q = quartiles_of(s->value, s->n);
	printf("%*.*f", width, q.median < 100 && q.median != (int)q.median ?
	    2 : 0, q.median);
}

static void
print_row(const char *work, const char *peer, const char *const *columns,
    int n)
{
	const struct series *s = find(work, peer, "");
	int i;

	printf("  %-20s", peer);
	if (s != NULL && s->missing != NULL)
		printf("  %s", s->missing);
	else
		for (i = 0; i < n; i++)
			print_cell(find(work, peer, columns[i]),
			    width_of(columns[i]));
	putchar('\n');
}

static bool
first_of_peer(int i)
{
	int k;

	for (k = 0; k < i; k++)
		if (strcmp(series[k].work, series[i].work) == 0 &&
		    strcmp(series[k].peer, series[i].peer) == 0)
			return false;
	return true;
}

void
figures_table(const char *work, const char *title, const char *const *columns,
    int n)
{
	int i;

	printf("\n%s\n  %-20s", title, "");
	for (i = 0; i < n; i++)
		printf("%*s", width_of(columns[i]), columns[i]);
	putchar('\n');
	for (i = 0; i < nseries; i++)
		if (strcmp(series[i].work, work) == 0 && first_of_peer(i))
			print_row(work, series[i].peer, columns, n);
}

static bool
counts(const struct series *s, const char *work, const char *what)
{
	return strcmp(s->work, work) == 0 && strcmp(s->what, what) == 0 &&
	    s->n > 0;
}

static double
median_of(const struct series *s)
{
	return quartiles_of(s->value, s->n).median;
}

static const struct series *
best_of(const char *work, const char *what, bool (*ours)(const char *))
{
	const struct series *best = NULL, *s;

	for (s = series; s < series + nseries; s++)
		if (counts(s, work, what) && ours(s->peer) &&
		    (best == NULL || median_of(s) < median_of(best)))
			best = s;
	return best;
}

void
figures_ahead(const char *work, const char *what, bool (*ours)(const char *))
{
	const struct series *best = best_of(work, what, ours), *s;
	const char *comma = " ";

	if (best == NULL)
		return;
	printf("  %s, ahead of our first, %s:", what, best->peer);
	for (s = series; s < series + nseries; s++)
		if (counts(s, work, what) && !ours(s->peer) &&
		    median_of(s) < median_of(best)) {
			printf("%s%s (%.2f)", comma, s->peer, median_of(s) /
			    median_of(best));
			comma = "; ";
		}
	printf("%s\n", *comma == ' ' ? " none" : "");
}

/* --- targets --- */

static void
target_add(const char *text, const double *values, int n, double most,
    bool ratio)
{
	if (ntargets == TARGETS_MAX)
		errx(1, "more than %d targets", TARGETS_MAX);
	targets[ntargets++] = (struct target){
		text, quartiles_of(values, n), most, n, ratio
	};
}

void
figures_ratio(const char *text, const char *work, const char *what,
    const char *a, const char *b, double target)
{
	const struct series *x = find(work, a, what);
	const struct series *y = find(work, b, what);
	double ratio[ROUNDS_MAX] = { 0 };
	int i, n = 0;

	for (i = 0; x != NULL && y != NULL && i < x->n && i < y->n; i++)
		if (y->value[i] > 0)
			ratio[n++] = x->value[i] / y->value[i];
	if (n > 0)
		target_add(text, ratio, n, target, true);
}

void
figures_bound(const char *text, const char *work, const char *what,
    const char *peer, double target)
{
	const struct series *x = find(work, peer, what);

	if (x != NULL && x->n > 0)
		target_add(text, x->value, x->n, target, false);
}

static const char *
verdict(const struct target *t)
{
	return t->most == NO_TARGET ? "-" : t->q.median <= t->most ? "held" :
	    "missed";
}

void
figures_targets(void)
{
	const struct target *t;

	if (ntargets == 0)
		return;
	printf("\nRatios, median and quartiles of the rounds\n  %-58s%7s%14s"
	    "%8s\n", "", "ratio", "quartiles", "target");
	for (t = targets; t < targets + ntargets; t++) {
		printf("  %-58s%7.2f%7.2f-%-6.2f", t->text, t->q.median,
		    t->q.q1, t->q.q3);
		if (t->most == NO_TARGET)
			printf("%8s\n", "-");
		else
			printf("%8.2f  %s\n", t->most, verdict(t));
	}
}

/* --- JSON --- */

static void
json_quartiles(FILE *f, struct quartiles q)
{
	fprintf(f, "\"q1\": %.6g, \"median\": %.6g, \"q3\": %.6g", q.q1,
	    q.median, q.q3);
}

static void
json_series(FILE *f, const struct series *s, const char *comma)
{
	int i;

	fprintf(f, "%s\n    {\"work\": \"%s\", \"peer\": \"%s\", ", comma,
	    s->work, s->peer);
	if (s->missing != NULL) {
		fprintf(f, "\"missing\": \"%s\"}", s->missing);
		return;
	}
	fprintf(f, "\"what\": \"%s\", \"unit\": \"%s\", ", s->what, s->unit);
	json_quartiles(f, quartiles_of(s->value, s->n));
	fprintf(f, ", \"rounds\": [");
	for (i = 0; i < s->n; i++)
		fprintf(f, "%s%.6g", i == 0 ? "" : ", ", s->value[i]);
	fprintf(f, "]}");
}

void
figures_json(FILE *f)
{
	const struct target *t;
	int i;

	fprintf(f, "  \"figures\": [");
	for (i = 0; i < nseries; i++)
		json_series(f, &series[i], i == 0 ? "" : ",");
	fprintf(f, "\n  ],\n  \"targets\": [");
	for (t = targets; t < targets + ntargets; t++) {
		fprintf(f, "%s\n    {\"text\": \"%s\", ", t == targets ? "" :
		    ",", t->text);
		json_quartiles(f, t->q);
		fprintf(f, ", \"ratio\": %s, \"target\": %.6g, \"result\": "
		    "\"%s\"}", t->ratio ? "true" : "false", t->most,
		    verdict(t));
	}
	fprintf(f, "\n  ]\n");
}
