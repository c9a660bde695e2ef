/*
 * work_mass.c - many connections are closed at once, and their peers finish
 *
 * The clients close when the FINs of all have arrived.  So all closes are under
 * way at one time.  In one more measurement each client closes as soon as its
 * own FIN has arrived.  No end has sent data.  The CPU time is that of the
 * server's process, all its threads included, and once that of both ends.
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
	bool		 traced;
	bool		 each;		/* client closes at its own FIN */
	double		 cpu, cpu_clients, bytes;
	int		 ok;
};

static void
measure(struct mass *m, const int *fds, pid_t pid, int other)
{
	ends_sync(other);
	peak_forget(pid);
	m->bytes = peak_bytes(pid);
	m->cpu = cpu_seconds(pid);
	if (m->traced)
		calls_mark();
	m->ok = peer_close_all(m->peer, fds, m->n, PEER_LIMIT_MS);
	if (m->traced)
		calls_mark();
	m->cpu = cpu_seconds(pid) - m->cpu;
	m->bytes = peak_bytes(pid) - m->bytes;
}

static void
server(void *shared, int other)
{
	struct mass *m = shared;
	int *fds = ends_fds(m->n);
	int listener = ends_listen(&m->port, QUEUE);
	pid_t pid;

	if (m->traced)
		calls_begin();
	ends_sync(other);
	ends_accept(listener, fds, m->n, other);
	close(listener);
	pid = peer_start(m->peer, -1, fds, m->n);
	measure(m, fds, pid, other);
	peer_stop(m->peer);
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

/* Waits for n FINs.  each: closes at once. */
static void
await_fins(int epfd, int n, bool each)
{
	struct epoll_event ev[BATCH];
	int i, r;

	while (n > 0) {
		if ((r = epoll_wait(epfd, ev, BATCH, -1)) == -1) {
			if (errno != EINTR)
				err(1, "epoll_wait");
			r = 0;
		}
		for (i = 0; each && i < r; i++)
			close(ev[i].data.fd);
		n -= r;
	}
}

static void
clients(void *shared, int other)
{
	struct mass *m = shared;
	int i, epfd, *fds = ends_fds(m->n);

	ends_sync(other);
	ends_connect(m->port, fds, m->n, other);
	if ((epfd = epoll_create1(EPOLL_CLOEXEC)) == -1)
		err(1, "epoll_create1");
	register_all(epfd, fds, m->n);
	ends_sync(other);
	m->cpu_clients = cpu_seconds(getpid());
	await_fins(epfd, m->n, m->each);
	for (i = 0; !m->each && i < m->n; i++)
		close(fds[i]);
	m->cpu_clients = cpu_seconds(getpid()) - m->cpu_clients;
	ends_sync(other);
}

enum { SMALL, MIDDLE, MOST, EACH, BOTH, BYTES, CALLS, COLUMNS };

static const char *const columns[COLUMNS] = { "1,000", "7,000", "most",
    "each", "both", "bytes", "calls" };
static int sizes[] = { 1000, 7000, 0, 7000 };
#define SIZES	((int)(sizeof(sizes) / sizeof(sizes[0])))

static void
add(const struct mass *m, int i)
{
	const char *name = m->peer->name;

	figures_add("mass", name, columns[i], "us of CPU a close",
	    m->cpu / m->n * 1e6);
	if (i == MIDDLE)
		figures_add("mass", name, columns[BYTES], "bytes a close",
		    m->bytes / m->n);
	if (i == EACH)
		figures_add("mass", name, columns[BOTH], "us of CPU a close",
		    (m->cpu + m->cpu_clients) / m->n * 1e6);
}

static void
mass_one(struct bench *b, const struct peer *p, int i)
{
	struct mass *m = ends_shared(sizeof(*m));

	m->peer = p;
	m->n = sizes[i];
	m->each = i == EACH;
	if (ends_run(server, clients, m, LIMIT_S) == 0 && m->ok == m->n) {
		add(m, i);
	} else {
		warnx("%s: %d of %d closes", p->name, m->ok, m->n);
		bench_failed(b, "mass", p->name);
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
	m->traced = true;
	if ((calls = ends_calls(server, clients, m, LIMIT_S)) == -1)
		bench_failed(b, "mass, calls", p->name);
	else
		figures_add("mass", p->name, columns[CALLS],
		    "system calls a close", (double)calls / m->n);
	ends_free(m, sizeof(*m));
}

static bool
takes_part(const struct peer *p)
{
	return p->at_once && bench_there("mass", p, peer_closes(p));
}

static void
print(void)
{
	static const struct {
		const char *peer, *text[BOTH + 1];
		double target;
	} rows[] = {
		{ "reaper", { "reaper over the loop by hand, 1,000",
		    "reaper over the loop by hand, 7,000",
		    "reaper over the loop by hand, most",
		    "reaper over the loop by hand, each",
		    "reaper over the loop by hand, both" }, 1.05 },
		{ "reaper with done", {
		    "reaper with done over the loop by hand, 1,000",
		    "reaper with done over the loop by hand, 7,000",
		    "reaper with done over the loop by hand, most",
		    "reaper with done over the loop by hand, each",
		    "reaper with done over the loop by hand, both" }, 1.1 },
		{ "begin, step, end", {
		    "begin, step, end over the loop by hand, 1,000",
		    "begin, step, end over the loop by hand, 7,000",
		    "begin, step, end over the loop by hand, most",
		    "begin, step, end over the loop by hand, each",
		    "begin, step, end over the loop by hand, both" }, 1.2 }
	};
	int i, k;

	figures_table("mass", "Mass close: us of CPU a close, with 1,000, "
	    "7,000 and the most at once; 7,000 where\n  each client closes at "
	    "its own FIN, and both ends of these; peak memory; system calls,\n"
	    "  counted under ptrace(2) in a run of their own", columns,
	    COLUMNS);
	for (i = 0; i <= BOTH; i++)
		figures_ahead("mass", columns[i], bench_ours);
	for (k = 0; k < (int)(sizeof(rows) / sizeof(rows[0])); k++)
		for (i = 0; i <= BOTH; i++)
			figures_ratio(rows[k].text[i], "mass", columns[i],
			    rows[k].peer, "epoll by hand", rows[k].target);
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
		for (i = 0; i <= MOST; i++)
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

	sizes[MOST] = ends_room();
	if (b->quick)
		sizes[SMALL] = QUICK;
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
