/*
 * chance.c - random numbers that can be had again
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "support/chance.h"

uint64_t
t_seed(void)
{
	struct timespec now;
	const char *given;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	if ((given = getenv("CHECK_SEED")) != NULL)
		seed = strtoull(given, NULL, 10);
	else
		seed = (uint64_t)now.tv_sec * 1000000 +
		    (uint64_t)now.tv_nsec / 1000;
	printf("CHECK_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

/* splitmix64: any state will do, 0 included. */
uint32_t
t_random(uint64_t *state, uint32_t below)
{
	uint64_t z;

	z = *state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)((z ^ z >> 31) >> 32) % below;
}
