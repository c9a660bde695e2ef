/*
 * check_ladder.c - the ladder of a connection, compared character by character
 *
 * The segments are made by hand, as this suite tests only the drawing.
 */
#include <netinet/tcp.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "closewatch/ladder.h"

#include "support/util.h"

#define CLIENT	40000
#define SERVER	443
#define ISN_C	4294967000u		/* wraps soon */
#define ISN_S	70000u
#define N_MAX	64

#define S	SEGMENT_SYN
#define A	SEGMENT_ACK
#define F	SEGMENT_FIN
#define P	SEGMENT_PSH
#define R	SEGMENT_RST
#define U	LIVE_UNSEEN

/* A segment, with the relative numbers that the ladder must show. */
struct hand {
	int64_t		us;
	char		to;		/* '>' the server, '<' the client */
	uint8_t		flags;
	uint32_t	seq, ack, length;
	uint16_t	window;
	int		client, server;	/* states */
};

static struct live_segment segments[N_MAX];
static struct ladder_row rows[N_MAX];

static size_t
make(const struct hand *h, size_t n)
{
	for (size_t i = 0; i < n; i++, h++) {
		bool out = h->to == '>';

		segments[i] = (struct live_segment){
			.s = {
				.us = 1000000 + h->us,
				.from.port = out ? CLIENT : SERVER,
				.to.port = out ? SERVER : CLIENT,
				.seq = h->seq + (out ? ISN_C : ISN_S),
				.ack = (h->flags & A) == 0 ? 0 :
				    h->ack + (out ? ISN_S : ISN_C),
				.length = h->length,
				.window = h->window,
				.flags = h->flags,
			},
			.client_state = h->client,
			.server_state = h->server,
		};
	}
	return ladder_rows(rows, segments, n, CLIENT);
}

/* The output of ladder_draw(); the caller frees it. */
static char *
draw(size_t n, struct ladder_style style)
{
	char *text;
	size_t size;
	FILE *fp = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(fp);
	ladder_draw(fp, rows, n, 1000000, style);
	ck_assert_int_eq(fclose(fp), 0);
	return text;
}

static void
is_drawn(size_t n, struct ladder_style style, const char *want)
{
	char *text = draw(n, style);

	ck_assert_str_eq(text, want);
	free(text);
}

static const struct ladder_style ascii = { false, false };
static const struct ladder_style utf8 = { true, false };
static const struct ladder_style coloured = { false, true };

#define HEAD								\
"     ms  client                                                    server\n"
#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* Open, and a request; the state of the server's end is not known. */
#define OPENING								\
	{ 0, '>', S, 0, 0, 0, 65495, TCP_SYN_SENT, U },			\
	{ 20, '<', S | A, 0, 1, 0, 65483, U, U },			\
	{ 40, '>', A, 1, 1, 0, 64, TCP_ESTABLISHED, U },		\
	{ 90, '>', P | A, 1, 1, 1000, 64, U, U },			\
	{ 140, '<', A, 1, 1001, 0, 69, U, U }
#define OPENING_DRAWN							\
"    0.0  SYN_SENT    |------------------ [S] ------------------->|\n"		\
"    0.0  ESTABLISHED |<--------------- [S.] ack 1 ---------------|(SYN_RECV)\n" \
"    0.0              |--------------- [.] ack 1 ---------------->|(ESTABLISHED)\n" \
"    0.1              |-------- [P.] 1:1001, 1000 bytes --------->|\n"	\
"    0.1              |<-------------- [.] ack 1001 --------------|\n"

