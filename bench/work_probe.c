/*
 * work_probe.c - has the peer closed?  What asking costs, and who is right
 *
 * Each state is asked twice, as some questions consume the answer.
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "ends.h"
#include "figures.h"
#include "graceclose.h"

#define MANY		10000
#define ASKED		20000		/* descriptors in a turn, at least */
#define LIMIT_S		60
#define SETTLE_MS	50

/* --- the ways to ask; each sets closed[] to 0 or 1 --- */

static void
by_peer_closed(const int *fds, int n, unsigned char *closed)
{
	int i;

	for (i = 0; i < n; i++)
		closed[i] = peer_closed(fds[i]) != 0;
}

static void
by_probe(const int *fds, int n, unsigned char *closed)
{
	int i;

	for (i = 0; i < n; i++)
		closed[i] = (graceclose_probe(fds[i]) &
		    (GRACECLOSE_FIN | GRACECLOSE_RST)) != 0;
}

static void
by_probe_many(const int *fds, int n, unsigned char *closed)
{
	int i;

	/* 0: no descriptor has news. */
	if (graceclose_probe_many(fds, (size_t)n, closed) == 0 && n > 1)
		return;
	for (i = 0; i < n; i++)
		closed[i] = (closed[i] & (GRACECLOSE_FIN | GRACECLOSE_RST)) !=
		    0;
}

static void
by_peek(const int *fds, int n, unsigned char *closed)
{
	char c;
	ssize_t r;
	int i;

	for (i = 0; i < n; i++) {
		r = recv(fds[i], &c, 1, MSG_PEEK | MSG_DONTWAIT);
		closed[i] = r == 0 || (r == -1 && errno != EAGAIN);
	}
}

static void
by_poll(const int *fds, int n, unsigned char *closed)
{
	static struct pollfd pfds[MANY];
	int i;

	for (i = 0; i < n; i++)
		pfds[i] = (struct pollfd){ fds[i], POLLIN | POLLRDHUP, 0 };
	if (poll(pfds, (nfds_t)n, 0) == -1)
		err(1, "poll");
	for (i = 0; i < n; i++)
		closed[i] = (pfds[i].revents & (POLLRDHUP | POLLHUP |
		    POLLERR)) != 0;
}

static void
by_so_error(const int *fds, int n, unsigned char *closed)
{
	socklen_t len = sizeof(int);
	int i, e;

	for (i = 0; i < n; i++)
		closed[i] = getsockopt(fds[i], SOL_SOCKET, SO_ERROR, &e, &len)
		    == -1 || e != 0;
}

static const struct way {
	const char	*name;
	void		(*ask)(const int *, int, unsigned char *);
	bool		 ours;
} ways[] = {
	{ "peer_closed", by_peer_closed, true },
	{ "graceclose_probe", by_probe, true },
	{ "probe_many", by_probe_many, true },
	{ "recv(MSG_PEEK)", by_peek, false },
	{ "poll(POLLRDHUP)", by_poll, false },
	{ "SO_ERROR", by_so_error, false }
};
#define WAYS	((int)(sizeof(ways) / sizeof(ways[0])))

static bool
is_ours(const char *name)
{
	int i;

	for (i = 0; i < WAYS; i++)
		if (name == ways[i].name)
			return ways[i].ours;
	return false;
}

/* --- the states --- */

static void
do_reset(int peer)
{
	const struct linger l = { 1, 0 };

	if (setsockopt(peer, SOL_SOCKET, SO_LINGER, &l, sizeof(l)) == -1)
		err(1, "SO_LINGER");
	close(peer);
}

static void
data(int peer)
{
	if (send(peer, "data", 4, MSG_NOSIGNAL) == -1)
		err(1, "send");
}

static void
open_quiet(int us, int peer)
{
	(void)us;
	(void)peer;
}

static void
open_unread(int us, int peer)
{
	(void)us;
	data(peer);
}

static void
fin(int us, int peer)
{
	(void)us;
	(void)shutdown(peer, SHUT_WR);
}

static void
fin_behind_data(int us, int peer)
{
	data(peer);
	fin(us, peer);
}

static void
rst(int us, int peer)
{
	(void)us;
	do_reset(peer);
}

static void
rst_after_fin(int us, int peer)
{
	fin(us, peer);
	do_reset(peer);
}

static void
rst_behind_data(int us, int peer)
{
	(void)us;
	data(peer);
	do_reset(peer);
}

static void
own_shut_rd(int us, int peer)
{
	(void)peer;
	(void)shutdown(us, SHUT_RD);
}

static void
own_shut_wr(int us, int peer)
{
	(void)peer;
	(void)shutdown(us, SHUT_WR);
}

/* Its notification waits in the error queue of a healthy connection. */
static void
zerocopy_notice(int us, int peer)
{
	const int on = 1;

	(void)peer;
	if (setsockopt(us, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) == -1 ||
	    send(us, "data", 4, MSG_ZEROCOPY | MSG_NOSIGNAL) == -1)
		warn("MSG_ZEROCOPY");
}

