/* follow.c - see follow.h */
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "closewatch/follow.h"

#define LOOK_MS	250
#define MS	((int64_t)1000)
#define NEWS	(IN_MODIFY | IN_MOVE_SELF)

struct follow {
	struct follow_options options;
	int		 fd, wakeup;
	int		 events;	/* of inotify(7) */
	const volatile sig_atomic_t *stopped;
	off_t		 at;		/* read so far */
	int64_t		 grown_ms;	/* when it last grew */
	bool		 truncated, renamed;
	const char	*ended;
	char		 text[64];
};

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * MS + ts.tv_nsec / 1000000;
}

/*
 * A watch needs the right to read the file only now.  Who gives up his
 * privileges then may be unable to look up the name.
 */
static const char *
start(struct follow *f, const char *path)
{
	char self[40];
	struct stat st;

	/* Without O_NONBLOCK a FIFO would wait for its writer. */
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f->fd == -1 || fstat(f->fd, &st) == -1)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "no regular file, so it cannot be followed; -r alone "
		    "waits for a pipe";
	/* Its name may be another file's by now; a chroot may lack /proc. */
	snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	f->events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (f->events == -1)
		return strerror(errno);
	if (inotify_add_watch(f->events, self, NEWS) == -1 &&
	    (errno != ENOENT ||
	    inotify_add_watch(f->events, path, NEWS) == -1))
		return strerror(errno);
	return NULL;
}

struct follow *
follow_open(const char *path, const struct follow_options *o, int wakeup,
    const volatile sig_atomic_t *stopped, const char **why)
{
	struct follow *f = calloc(1, sizeof(*f));

	*why = "no memory to follow it";
	if (f == NULL)
		return NULL;
	*f = (struct follow){ .options = *o, .fd = -1, .events = -1,
	    .wakeup = wakeup, .stopped = stopped, .grown_ms = now_ms() };
	if ((*why = start(f, path)) == NULL)
		return f;
	follow_free(f);
	return NULL;
}

void
follow_free(struct follow *f)
{
	if (f == NULL)
		return;
	if (f->fd != -1)
		close(f->fd);
	if (f->events != -1)
		close(f->events);
	free(f);
}

const char *
follow_ended(const struct follow *f)
{
	return f->ended;
}

bool
follow_truncated(const struct follow *f)
{
	return f->truncated;
}

static void
take_events(struct follow *f)
{
	union {
		struct inotify_event	event;
		char			room[4096];
	} buf;
	const struct inotify_event *e;
	ssize_t n, at;

	while ((n = read(f->events, &buf, sizeof(buf))) > 0)
		for (at = 0; at < n; at += (ssize_t)(sizeof(*e) + e->len)) {
			e = (const void *)(buf.room + at);
			f->renamed |= (e->mask & IN_MOVE_SELF) != 0;
		}
}

/* What has become of the file; NULL: it may grow. */
static const char *
fate(struct follow *f)
{
	int seconds = f->options.seconds;
	struct stat st;

	take_events(f);
	if (fstat(f->fd, &st) == -1)
		return strerror(errno);
	if (st.st_size < f->at) {
		f->truncated = true;
		return "the file was truncated";
	}
	if (st.st_nlink == 0)
		return "the file was deleted";
	if (f->renamed)
		return "the file was renamed";
	if (seconds == 0 || now_ms() - f->grown_ms < seconds * MS)
		return NULL;
	snprintf(f->text, sizeof(f->text), "the file did not grow for %d s",
	    seconds);
	return f->text;
}

static void
await_more(const struct follow *f)
{
	struct pollfd pfds[2] = {
		{ .fd = f->wakeup, .events = POLLIN },
		{ .fd = f->events, .events = POLLIN },
	};

	if (f->options.idle != NULL)
		f->options.idle(f->options.arg);
	if (!*f->stopped)
		poll(pfds, 2, LOOK_MS);
}

/*
 * One look after the other: what was written before the file was deleted is
 * read after that was seen.
 */
static ssize_t
read_more(void *cookie, char *buf, size_t size)
{
	struct follow *f = cookie;
	const char *ended;
	ssize_t n;

	while (!*f->stopped) {
		ended = fate(f);
		if (f->truncated || (n = read(f->fd, buf, size)) == 0) {
			if ((f->ended = ended) != NULL)
				return 0;
			await_more(f);
			continue;
		}
		if (n > 0) {
			f->at += n;
			f->grown_ms = now_ms();
		}
		return n;
	}
	return 0;
}

FILE *
follow_stream(struct follow *f)
{
	return fopencookie(f, "r", (cookie_io_functions_t){
	    .read = read_more });
}
