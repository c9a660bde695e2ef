/*
 * internal.h - what the verbs, the closer and tcp.c share
 *
 * The arrow points one way: verbs and reaper -> closer -> tcp.  Only tcp.c
 * knows how this kernel answers a question about a connection; a port to
 * another kernel is another tcp.c.  The map hides these names from users of
 * the shared library, the prefix keeps them clear of the names of those who
 * link the static one.
 */
#ifndef GRACECLOSE_INTERNAL_H
#define GRACECLOSE_INTERNAL_H

#include <sys/types.h>

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct graceclose;

/* What kind of stream a descriptor is. */
enum {
	GRACECLOSE_KIND_TCP = 1,
	GRACECLOSE_KIND_MPTCP,
	GRACECLOSE_KIND_FALLBACK,	/* MPTCP whose peer only knows TCP */
	GRACECLOSE_KIND_LOCAL		/* AF_UNIX: hands over at once */
};

/* How a connection stands, as far as this host knows. */
enum {
	GRACECLOSE_STATE_OPEN,		/* the peer may still send */
	GRACECLOSE_STATE_FINISHED,	/* the peer's FIN is here */
	GRACECLOSE_STATE_ENDED,		/* both FINs are acknowledged */
	GRACECLOSE_STATE_DEAD		/* reset, or given up by the kernel */
};

/* The epoll descriptor of a blocking wait, made when there is one. */
struct graceclose_waiter {
	int	epfd;
};
#define GRACECLOSE_WAITER_UNTRIED	(-1)
#define GRACECLOSE_WAITER_REFUSED	(-2)

struct graceclose_report;

/* Of the closer: when its next step is due, in a loop that keeps timers. */
int64_t	graceclose_due(const struct graceclose *gc, bool edges);
void	graceclose_no_close(struct graceclose_report *report, int error);

/* Questions: none consumes anything. */
int	graceclose_tcp_kind(int fd, bool *finished);
int	graceclose_tcp_kind_proper(int fd, int kind);
extern const short graceclose_tcp_events;
int	graceclose_tcp_poll(struct pollfd *fds, size_t n);
int	graceclose_tcp_state(int fd, short revents);
int	graceclose_tcp_state_of_gone(int fd, int kind, bool error, bool seen);
bool	graceclose_tcp_gone(int fd, int kind);
bool	graceclose_tcp_goes_on(int fd, int kind);
bool	graceclose_tcp_was_connected(int fd, int kind);
bool	graceclose_tcp_finished(int fd, int kind);
bool	graceclose_tcp_at_end(int fd, int kind);
bool	graceclose_tcp_opening(int fd, int kind);
bool	graceclose_tcp_unread(int fd, short revents);
int64_t	graceclose_tcp_outq(int fd, int kind);
bool	graceclose_tcp_remembers(int fd, int kind);
bool	graceclose_tcp_anew(int fd, int kind);
bool	graceclose_tcp_forgot(int fd, int kind);
bool	graceclose_tcp_fin_unacked(int fd, int kind);

int64_t	graceclose_mptcp_token(int fd);
int	graceclose_mptcp_state(int fd);
int	graceclose_probe_bits(int fd, short revents);

/* Deeds. */
ssize_t	graceclose_tcp_discard(int fd, int kind, size_t max);
void	graceclose_tcp_skip_notice(int fd, int kind);
int	graceclose_tcp_take_error(int fd);
void	graceclose_tcp_unlinger(int fd);
void	graceclose_tcp_abort(int fd, int kind);
int	graceclose_tcp_close(int fd);

/* Time, in microseconds, and waiting. */
int64_t	graceclose_tcp_clock(void);
void	graceclose_tcp_wait(struct graceclose_waiter *w, int fd, short events,
	    int timeout_ms);
void	graceclose_tcp_wait_end(struct graceclose_waiter *w);

#endif /* GRACECLOSE_INTERNAL_H */
