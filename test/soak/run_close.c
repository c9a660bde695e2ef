/*
 * run_close.c - one close of the soak, from the connection to the judgement
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <graceclose.h>

#include "network/scripted_peer.h"
#include "network/workers.h"
#include "soak/run_close.h"
#include "network/kernel_peer.h"
#include "support/util.h"
#include "network/link.h"

#define WRITE_MS	50		/* without room for more */
#define AFTER_MS	10		/* for what comes right after it */

struct ends {
	struct kernel_peer	peer;
	int		fd;
};

static int
family(const struct plan *p)
{
	return p->family == T_IPV6 && t_missing(T_IPV6) == NULL ? T_IPV6 :
	    T_IPV4;
}

static void
open_ends(struct ends *e, const struct plan *p)
{
	struct t_pair pair;

	t_link_begin(p->seed ^ p->number);
	if (p->scripted) {
		e->fd = t_peer_connect(&p->script, p->connecting);
	} else {
		t_link_pair(&pair, family(p), p->connecting);
		e->fd = pair.us;
	}
	t_link_impair(T_OUT, &p->impair[T_OUT]);
	t_link_impair(T_IN, &p->impair[T_IN]);
	if (p->scripted)
		t_peer_go();
	else
		kernel_peer_begin(&e->peer, pair.peer, &p->kernel_peer);
	if (p->sndbuf != 0)
		t_sndbuf(e->fd, p->sndbuf);
	if (p->linger != -1)
		t_linger(e->fd, p->linger);
	if (p->nonblock)
		t_nonblock(e->fd);
}

/* A reset stays for the close: poll(2) takes no error. */
static bool
fit(int fd, short events, int timeout_ms)
{
	struct pollfd pfd = { fd, events, 0 };

	return poll(&pfd, 1, timeout_ms) == 1 && (pfd.revents & POLLERR) == 0;
}

static void
write_some(struct evidence *e, int fd)
{
	static unsigned char buf[65536];
	size_t n, left;
	ssize_t sent;

	while ((left = e->plan->size - (size_t)e->written) > 0 &&
	    fit(fd, POLLOUT, WRITE_MS)) {
		n = left < sizeof(buf) ? left : sizeof(buf);
		t_pattern(buf, e->written, n);
		sent = send(fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0) {
			e->written += (uint64_t)sent;
		} else if (errno != EAGAIN) {
			e->disturbed = true;
			return;
		}
	}
}

static void
read_some(struct evidence *e, int fd)
{
	static unsigned char buf[65536];
	size_t n, left;
	ssize_t got;

	while ((left = e->plan->reads - (size_t)e->read) > 0 &&
	    fit(fd, POLLIN, 0)) {
		n = left < sizeof(buf) ? left : sizeof(buf);
		if ((got = recv(fd, buf, n, MSG_DONTWAIT)) > 0) {
			e->read += (uint64_t)got;
		} else {
			e->disturbed |= got == -1;
			return;
		}
	}
}

/* What the peer has; of a program only if it read to the end. */
static void
hear(struct evidence *e, struct ends *ends)
{
	struct kernel_peer *t = &ends->peer;
	struct t_peer_seen seen;

	if (e->plan->scripted) {
		t_peer_seen(&seen);
		e->heard = true;
		e->heard_all = seen.received == e->written && seen.intact;
		e->heard_right = e->heard_all && seen.fin;
		return;
	}
	kernel_peer_stop(t);
	e->heard = t->eof && !t->failed;
	e->heard_all = t->read == e->written && t->intact;
	e->heard_right = e->heard_all;
}

static void
print_close(FILE *f, const struct evidence *e)
{
	const struct closing *c = e->closing;
	const struct graceclose_report *r = &c->report;

	plan_print(f, e->plan);
	fprintf(f, "  wrote %" PRIu64 ", read %" PRIu64 "%s; returned %d",
	    e->written, e->read, e->disturbed ? ", met an error" : "",
	    c->value);
	if (c->value == -1)
		fprintf(f, " %s", t_errno(c->error));
	fprintf(f, " after %.1f ms\n",
	    (double)(c->end_us - c->start_us) / 1000);
	if (closing_reports(e->plan->way.form))
		fprintf(f, "  report: outcome %d, error %s, delivered %d, "
		    "finished %d, unacked %" PRIu64 ", discarded %" PRIu64
		    ", %" PRIu64 " us\n", r->outcome, t_errno(r->error),
		    r->delivered, r->finished, r->unacked, r->discarded,
		    r->elapsed_us);
}

/* In one piece, as others may be writing at the same time. */
static void
tell(const struct evidence *e, const char *wrong)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (f == NULL)
		return;
	print_close(f, e);
	if (wrong != NULL) {
		fprintf(f, "  WRONG: %s\n", wrong);
		t_link_print(f);
		fprintf(f, "again: soak -S %" PRIu64 " -c %zu\n\n",
		    e->plan->seed, e->plan->number);
	}
	if (fclose(f) == 0)
		(void)!write(STDERR_FILENO, text, size);
	free(text);
}

/* It is judged while the link still has the log. */
bool
run_close(const struct plan *p, struct closing *c, struct judgement *j,
    bool verbose)
{
	struct evidence e = { .plan = p, .closing = c };
	struct ends ends;

	open_ends(&ends, p);
	write_some(&e, ends.fd);
	t_pause(p->pause_ms);
	read_some(&e, ends.fd);
	closing_run(c, &p->way, ends.fd);
	hear(&e, &ends);
	t_pause(AFTER_MS);
	judge(&e, j);
	if (!j->right && !j->timed)
		t_worker_certain();
	if ((!j->right && t_worker_final()) || verbose)
		tell(&e, j->right ? NULL : j->wrong);
	if (p->scripted)
		t_peer_gone();
	else
		kernel_peer_end(&ends.peer);
	return j->right;
}
