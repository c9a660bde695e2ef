/*
 * work_drain.c - 1 GiB of late input: the CPU time of the close
 *
 * First on the machine as it is, then with a busy process for each processor.
 */
#include <sys/types.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "ends.h"
#include "figures.h"

#define LIMIT_S		130
#define DRAIN_MS	120000		/* on a busy machine */
#define BUSY_MAX	64
#define SPLICED		((size_t)1 << 20)

struct drain {
	const struct peer *peer;
	uint64_t	 bytes;
	uint16_t	 port;
	double		 cpu;
	int		 ok;
};

/* --- the ways to read that a program may have instead of a close --- */

static int
trunc_loop(int fd, int limit_ms)
{
	ssize_t n;

	(void)limit_ms;
	while ((n = recv(fd, NULL, (size_t)1 << 20, MSG_TRUNC)) > 0)
		continue;
	return n == -1 ? -1 : close(fd);
}

static int
copy_loop(int fd, int limit_ms)
{
	char block[4096];
	ssize_t n;

	(void)limit_ms;
	while ((n = recv(fd, block, sizeof(block), 0)) > 0)
		continue;
	return n == -1 ? -1 : close(fd);
}

static int
splice_loop(int fd, int limit_ms)
{
	int pipes[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	ssize_t n;

	(void)limit_ms;
	if (null == -1 || pipe2(pipes, O_CLOEXEC) == -1)
		err(1, "splice");
	(void)fcntl(pipes[1], F_SETPIPE_SZ, (int)SPLICED);
	while ((n = splice(fd, NULL, pipes[1], NULL, SPLICED, 0)) > 0)
		while (n > 0) {
			ssize_t m = splice(pipes[0], NULL, null, NULL,
			    (size_t)n, 0);

			if (m <= 0)
				err(1, "splice to /dev/null");
			n -= m;
		}
	return n == -1 ? -1 : close(fd);
}

static const struct peer readers[] = {
	{ .name = "MSG_TRUNC, blocking", .close = trunc_loop },
	{ .name = "splice(2)", .close = splice_loop },
	{ .name = "recv of 4 KiB", .close = copy_loop }
};
#define READERS	((int)(sizeof(readers) / sizeof(readers[0])))

/* --- the two ends --- */

static void
server(void *shared, int other)
{
	struct drain *d = shared;
	int listener = ends_listen(&d->port, 1), fd;
	pid_t pid;

	ends_sync(other);
	if ((fd = accept(listener, NULL, NULL)) == -1)
		err(1, "accept");
	pid = peer_start(d->peer, -1, &fd, 1);
	ends_sync(other);
	d->cpu = cpu_seconds(pid);
	d->ok = peer_close_all(d->peer, &fd, 1, DRAIN_MS);
	d->cpu = cpu_seconds(pid) - d->cpu;
	ends_sync(other);
	peer_stop(d->peer);
}

static void
clients(void *shared, int other)
{
	static char block[256 * 1024];
	struct drain *d = shared;
	uint64_t left = d->bytes;
	int fd;

	ends_sync(other);
	fd = ends_connect_one(d->port);
	ends_sync(other);
	while (left > 0) {
		ssize_t n = send(fd, block, left < sizeof(block) ?
		    (size_t)left : sizeof(block), MSG_NOSIGNAL);

		if (n == -1)
			err(1, "send");
		left -= (uint64_t)n;
	}
	close(fd);
	ends_sync(other);
}

/* --- load --- */

static pid_t busy[BUSY_MAX];
static int nbusy;

static void
load_start(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	for (nbusy = 0; nbusy < n && nbusy < BUSY_MAX; nbusy++) {
		if ((busy[nbusy] = fork()) == -1)
			err(1, "fork");
		if (busy[nbusy] == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				continue;
		}
	}
}

static void
load_stop(void)
{
	while (nbusy-- > 0) {
		(void)kill(busy[nbusy], SIGKILL);
		(void)waitpid(busy[nbusy], NULL, 0);
	}
}

/* --- the work --- */

static const char *const columns[] = { "CPU ms", "ms, loaded" };

static const struct peer *
drainer(int k)
{
	return k < READERS ? &readers[k] : peers[k - READERS];
}

/*
 * close(2) alone, and what waits for acknowledgements alone, reads nothing.
 * Beside load the slowest ones would take minutes.
 */
static bool
takes_part(const struct peer *p, int column)
{
	if (column == 1 && !p->ours && p != &peer_by_hand && p != &readers[0] &&
	    p != &readers[1])
		return false;
	if (p->plain || p->lingers)
		return false;
	return bench_there("drain", p, peer_closes(p));
}

static void
round_of(struct bench *b, struct drain *d, int round, int column)
{
	const int n = READERS + npeers;
	int k;

	for (k = 0; k < n; k++) {
		d->peer = drainer(bench_turn(k, n, round));
		if (!takes_part(d->peer, column))
			continue;
		bench_progress(b, "drain", round, d->peer->name);
		if (ends_run(server, clients, d, LIMIT_S) == -1 || d->ok != 1)
			bench_failed(b, "drain", d->peer->name);
		else
			figures_add("drain", d->peer->name, columns[column],
			    "ms", d->cpu * 1e3);
	}
}

static void
print(void)
{
	static const char *const text[][2] = {
		{ "graceful_close over MSG_TRUNC, 1 GiB",
		    "graceful_close over MSG_TRUNC, 1 GiB, loaded" },
		{ "graceful_close over splice(2), 1 GiB",
		    "graceful_close over splice(2), 1 GiB, loaded" },
		{ "graceful_close over recv of 4 KiB, 1 GiB", NULL }
	};
	int i, k;

	figures_table("drain", "Drain: CPU ms for 1 GiB of late input, and "
	    "with a busy process for each processor", columns, 2);
	for (k = 0; k < 2; k++) {
		figures_ahead("drain", columns[k], bench_ours);
		for (i = 0; i < READERS; i++)
			figures_ratio(text[i][k], "drain", columns[k],
			    "graceful_close", readers[i].name,
			    i == 2 ? NO_TARGET : 1.1);
	}
}

void
work_drain(struct bench *b)
{
	struct drain *d = ends_shared(sizeof(*d));
	int round;

	d->bytes = (uint64_t)1 << (b->quick ? 24 : 30);
	for (round = 0; round < b->rounds; round++) {
		round_of(b, d, round, 0);
		load_start();
		round_of(b, d, round, 1);
		load_stop();
	}
	ends_free(d, sizeof(*d));
	print();
}
