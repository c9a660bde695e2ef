/*
 * one_reaper.c - a reaper for each test, its options, and what it reports
 */
#include <sys/socket.h>

#include <poll.h>

#include "api/reaper/one_reaper.h"

struct graceclose_reaper *reaper;
struct graceclose_reaper_stats stats;
struct graceclose_opts opts;
struct t_verdict verdicts[MANY];

void
start_with_done(unsigned max, int when_full, void (*done)(void *, void *,
    const struct graceclose_report *))
{
	reaper = t_reaper(&(struct graceclose_reaper_opts){
	    .max = max, .when_full = when_full, .done = done, .arg = &reaper });
}

void
start_limited(unsigned max, int when_full)
{
	start_with_done(max, when_full, t_done);
}

void
start(void)
{
	start_limited(0, GRACECLOSE_REFUSE);
}

void
stop(void)
{
	t_reaper_free(reaper);
}

void
unlimited(void)
{
	opts = t_opts(GRACECLOSE_FINISHED, GRACECLOSE_DETACH, -1, -1);
}

void
limited(int idle, int on_expiry, int limit_ms)
{
	if (idle)
		opts = t_opts(0, on_expiry, -1, limit_ms);
	else
		opts = t_opts(0, on_expiry, limit_ms, -1);
}

void
submit(struct t_verdict *verdict, int fd)
{
	memset(verdict, 0, sizeof(*verdict));
	verdict->fd = fd;
	t_ok(graceclose_reaper_close(reaper, fd, &opts, verdict));
}

void
flush(void)
{
	t_ok(graceclose_reaper_flush(reaper, T_LIMIT_MS));
}

void
look(void)
{
	memset(&stats, 0xaa, sizeof(stats));
	errno = T_ERRNO_UNTOUCHED;
	graceclose_reaper_stats(reaper, &stats);
	ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);
	ck_assert_uint_eq(stats.reserved[0] | stats.reserved[1] |
	    stats.reserved[2] | stats.reserved[3], 0);
	ck_assert_uint_le(stats.evicted, stats.aborted);
	ck_assert_uint_le(stats.now, stats.peak);
}

/* So many closes are over, all of them with this outcome. */
void
counted(int outcome, uint64_t n)
{
	uint64_t by[6];
	int i;

	look();
	by[GRACECLOSE_OK] = stats.ok;
	by[GRACECLOSE_WAS_RESET] = stats.reset;
	by[GRACECLOSE_EXPIRED] = stats.expired;
	by[GRACECLOSE_FLOODED] = stats.flooded;
	by[GRACECLOSE_ABORTED] = stats.aborted;
	by[GRACECLOSE_INVALID] = stats.invalid;
	for (i = 0; i < 6; i++)
		ck_assert_uint_eq(by[i], i == outcome ? n : 0);
}

void
under_way(unsigned n)
{
	look();
	ck_assert_uint_eq(stats.now, n);
}

/* AF_UNIX: cheap where only the number matters. */
void
cheap_pair(struct t_pair *p)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    fds), 0);
	p->us = fds[0];
	p->peer = fds[1];
}

void
peer_fin(struct t_pair *p)
{
	t_fin(p->peer);
	t_wait_poll(p->us, POLLRDHUP);
}

void
peer_gets_reset(int peer)
{
	t_wait_dead(peer);
	ck_assert_str_eq(t_errno(t_read_all(peer).error), "ECONNRESET");
}

/* Where the peer had read everything, its error may be EPIPE only. */
void
peer_is_dead(int peer)
{
	t_wait_dead(peer);
	ck_assert_str_eq(t_errno(t_try_write(peer)), "EPIPE");
}

void
untouched(struct t_pair *p)
{
	ck_assert_int_ne(fcntl(p->us, F_GETFD), -1);
	t_write(p->us, 10);
	t_read(p->peer, 10);
	t_write(p->peer, 10);
	t_read(p->us, 10);
	t_fails((int)recv(p->peer, &(char){ 0 }, 1, MSG_DONTWAIT), EAGAIN);
}

void
expired_after(const struct t_verdict *verdict, int64_t begin, int64_t limit_ms)
{
	t_between(verdict->at_ms - begin, limit_ms - 1, limit_ms + SOON_MS);
	ck_assert_uint_ge(verdict->report.elapsed_us,
	    (uint64_t)(limit_ms - 1) * 1000);
	ck_assert_uint_le(verdict->report.elapsed_us,
	    (uint64_t)(limit_ms + SOON_MS) * 1000);
}

void
poke(void)
{
	struct t_verdict verdict;
	struct t_pair p;

	unlimited();
	cheap_pair(&p);
	submit(&verdict, p.us);
	t_close(p.peer);
	t_wait_told(&verdict);
}
