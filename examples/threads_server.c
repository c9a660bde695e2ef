/*
 * threads_server - a thread for each connection, one reaper that closes them
 *
 * A client asks; the server replies with 1 MiB and closes.  The thread could
 * wait until the client has received all and ended its side.  But a slow client
 * would then hold a thread, and 64 slow clients all 64.  So the thread hands
 * its connection to the reaper and is free.  One thread of the library drives
 * all closes, and calls a function of the server when one has ended.
 *
 * Nobody can use up threads or descriptors.  When all threads are busy, a
 * client that has asked nothing is cut; when the reaper is full, its oldest
 * close is.
 *
 * Without arguments the server serves clients of its own: polite ones, some
 * that upload while it replies, some that reset, some that send nothing.  First
 * it shows, with uploading clients only, what close(2) loses.
 *
 * Usage: threads_server --port n [--threads n] [--pending n] [--idle ms]
 *	    [--deadline ms] [--seconds n] [--plain]
 *	  threads_server --port n --client n
 */
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/stdlib.h>

#include <graceclose.h>

#include "closewatch/option.h"
#include "stage/ends.h"
#include "stage/clients.h"
#include "stage/narrator.h"

#define EACH		4	/* clients of a manner, in the demonstration */
#define SHOWN_IDLE_MS	500
#define SHARE_MS	250	/* a client has a thread so long in any case */

static struct {
	int	port;
	int	threads;
	int	pending;
	int	idle_ms;
	int	deadline_ms;
	int	seconds;
	int	clients;
	bool	plain;
} options = { .threads = 256, .idle_ms = 2000, .deadline_ms = 3000 };

static struct graceclose_reaper	*reaper;
static char			 reply[CLIENTS_REPLY];

/*
 * Descriptors that threads wait for beside their sockets.
 * places is a semaphore, one for each thread that may still be started.
 */
static int		signals, places, stopping, late;
static sigset_t		stop_set;	/* the signals that stop it */

static atomic_uint	served;
static atomic_uint	ended[GRACECLOSE_INVALID + 1];	/* by outcome */

/* A connection: a thread serves it, then it is the cookie of its close. */
struct visitor {
	int		fd;
	unsigned	number;
	in_port_t	port;
	double		came;		/* as show_now() */
	bool		asked, cut;	/* while the lock is held */
	TAILQ_ENTRY(visitor) list;
};

/* Those that have a thread, the oldest first. */
static TAILQ_HEAD(visitors, visitor) visitors =
    TAILQ_HEAD_INITIALIZER(visitors);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/*
 * The end of a connection.  The caller is the reaper's thread, or a thread in
 * graceclose_reaper_close(), so this takes little time and no lock of theirs.
 */
static void
visitor_done(void *arg, void *cookie, const struct graceclose_report *report)
{
	struct visitor *v = cookie;

	(void)arg;
	ended[report->outcome]++;
	if (report->error != 0)
		show_text("  client %u, port %d: %s, %" PRIu64 " bytes not "
		    "acknowledged%s\n", v->number, v->port,
		    show_errno(report->error), report->unacked,
		    report->delivered && !report->finished ?
		    ", but no end of its side" : "");
	free(v);
}

/*
 * Close and forget.  After 0 the connection belongs to the reaper, and may be
 * freed already.  A client that has the whole reply and is silent is no reason
 * to wait longer: QUIET.  After -1 the descriptor still belongs to this thread.
 * It must not wait, as others wait for it; close(2) is the last resort.
 */
static void
visitor_close(struct visitor *v)
{
	const struct graceclose_opts opts = {
		.until = GRACECLOSE_QUIET,
		.idle_ms = options.idle_ms,
		/* Else the kernel keeps what was not read for minutes. */
		.on_expiry = GRACECLOSE_RESET,
	};

	if (graceclose_reaper_close(reaper, v->fd, &opts, v) == 0)
		return;
	warn("client %u: close(2) instead", v->number);
	close(v->fd);
	free(v);
}

static void
visitor_enter(struct visitor *v)
{
	pthread_mutex_lock(&lock);
	TAILQ_INSERT_TAIL(&visitors, v, list);
	pthread_mutex_unlock(&lock);
}

/* From now on nobody else uses the descriptor.  True: it was cut. */
static bool
visitor_leave(struct visitor *v)
{
	pthread_mutex_lock(&lock);
	TAILQ_REMOVE(&visitors, v, list);
	pthread_mutex_unlock(&lock);
	return v->cut;
}

static bool
may_cut(const struct visitor *v)
{
	return !v->cut && (show_now() - v->came > SHARE_MS || (!v->asked &&
	    (graceclose_probe(v->fd) & GRACECLOSE_UNREAD) == 0));
}

