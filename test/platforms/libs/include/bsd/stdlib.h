/*
 * bsd/stdlib.h - the part of libbsd that the suites use, where there is none
 */
#ifndef PLATFORMS_BSD_STDLIB_H
#define PLATFORMS_BSD_STDLIB_H

#include <stdlib.h>

long long	 strtonum(const char *, long long low, long long high,
		    const char **error);

#endif /* PLATFORMS_BSD_STDLIB_H */
