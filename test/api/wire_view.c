/*
 * wire_view.c - what the two sides of a connection have sent, as words
 */
#include <sys/socket.h>

#include <netinet/in.h>

#include <stdio.h>

#include "api/wire_view.h"
#include "support/sniff.h"

#define SHOWN		50	/* segments of a failure, the last ones */

/*
 * Reading the wire
 */

static int
sender(const struct conn *c, const struct segment *s)
{
	if (s->from.port == c->port[US] && s->to.port == c->port[PEER])
		return US;
	if (s->from.port == c->port[PEER] && s->to.port == c->port[US])
		return PEER;
	return -1;
}

static bool
beyond(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static const char *
letters(const struct side *mine, const struct segment *s)
{
	bool data, fin;

	if ((s->flags & SEGMENT_RST) != 0)
		return "R";
	data = s->length > 0 && beyond(s->seq + s->length, mine->next);
	fin = (s->flags & SEGMENT_FIN) != 0 &&
	    beyond(s->seq + segment_span(s), mine->next);
	return data ? fin ? "DF" : "D" : fin ? "F" : "";
}

static void
append(char *word, const char *more)
{
	size_t n;

	n = strlen(word);
	if (*more == 'D' && n > 0 && word[n - 1] == 'D')
		more++;
	while (*more != '\0' && n < WORD_SIZE - 1)
		word[n++] = *more++;
	word[n] = '\0';
}

/* A window probe has no length either, but an old sequence number. */
static bool
repeated(const struct side *mine, const struct segment *s)
{
	uint32_t span = segment_span(s);

	return mine->begun && (s->flags & SEGMENT_RST) == 0 &&
	    (span > 0 ? !beyond(s->seq + span, mine->next) :
	    beyond(mine->next, s->seq));
}

static void
feed(struct side *mine, struct side *other, const struct segment *s)
{
	if (!mine->begun) {
		mine->begun = true;
		mine->isn = mine->next = mine->acked = s->seq;
	}
	append(mine->word, letters(mine, s));
	if ((s->flags & SEGMENT_RST) == 0 &&
	    beyond(s->seq + segment_span(s), mine->next))
		mine->next = s->seq + segment_span(s);
	if ((s->flags & SEGMENT_ACK) != 0 && other->begun &&
	    beyond(s->ack, other->acked))
		other->acked = s->ack;
}

static void
look_at(struct view *v, const struct conn *c, const struct segment *all,
    size_t n)
{
	size_t i;
	int who;

	memset(v, 0, sizeof(*v));
	v->c = c;
	v->all = all;
	v->n = n;
	for (i = 0; i < n; i++) {
		if ((who = sender(c, &all[i])) == -1)
			continue;
		if (repeated(&v->side[who], &all[i]))
			v->repeats++;
		else if (i >= c->from)
			v->news++;
		feed(&v->side[who], &v->side[!who], &all[i]);
		v->before = v->last;
		v->last = all[i];
	}
}

static void
look_now(struct view *v, const struct conn *c)
{
	const struct segment *all;
	size_t n;

	all = sniff_now(&n);
	look_at(v, c, all, n);
}

void
wire_look(struct view *v, const struct conn *c)
{
	const struct segment *all;
	size_t n;

	all = sniff_settled(&n);
	look_at(v, c, all, n);
}

static bool
acknowledged(const struct side *side)
{
	return side->acked == side->next;
}

/*
 * What is wrong, with all segments as tcpdump(1) prints them
 */

static char wrong[8192];

static void
write_segment(FILE *f, const struct view *v, int who, const struct segment *s)
{
	char flags[SEGMENT_FLAGS_SIZE], from[ENDPOINT_SIZE], to[ENDPOINT_SIZE];
	int64_t us = s->us - v->all[0].us;
	uint32_t seq = s->seq - v->side[who].isn;

	fprintf(f, "%2d.%06d %s %s > %s: Flags %s, seq %u",
	    (int)(us / 1000000), (int)(us % 1000000),
	    s->from.family == AF_INET ? "IP" : "IP6",
	    endpoint_text(&s->from, from), endpoint_text(&s->to, to),
	    segment_flags(s, flags), seq);
	if (s->length > 0)
		fprintf(f, ":%u", seq + s->length);
	if ((s->flags & SEGMENT_ACK) != 0)
		fprintf(f, ", ack %u", s->ack - v->side[!who].isn);
	fprintf(f, ", win %u, length %u%s\n", s->window, s->length,
	    who == US ? "\t(we)" : "");
}

static const char *
explain(const char *what, const struct view *v)
{
	size_t i;
	FILE *f;
	int who;

	f = fmemopen(wrong, sizeof(wrong), "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "%s: %s: we sent \"%s\", the peer \"%s\"\n", v->c->name,
	    what, v->side[US].word, v->side[PEER].word);
	i = v->n > SHOWN ? v->n - SHOWN : 0;
	if (i > 0)
		fprintf(f, "...\n");
	for (; i < v->n; i++)
		if ((who = sender(v->c, &v->all[i])) != -1)
			write_segment(f, v, who, &v->all[i]);
	fclose(f);
	return wrong;
}

/*
 * What we sent, where RST is the last.  A late ACK of the peer finds no
 * connection any more, and our kernel answers it with another RST.  On another
 * processor that one may be quicker than the first.
 */
static bool
answered_once_more(const struct view *v, const char *us)
{
	const char *word = v->side[US].word;
	size_t n = strlen(us);

	return n > 0 && us[n - 1] == 'R' && strncmp(word, us, n) == 0 &&
	    strcmp(word + n, "R") == 0 && (v->last.flags == SEGMENT_RST ||
	    v->before.flags == SEGMENT_RST);
}

/* A RST is the end: neither side sends anything after it. */
static const char *
unfit(const struct view *v, const char *us, const char *peer)
{
	static char what[64];

	if ((strcmp(v->side[US].word, us) != 0 &&
	    !answered_once_more(v, us)) ||
	    strcmp(v->side[PEER].word, peer) != 0) {
		snprintf(what, sizeof(what), "not \"%s\" and \"%s\"", us, peer);
		return what;
	}
	if ((strchr(us, 'R') != NULL || strchr(peer, 'R') != NULL) &&
	    (v->last.flags & SEGMENT_RST) == 0)
		return "segments after a RST";
	return NULL;
}

static const char *
out_of_order(const struct view *v)
{
	if (!acknowledged(&v->side[US]) || !acknowledged(&v->side[PEER]))
		return "not all is acknowledged";
	if (v->last.flags != SEGMENT_ACK || v->last.length != 0)
		return "it does not end with an ACK";
	return NULL;
}

/* NULL, or a text that says what differs. */
const char *
wire_other_than(const struct conn *c, const char *us, const char *peer,
    bool in_order)
{
	const char *what;
	struct view v;

	wire_look(&v, c);
	what = unfit(&v, us, peer);
	if (what == NULL && in_order)
		what = out_of_order(&v);
	return what != NULL ? explain(what, &v) : NULL;
}

/* The same for what we have sent until this moment. */
const char *
wire_other_already(const struct conn *c, const char *us)
{
	char what[32];
	struct view v;

	look_now(&v, c);
	if (strcmp(v.side[US].word, us) == 0 || answered_once_more(&v, us))
		return NULL;
	snprintf(what, sizeof(what), "not \"%s\" by now", us);
	return explain(what, &v);
}

const char *
wire_news(const struct conn *c)
{
	struct view v;

	wire_look(&v, c);
	return v.news == 0 ? NULL : explain("not silent", &v);
}

/*
 * Connections
 */

in_port_t
wire_port(int fd)
{
	struct sockaddr_in6 a;		/* the port is where AF_INET has it */
	socklen_t len;

	memset(&a, 0, sizeof(a));
	len = sizeof(a);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin6_port);
}

