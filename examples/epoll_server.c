/*
 * epoll_server - one loop that serves connections and closes them
 *
 * A client asks; the server replies with 1 MiB and closes.  Closing takes time:
 * the client must still receive the reply and end its side.  The loop cannot
 * wait for that.  Nor can it call close(2), which would destroy the reply while
 * the client still sends.  So the close is one more state of a connection,
 * driven by the same events and timers as the others.
 *
 * The server closes a client that asks nothing for --idle ms in the same way.
 * Nobody can use up the connections: while all places are taken, a new client
 * gets that of the oldest one that has asked nothing, or that had its share.
 * At SIGTERM or SIGINT it accepts no more, closes idle connections, and gives
 * the others --deadline ms.  Then it aborts the rest, and prints how many
 * clients got everything.
 *
 * Without arguments it serves clients of its own.
 *
 * Usage: epoll_server --port n [--conns n] [--idle ms] [--deadline ms]
 *	  epoll_server --port n --client n
 */
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bsd/stdlib.h>

#include <graceclose.h>

#include "closewatch/option.h"
#include "stage/ends.h"
#include "stage/clients.h"
#include "stage/narrator.h"

#define CONNS_MAX	4096
#define BATCH		64
#define EACH		4	/* clients of a manner, in the demonstration */
#define SHOWN_IDLE_MS	500
#define SHOWN_DEADLINE_MS 150
#define SHARE_MS	250	/* a client has a place so long in any case */
#define PAUSE_MS	10	/* after an error of accept(2) */

static struct {
	int	port;
	int	conns;
	int	idle_ms;
	int	deadline_ms;
	int	clients;
} options = { .idle_ms = 2000, .deadline_ms = 3000 };

enum state { ASKING, REPLYING, CLOSING };

struct conn {
	struct graceclose	gc;	/* while CLOSING */
	enum state		state;
	int			fd;
	size_t			asked;	/* bytes, without the end of line */
	size_t			sent;
	int64_t			due;	/* when its timer goes off, in ms */
	size_t			at;	/* its place in timers[] */
	int64_t			came;	/* when, in ms */
	TAILQ_ENTRY(conn)	list;
};

static TAILQ_HEAD(conns, conn) conns = TAILQ_HEAD_INITIALIZER(conns);
					/* the oldest first */

/* The outcome of all connections. */
static struct {
	int	served, idle;
	int	delivered, finished, reset, expired, cut;
} tally;

static char	reply[CLIENTS_REPLY];
static int	epfd, signals, listener;
static bool	listening, stopping;
static int64_t	deadline, resume;	/* of a pause of accept(2) */

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * Timers: each connection has one and is in this heap, the next one on top.
 */
static struct conn	*timers[CONNS_MAX];
static size_t		 nconns;

static void
timer_put(struct conn *c, size_t at)
{
	timers[at] = c;
	c->at = at;
}

