/*
 * glib_server.c - recipe: a server with a GLib main loop and a GSocketService
 *
 * Was: the last g_object_unref() of the connection, or g_io_stream_close(),
 * which close its descriptor.  Now close_later() takes a duplicate first, and a
 * GSource of its own drives the close.  It lets the loop poll while
 * graceclose_events() says so: POLLHUP would always wake it.  Copy close_*().
 * A program adds a limit for the whole.  Where accept(2) fails, with ENFILE for
 * example, a GSocketService tries again at once, and spins.
 * Usage: glib_server [port].  Each request gets a 413.  SIGTERM stops it.
 * Needs libglib2.0-dev (pkg-config gio-2.0).
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>

#include <gio/gio.h>
#include <glib-unix.h>

#include <graceclose.h>

#define CONNS	40			/* fewer than RLIMIT_NOFILE */
#define LIFE	3			/* s without progress */
static const char reply[200000] = "HTTP/1.1 413 Content Too Large\r\n"
    "Content-Length: 199942\r\n\r\n";

struct closing {
	GSource			 source;
	gpointer		 tag;	/* NULL: the loop does not poll fd */
	int			 fd;
	struct graceclose	 gc;
};
static GSocketService *service;
static int stopping, n, ended, delivered;

static gboolean
close_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
	struct closing *c = (struct closing *)source;

	(void)callback, (void)data;
	if (graceclose_step(&c->gc) != 1)
		return G_SOURCE_REMOVE;
	if (c->tag != NULL)
		g_source_remove_unix_fd(source, c->tag);
	c->tag = graceclose_events(&c->gc) == 0 ? NULL :
	    g_source_add_unix_fd(source, c->fd, G_IO_IN);
	g_source_set_ready_time(source, g_get_monotonic_time() + 1000L *
	    graceclose_timeout(&c->gc));	/* has limits: not -1 */
	return G_SOURCE_CONTINUE;
}

static void
close_finalize(GSource *source)
{
	delivered += graceclose_end(&((struct closing *)source)->gc, NULL) == 0;
	ended++;
	if (n-- == CONNS && !stopping)
		g_socket_service_start(service);
}

static void
close_later(GSocketConnection *connection, gboolean replied)
{
	static const struct graceclose_opts quiet = { .timeout_ms = 3000,
	    .until = GRACECLOSE_QUIET, .idle_ms = 1000 };
	static GSourceFuncs funcs = { .dispatch = close_dispatch,
	    .finalize = close_finalize };
	GSource *source = g_source_new(&funcs, sizeof(struct closing));
	struct closing *c = (struct closing *)source;

	c->fd = fcntl(g_socket_get_fd(g_socket_connection_get_socket(
	    connection)), F_DUPFD_CLOEXEC, 0);
	if (!replied || graceclose_begin(&c->gc, c->fd, &quiet) == -1)
		abort_close(c->fd);	/* an error, no EOF; the step fails */
	g_object_unref(connection);
	g_source_set_ready_time(source, 0);	/* the first step */
	g_source_attach(source, NULL);
	g_source_unref(source);
}

static void
on_written(GObject *stream, GAsyncResult *result, gpointer connection)
{
	close_later(connection, g_output_stream_write_all_finish(
	    G_OUTPUT_STREAM(stream), result, NULL, NULL));
}

static void
on_request(GObject *stream, GAsyncResult *result, gpointer connection)
{
	if (g_input_stream_read_finish(G_INPUT_STREAM(stream), result,
	    NULL) <= 0)
		close_later(connection, FALSE);
	else
		g_output_stream_write_all_async(g_io_stream_get_output_stream(
		    connection), reply, sizeof(reply), G_PRIORITY_DEFAULT,
		    NULL, on_written, connection);
}

/* Where no place is free the others wait in the listener's queue. */
static gboolean
on_incoming(GSocketService *s, GSocketConnection *connection, GObject *source,
    gpointer data)
{
	static char request[1024];	/* of all: nobody looks at it */

	(void)source, (void)data;
	g_socket_set_timeout(g_socket_connection_get_socket(connection), LIFE);
	g_input_stream_read_async(g_io_stream_get_input_stream(
	    G_IO_STREAM(connection)), request, sizeof(request),
	    G_PRIORITY_DEFAULT, NULL, on_request, g_object_ref(connection));
	if (++n == CONNS)
		g_socket_service_stop(s);
	return TRUE;
}

static gboolean
on_term(gpointer data)
{
	(void)data;
	return stopping = TRUE;
}

int
main(int argc, char *argv[])
{
	g_autoptr(GSocketAddress) bound = NULL;
	g_autoptr(GSocketAddress) any = g_inet_socket_address_new_from_string(
	    "127.0.0.1", argc < 2 ? 0 :
	    (guint)g_ascii_strtoull(argv[1], NULL, 10));

	service = g_socket_service_new();
	g_socket_listener_set_backlog(G_SOCKET_LISTENER(service), 100);
	if (!g_socket_listener_add_address(G_SOCKET_LISTENER(service), any,
	    G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL, &bound, NULL))
		errx(1, "cannot listen");
	g_signal_connect(service, "incoming", G_CALLBACK(on_incoming), NULL);
	g_unix_signal_add(SIGTERM, on_term, NULL);
	g_print("listening on 127.0.0.1 port %d\n",
	    g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(bound)));
	while (!stopping)
		g_main_context_iteration(NULL, TRUE);
	g_socket_service_stop(service);
	g_socket_listener_close(G_SOCKET_LISTENER(service));
	while (n > 0)
		g_main_context_iteration(NULL, TRUE);
	g_print("glib_server: %d of %d delivered\n", delivered, ended);
	return 0;
}
