/*
 * preload.h - what the parts of the preloaded library share
 *
 * calls.c has the calls that stand before those of libc, holders.c knows which
 * descriptors are accepted connections and who else holds them, takeover.c
 * decides about the last close and hands the connection to the reaper.
 */
#ifndef PRELOAD_H
#define PRELOAD_H

#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The calls of libc, or of what is preloaded after this library. */
#define PRE_CALLS(X)	X(clone) X(close) X(close_range) X(dup) X(dup2)	\
	X(dup3) X(epoll_ctl) X(fcntl) X(popen) X(posix_spawn)		\
	X(posix_spawnp) X(prctl) X(sendmmsg) X(sendmsg) X(syscall)	\
	X(system) X(vfork) X(_Fork) X(_exit)

struct pre_real {
#define PRE_MEMBER(f)	__typeof__(f) *(f);
	PRE_CALLS(PRE_MEMBER)
	int	(*accept)(int, struct sockaddr *, socklen_t *);
	int	(*accept4)(int, struct sockaddr *, socklen_t *, int);
};
const struct pre_real *pre_real(void);	/* finds them at the first call */

/* Why a close of an accepted connection was a plain one. */
enum pre_why {
	PRE_LAST,		/* it was not: nobody else holds it */
	PRE_TAKEN,
	PRE_HELD,		/* another process or number holds it */
	PRE_UNCERTAIN,		/* another program may hold it */
	PRE_STALE,		/* the number is another file's: no close */
	PRE_LINGER,		/* SO_LINGER, or O_ASYNC */
	PRE_OVER,		/* dead, or the peer has finished */
	PRE_SILENT,		/* nothing was sent, so nothing can be lost */
	PRE_REFUSED,		/* no room, no thread, or in a signal handler */
	PRE_WHYS
};

/* --- holders.c: none of these allocates, locks or waits --- */

#define PRE_FDS		65536	/* greater numbers are left alone */

enum pre_kind { PRE_OTHER, PRE_CLOSING, PRE_HIDDEN, PRE_CONNECTION };

bool	pre_holders_open(void);		/* once, before any fork */
bool	pre_own(void);			/* no child of vfork or clone */
enum pre_kind pre_kind(int fd);
void	pre_track(int fd);		/* what accept returned */
void	pre_copied(int from, int to);	/* to is a duplicate */
void	pre_uncertain(void);		/* whatever is open now */
enum pre_why pre_drop(int fd, unsigned long *mask);
void	pre_hide(int fd);		/* ours */
void	pre_closing(int fd, bool begins);	/* and no longer */
int	pre_next(int fd, int last);	/* the first that is known, or -1 */
unsigned long pre_mask(void);		/* the signals blocked here */

void	pre_holders_prepare(void);	/* of pthread_atfork(3) */
void	pre_holders_parent(void);
void	pre_holders_child(void);

/* --- takeover.c --- */

void	pre_accepted(void);		/* starts the reaper if it was missed */
void	pre_learn_set(int set);		/* an epoll set of the program */
int	pre_keep(int fd);		/* a duplicate to hand over, or -1 */
void	pre_hand_over(int kept);	/* after the number is free */
void	pre_stop(void);			/* before seccomp(2) */
bool	pre_active(void);
void	pre_at_exit(bool flush_stdio);
void	pre_takeover_child(void);

#endif /* PRELOAD_H */
