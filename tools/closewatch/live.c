/* live.c - see live.h */
#include "closewatch/live.h"

#ifdef HAVE_PCAP

#include <sys/eventfd.h>
#include <sys/prctl.h>

#include <netinet/tcp.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <pcap.h>

#include "closewatch/diag.h"

#define KEPT_MAX	16384		/* segments; the oldest go first */
#define SNAPLEN		128		/* all headers, with all options */
#define KERNEL_BUFFER	(8 << 20)
#define SETTLE_US	100		/* from the capture to TCP, and more */
#define QUIET_US	60000		/* a delayed ACK takes 40 ms */
#define QUIET_LIMIT_US	1000000
#define PAIRS_MAX	32		/* connections asked for in one go */

struct kept {
	struct segment	s;
	int64_t		asked;		/* when the kernel was; 0: never */
	int		from_state;
	int		to_state;
};

struct live {
	pcap_t		*pcap;
	pcap_dumper_t	*file;
	int		 link;
	int		 diag;
	int		 stop;		/* an eventfd */
	pthread_t	 thread;

	pthread_mutex_t	 lock;		/* for what follows */
	struct kept	*kept;		/* number i at i % KEPT_MAX */
	uint64_t	 seen;
	uint64_t	 forgotten;	/* below this */
	uint64_t	 asked;		/* below this, or too late */

	struct live_segment *answer;	/* what live_segments() returns */
};

/* A capture has the time of the wall clock. */
static int64_t
wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
nap_us(long us)
{
	nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
}

static struct kept *
number(const struct live *w, uint64_t i)
{
	return &w->kept[i % KEPT_MAX];
}

static uint64_t
oldest(const struct live *w, uint64_t from)
{
	uint64_t first = w->seen > KEPT_MAX ? w->seen - KEPT_MAX : 0;

	return from > first ? from : first;
}

static bool
same_pair(const struct segment *a, const struct segment *b)
{
	return (endpoint_equal(&a->from, &b->from) &&
	    endpoint_equal(&a->to, &b->to)) ||
	    (endpoint_equal(&a->from, &b->to) &&
	    endpoint_equal(&a->to, &b->from));
}

/* --- the thread that captures -------------------------------------------- */

static void
keep(unsigned char *arg, const struct pcap_pkthdr *header,
    const unsigned char *packet)
{
	struct live *w = (struct live *)arg;
	struct kept k = { .from_state = LIVE_UNSEEN, .to_state = LIVE_UNSEEN };

	pthread_mutex_lock(&w->lock);
	if (w->file != NULL)
		pcap_dump((unsigned char *)w->file, header, packet);
	if (segment_parse(&k.s, w->link, packet, header->caplen,
	    header->len)) {
		k.s.us = (int64_t)header->ts.tv_sec * 1000000 +
		    header->ts.tv_usec;
		*number(w, w->seen++) = k;
	}
	pthread_mutex_unlock(&w->lock);
}

static bool
on_loopback(const struct endpoint *e)
{
	static const unsigned char addr[4] = { 127, 0, 0, 1 };

	return e->family == AF_INET && memcmp(e->addr, addr, 4) == 0;
}

/*
 * When a connection is gone, the kernel finds the listening socket by its port.
 * A connection whose SYN was captured cannot be in LISTEN.
 */
static int
ask_state(const struct live *w, const struct endpoint *local,
    const struct endpoint *remote)
{
	struct diag_look look;

	if (!diag_look(w->diag, htons(local->port), htons(remote->port),
	    &look))
		return LIVE_UNSEEN;
	return look.state == TCP_LISTEN ? DIAG_GONE : look.state;
}

static void
ask_both(struct live *w, uint64_t i)
{
	struct segment s = number(w, i)->s;
	int from, to;

	if (!on_loopback(&s.from) || !on_loopback(&s.to))
		return;
	from = ask_state(w, &s.from, &s.to);
	to = ask_state(w, &s.to, &s.from);
	pthread_mutex_lock(&w->lock);
	number(w, i)->from_state = from;
	number(w, i)->to_state = to;
	number(w, i)->asked = wall_us();
	pthread_mutex_unlock(&w->lock);
}

/*
 * Ask for the connections whose last segment is below `settled`.  If another
 * segment has arrived since, the next call asks after that one.
 */
