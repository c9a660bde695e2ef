/*
 * work_deadline.c - what waiting costs, how soon it ends, and what a limit is
 *
 * A peer lets its window fill and reads all after 250 ms: the CPU time of the
 * wait, and the time from what the close waits for to its return.  That is the
 * last acknowledgement for linger_close and SO_LINGER, and else the peer's FIN.
 * Another peer never reads: by how much a limit of 250 ms is exceeded.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <err.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "ends.h"
#include "figures.h"
#include "wire.h"

#define WAIT_MS		250
#define QUICK_MS	30
#define LATER_MS	60	/* more than a delayed acknowledgement */
#define LIMIT_MS	3000
#define LIMIT_S		20
#define CLOSES	2	/* of each peer in a round */
#define CONNS	(CLOSES + 1)	/* the first one warms the process up */

struct wait {
	const struct peer *peer;
	int		 n;		/* of CONNS */
	bool		 reads;
	int		 wait_ms;
	uint16_t	 port;
	double		 cpu[CONNS], wall[CONNS], returned[CONNS];
	double		 ack[CONNS], fin[CONNS];
};

static void
close_one(struct wait *w, int i, const int *fd, pid_t pid)
{
	const int limit = w->reads || i == 0 ? LIMIT_MS : w->wait_ms;

	w->cpu[i] = cpu_seconds(pid);
	w->wall[i] = seconds(CLOCK_MONOTONIC);
	(void)peer_close_all(w->peer, fd, 1, limit);
	w->returned[i] = seconds(CLOCK_REALTIME);
	w->wall[i] = seconds(CLOCK_MONOTONIC) - w->wall[i];
	w->cpu[i] = cpu_seconds(pid) - w->cpu[i];
}

static void
server(void *shared, int other)
{
	struct wait *w = shared;
	const int size = 2 * (int)PEER_REPLY;
	int listener = ends_listen(&w->port, CONNS), fds[CONNS], i;
	pid_t pid;

	/* So the whole reply fits into the send queue. */
	if (setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size))
	    == -1)
		err(1, "SO_SNDBUF");
	ends_sync(other);
	for (i = 0; i < w->n; i++)
		fds[i] = peer_accept(listener, 0);
	pid = peer_start(w->peer, -1, fds, w->n);
	for (i = 0; i < w->n; i++) {
		ends_sync(other);
		close_one(w, i, &fds[i], pid);
		ends_sync(other);
	}
	peer_stop(w->peer);
}

/* Each segment is acknowledged at once. */
static void
read_all(int fd)
{
	static char block[1 << 20];
	const int on = 1;

	do
		(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on,
		    sizeof(on));
	while (recv(fd, block, sizeof(block), 0) > 0);
}

static void
clients(void *shared, int other)
{
	struct wait *w = shared;
	int fds[CONNS] = { 0 }, i, wire;

	ends_sync(other);
	for (i = 0; i < w->n; i++)
		fds[i] = ends_connect_one(w->port);
	for (i = 0; i < w->n; i++) {
		wire = wire_open(w->port);
		ends_sync(other);
		if (w->reads)
			nap_ms(i == 0 ? 1 : w->wait_ms);
		if (w->reads || i == 0) {
			read_all(fds[i]);
			nap_ms(LATER_MS);
			close(fds[i]);
		}
		ends_sync(other);
		wire_read(wire, &w->ack[i], &w->fin[i]);
	}
}

static const char *const columns[] = { "CPU us", "return us", "over ms" };

static void
add(const struct wait *w)
{
	const char *name = w->peer->name;
	double cpu[CLOSES], late[CLOSES], over[CLOSES], since;
	int i, n = 0;

	for (i = 1; i < w->n; i++) {
		since = w->peer->lingers ? w->ack[i] : w->fin[i];
		cpu[i - 1] = w->cpu[i] * 1e6;
		over[i - 1] = w->wall[i] * 1e3 - w->wait_ms;
		if (since != 0)
			late[n++] = (w->returned[i] - since) * 1e6;
	}
	if (!w->reads)
		figures_add("deadline", name, columns[2], "ms",
		    quantile(over, w->n - 1, 0.5));
	else
		figures_add("deadline", name, columns[0], "us",
		    quantile(cpu, w->n - 1, 0));
	if (w->reads && n > 0)
		figures_add("deadline", name, columns[1], "us",
		    quantile(late, n, 0));
}

/* Of two closes the one that was disturbed less counts. */
static void
measure(struct bench *b, const struct peer *p, bool reads)
{
	struct wait *w = ends_shared(sizeof(*w));

	*w = (struct wait){ .peer = p, .reads = reads,
	    .wait_ms = b->quick ? QUICK_MS : WAIT_MS,
	    .n = reads && !b->quick ? CONNS : 2 };
	if (ends_run(server, clients, w, LIMIT_S) == -1)
		bench_failed(b, "deadline", p->name);
	else
		add(w);
	ends_free(w, sizeof(*w));
}

/* close(2) alone does not wait. */
static bool
takes_part(const struct peer *p)
{
	return !p->plain && bench_there("deadline", p, peer_closes(p));
}

static void
print(void)
{
	figures_table("deadline", "Waiting: CPU us of 250 ms until the peer "
	    "reads; us from the last acknowledgement\n  (SO_LINGER, "
	    "linger_close) or the peer's FIN to the return; ms over a limit "
	    "of 250 ms", columns, 3);
	figures_ahead("deadline", columns[0], bench_ours);
	figures_ahead("deadline", columns[1], bench_ours);
	figures_ratio("linger_close over SO_LINGER, CPU of 250 ms",
	    "deadline", columns[0], "linger_close", "SO_LINGER, close(2)",
	    2.0);
	figures_ratio("linger_close over SO_LINGER, last ACK to return",
	    "deadline", columns[1], "linger_close", "SO_LINGER, close(2)",
	    1.3);
	figures_ratio("graceful_close over the loop by hand, CPU of 250 ms",
	    "deadline", columns[0], "graceful_close", "epoll by hand",
	    NO_TARGET);
	figures_ratio("graceful_close over the loop by hand, FIN to return",
	    "deadline", columns[1], "graceful_close", "epoll by hand",
	    NO_TARGET);
}

void
work_deadline(struct bench *b)
{
	const struct peer *p;
	int round, k;

	for (round = 0; round < b->rounds; round++)
		for (k = 0; k < npeers; k++) {
			p = peers[bench_turn(k, npeers, round)];
			if (!takes_part(p))
				continue;
			bench_progress(b, "deadline", round, p->name);
			measure(b, p, true);
			measure(b, p, false);
		}
	print();
}
