/*
 * graceclose_reaper under pressure: threads, floods, forks, failing system
 * calls, and very many closes
 *
 * What is left to chance can be had again: CHECK_SEED=n in the environment.
 */
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

#define THREADS		4
#define EACH		(T_SLOW ? 250 : 1000)
#define EACH_MAX	1000
#define BATCH		25

static struct graceclose_reaper *reaper;
static struct graceclose_reaper_stats st;
static uint64_t seed;

static void
start(unsigned max, int when_full, void (*done)(void *, void *,
    const struct graceclose_report *))
{
	reaper = t_reaper(&(struct graceclose_reaper_opts){
	    .max = max, .when_full = when_full, .done = done, .arg = &reaper });
}

static void
stop(void)
{
	t_reaper_free(reaper);
}

static struct graceclose_opts
limits(int on_expiry, int timeout_ms)
{
	return t_opts(GRACECLOSE_FINISHED, on_expiry, timeout_ms, -1);
}

/* What a thread may call: it asserts nothing. */
static int
submit(struct t_verdict *v, int fd, const struct graceclose_opts *o)
{
	v->fd = fd;
	return graceclose_reaper_close(reaper, fd, o, v);
}

static void
flush(void)
{
	t_ok(graceclose_reaper_flush(reaper, 2 * T_LIMIT_MS));
}

static uint64_t
over(void)
{
	graceclose_reaper_stats(reaper, &st);
	return st.ok + st.reset + st.expired + st.flooded + st.aborted +
	    st.invalid;
}

/*
 * A network of its own for each test.  Connections by the thousand leave as
 * many in TIME_WAIT, and where tcp_max_tw_buckets of those are reached the
 * kernel forgets a peer that has closed before it has our FIN, which it then
 * answers with RST.
 */
static int home;

static void
leave_home(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home == -1 || unshare(CLONE_NEWNET) == -1)
		return;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
	t_close(fd);
}

static void
come_home(void)
{
	if (home == -1)
		return;
	(void)setns(home, CLONE_NEWNET);
	t_close(home);
}

static TCase *
case_abroad(Suite *s, const char *name)
{
	TCase *tc;

	tc = t_case(s, name);
	tcase_add_checked_fixture(tc, leave_home, come_home);
	return tc;
}

/*
 * Connections in numbers, from a listener that stays; nothing is asserted, so
 * that threads can have them.
 */
static int
listener(struct sockaddr_in *a, const char *host)
{
	socklen_t len = sizeof(*a);
	int fd;

	memset(a, 0, sizeof(*a));
	a->sin_family = AF_INET;
	a->sin_addr.s_addr = inet_addr(host);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd != -1 && bind(fd, (struct sockaddr *)a, len) == 0 &&
	    listen(fd, 128) == 0 &&
	    getsockname(fd, (struct sockaddr *)a, &len) == 0)
		return fd;
	return -1;
}

static int
connected(struct t_pair *p, int lfd, const struct sockaddr_in *a)
{
	p->us = -1;
	p->peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->peer != -1 && connect(p->peer, (const struct sockaddr *)a,
	    sizeof(*a)) == 0)
		p->us = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
	return p->us;
}

/* AF_UNIX: cheap where only the number matters. */
static int
cheap_pair(struct t_pair *p)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		return -1;
	p->us = fds[0];
	p->peer = fds[1];
	return 0;
}

static void
say(int fd, size_t n)
{
	static const char data[65536];
	ssize_t sent;

	while (n > 0 && (sent = send(fd, data, n < sizeof(data) ? n :
	    sizeof(data), MSG_NOSIGNAL)) > 0)
		n -= (size_t)sent;
}

/*
 * Four threads, and peers of every manner
 */

enum manner {
	CLOSED_BEFORE,		/* over at once, or nearly */
	FINISHED_BEFORE,
	RESET_BEFORE,
	CLOSES_LATER,		/* after it read everything */
	TALKS_AND_CLOSES,
	RESETS_LATER,
	SILENT_DETACH,
	SILENT_RESET,
	FLOODS,
	DELIVERED_IS_ENOUGH,
	NO_SOCKET,
	NEVER_CONNECTED,
	MANNERS
};

static const struct {
	int	outcome, error;
} expected[MANNERS] = {
	[CLOSED_BEFORE] = { GRACECLOSE_OK, 0 },
	[FINISHED_BEFORE] = { GRACECLOSE_OK, 0 },
	[RESET_BEFORE] = { GRACECLOSE_WAS_RESET, ECONNRESET },
	[CLOSES_LATER] = { GRACECLOSE_OK, 0 },
	[TALKS_AND_CLOSES] = { GRACECLOSE_OK, 0 },
	[RESETS_LATER] = { GRACECLOSE_WAS_RESET, ECONNRESET },
	[SILENT_DETACH] = { GRACECLOSE_EXPIRED, ETIMEDOUT },
	[SILENT_RESET] = { GRACECLOSE_EXPIRED, ETIMEDOUT },
	[FLOODS] = { GRACECLOSE_FLOODED, EMSGSIZE },
	[DELIVERED_IS_ENOUGH] = { GRACECLOSE_OK, 0 },
	[NO_SOCKET] = { GRACECLOSE_INVALID, ENOTSOCK },
	[NEVER_CONNECTED] = { GRACECLOSE_INVALID, ENOTCONN }
};

struct task {
	enum manner		manner;
	struct graceclose_opts	o;
	struct t_verdict	v;
	struct t_pair		p;
	size_t			said;	/* by us */
	struct t_got		got;	/* by the peer */
	int			result;
};

struct submitter {
	pthread_t	thread;
	uint64_t	chance;
	struct task	task[EACH_MAX];
	const char	*trouble;
};

/* Everything before the close. */
static const char *
prepare(struct submitter *s, struct task *t, int lfd,
    const struct sockaddr_in *a)
{
	int fds[2];

	t->manner = (enum manner)t_random(&s->chance, MANNERS);
	t->o = limits(t->manner == SILENT_RESET, -1);
	t->p.peer = -1;
	if (t->manner == NO_SOCKET) {
		if (pipe2(fds, O_CLOEXEC) == -1)
			return "pipe";
		close(fds[1]);
		t->p.us = fds[0];
		return NULL;
	}
	if (t->manner == NEVER_CONNECTED) {
		t->p.us = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		return t->p.us == -1 ? "socket" : NULL;
	}
	if (connected(&t->p, lfd, a) == -1)
		return "connect";
	t->said = t_random(&s->chance, 30000);
	say(t->p.us, t->said);
	if (t->manner == SILENT_DETACH || t->manner == SILENT_RESET)
		t->o.timeout_ms = 1 + (int)t_random(&s->chance, 200);
	if (t->manner == FLOODS)
		t->o.discard_max = 1000;
	if (t->manner == DELIVERED_IS_ENOUGH)
		t->o.until = GRACECLOSE_DELIVERED;
	return NULL;
}