void
wire_connect(struct conn *c, const char *name, int i)
{
	memset(c, 0, sizeof(*c));
	c->name = name;
	t_pair_any(&c->p, i);
	c->port[US] = wire_port(c->p.us);
	c->port[PEER] = wire_port(c->p.peer);
}

/*
 * Waits until what was sent is acknowledged, or reset; later segments are
 * news.  Returns false if that took longer.
 */
bool
wire_quiet_within(struct conn *c, int limit_ms)
{
	struct view v;
	int64_t end;

	for (end = t_now_ms() + limit_ms; ; t_pause(1)) {
		wire_look(&v, c);
		c->from = v.n;
		if ((v.last.flags & SEGMENT_RST) != 0 ||
		    (acknowledged(&v.side[US]) && acknowledged(&v.side[PEER])))
			return true;
		if (t_now_ms() > end)
			return false;
	}
}

void
wire_quiet(struct conn *c)
{
	ck_assert_msg(wire_quiet_within(c, T_LIMIT_MS), "%s: not acknowledged",
	    c->name);
}

/*
 * Resets a peer that is still open, so that it does not go on after the test.
 */
void
wire_finish(struct conn *c)
{
	if (c->p.peer == -1)
		return;
	t_heal(c->p.peer);
	t_reset(c->p.peer);
}

/* The peer reads to EOF and closes. */
void
wire_peer_ends(struct conn *c)
{
	t_heal(c->p.peer);
	ck_assert_str_eq(t_errno(t_read_all(c->p.peer).error), "0");
	t_close(c->p.peer);
	c->p.peer = -1;
}

struct graceclose_reaper *
wire_reaper(unsigned max, int when_full)
{
	return t_reaper(&(struct graceclose_reaper_opts){
	    .max = max, .when_full = when_full, .done = t_done });
}

TCase *
wire_case(Suite *s, const char *name)
{
	TCase *tc;

	tc = t_case(s, name);
	tcase_add_checked_fixture(tc, sniff_again, NULL);
	return tc;
}