/* Its thread wakes up and resets the connection. */
static void
cut_oldest(int count)
{
	struct visitor *v;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH(v, &visitors, list)
		if (count > 0 && may_cut(v)) {
			v->cut = true;
			shutdown(v->fd, SHUT_RDWR);
			count--;
		}
	pthread_mutex_unlock(&lock);
}

/*
 * Wait until fd is ready.  False: nothing came for idle_ms, or `enough`
 * turned readable, for all threads that wait for it.
 */
static bool
ready(int fd, short events, int enough)
{
	struct pollfd pfd[2] = {
		{ .fd = fd, .events = events },
		{ .fd = enough, .events = POLLIN },
	};

	return poll(pfd, 2, options.idle_ms) > 0 && pfd[1].revents == 0;
}

static bool
visitor_asked(struct visitor *v)
{
	pthread_mutex_lock(&lock);
	v->asked = true;
	pthread_mutex_unlock(&lock);
	return true;
}

/* Read a line, or what the client sends instead: whether it asked. */
static bool
hear(struct visitor *v)
{
	char line[128];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(line) && ready(v->fd, POLLIN, stopping)) {
		n = recv(v->fd, line + len, sizeof(line) - len, MSG_DONTWAIT);
		if (n == -1 && errno == EAGAIN)
			continue;
		if (n <= 0)
			return false;
		len += (size_t)n;
		if (memchr(line, '\n', len) != NULL)
			return visitor_asked(v);
	}
	return false;
}

/* False: the client reads no more, but the connection is not dead. */
static bool
answer(int fd)
{
	size_t sent = 0;
	ssize_t n;

	while (sent < sizeof(reply)) {
		if (!ready(fd, POLLOUT, late))
			return false;
		n = send(fd, reply + sent, sizeof(reply) - sent,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n == -1 && errno != EAGAIN)
			break;		/* the close reports the error */
		if (n > 0)
			sent += (size_t)n;
	}
	return true;
}

/* After half a reply a FIN would look like its end, so this resets. */
static void
visitor_cut(struct visitor *v, const char *why)
{
	show_text("  client %u, port %d: %s, reset\n", v->number, v->port,
	    why);
	abort_close(v->fd);
	free(v);
}

static void *
visitor_main(void *arg)
{
	struct visitor *v = arg;
	bool reads = !hear(v) || answer(v->fd);

	if (visitor_leave(v)) {
		visitor_cut(v, "gave way to others");
	} else if (!reads) {
		visitor_cut(v, "reads no more");
	} else if (options.plain) {
		close(v->fd);
		free(v);
	} else {
		visitor_close(v);
	}
	eventfd_write(places, 1);
	return NULL;
}

static void
visitor_start(int fd, in_port_t port)
{
	struct visitor *v = malloc(sizeof(*v));
	pthread_t thread;
	eventfd_t one;

	if (v == NULL) {
		warn(NULL);
		close(fd);
		return;
	}
	*v = (struct visitor){ .fd = fd, .number = ++served, .port = port,
	    .came = show_now() };
	visitor_enter(v);
	eventfd_read(places, &one);
	if ((errno = pthread_create(&thread, NULL, visitor_main, v)) == 0) {
		pthread_detach(thread);
		return;
	}
	warn("pthread_create");
	eventfd_write(places, 1);
	visitor_leave(v);
	visitor_cut(v, "no thread");
}

/* Wait for a descriptor, ms at most; false: a signal came: the end. */
static bool
serving(int fd, int ms)
{
	struct pollfd pfd[2] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};

	while (poll(pfd, 2, ms) == -1)
		if (errno != EINTR)
			err(1, "poll");
	return pfd[1].revents == 0;
}

/* Wait for fd, 10 ms at most; false: a signal came. */
static bool
make_room(int fd)
{
	cut_oldest(1 + options.threads / 16);
	return serving(fd, 10);
}

/*
 * A place for one more.  While all threads are busy new clients wait in the
 * accept queue, and those that hold threads for nothing are cut.
 */
static bool
place(void)
{
	struct pollfd pfd = { .fd = places, .events = POLLIN };

	while (poll(&pfd, 1, 0) != 1)
		if (!make_room(places))
			return false;
	return true;
}

/* No error of accept(2) ends the server: it waits a moment. */
static void
serve(int listener)
{
	while (serving(listener, -1) && place()) {
		struct sockaddr_in sin = { 0 };
		socklen_t len = sizeof(sin);
		int fd = accept4(listener, (struct sockaddr *)&sin, &len,
		    SOCK_CLOEXEC);

		if (fd != -1)
			visitor_start(fd, ntohs(sin.sin_port));
		else if (errno != EAGAIN && errno != ECONNABORTED &&
		    errno != EINTR)
			make_room(-1);		/* EMFILE, for example */
	}
}

