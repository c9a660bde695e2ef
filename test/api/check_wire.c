/*
 * What each close looks like on the wire, over IPv4 and IPv6, each side
 * connecting in turn
 *
 * What a side has sent since it was connected is written as a word:
 *
 *	D	data, in however many segments
 *	F	FIN
 *	R	RST
 *
 * A pure acknowledgement has no letter, nor has what is sent again; a second F
 * is a FIN with another sequence number, and each RST has its R.
 */
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include <graceclose.h>

#include "closewatch/segment.h"
#include "support/sniff.h"
#include "support/util.h"

#define REPLY		20000	/* fits in every window */
#define UPLOAD		65536
#define UPLOADS		5
#define LIMIT_MS	60	/* longer than an ACK is delayed */
#define LATE_MS		1500	/* on a machine with much to do */
#define WORD_SIZE	8
#define SHOWN		50	/* segments of a failure, the last ones */

enum { US, PEER };

struct conn {
	struct t_pair	p;
	const char	*name;		/* of the scene, for a failure */
	in_port_t	port[2];
	size_t		from;		/* what came before was quiet() */
};

/* One side of it, as far as it was seen. */
struct side {
	bool		begun;
	uint32_t	isn;
	uint32_t	next;		/* beyond what it has sent */
	uint32_t	acked;		/* of that, by the other side */
	char		word[WORD_SIZE];
};

struct view {
	const struct conn	*c;
	const struct segment	*all;
	size_t			 n;
	struct segment		 last, before;	/* of this connection */
	struct side		 side[2];
	size_t			 news;	/* since conn.from; no repeats */
	size_t			 repeats;
};

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

/* A probe has no length either, but a number that was used already. */
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

static void
look(struct view *v, const struct conn *c)
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
 * What is wrong with it, and all of it as tcpdump shows it
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
 * What we sent, where a RST is the last: an ACK of the peer's that was slow
 * finds nobody any more, and is answered by one more, which on another
 * processor may be quicker than the first.
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

/* NULL, or what is not as it should be. */
static const char *
other_than(const struct conn *c, const char *us, const char *peer,
    bool in_order)
{
	const char *what;
	struct view v;

	look(&v, c);
	what = unfit(&v, us, peer);
	if (what == NULL && in_order)
		what = out_of_order(&v);
	return what != NULL ? explain(what, &v) : NULL;
}

/* The same of what we have sent until this very moment. */
static const char *
other_already(const struct conn *c, const char *us)
{
	char what[32];
	struct view v;

	look_now(&v, c);
	if (strcmp(v.side[US].word, us) == 0 || answered_once_more(&v, us))
		return NULL;
	snprintf(what, sizeof(what), "not \"%s\" by now", us);
	return explain(what, &v);
}

static const char *
any_news(const struct conn *c)
{
	struct view v;

	look(&v, c);
	return v.news == 0 ? NULL : explain("not silent", &v);
}

#define is_null(call) do {						\
	const char *is_null_ = (call);					\
	ck_assert_msg(is_null_ == NULL, "%s", is_null_);		\
} while (0)
#define sent(c, us, peer)	is_null(other_than(c, us, peer, false))
#define sent_in_order(c, us, peer) is_null(other_than(c, us, peer, true))
#define sent_already(c, us)	is_null(other_already(c, us))
#define silent(c)		is_null(any_news(c))

/*
 * Connections
 */

static in_port_t
port_of(int fd)
{
	struct sockaddr_in6 a;		/* the port is where AF_INET has it */
	socklen_t len;

	memset(&a, 0, sizeof(a));
	len = sizeof(a);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin6_port);
}

static void
connected(struct conn *c, const char *name, int i)
{
	memset(c, 0, sizeof(*c));
	c->name = name;
	t_pair_any(&c->p, i);
	c->port[US] = port_of(c->p.us);
	c->port[PEER] = port_of(c->p.peer);
}

/*
 * Until what was sent is acknowledged, or reset; what comes from now on is
 * news.  False: it was not, in that time.
 */
static bool
quiet_within(struct conn *c, int limit_ms)
{
	struct view v;
	int64_t end;

	for (end = t_now_ms() + limit_ms; ; t_pause(1)) {
		look(&v, c);
		c->from = v.n;
		if ((v.last.flags & SEGMENT_RST) != 0 ||
		    (acknowledged(&v.side[US]) && acknowledged(&v.side[PEER])))
			return true;
		if (t_now_ms() > end)
			return false;
	}
}

static void
quiet(struct conn *c)
{
	ck_assert_msg(quiet_within(c, T_LIMIT_MS), "%s: not acknowledged",
	    c->name);
}

/* The peer may have been closed, and must not go on after the test. */
static void
finish(struct conn *c)
{
	if (c->p.peer == -1)
		return;
	t_heal(c->p.peer);
	t_reset(c->p.peer);
}

/* The peer's program comes to its end. */
static void
peer_ends(struct conn *c)
{
	t_heal(c->p.peer);
	ck_assert_str_eq(t_errno(t_read_all(c->p.peer).error), "0");
	t_close(c->p.peer);
	c->p.peer = -1;
}

/*
 * What it has been through
 */

static void
reply(struct t_pair *p)
{
	t_write(p->us, REPLY);
}

static void
left_linger_0(struct t_pair *p)
{
	t_linger(p->us, 0);
	reply(p);
}

