/* monitor.c - see monitor.h */
#include <sys/socket.h>

#include <arpa/inet.h>

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "closewatch/json.h"
#include "closewatch/monitor.h"
#include "closewatch/text.h"

#define SECOND	((int64_t)1000000)

/* --- the output ---------------------------------------------------------- */

/* With SIGPIPE ignored only an error shows that the reader has gone. */
static void
check_output(struct monitor *m)
{
	if (ferror(stdout))
		packets_stop(m->packets);
}

static void
tell(void *arg, const struct flow *f, int64_t over_us)
{
	struct monitor *m = arg;

	m->said = false;
	tally_conn(&m->tally, f);
	if (m->options->chosen != NULL)
		chosen_ended(m->options->chosen, f);
	if (m->options->json)
		json_conn(f, over_us);
	else
		text_conn(f, over_us);
	check_output(m);
}

void
monitor_summary(struct monitor *m)
{
	struct tally_summary s = {
		.tally = &m->tally,
		.top = tally_top(&m->tally),
		.conns = conns_count(m->conns),
		.max = m->options->max,
		.us = m->now,
		.span_us = m->now - m->began,
		.missed = packets_missed(m->packets),
	};

	if (m->options->json)
		json_summary(&s);
	else
		text_summary(&s);
	m->said = true;
	check_output(m);
}

/* --- the time ------------------------------------------------------------ */

/* Do what is due now.  At the end monitor_run() prints the summary. */
static void
tick(struct monitor *m)
{
	const struct monitor_options *o = m->options;
	int64_t every = o->every * SECOND;

	conns_tick(m->conns, m->now);
	if (o->seconds > 0 && m->now >= m->began + o->seconds * SECOND)
		packets_stop(m->packets);
	if (every == 0 || m->now < m->due || packets_stopped(m->packets))
		return;
	monitor_summary(m);
	m->due += ((m->now - m->due) / every + 1) * every;
}

static void
clock_begin(struct monitor *m, int64_t us)
{
	m->now = m->began = us;
	m->due = us + m->options->every * SECOND;
}

/* The times in a file may go back; this time does not. */
static void
clock_follow(struct monitor *m, int64_t us)
{
	if (m->began == -1)
		clock_begin(m, us);
	if (us > m->now) {
		m->now = us;
		m->said = false;
	}
}

static int64_t
clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec / 1000;
}

/* The time until something is due, for poll(2). */
static int
wait_ms(const struct monitor *m)
{
	const struct monitor_options *o = m->options;
	int64_t due = conns_due(m->conns);
	int64_t end = m->began + o->seconds * SECOND;

	if (o->every > 0 && m->due < due)
		due = m->due;
	if (o->seconds > 0 && end < due)
		due = end;
	if (due == INT64_MAX)
		return -1;
	if (due <= m->now)
		return 0;
	return due - m->now < 3600 * SECOND ?
	    (int)((due - m->now) / 1000) + 1 : 3600 * 1000;
}

/* --- the packets --------------------------------------------------------- */

static bool
between(const struct segment *s, in_port_t a, in_port_t b)
{
	return (s->from.port == a && s->to.port == b) ||
	    (s->from.port == b && s->to.port == a);
}

static bool
is_wanted(const struct monitor *m, const struct segment *s)
{
	int port = m->options->port;

	return (port == 0 || s->from.port == port || s->to.port == port) &&
	    (m->client == 0 || between(s, m->client, m->server));
}

static void
take(void *arg, int64_t us, const struct segment *s)
{
	struct monitor *m = arg;

	if (m->options->file != NULL) {
		m->grew = true;
		clock_follow(m, us);
		tick(m);
		if (packets_stopped(m->packets))
			return;
	}
	if (s != NULL && !is_wanted(m, s))
		return;
	m->said = false;
	if (s != NULL) {
		if (!conns_feed(m->conns, s, m->now))
			return;
		m->tally.segments++;
		if (m->options->chosen != NULL)
			chosen_segment(m->options->chosen, s);
	} else {
		m->tally.not_tcp++;
	}
}

