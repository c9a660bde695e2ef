/*
 * peer.c - see peer.h
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop.h"
#include "peer.h"

static char reply[PEER_REPLY];
const char *peer_reply = reply;

/* The folder of this program, with a colon behind. */
static void
own_folder(char *text, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", text, size - 2);

	while (n > 0 && text[n - 1] != '/')
		n--;
	if (n > 0)
		text[n++] = ':';
	text[n > 0 ? n : 0] = '\0';
}

bool
peer_find(const char *name, char *path, size_t size)
{
	const char *rest = getenv("PATH");
	char all[8192], *folder, *save = NULL;
	size_t n;

	own_folder(all, sizeof(all) / 2);
	n = strlen(all);
	(void)snprintf(all + n, sizeof(all) - n, "/usr/sbin:%s",
	    rest != NULL ? rest : "");
	for (folder = strtok_r(all, ":", &save); folder != NULL;
	    folder = strtok_r(NULL, ":", &save)) {
		(void)snprintf(path, size, "%s/%s", folder, name);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

const char *
peer_missing(const struct peer *p)
{
	char path[4096];

	if (p->program != NULL && peer_find(p->program, path, sizeof(path)))
		return NULL;
	return p->missing;
}

void
peer_make_reply(void)
{
	int n;

	memset(reply, 'x', sizeof(reply));
	n = snprintf(reply, sizeof(reply), "HTTP/1.1 413 Too Large\r\n"
	    "Connection: close\r\n\r\n");
	reply[n] = 'x';
}

/* The send queue has room for the whole reply: see work_early.c. */
int
peer_accept(int listener, int flags)
{
	int fd;

	if ((fd = accept4(listener, NULL, NULL, flags)) == -1) {
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			return -1;
		err(1, "accept");
	}
	if (send(fd, reply, sizeof(reply), MSG_NOSIGNAL) !=
	    (ssize_t)sizeof(reply))
		warn("the reply did not fit into the send queue");
	return fd;
}

void
peer_serve_in_turn(int listener, int requests, int (*how)(int, int))
{
	int fd;

	while (requests > 0)
		if ((fd = peer_accept(listener, 0)) != -1) {
			(void)how(fd, PEER_LIMIT_MS);
			requests--;
		}
}

int
peer_close_in_turn(const int *fds, int n, int limit_ms, int (*how)(int, int))
{
	int i, ok = 0;

	for (i = 0; i < n; i++)
		ok += how(fds[i], limit_ms) == 0;
	return ok;
}

/* A thread for each connection, as the servers have that block. */
static int (*thread_close)(int, int);
static sem_t closed;

static void *
thread_main(void *arg)
{
	(void)thread_close((int)(intptr_t)arg, PEER_LIMIT_MS);
	(void)sem_post(&closed);
	return NULL;
}

static void
serve_in_threads(int listener, int requests, int (*how)(int, int))
{
	pthread_attr_t attr;
	pthread_t thread;
	int i, fd;

	thread_close = how;
	if (sem_init(&closed, 0, 0) == -1 || pthread_attr_init(&attr) != 0 ||
	    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) != 0)
		err(1, "threads");
	for (i = 0; i < requests; i++) {
		while ((fd = peer_accept(listener, 0)) == -1)
			continue;
		if ((errno = pthread_create(&thread, &attr, thread_main,
		    (void *)(intptr_t)fd)) != 0)
			err(1, "pthread_create");
	}
	for (i = 0; i < requests; i++)
		while (sem_wait(&closed) == -1)
			continue;
	(void)pthread_attr_destroy(&attr);
}

bool
peer_closes(const struct peer *p)
{
	return p->close != NULL || p->loop != NULL || p->close_all != NULL;
}

bool
peer_serves(const struct peer *p)
{
	return p->close != NULL || p->loop != NULL || p->serve != NULL;
}

pid_t
peer_start(const struct peer *p, int listener, const int *fds, int n)
{
	if (p->start != NULL)
		return p->start(listener, fds, n);
	if (p->loop != NULL && fds != NULL)
		loop_start(p->loop, n);
	return getpid();
}

void
peer_serve(const struct peer *p, int listener, int requests)
{
	if (p->serve != NULL)
		p->serve(listener, requests);
	else if (p->loop != NULL)
		loop_serve(p->loop, listener, requests);
	else if (p->blocks)
		serve_in_threads(listener, requests, p->close);
	else
		peer_serve_in_turn(listener, requests, p->close);
}

int
peer_close_all(const struct peer *p, const int *fds, int n, int limit_ms)
{
	if (p->close_all != NULL)
		return p->close_all(fds, n, limit_ms);
	if (p->loop != NULL)
		return loop_close_all(p->loop, fds, n, limit_ms);
	return peer_close_in_turn(fds, n, limit_ms, p->close);
}

void
peer_stop(const struct peer *p)
{
	if (p->stop != NULL)
		p->stop();
}
