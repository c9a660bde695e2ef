/*
 * scripted_peer.c - the moves of a script, as a table, and what plays them
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <fcntl.h>
#include <poll.h>

#include "network/scripted_peer.h"
#include "network/tiny_tcp.h"
#include "network/link.h"

#define FAR		((int64_t)1 << 30)	/* outside of any window */
#define ENDLESS		((int64_t)1 << 60)
#define NEVER		INT64_MAX

/*
 * The only one.  The link's thread plays it; the test's own look at it and
 * tell it to go.
 */
static struct peer {
	struct tiny_tcp	tcp;
	struct t_script	script;
	size_t		next;		/* of its moves */
	bool		begun;		/* that one */
	int64_t		n;		/* of that one */
	int64_t		wake_us;	/* P_SLEEP */
	unsigned	gos;
	int64_t		done_us;	/* 0: not done */
	int64_t		portion;	/* P_DRIP, P_FLOOD; 0: neither */
	int64_t		every_us;
	int64_t		portion_us;	/* when the next one is due */
} peer;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/*
 * How moves begin
 */

static void
stop(struct peer *p)
{
	if (p->portion != 0)
		p->tcp.end = most(p->tcp.max, 1);
	p->portion = 0;
	p->portion_us = NEVER;
}

static void
stream(struct peer *p, int64_t portion, int64_t every_us)
{
	p->portion = portion;
	p->every_us = every_us;
	p->portion_us = p->tcp.now_us;
}

static void
drip(struct peer *p)
{
	stream(p, 1, p->n * 1000);
}

static void
flood(struct peer *p)
{
	if (p->n == 0)
		stream(p, ENDLESS, NEVER);
	else
		stream(p, p->n, 1000);
}

static void
fall_asleep(struct peer *p)
{
	p->wake_us = p->tcp.now_us + p->n * 1000;
}

static void
set_acks(struct peer *p)
{
	tiny_tcp_acks(&p->tcp, p->n != 0);
}

static void
ack_no_more(struct peer *p)
{
	tiny_tcp_acks(&p->tcp, false);
}

static void
set_late(struct peer *p)
{
	tiny_tcp_late(&p->tcp, p->n * 1000);
}

static void
set_window(struct peer *p)
{
	p->tcp.window = least(p->n, T_PEER_WINDOW);
	tiny_tcp_tell(&p->tcp);
}

static void
set_repeats(struct peer *p)
{
	p->tcp.repeats = p->n != 0;
}

static void
send_data(struct peer *p)
{
	p->tcp.end += p->n;
}

static void
send_fin(struct peer *p)
{
	stop(p);
	p->tcp.closing = true;
}

static void
send_behind(struct peer *p)
{
	int64_t at = p->tcp.end + p->tcp.closing, end = at + p->n;

	for (; at < end; at += T_PEER_MSS)
		tiny_tcp_say(&p->tcp, SEGMENT_PSH, at,
		    least(end - at, T_PEER_MSS));
}

static void
send_rst(struct peer *p)
{
	tiny_tcp_say(&p->tcp, SEGMENT_RST, p->tcp.max + p->n, 0);
	if (p->n == 0 && p->tcp.life == TINY_TCP_LIVING)
		tiny_tcp_die(&p->tcp, TINY_TCP_REFUSING);
}

static void
send_rst_outside(struct peer *p)
{
	tiny_tcp_say(&p->tcp, SEGMENT_RST, p->tcp.max + FAR, 0);
}

static void
vanish(struct peer *p)
{
	tiny_tcp_die(&p->tcp, TINY_TCP_SILENT);
}

/*
 * Whether they are over
 */

static bool
data_is_here(struct peer *p)
{
	return tiny_tcp_bytes(&p->tcp, p->tcp.got) >= p->n;
}

static bool
fin_is_here(struct peer *p)
{
	return p->tcp.fin;
}

static bool
any_fin_is_here(struct peer *p)
{
	return p->tcp.any_fin;
}

static bool
all_is_acked(struct peer *p)
{
	return p->tcp.una == p->tcp.end + p->tcp.closing;
}

static bool
told_to_go(struct peer *p)
{
	if (p->gos == 0)
		return false;
	p->gos--;
	return true;
}

static bool
awake(struct peer *p)
{
	return p->tcp.now_us >= p->wake_us;
}

