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
	{ .until = 2 },
	{ .until = -1 },
	{ .on_expiry = 2 },
	{ .on_expiry = -1 },
	{ .timeout_ms = -2 },
	{ .idle_ms = -2 },
	{ .reserved = { 1, 0, 0 } },
	{ .reserved = { 0, 1, 0 } },
	{ .reserved = { 0, 0, (uint64_t)1 << 63 } }
};
