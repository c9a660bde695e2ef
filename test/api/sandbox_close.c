/*
 * sandbox_close.c - closes, looks and peers for a sandbox
 *
 * The lists of calls stand in graceclose(7), "SYSTEM CALLS", as well, and
 * test/install/check_syscall_table.sh compares the two.
 */
#include <sys/socket.h>

#include <netinet/in.h>

#include <poll.h>

#include "api/sandbox_close.h"
#include "network/workers.h"

const int sandbox_families[SANDBOX_FAMILIES] = { T_IPV4, T_MPTCP, T_UNIX };

/*
 * Closes
 */

static void
say(struct sandbox_said *s, int result)
{
	s->error = errno;
	s->result = result;
}

static void
do_graceful_close(void *arg)
{
	struct sandbox_said *s = arg;

	errno = T_ERRNO_UNTOUCHED;
	say(s, graceful_close(s->fd));
}

static void
do_linger_close(void *arg)
{
	struct sandbox_said *s = arg;

	errno = T_ERRNO_UNTOUCHED;
	say(s, linger_close(s->fd, SANDBOX_LIMIT));
}

static void
do_abort_close(void *arg)
{
	struct sandbox_said *s = arg;

	errno = T_ERRNO_UNTOUCHED;
	say(s, abort_close(s->fd));
}

static void
do_graceclose(void *arg)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_DETACH, SANDBOX_LIMIT, -1);
	struct sandbox_said *s = arg;

	errno = T_ERRNO_UNTOUCHED;
	say(s, graceclose(s->fd, &o, &s->report));
	s->told = 1;
}

static void
do_steps(void *arg)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_DETACH, SANDBOX_LIMIT, -1);
	struct sandbox_said *s = arg;
	struct graceclose gc;
	struct pollfd p;

	errno = T_ERRNO_UNTOUCHED;
	say(s, graceclose_begin(&gc, s->fd, &o));
	if (s->result == -1)
		return;
	while (graceclose_step(&gc) == 1) {
		p = (struct pollfd){ s->fd, graceclose_events(&gc), 0 };
		(void)poll(&p, p.events != 0, graceclose_timeout(&gc));
	}
	errno = T_ERRNO_UNTOUCHED;
	say(s, graceclose_end(&gc, &s->report));
	s->told = 1;
}

static void
done(void *arg, void *cookie, const struct graceclose_report *report)
{
	struct sandbox_said *s = cookie;

	(void)arg;
	s->report = *report;
	s->told++;
}

static void
do_reaper(void *arg)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_DETACH, SANDBOX_LIMIT, -1);
	const struct graceclose_reaper_opts ro = { .done = done };
	struct sandbox_said *s = arg;
	struct graceclose_reaper *r;

	errno = T_ERRNO_UNTOUCHED;
	if ((r = graceclose_reaper_new(&ro)) == NULL) {
		say(s, -1);
		return;
	}
	say(s, graceclose_reaper_close(r, s->fd, &o, s));
	if (s->result == 0) {
		(void)graceclose_reaper_flush(r, 2 * SANDBOX_IDLE);
		s->result = s->report.error == 0 ? 0 : -1;
		s->error = s->report.error == 0 ? T_ERRNO_UNTOUCHED :
		    s->report.error;
	}
	graceclose_reaper_free(r);
}

#define KIND	"getsockopt getpeername fcntl "
#define CLOSE	KIND "clock_gettime setsockopt ioctl shutdown recvfrom "    \
		"recvmsg sendmsg close poll socket sendto "
#define WAIT	"clock_nanosleep epoll_create1 epoll_ctl epoll_wait "
#define RESET	"connect clock_nanosleep "
#define REAPER	"eventfd2 write getpid openat prlimit64 "
#define LOOK	KIND "poll ioctl recvfrom socket sendto close"

const char sandbox_libc[] = "brk mmap munmap mprotect madvise clone clone3 "
    "futex rt_sigaction rt_sigprocmask set_robust_list rseq exit getrandom "
    "sched_getaffinity";

const struct sandbox_form sandbox_forms[SANDBOX_FORMS] = {
	{ "graceful_close",	do_graceful_close, CLOSE WAIT, "",
	  GRACECLOSE_FINISHED, SANDBOX_IDLE, true, false, false },
	{ "linger_close",	do_linger_close, CLOSE WAIT RESET, "",
	  GRACECLOSE_DELIVERED, SANDBOX_LIMIT, false, false, false },
	{ "graceclose",		do_graceclose, CLOSE WAIT RESET, "",
	  GRACECLOSE_FINISHED, SANDBOX_LIMIT, true, true, false },
	{ "graceclose_step",	do_steps, CLOSE RESET, "poll",
	  GRACECLOSE_FINISHED, SANDBOX_LIMIT, true, true, false },
	{ "graceclose_reaper",	do_reaper, CLOSE WAIT RESET REAPER, "",
	  GRACECLOSE_FINISHED, SANDBOX_LIMIT, true, true, true },
	{ "abort_close",	do_abort_close,
	  KIND RESET "setsockopt shutdown close", "",
	  -1, 0, false, false, false }
};

/*
 * Looks
 */

static void
do_peer_closed(void *arg)
{
	struct sandbox_said *s = arg;

	errno = T_ERRNO_UNTOUCHED;
	say(s, peer_closed(s->fd));
}

static void
do_probe(void *arg)
{
	struct sandbox_said *s = arg;

	errno = T_ERRNO_UNTOUCHED;
	say(s, graceclose_probe(s->fd));
}

static void
do_probe_many(void *arg)
{
	struct sandbox_said *s = arg;
	unsigned char bits = 0xff;
	int r;

	errno = T_ERRNO_UNTOUCHED;
	r = graceclose_probe_many(&s->fd, 1, &bits);
	say(s, r == -1 ? -1 : bits);
}

