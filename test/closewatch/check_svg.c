/*
 * check_svg.c - the picture of ladders: it is XML, legible on a small screen
 * in light and in dark, and shows all there is
 *
 * A small reader of XML stands for the viewers.
 */
#include <sys/resource.h>
#include <sys/stat.h>

#include <netinet/tcp.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "closewatch/svg.h"
#include "closewatch/svg_save.h"

#include "support/util.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))
#define TEXTS_MAX	2048
#define DEPTH_MAX	8
#define NAME_SIZE	32
#define VALUE_SIZE	64

#define S	SEGMENT_SYN
#define A	SEGMENT_ACK
#define F	SEGMENT_FIN
#define R	SEGMENT_RST

/* --- a reader of XML ----------------------------------------------------- */

struct text {
	char	class[VALUE_SIZE];
	char	said[512];		/* with entities resolved */
	int	x, y;
	int	squeezed;		/* textLength, 0: none */
	char	anchor;			/* s, m, e */
};

struct picture {
	char		*svg;
	int		 wide, tall;	/* of the viewBox */
	char		 title[256], desc[8192];
	struct text	 texts[TEXTS_MAX];
	size_t		 ntexts;
	size_t		 heads, lines, crosses;
};

static struct picture picture;

struct element {
	char		name[NAME_SIZE];
	char		class[VALUE_SIZE];
	char		anchor;
	int		x, y, length;
};

static const char *
name_of(const char *s, char *name)
{
	size_t n = 0;

	for (; isalnum((unsigned char)*s) || *s == '-' || *s == ':'; s++)
		if (n < NAME_SIZE - 1)
			name[n++] = *s;
	name[n] = '\0';
	ck_assert_msg(n > 0, "a name is missing at \"%.20s\"", s);
	return s;
}

