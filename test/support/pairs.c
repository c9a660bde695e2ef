/*
 * pairs.c - connections of every family, over loopback
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <netinet/in.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/pairs.h"
#include "support/transfer.h"
#include "support/trouble.h"
#include "support/wait.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP	262
#endif

const struct t_family t_families[T_FAMILIES] = {
	{ "IPv4",	AF_INET,	IPPROTO_TCP },
	{ "IPv6",	AF_INET6,	IPPROTO_TCP },
	{ "MPTCP",	AF_INET,	IPPROTO_MPTCP },
	{ "AF_UNIX",	AF_UNIX,	0 }
};

union address {
	struct sockaddr		sa;
	struct sockaddr_in	in;
	struct sockaddr_in6	in6;
	struct sockaddr_un	un;
};

static socklen_t
loopback(int family, union address *a)
{
	memset(a, 0, sizeof(*a));
	a->sa.sa_family = (sa_family_t)t_families[family].domain;
	switch (a->sa.sa_family) {
	case AF_INET:
		a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(a->in);
	case AF_INET6:
		a->in6.sin6_addr = in6addr_loopback;
		return sizeof(a->in6);
	default:
		/* No name: the kernel invents an abstract one. */
		return sizeof(a->un.sun_family);
	}
}

static int
open_socket(int family)
{
	return socket(t_families[family].domain, SOCK_STREAM | SOCK_CLOEXEC,
	    t_families[family].protocol);
}

const char *
t_absent(int family)
{
	static char why[96];
	union address a;
	int fd;

	if ((fd = open_socket(family)) == -1 ||
	    bind(fd, &a.sa, loopback(family, &a)) == -1)
		snprintf(why, sizeof(why), "no %s here: %s",
		    t_families[family].name, strerror(errno));
	else
		why[0] = '\0';
	if (fd != -1)
		close(fd);
	return why[0] == '\0' ? NULL : why;
}

const char *
t_missing(int family)
{
	if (T_PORTABLE && family == T_MPTCP)
		return "plain POSIX does not know MPTCP";
	return t_absent(family);
}

int
t_socket(int family)
{
	int fd;

	fd = open_socket(family);
	ck_assert_msg(fd != -1, "socket: %s", strerror(errno));
	return fd;
}

static void
start_listening(int fd, int family)
{
	union address a;
	socklen_t len;

	len = loopback(family, &a);
	ck_assert_int_eq(bind(fd, &a.sa, len), 0);
	ck_assert_int_eq(listen(fd, 128), 0);
}

int
t_listen(int family)
{
	int fd;

	fd = t_socket(family);
	start_listening(fd, family);
	return fd;
}

static void
connect_to(int fd, int lfd)
{
	union address a;
	socklen_t len;

	len = sizeof(a);
	ck_assert_int_eq(getsockname(lfd, &a.sa, &len), 0);
	ck_assert_msg(connect(fd, &a.sa, len) == 0, "connect: %s",
	    strerror(errno));
}

int
t_connect(int family, int lfd)
{
	int fd;

	fd = t_socket(family);
	connect_to(fd, lfd);
	return fd;
}

int
t_accept(int lfd)
{
	int fd;

	fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_msg(fd != -1, "accept: %s", strerror(errno));
	return fd;
}

void
t_pair(struct t_pair *p, int family)
{
	int lfd;

	lfd = t_listen(family);
	p->peer = t_connect(family, lfd);
	p->us = t_accept(lfd);
	t_close(lfd);
}

void
t_pair_connecting(struct t_pair *p, int family)
{
	int lfd;

	lfd = t_listen(family);
	p->us = t_connect(family, lfd);
	p->peer = t_accept(lfd);
	t_close(lfd);
}

void
t_pair_any(struct t_pair *p, int i)
{
	if (i % 2 == 0)
		t_pair(p, i / 2);
	else
		t_pair_connecting(p, i / 2);
}

static void
buffer(int fd, int opt, int size)
{
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, opt, &size, sizeof(size)),
	    0);
}

/* MPTCP needs seconds to get through a window of 4096. */
void
t_pair_small(struct t_pair *p, int family)
{
	int lfd;

	lfd = t_listen(family);
	p->peer = t_socket(family);
	buffer(p->peer, SO_RCVBUF, family == T_MPTCP ? 32768 : 4096);
	connect_to(p->peer, lfd);
	p->us = t_accept(lfd);
	buffer(p->us, SO_SNDBUF, 65536);
	t_close(lfd);
}

size_t
t_pair_full(struct t_pair *p, int family)
{
	t_pair_small(p, family);
	return t_fill(p->us);
}

void
t_pair_reset(struct t_pair *p, int family)
{
	t_pair(p, family);
	t_reset(p->peer);
	t_wait_dead(p->us);
}

/* SO_RCVBUFFORCE and SO_SNDBUFFORCE are not permitted in a user namespace. */
void
t_rcvbuf(int fd, int size)
{
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size,
	    sizeof(size)) == -1)
		buffer(fd, SO_RCVBUF, size);
}

void
t_sndbuf(int fd, int size)
{
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size,
	    sizeof(size)) == -1)
		buffer(fd, SO_SNDBUF, size);
}

void
t_close(int fd)
{
	ck_assert_msg(close(fd) == 0, "close: %s", strerror(errno));
}

void
t_close_pair(struct t_pair *p)
{
	t_close(p->us);
	if (p->peer != -1)
		t_close(p->peer);
}
