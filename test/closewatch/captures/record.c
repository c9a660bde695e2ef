/*
 * record.c - make the captures of this folder, each one way to end a connection,
 * by plain system calls, on a loopback interface of its own
 *
 *	cc -D_GNU_SOURCE -o record record.c -lpcap && unshare -Ur ./record
 *
 * With names as arguments it makes only these.  It keeps the headers only.
 */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pcap/pcap.h>

#define SNAPLEN		128
#define REQUEST		1000		/* bytes, so that each is known again */
#define REPLY		3000
#define LARGE		(1 << 20)
#define QUIET_MS	60		/* beyond a delayed ACK */

struct pair {
	int	client, server;
	union {
		struct sockaddr		sa;
		struct sockaddr_in	sin;
		struct sockaddr_in6	sin6;
	}	at, from;		/* of the server, of the client */
};

static int		domain = AF_INET;
static const char	payload[LARGE];

/* --- functions for the scenes --- */

static socklen_t
address_size(void)
{
	return domain == AF_INET ? sizeof(struct sockaddr_in) :
	    sizeof(struct sockaddr_in6);
}

static void
quiet(void)
{
	poll(NULL, 0, QUIET_MS);
}

static int
new_socket(void)
{
	int fd = socket(domain, SOCK_STREAM, 0);

	if (fd == -1)
		err(1, "socket");
	return fd;
}

static void
set(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)) == -1)
		err(1, "setsockopt %d", option);
}

static void
set_loopback(struct pair *p)
{
	memset(&p->at, 0, sizeof(p->at));
	p->at.sa.sa_family = (sa_family_t)domain;
	if (domain == AF_INET)
		p->at.sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		p->at.sin6.sin6_addr = in6addr_loopback;
}

static int
new_listener(struct pair *p)
{
	socklen_t len = address_size();
	int fd = new_socket();

	set_loopback(p);
	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set(fd, IPPROTO_TCP, TCP_FASTOPEN, 5);
	if (bind(fd, &p->at.sa, len) == -1 || listen(fd, 5) == -1 ||
	    getsockname(fd, &p->at.sa, &len) == -1)
		err(1, "listen");
	return fd;
}

