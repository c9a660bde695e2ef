/*
 * flood.c - 2,000 hostile clients and an honest one visit a server
 *
 * The hostile clients keep connections to 127.0.0.1 PORT for SECONDS: idle,
 * dripping, flooding and resetting ones.  One that lost its connection comes
 * again.  Where the machine is too busy for all of them to come in that time
 * they go on for LONGER_MS more.  Meanwhile the honest client asks again and
 * again: it connects, sends a line, reads to the end, and closes.  Each time it
 * must have its answer within a second.  That is the exit status.
 *
 * The honest client has a high priority, or if that is not allowed the hostile
 * ones have a low one: elsewhere they would not take its processors.
 *
 * Usage: flood PORT SECONDS SIZE RATE [PID]
 *	  flood forks
 * SIZE is the length of an answer, RATE the number of new hostile connections a
 * second at most: with 0 none comes.  PID is the server, whose descriptors and
 * processor time are printed.  "forks" prints how often a second this machine
 * can start a process now and wait for its end.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS		2000
#define LIMIT_MS	1000	/* the honest client's, for each answer */
#define BETWEEN_MS	20	/* it waits so long after an answer */
#define LONGER_MS	20000
#define TICK_MS		10
#define DRIP_MS		100
#define FLOOD_MS	50
#define CHUNK		16384
#define QUESTION	"a reply, please\n"

enum kind { IDLE, DRIPPING, FLOODING, RESETTING, KINDS };

struct client {
	enum kind	kind;
	bool		asks;	/* it sends a question first */
	bool		reads;	/* what the server sends */
	bool		came;	/* it was connected once */
	bool		open;	/* it is connected */
	bool		eof;	/* the server ended its side */
	int		fd;
	int64_t		due;	/* when it does something next, in ms */
};

static struct client	clients[CLIENTS];
static struct sockaddr_in server = { .sin_family = AF_INET };
static int		epfd;
static int		rate;		/* of new connections; and how */
static int64_t		tokens, filled;	/* many may come, in thousandths */
static unsigned long	connections;
static int		in_use, most;	/* connections; at the same time */

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
number(const char *s)
{
	return (int)strtol(s, NULL, 10);
}

static int
between(int least, int greatest)
{
	return least + (int)(random() % (greatest - least + 1));
}

/* --- the hostile clients ------------------------------------------------- */

/* The RST leaves no TIME_WAIT here, and frees the port. */
static void
leave(struct client *c)
{
	struct linger reset = { 1, 0 };

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(c->fd);
	in_use -= c->open;
	c->fd = -1;
	c->due = now_ms() + between(200, 1200);
}

/* From one of 200 addresses, so that there are enough ports. */
static void
come(struct client *c)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
	    .data.ptr = c };

	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 +
	    (uint32_t)((c - clients) % 200));
	c->open = c->eof = false;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd == -1)
		err(1, "socket");
	if (!c->reads)
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &(int){ 4096 },
		    sizeof(int));
	if (setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT,
	    &(int){ 1 }, sizeof(int)) == -1 ||
	    bind(c->fd, (struct sockaddr *)&from, sizeof(from)) == -1 ||
	    epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev) == -1)
		err(1, "a client");
	if (connect(c->fd, (struct sockaddr *)&server, sizeof(server)) == -1 &&
	    errno != EINPROGRESS)
		leave(c);
	else
		c->due = INT64_MAX;
}

/* -1: the connection is dead. */
static int
say(struct client *c, const char *data, size_t size)
{
	return send(c->fd, data, size, MSG_NOSIGNAL) == -1 &&
	    errno != EAGAIN ? -1 : 0;
}

static void
connected(struct client *c)
{
	c->open = true;
	connections++;
	if (++in_use > most)
		most = in_use;
	c->due = c->kind == RESETTING ? now_ms() + between(0, 200) :
	    c->kind == IDLE ? INT64_MAX : now_ms();
	if (c->asks && say(c, QUESTION, strlen(QUESTION)) == -1)
		leave(c);
}

