/* ladder.c - see ladder.h */
#include <netinet/tcp.h>

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "closewatch/diag.h"
#include "closewatch/ladder.h"

#define RUN_MIN		9		/* shorter runs are shown in full */
#define RUN_PAUSE_US	10000		/* ends a run */
#define INNER		43		/* columns between the two sides */
#define LABEL_MAX	(INNER - 3)	/* beside two spaces and a head */
#define LABEL_SIZE	80

/* --- rows, from segments ------------------------------------------------- */

struct side {
	bool		known;
	uint32_t	base;		/* the SYN's number */
	uint32_t	next;		/* relative, beyond what was sent */
	uint32_t	acked;		/* by the other side */
	uint32_t	fin_end;	/* 0: no FIN yet */
	int		state;
};

struct pass {
	struct side	side[2];	/* client, server */
	bool		reset;
};

/* A capture without the SYN counts as begun right after it. */
static void
learn_base(struct side *side, uint32_t number)
{
	if (side->known)
		return;
	side->known = true;
	side->base = number;
}

static void
number_row(struct pass *p, struct ladder_row *row, const struct segment *s)
{
	struct side *me = &p->side[!row->to_server];
	struct side *other = &p->side[row->to_server];

	learn_base(me, (s->flags & SEGMENT_SYN) != 0 ? s->seq : s->seq - 1);
	if ((s->flags & SEGMENT_ACK) != 0) {
		learn_base(other, s->ack - 1);
		row->ack = s->ack - other->base;
	}
	row->seq = s->seq - me->base;
	row->end = row->seq + segment_span(s);
	row->again = row->end != row->seq && row->end <= me->next;
	row->probe = row->end == row->seq && row->seq + 1 == me->next &&
	    (s->flags & SEGMENT_RST) == 0;
}

/*
 * The acknowledgement of an RST does not count: Linux ends the connection
 * before it looks at it (tcp_validate_incoming()).
 */
static void
remember(struct pass *p, const struct ladder_row *row)
{
	struct side *me = &p->side[!row->to_server];
	struct side *other = &p->side[row->to_server];

	if ((row->flags & SEGMENT_RST) != 0) {
		p->reset = true;
		return;
	}
	if (row->end > me->next)
		me->next = row->end;
	if ((row->flags & SEGMENT_FIN) != 0)
		me->fin_end = row->end;
	if (row->ack > other->acked)
		other->acked = row->ack;
}

static void
sender_moves(struct side *me, uint8_t flags)
{
	if ((flags & SEGMENT_RST) != 0)
		me->state = TCP_CLOSE;
	else if ((flags & SEGMENT_SYN) != 0)
		me->state = (flags & SEGMENT_ACK) != 0 ? TCP_SYN_RECV :
		    TCP_SYN_SENT;
	else if ((flags & SEGMENT_FIN) != 0 && (me->state == TCP_ESTABLISHED ||
	    me->state == TCP_SYN_RECV))
		me->state = TCP_FIN_WAIT1;
	else if ((flags & SEGMENT_FIN) != 0 && me->state == TCP_CLOSE_WAIT)
		me->state = TCP_LAST_ACK;
}

static void
acknowledged(struct side *me)
{
	bool fin = me->fin_end != 0 && me->acked >= me->fin_end;

	if (me->state == TCP_SYN_RECV)
		me->state = TCP_ESTABLISHED;
	else if (me->state == TCP_FIN_WAIT1 && fin)
		me->state = TCP_FIN_WAIT2;
	else if (me->state == TCP_CLOSING && fin)
		me->state = TCP_TIME_WAIT;
	else if (me->state == TCP_LAST_ACK && fin)
		me->state = TCP_CLOSE;
}

static void
got_fin(struct side *me)
{
	if (me->state == TCP_ESTABLISHED)
		me->state = TCP_CLOSE_WAIT;
	else if (me->state == TCP_FIN_WAIT1)
		me->state = TCP_CLOSING;
	else if (me->state == TCP_FIN_WAIT2)
		me->state = TCP_TIME_WAIT;
}

