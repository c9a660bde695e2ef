/* wire.c - see wire.h */
#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "replycheck/wire.h"

#ifdef HAVE_OPENSSL

#include <openssl/err.h>
#include <openssl/ssl.h>

#define BLOCK	16384		/* a record has no more */

const char *
wire_tls_missing(void)
{
	static const struct sigaction ignore = { .sa_handler = SIG_IGN };

	return sigaction(SIGPIPE, &ignore, NULL) == -1 ?
	    "cannot ignore SIGPIPE" : NULL;
}

/* Made once; a reply is not trusted, so no certificate is looked at. */
static SSL_CTX *
context(void)
{
	static SSL_CTX *ctx;

	if (ctx == NULL && (ctx = SSL_CTX_new(TLS_client_method())) != NULL) {
		(void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
		    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		/* So to send needs no input, nor to receive output. */
		(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
	}
	return ctx;
}

static bool
is_address(const char *host)
{
	return host[strspn(host, "0123456789.")] == '\0' ||
	    strchr(host, ':') != NULL;
}

static SSL *
new_tls(int fd, const char *host)
{
	SSL *ssl = context() != NULL ? SSL_new(context()) : NULL;

	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 ||
	    (!is_address(host) && SSL_set_tlsext_host_name(ssl, host) != 1)) {
		SSL_free(ssl);
		errno = ENOMEM;
		return NULL;
	}
	SSL_set_connect_state(ssl);
	return ssl;
}

/* errno for what a call of OpenSSL returned; 0: the peer has ended its side. */
static int
error_of(struct wire *w, int r)
{
	unsigned long first;
	int saved = errno;

	switch (SSL_get_error(w->tls, r)) {
	case SSL_ERROR_WANT_READ:
		w->wants = POLLIN;
		return EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		w->wants = POLLOUT;
		return EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return saved;
	}
	/* A FIN without close_notify is the server's FIN, too. */
	first = ERR_peek_error();
	return ERR_GET_REASON(first) == SSL_R_UNEXPECTED_EOF_WHILE_READING ?
	    0 : EPROTO;
}

/* Sets errno; returns -1, or 0 at the end. */
static int
failed(struct wire *w, int r)
{
	int error = error_of(w, r);

	ERR_clear_error();
	errno = error;
	return error == 0 ? 0 : -1;
}

int
wire_shake(struct wire *w, const char *host)
{
	int r;

	if (w->tls == NULL && (w->tls = new_tls(w->fd, host)) == NULL)
		return -1;
	errno = 0;
	if ((r = SSL_do_handshake(w->tls)) == 1)
		return 0;
	if (failed(w, r) == 0)
		errno = ECONNRESET;	/* the server ended instead */
	return -1;
}

static ssize_t
tls_send(struct wire *w, const void *buf, size_t n)
{
	int r;

	errno = 0;
	r = SSL_write(w->tls, buf, n < BLOCK ? (int)n : BLOCK);
	if (r > 0)
		return r;
	if (failed(w, r) == 0)
		errno = EPIPE;
	return -1;
}

static ssize_t
tls_recv(struct wire *w, void *buf, size_t n)
{
	int r;

	errno = 0;
	r = SSL_read(w->tls, buf, n < BLOCK ? (int)n : BLOCK);
	return r > 0 ? r : failed(w, r);
}

/* The server's tickets are no reply. */
static bool
tls_readable(struct wire *w)
{
	char c;
	int r;

	errno = 0;
	r = SSL_peek(w->tls, &c, 1);
	return r > 0 || failed(w, r) == 0 || errno != EAGAIN;
}

static void
tls_end(struct wire *w)
{
	SSL_free(w->tls);
}

#else

const char *
wire_tls_missing(void)
{
	return "built without OpenSSL, which TLS needs";
}

int
wire_shake(struct wire *w, const char *host)
{
	(void)w;
	(void)host;
	errno = ENOTSUP;
	return -1;
}

static ssize_t
tls_send(struct wire *w, const void *buf, size_t n)
{
	(void)buf;
	(void)n;
	return wire_shake(w, NULL);
}

static ssize_t
tls_recv(struct wire *w, void *buf, size_t n)
{
	(void)buf;
	(void)n;
	return wire_shake(w, NULL);
}

static bool
tls_readable(struct wire *w)
{
	(void)w;
	return true;
}

static void
tls_end(struct wire *w)
{
	(void)w;
}

#endif

void
wire_begin(struct wire *w, int fd)
{
	w->fd = fd;
	w->wants = 0;
	w->tls = NULL;
}

void
wire_end(struct wire *w)
{
	tls_end(w);
	w->tls = NULL;
	if (w->fd != -1)
		(void)close(w->fd);
	w->fd = -1;
}

ssize_t
wire_send(struct wire *w, const void *buf, size_t n)
{
	if (w->tls != NULL)
		return tls_send(w, buf, n);
	return send(w->fd, buf, n, MSG_NOSIGNAL);
}

ssize_t
wire_recv(struct wire *w, void *buf, size_t n)
{
	if (w->tls != NULL)
		return tls_recv(w, buf, n);
	return recv(w->fd, buf, n, 0);
}

bool
wire_readable(struct wire *w)
{
	struct pollfd p = { w->fd, POLLIN, 0 };

	if (w->tls != NULL)
		return tls_readable(w);
	return poll(&p, 1, 0) != 0;
}
