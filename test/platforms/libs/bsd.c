/*
 * bsd.c - the part of libbsd that the suites use, where there is none
 */
#include <errno.h>

#include <bsd/stdlib.h>

/* As strtonum(3) says: 0, errno and *error where s is no number in range. */
long long
strtonum(const char *s, long long low, long long high, const char **error)
{
	const char *wrong = NULL;
	int before = errno;
	long long n;
	char *end;

	errno = 0;
	n = strtoll(s, &end, 10);
	if (low > high || end == s || *end != '\0') {
		wrong = "invalid";
		errno = EINVAL;
	} else if (n < low || n > high || errno == ERANGE) {
		wrong = n < low || n < 0 ? "too small" : "too large";
		errno = ERANGE;
	} else {
		errno = before;
	}
	if (error != NULL)
		*error = wrong;
	return wrong == NULL ? n : 0;
}