static void
ask_kernel(struct live *w, uint64_t settled)
{
	uint64_t newest[PAIRS_MAX];
	size_t pairs = 0, p;

	for (uint64_t i = w->seen; i-- > oldest(w, w->asked);) {
		for (p = 0; p < pairs; p++)
			if (same_pair(&number(w, newest[p])->s,
			    &number(w, i)->s))
				break;
		if (p < pairs)
			continue;
		if (pairs == PAIRS_MAX)
			break;
		newest[pairs++] = i;
		if (i < settled)
			ask_both(w, i);
	}
	w->asked = settled;
}

/*
 * The capture gets a packet before TCP does, so the thread asks the kernel a
 * little later.
 */
static void *
capture(void *arg)
{
	struct live *w = arg;
	struct pollfd pfds[2] = {
		{ .fd = pcap_get_selectable_fd(w->pcap), .events = POLLIN },
		{ .fd = w->stop, .events = POLLIN },
	};
	uint64_t settled;

	prctl(PR_SET_TIMERSLACK, 1UL);	/* naps as short as asked for */
	while (poll(pfds, 2, w->asked < w->seen ? 0 : -1) != -1 ||
	    errno == EINTR) {
		if (pcap_dispatch(w->pcap, -1, keep, (unsigned char *)w) < 0)
			break;
		if (pfds[1].revents != 0)
			break;
		settled = w->seen;
		nap_us(SETTLE_US);
		if (pcap_dispatch(w->pcap, -1, keep, (unsigned char *)w) < 0)
			break;
		ask_kernel(w, settled);
	}
	return NULL;
}

/* --- open and close ------------------------------------------------------ */

/* libpcap drops the outgoing one of the two copies that loopback shows. */
static const char *
start_pcap(struct live *w)
{
	static char error[PCAP_ERRBUF_SIZE];
	struct bpf_program tcp;
	int rv;

	if ((w->pcap = pcap_create("lo", error)) == NULL)
		return error;
	pcap_set_snaplen(w->pcap, SNAPLEN);
	pcap_set_buffer_size(w->pcap, KERNEL_BUFFER);
	pcap_set_immediate_mode(w->pcap, 1);
	rv = pcap_activate(w->pcap);
	if (rv == PCAP_ERROR_PERM_DENIED)
		return "no right to capture on lo; be root, or try "
		    "unshare -Urn sh -c 'ip link set lo up; PROGRAM'";
	if (rv < 0)
		return pcap_statustostr(rv);
	if (pcap_compile(w->pcap, &tcp, "tcp", 1, PCAP_NETMASK_UNKNOWN) == -1)
		return "libpcap cannot filter";
	rv = pcap_setfilter(w->pcap, &tcp);
	pcap_freecode(&tcp);
	if (rv == -1 || pcap_setnonblock(w->pcap, 1, error) == -1)
		return "libpcap cannot filter, or not without blocking";
	w->link = pcap_datalink(w->pcap);
	return NULL;
}

static const char *
start_file(struct live *w, const char *name)
{
	static char text[160];
	FILE *fp;

	if (name == NULL)
		return NULL;
	if ((fp = fopen(name, "wbe")) == NULL ||
	    (w->file = pcap_dump_fopen(w->pcap, fp)) == NULL) {
		snprintf(text, sizeof(text), "cannot write %.100s: %s", name,
		    strerror(errno));
		if (fp != NULL)
			fclose(fp);
		return text;
	}
	return NULL;
}

/* The threads of the program take its signals, not this one. */
static int
start_thread(struct live *w)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&w->thread, NULL, capture, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

static const char *
start(struct live *w, const char *pcap_file)
{
	const char *why;

	if ((why = start_pcap(w)) != NULL ||
	    (why = start_file(w, pcap_file)) != NULL)
		return why;
	if ((w->diag = diag_open()) == -1)
		return "no sock_diag(7) in this kernel";
	if ((w->stop = eventfd(0, EFD_CLOEXEC)) == -1 ||
	    (w->kept = calloc(KEPT_MAX, sizeof(*w->kept))) == NULL ||
	    (w->answer = calloc(KEPT_MAX, sizeof(*w->answer))) == NULL ||
	    start_thread(w) != 0)
		return "no memory for a capture";
	return NULL;
}

