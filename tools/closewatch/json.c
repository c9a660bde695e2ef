/* json.c - see json.h */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <inttypes.h>
#include <stdio.h>

#include "closewatch/json.h"

#define SECOND	((int64_t)1000000)

static const char *const whys[] = {
	[FLOW_WHY_NONE] = NULL,
	[FLOW_WHY_UNREAD] = "unread_input",
	[FLOW_WHY_LATE_DATA] = "late_data",
	[FLOW_WHY_ABORT] = "abort",
	[FLOW_WHY_EITHER] = "unread_or_abort",
	[FLOW_WHY_SILENCE] = "silence",
	[FLOW_WHY_GONE] = "gone",
};

/* "key": "text", or null; RFC 8259, 7. */
static void
put_text(const char *key, const char *text)
{
	printf(", \"%s\": ", key);
	if (text == NULL) {
		printf("null");
		return;
	}
	putchar('"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < ' ')
			printf("\\u%04x", (unsigned)*text);
		else
			putchar(*text);
	}
	putchar('"');
}

static void
put_number(const char *key, uint64_t n)
{
	printf(", \"%s\": %" PRIu64, key, n);
}

/* A double is not precise enough for microseconds since 1970. */
static void
put_time(const char *key, int64_t us)
{
	printf(", \"%s\": %s%" PRId64 ".%06" PRId64, key, us < 0 ? "-" : "",
	    (us < 0 ? -us : us) / SECOND, (us < 0 ? -us : us) % SECOND);
}

static void
put_side(const char *key, int side)
{
	put_text(key, side != -1 ? tally_side(side) : NULL);
}

static void
put_address(const char *key, const struct endpoint *e)
{
	char addr[INET6_ADDRSTRLEN];

	put_text(key, inet_ntop(e->family, e->addr, addr, sizeof(addr)));
}

void
json_conn(const struct flow *f, int64_t over_us)
{
	int kind = tally_kind(f);
	char story[FLOW_STORY_SIZE];

	printf("{\"type\": \"connection\"");
	put_time("time", over_us);
	put_time("seconds", over_us - f->began_us);
	put_address("client", &f->who[FLOW_CLIENT]);
	put_number("client_port", f->who[FLOW_CLIENT].port);
	put_address("server", &f->who[FLOW_SERVER]);
	put_number("server_port", f->who[FLOW_SERVER].port);
	put_text("end", kind < TALLY_RESET ? tally_key(kind) : "reset");
	put_text("why", whys[f->why]);
	put_side("first", f->first);
	put_side("reset_by", f->reset_by);
	printf(", \"from_syn\": %s", f->from_syn ? "true" : "false");
	put_number("client_bytes", flow_sent(f, FLOW_CLIENT));
	put_number("server_bytes", flow_sent(f, FLOW_SERVER));
	put_number("client_lost", flow_lost(f, FLOW_CLIENT));
	put_number("server_lost", flow_lost(f, FLOW_SERVER));
	put_text("story", flow_story(f, story));
	puts("}");
}

static void
put_count(const struct tally_count *c)
{
	printf("{\"number\": %" PRIu64, c->number);
	put_number("client", c->by[FLOW_CLIENT]);
	put_number("server", c->by[FLOW_SERVER]);
	put_number("lossy", c->lossy);
	put_number("lost", c->lost);
	putchar('}');
}

static void
put_ends(const struct tally *t)
{
	printf(", \"ends\": {");
	for (int i = 0; i < TALLY_KINDS; i++) {
		printf("%s\"%s\": ", i > 0 ? ", " : "", tally_key(i));
		put_count(&t->of[i]);
	}
	putchar('}');
}

static void
put_resetter(const struct tally_resetter *r)
{
	printf("{\"connections\": %" PRIu64, r->conns);
	put_number("overcounted", r->overcounted);
	put_address("address", &r->who);
	if (r->side == FLOW_CLIENT)
		put_text("port", NULL);
	else
		put_number("port", r->who.port);
	put_side("side", r->side);
	for (int i = TALLY_REFUSED; i < TALLY_KINDS; i++)
		put_number(tally_key(i), r->of[i]);
	put_number("after", r->of[TALLY_AFTER]);
	put_number("lost", r->lost);
	putchar('}');
}

static void
put_resetters(const struct tally_summary *s)
{
	printf(", \"resetters\": [");
	for (size_t i = 0; i < s->top; i++) {
		printf("%s", i > 0 ? ", " : "");
		put_resetter(&s->tally->resetters[i]);
	}
	putchar(']');
}

void
json_summary(const struct tally_summary *s)
{
	const struct tally *t = s->tally;

	printf("{\"type\": \"summary\"");
	put_time("time", s->us);
	put_time("seconds", s->span_us);
	put_number("segments", t->segments);
	put_number("not_tcp", t->not_tcp);
	put_number("missed", s->missed);
	put_number("ended", t->all.number);
	put_number("open", s->conns.open);
	put_number("half_closed", s->conns.half_closed);
	put_number("dropped", s->conns.dropped);
	put_number("superseded", s->conns.superseded);
	put_number("unsure", s->conns.unsure);
	put_number("lossy", t->all.lossy);
	put_number("lost", t->all.lost);
	put_ends(t);
	put_resetters(s);
	puts("}");
}
