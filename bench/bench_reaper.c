/*
 * bench_reaper.c - what the reaper costs, as ratios
 *
 * First the reaper beside a loop written by hand for the same purpose, and
 * beside close(2).  Then one close of the reaper with many closes under way,
 * beside the same with few.  Both ends are in this process; the CPU time of all
 * its threads counts.
 */
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include <err.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "graceclose.h"
#include "bench.h"

#define BURST		7000		/* closed at once */
#define FEW		1000		/* under way */
#define MANY		100000
#define MORE		2000		/* closed while those are */
#define BATCH		256		/* events at a time */
#define RECV_MAX	((size_t)1 << 20)
#define LIMIT_S		30
#define SPARE		64		/* descriptors for all else */
#define QUEUE		1000		/* below net.core.somaxconn */
#define LISTENERS(n)	(((n) + QUEUE - 1) / QUEUE)

/* How many closes are left; the last one wakes the waiting thread. */
struct tally {
	const char	*what;
	atomic_int	 left;
	sem_t		 none;
};

static struct tally peers = { .what = "peers" };
static struct tally handled = { .what = "hand-written loop" };
static struct tally reported = { .what = "reaper" };

static void
tally_drop(struct tally *t)
{
	if (atomic_fetch_sub(&t->left, 1) == 1)
		(void)sem_post(&t->none);
}

static void
tally_wait(struct tally *t)
{
	struct timespec limit;

	(void)clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += LIMIT_S;
	while (sem_timedwait(&t->none, &limit) == -1)
		if (errno != EINTR)
			errx(1, "%s: %d closes left after %d s", t->what,
			    atomic_load(&t->left), LIMIT_S);
}

static void
nap(time_t s, long ns)
{
	const struct timespec time = { s, ns };

	(void)nanosleep(&time, NULL);
}

/* --- the peers, the same for all --- */

static int peer_set;

static void
peer_add(int fd)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd
	};

	if (epoll_ctl(peer_set, EPOLL_CTL_ADD, fd, &ev) == -1)
		err(1, "epoll_ctl");
}

/* Neither end sends data: all that can arrive is the FIN. */
static void *
peer_loop(void *arg)
{
	struct epoll_event ev[BATCH];
	int i, n;

	while ((n = epoll_wait(peer_set, ev, BATCH, -1)) != -1 ||
	    errno == EINTR)
		for (i = 0; i < n; i++) {
			if (recv(ev[i].data.fd, NULL, RECV_MAX,
			    MSG_TRUNC | MSG_DONTWAIT) != 0)
				err(1, "peer");
			close(ev[i].data.fd);
			tally_drop(&peers);
		}
	return arg;
}

/* --- three ways to close --- */

static void
plain_close(struct bench_pair *p)
{
	close(p->us);
}

static void
plain_wait(void)
{
}

/*
 * A minimal loop: no limits, no verdict, no callback, no bound for input, no
 * duplicate of the descriptor, no second thread.
 */
static int hand_set;

static void
hand_close(struct bench_pair *p)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = p
	};

	if (shutdown(p->us, SHUT_WR) == -1 ||
	    epoll_ctl(hand_set, EPOLL_CTL_ADD, p->us, &ev) == -1)
		err(1, "hand-written loop");
}

static void *
hand_loop(void *arg)
{
	struct epoll_event ev[BATCH];
	struct bench_pair *p;
	int i, n, outq;

	while ((n = epoll_wait(hand_set, ev, BATCH, -1)) != -1 ||
	    errno == EINTR) {
		for (i = 0; i < n; i++) {
			p = ev[i].data.ptr;
			if (recv(p->us, NULL, RECV_MAX,
			    MSG_TRUNC | MSG_DONTWAIT) != 0 ||
			    ioctl(p->us, SIOCOUTQ, &outq) == -1 || outq != 0)
				errx(1, "hand-written loop: not finished");
			close(p->us);
			tally_drop(&handled);
		}
		nap(0, 1000000);
	}
	return arg;
}

