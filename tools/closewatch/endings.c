/* endings.c - see endings.h */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <linux/filter.h>

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <unistd.h>

#include <graceclose.h>

#include "closewatch/endings.h"
#include "closewatch/segment.h"
#include "stage/narrator.h"
#include "closewatch/tally.h"

#define REQUEST		1000
#define REPLY		3000

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

/* As epoll_server does; a blocking call would need another thread. */
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
 * The window of the client is full, and opens with its RST: then it is seen
 * that something was unread.
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

/* It has received nothing, so that nothing was unread. */
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
 * On loopback a FIN arrives before the call that sends it returns, so that
 * two never cross: unless a filter keeps the first from the server until the
 * client sends it again.  The flags are byte 13 of the TCP header, where the
 * filter of a TCP socket begins.
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

/* A port that nobody listens on: it is bound, and that is all. */
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

const struct ending endings[] = {
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
		"the client knocks where nobody listens",
		play_refused, .kinds = 1u << TALLY_REFUSED,
		.first = FLOW_SERVER, .reset_by = FLOW_SERVER,
		.bytes = { 0, 0 }
	}, {
		.title = NULL
	}
};

void
ending_verify(const struct ending *e, const struct flow *f)
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