static int
take_live(struct monitor *m, int timeout_ms)
{
	int n = packets_read(m->packets, timeout_ms, take, m);

	clock_follow(m, clock_us(CLOCK_MONOTONIC) + m->offset);
	return n;
}

/* The file does not grow: what ended a second ago is told all the same. */
static void
pause_in_file(void *arg)
{
	struct monitor *m = arg;
	int64_t us = clock_us(CLOCK_MONOTONIC);

	if (m->began == -1)
		return;
	if (m->grew)
		m->offset = m->now - us;
	m->grew = false;
	clock_follow(m, us + m->offset);
	tick(m);
}

const struct flow *
monitor_see(struct monitor *m, in_port_t client, in_port_t server,
    int timeout_ms)
{
	struct segment s = { .from.family = AF_INET };
	in_addr_t loopback = htonl(INADDR_LOOPBACK);

	m->client = client;
	m->server = server;
	if (take_live(m, timeout_ms) == -1)
		errx(1, "%s: %s", m->options->interface,
		    packets_error(m->packets));
	memcpy(s.from.addr, &loopback, sizeof(loopback));
	s.to = s.from;
	s.from.port = m->client;
	s.to.port = m->server;
	return conns_find(m->conns, &s);
}

/* --- open, run, close ---------------------------------------------------- */

static struct packets *
open_file(struct monitor *m, const char **why)
{
	const struct monitor_options *o = m->options;

	if (!o->follow)
		return packets_file(o->file, why);
	return packets_followed(o->file, &(struct follow_options){
	    .seconds = o->idle, .idle = pause_in_file, .arg = m }, why);
}

bool
monitor_open(struct monitor *m, const struct monitor_options *options,
    const char **why)
{
	*m = (struct monitor){ .options = options, .began = -1 };
	m->conns = conns_open((size_t)options->max, tell, m);
	if (m->conns == NULL)
		err(1, "--max %d", options->max);
	if (options->owner != NULL)
		conns_judge_by(m->conns, owner_judge, options->owner);
	if (options->file != NULL) {
		m->packets = open_file(m, why);
		return m->packets != NULL;
	}
	m->packets = packets_interface(options->interface, options->port, why);
	m->offset = clock_us(CLOCK_REALTIME) - clock_us(CLOCK_MONOTONIC);
	clock_begin(m, clock_us(CLOCK_MONOTONIC) + m->offset);
	return m->packets != NULL;
}

void
monitor_close(struct monitor *m)
{
	packets_close(m->packets);
	conns_close(m->conns);
}

static struct packets	*to_stop;	/* at a signal */

static void
on_signal(int sig)
{
	(void)sig;
	packets_stop(to_stop);
}

/* No SA_RESTART: a read from a pipe must end. */
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
watch_interface(struct monitor *m)
{
	int n = 0;

	fprintf(stderr, "%s: watching %s, until SIGINT\n",
	    program_invocation_short_name, m->options->interface);
	while (!packets_stopped(m->packets) && n != -1) {
		n = take_live(m, wait_ms(m));
		tick(m);
	}
	return n;
}

static int
read_file(struct monitor *m)
{
	int n = 1;

	if (m->options->follow)
		fprintf(stderr, "%s: following %s, until SIGINT\n",
		    program_invocation_short_name, m->options->file);
	while (!packets_stopped(m->packets) && n > 0)
		n = packets_read(m->packets, 0, take, m);
	if (m->began == -1)
		clock_begin(m, 0);
	return n;
}

int
monitor_run(struct monitor *m)
{
	const struct monitor_options *o = m->options;
	const char *name = o->file != NULL ? o->file : o->interface;
	const char *ended;
	int n;

	take_signals(m->packets);
	n = o->file != NULL ? read_file(m) : watch_interface(m);
	conns_tell_all(m->conns, m->now);
	if (!m->said)
		monitor_summary(m);
	if (fflush(stdout) != 0 || ferror(stdout))
		errx(1, "standard output: cannot write all of it");
	if (n == -1)
		warnx("%s: %s: the output ends here", name,
		    packets_error(m->packets));
	else if ((ended = packets_ended(m->packets)) != NULL)
		warnx("%s: %s: the output ends here", name, ended);
	return n == -1 ? 1 : 0;
}