static void
hand_wait(void)
{
	tally_wait(&handled);
}

static struct graceclose_reaper *reaper;

static void
reaper_close(struct bench_pair *p)
{
	if (graceclose_reaper_close(reaper, p->us, NULL, NULL) == -1)
		err(1, "graceclose_reaper_close");
}

static void
reaper_wait(void)
{
	if (graceclose_reaper_flush(reaper, LIMIT_S * 1000) == -1)
		err(1, "graceclose_reaper_flush");
}

enum { PLAIN, HAND, REAPER, WAYS };

static const struct way {
	void	(*close)(struct bench_pair *);
	void	(*wait)(void);
} ways[WAYS] = {
	[PLAIN] = { plain_close, plain_wait },
	[HAND] = { hand_close, hand_wait },
	[REAPER] = { reaper_close, reaper_wait }
};

/* --- many closes at once --- */

struct cost {
	double	cpu;			/* of a close, both ends */
	double	median;			/* of the calls */
	double	slow;			/* one call of a hundred is slower */
};

/*
 * One reading of the clock between two calls times both.  It adds the same CPU
 * time to each way to close.
 */
static struct cost
burst_cost(const struct way *w, int n)
{
	static struct bench_pair p[BURST];
	static double call[BURST];
	double spent, before, now;
	int i;

	for (i = 0; i < n; i++) {
		p[i] = bench_connected();
		peer_add(p[i].peer);
	}
	atomic_store(&peers.left, n);
	atomic_store(&handled.left, n);
	spent = bench_ns(CLOCK_PROCESS_CPUTIME_ID);
	before = bench_ns(CLOCK_MONOTONIC);
	for (i = 0; i < n; i++) {
		w->close(&p[i]);
		now = bench_ns(CLOCK_MONOTONIC);
		call[i] = now - before;
		before = now;
	}
	w->wait();
	tally_wait(&peers);
	spent = (bench_ns(CLOCK_PROCESS_CPUTIME_ID) - spent) / n;
	bench_sort(call, n);
	return (struct cost){ spent, bench_quantile(call, n, 0.5),
	    bench_quantile(call, n, 0.99) };
}

static struct bench_side cpu[WAYS] = {
	[PLAIN] = { .name = "close(2)" },
	[HAND] = { .name = "loop written by hand" },
	[REAPER] = { .name = "reaper" }
}, median[WAYS] = {
	[HAND] = { .name = "shutdown and epoll_ctl, median" },
	[REAPER] = { .name = "graceclose_reaper_close, median" }
}, slow[WAYS] = {
	[HAND] = { .name = "shutdown and epoll_ctl, 99 of 100" },
	[REAPER] = { .name = "graceclose_reaper_close, 99 of 100" }
};

static void
print_burst(int turns, int n)
{
	printf("%d connections closed at once, each:\n\n", n);
	bench_ratio(&cpu[REAPER], &cpu[HAND], turns, 1e3, "us CPU", 1.25);
	bench_ratio(&cpu[HAND], &cpu[PLAIN], turns, 1e3, "us CPU",
	    BENCH_NO_TARGET);
	bench_ratio(&cpu[REAPER], &cpu[PLAIN], turns, 1e3, "us CPU",
	    BENCH_NO_TARGET);
	printf("The calls, in the thread that makes them:\n\n");
	bench_ratio(&median[REAPER], &median[HAND], turns, 1e3, "us",
	    BENCH_NO_TARGET);
	bench_ratio(&slow[REAPER], &slow[HAND], turns, 1e3, "us",
	    BENCH_NO_TARGET);
}

static void
bench_burst(int turns, int n)
{
	struct cost c;
	int i, k;

	if ((reaper = graceclose_reaper_new(NULL)) == NULL)
		err(1, "graceclose_reaper_new");
	for (i = 0; i < turns; i++)
		for (k = 0; k < WAYS; k++) {
			c = burst_cost(&ways[k], n);
			cpu[k].turn[i] = c.cpu;
			median[k].turn[i] = c.median;
			slow[k].turn[i] = c.slow;
		}
	graceclose_reaper_free(reaper);
	print_burst(turns, n);
}

