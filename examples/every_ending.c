/*
 * every_ending - every way to end a TCP connection, and what closewatch says
 *
 * The program ends connections over loopback in ten ways, and captures lo at
 * the same time with the modules of closewatch(8).  It compares what the
 * capture shows with what it did: who closed first, who sent the RST, and how
 * many bytes were lost.
 *
 * Usage: every_ending [--help]
 *
 * Exit status: 0, also where it may not capture, which it says; 1 when an
 * ending came out differently; 2 for a wrong option.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <linux/filter.h>

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bsd/stdlib.h>

#include <graceclose.h>

#include "closewatch/flow.h"
#include "closewatch/monitor.h"
#include "closewatch/segment.h"
#include "closewatch/tally.h"
#include "stage/ends.h"
#include "stage/narrator.h"

#define LOOK_MS		20
#define LOOK_US		(LOOK_MS * (int64_t)1000)
#define AWAIT_US	(5 * (int64_t)1000000)

#define REQUEST		1000
#define REPLY		3000

struct ending {
	const char	*title;

	/* Play it; NULL, or what the kernel refused, and errno. */
	const char	*(*play)(struct ends *ends);

	/* When the capture shows this, the second part follows. */
	bool		 (*when)(const struct flow *f);
	void		 (*then)(struct ends *ends);

	unsigned	 kinds;		/* a delayed ACK decides which */
	int		 first, reset_by;
	uint64_t	 lost;		/* of the client's */
	int64_t		 bytes[2];	/* -1: any number */
};

static const char	request[REQUEST], reply[REPLY];

static void
must_send(int fd, const char *data, size_t size)
{
	if (ends_send(fd, data, size) != size)
		err(1, "send of %zu bytes", size);
}

static void
must_read(int fd, size_t size)
{
	char buf[REPLY];

	if (recv(fd, buf, size, MSG_WAITALL) != (ssize_t)size)
		err(1, "recv of %zu bytes", size);
}

static void
must_see_eof(int fd)
{
	if (recv(fd, &(char){ 0 }, 1, 0) != 0)
		err(1, "recv of an EOF");
}

static void
close_client(struct ends *ends)
{
	close(ends->client.fd);
	ends->client.fd = -1;
}

static void
close_server(struct ends *ends)
{
	close(ends->server.fd);
	ends->server.fd = -1;
}

static void
ask_and_answer(struct ends *ends)
{
	ends_open(ends, 0);
	must_send(ends->client.fd, request, REQUEST);
	must_read(ends->server.fd, REQUEST);
	must_send(ends->server.fd, reply, REPLY);
	must_read(ends->client.fd, REPLY);
}

static const char *
play_in_order(struct ends *ends)
{
	ask_and_answer(ends);
	shutdown(ends->client.fd, SHUT_WR);
	show_expect(graceful_close(ends->server.fd) == 0, "graceful_close");
	ends->server.fd = -1;
	return NULL;
}

/* As epoll_server does: a blocking call would need another thread. */
static const char *
play_graceful(struct ends *ends)
{
	struct graceclose gc;
	struct graceclose_report report;
	int fd;

	ends_open(ends, 0);
	must_send(ends->client.fd, request, REQUEST);
	fd = ends->server.fd;
	ends->server.fd = -1;
	if (graceclose_begin(&gc, fd, NULL) == -1)
		err(1, "graceclose_begin");
	graceclose_step(&gc);
	must_see_eof(ends->client.fd);
	close_client(ends);
	while (graceclose_step(&gc) == 1)
		poll(NULL, 0, graceclose_timeout(&gc) == 0 ? 0 : 1);
	graceclose_end(&gc, &report);
	show_expect(report.outcome == GRACECLOSE_OK &&
	    report.discarded == REQUEST, "graceclose: %s",
	    show_errno(report.error));
	return NULL;
}

static const char *
play_close(struct ends *ends)
{
	ends_open(ends, 0);
	must_send(ends->client.fd, request, REQUEST);
	close_server(ends);
	return NULL;
}

/*
 * The client's window is 0, and opens with its RST, which shows that input was
 * unread.
 */
static const char *
play_full(struct ends *ends)
{
	static const char much[65536];

	ends_open(ends, 4096);
	send(ends->server.fd, much, sizeof(much), MSG_DONTWAIT);
	return NULL;
}

static bool
client_is_full(const struct flow *f)
{
	return f->side[FLOW_CLIENT].shut;
}

/* The client has received nothing, so nothing is unread. */
static const char *
play_linger_0(struct ends *ends)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	ends_open(ends, 0);
	must_send(ends->client.fd, request, REQUEST);
	if (setsockopt(ends->client.fd, SOL_SOCKET, SO_LINGER, &linger,
	    sizeof(linger)) == -1)
		err(1, "setsockopt SO_LINGER");
	close_client(ends);
	return NULL;
}

