/* svg.c - see svg.h */
#include <netinet/tcp.h>

#include <stdlib.h>
#include <string.h>

#include "closewatch/diag.h"
#include "closewatch/svg.h"

/*
 * All numbers are in units of the viewBox.  Two columns on 360 pixels leave
 * half a pixel to the unit, so no text is smaller than 22.
 */
#define COLUMN		352		/* one ladder */
#define BETWEEN		16		/* two ladders */
#define MARGIN		8
#define LIFE_CLIENT	12		/* from the left of the column */
#define LIFE_SERVER	(COLUMN - LIFE_CLIENT)
#define ROOM		(LIFE_SERVER - LIFE_CLIENT - 16)

#define SIZE_CAPTION	28
#define SIZE_TEXT	23
#define SIZE_MONO	22

#define TALL_CAPTION	36		/* heights of a line */
#define TALL_NOTE	31
#define TALL_ARROW	42
#define TALL_STATE	30
#define TALL_PAUSE	46
#define TALL_VERDICT	31

#define ROWS_MAX	60		/* the last ones say how it ended */
#define PAUSE_US	50000		/* a pause that is shown */
#define LINES_MAX	8
#define LABEL_SIZE	96

enum font { SANS, MONO };

/* A ladder while it is drawn, downwards. */
struct pen {
	FILE			*out;
	const struct svg_ladder	*l;
	int			 x, y;
	int			 client, server;	/* states shown */
	int64_t			 before;		/* the last event */
	const char		*life[2];		/* of each side, */
	int			 since[2];		/* and from where */
};

/* --- text ---------------------------------------------------------------- */

static void
put_char(FILE *out, char c)
{
	switch (c) {
	case '&':
		fputs("&amp;", out);
		break;
	case '<':
		fputs("&lt;", out);
		break;
	case '>':
		fputs("&gt;", out);
		break;
	case '"':
		fputs("&quot;", out);
		break;
	default:
		fputc(c >= ' ' && c <= '~' ? c : '?', out);
	}
}

static void
put_n(FILE *out, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put_char(out, text[i]);
}

static void
put(FILE *out, const char *text)
{
	put_n(out, text, strlen(text));
}

/*
 * Fonts differ.  This is the width in a wide font: 0.602 em a character in the
 * monospaced fonts, 0.58 em on average in bold DejaVu Sans and Verdana.
 */
static int
width(enum font font, int size, size_t length)
{
	size_t most = 1000;		/* beyond that it is squeezed anyway */

	if (length > most)
		length = most;
	return (int)length * size * (font == MONO ? 602 : 580) / 1000;
}

/* Text that could be too wide for `room` is made to fit. */
static void
text_n(const struct pen *p, const char *class, const char *anchor, int x,
    int wide, int room, const char *text, size_t length)
{
	fprintf(p->out, "<text class=\"%s\" x=\"%d\" y=\"%d\"", class,
	    p->x + x, p->y);
	if (*anchor != '\0')
		fprintf(p->out, " text-anchor=\"%s\"", anchor);
	if (wide > room)
		fprintf(p->out, " textLength=\"%d\" lengthAdjust="
		    "\"spacingAndGlyphs\"", room);
	fputc('>', p->out);
	put_n(p->out, text, length);
	fputs("</text>\n", p->out);
}

static void
text(const struct pen *p, const char *class, const char *anchor, int x,
    int wide, const char *s)
{
	text_n(p, class, anchor, x, wide, ROOM, s, strlen(s));
}

/* How much of the text goes on a line of so many characters. */
static size_t
line_length(const char *s, size_t most)
{
	size_t n = strlen(s);

	if (n <= most)
		return n;
	for (n = most; n > 0 && s[n] != ' '; n--)
		;
	return n > 0 ? n : most;
}

/* A block of text: wrapped at blanks, squeezed on the last line. */
struct block {
	const char	*class, *anchor;
	int		 size, tall;
	int		 x, room;
};

/* The next line of it; its length. */
static size_t
next_line(const struct block *b, const char *s, int line)
{
	size_t most = (size_t)(b->room * 1000 / (b->size * 580));

	return line < LINES_MAX ? line_length(s, most) : strlen(s);
}

static int
block_height(const struct block *b, const char *s)
{
	int lines = 0;

	while (*s != '\0') {
		s += next_line(b, s, ++lines);
		s += strspn(s, " ");
	}
	return lines * b->tall;
}