/* Move c from `at`, which is free, up or down to where it belongs. */
static void
timer_sift(struct conn *c, size_t at)
{
	size_t child;

	while (at > 0 && timers[(at - 1) / 2]->due > c->due) {
		timer_put(timers[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	while ((child = 2 * at + 1) < nconns) {
		if (child + 1 < nconns &&
		    timers[child + 1]->due < timers[child]->due)
			child++;
		if (timers[child]->due >= c->due)
			break;
		timer_put(timers[child], at);
		at = child;
	}
	timer_put(c, at);
}

static void
timer_add(struct conn *c)
{
	c->due = INT64_MAX;
	timer_sift(c, nconns++);
}

static void
timer_remove(struct conn *c)
{
	struct conn *last = timers[--nconns];

	if (c != last)
		timer_sift(last, c->at);
}

/* As graceclose_timeout() says it: -1 is never. */
static void
timer_set(struct conn *c, int ms)
{
	c->due = ms == -1 ? INT64_MAX : now_ms() + ms;
	timer_sift(c, c->at);
}

/* What epoll_wait may sleep at most. */
static int
timers_next(void)
{
	int64_t due = stopping ? deadline : listening ? INT64_MAX : resume, ms;

	if (nconns > 0 && timers[0]->due < due)
		due = timers[0]->due;
	if (due == INT64_MAX)
		return -1;
	ms = due - now_ms();
	return ms <= 0 ? 0 : ms < INT_MAX ? (int)ms : INT_MAX;
}

/* While nobody can be accepted, the listening socket is not polled. */
static void
listen_if(bool wanted)
{
	struct epoll_event ev = { .events = wanted ? EPOLLIN : 0,
	    .data.ptr = &listener };

	if (listening != wanted &&
	    epoll_ctl(epfd, EPOLL_CTL_MOD, listener, &ev) == -1)
		err(1, "epoll_ctl");
	listening = wanted;
}

static void
conn_free(struct conn *c)
{
	timer_remove(c);
	TAILQ_REMOVE(&conns, c, list);
	free(c);
	if (!stopping)
		listen_if(true);
}

static void
count(const struct graceclose_report *report)
{
	tally.delivered += report->delivered;
	tally.finished += report->delivered && report->finished;
	tally.reset += report->outcome == GRACECLOSE_WAS_RESET;
	tally.expired += report->outcome == GRACECLOSE_EXPIRED;
	tally.cut += report->outcome == GRACECLOSE_ABORTED;
}

/* The close is over, or aborted: graceclose_end() then acts by on_expiry. */
static void
close_end(struct conn *c)
{
	struct graceclose_report report;

	/* Out of the set first, as the number may be reused afterwards. */
	epoll_ctl(epfd, EPOLL_CTL_DEL, c->fd, NULL);
	graceclose_end(&c->gc, &report);
	count(&report);
	conn_free(c);
}

/* At every event of the descriptor, and when the timer goes off. */
static void
close_step(struct conn *c)
{
	if (graceclose_step(&c->gc) == 1)
		timer_set(c, graceclose_timeout(&c->gc));
	else
		close_end(c);
}

static void
close_begin(struct conn *c)
{
	const struct graceclose_opts opts = {
		/* A client that has all and is silent is no reason to wait. */
		.until = GRACECLOSE_QUIET,
		.idle_ms = options.idle_ms,
		/* Else the kernel keeps what was not read for minutes. */
		.on_expiry = GRACECLOSE_RESET,
		/* The loop gets each event, so it needs no naps. */
		.flags = GRACECLOSE_EDGES,
	};

	/*
	 * The set has the descriptor edge-triggered already, with all of
	 * GRACECLOSE_EPOLL.  A loop with level-triggered descriptors changes
	 * that here, with EPOLL_CTL_MOD, before the first step.
	 */
	if (graceclose_begin(&c->gc, c->fd, &opts) == -1)
		err(1, "graceclose_begin");
	c->state = CLOSING;
	close_step(c);
}

/* After half a reply a FIN would look like its end, so this resets. */
static void
conn_cut(struct conn *c)
{
	epoll_ctl(epfd, EPOLL_CTL_DEL, c->fd, NULL);
	abort_close(c->fd);
	tally.cut++;
	conn_free(c);
}

/* A connection that may wait no longer. */
static void
conn_late(struct conn *c)
{
	if (c->state == CLOSING)
		close_end(c);
	else
		conn_cut(c);
}

static void
conn_reply(struct conn *c)
{
	ssize_t n = 0;

	while (c->sent < sizeof(reply)) {
		n = send(c->fd, reply + c->sent, sizeof(reply) - c->sent,
		    MSG_NOSIGNAL);
		if (n == -1)
			break;
		c->sent += (size_t)n;
	}
	if (n == -1 && errno == EAGAIN)
		timer_set(c, options.idle_ms);
	else
		close_begin(c);		/* it also handles a dead connection */
}

/* Any line is a question. */
static void
conn_hear(struct conn *c)
{
	char buf[128];
	ssize_t n;

	while ((n = recv(c->fd, buf, sizeof(buf), 0)) > 0) {
		c->asked += (size_t)n;
		if (memchr(buf, '\n', (size_t)n) != NULL) {
			c->state = REPLYING;
			conn_reply(c);
			return;
		}
		if (c->asked > sizeof(buf))
			break;
	}
	if (n == -1 && errno == EAGAIN)
		timer_set(c, options.idle_ms);
	else
		close_begin(c);
}

static void
conn_event(struct conn *c)
{
	switch (c->state) {
	case ASKING:
		conn_hear(c);
		break;
	case REPLYING:
		conn_reply(c);
		break;
	case CLOSING:
		close_step(c);
		break;
	}
}

static void
conn_timer(struct conn *c)
{
	switch (c->state) {
	case ASKING:
		tally.idle++;
		close_begin(c);
		break;
	case REPLYING:
		conn_cut(c);
		break;
	case CLOSING:
		close_step(c);
		break;
	}
}

static void
conn_new(int fd)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct epoll_event ev = { .events = GRACECLOSE_EPOLL, .data.ptr = c };

	if (c == NULL || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) == -1) {
		warn("a new connection");
		abort_close(fd);
		free(c);
		return;
	}
	c->fd = fd;
	c->came = now_ms();
	TAILQ_INSERT_TAIL(&conns, c, list);
	timer_add(c);
	timer_set(c, options.idle_ms);
	tally.served++;
}

static bool
may_cut(const struct conn *c)
{
	return now_ms() - c->came > SHARE_MS || (c->state == ASKING &&
	    (graceclose_probe(c->fd) & GRACECLOSE_UNREAD) == 0);
}

/* Make room for a new client.  False: nobody has had enough. */
static bool
cut_oldest(void)
{
	struct conn *c;

	TAILQ_FOREACH(c, &conns, list)
		if (may_cut(c)) {
			conn_late(c);
			return true;
		}
	return false;
}

static bool
somebody_waits(void)
{
	struct pollfd pfd = { .fd = listener, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}

static int
accept_one(void)
{
	int fd;

	do
		fd = accept4(listener, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
	while (fd == -1 && (errno == EINTR || errno == ECONNABORTED ||
	    ((errno == EMFILE || errno == ENFILE) && cut_oldest())));
	return fd;
}

/* No error of accept(2) ends the server: it waits a moment. */
static void
accept_all(void)
{
	int fd;

	while (somebody_waits()) {
		if (nconns == (size_t)options.conns && !cut_oldest())
			break;
		if ((fd = accept_one()) != -1)
			conn_new(fd);
		else if (errno == EAGAIN)
			return;
		else
			break;
	}
	if (!somebody_waits())
		return;
	resume = now_ms() + PAUSE_MS;
	listen_if(false);		/* or until a connection has ended */
}

/* Ending a connection moves others in the heap, so this copies them. */
static void
for_each(void (*act)(struct conn *))
{
	struct conn *all[CONNS_MAX];
	size_t n = nconns;

	for (size_t i = 0; i < n; i++)
		all[i] = timers[i];
	for (size_t i = 0; i < n; i++)
		act(all[i]);
}

/* A client whose question has arrived still gets its reply. */
static void
stop_idle(struct conn *c)
{
	if (c->state == ASKING &&
	    (graceclose_probe(c->fd) & GRACECLOSE_UNREAD) == 0)
		close_begin(c);
}

/* Closing the listener would reset the clients in its accept queue. */
static void
stop(void)
{
	struct signalfd_siginfo si;

	if (read(signals, &si, sizeof(si)) != sizeof(si))
		err(1, "read signalfd");
	accept_all();
	close(listener);
	stopping = true;
	deadline = now_ms() + options.deadline_ms;
	show_text("%s: %zu connections, %d ms to end them\n",
	    si.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM", nconns,
	    options.deadline_ms);
	for_each(stop_idle);
}

static void
timers_run(void)
{
	int64_t now = now_ms();

	while (nconns > 0 && timers[0]->due <= now)
		conn_timer(timers[0]);
}

/*
 * A connection frees only itself, so no event of the batch is stale.  Timers,
 * new clients and the stop free other connections: after the batch.
 */
static void
turn(void)
{
	struct epoll_event ev[BATCH];
	int n = epoll_wait(epfd, ev, BATCH, timers_next());
	bool stop_now = false, accept_now = false;

	for (int i = 0; i < n; i++) {
		if (ev[i].data.ptr == &signals)
			stop_now = true;
		else if (ev[i].data.ptr == &listener)
			accept_now = true;
		else
			conn_event(ev[i].data.ptr);
	}
	timers_run();
	if (accept_now)
		accept_all();
	if (stop_now && !stopping)
		stop();
	if (!stopping && !listening && now_ms() >= resume)
		listen_if(true);
}

static void
watch(int fd, void *ptr)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = ptr };

	if (fd == -1 || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) == -1)
		err(1, "epoll_ctl");
}