static void
drink(struct task *t)
{
	struct pollfd pfd = { t->p.peer, POLLIN, 0 };
	char buf[32768];
	ssize_t n;

	while (t->got.bytes < t->said && poll(&pfd, 1, T_LIMIT_MS) == 1 &&
	    (n = recv(t->p.peer, buf, sizeof(buf), 0)) > 0)
		t->got.bytes += (size_t)n;
}

static void
gone(struct task *t, void (*how)(int))
{
	how(t->p.peer);
	t->p.peer = -1;
}

static void
shut(int fd)
{
	close(fd);
}

static void
peer_before(struct task *t)
{
	switch (t->manner) {
	case CLOSED_BEFORE:
		drink(t);
		gone(t, shut);
		break;
	case FINISHED_BEFORE:
		t_fin(t->p.peer);
		break;
	case RESET_BEFORE:
		gone(t, t_reset);
		break;
	default:
		break;
	}
}

static void
peer_after(struct submitter *s, struct task *t)
{
	switch (t->manner) {
	case TALKS_AND_CLOSES:
		say(t->p.peer, t_random(&s->chance, 20000));
		/* FALLTHROUGH */
	case CLOSES_LATER:
		t->got = t_read_all(t->p.peer);
		gone(t, shut);
		break;
	case RESETS_LATER:
		gone(t, t_reset);
		break;
	case FLOODS:
		say(t->p.peer, 5000);
		break;
	case FINISHED_BEFORE:
	case DELIVERED_IS_ENOUGH:
		t->got = t_read_all(t->p.peer);
		gone(t, shut);
		break;
	default:
		break;
	}
}

/* In an order of chance, some at once, some a little later. */
static void
peers_act(struct submitter *s, struct task *batch, int n)
{
	int order[BATCH], i, k;

	for (i = 0; i < n; i++) {
		order[i] = i;
		k = (int)t_random(&s->chance, (uint32_t)i + 1);
		order[i] = order[k];
		order[k] = i;
	}
	for (i = 0; i < n; i++) {
		if (t_random(&s->chance, 8) == 0)
			t_pause((int)t_random(&s->chance, 3));
		peer_after(s, &batch[order[i]]);
	}
}

static void *
submit_all(void *arg)
{
	struct submitter *s = arg;
	struct sockaddr_in a;
	int i, k, lfd;

	if ((lfd = listener(&a, "127.0.0.1")) == -1)
		s->trouble = "listen";
	for (i = 0; i < EACH && s->trouble == NULL; i += BATCH) {
		for (k = i; k < i + BATCH && s->trouble == NULL; k++)
			s->trouble = prepare(s, &s->task[k], lfd, &a);
		for (k = i; k < i + BATCH && s->trouble == NULL; k++) {
			peer_before(&s->task[k]);
			s->task[k].result = submit(&s->task[k].v,
			    s->task[k].p.us, &s->task[k].o);
		}
		if (s->trouble == NULL)
			peers_act(s, &s->task[i], BATCH);
	}
	close(lfd);
	return NULL;
}

/* The peers that have not looked yet: all but one of them get a RST. */
static void
peer_afterwards(struct task *t)
{
	if (t->p.peer == -1)
		return;
	if (t->manner != SILENT_DETACH)
		t_wait_dead(t->p.peer);
	t->got = t_read_all(t->p.peer);
	if (t->manner == SILENT_DETACH)
		t_saw(t->got, t->said, 0);
	/* Where nothing was left to come it looks like an orderly end. */
	if (t->manner == SILENT_RESET)
		ck_assert_str_eq(t_errno(t_try_write(t->p.peer)), "EPIPE");
	if (t->manner == SILENT_RESET && t->got.bytes < t->said)
		ck_assert_str_eq(t_errno(t->got.error), "ECONNRESET");
	t_close(t->p.peer);
}

static void
judge(struct task *t, uint64_t *by_outcome)
{
	enum manner m = t->manner;

	ck_assert_int_eq(t->result, 0);
	ck_assert_int_eq(t_told(&t->v), 1);
	ck_assert_msg(t->v.report.outcome == expected[m].outcome,
	    "manner %d ended with %d, not %d", m, t->v.report.outcome,
	    expected[m].outcome);
	ck_assert_str_eq(t_errno(t->v.report.error),
	    t_errno(expected[m].error));
	by_outcome[expected[m].outcome]++;
	if (t->v.report.outcome == GRACECLOSE_OK) {
		ck_assert_int_eq(t->v.report.delivered, 1);
		ck_assert_uint_eq(t->v.report.unacked, 0);
		t_saw(t->got, t->said, 0);
	}
	if (m == SILENT_DETACH || m == SILENT_RESET)
		ck_assert_uint_ge(t->v.report.elapsed_us,
		    (uint64_t)(t->o.timeout_ms - 1) * 1000);
	peer_afterwards(t);
}

START_TEST(threads_and_peers_of_every_manner)
{
	static struct submitter s[THREADS];
	uint64_t by_outcome[6] = { 0 };
	int i, k;

	memset(s, 0, sizeof(s));
	start(0, GRACECLOSE_REFUSE, t_done);
	for (i = 0; i < THREADS; i++) {
		s[i].chance = seed + (uint64_t)i;
		t_thread(&s[i].thread, submit_all, &s[i]);
	}
	for (i = 0; i < THREADS; i++)
		t_join(s[i].thread);
	flush();
	for (i = 0; i < THREADS; i++) {
		ck_assert_msg(s[i].trouble == NULL, "%s", s[i].trouble);
		for (k = 0; k < EACH; k++)
			judge(&s[i].task[k], by_outcome);
	}
	ck_assert_uint_eq(over(), (uint64_t)(THREADS * EACH));
	ck_assert_uint_eq(st.ok, by_outcome[GRACECLOSE_OK]);
	ck_assert_uint_eq(st.reset, by_outcome[GRACECLOSE_WAS_RESET]);
	ck_assert_uint_eq(st.expired, by_outcome[GRACECLOSE_EXPIRED]);
	ck_assert_uint_eq(st.flooded, by_outcome[GRACECLOSE_FLOODED]);
	ck_assert_uint_eq(st.invalid, by_outcome[GRACECLOSE_INVALID]);
	ck_assert_uint_eq(st.now, 0);
	stop();
}
END_TEST

/*
 * done submits again, from a stock, as long as there is any
 */

#define STOCK		400

static struct {
	struct t_pair		p[STOCK];
	struct t_verdict	v[STOCK];
	int			results[STOCK];
	int			next;
} stock;

static void
from_stock(void)
{
	struct graceclose_opts o = limits(GRACECLOSE_DETACH, -1);
	int i;

	i = __atomic_fetch_add(&stock.next, 1, __ATOMIC_RELAXED);
	if (i < STOCK)
		stock.results[i] = submit(&stock.v[i], stock.p[i].us, &o);
}

