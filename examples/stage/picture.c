/* picture.c - see picture.h */
#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "closewatch/svg_save.h"
#include "stage/narrator.h"
#include "stage/picture.h"

#define COLUMNS_MAX	2
#define CALLS_MAX	16		/* of one connection */
#define CALL_SIZE	48
#define HANDSHAKE	3		/* segments, alike in each column */

struct column {
	const char		*caption, *verdict, *reason;
	enum svg_tone		 tone;
	struct ladder_row	*rows;
	size_t			 n;
	struct svg_note		 notes[CALLS_MAX];
	char			 calls[CALLS_MAX][CALL_SIZE];
	size_t			 ncalls;
};

static const char	*file;
static struct column	 columns[COLUMNS_MAX];
static size_t		 ncolumns;

void
picture_file(const char *path)
{
	file = path;
}

bool
picture_wanted(void)
{
	return file != NULL;
}

/* The column that is being made; NULL: there is no room for one more. */
static struct column *
current(void)
{
	return file != NULL && ncolumns < COLUMNS_MAX ? &columns[ncolumns] :
	    NULL;
}

void
picture_begin(void)
{
	if (current() != NULL)
		*current() = (struct column){ 0 };
}

/* A call that waits is reported when it is over, but has the time it began. */
static void
insert(struct column *c, const struct svg_note *note)
{
	size_t i = c->ncalls++;

	for (; i > 0 && c->notes[i - 1].us > note->us; i--)
		c->notes[i] = c->notes[i - 1];
	c->notes[i] = *note;
}

void
picture_call(double at, bool server, enum svg_tone tone, const char *fmt, ...)
{
	struct column *c = current();
	va_list ap;
	char *text;

	if (c == NULL || c->ncalls == CALLS_MAX)
		return;
	text = c->calls[c->ncalls];
	va_start(ap, fmt);
	vsnprintf(text, CALL_SIZE, fmt, ap);
	va_end(ap);
	insert(c, &(struct svg_note){
		.us = show_began_us() + (int64_t)(at * 1e3),
		.server = server,
		.tone = tone,
		.text = text,
	});
}

void
picture_column(const char *caption, enum svg_tone tone, const char *verdict,
    const char *reason)
{
	struct column *c = current();

	if (c == NULL)
		return;
	c->caption = caption;
	c->tone = tone;
	c->verdict = verdict;
	c->reason = reason;
}

void
picture_rows(const struct ladder_row *rows, size_t n)
{
	struct column *c = current();

	if (c == NULL || c->caption == NULL)
		return;
	if ((c->rows = calloc(n + 1, sizeof(*rows))) == NULL)
		err(1, "calloc");
	memcpy(c->rows, rows, n * sizeof(*rows));
	c->n = n;
	ncolumns++;
}

/* Whether the capture has the end of the connection: an RST, or both FINs. */
static bool
complete(const struct column *c)
{
	bool fin[2] = { false, false };

	for (size_t i = 0; i < c->n; i++) {
		if ((c->rows[i].flags & SEGMENT_RST) != 0)
			return true;
		if ((c->rows[i].flags & SEGMENT_FIN) != 0)
			fin[c->rows[i].to_server] = true;
	}
	return fin[false] && fin[true];
}

void
picture_save(const char *title)
{
	struct svg_ladder ladders[COLUMNS_MAX];

	if (file == NULL)
		return;
	for (size_t i = 0; i < ncolumns; i++)
		if (!complete(&columns[i]))
			errx(1, "no picture: the capture came too late for the "
			    "end of a connection; run it again");
	for (size_t i = 0; i < ncolumns; i++)
		ladders[i] = (struct svg_ladder){
			.caption = columns[i].caption,
			.rows = columns[i].rows,
			.n = columns[i].n,
			.first = HANDSHAKE,
			.notes = columns[i].notes,
			.nnotes = columns[i].ncalls,
			.verdict = columns[i].verdict,
			.reason = columns[i].reason,
			.tone = columns[i].tone,
		};
	if (svg_save(file, title, ladders, ncolumns) == -1)
		err(1, "%s", file);
	for (size_t i = 0; i < ncolumns; i++)
		free(columns[i].rows);
	ncolumns = 0;
}
