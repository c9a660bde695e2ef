/*
 * smoke.c - questions to the library, from its pages alone: without libcheck
 * and the suites' support, for processors that are emulated
 *
 * A line for each wrong answer, a line for what cannot be asked here, and the
 * last line counts.  As the first process of a kernel it starts the loopback
 * and powers the machine off.
 */
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <graceclose.h>

static int right, wrong, skipped;

static void
is(int line, const char *what, long long got, long long want)
{
	if (got == want) {
		right++;
		return;
	}
	wrong++;
	printf("smoke.c:%d: %s is %lld, not %lld (errno %d)\n", line, what,
	    got, want, errno);
}
#define IS(what, want)							\
	is(__LINE__, #what, (long long)(what), (long long)(want))
#define YES(what)	IS(!!(what), 1)

/* It returns 0 and leaves errno alone; -1 with this errno. */
#define OK(what) do {							\
	errno = 4711;							\
	IS(what, 0);							\
	is(__LINE__, "errno after " #what, errno, 4711);		\
} while (0)
#define FAILS(what, error) do {						\
	errno = 0;							\
	IS(what, -1);							\
	is(__LINE__, "errno of " #what, errno, (error));		\
} while (0)

static void
need(bool well, const char *what)
{
	if (well)
		return;
	perror(what);
	exit(2);
}

/*
 * Connections: we are `us`
 */

enum { IPV4, IPV6, LOCAL, FAMILIES };

static int us, peer;
static char buf[1 << 20];

static socklen_t
loopback(struct sockaddr_storage *ss, int family)
{
	memset(ss, 0, sizeof(*ss));
	ss->ss_family = family == IPV6 ? AF_INET6 : AF_INET;
	if (family == IPV6) {
		((struct sockaddr_in6 *)ss)->sin6_addr = in6addr_loopback;
		return sizeof(struct sockaddr_in6);
	}
	((struct sockaddr_in *)ss)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sizeof(struct sockaddr_in);
}

/* With small buffers, where `size` is not 0. */
static void
connect_pair(int family, int size)
{
	struct sockaddr_storage ss;
	socklen_t len = loopback(&ss, family);
	struct sockaddr *sa = (struct sockaddr *)&ss;
	int l = socket(ss.ss_family, SOCK_STREAM, 0);

	us = socket(ss.ss_family, SOCK_STREAM, 0);
	if (size != 0)
		need(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &size,
		    sizeof(size)) == 0 && setsockopt(us, SOL_SOCKET, SO_SNDBUF,
		    &size, sizeof(size)) == 0, "setsockopt");
	need(bind(l, sa, len) == 0 && listen(l, 5) == 0 &&
	    getsockname(l, sa, &len) == 0 && connect(us, sa, len) == 0 &&
	    (peer = accept(l, NULL, NULL)) != -1, "connection");
	close(l);
}

static void
pair(int family)
{
	int fds[2];

	if (family != LOCAL) {
		connect_pair(family, 0);
		return;
	}
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "socketpair");
	us = fds[0];
	peer = fds[1];
}

/* A peer that does not read: our send queue is full. */
static size_t
full_pair(void)
{
	size_t n = 0;
	ssize_t k;

	connect_pair(IPV4, 4096);
	while ((k = send(us, buf, 65536, MSG_DONTWAIT)) > 0)
		n += (size_t)k;
	return n;
}

static void
reset_by(int fd)
{
	struct linger l = { 1, 0 };

	need(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)) == 0,
	    "SO_LINGER");
	close(fd);
}

static void
await(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	need(poll(&p, 1, 5000) == 1, "poll");
}

/* What the peer gets until the end, or -1 and errno; closes its side. */
static long long
peer_gets(void)
{
	long long n = 0;
	ssize_t k;
	int error;

	while ((k = recv(peer, buf, sizeof(buf), 0)) > 0)
		n += k;
	error = errno;
	close(peer);
	errno = error;
	return k == -1 ? -1 : n;
}

static bool
released(int fd)
{
	return fcntl(fd, F_GETFD) == -1 && errno == EBADF;
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * What qemu-user does not have of a kernel
 */

static bool
skip(const char *why)
{
	skipped++;
	printf("SKIP %s\n", why);
	return true;
}

/* It takes TCP_INFO for an int, and says so by the length. */
static bool
no_tcp_info(void)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool whole = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	    len > sizeof(int);

	close(fd);
	return !whole;
}

