/*
 * follow.h - a file that another program still writes: a stream that waits for
 * more where the file ends
 */
#ifndef FOLLOW_H
#define FOLLOW_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

/* Called each quarter of a second, or sooner, while there is no more. */
typedef void	follow_idle(void *arg);

struct follow_options {
	int		 seconds;	/* end where it did not grow so long; */
					/* 0: never */
	follow_idle	*idle;
	void		*arg;
};

struct follow;

/*
 * The stream ends where the file was truncated, deleted or renamed, or did not
 * grow for so many seconds.  It also ends once *stopped is
 * true; then the descriptor wakeup is to become readable.  Closing the stream
 * leaves f, which follow_free() takes.
 *
 * NULL: *why says in one line why.
 */
struct follow *follow_open(const char *path, const struct follow_options *o,
	    int wakeup, const volatile sig_atomic_t *stopped,
	    const char **why);
FILE	*follow_stream(struct follow *f);
void	follow_free(struct follow *f);

/* Why the stream ended, in one line; NULL: it did not, or was stopped. */
const char *follow_ended(const struct follow *f);

/* What was written before is lost. */
bool	follow_truncated(const struct follow *f);

#endif /* FOLLOW_H */
