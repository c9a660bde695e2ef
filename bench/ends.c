/*
 * ends.c - see ends.h
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <net/if.h>
#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "ends.h"

#define SPARE		200		/* descriptors for all else */
#define CHUNK		512		/* below net.core.somaxconn */
#define AN_ADDRESS	8192		/* connections from one address */

static bool separate;
static const char *refused;
static int room;

void
nap_ms(int ms)
{
	const struct timespec time = { ms / 1000, ms % 1000 * 1000000L };

	(void)nanosleep(&time, NULL);
}

double
seconds(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) == -1)
		err(1, "clock_gettime");
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

double
cpu_seconds(pid_t pid)
{
	clockid_t clock;

	if ((errno = clock_getcpuclockid(pid, &clock)) != 0)
		err(1, "CPU time of process %d", (int)pid);
	return seconds(clock);
}

double
peak_bytes(pid_t pid)
{
	char path[64], line[128];
	double kib = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if ((f = fopen(path, "r")) == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmHWM:", 6) == 0)
			kib = strtod(line + 6, NULL);
	fclose(f);
	return kib * 1024;
}

/* The kernel takes what the process has now for its peak: proc(5). */
void
peak_forget(pid_t pid)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/clear_refs", (int)pid);
	if ((fd = open(path, O_WRONLY | O_CLOEXEC)) == -1)
		return;
	if (write(fd, "5", 1) == -1)
		warn("%s", path);
	close(fd);
}

double
allocated_bytes(void)
{
	struct mallinfo2 m = mallinfo2();

	return (double)(m.uordblks + m.hblkhd);
}

void *
ends_shared(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	return p;
}

void
ends_free(void *p, size_t n)
{
	(void)munmap(p, n);
}

/* --- namespaces --- */

static int
lo_up(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, r;

	if ((fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		return -1;
	r = ioctl(fd, SIOCSIFFLAGS, &lo);
	close(fd);
	return r;
}

static int
write_file(const char *path, const char *text)
{
	int fd, r;

	if ((fd = open(path, O_WRONLY | O_CLOEXEC)) == -1)
		return -1;
	r = write(fd, text, strlen(text)) == -1 ? -1 : 0;
	close(fd);
	return r;
}

/* In a user namespace everyone is root. */
static void
become_root(void)
{
	char uids[32], gids[32];

	(void)snprintf(uids, sizeof(uids), "0 %d 1", (int)getuid());
	(void)snprintf(gids, sizeof(gids), "0 %d 1", (int)getgid());
	if (unshare(CLONE_NEWUSER) == -1 ||
	    write_file("/proc/self/setgroups", "deny") == -1 ||
	    write_file("/proc/self/uid_map", uids) == -1 ||
	    write_file("/proc/self/gid_map", gids) == -1)
		refused = strerror(errno);
}

static bool
may_separate(void)
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWNET) == -1 || lo_up() == -1);
	return pid != -1 && waitpid(pid, &status, 0) == pid && status == 0;
}

void
ends_prepare(int most)
{
	const rlim_t wanted = (rlim_t)most + SPARE;
	const struct rlimit more = { wanted, wanted };
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		err(1, "getrlimit");
	if (limit.rlim_max < wanted && setrlimit(RLIMIT_NOFILE, &more) == 0)
		limit.rlim_max = wanted;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	room = limit.rlim_max > wanted ? most : (int)limit.rlim_max - SPARE;
	if (!(separate = may_separate())) {
		become_root();
		separate = refused == NULL && may_separate();
		if (!separate && refused == NULL)
			refused = "unshare(2) was refused";
	}
	(void)signal(SIGPIPE, SIG_IGN);
}

const char *
ends_refused(void)
{
	return refused;
}

int
ends_room(void)
{
	return room;
}

/* --- processes --- */

/* alarm(2) ends a process that hangs; it dies with the one that made it. */
static pid_t
start(end_main *end, void *shared, int mine, int others, unsigned limit_s)
{
	pid_t pid;

	(void)fflush(NULL);
	if ((pid = fork()) == -1)
		err(1, "fork");
	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)alarm(limit_s);
	close(others);
	end(shared, mine);
	_exit(0);
}

