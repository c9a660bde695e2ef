/*
 * bench_core.c - what the core costs, as ratios
 *
 * A and B take turns in one run, so that what else the machine does meets
 * both; the ratio is taken turn by turn, and its median and quartiles are
 * printed.  Absolute times are shown for orientation only.
 */
#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <bsd/stdlib.h>

#include <err.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "graceclose.h"

#define TURNS_MAX	200

struct pair {
	int	us;
	int	peer;
};

static int listener;
static struct sockaddr_in address;

static void
setup(void)
{
	socklen_t len = sizeof(address);

	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((listener = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    bind(listener, (struct sockaddr *)&address, len) == -1 ||
	    listen(listener, 16) == -1 ||
	    getsockname(listener, (struct sockaddr *)&address, &len) == -1)
		err(1, "listening socket");
}

static struct pair
connected(void)
{
	struct pair p;

	if ((p.peer = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    connect(p.peer, (struct sockaddr *)&address,
	    sizeof(address)) == -1 ||
	    (p.us = accept(listener, NULL, NULL)) == -1)
		err(1, "connection");
	return p;
}

static double
ns_of(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) == -1)
		err(1, "clock_gettime");
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
quantile(const double *sorted, int n, double q)
{
	return sorted[(int)(q * (n - 1) + 0.5)];
}

/* Prints the ratio of A to B; both are left sorted. */
static void
print_ratio(const char *a_name, const char *b_name, double *a, double *b,
    int n, double unit, const char *unit_name, double target)
{
	double ratio[TURNS_MAX] = { 0 };
	int i;

	for (i = 0; i < n; i++)
		ratio[i] = a[i] / b[i];
	qsort(ratio, (size_t)n, sizeof(*ratio), by_value);
	qsort(a, (size_t)n, sizeof(*a), by_value);
	qsort(b, (size_t)n, sizeof(*b), by_value);
	printf("%-34s %9.1f %s\n", a_name, quantile(a, n, 0.5) / unit,
	    unit_name);
	printf("%-34s %9.1f %s\n", b_name, quantile(b, n, 0.5) / unit,
	    unit_name);
	printf("  ratio %.2f  (quartiles %.2f to %.2f, %d turns; "
	    "target at most %.2f)\n\n", quantile(ratio, n, 0.5),
	    quantile(ratio, n, 0.25), quantile(ratio, n, 0.75), n, target);
}

/* peer_closed() on a quiet connection against one recv(MSG_PEEK). */
static void
bench_peer_closed(int turns)
{
	enum { CALLS = 20000 };
	double a[TURNS_MAX], b[TURNS_MAX], t;
	struct pair p = connected();
	int i, k;
	char c;

	for (i = 0; i < turns; i++) {
		t = ns_of(CLOCK_THREAD_CPUTIME_ID);
		for (k = 0; k < CALLS; k++)
			if (peer_closed(p.us) != 0)
				errx(1, "peer_closed: not quiet");
		a[i] = (ns_of(CLOCK_THREAD_CPUTIME_ID) - t) / CALLS;
		t = ns_of(CLOCK_THREAD_CPUTIME_ID);
		for (k = 0; k < CALLS; k++)
			if (recv(p.us, &c, 1, MSG_PEEK | MSG_DONTWAIT) != -1)
				errx(1, "recv: not quiet");
		b[i] = (ns_of(CLOCK_THREAD_CPUTIME_ID) - t) / CALLS;
	}
	close(p.us);
	close(p.peer);
	print_ratio("peer_closed, quiet connection", "recv(MSG_PEEK), the same",
	    a, b, turns, 1, "ns", 1.0);
}

static double
closing_time(int (*how)(int))
{
	struct pair p = connected();
	double t;

	close(p.peer);
	t = ns_of(CLOCK_MONOTONIC);
	if (how(p.us) != 0)
		err(1, "close");
	return ns_of(CLOCK_MONOTONIC) - t;
}

/* graceful_close() after the peer's FIN against close(). */
static void
bench_graceful_close(int turns)
{
	enum { CLOSES = 101 };
	double a[TURNS_MAX], b[TURNS_MAX], as[CLOSES], bs[CLOSES];
	int i, k;

	for (i = 0; i < turns; i++) {
		for (k = 0; k < CLOSES; k++) {
			as[k] = closing_time(graceful_close);
			bs[k] = closing_time(close);
		}
		/* A turn's median leaves out what an interrupt hit. */
		qsort(as, CLOSES, sizeof(*as), by_value);
		qsort(bs, CLOSES, sizeof(*bs), by_value);
		a[i] = as[CLOSES / 2];
		b[i] = bs[CLOSES / 2];
	}
	print_ratio("graceful_close after the peer's FIN", "close, the same",
	    a, b, turns, 1, "ns", 1.25);
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
	struct pair p = connected();
	struct feeder f = { p.peer, bytes };
	pthread_t thread;
	double t;

	if (pthread_create(&thread, NULL, feed, &f) != 0)
		errx(1, "pthread_create");
	t = ns_of(CLOCK_THREAD_CPUTIME_ID);
	if (how(p.us) != 0)
		err(1, "drain");
	t = ns_of(CLOCK_THREAD_CPUTIME_ID) - t;
	pthread_join(thread, NULL);
	return t;
}

/* graceful_close() of a connection that has 1 GiB to come. */
static void
bench_drain(int turns)
{
	const uint64_t GIB = (uint64_t)1 << 30;
	double a[TURNS_MAX], b[TURNS_MAX];
	int i;

	for (i = 0; i < turns; i++) {
		a[i] = drain_time(graceful_close, GIB);
		b[i] = drain_time(recv_loop, GIB);
	}
	print_ratio("graceful_close, draining 1 GiB", "recv of 4 KiB, the same",
	    a, b, turns, 1e6, "ms CPU", 0.6);
}

static void
usage(FILE *out)
{
	fprintf(out, "usage: %s [turns]\n"
	    "Prints what peer_closed and graceful_close cost beside the bare "
	    "calls.\n  turns  how often A and B alternate, 1 to %d [31]\n",
	    getprogname(), TURNS_MAX);
}

int
main(int argc, char **argv)
{
	const char *e = NULL;
	int turns = 31;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		usage(stdout);
		return 0;
	}
	if (argc == 2)
		turns = (int)strtonum(argv[1], 1, TURNS_MAX, &e);
	if (argc > 2 || e != NULL) {
		if (e != NULL)
			warnx("turns is %s: %s", e, argv[1]);
		usage(stderr);
		return 2;
	}
	setup();
	bench_peer_closed(turns);
	bench_graceful_close(turns);
	bench_drain(turns < 7 ? turns : 7);
	close(listener);
	return 0;
}