static void
receiver_moves(struct side *me, uint8_t flags)
{
	if ((flags & SEGMENT_RST) != 0) {
		me->state = TCP_CLOSE;
		return;
	}
	if ((flags & SEGMENT_SYN) != 0)		/* it may refuse */
		me->state = (flags & SEGMENT_ACK) != 0 ? TCP_ESTABLISHED :
		    DIAG_GONE;
	if ((flags & SEGMENT_ACK) != 0)
		acknowledged(me);
	if ((flags & SEGMENT_FIN) != 0)
		got_fin(me);
}

/* A state that the kernel gave overrides one derived from the segments. */
static void
settle_state(struct side *side, int seen, int *state, bool *sure)
{
	*sure = seen != LIVE_UNSEEN;
	if (seen == DIAG_GONE)
		side->state = TCP_CLOSE;	/* on the wire the same */
	else if (*sure)
		side->state = seen;
	*state = side->state;
}

static void
make_row(struct pass *p, struct ladder_row *row, const struct live_segment *w,
    in_port_t client)
{
	*row = (struct ladder_row){
		.us = w->s.us,
		.length = w->s.length,
		.window = w->s.window,
		.flags = w->s.flags,
		.to_server = w->s.from.port == client,
		.count = 1,
	};
	number_row(p, row, &w->s);
	remember(p, row);
	sender_moves(&p->side[!row->to_server], row->flags);
	receiver_moves(&p->side[row->to_server], row->flags);
	settle_state(&p->side[0], w->client_state, &row->client_state,
	    &row->client_sure);
	settle_state(&p->side[1], w->server_state, &row->server_state,
	    &row->server_sure);
}

/* No state returns, so a state that was seen held as long as it lasted. */
static void
spread(struct ladder_row *to, const struct ladder_row *from)
{
	if (from->client_sure && from->client_state == to->client_state)
		to->client_sure = true;
	if (from->server_sure && from->server_state == to->server_state)
		to->server_sure = true;
}

static void
look_back(const struct pass *p, struct ladder_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rows[i].unacked = p->reset && rows[i].length > 0 &&
		    rows[i].seq + rows[i].length >
		    p->side[!rows[i].to_server].acked;
	for (size_t i = 1; i < n; i++)
		spread(&rows[i], &rows[i - 1]);
	for (size_t i = n; i-- > 1;)
		spread(&rows[i - 1], &rows[i]);
}

/* --- runs of like segments ----------------------------------------------- */

static bool
moves_no_state(const struct ladder_row *before, const struct ladder_row *row)
{
	return row->client_state == before->client_state &&
	    row->server_state == before->server_state;
}

/* Whether rows[i] may be part of a run: it has nothing special. */
static bool
plain(const struct ladder_row *rows, size_t i)
{
	return (rows[i].flags & (SEGMENT_SYN | SEGMENT_FIN |
	    SEGMENT_RST)) == 0 && !rows[i].again && !rows[i].probe &&
	    (i == 0 || moves_no_state(&rows[i - 1], &rows[i]));
}

static size_t
run_length(const struct ladder_row *rows, size_t i, size_t n)
{
	size_t end = i + 1;

	if (!plain(rows, i))
		return 1;
	while (end < n && plain(rows, end) &&
	    rows[end].us - rows[end - 1].us < RUN_PAUSE_US)
		end++;
	return end - i;
}

static bool
alike(const struct ladder_row *a, const struct ladder_row *b)
{
	return a->to_server == b->to_server && a->unacked == b->unacked &&
	    (a->length > 0) == (b->length > 0);
}

static void
join(struct ladder_row *run, const struct ladder_row *row)
{
	run->count++;
	run->length += row->length;
	run->end = row->end;
	run->ack = row->ack;
	run->window = row->window;
	run->flags &= row->flags;		/* PSH only if all have it */
}