static bool
acked_up_to(struct peer *p)
{
	if (!data_is_here(p))
		return false;
	p->tcp.acked = most(p->tcp.acked, p->n + 1);
	tiny_tcp_tell(&p->tcp);
	return true;
}

/*
 * The script
 */

static const struct {
	void	(*begin)(struct peer *);
	bool	(*over)(struct peer *);		/* NULL: at once */
} moves[] = {
	[P_AWAIT_DATA]		= { NULL,		data_is_here },
	[P_AWAIT_FIN]		= { NULL,		fin_is_here },
	[P_AWAIT_ANY_FIN]	= { NULL,		any_fin_is_here },
	[P_AWAIT_ACKED]		= { NULL,		all_is_acked },
	[P_AWAIT_GO]		= { NULL,		told_to_go },
	[P_SLEEP]		= { fall_asleep,	awake },
	[P_ACKS]		= { set_acks,		NULL },
	[P_ACK_LATE]		= { set_late,		NULL },
	[P_WINDOW]		= { set_window,		NULL },
	[P_REPEATS]		= { set_repeats,	NULL },
	[P_ACK_UP_TO]		= { ack_no_more,	acked_up_to },
	[P_SEND]		= { send_data,		NULL },
	[P_DRIP]		= { drip,		NULL },
	[P_FLOOD]		= { flood,		NULL },
	[P_STOP]		= { stop,		NULL },
	[P_FIN]			= { send_fin,		NULL },
	[P_DATA_BEHIND]		= { send_behind,	NULL },
	[P_RST]			= { send_rst,		NULL },
	[P_RST_OUTSIDE]		= { send_rst_outside,	NULL },
	[P_VANISH]		= { vanish,		NULL }
};

static bool
is_way(enum t_move_kind kind)
{
	return kind >= P_ACKS && kind <= P_REPEATS;
}

static bool
at_end(const struct peer *p)
{
	return p->next == T_MOVES || p->script.moves[p->next].kind == P_END;
}

/* One move, as far as it goes; true: it is made. */
static bool
move(struct peer *p, const struct t_move *m)
{
	p->n = m->n;
	if (!p->begun && moves[m->kind].begin != NULL) {
		moves[m->kind].begin(p);
		tiny_tcp_push(&p->tcp);
	}
	p->begun = true;
	return moves[m->kind].over == NULL || moves[m->kind].over(p);
}

/*
 * Goes on with the script.  Before the connection is established it is only
 * told what its ways are, so that its SYN shows the window already.
 */
static void
play(struct tiny_tcp *t)
{
	struct peer *p = &peer;
	const struct t_move *m;

	for (; !at_end(p); p->next++) {
		m = &p->script.moves[p->next];
		if ((!tiny_tcp_established(t) && !is_way(m->kind)) ||
		    !move(p, m))
			return;
		p->begun = false;
	}
	if (p->done_us == 0 && tiny_tcp_established(t))
		p->done_us = t->now_us;
}

/*
 * What the link's thread calls
 */

static void
input(void *arg, const void *packet, size_t length, int64_t now_us)
{
	struct peer *p = arg;

	pthread_mutex_lock(&lock);
	p->tcp.now_us = now_us;
	tiny_tcp_input(&p->tcp, packet, length);
	pthread_mutex_unlock(&lock);
}

static int64_t
tick(void *arg, int64_t now_us)
{
	struct peer *p = arg;
	int64_t due;

	pthread_mutex_lock(&lock);
	p->tcp.now_us = now_us;
	if (p->portion_us <= now_us) {
		p->tcp.end += p->portion;
		p->portion_us = p->every_us == NEVER ? NEVER :
		    now_us + p->every_us;
	}
	due = tiny_tcp_tick(&p->tcp);
	if (p->tcp.life == TINY_TCP_LIVING)
		due = least(due, p->portion_us);
	if (p->begun && p->script.moves[p->next].kind == P_SLEEP)
		due = least(due, p->wake_us);
	pthread_mutex_unlock(&lock);
	return due;
}

/*
 * The test's side
 */

/*
 * `port` is ours, or 0 where we connect.  The peer's own is another each time,
 * since our kernel may remember the last connection in TIME_WAIT.
 */
