/*
 * reader.h - a thread that waits in a blocking recv(), and what ended the wait
 */
#ifndef READER_H
#define READER_H

#include <sys/types.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "stage/ends.h"

struct reader {
	struct ends	 view;		/* its end, for the steps */
	const char	*who;
	int		 fd;
	bool		 echo;		/* send back what comes */

	pthread_t	 thread;
	pthread_mutex_t	 lock;
	pthread_cond_t	 cond;
	_Atomic pid_t	 tid;
	atomic_bool	 in_recv;

	bool		 over;		/* with lock held, or after the join */
	size_t		 bytes;		/* received in all */
	ssize_t		 rv;		/* what the last recv returned */
	int		 error;		/* errno, 0 after EOF */
	double		 at;		/* when, in ms of the scene */
};

/* Read fd until EOF or an error.  On return the thread waits in recv(). */
void	reader_start(struct reader *w, const char *who, const struct ends *view,
	    int fd, bool echo);

/* Return when the thread waits in recv() again, or has ended. */
void	reader_settle(const struct reader *w);

/* Wait until the thread has ended, at most that long: whether it has. */
bool	reader_over(struct reader *w, int timeout_ms);
void	reader_join(struct reader *w);

/* "EOF" or the errno by its name. */
const char *
	reader_end(const struct reader *w);

#endif /* READER_H */
