/*
 * work_background.c - a close of the reaper while few, and while many, are
 * under way
 *
 * The clients of those under way keep their side open, and the limits are
 * minutes.  More closes come: their clients end them, or a limit does.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "ends.h"
#include "figures.h"
#include "graceclose.h"

#define FEW		1000		/* under way */
#define MORE		2000		/* closed while those are */
#define LIMIT_S		60
#define QUEUE		4096
#define IDLE_MS		1000		/* by then all FINs are acknowledged */

struct background {
	int		 under_way, more;
	uint16_t	 port;
	double		 ended, expired, idle, bytes;
};

static void
submit(struct graceclose_reaper *r, int fd, int timeout_ms)
{
	const struct graceclose_opts opts = {
		.timeout_ms = timeout_ms, .idle_ms = -1
	};

	if (graceclose_reaper_close(r, fd, &opts, NULL) == -1)
		err(1, "graceclose_reaper_close");
}

/* Until none but those under way is left; the CPU time of each close. */
static double
close_more(struct graceclose_reaper *r, const int *fds,
    const struct background *g, bool silent)
{
	struct graceclose_reaper_stats stats;
	double t = cpu_seconds(getpid());
	int i;

	for (i = 0; i < g->more; i++)
		submit(r, fds[i], silent ? 1 + i % 50 : 0);
	do {
		nap_ms(5);
		graceclose_reaper_stats(r, &stats);
	} while (stats.now > (unsigned)g->under_way);
	return (cpu_seconds(getpid()) - t) / g->more;
}

/* Of all threads but this one, in a second. */
static double
idle_cpu(void)
{
	double t;

	nap_ms(IDLE_MS);
	t = cpu_seconds(getpid()) - seconds(CLOCK_THREAD_CPUTIME_ID);
	nap_ms(IDLE_MS);
	t = cpu_seconds(getpid()) - seconds(CLOCK_THREAD_CPUTIME_ID) - t;
	/* The two clocks are not read at one time. */
	return t > 0 ? t * 1000 / IDLE_MS : 0;
}

static void
server(void *shared, int other)
{
	struct background *g = shared;
	int n = g->under_way + 2 * g->more, i, listener;
	const struct graceclose_reaper_opts opts = { .max = (unsigned)n };
	struct graceclose_reaper *r = graceclose_reaper_new(&opts);
	int *fds = ends_fds(n);

	if (r == NULL)
		err(1, "reaper");
	listener = ends_listen(&g->port, QUEUE);
	ends_sync(other);
	ends_accept(listener, fds, n, other);
	g->bytes = allocated_bytes();
	/* One of eight has no limit; the others have one to ten minutes. */
	for (i = 0; i < g->under_way; i++)
		submit(r, fds[i], i % 8 == 0 ? -1 : 60000 + i % 1000 * 540);
	g->bytes = (allocated_bytes() - g->bytes) / g->under_way;
	g->idle = idle_cpu();
	g->ended = close_more(r, fds + g->under_way, g, false);
	ends_sync(other);
	g->expired = close_more(r, fds + g->under_way + g->more, g, true);
	ends_sync(other);
	graceclose_reaper_free(r);
}

static void
clients(void *shared, int other)
{
	struct background *g = shared;
	int n = g->under_way + 2 * g->more, i;
	int *fds = ends_fds(n);
	char c;

	ends_sync(other);
	ends_connect(g->port, fds, n, other);
	for (i = g->under_way; i < g->under_way + g->more; i++) {
		if (recv(fds[i], &c, 1, 0) != 0)
			warnx("no FIN");
		close(fds[i]);
	}
	ends_sync(other);
	ends_sync(other);
}

static const char *const columns[] = { "ended us", "expired us", "idle us/s",
    "bytes" };
static const char *const rows[] = { "1,000 under way", "most under way" };

static void
measure(struct bench *b, int row)
{
	const int more = b->quick ? 100 : MORE;
	struct background *g = ends_shared(sizeof(*g));

	g->more = more;
	g->under_way = row == 0 ? FEW : b->quick ? 2 * FEW :
	    ends_room() - 2 * more;
	if (ends_run(server, clients, g, LIMIT_S) == -1) {
		bench_failed(b, "background", rows[row]);
	} else {
		figures_add("background", rows[row], columns[0], "us",
		    g->ended * 1e6);
		figures_add("background", rows[row], columns[1], "us",
		    g->expired * 1e6);
		figures_add("background", rows[row], columns[2], "us",
		    g->idle * 1e6);
		figures_add("background", rows[row], columns[3], "bytes",
		    g->bytes);
	}
	ends_free(g, sizeof(*g));
}

void
work_background(struct bench *b)
{
	int round, k;

	for (round = 0; round < b->rounds; round++)
		for (k = 0; k < 2; k++) {
			bench_progress(b, "background", round, rows[k]);
			measure(b, bench_turn(k, 2, round));
		}
	figures_table("background", "The reaper with closes under way: CPU us "
	    "of one more that the peer ends, and of\n  one that expires; CPU "
	    "us of a second in which nothing happens; memory", columns, 4);
	figures_ratio("reaper, one more ends: many over 1,000 under way",
	    "background", columns[0], rows[1], rows[0], 1.25);
	figures_ratio("reaper, one more expires: many over 1,000 under way",
	    "background", columns[1], rows[1], rows[0], 1.25);
	figures_bound("reaper, bytes of memory for a close under way",
	    "background", columns[3], rows[1], 192);
}