/* --- few and many under way --- */

/*
 * Closes that stay under way: no program accepts these connections.  The kernel
 * acknowledges our FIN and sends none, and the peer takes no descriptor.
 */
struct background {
	struct graceclose_reaper	*reaper;
	int				*listeners;
	int				 n;
	double				 bytes;	/* of memory for each close */
};

static void
done(void *arg, void *cookie, const struct graceclose_report *report)
{
	(void)cookie;
	(void)report;
	tally_drop(arg);
}

static void
submit(struct background *h, int fd, int timeout_ms)
{
	const struct graceclose_opts opts = {
		.timeout_ms = timeout_ms, .idle_ms = -1
	};

	if (graceclose_reaper_close(h->reaper, fd, &opts, NULL) == -1)
		err(1, "graceclose_reaper_close");
}

static double
allocated(void)
{
	struct mallinfo2 m = mallinfo2();

	return (double)(m.uordblks + m.hblkhd);
}

/* Limits of one to ten minutes, or none: none of these closes ends. */
static void
background_start(struct background *h, int n)
{
	const struct graceclose_reaper_opts opts = {
		.max = (unsigned)n + MORE, .done = done, .arg = &reported
	};
	struct sockaddr_in address;
	double before;
	int i;

	h->n = n;
	h->listeners = calloc((size_t)LISTENERS(n), sizeof(int));
	if (h->listeners == NULL)
		err(1, NULL);
	if ((h->reaper = graceclose_reaper_new(&opts)) == NULL)
		err(1, "graceclose_reaper_new");
	before = allocated();
	for (i = 0; i < n; i++) {
		if (i % QUEUE == 0)
			h->listeners[i / QUEUE] = bench_listen(&address,
			    QUEUE);
		submit(h, bench_connect(&address), i % 8 == 0 ? -1 :
		    60000 + i % 1000 * 540);
	}
	h->bytes = (allocated() - before) / n;
}

/* The figures hold only if each close ended as intended. */
static void
background_stop(struct background *h, int ended, int expired)
{
	struct graceclose_reaper_stats stats;
	int i;

	graceclose_reaper_stats(h->reaper, &stats);
	if (stats.ok != (uint64_t)ended || stats.expired != (uint64_t)expired ||
	    stats.now != (unsigned)h->n)
		errx(1, "%ju closes ended, %ju expired, %u are under way",
		    (uintmax_t)stats.ok, (uintmax_t)stats.expired, stats.now);
	graceclose_reaper_free(h->reaper);
	for (i = 0; i < LISTENERS(h->n); i++)
		close(h->listeners[i]);
	free(h->listeners);
}

/* The peer ends each close; a silent peer leaves that to the limit. */
static double
more_cost(struct background *h, bool silent)
{
	struct bench_pair p[MORE];
	double spent;
	int i;

	for (i = 0; i < MORE; i++) {
		p[i] = bench_connected();
		if (!silent)
			peer_add(p[i].peer);
	}
	atomic_store(&peers.left, MORE);
	atomic_store(&reported.left, MORE);
	spent = bench_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (i = 0; i < MORE; i++)
		submit(h, p[i].us, silent ? 1 + i % 50 : 0);
	tally_wait(&reported);
	if (!silent)
		tally_wait(&peers);
	spent = (bench_ns(CLOCK_PROCESS_CPUTIME_ID) - spent) / MORE;
	for (i = 0; silent && i < MORE; i++)
		close(p[i].peer);
	return spent;
}

/*
 * The CPU time of all other threads while this one sleeps for a second.  In the
 * second before, the reaper sees that each FIN was acknowledged.
 */
static double
idle_cpu(void)
{
	double all, own;

	nap(1, 0);
	all = bench_ns(CLOCK_PROCESS_CPUTIME_ID);
	own = bench_ns(CLOCK_THREAD_CPUTIME_ID);
	nap(1, 0);
	all = bench_ns(CLOCK_PROCESS_CPUTIME_ID) - all;
	own = bench_ns(CLOCK_THREAD_CPUTIME_ID) - own;
	return all > own ? all - own : 0;
}

