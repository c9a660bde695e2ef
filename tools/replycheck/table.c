/* table.c - see table.h */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "replycheck/table.h"

static const char *const keys[ATTEMPT_ENDS] = {
	[ATTEMPT_WHOLE] = "whole",
	[ATTEMPT_TRUNCATED] = "truncated",
	[ATTEMPT_RESET] = "reset",
	[ATTEMPT_NONE] = "nothing",
	[ATTEMPT_TIMEOUT] = "timeout",
	[ATTEMPT_UNCONNECTED] = "unconnected",
};

/* No URL that replycheck takes has a character that JSON would escape. */
static void
json_row(const struct table *t, const struct request *r, const struct crowd *c)
{
	const struct crowd_status *s = c->statuses;
	int i;

	printf("{\"url\": \"%s\", \"reads\": \"%s\", \"requests\": %d, "
	    "\"bytes\": %" PRIu64, t->url, r->reads_while ? "while" : "after",
	    c->number, request_size(r));
	for (i = 0; i < ATTEMPT_ENDS; i++)
		printf(", \"%s\": %d", keys[i], c->ends[i]);
	printf(", \"send_failed\": %d, \"simple_client\": %d, "
	    "\"late\": %d, \"statuses\": {", c->send_failed, c->simple,
	    c->late);
	for (i = 0; i < CROWD_STATUSES && s[i].number > 0; i++)
		printf("%s\"%d\": %d", i > 0 ? ", " : "", s[i].status,
		    s[i].number);
	puts("}}");
}

static void
head(const struct table *t, const struct request *r, const struct crowd *c)
{
	printf("%s: %d requests of %" PRIu64 " bytes a row\n\n"
	    "%-16s", t->url, c->number, request_size(r), "the client reads");
	for (int i = 0; i < ATTEMPT_UNCONNECTED; i++)
		printf(" %*s", (int)strlen(keys[i]), keys[i]);
	puts(" | send failed  simple client  status");
}

static void
text_row(const struct request *r, const struct crowd *c)
{
	const struct crowd_status *s = c->statuses;
	int i;

	printf("%-16s", r->reads_while ? "while it sends" : "after it sent");
	for (i = 0; i < ATTEMPT_UNCONNECTED; i++)
		printf(" %*d", (int)strlen(keys[i]), c->ends[i]);
	printf(" | %11d  %13d", c->send_failed, c->simple);
	if (s[0].number > 0)
		putchar(' ');
	for (i = 0; i < CROWD_STATUSES && s[i].number > 0; i++)
		if (s[i].number == c->number)
			printf(" %d", s[i].status);
		else
			printf(" %d:%d", s[i].status, s[i].number);
	putchar('\n');
	if (c->ends[ATTEMPT_UNCONNECTED] > 0)
		printf("%d could not connect: %s\n",
		    c->ends[ATTEMPT_UNCONNECTED], strerror(c->error));
	if (c->broken > 0)
		printf("%d were reset by an error of TLS\n", c->broken);
}

void
table_row(struct table *t, const struct request *r, const struct crowd *c)
{
	if (t->json)
		json_row(t, r, c);
	else if (t->rows == 0)
		head(t, r, c);
	if (!t->json)
		text_row(r, c);
	(void)fflush(stdout);
	t->rows++;
	t->requests += crowd_asked(c);
	t->lost += crowd_lost(c);
	t->late += c->late;
	t->resets += c->ends[ATTEMPT_RESET] - c->broken;
	t->timeouts += c->ends[ATTEMPT_TIMEOUT];
	t->simple += c->simple;
}

bool
table_lost(const struct table *t)
{
	return t->lost > 0 || t->simple < t->requests;
}

static void
advise(const struct table *t)
{
	if (t->resets > 0 || t->simple < t->requests - t->lost)
		puts("The server closes while input is unread, or still comes; "
		    "its kernel answers with\nRST.  graceclose(7) says how to "
		    "close instead.");
	else if (!table_lost(t) && t->late == t->requests)
		puts("Every request was sent before its reply came: that shows "
		    "nothing of early replies.\nChoose a path that refuses the "
		    "upload, or a larger --upload.");
	if (t->timeouts > 0)
		printf("%d took longer than --timeout allows; --slow makes a "
		    "request last.\n", t->timeouts);
}

void
table_end(const struct table *t)
{
	if (t->json)
		return;
	printf("\n%d of %d replies were lost; a client that stops where "
	    "sending fails loses %d.\n", t->lost, t->requests,
	    t->requests - t->simple);
	advise(t);
}
