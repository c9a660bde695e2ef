/*
 * rows.c - see rows.h
 */
#include <stdio.h>

#include "ends.h"
#include "figures.h"
#include "rows.h"

double
rows_ns(clockid_t clock)
{
	return seconds(clock) * 1e9;
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
	for (k = 0; k < sizes; k++)
		printf(" %9.2f", quantile(r->turn[k], turns, 0.5) / r->scale);
	printf("   %.2f (%.2f to %.2f)\n", quantile(growth, turns, 0.5),
	    quantile(growth, turns, 0.25), quantile(growth, turns, 0.75));
}