static void
left_linger_5(struct t_pair *p)
{
	t_linger(p->us, 5);
	reply(p);
}

static void
unread(struct t_pair *p)
{
	t_write(p->peer, 1000);
	t_wait_inq(p->us, 1000);
}

static void
unread_left_linger_0(struct t_pair *p)
{
	t_linger(p->us, 0);
	unread(p);
}

static void
peer_closed_first(struct t_pair *p)
{
	t_close(p->peer);
	p->peer = -1;
	t_wait_poll(p->us, POLLRDHUP);
}

static void
peer_closed_left_linger_0(struct t_pair *p)
{
	t_linger(p->us, 0);
	peer_closed_first(p);
}

static void
unread_peer_closed(struct t_pair *p)
{
	unread(p);
	peer_closed_first(p);
}

static void
peer_fin(struct t_pair *p)
{
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
}

static void
peer_reset(struct t_pair *p)
{
	t_reset(p->peer);
	p->peer = -1;
	t_wait_reset(p->us);
}

/* Nothing reaches the peer any more. */
static void
cut_off(struct t_pair *p)
{
	t_drop(p->peer, T_DROP_ALL);
	t_write(p->us, 1000);
}

static void
cut_off_left_linger_5(struct t_pair *p)
{
	t_linger(p->us, 5);
	cut_off(p);
}

static void
cut_off_peer_fin(struct t_pair *p)
{
	peer_fin(p);
	cut_off(p);
}

static void
fin_lost(struct t_pair *p)
{
	t_drop(p->peer, T_DROP_FIN);
}

static void
peer_fin_lost(struct t_pair *p)
{
	t_drop(p->us, T_DROP_FIN);
	t_fin(p->peer);
	t_heal(p->us);
}

/* The window is shut, and more is queued. */
static void
full(struct t_pair *p)
{
	const int size = 65536;

	ck_assert_int_eq(setsockopt(p->us, SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size)), 0);
	t_fill(p->us);
}

static void
full_left_linger_5(struct t_pair *p)
{
	t_linger(p->us, 5);
	full(p);
}

/*
 * What the peer's program does meanwhile, in a thread; it closes
 */

static void
reads(int fd)
{
	t_read_all(fd);
	close(fd);
}

static void
uploads(int fd)
{
	static const char data[UPLOAD];
	int i;

	for (i = 0; i < UPLOADS; i++)
		(void)send(fd, data, sizeof(data), MSG_NOSIGNAL);
	reads(fd);
}

/*
 * Until a FIN was on its way to this descriptor, and was delivered or dropped.
 * Meanwhile the test is in the library, and nobody else looks at the wire.
 */
static void
await_fin(int fd)
{
	const in_port_t port = port_of(fd);
	const struct segment *s;
	int64_t end;
	size_t i, n;

	for (end = t_now_ms() + T_LIMIT_MS; t_now_ms() < end; t_pause(1)) {
		s = sniff_settled(&n);
		for (i = 0; i < n; i++)
			if (s[i].to.port == port &&
			    (s[i].flags & SEGMENT_FIN) != 0)
				return;
	}
}

static void
hears_again(int fd)
{
	await_fin(fd);
	t_heal(fd);
	reads(fd);
}

static void
resets_after_eof(int fd)
{
	t_read_all(fd);
	t_reset(fd);
}

static void
resets_later(int fd)
{
	await_fin(fd);
	t_reset(fd);
}

static void
closes_without_reading(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLRDHUP };

	(void)poll(&pfd, 1, T_LIMIT_MS);
	close(fd);
}

/*
 * Ways to have it closed
 */

static int
by_call(int fd, const struct graceclose_opts *o)
{
	return graceclose(fd, o, NULL);
}

/* A verb is that call with fixed options. */
static int
by_verb(int fd, const struct graceclose_opts *o)
{
	static const struct graceclose_opts none;

	if (o->until == GRACECLOSE_DELIVERED &&
	    o->on_expiry == GRACECLOSE_RESET && o->idle_ms == -1)
		return linger_close(fd, o->timeout_ms);
	if (memcmp(o, &none, sizeof(none)) == 0)
		return graceful_close(fd);
	return by_call(fd, o);
}

static int
by_loop(int fd, const struct graceclose_opts *o)
{
	struct graceclose gc;
	struct pollfd pfd;

	if (graceclose_begin(&gc, fd, o) == -1)
		return -1;
	while (graceclose_step(&gc) == 1) {
		pfd.events = graceclose_events(&gc);
		pfd.fd = pfd.events != 0 ? fd : -1;
		(void)poll(&pfd, 1, graceclose_timeout(&gc));
	}
	return graceclose_end(&gc, NULL);
}

static struct graceclose_reaper *
new_reaper(unsigned max, int when_full)
{
	return t_reaper(&(struct graceclose_reaper_opts){
	    .max = max, .when_full = when_full, .done = t_done });
}

static int
by_reaper(int fd, const struct graceclose_opts *o)
{
	struct graceclose_reaper *r;
	struct t_verdict v;

	memset(&v, 0, sizeof(v));
	v.fd = fd;
	r = new_reaper(0, GRACECLOSE_REFUSE);
	ck_assert_int_eq(graceclose_reaper_close(r, fd, o, &v), 0);
	ck_assert_int_eq(graceclose_reaper_flush(r, T_LIMIT_MS), 0);
	graceclose_reaper_free(r);
	errno = v.report.error;
	return v.report.error == 0 ? 0 : -1;
}

