/*
 * matrix_case.c - one close of one connection, and all that is promised of it
 *
 * Three sources are compared, each independent of the others: what the library
 * reports, the segments in the log of the link, and what the peer received.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "matrix/matrix_case.h"
#include "network/workers.h"

#define LINGER_MS	100	/* between the end of our data and its close */
#define TOGETHER_US	20000	/* one way, so that the FINs cross */
#define RTO_US		200000	/* Linux's own */
#define RTO_FAULT_US	20000	/* where something is lost, for speed */
#define EARLY_US	50000	/* see judge_report() */
#define FLOOD_US	5000	/* one way, so that a flood leaves CPU time */

/* The ACK of our FIN is its own segment where the peer lingers. */
const struct m_fault m_faults[] = {
	{ "our last data lost", T_OUT, T_DATA, T_LOSS, true, true },
	{ "our last data twice", T_OUT, T_DATA, T_DUPLICATE, true, true },
	{ "our FIN lost", T_OUT, T_FIN, T_LOSS, false, false },
	{ "our FIN twice", T_OUT, T_FIN, T_DUPLICATE, false, false },
	{ "its ACK lost", T_IN, T_ACK, T_LOSS, false, false },
	{ "its ACK twice", T_IN, T_ACK, T_DUPLICATE, false, false },
	{ "the peer's FIN lost", T_IN, T_FIN, T_LOSS, false, true },
	{ "the peer's FIN twice", T_IN, T_FIN, T_DUPLICATE, false, true },
	{ "our ACK of it lost", T_OUT, T_ACK, T_LOSS, false, true },
	{ "our ACK of it twice", T_OUT, T_ACK, T_DUPLICATE, false, true },
	{ "our RST lost", T_OUT, T_RST, T_LOSS, false, false },
	{ "our RST twice", T_OUT, T_RST, T_DUPLICATE, false, false },
};

const size_t m_nfaults = sizeof(m_faults) / sizeof(m_faults[0]);

/* A connection while it lasts. */
struct bout {
	const struct m_case	*c;
	struct m_expected	 e;
	int			 fd;
	int			 descriptors;	/* open before it */
	/* A peer in a kernel: its socket, and the thread that reads. */
	pthread_t		 thread;
	int			 peer;
	uint64_t		 got;
	bool			 intact;
	int			 error;		/* of its last read */
};

static bool
kernel(const struct m_case *c)
{
	return (c->peer->ways & M_KERNEL) != 0;
}

/* It reads all, then waits: so the ACK of our FIN is a segment of its own. */
static void *
read_by_kernel(void *arg)
{
	unsigned char buf[M_WRITTEN], right[M_WRITTEN];
	struct bout *b = arg;
	ssize_t n;

	b->intact = true;
	while ((n = recv(b->peer, buf, sizeof(buf), 0)) > 0) {
		t_pattern(right, b->got, (size_t)n);
		b->intact = b->intact && memcmp(buf, right, (size_t)n) == 0;
		b->got += (uint64_t)n;
	}
	b->error = n == -1 ? errno : 0;
	t_pause(LINGER_MS);
	close(b->peer);
	return NULL;
}

static void
await_proof(struct t_proof *t, bool (*what)(const struct t_proof *))
{
	int64_t end = t_now_ms() + T_LIMIT_MS;

	do {
		t_link_settle();
		t_link_proof(t, INT64_MAX);
	} while (!what(t) && t_now_ms() < end);
}

static bool
fin_taken(const struct t_proof *t)
{
	return t->fin_taken;
}

static bool
rst_sent(const struct t_proof *t)
{
	return t->rst_sent;
}

/*
 * Before the close
 */

/*
 * What is sent once more brings the congestion window down to one segment, and
 * then our FIN stays here for as long as nothing is acknowledged.  So a peer
 * that does not is given time to get it; sockets made from now on have it.
 * Before Linux 6.11 there is no such setting, and they have it anyway.
 */
static void
set_rto(const struct m_case *c)
{
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_rto_min_us", "we");

	if (f == NULL)
		return;
	fprintf(f, "%d\n", c->fault != NULL ? RTO_FAULT_US : RTO_US);
	(void)fclose(f);
}

static void
meet(struct bout *b)
{
	const struct timeval patience = { 4 * T_LIMIT_MS / 1000, 0 };
	struct t_pair pair;
	int on = 1;

	if (!kernel(b->c)) {
		b->fd = t_peer_connect(&b->c->peer->script, b->c->connecting);
	} else {
		t_link_pair(&pair, b->c->family, b->c->connecting);
		b->fd = pair.us;
		b->peer = pair.peer;
		ck_assert_int_eq(setsockopt(b->peer, SOL_SOCKET, SO_RCVTIMEO,
		    &patience, sizeof(patience)), 0);
	}
	/* What a peer does not acknowledge holds nothing back. */
	ck_assert_int_eq(setsockopt(b->fd, IPPROTO_TCP, TCP_NODELAY, &on,
	    sizeof(on)), 0);
	if (b->c->nonblocking)
		t_nonblock(b->fd);
}

