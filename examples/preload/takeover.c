/*
 * takeover.c - the last close of a connection, and the reaper behind it
 *
 * close(2) may be called from a signal handler.  So what it needs are system
 * calls and atomic variables: it writes the number of a duplicate into a pipe,
 * and a thread of this library hands that to the reaper.  Only the start of
 * these two threads allocates; see start().
 */
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include <graceclose.h>

#include "preload/preload.h"

#define SETS		64
#define FLUSH_MS	2000
#define MOST		16384	/* closes at once, or a quarter of the limit */

enum { NOT_YET, STARTING, RUNNING, FAILED, OFF };

static atomic_int	state, sets[SETS], pipe_end = -1;
static atomic_bool	missed, exiting, too_many_sets;
static atomic_int	base;		/* our descriptors begin there */
static atomic_ulong	counts[PRE_WHYS], pending, delivered, lost;
static struct graceclose_reaper	*reaper;
static pthread_t	feeder;

/* The library's own calls; the linker puts these in their place (--wrap). */
__typeof__(close)		__wrap_close;
__typeof__(epoll_create1)	__wrap_epoll_create1, __real_epoll_create1;
__typeof__(epoll_ctl)		__wrap_epoll_ctl;
__typeof__(eventfd)		__wrap_eventfd, __real_eventfd;

static void
count_end(void *arg, void *cookie, const struct graceclose_report *report)
{
	(void)arg, (void)cookie;
	if (report->delivered)
		delivered++;
	else
		lost++;
	pending--;
}

/* What a page of the reaper calls quiet: strangers can reach the server. */
static void *
feed(void *arg)
{
	static const struct graceclose_opts quiet = {
		.until = GRACECLOSE_QUIET, .timeout_ms = 10000, .idle_ms = 5000
	};
	int fd, from = *(int *)arg;

	while (read(from, &fd, sizeof(fd)) == sizeof(fd))
		if (graceclose_reaper_close(reaper, fd, &quiet, NULL) == -1) {
			(void)__wrap_close(fd);
			lost++;
			pending--;
		}
	return NULL;
}

/* Out of the way of the program, which gets the lowest free number. */
static int
high(int fd)
{
	int copy = pre_real()->fcntl(fd, F_DUPFD_CLOEXEC, base);

	if (copy >= PRE_FDS) {
		(void)pre_real()->close(copy);
		copy = -1;
	}
	if (copy != -1)
		pre_hide(copy);
	return copy;
}

static int
raised(int fd)
{
	int copy = high(fd);

	(void)pre_real()->close(fd);
	return copy;
}

int
__wrap_close(int fd)
{
	int result;

	pre_closing(fd, true);
	result = pre_real()->close(fd);
	pre_closing(fd, false);
	return result;
}

int
__wrap_epoll_create1(int flags)
{
	return raised(__real_epoll_create1(flags));
}

int
__wrap_epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
	return pre_real()->epoll_ctl(set, op, fd, event);
}

int
__wrap_eventfd(unsigned value, int flags)
{
	return raised(__real_eventfd(value, flags));
}

static int
most(void)
{
	struct rlimit limit;
	rlim_t n = PRE_FDS;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < n)
		n = limit.rlim_cur;
	base = (int)(n - n / 4);
	return (int)(n / 4 < MOST ? n / 4 : MOST);
}

static bool
start_threads(void)
{
	static int from;
	const struct graceclose_reaper_opts opts = {
		.max = (unsigned)most() / 2 + 1, .done = count_end,
		.when_full = GRACECLOSE_OLDEST
	};
	sigset_t all, before;
	int error, ends[2];

	if (pipe2(ends, O_CLOEXEC) == -1)
		return false;
	from = raised(ends[0]);
	ends[1] = raised(ends[1]);
	if (from == -1 || ends[1] == -1 ||
	    pre_real()->fcntl(ends[1], F_SETFL, O_NONBLOCK) == -1 ||
	    (reaper = graceclose_reaper_new(&opts)) == NULL)
		return false;
	pipe_end = ends[1];
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&feeder, NULL, feed, &from);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error == 0;
}

/*
 * Nobody may allocate in a signal handler.  There the handler's signal is
 * blocked, which it was not at accept: then the next accept starts the threads.
 */
static bool
start(unsigned long mask)
{
	int none = NOT_YET, saved = errno;

	if (state == NOT_YET && (pre_mask() & ~mask) != 0)
		missed = true;
	else if (atomic_compare_exchange_strong(&state, &none, STARTING))
		state = start_threads() ? RUNNING : FAILED;
	errno = saved;
	return state == RUNNING;
}

void
pre_accepted(void)
{
	if (missed && state == NOT_YET)
		(void)start(~0UL);
}

void
pre_learn_set(int set)
{
	int i, none = 0;

	for (i = 0; i < SETS; i++, none = 0)
		if (sets[i] == set + 1 ||
		    atomic_compare_exchange_strong(&sets[i], &none, set + 1) ||
		    none == set + 1)
			return;
	too_many_sets = true;
}

/* Older kernels do not tell what was sent: then nothing is known. */
static bool
has_sent(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	    (info.tcpi_bytes_sent > 0 || info.tcpi_notsent_bytes > 0);
}