/* Replace the run, in place, by one row of each kind. */
static size_t
fold_run(struct ladder_row *rows, size_t n)
{
	size_t kinds = 0, k;

	for (size_t i = 0; i < n; i++) {
		for (k = 0; k < kinds && !alike(&rows[k], &rows[i]); k++)
			;
		if (k < kinds)
			join(&rows[k], &rows[i]);
		else
			rows[kinds++] = rows[i];
	}
	return kinds;
}

static size_t
fold(struct ladder_row *rows, size_t n)
{
	size_t out = 0, run;

	for (size_t i = 0; i < n; i += run) {
		run = run_length(rows, i, n);
		memmove(&rows[out], &rows[i], run * sizeof(*rows));
		out += run < RUN_MIN ? run : fold_run(&rows[out], run);
	}
	return out;
}

size_t
ladder_rows(struct ladder_row *rows, const struct live_segment *w, size_t n,
    in_port_t client)
{
	struct pass p = {
		.side[0].state = TCP_ESTABLISHED,
		.side[1].state = TCP_ESTABLISHED,
	};

	for (size_t i = 0; i < n; i++)
		make_row(&p, &rows[i], &w[i], client);
	look_back(&p, rows, n);
	return fold(rows, n);
}

const char *
ladder_story(const struct live_segment *w, size_t n, char *buf)
{
	struct flow flow;

	buf[0] = '\0';
	if (n == 0)
		return buf;
	flow_begin(&flow, &w[0].s);
	for (size_t i = 1; i < n; i++)
		flow_feed(&flow, &w[i].s);
	return flow_story(&flow, buf);
}

/* --- text ---------------------------------------------------------------- */

static const char *
flags_of(const struct ladder_row *row, char *buf)
{
	return segment_flags(&(struct segment){ .flags = row->flags }, buf);
}

static const char *
mark(const struct ladder_row *row)
{
	if (row->unacked)
		return "unacked";
	if (row->probe)
		return "probe";
	return row->again ? "again" : "";
}

/* As tcpdump: seq where it matters, a range where there is data. */
const char *
ladder_line(const struct ladder_row *row, char *buf)
{
	char flags[SEGMENT_FLAGS_SIZE], seq[32] = "", ack[24] = "";
	char count[24] = "";
	bool numbered = (row->flags & (SEGMENT_SYN | SEGMENT_FIN |
	    SEGMENT_RST)) != 0;

	if (row->length > 0)
		snprintf(seq, sizeof(seq), ", seq %u:%u", row->seq,
		    row->seq + row->length);
	else if (numbered)
		snprintf(seq, sizeof(seq), ", seq %u", row->seq);
	if ((row->flags & SEGMENT_ACK) != 0)
		snprintf(ack, sizeof(ack), ", ack %u", row->ack);
	if (row->count > 1)
		snprintf(count, sizeof(count), "%u x ", row->count);
	snprintf(buf, LADDER_LINE_SIZE, "%s%s%s%s, win %u, length %u%s%s",
	    count, flags_of(row, flags), seq, ack, row->window, row->length,
	    *mark(row) != '\0' ? ", " : "", mark(row));
	return buf;
}

const char *
ladder_state(int state, bool sure, char *buf)
{
	*buf = '\0';
	if (state == DIAG_GONE)
		return buf;
	snprintf(buf, LADDER_STATE_SIZE, "%s%s%s", sure ? " " : "(",
	    diag_state_name(state), sure ? "" : ")");
	return buf;
}

static void
data_label(const struct ladder_row *row, bool range, char *buf)
{
	char flags[SEGMENT_FLAGS_SIZE], count[16] = "", where[32] = "";

	if (row->count > 1)
		snprintf(count, sizeof(count), "%u x ", row->count);
	if (range)
		snprintf(where, sizeof(where), "%u:%u, ", row->seq,
		    row->seq + row->length);
	snprintf(buf, LABEL_SIZE, "%s%s %s%u byte%s%s%s", count,
	    flags_of(row, flags), where, row->length,
	    row->length == 1 ? "" : "s", *mark(row) != '\0' ? ", " : "",
	    mark(row));
}