static void
done_and_next(void *arg, void *cookie, const struct graceclose_report *report)
{
	from_stock();
	t_done(arg, cookie, report);
}

static void *
begin_chain(void *arg)
{
	(void)arg;
	from_stock();
	return NULL;
}

/* As many chains as places: none is refused, and nobody is evicted. */
START_TEST(done_submits_again_in_every_thread)
{
	pthread_t t[THREADS];
	int i;

	memset(&stock, 0, sizeof(stock));
	for (i = 0; i < STOCK; i++) {
		stock.results[i] = -1;
		ck_assert_int_eq(cheap_pair(&stock.p[i]), 0);
		if (t_random(&seed, 3) == 0)
			t_fin(stock.p[i].peer);
	}
	start(THREADS, _i, done_and_next);
	for (i = 0; i < THREADS; i++)
		t_thread(&t[i], begin_chain, NULL);
	for (i = 0; i < STOCK; i++)
		t_fin(stock.p[i].peer);
	for (i = 0; i < THREADS; i++)
		t_join(t[i]);
	flush();
	for (i = 0; i < STOCK; i++) {
		ck_assert_int_eq(stock.results[i], 0);
		ck_assert_int_eq(t_told(&stock.v[i]), 1);
		t_close(stock.p[i].peer);
	}
	ck_assert_uint_eq(over(), STOCK);
	ck_assert_uint_eq(st.ok, STOCK);
	ck_assert_uint_le(st.peak, THREADS);
	stop();
}
END_TEST

/*
 * More than there is room for
 */

#define ROOM		16
#define CROWD		100
#define EVERYBODY	((uint64_t)THREADS * CROWD)
#define CROWDS		10		/* one after the other */

struct crowd {
	pthread_t		thread;
	struct t_pair		p[CROWD];
	struct t_verdict	v[CROWD];
	int			refused[CROWD];	/* errno, or 0 */
	int			manner;
};

/* What the peers do: half of them finish; or none, and then they may talk. */
enum { CROWD_ENDS, CROWD_IS_SILENT, CROWD_TALKS, CROWD_MANNERS };

static void *
crowd_in(void *arg)
{
	struct graceclose_opts o = limits(GRACECLOSE_DETACH, -1);
	struct crowd *c = arg;
	int i;

	for (i = 0; i < CROWD; i++) {
		if (submit(&c->v[i], c->p[i].us, &o) == -1)
			c->refused[i] = errno;
		if (c->manner == CROWD_ENDS && i % 2 == 1)
			t_fin(c->p[i].peer);
		if (c->manner == CROWD_TALKS)
			say(c->p[i].peer, 1);
	}
	return NULL;
}

static void
crowd_goes(struct crowd *c, int manner)
{
	int i, k;

	memset(c, 0, THREADS * sizeof(*c));
	for (i = 0; i < THREADS; i++) {
		c[i].manner = manner;
		for (k = 0; k < CROWD; k++)
			ck_assert_int_eq(cheap_pair(&c[i].p[k]), 0);
	}
	for (i = 0; i < THREADS; i++)
		t_thread(&c[i].thread, crowd_in, &c[i]);
	for (i = 0; i < THREADS; i++)
		t_join(c[i].thread);
}

static void
was_refused(struct t_pair *p, int error)
{
	struct pollfd pfd = { p->peer, POLLIN | POLLRDHUP, 0 };

	ck_assert_str_eq(t_errno(error), "EAGAIN");
	ck_assert_int_ne(fcntl(p->us, F_GETFD), -1);
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	t_close_pair(p);
}

/* Taken and told once, or refused and untouched: nothing in between. */
START_TEST(crowd_is_refused_or_taken)
{
	static struct crowd c[THREADS];
	uint64_t taken = 0;
	int i, k;

	start(ROOM, GRACECLOSE_REFUSE, t_done);
	crowd_goes(c, _i);
	for (i = 0; i < THREADS; i++)
		for (k = 0; k < CROWD; k++)
			if (c[i].refused[k] != 0)
				was_refused(&c[i].p[k], c[i].refused[k]);
			else
				taken++;
	over();
	ck_assert_uint_le(st.peak, ROOM);
	if (_i != CROWD_ENDS) {
		ck_assert_uint_eq(taken, ROOM);
		ck_assert_uint_eq(st.now, ROOM);
	}
	for (i = 0; i < THREADS; i++)
		for (k = 0; k < CROWD; k++)
			if (c[i].refused[k] == 0)
				t_close(c[i].p[k].peer);
	flush();
	ck_assert_uint_eq(over(), taken);
	ck_assert_uint_eq(st.ok, taken);
	ck_assert_uint_eq(st.evicted, 0);
	for (i = 0; i < THREADS; i++)
		for (k = 0; k < CROWD; k++)
			ck_assert_int_eq(t_told(&c[i].v[k]),
			    c[i].refused[k] == 0);
	stop();
}
END_TEST

/* What a peer says in the last moment, AF_UNIX may answer with a reset. */
START_TEST(crowd_makes_room_for_itself)
{
	static struct crowd c[THREADS];
	int i, k, manner = _i % CROWD_MANNERS;
	struct t_got got;

	start(ROOM, GRACECLOSE_OLDEST, t_done);
	crowd_goes(c, manner);
	over();
	ck_assert_uint_le(st.peak, ROOM);
	if (manner != CROWD_ENDS)
		ck_assert_uint_eq(st.now, ROOM);
	for (i = 0; i < THREADS; i++)
		for (k = 0; k < CROWD; k++) {
			got = t_read_all(c[i].p[k].peer);
			if (manner != CROWD_TALKS)
				t_saw(got, 0, 0);
			t_close(c[i].p[k].peer);
		}
	flush();
	ck_assert_uint_eq(over(), EVERYBODY);
	ck_assert_uint_eq(st.aborted, st.evicted);
	ck_assert_uint_eq(st.ok + st.evicted, EVERYBODY);
	/* One that talks may be at its step, and over, when it is to be cut. */
	ck_assert_uint_le(st.evicted, EVERYBODY - ROOM);
	if (manner == CROWD_IS_SILENT)
		ck_assert_uint_eq(st.evicted, EVERYBODY - ROOM);
	for (i = 0; i < THREADS; i++)
		for (k = 0; k < CROWD; k++) {
			ck_assert_int_eq(c[i].refused[k], 0);
			ck_assert_int_eq(t_told(&c[i].v[k]), 1);
		}
	stop();
}
END_TEST

/*
 * flush and free against submission
 */

static int flushing, flushed;