static int (*const ways[])(int, const struct graceclose_opts *) = {
	by_verb, by_call, by_loop, by_reaper
};
#define WAYS		4

/*
 * The outcomes
 */

#define DELIVERED	.until = GRACECLOSE_DELIVERED
#define RESET		.on_expiry = GRACECLOSE_RESET
#define LINGER(ms)	DELIVERED, RESET, .timeout_ms = (ms), .idle_ms = -1
#define WHOLE		.timeout_ms = LIMIT_MS, .idle_ms = -1
#define IDLE		.timeout_ms = -1, .idle_ms = LIMIT_MS

struct scene {
	const char	*name;
	void		(*before)(struct t_pair *);
	void		(*meanwhile)(int);
	struct graceclose_opts opts;
	int		 error;
	const char	*us, *peer;	/* when the call is back */
	const char	*later;		/* we, when the peer has ended, too */
	const char	*peer_later;
};

/* These are over as soon as the peer does what it does. */
static const struct scene quick[] = {
	/* Finished: a FIN from each, and a last ACK. */
	{ "nothing to say", NULL, reads, { 0 }, 0, "F", "F", NULL, NULL },
	{ "reply on its way", reply, reads, { 0 }, 0, "DF", "F", NULL, NULL },
	{ "upload", NULL, uploads, { 0 }, 0, "F", "DF", NULL, NULL },
	{ "upload and reply", reply, uploads, { 0 }, 0, "DF", "DF", NULL,
	    NULL },
	{ "peer closed first", peer_closed_first, NULL, { 0 }, 0, "F", "F",
	    NULL, NULL },
	{ "unread, peer closed first", unread_peer_closed, NULL, { 0 }, 0,
	    "F", "DF", NULL, NULL },
	{ "unread", unread, reads, { 0 }, 0, "F", "DF", NULL, NULL },
	{ "unread, as much as allowed", unread, reads,
	    { .discard_max = 1000 }, 0, "F", "DF", NULL, NULL },
	{ "SO_LINGER 0 left", left_linger_0, reads, { 0 }, 0, "DF", "F", NULL,
	    NULL },
	{ "SO_LINGER 5 left", left_linger_5, reads, { 0 }, 0, "DF", "F", NULL,
	    NULL },
	{ "SO_LINGER 0 left, unread", unread_left_linger_0, reads, { 0 }, 0,
	    "F", "DF", NULL, NULL },
	{ "SO_LINGER 0 left, peer closed first", peer_closed_left_linger_0,
	    NULL, { 0 }, 0, "F", "F", NULL, NULL },

	/* The peer resets: not a word more from us. */
	{ "reset after EOF", NULL, resets_after_eof, { 0 }, ECONNRESET, "F",
	    "R", NULL, NULL },
	{ "reset after the reply", reply, resets_after_eof, { RESET },
	    ECONNRESET, "DF", "R", NULL, NULL },
	{ "reply not read", reply, closes_without_reading, { 0 }, ECONNRESET,
	    "DF", "R", NULL, NULL },
	{ "reset long ago", peer_reset, NULL, { 0 }, ECONNRESET, "", "R", NULL,
	    NULL },
	{ "reset long ago, lingering", peer_reset, NULL, { LINGER(5000) },
	    ECONNRESET, "", "R", NULL, NULL },

	/* Too much input.  What is left unread the kernel answers by itself. */
	{ "one byte too many", unread, NULL, { .discard_max = 999 }, EMSGSIZE,
	    "F", "D", "F", "DF" },
	{ "one byte too many, RESET", unread, NULL,
	    { RESET, .discard_max = 999 }, EMSGSIZE, "FR", "D", NULL, NULL },
	{ "far too many", unread, NULL, { .discard_max = 99 }, EMSGSIZE, "FR",
	    "D", NULL, NULL },
	{ "far too many, RESET", unread, NULL,
	    { RESET, .discard_max = 99 }, EMSGSIZE, "FR", "D", NULL, NULL }
};
#define QUICK		((int)(sizeof(quick) / sizeof(quick[0])))

