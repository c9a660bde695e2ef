/*
 * kernel.h - the questions to the kernel about a connection, and the deeds
 *
 * Everything above this folder is plain C: verbs and reaper -> closer, verdict
 * -> kernel.  Linux answers in linux*.c, any other system in posix*.c; the
 * Makefile links one of the two sets, and common.c with either.  Each habit of
 * Linux that they rest on has a test in test/facts.
 *
 * No call here changes flags of the descriptor or blocks, save
 * graceclose_tcp_wait().  `kind' is what graceclose_tcp_kind() returned.  The
 * version script hides these names in the shared library; the prefix keeps
 * them apart from a program's own names in the static one.
 */
#ifndef GRACECLOSE_KERNEL_H
#define GRACECLOSE_KERNEL_H

#include <sys/types.h>

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What kind of stream a descriptor is. */
enum {
	GRACECLOSE_KIND_TCP = 1,
	GRACECLOSE_KIND_LAYERED,	/* TCP below kTLS, or another ULP */
	GRACECLOSE_KIND_MPTCP,
	GRACECLOSE_KIND_FALLBACK,	/* MPTCP whose peer only speaks TCP */
	GRACECLOSE_KIND_LOCAL		/* AF_UNIX: no acknowledgements */
};

/* How a connection stands, as far as this host knows. */
enum {
	GRACECLOSE_STATE_OPEN,		/* the peer may still send */
	GRACECLOSE_STATE_FINISHED,	/* the peer's FIN arrived */
	GRACECLOSE_STATE_ENDED,		/* both FINs are acknowledged */
	GRACECLOSE_STATE_DEAD		/* reset, or given up by the kernel */
};

/*
 * --- Questions: no call consumes data or an error, unless it says so. ---
 */

/* What is known of the input before anything is read. */
enum {
	GRACECLOSE_INPUT_UNKNOWN,	/* bytes, or nobody can say */
	GRACECLOSE_INPUT_NONE,		/* save behind a mark of urgent data */
	GRACECLOSE_INPUT_ENDED		/* nothing unread, and the peer's FIN */
};

/*
 * The kind of a stream socket that is, or may be, connected, and its input: one
 * system call for TCP on Linux.  -1 with errno: EBADF; ENOTSOCK; EOPNOTSUPP,
 * not a stream that the library knows; ENOTCONN, a listening socket.
 */
int	graceclose_tcp_kind(int fd, int *input);

/*
 * The final kind, in one more call.  TCP may lie below a layer of the kernel.
 * MPTCP that fell back passes its questions on to a TCP socket, so
 * graceclose_tcp_kind() takes it for TCP; its counts and states differ.
 */
int	graceclose_tcp_kind_proper(int fd, int kind);

/*
 * What to ask poll(2) about a connection.  POLLOUT: a connection that is quiet
 * and writable reports it and nothing else, which listeners and pipes do not.
 * POLLWRBAND: TCP never reports it, datagram sockets do.
 */
extern const short graceclose_tcp_events;

/* poll(2) without a wait and without EINTR. */
int	graceclose_tcp_poll(struct pollfd *fds, size_t n);

/*
 * GRACECLOSE_STATE_*, given what poll(2) reported for graceclose_tcp_events.
 * -1 with errno: as graceclose_tcp_kind(), and ENOTCONN for a socket that was
 * never connected.  With plain POSIX it may peek one byte.
 */
int	graceclose_tcp_state(int fd, short revents);

/*
 * ENDED or DEAD, for a connection that graceclose_tcp_gone() says is gone.
 * error: an error was pending, and the caller has taken it.  seen: the caller
 * saw the connection alive, and took no error since.  -1 and ENOTCONN: there
 * never was a connection, or (POSIX) nobody can tell how it ended.
 */
int	graceclose_tcp_state_of_gone(int fd, int kind, bool error, bool seen);

/* TCP state CLOSE or TIME_WAIT: after an RST, or an orderly end. */
bool	graceclose_tcp_gone(int fd, int kind);

/* Whether an error is pending, which stays pending. */
bool	graceclose_tcp_failed(int fd);

/*
 * Whether the connection still lives although recv(2) failed.  With IP_RECVERR
 * an ICMP message is an error, once, and the connection goes on (RFC 1122
 * 4.2.3.9, tcp_v4_err()).
 */
bool	graceclose_tcp_goes_on(int fd, int kind);

/* Whether there ever was a connection, of one that is gone. */
bool	graceclose_tcp_was_connected(int fd, int kind);

/*
 * Whether a recv(2) of 0 on an empty receive queue means the peer's FIN.  Our
 * own SHUT_RD, or a reset whose error was taken, makes recv return 0 as well.
 */
bool	graceclose_tcp_finished(int fd, int kind);

/*
 * The same question where no recv(2) was tried; true only when nothing is
 * unread.  false: unknown, so try recv(2).
 */