static void *
flush_on(void *arg)
{
	int *odd = arg;

	while (__atomic_load_n(&flushing, __ATOMIC_ACQUIRE)) {
		if (graceclose_reaper_flush(reaper, 1) == -1 &&
		    errno != ETIMEDOUT)
			*odd = errno;
		if (graceclose_reaper_flush(reaper, 0) == 0)
			__atomic_add_fetch(&flushed, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

START_TEST(flush_races_with_submission)
{
	static struct crowd c[THREADS];
	int i, k, odd[2] = { 0, 0 }, rounds;
	pthread_t t[2];

	start(0, GRACECLOSE_REFUSE, t_done);
	__atomic_store_n(&flushing, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++)
		t_thread(&t[i], flush_on, &odd[i]);
	for (rounds = 0; rounds < CROWDS; rounds++) {
		crowd_goes(c, CROWD_ENDS);
		for (i = 0; i < THREADS; i++)
			for (k = 0; k < CROWD; k++)
				t_close(c[i].p[k].peer);
		/* What was submitted before a flush is over after it. */
		t_ok(graceclose_reaper_flush(reaper, -1));
		for (i = 0; i < THREADS; i++)
			for (k = 0; k < CROWD; k++)
				ck_assert_int_eq(t_told(&c[i].v[k]), 1);
	}
	__atomic_store_n(&flushing, 0, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++) {
		t_join(t[i]);
		ck_assert_str_eq(t_errno(odd[i]), "0");
	}
	ck_assert_uint_eq(over(), CROWDS * EVERYBODY);
	ck_assert_uint_eq(st.ok, CROWDS * EVERYBODY);
	stop();
}
END_TEST

/*
 * The callers are inside before free is called: a first close, over at once,
 * has brought each into done, which goes on with others until one is refused.
 */
struct late {
	pthread_t		thread;
	struct t_pair		p[CROWD];
	struct t_verdict	v[CROWD];
	int			refused;	/* the first, or CROWD */
	int			error;
};

static __thread struct late *late;
static int inside;

static void
done_goes_on(void *arg, void *cookie, const struct graceclose_report *report)
{
	struct graceclose_opts o = limits(GRACECLOSE_DETACH, -1);
	struct late *l = late;
	int i;

	t_done(arg, cookie, report);
	if (l == NULL || cookie != &l->v[0])
		return;
	__atomic_add_fetch(&inside, 1, __ATOMIC_RELEASE);
	for (i = 1; i < CROWD; i++)
		if (submit(&l->v[i], l->p[i].us, &o) == -1) {
			l->error = errno;
			break;
		}
	l->refused = i;
}

static void *
late_thread(void *arg)
{
	struct graceclose_opts o = limits(GRACECLOSE_DETACH, -1);

	late = arg;
	submit(&late->v[0], late->p[0].us, &o);
	return NULL;
}

static int
late_pairs(struct late *l)
{
	int i;

	for (i = 0; i < CROWD; i++)
		if (cheap_pair(&l->p[i]) == -1)
			return -1;
	t_fin(l->p[0].peer);
	return 0;
}

static void
told_or_refused(struct late *l)
{
	int i;

	for (i = 0; i < CROWD; i++) {
		ck_assert_int_eq(t_told(&l->v[i]), i < l->refused);
		if (i >= l->refused)
			t_close_pair(&l->p[i]);
		else {
			t_saw(t_read_all(l->p[i].peer), 0, 0);
			t_close(l->p[i].peer);
		}
	}
	if (l->refused < CROWD)
		ck_assert_str_eq(t_errno(l->error), "EINVAL");
}

START_TEST(free_races_with_submission)
{
	static struct late l[THREADS];
	int i;

	memset(l, 0, sizeof(l));
	inside = 0;
	start(0, GRACECLOSE_REFUSE, done_goes_on);
	for (i = 0; i < THREADS; i++)
		ck_assert_int_eq(late_pairs(&l[i]), 0);
	for (i = 0; i < THREADS; i++)
		t_thread(&l[i].thread, late_thread, &l[i]);
	while (__atomic_load_n(&inside, __ATOMIC_ACQUIRE) < THREADS)
		;
	stop();
	for (i = 0; i < THREADS; i++)
		t_join(l[i].thread);
	for (i = 0; i < THREADS; i++)
		told_or_refused(&l[i]);
}
END_TEST

/*
 * Floods
 */

#define FLOODERS	3
#define OTHERS		100
#define LATE_MS		T_KNOWS(50, 250)	/* without edges: naps */

static int
by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* How late each verdict comes; sorted. */
static void
delays(struct t_pair *p, struct t_verdict *v, int64_t *late_ms)
{
	struct graceclose_opts o = limits(GRACECLOSE_DETACH, -1);
	int64_t fin;
	int i;

	memset(v, 0, OTHERS * sizeof(*v));
	for (i = 0; i < OTHERS; i++) {
		t_pair(&p[i], T_IPV4);
		t_ok(submit(&v[i], p[i].us, &o));
	}
	for (i = 0; i < OTHERS; i++) {
		t_pause(1);
		fin = t_now_ms();
		t_fin(p[i].peer);
		t_wait_told(&v[i]);
		late_ms[i] = v[i].at_ms - fin;
		ck_assert_int_eq(v[i].report.outcome, GRACECLOSE_OK);
		t_close(p[i].peer);
	}
	qsort(late_ms, OTHERS, sizeof(*late_ms), by_size);
}

/*
 * The flooders and the reaper's thread want more processors than a small
 * machine has, so its scheduler may keep one from running for a while whatever
 * the library does.  Hence three tries; a thread that stayed with one flooder
 * would be late every time, and in the median too.
 */
START_TEST(floods_do_not_hold_the_others_up)
{
	static struct t_verdict v[OTHERS], vf[FLOODERS];
	struct graceclose_opts o = limits(GRACECLOSE_DETACH, -1);
	static struct t_pair p[OTHERS];
	struct t_pair f[FLOODERS];
	pthread_t t[FLOODERS];
	int64_t late_ms[OTHERS] = { 0 };
	int i, tries;

	t_need(_i);
	memset(vf, 0, sizeof(vf));
	start(0, GRACECLOSE_REFUSE, t_done);
	for (i = 0; i < FLOODERS; i++) {
		t_pair(&f[i], _i);
		t_ok(submit(&vf[i], f[i].us, &o));
		t_thread(&t[i], t_flood, &f[i].peer);
	}
	tries = 0;
	do {
		ck_assert_msg(tries++ < 3, "late by %d ms, in the median %d",
		    (int)late_ms[OTHERS - 1], (int)late_ms[OTHERS / 2]);
		delays(p, v, late_ms);
		ck_assert_int_le(late_ms[OTHERS / 2], LATE_MS);
	} while (late_ms[OTHERS - 1] > LATE_MS);
	for (i = 0; i < FLOODERS; i++) {
		ck_assert_int_eq(t_told(&vf[i]), 0);
		t_fin(f[i].peer);
		t_join(t[i]);
	}
	flush();
	for (i = 0; i < FLOODERS; i++) {
		ck_assert_int_eq(vf[i].report.outcome, GRACECLOSE_OK);
		ck_assert_uint_gt(vf[i].report.discarded, 1048576);
		t_close(f[i].peer);
	}
	stop();
}
END_TEST

/*
 * Descriptor numbers that are another's at once
 */

#define ROUNDS		400
#define OWNERS		20

struct owner {
	struct t_pair	p;
	size_t		sent[2];	/* to us, to the peer */
};

/* Both directions hold just what was sent, and the connection lives. */
static void
intact(struct owner *w)
{
	char c;

	t_write(w->p.us, 7);
	t_read(w->p.peer, 7 + w->sent[1]);
	t_read(w->p.us, w->sent[0]);
	ck_assert_int_eq(t_state(w->p.us), TCP_ESTABLISHED);
	t_fails((int)recv(w->p.us, &c, 1, MSG_DONTWAIT), EAGAIN);
	t_fails((int)recv(w->p.peer, &c, 1, MSG_DONTWAIT), EAGAIN);
	t_close_pair(&w->p);
}

static void
new_owner(struct owner *w, int lfd, const struct sockaddr_in *a)
{
	struct owner before = *w;

	ck_assert_int_ne(connected(&w->p, lfd, a), -1);
	if (before.p.us != 0)
		intact(&before);
	w->sent[0] = t_random(&seed, 2000);
	w->sent[1] = t_random(&seed, 2000);
	t_write(w->p.peer, w->sent[0]);
	t_write(w->p.us, w->sent[1]);
}

/*
 * Each close has a limit that would run out while somebody else has its
 * number, and events of the new connection come at once.
 */
START_TEST(reused_numbers_belong_to_the_new_owner)
{
	static struct t_verdict v[ROUNDS];
	struct owner owners[OWNERS];
	struct graceclose_opts o;
	struct sockaddr_in a;
	struct t_pair p;
	int i, lfd, open, reused;

	memset(owners, 0, sizeof(owners));
	memset(v, 0, sizeof(v));
	lfd = listener(&a, "127.0.0.1");
	start(0, GRACECLOSE_REFUSE, t_done);
	for (reused = i = 0; i < ROUNDS; i++) {
		ck_assert_int_ne(connected(&p, lfd, &a), -1);
		o = limits(GRACECLOSE_RESET, 1 + (int)t_random(&seed, 20));
		if ((open = t_random(&seed, 4) != 0) == 0)
			t_close(p.peer);
		ck_assert_int_eq(submit(&v[i], p.us, &o), 0);
		if (open) {
			t_pause((int)t_random(&seed, 3));
			t_close(p.peer);
		}
		t_wait_told(&v[i]);
		new_owner(&owners[i % OWNERS], lfd, &a);
		reused += owners[i % OWNERS].p.us == p.us ||
		    owners[i % OWNERS].p.peer == p.us;
	}
	t_pause(40);
	for (i = 0; i < OWNERS; i++)
		intact(&owners[i]);
	ck_assert_int_gt(reused, ROUNDS / 2);
	flush();
	ck_assert_uint_eq(over(), ROUNDS);
	t_close(lfd);
	stop();
}
END_TEST

/* Numbers are taken by a thread of their own while the reaper gives them up. */
static int reusing;

static void *
reuse(void *arg)
{
	struct t_pair p[8];
	char c[8];
	int i, *odd = arg;

	while (__atomic_load_n(&reusing, __ATOMIC_ACQUIRE)) {
		for (i = 0; i < 8; i++) {
			if (cheap_pair(&p[i]) == -1)
				return NULL;
			if (send(p[i].peer, "12345678", 8, MSG_NOSIGNAL) != 8)
				++*odd;
		}
		sched_yield();
		for (i = 0; i < 8; i++) {
			if (recv(p[i].us, c, 8, MSG_DONTWAIT) != 8 ||
			    send(p[i].us, c, 8, MSG_NOSIGNAL) != 8 ||
			    recv(p[i].peer, c, 8, MSG_DONTWAIT) != 8)
				++*odd;
			if (close(p[i].us) == -1 || close(p[i].peer) == -1)
				++*odd;
		}
	}
	return NULL;
}

START_TEST(numbers_reused_meanwhile_are_left_alone)
{
	static struct crowd c[THREADS];
	int i, k, odd[2] = { 0, 0 }, rounds;
	pthread_t t[2];

	start(ROOM, GRACECLOSE_OLDEST, t_done);
	__atomic_store_n(&reusing, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++)
		t_thread(&t[i], reuse, &odd[i]);
	for (rounds = 0; rounds < CROWDS; rounds++) {
		crowd_goes(c, CROWD_ENDS);
		for (i = 0; i < THREADS; i++)
			for (k = 0; k < CROWD; k++)
				t_close(c[i].p[k].peer);
		flush();
	}
	__atomic_store_n(&reusing, 0, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++) {
		t_join(t[i]);
		ck_assert_int_eq(odd[i], 0);
	}
	ck_assert_uint_eq(over(), CROWDS * EVERYBODY);
	stop();
}
END_TEST

/*
 * fork
 */

#define FAMILY		20
#define FORKS		(T_ASAN ? 30 : 100)

/* Each line that fails is a number of its own, and the child's exit status. */
#define child_asserts(what) do {					\
	if (!(what))							\
		_exit(__LINE__ % 200 + 20);				\
} while (0)

static void
child_uses_the_parents_reaper(struct t_pair *p)
{
	struct t_pair q;
	char c;

	child_asserts(cheap_pair(&q) == 0);
	errno = 0;
	child_asserts(graceclose_reaper_close(reaper, q.us, NULL, NULL) == -1 &&
	    errno == ENOTSUP);
	child_asserts(send(q.us, "x", 1, 0) == 1);
	child_asserts(recv(q.peer, &c, 1, 0) == 1);
	child_asserts(recv(q.peer, &c, 1, MSG_DONTWAIT) == -1);
	errno = 0;
	child_asserts(graceclose_reaper_flush(reaper, 0) == -1 &&
	    errno == ENOTSUP);
	errno = 0;
	child_asserts(graceclose_reaper_flush(reaper, -1) == -1 &&
	    errno == ENOTSUP);
	memset(&st, 0xaa, sizeof(st));
	errno = 0;
	graceclose_reaper_stats(reaper, &st);
	child_asserts(errno == ENOTSUP && st.now == 0 && st.ok == 0 &&
	    st.peak == 0 && st.aborted == 0 && st.reserved[3] == 0);
	close(q.us);
	close(q.peer);
	child_asserts(fcntl(p[0].us, F_GETFD) != -1);
}

/* Only the reaper's own descriptors go, and no thread is asked to. */
static void
child_frees_the_parents_reaper(struct t_pair *p)
{
	int before, i;

	before = t_fd_count();
	errno = 0;
	graceclose_reaper_free(reaper);
	child_asserts(errno == 0);
	child_asserts(t_fd_count() < before);
	for (i = 0; i < FAMILY; i++)
		child_asserts(fcntl(p[i].us, F_GETFD) != -1);
}

static void
child_has_its_own(void)
{
	struct graceclose_opts o = limits(GRACECLOSE_DETACH, -1);
	static struct t_verdict v;
	struct t_pair q;

	start(0, GRACECLOSE_REFUSE, t_done);
	memset(&v, 0, sizeof(v));
	child_asserts(cheap_pair(&q) == 0);
	child_asserts(submit(&v, q.us, &o) == 0);
	close(q.peer);
	child_asserts(graceclose_reaper_flush(reaper, T_LIMIT_MS) == 0);
	child_asserts(v.times == 1 && v.report.outcome == GRACECLOSE_OK);
	graceclose_reaper_free(reaper);
}

/* TSan lets no child of several threads have any of its own. */
static pid_t
fork_child(struct t_pair *p, int ready)
{
	pid_t pid;

	pid = fork();
	if (pid != 0) {
		ck_assert_int_ne(pid, -1);
		return pid;
	}
	alarm(20);
	child_uses_the_parents_reaper(p);
	child_frees_the_parents_reaper(p);
	if (!T_TSAN)
		child_has_its_own();
	child_asserts(write(ready, "r", 1) == 1);
	for (;;)
		pause();
}

/* Its number is free here, though the child still holds the connection. */
static void
family_ends(struct t_pair *p, struct t_verdict *v)
{
	int i;

	for (i = 0; i < FAMILY; i++)
		if (i % 2 == 0)
			t_fin(p[i].peer);
	flush();
	for (i = 0; i < FAMILY; i++) {
		t_verdict_is(&v[i], i % 2 == 0 ? GRACECLOSE_OK :
		    GRACECLOSE_EXPIRED, i % 2 == 0 ? 0 : ETIMEDOUT,
		    T_KNOWS(1, i % 2 == 0), i % 2 == 0);
		t_saw(t_read_all(p[i].peer), 1000, 0);
	}
	ck_assert_uint_eq(over(), FAMILY);
}

/*
 * The child holds a duplicate of every connection, and of the epoll set, where
 * a close(2) here takes nothing out.  Half of the closes end in order, half
 * expire, and their peers go on.
 */
START_TEST(fork_in_the_middle_of_the_work)
{
	struct graceclose_opts o = limits(GRACECLOSE_DETACH, 600);
	static struct t_verdict v[FAMILY];
	static struct t_pair p[FAMILY];
	uint64_t turns;
	pid_t child;
	int i, ready[2];
	char c;

	memset(v, 0, sizeof(v));
	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	start(0, GRACECLOSE_REFUSE, t_done);
	for (i = 0; i < FAMILY; i++) {
		t_pair(&p[i], T_IPV4);
		t_write(p[i].us, 1000);
	}
	for (i = 0; i < FAMILY; i++)
		t_ok(submit(&v[i], p[i].us, &o));
	/* A fork does not free the locks of ASan's memory, as libc's. */
	if (T_ASAN)
		t_wait_asleep(t_named(T_REAPER), 50);
	child = fork_child(p, ready[1]);
	t_close(ready[1]);
	ck_assert_msg(read(ready[0], &c, 1) == 1, "the child failed");
	family_ends(p, v);
	t_wait_asleep(t_named(T_REAPER), 50);
	turns = t_turns(t_named(T_REAPER));
	for (i = 1; i < FAMILY; i += 2) {
		t_write(p[i].peer, 100);
		t_fin(p[i].peer);
	}
	t_pause(50);
	ck_assert_uint_eq(t_turns(t_named(T_REAPER)), turns);
	t_hold_end(child);
	for (i = 0; i < FAMILY; i++)
		t_close(p[i].peer);
	t_close(ready[0]);
	stop();
}
END_TEST

/* Somebody is always inside, and may have the lock. */
static void *
hammer(void *arg)
{
	struct graceclose_opts o = limits(GRACECLOSE_DETACH, -1);
	uint64_t *taken = arg;
	struct t_pair p;

	while (__atomic_load_n(&reusing, __ATOMIC_ACQUIRE)) {
		if (cheap_pair(&p) == -1)
			break;
		if (graceclose_reaper_close(reaper, p.us, &o, NULL) == 0)
			++*taken;
		close(p.peer);
	}
	return NULL;
}

/*
 * libcheck is for the parent alone: to assert takes memory, and here ASan's
 * may be locked in the child for ever.
 */
static int
child_of_the_hammered(void)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		alarm(10);
		errno = 0;
		child_asserts(graceclose_reaper_flush(reaper, -1) == -1);
		child_asserts(errno == ENOTSUP);
		child_asserts(graceclose_reaper_close(reaper, 0, NULL, NULL) ==
		    -1);
		child_asserts(errno == ENOTSUP);
		graceclose_reaper_stats(reaper, &st);
		graceclose_reaper_free(reaper);
		_exit(0);
	}
	ck_assert_int_ne(pid, -1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

START_TEST(fork_while_threads_submit)
{
	uint64_t taken[2] = { 0, 0 };
	pthread_t t[2];
	int i;

	if (T_VALGRIND)
		t_skip("valgrind's socketpair(2) lies when descriptors run out");
	start(0, GRACECLOSE_REFUSE, NULL);
	__atomic_store_n(&reusing, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++)
		t_thread(&t[i], hammer, &taken[i]);
	for (i = 0; i < FORKS; i++)
		ck_assert_int_eq(child_of_the_hammered(), 0);
	__atomic_store_n(&reusing, 0, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++)
		t_join(t[i]);
	flush();
	ck_assert_uint_eq(over(), taken[0] + taken[1]);
	ck_assert_uint_eq(st.ok, taken[0] + taken[1]);
	stop();
}
END_TEST

/*
 * Failing system calls.  The library's calls of epoll_ctl end here: a symbol
 * of the program comes before that of the C library.
 */

static int epoll_refuses;	/* with this errno, when it is to add */

int
epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	static int (*real)(int, int, int, struct epoll_event *);
	int error = __atomic_load_n(&epoll_refuses, __ATOMIC_RELAXED);

	if (op == EPOLL_CTL_ADD && error != 0) {
		errno = error;
		return -1;
	}
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "epoll_ctl");
	return real(epfd, op, fd, event);
}

