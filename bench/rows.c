/*
 * rows.c - see rows.h
 */
#include <sys/types.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rows.h"

double
rows_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) == -1)
		err(1, "clock_gettime");
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void
rows_sort(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), by_value);
}

double
rows_quantile(const double *sorted, int n, double q)
{
	return sorted[(int)(q * (n - 1) + 0.5)];
}

void
rows_head(const char *what, const int *size, int sizes)
{
	int i;

	printf("%-30s", what);
	for (i = 0; i < sizes; i++)
		printf(" %9d", size[i]);
	printf("   growth (quartiles)\n");
}

/* The growth is that of the last size over the first, turn by turn. */
void
rows_print(struct row *r, int sizes, int turns)
{
	double growth[TURNS_MAX] = { 0 };
	int i, k;

	for (i = 0; i < turns; i++)
		growth[i] = r->turn[sizes - 1][i] / r->turn[0][i];
	printf("%-22s %7s", r->name, r->unit);
	for (k = 0; k < sizes; k++) {
		rows_sort(r->turn[k], turns);
		printf(" %9.2f", rows_quantile(r->turn[k], turns, 0.5) /
		    r->scale);
	}
	rows_sort(growth, turns);
	printf("   %.2f (%.2f to %.2f)\n", rows_quantile(growth, turns, 0.5),
	    rows_quantile(growth, turns, 0.25),
	    rows_quantile(growth, turns, 0.75));
}
