/*
 * link.c - a link between two hosts that loses, duplicates and delays packets
 *
 * One thread reads both devices, asks impairments.h what to do with each
 * packet, and keeps in delay_queue.h what is not due yet.  A lock guards
 * everything.  It is recursive, as a program that is a host sends from within
 * its calls.
 */
#include <sys/types.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "network/netns.h"
#include "network/packet_log.h"
#include "network/delay_queue.h"
#include "network/oracle.h"
#include "support/util.h"
#include "network/impairments.h"
#include "network/link.h"

#define FLOWS		16
#define BATCH		64		/* packets, until others get the lock */
#define QUIET_US	2000
#define AGAIN_MS	100
#define NEVER		INT64_MAX

struct flow {
	struct endpoint	a, b;
};

/* All that a new connection forgets. */
static struct {
	struct impairments	impairments;
	int64_t		last_due_us[T_WAYS];
	bool		cut;
	struct flow	flows[FLOWS];
	size_t		nflows;
	struct t_host	host;		/* input is NULL: the kernel's */
	int64_t		tick_us;
	int64_t		busy_us;	/* when a packet entered or left */
	struct t_counts	counts;
	struct oracle	before;		/* what the log has dropped */
	uint64_t	forgotten;
	const char	*broken;
} now;

static struct t_packet packets[T_LOG];
static size_t npackets;

static pthread_mutex_t lock;
static _Thread_local bool carrying;	/* this is the thread */
static pid_t owner;			/* the process that has the thread */
static int waiting;			/* for the lock, besides the thread */
static int poked;
static int bell = -1;

/*
 * Time, and the lock
 */

int64_t
t_now_us(void)
{
	struct timespec ts;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* A busy thread would take the lock again before another thread woke up. */
static void
enter_link(void)
{
	__atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&lock);
	__atomic_sub_fetch(&waiting, 1, __ATOMIC_RELAXED);
}

static void
leave_link(void)
{
	pthread_mutex_unlock(&lock);
}

static void
ring(void)
{
	uint64_t one = 1;

	if (carrying)
		return;
	(void)!write(bell, &one, sizeof(one));
}

/*
 * Connections
 */

static bool
same_flow(const struct flow *f, const struct segment *s)
{
	return (endpoint_equal(&f->a, &s->from) &&
	    endpoint_equal(&f->b, &s->to)) ||
	    (endpoint_equal(&f->a, &s->to) && endpoint_equal(&f->b, &s->from));
}

/*
 * Sockets of earlier tests may be left in the kernels, which retransmit their
 * data for minutes.  The link ignores a connection that did not begin since
 * t_link_begin().
 */
static bool
stale(const struct segment *s)
{
	size_t i, known = now.nflows < FLOWS ? now.nflows : FLOWS;

	for (i = 0; i < known; i++)
		if (same_flow(&now.flows[i], s))
			return false;
	if ((s->flags & (SEGMENT_SYN | SEGMENT_ACK)) != SEGMENT_SYN)
		return true;
	now.flows[now.nflows++ % FLOWS] = (struct flow){ s->from, s->to };
	return false;
}

/*
 * What the link does with a packet
 */

static void
count(unsigned counts[T_WAYS][T_KINDS], const struct t_packet *p)
{
	int bit;

	for (bit = 0; bit < T_KINDS; bit++)
		if (p->kinds & 1 << bit)
			counts[p->way][bit]++;
}

/*
 * Makes room: drops the older half of a long log, and keeps what it proves.  A
 * packet under way stays in the log; one that is delayed for too long is in the
 * way.
 */
static void
forget_half(void)
{
	size_t i, n;

	for (n = 0; n < T_LOG / 2; n++)
		if (packets[n].fate == T_UNDER_WAY)
			break;
	if (n < T_LOG / 8) {
		now.broken = "the log is full";
		delay_queue_clear();
		n = T_LOG / 2;
	}
	oracle_add(&now.before, packets, n, NEVER, NULL, NULL);
	for (i = n; i < npackets; i++)
		packets[i - n] = packets[i];
	npackets -= n;
	now.forgotten += n;
}