static void
draw_block(struct pen *p, const struct block *b, const char *s)
{
	size_t n;

	for (int line = 1; *s != '\0'; line++) {
		n = next_line(b, s, line);
		p->y += b->tall;
		text_n(p, b->class, b->anchor, b->x, width(SANS, b->size, n),
		    b->room, s, n);
		s += n;
		s += strspn(s, " ");
	}
}

/* --- what a segment is called -------------------------------------------- */

static const char *
control_name(const struct ladder_row *row)
{
	if ((row->flags & SEGMENT_RST) != 0)
		return "RST";
	if ((row->flags & SEGMENT_SYN) != 0)
		return (row->flags & SEGMENT_ACK) != 0 ? "SYN, ACK" : "SYN";
	if ((row->flags & SEGMENT_FIN) != 0)
		return "FIN";
	return row->probe ? "probe" : "ACK";
}

static const char *
fate(const struct ladder_row *row)
{
	if (row->unacked)
		return ", lost";
	if (row->again)
		return ", again";
	return (row->flags & (SEGMENT_SYN | SEGMENT_FIN | SEGMENT_RST)) == 0 &&
	    row->length == 0 && row->window == 0 ? ", window 0" : "";
}

static const char *
row_label(const struct ladder_row *row, char *buf)
{
	char count[32] = "";

	if (row->count > 1)
		snprintf(count, sizeof(count), row->length > 0 ?
		    " in %u segments" : " x %u", row->count);
	if (row->length > 0)
		snprintf(buf, LABEL_SIZE, "%u byte%s%s%s%s", row->length,
		    row->length == 1 ? "" : "s",
		    (row->flags & SEGMENT_FIN) != 0 ? " and FIN" : "", count,
		    fate(row));
	else
		snprintf(buf, LABEL_SIZE, "%s%s%s", control_name(row), count,
		    fate(row));
	return buf;
}

static const char *
row_class(const struct ladder_row *row)
{
	if ((row->flags & SEGMENT_RST) != 0 || row->unacked)
		return "bad";
	if ((row->flags & (SEGMENT_FIN | SEGMENT_SYN)) != 0)
		return "fin";
	return row->length > 0 ? "data" : "ack";
}

/* --- lines --------------------------------------------------------------- */

static bool
is_over(int state)
{
	return state == TCP_CLOSE || state == DIAG_GONE;
}

/* The line of one side goes on; one path for as long as it looks alike. */
static void
life(struct pen *p, bool server, const char *class)
{
	if (p->life[server] == class)
		return;
	if (p->life[server] != NULL && p->y > p->since[server])
		fprintf(p->out, "<path class=\"%s\" d=\"M%d %dV%d\"/>\n",
		    p->life[server], p->x + (server ? LIFE_SERVER :
		    LIFE_CLIENT), p->since[server], p->y);
	p->life[server] = class;
	p->since[server] = p->y;
}

static const char *
life_class(int state)
{
	static const char open[] = "life", over[] = "life over";

	return is_over(state) ? over : open;
}

/* Both sides, for a line of that height, which the pen then leaves behind. */
static void
step_down(struct pen *p, int tall)
{
	life(p, false, life_class(p->client));
	life(p, true, life_class(p->server));
	p->y += tall;
}

/* An arrow; a cross instead of its head where its data was lost. */
static void
draw_arrow(struct pen *p, const struct ladder_row *row)
{
	int dir = row->to_server ? 1 : -1;
	int from = p->x + (row->to_server ? LIFE_CLIENT : LIFE_SERVER);
	int to = p->x + (row->to_server ? LIFE_SERVER : LIFE_CLIENT);
	int y = p->y + 34;
	char label[LABEL_SIZE];

	row_label(row, label);
	p->y += 24;
	text(p, row_class(row), "middle", COLUMN / 2,
	    width(SANS, SIZE_TEXT, strlen(label)), label);
	p->y -= 24;
	fprintf(p->out, "<path class=\"line %s\" d=\"M%d %dH%d", row_class(row),
	    from, y, to - dir * (row->unacked ? 18 : 10));
	if (row->unacked)
		fprintf(p->out, "m%d -8l16 16m0 -16l-16 16", dir * 9 - 8);
	fputs("\"/>\n", p->out);
	if (!row->unacked)
		fprintf(p->out, "<path class=\"head %s\" d=\"M%d %dl%d -8v16z"
		    "\"/>\n", row_class(row), to - dir, y, -dir * 15);
	step_down(p, TALL_ARROW);
}

