/*
 * faulted.c - closes that are done while system calls of the library fail
 */
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <poll.h>
#include <unistd.h>

#include "faults/faulted.h"

/*
 * Connections
 */

const struct way faulted_ways[WAYS] = {
	[PLAIN] =	{ "TCP",		T_IPV4,	 T_IPV4 },
	[MULTIPATH] =	{ "MPTCP",		T_MPTCP, T_MPTCP },
	[FELL_BACK] =	{ "MPTCP to TCP",	T_IPV4,	 T_MPTCP },
	[LOCAL] =	{ "AF_UNIX",		T_UNIX,	 T_UNIX }
};

/* What the program of an AF_UNIX peer has read; elsewhere its TCP takes it. */
static size_t has_read;

void
faulted_pair(struct t_pair *p, const struct way *w)
{
	int lfd = t_listen(w->listens);

	has_read = 0;
	p->us = t_connect(w->connects, lfd);
	p->peer = t_accept(lfd);
	t_close(lfd);
}

/*
 * Peers
 */

void
faulted_send_unread(struct t_pair *p)
{
	t_write(p->us, SENT);
}

void
faulted_send(struct t_pair *p)
{
	faulted_send_unread(p);
	has_read = SENT - t_take_if_local(p->peer, SENT);
}

void
faulted_closed(struct t_pair *p)
{
	faulted_send(p);
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
}

/* By a thread, and we may be gone by then. */
void
faulted_fin(int fd)
{
	(void)shutdown(fd, SHUT_WR);
}

static void
send_and_fin(int fd)
{
	static const char late[LATE];

	(void)send(fd, late, sizeof(late), MSG_NOSIGNAL);
	faulted_fin(fd);
}

static void
sent_and_closed(struct t_pair *p)
{
	faulted_send(p);
	send_and_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
}

static void
has_reset(struct t_pair *p)
{
	faulted_send_unread(p);
	t_reset(p->peer);
	p->peer = -1;
	t_wait_dead(p->us);
}

/* The error is gone: we have read it. */
static void
has_reset_and_we_know(struct t_pair *p)
{
	has_reset(p);
	(void)t_pending_error(p->us);
}

static void
takes_nothing(struct t_pair *p)
{
	t_drop(p->peer, T_DROP_ALL);
	faulted_send(p);
}

static void
closed_and_takes_nothing(struct t_pair *p)
{
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
	takes_nothing(p);
}

static const struct peer peers[PEERS] = {
	{ "that has closed",		faulted_closed,		NULL,	WAYS,
	  { 0, 0 } },
	{ "that closes later",		faulted_send,	faulted_fin, WAYS,
	  { 0, 0 } },
	{ "that never closes",		faulted_send,	NULL,	WAYS,
	  { ETIMEDOUT, 0 } },
	{ "that has sent and closed",	sent_and_closed, NULL,	WAYS,
	  { 0, 0 } },
	{ "that sends and closes later", faulted_send,	send_and_fin, WAYS,
	  { 0, 0 } },
	{ "that has reset",		has_reset,	NULL,	WAYS,
	  { ECONNRESET, ECONNRESET } },
	{ "whose reset has been read",	has_reset_and_we_know, NULL, PLAIN + 1,
	  { ECONNRESET, ECONNRESET } },
	{ "that resets later",		faulted_send_unread,	t_reset, WAYS,
	  { ECONNRESET, EITHER } },
	{ "that takes nothing",		takes_nothing,	NULL,	PLAIN + 1,
	  { ETIMEDOUT, ETIMEDOUT } },
	{ "that has closed and takes nothing", closed_and_takes_nothing, NULL,
	  PLAIN + 1, { ETIMEDOUT, ETIMEDOUT } }
};

/*
 * Forms of close
 */

static void
do_graceful_close(struct run *r)
{
	CALL(r, graceful_close(r->p.us));
}

static void
do_linger_close(struct run *r)
{
	CALL(r, linger_close(r->p.us, r->limit));
}

static void
do_abort_close(struct run *r)
{
	CALL(r, abort_close(r->p.us));
}

static void
do_close(struct run *r, int until, int on_expiry)
{
	struct graceclose_opts o = t_opts(until, on_expiry, r->limit, -1);

	CALL(r, graceclose(r->p.us, &o, &r->report));
	r->told++;
}