/* Its madvise(2) succeeds, and a child of fork(2) has the page all the same. */
static bool
no_wipe_on_fork(void)
{
	long size = sysconf(_SC_PAGESIZE);
	char *page = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status = 1;
	pid_t child;

	need(page != MAP_FAILED, "mmap");
	*page = 1;
	(void)madvise(page, (size_t)size, MADV_WIPEONFORK);
	if ((child = fork()) == 0)
		_exit(*page);
	need(waitpid(child, &status, 0) == child, "waitpid");
	munmap(page, (size_t)size);
	return status != 0;
}

/*
 * The header
 */

static void
header(void)
{
	bool wide = sizeof(void *) == 8;

	IS(sizeof(struct graceclose), 128);
	IS(sizeof(struct graceclose_report), 56);
	IS(sizeof(struct graceclose_opts), wide ? 48 : 40);
	IS(sizeof(struct graceclose_reaper_opts), wide ? 56 : 48);
	IS(sizeof(struct graceclose_reaper_stats), 96);
	IS(strcmp(graceclose_version(), "1.2.0") >= 0, 1);
	IS(GRACECLOSE_VERSION >= 0x010200, 1);
}

/*
 * The verbs
 */

static void
verb_when_the_peer_has_finished(int family)
{
	pair(family);
	need(send(us, buf, 100, 0) == 100 && shutdown(peer, SHUT_WR) == 0 &&
	    (family != LOCAL || recv(peer, buf, 100, 0) == 100), "send");
	OK(graceful_close(us));
	YES(released(us));
	IS(peer_gets(), family == LOCAL ? 0 : 100);
	pair(family);
	need(send(us, buf, 100, 0) == 100 &&
	    (family != LOCAL || recv(peer, buf, 100, 0) == 100), "send");
	OK(linger_close(us, 5000));
	YES(released(us));
	IS(peer_gets(), family == LOCAL ? 0 : 100);
}

static void
verb_that_resets(int family)
{
	if (family != LOCAL) {
		pair(family);
		OK(abort_close(us));
		YES(released(us));
		FAILS((int)peer_gets(), ECONNRESET);
		pair(family);
		OK(linger_close(us, 0));
		FAILS((int)peer_gets(), ECONNRESET);
		pair(family);
		reset_by(peer);
		await(us, 0);
		FAILS(graceful_close(us), ECONNRESET);
		YES(released(us));
	}
	pair(family);
	need(send(peer, buf, 5000, 0) == 5000 && shutdown(peer, SHUT_WR) == 0,
	    "send");
	OK(graceful_close(us));
	IS(peer_gets(), 0);
}

static int
abort_of_a_duplicate(void)
{
	int copy;

	pair(IPV4);
	copy = dup(us);
	OK(abort_close(us));
	FAILS((int)peer_gets(), ECONNRESET);
	return close(copy);
}

static void
verb_on_what_is_no_connection(int (*verb)(int), bool aborts)
{
	int fds[2], fd;

	FAILS(verb(-1), EBADF);
	need(pipe(fds) == 0, "pipe");
	FAILS(verb(fds[0]), ENOTSOCK);
	YES(released(fds[0]));
	close(fds[1]);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	FAILS(verb(fd), EOPNOTSUPP);
	YES(released(fd));
	if (no_tcp_info() && skip("never connected: no TCP_INFO here"))
		return;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (aborts)
		OK(verb(fd));
	else
		FAILS(verb(fd), ENOTCONN);
	YES(released(fd));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	need(listen(fd, 1) == 0, "listen");
	if (aborts)
		OK(verb(fd));
	else
		FAILS(verb(fd), ENOTCONN);
	YES(released(fd));
}

static int
linger(int fd)
{
	return linger_close(fd, 1000);
}

/* The reset destroys what was not delivered. */
static void
linger_that_expires(void)
{
	int64_t begin;

	(void)full_pair();
	begin = now_ms();
	FAILS(linger_close(us, 100), ETIMEDOUT);
	YES(now_ms() - begin >= 100);
	YES(now_ms() - begin < 5000);
	FAILS((int)peer_gets(), ECONNRESET);
}