static void
do_unacked(void *arg)
{
	struct sandbox_said *s = arg;

	errno = T_ERRNO_UNTOUCHED;
	say(s, (int)graceclose_unacked(s->fd));
}

const struct sandbox_look sandbox_looks[SANDBOX_LOOKS] = {
	{ "peer_closed",		do_peer_closed,	LOOK },
	{ "graceclose_probe",		do_probe,	LOOK },
	{ "graceclose_probe_many",	do_probe_many,	LOOK },
	{ "graceclose_unacked",		do_unacked,	LOOK }
};

/*
 * Peers.  What is delivered to AF_UNIX is what the peer's program has read.
 */

static int
protocol_of(int fd)
{
	int protocol = 0;
	socklen_t len = sizeof(protocol);

	(void)getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len);
	return protocol;
}

static void
reads_all(struct t_pair *p)
{
	t_write(p->us, SANDBOX_SENT);
	t_read(p->peer, SANDBOX_SENT);
}

static void
has_closed(struct t_pair *p)
{
	reads_all(p);
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
}

/* Input that nobody has read, and the end behind it. */
static void
has_sent_and_closed(struct t_pair *p)
{
	reads_all(p);
	t_write(p->peer, SANDBOX_LATE);
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
}

/* A filter works on plain TCP alone; MPTCP acknowledges what nobody reads. */
static bool
may_drop(const struct t_pair *p)
{
	return protocol_of(p->peer) == IPPROTO_TCP && t_no_filters() == NULL;
}

static void
takes_nothing(struct t_pair *p)
{
	if (may_drop(p))
		t_drop(p->peer, T_DROP_DATA | T_DROP_FIN);
	t_write(p->us, SANDBOX_SENT);
}

static void
after_a_while(struct t_pair *p)
{
	(void)p;
	t_pause(20);
}

static void
sends_and_closes(struct t_pair *p)
{
	static const char late[SANDBOX_LATE];

	after_a_while(p);
	(void)send(p->peer, late, sizeof(late), MSG_NOSIGNAL);
	(void)shutdown(p->peer, SHUT_WR);
}

static void
resets(struct t_pair *p)
{
	after_a_while(p);
	t_reset(p->peer);
	p->peer = -1;
}

/* Reads after the time is up, then closes. */
static void
waits(struct t_pair *p)
{
	t_pause(SANDBOX_LIMIT + 20);
	if (may_drop(p))
		t_heal(p->peer);
}

static void
does_nothing(struct t_pair *p)
{
	(void)p;
}

const struct sandbox_peer sandbox_peers[SANDBOX_PEERS] = {
	{ "that has closed",	has_closed,	does_nothing, SANDBOX_SENT,
	  { 0, 0 } },
	{ "that has sent and closed", has_sent_and_closed, does_nothing,
	  SANDBOX_SENT, { 0, 0 } },
	{ "that sends and closes later", reads_all, sends_and_closes,
	  SANDBOX_SENT, { 0, 0 } },
	{ "that resets later",	reads_all,	resets, SANDBOX_SENT,
	  { ECONNRESET, SANDBOX_EITHER } },
	{ "that stays silent",	reads_all,	does_nothing, SANDBOX_SENT,
	  { ETIMEDOUT, 0 } },
	{ "that reads too late", takes_nothing,	waits, 0,
	  { ETIMEDOUT, SANDBOX_EITHER } }
};

/*
 * A case
 */

int
sandbox_limit(const struct sandbox_case *c)
{
	return c->form == NULL ? 0 : c->form->limit_ms;
}

/* A peer of AF_UNIX that has read everything cannot reset, it just closes. */
int
sandbox_expected(const struct sandbox_case *c)
{
	if (c->form->until == -1 ||
	    (c->family == T_UNIX && c->peer->meanwhile == resets))
		return 0;
	return c->peer->error[c->form->until];
}

/* The patience is for a busy machine, and for the making of a process. */
void
sandbox_play(struct sandbox_case *c, const struct sandbox *sb, int family)
{
	struct sandbox inner = *sb;

	c->family = family;
	t_pair(&c->p, family);
	c->peer->before(&c->p);
	c->said = t_shared(sizeof(*c->said));
	c->said->fd = c->p.us;
	inner.kept = c->p.peer;
	sandbox_start(&c->s, &inner, c->form != NULL ? c->form->act :
	    c->look->act, c->said);
	t_close(c->p.us);
	if (c->form != NULL)
		c->peer->meanwhile(&c->p);
	c->in_time = sandbox_end(&c->s, sandbox_limit(c) + T_LIMIT_MS / 2);
}

void
sandbox_over(struct sandbox_case *c)
{
	if (c->p.peer != -1)
		t_close(c->p.peer);
}

/*
 * A close that detaches leaves everything to the kernel, as close(2) does; one
 * that returns 0 has delivered it.
 */
const char *
sandbox_seen(struct sandbox_case *c)
{
	bool ok = c->said->result == 0 && c->form->until != -1;
	bool finished = ok && c->form->until == GRACECLOSE_FINISHED;
	struct t_got got;

	if (finished && sandbox_expected(c) != 0)
		return "0, and the peer's FIN never came";
	if (c->p.peer == -1)
		return NULL;
	got = t_read_all(c->p.peer);
	if ((ok || c->form->detaches) &&
	    got.bytes + c->peer->got != SANDBOX_SENT)
		return ok ? "0, and the peer does not have it" :
		    "the peer did not get it";
	if (finished && got.error != 0)
		return "0, and the peer was reset";
	return got.error == ETIMEDOUT ? "the peer got no end" : NULL;
}