static const struct {
	const char	*name;
	struct hand	 hand[12];
	const char	*want;
} drawings[] = {
	{ "four-way", {
		OPENING,
		{ 200000, '<', F | A, 1, 1001, 0, 69, TCP_CLOSE_WAIT, U },
		{ 240000, '>', A, 1001, 2, 0, 64, U, TCP_FIN_WAIT2 },
		{ 250000, '>', F | A, 1001, 2, 0, 64, U, TCP_TIME_WAIT },
		{ 250010, '<', A, 2, 1002, 0, 69, 0, U },
	  }, HEAD OPENING_DRAWN
"  200.0  CLOSE_WAIT  |<------------- [F.] ack 1001 --------------|(FIN_WAIT1)\n"
"  240.0              |--------------- [.] ack 2 ---------------->| FIN_WAIT2\n"
"  250.0 (LAST_ACK)   |--------------- [F.] ack 2 --------------->| TIME_WAIT\n"
"  250.0  CLOSE       |<-------------- [.] ack 1002 --------------|\n"
	},
	{ "three segments", {
		OPENING,
		{ 9000, '>', F | A, 1001, 1, 0, 64, U, U },
		{ 9010, '<', F | A, 1, 1002, 0, 69, U, U },
		{ 9020, '>', A, 1002, 2, 0, 64, U, U },
	  }, HEAD OPENING_DRAWN
"    9.0 (FIN_WAIT1)  |--------------- [F.] ack 1 --------------->|(CLOSE_WAIT)\n"
"    9.0 (TIME_WAIT)  |<------------- [F.] ack 1002 --------------|(LAST_ACK)\n"
"    9.0              |--------------- [.] ack 2 ---------------->|(CLOSE)\n"
	},
	{ "simultaneous", {
		OPENING,
		{ 9000, '>', F | A, 1001, 1, 0, 64, TCP_FIN_WAIT1, U },
		{ 9001, '<', F | A, 1, 1001, 0, 69, TCP_CLOSING, TCP_CLOSING },
		{ 9002, '>', A, 1002, 2, 0, 64, U, U },
		{ 9003, '<', A, 2, 1002, 0, 69, U, U },
	  }, HEAD OPENING_DRAWN
"    9.0  FIN_WAIT1   |--------------- [F.] ack 1 --------------->|(CLOSE_WAIT)\n"
"    9.0  CLOSING     |<------------- [F.] ack 1001 --------------| CLOSING\n"
"    9.0              |--------------- [.] ack 2 ---------------->|(TIME_WAIT)\n"
"    9.0 (TIME_WAIT)  |<-------------- [.] ack 1002 --------------|\n"
	},
	{ "written after the close", {
		OPENING,
		{ 9000, '<', F | A, 1, 1001, 0, 69, U, U },
		{ 9010, '>', A, 1001, 2, 0, 64, U, U },
		{ 20000, '>', P | A, 1001, 2, 1, 64, U, U },
		{ 20010, '<', R, 2, 0, 0, 0, 0, 0 },
	  }, HEAD OPENING_DRAWN
"    9.0 (CLOSE_WAIT) |<------------- [F.] ack 1001 --------------|(FIN_WAIT1)\n"
"    9.0              |--------------- [.] ack 2 ---------------->|(FIN_WAIT2)\n"
"   20.0              |---- [P.] 1001:1002, 1 byte, unacked ----->|\n"
"   20.0  CLOSE       |<--------------- [R] seq 2 ----------------| CLOSE\n"
	},
	{ "a closed window", {
		OPENING,
		{ 150, '<', P | A, 1, 1001, 500, 69, U, U },
		{ 7000, '<', P | A, 1, 1001, 500, 69, U, U },
		{ 7010, '>', A, 1001, 501, 0, 0, U, U },
		{ 230000, '<', A, 500, 1001, 0, 69, U, U },
		{ 230010, '>', A, 1001, 501, 0, 0, U, U },
		{ 300000, '<', R | A, 501, 1001, 0, 69, U, U },
	  }, HEAD OPENING_DRAWN
"    0.1              |<--------- [P.] 1:501, 500 bytes ----------|\n"
"    7.0              |<------ [P.] 1:501, 500 bytes, again ------|\n"
"    7.0              |----------- [.] ack 501, win 0 ----------->|\n"
"  230.0              |<---------- [.] ack 1001, probe -----------|\n"
"  230.0              |----------- [.] ack 501, win 0 ----------->|\n"
"  300.0 (CLOSE)      |<------------- [R.] ack 1001 --------------|(CLOSE)\n"
	},
	{ "refused", {
		{ 0, '>', S, 0, 0, 0, 65495, U, U },
		{ 9, '<', R | A, 0, 1, 0, 0, U, U },
	  }, HEAD
"    0.0 (SYN_SENT)   |------------------ [S] ------------------->|\n"
"    0.0 (CLOSE)      |<--------------- [R.] ack 1 ---------------|(CLOSE)\n"
	},
	{ "in the midst", {
		{ 0, '<', P | A, 1, 1, 10, 65495, U, U },
		{ 9, '>', A, 1, 11, 0, 64, U, U },
	  }, HEAD
"    0.0 (ESTABLISHED)|<---------- [P.] 1:11, 10 bytes -----------|(ESTABLISHED)\n"
"    0.0              |--------------- [.] ack 11 --------------->|\n"
	},
};

