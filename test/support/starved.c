/*
 * starved.c - measures whether the machine kept a test from running
 */
#include <sys/syscall.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support/starved.h"

/*
 * A thread that shares a processor with others waits for a slice of each, some
 * milliseconds long.  The shortest bounds of the tests are 20 ms.
 */
#define DELAY_MS	20
#define PRESSURE_MS	40	/* and half of the time */
#define STEAL_MS	20	/* two ticks */
#define LATE_PART	4	/* of the time of a test that is overdue */

struct dirent64 {
	uint64_t	 ino;
	int64_t		 off;
	unsigned short	 reclen;
	unsigned char	 type;
	char		 name[];
};

/* The start of a file in /proc; "" where it cannot be read. */
static void
read_text(const char *path, char *buf, size_t size)
{
	ssize_t n = -1;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) != -1) {
		n = pread(fd, buf, size - 1, 0);
		syscall(SYS_close, fd);
	}
	buf[n > 0 ? n : 0] = '\0';
}

/* The number behind so many words. */
static int64_t
number_after(const char *text, int words)
{
	for (; words > 0 && text != NULL; words--)
		if ((text = strchr(text, ' ')) != NULL)
			text += strspn(text, " ");
	return text == NULL ? 0 : strtoll(text, NULL, 10);
}

static int64_t
thread_delay_ns(const char *tid)
{
	char path[64], text[128];

	(void)snprintf(path, sizeof(path), "/proc/self/task/%s/schedstat", tid);
	read_text(path, text, sizeof(text));
	return number_after(text, 1);
}

/* opendir(3) allocates, and this may run in a signal handler. */
static int64_t
process_delay_ns(void)
{
	_Alignas(struct dirent64) char buf[4096];
	const struct dirent64 *e;
	int64_t sum = 0;
	long at, n;
	int fd;

	fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return 0;
	while ((n = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (at = 0; at < n; at += e->reclen) {
			e = (const struct dirent64 *)(void *)(buf + at);
			if (e->name[0] != '.')
				sum += thread_delay_ns(e->name);
		}
	}
	syscall(SYS_close, fd);
	return sum;
}

static int64_t
pressure_us(void)
{
	const char *total;
	char text[256];

	read_text("/proc/pressure/cpu", text, sizeof(text));
	total = strstr(text, "total=");
	return total == NULL ? 0 : strtoll(total + 6, NULL, 10);
}

/* "cpu  user nice system idle iowait irq softirq steal ..." */
static int64_t
steal_ticks(void)
{
	char text[256];

	read_text("/proc/stat", text, sizeof(text));
	return number_after(text, 8);
}

static int64_t
clock_ms(clockid_t id)
{
	struct timespec ts = { 0, 0 };

	syscall(SYS_clock_gettime, id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
starved_begin(struct starved *s)
{
	s->at_ms = clock_ms(CLOCK_MONOTONIC);
	s->cpu_ms = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
	s->delay_ms = process_delay_ns() / 1000000;
	s->pressure_ms = pressure_us() / 1000;
	s->steal_ms = steal_ticks() * 1000 / sysconf(_SC_CLK_TCK);
}

/* The measures since then. */
static struct starved
measure(const struct starved *s)
{
	struct starved m;

	starved_begin(&m);
	m.at_ms -= s->at_ms;
	m.cpu_ms -= s->cpu_ms;
	/* Threads that have ended took their delay along. */
	m.delay_ms = m.delay_ms > s->delay_ms ? m.delay_ms - s->delay_ms : 0;
	m.pressure_ms -= s->pressure_ms;
	m.steal_ms -= s->steal_ms;
	return m;
}

static void
say(const struct starved *m, char *why, size_t size)
{
	if (why != NULL)
		(void)snprintf(why, size, "%lld ms: ran %lld, run-delay %lld, "
		    "CPU pressure %lld, steal %lld", (long long)m->at_ms,
		    (long long)m->cpu_ms, (long long)m->delay_ms,
		    (long long)m->pressure_ms, (long long)m->steal_ms);
}

/* It made itself wait. */
static bool
by_itself(const struct starved *m)
{
	return m->cpu_ms * 2 >= m->at_ms * sysconf(_SC_NPROCESSORS_ONLN);
}

int
starved_since(const struct starved *s, char *why, size_t size)
{
	struct starved m = measure(s);

	say(&m, why, size);
	return m.steal_ms >= STEAL_MS || (!by_itself(&m) &&
	    (m.delay_ms >= DELAY_MS || (m.pressure_ms >= PRESSURE_MS &&
	    m.pressure_ms * 2 >= m.at_ms)));
}

int
starved_late(const struct starved *s, char *why, size_t size)
{
	struct starved m = measure(s);

	say(&m, why, size);
	return m.steal_ms * LATE_PART >= m.at_ms ||
	    (!by_itself(&m) && m.delay_ms * LATE_PART >= m.at_ms);
}
