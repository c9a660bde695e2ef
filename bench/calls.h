/*
 * calls.h - how many system calls a process makes, counted with ptrace(2)
 */
#ifndef CALLS_H
#define CALLS_H

#include <sys/types.h>

/* In the process itself, at its start: lets its parent trace it. */
void	calls_begin(void);

/* In the process: the calls between two marks count. */
void	calls_mark(void);

/*
 * In the parent: waits until both processes have ended.  The first one is
 * traced, with its threads and children.  Returns the number; -1: one failed.
 */
long	calls_wait(pid_t traced, pid_t other);

#endif /* CALLS_H */
