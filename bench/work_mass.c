/*
 * work_mass.c - many connections are closed at once, and their peers finish
 *
 * The clients close when the FINs of all have arrived.  So all closes are under
 * way at one time.  No end has sent data.  The CPU time is that of the server's
 * process, all its threads included.
 */
#include <sys/types.h>
#include <sys/epoll.h>

#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "calls.h"
#include "ends.h"
#include "figures.h"

#define BATCH		256
#define LIMIT_S		60
#define QUEUE		4096
#define TRACED		500		/* under ptrace(2) */
#define QUICK		100

struct mass {
	const struct peer *peer;
	int		 n;
	uint16_t	 port;
	int		 traced;
	double		 cpu, wall, bytes;
	int		 ok;
};

static int *
descriptors(int n)
{
	int *fds = calloc((size_t)n, sizeof(*fds));

	if (fds == NULL)
		err(1, NULL);
	return fds;
}

static void
measure(struct mass *m, const int *fds, pid_t pid, int other)
{
	ends_sync(other);
	peak_forget(pid);
	m->bytes = peak_bytes(pid);
	m->cpu = cpu_seconds(pid);
	m->wall = seconds(CLOCK_MONOTONIC);
	if (m->traced)
		calls_mark();
	m->ok = m->peer->close_all(fds, m->n, PEER_LIMIT_MS);
	if (m->traced)
		calls_mark();
	m->wall = seconds(CLOCK_MONOTONIC) - m->wall;
	m->cpu = cpu_seconds(pid) - m->cpu;
	m->bytes = peak_bytes(pid) - m->bytes;
}

static void
server(void *shared, int other)
{
	struct mass *m = shared;
	const struct peer *p = m->peer;
	int *fds = descriptors(m->n);
	int listener = ends_listen(&m->port, QUEUE);
	pid_t pid = getpid();

	if (m->traced)
		calls_begin();
	ends_sync(other);
	ends_accept(listener, fds, m->n, other);
	close(listener);
	if (p->start != NULL)
		pid = p->start(-1, fds, m->n);
	measure(m, fds, pid, other);
	if (p->stop != NULL)
		p->stop();
	ends_sync(other);
}

static void
register_all(int epfd, const int *fds, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		struct epoll_event ev = {
			.events = EPOLLRDHUP | EPOLLONESHOT, .data.fd = fds[i]
		};

		if (epoll_ctl(epfd, EPOLL_CTL_ADD, fds[i], &ev) == -1)
			err(1, "epoll_ctl");
	}
}

static void
clients(void *shared, int other)
{
	struct epoll_event ev[BATCH];
	struct mass *m = shared;
	int i, r, epfd, *fds = descriptors(m->n);

	ends_sync(other);
	ends_connect(m->port, fds, m->n, other);
	if ((epfd = epoll_create1(EPOLL_CLOEXEC)) == -1)
		err(1, "epoll_create1");
	register_all(epfd, fds, m->n);
	ends_sync(other);
	for (i = 0; i < m->n; i += r)
		if ((r = epoll_wait(epfd, ev, BATCH, -1)) == -1) {
			if (errno != EINTR)
				err(1, "epoll_wait");
			r = 0;
		}
	for (i = 0; i < m->n; i++)
		close(fds[i]);
	ends_sync(other);
}

#define SIZES	3
static const char *const columns[] = { "1,000", "7,000", "most", "bytes",
    "calls" };
static int sizes[SIZES] = { 1000, 7000, 0 };
static const char *const text[][SIZES] = {
	{ "reaper over the loop by hand, 1,000",
	    "reaper over the loop by hand, 7,000",
	    "reaper over the loop by hand, most" },
	{ "reaper with done over the loop by hand, 1,000",
	    "reaper with done over the loop by hand, 7,000",
	    "reaper with done over the loop by hand, most" },
	{ "begin, step, end over the loop by hand, 1,000",
	    "begin, step, end over the loop by hand, 7,000",
	    "begin, step, end over the loop by hand, most" }
};

static void
mass_one(struct bench *b, const struct peer *p, int i)
{
	struct mass *m = ends_shared(sizeof(*m));
	int n = sizes[i];

	m->peer = p;
	m->n = n;
	if (ends_run(server, clients, m, LIMIT_S) == -1 || m->ok != n) {
		if (m->ok != n)
			warnx("%s: %d of %d closes", p->name, m->ok, n);
		bench_failed(b, "mass", p->name);
	} else {
		figures_add("mass", p->name, columns[i], "us of CPU a close",
		    m->cpu / n * 1e6);
		if (i == 1)
			figures_add("mass", p->name, "bytes", "bytes a close",
			    m->bytes / n);
	}
	ends_free(m, sizeof(*m));
}

static void
mass_calls(struct bench *b, const struct peer *p)
{
	struct mass *m = ends_shared(sizeof(*m));
	long calls;

	m->peer = p;
	m->n = b->quick ? QUICK : TRACED;
	m->traced = 1;
	if ((calls = ends_calls(server, clients, m, LIMIT_S)) == -1)
		bench_failed(b, "mass, calls", p->name);
	else
		figures_add("mass", p->name, "calls", "system calls a close",
		    (double)calls / m->n);
	ends_free(m, sizeof(*m));
}

static bool
takes_part(const struct peer *p)
{
	return p->at_once && bench_there("mass", p, p->close_all != NULL);
}

static void
print(void)
{
	static const char *const hand = "epoll by hand";
	int i;

	figures_table("mass", "Mass close: us of CPU a close, with 1,000, "
	    "7,000 and the most at once;\n  peak memory; system calls, counted "
	    "under ptrace(2) in a run of their own", columns, SIZES + 2);
	for (i = 0; i < SIZES; i++)
		figures_ahead("mass", columns[i], bench_ours);
	for (i = 0; i < SIZES; i++) {
		figures_ratio(text[0][i], "mass", columns[i], "reaper", hand,
		    1.05);
		figures_ratio(text[1][i], "mass", columns[i],
		    "reaper with done", hand, 1.1);
		figures_ratio(text[2][i], "mass", columns[i],
		    "begin, step, end", hand, 1.2);
	}
}

/* What gnuplot draws: closes at once, then each peer's CPU; a block a peer. */
static void
plot(void)
{
	struct quartiles q;
	FILE *f = bench_plot("mass_close.dat");
	const char *between = "";
	int i, k;

	if (f == NULL)
		return;
	for (k = 0; k < npeers; k++) {
		if (!figures_get("mass", peers[k]->name, columns[0], &q))
			continue;
		fprintf(f, "%s\"%s\"\n", between, peers[k]->name);
		between = "\n\n";
		for (i = 0; i < SIZES; i++)
			if (figures_get("mass", peers[k]->name, columns[i], &q))
				fprintf(f, "%d %g %g %g\n", sizes[i], q.median,
				    q.q1, q.q3);
	}
	fclose(f);
}

void
work_mass(struct bench *b)
{
	const struct peer *p;
	int round, i, k;

	sizes[SIZES - 1] = ends_room();
	if (b->quick)
		sizes[0] = QUICK;
	for (round = 0; round < b->rounds; round++)
		for (i = 0; i < (b->quick ? 1 : SIZES); i++)
			for (k = 0; k < npeers; k++) {
				p = peers[bench_turn(k, npeers, round)];
				if (!takes_part(p))
					continue;
				bench_progress(b, "mass", round, p->name);
				mass_one(b, p, i);
			}
	for (k = 0; k < npeers; k++)
		if (takes_part(peers[k]))
			mass_calls(b, peers[k]);
	print();
	plot();
}
