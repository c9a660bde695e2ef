/*
 * visit.c - the clients that a recipe's server must survive
 *
 * One after another they ask 127.0.0.1 PORT: one that reads to the end, one
 * that half-closes, one that drips a body.  Each must have the whole answer of
 * SIZE bytes (0: as its Content-Length says), and then the server's FIN.  Then
 * a crowd comes: a third is silent, a third drips, a third has its answer and
 * stays; others reset their connections.  Meanwhile one more must be served,
 * and a server that only waits must not use the processor, its children not
 * counted.  All of the crowd must see the end of their connections.
 *
 * Usage: visit PORT SIZE PID [raw | stop]
 * PID is the server.  "raw": it speaks another protocol, so that nobody asks.
 * "stop": it keeps connections after a GET, and gets SIGTERM at the end.  Then
 * those in the listener's queue, and those whose requests it has not read yet,
 * must have their answers, and idle ones a FIN.
 */
#include <sys/socket.h>
#include <sys/time.h>

#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CROWD		90
#define RESETS		100
#define LIMIT_MS	20000	/* for each of what is waited for */
#define DRIPS_MS	1000
#define DRIP_MS		20
#define WATCH_MS	1000	/* so long the processor time is measured */
#define MOST		0.5	/* of it */

#define REQUEST		"POST / HTTP/1.1\r\nHost: localhost\r\n" \
			"Content-Length: 1000000\r\n\r\n"

#define GET		"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define IDLE		10	/* clients of a server that stops */
#define BUSY		5
#define QUEUED		30	/* with the others more than it serves */
#define IDLE_MS		2500	/* until an idle one sees the end */

enum kind { SILENT, DRIPPING, STAYING, KINDS };

struct client {
	int		fd;
	enum kind	kind;
	bool		ended;	/* the server ended its side */
};

static struct sockaddr_in server = { .sin_family = AF_INET };
static size_t	size;
static bool	raw;
static int	failed;

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* What CHECK_PATIENCE says: see run.sh. */
static int64_t
limit_ms(void)
{
	const char *s = getenv("CHECK_PATIENCE");
	int64_t n = s == NULL ? 1 : strtol(s, NULL, 10);

	return LIMIT_MS * (n < 1 ? 1 : n);
}

