/*
 * bench_core.c - what the core costs, as ratios
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <err.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "graceclose.h"
#include "bench.h"

/* peer_closed() on a quiet connection against one recv(MSG_PEEK). */
static void
bench_peer_closed(int turns)
{
	enum { CALLS = 20000 };
	struct bench_side a = { .name = "peer_closed, quiet connection" };
	struct bench_side b = { .name = "recv(MSG_PEEK), the same" };
	struct bench_pair p = bench_connected();
	double t;
	int i, k;
	char c;

	for (i = 0; i < turns; i++) {
		t = bench_ns(CLOCK_THREAD_CPUTIME_ID);
		for (k = 0; k < CALLS; k++)
			if (peer_closed(p.us) != 0)
				errx(1, "peer_closed: not quiet");
		a.turn[i] = (bench_ns(CLOCK_THREAD_CPUTIME_ID) - t) / CALLS;
		t = bench_ns(CLOCK_THREAD_CPUTIME_ID);
		for (k = 0; k < CALLS; k++)
			if (recv(p.us, &c, 1, MSG_PEEK | MSG_DONTWAIT) != -1)
				errx(1, "recv: not quiet");
		b.turn[i] = (bench_ns(CLOCK_THREAD_CPUTIME_ID) - t) / CALLS;
	}
	close(p.us);
	close(p.peer);
	bench_ratio(&a, &b, turns, 1, "ns", 1.0);
}

static double
closing_time(int (*how)(int))
{
	struct bench_pair p = bench_connected();
	double t;

	close(p.peer);
	t = bench_ns(CLOCK_MONOTONIC);
	if (how(p.us) != 0)
		err(1, "close");
	return bench_ns(CLOCK_MONOTONIC) - t;
}

/* graceful_close() after the peer's FIN against close(). */
static void
bench_graceful_close(int turns)
{
	enum { CLOSES = 101 };
	struct bench_side a = { .name = "graceful_close after the peer's FIN" };
	struct bench_side b = { .name = "close, the same" };
	double as[CLOSES], bs[CLOSES];
	int i, k;

	for (i = 0; i < turns; i++) {
		bench_await_time_wait(2 * CLOSES);
		for (k = 0; k < CLOSES; k++) {
			as[k] = closing_time(graceful_close);
			bs[k] = closing_time(close);
		}
		/* The median of a turn ignores the closes that an interrupt hit. */
		bench_sort(as, CLOSES);
		bench_sort(bs, CLOSES);
		a.turn[i] = as[CLOSES / 2];
		b.turn[i] = bs[CLOSES / 2];
	}
	bench_ratio(&a, &b, turns, 1, "ns", 1.25);
}

struct feeder {
	int		fd;
	uint64_t	bytes;
};

static void *
feed(void *arg)
{
	static char block[256 * 1024];
	struct feeder *f = arg;

	while (f->bytes > 0) {
		size_t n = f->bytes < sizeof(block) ? (size_t)f->bytes :
		    sizeof(block);
		ssize_t w = send(f->fd, block, n, MSG_NOSIGNAL);

		if (w == -1)
			err(1, "send");
		f->bytes -= (uint64_t)w;
	}
	if (close(f->fd) == -1)
		err(1, "close");
	return NULL;
}

static int
recv_loop(int fd)
{
	char block[4096];
	ssize_t n;

	while ((n = recv(fd, block, sizeof(block), 0)) > 0)
		continue;
	return n == -1 ? -1 : close(fd);
}

static double
drain_time(int (*how)(int), uint64_t bytes)
{
	struct bench_pair p = bench_connected();
	struct feeder f = { p.peer, bytes };
	pthread_t thread;
	double t;

	if (pthread_create(&thread, NULL, feed, &f) != 0)
		errx(1, "pthread_create");
	t = bench_ns(CLOCK_THREAD_CPUTIME_ID);
	if (how(p.us) != 0)
		err(1, "drain");
	t = bench_ns(CLOCK_THREAD_CPUTIME_ID) - t;
	pthread_join(thread, NULL);
	return t;
}

/* graceful_close() while the peer still sends 1 GiB. */
static void
bench_drain(int turns)
{
	const uint64_t GIB = (uint64_t)1 << 30;
	struct bench_side a = { .name = "graceful_close, draining 1 GiB" };
	struct bench_side b = { .name = "recv of 4 KiB, the same" };
	int i;

	for (i = 0; i < turns; i++) {
		bench_await_time_wait(2);
		a.turn[i] = drain_time(graceful_close, GIB);
		b.turn[i] = drain_time(recv_loop, GIB);
	}
	bench_ratio(&a, &b, turns, 1e6, "ms CPU", 0.6);
}

int
main(int argc, char **argv)
{
	int turns = bench_turns(argc, argv,
	    "Prints what peer_closed and graceful_close cost beside recv and "
	    "close.", 31);

	bench_peer_closed(turns);
	bench_graceful_close(turns);
	bench_drain(turns < 7 ? turns : 7);
	return 0;
}
