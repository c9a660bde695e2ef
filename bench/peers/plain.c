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

const struct peer peer_close = {
	.name = "close(2)",
	.close = close_only,
	.at_once = true,
	.plain = true
};

const struct peer peer_shutdown = {
	.name = "SHUT_WR, close(2)",
	.close = shutdown_close,
	.at_once = true,
	.plain = true
};

const struct peer peer_so_linger = {
	.name = "SO_LINGER, close(2)",
	.close = linger_close_2,
	.blocks = true,
	.lingers = true
};
