/*
 * linger_close.c - what SO_LINGER with a time was meant to be
 */
#include <stddef.h>
#include <string.h>

#include "graceclose.h"

int
linger_close(int fd, int timeout_ms)
{
	struct graceclose_opts opts;

	if (timeout_ms == 0)
		return abort_close(fd);
	memset(&opts, 0, sizeof(opts));
	opts.until = GRACECLOSE_DELIVERED;
	opts.on_expiry = GRACECLOSE_RESET;
	opts.timeout_ms = timeout_ms < 0 ? -1 : timeout_ms;
	opts.idle_ms = -1;
	return graceclose(fd, &opts, NULL);
}