void
faulted_finished(struct run *r)
{
	do_close(r, GRACECLOSE_FINISHED, GRACECLOSE_DETACH);
}

static void
do_delivered(struct run *r)
{
	do_close(r, GRACECLOSE_DELIVERED, GRACECLOSE_RESET);
}

/* The loop of a program; epfd -1: it has poll alone. */
static void
do_steps(struct run *r, int epfd)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_DETACH, r->limit, -1);
	struct graceclose gc;
	struct epoll_event ev;
	struct pollfd p;
	int ms;

	CALL(r, graceclose_begin(&gc, r->p.us, &o));
	if ((r->kept = r->result == -1))
		return;
	for (;;) {
		CALL(r, graceclose_step(&gc));
		if (r->result != 1)
			break;
		ms = graceclose_timeout(&gc);
		p = (struct pollfd){ r->p.us, graceclose_events(&gc), 0 };
		if (epfd != -1)
			(void)epoll_wait(epfd, &ev, 1, ms);
		else
			(void)poll(&p, p.events != 0, ms);
	}
	CALL(r, graceclose_end(&gc, &r->report));
	r->told++;
}

static void
do_poll_loop(struct run *r)
{
	do_steps(r, -1);
}

static void
do_epoll_loop(struct run *r)
{
	struct epoll_event ev = { .events = GRACECLOSE_EPOLL };
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	ck_assert_int_ne(epfd, -1);
	ck_assert_int_eq(epoll_ctl(epfd, EPOLL_CTL_ADD, r->p.us, &ev), 0);
	do_steps(r, epfd);
	t_close(epfd);
}

static void
reaped(void *arg, void *cookie, const struct graceclose_report *report)
{
	struct run *r = cookie;

	(void)arg;
	r->report = *report;
	r->told++;
}

void
faulted_by_reaper(struct run *r)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_DETACH, r->limit, -1);
	const struct graceclose_reaper_opts ro = { .done = reaped };
	struct graceclose_reaper *reaper = NULL;
	int result;

	CALL(r, (reaper = graceclose_reaper_new(&ro)) != NULL ? 0 : -1);
	if ((r->kept = reaper == NULL))
		return;
	CALL(r, graceclose_reaper_close(reaper, r->p.us, &o, r));
	r->kept = r->result == -1;
	fault_enter();
	result = graceclose_reaper_flush(reaper, PATIENCE_MS);
	graceclose_reaper_free(reaper);
	fault_leave();
	if (r->kept)
		return;
	ck_assert_int_eq(result, 0);
	r->result = r->report.error == 0 ? 0 : -1;
	r->error = r->report.error == 0 ? T_ERRNO_UNTOUCHED : r->report.error;
}

static const struct form forms[FORMS] = {
	{ "graceful_close",	do_graceful_close, UNTIL_FINISHED, 0, false },
	{ "linger_close",	do_linger_close, UNTIL_DELIVERED, 0, true },
	{ "abort_close",	do_abort_close, AT_ONCE, 0, true },
	{ "graceclose, finished", faulted_finished, UNTIL_FINISHED, 1, true },
	{ "graceclose, delivered", do_delivered, UNTIL_DELIVERED, 1, true },
	{ "steps with epoll",	do_epoll_loop, UNTIL_FINISHED, 1, true },
	{ "steps with poll",	do_poll_loop, UNTIL_FINISHED, 1, true },
	{ "reaper",		faulted_by_reaper, UNTIL_FINISHED, 1, true }
};

/* A setting by its number; false: it is none. */
bool
faulted_setting(size_t i, struct setting *s)
{
	s->form = &forms[i / (WAYS * PEERS)];
	s->way = &faulted_ways[i / PEERS % WAYS];
	s->peer = &peers[i % PEERS];
	return s->way - faulted_ways < s->peer->ways && (s->form->limited ||
	    s->peer->error[s->form->until] != ETIMEDOUT);
}

const char *
faulted_missing(const struct setting *s)
{
	const char *why = t_missing(s->way->connects);

	if (why == NULL && (s->peer->before == takes_nothing ||
	    s->peer->before == closed_and_takes_nothing))
		why = t_no_filters();
	return why;
}

/* How much of it the peer has, as far as it can still be asked. */
size_t
faulted_arrived(int peer)
{
	char buf[SENT];
	size_t sum = has_read;
	ssize_t n;

	while ((n = recv(peer, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		sum += (size_t)n;
	return sum;
}
