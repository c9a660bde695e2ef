/* lookout.c - see lookout.h */
#include <sys/socket.h>

#include <arpa/inet.h>

#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bsd/stdlib.h>

#include "closewatch/json.h"
#include "closewatch/lookout.h"
#include "closewatch/words.h"

#define SECOND	((int64_t)1000000)

/* --- what is told -------------------------------------------------------- */

/* Who ignores SIGPIPE learns only so that nobody reads it any more. */
static void
told(struct lookout *l)
{
	if (ferror(stdout))
		packets_stop(l->packets);
}

static void
tell(void *arg, const struct flow *f, int64_t over_us)
{
	struct lookout *l = arg;

	l->said = false;
	tally_conn(&l->tally, f);
	if (l->options->json)
		json_conn(f, over_us);
	else
		words_conn(f, over_us);
	told(l);
}

void
lookout_summary(struct lookout *l)
{
	struct tally_summary s = {
		.tally = &l->tally,
		.top = tally_top(&l->tally),
		.conns = conns_count(l->conns),
		.max = l->options->max,
		.us = l->now,
		.span_us = l->now - l->began,
		.missed = packets_missed(l->packets),
	};

	if (l->options->json)
		json_summary(&s);
	else
		words_summary(&s);
	l->said = true;
	told(l);
}

/* --- the time ------------------------------------------------------------ */

/* What is due now.  The end has a summary of its own. */
static void
tick(struct lookout *l)
{
	const struct lookout_options *o = l->options;
	int64_t every = o->every * SECOND;

	conns_tick(l->conns, l->now);
	if (o->seconds > 0 && l->now >= l->began + o->seconds * SECOND)
		packets_stop(l->packets);
	if (every == 0 || l->now < l->due || packets_stopped(l->packets))
		return;
	lookout_summary(l);
	l->due += ((l->now - l->due) / every + 1) * every;
}

static void
clock_begin(struct lookout *l, int64_t us)
{
	l->now = l->began = us;
	l->due = us + l->options->every * SECOND;
}

/* The time of a file may run backwards; this one does not. */
static void
clock_follow(struct lookout *l, int64_t us)
{
	if (l->began == -1)
		clock_begin(l, us);
	if (us > l->now) {
		l->now = us;
		l->said = false;
	}
}

static int64_t
clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec / 1000;
}

/* How long nothing is due, for poll(2). */
static int
wait_ms(const struct lookout *l)
{
	const struct lookout_options *o = l->options;
	int64_t due = conns_due(l->conns);
	int64_t end = l->began + o->seconds * SECOND;

	if (o->every > 0 && l->due < due)
		due = l->due;
	if (o->seconds > 0 && end < due)
		due = end;
	if (due == INT64_MAX)
		return -1;
	if (due <= l->now)
		return 0;
	return due - l->now < 3600 * SECOND ?
	    (int)((due - l->now) / 1000) + 1 : 3600 * 1000;
}

/* --- the packets --------------------------------------------------------- */

static bool
between(const struct segment *s, in_port_t a, in_port_t b)
{
	return (s->from.port == a && s->to.port == b) ||
	    (s->from.port == b && s->to.port == a);
}

static bool
is_wanted(const struct lookout *l, const struct segment *s)
{
	int port = l->options->port;

	return (port == 0 || s->from.port == port || s->to.port == port) &&
	    (l->client == 0 || between(s, l->client, l->server));
}

static void
take(void *arg, int64_t us, const struct segment *s)
{
	struct lookout *l = arg;

	if (l->options->file != NULL) {
		clock_follow(l, us);
		tick(l);
		if (packets_stopped(l->packets))
			return;
	}
	if (s != NULL && !is_wanted(l, s))
		return;
	l->said = false;
	if (s != NULL) {
		l->tally.segments++;
		conns_feed(l->conns, s, l->now);
	} else {
		l->tally.not_tcp++;
	}
}

static int
take_live(struct lookout *l, int timeout_ms)
{
	int n = packets_read(l->packets, timeout_ms, take, l);

	clock_follow(l, clock_us(CLOCK_MONOTONIC) + l->offset);
	return n;
}

const struct flow *
lookout_see(struct lookout *l, const struct ends *ends, int timeout_ms)
{
	struct segment s = { .from.family = AF_INET };
	in_addr_t loopback = htonl(INADDR_LOOPBACK);

	l->client = ntohs(ends->client.port);
	l->server = ntohs(ends->server.port);
	if (take_live(l, timeout_ms) == -1)
		errx(1, "%s: %s", l->options->interface,
		    packets_error(l->packets));
	memcpy(s.from.addr, &loopback, sizeof(loopback));
	s.to = s.from;
	s.from.port = l->client;
	s.to.port = l->server;
	return conns_find(l->conns, &s);
}

/* --- from the beginning to the end --------------------------------------- */

bool
lookout_open(struct lookout *l, const struct lookout_options *options,
    const char **why)
{
	*l = (struct lookout){ .options = options, .began = -1 };
	l->conns = conns_open((size_t)options->max, tell, l);
	if (l->conns == NULL)
		err(1, "--max %d", options->max);
	if (options->file != NULL) {
		l->packets = packets_file(options->file, why);
		return l->packets != NULL;
	}
	l->packets = packets_interface(options->interface, options->port, why);
	l->offset = clock_us(CLOCK_REALTIME) - clock_us(CLOCK_MONOTONIC);
	clock_begin(l, clock_us(CLOCK_MONOTONIC) + l->offset);
	return l->packets != NULL;
}

void
lookout_close(struct lookout *l)
{
	packets_close(l->packets);
	conns_close(l->conns);
}

static struct packets	*to_stop;	/* at a signal */

static void
on_signal(int sig)
{
	(void)sig;
	packets_stop(to_stop);
}

/* No SA_RESTART: it may be reading from a pipe. */
static void
take_signals(struct packets *packets)
{
	struct sigaction sa = { .sa_handler = on_signal };

	to_stop = packets;
	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGINT, &sa, NULL) == -1 ||
	    sigaction(SIGTERM, &sa, NULL) == -1)
		err(1, "sigaction");
}

static int
watch_interface(struct lookout *l)
{
	int n = 0;

	fprintf(stderr, "%s: watching %s, until SIGINT\n", getprogname(),
	    l->options->interface);
	while (!packets_stopped(l->packets) && n != -1) {
		n = take_live(l, wait_ms(l));
		tick(l);
	}
	return n;
}

static int
read_file(struct lookout *l)
{
	int n = 1;

	while (!packets_stopped(l->packets) && n > 0)
		n = packets_read(l->packets, 0, take, l);
	if (l->began == -1)
		clock_begin(l, 0);
	return n;
}

int
lookout_run(struct lookout *l)
{
	const struct lookout_options *o = l->options;
	int n;

	packets_drop_root();
	take_signals(l->packets);
	n = o->file != NULL ? read_file(l) : watch_interface(l);
	conns_tell_all(l->conns, l->now);
	if (!l->said)
		lookout_summary(l);
	if (fflush(stdout) != 0 || ferror(stdout))
		errx(1, "standard output: not all could be written");
	if (n == -1)
		warnx("%s: %s: so far it came, and no farther",
		    o->file != NULL ? o->file : o->interface,
		    packets_error(l->packets));
	return n == -1 ? 1 : 0;
}
