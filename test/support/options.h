/*
 * options.h - options of a close: with given limits, and some that are EINVAL
 */
#ifndef TEST_OPTIONS_H
#define TEST_OPTIONS_H

#include <graceclose.h>

struct graceclose_opts
		 t_opts(int until, int on_expiry, int timeout_ms, int idle_ms);

#define T_BAD_OPTS	9
extern const struct graceclose_opts t_bad_opts[T_BAD_OPTS];

#endif /* TEST_OPTIONS_H */
