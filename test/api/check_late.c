/*
 * opts.late: late input is handed to the program in order, every byte once, and
 * none of it is thrown away
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <graceclose.h>

#include "api/every_form.h"
#include "network/scripted_peer.h"
#include "support/util.h"

#define PIECE_MAX	65536
#define MEBIBYTE	((size_t)1048576)
#define LATE_ERRNO	EIO		/* what late() leaves in errno */

/*
 * What the program got
 */

static struct taken {
	uint64_t	bytes;
	size_t		smallest, largest;
	unsigned	calls;
	bool		intact;		/* t_pattern() from its first byte */
	pid_t		tid;		/* of the last call */
	bool		one_thread;
	int		fd;		/* what another callback closes */
} taken;

static void
take(void *arg, const void *data, size_t n)
{
	static unsigned char expected[PIECE_MAX];
	struct taken *t = arg;

	t->one_thread &= t->calls == 0 || t->tid == gettid();
	t->tid = gettid();
	t->calls++;
	if (t->calls == 1 || n < t->smallest)
		t->smallest = n;
	if (n > t->largest)
		t->largest = n;
	if (n <= sizeof(expected)) {
		t_pattern(expected, t->bytes, n);
		t->intact &= memcmp(expected, data, n) == 0;
	}
	t->bytes += n;
	errno = LATE_ERRNO;
}

static void
given(int i, int until, int timeout_ms, int idle_ms)
{
	memset(&taken, 0, sizeof(taken));
	taken.intact = taken.one_thread = true;
	form_given(i, until, timeout_ms, idle_ms);
	way.opts.late = take;
	way.opts.arg = &taken;
}

/* Each byte that was handed over is right, and counted. */
static void
took_what_counts(const struct graceclose_report *r)
{
	ck_assert(taken.intact);
	ck_assert_uint_le(taken.largest, PIECE_MAX);
	if (taken.calls > 0)
		ck_assert_uint_gt(taken.smallest, 0);
	ck_assert_uint_eq(r->discarded, taken.bytes);
}

static void
took(const struct graceclose_report *r, uint64_t bytes)
{
	took_what_counts(r);
	ck_assert_uint_eq(taken.bytes, bytes);
}

/*
 * What the peer sends
 */

struct sender {
	pthread_t	thread;
	int		fd;
	uint64_t	from, to;	/* bytes of the pattern */
	size_t		chunk;
	int		pause_ms;	/* after each chunk */
	bool		await_fin;	/* begins once ours is there */
	bool		fin;		/* sends its own behind */
	uint64_t	sent;
	int		error;		/* of send(2) */
};

static bool
put(struct sender *s, size_t n)
{
	unsigned char buf[PIECE_MAX];
	ssize_t sent;

	t_pattern(buf, s->from, n);
	sent = send(s->fd, buf, n, MSG_NOSIGNAL);
	if (sent == -1) {
		s->error = errno;
		return false;
	}
	s->from += (uint64_t)sent;
	s->sent += (uint64_t)sent;
	return true;
}

static void *
send_late(void *arg)
{
	struct sender *s = arg;
	uint64_t left;

	if (s->await_fin)
		(void)t_ready(s->fd, POLLRDHUP, t_now_ms() + T_LIMIT_MS);
	while ((left = s->to - s->from) > 0 &&
	    put(s, left < s->chunk ? (size_t)left : s->chunk))
		t_pause(s->pause_ms);
	if (s->fin)
		t_fin(s->fd);
	return NULL;
}

static void
sender(struct sender *s, int fd, uint64_t from, uint64_t to)
{
	*s = (struct sender){ .fd = fd, .from = from, .to = to,
	    .chunk = PIECE_MAX, .await_fin = true, .fin = true };
}

static void
sender_start(struct sender *s)
{
	t_thread(&s->thread, send_late, s);
}

/* These bytes of the pattern are unread at our side when it returns. */
static void
unread(const struct t_pair *p, uint64_t from, size_t n)
{
	struct sender s;
	int before = t_inq(p->us);

	sender(&s, p->peer, from, from + n);
	ck_assert(put(&s, n));
	ck_assert_uint_eq(s.sent, n);
	t_wait_inq(p->us, before + (int)n);
}