/* --- states, calls and pauses -------------------------------------------- */

static void
draw_state(const struct pen *p, int state, bool server)
{
	const char *name = diag_state_name(state);

	if (state == DIAG_GONE)
		return;
	text_n(p, "state", server ? "end" : "",
	    server ? LIFE_SERVER - 10 : LIFE_CLIENT + 10,
	    width(MONO, SIZE_MONO, strlen(name)), ROOM / 2, name,
	    strlen(name));
}

/* A state is shown where it is another than the one above. */
static void
draw_states(struct pen *p, const struct ladder_row *row)
{
	bool client = row->client_state != p->client;
	bool server = row->server_state != p->server;

	if (!client && !server)
		return;
	p->y += 22;
	if (client)
		draw_state(p, row->client_state, false);
	if (server)
		draw_state(p, row->server_state, true);
	p->y -= 22;
	p->client = row->client_state;
	p->server = row->server_state;
	step_down(p, TALL_STATE);
}

static const char *
note_class(const struct svg_note *note)
{
	static const char *const names[] = { "call", "call good", "call bad" };

	return names[note->tone];
}

static void
draw_note(struct pen *p, const struct svg_note *note)
{
	p->y += 22;
	text(p, note_class(note), note->server ? "end" : "",
	    note->server ? LIFE_SERVER - 10 : LIFE_CLIENT + 10,
	    width(MONO, SIZE_MONO, strlen(note->text)), note->text);
	p->y -= 22;
}

/* Two calls share a line when they are at both ends and find room there. */
static bool
share(const struct svg_note *a, const struct svg_note *b)
{
	return a->server != b->server && width(MONO, SIZE_MONO,
	    strlen(a->text) + strlen(b->text) + 1) <= ROOM;
}

/* Coarse, so that the next run of the same scene makes the same picture. */
static void
pause_text(int64_t us, char *buf)
{
	int64_t tenths = (us + 50000) / 100000;

	if (tenths < 600)
		snprintf(buf, LABEL_SIZE, "%lld.%lld s later",
		    (long long)(tenths / 10), (long long)(tenths % 10));
	else
		snprintf(buf, LABEL_SIZE, "%lld s later",
		    (long long)(tenths / 10));
}

static void
draw_pause(struct pen *p, const char *what)
{
	static const char gap[] = "life gap";

	p->y += 30;
	text(p, "pause", "middle", COLUMN / 2,
	    width(SANS, SIZE_TEXT, strlen(what)), what);
	p->y -= 30;
	life(p, false, gap);
	life(p, true, gap);
	p->y += TALL_PAUSE;
}

/* Nothing happened for a while before `us`. */
static void
pause_before(struct pen *p, int64_t us)
{
	char what[LABEL_SIZE];

	if (us - p->before >= PAUSE_US) {
		pause_text(us - p->before, what);
		draw_pause(p, what);
	}
	p->before = us;
}

/* --- a ladder ------------------------------------------------------------ */

/* The calls up to that time, but those before `i`; the next one's number. */
static size_t
draw_notes(struct pen *p, size_t i, int64_t us)
{
	const struct svg_note *note = p->l->notes;
	size_t n = p->l->nnotes;

	while (i < n && note[i].us <= us) {
		pause_before(p, note[i].us);
		draw_note(p, &note[i]);
		if (i + 1 < n && note[i + 1].us <= us &&
		    note[i + 1].us - note[i].us < PAUSE_US &&
		    share(&note[i], &note[i + 1]))
			draw_note(p, &note[++i]);
		step_down(p, TALL_NOTE);
		i++;
	}
	return i;
}

/* What went before the rows that are drawn. */
static size_t
draw_start(struct pen *p)
{
	const struct svg_ladder *l = p->l;
	size_t start = l->first < l->n ? l->first : l->n;
	char what[LABEL_SIZE];

	if (start > 0)
		draw_states(p, &l->rows[start - 1]);
	if (l->n - start <= ROWS_MAX)
		return start;
	snprintf(what, sizeof(what), "%zu rows not shown",
	    l->n - start - ROWS_MAX);
	draw_pause(p, what);
	draw_states(p, &l->rows[l->n - ROWS_MAX - 1]);
	return l->n - ROWS_MAX;
}

