/*
 * proc.c - other threads of this process, as /proc shows them
 */
#include <sys/syscall.h>

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/clock.h"
#include "support/proc.h"
#include "support/runner.h"

/* A line of the thread's file; "" where there is none. */
static void
task_line(pid_t tid, const char *file, const char *start, char *line, int size)
{
	char path[64];
	FILE *f;

	line[0] = '\0';
	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", (int)tid, file);
	if ((f = fopen(path, "re")) == NULL)
		return;
	while (fgets(line, size, f) != NULL &&
	    strncmp(line, start, strlen(start)) != 0)
		line[0] = '\0';
	fclose(f);
}

pid_t
t_named(const char *name)
{
	struct dirent *e;
	char line[256];
	pid_t found, tid;
	DIR *d;

	d = opendir("/proc/self/task");
	ck_assert_ptr_nonnull(d);
	for (found = 0; (e = readdir(d)) != NULL; ) {
		tid = (pid_t)strtol(e->d_name, NULL, 10);
		task_line(tid, "comm", name, line, sizeof(line));
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, name) == 0)
			found = tid;
	}
	closedir(d);
	return found;
}

uint64_t
t_status(pid_t tid, const char *what, int base)
{
	char line[256];

	task_line(tid, "status", what, line, sizeof(line));
	ck_assert_msg(strchr(line, ':') != NULL, "no %s of thread %d", what,
	    (int)tid);
	return strtoull(strchr(line, ':') + 1, NULL, base);
}

uint64_t
t_turns(pid_t tid)
{
	return t_status(tid, "voluntary_ctxt_switches", 10) +
	    t_status(tid, "nonvoluntary_ctxt_switches", 10);
}

/* The name may hold blanks; utime and stime are fields 14 and 15. */
uint64_t
t_ticks(pid_t tid)
{
	char line[512], *field;
	uint64_t ticks;
	int i;

	task_line(tid, "stat", "", line, sizeof(line));
	field = strrchr(line, ')');
	for (i = 2; field != NULL && i < 14; i++)
		field = strchr(field + 1, ' ');
	ck_assert_ptr_nonnull(field);
	ticks = strtoull(field, &field, 10);
	return ticks + strtoull(field, NULL, 10);
}

static int
sleeps(pid_t tid)
{
	char line[64];

	task_line(tid, "status", "State:", line, sizeof(line));
	return strncmp(line, "State:\tS", 8) == 0;
}

/* A thread that is kept from its processor has no turns either. */
void
t_wait_asleep(pid_t tid, int for_ms)
{
	uint64_t turns;
	int64_t end;

	end = t_now_ms() + T_LIMIT_MS;
	do {
		ck_assert_msg(t_now_ms() < end, "thread does not sleep");
		turns = t_turns(tid);
		t_pause(for_ms);
	} while (!sleeps(tid) || t_turns(tid) != turns);
}

/* A thread that was joined is in /proc for a moment longer. */
void
t_wait_gone(pid_t tid)
{
	char line[64];
	int64_t end;

	for (end = t_now_ms() + T_LIMIT_MS; ; t_pause(1)) {
		task_line(tid, "comm", "", line, sizeof(line));
		if (line[0] == '\0')
			return;
		ck_assert_msg(t_now_ms() < end, "a thread is left");
	}
}

/* Some libcs and processors have another call for the same deed. */
static bool
same_call(long now, long call)
{
#ifdef SYS_socketcall
	if (call == SYS_recvfrom && now == SYS_socketcall)
		return true;
#endif
#ifdef SYS_futex_time64
	if (call == SYS_futex && now == SYS_futex_time64)
		return true;
#endif
	return now == call;
}

/* A close waits in poll(2), or by an edge of epoll. */
static bool
waits(long now)
{
#ifdef SYS_epoll_wait
	if (now == SYS_epoll_wait)
		return true;
#endif
#ifdef SYS_poll
	if (now == SYS_poll)
		return true;
#endif
#ifdef SYS_ppoll_time64
	if (now == SYS_ppoll_time64)
		return true;
#endif
	return now == SYS_epoll_pwait || now == SYS_ppoll;
}

void
t_wait_blocked(const pid_t *tid, long call)
{
	char path[64], line[256], *end_of_number;
	FILE *f;
	int64_t end;
	pid_t who;
	long now;

	end = t_now_ms() + T_LIMIT_MS;
	for (now = -1; call == T_WAIT ? !waits(now) : !same_call(now, call);
	    t_pause(1)) {
		ck_assert_msg(t_now_ms() < end, "thread does not sleep");
		who = __atomic_load_n(tid, __ATOMIC_ACQUIRE);
		snprintf(path, sizeof(path), "/proc/self/task/%d/syscall",
		    (int)who);
		if (who == 0 || (f = fopen(path, "re")) == NULL)
			continue;
		now = -1;
		if (fgets(line, sizeof(line), f) != NULL) {
			now = strtol(line, &end_of_number, 10);
			if (end_of_number == line)	/* "running" */
				now = -1;
		}
		fclose(f);
	}
}
