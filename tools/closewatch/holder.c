/* holder.c - see holder.h */
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "closewatch/holder.h"

#define SOCKETS_MAX	((size_t)1 << 20)

struct holder {
	pid_t		 child;
	int		 fd;
	uint32_t	*inodes;
};

/* What the child answers; n numbers follow. */
struct answer {
	int32_t		error;		/* an errno, or 0 */
	uint32_t	processes;
	uint32_t	n;
};

/* --- the child ----------------------------------------------------------- */

struct scan {
	const struct holder_who *who;
	int		 dir;		/* /proc/PID, or /proc */
	uint32_t	*inodes;
	size_t		 room;
	struct answer	 answer;
};

static bool
more_room(struct scan *s)
{
	size_t room = s->room > 0 ? 2 * s->room : 256;
	uint32_t *bigger;

	if (s->room == SOCKETS_MAX || (bigger = realloc(s->inodes,
	    room * sizeof(*bigger))) == NULL)
		return false;
	s->inodes = bigger;
	s->room = room;
	return true;
}

/* The link of a socket reads "socket:[4711]". */
static void
scan_link(struct scan *s, int dir, const char *name)
{
	static const char socket[] = "socket:[";
	const size_t prefix = sizeof(socket) - 1;
	char text[40];
	ssize_t n = readlinkat(dir, name, text, sizeof(text) - 1);

	if (n < (ssize_t)prefix || memcmp(text, socket, prefix) != 0)
		return;
	text[n] = '\0';
	if (s->answer.n < s->room || more_room(s))
		s->inodes[s->answer.n++] =
		    (uint32_t)strtoul(text + prefix, NULL, 10);
}

/* /proc/PID/fd, of which `path` is the part behind s->dir. */
static void
scan_process(struct scan *s, const char *path)
{
	int fd = openat(s->dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd != -1 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (d == NULL) {
		/* EBADF: /proc/PID was not there at the beginning. */
		s->answer.error = errno == ENOENT || errno == EBADF ? ESRCH :
		    errno;
		if (fd != -1)
			close(fd);
		return;
	}
	s->answer.processes++;
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			scan_link(s, fd, e->d_name);
	closedir(d);
}

static bool
is_called(int proc, const char *pid, const char *comm)
{
	char path[300], text[HOLDER_COMM + 2];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/comm", pid);
	if ((fd = openat(proc, path, O_RDONLY | O_CLOEXEC)) == -1)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < 1)
		return false;
	text[n - 1] = '\0';			/* a newline */
	return strncmp(text, comm, HOLDER_COMM) == 0;
}

static void
scan_all(struct scan *s)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd != -1 ? fdopendir(fd) : NULL;
	struct dirent *e;
	char path[300];

	if (d == NULL) {
		s->answer.error = errno;
		if (fd != -1)
			close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9' ||
		    !is_called(s->dir, e->d_name, s->who->comm))
			continue;
		snprintf(path, sizeof(path), "%s/fd", e->d_name);
		scan_process(s, path);
	}
	closedir(d);
	/* One that has ended meanwhile is no error, nor is one of many. */
	if (s->answer.processes > 0 || s->answer.error == ESRCH)
		s->answer.error = 0;
}

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static bool
send_all(int fd, const void *data, size_t size)
{
	const char *at = data;
	ssize_t n;

	for (; size > 0; size -= (size_t)n, at += n) {
		n = send(fd, at, size, MSG_NOSIGNAL);
		if (n == -1 && errno != EINTR)
			return false;
		if (n == -1)
			n = 0;
	}
	return true;
}

static bool
recv_all(int fd, void *data, size_t size)
{
	char *at = data;
	ssize_t n;

	for (; size > 0; size -= (size_t)n, at += n) {
		n = recv(fd, at, size, 0);
		if (n == 0 || (n == -1 && errno != EINTR))
			return false;
		if (n == -1)
			n = 0;
	}
	return true;
}

static bool
answer(int fd, struct scan *s)
{
	s->answer = (struct answer){ 0, 0, 0 };
	if (s->who->comm != NULL)
		scan_all(s);
	else
		scan_process(s, "fd");
	if (s->answer.n > 1)
		qsort(s->inodes, s->answer.n, sizeof(*s->inodes), by_number);
	return send_all(fd, &s->answer, sizeof(s->answer)) &&
	    send_all(fd, s->inodes, s->answer.n * sizeof(*s->inodes));
}

/*
 * The terminal sends its signals to the child as well, which ends when its
 * parent has ended.  Nobody waits for the end of its standard output.
 */
static void
stand_apart(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	for (int fd = 0; null != -1 && fd <= 2; fd++)
		dup2(null, fd);
}

/* A descriptor of /proc/PID does not show another process of that number. */
static _Noreturn void
serve(int fd, const struct holder_who *who, const struct privileges_user *user)
{
	struct scan s = { .who = who };
	const char *why;
	char path[32] = "/proc", byte;

	stand_apart();
	if (who->comm == NULL)
		snprintf(path, sizeof(path), "/proc/%ld", (long)who->pid);
	s.dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!privileges_keep_looking(user, &why))
		_exit(1);
	while (recv_all(fd, &byte, 1) && answer(fd, &s))
		;
	_exit(0);
}

/* --- the reader of packets ----------------------------------------------- */

struct holder *
holder_start(const struct holder_who *who, const struct privileges_user *user,
    const char **why)
{
	struct holder *h = calloc(1, sizeof(*h));
	int pair[2];

	*why = "no memory for a child";
	if (h == NULL)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1) {
		*why = strerror(errno);
		free(h);
		return NULL;
	}
	if ((h->child = fork()) == 0) {
		close(pair[0]);
		serve(pair[1], who, user);
	}
	close(pair[1]);
	h->fd = pair[0];
	if (h->child != -1)
		return h;
	*why = strerror(errno);
	close(pair[0]);
	free(h);
	return NULL;
}

/* Another child may have a copy of the descriptor. */
void
holder_end(struct holder *h)
{
	shutdown(h->fd, SHUT_RDWR);
	close(h->fd);
	while (waitpid(h->child, NULL, 0) == -1 && errno == EINTR)
		;
	free(h->inodes);
	free(h);
}

int
holder_look(struct holder *h, struct holder_look *look)
{
	struct answer a;
	uint32_t *inodes;

	*look = (struct holder_look){ .n = 0 };
	errno = EPIPE;
	if (!send_all(h->fd, "?", 1) || !recv_all(h->fd, &a, sizeof(a)) ||
	    a.n > SOCKETS_MAX) {
		errno = EPIPE;
		return -1;
	}
	if ((inodes = calloc(a.n + 1, sizeof(*inodes))) == NULL) {
		shutdown(h->fd, SHUT_RDWR);	/* the rest is not read */
		return -1;
	}
	free(h->inodes);
	h->inodes = inodes;
	if (!recv_all(h->fd, inodes, a.n * sizeof(*inodes))) {
		errno = EPIPE;
		return -1;
	}
	*look = (struct holder_look){ inodes, a.n, a.processes };
	errno = a.error;
	return a.error != 0 ? -1 : 0;
}

bool
holder_holds(const struct holder_look *look, uint32_t inode)
{
	return look->n > 0 && bsearch(&inode, look->inodes, look->n,
	    sizeof(inode), by_number) != NULL;
}
