/*
 * graceclose_reaper: four threads submit closes of peers that behave in every
 * way
 *
 * CHECK_SEED=n in the environment repeats the random choices.
 */
#include <sys/socket.h>

#include <poll.h>
#include <unistd.h>

#include <graceclose.h>

#include "api/reaper/many_closes.h"

#define THREADS		4
#define EACH		(T_SLOW ? 250 : 1000)
#define EACH_MAX	1000
#define FILES		((size_t)(2 * THREADS * EACH + 100))
#define BATCH		25

static uint64_t seed;

/*
 * Four threads, and peers that behave in every way
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
	t->o = timed(t->manner == SILENT_RESET, -1);
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
	if (try_connect(&t->p, lfd, a) == -1)
		return "connect";
	t->said = t_random(&s->chance, 30000);
	send_bytes(t->p.us, t->said);
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
		send_bytes(t->p.peer, t_random(&s->chance, 20000));
		/* FALLTHROUGH */
	case CLOSES_LATER:
		t->got = t_read_all(t->p.peer);
		gone(t, shut);
		break;
	case RESETS_LATER:
		gone(t, t_reset);
		break;
	case FLOODS:
		send_bytes(t->p.peer, 5000);
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

/* In random order, some at once, some a little later. */
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

	if ((lfd = try_listen(&a, "127.0.0.1")) == -1)
		s->trouble = "listen";
	for (i = 0; i < EACH && s->trouble == NULL; i += BATCH) {
		for (k = i; k < i + BATCH && s->trouble == NULL; k++)
			s->trouble = prepare(s, &s->task[k], lfd, &a);
		for (k = i; k < i + BATCH && s->trouble == NULL; k++) {
			peer_before(&s->task[k]);
			s->task[k].result = try_submit(&s->task[k].v,
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
	/*
	 * Where no byte was left to arrive, the abort looks like an orderly
	 * end.
	 */
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

	if (t_files(FILES) < FILES)
		t_skip("RLIMIT_NOFILE is low, CAP_SYS_RESOURCE may raise it");
	memset(s, 0, sizeof(s));
	start_with_done(0, GRACECLOSE_REFUSE, t_done);
	for (i = 0; i < THREADS; i++) {
		s[i].chance = seed + (uint64_t)i;
		t_thread(&s[i].thread, submit_all, &s[i]);
	}
	for (i = 0; i < THREADS; i++)
		t_join(s[i].thread);
	flush_many();
	for (i = 0; i < THREADS; i++) {
		ck_assert_msg(s[i].trouble == NULL, "%s", s[i].trouble);
		for (k = 0; k < EACH; k++)
			judge(&s[i].task[k], by_outcome);
	}
	ck_assert_uint_eq(count_over(), (uint64_t)(THREADS * EACH));
	ck_assert_uint_eq(stats.ok, by_outcome[GRACECLOSE_OK]);
	ck_assert_uint_eq(stats.reset, by_outcome[GRACECLOSE_WAS_RESET]);
	ck_assert_uint_eq(stats.expired, by_outcome[GRACECLOSE_EXPIRED]);
	ck_assert_uint_eq(stats.flooded, by_outcome[GRACECLOSE_FLOODED]);
	ck_assert_uint_eq(stats.invalid, by_outcome[GRACECLOSE_INVALID]);
	ck_assert_uint_eq(stats.now, 0);
	stop();
}
END_TEST

/*
 * done submits the next connection from a stock, until that is empty
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
	struct graceclose_opts o = timed(GRACECLOSE_DETACH, -1);
	int i;

	i = __atomic_fetch_add(&stock.next, 1, __ATOMIC_RELAXED);
	if (i < STOCK)
		stock.results[i] = try_submit(&stock.v[i], stock.p[i].us, &o);
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

/* As many chains as places: no close is refused, and none is evicted. */
START_TEST(done_submits_again_in_every_thread)
{
	pthread_t t[THREADS];
	int i;

	memset(&stock, 0, sizeof(stock));
	for (i = 0; i < STOCK; i++) {
		stock.results[i] = -1;
		ck_assert_int_eq(try_pair(&stock.p[i]), 0);
		if (t_random(&seed, 3) == 0)
			t_fin(stock.p[i].peer);
	}
	start_with_done(THREADS, _i, done_and_next);
	for (i = 0; i < THREADS; i++)
		t_thread(&t[i], begin_chain, NULL);
	for (i = 0; i < STOCK; i++)
		t_fin(stock.p[i].peer);
	for (i = 0; i < THREADS; i++)
		t_join(t[i]);
	flush_many();
	for (i = 0; i < STOCK; i++) {
		ck_assert_int_eq(stock.results[i], 0);
		ck_assert_int_eq(t_told(&stock.v[i]), 1);
		t_close(stock.p[i].peer);
	}
	ck_assert_uint_eq(count_over(), STOCK);
	ck_assert_uint_eq(stats.ok, STOCK);
	ck_assert_uint_le(stats.peak, THREADS);
	stop();
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	seed = t_seed();
	s = suite_create("reaper peers");
	tc = case_in_own_network(s, "threads");
	tcase_add_test(tc, threads_and_peers_of_every_manner);
	tcase_add_loop_test(tc, done_submits_again_in_every_thread, 0, 2);
	return t_main(s);
}
