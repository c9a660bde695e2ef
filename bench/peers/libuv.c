/*
 * libuv.c - uv_shutdown(), read until EOF, uv_close()
 *
 * libuv's page of uv_stream_t: uv_shutdown() waits for pending writes, and
 * uv_close() is to follow.  A close is a success if both the FIN was sent and
 * the peer's FIN came.
 */
#include "peer.h"

#ifdef HAVE_LIBUV
#include <err.h>
#include <stdlib.h>
#include <unistd.h>

#include <uv.h>

#define BACKLOG	64

struct conn {
	uv_tcp_t	tcp;
	uv_write_t	write;
	uv_shutdown_t	shutdown;
	int		sent;		/* the FIN */
};

static uv_loop_t loop;
static uv_tcp_t server;
static uv_timer_t timer;
static int to_accept, left, ok;

static void
check(int error, const char *what)
{
	if (error != 0)
		errx(1, "%s: %s", what, uv_strerror(error));
}

static void
on_close(uv_handle_t *handle)
{
	free(handle->data);
	if (--left == 0 && to_accept == 0)
		uv_stop(&loop);
}

static void
on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	static char block[65536];

	(void)handle;
	(void)size;
	*buf = uv_buf_init(block, sizeof(block));
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct conn *c = stream->data;

	(void)buf;
	if (n >= 0)
		return;
	if (n == UV_EOF && c->sent)
		ok++;
	if (!uv_is_closing((uv_handle_t *)stream))
		uv_close((uv_handle_t *)stream, on_close);
}

static void
on_shutdown(uv_shutdown_t *req, int status)
{
	struct conn *c = req->data;

	c->sent = status == 0;
	if (status != 0 && !uv_is_closing((uv_handle_t *)&c->tcp))
		uv_close((uv_handle_t *)&c->tcp, on_close);
}

static struct conn *
conn_new(void)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		err(1, NULL);
	check(uv_tcp_init(&loop, &c->tcp), "uv_tcp_init");
	c->tcp.data = c->shutdown.data = c;
	left++;
	return c;
}

static void
conn_close(struct conn *c)
{
	uv_stream_t *stream = (uv_stream_t *)&c->tcp;

	if (uv_shutdown(&c->shutdown, stream, on_shutdown) != 0 ||
	    uv_read_start(stream, on_alloc, on_read) != 0)
		if (!uv_is_closing((uv_handle_t *)stream))
			uv_close((uv_handle_t *)stream, on_close);
}

static void
on_write(uv_write_t *req, int status)
{
	(void)req;
	(void)status;
}

static void
on_connection(uv_stream_t *listener, int status)
{
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)peer_reply,
	    (unsigned)PEER_REPLY);
	struct conn *c;

	if (status != 0 || to_accept == 0)
		return;
	to_accept--;
	c = conn_new();
	check(uv_accept(listener, (uv_stream_t *)&c->tcp), "uv_accept");
	check(uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_write),
	    "uv_write");
	conn_close(c);
}

static pid_t
start(int listener, const int *fds, int n)
{
	(void)listener;
	(void)fds;
	(void)n;
	check(uv_loop_init(&loop), "uv_loop_init");
	return getpid();
}

static void
serve(int listener, int requests)
{
	to_accept = requests;
	check(uv_tcp_init(&loop, &server), "uv_tcp_init");
	check(uv_tcp_open(&server, listener), "uv_tcp_open");
	check(uv_listen((uv_stream_t *)&server, BACKLOG, on_connection),
	    "uv_listen");
	(void)uv_run(&loop, UV_RUN_DEFAULT);
}

static void
on_limit(uv_timer_t *t)
{
	(void)t;
	uv_stop(&loop);
}

/* What the limit leaves open ends with the process. */
static int
close_all(const int *fds, int n, int limit_ms)
{
	int i, before = ok;

	check(uv_timer_init(&loop, &timer), "uv_timer_init");
	check(uv_timer_start(&timer, on_limit, (uint64_t)limit_ms, 0),
	    "uv_timer_start");
	for (i = 0; i < n; i++) {
		struct conn *c = conn_new();

		check(uv_tcp_open(&c->tcp, fds[i]), "uv_tcp_open");
		conn_close(c);
	}
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	(void)uv_timer_stop(&timer);
	return ok - before;
}
#endif

const struct peer peer_libuv = {
	.name = "libuv",
#ifdef HAVE_LIBUV
	.start = start,
	.serve = serve,
	.close_all = close_all,
#else
	.missing = "not installed: apt install libuv1-dev",
#endif
	.at_once = true
};