static const char *
character(const char *s, char *c)
{
	static const struct { const char *entity; char c; } known[] = {
		{ "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' },
		{ "&quot;", '"' }, { "&apos;", '\'' },
	};

	*c = *s;
	ck_assert_msg(*s == '\n' || (*s >= ' ' && *s <= '~'),
	    "byte 0x%02x", (unsigned char)*s);
	if (*s != '&')
		return s + 1;
	for (size_t i = 0; i < COUNT(known); i++) {
		*c = known[i].c;
		if (strncmp(s, known[i].entity, strlen(known[i].entity)) == 0)
			return s + strlen(known[i].entity);
	}
	ck_abort_msg("an entity that XML does not know: \"%.10s\"", s);
}

static int
integer(const char *value)
{
	char *end;
	long n = strtol(value, &end, 10);

	ck_assert_msg(*value != '\0' && *end == '\0', "no number: \"%s\"",
	    value);
	ck_assert_int_ge(n, 0);
	ck_assert_int_le(n, 1000000);
	return (int)n;
}

static void
take_view_box(const char *value)
{
	char *end;

	ck_assert_int_eq(strncmp(value, "0 0 ", 4), 0);
	picture.wide = (int)strtol(value + 4, &end, 10);
	picture.tall = integer(end + 1);
}

static void
take_attribute(struct element *e, const char *name, const char *value)
{
	if (strcmp(name, "class") == 0)
		snprintf(e->class, sizeof(e->class), "%s", value);
	else if (strcmp(name, "x") == 0)
		e->x = integer(value);
	else if (strcmp(name, "y") == 0)
		e->y = integer(value);
	else if (strcmp(name, "textLength") == 0)
		e->length = integer(value);
	else if (strcmp(name, "text-anchor") == 0)
		e->anchor = *value;
	else if (strcmp(name, "viewBox") == 0)
		take_view_box(value);
	else
		ck_assert_msg(strstr(name, "href") == NULL && name[0] != 'o',
		    "attribute %s", name);
}

static const char *
attribute(const char *s, struct element *e)
{
	char name[NAME_SIZE], value[VALUE_SIZE], c;
	size_t n = 0;

	s = name_of(s, name);
	ck_assert_msg(s[0] == '=' && s[1] == '"', "%s has no value", name);
	for (s += 2; *s != '"'; ) {
		ck_assert_int_ne(*s, '<');
		s = character(s, &c);
		if (n < VALUE_SIZE - 1)
			value[n++] = c;
	}
	value[n] = '\0';
	take_attribute(e, name, value);
	return s + 1;
}

/* Behind the '<' of a tag; *empty: it ends itself. */
static const char *
tag(const char *s, struct element *e, bool *empty)
{
	*e = (struct element){ .anchor = 's' };
	s = name_of(s, e->name);
	while (*s == ' ')
		s = attribute(s + 1, e);
	*empty = *s == '/';
	s += *empty;
	ck_assert_msg(*s == '>', "<%s does not end", e->name);
	return s + 1;
}

static void
count_path(const struct element *e)
{
	picture.heads += strncmp(e->class, "head", 4) == 0;
	picture.lines += strncmp(e->class, "line", 4) == 0;
}

static void
keep(char *to, size_t size, const char *said)
{
	ck_assert_uint_lt(strlen(said), size);
	memcpy(to, said, strlen(said) + 1);
}

static void
keep_text(const struct element *e, const char *said)
{
	struct text *t = &picture.texts[picture.ntexts];

	if (strcmp(e->name, "title") == 0)
		keep(picture.title, sizeof(picture.title), said);
	if (strcmp(e->name, "desc") == 0)
		keep(picture.desc, sizeof(picture.desc), said);
	if (strcmp(e->name, "text") != 0)
		return;
	ck_assert_uint_lt(picture.ntexts++, TEXTS_MAX);
	*t = (struct text){ .x = e->x, .y = e->y, .squeezed = e->length,
	    .anchor = e->anchor };
	memcpy(t->class, e->class, sizeof(t->class));
	keep(t->said, sizeof(t->said), said);
}

/* All of the document, each tag with its end. */
static void
walk(const char *s)
{
	static char said[16384];
	struct element open[DEPTH_MAX], e;
	size_t depth = 0, n = 0;
	bool empty, ended = false;

	while (*s != '\0') {
		ck_assert_msg(!ended || *s == '\n', "more behind the end");
		if (*s != '<') {
			ck_assert_uint_lt(n, sizeof(said) - 1);
			s = character(s, &said[n++]);
			continue;
		}
		said[n] = '\0';
		n = 0;
		if (s[1] == '/') {
			s = name_of(s + 2, e.name);
			ck_assert_uint_gt(depth, 0);
			ck_assert_str_eq(e.name, open[--depth].name);
			ck_assert_int_eq(*s++, '>');
			keep_text(&open[depth], said);
			ended = depth == 0;
			continue;
		}
		s = tag(s + 1, &e, &empty);
		count_path(&e);
		ck_assert_uint_lt(depth, DEPTH_MAX);
		if (!empty)
			open[depth++] = e;
	}
	ck_assert(ended);
}

static char *
written(const char *title, const struct svg_ladder *l, size_t n)
{
	char *svg;
	size_t size;
	FILE *fp = open_memstream(&svg, &size);

	ck_assert_ptr_nonnull(fp);
	ck_assert_int_eq(svg_write(fp, title, l, n), 0);
	ck_assert_int_eq(fclose(fp), 0);
	return svg;
}

/* Draws, and reads what was drawn. */
static void
draw(const char *title, const struct svg_ladder *l, size_t n)
{
	free(picture.svg);
	memset(&picture, 0, sizeof(picture));
	picture.svg = written(title, l, n);
	walk(picture.svg);
}

static const struct text *
find(const char *said)
{
	for (size_t i = 0; i < picture.ntexts; i++)
		if (strcmp(picture.texts[i].said, said) == 0)
			return &picture.texts[i];
	return NULL;
}

static size_t
count(const char *said)
{
	size_t n = 0;

	for (size_t i = 0; i < picture.ntexts; i++)
		n += strcmp(picture.texts[i].said, said) == 0;
	return n;
}

static void
shows(const char *said)
{
	ck_assert_msg(find(said) != NULL, "no \"%s\" in the picture", said);
}

/* --- ladders to draw ----------------------------------------------------- */

#define ROW(at, to, f, len, c, s, ...)					\
	{ .us = (at), .to_server = (to), .flags = (f), .length = (len),	\
	  .client_state = (c), .server_state = (s), __VA_ARGS__ }

#define ONE	.count = 1, .window = 64

#define OPENING								\
	ROW(1000, true, S, 0, TCP_SYN_SENT, 0, ONE),			\
	ROW(1010, false, S | A, 0, TCP_ESTABLISHED, TCP_SYN_RECV, ONE),	\
	ROW(1020, true, A, 0, TCP_ESTABLISHED, TCP_ESTABLISHED, ONE)

static const struct ladder_row lost[] = {
	OPENING,
	ROW(2000, true, A, 700, TCP_ESTABLISHED, TCP_ESTABLISHED, ONE),
	ROW(2020, false, A, 0, TCP_ESTABLISHED, TCP_ESTABLISHED, ONE),
	ROW(502000, false, F | A, 0, TCP_CLOSE_WAIT, TCP_FIN_WAIT1, ONE),
	ROW(502100, true, A, 0, TCP_CLOSE_WAIT, TCP_FIN_WAIT2, ONE),
	ROW(503000, true, A, 900, TCP_CLOSE_WAIT, TCP_FIN_WAIT2,
	    .unacked = true, ONE),
	ROW(503010, false, R, 0, TCP_CLOSE, TCP_CLOSE, ONE),
};

static const struct ladder_row delivered[] = {
	OPENING,
	ROW(2000, true, A, 700, TCP_ESTABLISHED, TCP_ESTABLISHED, ONE),
	ROW(2020, false, A, 0, TCP_ESTABLISHED, TCP_ESTABLISHED, ONE),
	ROW(3000, true, F | A, 0, TCP_FIN_WAIT2, TCP_CLOSE_WAIT, ONE),
	ROW(3100, false, F | A, 0, TCP_TIME_WAIT, TCP_LAST_ACK, ONE),
	ROW(3200, true, A, 0, TCP_TIME_WAIT, TCP_CLOSE, ONE),
};

static const struct svg_note calls[] = {
	{ 1990, false, SVG_PLAIN, "send() = 700" },
	{ 2030, true, SVG_PLAIN, "recv() = 700" },
	{ 502900, false, SVG_PLAIN, "send() = 900" },
	{ 503100, false, SVG_BAD, "send(): EPIPE" },
};

static const struct svg_ladder two[] = {
	{ .caption = "The write is lost", .rows = lost, .n = COUNT(lost),
	  .first = 3, .notes = calls, .nnotes = COUNT(calls),
	  .verdict = "send() returned 900.", .reason = "Nobody read it.",
	  .tone = SVG_BAD },
	{ .caption = "With graceful_close()", .rows = delivered,
	  .n = COUNT(delivered), .verdict = "graceful_close() = 0",
	  .reason = "The peer acknowledged every byte, and closed.",
	  .tone = SVG_GOOD },
};

static struct svg_ladder
one_row(const struct ladder_row *row)
{
	return (struct svg_ladder){ .rows = row, .n = 1 };
}

/* --- what is shown ------------------------------------------------------- */

START_TEST(each_row_has_an_arrow_and_the_end_has_its_verdict)
{
	draw("two", two, 2);
	ck_assert_uint_eq(picture.lines, COUNT(lost) - 3 + COUNT(delivered));
	ck_assert_uint_eq(picture.heads, picture.lines - 1);
	ck_assert_str_eq(picture.title, "two");
	shows("The write is lost");
	shows("With graceful_close()");
	shows("900 bytes, lost");
	shows("RST");
	shows("SYN, ACK");
	shows("send() returned 900.");
	shows("Nobody read it.");
	shows("graceful_close() = 0");
	shows("0.5 s later");
	shows("send(): EPIPE");
	ck_assert_uint_eq(count("700 bytes"), 2);
	ck_assert_uint_eq(count("FIN"), 3);
	ck_assert_uint_eq(count("ACK"), 5);
	ck_assert_uint_eq(count("client"), 2);
}
END_TEST

START_TEST(the_picture_is_there_in_words_too)
{
	draw("two", two, 2);
	ck_assert_ptr_nonnull(strstr(picture.svg, "role=\"img\""));
	ck_assert_ptr_nonnull(strstr(picture.desc, "The write is lost: "
	    "client, 700 bytes; server, ACK; server, FIN; client, ACK; "
	    "client, 900 bytes, lost; server, RST.\n"
	    "send() returned 900. Nobody read it.\n"));
}
END_TEST

static const struct {
	struct ladder_row	row;
	const char		*want;
} labels[] = {
	{ ROW(0, true, S, 0, 0, 0, ONE), "SYN" },
	{ ROW(0, true, A, 1, 0, 0, ONE), "1 byte" },
	{ ROW(0, true, A, 1000, 0, 0, .unacked = true, ONE), "1000 bytes, lost" },
	{ ROW(0, true, A, 1000, 0, 0, .again = true, ONE), "1000 bytes, again" },
	{ ROW(0, true, A | F, 5, 0, 0, ONE), "5 bytes and FIN" },
	{ ROW(0, true, A | F, 0, 0, 0, .again = true, ONE), "FIN, again" },
	{ ROW(0, true, A, 90000, 0, 0, .count = 9, .window = 64),
	  "90000 bytes in 9 segments" },
	{ ROW(0, true, A, 0, 0, 0, .count = 12, .window = 64), "ACK x 12" },
	{ ROW(0, true, A, 0, 0, 0, .window = 0, .count = 1), "ACK, window 0" },
	{ ROW(0, true, A, 0, 0, 0, .probe = true, ONE), "probe" },
	{ ROW(0, true, R | A, 0, 0, 0, .window = 0, .count = 1), "RST" },
};

START_TEST(a_segment_has_a_short_name)
{
	struct svg_ladder l = one_row(&labels[_i].row);

	draw("", &l, 1);
	shows(labels[_i].want);
}
END_TEST

START_TEST(rows_before_the_first_are_left_out_but_not_their_states)
{
	const struct text *above, *below;

	draw("", two, 1);
	ck_assert_ptr_null(find("SYN"));
	ck_assert_ptr_null(find("SYN_SENT"));
	ck_assert_uint_eq(count("ESTABLISHED"), 2);
	above = find("ESTABLISHED");
	below = find("700 bytes");
	ck_assert_int_lt(above->y, below->y);
}
END_TEST

START_TEST(a_state_is_shown_where_it_changes)
{
	draw("", &two[1], 1);
	ck_assert_uint_eq(count("ESTABLISHED"), 2);
	ck_assert_uint_eq(count("TIME_WAIT"), 1);
	ck_assert_uint_eq(count("LAST_ACK"), 1);
	ck_assert_int_lt(find("TIME_WAIT")->x, find("LAST_ACK")->x);
	ck_assert_int_eq(find("TIME_WAIT")->y, find("LAST_ACK")->y);
}
END_TEST

START_TEST(a_call_stands_at_its_end_in_its_time)
{
	draw("", two, 1);
	ck_assert_int_lt(find("send() = 700")->y, find("700 bytes")->y);
	ck_assert_int_gt(find("recv() = 700")->y, find("700 bytes")->y);
	ck_assert_int_lt(find("recv() = 700")->y, find("FIN")->y);
	ck_assert_int_gt(find("send(): EPIPE")->y, find("RST")->y);
	ck_assert_int_eq(find("send() = 700")->anchor, 's');
	ck_assert_int_eq(find("recv() = 700")->anchor, 'e');
	ck_assert_str_eq(find("send(): EPIPE")->class, "call bad");
}
END_TEST

START_TEST(calls_at_both_ends_share_a_line_where_there_is_room)
{
	static const struct svg_note notes[] = {
		{ 10, true, SVG_PLAIN, "recv() = 1" },
		{ 11, false, SVG_PLAIN, "send() = 1" },
		{ 12, true, SVG_PLAIN, "shutdown(SHUT_WR)" },
		{ 13, false, SVG_PLAIN, "graceful_close()" },
	};
	struct svg_ladder l = { .notes = notes, .nnotes = COUNT(notes) };

	draw("", &l, 1);
	ck_assert_int_eq(find("recv() = 1")->y, find("send() = 1")->y);
	ck_assert_int_lt(find("shutdown(SHUT_WR)")->y,
	    find("graceful_close()")->y);
}
END_TEST

START_TEST(a_long_ladder_shows_how_it_ended)
{
	static struct ladder_row rows[1000];
	struct svg_ladder l = { .rows = rows, .n = COUNT(rows) };

	for (size_t i = 0; i < COUNT(rows); i++)
		rows[i] = (struct ladder_row)ROW((int64_t)i, i % 2 == 0, A,
		    (uint32_t)i, TCP_ESTABLISHED, TCP_ESTABLISHED, 0);
	draw("", &l, 1);
	ck_assert_uint_eq(picture.lines, 60);
	shows("940 rows not shown");
	shows("999 bytes");
	ck_assert_ptr_null(find("939 bytes"));
}
END_TEST

START_TEST(of_nothing_there_is_an_empty_picture)
{
	struct svg_ladder none = { 0 };

	draw("", NULL, 0);
	ck_assert_uint_eq(picture.ntexts, 0);
	draw("", &none, 1);
	ck_assert_uint_eq(picture.lines, 0);
	ck_assert_uint_eq(picture.ntexts, 2);	/* client, server */
	none.first = 3;
	draw("", &none, 1);
	ck_assert_uint_eq(picture.lines, 0);
}
END_TEST

START_TEST(text_is_escaped)
{
	static const struct svg_note notes[] = {
		{ 0, false, SVG_PLAIN, "a<b>&\"'c" },
	};
	struct svg_ladder l = { .caption = "<script>", .client = "a&b",
	    .server = "\xff\x01\n", .notes = notes, .nnotes = 1,
	    .verdict = "]]> &amp;", .reason = "<!--" };

	draw("\"</title>", &l, 1);
	ck_assert_str_eq(picture.title, "\"</title>");
	shows("<script>");
	shows("a&b");
	shows("???");
	shows("a<b>&\"'c");
	shows("]]> &amp;");
	shows("<!--");
	ck_assert_ptr_null(strstr(picture.svg, "<script"));
}
END_TEST

START_TEST(the_picture_refers_to_nothing_outside)
{
	draw("two", two, 2);
	ck_assert_ptr_null(strstr(picture.svg, "href"));
	ck_assert_ptr_null(strstr(picture.svg, "url("));
	ck_assert_ptr_null(strstr(picture.svg, "@import"));
	ck_assert_ptr_null(strstr(strstr(picture.svg, "http") + 1, "http"));
}
END_TEST

START_TEST(the_same_rows_make_the_same_picture)
{
	char *again = written("two", two, 2);

	draw("two", two, 2);
	ck_assert_str_eq(picture.svg, again);
	free(again);
}
END_TEST

/* --- whether it can be read ---------------------------------------------- */

static bool
is_mono(const struct text *t)
{
	return strncmp(t->class, "call", 4) == 0 ||
	    strcmp(t->class, "state") == 0;
}

/* The size of a class, as the style has it. */
static int
size_of(const struct text *t)
{
	const char *at = NULL;

	if (strcmp(t->class, "caption") == 0)
		at = strstr(picture.svg, ".caption{font-size:");
	else if (is_mono(t))
		at = strstr(picture.svg, ".state,.call{font:");
	else
		at = strstr(picture.svg, "\ntext{font:");
	ck_assert_ptr_nonnull(at);
	return (int)strtol(strpbrk(at, "0123456789"), NULL, 10);
}

/* In the widest of the usual fonts. */
static int
width_of(const struct text *t)
{
	if (t->squeezed != 0)
		return t->squeezed;
	return (int)strlen(t->said) * size_of(t) * (is_mono(t) ? 602 : 580) /
	    1000;
}

static int
left_of(const struct text *t)
{
	if (t->anchor == 'm')
		return t->x - width_of(t) / 2;
	return t->anchor == 'e' ? t->x - width_of(t) : t->x;
}

static bool
overlap(const struct text *a, const struct text *b)
{
	return left_of(a) < left_of(b) + width_of(b) &&
	    left_of(b) < left_of(a) + width_of(a) &&
	    abs(a->y - b->y) < size_of(a);
}

/* Nothing covers something else, or leaves the picture. */
static void
all_is_legible(void)
{
	for (size_t i = 0; i < picture.ntexts; i++) {
		const struct text *t = &picture.texts[i];

		ck_assert_msg(left_of(t) >= 0 &&
		    left_of(t) + width_of(t) <= picture.wide &&
		    t->y < picture.tall, "\"%s\" is not inside", t->said);
		for (size_t k = 0; k < i; k++)
			ck_assert_msg(!overlap(t, &picture.texts[k]),
			    "\"%s\" covers \"%s\"", t->said,
			    picture.texts[k].said);
	}
}

/* The columns come one after the other; which one, by the middle. */
START_TEST(two_ladders_do_not_overlap)
{
	size_t left = 0;

	draw("two", two, 2);
	all_is_legible();
	for (size_t i = 0; i < picture.ntexts; i++) {
		const struct text *t = &picture.texts[i];
		int middle = picture.wide / 2;

		left += t->x < middle;
		ck_assert_msg(t->x < middle ?
		    left_of(t) + width_of(t) <= middle : left_of(t) >= middle,
		    "\"%s\" is in both columns", t->said);
	}
	ck_assert_uint_gt(left, 10);
	ck_assert_uint_gt(picture.ntexts - left, 10);
}
END_TEST

/* On a screen of 360 pixels, that is: 10.5 of them at least. */
START_TEST(text_of_two_ladders_is_large_enough_for_a_phone)
{
	draw("two", two, 2);
	for (size_t i = 0; i < picture.ntexts; i++)
		ck_assert_int_ge((intmax_t)size_of(&picture.texts[i]) * 3600,
		    (intmax_t)picture.wide * 105);
}
END_TEST

START_TEST(text_that_is_too_wide_is_squeezed_or_wrapped)
{
	static char word[400];
	struct ladder_row row = ROW(0, true, A, 4294967295u, TCP_ESTABLISHED,
	    TCP_ESTABLISHED, .count = 4294967295u, .unacked = true);
	struct svg_note note = { 1, false, SVG_PLAIN, word };
	struct svg_ladder l = { .caption = word, .client = word,
	    .server = word, .rows = &row, .n = 1, .notes = &note,
	    .nnotes = 1, .verdict = word,
	    .reason = "The words of a long reason do not find room on a "
	    "single line, and not on two lines either, so there are more" };

	memset(word, 'W', sizeof(word) - 1);
	draw("wide", &l, 1);
	all_is_legible();
	ck_assert_ptr_nonnull(strstr(picture.svg, "textLength"));
}
END_TEST

/* The light a channel gives: close to its power of 2.2, as sRGB has it. */
static double
channel(unsigned c)
{
	double x = c / 255.0;

	return x * x * (0.8 + 0.2 * x);
}

static double
luminance(unsigned long rgb)
{
	return 0.2126 * channel(rgb >> 16 & 255) +
	    0.7152 * channel(rgb >> 8 & 255) + 0.0722 * channel(rgb & 255);
}

/* As WCAG 2 defines it; 4.5 is enough for text of any size. */
static double
contrast(unsigned long a, unsigned long b)
{
	double x = luminance(a) + 0.05, y = luminance(b) + 0.05;

	return x > y ? x / y : y / x;
}

/* The first colour behind this selector, from `style` on. */
static unsigned long
colour(const char *style, const char *selector)
{
	const char *at = strstr(style, selector);

	ck_assert_msg(at != NULL, "no %s", selector);
	return strtoul(strchr(at, '#') + 1, NULL, 16);
}

static const struct { const char *text, *ground; } inks[] = {
	{ "text,.head{fill:", ".paper,.box{fill:" },
	{ ".state,.pause,text.ack{fill:", ".paper,.box{fill:" },
	{ ".call{fill:", ".paper,.box{fill:" },
	{ ".call.good{fill:", ".paper,.box{fill:" },
	{ "text.bad,.head.bad{fill:", ".paper,.box{fill:" },
	{ "text,.head{fill:", ".box.good{fill:" },
	{ "text,.head{fill:", ".box.bad{fill:" },
};

START_TEST(text_stands_out_in_light_and_in_dark)
{
	const char *light, *dark;

	draw("two", two, 2);
	light = strstr(picture.svg, "<style>");
	ck_assert_ptr_nonnull(light);
	dark = strstr(light, "@media (prefers-color-scheme:dark){");
	ck_assert_ptr_nonnull(dark);
	for (size_t i = 0; i < COUNT(inks); i++) {
		ck_assert_msg(contrast(colour(light, inks[i].text),
		    colour(light, inks[i].ground)) >= 4.5, "light: %s",
		    inks[i].text);
		ck_assert_msg(contrast(colour(dark, inks[i].text),
		    colour(dark, inks[i].ground)) >= 4.5, "dark: %s",
		    inks[i].text);
	}
	ck_assert_double_lt(luminance(colour(dark, ".paper,.box{fill:")), 0.1);
}
END_TEST

/* --- into a file --------------------------------------------------------- */

static char	directory[24];
static char	path[64];

static void
make_directory(void)
{
	snprintf(directory, sizeof(directory), "/tmp/check_svg.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/a.svg", directory);
}

static void
remove_directory(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);	/* and nothing is left in it */
}