/* These wait for a delayed ACK, for a repetition, or for a limit. */
static const struct scene slow[] = {
	/* Delivered: the peer may take its time. */
	{ "delivered, nothing to say", NULL, NULL, { LINGER(5000) }, 0, "F",
	    "", "F", "F" },
	{ "delivered, reply", reply, NULL, { LINGER(5000) }, 0, "DF", "", "DF",
	    "F" },
	{ "delivered, no limit", reply, NULL, { LINGER(-1) }, 0, "DF", "",
	    "DF", "F" },
	{ "delivered, DETACH", reply, NULL, { DELIVERED }, 0, "DF", "", "DF",
	    "F" },
	{ "delivered, unread", unread, NULL, { LINGER(5000) }, 0, "F", "D",
	    "F", "DF" },
	{ "delivered, SO_LINGER 0 left", left_linger_0, NULL,
	    { LINGER(5000) }, 0, "DF", "", "DF", "F" },
	{ "delivered, SO_LINGER 5 left", left_linger_5, NULL,
	    { LINGER(5000) }, 0, "DF", "", "DF", "F" },
	{ "delivered, SO_LINGER 0 left, unread", unread_left_linger_0, NULL,
	    { LINGER(5000) }, 0, "F", "D", "F", "DF" },

	/* Segments that were lost come again, under their old numbers. */
	{ "our FIN lost", fin_lost, hears_again, { LINGER(-1) }, 0, "F", "F",
	    NULL, NULL },
	{ "reply and FIN lost", cut_off, hears_again, { LINGER(5000) }, 0,
	    "DF", "F", NULL, NULL },
	{ "FINs cross", peer_fin_lost, reads, { 0 }, 0, "F", "F", NULL, NULL },
	{ "reset before it was delivered", cut_off, resets_later,
	    { LINGER(5000) }, ECONNRESET, "DF", "R", NULL, NULL },
	{ "FIN, then reset", cut_off_peer_fin, resets_later, { 0 },
	    ECONNRESET, "DF", "FR", NULL, NULL },

	/* Expired and detached: the kernel goes on, and nobody is reset. */
	{ "expired", NULL, NULL, { WHOLE }, ETIMEDOUT, "F", "", "F", "F" },
	{ "idle", NULL, NULL, { IDLE }, ETIMEDOUT, "F", "", "F", "F" },
	{ "expired, unread", unread, NULL, { WHOLE }, ETIMEDOUT, "F", "D", "F",
	    "DF" },
	{ "expired, cut off", cut_off, NULL, { WHOLE }, ETIMEDOUT, "DF", "",
	    "DF", "F" },
	{ "expired, window shut", full, NULL, { WHOLE }, ETIMEDOUT, "D", "",
	    "DF", "F" },
	{ "expired, SO_LINGER 0 left", left_linger_0, NULL, { WHOLE },
	    ETIMEDOUT, "DF", "", "DF", "F" },
	{ "expired, SO_LINGER 5 left", full_left_linger_5, NULL, { WHOLE },
	    ETIMEDOUT, "D", "", "DF", "F" },

	/*
	 * Expired and reset.  A RST that comes after a gap, here where the
	 * lost FIN was, is in doubt: the peer sends an ACK back, and the RST
	 * that answers this one has the number it waits for (RFC 5961, 3.2).
	 */
	{ "expired, RESET", NULL, NULL, { RESET, WHOLE }, ETIMEDOUT, "FR", "",
	    NULL, NULL },
	{ "idle, RESET", NULL, NULL, { RESET, IDLE }, ETIMEDOUT, "FR", "",
	    NULL, NULL },
	{ "lingering, cut off", cut_off, NULL, { LINGER(LIMIT_MS) },
	    ETIMEDOUT, "DFR", "", NULL, NULL },
	{ "lingering, FIN lost", fin_lost, NULL, { LINGER(LIMIT_MS) },
	    ETIMEDOUT, "FRR", "", NULL, NULL },
	{ "lingering, window shut", full, NULL, { LINGER(LIMIT_MS) },
	    ETIMEDOUT, "DR", "", NULL, NULL },
	{ "lingering, SO_LINGER 5 left", cut_off_left_linger_5, NULL,
	    { LINGER(LIMIT_MS) }, ETIMEDOUT, "DFR", "", NULL, NULL }
};
#define SLOW		((int)(sizeof(slow) / sizeof(slow[0])))

static int64_t
clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/*
 * The RST is not early.  The limit is one of the clock that nobody sets, while
 * captures have the wall's, which may have been set since the call began.  In
 * this order a pause between the two makes the RST late, but never early.
 */
static void
reset_in_time(const struct conn *c, int64_t start_us)
{
	int64_t ago_us, now_us;
	struct view v;

	look(&v, c);
	ago_us = clock_us(CLOCK_REALTIME) - v.last.us;
	now_us = clock_us(CLOCK_MONOTONIC);
	t_between((now_us - ago_us - start_us) / 1000, LIMIT_MS,
	    LIMIT_MS + LATE_MS);
}

/* What was lost was lost indeed, and came again. */
static void
repeated_something(const struct conn *c)
{
	struct view v;

	look(&v, c);
	ck_assert_msg(v.repeats > 0, "%s: nothing was sent again", c->name);
}

static void
close_it(struct conn *c, const struct scene *scene, int way)
{
	struct t_later l;
	int result;

	if (scene->meanwhile != NULL)
		t_later(&l, 0, scene->meanwhile, c->p.peer);
	errno = 0;
	result = ways[way](c->p.us, &scene->opts);
	ck_assert_str_eq(t_errno(errno), t_errno(scene->error));
	ck_assert_int_eq(result, scene->error == 0 ? 0 : -1);
	if (scene->meanwhile != NULL) {
		t_later_join(&l);
		c->p.peer = -1;
	}
}

static void
play(const struct scene *scene, int way, int i)
{
	int64_t start_us;
	struct conn c;

	connected(&c, scene->name, i);
	if (scene->before != NULL)
		scene->before(&c.p);
	start_us = clock_us(CLOCK_MONOTONIC);
	close_it(&c, scene, way);
	if (scene->error == 0 && scene->later == NULL)
		sent_in_order(&c, scene->us, scene->peer);
	else
		sent(&c, scene->us, scene->peer);
	if (scene->error == ETIMEDOUT && strchr(scene->us, 'R') != NULL)
		reset_in_time(&c, start_us);
	if (scene->meanwhile == hears_again)
		repeated_something(&c);
	if (scene->later != NULL) {
		peer_ends(&c);
		sent_in_order(&c, scene->later, scene->peer_later);
	}
	finish(&c);
}

