/*
 * plain.c - the ways that need no loop: close(2), SHUT_WR before it, SO_LINGER
 *
 * close(2) returns at once.  With SO_LINGER it waits until the bytes are
 * acknowledged, for whole seconds at most (socket(7)).
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <unistd.h>

#include "peer.h"

static int
close_only(int fd, int limit_ms)
{
	(void)limit_ms;
	return close(fd);
}

static int
shutdown_close(int fd, int limit_ms)
{
	(void)limit_ms;
	if (shutdown(fd, SHUT_WR) == -1) {
		(void)close(fd);
		return -1;
	}
	return close(fd);
}

static int
linger_close_2(int fd, int limit_ms)
{
	const struct linger l = { 1, (limit_ms + 999) / 1000 };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)) == -1) {
		(void)close(fd);
		return -1;
	}
	return close(fd);
}

static void
close_serve(int listener, int requests)
{
	peer_serve_in_turn(listener, requests, close_only);
}

static int
close_all(const int *fds, int n, int limit_ms)
{
	return peer_close_in_turn(fds, n, limit_ms, close_only);
}

const struct peer peer_close = {
	.name = "close(2)",
	.serve = close_serve,
	.close_all = close_all,
	.at_once = true,
	.plain = true
};

static void
shutdown_serve(int listener, int requests)
{
	peer_serve_in_turn(listener, requests, shutdown_close);
}

static int
shutdown_all(const int *fds, int n, int limit_ms)
{
	return peer_close_in_turn(fds, n, limit_ms, shutdown_close);
}

const struct peer peer_shutdown = {
	.name = "SHUT_WR, close(2)",
	.serve = shutdown_serve,
	.close_all = shutdown_all,
	.at_once = true,
	.plain = true
};

static void
so_linger_serve(int listener, int requests)
{
	peer_serve_in_threads(listener, requests, linger_close_2);
}

static int
so_linger_all(const int *fds, int n, int limit_ms)
{
	return peer_close_in_turn(fds, n, limit_ms, linger_close_2);
}

const struct peer peer_so_linger = {
	.name = "SO_LINGER, close(2)",
	.serve = so_linger_serve,
	.close_all = so_linger_all,
	.linger = linger_close_2
};
