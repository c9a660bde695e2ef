/*
 * fork_server.c - recipe: a server that forks a process for each connection
 *
 * For inetd services, and for every server whose process serves one connection
 * and then exits.  The child writes its reply and calls graceful_close(), which
 * waits until the client has the reply.  The client may still be sending then:
 * with close(2) the kernel would answer with an RST, and the client could lose
 * the reply.  When many clients hold a process, the oldest is killed.
 * Copy serve(), reap() and run().  main() is a self-check over loopback.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <graceclose.h>

#define CHILDREN	200

static const char reply[200000];
static pid_t child[CHILDREN];		/* the oldest first */
static int n, failed;			/* children: now, and in vain */

/* --- the recipe ---------------------------------------------------------- */

/* The child: its exit status is 0 if the client has the whole reply. */
static int
serve(int fd)
{
	char request[1024];

	alarm(15);			/* ends a child that waits too long */
	setpriority(PRIO_PROCESS, 0, 10);	/* the parent comes first */
	if (recv(fd, request, sizeof(request), 0) <= 0 ||
	    send(fd, reply, sizeof(reply), MSG_NOSIGNAL) != sizeof(reply)) {
		abort_close(fd);	/* the client sees an error, no EOF */
		return 1;
	}
	if (graceful_close(fd) == -1) {	/* was: close(fd) */
		warn("the client may lack a part of the reply");
		return 1;
	}
	return 0;
}

/*
 * Forget the children that have ended, and make room for one more.  The kernel
 * goes on with what a killed child had sent.
 */
static void
reap(void)
{
	int i, status;
	pid_t pid;

	if (n == CHILDREN)
		kill(child[0], SIGKILL);
	while ((pid = waitpid(-1, &status, n < CHILDREN ? WNOHANG : 0)) > 0) {
		for (i = 0; i < n && child[i] != pid; i++)
			continue;
		if (i == n)
			continue;	/* not one of these */
		failed += status != 0;
		memmove(&child[i], &child[i + 1],
		    (size_t)(--n - i) * sizeof(child[0]));
	}
}

/*
 * Until shutdown(listener, SHUT_RDWR) makes accept fail with EINVAL.  The
 * parent closes its duplicate with close(2), which sends nothing as long as the
 * child has the connection.
 */
static void
run(int listener)
{
	int fd;

	while ((fd = accept(listener, NULL, NULL)) != -1 || errno != EINVAL) {
		if (fd == -1) {		/* EMFILE, for example: wait */
			poll(NULL, 0, 10);
			continue;
		}
		reap();
		switch (child[n] = fork()) {
		case -1:
			warn("fork");
			abort_close(fd);
			poll(NULL, 0, 10);
			break;
		case 0:
			close(listener);
			_exit(serve(fd));
		default:
			n++;
			close(fd);
		}
	}
}

/* --- the self-check ------------------------------------------------------ */

/* It sends more than the server reads, and must still get the reply whole. */
static int
client(int listener)
{
	static char upload[100000], buf[sizeof(reply)];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);

	if (getsockname(listener, (struct sockaddr *)&sin, &len) == -1 ||
	    connect(fd, (struct sockaddr *)&sin, len) == -1 ||
	    send(fd, upload, sizeof(upload), MSG_NOSIGNAL) == -1 ||
	    recv(fd, buf, sizeof(buf), MSG_WAITALL) != sizeof(reply) ||
	    recv(fd, buf, 1, 0) != 0 || close(fd) == -1 ||
	    shutdown(listener, SHUT_RDWR) == -1)
		err(1, "client");
	return 0;
}

int
main(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(listener, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(listener, 3) == -1)
		err(1, "listen");
	if ((child[n++] = fork()) == 0)
		_exit(client(listener));
	run(listener);
	while (n > 0) {
		poll(NULL, 0, 1);
		reap();
	}
	printf("fork_server: %d of 2 processes failed\n", failed);
	return failed > 0;
}
