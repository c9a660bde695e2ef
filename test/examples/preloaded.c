/*
 * preloaded.c - small servers that lose early replies; for check_preload.sh
 *
 * usage: preloaded MODE N: prints its port, serves N connections, and exits.
 * It replies when the first bytes are there, and leaves the rest unread.
 */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BODY	65536

extern char **environ;
static int listener, go[2];

static void
reply(int fd)
{
	static char all[BODY + 100];
	char request[100];
	int head;

	if (recv(fd, request, sizeof(request), 0) <= 0)
		return;
	head = snprintf(all, 100, "HTTP/1.1 413 Too Large\r\n"
	    "Connection: close\r\nContent-Length: %d\r\n\r\n", BODY);
	memset(all + head, 'x', BODY);
	if (send(fd, all, (size_t)head + BODY, MSG_NOSIGNAL) != head + BODY)
		warn("send");
}

static void
plainly(int fd)
{
	reply(fd);
	close(fd);
}

static void *
in_thread(void *fd)
{
	plainly(*(int *)fd);
	return NULL;
}

static void
threaded(int fd)
{
	pthread_t t;

	pthread_create(&t, NULL, in_thread, &fd);
	pthread_join(t, NULL);
}

/* The child closes, or leaves that to its exit. */
static void
forked(int fd)
{
	static int n;

	n++;
	if (fork() == 0) {
		close(listener);
		reply(fd);
		if (n % 3 == 0)
			close(fd);
		if (n % 3 == 1)
			exit(0);
		_exit(0);
	}
	close(fd);
}

/* Every number is closed that is not the server's: as a daemon does. */
static void
by_numbers(int fd)
{
	const int other = fd + 20;
	int i;

	if (dup2(fd, other) != other || close(fd) == -1 ||
	    fcntl(other, F_DUPFD, 0) != fd)
		err(1, "duplicates");
	reply(other);
	if (dup2(listener, fd) != fd || close(fd) == -1 ||
	    close_range((unsigned)other - 5, ~0U, 0) == -1 ||
	    fcntl(other, F_GETFD) != -1)
		err(1, "close_range");
	for (i = other; i < 1024; i++)
		if (close(i) != -1 ||
		    (dup2(listener, i) == i ? close(i) == -1 : errno != EBUSY))
			errx(1, "descriptor %d was there", i);
	closefrom(other);
}

/* A closed connection has no events, though its file is still open. */
static void
polled(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT };
	static int set = -1;

	if (set == -1)
		set = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev);
	plainly(fd);
	if (epoll_wait(set, &ev, 1, 20) != 0)
		errx(1, "an event of a closed connection");
}

/* Another program writes after the close; it waits for that. */
static char *const writer[] = { "sh", "-c", "read go; echo late", NULL };

static void
spawned(int fd)
{
	posix_spawn_file_actions_t to;

	posix_spawn_file_actions_init(&to);
	posix_spawn_file_actions_adddup2(&to, fd, 1);
	posix_spawn_file_actions_adddup2(&to, go[0], 0);
	if (posix_spawn(&(pid_t){ 0 }, "/bin/sh", &to, NULL, writer,
	    environ) != 0)
		err(1, "posix_spawn");
	posix_spawn_file_actions_destroy(&to);
	plainly(fd);
	if (write(go[1], "\n", 1) != 1)
		err(1, "write");
}

/* As many programs do it, against the advice of the linter. */
static void
vforked(int fd)
{
	if (vfork() == 0) {	/* NOLINT(*vfork) */
		dup2(fd, 1);	/* NOLINT(*Vfork) */
		dup2(go[0], 0);
		execve("/bin/sh", writer, environ);
		_exit(1);
	}
	plainly(fd);
	if (write(go[1], "\n", 1) != 1)
		err(1, "write");
}

static void
lingering(int fd)
{
	const struct linger l = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	plainly(fd);
}

static void
silent(int fd)
{
	char c;

	if (recv(fd, &c, 1, 0) == 1)
		close(fd);
}

/* A number that was closed unseen, and is now that of a client. */
static void
stale(int fd)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	FILE *f = fdopen(fd, "r");
	int pair;

	reply(fd);
	if (f == NULL || fclose(f) != 0 ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) == -1 ||
	    (pair = socket(AF_INET, SOCK_STREAM, 0)) != fd ||
	    connect(pair, (struct sockaddr *)&sin, len) == -1 ||
	    send(pair, "x", 1, 0) != 1 || close(pair) == -1)
		err(1, "stale");
	close(accept(listener, NULL, NULL));
}

static const struct mode {
	const char *name;
	void (*serve)(int);
} modes[] = {
	{ "plainly", plainly }, { "threaded", threaded }, { "forked", forked },
	{ "by_numbers", by_numbers }, { "polled", polled },
	{ "spawned", spawned }, { "vforked", vforked },
	{ "lingering", lingering }, { "silent", silent }, { "stale", stale }
};

int
main(int argc, char **argv)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	const char *patience = getenv("CHECK_PATIENCE");
	size_t i, m = 0;
	long n = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

	for (i = 0; n > 0 && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(argv[1], modes[i].name) == 0)
			m = i;
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&sin, len) == -1 ||
	    listen(listener, 100) == -1 || pipe(go) == -1 ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) == -1)
		err(1, "listen");
	alarm(60U * (patience != NULL ? (unsigned)strtol(patience, NULL, 10) : 1));
	printf("%d\n", ntohs(sin.sin_port));
	fflush(stdout);
	while (n-- > 0)
		modes[m].serve(accept(listener, NULL, NULL));
	while (wait(NULL) != -1)
		;
	return 0;
}