/* Free everything; the thread has ended. */
static void
release(struct live *w)
{
	if (w->file != NULL)
		pcap_dump_close(w->file);
	if (w->pcap != NULL)
		pcap_close(w->pcap);
	if (w->diag != -1)
		close(w->diag);
	if (w->stop != -1)
		close(w->stop);
	pthread_mutex_destroy(&w->lock);
	free(w->kept);
	free(w->answer);
	free(w);
}

struct live *
live_open(const char *pcap_file, const char **why)
{
	struct live *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		*why = "no memory for a capture";
		return NULL;
	}
	w->diag = w->stop = -1;
	pthread_mutex_init(&w->lock, NULL);
	if ((*why = start(w, pcap_file)) == NULL)
		return w;
	release(w);
	return NULL;
}

void
live_close(struct live *w)
{
	if (w == NULL)
		return;
	if (eventfd_write(w->stop, 1) == -1)
		err(1, "eventfd_write");
	pthread_join(w->thread, NULL);
	release(w);
}

/* --- what was captured --------------------------------------------------- */

static bool
between(const struct segment *s, in_port_t client, in_port_t server)
{
	return (s->from.port == client && s->to.port == server) ||
	    (s->from.port == server && s->to.port == client);
}

static int64_t
last_of(struct live *w, in_port_t client, in_port_t server)
{
	int64_t us = 0;

	pthread_mutex_lock(&w->lock);
	for (uint64_t i = w->seen; i-- > oldest(w, w->forgotten);) {
		if (!between(&number(w, i)->s, client, server))
			continue;
		us = number(w, i)->s.us;
		break;
	}
	pthread_mutex_unlock(&w->lock);
	return us;
}

static void
await_quiet(struct live *w, in_port_t client, in_port_t server)
{
	int64_t now, began = wall_us(), last = began;

	do {
		nap_us(5000);
		now = wall_us();
		if (last_of(w, client, server) > last)
			last = last_of(w, client, server);
	} while (now - last < QUIET_US && now - began < QUIET_LIMIT_US);
}

/* The states belong to a segment only if the next one arrived later. */
static size_t
collect(struct live *w, in_port_t client, in_port_t server)
{
	const struct kept *k, *before = NULL;
	size_t n = 0;

	for (uint64_t i = oldest(w, w->forgotten); i < w->seen; i++) {
		k = number(w, i);
		if (!between(&k->s, client, server))
			continue;
		if (before != NULL && before->asked >= k->s.us)
			w->answer[n - 1].client_state =
			    w->answer[n - 1].server_state = LIVE_UNSEEN;
		w->answer[n++] = (struct live_segment){
			.s = k->s,
			.client_state = k->s.from.port == client ?
			    k->from_state : k->to_state,
			.server_state = k->s.from.port == client ?
			    k->to_state : k->from_state,
		};
		before = k;
	}
	return n;
}

const struct live_segment *
live_segments(struct live *w, in_port_t client, in_port_t server, size_t *n)
{
	await_quiet(w, client, server);
	pthread_mutex_lock(&w->lock);
	*n = collect(w, client, server);
	if (w->file != NULL)
		pcap_dump_flush(w->file);
	pthread_mutex_unlock(&w->lock);
	return w->answer;
}

void
live_forget(struct live *w)
{
	pthread_mutex_lock(&w->lock);
	w->forgotten = w->seen;
	pthread_mutex_unlock(&w->lock);
}

unsigned
live_missed(struct live *w)
{
	struct pcap_stat stat;

	return pcap_stats(w->pcap, &stat) == -1 ? 0 : stat.ps_drop;
}

#else /* HAVE_PCAP */

struct live *
live_open(const char *pcap_file, const char **why)
{
	(void)pcap_file;
	*why = "built without libpcap, which is what captures";
	return NULL;
}

const struct live_segment *
live_segments(struct live *w, in_port_t client, in_port_t server, size_t *n)
{
	(void)w;
	(void)client;
	(void)server;
	*n = 0;
	return NULL;
}

void
live_forget(struct live *w)
{
	(void)w;
}

unsigned
live_missed(struct live *w)
{
	(void)w;
	return 0;
}

void
live_close(struct live *w)
{
	(void)w;
}

#endif /* HAVE_PCAP */