static in_port_t
appear(const struct t_script *script, in_port_t port)
{
	static const struct t_host host = { input, tick, &peer };
	in_port_t theirs = (in_port_t)(1024 + t_now_us() / 100 % 60000);

	t_link_host(NULL);
	pthread_mutex_lock(&lock);
	peer = (struct peer){ .script = *script, .portion_us = NEVER };
	tiny_tcp_open(&peer.tcp, port, theirs, play);
	pthread_mutex_unlock(&lock);
	t_link_host(&host);
	return theirs;
}

static void
wait_for(int fd, short events)
{
	struct pollfd pfd = { fd, events, 0 };

	ck_assert_msg(poll(&pfd, 1, T_LIMIT_MS) == 1,
	    "no connection with the peer");
}

static int
accept_it(const struct t_script *script)
{
	int fd, lfd = t_link_socket(T_IPV4, false);
	struct sockaddr_in in = { .sin_port = 0 };
	struct sockaddr_storage ss;
	socklen_t len;

	len = t_link_address(&ss, T_IPV4, false, 0);
	ck_assert_int_eq(bind(lfd, (struct sockaddr *)&ss, len), 0);
	ck_assert_int_eq(listen(lfd, 1), 0);
	len = sizeof(in);
	ck_assert_int_eq(getsockname(lfd, (struct sockaddr *)&in, &len), 0);
	(void)appear(script, ntohs(in.sin_port));
	wait_for(lfd, POLLIN);
	fd = t_accept(lfd);
	t_close(lfd);
	return fd;
}

static int
connect_to_it(const struct t_script *script)
{
	int flags, fd = t_link_socket(T_IPV4, false);
	struct sockaddr_storage ss;
	socklen_t len;

	len = t_link_address(&ss, T_IPV4, true, appear(script, 0));
	flags = fcntl(fd, F_GETFL);
	ck_assert_int_eq(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
	t_fails(connect(fd, (struct sockaddr *)&ss, len), EINPROGRESS);
	wait_for(fd, POLLOUT);
	ck_assert_int_eq(fcntl(fd, F_SETFL, flags), 0);
	return fd;
}

/* Our end may be established before the peer's is. */
static bool
begun(void)
{
	bool yes;

	pthread_mutex_lock(&lock);
	yes = tiny_tcp_established(&peer.tcp);
	pthread_mutex_unlock(&lock);
	return yes;
}

int
t_peer_connect(const struct t_script *script, bool connecting)
{
	int fd = connecting ? connect_to_it(script) : accept_it(script);
	int64_t end = t_now_ms() + T_LIMIT_MS;

	for (; !begun(); t_pause(1))
		ck_assert_msg(t_now_ms() < end, "no connection for the peer");
	return fd;
}

void
t_peer_go(void)
{
	pthread_mutex_lock(&lock);
	peer.gos++;
	pthread_mutex_unlock(&lock);
	t_link_wake();
}

void
t_peer_gone(void)
{
	t_link_host(NULL);
}

void
t_peer_seen(struct t_peer_seen *s)
{
	const struct tiny_tcp *t = &peer.tcp;

	pthread_mutex_lock(&lock);
	*s = (struct t_peer_seen){
		.received = (uint64_t)tiny_tcp_bytes(t, t->got),
		.intact = !t->spoilt,
		.acked = (uint64_t)tiny_tcp_bytes(t, t->acked),
		.fin = t->fin,
		.fin_acked = t->fin && t->acked == t->got,
		.rst = t->rst,
		.rsts = t->rsts,
		.sent = (uint64_t)most(least(t->max, t->end) - 1, 0),
		.sent_acked = (uint64_t)most(least(t->una, t->end) - 1, 0),
		.fin_sent = t->closing && t->max > t->end,
		.fin_sent_acked = t->closing && t->una > t->end,
		.done = peer.done_us != 0,
		.done_us = peer.done_us
	};
	pthread_mutex_unlock(&lock);
}

void
t_peer_await(bool (*what)(const struct t_peer_seen *), const char *name)
{
	int64_t end = t_now_ms() + T_LIMIT_MS;
	struct t_peer_seen s;

	for (t_peer_seen(&s); !what(&s); t_peer_seen(&s)) {
		ck_assert_msg(t_now_ms() < end, "the peer: never %s", name);
		t_pause(1);
	}
}
