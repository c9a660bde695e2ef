/* chosen.c - see chosen.h */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "closewatch/chosen.h"
#include "closewatch/ladder.h"
#include "closewatch/svg.h"

#define KEPT_MAX	16384		/* segments; the oldest go first */

/* The ends for ladder_rows(): a client may have the port of its server. */
enum { CLIENT_PORT = 1, SERVER_PORT };

enum rank { NONE, ENDED, ABNORMAL };

struct chosen {
	FILE		*file;
	enum rank	 rank;
	struct flow	 flow;		/* of rank ENDED and above */
	struct live_segment *segments;	/* of that flow */
	size_t		 n;
	uint64_t	 seen;
	struct segment	*kept;		/* number i at i % KEPT_MAX */
};

struct chosen *
chosen_open(const char *path)
{
	struct chosen *c = calloc(1, sizeof(*c));
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	if (c != NULL && fd != -1 &&
	    (c->kept = calloc(KEPT_MAX, sizeof(*c->kept))) != NULL &&
	    (c->segments = calloc(KEPT_MAX, sizeof(*c->segments))) != NULL &&
	    (c->file = fdopen(fd, "w")) != NULL)
		return c;
	if (c != NULL) {
		free(c->segments);
		free(c->kept);
	}
	if (fd != -1)
		close(fd);
	free(c);
	return NULL;
}

/* --- which one, and its segments ----------------------------------------- */

static bool
from_to(const struct segment *s, const struct endpoint *from,
    const struct endpoint *to)
{
	return endpoint_equal(&s->from, from) && endpoint_equal(&s->to, to);
}

/* Takes its segments out of those that are kept. */
static void
collect(struct chosen *c, const struct flow *f)
{
	const struct endpoint *client = &f->who[FLOW_CLIENT];
	const struct endpoint *server = &f->who[FLOW_SERVER];
	uint64_t i = c->seen > KEPT_MAX ? c->seen - KEPT_MAX : 0;

	c->n = 0;
	for (; i < c->seen; i++) {
		struct live_segment w = { .s = c->kept[i % KEPT_MAX],
		    .client_state = LIVE_UNSEEN, .server_state = LIVE_UNSEEN };
		bool out = from_to(&w.s, client, server);

		if ((!out && !from_to(&w.s, server, client)) ||
		    w.s.us < f->began_us || w.s.us > f->last_us)
			continue;
		w.s.from.port = out ? CLIENT_PORT : SERVER_PORT;
		w.s.to.port = out ? SERVER_PORT : CLIENT_PORT;
		c->segments[c->n++] = w;
	}
}

void
chosen_segment(struct chosen *c, const struct segment *s)
{
	c->kept[c->seen++ % KEPT_MAX] = *s;
}

static uint64_t
lost(const struct flow *f)
{
	return flow_lost(f, FLOW_CLIENT) + flow_lost(f, FLOW_SERVER);
}

void
chosen_ended(struct chosen *c, const struct flow *f)
{
	enum rank rank = f->end == FLOW_RESET || lost(f) > 0 ? ABNORMAL :
	    ENDED;

	if (rank <= c->rank)
		return;
	c->rank = rank;
	c->flow = *f;
	collect(c, f);
}

/* None has ended: the first that is open, as far as it was seen. */
static void
take_open(struct chosen *c)
{
	uint64_t i = c->seen > KEPT_MAX ? c->seen - KEPT_MAX : 0;

	if (i == c->seen)
		return;
	flow_begin(&c->flow, &c->kept[i % KEPT_MAX]);
	while (++i < c->seen)
		if (flow_has(&c->flow, &c->kept[i % KEPT_MAX]))
			flow_feed(&c->flow, &c->kept[i % KEPT_MAX]);
	collect(c, &c->flow);
}

/* --- the picture --------------------------------------------------------- */

static enum svg_tone
verdict(const struct flow *f, char *buf, size_t size)
{
	uint64_t bytes = lost(f);

	if (bytes > 0)
		snprintf(buf, size, "%" PRIu64 " byte%s lost", bytes,
		    bytes == 1 ? "" : "s");
	else
		snprintf(buf, size, "%s", f->end == FLOW_RESET ? "Reset" :
		    f->end == FLOW_REFUSED ? "Refused" :
		    flow_over(f) ? "Nothing lost" : "Still open");
	if (bytes > 0 || f->end == FLOW_RESET)
		return SVG_BAD;
	return flow_over(f) && f->end != FLOW_REFUSED ? SVG_GOOD : SVG_PLAIN;
}

static int
draw(FILE *out, const struct chosen *c, struct ladder_row *rows)
{
	char client[ENDPOINT_SIZE], server[ENDPOINT_SIZE];
	char ends[2 * ENDPOINT_SIZE + 8], loss[40], story[FLOW_STORY_SIZE];
	struct svg_ladder ladder = {
		.caption = ends,
		.rows = rows,
		.n = ladder_rows(rows, c->segments, c->n, CLIENT_PORT),
		.tone = verdict(&c->flow, loss, sizeof(loss)),
		.verdict = loss,
		.reason = flow_story(&c->flow, story),
	};

	snprintf(ends, sizeof(ends), "%s > %s",
	    endpoint_text(&c->flow.who[FLOW_CLIENT], client),
	    endpoint_text(&c->flow.who[FLOW_SERVER], server));
	return svg_write(out, ends, &ladder, 1);
}

static int
draw_none(FILE *out)
{
	const struct svg_ladder none = { .caption = "No TCP was seen" };

	return svg_write(out, none.caption, &none, 1);
}

static int
empty(FILE *file)
{
	struct stat st;

	if (fstat(fileno(file), &st) == -1)
		return -1;
	return S_ISREG(st.st_mode) ? ftruncate(fileno(file), 0) : 0;
}

static int
draw_chosen(struct chosen *c)
{
	struct ladder_row *rows;
	int rv;

	if (c->rank == NONE)
		take_open(c);
	if (empty(c->file) == -1)
		return -1;
	if (c->n == 0)
		return draw_none(c->file);
	if ((rows = calloc(c->n, sizeof(*rows))) == NULL)
		return -1;
	rv = draw(c->file, c, rows);
	free(rows);
	return rv;
}

int
chosen_save(struct chosen *c)
{
	int rv = draw_chosen(c), error = errno;

	if (fclose(c->file) != 0 && rv == 0) {
		rv = -1;
		error = errno;
	}
	free(c->segments);
	free(c->kept);
	free(c);
	errno = error;
	return rv;
}