static const char *
play_abort(struct ends *ends)
{
	ask_and_answer(ends);
	abort_close(ends->server.fd);
	ends->server.fd = -1;
	return NULL;
}

static const char *
play_late_data(struct ends *ends)
{
	ask_and_answer(ends);
	close_server(ends);
	ends_await(ends, ENDS_IN(TCP_CLOSE_WAIT), ENDS_ANY);
	must_send(ends->client.fd, request, REQUEST);
	return NULL;
}

static const char *
play_half_close(struct ends *ends)
{
	ends_open(ends, 0);
	must_send(ends->client.fd, request, REQUEST);
	shutdown(ends->client.fd, SHUT_WR);
	must_read(ends->server.fd, REQUEST);
	must_see_eof(ends->server.fd);
	must_send(ends->server.fd, reply, REPLY);
	close_server(ends);
	must_read(ends->client.fd, REPLY);
	return NULL;
}

/*
 * On loopback a FIN arrives before the call that sends it returns, so two FINs
 * never cross.  Here a filter keeps the first FIN from the server until the
 * client sends it again.  A filter of a TCP socket begins at the TCP header,
 * whose byte 13 has the flags.
 */
static const char *
play_simultaneous(struct ends *ends)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SEGMENT_FIN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog filter = { 4, code };
	int fd;

	ask_and_answer(ends);
	fd = ends->server.fd;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter,
	    sizeof(filter)) == -1)
		return "setsockopt SO_ATTACH_FILTER";
	shutdown(ends->client.fd, SHUT_WR);
	shutdown(fd, SHUT_WR);
	if (setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){ 0 },
	    sizeof(int)) == -1)
		err(1, "setsockopt SO_DETACH_FILTER");
	return NULL;
}

/* The port is bound, but no socket listens on it. */
static const char *
play_refused(struct ends *ends)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int server, client;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((server = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    (client = socket(AF_INET, SOCK_STREAM, 0)) == -1)
		err(1, "socket");
	if (bind(client, (struct sockaddr *)&sin, len) == -1 ||
	    getsockname(client, (struct sockaddr *)&sin, &len) == -1)
		err(1, "bind");
	ends->client = (struct end){ client, sin.sin_port };
	sin.sin_port = 0;
	if (bind(server, (struct sockaddr *)&sin, len) == -1 ||
	    getsockname(server, (struct sockaddr *)&sin, &len) == -1)
		err(1, "bind");
	ends->server = (struct end){ server, sin.sin_port };
	show_expect(connect(client, (struct sockaddr *)&sin, len) == -1 &&
	    errno == ECONNREFUSED, "connect was not refused");
	return NULL;
}

#define IN_ORDER	(1u << TALLY_FOUR_WAY | 1u << TALLY_THREE_SEGMENT)
#define A_RESET(why)	(1u << (TALLY_RESET + (why)))

/* One after the other; the last has no title. */
static const struct ending endings[] = {
	{
		"the client shuts its side, the server calls graceful_close()",
		play_in_order, .kinds = IN_ORDER,
		.first = FLOW_CLIENT, .reset_by = -1,
		.bytes = { REQUEST, REPLY }
	}, {
		"the server closes with unread input, by graceclose_begin()",
		play_graceful, .kinds = IN_ORDER,
		.first = FLOW_SERVER, .reset_by = -1,
		.bytes = { REQUEST, 0 }
	}, {
		"the server closes with unread input, by close()",
		play_close, .kinds = A_RESET(FLOW_WHY_EITHER),
		.first = FLOW_SERVER, .reset_by = FLOW_SERVER,
		.bytes = { REQUEST, 0 }
	}, {
		"the client closes with unread input, so much that its window "
		"is full",
		play_full, client_is_full, close_client,
		.kinds = A_RESET(FLOW_WHY_UNREAD),
		.first = FLOW_CLIENT, .reset_by = FLOW_CLIENT,
		.bytes = { 0, -1 }
	}, {
		"the client sends, and closes with SO_LINGER {1,0}",
		play_linger_0, .kinds = A_RESET(FLOW_WHY_ABORT),
		.first = FLOW_CLIENT, .reset_by = FLOW_CLIENT,
		.bytes = { REQUEST, 0 }
	}, {
		"the server has read all, and calls abort_close()",
		play_abort, .kinds = A_RESET(FLOW_WHY_EITHER),
		.first = FLOW_SERVER, .reset_by = FLOW_SERVER,
		.bytes = { REQUEST, REPLY }
	}, {
		"the server closes, then the client sends more",
		play_late_data, .kinds = A_RESET(FLOW_WHY_LATE_DATA),
		.first = FLOW_SERVER, .reset_by = FLOW_SERVER, .lost = REQUEST,
		.bytes = { REQUEST + REQUEST, REPLY }
	}, {
		"the client shuts its side, then the server answers and "
		"closes",
		play_half_close, .kinds = IN_ORDER,
		.first = FLOW_CLIENT, .reset_by = -1,
		.bytes = { REQUEST, REPLY }
	}, {
		"both shut their sides, and the FINs cross",
		play_simultaneous, .kinds = 1u << TALLY_SIMULTANEOUS,
		.first = FLOW_CLIENT, .reset_by = -1,
		.bytes = { REQUEST, REPLY }
	}, {
		"the client connects to a port without a listening socket",
		play_refused, .kinds = 1u << TALLY_REFUSED,
		.first = FLOW_SERVER, .reset_by = FLOW_SERVER,
		.bytes = { 0, 0 }
	}, {
		.title = NULL
	}
};

