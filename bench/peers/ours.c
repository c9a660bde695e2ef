/*
 * ours.c - the forms of this library, as its pages show them
 */
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <err.h>
#include <unistd.h>

#include "graceclose.h"
#include "loop.h"
#include "peer.h"

/* --- the blocking verbs: a thread each, or in turn --- */

static int
graceful(int fd, int limit_ms)
{
	const struct graceclose_opts opts = { .timeout_ms = limit_ms };

	return limit_ms == PEER_LIMIT_MS ? graceful_close(fd) :
	    graceclose(fd, &opts, NULL);
}

const struct peer peer_graceful_close = {
	.name = "graceful_close",
	.ours = true,
	.close = graceful,
	.blocks = true
};

const struct peer peer_linger_close = {
	.name = "linger_close",
	.ours = true,
	.close = linger_close,
	.blocks = true,
	.lingers = true
};

/* --- the reaper --- */

static struct graceclose_reaper *reaper;
static int reported;

/* The reaper calls it with no lock held, from one thread at a time. */
static void
done(void *arg, void *cookie, const struct graceclose_report *report)
{
	(void)arg;
	(void)cookie;
	if (report->outcome == GRACECLOSE_OK)
		(void)__atomic_add_fetch(&reported, 1, __ATOMIC_RELAXED);
}

static void
reaper_make(struct graceclose_reaper_opts *opts, int n)
{
	opts->max = n > 0 ? (unsigned)n : 0;
	if ((reaper = graceclose_reaper_new(opts)) == NULL)
		err(1, "graceclose_reaper_new");
}

static pid_t
reaper_start(int listener, const int *fds, int n)
{
	struct graceclose_reaper_opts opts = { 0 };

	(void)listener;
	(void)fds;
	reaper_make(&opts, n);
	return getpid();
}

static pid_t
reaper_start_done(int listener, const int *fds, int n)
{
	struct graceclose_reaper_opts opts = { .done = done };

	(void)listener;
	(void)fds;
	reaper_make(&opts, n);
	return getpid();
}

static int
give(int fd, int limit_ms)
{
	const struct graceclose_opts opts = { .timeout_ms = limit_ms };

	return graceclose_reaper_close(reaper, fd,
	    limit_ms == PEER_LIMIT_MS ? NULL : &opts, NULL);
}

static void
reaper_serve(int listener, int requests)
{
	peer_serve_in_turn(listener, requests, give);
	if (graceclose_reaper_flush(reaper, PEER_LIMIT_MS) == -1)
		err(1, "graceclose_reaper_flush");
}

static int
reaper_all(const int *fds, int n, int limit_ms)
{
	struct graceclose_reaper_stats stats;

	(void)peer_close_in_turn(fds, n, limit_ms, give);
	if (graceclose_reaper_flush(reaper, PEER_LIMIT_MS) == -1)
		err(1, "graceclose_reaper_flush");
	graceclose_reaper_stats(reaper, &stats);
	return (int)stats.ok;
}

static int
reaper_all_done(const int *fds, int n, int limit_ms)
{
	(void)reaper_all(fds, n, limit_ms);
	return __atomic_load_n(&reported, __ATOMIC_RELAXED);
}

static void
reaper_stop(void)
{
	graceclose_reaper_free(reaper);
}

const struct peer peer_reaper = {
	.name = "reaper",
	.ours = true,
	.start = reaper_start,
	.serve = reaper_serve,
	.close_all = reaper_all,
	.at_once = true,
	.stop = reaper_stop
};

const struct peer peer_reaper_done = {
	.name = "reaper with done",
	.ours = true,
	.start = reaper_start_done,
	.serve = reaper_serve,
	.close_all = reaper_all_done,
	.at_once = true,
	.stop = reaper_stop
};

/* --- begin, step, end in an epoll loop --- */

static int
step_begin(void *gc, int fd, int limit_ms)
{
	const struct graceclose_opts opts = {
		.timeout_ms = limit_ms, .flags = GRACECLOSE_EDGES
	};

	return graceclose_begin(gc, fd, &opts);
}

static int
step_step(void *gc, int fd)
{
	(void)fd;
	return graceclose_step(gc);
}

static int
step_end(void *gc, int fd)
{
	(void)fd;
	return graceclose_end(gc, NULL);
}

static int
step_timeout(const void *gc)
{
	return graceclose_timeout(gc);
}

static const struct loop_peer stepped = {
	.events = GRACECLOSE_EPOLL,
	.size = sizeof(struct graceclose),
	.begin = step_begin,
	.step = step_step,
	.end = step_end,
	.timeout = step_timeout
};

const struct peer peer_step = {
	.name = "begin, step, end",
	.ours = true,
	.loop = &stepped,
	.at_once = true
};
