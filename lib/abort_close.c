/*
 * abort_close.c - end the connection now, even where a duplicate is held
 */
#include <errno.h>
#include <stdbool.h>

#include "graceclose.h"
#include "kernel/kernel.h"

/*
 * Never connected or listening: nothing is left to abort, and to abort a
 * listener would take it from every process that shares it.
 */
int
abort_close(int fd)
{
	int error = 0, kind, saved = errno;
	bool finished;

	if ((kind = graceclose_tcp_kind(fd, &finished)) != -1)
		graceclose_tcp_abort(fd, kind);
	else if (errno == EBADF)
		return -1;
	else if (errno != ENOTCONN)
		error = errno;
	if (error != 0)
		(void)graceclose_tcp_close(fd);
	else
		error = graceclose_tcp_close(fd);
	errno = error != 0 ? error : saved;
	return error != 0 ? -1 : 0;
}