static void
meet(struct pair *p, int listener)
{
	socklen_t len = address_size();

	if ((p->server = accept(listener, &p->from.sa, &len)) == -1)
		err(1, "accept");
	set(p->client, IPPROTO_TCP, TCP_NODELAY, 1);
	set(p->server, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* A buffer that is not 0 keeps the receive queue of that end small. */
static struct pair
connected(int client_buffer, int server_buffer)
{
	struct pair p;
	int listener = new_listener(&p);

	p.client = new_socket();
	if (client_buffer != 0)
		set(p.client, SOL_SOCKET, SO_RCVBUF, client_buffer);
	if (server_buffer != 0)
		set(listener, SOL_SOCKET, SO_RCVBUF, server_buffer);
	if (connect(p.client, &p.at.sa, address_size()) == -1)
		err(1, "connect");
	meet(&p, listener);
	close(listener);
	return p;
}

static struct pair
plain(void)
{
	return connected(0, 0);
}

static void
give(int fd, size_t size)
{
	if (send(fd, payload, size, MSG_NOSIGNAL) != (ssize_t)size)
		err(1, "send");
}

/* Send as much as goes without waiting. */
static void
fill(int fd)
{
	set(fd, SOL_SOCKET, SO_SNDBUF, LARGE);
	if (send(fd, payload, LARGE / 4, MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
		err(1, "send");
	quiet();
}

static void
take(int fd, size_t size)
{
	static char buf[LARGE];

	if (recv(fd, buf, size, MSG_WAITALL) != (ssize_t)size)
		err(1, "recv");
}

static void
take_all(int fd)
{
	static char buf[LARGE];

	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
}

static void
fin(int fd)
{
	if (shutdown(fd, SHUT_WR) == -1)
		err(1, "shutdown");
}

static void
linger0(int fd)
{
	struct linger l = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(fd);
}

static void
unspec(int fd)
{
	struct sockaddr sa = { .sa_family = AF_UNSPEC };

	if (connect(fd, &sa, sizeof(sa)) == -1)
		err(1, "connect AF_UNSPEC");
	close(fd);
}

/* The receiving socket drops segments that have one of these TCP flags. */
static void
drop(int fd, unsigned flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flags, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, ~0u),
	};
	struct sock_fprog program = { 4, code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
	    sizeof(program)) == -1)
		err(1, "SO_ATTACH_FILTER");
}

static void
heal(int fd)
{
	set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
}

static void
sysctl_set(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
	if ((fd = open(path, O_WRONLY)) == -1 ||
	    write(fd, value, strlen(value)) == -1)
		err(1, "%s", path);
	close(fd);
}

static void
exchange(const struct pair *p)
{
	give(p->client, REQUEST);
	take(p->server, REQUEST);
	give(p->server, REPLY);
	take(p->client, REPLY);
	quiet();
}

static void
end(int a, int b)
{
	close(a);
	quiet();
	close(b);
}

/* --- normal ends --- */

static void
four_way(void)
{
	struct pair p = plain();

	exchange(&p);
	end(p.server, p.client);
}

static void
four_way_ipv6(void)
{
	domain = AF_INET6;
	four_way();
	domain = AF_INET;
}

static void
client_first(void)
{
	struct pair p = plain();

	exchange(&p);
	end(p.client, p.server);
}

/* The ACK of the FIN waits for a while, and the second FIN takes it along. */
static void
three_segment(void)
{
	struct pair p = plain();

	for (int i = 0; i < 40; i++) {	/* until ACKs are delayed */
		give(p.client, 100);
		take(p.server, 100);
		give(p.server, 100);
		take(p.client, 100);
	}
	close(p.server);
	close(p.client);
}

static void
simultaneous(void)
{
	struct pair p = plain();

	exchange(&p);
	drop(p.client, TH_FIN);
	drop(p.server, TH_FIN);
	fin(p.server);
	fin(p.client);
	heal(p.client);
	heal(p.server);
	take_all(p.client);
	take_all(p.server);
	end(p.client, p.server);
}

static void
half_close(void)
{
	struct pair p = plain();

	exchange(&p);
	fin(p.server);
	quiet();
	give(p.client, 2000);
	take(p.server, 2000);
	end(p.client, p.server);
}

/* --- not over --- */

static struct pair kept = { .client = -1, .server = -1 };

static void
still_open(void)
{
	kept = plain();
	exchange(&kept);
}

static void
half_closed(void)
{
	still_open();
	fin(kept.server);
}

static void
not_acknowledged(void)
{
	still_open();
	drop(kept.server, TH_PUSH);
	give(kept.client, REQUEST);
}

/* --- resets: unread input --- */

static void
unread(void)
{
	struct pair p = plain();

	exchange(&p);
	give(p.client, REQUEST);
	quiet();
	end(p.server, p.client);
}

static void
unread_after_fin(void)
{
	struct pair p = plain();

	give(p.client, REQUEST);
	fin(p.client);
	quiet();
	end(p.server, p.client);
}

static void
unread_after_shutdown(void)
{
	struct pair p = plain();

	exchange(&p);
	fin(p.server);
	quiet();
	give(p.client, REQUEST);
	quiet();
	end(p.server, p.client);
}

static void
unread_both(void)
{
	struct pair p = plain();

	give(p.client, REQUEST);
	give(p.server, REPLY);
	quiet();
	end(p.server, p.client);
}

static void
unread_zero_window(void)
{
	struct pair p = connected(0, 4096);

	fill(p.client);
	end(p.server, p.client);
}

/* The reset destroys the reply, because the client still uploads. */
static void
early_reply(void)
{
	struct pair p = plain();

	give(p.client, REQUEST);
	drop(p.client, TH_PUSH);
	give(p.server, REPLY);
	end(p.server, p.client);
}

/* --- resets: data after the close --- */

static void
late_data(void)
{
	struct pair p = plain();

	exchange(&p);
	close(p.server);
	quiet();
	give(p.client, REQUEST);
	quiet();
	close(p.client);
}

static void
late_data_and_fin(void)
{
	struct pair p = plain();

	exchange(&p);
	close(p.server);
	quiet();
	drop(p.client, TH_RST);
	give(p.client, REQUEST);
	quiet();
	end(p.client, -1);
}

/* --- resets: abort --- */

static void
linger0_silent(void)
{
	struct pair p = plain();

	linger0(p.server);
	end(p.client, -1);
}

static void
unspec_silent(void)
{
	struct pair p = plain();

	unspec(p.server);
	end(p.client, -1);
}

static void
linger0_read(void)
{
	struct pair p = plain();

	exchange(&p);
	linger0(p.server);
	end(p.client, -1);
}

static void
linger0_unread(void)
{
	struct pair p = plain();

	exchange(&p);
	give(p.client, REQUEST);
	quiet();
	linger0(p.server);
	end(p.client, -1);
}

static void
unspec_read(void)
{
	struct pair p = plain();

	exchange(&p);
	unspec(p.server);
	end(p.client, -1);
}

static void
unspec_unread(void)
{
	struct pair p = plain();

	exchange(&p);
	give(p.client, REQUEST);
	quiet();
	unspec(p.server);
	end(p.client, -1);
}

static void
unspec_zero_window(void)
{
	struct pair p = connected(0, 4096);

	fill(p.client);
	unspec(p.server);
	end(p.client, -1);
}

static void
linger0_zero_window(void)
{
	struct pair p = connected(0, 4096);

	fill(p.client);
	linger0(p.server);
	end(p.client, -1);
}

static void
linger0_loses(void)
{
	struct pair p = plain();

	drop(p.client, TH_PUSH);
	give(p.server, REPLY);
	linger0(p.server);
	end(p.client, -1);
}

static void
linger0_after_fin(void)
{
	struct pair p = plain();

	exchange(&p);
	fin(p.client);
	quiet();
	linger0(p.server);
	end(p.client, -1);
}

/* A closing verb with a time limit does this when the time is over. */
static void
unspec_after_shutdown(void)
{
	struct pair p = plain();

	exchange(&p);
	drop(p.client, TH_PUSH);
	give(p.server, REPLY);
	fin(p.server);
	quiet();
	unspec(p.server);
	end(p.client, -1);
}

/* The same, with data still in the send queue of the server. */
static void
unspec_shut_window(void)
{
	struct pair p = connected(4096, 0);

	fill(p.server);
	fin(p.server);
	unspec(p.server);
	end(p.client, -1);
}

static void
not_accepted(void)
{
	struct pair p;
	int listener = new_listener(&p);

	p.client = new_socket();
	if (connect(p.client, &p.at.sa, address_size()) == -1)
		err(1, "connect");
	end(listener, p.client);
}

/* --- resets: no such connection --- */

static void
refused(void)
{
	struct pair p;
	int fd = new_socket();

	close(new_listener(&p));
	if (connect(fd, &p.at.sa, address_size()) == 0)
		errx(1, "not refused");
	close(fd);
}

static void
vanished(void)
{
	struct pair p = plain();

	exchange(&p);
	set(p.server, IPPROTO_TCP, TCP_REPAIR, 1);
	close(p.server);
	give(p.client, REQUEST);
	end(p.client, -1);
}

/* The kernel keeps a closed end in FIN_WAIT2 for a minute, here a second. */
static void
fin_timeout(void)
{
	struct pair p = plain();

	sysctl_set("tcp_fin_timeout", "1");
	exchange(&p);
	close(p.server);
	poll(NULL, 0, 2500);
	end(p.client, -1);
	sysctl_set("tcp_fin_timeout", "60");
}

/* --- on the way --- */

static void
retransmitted(void)
{
	struct pair p = plain();

	exchange(&p);
	drop(p.server, TH_PUSH);
	give(p.client, REQUEST);
	heal(p.server);
	take(p.server, REQUEST);
	quiet();
	drop(p.client, TH_FIN);
	close(p.server);
	heal(p.client);
	take_all(p.client);
	end(p.client, -1);
}

static void
keep_alive(void)
{
	struct pair p = plain();

	exchange(&p);
	set(p.client, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(p.client, IPPROTO_TCP, TCP_KEEPIDLE, 1);
	set(p.client, IPPROTO_TCP, TCP_KEEPINTVL, 1);
	poll(NULL, 0, 2500);
	end(p.client, p.server);
}

static void
zero_window(void)
{
	struct pair p = connected(4096, 0);

	fill(p.server);
	poll(NULL, 0, 1000);
	close(p.server);
	take_all(p.client);
	end(p.client, -1);
}

static void
fast_open(void)
{
	struct pair p;
	int listener;

	sysctl_set("tcp_fastopen", "519");	/* no cookie asked for */
	listener = new_listener(&p);
	p.client = new_socket();
	if (sendto(p.client, payload, REQUEST, MSG_FASTOPEN, &p.at.sa,
	    address_size()) != REQUEST)
		err(1, "sendto MSG_FASTOPEN");
	meet(&p, listener);
	take(p.server, REQUEST);
	end(p.server, p.client);
	close(listener);
}

/* The server keeps TIME_WAIT; the client comes again from the same port. */
static void
same_ports(void)
{
	struct pair p;
	int listener = new_listener(&p);

	set_loopback(&p);
	p.from = p.at;
	for (int i = 0; i < 2; i++) {
		socklen_t len = address_size();

		getsockname(listener, &p.at.sa, &len);
		p.client = new_socket();
		set(p.client, SOL_SOCKET, SO_REUSEADDR, 1);
		if (bind(p.client, &p.from.sa, len) == -1 ||
		    connect(p.client, &p.at.sa, len) == -1)
			err(1, "connect again");
		meet(&p, listener);
		exchange(&p);
		end(p.server, p.client);
	}
	close(listener);
}

static const struct {
	const char	*name;
	void		(*play)(void);
} scenes[] = {
#define SCENE(name) { #name, name }
	SCENE(four_way),
	SCENE(four_way_ipv6),
	SCENE(client_first),
	SCENE(three_segment),
	SCENE(simultaneous),
	SCENE(half_close),
	SCENE(still_open),
	SCENE(half_closed),
	SCENE(not_acknowledged),
	SCENE(unread),
	SCENE(unread_after_fin),
	SCENE(unread_after_shutdown),
	SCENE(unread_both),
	SCENE(unread_zero_window),
	SCENE(early_reply),
	SCENE(late_data),
	SCENE(late_data_and_fin),
	SCENE(linger0_silent),
	SCENE(linger0_read),
	SCENE(linger0_unread),
	SCENE(linger0_zero_window),
	SCENE(linger0_loses),
	SCENE(linger0_after_fin),
	SCENE(unspec_silent),
	SCENE(unspec_read),
	SCENE(unspec_unread),
	SCENE(unspec_zero_window),
	SCENE(unspec_after_shutdown),
	SCENE(unspec_shut_window),
	SCENE(not_accepted),
	SCENE(refused),
	SCENE(vanished),
	SCENE(fin_timeout),
	SCENE(retransmitted),
	SCENE(keep_alive),
	SCENE(zero_window),
	SCENE(fast_open),
	SCENE(same_ports),
};

/* --- the recorder --- */

/* A network for each scene, so that no late segment of another arrives. */
static void
new_network(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (unshare(CLONE_NEWNET) == -1)
		err(1, "unshare CLONE_NEWNET (try unshare -Ur)");
	fd = new_socket();
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) == -1)
		err(1, "lo");
	close(fd);
}

