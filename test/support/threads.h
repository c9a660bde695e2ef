/*
 * threads.h - threads, children and signals that a test starts
 */
#ifndef TEST_THREADS_H
#define TEST_THREADS_H

#include <sys/types.h>

#include <pthread.h>
#include <stdint.h>

/* t_join fails the test when it takes longer than 2 * T_LIMIT_MS. */
void		 t_thread(pthread_t *, void *(*)(void *), void *);
void		 t_join(pthread_t);

/* A thread does something to a descriptor `after_ms` from now. */
struct t_later {
	pthread_t	 thread;
	void		(*what)(int);
	int		 fd;
	int		 after_ms;
	int64_t		 done_ms;	/* t_now_ms right before it was done */
};
void		 t_later(struct t_later *, int, void (*)(int), int);
int64_t		 t_later_join(struct t_later *);

/* A signal every millisecond (valgrind: 5), handler without SA_RESTART. */
void		 t_storm(void);
int		 t_storm_end(void);		/* the number of signals */

/* A child that holds every descriptor of the test until t_hold_end. */
pid_t		 t_hold(void);
void		 t_hold_end(pid_t);

/* A thread that is known to sleep in recv(2), whose result is `n`. */
struct t_blocked {
	pthread_t	 thread;
	pid_t		 tid;
	int		 fd;
	ssize_t		 n;
};
void		 t_blocked(struct t_blocked *, int);

#endif /* TEST_THREADS_H */
