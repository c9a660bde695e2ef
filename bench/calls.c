/*
 * calls.c - see calls.h
 */
#include <sys/types.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <err.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "calls.h"

#define MARK	0x67726163	/* no process group has this number */
#define OPTIONS	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | \
		PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC)
#define SYSCALL	(SIGTRAP | 0x80)

static bool counting;
static long count;

void
calls_begin(void)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1)
		err(1, "ptrace");
	(void)raise(SIGSTOP);
}

void
calls_mark(void)
{
	(void)syscall(SYS_getpgid, MARK);
}

/* A system call begins or ends. */
static void
heed(pid_t pid)
{
	struct __ptrace_syscall_info info = { 0 };

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info)
	    == -1 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	if (info.entry.nr == SYS_getpgid && info.entry.args[0] == MARK)
		counting = !counting;
	else if (counting)
		count++;
}

/* The signal to hand on: none where the stop is one of tracing. */
static int
signal_of(int status)
{
	int sig = WSTOPSIG(status);

	if (sig == SYSCALL || sig == SIGTRAP || sig == SIGSTOP ||
	    status >> 16 != 0)
		return 0;
	return sig;
}

long
calls_wait(pid_t traced, pid_t other)
{
	int status, left = 2;
	bool failed = false, set = false;
	pid_t pid;

	count = 0;
	counting = false;
	while (left > 0 && (pid = waitpid(-1, &status, __WALL)) != -1) {
		if (!WIFSTOPPED(status)) {
			if (pid == traced || pid == other) {
				failed |= status != 0;
				left--;
			}
			continue;
		}
		if (pid == traced && !set)
			set = ptrace(PTRACE_SETOPTIONS, pid, NULL,
			    (void *)OPTIONS) == 0;
		if (WSTOPSIG(status) == SYSCALL)
			heed(pid);
		(void)ptrace(PTRACE_SYSCALL, pid, NULL,
		    (void *)(intptr_t)signal_of(status));
	}
	return failed ? -1 : count;
}