/* How an end has ended. */
static bool
ended_well(pid_t pid, const char *which)
{
	int status;

	if (waitpid(pid, &status, 0) == pid && status == 0)
		return true;
	warnx("%s: %s %d", which, WIFSIGNALED(status) ? "signal" : "status",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return false;
}

/* calls: where the number of the server's system calls goes, or NULL. */
static int
stage(end_main *server, end_main *clients, void *shared, unsigned limit_s,
    long *calls)
{
	int pair[2];
	pid_t pids[2];
	bool well;

	if (separate && (unshare(CLONE_NEWNET) == -1 || lo_up() == -1))
		err(1, "network namespace");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
		err(1, "socketpair");
	pids[0] = start(server, shared, pair[0], pair[1], limit_s);
	pids[1] = start(clients, shared, pair[1], pair[0], limit_s);
	close(pair[0]);
	close(pair[1]);
	if (calls != NULL)
		return (*calls = calls_wait(pids[0], pids[1])) == -1;
	well = ended_well(pids[0], "server");
	return !(ended_well(pids[1], "clients") && well);
}

static int
run(end_main *server, end_main *clients, void *shared, unsigned limit_s,
    long *calls)
{
	int status = 1;
	pid_t pid;

	(void)fflush(NULL);
	if ((pid = fork()) == -1)
		err(1, "fork");
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(stage(server, clients, shared, limit_s, calls));
	}
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			err(1, "waitpid");
	return status == 0 ? 0 : -1;
}

int
ends_run(end_main *server, end_main *clients, void *shared, unsigned limit_s)
{
	return run(server, clients, shared, limit_s, NULL);
}

long
ends_calls(end_main *server, end_main *clients, void *shared, unsigned limit_s)
{
	long *calls = ends_shared(sizeof(*calls)), n;

	n = run(server, clients, shared, limit_s, calls) == -1 ? -1 : *calls;
	ends_free(calls, sizeof(*calls));
	return n;
}

/* --- connections --- */

int *
ends_fds(int n)
{
	int *fds = calloc((size_t)n, sizeof(*fds));

	if (fds == NULL)
		err(1, NULL);
	return fds;
}

void
ends_sync(int other)
{
	char c = 's';

	if (write(other, &c, 1) != 1 || read(other, &c, 1) != 1)
		errx(1, "the other end is gone");
}

int
ends_listen(uint16_t *port, int backlog)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int fd;

	if ((fd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, len) == -1 ||
	    listen(fd, backlog) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) == -1)
		err(1, "listening socket");
	*port = ntohs(sin.sin_port);
	return fd;
}

void
ends_accept(int listener, int *fds, int n, int other)
{
	int i;

	for (i = 0; i < n; i++) {
		if ((fds[i] = accept(listener, NULL, NULL)) == -1)
			err(1, "accept");
		if ((i + 1) % CHUNK == 0 || i == n - 1)
			ends_sync(other);
	}
}

static int
connect_from(uint32_t from, uint16_t port)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr_in self = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(from) };
	const int on = 1;
	int fd;

	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
	    sizeof(on)) == -1 ||
	    bind(fd, (const struct sockaddr *)&self, sizeof(self)) == -1 ||
	    connect(fd, (const struct sockaddr *)&to, sizeof(to)) == -1)
		err(1, "connect");
	return fd;
}

int
ends_connect_one(uint16_t port)
{
	return connect_from(INADDR_LOOPBACK, port);
}

/*
 * From 127.0.0.1, 127.0.0.2 and so on: where half of an address's ports are
 * taken, Linux looks at each of them before it finds a free one.
 */
void
ends_connect(uint16_t port, int *fds, int n, int other)
{
	int i;

	for (i = 0; i < n; i++) {
		fds[i] = connect_from(INADDR_LOOPBACK +
		    (uint32_t)(i / AN_ADDRESS), port);
		if ((i + 1) % CHUNK == 0 || i == n - 1)
			ends_sync(other);
	}
}
