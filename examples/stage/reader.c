/* reader.c - see reader.h */
#include <sys/socket.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stage/narrator.h"
#include "stage/reader.h"

static void
tell(struct reader *w)
{
	int error = w->rv == -1 ? errno : 0;
	char did[64] = "recv(), blocked until now";

	pthread_mutex_lock(&w->lock);
	w->over = true;
	w->error = error;
	w->at = show_now();
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
	if (w->bytes > 0 && !w->echo)
		snprintf(did, sizeof(did), "recv(), %zu bytes, then",
		    w->bytes);
	show_step(&w->view, w->at, w->who, w->rv == 0 ? "0 (EOF)" :
	    show_errno(w->error), "%s", did);
}

static void *
reader_main(void *arg)
{
	struct reader *w = arg;
	char buf[4096];

	w->tid = gettid();
	for (;;) {
		w->in_recv = true;
		w->rv = recv(w->fd, buf, sizeof(buf), 0);
		if (w->rv <= 0)
			break;
		w->in_recv = false;
		w->bytes += (size_t)w->rv;
		if (w->echo)
			ends_send(w->fd, buf, (size_t)w->rv);
	}
	tell(w);
	return NULL;
}

/* The kernel says of each thread whether it runs (R) or sleeps (S). */
static bool
sleeps(pid_t tid)
{
	char path[64], state = '?';
	FILE *fp;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	if ((fp = fopen(path, "re")) == NULL)
		return true;		/* it has ended already */
	if (fscanf(fp, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	fclose(fp);
	return state == 'S';
}

void
reader_settle(const struct reader *w)
{
	while (!w->in_recv || !sleeps(w->tid))
		show_nap();
}

void
reader_start(struct reader *w, const char *who, const struct ends *view, int fd,
    bool echo)
{
	pthread_condattr_t attr;

	memset(w, 0, sizeof(*w));
	w->view = *view;
	w->who = who;
	w->fd = fd;
	w->echo = echo;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->cond, &attr);
	pthread_condattr_destroy(&attr);
	if ((errno = pthread_create(&w->thread, NULL, reader_main, w)) != 0)
		err(1, "pthread_create");
	reader_settle(w);
}

bool
reader_over(struct reader *w, int timeout_ms)
{
	struct timespec limit;
	bool over;

	clock_gettime(CLOCK_MONOTONIC, &limit);
	limit.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	limit.tv_sec += timeout_ms / 1000 + limit.tv_nsec / 1000000000;
	limit.tv_nsec %= 1000000000;
	pthread_mutex_lock(&w->lock);
	while (!w->over && pthread_cond_timedwait(&w->cond, &w->lock,
	    &limit) == 0)
		;
	over = w->over;
	pthread_mutex_unlock(&w->lock);
	return over;
}

void
reader_join(struct reader *w)
{
	pthread_join(w->thread, NULL);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->cond);
}

const char *
reader_end(const struct reader *w)
{
	return w->error == 0 ? "EOF" : show_errno(w->error);
}