static struct t_packet *
packet_at(uint64_t number)
{
	return &packets[number - now.forgotten];
}

/* Reordered packets do not hold up the others, which stay in order. */
static void
send_on(const struct t_packet *p, const struct fate *f, const void *packet,
    size_t length)
{
	int64_t due = p->s.us + f->delay_us + f->reorder_us;
	struct queued *queued = delay_queue_new();

	if (queued == NULL) {
		now.broken = "too many packets are under way";
		return;
	}
	if (f->reorder_us == 0) {
		if (due < now.last_due_us[p->way])
			due = now.last_due_us[p->way];
		now.last_due_us[p->way] = due;
	}
	queued->due_us = due;
	queued->number = now.forgotten + npackets - 1;
	queued->length = length;
	queued->way = p->way;
	memcpy(queued->packet, packet, length);
	delay_queue_put(queued);
}

/* True: the link duplicates it. */
static bool
pass(const struct t_packet *it, struct fate f, const void *packet,
    size_t length, bool copy)
{
	struct t_packet *p;

	if (npackets == T_LOG)
		forget_half();
	p = &packets[npackets++];
	*p = *it;
	impairments_by_rules(&now.impairments, p->way, p->kinds, copy, &f);
	count(now.counts.seen, p);
	now.busy_us = p->s.us;
	if (f.lost || now.cut) {
		p->fate = T_LOST;
		p->out_us = p->s.us;
	} else
		send_on(p, &f, packet, length);
	return f.duplicated;
}

static void
admit(int way, const void *packet, size_t length)
{
	struct t_packet p = { .way = way, .fate = T_UNDER_WAY };
	bool hosts = way == T_IN && now.host.input != NULL;
	struct fate f;

	packet_log_parse(&p, packet, length);
	if ((p.kinds & T_OTHER) == 0 && stale(&p.s) && !hosts)
		return;
	p.s.us = t_now_us();
	impairments_by_chance(&now.impairments, way, &f);
	if (!pass(&p, f, packet, length, false))
		return;
	f = (struct fate){ .delay_us = f.delay_us };
	(void)pass(&p, f, packet, length, true);
}

/*
 * The thread
 */

/* Reads what has come from a kernel; returns how many packets. */
static int
take(int from)
{
	unsigned char packet[T_NETNS_MTU];
	ssize_t n;
	int taken;

	for (taken = 0; taken < BATCH; taken++) {
		n = read(t_netns_tun(from), packet, sizeof(packet));
		if (n <= 0)
			break;
		if (from == T_NS_US || now.host.input == NULL)
			admit(from == T_NS_US ? T_OUT : T_IN, packet,
			    (size_t)n);
	}
	return taken;
}

/* A kernel refuses what is no IP packet (EINVAL), as a network would. */
static void
hand_over(const struct queued *p)
{
	int to = p->way == T_OUT ? T_NS_PEER : T_NS_US;

	if (to == T_NS_PEER && now.host.input != NULL) {
		now.host.input(now.host.arg, p->packet, p->length,
		    t_now_us());
		now.tick_us = now.host.tick(now.host.arg, t_now_us());
	} else if (write(t_netns_tun(to), p->packet, p->length) == -1 &&
	    errno != EINVAL)
		now.broken = "a device does not take packets";
}

/*
 * The log gets the time before the packet leaves, so that no thread sees its
 * effect before it is in the log.
 */
static int
carry(void)
{
	struct t_packet *p;
	struct queued *queued;
	int n;

	for (n = 0; n < BATCH && delay_queue_due() <= t_now_us(); n++) {
		queued = delay_queue_take();
		p = packet_at(queued->number);
		p->fate = T_CARRIED;
		now.busy_us = p->out_us = t_now_us();
		count(now.counts.carried, p);
		hand_over(queued);
		delay_queue_done(queued);
		(void)take(T_NS_US);
	}
	return n;
}