static int
connection(void)
{
	struct timeval tv = { (time_t)(limit_ms() / 1000), 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (fd == -1 ||
	    connect(fd, (struct sockaddr *)&server, sizeof(server)) == -1)
		err(1, "connect");
	return fd;
}

static bool
say(int fd, const char *what, size_t n)
{
	return send(fd, what, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool
ask(int fd)
{
	return say(fd, REQUEST, strlen(REQUEST));
}

/* The bytes of the whole answer. */
static size_t
whole(const char *head)
{
	const char *body = strstr(head, "\r\n\r\n");
	const char *length = strcasestr(head, "\r\nContent-Length:");

	if (size > 0)
		return size;
	if (body == NULL || length == NULL)
		return SIZE_MAX;
	return (size_t)(body + 4 - head) +
	    strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
}

/* All of the answer, and the server's FIN. */
static void
expect_whole(int fd, const char *who)
{
	char buf[65536], head[1024] = "";
	size_t got = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (got + (size_t)i < sizeof(head) - 1)
				head[got + (size_t)i] = buf[i];
		got += (size_t)n;
	}
	if (n == 0 && got == whole(head))
		return;
	printf("  %s: %zu bytes of %zu, %s\n", who, got, whole(head),
	    n == 0 ? "an orderly end" : strerror(errno));
	failed++;
}

/* --- one after another --------------------------------------------------- */

static void
reads_to_the_end(const char *who)
{
	int fd = connection();

	(void)ask(fd);			/* expect_whole() sees what failed */
	expect_whole(fd, who);
	close(fd);
}

static void
half_closes(void)
{
	int fd = connection();

	(void)ask(fd);
	(void)shutdown(fd, SHUT_WR);
	expect_whole(fd, "half-closes");
	close(fd);
}

/* The server has answered the first byte. */
static void
drips(void)
{
	int64_t end = now_ms() + DRIPS_MS;
	int fd = connection();
	bool open = ask(fd);

	while (open && now_ms() < end) {
		poll(NULL, 0, DRIP_MS);
		open = say(fd, "x", 1);
	}
	expect_whole(fd, "drips");
	close(fd);
}

/* --- the crowd ----------------------------------------------------------- */

/* After a FIN the server's next write raises SIGPIPE. */
static void
resets(int i)
{
	const struct linger now = { 1, 0 };
	int fd = connection();

	if (i % 2 == 0)
		(void)ask(fd);
	if (i % 4 == 0)
		(void)shutdown(fd, SHUT_WR);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static void
come(struct client *crowd)
{
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = (struct client){ connection(),
		    (enum kind)(i % KINDS), false };
		if (crowd[i].kind != SILENT && !raw)
			(void)ask(crowd[i].fd);
	}
	for (int i = 0; i < RESETS; i++)
		resets(i);
}

/* They go on until the server ends its side, and keep theirs open. */
static int
go_on(struct client *crowd)
{
	char buf[65536];
	int open = 0;
	ssize_t n;

	for (struct client *c = crowd; c < crowd + CROWD; c++) {
		if (c->ended)
			continue;
		if (c->kind == DRIPPING)
			(void)say(c->fd, "x", 1);
		n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
		c->ended = n == 0 || (n == -1 && errno != EAGAIN);
		open += !c->ended;
	}
	poll(NULL, 0, DRIP_MS);
	return open;
}

/* Seconds of processor time that the server has used. */
static double
processor_time(const char *pid)
{
	char path[64], line[1024] = "", *at;
	unsigned long user, kernel;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	if ((f = fopen(path, "r")) == NULL)
		err(1, "%s", path);
	at = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	for (int field = 2; at != NULL && field < 14; field++)
		at = strchr(at + 1, ' ');
	if (at == NULL)
		errx(1, "%s is not understood", path);
	user = strtoul(at, &at, 10);
	kernel = strtoul(at, NULL, 10);
	return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

/* A loop that is woken by what it does not wait for uses all of it. */
static void
expect_to_wait(struct client *crowd, const char *pid)
{
	int64_t began = now_ms();
	double used = processor_time(pid);

	while (now_ms() < began + WATCH_MS)
		go_on(crowd);
	used = (processor_time(pid) - used) * 1000;
	if (used < MOST * (double)(now_ms() - began))
		return;
	printf("  the server used %.0f ms of processor time in %d\n", used,
	    (int)(now_ms() - began));
	failed++;
}

static void
expect_ends(struct client *crowd)
{
	int64_t end = now_ms() + limit_ms();
	int open;

	while ((open = go_on(crowd)) > 0 && now_ms() < end)
		continue;
	if (open == 0)
		return;
	printf("  %d of %d clients saw no end\n", open, CROWD);
	failed++;
}

/* --- at the end ---------------------------------------------------------- */

/* One answer, and the connection stays. */
static int
kept_connection(void)
{
	char buf[65536];
	int fd = connection();
	size_t got = 0;
	ssize_t n = 1;

	if (!say(fd, GET, strlen(GET)))
		n = 0;
	while (n > 0 && got < size)
		if ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
			got += (size_t)n;
	if (got == size)
		return fd;
	printf("  a kept connection: %zu bytes of %zu\n", got, size);
	failed++;
	return fd;
}

static void
expect_end(int fd, int64_t within)
{
	struct pollfd p = { fd, POLLIN, 0 };
	char byte;
	ssize_t n = -1;

	errno = ETIMEDOUT;
	if (poll(&p, 1, within > 0 ? (int)within : 0) == 1 &&
	    (n = recv(fd, &byte, 1, 0)) == 0)
		return;
	printf("  an idle connection: %s\n",
	    n == -1 ? strerror(errno) : "data");
	failed++;
}

/* It listens until it has taken what was in the queue. */
static void
expect_no_listener(void)
{
	int64_t end = now_ms() + IDLE_MS;
	int fd, connected;

	do {
		poll(NULL, 0, 1);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		connected = connect(fd, (struct sockaddr *)&server,
		    sizeof(server));
		close(fd);
	} while (connected == 0 && now_ms() < end);
	if (connected == 0) {
		printf("  it still listens\n");
		failed++;
	}
}

/* While it is stopped by SIGSTOP nothing is accepted, read or answered. */
static void
stops(pid_t pid)
{
	int idle[IDLE], busy[BUSY], queued[QUEUED], i;
	int64_t told;

	for (i = 0; i < IDLE; i++)
		idle[i] = kept_connection();
	for (i = 0; i < BUSY; i++)
		busy[i] = kept_connection();
	kill(pid, SIGSTOP);
	for (i = 0; i < BUSY; i++)
		say(busy[i], GET, strlen(GET));
	for (i = 0; i < QUEUED; i++)
		if ((queued[i] = connection()) != -1 && i % 2 == 0)
			say(queued[i], GET, strlen(GET));
	kill(pid, SIGTERM);
	kill(pid, SIGCONT);
	told = now_ms();
	for (i = 0; i < QUEUED; i++)
		if (i % 2 != 0)
			say(queued[i], GET, strlen(GET));
	for (i = 0; i < IDLE; i++) {
		expect_end(idle[i], told + IDLE_MS - now_ms());
		close(idle[i]);
	}
	for (i = 0; i < BUSY; i++) {
		expect_whole(busy[i], "asked before the stop");
		close(busy[i]);
	}
	for (i = 0; i < QUEUED; i++) {
		expect_whole(queued[i], "in the listener's queue");
		close(queued[i]);
	}
	expect_no_listener();
}

int
main(int argc, char *argv[])
{
	static struct client crowd[CROWD];

	if (argc < 4)
		errx(2, "usage: visit PORT SIZE PID [raw | stop]");
	server.sin_port = htons((in_port_t)strtol(argv[1], NULL, 10));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	size = strtoul(argv[2], NULL, 10);
	raw = argc > 4 && strcmp(argv[4], "raw") == 0;
	if (!raw) {
		reads_to_the_end("reads to the end");
		half_closes();
		drips();
	}
	come(crowd);
	expect_to_wait(crowd, argv[3]);
	if (!raw)
		reads_to_the_end("beside a crowd");
	expect_ends(crowd);
	if (!raw)
		reads_to_the_end("after a crowd");
	if (argc > 4 && strcmp(argv[4], "stop") == 0)
		stops((pid_t)strtol(argv[3], NULL, 10));
	return failed > 0;
}