bool	graceclose_tcp_at_end(int fd, int kind);

/*
 * Whether the handshake is not complete yet, as on the accepting side of TCP
 * Fast Open: graceclose_tcp_outq() is 0 then, whatever was written.
 */
bool	graceclose_tcp_opening(int fd, int kind);

/* Whether input is unread, given what poll(2) reported. */
bool	graceclose_tcp_unread(int fd, short revents);

/*
 * Bytes sent and not acknowledged; an unacknowledged FIN counts as one.  After
 * a reset the number stays what it was.  -1 with errno: the kernel cannot say.
 * Of AF_UNIX only 0 is a count: the peer's program has read everything.
 */
int64_t	graceclose_tcp_outq(int fd, int kind);

/* Whether graceclose_tcp_outq() is still true of a dead connection. */
bool	graceclose_tcp_remembers(int fd, int kind);

/*
 * Whether another holder of the descriptor ended the connection by
 * connect(AF_UNSPEC), which starts the count anew.
 */
bool	graceclose_tcp_anew(int fd);

/*
 * Whether the count may be lost already, of MPTCP that fell back.  Ask after
 * graceclose_tcp_outq().
 */
bool	graceclose_tcp_forgot(int fd, int kind);

/* Whether the last of the unacknowledged bytes is our FIN. */
bool	graceclose_tcp_fin_unacked(int fd, int kind);

/*
 * Whether the FIN, which is queued, has left.  false: it waits for the peer's
 * window, or the kernel cannot say.  Works of a dead connection, too.
 */
bool	graceclose_tcp_fin_left(int fd, int kind);

/*
 * Whether bytes that were written may wait in a layer above TCP, where
 * graceclose_tcp_outq() does not count them and SHUT_WR would destroy them.
 */
bool	graceclose_tcp_withholds(int fd, int kind);

/*
 * --- Deeds. ---
 */

/*
 * Discards at most max bytes of input.  Returns their number, 0 at EOF, or -1
 * with errno: EAGAIN, nothing is unread; ECONNRESET takes the pending error.
 */
ssize_t	graceclose_tcp_discard(int fd, int kind, size_t max);

/*
 * The same, into a buffer.  *data: this is what the peer's program wrote, and
 * not a message of the layer itself, such as an alert of TLS.
 */
ssize_t	graceclose_tcp_receive(int fd, int kind, void *buf, size_t size,
	    bool *data);

/*
 * Lets a layer above TCP send a record that MSG_MORE left open.  0: not now, so
 * try again; -1: a FIN or the end of the connection has cut it off.
 */
int	graceclose_tcp_push(int fd);

/*
 * Takes one notice of MSG_ZEROCOPY, time stamps or IP_RECVERR from the error
 * queue.  While one is queued poll(2) reports POLLERR, which nobody can mask.
 */
void	graceclose_tcp_skip_notice(int fd, int kind);

/* Takes the pending error: its errno value, 0 where there is none. */
int	graceclose_tcp_take_error(int fd);

/* An SO_LINGER left by the program would make close(2) block, or reset. */
void	graceclose_tcp_unlinger(int fd);

/* Resets the connection now; close(2) is still to come. */
void	graceclose_tcp_abort(int fd, int kind);

/* close(2): 0 or the errno value; the descriptor is released in any case. */
int	graceclose_tcp_close(int fd);

/*
 * --- Time and waiting. ---
 */

int64_t	graceclose_tcp_clock(void);	/* CLOCK_MONOTONIC, microseconds */

/*
 * A blocking wait: the epoll descriptor, made where poll(2) will not do; the
 * program's cancel state, which holds while it waits; whether input and the
 * peer's FIN are all that is awaited; whether the last event said that there is
 * neither.
 */
struct graceclose_waiter {
	int	epfd;
	int	cancel;
	bool	input_only;
	bool	no_input;
};
#define GRACECLOSE_WAITER_UNTRIED	(-1)
#define GRACECLOSE_WAITER_REFUSED	(-2)

/* Whether the wait sees what GRACECLOSE_EDGES promises, so far as is known. */
bool	graceclose_tcp_has_edges(const struct graceclose_waiter *w, int kind);

/*
 * Waits for an event of fd, a signal, or timeout_ms (-1: no limit), and need
 * not say which.  It may be cancelled there; the caller has disabled it, and
 * finds it disabled.  graceclose_tcp_wait_end() releases what it opened.
 */
void	graceclose_tcp_wait(struct graceclose_waiter *w, int fd, short events,
	    int timeout_ms);
void	graceclose_tcp_wait_end(struct graceclose_waiter *w);

/* Sleeps for a while, at most timeout_ms: where nothing that waits works. */
void	graceclose_tcp_nap(int timeout_ms);

#endif /* GRACECLOSE_KERNEL_H */
