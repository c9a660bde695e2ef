/*
 * tls_server.c - recipe: OpenSSL, and a process or thread for each connection
 * Needs libssl-dev (pkg-config openssl).
 * The close_notify of TLS must go before the FIN, so SSL_shutdown() is called
 * first, and once.  It returns 0 when the close_notify was sent, and 1 if the
 * client's has come as well.  A second call would read, and fail where the
 * client still uploads.  graceclose() discards that upload without decrypting
 * it.  SSL_free() leaves a descriptor of SSL_set_fd() open.  A thread has
 * SO_RCVTIMEO and SO_SNDTIMEO instead of alarm(2).
 * Copy tls_close().  Was: SSL_shutdown(ssl); SSL_free(ssl); close(fd).
 *
 * Usage: tls_server [port].  Each request gets a 413.  SIGTERM stops it.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <graceclose.h>

#define CHILDREN	40
#define LIFE_S		3		/* until the reply is written */

static const char reply[200000] = "HTTP/1.1 413 Content Too Large\r\n"
    "Content-Length: 199942\r\n\r\n";
static int n, ended, delivered;		/* children */
static volatile sig_atomic_t stopping;

static void
stop(int sig)
{
	stopping = sig;
}

/*
 * 1: the client's TCP has all.  Clients that close without reading the
 * close_notify reset the connection: graceclose() fails, delivered is 1.
 */
static int
tls_close(SSL *ssl, int fd)
{
	static const struct graceclose_opts quiet = {
		.until = GRACECLOSE_QUIET, .timeout_ms = 3000, .idle_ms = 1000
	};
	struct graceclose_report report = { .delivered = 0 };

	int sent = SSL_shutdown(ssl);	/* may wait: the alarm is still on */

	alarm(0);			/* the close has its own limits */
	if (sent < 0)
		abort_close(fd);
	else
		graceclose(fd, &quiet, &report);
	SSL_free(ssl);			/* leaves fd as it is */
	return report.delivered;
}

/* The child: its exit status is 0 if the client's TCP has the whole reply. */
static int
serve(SSL_CTX *ctx, int fd)
{
	SSL *ssl = SSL_new(ctx);
	char request[1024];

	alarm(LIFE_S);			/* ends the child: no close_notify */
	if (SSL_set_fd(ssl, fd) <= 0 || SSL_accept(ssl) <= 0 ||
	    SSL_read(ssl, request, sizeof(request)) <= 0 ||
	    SSL_write(ssl, reply, sizeof(reply)) <= 0) {
		SSL_free(ssl);
		abort_close(fd);	/* after a fatal error of TLS */
		return 1;
	}
	return !tls_close(ssl, fd);
}

/* Count those that have ended; where there are more than MOST, wait. */
static void
reap(int most)
{
	int status;

	while (n > 0 && waitpid(-1, &status, n > most ? 0 : WNOHANG) > 0) {
		n--;
		ended++;
		delivered += status == 0;
	}
}

static void
take(int listener, SSL_CTX *ctx)
{
	int fd = accept(listener, NULL, NULL);
	pid_t child = fd == -1 ? -1 : fork();

	if (child == 0) {
		close(listener);
		exit(serve(ctx, fd));
	}
	n += child > 0;
	if (fd != -1)
		close(fd);		/* the child has it, or nobody */
	if (child == -1)
		poll(NULL, 0, 10);	/* ENFILE, for example: wait */
}

int
main(int argc, char *argv[])
{
	const struct sigaction term = { .sa_handler = stop,
	    .sa_flags = SA_RESTART };
	struct pollfd p = { .events = POLLIN };
	BIO *bio = BIO_new_accept("127.0.0.1:0");
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();		/* yours comes from a file */

	if (sigaction(SIGTERM, &term, NULL) == -1 ||
	    signal(SIGPIPE, SIG_IGN) == SIG_ERR)	/* OpenSSL writes */
		err(1, "signal");
	if ((argc > 1 && BIO_set_accept_port(bio, argv[1]) <= 0) ||
	    BIO_do_accept(bio) <= 0 || BIO_get_fd(bio, &p.fd) < 0 ||
	    !X509_gmtime_adj(X509_getm_notBefore(x), 0) ||
	    !X509_gmtime_adj(X509_getm_notAfter(x), 86400) ||
	    !X509_set_pubkey(x, key) || !X509_sign(x, key, EVP_sha256()) ||
	    SSL_CTX_use_cert_and_key(ctx, x, key, NULL, 1) != 1)
		errx(1, "%s", ERR_error_string(ERR_get_error(), NULL));
	SSL_CTX_set_options(ctx, SSL_OP_ENABLE_KTLS);	/* graceclose(7) */
	listen(p.fd, 100);		/* BIO_do_accept() takes 32 */
	printf("listening on 127.0.0.1 port %s\n", BIO_get_accept_port(bio));
	fflush(stdout);
	while (!stopping) {
		if (poll(&p, 1, 1000) == 1)
			take(p.fd, ctx);
		reap(CHILDREN - 1);
	}
	BIO_free(bio);
	reap(0);
	X509_free(x);
	EVP_PKEY_free(key);
	SSL_CTX_free(ctx);
	printf("tls_server: %d of %d delivered\n", delivered, ended);
	return 0;
}
