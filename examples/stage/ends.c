/* ends.c - see ends.h */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <linux/sockios.h>

#include <err.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "stage/ends.h"
#include "stage/narrator.h"

#define AWAIT_MS	5000

/*
 * Without Nagle's delay an answer leaves at once, so that a step looks the same
 * in every run.
 */
static void
no_delay(int fd)
{
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 },
	    sizeof(int)) == -1)
		err(1, "setsockopt TCP_NODELAY");
}

void
ends_open(struct ends *ends, int rcvbuf)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int listener, fd;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((listener = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    (fd = socket(AF_INET, SOCK_STREAM, 0)) == -1)
		err(1, "socket");
	if (bind(listener, (struct sockaddr *)&sin, len) == -1 ||
	    listen(listener, 1) == -1 ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) == -1)
		err(1, "listen on 127.0.0.1");
	if (rcvbuf != 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf,
	    sizeof(rcvbuf)) == -1)
		err(1, "setsockopt SO_RCVBUF");
	if (connect(fd, (struct sockaddr *)&sin, len) == -1)
		err(1, "connect to 127.0.0.1");
	ends->client.fd = fd;
	ends->server.port = sin.sin_port;
	len = sizeof(sin);
	if ((ends->server.fd = accept(listener, (struct sockaddr *)&sin,
	    &len)) == -1)
		err(1, "accept");
	ends->client.port = sin.sin_port;
	close(listener);
	no_delay(ends->client.fd);
	no_delay(ends->server.fd);
}

void
ends_close(struct ends *ends)
{
	if (ends->client.fd != -1)
		close(ends->client.fd);
	if (ends->server.fd != -1)
		close(ends->server.fd);
	ends->client.fd = ends->server.fd = -1;
}

struct ends
ends_client_view(const struct ends *ends)
{
	struct ends view = *ends;

	view.server.fd = -1;
	return view;
}

struct ends
ends_server_view(const struct ends *ends)
{
	struct ends view = *ends;

	view.client.fd = -1;
	return view;
}

static void
look_by_descriptor(int fd, struct diag_look *look)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int unacked, unread;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == -1)
		err(1, "getsockopt TCP_INFO");
	if (ioctl(fd, SIOCOUTQ, &unacked) == -1)
		err(1, "ioctl SIOCOUTQ");
	if (ioctl(fd, FIONREAD, &unread) == -1)
		err(1, "ioctl FIONREAD");
	look->state = info.tcpi_state;
	look->unacked = diag_without_fin(look->state, unacked);
	look->unread = unread;
}

static void
look_without_descriptor(in_port_t local, in_port_t remote,
    struct diag_look *look)
{
	int diag = diag_open();

	if (diag == -1 || !diag_look(diag, local, remote, look))
		err(1, "NETLINK_SOCK_DIAG");
	close(diag);
}

/*
 * After a normal end TCP_INFO of the descriptor says CLOSE.  The kernel keeps
 * TIME_WAIT in another structure.
 */
static void
look_at(const struct end *end, const struct end *other, struct diag_look *look)
{
	struct diag_look apart;

	if (end->fd == -1) {
		look_without_descriptor(end->port, other->port, look);
		return;
	}
	look_by_descriptor(end->fd, look);
	if (look->state != TCP_CLOSE)
		return;
	look_without_descriptor(end->port, other->port, &apart);
	if (apart.state == TCP_TIME_WAIT)
		look->state = TCP_TIME_WAIT;
}

void
ends_look(const struct ends *ends, struct diag_look *client,
    struct diag_look *server)
{
	look_at(&ends->client, &ends->server, client);
	look_at(&ends->server, &ends->client, server);
}

bool
ends_await(const struct ends *ends, unsigned client, unsigned server)
{
	struct diag_look c, s;
	double limit = show_now() + AWAIT_MS;

	do {
		ends_look(ends, &c, &s);
		if ((client & ENDS_IN(c.state)) && (server & ENDS_IN(s.state)))
			return true;
		show_nap();
	} while (show_now() < limit);
	return false;
}

bool
ends_await_acked(const struct ends *ends)
{
	struct diag_look c, s;
	double limit = show_now() + AWAIT_MS;

	do {
		ends_look(ends, &c, &s);
		if (c.unacked == 0)
			return true;
		show_nap();
	} while (show_now() < limit);
	return false;
}

size_t
ends_send(int fd, const void *data, size_t size)
{
	size_t sent = 0;
	ssize_t n;

	while (sent < size) {
		n = send(fd, (const char *)data + sent, size - sent,
		    MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			break;
		sent += (size_t)n;
	}
	return sent;
}