static const int epoll_errors[] = { ENOSPC, ENOMEM };

/* Index: the error, what ends it, and done or none. */
START_TEST(close_that_epoll_refuses_goes_by_its_timer)
{
	struct graceclose_opts o = limits(GRACECLOSE_RESET, -1);
	struct t_verdict v;
	struct t_pair p;
	size_t n;

	memset(&v, 0, sizeof(v));
	start(1, GRACECLOSE_REFUSE, _i / 4 == 0 ? t_done : NULL);
	t_pair_small(&p, T_IPV4);
	n = t_fill(p.us);
	o.timeout_ms = _i / 2 % 2 == 0 ? -1 : 100;
	__atomic_store_n(&epoll_refuses, epoll_errors[_i % 2],
	    __ATOMIC_RELAXED);
	t_ok(submit(&v, p.us, &o));
	__atomic_store_n(&epoll_refuses, 0, __ATOMIC_RELAXED);
	if (o.timeout_ms == -1) {
		t_saw(t_read_all(p.peer), n, 0);
		t_fin(p.peer);
	}
	flush();
	t_released(p.us);
	ck_assert_uint_eq(over(), 1);
	ck_assert_uint_eq(o.timeout_ms == -1 ? st.ok : st.expired, 1);
	if (_i / 4 == 0 && o.timeout_ms == -1)
		t_verdict_is(&v, GRACECLOSE_OK, 0, 1, 1);
	else if (_i / 4 == 0)
		t_verdict_is(&v, GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	t_close(p.peer);
	stop();
}
END_TEST

/* Which needs no epoll. */
START_TEST(close_that_is_over_at_once_does_not_ask_epoll)
{
	struct graceclose_opts o = limits(GRACECLOSE_RESET, -1);
	struct t_verdict v;
	struct t_pair p;

	memset(&v, 0, sizeof(v));
	start(0, GRACECLOSE_REFUSE, t_done);
	ck_assert_int_eq(cheap_pair(&p), 0);
	t_close(p.peer);
	__atomic_store_n(&epoll_refuses, ENOSPC, __ATOMIC_RELAXED);
	t_ok(submit(&v, p.us, &o));
	__atomic_store_n(&epoll_refuses, 0, __ATOMIC_RELAXED);
	t_verdict_is(&v, GRACECLOSE_OK, 0, 1, 1);
	stop();
}
END_TEST

START_TEST(reaper_that_epoll_refuses_is_not_made)
{
	t_not_portable(T_NO_EDGE);
	epoll_refuses = epoll_errors[_i];
	errno = 0;
	ck_assert_ptr_null(graceclose_reaper_new(NULL));
	epoll_refuses = 0;
	t_errno_is(epoll_errors[_i]);
	ck_assert_int_eq(t_named(T_REAPER), 0);
}
END_TEST

/* Not its process group, of which make(1) may be. */
START_TEST(child_that_is_overdue_ends_alone)
{
	int status;
	pid_t child;

	child = fork();
	if (child == 0) {
		close(STDERR_FILENO);	/* what it complains of is no news */
		if (setsid() == -1)
			_exit(10);
		raise(SIGALRM);
		_exit(11);
	}
	ck_assert_int_ne(child, -1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EXIT_FAILURE);
}
END_TEST

/*
 * The kernel refuses the thread: to somebody who is not root, and may have no
 * process more.  Such a limit is for a child to have.
 */
START_TEST(reaper_without_a_thread_is_not_made)
{
	struct rlimit none = { 0, 0 };
	int fds, status;
	pid_t child;

	if (geteuid() != 0)
		t_skip("needs root");
	child = fork();
	ck_assert_int_ne(child, -1);
	if (child == 0) {
		fds = t_fd_count();
		if (setrlimit(RLIMIT_NPROC, &none) == -1 ||
		    setresuid(65534, 65534, 65534) == -1)
			_exit(10);
		errno = 0;
		if (graceclose_reaper_new(NULL) != NULL)
			_exit(11);
		if (errno != EAGAIN)
			_exit(12);
		_exit(t_fd_count() == fds ? 0 : 13);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

/*
 * Memory runs short after so many more allocations, if ever.  A sanitizer has
 * its own functions here.
 */
static int memory_left = -1;

#if !T_SANITIZED
void	*__libc_malloc(size_t);
void	*__libc_calloc(size_t, size_t);

static int
starved(void)
{
	int left = __atomic_load_n(&memory_left, __ATOMIC_RELAXED);

	if (left == -1)
		return 0;
	if (left > 0) {
		__atomic_sub_fetch(&memory_left, 1, __ATOMIC_RELAXED);
		return 0;
	}
	errno = ENOMEM;
	return 1;
}

void *
malloc(size_t n)
{
	return starved() ? NULL : __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	return starved() ? NULL : __libc_calloc(n, size);
}
#endif

static void
starve(int after)
{
	__atomic_store_n(&memory_left, after, __ATOMIC_RELAXED);
}

START_TEST(close_without_memory_is_cut)
{
	struct graceclose_opts o = limits(_i, -1);
	struct t_verdict v;
	struct t_pair p;
	int result;
	size_t n;

	if (T_SLOW)
		t_skip("a sanitizer has its own memory");
	memset(&v, 0, sizeof(v));
	start(0, GRACECLOSE_REFUSE, t_done);
	t_pair_small(&p, T_IPV4);
	n = t_fill(p.us);
	starve(0);
	result = submit(&v, p.us, &o);
	starve(-1);
	ck_assert_int_eq(result, 0);
	flush();
	t_verdict_is(&v, GRACECLOSE_ABORTED, ECANCELED, 0, 0);
	if (_i == GRACECLOSE_RESET)
		t_wait_dead(p.peer);
	else
		t_saw(t_read_all(p.peer), n, 0);
	ck_assert_uint_eq(over(), 1);
	ck_assert_uint_eq(st.aborted, 1);
	t_close(p.peer);
	stop();
}
END_TEST

/* Whichever allocation it is that fails; a thread's is EAGAIN. */
START_TEST(reaper_without_memory_is_not_made)
{
	int after;

	if (T_SLOW)
		t_skip("a sanitizer has its own memory");
	for (reaper = NULL, after = 0; reaper == NULL; after++) {
		ck_assert_int_lt(after, 20);
		errno = 0;
		starve(after);
		reaper = graceclose_reaper_new(NULL);
		starve(-1);
		if (reaper == NULL)
			ck_assert(errno == ENOMEM || errno == EAGAIN);
	}
	ck_assert_int_gt(after, 1);
	stop();
}
END_TEST

/*
 * Very many
 */

#define VERY_MANY	100000
#define FEWER		5000
#define HOSTS		8
#define EXPIRING	500
#define EXPIRING_MS	(T_SLOW ? 8000 : 2000)	/* after all are taken */
#define DEFAULT_MAX	65536

static struct {
	struct t_pair	p[VERY_MANY];
	unsigned char	outcome[VERY_MANY];
	unsigned char	told[VERY_MANY];
} mass;

static void
done_mass(void *arg, void *cookie, const struct graceclose_report *report)
{
	size_t i = (size_t)((struct t_pair *)cookie - mass.p);

	(void)arg;
	mass.outcome[i] = (unsigned char)report->outcome;
	mass.told[i]++;
}

/* Both ends are here. */
static int
how_many(int wanted)
{
	size_t want = (size_t)wanted, files;

	if (T_SLOW) {
		want = FEWER;
		printf("only %zu closes: a sanitizer is slow\n", want);
	}
	files = t_files(2 * want + 200);
	if (files < 2 * want + 200) {
		want = (files - 200) / 2;
		printf("only %zu closes: RLIMIT_NOFILE is %zu\n", want, files);
	}
	fflush(stdout);
	return (int)want;
}

/* To several addresses: for each there are ports for 28000 only. */
static void
connect_mass(int n)
{
	struct sockaddr_in a;
	char host[32];
	int h, i, lfd;

	for (i = h = 0; h < HOSTS; h++) {
		snprintf(host, sizeof(host), "127.0.0.%d", h + 1);
		lfd = listener(&a, host);
		for (; i < n * (h + 1) / HOSTS; i++)
			ck_assert_msg(connected(&mass.p[i], lfd, &a) != -1,
			    "connection %d: %s", i, strerror(errno));
		t_close(lfd);
	}
}

/* How many were taken. */
static int
close_mass(int from, int to, int timeout_ms)
{
	struct graceclose_opts o = limits(GRACECLOSE_DETACH, timeout_ms);
	int i;

	for (i = from; i < to; i++)
		if (graceclose_reaper_close(reaper, mass.p[i].us, &o,
		    &mass.p[i]) == -1)
			break;
	return i - from;
}

static void
judge_mass(int from, int to, int outcome)
{
	int i;

	for (i = from; i < to; i++) {
		ck_assert_int_eq(mass.told[i], 1);
		ck_assert_int_eq(mass.outcome[i], outcome);
	}
}

/* The last have a limit that runs out, the others an hour, or none. */
START_TEST(hundred_thousand_closes_under_way)
{
	int i, n, ending;

	memset(&mass, 0, sizeof(mass));
	n = how_many(VERY_MANY);
	ending = n - EXPIRING;
	connect_mass(n);
	start((unsigned)n, GRACECLOSE_REFUSE, done_mass);
	ck_assert_int_eq(close_mass(0, n / 2, 3600000), n / 2);
	ck_assert_int_eq(close_mass(n / 2, ending, -1), ending - n / 2);
	ck_assert_int_eq(close_mass(ending, n, EXPIRING_MS),
	    EXPIRING);
	ck_assert_uint_eq(over(), 0);
	ck_assert_uint_eq(st.now, (unsigned)n);
	for (i = 0; i < ending; i++)
		t_fin(mass.p[i].peer);
	flush();
	ck_assert_uint_eq(over(), (unsigned)n);
	ck_assert_uint_eq(st.ok, (unsigned)ending);
	ck_assert_uint_eq(st.expired, EXPIRING);
	ck_assert_uint_eq(st.peak, (unsigned)n);
	judge_mass(0, ending, GRACECLOSE_OK);
	judge_mass(ending, n, GRACECLOSE_EXPIRED);
	for (i = 0; i < n; i++) {
		t_saw(t_read_all(mass.p[i].peer), 0, 0);
		t_close(mass.p[i].peer);
	}
	stop();
}
END_TEST

START_TEST(max_is_65536_where_none_is_given)
{
	int i, n;

	memset(&mass, 0, sizeof(mass));
	if (T_SLOW || (n = how_many(DEFAULT_MAX + 1)) <= DEFAULT_MAX)
		t_skip("not so many closes here");
	start(0, GRACECLOSE_REFUSE, done_mass);
	for (i = 0; i < n; i++)
		ck_assert_int_eq(cheap_pair(&mass.p[i]), 0);
	ck_assert_int_eq(close_mass(0, n, -1), DEFAULT_MAX);
	t_errno_is(EAGAIN);
	t_close(mass.p[DEFAULT_MAX].us);
	for (i = 0; i < n; i++)
		t_close(mass.p[i].peer);
	flush();
	judge_mass(0, DEFAULT_MAX, GRACECLOSE_OK);
	ck_assert_int_eq(mass.told[DEFAULT_MAX], 0);
	ck_assert_uint_eq(over(), DEFAULT_MAX);
	ck_assert_uint_eq(st.peak, DEFAULT_MAX);
	stop();
}
END_TEST

static void
the_threads(Suite *s)
{
	TCase *tc;

	tc = case_abroad(s, "threads");
	tcase_add_test(tc, threads_and_peers_of_every_manner);
	tcase_add_loop_test(tc, done_submits_again_in_every_thread, 0, 2);
	tcase_add_loop_test(tc, crowd_is_refused_or_taken, 0,
	    CROWD_MANNERS);
	tcase_add_loop_test(tc, crowd_makes_room_for_itself, 0,
	    5 * CROWD_MANNERS);
	tcase_add_test(tc, flush_races_with_submission);
	tcase_add_loop_test(tc, free_races_with_submission, 0, 20);

	tc = case_abroad(s, "floods");
	tcase_add_loop_test(tc, floods_do_not_hold_the_others_up, 0,
	    T_FAMILIES);

	tc = case_abroad(s, "numbers");
	tcase_add_test(tc, reused_numbers_belong_to_the_new_owner);
	tcase_add_test(tc, numbers_reused_meanwhile_are_left_alone);
}

static void
the_failures(Suite *s)
{
	TCase *tc;

	tc = case_abroad(s, "fork");
	tcase_add_test(tc, fork_in_the_middle_of_the_work);
	tcase_add_test(tc, fork_while_threads_submit);
	tcase_add_test(tc, child_that_is_overdue_ends_alone);

	tc = case_abroad(s, "failures");
	tcase_add_loop_test(tc, close_that_epoll_refuses_goes_by_its_timer,
	    0, 8);
	tcase_add_test(tc, close_that_is_over_at_once_does_not_ask_epoll);
	tcase_add_loop_test(tc, reaper_that_epoll_refuses_is_not_made, 0, 2);
	tcase_add_test(tc, reaper_without_a_thread_is_not_made);
	tcase_add_loop_test(tc, close_without_memory_is_cut, 0, 2);
	tcase_add_test(tc, reaper_without_memory_is_not_made);
}

int
main(void)
{
	Suite *s;
	TCase *tc;

	seed = t_seed();
	s = suite_create("reaper_stress");
	the_threads(s);
	the_failures(s);

	tc = case_abroad(s, "very many");
	tcase_add_test(tc, hundred_thousand_closes_under_way);
	tcase_add_test(tc, max_is_65536_where_none_is_given);
	return t_main(s);
}
