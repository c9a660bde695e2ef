/*
 * netns.c - two hosts on this machine: network namespaces, with no link yet
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <linux/if_tun.h>
#include <linux/ipv6.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "network/netns.h"
#include "support/util.h"

#define RTO_MS		20
#define RTO_MS_DEFAULT	200	/* TCP_RTO_MIN of the kernel */
#define TXQUEUELEN	8192
#define TENTATIVE_MS	2000
#define PREFIX_IPV6	64

static const struct {
	const char	*device;
	const char	*ipv4;
	const char	*ipv6;
} hosts[T_NETNS_COUNT] = {
	[T_NS_US] = { "us", "192.0.2.1", "2001:db8::1" },
	[T_NS_PEER] = { "peer", "192.0.2.2", "2001:db8::2" }
};
#define NETMASK		"255.255.255.0"

/*
 * A kernel may lack one or the other: then it does without.  What one
 * connection found out of the way is not to change the next one, hosts that
 * look for a router would send packets by themselves, and what has an old time
 * stamp is dropped unseen where a segment overtook it (RFC 7323, section 5).
 */
#define RTO_MIN		"/proc/sys/net/ipv4/tcp_rto_min_us"
static const struct {
	const char	*path;
	const char	*value;
} settings[] = {
	{ RTO_MIN, "20000" },		/* RTO_MS; since Linux 6.11 */
	{ "/proc/sys/net/ipv4/tcp_no_metrics_save", "1" },
	{ "/proc/sys/net/ipv4/tcp_timestamps", "0" },
	{ "/proc/sys/net/ipv4/conf/all/rp_filter", "0" },
	{ "/proc/sys/net/ipv4/conf/default/rp_filter", "0" },
	{ "/proc/sys/net/ipv6/conf/default/accept_ra", "0" },
	{ "/proc/sys/net/ipv6/conf/default/router_solicitations", "0" },
	{ "/proc/sys/net/ipv6/conf/default/addr_gen_mode", "1" },
	{ "/proc/sys/net/mptcp/enabled", "1" }
};

static int tun[T_NETNS_COUNT] = { -1, -1 };
static int net[T_NETNS_COUNT] = { -1, -1 };
static int rto_ms = RTO_MS_DEFAULT;
static char why[96] = "t_netns_prepare was not called";

static bool
failed(const char *what)
{
	snprintf(why, sizeof(why), "no network of our own here: %s: %s", what,
	    strerror(errno));
	return false;
}

/*
 * Namespaces
 */

static bool
put(const char *path, const char *text)
{
	ssize_t n;
	int fd;

	if ((fd = open(path, O_WRONLY | O_CLOEXEC)) == -1)
		return false;
	n = write(fd, text, strlen(text));
	close(fd);
	return n == (ssize_t)strlen(text);
}

/* Who is not root may be it in a namespace of users of his own. */
static bool
become_root(void)
{
	char uid[32], gid[32];

	snprintf(uid, sizeof(uid), "0 %u 1", (unsigned)getuid());
	snprintf(gid, sizeof(gid), "0 %u 1", (unsigned)getgid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == -1)
		return failed("unshare");
	if (!put("/proc/self/setgroups", "deny") ||
	    !put("/proc/self/gid_map", gid) || !put("/proc/self/uid_map", uid))
		return failed("uid_map");
	return true;
}

static bool
enter_new_network(int host)
{
	if (unshare(CLONE_NEWNET) == -1 && !become_root())
		return false;
	net[host] = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return net[host] != -1 || failed("/proc/thread-self/ns/net");
}

static void
apply_settings(void)
{
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (put(settings[i].path, settings[i].value) &&
		    strcmp(settings[i].path, RTO_MIN) == 0)
			rto_ms = RTO_MS;
}

/*
 * Devices
 */

static struct ifreq
request(const char *device)
{
	struct ifreq ifr;

	memset(&ifr, 0, sizeof(ifr));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", device);
	return ifr;
}

static bool
set_ipv4(int fd, struct ifreq *ifr, bool mask, const char *address)
{
	struct sockaddr_in sin;

	memset(&sin, 0, sizeof(sin));
	sin.sin_family = AF_INET;
	inet_pton(AF_INET, address, &sin.sin_addr);
	memcpy(&ifr->ifr_addr, &sin, sizeof(sin));
	return ioctl(fd, mask ? SIOCSIFNETMASK : SIOCSIFADDR, ifr) == 0;
}

/*
 * A new address is tentative until a worker of the kernel has seen that nobody
 * else is to be asked: nothing can be bound to it, and what leaves has ::1 for
 * its source.
 */