static void
put(int fd, uint64_t from, size_t n)
{
	unsigned char buf[M_WRITTEN];

	t_pattern(buf, from, n);
	ck_assert_int_eq(send(fd, buf, n, MSG_NOSIGNAL), (ssize_t)n);
}

static void
let_fault(const struct m_case *c, bool early)
{
	const struct m_fault *f = c->fault;
	struct t_rule r;

	if (f == NULL || early != (f->early ||
	    (f->early_if_first && c->peer->finished == M_BEFORE)))
		return;
	t_link_settle();
	memset(&r, 0, sizeof(r));
	r.way = f->way;
	r.kinds = f->kinds;
	r.times = 1;
	r.action = f->action;
	t_link_rule(&r);
}

/* What the peer did before the close is here. */
static void
await_before(const struct bout *b)
{
	const struct m_peer *p = b->c->peer;
	struct t_proof t;

	if ((p->ways & M_AT_ONCE) != 0)
		return;
	if (p->before != 0)
		t_wait_inq(b->fd, (int)p->before);
	if (p->reset == M_BEFORE)
		t_wait_reset(b->fd);
	else if (p->finished == M_BEFORE)
		t_wait_state(b->fd, TCP_CLOSE_WAIT);
	/* It is delayed, and would leave with our FIN. */
	if (p->finished == M_BEFORE && b->c->fault != NULL)
		await_proof(&t, fin_taken);
}

static void
delay(int us)
{
	struct t_impair w;

	memset(&w, 0, sizeof(w));
	w.delay_us = us;
	t_link_impair(T_OUT, &w);
	t_link_impair(T_IN, &w);
}

static void
prepare(struct bout *b)
{
	const struct m_peer *p = b->c->peer;

	put(b->fd, 0, M_WRITTEN - M_LAST);
	let_fault(b->c, true);
	put(b->fd, M_WRITTEN - M_LAST, M_LAST);
	if (kernel(b->c) && p->finished == M_BEFORE)
		t_fin(b->peer);
	await_before(b);
	let_fault(b->c, false);
	if ((p->ways & M_FLOODS) != 0)
		delay(FLOOD_US);
	if (kernel(b->c)) {
		if ((p->ways & M_TOGETHER) != 0) {
			t_link_settle();
			delay(TOGETHER_US);
			t_fin(b->peer);
		}
		t_thread(&b->thread, read_by_kernel, b);
	}
}

/*
 * The three questions, which must change nothing: what the close reports
 * afterwards shows that.
 */
static void
ask(const struct bout *b)
{
	const struct m_peer *p = b->c->peer;
	bool dead = p->reset == M_BEFORE;
	bool fin = p->finished == M_BEFORE && (M_COUNTS || p->before == 0);
	struct t_proof before, after;
	int64_t unacked;
	int bits;

	if ((p->ways & (M_AT_ONCE | M_TOGETHER)) != 0)
		return;
	if (dead)
		t_fails(peer_closed(b->fd), ECONNRESET);
	else
		t_returns(peer_closed(b->fd), fin);
	bits = graceclose_probe(b->fd);
	ck_assert_int_eq((bits & GRACECLOSE_RST) != 0, dead);
	ck_assert_int_eq((bits & GRACECLOSE_UNREAD) != 0, p->before != 0);
	if (!dead)
		ck_assert_int_eq((bits & GRACECLOSE_FIN) != 0, fin);
	if (!M_COUNTS)
		return;
	t_link_proof(&before, INT64_MAX);
	unacked = graceclose_unacked(b->fd);
	t_link_proof(&after, INT64_MAX);
	ck_assert_int_le(unacked, M_WRITTEN - (int64_t)before.acked);
	ck_assert_int_ge(unacked, M_WRITTEN - (int64_t)after.acked);
}

/*
 * After it: what the close reported, and what was promised
 */

static void
judge_call(const struct m_expected *e, struct m_result *res)
{
	const struct closing *t = &res->told;
	struct t_counts n;

	res->due_us = e->least_ms * 1000;
	res->took_us = t->end_us - t->start_us;
	t_error_is(t->error, e->error);
	ck_assert_int_eq(t->value, e->value);
	ck_assert(t->released);
	ck_assert_int_ge(res->took_us, res->due_us);
	ck_assert_int_le(res->took_us, e->most_ms * 1000);
	t_link_counts(&n);
	ck_assert_uint_le(t->turns, closing_turns(t, &n));
}

