/*
 * thread_per_client.c - recipe: a thread for each connection, which closes it
 *
 * The thread has nothing else to do, so it waits for the end of its connection
 * in graceclose(), where close(2) was.  Three limits end its life: SO_RCVTIMEO
 * for the request, SO_SNDTIMEO for the reply, timeout_ms for the close.  The
 * number of threads is bounded, so that without them a few clients hold all.
 * Copy answer() to take().  A thread that must serve the next client at once
 * hands its connection to a reaper instead: see thread_server.c.
 *
 * Usage: thread_per_client [port].  Each request gets a 413.  SIGTERM stops it.
 */
#include <sys/socket.h>
#include <sys/time.h>

#include <netinet/in.h>

#include <err.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <graceclose.h>

#define CONNS	40			/* threads; fewer than RLIMIT_NOFILE */
#define LIFE_S	3			/* for the request, and for the reply */

static const char reply[200000] = "HTTP/1.1 413 Content Too Large\r\n"
    "Content-Length: 199942\r\n\r\n";
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left = PTHREAD_COND_INITIALIZER;
static int n, served, delivered;		/* n: threads now */
static volatile sig_atomic_t stopping;

static void
stop(int sig)
{
	stopping = sig;
}

/*
 * One call of send(2) waits SO_SNDTIMEO in all.  A program with many of them
 * looks at a clock as well: a client that reads a little restarts each.
 */
static bool
answer(int fd)
{
	const struct timeval limit = { .tv_sec = LIFE_S };
	char request[1024];

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return recv(fd, request, sizeof(request), 0) > 0 &&
	    send(fd, reply, sizeof(reply), MSG_NOSIGNAL) == sizeof(reply);
}

/* 0: the client has the whole reply.  The descriptor is closed in any case. */
static int
serve(int fd)
{
	static const struct graceclose_opts quiet = {
		.until = GRACECLOSE_QUIET, .timeout_ms = 3000, .idle_ms = 1000
	};

	if (!answer(fd)) {
		abort_close(fd);	/* the client sees an error, no EOF */
		return -1;
	}
	return graceclose(fd, &quiet, NULL);	/* was: close(fd) */
}

/* Until fewer than most threads run. */
static void
wait_fewer(int most)
{
	pthread_mutex_lock(&lock);
	while (n >= most)
		pthread_cond_wait(&left, &lock);
	pthread_mutex_unlock(&lock);
}

static void *
client_thread(void *arg)
{
	int closed = serve((int)(intptr_t)arg);

	pthread_mutex_lock(&lock);
	n--;
	delivered += closed == 0;
	pthread_cond_signal(&left);
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* Where no thread is free the others wait in the listener's queue. */
static void
take(int listener)
{
	int fd, failed;
	pthread_t thread;
	sigset_t all, before;

	wait_fewer(CONNS);
	if ((fd = accept(listener, NULL, NULL)) == -1) {
		poll(NULL, 0, 10);	/* EMFILE, for example: wait */
		return;
	}
	sigfillset(&all);		/* main() alone takes signals */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_mutex_lock(&lock);
	failed = pthread_create(&thread, NULL, client_thread,
	    (void *)(intptr_t)fd);
	n += failed == 0;
	served++;
	pthread_mutex_unlock(&lock);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed)
		abort_close(fd);
	else
		pthread_detach(thread);
}

int
main(int argc, char *argv[])
{
	struct pollfd p = { socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK,
	    0), POLLIN, 0 };
	const struct sigaction term = { .sa_handler = stop };
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);

	sin.sin_port = htons((in_port_t)strtol(argc > 1 ? argv[1] : "", 0, 10));
	if (sigaction(SIGTERM, &term, NULL) == -1 ||
	    bind(p.fd, (struct sockaddr *)&sin, len) == -1 ||
	    listen(p.fd, 100) == -1 ||
	    getsockname(p.fd, (struct sockaddr *)&sin, &len) == -1)
		err(1, "listen");
	printf("listening on 127.0.0.1 port %d\n", ntohs(sin.sin_port));
	fflush(stdout);
	while (!stopping)
		if (poll(&p, 1, 1000) == 1)
			take(p.fd);
	wait_fewer(1);		/* main() that returns would end their closes */
	printf("thread_per_client: %d of %d delivered\n", delivered, served);
	return 0;
}
