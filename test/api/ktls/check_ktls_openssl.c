/*
 * A server that uses OpenSSL, with its records in the kernel
 * (SSL_OP_ENABLE_KTLS) and without: an early reply to an upload, SSL_shutdown,
 * and the close
 */
#include "api/ktls/ktls.h"

#ifdef HAVE_OPENSSL
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

#include <errno.h>
#include <unistd.h>

#include <graceclose.h>

#ifndef HAVE_OPENSSL

START_TEST(openssl)
{
	t_skip("built without OpenSSL: apt-get install libssl-dev");
}
END_TEST

#else

#define REPLY		200000
#define UPLOAD		50000	/* nobody reads it */
#define LATE_MS		400	/* when the client begins to read */

static const char data[REPLY];

/* No certificate: anonymous keys are enough here. */
static SSL *
new_ssl(const SSL_METHOD *method, int fd, int ktls)
{
	SSL_CTX *ctx = SSL_CTX_new(method);
	SSL *ssl;

	ck_assert_ptr_nonnull(ctx);
	SSL_CTX_set_dh_auto(ctx, 1);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	ck_assert_int_eq(SSL_CTX_set_cipher_list(ctx,
	    "ADH-AES128-GCM-SHA256:@SECLEVEL=0"), 1);
	if (ktls)
		SSL_CTX_set_options(ctx, SSL_OP_ENABLE_KTLS);
	ck_assert_ptr_nonnull(ssl = SSL_new(ctx));
	ck_assert_int_eq(SSL_set_fd(ssl, fd), 1);
	SSL_CTX_free(ctx);
	return ssl;
}

struct client {
	pthread_t	 thread;
	SSL		*ssl;
	size_t		 bytes;
	int		 end;		/* what SSL_get_error said */
	int		 error;		/* errno then */
};

/* Asserts nothing. */
static void *
run_client(void *arg)
{
	struct client *c = arg;
	char buf[16384];
	int n;

	if (SSL_connect(c->ssl) != 1 ||
	    SSL_write(c->ssl, data, UPLOAD) != UPLOAD) {
		c->end = SSL_ERROR_SSL;
		return NULL;
	}
	t_pause(LATE_MS);
	while ((n = SSL_read(c->ssl, buf, sizeof(buf))) > 0)
		c->bytes += (size_t)n;
	c->error = errno;
	c->end = SSL_get_error(c->ssl, n);
	if (c->end == SSL_ERROR_ZERO_RETURN)
		(void)SSL_shutdown(c->ssl);
	close(SSL_get_fd(c->ssl));
	ERR_clear_error();
	return NULL;
}

/*
 * The server replies before it reads anything of the upload.  Returns what the
 * close returned.
 */
static int
serve(struct client *c, int ktls, int (*closes)(int))
{
	struct t_pair p;
	SSL *ssl;
	int result;

	t_pair(&p, T_IPV4);
	t_sndbuf(p.us, 2 * REPLY);
	ssl = new_ssl(TLS_server_method(), p.us, ktls);
	*c = (struct client){ .ssl = new_ssl(TLS_client_method(), p.peer, 0) };
	t_thread(&c->thread, run_client, c);
	ck_assert_int_eq(SSL_accept(ssl), 1);
	ck_assert_int_eq(BIO_get_ktls_send(SSL_get_wbio(ssl)) != 0, ktls);
	ck_assert_int_eq(BIO_get_ktls_recv(SSL_get_rbio(ssl)) != 0, ktls);
	t_wait_inq(p.us, UPLOAD);
	ck_assert_int_eq(SSL_write(ssl, data, REPLY), REPLY);
	ck_assert_int_eq(SSL_shutdown(ssl), 0);
	SSL_free(ssl);
	result = closes(p.us);
	t_join(c->thread);
	SSL_free(c->ssl);
	ck_assert_int_ne(c->end, SSL_ERROR_SSL);
	return result;
}

/* With kTLS, and without. */
#define KINDS		2
#define need_kind(ktls) do {						\
	if (ktls)							\
		ktls_need();						\
} while (0)

/* It sends RST, because of the upload that was never read. */
START_TEST(close_2_destroys_the_reply)
{
	struct client c;

	need_kind(_i);
	ck_assert_int_eq(serve(&c, _i, close), 0);
	ck_assert_int_eq(c.end, SSL_ERROR_SYSCALL);
	t_error_is(c.error, ECONNRESET);
	printf("close(2): the client got %zu of %d bytes\n", c.bytes, REPLY);
	ck_assert_uint_lt(c.bytes, REPLY);
}
END_TEST

static int
linger(int fd)
{
	return linger_close(fd, 10000);
}

static int
blocking(int fd)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_DETACH, 10000, -1);
	struct graceclose_report r;
	int result = graceclose(fd, &o, &r);

	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_ge(r.discarded, UPLOAD);
	return result;
}

static int (*const ours[])(int) = { graceful_close, linger, blocking };
#define OURS		3

START_TEST(client_that_reads_late_gets_the_whole_reply)
{
	struct client c;

	t_not_portable(T_NO_ACK);
	need_kind(_i % KINDS);
	ck_assert_int_eq(serve(&c, _i % KINDS, ours[_i / KINDS]), 0);
	ck_assert_int_eq(c.end, SSL_ERROR_ZERO_RETURN);
	ck_assert_uint_eq(c.bytes, REPLY);
}
END_TEST

#endif /* HAVE_OPENSSL */

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("ktls_openssl");
	tc = t_case(s, "early reply");
#ifndef HAVE_OPENSSL
	tcase_add_test(tc, openssl);
#else
	tcase_add_loop_test(tc, close_2_destroys_the_reply, 0, KINDS);
	tcase_add_loop_test(tc, client_that_reads_late_gets_the_whole_reply, 0,
	    OURS * KINDS);
#endif
	return t_main(s);
}
