/* text.c - see text.h */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "closewatch/text.h"

#define SECOND	((int64_t)1000000)
#define WIDTH	102

static const char *
clock_text(int64_t us, char *buf, size_t size)
{
	time_t t = (time_t)(us / SECOND);
	struct tm tm;
	size_t n;

	if (localtime_r(&t, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	n = strftime(buf, size, "%H:%M:%S", &tm);
	snprintf(buf + n, size - n, ".%06d", (int)(us % SECOND));
	return buf;
}

static const char *
span_text(int64_t us, char *buf, size_t size)
{
	if (us < SECOND)
		snprintf(buf, size, "%.1f ms", (double)us / 1e3);
	else
		snprintf(buf, size, "%.1f s", (double)us / 1e6);
	return buf;
}

void
text_conn(const struct flow *f, int64_t over_us)
{
	char when[24], client[ENDPOINT_SIZE], server[ENDPOINT_SIZE];
	char span[24], story[FLOW_STORY_SIZE];

	printf("%s %s > %s: %s (%s, %" PRIu64 " bytes there, %" PRIu64
	    " back)\n", clock_text(over_us, when, sizeof(when)),
	    endpoint_text(&f->who[FLOW_CLIENT], client),
	    endpoint_text(&f->who[FLOW_SERVER], server),
	    flow_story(f, story),
	    span_text(over_us - f->began_us, span, sizeof(span)),
	    flow_sent(f, FLOW_CLIENT), flow_sent(f, FLOW_SERVER));
}

static void
rule(void)
{
	for (int i = 0; i < WIDTH; i++)
		putchar('-');
	putchar('\n');
}

static void
count_line(const char *name, const struct tally_count *c)
{
	printf("%-28s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64
	    " %13" PRIu64 "\n", name, c->number, c->by[FLOW_CLIENT],
	    c->by[FLOW_SERVER], c->lossy, c->lost);
}

static void
ends_table(const struct tally *t)
{
	if (t->all.number == 0)
		return;
	printf("\n%-28s %9s %9s %9s %9s %13s\n", "how they ended", "number",
	    "by client", "by server", "lost data", "bytes lost");
	rule();
	for (int i = 0; i < TALLY_KINDS; i++)
		if (t->of[i].number > 0)
			count_line(tally_name(i), &t->of[i]);
	count_line("together", &t->all);
}

/* The columns. */
static const struct {
	int		 kind;
	const char	*name;
} causes[] = {
	{ TALLY_RESET + FLOW_WHY_UNREAD, "unread" },
	{ TALLY_RESET + FLOW_WHY_ABORT, "abort" },
	{ TALLY_RESET + FLOW_WHY_EITHER, "either" },
	{ TALLY_RESET + FLOW_WHY_LATE_DATA, "late" },
	{ TALLY_RESET + FLOW_WHY_SILENCE, "silent" },
	{ TALLY_RESET + FLOW_WHY_GONE, "gone" },
	{ TALLY_REFUSED, "refuse" },
	{ TALLY_AFTER, "after" },
};
#define NCAUSES	(sizeof(causes) / sizeof(causes[0]))

static void
resetter_line(const struct tally_resetter *r)
{
	char who[ENDPOINT_SIZE];
	char *port;

	endpoint_text(&r->who, who);
	if (r->side == FLOW_CLIENT && (port = strrchr(who, '.')) != NULL)
		*port = '\0';
	printf("%-21s %-6s %6" PRIu64, who, tally_side(r->side), r->conns);
	for (size_t i = 0; i < NCAUSES; i++)
		printf(" %6" PRIu64, r->of[causes[i].kind]);
	printf(" %11" PRIu64, r->lost);
	if (r->overcounted > 0)
		printf(" (at most %" PRIu64 " too many)", r->overcounted);
	putchar('\n');
}

static void
resetters_table(const struct tally_summary *s)
{
	if (s->top == 0)
		return;
	printf("\n%-21s %-6s %6s", "who sent an RST", "as", "conns");
	for (size_t i = 0; i < NCAUSES; i++)
		printf(" %6s", causes[i].name);
	printf(" %11s\n", "bytes lost");
	rule();
	for (size_t i = 0; i < s->top; i++)
		resetter_line(&s->tally->resetters[i]);
}

/* What a server could change that sends most of its RSTs for this reason. */
static const struct advice {
	int		 kind;
	const char	*text;
} advices[] = {
	{ TALLY_RESET + FLOW_WHY_UNREAD,
	    "take unread input before the close, as graceful_close(3) does" },
	{ TALLY_RESET + FLOW_WHY_EITHER,
	    "take unread input before the close, as graceful_close(3) does, "
	    "or remove SO_LINGER 0" },
	{ TALLY_RESET + FLOW_WHY_ABORT,
	    "look for SO_LINGER 0, connect(2) with AF_UNSPEC, or a listener "
	    "that closes" },
	{ TALLY_RESET + FLOW_WHY_LATE_DATA,
	    "half-close, and read to the end, as graceful_close(3) does" },
	{ TALLY_RESET + FLOW_WHY_SILENCE,
	    "limit how long a peer may be silent, as idle_ms of graceclose(3) "
	    "does" },
	{ TALLY_RESET + FLOW_WHY_GONE, NULL },
	{ TALLY_REFUSED, NULL },
	{ TALLY_AFTER, NULL },
};
#define NADVICES	(sizeof(advices) / sizeof(advices[0]))

static void
advise(const struct tally_summary *s)
{
	const struct tally_resetter *r = s->tally->resetters;
	const struct advice *best;
	char who[ENDPOINT_SIZE];
	bool any = false;

	for (size_t i = 0; i < s->top; i++, r++) {
		best = &advices[0];
		for (size_t k = 1; k < NADVICES; k++)
			if (r->of[advices[k].kind] > r->of[best->kind])
				best = &advices[k];
		if (r->side == FLOW_CLIENT || r->of[best->kind] == 0 ||
		    best->text == NULL)
			continue;
		if (!any)
			puts("\nwhat the servers could change");
		printf("%s: %s\n", endpoint_text(&r->who, who), best->text);
		any = true;
	}
	if (any)
		puts("graceclose_recipes(7) shows how, for each kind of "
		    "program; replycheck(1), whether\nreplies are lost.");
}

/* Lines that appear only when something is wrong. */
static void
trouble(const struct tally_summary *s)
{
	if (s->conns.dropped > 0)
		printf("%" PRIu64 " dropped, as all %d places were taken: "
		    "see --max\n", s->conns.dropped, s->max);
	if (s->conns.superseded > 0)
		printf("%" PRIu64 " ended unseen: new connections had their "
		    "ports\n",
		    s->conns.superseded);
	if (s->conns.unsure > 0)
		printf("%" PRIu64 " ended or were dropped before it was "
		    "known whose they were\n", s->conns.unsure);
	if (s->missed > 0)
		printf("%" PRIu64 " packets missed: the lines may lack "
		    "connections, or be wrong\n", s->missed);
	if (s->tally->not_tcp > 0)
		printf("%" PRIu64 " packets were not TCP, or broken\n",
		    s->tally->not_tcp);
}

void
text_summary(const struct tally_summary *s)
{
	const struct tally *t = s->tally;
	char span[24];

	printf("\n%s; segments: %" PRIu64 "; connections: %" PRIu64
	    " ended, %" PRIu64 " open, %" PRIu64 " of them half-closed\n",
	    span_text(s->span_us, span, sizeof(span)), t->segments,
	    t->all.number, s->conns.open, s->conns.half_closed);
	trouble(s);
	ends_table(t);
	resetters_table(s);
	advise(s);
}
