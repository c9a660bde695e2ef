/*
 * thread_server.c - recipe: a server with a pool of threads
 *
 * A thread writes its reply, hands the connection to the reaper and is free.
 * The reaper is one thread that drives any number of closes, and reports how
 * each of them ended.  When many clients hold threads, the oldest is cut.
 * Copy all but main() and client(), which are a self-check over loopback.
 */
#include <sys/socket.h>
#include <sys/time.h>

#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <graceclose.h>

#define WORKERS	256

static const char reply[200000];
static struct graceclose_reaper *reaper;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int served[WORKERS], n;		/* the oldest first */
static atomic_int well;

/* What the reaper calls after each close. */
static void
closed(void *arg, void *cookie, const struct graceclose_report *report)
{
	(void)arg, (void)cookie;
	well += report->outcome == GRACECLOSE_OK;
	if ((errno = report->error) != 0)
		warn("%ju bytes not acknowledged", (uintmax_t)report->unacked);
}

static void
enter(int fd)
{
	pthread_mutex_lock(&lock);
	served[n++] = fd;
	if (n > WORKERS - 16)		/* its recv or send ends at once */
		shutdown(served[n - WORKERS + 15], SHUT_RDWR);
	pthread_mutex_unlock(&lock);
}

static void
leave(int fd)
{
	int i = 0;

	pthread_mutex_lock(&lock);
	while (served[i] != fd)
		i++;
	memmove(&served[i], &served[i + 1],
	    (size_t)(--n - i) * sizeof(served[0]));
	pthread_mutex_unlock(&lock);
}

static void *
worker(void *arg)
{
	static const struct graceclose_opts quiet = {
		.until = GRACECLOSE_QUIET, .timeout_ms = 5000, .idle_ms = 1000
	};
	const struct timeval limit = { .tv_sec = 10 };
	int *listener = arg, fd, answered;
	char request[1024];

	while ((fd = accept(*listener, NULL, NULL)) != -1 || errno != EINVAL) {
		if (fd == -1) {		/* EMFILE, for example: wait */
			usleep(10000);
			continue;
		}
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		enter(fd);
		answered = recv(fd, request, sizeof(request), 0) > 0 &&
		    send(fd, reply, sizeof(reply), MSG_NOSIGNAL) ==
		    sizeof(reply);
		leave(fd);
		if (!answered)
			abort_close(fd);	/* the client sees an error */
		else if (graceclose_reaper_close(reaper, fd, &quiet,
		    NULL) == -1)
			close(fd);
	}
	return NULL;
}

/* Until shutdown(listener, SHUT_RDWR) makes accept fail with EINVAL. */
static void
run(int listener)
{
	const struct graceclose_reaper_opts opts = { .done = closed,
	    .when_full = GRACECLOSE_OLDEST };
	pthread_t threads[WORKERS];
	int i = 0;

	reaper = graceclose_reaper_new(&opts);	/* NULL: close(2) instead */
	while (i < WORKERS &&
	    pthread_create(&threads[i], NULL, worker, &listener) == 0)
		i++;
	while (i > 0)
		pthread_join(threads[--i], NULL);
	graceclose_reaper_flush(reaper, 10000);	/* before the process exits */
	graceclose_reaper_free(reaper);
}

/* It sends more than the server reads, and must still get the reply whole. */
static void *
client(void *arg)
{
	static char upload[100000], buf[sizeof(reply)];
	int *listener = arg, fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);

	if (getsockname(*listener, (struct sockaddr *)&sin, &len) == -1 ||
	    connect(fd, (struct sockaddr *)&sin, len) == -1 ||
	    send(fd, upload, sizeof(upload), MSG_NOSIGNAL) == -1 ||
	    recv(fd, buf, sizeof(buf), MSG_WAITALL) != sizeof(reply) ||
	    recv(fd, buf, 1, 0) != 0 || close(fd) == -1 ||
	    shutdown(*listener, SHUT_RDWR) == -1)
		err(1, "client");
	return NULL;
}

int
main(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t thread;

	if (bind(listener, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(listener, 3) == -1 ||
	    pthread_create(&thread, NULL, client, &listener) != 0)
		err(1, "listen");
	run(listener);
	pthread_join(thread, NULL);
	printf("thread_server: the reaper closed %d of 1 well\n", well);
	return well != 1;
}
