/*
 * assertions.c - assertions that print errno by name, and those on verdicts
 */
#include <stdio.h>
#include <string.h>

#include "support/assertions.h"

int
t_outcome(int error)
{
	switch (error) {
	case 0:
		return GRACECLOSE_OK;
	case ECONNRESET:
		return GRACECLOSE_WAS_RESET;
	case ETIMEDOUT:
		return GRACECLOSE_EXPIRED;
	case EMSGSIZE:
		return GRACECLOSE_FLOODED;
	case ECANCELED:
		return GRACECLOSE_ABORTED;
	}
	return GRACECLOSE_INVALID;
}

const char *
t_errno(int e)
{
	static char unknown[32];
	const char *name;

	if (e == 0)
		return "0";
	if ((name = strerrorname_np(e)) != NULL)
		return name;
	snprintf(unknown, sizeof(unknown), "errno %d", e);
	return unknown;
}
