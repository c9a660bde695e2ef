/* packets.c - see packets.h */
#include "closewatch/packets.h"

#ifdef HAVE_PCAP

#include <sys/eventfd.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <pcap/pcap.h>

#define SECOND	((int64_t)1000000)
#define SNAPLEN	256			/* all headers, and no more */
#define BATCH	1000

struct packets {
	pcap_t		*pcap;
	bool		 file;
	int		 link;
	int		 wakeup;	/* an eventfd */
	struct follow	*follow;	/* the file, if it still grows */
	char		 error[PCAP_ERRBUF_SIZE + 64];
	volatile sig_atomic_t stopped;

	packets_take	*take;		/* while it reads */
	void		*arg;
};

/* --- open and close ------------------------------------------------------ */

static struct packets *
begin(const char **why)
{
	struct packets *p = calloc(1, sizeof(*p));

	*why = "no memory for a capture";
	if (p == NULL)
		return NULL;
	if ((p->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) != -1)
		return p;
	*why = "no descriptor for a capture";
	free(p);
	return NULL;
}

void
packets_close(struct packets *p)
{
	if (p->pcap != NULL)
		pcap_close(p->pcap);
	follow_free(p->follow);
	close(p->wakeup);
	free(p);
}

/* NULL: segment_parse() reads this link type. */
static const char *
unread_link(int link)
{
	static char text[64];
	const char *name;

	switch (link) {
	case DLT_EN10MB:
	case DLT_RAW:
	case DLT_NULL:
	case DLT_LOOP:
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
		return NULL;
	}
	if ((name = pcap_datalink_val_to_name(link)) != NULL)
		snprintf(text, sizeof(text), "link type %.40s is not read",
		    name);
	else
		snprintf(text, sizeof(text), "link type %d is not read", link);
	return text;
}

/* What to do when pcap_activate() failed. */
static const char *
remedy(pcap_t *pcap, int status)
{
	switch (status) {
	case PCAP_ERROR_PERM_DENIED:
	case PCAP_ERROR_PROMISC_PERM_DENIED:
		return "no right to capture: run it as root, or give it "
		    "CAP_NET_RAW with setcap(8)";
	case PCAP_ERROR_NO_SUCH_DEVICE:
		return "no such interface: ip link shows those there are";
	case PCAP_ERROR_IFACE_NOT_UP:
		return "the interface is down: ip link set it up";
	default:
		return pcap_geterr(pcap);
	}
}

static bool
set_filter(pcap_t *pcap, int port)
{
	struct bpf_program program;
	char text[32] = "tcp";
	int rv;

	if (port != 0)
		snprintf(text, sizeof(text), "tcp port %d", port);
	if (pcap_compile(pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN) == -1)
		return false;
	rv = pcap_setfilter(pcap, &program);
	pcap_freecode(&program);
	return rv != -1;
}

/*
 * AF_PACKET shows each packet of lo twice, outgoing and incoming; libpcap drops
 * the first.
 */
static const char *
start(struct packets *p, const char *name, int port, char *error)
{
	int status;

	if ((p->pcap = pcap_create(name, error)) == NULL)
		return error;
	pcap_set_snaplen(p->pcap, SNAPLEN);
	pcap_set_immediate_mode(p->pcap, 1);
	if ((status = pcap_activate(p->pcap)) < 0)
		return remedy(p->pcap, status);
	if (pcap_setnonblock(p->pcap, 1, error) == -1)
		return error;
	if (!set_filter(p->pcap, port))
		return pcap_geterr(p->pcap);
	if (pcap_get_selectable_fd(p->pcap) == -1)
		return "cannot be waited for";
	p->link = pcap_datalink(p->pcap);
	return unread_link(p->link);
}

struct packets *
packets_interface(const char *name, int port, const char **why)
{
	static char text[PCAP_ERRBUF_SIZE];
	char error[PCAP_ERRBUF_SIZE] = "";
	struct packets *p = begin(why);
	const char *failed;

	if (p == NULL || (failed = start(p, name, port, error)) == NULL)
		return p;
	snprintf(text, sizeof(text), "%s", failed);
	*why = text;
	packets_close(p);
	return NULL;
}

struct packets *
packets_file(const char *name, const char **why)
{
	static char text[PCAP_ERRBUF_SIZE + 64];
	char error[PCAP_ERRBUF_SIZE];
	struct packets *p = begin(why);

	if (p == NULL)
		return NULL;
	if ((p->pcap = pcap_open_offline(name, error)) == NULL) {
		snprintf(text, sizeof(text),
		    "no capture as tcpdump -w makes it: %s", error);
		*why = text;
		packets_close(p);
		return NULL;
	}
	p->file = true;
	p->link = pcap_datalink(p->pcap);
	if ((*why = unread_link(p->link)) == NULL)
		return p;
	packets_close(p);
	return NULL;
}

/*
 * Only the file is opened: its beginning, too, may not have been written yet,
 * and is read without privileges.
 */
struct packets *
packets_followed(const char *name, const struct follow_options *o,
    const char **why)
{
	struct packets *p = begin(why);

	if (p == NULL)
		return NULL;
	p->file = true;
	p->follow = follow_open(name, o, p->wakeup, &p->stopped, why);
	if (p->follow != NULL)
		return p;
	packets_close(p);
	return NULL;
}