/*
 * Every byte, once, in order
 */

#define BEFORE		30000		/* unread when the close begins */
#define TOTAL		300000

/* Index: form, O_NONBLOCK, pair. */
START_TEST(every_byte_is_handed_over_once_and_in_order)
{
	struct sender s;
	struct t_pair p;

	t_need_any(_i / NFORMS / 2);
	t_pair_any(&p, _i / NFORMS / 2);
	if (_i / NFORMS % 2 == 1)
		t_nonblock(p.us);
	t_write(p.us, 1000);
	t_read(p.peer, 1000);
	unread(&p, 0, BEFORE);
	sender(&s, p.peer, BEFORE, TOTAL);
	sender_start(&s);
	given(_i, GRACECLOSE_FINISHED, 0, 0);
	form_close(p.us);
	t_join(s.thread);
	ck_assert_int_eq(s.error, 0);
	form_succeeded(1);
	took(&closed.report, TOTAL);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

/* Over at once: a reaper then calls late from the thread that submitted. */
START_TEST(input_in_front_of_a_fin_that_is_here_is_handed_over)
{
	struct t_pair p;

	t_need_any(_i / NFORMS);
	t_pair_any(&p, _i / NFORMS);
	unread(&p, 0, 5000);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	given(_i, GRACECLOSE_FINISHED, 0, 0);
	form_close(p.us);
	form_succeeded(1);
	took(&closed.report, 5000);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(ten_mebibytes_are_handed_over)
{
	struct sender s;
	struct t_pair p;

	t_need(_i / NFORMS);
	t_pair(&p, _i / NFORMS);
	sender(&s, p.peer, 0, 10 * MEBIBYTE);
	s.await_fin = false;
	sender_start(&s);
	given(_i, GRACECLOSE_FINISHED, 0, 0);
	form_close(p.us);
	t_join(s.thread);
	ck_assert_int_eq(s.error, 0);
	form_succeeded(1);
	took(&closed.report, 10 * MEBIBYTE);
	t_close(p.peer);
}
END_TEST

/* As without late: what is left over is due at once. */
START_TEST(step_hands_over_a_mebibyte_at_most)
{
	struct graceclose_report r;
	struct graceclose gc;
	struct sender s;
	struct t_pair p;
	uint64_t before;
	int big = 16 * (int)MEBIBYTE, steps;

	t_need(_i);
	t_need_buffer(SO_RCVBUF, big / 4);
	t_need_buffer(SO_SNDBUF, big / 4);
	t_pair(&p, _i);
	t_rcvbuf(p.us, big);
	t_sndbuf(p.peer, big);
	sender(&s, p.peer, 0, 3 * MEBIBYTE);
	s.await_fin = false;
	sender_start(&s);
	t_join(s.thread);
	t_wait_inq(p.us, 3 * (int)MEBIBYTE);
	given(0, GRACECLOSE_FINISHED, 0, 0);
	t_ok(graceclose_begin(&gc, p.us, &way.opts));
	for (steps = 0; t_inq(p.us) > (int)MEBIBYTE; steps++) {
		before = taken.bytes;
		t_returns(graceclose_step(&gc), 1);
		ck_assert_uint_gt(taken.bytes, before);
		ck_assert_uint_le(taken.bytes - before, MEBIBYTE);
		ck_assert_int_eq(graceclose_timeout(&gc), 0);
	}
	ck_assert_int_ge(steps, 2);
	while (graceclose_step(&gc) == 1)
		t_ready(p.us, graceclose_events(&gc), t_now_ms() + 10);
	t_ok(graceclose_end(&gc, &r));
	took(&r, 3 * MEBIBYTE);
	t_close(p.peer);
}
END_TEST

/* The drip takes longer than the silence that the close allows. */
static void
drip(int i)
{
	struct sender s;
	struct t_pair p;

	t_pair(&p, diagonal(i));
	sender(&s, p.peer, 0, 50);
	s.chunk = 1;
	s.pause_ms = 15;
	sender_start(&s);
	given(i, GRACECLOSE_FINISHED, -1, 500);
	form_close(p.us);
	t_join(s.thread);
	t_close(p.peer);
}

START_TEST(slow_dripper_is_handed_over_byte_by_byte)
{
	int tries = 0;

	t_need(diagonal(_i));
	do
		drip(_i);
	while (closed.value != 0 && ++tries < T_TRIES);
	form_succeeded(1);
	took(&closed.report, 50);
	ck_assert_uint_ge(closed.report.elapsed_us, 700000);
	ck_assert_uint_ge(taken.calls, 10);
}
END_TEST

/*
 * Who calls it, and with what
 */

START_TEST(late_is_called_in_the_thread_that_drives_the_close)
{
	struct sender s;
	struct t_pair p;

	t_need(_i / NFORMS);
	t_pair(&p, _i / NFORMS);
	sender(&s, p.peer, 0, TOTAL);
	sender_start(&s);
	given(_i, GRACECLOSE_FINISHED, 0, 0);
	form_close(p.us);
	t_join(s.thread);
	form_succeeded(1);
	took(&closed.report, TOTAL);
	ck_assert(taken.one_thread || form_of(_i) == F_REAPER);
	if (form_of(_i) != F_REAPER)
		ck_assert_int_eq(taken.tid, gettid());
	t_close(p.peer);
}
END_TEST

static uint64_t at_done;

static void
count_at_done(void *arg, void *cookie, const struct graceclose_report *report)
{
	at_done = taken.bytes;
	t_done(arg, cookie, report);
}

START_TEST(reaper_calls_late_from_its_thread_and_before_done)
{
	struct t_verdict v = { .fd = -1 };
	struct graceclose_reaper *r;
	struct sender s;
	struct t_pair p;

	t_need(_i);
	at_done = 0;
	r = t_reaper(&(struct graceclose_reaper_opts){
	    .done = count_at_done });
	t_pair(&p, _i);
	v.fd = p.us;
	given(0, GRACECLOSE_FINISHED, 0, 0);
	t_ok(graceclose_reaper_close(r, p.us, &way.opts, &v));
	ck_assert_uint_eq(taken.calls, 0);
	sender(&s, p.peer, 0, 1000);
	ck_assert(put(&s, 1000));
	t_fin(p.peer);
	t_wait_told(&v);
	t_verdict_is(&v, GRACECLOSE_OK, 0, 1, 1);
	took(&v.report, 1000);
	ck_assert_uint_eq(at_done, 1000);
	ck_assert_int_eq(taken.tid, v.tid);
	ck_assert_int_eq(taken.tid, t_named(T_REAPER));
	t_reaper_free(r);
	t_close(p.peer);
}
END_TEST

/* The program may reuse the memory of its options. */
START_TEST(options_may_be_gone_once_the_close_has_begun)
{
	struct graceclose_report report;
	struct graceclose_reaper *r;
	struct graceclose gc;
	struct t_pair p;

	t_need(_i / 2);
	t_pair(&p, _i / 2);
	unread(&p, 0, 5000);
	given(0, GRACECLOSE_FINISHED, 0, 0);
	if (_i % 2 == 0) {
		t_ok(graceclose_begin(&gc, p.us, &way.opts));
		memset(&way.opts, 0xaa, sizeof(way.opts));
		t_fin(p.peer);
		t_wait_poll(p.us, POLLRDHUP);
		while (graceclose_step(&gc) == 1)
			t_pause(1);
		t_ok(graceclose_end(&gc, &report));
	} else {
		r = t_reaper(NULL);
		t_ok(graceclose_reaper_close(r, p.us, &way.opts, NULL));
		memset(&way.opts, 0xaa, sizeof(way.opts));
		t_fin(p.peer);
		t_ok(graceclose_reaper_flush(r, T_LIMIT_MS));
		t_reaper_free(r);
		report.discarded = 5000;
	}
	took(&report, 5000);
	t_close(p.peer);
}
END_TEST

START_TEST(without_late_arg_means_nothing)
{
	struct t_pair p;

	t_need(_i / NFORMS);
	t_pair(&p, _i / NFORMS);
	unread(&p, 0, 5000);
	t_fin(p.peer);
	given(_i, GRACECLOSE_FINISHED, 0, 0);
	way.opts.late = NULL;
	form_close(p.us);
	form_succeeded(1);
	ck_assert_uint_eq(closed.report.discarded, 5000);
	ck_assert_uint_eq(taken.calls, 0);
	t_close(p.peer);
}
END_TEST

/* late() may not call the library on the same close; on another one it may. */
static void
take_and_close(void *arg, const void *data, size_t n)
{
	struct taken *t = arg;

	take(arg, data, n);
	if (t->fd != -1 && peer_closed(t->fd) == 1) {
		(void)graceful_close(t->fd);
		t->fd = -1;
	}
}

START_TEST(late_may_close_another_connection)
{
	struct t_pair other, p;
	struct sender s;

	t_need(_i / NFORMS);
	t_pair(&other, _i / NFORMS);
	t_fin(other.peer);
	t_wait_poll(other.us, POLLRDHUP);
	t_pair(&p, _i / NFORMS);
	sender(&s, p.peer, 0, 5000);
	sender_start(&s);
	given(_i, GRACECLOSE_FINISHED, 0, 0);
	way.opts.late = take_and_close;
	taken.fd = other.us;
	form_close(p.us);
	t_join(s.thread);
	form_succeeded(1);
	took(&closed.report, 5000);
	t_released(other.us);
	t_saw(t_read_all(other.peer), 0, 0);
	t_close(other.peer);
	t_close(p.peer);
}
END_TEST

/*
 * The peer that only writes: it never reads, so no half-close tells it anything
 */

#define LINES		2787

static struct {
	int		lines;		/* whole ones, numbered from 0 */
	bool		right;
	char		part[64];	/* of a line */
	size_t		n, bytes;
} log_;

static int
line(char *buf, size_t size, int i)
{
	return snprintf(buf, size, "line %d of a peer that only writes\n", i);
}

static void
take_lines(void *arg, const void *data, size_t n)
{
	const char *text = data;
	char expected[64];
	size_t i;

	(void)arg;
	log_.bytes += n;
	for (i = 0; i < n; i++) {
		if (log_.n < sizeof(log_.part) - 1)
			log_.part[log_.n++] = text[i];
		if (text[i] != '\n')
			continue;
		log_.part[log_.n] = '\0';
		(void)line(expected, sizeof(expected), log_.lines);
		log_.right &= strcmp(log_.part, expected) == 0;
		log_.n = 0;
		log_.lines++;
	}
}

struct writer {
	pthread_t	thread;
	int		fd;
	int		lines;		/* so many, or until it fails */
	int		pause_ms;	/* after each hundredth */
	bool		fin;
	int		written;
	int		error;
};

static void *
write_lines(void *arg)
{
	struct writer *w = arg;
	char buf[64];

	(void)t_ready(w->fd, POLLRDHUP, t_now_ms() + T_LIMIT_MS);
	for (; w->written < w->lines; w->written++) {
		if (send(w->fd, buf, (size_t)line(buf, sizeof(buf),
		    w->written), MSG_NOSIGNAL) == -1) {
			w->error = errno;
			return NULL;
		}
		if (w->written % 100 == 0)
			t_pause(w->pause_ms);
	}
	if (w->fin)
		t_fin(w->fd);
	return NULL;
}

static void
lines_given(int i, int until, int timeout_ms, int idle_ms)
{
	given(i, until, timeout_ms, idle_ms);
	memset(&log_, 0, sizeof(log_));
	log_.right = true;
	way.opts.late = take_lines;
}

static void
got_lines(int lines)
{
	ck_assert(log_.right);
	ck_assert_int_eq(log_.lines, lines);
	ck_assert_uint_eq(log_.n, 0);
	ck_assert_uint_eq(closed.report.discarded, log_.bytes);
}

START_TEST(peer_that_only_writes_loses_none_of_its_lines)
{
	struct writer w = { .lines = LINES, .pause_ms = 2, .fin = true };
	struct t_pair p;

	t_need(_i / NFORMS);
	t_pair(&p, _i / NFORMS);
	w.fd = p.peer;
	t_thread(&w.thread, write_lines, &w);
	lines_given(_i, GRACECLOSE_FINISHED, 0, 0);
	form_close(p.us);
	t_join(w.thread);
	ck_assert_int_eq(w.error, 0);
	form_succeeded(1);
	got_lines(LINES);
	t_close(p.peer);
}
END_TEST

/* It keeps its side open: the close fails, and still nothing is lost. */
START_TEST(lines_of_a_peer_that_falls_silent_are_all_here_at_the_expiry)
{
	struct writer w = { .lines = LINES, .pause_ms = 2 };
	struct t_pair p;

	t_need(diagonal(_i));
	t_pair(&p, diagonal(_i));
	w.fd = p.peer;
	t_thread(&w.thread, write_lines, &w);
	lines_given(_i, GRACECLOSE_FINISHED, 0, 600);
	form_close(p.us);
	t_join(w.thread);
	form_failed(ETIMEDOUT);
	form_knows(T_KNOWS(1, diagonal(_i) == T_UNIX), 0);
	ck_assert_int_eq(w.error, 0);
	got_lines(LINES);
	t_close(p.peer);
}
END_TEST

/* Only after the close is it told: what it wrote before was handed over. */
START_TEST(peer_that_never_stops_is_told_after_the_close)
{
	struct writer w = { .lines = 10000000, .pause_ms = 5 };
	struct t_pair p;

	t_need(_i / NFORMS);
	t_pair(&p, _i / NFORMS);
	w.fd = p.peer;
	t_thread(&w.thread, write_lines, &w);
	lines_given(_i, GRACECLOSE_FINISHED, 400, 0);
	form_close(p.us);
	form_failed(ETIMEDOUT);
	t_wait_dead(p.peer);
	t_join(w.thread);
	ck_assert(w.error == EPIPE || w.error == ECONNRESET);
	ck_assert(log_.right);
	ck_assert_int_gt(log_.lines, 0);
	ck_assert_int_le(log_.lines, w.written + 1);
	ck_assert_uint_eq(closed.report.discarded, log_.bytes);
	t_close(p.peer);
}
END_TEST

/*
 * discard_max limits what is handed over as well
 */

START_TEST(exactly_discard_max_is_handed_over)
{
	struct t_pair p;

	t_need_any(_i / NFORMS);
	t_pair_any(&p, _i / NFORMS);
	unread(&p, 0, 10000);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	given(_i, GRACECLOSE_FINISHED, 0, 0);
	way.opts.discard_max = 10000;
	form_close(p.us);
	form_succeeded(1);
	took(&closed.report, 10000);
	t_close(p.peer);
}
END_TEST

/* Whether that one byte is handed over is not promised; that it counts is. */
START_TEST(one_byte_beyond_discard_max_is_a_flood)
{
	struct t_pair p;

	t_need_any(_i / NFORMS);
	t_pair_any(&p, _i / NFORMS);
	unread(&p, 0, 10001);
	given(_i, GRACECLOSE_FINISHED, 0, 0);
	way.opts.discard_max = 10000;
	form_close(p.us);
	form_failed(EMSGSIZE);
	took_what_counts(&closed.report);
	ck_assert_uint_ge(taken.bytes, 10000);
	ck_assert_uint_le(taken.bytes, 10001);
	t_close(p.peer);
}
END_TEST

START_TEST(flood_is_handed_over_up_to_discard_max)
{
	struct sender s;
	struct t_pair p;

	t_need(_i / NFORMS);
	t_pair(&p, _i / NFORMS);
	sender(&s, p.peer, 0, UINT64_MAX);
	s.fin = false;
	sender_start(&s);
	given(_i, GRACECLOSE_FINISHED, 0, 0);
	way.opts.discard_max = 3000000;
	form_close(p.us);
	form_failed(EMSGSIZE);
	shutdown(p.peer, SHUT_RDWR);
	t_join(s.thread);
	took_what_counts(&closed.report);
	ck_assert_uint_ge(taken.bytes, 3000000);
	ck_assert_uint_le(taken.bytes, 3000001);
	t_close(p.peer);
}
END_TEST

/*
 * What a detach sweeps is handed over as well
 */

/* Index: whether a step came before, and the pair. */
START_TEST(input_before_an_early_end_is_handed_over)
{
	struct graceclose_report r;
	struct graceclose gc;
	struct t_pair p;

	t_need_any(_i / 2);
	t_pair_any(&p, _i / 2);
	unread(&p, 0, 5000);
	t_write(p.us, 100);
	given(0, GRACECLOSE_FINISHED, 0, 0);
	t_ok(graceclose_begin(&gc, p.us, &way.opts));
	if (_i % 2 == 1) {
		t_returns(graceclose_step(&gc), 1);
		ck_assert_uint_eq(taken.bytes, 5000);
		unread(&p, 5000, 2000);
	}
	t_fails(graceclose_end(&gc, &r), ECANCELED);
	t_released(p.us);
	took(&r, _i % 2 == 1 ? 7000 : 5000);
	ck_assert_int_eq(taken.tid, gettid());
	t_saw(t_read_all(p.peer), 100, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(input_between_the_expiry_and_the_end_is_handed_over)
{
	struct graceclose_report r;
	struct graceclose gc;
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	given(0, GRACECLOSE_FINISHED, 30, -1);
	t_ok(graceclose_begin(&gc, p.us, &way.opts));
	t_pause(40);
	t_fails(graceclose_step(&gc), ETIMEDOUT);
	unread(&p, 0, 5000);
	t_fails(graceclose_step(&gc), ETIMEDOUT);
	t_fails(graceclose_end(&gc, &r), ETIMEDOUT);
	took(&r, 5000);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

START_TEST(input_behind_the_verdict_delivered_is_handed_over)
{
	struct graceclose_report r;
	struct graceclose gc;
	struct t_pair p;

	t_not_portable(T_NO_ACK);
	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.us, 100);
	t_read(p.peer, 100);
	given(0, GRACECLOSE_DELIVERED, 0, 0);
	t_ok(graceclose_begin(&gc, p.us, &way.opts));
	t_wait_outq(p.us, 0);
	t_ok(graceclose_step(&gc));
	unread(&p, 0, 5000);
	t_ok(graceclose_end(&gc, &r));
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 0);
	took(&r, 5000);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

/* What free() cuts is handed over like any other end. */
START_TEST(reaper_that_is_freed_hands_over_what_is_unread)
{
	struct graceclose_reaper *r;
	struct t_verdict v = { .fd = -1 };
	struct t_pair p;

	t_need(_i);
	r = t_reaper(&(struct graceclose_reaper_opts){ .done = t_done });
	t_pair(&p, _i);
	v.fd = p.us;
	given(0, GRACECLOSE_FINISHED, -1, -1);
	unread(&p, 0, 5000);
	t_ok(graceclose_reaper_close(r, p.us, &way.opts, &v));
	t_wait_outq(p.us, 0);
	t_reaper_free(r);
	t_verdict_is(&v, GRACECLOSE_ABORTED, ECANCELED,
	    T_KNOWS(1, _i == T_UNIX), 0);
	took(&v.report, 5000);
	t_saw(t_read_all(p.peer), 0, 0);
	t_close(p.peer);
}
END_TEST

/* Linux keeps what came before the RST, tcp_reset(): the program gets it. */
START_TEST(input_before_a_reset_is_handed_over)
{
	struct t_pair p;

	t_pair_any(&p, _i / NFORMS);
	unread(&p, 0, 5000);
	t_reset(p.peer);
	t_wait_reset(p.us);
	given(_i, GRACECLOSE_FINISHED, 0, 0);
	form_close(p.us);
	form_failed(ECONNRESET);
	took(&closed.report, 5000);
}
END_TEST

/* An aborted connection has no more input; what was taken before counts. */
START_TEST(reset_on_expiry_hands_over_what_came_before_it)
{
	struct t_pair p;

	t_need(diagonal(_i));
	t_pair(&p, diagonal(_i));
	unread(&p, 0, 5000);
	given(_i, GRACECLOSE_FINISHED, 100, -1);
	way.opts.on_expiry = GRACECLOSE_RESET;
	form_close(p.us);
	form_failed(ETIMEDOUT);
	took(&closed.report, 5000);
	t_close(p.peer);
}
END_TEST

static void
how_it_is_called(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "calls");
	tcase_add_loop_test(tc,
	    late_is_called_in_the_thread_that_drives_the_close, 0,
	    NFORMS * T_FAMILIES);
	tcase_add_loop_test(tc,
	    reaper_calls_late_from_its_thread_and_before_done, 0, T_FAMILIES);
	tcase_add_loop_test(tc, options_may_be_gone_once_the_close_has_begun,
	    0, 2 * T_FAMILIES);
	tcase_add_loop_test(tc, without_late_arg_means_nothing, 0,
	    NFORMS * T_FAMILIES);
	tcase_add_loop_test(tc, late_may_close_another_connection, 0,
	    NFORMS * T_FAMILIES);

	tc = t_case(s, "only writes");
	tcase_add_loop_test(tc, peer_that_only_writes_loses_none_of_its_lines,
	    0, NFORMS * T_FAMILIES);
	tcase_add_loop_test(tc,
	    lines_of_a_peer_that_falls_silent_are_all_here_at_the_expiry, 0,
	    DIAGONAL);
	tcase_add_loop_test(tc, peer_that_never_stops_is_told_after_the_close,
	    0, NFORMS * T_PLAIN);
}

static void
how_it_ends(Suite *s)
{
	TCase *tc;

	tc = t_case(s, "discard_max");
	tcase_add_loop_test(tc, exactly_discard_max_is_handed_over, 0,
	    NFORMS * T_ANY);
	tcase_add_loop_test(tc, one_byte_beyond_discard_max_is_a_flood, 0,
	    NFORMS * T_ANY);
	tcase_add_loop_test(tc, flood_is_handed_over_up_to_discard_max, 0,
	    NFORMS * T_FAMILIES);

	tc = t_case(s, "sweep");
	tcase_add_loop_test(tc, input_before_an_early_end_is_handed_over, 0,
	    2 * T_ANY);
	tcase_add_loop_test(tc,
	    input_between_the_expiry_and_the_end_is_handed_over, 0, T_ANY);
	tcase_add_loop_test(tc,
	    input_behind_the_verdict_delivered_is_handed_over, 0, T_ANY);
	tcase_add_loop_test(tc,
	    reaper_that_is_freed_hands_over_what_is_unread, 0, T_FAMILIES);
	tcase_add_loop_test(tc, input_before_a_reset_is_handed_over, 0,
	    NFORMS * T_ANY_PLAIN);
	tcase_add_loop_test(tc,
	    reset_on_expiry_hands_over_what_came_before_it, 0,
	    DIAGONAL);
}

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("late");
	tc = t_case(s, "in order");
	tcase_add_loop_test(tc, every_byte_is_handed_over_once_and_in_order,
	    0, NFORMS * 2 * T_ANY);
	tcase_add_loop_test(tc,
	    input_in_front_of_a_fin_that_is_here_is_handed_over, 0,
	    NFORMS * T_ANY);
	tcase_add_loop_test(tc, ten_mebibytes_are_handed_over, 0,
	    NFORMS * T_FAMILIES);
	tcase_add_loop_test(tc, step_hands_over_a_mebibyte_at_most, 0,
	    T_FAMILIES);
	tcase_add_loop_test(tc, slow_dripper_is_handed_over_byte_by_byte, 0,
	    DIAGONAL);
	how_it_is_called(s);
	how_it_ends(s);
	return t_main(s);
}
