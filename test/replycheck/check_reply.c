/*
 * check_reply.c - replies of HTTP, whole and cut off after each byte
 */
#include <stdio.h>
#include <string.h>

#include "replycheck/reply.h"
#include "support/util.h"

#define OK_		"HTTP/1.1 200 OK\r\n"
#define LENGTH(n)	"Content-Length: " #n "\r\n"
#define CHUNKED		"Transfer-Encoding: chunked\r\n"
#define END		"\r\n"

static const struct sample {
	const char	*name, *text;
	int		 status;
	bool		 http;
	bool		 by_end;	/* whole where the connection ends */
} samples[] = {
	{ "Content-Length", OK_ LENGTH(5) END "hello", 200, true, false },
	{ "bare LF", "HTTP/1.0 404 No\ncontent-length:2\n\nno", 404, true,
	    false },
	{ "no body", "HTTP/1.1 413 No\r\n" LENGTH(0) END, 413, true, false },
	{ "204", "HTTP/1.1 204 No Content\r\n" END, 204, true, false },
	{ "304", "HTTP/1.1 304 x\r\n" LENGTH(10) END, 304, true, false },
	{ "chunks", OK_ CHUNKED END "5\r\nhello\r\nA;x=y\r\n0123456789\r\n"
	    "0\r\n" END, 200, true, false },
	{ "chunks win", OK_ LENGTH(3) CHUNKED END "1\r\n!\r\n0\r\n" END, 200,
	    true, false },
	{ "trailer", OK_ CHUNKED END "0\r\nX: y\r\n" END, 200, true, false },
	{ "100 before", "HTTP/1.1 100 Continue\r\n" END "HTTP/1.1 401 No\r\n"
	    LENGTH(1) END "x", 401, true, false },
	{ "101", "HTTP/1.1 101 x\r\n" END "HTTP/1.1 500 x\r\n" LENGTH(0) END,
	    500, true, false },
	{ "two codings", OK_ "Transfer-Encoding: gzip, chunked\r\n" END
	    "1\r\n!\r\n0\r\n" END, 200, true, false },
	{ "until the end", OK_ "Connection: close\r\n" END "hello", 200, true,
	    true },
	{ "no HTTP", "SSH-2.0-x\r\n", 0, true, true },
	{ "another protocol", "HTTP/1.1 200 OK\r\n", 0, false, true },
};
#define SAMPLES	((int)(sizeof(samples) / sizeof(samples[0])))

START_TEST(reply_is_whole_as_its_head_says)
{
	const struct sample *s = &samples[_i];
	struct reply r;

	reply_begin(&r, s->http);
	reply_take(&r, s->text, strlen(s->text));
	ck_assert_msg(reply_whole(&r, false) == !s->by_end, "%s", s->name);
	ck_assert_msg(reply_whole(&r, true), "%s", s->name);
	ck_assert_int_eq(r.status, s->status);
	ck_assert_uint_eq(r.bytes, strlen(s->text));
}
END_TEST

/* Of a reply that ends with the connection the head alone can be cut off. */
START_TEST(reply_that_is_cut_off_is_not_whole)
{
	const struct sample *s = &samples[_i];
	const char *body = strstr(s->text, END END);
	size_t head = s->by_end && body != NULL ?
	    (size_t)(body - s->text) + 4 : strlen(s->text), i;
	struct reply r;

	reply_begin(&r, s->http);
	for (i = 0; i < strlen(s->text); i++) {
		if (i < head && s->http && s->status != 0)
			ck_assert_msg(!reply_whole(&r, true), "%s: %zu",
			    s->name, i);
		ck_assert_msg(!reply_whole(&r, false), "%s: %zu", s->name, i);
		reply_take(&r, s->text + i, 1);
	}
	ck_assert_msg(reply_whole(&r, true), "%s", s->name);
	ck_assert_int_eq(r.status, s->status);
}
END_TEST

START_TEST(length_that_is_none_is_never_whole)
{
	static const char *const heads[] = {
		OK_ "Content-Length: abc\r\n" END,
		OK_ "Content-Length:\r\n" END,
		OK_ "Content-Length: 5 apples\r\n" END "apple",
		OK_ "Content-Length: 18446744073709551618\r\n" END "xx",
		OK_ "Content-Length: -1\r\n" END,
		OK_ CHUNKED END "zz\r\n",
		OK_ CHUNKED END "\r\n",
		OK_ CHUNKED END "-5\r\nhello\r\n0\r\n" END,
	};
	struct reply r;

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		reply_begin(&r, true);
		reply_take(&r, heads[i], strlen(heads[i]));
		ck_assert_msg(!reply_whole(&r, false), "%s", heads[i]);
		ck_assert_msg(!reply_whole(&r, true), "%s", heads[i]);
	}
}
END_TEST

START_TEST(nothing_is_no_reply)
{
	struct reply r;

	reply_begin(&r, _i == 0);
	ck_assert(!reply_whole(&r, true));
	ck_assert(!reply_whole(&r, false));
}
END_TEST

/* A line that is longer than there is room for says what its beginning says. */
START_TEST(line_may_be_of_any_length)
{
	static char text[3 * REPLY_LINE];
	size_t n = (size_t)snprintf(text, sizeof(text), OK_ "X: ");
	struct reply r;

	memset(text + n, 'x', 2 * REPLY_LINE);
	n += 2 * REPLY_LINE;
	n += (size_t)snprintf(text + n, sizeof(text) - n, END LENGTH(1) END
	    "!");
	reply_begin(&r, true);
	reply_take(&r, text, n);
	ck_assert(reply_whole(&r, false));
	ck_assert_int_eq(r.status, 200);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("reply");
	TCase *tc = t_case(s, "reply");

	tcase_add_loop_test(tc, reply_is_whole_as_its_head_says, 0, SAMPLES);
	tcase_add_loop_test(tc, reply_that_is_cut_off_is_not_whole, 0,
	    SAMPLES);
	tcase_add_test(tc, length_that_is_none_is_never_whole);
	tcase_add_loop_test(tc, nothing_is_no_reply, 0, 2);
	tcase_add_test(tc, line_may_be_of_any_length);
	return t_main(s);
}
