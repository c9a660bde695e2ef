/*
 * bench_scale.c - whether the cost of a close grows with their number
 *
 * First the reaper with as many closes at once as descriptors allow.  The peers
 * are in a child process, which needs as many again.  Then the timer wheel and
 * the queue alone, with a million.
 */
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <bsd/stdlib.h>

#include <err.h>
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "graceclose.h"
#include "rows.h"
#include "wheel_alone.h"

#define TURNS		5
#define BATCH		256		/* events at a time */
#define RECV_MAX	((size_t)1 << 20)
#define LIMIT_S		60
#define SPARE		32		/* descriptors for all else */
#define QUEUE		1000		/* below net.core.somaxconn */
#define AN_ADDRESS	8192		/* connections; it has 28,232 ports */

/* --- connections over loopback --- */

static int
listening(struct sockaddr_in *address)
{
	socklen_t len = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	memset(address, 0, sizeof(*address));
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd == -1 || bind(fd, (struct sockaddr *)address, len) == -1 ||
	    listen(fd, QUEUE) == -1 ||
	    getsockname(fd, (struct sockaddr *)address, &len) == -1)
		err(1, "listening socket");
	return fd;
}

/* From 127.0.0.1, 127.0.0.2 and so on: one address has too few ports. */
static int
connected(const struct sockaddr_in *to, int number)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK +
	    (uint32_t)(number / AN_ADDRESS));
	if (fd == -1 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT,
	    &one, sizeof(one)) == -1 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) == -1 ||
	    connect(fd, (const struct sockaddr *)to, sizeof(*to)) == -1)
		err(1, "connection");
	return fd;
}

/* How many descriptors the program may have, of those that it wants. */
static int
descriptors(int wanted)
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

/* --- the peers: a process of their own --- */

struct order {				/* to the peers */
	struct sockaddr_in	to;
	int			n;
};

static int orders[2];

static void
say(int fd, const void *what, size_t size)
{
	if (write(fd, what, size) != (ssize_t)size)
		err(1, "the other process");
}

/* false: the other process has ended. */
static bool
hear(int fd, void *what, size_t size)
{
	ssize_t n = read(fd, what, size);

	if (n == -1)
		err(1, "the other process");
	return n == (ssize_t)size;
}

static void
connect_all(const struct order *o, int set)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET };
	int i;

	for (i = 0; i < o->n; i++) {
		ev.data.fd = connected(&o->to, i);
		if (epoll_ctl(set, EPOLL_CTL_ADD, ev.data.fd, &ev) == -1)
			err(1, "epoll_ctl");
	}
}

/* Neither end sends data: all that can arrive is the FIN. */
static void
close_all(int set, int left)
{
	struct epoll_event ev[BATCH];
	int i, n;

	while (left > 0) {
		n = epoll_wait(set, ev, BATCH, LIMIT_S * 1000);
		if (n == 0)
			errx(1, "peers: %d closes left after %d s", left,
			    LIMIT_S);
		if (n == -1 && errno != EINTR)
			err(1, "epoll_wait");
		for (i = 0; i < n; i++) {
			if (recv(ev[i].data.fd, NULL, RECV_MAX,
			    MSG_TRUNC | MSG_DONTWAIT) != 0)
				err(1, "peer");
			close(ev[i].data.fd);
			left--;
		}
	}
}

/* They leave their side open until all closes are under way. */
static void
be_the_peers(int fd)
{
	struct order o;
	int set;
	char go;

	while (hear(fd, &o, sizeof(o))) {
		if ((set = epoll_create1(EPOLL_CLOEXEC)) == -1)
			err(1, "epoll_create1");
		connect_all(&o, set);
		say(fd, "", 1);
		if (!hear(fd, &go, 1))
			break;
		close_all(set, o.n);
		close(set);
		say(fd, "", 1);
	}
	_exit(0);
}

static void
start_the_peers(void)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, orders) == -1)
		err(1, "socketpair");
	switch (fork()) {
	case -1:
		err(1, "fork");
	case 0:
		close(orders[0]);
		be_the_peers(orders[1]);
	}
	close(orders[1]);
}

static void
await_the_peers(void)
{
	char c;

	if (!hear(orders[0], &c, 1))
		errx(1, "the peers' process has ended");
}