static void
verbs(void)
{
	int family;

	for (family = 0; family < FAMILIES; family++) {
		verb_when_the_peer_has_finished(family);
		verb_that_resets(family);
	}
	IS(abort_of_a_duplicate(), 0);
	verb_on_what_is_no_connection(graceful_close, false);
	verb_on_what_is_no_connection(linger, false);
	verb_on_what_is_no_connection(abort_close, true);
	linger_that_expires();
}

/*
 * Looks
 */

static void
looks_at_a_connection(int family)
{
	pair(family);
	OK(peer_closed(us));
	IS(graceclose_probe(us), 0);
	need(send(peer, buf, 10, 0) == 10, "send");
	await(us, POLLIN);
	IS(peer_closed(us), 0);
	IS(graceclose_probe(us), GRACECLOSE_UNREAD);
	need(shutdown(peer, SHUT_WR) == 0, "shutdown");
	await(us, POLLRDHUP);
	IS(peer_closed(us), 1);
	IS(graceclose_probe(us), GRACECLOSE_UNREAD | GRACECLOSE_FIN);
	IS(recv(us, buf, sizeof(buf), 0), 10);
	IS(peer_closed(us), 1);
	IS(graceclose_probe(us), GRACECLOSE_FIN);
	close(us);
	close(peer);
	pair(family);
	need(shutdown(us, SHUT_WR) == 0, "shutdown");
	IS(peer_closed(us), 0);
	close(us);
	close(peer);
}

static void
looks_at_a_reset(void)
{
	pair(IPV4);
	reset_by(peer);
	await(us, 0);
	FAILS(peer_closed(us), ECONNRESET);
	FAILS(peer_closed(us), ECONNRESET);
	YES((graceclose_probe(us) & GRACECLOSE_RST) != 0);
	FAILS((int)recv(us, buf, 1, 0), ECONNRESET);
	close(us);
}

static void
looks_at_many(void)
{
	unsigned char bits[3];
	int fds[3], fd;

	pair(IPV4);
	need(shutdown(peer, SHUT_WR) == 0, "shutdown");
	await(us, POLLRDHUP);
	fds[0] = us;
	fds[1] = peer;
	fds[2] = -1;
	IS(graceclose_probe_many(fds, 3, bits), 2);
	IS(bits[0], GRACECLOSE_FIN);
	IS(bits[1], 0);
	IS(bits[2], GRACECLOSE_RST);
	close(us);
	close(peer);
	FAILS(peer_closed(-1), EBADF);
	FAILS(graceclose_probe(-1), EBADF);
	FAILS(peer_closed(fd = open("/", O_RDONLY)), ENOTSOCK);
	close(fd);
	if (no_tcp_info() && skip("look at an unconnected one: no TCP_INFO"))
		return;
	FAILS(peer_closed(fd = socket(AF_INET, SOCK_STREAM, 0)), ENOTCONN);
	close(fd);
}

static void
counts(void)
{
	size_t n = full_pair();
	int64_t left = graceclose_unacked(us);

	YES(left > 0);
	YES(left <= (int64_t)n);
	IS(recv(peer, buf, (size_t)((int64_t)n - left), MSG_WAITALL),
	    (int64_t)n - left);
	close(us);
	IS(peer_gets(), left);
	pair(IPV4);
	IS(graceclose_unacked(us), 0);
	close(us);
	close(peer);
	FAILS((int)graceclose_unacked(-1), EBADF);
}

static void
looks(void)
{
	int family;

	for (family = 0; family < FAMILIES; family++)
		looks_at_a_connection(family);
	looks_at_a_reset();
	looks_at_many();
	counts();
}

/*
 * Options and the report
 */

static struct graceclose_opts o;
static struct graceclose_report r;

static void
defaults(void)
{
	memset(&o, 0, sizeof(o));
	memset(&r, 0xa5, sizeof(r));
}

static void
report_is(int line, int outcome, int error, int delivered, int finished)
{
	is(line, "outcome", r.outcome, outcome);
	is(line, "error", r.error, error);
	is(line, "delivered", r.delivered, delivered);
	is(line, "finished", r.finished, finished);
}
#define REPORT(outcome, error, delivered, finished)			\
	report_is(__LINE__, outcome, error, delivered, finished)

#define REFUSES(field, value) do {					\
	defaults();							\
	o.field = (value);						\
	FAILS(graceclose(us, &o, &r), EINVAL);				\
} while (0)