/* What it does when it is due. */
static void
act(struct client *c)
{
	static const char chunk[CHUNK];
	bool flood = c->kind == FLOODING;

	if (c->fd == -1)
		come(c);
	else if (c->kind == RESETTING || (c->kind == IDLE && c->eof) ||
	    say(c, chunk, flood ? sizeof(chunk) : 1) == -1)
		leave(c);
	else
		c->due = now_ms() + (flood ? FLOOD_MS : DRIP_MS);
}

/* An end of the server's side: an idle client keeps its own open for 3 s. */
static void
hear(struct client *c)
{
	ssize_t n;

	if (!c->open && c->fd != -1)
		connected(c);
	while (c->fd != -1 && c->reads && !c->eof) {
		n = recv(c->fd, NULL, INT_MAX, MSG_TRUNC);
		if (n == -1 && errno == EAGAIN)
			break;
		if (n == -1)
			leave(c);
		else if (n == 0 && c->kind == IDLE)
			c->due = now_ms() + 3000;
		c->eof = n == 0;
	}
}

static void
event(struct client *c, uint32_t events)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	c->came = c->came || error == 0 || error == ECONNRESET;
	if (error != 0 || (events & EPOLLHUP) != 0)
		leave(c);
	else
		hear(c);
}

/* Half of each kind ask first; of the idle that ask, half do not read. */
static void
prepare(void)
{
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = (struct client){ .kind = (enum kind)(i % KINDS),
		    .asks = i / KINDS % 2 == 1,
		    .reads = i % KINDS != IDLE || i / KINDS % 4 < 3,
		    .fd = -1, .due = now_ms() + between(0, 500) };
}

/* No more than a tenth of a second's connections at once. */
static void
fill(int64_t now)
{
	tokens += (now - filled) * rate;
	if (tokens > rate * INT64_C(100))
		tokens = rate * INT64_C(100);
	filled = now;
}

/* It comes now, or when others have come. */
static bool
may_come(const struct client *c)
{
	if (c->fd != -1)
		return true;
	if (tokens < 1000)
		return false;
	tokens -= 1000;
	return true;
}

/* Each time another one is the first, so that all come. */
static void
turn(void)
{
	static int first;
	struct epoll_event ev[256];
	int64_t now;
	int n = epoll_wait(epfd, ev, 256, TICK_MS);

	for (int i = 0; i < n; i++)
		event(ev[i].data.ptr, ev[i].events);
	now = now_ms();
	fill(now);
	first = (first + 997) % CLIENTS;
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &clients[(first + i) % CLIENTS];

		if (c->due <= now && may_come(c))
			act(c);
	}
}

/* --- what it costs the server -------------------------------------------- */

static int
descriptors(const char *pid)
{
	char path[64];
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	if ((dir = opendir(path)) == NULL)
		return 0;
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 2;				/* . and .. */
}

/* Seconds of it and of its children that have ended. */
static double
processor_time(const char *pid)
{
	char path[64], line[1024] = "", *at;
	unsigned long t[4] = { 0 };
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	if ((f = fopen(path, "r")) == NULL)
		return 0;
	at = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	for (int field = 2; at != NULL && field < 17; field++) {
		if ((at = strchr(at + 1, ' ')) != NULL && field >= 13)
			t[field - 13] = strtoul(at, NULL, 10);
	}
	return (double)(t[0] + t[1] + t[2] + t[3]) /
	    (double)sysconf(_SC_CLK_TCK);
}

/* --- the honest client --------------------------------------------------- */

/* What CHECK_PATIENCE says: see run.sh. */
static int
patience(void)
{
	const char *s = getenv("CHECK_PATIENCE");
	int n = s == NULL ? 1 : number(s);

	return n < 1 ? 1 : n;
}

/* One question: the answer's bytes, or -1 and errno. */
static ssize_t
ask(int limit)
{
	struct timeval tv = { limit / 1000, limit % 1000 * 1000L };
	int error, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char buf[65536];
	ssize_t n = -1, got = 0;

	if (fd == -1)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) == 0 &&
	    send(fd, QUESTION, strlen(QUESTION), MSG_NOSIGNAL) != -1)
		while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
			got += n;
	error = errno;
	close(fd);
	errno = error;
	return n == 0 ? got : -1;
}