static void
tick(void)
{
	int64_t us = t_now_us();
	bool called = __atomic_exchange_n(&poked, 0, __ATOMIC_ACQUIRE) != 0;

	if (now.host.input != NULL && (called || now.tick_us <= us))
		now.tick_us = now.host.tick(now.host.arg, us);
}

/* When there is something to do next, though no packet comes. */
static int64_t
next_due(void)
{
	int64_t due = delay_queue_due();

	if (now.host.input != NULL && now.tick_us < due)
		due = now.tick_us;
	return due;
}

static int64_t
turn(void)
{
	int64_t due;

	while (__atomic_load_n(&waiting, __ATOMIC_RELAXED) > 0)
		sched_yield();
	pthread_mutex_lock(&lock);
	(void)take(T_NS_US);
	(void)take(T_NS_PEER);
	(void)carry();
	tick();
	due = next_due();
	pthread_mutex_unlock(&lock);
	return due;
}

static void
wait_until(int64_t due)
{
	struct pollfd pfd[] = {
		{ .fd = t_netns_tun(T_NS_US), .events = POLLIN },
		{ .fd = t_netns_tun(T_NS_PEER), .events = POLLIN },
		{ .fd = bell, .events = POLLIN }
	};
	int64_t left = due == NEVER ? NEVER : due - t_now_us();
	struct timespec ts;
	uint64_t rung;

	if (left <= 0)
		left = 0;
	ts.tv_sec = (time_t)(left / 1000000);
	ts.tv_nsec = (long)(left % 1000000 * 1000);
	if (ppoll(pfd, 3, due == NEVER ? NULL : &ts, NULL) > 0 &&
	    pfd[2].revents != 0)
		(void)!read(bell, &rung, sizeof(rung));
}

static void *
pump(void *arg)
{
	(void)arg;
	carrying = true;
	prctl(PR_SET_NAME, "link");
	prctl(PR_SET_TIMERSLACK, 1);
	for (;;)
		wait_until(turn());
	return NULL;
}

static void
make_lock(void)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

/* In a child that libcheck forked there is no thread yet. */
static void
start(void)
{
	sigset_t all, before;
	pthread_t thread;
	int error;

	if (owner == getpid())
		return;
	make_lock();
	delay_queue_clear();
	owner = getpid();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, NULL, pump, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	ck_assert_int_eq(error, 0);
	pthread_detach(thread);
}

/*
 * What the test asks for
 */

