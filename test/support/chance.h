/*
 * chance.h - random numbers that can be had again
 */
#ifndef TEST_CHANCE_H
#define TEST_CHANCE_H

#include <stdint.h>

/* CHECK_SEED from the environment, or another seed each time; prints it. */
uint64_t	 t_seed(void);
uint32_t	 t_random(uint64_t *, uint32_t);	/* below the limit */

#endif /* TEST_CHANCE_H */