START_TEST(outcome_is_on_the_wire)
{
	t_need_any(_i % T_ANY_PLAIN);
	play(&quick[_i / T_ANY_PLAIN / WAYS], _i / T_ANY_PLAIN % WAYS,
	    _i % T_ANY_PLAIN);
}
END_TEST

/* Every way and every kind of connection has its turn, though not together. */
START_TEST(outcome_that_takes_time_is_on_the_wire)
{
	int way = _i % WAYS;
	int scene = _i / WAYS;

	if (slow[scene].error == 0 && slow[scene].later != NULL)
		t_not_portable(T_NO_ACK);
	t_need_any((way + scene) % T_ANY_PLAIN);
	play(&slow[scene], way, (way + scene) % T_ANY_PLAIN);
}
END_TEST

/* It is the same FIN: another number would be another letter. */
START_TEST(lost_fin_is_sent_again_under_its_number)
{
	struct conn c;
	struct view v;

	t_need_any(_i);
	connected(&c, "it", _i);
	fin_lost(&c.p);
	ck_assert_int_eq(by_call(c.p.us, &(struct graceclose_opts){ WHOLE }),
	    -1);
	sent(&c, "F", "");
	peer_ends(&c);
	look(&v, &c);
	ck_assert_uint_gt(v.repeats, 0);
	sent_in_order(&c, "F", "F");
}
END_TEST

/*
 * graceful_close's own 5 seconds without progress, on a clock that runs
 * faster: the peer stays.
 */
START_TEST(graceful_close_that_gives_up_leaves_the_rest_to_the_kernel)
{
	struct conn c;

	t_need_any(_i);
	connected(&c, "it", _i);
	reply(&c.p);
	t_storm();
	t_clock(50);
	t_fails(graceful_close(c.p.us), ETIMEDOUT);
	t_clock(1);
	t_storm_end();
	sent(&c, "DF", "");
	peer_ends(&c);
	sent_in_order(&c, "DF", "F");
}
END_TEST

/*
 * Abort
 */

static void
shut_wr(struct t_pair *p)
{
	t_fin(p->us);
	t_wait_outq(p->us, 0);
}

static void
shut_rd(struct t_pair *p)
{
	ck_assert_int_eq(shutdown(p->us, SHUT_RD), 0);
}

static void
full_peer_fin(struct t_pair *p)
{
	peer_fin(p);
	full(p);
	t_fin(p->us);
	t_wait_state(p->us, TCP_LAST_ACK);
}

static void
ended(struct t_pair *p)
{
	t_fin(p->us);
	t_saw(t_read_all(p->peer), 0, 0);
	t_close(p->peer);
	p->peer = -1;
	t_wait_dead(p->us);
}

struct abort_scene {
	const char	*name;
	void		(*before)(struct t_pair *);
	const char	*us, *peer;
};

static const struct abort_scene aborts[] = {
	{ "open", NULL, "R", "" },
	{ "unread", unread, "R", "D" },
	{ "reply on its way", reply, "DR", "" },
	{ "window shut", full, "DR", "" },
	{ "cut off", cut_off, "DR", "" },
	{ "SO_LINGER 5 left", left_linger_5, "DR", "" },
	{ "own SHUT_RD", shut_rd, "R", "" },
	{ "own SHUT_WR", shut_wr, "FR", "" },
	{ "peer's FIN", peer_fin, "R", "F" },
	{ "unread, peer closed", unread_peer_closed, "R", "DF" },
	{ "LAST_ACK with more to send", full_peer_fin, "DR", "F" },
	{ "ended in order", ended, "F", "F" },
	{ "reset", peer_reset, "", "R" }
};
#define ABORTS		((int)(sizeof(aborts) / sizeof(aborts[0])))

static int
linger_0(int fd)
{
	return linger_close(fd, 0);
}

static int (*const abort_verbs[])(int) = { abort_close, linger_0 };
#define ABORT_VERBS	2

/*
 * One index for the verb and the kind of connection, and what is left of it.
 */
#define ABORT_ANY	(ABORT_VERBS * T_ANY_PLAIN)
#define abort_verb(i)	abort_verbs[(i) / T_ANY_PLAIN % ABORT_VERBS]

START_TEST(abort_is_a_reset_now_and_never_a_fin)
{
	const struct abort_scene *scene = &aborts[_i / ABORT_ANY];
	struct conn c;

	t_need_any(_i % T_ANY_PLAIN);
	connected(&c, scene->name, _i % T_ANY_PLAIN);
	if (scene->before != NULL)
		scene->before(&c.p);
	t_ok(abort_verb(_i)(c.p.us));
	sent_already(&c, scene->us);
	sent(&c, scene->us, scene->peer);
	finish(&c);
}
END_TEST

START_TEST(abort_resets_in_spite_of_a_duplicate_which_then_sends_nothing)
{
	struct conn c;
	int copy;

	t_need_any(_i % T_ANY_PLAIN);
	connected(&c, "it", _i % T_ANY_PLAIN);
	copy = dup(c.p.us);
	t_ok(abort_verb(_i)(c.p.us));
	sent_already(&c, "R");
	ck_assert_int_ne(t_try_write(copy), 0);
	t_fin(copy);
	t_close(copy);
	sent(&c, "R", "");
	finish(&c);
}
END_TEST

START_TEST(abort_resets_in_spite_of_a_forked_holder)
{
	struct conn c;
	pid_t child;

	t_need_any(_i % T_ANY_PLAIN);
	connected(&c, "it", _i % T_ANY_PLAIN);
	child = t_hold();
	t_ok(abort_verb(_i)(c.p.us));
	sent_already(&c, "R");
	t_hold_end(child);
	sent(&c, "R", "");
	finish(&c);
}
END_TEST

