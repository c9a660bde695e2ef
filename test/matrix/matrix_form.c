/*
 * matrix_form.c - the table of forms
 */
#include <sys/types.h>

#include <stdlib.h>

#include "matrix/matrix_form.h"
#include "network/workers.h"
#include "support/util.h"

#define FINISHED	GRACECLOSE_FINISHED
#define DELIVERED	GRACECLOSE_DELIVERED
#define DETACH		GRACECLOSE_DETACH
#define RESET		GRACECLOSE_RESET

#define WHOLE		1000		/* timeout_ms of most */
#define IDLE		500		/* idle_ms, where it is to be first */
#define BOTH		2000		/* and timeout_ms then */
#define CAP		10000		/* discard_max */

/* until, on_expiry, timeout_ms, idle_ms, discard_max; asks, faulted */
const struct m_form m_forms[] = {
	{ "graceful_close", F_GRACEFUL,
	    FINISHED, DETACH, 30000, 5000, 0, false, true },
	{ "linger_close", F_LINGER,
	    DELIVERED, RESET, WHOLE, -1, 0, false, true },
	{ "linger_close -1", F_LINGER,
	    DELIVERED, RESET, -1, -1, 0, false, false },
	{ "linger_close 0", F_LINGER,
	    DELIVERED, RESET, 0, -1, 0, false, false },
	{ "abort_close", F_ABORT,
	    DELIVERED, RESET, 0, -1, 0, false, true },
	{ "graceclose", F_BLOCKING,
	    FINISHED, DETACH, WHOLE, -1, 0, false, false },
	{ "no limits", F_BLOCKING,
	    FINISHED, DETACH, -1, -1, 0, false, false },
	{ "graceclose, idle", F_BLOCKING,
	    FINISHED, RESET, BOTH, IDLE, 0, false, true },
	{ "delivered", F_BLOCKING,
	    DELIVERED, DETACH, BOTH, IDLE, 0, false, true },
	{ "delivered, or RST", F_BLOCKING,
	    DELIVERED, RESET, WHOLE, -1, 0, false, false },
	{ "capped", F_BLOCKING,
	    FINISHED, DETACH, WHOLE, -1, CAP, false, false },
	{ "capped, or RST", F_BLOCKING,
	    FINISHED, RESET, WHOLE, IDLE, CAP, false, false },
	{ "asked before", F_BLOCKING,
	    FINISHED, DETACH, WHOLE, -1, 0, true, false },
	{ "epoll loop", F_EPOLL,
	    FINISHED, DETACH, BOTH, IDLE, 0, false, true },
	{ "epoll, delivered", F_EPOLL,
	    DELIVERED, RESET, WHOLE, -1, 0, false, true },
	{ "poll loop", F_POLL,
	    FINISHED, RESET, WHOLE, -1, 0, false, true },
	{ "reaper", F_REAPER,
	    FINISHED, DETACH, WHOLE, IDLE, 0, false, true },
	{ "reaper, delivered", F_REAPER,
	    DELIVERED, RESET, WHOLE, -1, 0, false, false },
};

const size_t m_nforms = sizeof(m_forms) / sizeof(m_forms[0]);

int
m_slow(void)
{
	const char *s = getenv("T_SLOW");
	long factor = s != NULL ? strtol(s, NULL, 10) : 1;

	return (factor > 1 && factor < 100 ? (int)factor : 1) *
	    (T_VALGRIND ? 4 : T_SANITIZED ? 2 : 1) * t_worker_patience();
}

/* The verbs' limits are what they are; the others are ours to choose. */
struct graceclose_opts
m_opts(const struct m_form *f)
{
	int slow = f->form == F_GRACEFUL ? 1 : m_slow();
	struct graceclose_opts o = t_opts(f->until, f->on_expiry,
	    f->timeout_ms == -1 ? -1 : f->timeout_ms * slow,
	    f->idle_ms == -1 ? -1 : f->idle_ms * slow);

	o.discard_max = f->discard_max;
	return o;
}

void
m_close(const struct m_form *f, int fd, struct closing *c)
{
	const struct closing_way way = {
		.form = f->form, .opts = m_opts(f), .cancel_ms = -1
	};

	closing_run(c, &way, fd);
}
