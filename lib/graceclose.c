/*
 * graceclose.c - the blocking close: the closer, and a wait between its steps
 */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#include "closer.h"
#include "graceclose.h"
#include "kernel/kernel.h"

struct blocking {
	struct graceclose		gc;
	struct graceclose_waiter	w;
};

static void
cancelled(void *arg)
{
	struct blocking *b = arg;

	graceclose_tcp_wait_end(&b->w);
	(void)graceclose_end(&b->gc, NULL);
}

/*
 * What arrives in order ends with the peer's FIN, and behind it one look at the
 * acknowledgements is enough: they need no event of their own before.
 */
static int
take_step(struct blocking *b)
{
	int r;

	b->gc.options = 0;
	if (graceclose_tcp_has_edges(&b->w, b->gc.kind))
		b->gc.options = GRACECLOSE_EDGES |
		    (b->w.no_input ? NO_INPUT : 0);
	r = graceclose_step(&b->gc);
	b->w.input_only = b->gc.until == GRACECLOSE_FINISHED &&
	    graceclose_events(&b->gc) != 0;
	return r;
}

static int
close_and_wait(struct blocking *b, struct graceclose_report *report)
{
	int saved = errno;

	pthread_cleanup_push(cancelled, b);
	while (take_step(b) == 1)
		graceclose_tcp_wait(&b->w, b->gc.fd, graceclose_events(&b->gc),
		    graceclose_timeout(&b->gc));
	pthread_cleanup_pop(0);
	graceclose_tcp_wait_end(&b->w);
	errno = saved;
	return graceclose_end(&b->gc, report);
}

/* Only the wait is a point of cancellation. */
int
graceclose(int fd, const struct graceclose_opts *opts,
    struct graceclose_report *report)
{
	struct blocking b;
	int r;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &b.w.cancel);
	b.w.epfd = GRACECLOSE_WAITER_UNTRIED;
	b.w.no_input = false;
	if ((r = graceclose_begin(&b.gc, fd, opts)) == 0)
		r = close_and_wait(&b, report);
	else
		graceclose_no_close(report, errno);
	(void)pthread_setcancelstate(b.w.cancel, NULL);
	return r;
}