static int
by_time(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Until the other end of the pipe is closed. */
static int
honest(int flooded, ssize_t size)
{
	static int took[100000];
	struct pollfd p = { flooded, POLLIN, 0 };
	int n = 0, bad = 0, limit = LIMIT_MS * patience();
	int64_t began;
	ssize_t got;

	do {
		began = now_ms();
		got = ask(limit);
		took[n] = (int)(now_ms() - began);
		if (got != size || took[n] > limit) {
			if (bad++ < 5)
				printf("  after %d ms: %zd bytes of %zd, %s\n",
				    took[n], got, size, got == -1 ?
				    strerror(errno) : "an orderly end");
		}
		n++;
	} while (poll(&p, 1, BETWEEN_MS) == 0 && n < 100000);
	qsort(took, (size_t)n, sizeof(took[0]), by_time);
	printf("  honest client: %d of %d answered within %d ms; median %d, "
	    "worst %d ms\n", n - bad, n, limit, took[n / 2], took[n - 1]);
	return bad != 0 || n < 2;
}

/* --- both ---------------------------------------------------------------- */

static int
came(void)
{
	int n = 0;

	for (int i = 0; i < CLIENTS; i++)
		n += clients[i].came;
	return n;
}

/*
 * 0, or 1 if fewer had a connection than the rate allows in a third of the
 * time.  A few are late where the processors are busy.
 */
static int
flood(int64_t end, const char *pid)
{
	int64_t enough = (end - now_ms()) * rate / 3000;
	int used, peak = 0, turns = 0;
	double cpu = processor_time(pid);

	if (enough > CLIENTS * 19 / 20)
		enough = CLIENTS * 19 / 20;
	if ((epfd = epoll_create1(EPOLL_CLOEXEC)) == -1)
		err(1, "epoll_create1");
	prepare();
	filled = now_ms();
	while (now_ms() < end ||
	    (came() < enough && now_ms() < end + LONGER_MS)) {
		turn();
		if (turns++ % 20 == 0 && (used = descriptors(pid)) > peak)
			peak = used;
	}
	printf("  hostile: %d clients, %lu connections, %d at a time\n",
	    came(), connections, most);
	printf("  server: %d descriptors, %.2f s of processor time\n", peak,
	    processor_time(pid) - cpu);
	if (came() < enough)
		printf("  these are too few: not %d\n", (int)enough);
	return came() < enough;
}

static int
forks(void)
{
	int64_t began = now_ms(), took;

	for (int i = 0; i < 100; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (pid == -1 || waitpid(pid, NULL, 0) == -1)
			err(1, "fork");
	}
	took = now_ms() - began;
	printf("%d\n", (int)(100000 / (took > 0 ? took : 1)));
	return 0;
}

int
main(int argc, char *argv[])
{
	struct rlimit rl;
	int64_t end;
	bool raised;
	int status, failed = 0, over[2];
	pid_t pid;

	if (argc == 2 && strcmp(argv[1], "forks") == 0)
		return forks();
	if (argc < 5)
		errx(2, "usage: flood PORT SECONDS SIZE RATE [PID]");
	rate = number(argv[4]);
	server.sin_port = htons((in_port_t)number(argv[1]));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	end = now_ms() + INT64_C(1000) * number(argv[2]);
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	if (rl.rlim_cur < CLIENTS + 50) {
		printf("SKIP flood: RLIMIT_NOFILE allows no %d clients\n",
		    CLIENTS);
		return 77;
	}
	fflush(stdout);
	raised = setpriority(PRIO_PROCESS, 0, -10) == 0;
	if (pipe(over) == -1 || (pid = fork()) == -1)
		err(1, "fork");
	if (pid == 0) {
		close(over[1]);
		status = honest(over[0], number(argv[3]));
		fflush(stdout);
		_exit(status);
	}
	setpriority(PRIO_PROCESS, 0, raised ? 0 : 10);
	if (rate > 0)
		failed = flood(end, argc > 5 ? argv[5] : "self");
	else
		poll(NULL, 0, (int)(end - now_ms()));
	fflush(stdout);
	close(over[1]);
	if (waitpid(pid, &status, 0) == -1)
		err(1, "waitpid");
	return failed || status != 0;
}