/*
 * The clock of a close whose peer finished first starts when our FIN has left,
 * and what the peer then takes its time for may have begun.
 */
static void
judge_report(const struct m_expected *e, const struct graceclose_report *r)
{
	uint64_t least_us = (uint64_t)e->least_ms * 1000;

	if (least_us > EARLY_US && e->outcome != GRACECLOSE_EXPIRED)
		least_us -= EARLY_US;
	ck_assert_int_eq(r->outcome, e->outcome);
	t_error_is(r->error, e->reported);
	if (e->delivered != M_EITHER)
		ck_assert_int_eq(r->delivered, e->delivered);
	if (e->finished != M_EITHER)
		ck_assert_int_eq(r->finished, e->finished);
	if (M_COUNTS)
		ck_assert_uint_eq(r->unacked, e->unacked);
	ck_assert_uint_ge(r->discarded, e->discarded_least);
	ck_assert_uint_le(r->discarded, e->discarded_most);
	ck_assert_uint_ge(r->elapsed_us, least_us);
	ck_assert_uint_le(r->elapsed_us, (uint64_t)e->most_ms * 1000);
	ck_assert_uint_eq((unsigned)r->reserved0 | r->reserved, 0);
}

/* What the close reported, and the segments. */
static void
judge_proof(const struct bout *b, const struct m_result *res)
{
	const struct graceclose_report *r = &res->told.report;
	const struct t_proof *t = &res->proof;
	bool delivered = m_delivered(t);

	if (!m_aborts(b->c->form) && res->told.value == 0)
		ck_assert_int_eq(delivered, true);
	if (b->c->peer->reset == M_NEVER &&
	    (b->c->peer->ways & M_ANSWERS) == 0)
		ck_assert_int_eq(t->rst_reached, false);
	if (!m_reports(b->c->form))
		return;
	if (M_COUNTS) {
		ck_assert_int_eq(r->delivered, delivered);
		ck_assert_uint_eq(r->unacked, M_WRITTEN - t->acked);
	} else if (r->delivered) {
		ck_assert_int_eq(t->fin_acked, true);
	}
}

/*
 * A FIN leaves unless the connection is dead or the window shut, and again
 * where it is all that was not acknowledged.
 */
static void
judge_fin(const struct m_case *c)
{
	const struct m_peer *p = c->peer;
	unsigned least = p->acks == M_WRITTEN && p->delivered == M_NEVER &&
	    p->reset == M_NEVER ? 2 : 1;
	struct t_counts n;

	t_link_counts(&n);
	if (m_aborts(c->form) || p->reset == M_BEFORE)
		ck_assert_uint_eq(n.seen[T_OUT][T_FIN_BIT], 0);
	else if ((p->ways & (M_SHUT | M_AT_ONCE)) == 0)
		ck_assert_uint_ge(n.seen[T_OUT][T_FIN_BIT], least);
}

/* The segments up to the end, an RST above all. */
static void
judge_segments(const struct bout *b, struct m_result *res)
{
	const struct graceclose_report *r = &res->told.report;
	struct t_proof t;

	t_link_settle();
	t_link_proof(&t, INT64_MAX);
	if (m_reports(b->c->form) && r->finished)
		await_proof(&t, fin_taken);
	if (b->e.reset == 1)
		await_proof(&t, rst_sent);
	res->reset = t.rst_sent;
	if (b->e.reset != M_EITHER)
		ck_assert_int_eq(t.rst_sent, b->e.reset);
	judge_fin(b->c);
	if (m_reports(b->c->form) && r->finished)
		ck_assert_int_eq(t.fin_taken, true);
}

/*
 * What the peer received
 */

static bool
has_all(const struct t_peer_seen *s)
{
	return s->fin && s->received == M_WRITTEN;
}

static bool
has_reset(const struct t_peer_seen *s)
{
	return s->rst;
}

static bool
has_ended(const struct t_peer_seen *s)
{
	return has_all(s) && s->fin_sent_acked;
}

static void
await_peer(struct t_peer_seen *s, bool (*what)(const struct t_peer_seen *))
{
	int64_t end = t_now_ms() + T_LIMIT_MS;

	for (;;) {
		t_peer_seen(s);
		if (what(s) || t_now_ms() > end)
			break;
		t_pause(1);
	}
	ck_assert(what(s));
}

