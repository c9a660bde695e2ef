/*
 * ktls.h - connections whose TLS records the kernel makes and reads
 *
 * TLS 1.2, AES-GCM-128, with keys set by hand: no handshake, and no library.
 * One side may be left in plain TCP; then it sends and sees the records.
 */
#ifndef TEST_KTLS_H
#define TEST_KTLS_H

#include <sys/types.h>

#include <pthread.h>
#include <stddef.h>

#include "network/closing.h"
#include "support/util.h"

/* The directions in which the kernel of a side works. */
#define KTLS_TX		1
#define KTLS_RX		2
#define KTLS_BOTH	(KTLS_TX | KTLS_RX)

/* Record types of TLS. */
#define KTLS_ALERT	21
#define KTLS_HANDSHAKE	22
#define KTLS_DATA	23

#define KTLS_RECORD	16384	/* the most that a record holds */
#define KTLS_OVERHEAD	29	/* of a record: 5 + 8 before, 16 behind */

/* Why there is no kTLS here, or NULL. */
const char	*ktls_missing(void);
#define ktls_need() do {						\
	if (ktls_missing() != NULL)					\
		t_skip(ktls_missing());					\
} while (0)

/* The kernel takes over these directions of the side that is `ours`. */
void		 ktls_on(int fd, int directions, int ours);

/* A pair, and these directions of us; the peer has the opposite ones. */
void		 ktls_pair(struct t_pair *, int directions);

/*
 * A small SO_SNDBUF, O_NONBLOCK, and send(2) of 16384 bytes until EAGAIN: what
 * does not fit into the send queue waits in the TLS layer.  Returns the bytes
 * taken.  ktls_fill_open sends pieces of 1000 with MSG_MORE, so that the last
 * record stays open.
 */
size_t		 ktls_fill(int fd);
size_t		 ktls_fill_open(int fd);

/* One record of a type, each byte `fill`; or a part of it, with MSG_MORE. */
void		 ktls_send(int fd, int type, size_t n, int fill, int flags);

/* sendmsg(2) of no byte, and the type of the next record: errno, or 0. */
int		 ktls_flush(int fd, int type);

/* A request where a record should be. */
void		 ktls_plain_text(int fd);

/* A record of application data that nobody can decrypt. */
void		 ktls_corrupt(int fd, size_t n);

/* recvmsg(2) without a wait: its result, and the type of the record. */
ssize_t		 ktls_receive(int fd, void *buf, size_t size, int *type);

/* What a side in plain TCP finds in the stream until EOF or an error. */
struct ktls_wire {
	int	records;
	int	empty;		/* among these: without payload */
	int	odd;		/* among these: not of type KTLS_DATA */
	size_t	payload;
	size_t	torn;		/* bytes behind the last complete record */
	int	error;		/* as in struct t_got */
};
struct ktls_wire ktls_wire(int fd);

/*
 * A thread at the peer: it waits so long, reads until EOF or an error, and
 * closes.  Where the peer is in plain TCP and gets records, it parses them.
 */
struct ktls_peer {
	pthread_t	 thread;
	int		 fd;
	int		 after_ms;
	int		 parses;
	struct ktls_wire wire;
	struct t_got	 got;		/* of payload in both cases */
};
void		 ktls_peer(struct ktls_peer *, int fd, int after_ms,
		    int parses);
struct t_got	 ktls_peer_join(struct ktls_peer *);

/*
 * Every form of close that waits, with limits that are not reached.  The first
 * ones wait for the peer's FIN as well.
 */
#define KTLS_WAYS	7
#define KTLS_FINISHING	5
extern const struct closing_way ktls_ways[KTLS_WAYS];

#endif /* TEST_KTLS_H */