static void
bare_label(const struct ladder_row *row, char *buf)
{
	char flags[SEGMENT_FLAGS_SIZE], count[16] = "", what[32] = "";
	bool reset = (row->flags & SEGMENT_RST) != 0;

	if (row->count > 1)
		snprintf(count, sizeof(count), "%u x ", row->count);
	if ((row->flags & SEGMENT_ACK) != 0)
		snprintf(what, sizeof(what), " ack %u%s", row->ack,
		    row->window == 0 && !reset ? ", win 0" : "");
	else if (reset)
		snprintf(what, sizeof(what), " seq %u", row->seq);
	snprintf(buf, LABEL_SIZE, "%s%s%s%s%s", count, flags_of(row, flags),
	    what, *mark(row) != '\0' ? ", " : "", mark(row));
}

/* How much data, or which number is acknowledged. */
static int
label(const struct ladder_row *row, char *buf)
{
	if (row->length == 0)
		bare_label(row, buf);
	else
		data_label(row, row->count == 1, buf);
	if (row->length > 0 && strlen(buf) > LABEL_MAX)
		data_label(row, false, buf);
	return (int)strlen(buf);
}

/* --- drawing ------------------------------------------------------------- */

struct ladder_style
ladder_style(FILE *out, bool ascii)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct ladder_style style;

	setlocale(LC_CTYPE, "");
	style.utf8 = !ascii && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	style.colour = isatty(fileno(out)) == 1 &&
	    (no_color == NULL || *no_color == '\0') &&
	    term != NULL && strcmp(term, "dumb") != 0;
	return style;
}

const char *
ladder_colour(const struct ladder_row *row, struct ladder_style style)
{
	if (!style.colour)
		return "";
	if ((row->flags & SEGMENT_RST) != 0)
		return "\033[31m";
	if (row->unacked)
		return "\033[33m";
	return (row->flags & SEGMENT_FIN) != 0 ? "\033[1m" : "";
}

const char *
ladder_plain(const struct ladder_row *row, struct ladder_style style)
{
	return *ladder_colour(row, style) != '\0' ? "\033[0m" : "";
}

static void
draw_times(FILE *out, const char *what, int times)
{
	while (times-- > 0)
		fputs(what, out);
}

/* "──── [S.] ack 1 ───>", and its mirror image. */
static void
draw_arrow(FILE *out, const struct ladder_row *row, struct ladder_style style)
{
	const char *line = style.utf8 ? "─" : "-";
	char text[LABEL_SIZE];
	int dashes = LABEL_MAX - label(row, text);

	fputs(ladder_colour(row, style), out);
	if (!row->to_server)
		fputs(style.utf8 ? "←" : "<", out);
	draw_times(out, line, dashes / 2);
	fprintf(out, " %s ", text);
	draw_times(out, line, dashes - dashes / 2);
	if (row->to_server)
		fputs(style.utf8 ? "→" : ">", out);
	fputs(ladder_plain(row, style), out);
}

/* A state is shown if it differs from the one above. */
static const char *
news(int state, bool sure, int *shown, char *buf)
{
	if (state == *shown)
		return "";
	*shown = state;
	return ladder_state(state, sure, buf);
}

void
ladder_draw(FILE *out, const struct ladder_row *rows, size_t n,
    int64_t zero_us, struct ladder_style style)
{
	const char *side = style.utf8 ? "│" : "|";
	char left[LADDER_STATE_SIZE], right[LADDER_STATE_SIZE];
	int client = DIAG_GONE, server = DIAG_GONE;

	fprintf(out, "%7s  %-*s%s\n", "ms", INNER + 15, "client", "server");
	for (size_t i = 0; i < n; i++) {
		const struct ladder_row *row = &rows[i];

		fprintf(out, "%7.1f %-13s%s", (double)(row->us - zero_us) / 1e3,
		    news(row->client_state, row->client_sure, &client, left),
		    side);
		draw_arrow(out, row, style);
		fprintf(out, "%s%s\n", side,
		    news(row->server_state, row->server_sure, &server, right));
	}
}
