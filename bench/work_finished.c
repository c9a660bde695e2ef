/*
 * work_finished.c - a close after the peer's FIN: nothing is left to wait for
 *
 * One process closes in turn, one connection each way, so that both meet the
 * same state of the machine.  The median of a round ignores the closes that an
 * interrupt hit.
 */
#include <sys/types.h>

#include <err.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "ends.h"
#include "figures.h"

#define LIMIT_S	20
#define CLOSES	500		/* each way */

static const struct peer *const ways[] = {
	&peer_close, &peer_shutdown, &peer_so_linger, &peer_graceful_close,
	&peer_linger_close
};
#define WAYS	((int)(sizeof(ways) / sizeof(ways[0])))

struct finished {
	uint16_t port;
	int	 closes;
	double	 ns[WAYS];
};

static void
server(void *shared, int other)
{
	static double ns[WAYS][CLOSES];
	static int fds[WAYS * CLOSES];
	struct finished *f = shared;
	int i, k, listener = ends_listen(&f->port, 4096);
	double t;

	ends_sync(other);
	ends_accept(listener, fds, WAYS * f->closes, other);
	ends_sync(other);
	for (i = 0; i < f->closes; i++)
		for (k = 0; k < WAYS; k++) {
			t = seconds(CLOCK_MONOTONIC);
			if (ways[k]->close(fds[i * WAYS + k],
			    PEER_LIMIT_MS) != 0)
				err(1, "%s", ways[k]->name);
			ns[k][i] = (seconds(CLOCK_MONOTONIC) - t) * 1e9;
		}
	for (k = 0; k < WAYS; k++)
		f->ns[k] = quantile(ns[k], f->closes, 0.5);
	ends_sync(other);
}

static void
clients(void *shared, int other)
{
	static int fds[WAYS * CLOSES];
	struct finished *f = shared;
	int i;

	ends_sync(other);
	ends_connect(f->port, fds, WAYS * f->closes, other);
	for (i = 0; i < WAYS * f->closes; i++)
		close(fds[i]);
	ends_sync(other);
	ends_sync(other);
}

void
work_finished(struct bench *b)
{
	static const char *const columns[] = { "ns" };
	struct finished *f = ends_shared(sizeof(*f));
	int round, k;

	f->closes = b->quick ? 20 : CLOSES;
	for (round = 0; round < b->rounds; round++) {
		bench_progress(b, "finished", round, "all");
		if (ends_run(server, clients, f, LIMIT_S) == -1) {
			bench_failed(b, "finished", "all");
			continue;
		}
		for (k = 0; k < WAYS; k++)
			figures_add("finished", ways[k]->name, columns[0],
			    "ns", f->ns[k]);
	}
	ends_free(f, sizeof(*f));
	figures_table("finished", "A close after the peer's FIN", columns, 1);
	figures_ahead("finished", columns[0], bench_ours);
	figures_ratio("graceful_close over close(2), after the peer's FIN",
	    "finished", columns[0], "graceful_close", "close(2)", 1.09);
	figures_ratio("linger_close over close(2), after the peer's FIN",
	    "finished", columns[0], "linger_close", "close(2)", NO_TARGET);
}