static size_t
count_of(const struct hand *h, size_t max)
{
	size_t n = 0;

	while (n < max && h[n].flags != 0)
		n++;
	return n;
}

START_TEST(a_connection_is_drawn_to_the_letter)
{
	const struct hand *h = drawings[_i].hand;
	size_t n = count_of(h, COUNT(drawings[_i].hand));

	is_drawn(make(h, n), ascii, drawings[_i].want);
}
END_TEST

START_TEST(utf8_draws_the_same_with_lines_and_arrows)
{
	static const struct hand h[] = {
		{ 0, '>', F | P | A, 1, 1, 7, 64, U, U },
		{ 9, '<', R, 1, 0, 0, 0, U, U },
	};

	is_drawn(make(h, 2), utf8, HEAD
	    "    0.0 (FIN_WAIT1)  │────── [FP.] 1:8, 7 bytes, unacked "
	    "───────→│(CLOSE_WAIT)\n"
	    "    0.0 (CLOSE)      │←─────────────── [R] seq 1 "
	    "────────────────│(CLOSE)\n");
}
END_TEST

START_TEST(nothing_is_drawn_of_nothing)
{
	is_drawn(make(NULL, 0), utf8, HEAD);
}
END_TEST

START_TEST(colour_is_for_rst_fin_and_unacknowledged)
{
	static const struct hand h[] = {
		{ 0, '>', A, 1, 1, 0, 64, U, U },
		{ 1, '>', P | A, 1, 1, 10, 64, U, U },
		{ 2, '>', F | A, 11, 1, 0, 64, U, U },
		{ 3, '<', R, 1, 0, 0, 0, U, U },
	};
	static const char *const want[] = { "", "\033[33m", "\033[1m",
	    "\033[31m" };

	ck_assert_uint_eq(make(h, 4), 4);
	for (int i = 0; i < 4; i++) {
		ck_assert_str_eq(ladder_colour(&rows[i], coloured), want[i]);
		ck_assert_str_eq(ladder_plain(&rows[i], coloured),
		    i == 0 ? "" : "\033[0m");
		ck_assert_str_eq(ladder_colour(&rows[i], ascii), "");
		ck_assert_str_eq(ladder_plain(&rows[i], ascii), "");
	}
}
END_TEST

/* Data and an ACK for it, n times over; one is `odd`. */
static size_t
make_run(size_t n, size_t odd, const struct hand *instead)
{
	struct hand h[N_MAX];

	for (uint32_t i = 0; i < n; i++)
		h[i] = i % 2 == 0 ?
		    (struct hand){ 0, '<', A | (i == 0 ? P : 0),
		    1 + i / 2 * 100, 1, 100, 64, U, U } :
		    (struct hand){ 0, '>', A, 1, 101 + i / 2 * 100, 0,
		    (uint16_t)i, U, U };
	for (size_t i = 0; i < n; i++)
		h[i].us = (int64_t)i * 10;
	if (instead != NULL)
		h[odd] = *instead;
	return make(h, n);
}

START_TEST(eight_in_a_row_are_shown_one_by_one)
{
	ck_assert_uint_eq(make_run(8, 0, NULL), 8);
	for (int i = 0; i < 8; i++)
		ck_assert_uint_eq(rows[i].count, 1);
}
END_TEST

START_TEST(nine_in_a_row_become_one_of_each_kind)
{
	char line[LADDER_LINE_SIZE];

	is_drawn(make_run(9, 0, NULL), ascii, HEAD
"    0.0 (ESTABLISHED)|<----------- 5 x [.] 500 bytes ------------|(ESTABLISHED)\n"
"    0.0              |------------ 4 x [.] ack 401 ------------->|\n");
	ck_assert_str_eq(ladder_line(&rows[0], line),
	    "5 x [.], seq 1:501, ack 1, win 64, length 500");
	ck_assert_str_eq(ladder_line(&rows[1], line),
	    "4 x [.], ack 401, win 7, length 0");
}
END_TEST