static size_t
size_of_file(void)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	return (size_t)st.st_size;
}

static void
make_file(const char *content)
{
	FILE *fp = fopen(path, "w");

	ck_assert_ptr_nonnull(fp);
	fputs(content, fp);
	ck_assert_int_eq(fclose(fp), 0);
}

START_TEST(a_file_is_made_or_replaced)
{
	struct stat st;

	make_directory();
	umask(022);
	ck_assert_int_eq(svg_save(path, "two", two, 2), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0644);
	make_file("old");
	ck_assert_int_eq(svg_save(path, "two", two, 2), 0);
	ck_assert_int_eq((int)size_of_file(), (int)st.st_size);
	remove_directory();
}
END_TEST

/* A file may not grow: what is written for it fails half-way. */
START_TEST(a_file_that_cannot_be_written_in_whole_stays_as_it_was)
{
	struct rlimit limit, all;

	make_directory();
	make_file("old");
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &all), 0);
	limit = all;
	limit.rlim_cur = 100;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(svg_save(path, "two", two, 2), -1);
	t_errno_is(EFBIG);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
	ck_assert_uint_eq(size_of_file(), 3);
	remove_directory();
}
END_TEST

START_TEST(a_place_where_no_file_can_be_is_an_error)
{
	ck_assert_int_eq(svg_save("/nowhere/a.svg", "two", two, 2), -1);
	t_errno_is(ENOENT);
	ck_assert_int_eq(svg_save("/tmp", "two", two, 2), -1);
	t_errno_is(EISDIR);
	ck_assert_int_eq(svg_save("", "two", two, 2), -1);
	t_errno_is(ENOENT);
}
END_TEST

