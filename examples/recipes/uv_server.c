/*
 * uv_server.c - recipe: a server on libuv
 *
 * was: uv_close((uv_handle_t *)&c->tcp, on_gone);	now: close_later(c);
 * When all is written, a duplicate of the descriptor leaves libuv: uv_close()
 * ends nothing then.  A reaper closes it.  Copy close_later(), main()'s reaper.
 * Needs libuv1-dev (pkg-config libuv).
 * Usage: uv_server [port].  Each request gets a 413.  SIGTERM stops it.
 */
#include <err.h>
#include <stdlib.h>
#include <unistd.h>

#include <graceclose.h>
#include <uv.h>

#define CONNS	20			/* twice that is < RLIMIT_NOFILE */
#define LIFE_MS	3000			/* until the reply is written */
static char reply[200000] = "HTTP/1.1 413 Content Too Large\r\n"
    "Content-Length: 199942\r\n\r\n";
static char upload[1024];		/* of all: nobody looks at it */
static struct conn {
	uv_tcp_t	 tcp;
	uv_write_t	 write;
	uint64_t	 came;		/* 0: the place is free */
} conns[CONNS];
static struct graceclose_reaper *reaper;
static uv_tcp_t listener;
static int closes, full;
static void on_connection(uv_stream_t *, int);

static void
on_gone(uv_handle_t *tcp)
{
	((struct conn *)tcp->data)->came = 0;
	if (full && !uv_is_closing((uv_handle_t *)&listener))
		on_connection((uv_stream_t *)&listener, 0);
}

static void
close_later(struct conn *c)
{
	static const struct graceclose_opts quiet = { .timeout_ms = 3000,
	    .until = GRACECLOSE_QUIET, .idle_ms = 1000 };
	int fd = -1;

	if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	uv_close((uv_handle_t *)&c->tcp, on_gone);
	if (graceclose_reaper_close(reaper, fd, &quiet, NULL) == -1)
		close(fd);		/* last resort */
	closes++;
}

static void
on_second(uv_timer_t *timer)
{
	for (struct conn *c = conns; c < conns + CONNS; c++)
		if (c->came != 0 && uv_now(timer->loop) > c->came + LIFE_MS)
			uv_tcp_close_reset(&c->tcp, on_gone);	/* no EOF */
}

static void
on_written(uv_write_t *write, int status)
{
	if (status == 0)
		close_later(write->data);
	else if (status != UV_ECANCELED)	/* by on_second() */
		uv_tcp_close_reset((uv_tcp_t *)write->handle, on_gone);
}

static void
on_alloc(uv_handle_t *tcp, size_t size, uv_buf_t *buf)
{
	(void)tcp, (void)size;
	*buf = uv_buf_init(upload, sizeof(upload));
}

static void
on_read(uv_stream_t *tcp, ssize_t got, const uv_buf_t *buf)
{
	const uv_buf_t all = { reply, sizeof(reply) };
	struct conn *c = tcp->data;

	(void)buf;
	if (got == 0)			/* nothing yet */
		return;
	uv_read_stop(tcp);
	if (got < 0 || uv_write(&c->write, tcp, &all, 1, on_written) != 0)
		uv_close((uv_handle_t *)tcp, on_gone);
}

static void
on_connection(uv_stream_t *l, int status)
{
	struct conn *c = conns;

	while (c < conns + CONNS && c->came != 0)
		c++;
	if (status != 0 || (full = c == conns + CONNS))
		return;			/* they wait in the listener's queue */
	uv_tcp_init(l->loop, &c->tcp);
	c->tcp.data = c->write.data = c;
	c->came = uv_now(l->loop);
	if (uv_accept(l, (uv_stream_t *)&c->tcp) != 0 || uv_read_start(
	    (uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
		uv_close((uv_handle_t *)&c->tcp, on_gone);
}

static void
on_term(uv_signal_t *term, int sig)
{
	(void)sig;
	uv_close((uv_handle_t *)term, NULL);
	uv_close((uv_handle_t *)&listener, NULL);	/* replies go on */
}

int
main(int argc, char *argv[])
{
	const struct graceclose_reaper_opts oldest = { .max = CONNS,
	    .when_full = GRACECLOSE_OLDEST };
	struct graceclose_reaper_stats stats;
	uv_loop_t *loop = uv_default_loop();
	struct sockaddr_in sin;
	int len = sizeof(sin);
	uv_signal_t term;
	uv_timer_t second;

	signal(SIGPIPE, SIG_IGN);	/* libuv writes with write(2) */
	uv_ip4_addr("127.0.0.1", (int)strtol(argc > 1 ? argv[1] : "", 0, 10), &sin);
	if ((reaper = graceclose_reaper_new(&oldest)) == NULL ||
	    uv_timer_init(loop, &second) != 0 ||
	    uv_timer_start(&second, on_second, 1000, 1000) != 0 ||
	    uv_signal_init(loop, &term) != 0 ||
	    uv_signal_start(&term, on_term, SIGTERM) != 0 ||
	    uv_tcp_init(loop, &listener) != 0 ||
	    uv_tcp_bind(&listener, (struct sockaddr *)&sin, 0) != 0 ||
	    uv_listen((uv_stream_t *)&listener, 100, on_connection) != 0 ||
	    uv_tcp_getsockname(&listener, (struct sockaddr *)&sin, &len) != 0)
		errx(1, "cannot listen");
	dprintf(1, "listening on 127.0.0.1 port %d\n", ntohs(sin.sin_port));
	uv_unref((uv_handle_t *)&second);
	uv_run(loop, UV_RUN_DEFAULT);	/* until the last connection's end */
	graceclose_reaper_flush(reaper, 10000);
	graceclose_reaper_stats(reaper, &stats);
	graceclose_reaper_free(reaper);
	printf("uv_server: %d of %d delivered\n", (int)stats.ok, closes);
	return 0;
}