START_TEST(a_run_acknowledged_in_part_is_shown_as_two)
{
	static const struct hand rst = { 170, '>', R, 1, 0, 0, 0, U, U };

	is_drawn(make_run(18, 17, &rst), ascii, HEAD
"    0.0 (ESTABLISHED)|<----------- 8 x [.] 800 bytes ------------|(ESTABLISHED)\n"
"    0.0              |------------ 8 x [.] ack 801 ------------->|\n"
"    0.2              |<---- [.] 801:901, 100 bytes, unacked -----|\n"
"    0.2 (CLOSE)      |--------------- [R] seq 1 ---------------->|(CLOSE)\n");
}
END_TEST

/* Each of these, in the middle of 17, leaves two runs of 8. */
static const struct hand interruptions[] = {
	{ 80, '<', F | A, 401, 1, 0, 64, U, U },
	{ 80, '>', R, 1, 0, 0, 64, U, U },
	{ 80, '<', A, 301, 1, 100, 64, U, U },		/* again */
	{ 80, '<', A, 400, 1, 0, 64, U, U },		/* a probe */
	{ 80, '<', A, 401, 1, 100, 64, TCP_CLOSE_WAIT, U },
};

START_TEST(what_is_no_plain_data_ends_a_run)
{
	ck_assert_uint_eq(make_run(17, 8, &interruptions[_i]), 17);
}
END_TEST

START_TEST(a_pause_ends_a_run)
{
	struct hand h[16];
	size_t n;

	for (uint32_t i = 0; i < 16; i++)
		h[i] = (struct hand){ i * 10 + (i < 8 ? 0 : 10000), '<', A,
		    1 + i * 100, 1, 100, 64, U, U };
	ck_assert_uint_eq(make(h, 16), 16);
	for (int i = 8; i < 16; i++)
		h[i].us -= 100;
	n = make(h, 16);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(rows[0].count, 16);
	ck_assert_uint_eq(rows[0].length, 1600);
}
END_TEST

START_TEST(a_run_shows_a_window_that_stays_closed)
{
	struct hand last = { 90, '>', A, 1, 501, 0, 0, U, U };

	is_drawn(make_run(10, 9, &last), ascii, HEAD
"    0.0 (ESTABLISHED)|<----------- 5 x [.] 500 bytes ------------|(ESTABLISHED)\n"
"    0.0              |--------- 5 x [.] ack 501, win 0 --------->|\n");
}
END_TEST

/* As tcpdump(8) writes after "Flags ", except the number of the SYN. */
static const struct {
	struct hand	 hand;
	const char	*want;
} lines[] = {
	{ { 0, '>', S, 0, 0, 0, 65495, U, U },
	    "[S], seq 0, win 65495, length 0" },
	{ { 0, '<', S | A, 0, 1, 0, 65483, U, U },
	    "[S.], seq 0, ack 1, win 65483, length 0" },
	{ { 0, '>', A, 1, 1, 0, 64, U, U },
	    "[.], ack 1, win 64, length 0" },
	{ { 0, '>', P | A, 1, 1, 1000, 64, U, U },
	    "[P.], seq 1:1001, ack 1, win 64, length 1000" },
	{ { 0, '<', F | A, 1, 1, 0, 64, U, U },
	    "[F.], seq 1, ack 1, win 64, length 0" },
	{ { 0, '<', F | P | A, 1, 1, 9, 64, U, U },
	    "[FP.], seq 1:10, ack 1, win 64, length 9" },
	{ { 0, '>', R | A, 1, 1, 0, 0, U, U },
	    "[R.], seq 1, ack 1, win 0, length 0" },
	{ { 0, '<', R, 1, 0, 0, 0, U, U },
	    "[R], seq 1, win 0, length 0" },
};

START_TEST(a_line_is_as_tcpdump_has_it)
{
	char line[LADDER_LINE_SIZE];

	ck_assert_uint_eq(make(&lines[_i].hand, 1), 1);
	ck_assert_str_eq(ladder_line(&rows[0], line), lines[_i].want);
}
END_TEST

