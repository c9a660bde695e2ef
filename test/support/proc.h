/*
 * proc.h - other threads of this process, as /proc shows them
 */
#ifndef TEST_PROC_H
#define TEST_PROC_H

#include <sys/types.h>

#include <stdint.h>

pid_t		 t_named(const char *);	/* the youngest of this name, or 0 */
uint64_t	 t_status(pid_t, const char *, int);	/* line, base */
uint64_t	 t_turns(pid_t);	/* how often it was put on a CPU */
uint64_t	 t_ticks(pid_t);	/* the CPU time that it used */

void		 t_wait_asleep(pid_t, int);	/* slept so many ms unbroken */
void		 t_wait_gone(pid_t);
/* In SYS_recvfrom..., or T_WAIT: in what a close waits in. */
#define T_WAIT	(-2L)
void		 t_wait_blocked(const pid_t *, long);

#endif /* TEST_PROC_H */
