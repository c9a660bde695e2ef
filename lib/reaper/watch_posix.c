/*
 * watch_posix.c - the reaper's thread waits for a byte in a pipe, and for time
 */
#include <sys/types.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <unistd.h>

#include "kernel/kernel.h"
#include "reaper/watch.h"

int
graceclose_watch_open(struct graceclose_watch *w)
{
	int i, ends[2];

	if (pipe(ends) == -1)
		return -1;
	for (i = 0; i < 2; i++) {
		(void)fcntl(ends[i], F_SETFD, FD_CLOEXEC);
		(void)fcntl(ends[i], F_SETFL, O_NONBLOCK);
	}
	w->set = ends[0];
	w->alarm = ends[1];
	return 0;
}

int
graceclose_watch_add(struct graceclose_watch *w, int fd, void *data, bool acks)
{
	(void)w;
	(void)fd;
	(void)data;
	(void)acks;
	return -1;
}

int
graceclose_watch_again(struct graceclose_watch *w, int fd, void *data)
{
	return graceclose_watch_add(w, fd, data, false);
}

void
graceclose_watch_remove(struct graceclose_watch *w, int fd)
{
	(void)w;
	(void)fd;
}

int
graceclose_watch_wait(struct graceclose_watch *w, void **data, int timeout_ms)
{
	struct pollfd p = { w->set, POLLIN, 0 };
	char rung[GRACECLOSE_BATCH];
	int n;

	(void)data;
	if ((n = poll(&p, 1, timeout_ms)) == 1)
		(void)!read(w->set, rung, sizeof(rung));
	else if (n == -1 && errno != EINTR)
		graceclose_tcp_nap(timeout_ms);
	return 0;
}

void
graceclose_watch_wake(struct graceclose_watch *w)
{
	int saved = errno;

	(void)!write(w->alarm, "", 1);
	errno = saved;
}

void
graceclose_watch_close(struct graceclose_watch *w)
{
	(void)close(w->set);
	(void)close(w->alarm);
}