/* Columns: bytes that are not the second, third... of a character. */
static int
width(const char *line, size_t bytes)
{
	int columns = 0;

	for (size_t i = 0; i < bytes; i++)
		columns += ((unsigned char)line[i] & 0xc0) != 0x80;
	return columns;
}

START_TEST(no_line_is_wider_than_79_columns)
{
	static const uint8_t flags[] = { A, P | A, F | P | A, R | A, R,
	    S | A, 0xff, 0 };
	struct hand h[2 * COUNT(flags)];
	char *text, *line, *end;

	for (size_t i = 0; i < COUNT(h); i++)
		h[i] = (struct hand){ 99999900, i % 2 == 0 ? '>' : '<',
		    flags[i / 2], UINT32_MAX - 70000, UINT32_MAX, _i & 1 ?
		    65535 : 0, 0, _i & 2 ? TCP_ESTABLISHED : U, U };
	h[0].seq = h[1].seq = 0;
	h[0].ack = h[1].ack = 0;
	text = draw(make(h, COUNT(h)), _i & 4 ? utf8 : ascii);
	for (line = text; *line != '\0'; line = end + 1) {
		end = strchr(line, '\n');
		ck_assert_int_le(width(line, (size_t)(end - line)), 79);
	}
	free(text);
}
END_TEST

static bool
draws_utf8(const char *locale, bool ascii_only)
{
	setenv("LC_ALL", locale, 1);
	return ladder_style(stdout, ascii_only).utf8;
}

START_TEST(utf8_follows_the_locale)
{
	ck_assert(draws_utf8("C.UTF-8", false));
	ck_assert(!draws_utf8("C.UTF-8", true));
	ck_assert(!draws_utf8("C", false));
}
END_TEST

static bool
has_colour(FILE *fp, const char *term, const char *no_color)
{
	setenv("TERM", term, 1);
	if (no_color == NULL)
		unsetenv("NO_COLOR");
	else
		setenv("NO_COLOR", no_color, 1);
	return ladder_style(fp, false).colour;
}

START_TEST(colour_takes_a_terminal_and_no_no_color)
{
	FILE *file, *terminal;
	int pty = posix_openpt(O_RDWR | O_NOCTTY);

	if (pty == -1)
		t_skip("no pseudo-terminals here");
	terminal = fdopen(pty, "r+");
	file = tmpfile();
	ck_assert(has_colour(terminal, "xterm", NULL));
	ck_assert(has_colour(terminal, "xterm", ""));
	ck_assert(!has_colour(terminal, "xterm", "1"));
	ck_assert(!has_colour(terminal, "dumb", NULL));
	ck_assert(!has_colour(file, "xterm", NULL));
	fclose(terminal);
	fclose(file);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ladder");
	TCase *tc = t_case(s, "ladder");

	tcase_add_loop_test(tc, a_connection_is_drawn_to_the_letter, 0,
	    (int)COUNT(drawings));
	tcase_add_test(tc, utf8_draws_the_same_with_lines_and_arrows);
	tcase_add_test(tc, nothing_is_drawn_of_nothing);
	tcase_add_test(tc, colour_is_for_rst_fin_and_unacknowledged);
	tcase_add_test(tc, eight_in_a_row_are_shown_one_by_one);
	tcase_add_test(tc, nine_in_a_row_become_one_of_each_kind);
	tcase_add_test(tc,
	    a_run_acknowledged_in_part_is_shown_as_two);
	tcase_add_loop_test(tc, what_is_no_plain_data_ends_a_run, 0,
	    (int)COUNT(interruptions));
	tcase_add_test(tc, a_pause_ends_a_run);
	tcase_add_test(tc, a_run_shows_a_window_that_stays_closed);
	tcase_add_loop_test(tc, a_line_is_as_tcpdump_has_it, 0,
	    (int)COUNT(lines));
	tcase_add_loop_test(tc, no_line_is_wider_than_79_columns, 0, 8);
	tcase_add_test(tc, utf8_follows_the_locale);
	tcase_add_test(tc, colour_takes_a_terminal_and_no_no_color);
	return t_main(s);
}