/* --- the reaper --- */

enum { CPU, SUBMIT, BYTES, WALL, REAPER_ROWS };

static struct row of_reaper[REAPER_ROWS] = {
	[CPU] = { .name = "CPU of a close", .unit = "us", .scale = 1e3 },
	[SUBMIT] = { .name = "of it, in the caller", .unit = "us",
	    .scale = 1e3 },
	[BYTES] = { .name = "memory of a close", .unit = "bytes", .scale = 1 },
	[WALL] = { .name = "time to end, for each", .unit = "us", .scale = 1e3 }
};

static double
allocated(void)
{
	struct mallinfo2 m = mallinfo2();

	return (double)(m.uordblks + m.hblkhd);
}

static void
make_connections(int *fd, int n)
{
	struct order o = { .n = n };
	int i, listener = listening(&o.to);

	say(orders[0], &o, sizeof(o));
	for (i = 0; i < n; i++)
		if ((fd[i] = accept(listener, NULL, NULL)) == -1)
			err(1, "accept");
	close(listener);
	await_the_peers();
}

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
 * The peers wait until the reaper has seen that each FIN was acknowledged.  So
 * it looks at each close as often, however long the submission takes.
 */
static void
let_the_peers_close(void)
{
	const struct timespec looked = { .tv_nsec = 700000000 };

	(void)nanosleep(&looked, NULL);
	say(orders[0], "", 1);
}

static void
close_with_reaper(int n, int k, int turn)
{
	const struct graceclose_opts opts = { .idle_ms = -1,
	    .timeout_ms = LIMIT_S * 1000 };
	const struct graceclose_reaper_opts ropts = { .max = (unsigned)n };
	struct graceclose_reaper *r = graceclose_reaper_new(&ropts);
	int i, *fd = calloc((size_t)n, sizeof(*fd));
	double cpu, own, bytes, wall;

	if (r == NULL || fd == NULL)
		err(1, "reaper");
	make_connections(fd, n);
	bytes = allocated();
	cpu = rows_ns(CLOCK_PROCESS_CPUTIME_ID);
	own = rows_ns(CLOCK_THREAD_CPUTIME_ID);
	for (i = 0; i < n; i++)
		if (graceclose_reaper_close(r, fd[i], &opts, NULL) == -1)
			err(1, "graceclose_reaper_close");
	own = rows_ns(CLOCK_THREAD_CPUTIME_ID) - own;
	of_reaper[BYTES].turn[k][turn] = (allocated() - bytes) / n;
	let_the_peers_close();
	wall = rows_ns(CLOCK_MONOTONIC);
	if (graceclose_reaper_flush(r, LIMIT_S * 1000) == -1)
		err(1, "graceclose_reaper_flush");
	of_reaper[CPU].turn[k][turn] =
	    (rows_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / n;
	of_reaper[WALL].turn[k][turn] =
	    (rows_ns(CLOCK_MONOTONIC) - wall) / n;
	of_reaper[SUBMIT].turn[k][turn] = own / n;
	await_the_peers();
	check(r, n);
	graceclose_reaper_free(r);
	free(fd);
}

static void
bench_of_reaper(int turns, int have)
{
	int size[] = { 1000, 10000, 100000 };
	int i, k, sizes = 0, most = have - SPARE;

	while (sizes < 2 && size[sizes] < most)
		sizes++;
	if (most < size[2]) {
		printf("%d closes at once instead of %d: RLIMIT_NOFILE is %d\n"
		    "(CAP_SYS_RESOURCE raises it)\n\n", most, size[2], have);
		size[sizes] = most;
	}
	sizes++;
	start_the_peers();
	for (i = 0; i < turns; i++)
		for (k = 0; k < sizes; k++)
			close_with_reaper(size[k], k, i);
	rows_head("The reaper; closes at once:", size, sizes);
	for (k = 0; k < REAPER_ROWS; k++)
		rows_print(&of_reaper[k], sizes, turns);
	printf("\n");
	close(orders[0]);
	(void)wait(NULL);
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
	bench_of_reaper(turns, descriptors(100000 + SPARE));
	wheel_alone(turns);
	return 0;
}