static void
draw_ladder(struct pen *p)
{
	const struct svg_ladder *l = p->l;
	size_t note = 0, start = draw_start(p);

	if (start > 0)
		while (note < l->nnotes &&
		    l->notes[note].us < l->rows[start - 1].us)
			note++;
	p->before = start < l->n ? l->rows[start].us : 0;
	if (note < l->nnotes && (start == l->n ||
	    l->notes[note].us < p->before))
		p->before = l->notes[note].us;
	for (size_t i = start; i < l->n; i++) {
		note = draw_notes(p, note, l->rows[i].us);
		pause_before(p, l->rows[i].us);
		draw_arrow(p, &l->rows[i]);
		draw_states(p, &l->rows[i]);
	}
	draw_notes(p, note, INT64_MAX);
	step_down(p, TALL_STATE / 2);
	life(p, false, NULL);
	life(p, true, NULL);
}

/* --- around it ----------------------------------------------------------- */

static const struct block caption = {
	"caption", "middle", SIZE_CAPTION, TALL_CAPTION, COLUMN / 2, COLUMN
};
static const struct block verdict = {
	"verdict", "", SIZE_TEXT, TALL_VERDICT, 52, COLUMN - 64
};
static const struct block reason = {
	"reason", "", SIZE_TEXT, TALL_VERDICT, 14, COLUMN - 24
};

static const char *
or_empty(const char *s)
{
	return s != NULL ? s : "";
}

static void
draw_ends(struct pen *p)
{
	const char *client = p->l->client != NULL ? p->l->client : "client";
	const char *server = p->l->server != NULL ? p->l->server : "server";

	p->y += 32;
	text_n(p, "who", "", 0, width(SANS, SIZE_TEXT, strlen(client)),
	    COLUMN / 2 - 8, client, strlen(client));
	text_n(p, "who", "end", COLUMN, width(SANS, SIZE_TEXT, strlen(server)),
	    COLUMN / 2 - 8, server, strlen(server));
	p->y += 10;
}

static int
verdict_height(const struct svg_ladder *l)
{
	int tall = block_height(&verdict, or_empty(l->verdict)) +
	    block_height(&reason, or_empty(l->reason));

	return tall > 0 ? tall + 22 : 0;
}

static void
draw_verdict(struct pen *p)
{
	static const char *const names[] = { "box", "box good", "box bad" };
	static const char *const marks[] = {
		"m0 0h20", "m0 1l8 8l14 -18", "m1 -9l18 18m0 -18l-18 18"
	};
	int tall = verdict_height(p->l), end;

	if (tall == 0)
		return;
	p->y += 10;
	end = p->y + tall;
	fprintf(p->out, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" "
	    "height=\"%d\" rx=\"10\"/>\n", names[p->l->tone], p->x, p->y,
	    COLUMN, tall);
	fprintf(p->out, "<path class=\"mark %s\" d=\"M%d %d%s\"/>\n",
	    names[p->l->tone] + 3, p->x + 16, p->y + 31,
	    marks[p->l->tone]);
	p->y += 8;
	draw_block(p, &verdict, or_empty(p->l->verdict));
	draw_block(p, &reason, or_empty(p->l->reason));
	p->y = end;
}

static struct pen
pen_for(FILE *out, const struct svg_ladder *l, size_t i, int y)
{
	return (struct pen){
		.out = out,
		.l = &l[i],
		.x = MARGIN + (int)i * (COLUMN + BETWEEN),
		.y = y,
		.client = DIAG_GONE,
		.server = DIAG_GONE,
	};
}

/* Neighbours begin side by side, below the longest caption. */
static int
draw_columns(FILE *out, const struct svg_ladder *l, size_t n)
{
	int top = MARGIN, below = MARGIN;
	struct pen p;

	for (size_t i = 0; i < n; i++) {
		p = pen_for(out, l, i, MARGIN);
		draw_block(&p, &caption, or_empty(l[i].caption));
		top = p.y > top ? p.y : top;
	}
	for (size_t i = 0; i < n; i++) {
		p = pen_for(out, l, i, top);
		draw_ends(&p);
		draw_ladder(&p);
		draw_verdict(&p);
		below = p.y > below ? p.y : below;
	}
	return below + MARGIN;
}

/* --- the picture --------------------------------------------------------- */

/* Plain colours: not every viewer knows variables. */
#define INK	"#1f2328"
#define FAINT	"#59636e"
#define RULE	"#8c959f"
#define EDGE	"#d1d9e0"
#define RED	"#c21c29"
#define GREEN	"#116329"
#define BLUE	"#0550ae"