static void
run(void)
{
	if ((epfd = epoll_create1(EPOLL_CLOEXEC)) == -1)
		err(1, "epoll_create1");
	watch(listener, &listener);
	watch(signals, &signals);
	listening = true;
	while (!stopping || (nconns > 0 && now_ms() < deadline))
		turn();
	for_each(conn_late);
	close(epfd);
	close(signals);
}

/* The signals that stop the server are blocked in every thread, and read. */
static void
take_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if ((signals = signalfd(-1, &set, SFD_CLOEXEC)) == -1)
		err(1, "signalfd");
}

static void
print_tally(void)
{
	show_text("%d clients: %d got all we sent, %d of them ended their "
	    "side as well;\n%d reset, %d expired, %d cut by us; %d had been "
	    "idle for %d ms\n", tally.served, tally.delivered,
	    tally.finished, tally.reset, tally.expired, tally.cut, tally.idle,
	    options.idle_ms);
}

static int
serve_port(void)
{
	in_port_t port = (in_port_t)options.port;

	take_signals();
	listener = clients_listen(&port);
	show_text("listening on 127.0.0.1 port %d\n", port);
	run();
	print_tally();
	return 0;
}

/* Clients of every manner; then more, and SIGTERM while they are there. */
static void *
party_main(void *arg)
{
	in_port_t port = *(const in_port_t *)arg;

	for (int m = 0; m < MANNERS; m++)
		clients_come(port, (enum manner)m, EACH);
	clients_all_left();
	clients_come(port, STAYING, EACH);
	clients_replied(STAYING);
	clients_come(port, SILENT, EACH);
	kill(getpid(), SIGTERM);
	clients_all_left();
	return NULL;
}