static void
await_ipv6(int fd, const char *address)
{
	struct sockaddr_in6 sin6;
	int tries;

	memset(&sin6, 0, sizeof(sin6));
	sin6.sin6_family = AF_INET6;
	inet_pton(AF_INET6, address, &sin6.sin6_addr);
	for (tries = 0; tries < TENTATIVE_MS; tries++) {
		if (bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)) == 0)
			break;
		(void)poll(NULL, 0, 1);
	}
}

/* Where there is no IPv6, the tests of it are skipped: that is no failure. */
static void
set_ipv6(const char *device, const char *address)
{
	struct in6_ifreq ifr;
	int fd;

	if ((fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		return;
	memset(&ifr, 0, sizeof(ifr));
	inet_pton(AF_INET6, address, &ifr.ifr6_addr);
	ifr.ifr6_prefixlen = PREFIX_IPV6;
	ifr.ifr6_ifindex = (int)if_nametoindex(device);
	if (ioctl(fd, SIOCSIFADDR, &ifr) == 0)
		await_ipv6(fd, address);
	close(fd);
}

static bool
set_up(int fd, struct ifreq *ifr)
{
	if (ioctl(fd, SIOCGIFFLAGS, ifr) == -1)
		return false;
	ifr->ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, ifr) == 0;
}

static bool
configure(int fd, int host)
{
	struct ifreq ifr = request("lo");

	if (!set_up(fd, &ifr))
		return false;
	ifr = request(hosts[host].device);
	ifr.ifr_mtu = T_NETNS_MTU;
	if (ioctl(fd, SIOCSIFMTU, &ifr) == -1)
		return false;
	/* Only the root of all may: 500 packets must do for others. */
	ifr.ifr_qlen = TXQUEUELEN;
	(void)ioctl(fd, SIOCSIFTXQLEN, &ifr);
	if (!set_ipv4(fd, &ifr, false, hosts[host].ipv4) ||
	    !set_ipv4(fd, &ifr, true, NETMASK) || !set_up(fd, &ifr))
		return false;
	set_ipv6(hosts[host].device, hosts[host].ipv6);
	return true;
}

static bool
open_tun(int host)
{
	struct ifreq ifr = request(hosts[host].device);
	bool done;
	int fd;

	tun[host] = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tun[host] == -1)
		return failed("/dev/net/tun");
	ifr.ifr_flags = IFF_TUN | IFF_NO_PI;
	if (ioctl(tun[host], TUNSETIFF, &ifr) == -1)
		return failed("TUNSETIFF");
	if ((fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		return failed("socket");
	done = configure(fd, host) || failed(hosts[host].device);
	close(fd);
	return done;
}

static bool
make(int host)
{
	if (!enter_new_network(host))
		return false;
	apply_settings();
	return open_tun(host);
}

static void
unmake(int host)
{
	if (tun[host] != -1)
		close(tun[host]);
	if (net[host] != -1)
		close(net[host]);
	tun[host] = net[host] = -1;
}

void
t_netns_prepare(void)
{
	unmake(T_NS_US);
	unmake(T_NS_PEER);
	/* The process stays in the namespace that it made last. */
	if (make(T_NS_PEER) && make(T_NS_US))
		why[0] = '\0';
}

const char *
t_netns_missing(void)
{
	return why[0] == '\0' ? NULL : why;
}

int
t_netns_rto_ms(void)
{
	return rto_ms;
}

int
t_netns_tun(int host)
{
	return tun[host];
}

/*
 * Sockets
 */

/* A socket stays where it was made, wherever its thread goes. */
int
t_netns_socket(int host, int family)
{
	int fd;

	ck_assert_int_eq(setns(net[host], CLONE_NEWNET), 0);
	fd = socket(t_families[family].domain, SOCK_STREAM | SOCK_CLOEXEC,
	    t_families[family].protocol);
	ck_assert_int_eq(setns(net[T_NS_US], CLONE_NEWNET), 0);
	ck_assert_msg(fd != -1, "%s: %s", t_families[family].name,
	    strerror(errno));
	return fd;
}

socklen_t
t_netns_address(struct sockaddr_storage *ss, int host, int family,
    in_port_t port)
{
	struct sockaddr_in6 *sin6 = (void *)ss;
	struct sockaddr_in *sin = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	ss->ss_family = (sa_family_t)t_families[family].domain;
	if (ss->ss_family == AF_INET) {
		sin->sin_port = htons(port);
		inet_pton(AF_INET, hosts[host].ipv4, &sin->sin_addr);
		return sizeof(*sin);
	}
	sin6->sin6_port = htons(port);
	inet_pton(AF_INET6, hosts[host].ipv6, &sin6->sin6_addr);
	return sizeof(*sin6);
}