static void
both_fins(int us, int peer)
{
	(void)shutdown(us, SHUT_WR);
	(void)shutdown(peer, SHUT_WR);
}

static const struct state {
	void		(*make)(int, int);
	unsigned char	 closed;
} states[] = {
	{ open_quiet, 0 }, { open_unread, 0 }, { fin, 1 },
	{ fin_behind_data, 1 }, { rst, 1 }, { rst_after_fin, 1 },
	{ rst_behind_data, 1 }, { own_shut_rd, 0 }, { own_shut_wr, 0 },
	{ zerocopy_notice, 0 }, { both_fins, 1 }
};
#define STATES	((int)(sizeof(states) / sizeof(states[0])))

/* --- the two ends --- */

#define SIZES	3
static const char *const columns[] = { "ns, 1", "ns, 100", "ns, 10,000",
    "right of 11" };
static int sizes[SIZES] = { 1, 100, MANY };

struct probe {
	uint16_t port;
	int	 many;
	double	 ns[SIZES][WAYS];
	int	 right[WAYS];
};

/* The mean of one question, where a turn asks ASKED or more. */
static double
cost(const struct way *w, const int *fds, int n)
{
	static unsigned char closed[MANY];
	int i, turns = (ASKED + n - 1) / n;
	double t = seconds(CLOCK_THREAD_CPUTIME_ID);

	for (i = 0; i < turns; i++)
		w->ask(fds, n, closed);
	t = seconds(CLOCK_THREAD_CPUTIME_ID) - t;
	return t * 1e9 / ((double)turns * n);
}

static bool
right(const struct way *w, const struct state *s)
{
	unsigned char first = 2, second = 2;
	uint16_t port;
	int listener = ends_listen(&port, 1);
	int peer = ends_connect_one(port), us = accept(listener, NULL, NULL);

	if (us == -1)
		err(1, "accept");
	s->make(us, peer);
	nap_ms(1);
	w->ask(&us, 1, &first);
	w->ask(&us, 1, &second);
	close(us);
	close(peer);
	close(listener);
	return first == s->closed && second == s->closed;
}

static void
server(void *shared, int other)
{
	static int fds[MANY];
	struct probe *p = shared;
	int i, k, listener = ends_listen(&p->port, 4096);

	ends_sync(other);
	ends_accept(listener, fds, p->many, other);
	nap_ms(SETTLE_MS);
	sizes[SIZES - 1] = p->many;
	for (i = 0; i < SIZES; i++)
		for (k = 0; k < WAYS; k++)
			p->ns[i][k] = cost(&ways[k], fds, sizes[i]);
	for (k = 0; k < WAYS; k++)
		for (p->right[k] = i = 0; i < STATES; i++)
			p->right[k] += right(&ways[k], &states[i]);
	ends_sync(other);
}

static void
clients(void *shared, int other)
{
	static int fds[MANY];
	struct probe *p = shared;

	ends_sync(other);
	ends_connect(p->port, fds, p->many, other);
	ends_sync(other);
}

static void
add(const struct probe *p)
{
	int i, k;

	for (k = 0; k < WAYS; k++) {
		for (i = 0; i < SIZES; i++)
			figures_add("probe", ways[k].name, columns[i],
			    "ns a descriptor", p->ns[i][k]);
		figures_add("probe", ways[k].name, columns[SIZES], "",
		    p->right[k]);
	}
}

void
work_probe(struct bench *b)
{
	struct probe *p = ends_shared(sizeof(*p));
	int round, i;

	p->many = b->quick ? 200 : ends_room() < MANY ? ends_room() : MANY;
	for (round = 0; round < b->rounds; round++) {
		bench_progress(b, "probe", round, "all");
		if (ends_run(server, clients, p, LIMIT_S) == -1)
			bench_failed(b, "probe", "all");
		else
			add(p);
	}
	ends_free(p, sizeof(*p));
	figures_table("probe", "Has the peer closed?  CPU ns a descriptor of "
	    "quiet connections, asked about 1, 100\n  and 10,000 in a row; "
	    "right answers over 11 states, each asked twice", columns, 4);
	for (i = 0; i < SIZES; i++)
		figures_ahead("probe", columns[i], is_ours);
	figures_ratio("peer_closed over recv(MSG_PEEK), one", "probe",
	    columns[0], "peer_closed", "recv(MSG_PEEK)", NO_TARGET);
	figures_ratio("probe_many over recv(MSG_PEEK), 10,000", "probe",
	    columns[2], "probe_many", "recv(MSG_PEEK)", NO_TARGET);
	figures_ratio("probe_many over poll(POLLRDHUP), 10,000", "probe",
	    columns[2], "probe_many", "poll(POLLRDHUP)", NO_TARGET);
}
