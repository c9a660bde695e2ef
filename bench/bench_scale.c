/*
 * bench_scale.c - whether the cost of a close grows with their number
 *
 * First the reaper with as many closes at once as descriptors allow, then the
 * timer wheel and the queue alone, with a million.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <bsd/stdlib.h>

#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ends.h"
#include "graceclose.h"
#include "rows.h"
#include "wheel_alone.h"

#define TURNS		5
#define MOST		100000
#define LIMIT_S		60
#define QUEUE		1000		/* below net.core.somaxconn */
#define LOOKED_MS	700

enum { CPU, SUBMIT, BYTES, WALL, REAPER_ROWS };

static struct row of_reaper[REAPER_ROWS] = {
	[CPU] = { .name = "CPU of a close", .unit = "us", .scale = 1e3 },
	[SUBMIT] = { .name = "of it, in the caller", .unit = "us",
	    .scale = 1e3 },
	[BYTES] = { .name = "memory of a close", .unit = "bytes", .scale = 1 },
	[WALL] = { .name = "time to end, for each", .unit = "us", .scale = 1e3 }
};

struct scale {
	int		 n;
	uint16_t	 port;
	double		 figure[REAPER_ROWS];
};

/* No close may end before all are under way, and each must succeed. */
static void
check(struct graceclose_reaper *r, int n)
{
	struct graceclose_reaper_stats stats;

	graceclose_reaper_stats(r, &stats);
	if (stats.ok != (uint64_t)n || stats.peak != (unsigned)n)
		errx(1, "%ju closes of %d succeeded, %u were under way",
		    (uintmax_t)stats.ok, n, stats.peak);
}

/*
 * The clients wait until the reaper has seen that each FIN was acknowledged.
 * So it looks at each close as often, however long the submission takes.
 */
static void
close_all(struct graceclose_reaper *r, const int *fds, struct scale *s,
    int other)
{
	const struct graceclose_opts opts = { .idle_ms = -1,
	    .timeout_ms = LIMIT_S * 1000 };
	double bytes = allocated_bytes(), wall;
	double cpu = rows_ns(CLOCK_PROCESS_CPUTIME_ID);
	double own = rows_ns(CLOCK_THREAD_CPUTIME_ID);
	int i;

	for (i = 0; i < s->n; i++)
		if (graceclose_reaper_close(r, fds[i], &opts, NULL) == -1)
			err(1, "graceclose_reaper_close");
	s->figure[SUBMIT] = rows_ns(CLOCK_THREAD_CPUTIME_ID) - own;
	s->figure[BYTES] = allocated_bytes() - bytes;
	nap_ms(LOOKED_MS);
	ends_sync(other);
	wall = rows_ns(CLOCK_MONOTONIC);
	if (graceclose_reaper_flush(r, LIMIT_S * 1000) == -1)
		err(1, "graceclose_reaper_flush");
	s->figure[CPU] = rows_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	s->figure[WALL] = rows_ns(CLOCK_MONOTONIC) - wall;
}

static void
server(void *shared, int other)
{
	struct scale *s = shared;
	const struct graceclose_reaper_opts opts = { .max = (unsigned)s->n };
	struct graceclose_reaper *r = graceclose_reaper_new(&opts);
	int listener = ends_listen(&s->port, QUEUE), *fds = ends_fds(s->n);

	if (r == NULL)
		err(1, "reaper");
	ends_sync(other);
	ends_accept(listener, fds, s->n, other);
	close(listener);
	close_all(r, fds, s, other);
	ends_sync(other);
	check(r, s->n);
	graceclose_reaper_free(r);
}

static void
clients(void *shared, int other)
{
	struct scale *s = shared;
	int i, *fds = ends_fds(s->n);

	ends_sync(other);
	ends_connect(s->port, fds, s->n, other);
	ends_sync(other);
	for (i = 0; i < s->n; i++)
		close(fds[i]);
	ends_sync(other);
}

static void
close_with_reaper(int n, int k, int turn)
{
	struct scale *s = ends_shared(sizeof(*s));
	int i;

	s->n = n;
	if (ends_run(server, clients, s, 2 * LIMIT_S) == -1)
		errx(1, "%d closes", n);
	for (i = 0; i < REAPER_ROWS; i++)
		of_reaper[i].turn[k][turn] = s->figure[i] / n;
	ends_free(s, sizeof(*s));
}

static void
bench_of_reaper(int turns)
{
	int size[] = { 1000, 10000, MOST };
	int i, k, sizes = 0, most = ends_room();

	while (sizes < 2 && size[sizes] < most)
		sizes++;
	if (most < size[2]) {
		printf("%d closes at once instead of %d: RLIMIT_NOFILE is too "
		    "low\n(CAP_SYS_RESOURCE raises it)\n\n", most, size[2]);
		size[sizes] = most;
	}
	sizes++;
	for (i = 0; i < turns; i++)
		for (k = 0; k < sizes; k++)
			close_with_reaper(size[k], k, i);
	rows_head("The reaper; closes at once:", size, sizes);
	for (k = 0; k < REAPER_ROWS; k++)
		rows_print(&of_reaper[k], sizes, turns);
	printf("\n");
}

/* --- all of it --- */

static void
usage(void)
{
	printf("usage: %s [--help] [turns]\n"
	    "Prints what a close costs with few and with many at once: of the "
	    "reaper,\nand of its timer wheel and its queue alone.\n"
	    "  turns  how often each is measured, 1 to %d (%d)\n",
	    getprogname(), TURNS_MAX, TURNS);
	exit(0);
}

int
main(int argc, char **argv)
{
	const char *e = NULL;
	int turns = TURNS;

	if (argc > 1 && strcmp(argv[1], "--help") == 0)
		usage();
	if (argc > 2)
		errx(2, "unexpected argument: %s", argv[2]);
	if (argc == 2 && strncmp(argv[1], "--", 2) == 0)
		errx(2, "unrecognized option '%s'", argv[1]);
	if (argc == 2)
		turns = (int)strtonum(argv[1], 1, TURNS_MAX, &e);
	if (e != NULL)
		errx(2, "turns %s: %s, expected 1 to %d", argv[1], e,
		    TURNS_MAX);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	ends_prepare(MOST);
	bench_of_reaper(turns);
	wheel_alone(turns);
	return 0;
}
