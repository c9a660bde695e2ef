/*
 * version.c - the version of the library that runs
 */
#include "graceclose.h"

#define TEXT_OF(n)	#n
#define TEXT(n)		TEXT_OF(n)

const char *
graceclose_version(void)
{
	return TEXT(GRACECLOSE_VERSION_MAJOR) "."
	    TEXT(GRACECLOSE_VERSION_MINOR) "." TEXT(GRACECLOSE_VERSION_PATCH);
}
