/*
 * smoke.c - whether a library that a compiler has built works at all
 *
 * It goes through each part once: verbs, probe, a loop's close, the reaper and
 * its limits of time.  It expects what Linux and plain POSIX have in common.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <graceclose.h>

static int failed;

#define EXPECT(what)	expect((what), #what, __LINE__)

static void
expect(int true_, const char *what, int line)
{
	if (true_)
		return;
	fprintf(stderr, "smoke.c:%d: not so: %s (errno %d, %s)\n", line, what,
	    errno, strerror(errno));
	failed = 1;
}

/* A connection over loopback: sv[0] is ours, sv[1] is the peer's. */
static void
connection(int sv[2])
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	int lfd = socket(AF_INET, SOCK_STREAM, 0);

	memset(&sin, 0, sizeof(sin));
	sin.sin_family = AF_INET;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sv[0] = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(bind(lfd, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	EXPECT(listen(lfd, 1) == 0);
	EXPECT(getsockname(lfd, (struct sockaddr *)&sin, &len) == 0);
	EXPECT(connect(sv[0], (struct sockaddr *)&sin, sizeof(sin)) == 0);
	sv[1] = accept(lfd, NULL, NULL);
	EXPECT(sv[1] != -1);
	(void)close(lfd);
}

/* Until the news is here: the peer is on this machine. */
static void
wait_for_input(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	EXPECT(poll(&p, 1, 5000) == 1);
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
a_peer_that_finished_first(void)
{
	char c = 0;
	int sv[2];

	connection(sv);
	EXPECT(peer_closed(sv[0]) == 0);
	EXPECT(shutdown(sv[1], SHUT_WR) == 0);
	wait_for_input(sv[0]);
	EXPECT(peer_closed(sv[0]) == 1);
	EXPECT(graceclose_probe(sv[0]) == GRACECLOSE_FIN);
	EXPECT(write(sv[0], "x", 1) == 1);
	EXPECT(graceful_close(sv[0]) == 0);
	EXPECT(read(sv[1], &c, 1) == 1 && c == 'x');
	EXPECT(read(sv[1], &c, 1) == 0);
	(void)close(sv[1]);
}

static void
a_peer_that_stays_silent(void)
{
	struct graceclose_opts opts;
	struct graceclose_report report;
	int64_t start = now_ms();
	int sv[2];

	connection(sv);
	memset(&opts, 0, sizeof(opts));
	opts.timeout_ms = 50;
	EXPECT(graceclose(sv[0], &opts, &report) == -1 && errno == ETIMEDOUT);
	EXPECT(report.outcome == GRACECLOSE_EXPIRED);
	EXPECT(now_ms() - start >= 50);
	(void)close(sv[1]);
}

static void
an_abort(void)
{
	char c;
	int sv[2];

	connection(sv);
	EXPECT(abort_close(sv[0]) == 0);
	wait_for_input(sv[1]);
	EXPECT(peer_closed(sv[1]) == -1 && errno == ECONNRESET);
	EXPECT(read(sv[1], &c, 1) == -1 && errno == ECONNRESET);
	(void)close(sv[1]);
	EXPECT(graceful_close(-1) == -1 && errno == EBADF);
}

static void
a_loop(void)
{
	struct graceclose gc;
	struct graceclose_report report;
	struct pollfd p;
	int r, sv[2];

	connection(sv);
	EXPECT(write(sv[1], "late", 4) == 4);
	EXPECT(graceclose_begin(&gc, sv[0], NULL) == 0);
	(void)shutdown(sv[1], SHUT_WR);
	while ((r = graceclose_step(&gc)) == 1) {
		p.events = graceclose_events(&gc);
		p.fd = p.events != 0 ? sv[0] : -1;
		(void)poll(&p, 1, graceclose_timeout(&gc));
	}
	EXPECT(r == 0);
	EXPECT(graceclose_end(&gc, &report) == 0);
	EXPECT(report.delivered && report.finished && report.discarded == 4);
	(void)close(sv[1]);
}

static void
count(void *arg, void *cookie, const struct graceclose_report *report)
{
	*(int *)arg += report->outcome == GRACECLOSE_OK && cookie == arg;
}

static void
a_reaper(void)
{
	struct graceclose_reaper_opts opts;
	struct graceclose_reaper_stats stats;
	struct graceclose_reaper *r;
	int done = 0, sv[2];
	int64_t start;

	memset(&opts, 0, sizeof(opts));
	opts.done = count;
	opts.arg = &done;
	EXPECT((r = graceclose_reaper_new(&opts)) != NULL);
	connection(sv);
	EXPECT(graceclose_reaper_close(r, sv[0], NULL, &done) == 0);
	start = now_ms();
	EXPECT(graceclose_reaper_flush(r, 100) == -1 && errno == ETIMEDOUT);
	EXPECT(now_ms() - start >= 99 && now_ms() - start < 4000);
	(void)close(sv[1]);
	start = now_ms();
	EXPECT(graceclose_reaper_flush(r, 5000) == 0);
	EXPECT(graceclose_reaper_flush(r, -1) == 0);
	EXPECT(now_ms() - start < 4000);
	graceclose_reaper_stats(r, &stats);
	EXPECT(stats.ok == 1 && stats.now == 0 && done == 1);
	graceclose_reaper_free(r);
}

int
main(void)
{
	a_peer_that_finished_first();
	a_peer_that_stays_silent();
	an_abort();
	a_loop();
	a_reaper();
	return failed;
}