void
t_link_prepare(void)
{
	t_netns_prepare();
	if (bell != -1)
		close(bell);
	bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

const char *
t_link_missing(void)
{
	return t_netns_missing();
}

int
t_link_rto_ms(void)
{
	return t_netns_rto_ms();
}

/* Locks the link, and reads what the kernels have sent up to now. */
static void
look(void)
{
	start();
	enter_link();
	while (take(T_NS_US) == BATCH)
		;
	while (take(T_NS_PEER) == BATCH)
		;
	if (delay_queue_count() > 0)
		ring();
}

static void
look_away(void)
{
	const char *broken = now.broken;

	leave_link();
	ck_assert_msg(broken == NULL, "the link is broken: %s", broken);
}

static bool
quiet(void)
{
	bool still;

	look();
	still = delay_queue_count() == 0 &&
	    t_now_us() - now.busy_us >= QUIET_US;
	look_away();
	return still;
}

void
t_link_settle(void)
{
	int64_t end = t_now_ms() + T_LIMIT_MS;

	while (!quiet()) {
		ck_assert_msg(t_now_ms() < end, "the link does not settle");
		t_pause(1);
	}
}

void
t_link_begin(uint64_t seed)
{
	int64_t end = t_now_ms() + AGAIN_MS;

	start();
	enter_link();
	now.broken = NULL;
	leave_link();
	while (!quiet() && t_now_ms() < end)
		t_pause(1);
	look();
	delay_queue_clear();
	memset(&now, 0, sizeof(now));
	oracle_begin(&now.before);
	npackets = 0;
	impairments_begin(&now.impairments, seed);
	look_away();
}

void
t_link_rule(const struct t_rule *r)
{
	bool room;

	look();
	room = impairments_add_rule(&now.impairments, r);
	look_away();
	ck_assert_msg(room, "too many rules");
}

void
t_link_impair(int way, const struct t_impair *w)
{
	look();
	now.impairments.impair[way] = *w;
	look_away();
}

void
t_link_cut(bool cut)
{
	look();
	now.cut = cut;
	look_away();
}

int
t_link_socket(int family, bool peer)
{
	start();
	return t_netns_socket(peer ? T_NS_PEER : T_NS_US, family);
}

socklen_t
t_link_address(struct sockaddr_storage *ss, int family, bool peer,
    in_port_t port)
{
	return t_netns_address(ss, peer ? T_NS_PEER : T_NS_US, family, port);
}

void
t_link_pair(struct t_pair *p, int family, bool connecting)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int lfd, fd;

	lfd = t_link_socket(family, connecting);
	fd = t_link_socket(family, !connecting);
	len = t_link_address(&ss, family, connecting, 0);
	ck_assert_int_eq(bind(lfd, (struct sockaddr *)&ss, len), 0);
	ck_assert_int_eq(listen(lfd, 1), 0);
	ck_assert_int_eq(getsockname(lfd, (struct sockaddr *)&ss, &len), 0);
	ck_assert_msg(connect(fd, (struct sockaddr *)&ss, len) == 0,
	    "connect: %s", strerror(errno));
	p->us = connecting ? fd : t_accept(lfd);
	p->peer = connecting ? t_accept(lfd) : fd;
	t_close(lfd);
}

/* When a host goes, its packets are lost. */
static void
lose_under_way(void)
{
	struct t_packet *p;
	size_t i;

	for (i = 0; i < delay_queue_count(); i++) {
		p = packet_at(delay_queue_at(i)->number);
		p->fate = T_LOST;
		p->out_us = t_now_us();
	}
	delay_queue_clear();
}

void
t_link_host(const struct t_host *h)
{
	look();
	if (h != NULL)
		now.host = *h;
	else if (now.host.input != NULL) {
		now.host.input = NULL;
		lose_under_way();
		now.nflows = 0;
	}
	now.tick_us = 0;
	look_away();
	ring();
}

void
t_link_send(const void *packet, size_t length)
{
	enter_link();
	if (length > T_NETNS_MTU)
		now.broken = "a packet is too long for it";
	else
		admit(T_IN, packet, length);
	leave_link();
	ring();
}

void
t_link_wake(void)
{
	__atomic_store_n(&poked, 1, __ATOMIC_RELEASE);
	ring();
}

size_t
t_link_log(struct t_packet *log, size_t max)
{
	size_t n;

	look();
	n = npackets < max ? npackets : max;
	memcpy(log, packets + npackets - n, n * sizeof(*log));
	look_away();
	return n;
}

void
t_link_counts(struct t_counts *counts)
{
	look();
	*counts = now.counts;
	look_away();
}

void
t_link_proof(struct t_proof *t, int64_t until_us)
{
	struct oracle oracle;

	look();
	oracle = now.before;
	oracle_add(&oracle, packets, npackets, until_us, NULL, NULL);
	look_away();
	oracle_proof(&oracle, t);
}

void
t_link_print(FILE *f)
{
	look();
	if (now.forgotten > 0)
		fprintf(f, "       ... %ju before ...\n",
		    (uintmax_t)now.forgotten);
	packet_log_print(f, packets, npackets);
	fflush(f);
	leave_link();
}