static void
bad_options(void)
{
	pair(IPV4);
	REFUSES(until, 3);
	REFUSES(on_expiry, 2);
	REFUSES(timeout_ms, -2);
	REFUSES(idle_ms, -2);
	REFUSES(flags, 2);
	REFUSES(reserved, 1);
	IS(send(us, buf, 7, 0), 7);	/* nothing was done */
	need(shutdown(peer, SHUT_WR) == 0, "shutdown");
	defaults();
	OK(graceclose(us, &o, &r));
	REPORT(GRACECLOSE_OK, 0, 1, 1);
	IS(r.unacked, 0);
	IS(r.discarded, 0);
	IS(r.cause, 0);
	YES(r.elapsed_us < 5000000);
	IS(peer_gets(), 7);
}

static void
limits(void)
{
	int64_t begin = now_ms();

	pair(IPV4);
	defaults();
	o.timeout_ms = 100;
	FAILS(graceclose(us, &o, &r), ETIMEDOUT);
	REPORT(GRACECLOSE_EXPIRED, ETIMEDOUT, 1, 0);
	YES(r.elapsed_us >= 100000);
	YES(now_ms() - begin >= 100);
	YES(now_ms() - begin < 5000);
	IS(peer_gets(), 0);		/* detached: no reset */
	pair(IPV4);
	defaults();
	o.idle_ms = 100;
	o.on_expiry = GRACECLOSE_RESET;
	FAILS(graceclose(us, &o, &r), ETIMEDOUT);
	REPORT(GRACECLOSE_EXPIRED, ETIMEDOUT, 1, 0);
}

