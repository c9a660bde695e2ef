/* option.c - see option.h */
#include <err.h>
#include <errno.h>
#include <stdlib.h>

#include "closewatch/option.h"

int
option_number(const char *option, const char *arg, int min, int max)
{
	const char *wrong = NULL;
	char *end;
	long n;

	errno = 0;
	n = strtol(arg, &end, 10);
	if (end == arg || *end != '\0')
		wrong = "not a number";
	else if (n < min || (errno == ERANGE && n < 0))
		wrong = "too small";
	else if (n > max)
		wrong = "too large";
	if (wrong != NULL)
		errx(2, "%s %s: %s, expected %d to %d", option, arg, wrong,
		    min, max);
	return (int)n;
}
