/*
 * graceclose_reaper: threads submit more than there is room for, flush and free
 * at the same time, and use descriptor numbers again at once
 *
 * CHECK_SEED=n in the environment repeats the random choices.
 */
#include <sys/socket.h>

#include <netinet/tcp.h>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <graceclose.h>

#include "api/reaper/many_closes.h"

#define THREADS		4

static uint64_t seed;

/*
 * More closes than places
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

/*
 * What the peers do: half of them finish, or none does; those that do not may
 * send.
 */
enum { CROWD_ENDS, CROWD_IS_SILENT, CROWD_TALKS, CROWD_MANNERS };

static void *
crowd_in(void *arg)
{
	struct graceclose_opts o = timed(GRACECLOSE_DETACH, -1);
	struct crowd *c = arg;
	int i;

	for (i = 0; i < CROWD; i++) {
		if (try_submit(&c->v[i], c->p[i].us, &o) == -1)
			c->refused[i] = errno;
		if (c->manner == CROWD_ENDS && i % 2 == 1)
			t_fin(c->p[i].peer);
		if (c->manner == CROWD_TALKS)
			send_bytes(c->p[i].peer, 1);
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
			ck_assert_int_eq(try_pair(&c[i].p[k]), 0);
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

/* Each close is taken and reported once, or refused and untouched. */
START_TEST(threads_beyond_max_are_taken_or_refused)
{
	static struct crowd c[THREADS];
	uint64_t taken = 0;
	int i, k;

	start_with_done(ROOM, GRACECLOSE_REFUSE, t_done);
	crowd_goes(c, _i);
	for (i = 0; i < THREADS; i++)
		for (k = 0; k < CROWD; k++)
			if (c[i].refused[k] != 0)
				was_refused(&c[i].p[k], c[i].refused[k]);
			else
				taken++;
	count_over();
	ck_assert_uint_le(stats.peak, ROOM);
	if (_i != CROWD_ENDS) {
		ck_assert_uint_eq(taken, ROOM);
		ck_assert_uint_eq(stats.now, ROOM);
	}
	for (i = 0; i < THREADS; i++)
		for (k = 0; k < CROWD; k++)
			if (c[i].refused[k] == 0)
				t_close(c[i].p[k].peer);
	flush_many();
	ck_assert_uint_eq(count_over(), taken);
	ck_assert_uint_eq(stats.ok, taken);
	ck_assert_uint_eq(stats.evicted, 0);
	for (i = 0; i < THREADS; i++)
		for (k = 0; k < CROWD; k++)
			ck_assert_int_eq(t_told(&c[i].v[k]),
			    c[i].refused[k] == 0);
	stop();
}
END_TEST

/* AF_UNIX may answer what a peer sends in the last moment with a reset. */
START_TEST(threads_beyond_max_evict_the_oldest)
{
	static struct crowd c[THREADS];
	int i, k, manner = _i % CROWD_MANNERS;
	struct t_got got;

	start_with_done(ROOM, GRACECLOSE_OLDEST, t_done);
	crowd_goes(c, manner);
	count_over();
	ck_assert_uint_le(stats.peak, ROOM);
	if (manner != CROWD_ENDS)
		ck_assert_uint_eq(stats.now, ROOM);
	for (i = 0; i < THREADS; i++)
		for (k = 0; k < CROWD; k++) {
			got = t_read_all(c[i].p[k].peer);
			if (manner != CROWD_TALKS)
				t_saw(got, 0, 0);
			t_close(c[i].p[k].peer);
		}
	flush_many();
	ck_assert_uint_eq(count_over(), EVERYBODY);
	ck_assert_uint_eq(stats.aborted, stats.evicted);
	ck_assert_uint_eq(stats.ok + stats.evicted, EVERYBODY);
	/*
	 * A close whose peer sends may just end when the reaper wants to evict
	 * it.
	 */
	ck_assert_uint_le(stats.evicted, EVERYBODY - ROOM);
	if (manner == CROWD_IS_SILENT)
		ck_assert_uint_eq(stats.evicted, EVERYBODY - ROOM);
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

	start_with_done(0, GRACECLOSE_REFUSE, t_done);
	__atomic_store_n(&flushing, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++)
		t_thread(&t[i], flush_on, &odd[i]);
	for (rounds = 0; rounds < CROWDS; rounds++) {
		crowd_goes(c, CROWD_ENDS);
		for (i = 0; i < THREADS; i++)
			for (k = 0; k < CROWD; k++)
				t_close(c[i].p[k].peer);
		/* Every close submitted before a flush is over after it. */
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
	ck_assert_uint_eq(count_over(), CROWDS * EVERYBODY);
	ck_assert_uint_eq(stats.ok, CROWDS * EVERYBODY);
	stop();
}
END_TEST

/*
 * The callers are inside before free is called: a first close that ends at once
 * has brought each into done.  That done submits others until one is refused.
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
	struct graceclose_opts o = timed(GRACECLOSE_DETACH, -1);
	struct late *l = late;
	int i;

	t_done(arg, cookie, report);
	if (l == NULL || cookie != &l->v[0])
		return;
	__atomic_add_fetch(&inside, 1, __ATOMIC_RELEASE);
	for (i = 1; i < CROWD; i++)
		if (try_submit(&l->v[i], l->p[i].us, &o) == -1) {
			l->error = errno;
			break;
		}
	l->refused = i;
}

static void *
late_thread(void *arg)
{
	struct graceclose_opts o = timed(GRACECLOSE_DETACH, -1);

	late = arg;
	try_submit(&late->v[0], late->p[0].us, &o);
	return NULL;
}

static int
late_pairs(struct late *l)
{
	int i;

	for (i = 0; i < CROWD; i++)
		if (try_pair(&l->p[i]) == -1)
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
	start_with_done(0, GRACECLOSE_REFUSE, done_goes_on);
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
 * Descriptor numbers that are used again at once
 */

#define ROUNDS		400
#define OWNERS		20

struct owner {
	struct t_pair	p;
	size_t		sent[2];	/* to us, to the peer */
};

/* Both directions carry exactly what was sent, and the connection lives. */
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

	ck_assert_int_ne(try_connect(&w->p, lfd, a), -1);
	if (before.p.us != 0)
		intact(&before);
	w->sent[0] = t_random(&seed, 2000);
	w->sent[1] = t_random(&seed, 2000);
	t_write(w->p.peer, w->sent[0]);
	t_write(w->p.us, w->sent[1]);
}

/*
 * Each close has a limit that would expire while a new connection has its
 * number.  Events of the new connection come at once.
 */
START_TEST(reused_descriptor_numbers_belong_to_the_new_owner)
{
	static struct t_verdict v[ROUNDS];
	struct owner owners[OWNERS];
	struct graceclose_opts o;
	struct sockaddr_in a;
	struct t_pair p;
	int i, lfd, open, reused;

	memset(owners, 0, sizeof(owners));
	memset(v, 0, sizeof(v));
	lfd = try_listen(&a, "127.0.0.1");
	start_with_done(0, GRACECLOSE_REFUSE, t_done);
	for (reused = i = 0; i < ROUNDS; i++) {
		ck_assert_int_ne(try_connect(&p, lfd, &a), -1);
		o = timed(GRACECLOSE_RESET, 1 + (int)t_random(&seed, 20));
		if ((open = t_random(&seed, 4) != 0) == 0)
			t_close(p.peer);
		ck_assert_int_eq(try_submit(&v[i], p.us, &o), 0);
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
	flush_many();
	ck_assert_uint_eq(count_over(), ROUNDS);
	t_close(lfd);
	stop();
}
END_TEST

/* A thread takes the numbers again while the reaper closes them. */
static int reusing;

static void *
reuse(void *arg)
{
	struct t_pair p[8];
	char c[8];
	int i, *odd = arg;

	while (__atomic_load_n(&reusing, __ATOMIC_ACQUIRE)) {
		for (i = 0; i < 8; i++) {
			if (try_pair(&p[i]) == -1)
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

START_TEST(reused_descriptor_numbers_are_not_touched)
{
	static struct crowd c[THREADS];
	int i, k, odd[2] = { 0, 0 }, rounds;
	pthread_t t[2];

	start_with_done(ROOM, GRACECLOSE_OLDEST, t_done);
	__atomic_store_n(&reusing, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++)
		t_thread(&t[i], reuse, &odd[i]);
	for (rounds = 0; rounds < CROWDS; rounds++) {
		crowd_goes(c, CROWD_ENDS);
		for (i = 0; i < THREADS; i++)
			for (k = 0; k < CROWD; k++)
				t_close(c[i].p[k].peer);
		flush_many();
	}
	__atomic_store_n(&reusing, 0, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++) {
		t_join(t[i]);
		ck_assert_int_eq(odd[i], 0);
	}
	ck_assert_uint_eq(count_over(), CROWDS * EVERYBODY);
	stop();
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	seed = t_seed();
	s = suite_create("reaper races");
	tc = case_in_own_network(s, "races");
	tcase_add_loop_test(tc, threads_beyond_max_are_taken_or_refused, 0,
	    CROWD_MANNERS);
	tcase_add_loop_test(tc, threads_beyond_max_evict_the_oldest, 0,
	    5 * CROWD_MANNERS);
	tcase_add_test(tc, flush_races_with_submission);
	tcase_add_loop_test(tc, free_races_with_submission, 0, 20);


	tc = case_in_own_network(s, "numbers");
	tcase_add_test(tc, reused_descriptor_numbers_belong_to_the_new_owner);
	tcase_add_test(tc, reused_descriptor_numbers_are_not_touched);
	return t_main(s);
}