START_TEST(abort_resets_in_spite_of_a_blocked_reader_who_wakes)
{
	struct t_blocked b;
	struct conn c;

	t_need_any(_i % T_ANY_PLAIN);
	connected(&c, "it", _i % T_ANY_PLAIN);
	t_blocked(&b, c.p.us);
	t_ok(abort_verb(_i)(c.p.us));
	sent_already(&c, "R");
	t_join(b.thread);
	ck_assert_int_le(b.n, 0);
	sent(&c, "R", "");
	finish(&c);
}
END_TEST

/*
 * Both FINs are on their way and nothing is queued behind ours: Linux forgets
 * the connection without a word (tcp_disconnect()).
 */
START_TEST(abort_in_last_ack_with_all_sent_sends_nothing)
{
	struct conn c;

	t_need_any(_i % T_ANY_PLAIN);
	connected(&c, "it", _i % T_ANY_PLAIN);
	cut_off_peer_fin(&c.p);
	t_fin(c.p.us);
	t_wait_state(c.p.us, TCP_LAST_ACK);
	t_ok(abort_verb(_i)(c.p.us));
	sent(&c, "DF", "F");
	finish(&c);
}
END_TEST

/*
 * Calls that send nothing
 */

static void
do_abort(int fd)
{
	t_ok(abort_close(fd));
}

static void
do_graceful(int fd)
{
	t_fails(graceful_close(fd), ENOTCONN);
}

static void
do_linger(int fd)
{
	t_fails(linger_close(fd, 1000), ENOTCONN);
}

static void
do_linger_0(int fd)
{
	t_ok(linger_close(fd, 0));
}

static void (*const unconnected[])(int) = {
	do_abort, do_graceful, do_linger, do_linger_0
};
#define UNCONNECTED	4

/* Nothing goes from this port, or to it. */
static void
port_is_silent(in_port_t port)
{
	const struct segment *s;
	size_t i, n;

	s = sniff_settled(&n);
	for (i = 0; i < n; i++)
		ck_assert(s[i].from.port != port && s[i].to.port != port);
}

START_TEST(what_is_not_connected_is_closed_without_a_word)
{
	int family = _i % T_PLAIN, listening = _i / T_PLAIN % 2, fd;
	in_port_t port;

	t_need_any(2 * family);
	fd = listening ? t_listen(family) : t_socket(family);
	port = port_of(fd);
	unconnected[_i / T_PLAIN / 2](fd);
	port_is_silent(port);
	t_released(fd);
}
END_TEST

/* The states in which our FIN waits for its acknowledgement: here, in vain. */
static bool
is_waiting(int fd)
{
	int state = t_state(fd);

	return state == TCP_FIN_WAIT1 || state == TCP_CLOSING ||
	    state == TCP_LAST_ACK;
}

START_TEST(looking_sends_nothing)
{
	const struct t_state *state = &t_states[_i / T_PLAIN];
	unsigned char bits;
	struct conn c;
	int i = _i % T_PLAIN * 2 + _i / T_PLAIN % 2;

	t_need_any(i);
	connected(&c, state->name, i);
	state->make(&c.p);
	if (is_waiting(c.p.us))
		(void)quiet_within(&c, LIMIT_MS);
	else
		quiet(&c);
	(void)peer_closed(c.p.us);
	(void)graceclose_probe(c.p.us);
	(void)graceclose_probe_many(&c.p.us, 1, &bits);
	(void)graceclose_unacked(c.p.us);
	silent(&c);
	finish(&c);
	t_reset(c.p.us);
}
END_TEST

START_TEST(bad_options_send_nothing)
{
	const struct graceclose_opts *o = &t_bad_opts[_i / T_ANY_PLAIN];
	struct graceclose_reaper *r;
	struct graceclose gc;
	struct conn c;

	t_need_any(_i % T_ANY_PLAIN);
	connected(&c, "it", _i % T_ANY_PLAIN);
	unread(&c.p);
	quiet(&c);
	r = new_reaper(0, GRACECLOSE_REFUSE);
	t_fails(graceclose(c.p.us, o, NULL), EINVAL);
	t_fails(graceclose_begin(&gc, c.p.us, o), EINVAL);
	t_fails(graceclose_begin(NULL, c.p.us, NULL), EINVAL);
	t_fails(graceclose_step(&gc), EINVAL);
	t_fails(graceclose_end(&gc, NULL), EINVAL);
	t_fails(graceclose_reaper_close(r, c.p.us, o, NULL), EINVAL);
	graceclose_reaper_free(r);
	silent(&c);
	finish(&c);
	t_reset(c.p.us);
}
END_TEST

START_TEST(no_descriptor_sends_nothing)
{
	struct conn c;

	t_need_any(_i);
	connected(&c, "it", _i);
	quiet(&c);
	t_fails(graceful_close(-1), EBADF);
	t_fails(linger_close(-1, 1000), EBADF);
	t_fails(linger_close(-1, 0), EBADF);
	t_fails(abort_close(-1), EBADF);
	t_fails(peer_closed(-1), EBADF);
	silent(&c);
	finish(&c);
	t_reset(c.p.us);
}
END_TEST

/*
 * Piece by piece
 */

