/*
 * sandbox.h - a child whose system calls are filtered: seccomp(2) and BPF
 *
 * The filter holds from just before the act until the act returns.  The child
 * makes no system call of its own in between.  A call is named as the kernel
 * names it on x86-64; where another architecture has only a newer form of it,
 * the name means that form.
 */
#ifndef TEST_SANDBOX_H
#define TEST_SANDBOX_H

#include <sys/types.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	SANDBOX_OPEN,		/* no filter */
	SANDBOX_KILL,		/* any call but those named ends the child */
	SANDBOX_REFUSE,		/* the calls named fail with `error' */
	SANDBOX_WATCH		/* nothing is refused, and all is noted */
};

/* Names are separated by spaces. */
struct sandbox {
	int		 mode;
	const char	*calls;
	int		 error;
	int		 kept;		/* a descriptor that the child closes */
};

/* A child under way, and how it went. */
struct sandboxed {
	pid_t		 pid;
	bool		 watched;
	pthread_t	 watcher;
	int		 listener;
	struct sandbox_page *page;	/* shared with the child */
	int		 status;	/* as of waitpid(2) */
	/* Of the act that came to its end, in an open or a refusing sandbox. */
	int64_t		 elapsed_us;
	int64_t		 cpu_ms;
};

/* Why this machine cannot do so, or NULL. */
const char	*sandbox_missing(int mode);

/* `arg' lies in memory that the child shares, if the act is to write to it. */
void		 sandbox_start(struct sandboxed *, const struct sandbox *,
		    void (*act)(void *), void *arg);
/* Waits for its end; false: it took longer than limit_ms, and was killed. */
bool		 sandbox_end(struct sandboxed *, int limit_ms);

/* Of a watched child: whether it made that call. */
bool		 sandbox_made(const struct sandboxed *, const char *call);
/* The first call that it made and that is not among `calls', or NULL. */
const char	*sandbox_made_other(const struct sandboxed *,
		    const char *calls);

/* Takes the next name out of a list; NULL at its end. */
const char	*sandbox_next(const char **calls, char *name, size_t size);

#endif /* TEST_SANDBOX_H */
