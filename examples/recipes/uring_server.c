/*
 * uring_server.c - recipe: a server on io_uring, with liburing
 * was: io_uring_prep_close(sqe, c->fd);	now: close_later(c);
 * A half-close overtakes queued sends: wait for their completions.  A request
 * in flight holds the connection: to cut a close, cancel it and wait for that.
 * Direct ("registered") descriptors are not taken.  Copy request, close_later.
 * Needs liburing-dev (pkg-config liburing).
 * Usage: uring_server [port].  Each request gets a 413.  SIGTERM stops it.
 */
#include <sys/socket.h>

#include <netinet/in.h>

#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <graceclose.h>
#include <liburing.h>

#define CONNS	40			/* fewer than RLIMIT_NOFILE */
#define LIFE_MS	3000			/* to send a request, to read */
static const char reply[200000] = "HTTP/1.1 413 Content Too Large\r\n"
    "Content-Length: 199942\r\n\r\n";
static struct conn {			/* each has one request in flight */
	enum { ACCEPT, RECV, SEND, CLOSE } doing;
	int		  fd;
	struct __kernel_timespec limit;
	struct graceclose gc;
} conns[CONNS];
static struct io_uring ring;
static int listener, n, ended, delivered;

static void
stop(int sig)
{
	signal(sig, SIG_IGN);
	shutdown(listener, SHUT_RD);	/* accept fails with EINVAL */
}

/* It completes in any case: after ms (-1: no limit) it is cancelled. */
static void
request(struct conn *c, struct io_uring_sqe *sqe, long ms)
{
	c->limit = (struct __kernel_timespec){ ms / 1000, ms % 1000 * 1000000 };
	io_uring_sqe_set_data(sqe, c);
	if (sqe->opcode == IORING_OP_TIMEOUT || ms == -1)
		return;
	sqe->flags |= IOSQE_IO_LINK;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_link_timeout(sqe, &c->limit, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

static void
conn_accept(struct conn *c)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	*c = (struct conn){ .fd = -1 };
	io_uring_prep_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
	request(c, sqe, -1);
}

/* All is sent, or the request that waited for the close has completed. */
static void
close_later(struct conn *c)
{
	static const struct graceclose_opts quiet = { .timeout_ms = 3000,
	    .until = GRACECLOSE_QUIET, .idle_ms = 1000 };
	struct io_uring_sqe *sqe;

	if (c->doing != CLOSE && graceclose_begin(&c->gc, c->fd, &quiet) == -1)
		abort_close(c->fd);	/* and the step fails */
	c->doing = CLOSE;
	if (graceclose_step(&c->gc) != 1) {
		delivered += graceclose_end(&c->gc, NULL) == 0;
		ended++;
		conn_accept(c);
		return;
	}
	sqe = io_uring_get_sqe(&ring);
	if (graceclose_events(&c->gc) != 0)
		io_uring_prep_poll_add(sqe, c->fd, POLLIN);
	else				/* POLLHUP cannot be masked */
		io_uring_prep_timeout(sqe, &c->limit, 0, 0);
	request(c, sqe, graceclose_timeout(&c->gc));	/* has limits: not -1 */
}

static void
conn_turn(struct conn *c, int res)
{
	static char upload[1024];
	struct io_uring_sqe *sqe;

	if (c->doing == ACCEPT && res == -EINVAL) {
		n--;			/* SIGTERM */
	} else if (c->doing == CLOSE || res == (int)sizeof(reply)) {
		close_later(c);
	} else if (c->doing == ACCEPT && res < 0 && res != -ETIME) {
		sqe = io_uring_get_sqe(&ring);	/* ENFILE, for example: wait */
		io_uring_prep_timeout(sqe, &c->limit, 0, 0);
		request(c, sqe, 10);
	} else if (res <= 0 || c->doing == SEND) {
		abort_close(c->fd);	/* the client sees an error, no EOF */
		conn_accept(c);
	} else {
		sqe = io_uring_get_sqe(&ring);
		if (c->doing++ == ACCEPT)
			io_uring_prep_recv(sqe, c->fd = res, upload, 1024, 0);
		else
			io_uring_prep_send(sqe, c->fd, reply, sizeof(reply),
			    MSG_NOSIGNAL | MSG_WAITALL);	/* Linux 5.19 */
		request(c, sqe, LIFE_MS);
	}
}

int
main(int argc, char *argv[])
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	struct io_uring_cqe *cqe;

	if (io_uring_queue_init(2 * CONNS, &ring, 0) < 0)
		errx(77, "io_uring is refused, as in many containers");
	sin.sin_port = htons((in_port_t)strtol(argc > 1 ? argv[1] : "", 0, 10));
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&sin, len) == -1 ||
	    listen(listener, 100) == -1 ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) == -1 ||
	    signal(SIGTERM, stop) == SIG_ERR)
		err(1, "listen");
	dprintf(1, "listening on 127.0.0.1 port %d\n", ntohs(sin.sin_port));
	while (n < CONNS)
		conn_accept(&conns[n++]);
	while (n > 0) {
		io_uring_submit_and_wait(&ring, 1);
		while (io_uring_peek_cqe(&ring, &cqe) == 0) {
			if (cqe->user_data != 0)
				conn_turn(io_uring_cqe_get_data(cqe), cqe->res);
			io_uring_cqe_seen(&ring, cqe);
		}
	}
	printf("uring_server: %d of %d delivered\n", delivered, ended);
	return 0;
}
