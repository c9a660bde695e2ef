/*
 * kernel.h - a scripted kernel with one connection, in a program
 *
 * It answers the system calls of lib/ as Linux does (the suites check_facts_*
 * show how), and a test may read its state at any time.  A string of bytes, the
 * script, decides what happens between any two calls: bytes are acknowledged,
 * input, a FIN or a reset arrives, time passes, a call fails.  When the script
 * ends, nothing happens any more.  Time is virtual.
 *
 * This file has the state and the script, kernel_net.h the events of the
 * connection, kernel_call.h the system calls.
 */
#ifndef TEST_KERNEL_H
#define TEST_KERNEL_H

#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {					/* what the descriptor is */
	KERNEL_TCP,
	KERNEL_MPTCP,
	KERNEL_FALLBACK,		/* MPTCP whose peer only knows TCP */
	KERNEL_LOCAL,			/* AF_UNIX, SOCK_STREAM */
	KERNEL_STREAMS,			/* those above are connected streams */
	KERNEL_UNCONNECTED = KERNEL_STREAMS,
	KERNEL_CONNECTING,
	KERNEL_LISTENER,
	KERNEL_LOCAL_UNCONNECTED,
	KERNEL_DATAGRAM,
	KERNEL_PIPE,
	KERNEL_PATH,			/* O_PATH */
	KERNEL_CLOSED,			/* no descriptor at all */
	KERNEL_KINDS
};

enum {					/* what lies above TCP */
	KERNEL_NO_LAYER,
	KERNEL_TLS,			/* kTLS, both directions */
	KERNEL_TLS_RX,
	KERNEL_ULP			/* another */
};

#define KERNEL_FD	7
#define KERNEL_PAGE	4096
#define KERNEL_CALLS_MAX 60000		/* more: it does not end */
#define KERNEL_PATIENCE	((int64_t)10000000)	/* microseconds */

#define KERNEL_RD	1		/* of kernel.shut: SHUT_RD + 1 */
#define KERNEL_WR	2

struct kernel {
	/* The connection, bytes without SYN and FIN. */
	int		kind;
	int		state;		/* of <netinet/tcp.h> */
	int64_t		written;
	int64_t		acked;
	bool		fin, fin_acked;	/* ours: behind the last byte */
	bool		fin_left;	/* the peer's window let it */
	int64_t		unread;		/* of data */
	int64_t		position;	/* of them, in all that ever came */
	bool		peer_fin;
	int		shut;		/* KERNEL_RD | KERNEL_WR */
	int		error;		/* pending */
	bool		icmp;		/* which is what ICMP said, no end */
	bool		muddled;	/* pending at the end, or taken */
	unsigned	notices;	/* of the error queue */
	bool		was_opening;	/* reset during the handshake */
	bool		dead;		/* reset, or given up */
	bool		answered;	/* so by an RST for our FIN, no more */
	int		death;		/* the errno value of its end */
	int		unreachable;	/* and what ICMP said */
	bool		cut;		/* so by another's connect(AF_UNSPEC) */
	bool		ended;		/* in order, both FINs acknowledged */
	bool		caller_fin;	/* SHUT_WR before the library came */
	bool		fin_first;	/* the peer's, likewise */
	bool		error_taken;	/* that of its death, by the caller */
	struct linger	linger;
	bool		edge;		/* epoll(7) has something new to tell */

	/* What lies above TCP. */
	int		layer;
	int64_t		above;		/* written, and not in TCP yet */
	int64_t		open;		/* by MSG_MORE: no promise */
	int64_t		lost;		/* destroyed, behind our FIN */
	bool		torn;		/* and so it has told */
	bool		torn_then[2];	/* that, when the clock was read */
	bool		heard;		/* and the library took it */
	bool		hushed;		/* another error came over it */
	int64_t		drained;	/* TCP had nothing to send since */
	int64_t		inside;		/* of unread: not in TCP any more */
	int64_t		partial;	/* bytes of half a record */
	bool		alert;
	int64_t		alert_at;	/* behind so many bytes unread */
	bool		garbled;	/* nothing can be decrypted */
	bool		unpushed;	/* sendmsg(2) has failed */

