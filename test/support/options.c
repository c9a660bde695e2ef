/*
 * options.c - options of a close: with given limits, and some that are EINVAL
 */
#include <stdint.h>

#include "support/options.h"

struct graceclose_opts
t_opts(int until, int on_expiry, int timeout_ms, int idle_ms)
{
	return (struct graceclose_opts){
	    .until = until, .on_expiry = on_expiry,
	    .timeout_ms = timeout_ms, .idle_ms = idle_ms };
}

const struct graceclose_opts t_bad_opts[T_BAD_OPTS] = {
	{ .until = 3 },
	{ .until = -1 },
	{ .on_expiry = 2 },
	{ .on_expiry = -1 },
	{ .timeout_ms = -2 },
	{ .idle_ms = -2 },
	{ .flags = 2 },
	{ .flags = 1U << 31 },
	{ .reserved = 1 }
};
