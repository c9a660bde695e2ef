/*
 * sniff.c - see sniff.h
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "closewatch/segment.h"
#include "support/sniff.h"
#include "support/util.h"

#define LINK_EN10MB	1		/* what lo says it is */

/* The headers of a segment fit in a frame; the rest of it is left out. */
#define FRAME		((size_t)256)
#define BLOCK		((size_t)65536)
#define BLOCKS		((size_t)64)
#define FRAMES		(BLOCK / FRAME * BLOCKS)

/* The address follows the header, aligned. */
_Static_assert(sizeof(struct tpacket2_hdr) % TPACKET_ALIGNMENT == 0,
    "there is a gap");

/* So many looks in vain mean that others use this loopback, too. */
#define ROUNDS		1000

static int tap = -1;
static int marker = -1;
static unsigned char *ring;
static size_t *next_frame;	/* shared with the forked tests, as the ring */
static struct segment seen[FRAMES];
static size_t nseen;
static char why[96];

static int
failed(const char *what)
{
	snprintf(why, sizeof(why), "no capture here: %s: %s", what,
	    strerror(errno));
	return -1;
}

/*
 * A network to be alone in
 */

static int
set_up(const char *name)
{
	struct ifreq ifr;
	int fd, result;

	if ((fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		return -1;
	memset(&ifr, 0, sizeof(ifr));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ifr.ifr_flags = IFF_UP;
	result = ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return result;
}

/*
 * Loopback delivers through a queue of the CPU that sent.  With all the
 * programs of a test on one CPU there is one queue, and who has seen the last
 * of it has seen everything.
 */
static void
stay_on_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/*
 * The capture, one for all tests, as it takes the kernel 50 ms to open it
 */

static int
share_ring(void)
{
	struct tpacket_req req;
	int version;

	version = TPACKET_V2;
	memset(&req, 0, sizeof(req));
	req.tp_block_size = BLOCK;
	req.tp_block_nr = BLOCKS;
	req.tp_frame_size = FRAME;
	req.tp_frame_nr = FRAMES;
	if (setsockopt(tap, SOL_PACKET, PACKET_VERSION, &version,
	    sizeof(version)) == -1 ||
	    setsockopt(tap, SOL_PACKET, PACKET_RX_RING, &req,
	    sizeof(req)) == -1)
		return failed("PACKET_RX_RING");
	ring = mmap(NULL, BLOCK * BLOCKS, PROT_READ | PROT_WRITE,
	    MAP_SHARED, tap, 0);
	next_frame = mmap(NULL, sizeof(*next_frame), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ring == MAP_FAILED || next_frame == MAP_FAILED)
		return failed("mmap");
	return 0;
}

/* Without a protocol until it is bound, it takes nothing from elsewhere. */
static int
open_tap(void)
{
	struct sockaddr_ll ll;

	tap = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (tap == -1)
		return failed("AF_PACKET");
	if (share_ring() == -1)
		return -1;
	memset(&ll, 0, sizeof(ll));
	ll.sll_family = AF_PACKET;
	ll.sll_protocol = htons(ETH_P_ALL);
	ll.sll_ifindex = (int)if_nametoindex("lo");
	if (bind(tap, (struct sockaddr *)&ll, sizeof(ll)) == -1)
		return failed("lo");
	return 0;
}

/* A datagram socket that is its own peer. */
static int
open_marker(void)
{
	const struct timeval limit = { .tv_sec = T_LIMIT_MS / 1000 };
	struct sockaddr_in in;
	socklen_t len;

	memset(&in, 0, sizeof(in));
	in.sin_family = AF_INET;
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	len = sizeof(in);
	marker = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (marker == -1 ||
	    bind(marker, (struct sockaddr *)&in, len) == -1 ||
	    getsockname(marker, (struct sockaddr *)&in, &len) == -1 ||
	    connect(marker, (struct sockaddr *)&in, len) == -1 ||
	    setsockopt(marker, SOL_SOCKET, SO_RCVTIMEO, &limit,
	    sizeof(limit)) == -1)
		return failed("a datagram to myself");
	return 0;
}

void
sniff_prepare(void)
{
	if (unshare(CLONE_NEWNET) == 0 ||
	    unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)
		(void)set_up("lo");
	stay_on_this_cpu();
	if (open_tap() == 0)
		(void)open_marker();
}

const char *
sniff_missing(void)
{
	return why[0] == '\0' ? NULL : why;
}

/* Loopback shows each packet twice: as it leaves and as it arrives. */
static void
take(const unsigned char *frame)
{
	const struct tpacket2_hdr *h = (const void *)frame;
	const struct sockaddr_ll *ll = (const void *)(h + 1);

	if (ll->sll_pkttype != PACKET_OUTGOING || nseen == FRAMES ||
	    !segment_parse(&seen[nseen], LINK_EN10MB, frame + h->tp_mac,
	    h->tp_snaplen, h->tp_len))
		return;
	seen[nseen++].us = (int64_t)h->tp_sec * 1000000 + h->tp_nsec / 1000;
}

static void
none_dropped(void)
{
	struct tpacket_stats st;
	socklen_t len;

	len = sizeof(st);
	ck_assert_int_eq(getsockopt(tap, SOL_PACKET, PACKET_STATISTICS, &st,
	    &len), 0);
	ck_assert_msg(st.tp_drops == 0 && nseen < FRAMES,
	    "capture: no room for %u packets", st.tp_drops);
}

const struct segment *
sniff_now(size_t *n)
{
	struct tpacket2_hdr *h;

	for (;;) {
		h = (void *)(ring + *next_frame * FRAME);
		if ((__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) &
		    TP_STATUS_USER) == 0)
			break;
		take((unsigned char *)h);
		__atomic_store_n(&h->tp_status, TP_STATUS_KERNEL,
		    __ATOMIC_RELEASE);
		*next_frame = (*next_frame + 1) % FRAMES;
	}
	none_dropped();
	*n = nseen;
	return seen;
}

/*
 * A segment that was sent is delivered before the marker is, but the answer to
 * it comes after: it is quiet when a marker was alone.
 */
const struct segment *
sniff_settled(size_t *n)
{
	size_t before;
	int rounds;
	char c;

	(void)sniff_now(n);
	rounds = 0;
	do {
		before = *n;
		ck_assert_int_eq(send(marker, "", 1, 0), 1);
		ck_assert_int_eq(recv(marker, &c, 1, 0), 1);
		(void)sniff_now(n);
	} while (*n != before && ++rounds < ROUNDS);
	return seen;
}

void
sniff_again(void)
{
	size_t n;

	(void)sniff_settled(&n);
	nseen = 0;
}
