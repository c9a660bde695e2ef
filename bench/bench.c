/*
 * bench.c - see bench.h
 */
#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <bsd/stdlib.h>

#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

/* Well within the ephemeral ports that one address has. */
#define CONNECTIONS_AN_ADDRESS	8192
#define ADDRESSES		250

/* TIME_WAIT takes 60 s on Linux. */
#define TIME_WAIT_LIMIT_S	90

static void
usage(const char *what, int preset)
{
	printf("usage: %s [--help] [turns]\n%s\n"
	    "  turns  how often A and B alternate, 1 to %d (%d)\n",
	    getprogname(), what, BENCH_TURNS_MAX, preset);
	exit(0);
}

int
bench_turns(int argc, char **argv, const char *what, int preset)
{
	const char *e = NULL;
	int turns = preset;

	if (argc > 1 && strcmp(argv[1], "--help") == 0)
		usage(what, preset);
	if (argc > 2)
		errx(2, "unexpected argument: %s", argv[2]);
	if (argc == 2 && strncmp(argv[1], "--", 2) == 0)
		errx(2, "unrecognized option '%s'", argv[1]);
	if (argc == 2)
		turns = (int)strtonum(argv[1], 1, BENCH_TURNS_MAX, &e);
	if (e != NULL)
		errx(2, "turns %s: %s, expected 1 to %d", argv[1], e,
		    BENCH_TURNS_MAX);
	return turns;
}

/* The number behind `key' in a file of /proc; -1: the kernel does not say. */
static long
number_in(const char *file, const char *key)
{
	char line[256], *at;
	long n = -1;
	FILE *f = fopen(file, "r");

	if (f == NULL)
		return -1;
	while (n == -1 && fgets(line, sizeof(line), f) != NULL)
		if ((at = strstr(line, key)) != NULL)
			n = strtol(at + strlen(key), NULL, 10);
	fclose(f);
	return n;
}

/* How many connections are in TIME_WAIT. */
static long
time_waits(void)
{
	return number_in("/proc/net/sockstat", " tw ");
}

/* How many connections the kernel keeps in TIME_WAIT. */
static long
time_waits_max(void)
{
	return number_in("/proc/sys/net/ipv4/tcp_max_tw_buckets", "");
}

/*
 * Where the table of TIME_WAIT is full, Linux forgets a connection that its
 * program has closed as soon as the FIN is acknowledged (tcp_time_wait()), and
 * answers the other end's FIN with RST.
 */
void
bench_await_time_wait(int closes)
{
	const struct timespec second = { .tv_sec = 1 };
	const long max = time_waits_max();
	long now;
	int waited;

	/* A smaller table never has room for them all: it must be empty. */
	if (max < closes)
		closes = (int)max;
	for (waited = 0; max != -1 && (now = time_waits()) != -1 &&
	    now + closes > max; waited++) {
		if (waited == 0)
			warnx("the TIME_WAIT table has %ld of %ld entries, no "
			    "room for %d closes: waiting up to %d s", now, max,
			    closes, TIME_WAIT_LIMIT_S);
		if (waited == TIME_WAIT_LIMIT_S)
			errx(1, "the TIME_WAIT table still has no room");
		(void)nanosleep(&second, NULL);
	}
}

int
bench_listen(struct sockaddr_in *address, int backlog)
{
	socklen_t len = sizeof(*address);
	int fd;

	memset(address, 0, sizeof(*address));
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((fd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    bind(fd, (struct sockaddr *)address, len) == -1 ||
	    listen(fd, backlog) == -1 ||
	    getsockname(fd, (struct sockaddr *)address, &len) == -1)
		err(1, "listening socket");
	return fd;
}

/* From 127.0.0.1, 127.0.0.2 and so on: one address has too few ports. */
int
bench_connect(const struct sockaddr_in *to)
{
	static uint32_t made;
	struct sockaddr_in from = { .sin_family = AF_INET };
	int fd, one = 1;

	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK +
	    made++ / CONNECTIONS_AN_ADDRESS % ADDRESSES);
	if ((fd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
	    sizeof(one)) == -1 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) == -1 ||
	    connect(fd, (const struct sockaddr *)to, sizeof(*to)) == -1)
		err(1, "connection");
	return fd;
}

struct bench_pair
bench_connected(void)
{
	static struct sockaddr_in address;
	static int listener = -1;
	struct bench_pair p;

	if (listener == -1)
		listener = bench_listen(&address, 16);
	p.peer = bench_connect(&address);
	if ((p.us = accept(listener, NULL, NULL)) == -1)
		err(1, "accept");
	return p;
}

int
bench_descriptors(int wanted)
{
	const struct rlimit more = { (rlim_t)wanted, (rlim_t)wanted };
	struct rlimit have;

	if (getrlimit(RLIMIT_NOFILE, &have) == -1)
		err(1, "getrlimit");
	if (have.rlim_cur >= more.rlim_cur ||
	    setrlimit(RLIMIT_NOFILE, &more) == 0)
		return wanted;
	have.rlim_cur = have.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &have) == -1)
		err(1, "setrlimit");
	return (int)have.rlim_cur;
}

double
bench_ns(clockid_t clock)
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

void
bench_sort(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), by_value);
}

double
bench_quantile(const double *sorted, int n, double q)
{
	return sorted[(int)(q * (n - 1) + 0.5)];
}

static void
print_median(const struct bench_side *side, int n, double unit,
    const char *unit_name)
{
	struct bench_side sorted = *side;

	bench_sort(sorted.turn, n);
	printf("%-34s %9.1f %s\n", side->name,
	    bench_quantile(sorted.turn, n, 0.5) / unit, unit_name);
}

void
bench_ratio(const struct bench_side *a, const struct bench_side *b, int n,
    double unit, const char *unit_name, double target)
{
	double ratio[BENCH_TURNS_MAX] = { 0 };
	int i;

	for (i = 0; i < n; i++)
		ratio[i] = a->turn[i] / b->turn[i];
	bench_sort(ratio, n);
	print_median(a, n, unit, unit_name);
	print_median(b, n, unit, unit_name);
	printf("  ratio %.2f  (quartiles %.2f to %.2f, %d turns; ",
	    bench_quantile(ratio, n, 0.5), bench_quantile(ratio, n, 0.25),
	    bench_quantile(ratio, n, 0.75), n);
	if (target > BENCH_NO_TARGET)
		printf("target at most %.2f)\n\n", target);
	else
		printf("for orientation)\n\n");
}