static void
verify(void)
{
	for (int m = 0; m < MANNERS; m++)
		show_expect(m == RESETTING || m == SILENT ||
		    clients_whole((enum manner)m) ==
		    (m == STAYING ? 2 : 1) * EACH,
		    "a reply was lost, in manner %d", m);
	show_expect(tally.served == 8 * EACH, "%d were served", tally.served);
	show_expect(tally.delivered == 7 * EACH, "%d were delivered",
	    tally.delivered);
	show_expect(tally.finished == 5 * EACH, "%d were finished",
	    tally.finished);
	show_expect(tally.reset == EACH, "%d were reset", tally.reset);
	show_expect(tally.expired == 0, "%d expired", tally.expired);
	show_expect(tally.cut == EACH, "%d were cut", tally.cut);
	show_expect(tally.idle == EACH, "%d were idle", tally.idle);
}

static int
show_itself(void)
{
	in_port_t port = 0;
	pthread_t thread;

	options.idle_ms = SHOWN_IDLE_MS;
	options.deadline_ms = SHOWN_DEADLINE_MS;
	show_title("One loop that serves connections and closes them");
	show_text("\n");
	take_signals();
	listener = clients_listen(&port);
	if ((errno = pthread_create(&thread, NULL, party_main, &port)) != 0)
		err(1, "pthread_create");
	run();
	pthread_join(thread, NULL);
	print_tally();
	clients_print();
	verify();
	show_text("\nThe first %d of each manner came at once.  The server "
	    "closed those that stayed after %d ms.\nOf the last %d, which came "
	    "just before the SIGTERM, the silent ones saw EOF and ended.\nThe "
	    "server aborted the others at the deadline, %d ms later; they had "
	    "the whole reply by then.\n", EACH,
	    options.idle_ms, 2 * EACH, options.deadline_ms);
	return show_verdict();
}

static _Noreturn void
usage(FILE *out, int status)
{
	fprintf(out, "usage: %s [options] [--help]\n"
	    "without options it serves clients of its own\n"
	    "  --port n       serve 127.0.0.1 port n; 0: any free one (%d)\n"
	    "  --conns n      at most n connections; 0: half of RLIMIT_NOFILE "
	    "(%d)\n"
	    "  --idle ms      how long a client may be silent (%d)\n"
	    "  --deadline ms  time to end all after SIGTERM or SIGINT (%d)\n"
	    "  --client n     be n clients of each manner of the --port\n",
	    getprogname(), options.port, options.conns, options.idle_ms,
	    options.deadline_ms);
	exit(status);
}

static void
parse_options(int argc, char *argv[])
{
	static const struct option names[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "conns", required_argument, NULL, 'n' },
		{ "idle", required_argument, NULL, 'i' },
		{ "deadline", required_argument, NULL, 'd' },
		{ "client", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'p':
			options.port = option_number("--port", optarg, 0,
			    65535);
			break;
		case 'n':
			options.conns = option_number("--conns", optarg, 0,
			    CONNS_MAX);
			break;
		case 'i':
			options.idle_ms = option_number("--idle", optarg, 1,
			    600000);
			break;
		case 'd':
			options.deadline_ms = option_number("--deadline",
			    optarg, 1, 600000);
			break;
		case 'c':
			options.clients = option_number("--client", optarg, 1,
			    CLIENTS_EACH);
			break;
		case 'h':
			usage(stdout, 0);
		default:
			exit(2);	/* getopt_long said why */
		}
	}
	if (optind < argc)
		errx(2, "unexpected argument: %s", argv[optind]);
	if (options.clients > 0 && options.port == 0)
		errx(2, "--client needs a --port");
}

/* The other half is for what else the program opens. */
static int
default_conns(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1 || rl.rlim_cur / 2 > CONNS_MAX)
		return CONNS_MAX;
	return rl.rlim_cur < 2 ? 1 : (int)(rl.rlim_cur / 2);
}

int
main(int argc, char *argv[])
{
	setprogname(argv[0]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	parse_options(argc, argv);
	memset(reply, 'r', sizeof(reply));
	if (options.conns == 0)
		options.conns = default_conns();

	if (options.clients > 0)
		return clients_visit((in_port_t)options.port, options.clients);
	return argc == 1 ? show_itself() : serve_port();
}