static int
time_left(void)
{
	struct itimerspec left;

	timerfd_gettime(late, &left);
	return (int)(left.it_value.tv_sec * 1000 +
	    left.it_value.tv_nsec / 1000000);
}

/*
 * Accept no more; threads that wait for a question give up; threads that reply
 * have until the deadline.  On return all threads have ended.
 */
static void
stop(int listener)
{
	struct itimerspec in = {
		.it_value.tv_sec = options.deadline_ms / 1000,
		.it_value.tv_nsec = options.deadline_ms % 1000 * 1000000 + 1,
	};
	struct signalfd_siginfo si;
	eventfd_t one;

	if (read(signals, &si, sizeof(si)) != sizeof(si))
		err(1, "read signalfd");
	close(listener);
	timerfd_settime(late, 0, &in, NULL);
	eventfd_write(stopping, 1);
	for (int i = 0; i < options.threads; i++)
		eventfd_read(places, &one);
}

static void
print_stats(void)
{
	struct graceclose_reaper_stats s;

	graceclose_reaper_stats(reaper, &s);
	show_text("%u clients; reaper: %" PRIu64 " ok, %" PRIu64 " reset, "
	    "%" PRIu64 " expired, %" PRIu64 " other; under way %u, at most "
	    "%u\n", served, s.ok, s.reset, s.expired, s.flooded + s.aborted +
	    s.invalid, s.now, s.peak);
	if (s.evicted > 0)
		show_text("it was full: %" PRIu64 " were cut for others\n",
		    s.evicted);
}

static void
hire_reaper(void)
{
	struct graceclose_reaper_opts opts = {
		.max = (unsigned)options.pending,
		.when_full = GRACECLOSE_OLDEST,
		.done = visitor_done,
	};

	if ((reaper = graceclose_reaper_new(&opts)) == NULL)
		err(1, "graceclose_reaper_new");
}

/*
 * The closes have what is left of the deadline.  Then graceclose_reaper_free()
 * ends the rest, and reports each.  No thread is left that could hand over
 * another connection.
 */
static void
dismiss_reaper(void)
{
	if (graceclose_reaper_flush(reaper, time_left()) == -1)
		show_text("  the deadline has passed: the rest is aborted\n");
	print_stats();
	graceclose_reaper_free(reaper);
	reaper = NULL;
}

static void
prepare(void)
{
	if ((signals = signalfd(-1, &stop_set, SFD_CLOEXEC)) == -1 ||
	    (places = eventfd((unsigned)options.threads,
	    EFD_SEMAPHORE | EFD_CLOEXEC)) == -1 ||
	    (stopping = eventfd(0, EFD_CLOEXEC)) == -1 ||
	    (late = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)) == -1)
		err(1, "signalfd, eventfd, timerfd_create");
}

/* From the first client to the last. */
static void
run(int listener)
{
	prepare();
	if (!options.plain)
		hire_reaper();
	serve(listener);
	stop(listener);
	if (!options.plain)
		dismiss_reaper();
	close(signals);
	close(places);
	close(stopping);
	close(late);
}

/* Before the first thread starts, as threads inherit the mask. */
static void
block_signals(void)
{
	sigemptyset(&stop_set);
	sigaddset(&stop_set, SIGINT);
	sigaddset(&stop_set, SIGTERM);
	sigaddset(&stop_set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &stop_set, NULL);
}

static int
serve_port(void)
{
	in_port_t port = (in_port_t)options.port;
	int listener = clients_listen(&port);

	show_text("listening on 127.0.0.1 port %d\n", port);
	alarm((unsigned)options.seconds);
	run(listener);
	return 0;
}

/* Start clients, and stop the server when they have left. */
struct party {
	pthread_t	thread;
	in_port_t	port;
	unsigned	manners;	/* a set: 1 << enum manner */
};

static void *
party_main(void *arg)
{
	const struct party *party = arg;
	unsigned came = 0;

	for (int m = 0; m < MANNERS; m++)
		if (party->manners & (1u << m)) {
			clients_come(party->port, (enum manner)m, EACH);
			came += EACH;
		}
	clients_all_left();
	while (served < came)		/* a reset one may still be queued */
		show_nap();
	kill(getpid(), SIGTERM);
	return NULL;
}

static void
show_to(unsigned manners)
{
	struct party party = { .manners = manners };
	int listener = clients_listen(&party.port);

	served = 0;
	memset(ended, 0, sizeof(ended));
	clients_forget();
	if ((errno = pthread_create(&party.thread, NULL, party_main,
	    &party)) != 0)
		err(1, "pthread_create");
	run(listener);
	pthread_join(party.thread, NULL);
	clients_print();
}

