/*
 * work_truth.c - of the closes that reported success, how many had lost data
 *
 * Each connection has its own two processes, and all are under way together.
 * What the client's program has read is the truth.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <err.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "ends.h"
#include "figures.h"

#define REPEATS		10
#define KINDS		((int)(sizeof(kinds) / sizeof(kinds[0])))
#define ENDS_MAX	(16 * REPEATS)
#define A_WHILE_MS	20		/* the other end comes as far as it can */
#define LIMIT_MS	1000
#define QUICK_MS	200
#define PART		((size_t)64 * 1024)
#define LIMIT_S		30

struct truth {
	const struct peer *peer;
	int		 n;
	uint16_t	 port[ENDS_MAX];
	int		 listener[ENDS_MAX];
	atomic_bool	 ready[ENDS_MAX], closing[ENDS_MAX];
	int		 ok[ENDS_MAX];
	size_t		 got[ENDS_MAX];
};

static int limit_ms = LIMIT_MS;

/* Each end of a connection waits for the other, however busy the machine is. */
static void
await(atomic_bool *flag)
{
	while (!atomic_load(flag))
		nap_ms(1);
	nap_ms(A_WHILE_MS);
}

/* What this process is a client of: it is to act after the close has begun. */
static atomic_bool *closing;

/* --- the clients; each returns how much its program has read --- */

static size_t
take(int fd, size_t most)
{
	static char block[PEER_REPLY];
	size_t got = 0;
	ssize_t n = 1;

	while (got < most && n > 0) {
		n = recv(fd, block, most - got, 0);
		if (n > 0)
			got += (size_t)n;
	}
	return got;
}

/* To EOF, or to an RST. */
static size_t
take_all(int fd)
{
	size_t got = take(fd, PEER_REPLY);
	char c;

	(void)recv(fd, &c, 1, 0);
	return got;
}

static void
upload(int fd, size_t n)
{
	static char block[1 << 20];

	while (n > 0) {
		ssize_t w = send(fd, block, n < sizeof(block) ? n :
		    sizeof(block), MSG_NOSIGNAL);

		if (w == -1)
			break;
		n -= (size_t)w;
	}
}

static void
reset(int fd)
{
	const struct linger l = { 1, 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static size_t
reads_all(int fd)
{
	return take_all(fd);
}

static size_t
reads_slowly(int fd)
{
	size_t got = 0, n;

	while ((n = take(fd, PART / 2)) > 0) {
		got += n;
		nap_ms(5);
	}
	return got;
}

static size_t
half_closes_reads(int fd)
{
	await(closing);
	return take_all(fd);
}

static size_t
closes_unread(int fd)
{
	(void)fd;
	await(closing);
	return 0;
}

static size_t
closes_part(int fd)
{
	await(closing);
	return take(fd, PART);
}

static size_t
resets_part(int fd)
{
	await(closing);
	reset(fd);
	return take(fd, PART);
}

static size_t
resets_all(int fd)
{
	size_t got = take_all(fd);

	reset(fd);
	return got;
}

/* Closes without a segment, where that is allowed. */
static size_t
vanishes(int fd)
{
	const int on = 1;
	size_t got;

	await(closing);
	got = take(fd, PART);
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) == -1)
		nap_ms(limit_ms * 3 / 2);
	return got;
}

static size_t
stops_reading(int fd)
{
	size_t got;

	await(closing);
	got = take(fd, PART);
	nap_ms(limit_ms * 3 / 2);
	return got;
}

static size_t
uploads_first(int fd)
{
	upload(fd, (size_t)1000000);
	return take_all(fd);
}

static size_t
sends_late(int fd)
{
	await(closing);
	upload(fd, PART);
	nap_ms(A_WHILE_MS);
	return take_all(fd);
}

