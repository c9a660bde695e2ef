/*
 * work_early.c - the server replies at once and closes, while clients upload
 *
 * A client sends its whole request and then reads, as simple ones do.  Where
 * the server's close resets the connection, the reply is lost.  The CPU time is
 * that of the server's process, all its threads included.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "ends.h"
#include "figures.h"

#define UPLOAD		((size_t)1000000)
#define AT_ONCE		8		/* clients */
#define REQUESTS_MAX	400
#define LIMIT_S		60
#define REPLY_S		15

struct early {
	const struct peer *peer;
	int		 requests;
	uint16_t	 port;
	double		 cpu;
	atomic_int	 begun, lost, resets;
	double		 latency[REQUESTS_MAX];
};

/* The send queue takes the whole reply, so no server waits to send it. */
static void
server(void *shared, int other)
{
	struct early *e = shared;
	const int size = 2 * (int)PEER_REPLY;
	int listener = ends_listen(&e->port, 64);
	pid_t pid;

	if (setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size))
	    == -1)
		err(1, "SO_SNDBUF");
	pid = peer_start(e->peer, listener, NULL, 0);
	e->cpu = cpu_seconds(pid);
	ends_sync(other);
	peer_serve(e->peer, listener, e->requests);
	ends_sync(other);
	e->cpu = cpu_seconds(pid) - e->cpu;
	peer_stop(e->peer);
}

/* True: an RST came. */
static bool
upload(int fd)
{
	static char body[UPLOAD];
	const char *header = "POST / HTTP/1.1\r\nHost: localhost\r\n"
	    "Connection: close\r\nContent-Length: 1000000\r\n\r\n";
	size_t sent = 0;
	ssize_t n = send(fd, header, strlen(header), MSG_NOSIGNAL);

	while (n != -1 && sent < UPLOAD) {
		n = send(fd, body, UPLOAD - sent, MSG_NOSIGNAL);
		if (n > 0)
			sent += (size_t)n;
	}
	return n == -1;
}

static void
request(struct early *e, int i)
{
	const struct timeval limit = { .tv_sec = REPLY_S };
	char block[64 * 1024];
	double t = seconds(CLOCK_MONOTONIC);
	int fd = ends_connect_one(e->port);
	size_t got = 0;
	ssize_t n;
	bool reset;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	reset = upload(fd);
	while ((n = recv(fd, block, sizeof(block), 0)) > 0)
		got += (size_t)n;
	e->latency[i] = seconds(CLOCK_MONOTONIC) - t;
	if (reset || n == -1)
		atomic_fetch_add(&e->resets, 1);
	if (got < PEER_REPLY)
		atomic_fetch_add(&e->lost, 1);
	close(fd);
}

static void *
client(void *arg)
{
	struct early *e = arg;
	int i;

	while ((i = atomic_fetch_add(&e->begun, 1)) < e->requests)
		request(e, i);
	return NULL;
}

static void
clients(void *shared, int other)
{
	pthread_t thread[AT_ONCE];
	int i;

	ends_sync(other);
	for (i = 0; i < AT_ONCE; i++)
		if (pthread_create(&thread[i], NULL, client, shared) != 0)
			errx(1, "pthread_create");
	for (i = 0; i < AT_ONCE; i++)
		(void)pthread_join(thread[i], NULL);
	ends_sync(other);
}

static const char *const columns[] = { "lost %", "RST %", "CPU us", "p50 ms",
    "p99 ms" };

static void
measure(struct bench *b, struct early *e)
{
	const char *name = e->peer->name;
	const double percent = 100.0 / e->requests;

	if (ends_run(server, clients, e, LIMIT_S) == -1) {
		bench_failed(b, "early", name);
		return;
	}
	figures_add("early", name, columns[0], "%", e->lost * percent);
	figures_add("early", name, columns[1], "%", e->resets * percent);
	figures_add("early", name, columns[2], "us",
	    e->cpu * 1e6 / e->requests);
	figures_add("early", name, columns[3], "ms",
	    quantile(e->latency, e->requests, 0.5) * 1e3);
	figures_add("early", name, columns[4], "ms",
	    quantile(e->latency, e->requests, 0.99) * 1e3);
}

/* What gnuplot draws: a line a peer. */
static void
plot(void)
{
	struct quartiles cpu, lost;
	FILE *f = bench_plot("early_reply.dat");
	int k;

	if (f == NULL)
		return;
	for (k = 0; k < npeers; k++)
		if (figures_get("early", peers[k]->name, columns[0], &lost) &&
		    figures_get("early", peers[k]->name, columns[2], &cpu))
			fprintf(f, "%g %g \"%s\"\n", cpu.median,
			    lost.median, peers[k]->name);
	fclose(f);
}

static void
print(void)
{
	static const char *const hand = "epoll by hand";

	figures_table("early", "Early reply: of clients that upload 1 MB, how "
	    "many lose the reply of 256 KiB and\n  how many see an RST; CPU of "
	    "the server a request; the clients' time to the reply", columns, 5);
	figures_ahead("early", columns[2], bench_ours);
	figures_ratio("begin, step, end over the loop by hand, early reply",
	    "early", columns[2], "begin, step, end", hand, NO_TARGET);
	figures_ratio("reaper over the loop by hand, early reply",
	    "early", columns[2], "reaper", hand, NO_TARGET);
	figures_ratio("graceful_close, a thread each, over the loop by hand",
	    "early", columns[2], "graceful_close", hand, NO_TARGET);
}

void
work_early(struct bench *b)
{
	struct early *e = ends_shared(sizeof(*e));
	const struct peer *p;
	int round, k;

	for (round = 0; round < b->rounds; round++)
		for (k = 0; k < npeers; k++) {
			p = peers[bench_turn(k, npeers, round)];
			if (!bench_there("early", p, peer_serves(p)))
				continue;
			bench_progress(b, "early", round, p->name);
			memset(e, 0, sizeof(*e));
			e->peer = p;
			e->requests = b->quick ? AT_ONCE : REQUESTS_MAX / 2;
			measure(b, e);
		}
	ends_free(e, sizeof(*e));
	print();
	plot();
}