static void
show_plain(void)
{
	show_title("As it goes wrong: each thread calls close(2)");
	options.plain = true;
	show_to(1u << UPLOADING);
	show_expect(clients_whole(UPLOADING) < EACH, "close(2) lost nothing");
	show_text("\nThe upload reaches a closed socket.  The RST that the "
	    "kernel sends then destroys the\nreply that send() had taken "
	    "whole.\n");
	options.plain = false;
}

static void
expect_ended(unsigned ok, unsigned reset, unsigned expired)
{
	show_expect(served == ok + reset + expired, "%u were served", served);
	show_expect(ended[GRACECLOSE_OK] == ok, "%u ended well",
	    ended[GRACECLOSE_OK]);
	show_expect(ended[GRACECLOSE_WAS_RESET] == reset, "%u were reset",
	    ended[GRACECLOSE_WAS_RESET]);
	show_expect(ended[GRACECLOSE_EXPIRED] == expired, "%u expired",
	    ended[GRACECLOSE_EXPIRED]);
}

static void
show_reaper(void)
{
	show_title("Each thread hands its connection to the reaper");
	show_text("\n");
	show_to((1u << MANNERS) - 1);
	for (int m = 0; m < MANNERS; m++)
		show_expect(m == RESETTING || m == SILENT ||
		    clients_whole((enum manner)m) == EACH,
		    "a reply was lost, in manner %d", m);
	expect_ended(5 * EACH, EACH, 0);
	show_text("\nEach client that asked and did not reset has the whole "
	    "reply.  The threads were free at\nonce.  The reaper reported "
	    "clients that did not get all (ECONNRESET).  Clients that\ndid "
	    "not end their side held it for %d ms.\n", options.idle_ms);
}

static void
show_full(void)
{
	show_title("The reaper is full: the oldest close is cut (ECANCELED)");
	show_text("\n");
	options.pending = EACH / 2;
	show_to(1u << STAYING);
	show_expect(ended[GRACECLOSE_ABORTED] == EACH / 2, "%u were cut",
	    ended[GRACECLOSE_ABORTED]);
	show_expect(ended[GRACECLOSE_OK] == EACH / 2, "%u ended well",
	    ended[GRACECLOSE_OK]);
}

static int
show_itself(void)
{
	options.idle_ms = SHOWN_IDLE_MS;
	show_plain();
	show_reaper();
	show_full();
	return show_verdict();
}

static _Noreturn void
usage(FILE *out, int status)
{
	fprintf(out, "usage: %s [options] [--help]\n"
	    "without options it serves clients of its own\n"
	    "  --port n       serve 127.0.0.1 port n; 0: any free one (%d)\n"
	    "  --threads n    at most n threads; other clients wait (%d)\n"
	    "  --pending n    at most n closes under way; 0: half of "
	    "RLIMIT_NOFILE (%d)\n"
	    "  --idle ms      how long a client may be silent (%d)\n"
	    "  --deadline ms  time to end all after SIGTERM or SIGINT (%d)\n"
	    "  --seconds n    end after n seconds; 0: never (%d)\n"
	    "  --plain        close with close(2), to see what it loses\n"
	    "  --client n     be n clients of each manner of the --port\n",
	    getprogname(), options.port, options.threads, options.pending,
	    options.idle_ms, options.deadline_ms, options.seconds);
	exit(status);
}

static void
parse_options(int argc, char *argv[])
{
	static const struct option names[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "threads", required_argument, NULL, 't' },
		{ "pending", required_argument, NULL, 'n' },
		{ "idle", required_argument, NULL, 'i' },
		{ "deadline", required_argument, NULL, 'd' },
		{ "seconds", required_argument, NULL, 's' },
		{ "plain", no_argument, NULL, 'P' },
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
		case 't':
			options.threads = option_number("--threads", optarg, 1,
			    1000);
			break;
		case 'n':
			options.pending = option_number("--pending", optarg, 0,
			    1000000);
			break;
		case 'i':
			options.idle_ms = option_number("--idle", optarg, 1,
			    600000);
			break;
		case 'd':
			options.deadline_ms = option_number("--deadline",
			    optarg, 1, 600000);
			break;
		case 's':
			options.seconds = option_number("--seconds", optarg, 0,
			    86400);
			break;
		case 'P':
			options.plain = true;
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

int
main(int argc, char *argv[])
{
	setprogname(argv[0]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	parse_options(argc, argv);
	memset(reply, 'r', sizeof(reply));
	block_signals();

	if (options.clients > 0)
		return clients_visit((in_port_t)options.port, options.clients);
	return argc == 1 ? show_itself() : serve_port();
}