START_TEST(begin_sends_the_fin_and_nothing_else)
{
	struct graceclose gc;
	struct conn c;

	t_need_any(_i);
	connected(&c, "it", _i);
	unread(&c.p);
	t_ok(graceclose_begin(&gc, c.p.us, NULL));
	sent_already(&c, "F");
	sent(&c, "F", "D");
	t_fails(graceclose_end(&gc, NULL), ECANCELED);
	sent(&c, "F", "D");
	peer_ends(&c);
	sent_in_order(&c, "F", "DF");
}
END_TEST

/* Ended before it was over: DETACH leaves it to the kernel, RESET cuts. */
START_TEST(early_end_acts_as_on_expiry_says)
{
	static const struct graceclose_opts reset = { RESET };
	struct graceclose gc;
	struct conn c;
	int cut = _i / T_ANY_PLAIN;

	t_need_any(_i % T_ANY_PLAIN);
	connected(&c, "it", _i % T_ANY_PLAIN);
	t_linger(c.p.us, cut ? 5 : 0);
	reply(&c.p);
	t_ok(graceclose_begin(&gc, c.p.us, cut ? &reset : NULL));
	t_returns(graceclose_step(&gc), 1);
	sent_already(&c, "DF");
	t_fails(graceclose_end(&gc, NULL), ECANCELED);
	sent_already(&c, cut ? "DFR" : "DF");
	sent(&c, cut ? "DFR" : "DF", "");
	if (!cut) {
		peer_ends(&c);
		sent_in_order(&c, "DF", "F");
	}
	finish(&c);
}
END_TEST

/*
 * The reaper
 */

/* What a close that the reaper cuts leaves on the wire. */
static void
was_cut(struct conn *c, int on_expiry)
{
	if (on_expiry == GRACECLOSE_RESET) {
		sent(c, "FR", "");
		finish(c);
	} else {
		sent(c, "F", "");
		peer_ends(c);
		sent_in_order(c, "F", "F");
	}
}

static void
hand_over(struct graceclose_reaper *r, const struct conn *c,
    struct t_verdict *v, int on_expiry)
{
	const struct graceclose_opts o = t_opts(0, on_expiry, 0, 0);

	memset(v, 0, sizeof(*v));
	v->fd = c->p.us;
	t_ok(graceclose_reaper_close(r, c->p.us, &o, v));
	sent_already(c, "F");
}

START_TEST(reaper_sends_the_fin_in_the_callers_thread_and_free_cuts)
{
	struct graceclose_reaper *r;
	struct t_verdict v;
	struct conn c;
	int on_expiry = _i / T_ANY_PLAIN;

	t_need_any(_i % T_ANY_PLAIN);
	connected(&c, "it", _i % T_ANY_PLAIN);
	r = new_reaper(0, GRACECLOSE_REFUSE);
	hand_over(r, &c, &v, on_expiry);
	sent(&c, "F", "");
	graceclose_reaper_free(r);
	ck_assert_str_eq(t_errno(v.report.error), "ECANCELED");
	was_cut(&c, on_expiry);
}
END_TEST

START_TEST(full_reaper_cuts_the_oldest_only)
{
	struct graceclose_reaper *r;
	struct conn old, young;
	struct t_verdict v[2];
	int on_expiry = _i / T_ANY_PLAIN;

	t_need_any(_i % T_ANY_PLAIN);
	connected(&old, "the older", _i % T_ANY_PLAIN);
	connected(&young, "the younger", _i % T_ANY_PLAIN);
	r = new_reaper(1, GRACECLOSE_OLDEST);
	hand_over(r, &old, &v[0], on_expiry);
	hand_over(r, &young, &v[1], on_expiry);
	t_wait_told(&v[0]);
	was_cut(&old, on_expiry);
	sent(&young, "F", "");
	peer_ends(&young);
	t_wait_told(&v[1]);
	sent_in_order(&young, "F", "F");
	graceclose_reaper_free(r);
}
END_TEST

START_TEST(full_reaper_that_refuses_sends_nothing)
{
	struct graceclose_reaper *r;
	struct conn old, young;
	struct t_verdict v;

	t_need_any(_i);
	connected(&old, "the older", _i);
	connected(&young, "the younger", _i);
	r = new_reaper(1, GRACECLOSE_REFUSE);
	hand_over(r, &old, &v, GRACECLOSE_RESET);
	quiet(&young);
	t_fails(graceclose_reaper_close(r, young.p.us, NULL, NULL), EAGAIN);
	silent(&young);
	peer_ends(&old);
	t_wait_told(&v);
	sent_in_order(&old, "F", "F");
	graceclose_reaper_free(r);
	finish(&young);
	t_reset(young.p.us);
}
END_TEST

/*
 * For comparison: what close(2) does by itself
 */

static void
shut_wr_unread(struct t_pair *p)
{
	shut_wr(p);
	unread(p);
}

static void
cut_off_linger_1(struct t_pair *p)
{
	t_linger(p->us, 1);
	cut_off(p);
}

static const struct abort_scene plain[] = {
	{ "nothing unread", NULL, "F", "" },
	{ "unread", unread, "R", "D" },
	{ "unread, after SHUT_WR", shut_wr_unread, "FR", "D" },
	{ "unread, peer closed first", unread_peer_closed, "R", "DF" },
	{ "SO_LINGER 0", left_linger_0, "DR", "" },
	{ "SO_LINGER 1, expired", cut_off_linger_1, "DF", "" }
};
#define PLAIN		((int)(sizeof(plain) / sizeof(plain[0])))