enum { WITH_MANY, WITH_FEW, BACKGROUNDS };

static struct bench_side ended[BACKGROUNDS] = {
	[WITH_MANY] = { .name = "ended by the peer, many under way" },
	[WITH_FEW] = { .name = "ended by the peer, few under way" }
}, expired[BACKGROUNDS] = {
	[WITH_MANY] = { .name = "expired, many under way" },
	[WITH_FEW] = { .name = "expired, few under way" }
};

static void
print_backgrounds(int turns, const struct background *h, double idle)
{
	printf("One more close while %d are under way, and while %d are:\n\n",
	    h[WITH_MANY].n, h[WITH_FEW].n);
	bench_ratio(&ended[WITH_MANY], &ended[WITH_FEW], turns, 1e3, "us CPU",
	    1.25);
	bench_ratio(&expired[WITH_MANY], &expired[WITH_FEW], turns, 1e3,
	    "us CPU", 1.25);
	printf("%-34s %9.1f bytes  (target at most 192)\n",
	    "memory for each", h[WITH_MANY].bytes);
	printf("%-34s %9.1f us CPU  (target 0)\n",
	    "a second in which nothing happens", idle / 1e3);
}

static void
bench_backgrounds(int turns, int few, int many)
{
	struct background h[BACKGROUNDS];
	double idle;
	int i, k;

	background_start(&h[WITH_MANY], many);
	background_start(&h[WITH_FEW], few);
	idle = idle_cpu();
	for (i = 0; i < turns; i++)
		for (k = 0; k < BACKGROUNDS; k++) {
			ended[k].turn[i] = more_cost(&h[k], false);
			expired[k].turn[i] = more_cost(&h[k], true);
		}
	print_backgrounds(turns, h, idle);
	for (k = 0; k < BACKGROUNDS; k++)
		background_stop(&h[k], turns * MORE, turns * MORE);
}

/* --- all of it --- */

static void
start(void *(*loop)(void *), int *set, struct tally *t)
{
	pthread_t thread;

	if ((*set = epoll_create1(EPOLL_CLOEXEC)) == -1 ||
	    sem_init(&t->none, 0, 0) == -1)
		err(1, "%s", t->what);
	if (pthread_create(&thread, NULL, loop, NULL) != 0)
		errx(1, "pthread_create");
	(void)pthread_detach(thread);
}

/*
 * How many closes the descriptors allow, with a message where that is less than
 * wanted.  0: too few for a figure.
 */
static int
fit(const char *what, int wanted, int least, int descriptors)
{
	if (descriptors >= wanted)
		return wanted;
	if (descriptors < least)
		descriptors = 0;
	printf("%s: %d instead of %d: too few descriptors\n"
	    "(RLIMIT_NOFILE; CAP_SYS_RESOURCE raises it)\n\n", what,
	    descriptors, wanted);
	return descriptors;
}

int
main(int argc, char **argv)
{
	const int others = SPARE + FEW + LISTENERS(FEW + MANY) + 2 * MORE;
	int turns = bench_turns(argc, argv,
	    "Prints what graceclose_reaper_close costs beside a loop written "
	    "by hand\nand close(2), and with many closes under way beside "
	    "few.", 31);
	int burst, many, have = bench_descriptors(others + MANY);

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	start(peer_loop, &peer_set, &peers);
	start(hand_loop, &hand_set, &handled);
	if (sem_init(&reported.none, 0, 0) == -1)
		err(1, "%s", reported.what);
	burst = fit("closed at once", BURST, 1, (have - SPARE) / 2);
	if (burst > 0)
		bench_burst(turns, burst);
	many = fit("under way", MANY, 2 * FEW, have - others);
	if (many > 0)
		bench_backgrounds(turns, FEW, many);
	return 0;
}
