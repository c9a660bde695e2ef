/*
 * ends.h - a measurement: a server and its clients, each a process
 *
 * They run in a network namespace of their own where that is allowed.  So no
 * TIME_WAIT and no port of an earlier run disturbs them.
 */
#ifndef ENDS_H
#define ENDS_H

#include <sys/types.h>

#include <stdint.h>
#include <time.h>

/*
 * What an end does.  shared: memory of both.  other: a socket to the other end.
 * The process ends where the function returns.
 */
typedef void	end_main(void *shared, int other);

/*
 * Asks once for the right to make namespaces, and for descriptors: room for so
 * many connections.
 */
void	ends_prepare(int most);

/* Why there is no namespace of its own; NULL: there is one. */
const char *ends_refused(void);

/* How many connections one end may hold. */
int	ends_room(void);

/* 0; -1: an end failed, or took longer than limit_s. */
int	ends_run(end_main *server, end_main *clients, void *shared,
	    unsigned limit_s);

/*
 * The same, with the server under ptrace(2): how many system calls it made
 * between its marks (calls.h).
 */
long	ends_calls(end_main *server, end_main *clients, void *shared,
	    unsigned limit_s);

/* Memory that the ends share, filled with 0. */
void	*ends_shared(size_t);
void	ends_free(void *, size_t);

/* Each end waits until the other is there. */
void	ends_sync(int other);

int	*ends_fds(int n);

/* Both connect n times; the clients' descriptors, the server's. */
int	ends_listen(uint16_t *port, int backlog);
void	ends_accept(int listener, int *fds, int n, int other);
void	ends_connect(uint16_t port, int *fds, int n, int other);
int	ends_connect_one(uint16_t port);

/*
 * Seconds of a clock; CPU seconds of a process; its peak memory in bytes; what
 * malloc(3) has given out here.
 */
double	seconds(clockid_t);
double	cpu_seconds(pid_t);
double	peak_bytes(pid_t);
void	peak_forget(pid_t);
double	allocated_bytes(void);

void	nap_ms(int);

#endif /* ENDS_H */