#define DARK_INK	"#f0f6fc"
#define DARK_FAINT	"#a9b1ba"
#define DARK_RULE	"#6e7681"
#define DARK_EDGE	"#3d444d"
#define DARK_RED	"#ff8880"
#define DARK_GREEN	"#56d364"
#define DARK_BLUE	"#79c0ff"

#define COLOURS(paper, ink, faint, rule, edge, red, green, blue, rose, mint) \
    "text,.head{fill:" ink "}.line,.life,.mark{stroke:" ink "}\n"	\
    ".paper,.box{fill:" paper ";stroke:" edge "}"			\
    ".box.good{fill:" mint "}.box.bad{fill:" rose "}\n"			\
    ".state,.pause,text.ack{fill:" faint "}.call{fill:" blue "}\n"	\
    ".line.ack,.gap{stroke:" rule "}.head.ack{fill:" rule "}"		\
    ".over{stroke:" edge "}\n"						\
    ".call.good{fill:" green "}.mark.good{stroke:" green "}\n"		\
    "text.bad,.head.bad{fill:" red "}"					\
    ".line.bad,.mark.bad{stroke:" red "}\n"

static const char style[] =
    "<style>\n"
    "text{font:23px system-ui,-apple-system,'Segoe UI',Roboto,"
    "'Helvetica Neue',Arial,sans-serif}\n"
    ".state,.call{font:22px ui-monospace,SFMono-Regular,Menlo,Consolas,"
    "'DejaVu Sans Mono','Liberation Mono',monospace}\n"
    ".caption{font-size:28px}\n"
    ".caption,.who,.verdict,.fin,.bad,.good{font-weight:700}\n"
    "path{fill:none;stroke-width:3}.line.bad{stroke-width:4}"
    ".mark{stroke-width:5}.gap{stroke-dasharray:3 7}\n"
    COLOURS("#ffffff", INK, FAINT, RULE, EDGE, RED, GREEN, BLUE, "#ffebe9",
	"#dafbe1")
    "@media (prefers-color-scheme:dark){\n"
    COLOURS("#0d1117", DARK_INK, DARK_FAINT, DARK_RULE, DARK_EDGE, DARK_RED,
	DARK_GREEN, DARK_BLUE, "#3d1519", "#0f2f1b")
    "}\n"
    "</style>\n";

/* The picture in words, for screen readers. */
static void
describe_ladder(FILE *out, const struct svg_ladder *l)
{
	char label[LABEL_SIZE];
	size_t start = l->first < l->n ? l->first : l->n;

	if (l->n - start > ROWS_MAX)
		start = l->n - ROWS_MAX;
	put(out, or_empty(l->caption));
	fputs(l->n > start ? ": " : ".", out);
	for (size_t i = start; i < l->n; i++) {
		fputs(l->rows[i].to_server ? "client, " : "server, ", out);
		put(out, row_label(&l->rows[i], label));
		fputs(i + 1 < l->n ? "; " : ".", out);
	}
	fputc('\n', out);
	put(out, or_empty(l->verdict));
	fputc(' ', out);
	put(out, or_empty(l->reason));
	fputc('\n', out);
}

static void
draw_head(FILE *out, const char *title, const struct svg_ladder *l, size_t n,
    int wide, int tall)
{
	fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
	    "height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\" "
	    "aria-labelledby=\"title desc\">\n<title id=\"title\">",
	    wide * 3 / 4, tall * 3 / 4, wide, tall);
	put(out, title);
	fputs("</title>\n<desc id=\"desc\">", out);
	for (size_t i = 0; i < n; i++)
		describe_ladder(out, &l[i]);
	fputs("</desc>\n", out);
	fputs(style, out);
	fprintf(out, "<rect class=\"paper\" x=\"1\" y=\"1\" width=\"%d\" "
	    "height=\"%d\" rx=\"12\"/>\n", wide - 2, tall - 2);
}

int
svg_write(FILE *out, const char *title, const struct svg_ladder *l, size_t n)
{
	int wide = 2 * MARGIN + (n > 0 ? (int)n * (COLUMN + BETWEEN) -
	    BETWEEN : COLUMN);
	char *body = NULL;
	size_t size;
	FILE *fp;
	int tall;

	if ((fp = open_memstream(&body, &size)) == NULL)
		return -1;
	tall = draw_columns(fp, l, n);
	if (fclose(fp) != 0) {
		free(body);
		return -1;
	}
	draw_head(out, title, l, n, wide, tall);
	fputs(body, out);
	fputs("</svg>\n", out);
	free(body);
	return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}