static const struct kind {
	size_t	(*run)(int);
	bool	 half_closes;		/* before our close */
} kinds[] = {
	{ reads_all, false }, { reads_slowly, false },
	{ half_closes_reads, true }, { closes_part, true },
	{ closes_unread, false }, { closes_part, false },
	{ resets_part, false }, { resets_all, false }, { vanishes, false },
	{ stops_reading, false }, { uploads_first, false },
	{ sends_late, false }
};

/* --- two processes for each connection --- */

static void
each(struct truth *t, void (*run)(struct truth *, int))
{
	int i;
	pid_t pid;

	for (i = 0; i < t->n; i++) {
		if ((pid = fork()) == -1)
			err(1, "fork");
		if (pid == 0) {
			(void)alarm(LIMIT_S);
			run(t, i);
			_exit(0);
		}
	}
	while (wait(NULL) != -1)
		continue;
}

static void
close_one(struct truth *t, int i)
{
	int fd = peer_accept(t->listener[i], 0);

	(void)peer_start(t->peer, -1, &fd, 1);
	await(&t->ready[i]);
	atomic_store(&t->closing[i], true);
	t->ok[i] = peer_close_all(t->peer, &fd, 1, limit_ms);
	peer_stop(t->peer);
}

static void
be_client(struct truth *t, int i)
{
	int fd = ends_connect_one(t->port[i]);

	if (kinds[i % KINDS].half_closes)
		(void)shutdown(fd, SHUT_WR);
	closing = &t->closing[i];
	atomic_store(&t->ready[i], true);
	t->got[i] = kinds[i % KINDS].run(fd);
	close(fd);
}

static void
server(void *shared, int other)
{
	struct truth *t = shared;
	const int size = 2 * (int)PEER_REPLY;
	int i;

	for (i = 0; i < t->n; i++) {
		t->listener[i] = ends_listen(&t->port[i], 1);
		if (setsockopt(t->listener[i], SOL_SOCKET, SO_SNDBUF, &size,
		    sizeof(size)) == -1)
			err(1, "SO_SNDBUF");
	}
	ends_sync(other);
	each(t, close_one);
	ends_sync(other);
}

static void
clients(void *shared, int other)
{
	ends_sync(other);
	each(shared, be_client);
	ends_sync(other);
}

/* --- the work --- */

static const char *const columns[] = { "closes", "success", "of these lost",
    "failure, all arrived" };

static void
add(const struct truth *t)
{
	int i, ok = 0, lost = 0, wary = 0;

	for (i = 0; i < t->n; i++) {
		ok += t->ok[i] == 1;
		lost += t->ok[i] == 1 && t->got[i] < PEER_REPLY;
		wary += t->ok[i] != 1 && t->got[i] == PEER_REPLY;
	}
	figures_add("truth", t->peer->name, columns[0], "", t->n);
	figures_add("truth", t->peer->name, columns[1], "", ok);
	figures_add("truth", t->peer->name, columns[2], "", lost);
	figures_add("truth", t->peer->name, columns[3], "", wary);
}

/* One round is enough: nothing here is a measure of time. */
void
work_truth(struct bench *b)
{
	struct truth *t = ends_shared(sizeof(*t));
	int k;

	if (b->quick)
		limit_ms = QUICK_MS;
	for (k = 0; k < npeers; k++) {
		if (!bench_there("truth", peers[k], peer_closes(peers[k])))
			continue;
		bench_progress(b, "truth", b->rounds - 1, peers[k]->name);
		memset(t, 0, sizeof(*t));
		t->peer = peers[k];
		t->n = KINDS * (b->quick ? 1 : REPEATS);
		if (ends_run(server, clients, t, LIMIT_S) == -1)
			bench_failed(b, "truth", peers[k]->name);
		else
			add(t);
	}
	ends_free(t, sizeof(*t));
	figures_table("truth", "Truth: closes with 12 kinds of peer, reports "
	    "of success, and how many of these had lost data", columns, 4);
	figures_bound("graceful_close: success with data lost", "truth",
	    columns[2], "graceful_close", 0);
}