START_TEST(close_alone_resets_or_not_as_it_happens)
{
	const struct abort_scene *scene = &plain[_i / T_PLAIN];
	struct conn c;
	int i = _i % T_PLAIN * 2 + _i / T_PLAIN % 2;

	t_need_any(i);
	connected(&c, scene->name, i);
	if (scene->before != NULL)
		scene->before(&c.p);
	t_close(c.p.us);
	sent(&c, scene->us, scene->peer);
	finish(&c);
}
END_TEST

START_TEST(linger_0_sends_nothing_while_there_is_a_duplicate)
{
	struct conn c;
	int copy;

	t_need_any(_i);
	connected(&c, "it", _i);
	copy = dup(c.p.us);
	quiet(&c);
	t_reset(c.p.us);
	silent(&c);
	t_close(copy);
	sent(&c, "R", "");
	finish(&c);
}
END_TEST

/* After a close that nobody waited for, input is answered with a RST. */
START_TEST(input_after_the_end_of_the_wait_is_reset_by_the_kernel)
{
	struct conn c;

	t_not_portable(T_NO_ACK);
	t_need_any(_i);
	connected(&c, "it", _i);
	t_ok(linger_close(c.p.us, T_LIMIT_MS));
	sent(&c, "F", "");
	t_write(c.p.peer, 1);
	sent(&c, "FR", "D");
	finish(&c);
}
END_TEST

START_TEST(the_wire_is_out_of_sight)
{
	t_skip(sniff_missing());
}
END_TEST

static TCase *
wire_case(Suite *s, const char *name)
{
	TCase *tc;

	tc = t_case(s, name);
	tcase_add_checked_fixture(tc, sniff_again, NULL);
	return tc;
}

static void
add_outcomes(TCase *tc)
{
	tcase_add_loop_test(tc, outcome_is_on_the_wire, 0,
	    QUICK * WAYS * T_ANY_PLAIN);
	tcase_add_loop_test(tc, outcome_that_takes_time_is_on_the_wire, 0,
	    SLOW * WAYS);
	tcase_add_loop_test(tc, lost_fin_is_sent_again_under_its_number, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    graceful_close_that_gives_up_leaves_the_rest_to_the_kernel, 0,
	    T_ANY_PLAIN);
}

static void
add_aborts(TCase *tc)
{
	tcase_add_loop_test(tc, abort_is_a_reset_now_and_never_a_fin, 0,
	    ABORTS * ABORT_ANY);
	tcase_add_loop_test(tc,
	    abort_resets_in_spite_of_a_duplicate_which_then_sends_nothing, 0,
	    ABORT_ANY);
	tcase_add_loop_test(tc, abort_resets_in_spite_of_a_forked_holder, 0,
	    ABORT_ANY);
	tcase_add_loop_test(tc,
	    abort_resets_in_spite_of_a_blocked_reader_who_wakes, 0, ABORT_ANY);
	tcase_add_loop_test(tc, abort_in_last_ack_with_all_sent_sends_nothing,
	    0, ABORT_ANY);
}

static void
add_silent(TCase *tc)
{
	tcase_add_loop_test(tc, what_is_not_connected_is_closed_without_a_word,
	    0, UNCONNECTED * 2 * T_PLAIN);
	tcase_add_loop_test(tc, looking_sends_nothing, 0,
	    t_nstates * T_PLAIN);
	tcase_add_loop_test(tc, bad_options_send_nothing, 0,
	    T_BAD_OPTS * T_ANY_PLAIN);
	tcase_add_loop_test(tc, no_descriptor_sends_nothing, 0, T_ANY_PLAIN);
}

static void
add_pieces(TCase *tc)
{
	tcase_add_loop_test(tc, begin_sends_the_fin_and_nothing_else, 0,
	    T_ANY_PLAIN);
	tcase_add_loop_test(tc, early_end_acts_as_on_expiry_says, 0,
	    2 * T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    reaper_sends_the_fin_in_the_callers_thread_and_free_cuts, 0,
	    2 * T_ANY_PLAIN);
	tcase_add_loop_test(tc, full_reaper_cuts_the_oldest_only, 0,
	    2 * T_ANY_PLAIN);
	tcase_add_loop_test(tc, full_reaper_that_refuses_sends_nothing, 0,
	    T_ANY_PLAIN);
}

static void
add_comparison(TCase *tc)
{
	tcase_add_loop_test(tc, close_alone_resets_or_not_as_it_happens, 0,
	    PLAIN * T_PLAIN);
	tcase_add_loop_test(tc,
	    linger_0_sends_nothing_while_there_is_a_duplicate, 0, T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    input_after_the_end_of_the_wait_is_reset_by_the_kernel, 0,
	    T_ANY_PLAIN);
}

int
main(void)
{
	Suite *s;

	sniff_prepare();
	s = suite_create("wire");
	if (sniff_missing() != NULL) {
		tcase_add_test(t_case(s, "none"), the_wire_is_out_of_sight);
		return t_main(s);
	}
	add_outcomes(wire_case(s, "outcomes"));
	add_aborts(wire_case(s, "abort"));
	add_silent(wire_case(s, "silence"));
	add_pieces(wire_case(s, "piece by piece"));
	add_comparison(wire_case(s, "comparison"));
	return t_main(s);
}
