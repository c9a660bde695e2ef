/*
 * string.h - musl's, and what the suites use of glibc's
 */
#ifndef PLATFORMS_MUSL_STRING_H
#define PLATFORMS_MUSL_STRING_H

#include_next <string.h>

const char	*strerrorname_np(int);

#endif /* PLATFORMS_MUSL_STRING_H */
