/*
 * check_crowd_openssl.c - servers that speak TLS, and what replycheck says of
 * them
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <unistd.h>

#ifdef HAVE_OPENSSL
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#endif

#include "replycheck/asked.h"
#include "support/util.h"

#ifndef HAVE_OPENSSL

START_TEST(tls)
{
	ck_assert_ptr_nonnull(wire_tls_missing());
	t_skip("built without OpenSSL: apt-get install libssl-dev");
}
END_TEST

#else

#define REQUESTS	4
#define UPLOAD		((uint64_t)16 << 20)	/* more than queues hold */
#define SMALL		1000

static const char head[] = "POST / HTTP/1.1\r\n\r\n";
static const char reply[] = "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno";
static const char part[] = "HTTP/1.1 413 No\r\nContent-Length: 3\r\n\r\nno";

/*
 * What the server does with a connection, in a thread; it asserts nothing.
 */

static void
replies_and_drains(SSL *ssl)
{
	(void)SSL_write(ssl, reply, sizeof(reply) - 1);
	(void)SSL_shutdown(ssl);
	asked_drain(SSL_get_fd(ssl));
}

/* The client still finds the reply after it could not send. */
static void
replies_and_closes(SSL *ssl)
{
	(void)SSL_write(ssl, reply, sizeof(reply) - 1);
}

static void
takes_all(SSL *ssl)
{
	char buf[sizeof(head) - 1 + SMALL];
	size_t n = 0, got;

	while (n < sizeof(buf) &&
	    SSL_read_ex(ssl, buf, sizeof(buf), &got) == 1)
		n += got;
	replies_and_drains(ssl);
}

static void
cuts_it_short(SSL *ssl)
{
	(void)SSL_write(ssl, part, sizeof(part) - 1);
	asked_drain(SSL_get_fd(ssl));
}

static void
says_nothing(SSL *ssl)
{
	asked_drain(SSL_get_fd(ssl));
}

static void
loses_a_part(SSL *ssl)
{
	(void)SSL_write(ssl, part, sizeof(part) - 1);
}

static const struct manner {
	const char	 *name;
	void		(*serve)(SSL *);
	uint64_t	 upload;
	enum attempt_end end;
	bool		 late, stops;
} manners[] = {
	{ "drains", replies_and_drains, UPLOAD, ATTEMPT_WHOLE, false, false },
	{ "closes", replies_and_closes, UPLOAD, ATTEMPT_WHOLE, false, true },
	{ "takes all", takes_all, SMALL, ATTEMPT_WHOLE, true, false },
	{ "cuts", cuts_it_short, UPLOAD, ATTEMPT_TRUNCATED, false, false },
	{ "nothing", says_nothing, UPLOAD, ATTEMPT_NONE, false, false },
	{ "loses", loses_a_part, UPLOAD, ATTEMPT_RESET, false, true },
};
#define MANNERS	((int)(sizeof(manners) / sizeof(manners[0])))

/* A key, and a certificate that it has signed itself. */
static SSL_CTX *
new_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	ck_assert(ctx != NULL && key != NULL && cert != NULL);
	(void)X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	(void)X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	ck_assert_int_eq(X509_set_pubkey(cert, key), 1);
	ck_assert_int_ne(X509_sign(cert, key, EVP_sha256()), 0);
	ck_assert_int_eq(SSL_CTX_use_certificate(ctx, cert), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

struct server {
	const struct manner	*m;
	SSL_CTX			*ctx;
};

static void
serve(int fd, const void *arg)
{
	const struct server *s = arg;
	SSL *ssl = SSL_new(s->ctx);
	const int on = 1;
	char c;

	/* Nagle holds back what follows the tickets, and RST destroys it. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1) {
		(void)recv(fd, &c, 1, MSG_PEEK);
		s->m->serve(ssl);
	}
	SSL_free(ssl);
	ERR_clear_error();
}

static void
speak_no_tls(int fd, const void *arg)
{
	(void)arg;
	if (send(fd, "hello", 5, MSG_NOSIGNAL) == 5)
		asked_drain(fd);
}

static struct request
request(uint64_t upload, bool reads_while)
{
	ck_assert_ptr_null(wire_tls_missing());
	return (struct request){ head, sizeof(head) - 1, upload, "localhost",
	    true, reads_while, 0, T_LIMIT_MS };
}

START_TEST(end_of_each_request_is_counted)
{
	const struct manner *m = &manners[_i / 2];
	const struct request r = request(m->upload, _i % 2 != 0);
	const struct server s = { m, new_context() };
	struct crowd c;

	asked(&c, &r, REQUESTS, serve, &s);
	SSL_CTX_free(s.ctx);
	ck_assert_int_eq(c.number, REQUESTS);
	ck_assert_msg(c.ends[m->end] == REQUESTS, "%s: %d of %d", m->name,
	    c.ends[m->end], REQUESTS);
	ck_assert_int_eq(c.late, m->late ? REQUESTS : 0);
	if (m->end == ATTEMPT_WHOLE && !m->stops)
		ck_assert_int_eq(c.simple, REQUESTS);
	if (m->stops && _i % 2 == 0)
		ck_assert_int_eq(c.simple, 0);
}
END_TEST

START_TEST(server_that_speaks_no_tls_is_no_connection)
{
	const struct request r = request(SMALL, _i != 0);
	struct crowd c;

	asked(&c, &r, REQUESTS, speak_no_tls, NULL);
	ck_assert_int_eq(c.ends[ATTEMPT_UNCONNECTED], REQUESTS);
	t_error_is(c.error, EPROTO);
}
END_TEST

#endif

int
main(void)
{
	Suite *s = suite_create("crowd openssl");
	TCase *tc = t_case(s, "tls");

#ifdef HAVE_OPENSSL
	tcase_add_loop_test(tc, end_of_each_request_is_counted, 0,
	    2 * MANNERS);
	tcase_add_loop_test(tc, server_that_speaks_no_tls_is_no_connection, 0,
	    2);
#else
	tcase_add_test(tc, tls);
#endif
	return t_main(s);
}
