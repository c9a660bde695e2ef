/*
 * pool_many.c - recipe: a client asks all idle connections with one call
 *
 * For a client with a large pool, where peer_closed() before each request would
 * be a system call for each.  graceclose_probe_many() looks at 1,024 of them
 * with one poll(2).  A connection that can take a request is open, and has no
 * unread input: what nobody asked for, such as the 408 before a close, would be
 * read as the next answer.  A timer calls sweep() as well: otherwise what the
 * server has closed holds a descriptor until the client comes to it.
 *
 * With TLS a session ticket is unread input, too.  Read it before put(): a
 * non-blocking SSL_peek() does so, and returns -1 with SSL_ERROR_WANT_READ.
 *
 * Copy sweep(), take() and put().  Was: fd = pool[--idle].  main() is a
 * self-check over loopback.
 */
#include <sys/socket.h>

#include <netinet/in.h>

#include <err.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <graceclose.h>

#define POOL_MAX	200
#define FRESH_MS	20		/* so long a sweep is believed */

static int pool[POOL_MAX];		/* the longest idle first */
static size_t idle;			/* so many of them */
static int64_t swept = -FRESH_MS;	/* when, in milliseconds */

/* --- the recipe ---------------------------------------------------------- */

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * Keep those that can take a request.  The return value of
 * graceclose_probe_many() does not count those with unread input alone.
 */
static bool
sweep(void)
{
	unsigned char bits[POOL_MAX];
	size_t kept = 0;

	if (graceclose_probe_many(pool, idle, bits) == -1)
		return false;		/* ENOMEM, for example */
	swept = now_ms();
	for (size_t i = 0; i < idle; i++)
		if (bits[i] == 0)
			pool[kept++] = pool[i];
		else
			abort_close(pool[i]);	/* nothing to save */
	idle = kept;
	return true;
}

/* -1: there is none, connect. */
static int
take(void)
{
	if (now_ms() - swept >= FRESH_MS && !sweep())
		return -1;
	return idle > 0 ? pool[--idle] : -1;
}

/* What came with its last answer, or after that, makes it useless. */
static void
put(int fd)
{
	if (idle < POOL_MAX && graceclose_probe(fd) == 0)
		pool[idle++] = fd;
	else
		close(fd);		/* nothing is under way */
}

/* --- the self-check ------------------------------------------------------ */

static const char late[] = "HTTP/1.1 408 Request Timeout\r\n\r\n";
enum { FINE, ENDED, RESET, ANSWERED, STRAY, FATES };	/* of a connection */

/* What a server does to an idle connection; the client's kernel has it. */
static void
befall(int fate, int client, int server)
{
	struct pollfd p = { .fd = client, .events = POLLIN };

	if ((fate == ANSWERED || fate == STRAY) &&
	    send(server, late, sizeof(late) - 1, 0) == -1)
		err(1, "send");
	if (fate == RESET)
		abort_close(server);
	else if (fate == ENDED || fate == ANSWERED)
		close(server);
	if (fate != FINE)
		poll(&p, 1, -1);
}

int
main(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int client, server[POOL_MAX], used = 0;
	char c;

	if (bind(listener, (struct sockaddr *)&sin, len) == -1 ||
	    listen(listener, 1) == -1 ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) == -1)
		err(1, "listen");
	for (int i = 0; i < POOL_MAX; i++) {
		if ((client = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
		    connect(client, (struct sockaddr *)&sin, len) == -1 ||
		    (server[i] = accept(listener, NULL, NULL)) == -1)
			err(1, "connect");
		put(client);
		befall(i % FATES, client, server[i]);
	}
	while ((client = take()) != -1)
		used += send(client, "q", 1, MSG_NOSIGNAL) == 1;
	for (int i = 0; i < POOL_MAX; i++)
		if ((i % FATES == FINE || i % FATES == STRAY) &&
		    (recv(server[i], &c, 1, 0) == 1) != (i % FATES == FINE))
			errx(1, "connection %d was not treated right", i);
	printf("pool_many: %d of %d can take a request\n", used, POOL_MAX);
	return used != POOL_MAX / FATES;
}
