/*
 * tls_loop.c - recipe: a poll(2) loop with non-blocking OpenSSL
 * Needs libssl-dev (pkg-config openssl).
 *
 * SSL_shutdown() may want to write, as SSL_write() may.  While it returns -1,
 * OpenSSL still has the close_notify, and a FIN would cut it off.  With 0 or 1
 * the close begins.  Copy conn_talk(), close_later().  Was: SSL_shutdown().
 * Usage: tls_loop [port].  Each request gets a 413.  SIGTERM stops it.
 */
#include <sys/socket.h>

#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <graceclose.h>

#define CONNS	40			/* fewer than RLIMIT_NOFILE */
#define LIFE_S	3			/* until the reply is written */

static const char reply[200000] = "HTTP/1.1 413 Content Too Large\r\n"
    "Content-Length: 199942\r\n\r\n";
static struct conn {
	int		  fd, phase;	/* the next call of conn_talk() */
	SSL		 *ssl;		/* NULL: it is being closed */
	time_t		  came;
	struct graceclose gc;
} conns[CONNS];
static int n, ended, delivered;
static SSL_CTX *ctx;
static volatile sig_atomic_t stopping;

static void
stop(int sig)
{
	stopping = sig;
}

static void
close_later(struct conn *c)
{
	static const struct graceclose_opts quiet = {
		.until = GRACECLOSE_QUIET, .timeout_ms = 3000, .idle_ms = 1000
	};

	SSL_free(c->ssl);		/* leaves the fd of SSL_set_fd() open */
	c->ssl = NULL;
	if (graceclose_begin(&c->gc, c->fd, &quiet) == -1)
		abort_close(c->fd);	/* and the step fails */
}

/* What SSL_get_error() says; SSL_ERROR_NONE: the close has begun. */
static int
conn_talk(struct conn *c)
{
	char request[1024];
	int r;

	for (; c->phase < 4; c->phase++) {
		ERR_clear_error();	/* of other connections */
		if ((r = c->phase == 0 ? SSL_accept(c->ssl) :
		    c->phase == 1 ? SSL_read(c->ssl, request, 1024) :
		    c->phase == 2 ? SSL_write(c->ssl, reply, 200000) :
		    SSL_shutdown(c->ssl) < 0 ? -1 : 1) > 0)
			continue;
		return SSL_get_error(c->ssl, r);
	}
	close_later(c);
	return SSL_ERROR_NONE;
}

/* 0: the connection is over, and was closed. */
static int
conn_turn(struct conn *c)
{
	int e = c->ssl == NULL ? SSL_ERROR_NONE : conn_talk(c);
	struct graceclose_report report = { .delivered = 0 };

	if (e == SSL_ERROR_NONE ? graceclose_step(&c->gc) == 1 :
	    (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) &&
	    time(NULL) - c->came < LIFE_S)
		return 1;
	if (e != SSL_ERROR_NONE)
		abort_close(c->fd);	/* the client sees an error, no EOF */
	else	/* fails where the client did not read the close_notify */
		graceclose_end(&c->gc, &report);
	delivered += report.delivered;
	SSL_free(c->ssl);
	ended++;
	return 0;
}

static void
turn(int fd)
{
	struct pollfd p[CONNS + 1];
	int i, t, ms = 1000;
	struct conn *c;

	for (i = 0, c = conns; i < n; i++, c++) {
		p[i].events = (short)(c->ssl == NULL ?
		    graceclose_events(&c->gc) :
		    SSL_want_write(c->ssl) ? POLLOUT : POLLIN);
		p[i].fd = p[i].events != 0 ? c->fd : -1;
		t = c->ssl == NULL ? graceclose_timeout(&c->gc) : ms;
		ms = t != -1 && t < ms ? t : ms;
	}
	p[n] = (struct pollfd){ stopping || n == CONNS ? -1 : fd, POLLIN, 0 };
	if (poll(p, (nfds_t)n + 1, ms) > 0 && p[n].revents != 0) {
		*c = (struct conn){ .fd = accept(fd, NULL, NULL),
		    .ssl = SSL_new(ctx), .came = time(NULL) };
		if (!BIO_socket_nbio(c->fd, 1) || !SSL_set_fd(c->ssl, c->fd))
			poll(NULL, 0, 10);	/* ENFILE: its turn fails */
		n++;
	}
	for (i = n - 1; i >= 0; i--)	/* the last takes the place */
		if (!conn_turn(&conns[i]))
			conns[i] = conns[--n];
}

int
main(int argc, char *argv[])
{
	BIO *bio = BIO_new_accept("127.0.0.1:0");
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();		/* yours comes from a file */

	signal(SIGTERM, stop);
	signal(SIGPIPE, SIG_IGN);	/* OpenSSL calls write(2) */
	if ((argc > 1 && BIO_set_accept_port(bio, argv[1]) <= 0) ||
	    BIO_do_accept(bio) <= 0 ||		/* with a queue of 32 only */
	    listen((int)BIO_get_fd(bio, NULL), 100) == -1 ||
	    (ctx = SSL_CTX_new(TLS_server_method())) == NULL ||
	    !X509_gmtime_adj(X509_getm_notBefore(x), 0) ||
	    !X509_gmtime_adj(X509_getm_notAfter(x), 86400) ||
	    !X509_set_pubkey(x, key) || !X509_sign(x, key, EVP_sha256()) ||
	    SSL_CTX_use_cert_and_key(ctx, x, key, NULL, 1) != 1)
		errx(1, "%s", ERR_error_string(ERR_get_error(), NULL));
	printf("listening on 127.0.0.1 port %s\n", BIO_get_accept_port(bio));
	fflush(stdout);
	while (!stopping || n > 0)
		turn((int)BIO_get_fd(bio, NULL));
	BIO_free(bio);
	printf("tls_loop: %d of %d delivered\n", delivered, ended);
	return 0;
}