static enum pre_why
judge(int fd)
{
	struct linger linger = { 0, 0 };
	socklen_t len = sizeof(linger);
	int bits;

	if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) == -1 ||
	    linger.l_onoff || (pre_real()->fcntl(fd, F_GETFL) & O_ASYNC) != 0)
		return PRE_LINGER;
	bits = graceclose_probe(fd);
	if (bits == -1 || (bits & GRACECLOSE_RST) != 0 ||
	    (bits & (GRACECLOSE_FIN | GRACECLOSE_UNREAD)) == GRACECLOSE_FIN)
		return PRE_OVER;
	return has_sent(fd) ? PRE_TAKEN : PRE_SILENT;
}

/* The duplicate keeps the file in epoll sets, which would report it. */
static int
duplicate(int fd)
{
	int i, copy = too_many_sets ? -1 : high(fd);

	for (i = 0; copy != -1 && i < SETS && sets[i] != 0; i++)
		(void)pre_real()->epoll_ctl(sets[i] - 1, EPOLL_CTL_DEL, fd,
		    NULL);
	return copy;
}

int
pre_keep(int fd)
{
	enum pre_why why;
	unsigned long mask = 0;
	int kept = -1, saved = errno;

	if ((why = pre_drop(fd, &mask)) == PRE_LAST)
		why = judge(fd);
	if (why == PRE_TAKEN &&
	    (!start(mask) || (kept = duplicate(fd)) == -1))
		why = PRE_REFUSED;
	counts[why]++;
	errno = saved;
	return kept;
}

/* Not by write(2), which is a cancellation point. */
void
pre_hand_over(int kept)
{
	int saved = errno;

	if (kept == -1)
		return;
	pending++;
	if (pre_real()->syscall(SYS_write, pipe_end, &kept, sizeof(kept)) !=
	    sizeof(kept)) {
		pending--;
		lost++;
		(void)__wrap_close(kept);
	}
	errno = saved;
}

static void
flush(void)
{
	int ms;

	for (ms = 0; pending > 0 && ms < FLUSH_MS; ms += 2)
		(void)poll(NULL, 0, 2);
}

/* A filter may kill a thread for a call that the program would not make. */
void
pre_stop(void)
{
	while (pre_own() && state == STARTING)
		(void)poll(NULL, 0, 1);
	if (!pre_own() || atomic_exchange(&state, OFF) != RUNNING)
		return;
	flush();
	(void)__wrap_close(atomic_exchange(&pipe_end, -1));
	(void)pthread_join(feeder, NULL);	/* at the end of the pipe */
	graceclose_reaper_free(reaper);
}

bool
pre_active(void)
{
	return state != OFF;
}

static void
write_log(void)
{
	static const char *const names[PRE_WHYS] = {
		[PRE_HELD] = "held elsewhere", [PRE_UNCERTAIN] = "uncertain",
		[PRE_LINGER] = "SO_LINGER", [PRE_OVER] = "over",
		[PRE_SILENT] = "nothing sent", [PRE_REFUSED] = "no room"
	};
	const char *path = secure_getenv("GRACECLOSE_PRELOAD_STATS");
	char line[1000];
	unsigned long all = 0;
	int fd, why, n;

	for (why = PRE_TAKEN; why < PRE_WHYS; why++)
		all += why == PRE_STALE ? 0 : counts[why];
	if (path == NULL || all == 0 || (fd = open(path, O_WRONLY | O_APPEND |
	    O_CREAT | O_CLOEXEC, 0666)) == -1)
		return;
	n = snprintf(line, sizeof(line), "%.100s[%d]: closes %lu, "
	    "taken over %lu, delivered %lu, lost %lu, pending %lu, plain %lu",
	    program_invocation_short_name, (int)getpid(), all,
	    counts[PRE_TAKEN], delivered, lost, pending,
	    all - counts[PRE_TAKEN]);
	for (why = PRE_HELD; why < PRE_WHYS; why++)
		if (names[why] != NULL && counts[why] > 0)
			n += snprintf(line + n, sizeof(line) - (size_t)n,
			    ", %s %lu", names[why], counts[why]);
	line[n++] = '\n';
	(void)pre_real()->syscall(SYS_write, fd, line, (size_t)n);
	(void)pre_real()->close(fd);
}

/* Threads go on while the process exits: their numbers must not be freed. */
static bool
is_alone(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) == 0 &&
	    st.st_nlink == (state == RUNNING ? 5 : 3);
}

/*
 * A child for each connection often leaves the close to its exit.  After
 * exit(3) a destructor of C++ may still write to standard output, after
 * _exit(2) nobody.
 */
void
pre_at_exit(bool flush_stdio)
{
	int fd, kept;

	if (!pre_own() || !pre_active() || atomic_exchange(&exiting, true))
		return;
	for (fd = flush_stdio ? 3 : 0;
	    (fd = pre_next(fd, PRE_FDS)) != -1 && is_alone(); fd++)
		if (pre_kind(fd) == PRE_CONNECTION) {
			if (flush_stdio)
				(void)fflush(NULL);
			kept = pre_keep(fd);
			(void)pre_real()->close(fd);
			pre_hand_over(kept);
		}
	flush();
	write_log();
}

void
pre_takeover_child(void)
{
	int i;

	if (state != OFF)
		state = NOT_YET;
	for (i = 0; i < PRE_WHYS; i++)
		counts[i] = 0;
	pending = delivered = lost = 0;
	missed = exiting = false;
}
