/*
 * posix_wait.c - how a blocking close waits where there is poll(2) alone
 */
#include <sys/types.h>

#include <pthread.h>
#include <stddef.h>

#include "kernel/common.h"
#include "kernel/kernel.h"

bool
graceclose_tcp_has_edges(const struct graceclose_waiter *w, int kind)
{
	(void)w;
	(void)kind;
	return false;
}

void
graceclose_tcp_wait(struct graceclose_waiter *w, int fd, short events,
    int timeout_ms)
{
	(void)pthread_setcancelstate(w->cancel, NULL);
	graceclose_wait_poll(fd, events, timeout_ms);
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
}

void
graceclose_tcp_wait_end(struct graceclose_waiter *w)
{
	(void)w;
}