static void
verify(const struct ending *e, const struct flow *f)
{
	int kind = tally_kind(f);

	show_expect(e->kinds & 1u << kind, "%s: %s", e->title,
	    tally_name(kind));
	show_expect(f->first == e->first, "%s: first %d, expected %d",
	    e->title, f->first, e->first);
	show_expect(f->reset_by == e->reset_by, "%s: reset by %d", e->title,
	    f->reset_by);
	show_expect(flow_lost(f, FLOW_CLIENT) == e->lost &&
	    flow_lost(f, FLOW_SERVER) == 0, "%s: lost %" PRIu64 ", %" PRIu64,
	    e->title, flow_lost(f, FLOW_CLIENT), flow_lost(f, FLOW_SERVER));
	for (int i = 0; i < 2; i++)
		show_expect(e->bytes[i] == -1 ||
		    (int64_t)flow_sent(f, i) == e->bytes[i],
		    "%s: %" PRIu64 " bytes of the %s", e->title,
		    flow_sent(f, i), tally_side(i));
}

/* --- played and compared ------------------------------------------------- */

static const struct flow *
see(struct monitor *m, const struct ends *ends)
{
	return monitor_see(m, ntohs(ends->client.port),
	    ntohs(ends->server.port), LOOK_MS);
}

static void
await_more(struct monitor *m, const struct ending *e, struct ends *ends)
{
	int64_t limit = m->now + AWAIT_US;
	const struct flow *f;

	do
		f = see(m, ends);
	while ((f == NULL || !e->when(f)) && m->now < limit);
	e->then(ends);
}

/* Wait until it has ended and no segment follows; NULL: it did not end. */
static const struct flow *
await_end(struct monitor *m, const struct ends *ends)
{
	int64_t limit = m->now + AWAIT_US, news = m->now;
	uint64_t segments = m->tally.segments;
	const struct flow *f;

	do {
		f = see(m, ends);
		if (m->tally.segments != segments)
			news = m->now;
		segments = m->tally.segments;
		if (f != NULL && flow_over(f) && m->now - news >= LOOK_US)
			return f;
	} while (m->now < limit);
	return NULL;
}

static void
show_ending(struct monitor *m, const struct ending *e)
{
	struct ends ends = { 0 };
	const struct flow *f;
	const char *refused;

	show_text("\n%s\n", e->title);
	if ((refused = e->play(&ends)) != NULL) {
		show_text("not here: %s: %s\n", refused, show_errno(errno));
		ends_close(&ends);
		return;
	}
	if (e->when != NULL)
		await_more(m, e, &ends);
	if ((f = await_end(m, &ends)) == NULL) {
		show_expect(false, "%s: no end was seen", e->title);
	} else {
		verify(e, f);
		conns_tell_all(m->conns, m->now);
	}
	ends_close(&ends);
}

static int
show_endings(struct monitor *m)
{
	show_title("What ended on lo, and how");
	show_text("\nAs `closewatch -i lo` prints it, below what the two "
	    "ends did:\n");
	for (const struct ending *e = endings; e->title != NULL; e++)
		show_ending(m, e);
	monitor_summary(m);
	show_text("\nthere: bytes from the client; back: bytes from the "
	    "server.  Bytes that were sent and never\nacknowledged are lost.  "
	    "An RST may also destroy bytes in a send queue or a receive "
	    "queue;\nno capture shows these.\n");
	monitor_close(m);
	return show_verdict();
}

static _Noreturn void
usage(FILE *out, int status)
{
	fprintf(out, "usage: %s [--help]\n", getprogname());
	exit(status);
}

int
main(int argc, char *argv[])
{
	static const struct option names[] = {
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	static const struct monitor_options options = {
		.interface = "lo", .max = 100
	};
	static struct monitor monitor;
	const char *why;
	int c;

	setprogname(argv[0]);
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1)
		c == 'h' ? usage(stdout, 0) : exit(2);
	if (optind < argc)
		errx(2, "unexpected argument: %s", argv[optind]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (monitor_open(&monitor, &options, &why))
		return show_endings(&monitor);
	show_text("%s: lo: %s\n", getprogname(), why);
	return 0;
}
