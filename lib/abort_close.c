/*
 * abort_close.c - end the connection now, even where a duplicate is held
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "graceclose.h"
#include "kernel/kernel.h"

/*
 * Never connected or listening: nothing is left to abort, and to abort a
 * listener would take it from every process that shares it.  No point of
 * cancellation: a thread cancelled halfway would leave the descriptor open.
 */
int
abort_close(int fd)
{
	int cancel, error = 0, input, kind, saved = errno;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if ((kind = graceclose_tcp_kind(fd, &input)) != -1)
		graceclose_tcp_abort(fd, kind);
	else if (errno != ENOTCONN)
		error = errno;
	if (error == 0)
		error = graceclose_tcp_close(fd);
	else if (error != EBADF)
		(void)graceclose_tcp_close(fd);
	(void)pthread_setcancelstate(cancel, NULL);
	errno = error != 0 ? error : saved;
	return error != 0 ? -1 : 0;
}