START_TEST(a_device_is_written_to_and_not_replaced)
{
	struct stat st;

	ck_assert_int_eq(svg_save("/dev/null", "two", two, 2), 0);
	ck_assert_int_eq(svg_save("/dev/full", "two", two, 2), -1);
	t_errno_is(ENOSPC);
	ck_assert_int_eq(stat("/dev/full", &st), 0);
	ck_assert(S_ISCHR(st.st_mode));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("svg");
	TCase *tc = t_case(s, "svg");

	tcase_add_test(tc, each_row_has_an_arrow_and_the_end_has_its_verdict);
	tcase_add_test(tc, the_picture_is_there_in_words_too);
	tcase_add_loop_test(tc, a_segment_has_a_short_name, 0,
	    (int)COUNT(labels));
	tcase_add_test(tc,
	    rows_before_the_first_are_left_out_but_not_their_states);
	tcase_add_test(tc, a_state_is_shown_where_it_changes);
	tcase_add_test(tc, a_call_stands_at_its_end_in_its_time);
	tcase_add_test(tc, calls_at_both_ends_share_a_line_where_there_is_room);
	tcase_add_test(tc, a_long_ladder_shows_how_it_ended);
	tcase_add_test(tc, of_nothing_there_is_an_empty_picture);
	tcase_add_test(tc, text_is_escaped);
	tcase_add_test(tc, the_picture_refers_to_nothing_outside);
	tcase_add_test(tc, the_same_rows_make_the_same_picture);
	tcase_add_test(tc, two_ladders_do_not_overlap);
	tcase_add_test(tc, text_of_two_ladders_is_large_enough_for_a_phone);
	tcase_add_test(tc, text_that_is_too_wide_is_squeezed_or_wrapped);
	tcase_add_test(tc, text_stands_out_in_light_and_in_dark);
	tcase_add_test(tc, a_file_is_made_or_replaced);
	tcase_add_test(tc,
	    a_file_that_cannot_be_written_in_whole_stays_as_it_was);
	tcase_add_test(tc, a_place_where_no_file_can_be_is_an_error);
	tcase_add_test(tc, a_device_is_written_to_and_not_replaced);
	return t_main(s);
}