/* With a peer that does not read: how much it never acknowledged. */
static void
losses(void)
{
	size_t n = full_pair();

	defaults();
	o.timeout_ms = 100;
	o.on_expiry = GRACECLOSE_RESET;
	FAILS(graceclose(us, &o, &r), ETIMEDOUT);
	REPORT(GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	YES(r.unacked > 0);
	YES(r.unacked <= n);
	FAILS((int)peer_gets(), ECONNRESET);
	n = full_pair();
	defaults();
	o.timeout_ms = 100;
	FAILS(graceclose(us, &o, &r), ETIMEDOUT);
	REPORT(GRACECLOSE_EXPIRED, ETIMEDOUT, 0, 0);
	IS(peer_gets(), n);		/* the kernel goes on */
	n = full_pair();
	reset_by(peer);
	await(us, 0);
	defaults();
	FAILS(graceclose(us, &o, &r), ECONNRESET);
	REPORT(GRACECLOSE_WAS_RESET, ECONNRESET, 0, 0);
	YES(r.unacked > 0);
	YES(r.unacked <= n);
	IS(r.cause, ECONNRESET);
}

static void
untils(void)
{
	pair(IPV4);
	defaults();
	o.until = GRACECLOSE_DELIVERED;
	OK(graceclose(us, &o, &r));
	REPORT(GRACECLOSE_OK, 0, 1, 0);
	IS(peer_gets(), 0);
	pair(IPV4);
	defaults();
	o.until = GRACECLOSE_QUIET;
	o.idle_ms = 100;
	OK(graceclose(us, &o, &r));
	REPORT(GRACECLOSE_OK, 0, 1, 0);
	YES(r.elapsed_us >= 100000);
	IS(peer_gets(), 0);
}

static size_t taken;
static bool in_order = true;

static void
take(void *arg, const void *data, size_t n)
{
	size_t i;

	in_order = in_order && arg == &taken && n <= 65536;
	for (i = 0; i < n; i++)
		if (((const unsigned char *)data)[i] !=
		    (unsigned char)(taken + i))
			in_order = false;
	taken += n;
}

static void
late_input(void)
{
	size_t i;

	for (i = 0; i < 50000; i++)
		buf[i] = (char)i;
	pair(IPV4);
	need(send(peer, buf, 50000, 0) == 50000 && shutdown(peer, SHUT_WR) == 0,
	    "send");
	defaults();
	o.late = take;
	o.arg = &taken;
	OK(graceclose(us, &o, &r));
	IS(taken, 50000);
	YES(in_order);
	IS(r.discarded, 50000);
	IS(peer_gets(), 0);
	pair(IPV4);
	need(send(peer, buf, 50000, 0) == 50000, "send");
	defaults();
	o.discard_max = 1000;
	FAILS(graceclose(us, &o, &r), EMSGSIZE);
	IS(r.outcome, GRACECLOSE_FLOODED);
	YES(r.discarded > 1000);
	close(peer);
}

/*
 * Event loops
 */

static void
loop_without_end(void)
{
	struct graceclose gc;
	int fds[2];

	FAILS(graceclose_begin(&gc, -1, NULL), EBADF);
	pair(IPV4);
	defaults();
	o.until = -1;
	FAILS(graceclose_begin(&gc, us, &o), EINVAL);
	OK(graceclose_begin(&gc, us, NULL));
	IS(graceclose_step(&gc), 1);
	IS(graceclose_step(&gc), 1);
	FAILS(graceclose_end(&gc, &r), ECANCELED);
	IS(r.outcome, GRACECLOSE_ABORTED);
	YES(released(us));
	IS(peer_gets(), 0);
	need(pipe(fds) == 0, "pipe");
	OK(graceclose_begin(&gc, fds[0], NULL));
	FAILS(graceclose_step(&gc), ENOTSOCK);
	FAILS(graceclose_end(&gc, &r), ENOTSOCK);
	IS(r.outcome, GRACECLOSE_INVALID);
	YES(released(fds[0]));
	close(fds[1]);
}

static void
loop_of_poll(void)
{
	struct graceclose gc;
	struct pollfd p;
	int step, turns = 0;

	pair(IPV4);
	IS(graceclose_begin(&gc, us, NULL), 0);
	IS(graceclose_step(&gc), 1);
	YES(graceclose_timeout(&gc) >= 0);
	YES(graceclose_timeout(&gc) <= 5000);
	need(send(peer, buf, 3000, 0) == 3000, "send");
	close(peer);
	while ((step = graceclose_step(&gc)) == 1 && turns++ < 1000) {
		p.events = graceclose_events(&gc);
		p.fd = p.events == 0 ? -1 : us;
		(void)poll(&p, 1, graceclose_timeout(&gc));
	}
	IS(step, 0);
	YES(turns < 1000);
	OK(graceclose_end(&gc, &r));
	REPORT(GRACECLOSE_OK, 0, 1, 1);
	IS(r.discarded, 3000);
	YES(released(us));
}

static void
loop_of_edges(void)
{
	struct epoll_event event = { .events = GRACECLOSE_EPOLL };
	int epfd = epoll_create1(0), step, turns = 0;
	struct graceclose gc;

	pair(IPV4);
	defaults();
	o.flags = GRACECLOSE_EDGES;
	IS(graceclose_begin(&gc, us, &o), 0);
	need(epoll_ctl(epfd, EPOLL_CTL_ADD, us, &event) == 0, "epoll_ctl");
	IS(graceclose_step(&gc), 1);
	need(shutdown(peer, SHUT_WR) == 0, "shutdown");
	while ((step = graceclose_step(&gc)) == 1 && turns++ < 1000)
		(void)epoll_wait(epfd, &event, 1, graceclose_timeout(&gc));
	IS(step, 0);
	YES(turns < 100);
	OK(graceclose_end(&gc, NULL));
	IS(peer_gets(), 0);
	close(epfd);
}

static void
loops(void)
{
	loop_without_end();
	loop_of_poll();
	loop_of_edges();
}

/*
 * The reaper
 */

static int dones, outcomes[6];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void
done(void *arg, void *cookie, const struct graceclose_report *report)
{
	pthread_mutex_lock(&lock);
	if (arg == &dones && cookie == &outcomes)
		dones++;
	outcomes[report->outcome]++;
	pthread_mutex_unlock(&lock);
}

static struct graceclose_reaper *
reaper(unsigned max, int when_full)
{
	struct graceclose_reaper_opts ro;
	struct graceclose_reaper *reaper;

	memset(&ro, 0, sizeof(ro));
	memset(outcomes, 0, sizeof(outcomes));
	dones = 0;
	ro.max = max;
	ro.when_full = when_full;
	ro.done = done;
	ro.arg = &dones;
	reaper = graceclose_reaper_new(&ro);
	need(reaper != NULL, "graceclose_reaper_new");
	return reaper;
}

static void
reaper_refuses(void)
{
	struct graceclose_reaper_opts ro;
	struct graceclose_reaper *rp = reaper(1, GRACECLOSE_REFUSE);
	int us1, peer1;

	errno = 0;
	memset(&ro, 0, sizeof(ro));
	ro.when_full = 2;
	YES(graceclose_reaper_new(&ro) == NULL && errno == EINVAL);
	defaults();
	FAILS(graceclose_reaper_close(NULL, 0, &o, NULL), EINVAL);
	FAILS(graceclose_reaper_close(rp, -1, &o, NULL), EBADF);
	pair(IPV4);
	us1 = us;
	peer1 = peer;
	OK(graceclose_reaper_close(rp, us1, &o, &outcomes));
	pair(IPV4);
	FAILS(graceclose_reaper_close(rp, us, &o, &outcomes), EAGAIN);
	YES(!released(us));
	close(us);
	close(peer);
	FAILS(graceclose_reaper_flush(rp, 50), ETIMEDOUT);
	close(peer1);
	OK(graceclose_reaper_flush(rp, 5000));
	YES(released(us1));
	IS(dones, 1);
	IS(outcomes[GRACECLOSE_OK], 1);
	graceclose_reaper_free(rp);
	graceclose_reaper_free(NULL);
}

static void
reaper_closes_all(void)
{
	struct graceclose_reaper *rp = reaper(4, GRACECLOSE_OLDEST);
	struct graceclose_reaper_stats stats;
	int i, peers[8];

	for (i = 0; i < 8; i++) {
		pair(i % FAMILIES);
		peers[i] = peer;
		IS(graceclose_reaper_close(rp, us, NULL, &outcomes), 0);
	}
	for (i = 0; i < 8; i++)
		close(peers[i]);
	IS(graceclose_reaper_flush(rp, 5000), 0);
	graceclose_reaper_stats(rp, &stats);
	IS(stats.ok, 4);
	IS(stats.aborted, 4);
	IS(stats.evicted, 4);
	IS(stats.now, 0);
	YES(stats.peak >= 4);
	IS(dones, 8);
	IS(outcomes[GRACECLOSE_ABORTED], 4);
	pair(IPV4);
	IS(graceclose_reaper_close(rp, us, NULL, &outcomes), 0);
	graceclose_reaper_free(rp);
	IS(dones, 9);
	YES(released(us));
	close(peer);
}

static void
reaper_limits(void)
{
	struct graceclose_reaper *rp = reaper(0, GRACECLOSE_REFUSE);

	defaults();
	o.timeout_ms = 50;
	pair(IPV4);
	IS(graceclose_reaper_close(rp, us, &o, &outcomes), 0);
	IS(graceclose_reaper_flush(rp, 5000), 0);
	IS(outcomes[GRACECLOSE_EXPIRED], 1);
	close(peer);
	pair(IPV4);
	reset_by(peer);
	IS(graceclose_reaper_close(rp, us, &o, &outcomes), 0);
	IS(graceclose_reaper_flush(rp, 5000), 0);
	IS(outcomes[GRACECLOSE_WAS_RESET], 1);
	graceclose_reaper_free(rp);
}

static void
reaper_after_fork(void)
{
	struct graceclose_reaper *rp;
	int status = -1;
	pid_t child;

	if (no_wipe_on_fork() && skip("after fork: no MADV_WIPEONFORK here"))
		return;
	rp = reaper(0, GRACECLOSE_REFUSE);
	pair(IPV4);
	child = fork();
	if (child == 0) {
		errno = 0;
		_exit(graceclose_reaper_close(rp, us, NULL, NULL) == -1 &&
		    errno == ENOTSUP ? 0 : 1);
	}
	need(waitpid(child, &status, 0) == child, "waitpid");
	IS(status, 0);
	close(us);
	close(peer);
	graceclose_reaper_free(rp);
}

static void
reapers(void)
{
	reaper_refuses();
	reaper_closes_all();
	reaper_limits();
	reaper_after_fork();
}

/*
 * As the first process
 */

static void
start_loopback(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	need(ioctl(fd, SIOCSIFFLAGS, &ifr) == 0, "lo");
	close(fd);
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_DFL);
	if (getpid() == 1)
		start_loopback();
	header();
	verbs();
	looks();
	bad_options();
	limits();
	losses();
	untils();
	late_input();
	loops();
	reapers();
	printf("%d passed, %d failed, %d skipped\n", right, wrong, skipped);
	if (getpid() == 1) {
		fflush(stdout);
		sync();
		reboot(RB_POWER_OFF);
	}
	return wrong == 0 ? 0 : 1;
}
