/*
 * reader.h - a thread that sits in a blocking recv, and tells what woke it.
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
	struct ends	 view;		/* which end is ours, for the steps */
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

/* Read fd until EOF or an error.  Returns when the thread sits in recv. */
void	reader_start(struct reader *w, const char *who, const struct ends *view,
	    int fd, bool echo);

/* Return when it sits in recv again, or is over. */
void	reader_settle(const struct reader *w);

/* Wait until it is over, at most so long: whether it is. */
bool	reader_over(struct reader *w, int timeout_ms);
void	reader_join(struct reader *w);

/* "EOF" or the errno by its name. */
const char *
	reader_end(const struct reader *w);

#endif /* READER_H */