	/* What this kernel cannot do, and what it is like. */
	bool		old;		/* no TCP_ZEROCOPY_RECEIVE */
	bool		connecting;	/* our SYN counts as acknowledged */
	bool		no_diag;	/* no sock_diag(7) of MPTCP */
	bool		no_files;	/* RLIMIT_NOFILE is 0 */
	bool		recverr;	/* IP_RECVERR is set */
	bool		narrow;		/* the peer's window keeps our FIN */
	bool		sockmap;	/* with a stream verdict: SK_PASS */
	bool		tardy;		/* the layer takes its time */
	bool		unmarked;	/* MPTCP never shows the peer's FIN */
	bool		stuck;		/* recv fails where input is unread */
	bool		liar;		/* answers are arbitrary */
	bool		endless;	/* the caller sets no limits */

	/* What the library was told, and did. */
	unsigned	calls, events, failures;
	unsigned	closes;
	unsigned	busy;		/* connect(2) was EBUSY so often */
	unsigned	others;		/* descriptors of its own, open */
	bool		watched;	/* the close has begun */
	bool		may_wait;
	int		refused;	/* SHUT_WR: by a security module */
	bool		too_late;	/* SHUT_WR found it over */
	bool		missed;		/* so did the last recv */
	unsigned	balks;		/* and so many of them */
	int64_t		balked;		/* recv failed, and left so much */
	bool		rst_sent;
	bool		blocked;	/* close would have lingered */
	bool		spilt;		/* close found something unread */
	unsigned	swept;		/* call when recv found nothing */
	unsigned	looked;		/* call when the clock was read */
	int64_t		discarded;	/* alerts, too */
	int64_t		late_from;	/* position, when the close began */
	unsigned	consumed;	/* reads, errors, notices, changes */
	int64_t		counted;	/* unacknowledged, when last asked */
	bool		uncounted;	/* it could not be told */
	int64_t		now;		/* microseconds */
	int64_t		started;	/* the clock, first read; 0: never */
	int64_t		clock[2];	/* last read, and before that */
	unsigned	reads;		/* of the clock */
	unsigned	knows;		/* of delivery, since this read; 0: no */
	int64_t		told;		/* progress, the last that it saw */
	int64_t		told_then[2];	/* that, when the clock was read */
	int64_t		progressed;	/* the clock, after news that it saw */
	bool		news, fin_told;
	bool		fresh;		/* news of this step */
};
extern struct kernel kernel;

/* Whether it is TCP, or has it below and passes for it; AF_UNIX. */
bool		 kernel_is_tcp(void);
bool		 kernel_is_local(void);

/* A new one: what it is and has been through is drawn as well. */
void		 kernel_boot(const uint8_t *, size_t);
void		 kernel_watch(void);		/* begin to keep accounts */

/* From the string; 0, the least that may happen, when it is used up. */
unsigned	 kernel_draw(unsigned below);
int64_t		 kernel_draw_amount(void);	/* of bytes */
bool		 kernel_silent(void);		/* it is used up */
bool		 kernel_forsaken(void);		/* and that long ago */
#define kernel_one_of(table)						\
	((table)[kernel_draw(sizeof(table) / sizeof((table)[0]))])

_Noreturn void	 kernel_panic(const char *, const char *file, int line);
#define kernel_must(ok)							\
	((ok) ? (void)0 : kernel_panic(#ok, __FILE__, __LINE__))

/* -DKERNEL_TRACE tells the story of a finding. */
#ifdef KERNEL_TRACE
#define kernel_trace(...)	((void)fprintf(stderr, __VA_ARGS__))
#else
#define kernel_trace(...)	((void)0)
#endif

#endif /* TEST_KERNEL_H */
