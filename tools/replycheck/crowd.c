/* crowd.c - see crowd.h */
#include <errno.h>
#include <string.h>

#include "replycheck/crowd.h"

static void
count_status(struct crowd *c, int status)
{
	int i;

	for (i = 0; i < CROWD_STATUSES; i++) {
		if (c->statuses[i].number != 0 &&
		    c->statuses[i].status != status)
			continue;
		c->statuses[i].status = status;
		c->statuses[i].number++;
		return;
	}
}

static void
count(struct crowd *c, const struct attempt *a)
{
	c->number++;
	c->port = a->port;
	c->ends[a->end]++;
	c->simple += attempt_simple(a);
	c->send_failed += a->send_error != 0;
	c->late += a->late;
	c->broken += a->end == ATTEMPT_RESET && a->error == EPROTO;
	if (a->end == ATTEMPT_UNCONNECTED && c->error == 0)
		c->error = a->error;
	if (a->reply.status != 0)
		count_status(c, a->reply.status);
}

/* Waits until one of them can go on; their events are in p. */
static void
wait_for_any(const struct attempt *a, const struct request *r,
    struct pollfd *p, int n)
{
	int i, ms, least = r->timeout_ms;

	for (i = 0; i < n; i++) {
		ms = attempt_wants(&a[i], r, &p[i]);
		p[i].revents = 0;
		if (ms < least)
			least = ms;
	}
	(void)poll(p, (nfds_t)n, least);
}

void
crowd_run(struct crowd *c, const struct request *r,
    const struct sockaddr *addr, socklen_t len, int number, int at_once,
    void (*told)(const struct crowd *))
{
	static struct attempt all[CROWD_MOST];
	struct pollfd p[CROWD_MOST];
	int i, n = 0, begun = 0;

	memset(c, 0, sizeof(*c));
	while (c->number < number) {
		for (; n < at_once && begun < number; begun++)
			attempt_begin(&all[n++], r, addr, len);
		wait_for_any(all, r, p, n);
		for (i = n - 1; i >= 0; i--) {
			if (!attempt_over(&all[i]))
				attempt_step(&all[i], r, p[i].revents);
			if (!attempt_over(&all[i]))
				continue;
			count(c, &all[i]);
			all[i] = all[--n];
			if (told != NULL)
				told(c);
		}
	}
}

int
crowd_asked(const struct crowd *c)
{
	return c->number - c->ends[ATTEMPT_UNCONNECTED];
}

int
crowd_lost(const struct crowd *c)
{
	return crowd_asked(c) - c->ends[ATTEMPT_WHOLE];
}