static pcap_t *
open_loopback(void)
{
	char why[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_create("lo", why);

	if (p == NULL)
		errx(1, "%s", why);
	pcap_set_snaplen(p, SNAPLEN);
	pcap_set_immediate_mode(p, 1);
	if (pcap_activate(p) != 0 || pcap_setnonblock(p, 1, why) == -1)
		errx(1, "%s", pcap_geterr(p));
	return p;
}

static void
record(size_t i)
{
	char file[64];
	pcap_t *p;
	pcap_dumper_t *dump;

	new_network();
	p = open_loopback();
	snprintf(file, sizeof(file), "%s.pcap", scenes[i].name);
	if ((dump = pcap_dump_open(p, file)) == NULL)
		errx(1, "%s", pcap_geterr(p));
	scenes[i].play();
	quiet();
	pcap_dispatch(p, -1, pcap_dump, (u_char *)dump);
	pcap_dump_close(dump);
	pcap_close(p);
	close(kept.client);
	close(kept.server);
	kept.client = kept.server = -1;
}

static bool
wanted(const char *name, char *const names[])
{
	if (*names == NULL)
		return true;
	for (; *names != NULL; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

int
main(int argc, char *argv[])
{
	(void)argc;
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		if (wanted(scenes[i].name, argv + 1))
			record(i);
	return 0;
}