/* It wakes up after the close: the kernel delivers what we left to it. */
static void
wake(const struct bout *b, struct t_peer_seen *s)
{
	struct t_proof t;

	t_peer_go();
	await_peer(s, has_ended);
	t_link_settle();
	t_link_proof(&t, INT64_MAX);
	ck_assert_int_eq(t.rst_sent, false);
	ck_assert_int_eq(b->e.reset, 0);
}

static void
judge_peer(const struct bout *b, const struct m_result *res)
{
	const struct m_fault *f = b->c->fault;
	const struct m_peer *p = b->c->peer;
	bool lost = f != NULL && f->kinds == T_RST && f->action == T_LOSS;
	bool reached = !m_aborts(b->c->form) &&
	    b->e.outcome == GRACECLOSE_OK;
	struct t_peer_seen s;

	t_peer_seen(&s);
	if (b->e.later)
		wake(b, &s);
	else if (reached && b->e.finished == 1)
		await_peer(&s, p->ways & M_SILENT ? has_all : has_ended);
	else if (reached)
		await_peer(&s, has_all);
	else if (b->e.reset == 1 && (p->ways & M_SILENT) == 0 && !lost)
		await_peer(&s, has_reset);
	if (b->e.reset == 0 || lost)
		ck_assert_int_eq(s.rst, false);
	ck_assert_int_eq(s.intact, true);
	ck_assert_uint_le(res->told.report.discarded, s.sent);
	t_peer_gone();
}

/*
 * The reading thread ends before the first assertion, which may leave the case.
 * After an RST that the link lost it would wait for ever.
 */
static void
part(const struct bout *b)
{
	const struct m_fault *f = b->c->fault;

	if (f != NULL && f->kinds == T_RST && f->action == T_LOSS) {
		t_link_settle();
		shutdown(b->peer, SHUT_RD);
	}
	pthread_join(b->thread, NULL);
}

static void
judge_kernel(const struct bout *b)
{
	const struct m_fault *f = b->c->fault;

	ck_assert_int_eq(b->intact, true);
	if (b->e.reset == 0) {
		t_error_is(b->error, 0);
		ck_assert_uint_eq(b->got, M_WRITTEN);
	} else if (b->e.reset == 1 && (f == NULL || f->action != T_LOSS)) {
		t_error_is(b->error, ECONNRESET);
	}
}

/*
 * The side that closes second keeps no TIME_WAIT: the peer's answer to a
 * duplicated segment finds no connection, and our kernel answers with an RST.
 */
static void
allow_fault(struct bout *b)
{
	if (b->c->fault != NULL && b->e.reset == 0 &&
	    b->c->peer->finished == M_BEFORE)
		b->e.reset = M_EITHER;
}

/* The fault took place. */
static void
judge_fault(const struct m_case *c)
{
	const struct m_fault *f = c->fault;
	struct t_counts n;
	int kind = 0;

	if (f == NULL)
		return;
	while ((f->kinds & 1 << kind) == 0)
		kind++;
	t_link_settle();
	t_link_counts(&n);
	if (f->action == T_LOSS)
		ck_assert_uint_lt(n.carried[f->way][kind],
		    n.seen[f->way][kind]);
	else
		ck_assert_uint_ge(n.carried[f->way][kind], 2);
}

/* However late everything was, the close claims more than there was. */
static bool
is_false(const struct m_form *f, const struct m_result *res)
{
	const struct graceclose_report *r = &res->told.report;
	const struct t_proof *t = &res->proof;
	bool delivered = m_reports(f) && r->delivered;
	bool finished = m_reports(f) && r->finished;

	if (m_aborts(f))
		return false;
	if (res->told.value == 0) {
		delivered = true;
		finished |= f->until == GRACECLOSE_FINISHED;
	}
	return (delivered && !m_delivered(t)) || (finished && !t->fin_here);
}

void
m_case_run(const struct m_case *c, struct m_result *res)
{
	struct bout b = { .c = c };

	t_link_begin((uint64_t)(c->peer - m_peers));
	b.descriptors = t_fd_count();
	m_expect(c->form, c->peer, &b.e);
	allow_fault(&b);
	set_rto(c);
	meet(&b);
	prepare(&b);
	if (c->form->asks)
		ask(&b);
	m_close(c->form, b.fd, &res->told);
	t_link_proof(&res->proof, res->told.end_us);
	res->ran = true;
	if (is_false(c->form, res))
		t_worker_certain();
	if (kernel(c))
		part(&b);
	judge_call(&b.e, res);
	if (m_reports(c->form))
		judge_report(&b.e, &res->told.report);
	judge_proof(&b, res);
	judge_segments(&b, res);
	if (kernel(c))
		judge_kernel(&b);
	else
		judge_peer(&b, res);
	judge_fault(c);
	ck_assert_int_eq(t_fd_count(), b.descriptors);
}
