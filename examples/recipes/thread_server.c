/*
 * thread_server.c - recipe: a server with a thread for each connection
 *
 * For servers whose threads are busy: a thread writes its reply, hands the
 * connection to the reaper and is free.  The reaper is one thread that drives
 * any number of closes, and reports how each of them ended.
 *
 * Copy serve(), accept_one() and closed().  main() is a self-check over
 * loopback.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <graceclose.h>

#define CLIENTS		3
#define REPLY_SIZE	200000

static const char reply[REPLY_SIZE];
static struct graceclose_reaper *reaper;
static atomic_int closes;

/* --- the recipe ---------------------------------------------------------- */

/* Send all of it: 0, or -1 and errno.  MSG_NOSIGNAL: no SIGPIPE. */
static int
send_all(int fd, const char *data, size_t size)
{
	ssize_t n;

	for (; size > 0; data += n, size -= (size_t)n)
		if ((n = send(fd, data, size, MSG_NOSIGNAL)) == -1)
			return -1;
	return 0;
}

/* The reaper calls it after each close; the cookie is the connection's. */
static void
closed(void *arg, void *cookie, const struct graceclose_report *report)
{
	(void)arg;
	closes++;
	if (report->outcome != GRACECLOSE_OK) {
		errno = report->error;
		warn("connection %d: %" PRIu64 " bytes not acknowledged",
		    (int)(intptr_t)cookie, report->unacked);
	}
}

static void *
serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char request[1024];

	if (recv(fd, request, sizeof(request), 0) <= 0 ||
	    send_all(fd, reply, sizeof(reply)) == -1) {
		warn("request");
		abort_close(fd);	/* the client sees an error, no EOF */
		return NULL;
	}
	/* Was: close(fd).  If the reaper is full, this thread waits itself. */
	if (graceclose_reaper_close(reaper, fd, NULL, arg) == -1)
		graceful_close(fd);
	return NULL;
}

static pthread_t
accept_one(int listener)
{
	int fd = accept(listener, NULL, NULL);
	pthread_t thread;

	if (fd == -1)
		err(1, "accept");
	if ((errno = pthread_create(&thread, NULL, serve,
	    (void *)(intptr_t)fd)) != 0)
		err(1, "pthread_create");
	return thread;
}

/* --- the self-check ------------------------------------------------------ */

/* It sends more than the server reads, and must still get the reply whole. */
static void *
client(void *server)
{
	static const char upload[100000];
	char buf[16384];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t got = 0;
	ssize_t n;

	if (connect(fd, server, sizeof(struct sockaddr_in)) == -1 ||
	    send_all(fd, upload, sizeof(upload)) == -1)
		err(1, "client");
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		got += (size_t)n;
	if (n == -1 || got != REPLY_SIZE)
		err(1, "client: after %zu bytes", got);
	close(fd);
	return NULL;
}

int
main(void)
{
	const struct graceclose_reaper_opts opts = { .done = closed };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	pthread_t threads[2 * CLIENTS];
	int listener;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((listener = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    bind(listener, (struct sockaddr *)&sin, len) == -1 ||
	    listen(listener, CLIENTS) == -1 ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) == -1)
		err(1, "listen");
	if ((reaper = graceclose_reaper_new(&opts)) == NULL)
		err(1, "graceclose_reaper_new");
	for (int i = 0; i < CLIENTS; i++)
		if (pthread_create(&threads[i], NULL, client, &sin) != 0)
			errx(1, "no thread for a client");
	for (int i = CLIENTS; i < 2 * CLIENTS; i++)
		threads[i] = accept_one(listener);
	for (int i = 0; i < 2 * CLIENTS; i++)
		pthread_join(threads[i], NULL);
	graceclose_reaper_flush(reaper, 10000);	/* before the process exits */
	graceclose_reaper_free(reaper);
	printf("thread_server: the reaper closed %d of %d\n", closes, CLIENTS);
	return closes != CLIENTS;
}
