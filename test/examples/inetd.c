/*
 * inetd.c - starts a program for each connection, as inetd(8) does
 *
 * The connection is the program's descriptors 0, 1 and 2.  At most CHILDREN run
 * at a time; more clients wait in the listener's queue.  SIGTERM stops it: it
 * waits for those that run, and prints how many of them exited with 0.
 *
 * Usage: inetd PROGRAM [ARGUMENT...]
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHILDREN	40

static int	n, ended, well;		/* children */
static sigset_t	waiting;		/* the signals that poll lets in */
static volatile sig_atomic_t stopping;

static void
note(int sig)
{
	stopping |= sig == SIGTERM;
}

static void
run(int fd, char *argv[])
{
	sigprocmask(SIG_SETMASK, &waiting, NULL);
	for (int i = 0; i < 3; i++)
		if (dup2(fd, i) == -1)
			_exit(127);
	execv(argv[0], argv);
	_exit(127);
}

static void
take(int listener, char *argv[])
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	pid_t pid = fd == -1 ? -1 : fork();

	if (pid == 0)
		run(fd, argv);
	if (pid == -1)
		poll(NULL, 0, 10);
	else
		n++;
	if (fd != -1)
		close(fd);		/* the child has the connection */
}

static void
reap(void)
{
	int status;

	while (waitpid(-1, &status, WNOHANG) > 0) {
		n--;
		ended++;
		well += WIFEXITED(status) && WEXITSTATUS(status) == 0;
	}
}

int
main(int argc, char *argv[])
{
	struct pollfd p = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    POLLIN, 0 };
	const struct sigaction act = { .sa_handler = note };
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	sigset_t blocked;

	if (argc < 2)
		errx(2, "usage: inetd PROGRAM [ARGUMENT...]");
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &blocked, &waiting) == -1 ||
	    sigaction(SIGTERM, &act, NULL) == -1 ||
	    sigaction(SIGCHLD, &act, NULL) == -1 ||
	    bind(p.fd, (struct sockaddr *)&sin, len) == -1 ||
	    listen(p.fd, 100) == -1 ||
	    getsockname(p.fd, (struct sockaddr *)&sin, &len) == -1)
		err(1, "listen");
	printf("listening on 127.0.0.1 port %d\n", ntohs(sin.sin_port));
	fflush(stdout);
	while (!stopping || n > 0) {
		/* No place, or stopping: only a signal ends the wait. */
		if (ppoll(&p, n < CHILDREN && !stopping ? 1 : 0, NULL,
		    &waiting) == 1)
			take(p.fd, argv + 1);
		reap();
	}
	printf("%s: %d of %d delivered\n", argv[1], well, ended);
	return 0;
}