/* --- read ---------------------------------------------------------------- */

/* A file may contain any number. */
static int64_t
packet_us(const struct pcap_pkthdr *header)
{
	int64_t s = header->ts.tv_sec, us = header->ts.tv_usec;

	if (s < 0 || s > UINT32_MAX)
		s = s < 0 ? 0 : UINT32_MAX;
	if (us < 0 || us >= SECOND)
		us = us < 0 ? 0 : SECOND - 1;
	return s * SECOND + us;
}

static void
on_packet(u_char *user, const struct pcap_pkthdr *header, const u_char *packet)
{
	struct packets *p = (struct packets *)user;
	struct segment s = { .us = packet_us(header) };
	bool tcp = segment_parse(&s, p->link, packet, header->caplen,
	    header->len);

	p->take(p->arg, s.us, tcp ? &s : NULL);
}

static void
await(const struct packets *p, int timeout_ms)
{
	struct pollfd pfds[2] = {
		{ .fd = pcap_get_selectable_fd(p->pcap), .events = POLLIN },
		{ .fd = p->wakeup, .events = POLLIN },
	};

	if (poll(pfds, 2, timeout_ms) == -1 && errno != EINTR)
		err(1, "poll");
}

/* False: p->error says why. */
static bool
begin_file(struct packets *p)
{
	char error[PCAP_ERRBUF_SIZE];
	const char *unread;
	FILE *fp;

	if ((fp = follow_stream(p->follow)) == NULL) {
		snprintf(p->error, sizeof(p->error), "no memory to read it");
		return false;
	}
	if ((p->pcap = pcap_fopen_offline(fp, error)) == NULL) {
		fclose(fp);
		snprintf(p->error, sizeof(p->error),
		    "no capture as tcpdump -w makes it: %s", error);
		return false;
	}
	p->link = pcap_datalink(p->pcap);
	if ((unread = unread_link(p->link)) != NULL)
		snprintf(p->error, sizeof(p->error), "%s", unread);
	return unread == NULL;
}

static int
dispatch(struct packets *p)
{
	int n = pcap_dispatch(p->pcap, BATCH, on_packet, (u_char *)p);

	if (n < 0)
		snprintf(p->error, sizeof(p->error), "%s",
		    pcap_geterr(p->pcap));
	if (n > 0 || p->follow == NULL || !follow_truncated(p->follow))
		return n;
	snprintf(p->error, sizeof(p->error), "%s", follow_ended(p->follow));
	return -1;
}

int
packets_read(struct packets *p, int timeout_ms, packets_take *take, void *arg)
{
	int n = -1;

	p->take = take;
	p->arg = arg;
	if (!p->file)
		await(p, timeout_ms);
	if (p->pcap != NULL || begin_file(p))
		n = dispatch(p);
	if (n < 0 && p->file && p->stopped)
		return 0;		/* interrupted by packets_stop() */
	return n < 0 ? -1 : n;
}

const char *
packets_error(struct packets *p)
{
	return p->error;
}

const char *
packets_ended(const struct packets *p)
{
	return p->follow != NULL ? follow_ended(p->follow) : NULL;
}

/* On an interface one more batch, of packets that have arrived, is read. */
void
packets_stop(struct packets *p)
{
	int saved = errno;
	ssize_t n;

	p->stopped = true;
	if (p->file && p->pcap != NULL)
		pcap_breakloop(p->pcap);
	n = write(p->wakeup, &(uint64_t){ 1 }, sizeof(uint64_t));
	(void)n;
	errno = saved;
}

bool
packets_stopped(const struct packets *p)
{
	return p->stopped;
}

uint64_t
packets_missed(struct packets *p)
{
	struct pcap_stat stat;

	return p->file || pcap_stats(p->pcap, &stat) == -1 ? 0 : stat.ps_drop;
}

#else /* HAVE_PCAP */

#include <stddef.h>

static const char without[] =
    "built without libpcap: install libpcap-dev, and build it again";

struct packets *
packets_interface(const char *name, int port, const char **why)
{
	(void)name;
	(void)port;
	*why = without;
	return NULL;
}

struct packets *
packets_file(const char *name, const char **why)
{
	(void)name;
	*why = without;
	return NULL;
}

struct packets *
packets_followed(const char *name, const struct follow_options *o,
    const char **why)
{
	(void)name;
	(void)o;
	*why = without;
	return NULL;
}

void
packets_close(struct packets *p)
{
	(void)p;
}

int
packets_read(struct packets *p, int timeout_ms, packets_take *take, void *arg)
{
	(void)p;
	(void)timeout_ms;
	(void)take;
	(void)arg;
	return -1;
}

const char *
packets_error(struct packets *p)
{
	(void)p;
	return without;
}

const char *
packets_ended(const struct packets *p)
{
	(void)p;
	return NULL;
}

void
packets_stop(struct packets *p)
{
	(void)p;
}

bool
packets_stopped(const struct packets *p)
{
	(void)p;
	return true;
}

uint64_t
packets_missed(struct packets *p)
{
	(void)p;
	return 0;
}

#endif /* HAVE_PCAP */
