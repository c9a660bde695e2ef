/* owner.c - see owner.h */
#include <sys/socket.h>
#include <sys/types.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <err.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "closewatch/diag.h"
#include "closewatch/owner.h"

#define SECOND	((int64_t)1000000)
#define REFRESH	SECOND

/*
 * A look at a process with many descriptors takes long.  So many times as long
 * is the pause after it, or else the packets would not be read.
 */
#define PAUSE	3

struct listener {
	struct endpoint	local;
	bool		both;
	uint32_t	inode;
};

struct owner {
	struct holder_who who;
	struct holder	*holder;
	int		 diag;
	struct holder_look look;	/* the sockets of the process */
	int64_t		 next_look;	/* not before */
	int64_t		 next_refresh;
	struct listener	*listeners;	/* of the machine */
	size_t		 n, room;
	struct ifaddrs	*addresses;	/* of the machine */
	bool		 told;		/* that there is no process */
};

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec / 1000;
}

/* --- what is known ------------------------------------------------------- */

static void
complain(struct owner *o)
{
	if (o->told)
		return;
	o->told = true;
	if (errno == ESRCH)
		warnx("process %ld has ended: no new connection is its",
		    (long)o->who.pid);
	else
		warn("the sockets of the process cannot be seen any more");
}

static int
look(struct owner *o)
{
	int64_t began = now_us(), ended;
	int rv = holder_look(o->holder, &o->look);

	ended = now_us();
	o->next_look = ended + PAUSE * (ended - began);
	return rv;
}

static void
add_listener(void *arg, const struct endpoint *local, bool both,
    uint32_t inode)
{
	struct owner *o = arg;
	size_t room = o->room > 0 ? 2 * o->room : 64;
	struct listener *bigger;

	if (o->n == o->room) {
		bigger = realloc(o->listeners, room * sizeof(*bigger));
		if (bigger == NULL)
			return;
		o->listeners = bigger;
		o->room = room;
	}
	o->listeners[o->n++] = (struct listener){ *local, both, inode };
}

/* A kernel without IPv6 has no such sockets. */
static bool
list(struct owner *o)
{
	o->n = 0;
	if (diag_listeners(AF_INET, add_listener, o) == -1)
		return false;
	diag_listeners(AF_INET6, add_listener, o);
	if (o->addresses != NULL)
		freeifaddrs(o->addresses);
	if (getifaddrs(&o->addresses) == -1) {
		o->addresses = NULL;
		return false;
	}
	return true;
}

static void
refresh(struct owner *o)
{
	int64_t now = now_us();

	if (now < o->next_refresh || now < o->next_look)
		return;
	if (look(o) == -1)
		complain(o);
	if (!list(o))
		complain(o);
	o->next_refresh = now_us() + REFRESH;
}

/* --- a connection -------------------------------------------------------- */

static const void *
address_of(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return &((const struct sockaddr_in *)(const void *)sa)->
		    sin_addr;
	return &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
}

static bool
is_local(const struct owner *o, const struct endpoint *e)
{
	const struct ifaddrs *a;
	size_t size = e->family == AF_INET ? 4 : 16;

	if (e->family == AF_INET && e->addr[0] == IN_LOOPBACKNET)
		return true;
	for (a = o->addresses; a != NULL; a = a->ifa_next)
		if (a->ifa_addr != NULL &&
		    a->ifa_addr->sa_family == e->family &&
		    memcmp(address_of(a->ifa_addr), e->addr, size) == 0)
			return true;
	return false;
}

static bool
listens_at(const struct listener *l, const struct endpoint *e)
{
	static const unsigned char any[16];
	size_t size = l->local.family == AF_INET ? 4 : 16;

	if (l->local.port != e->port ||
	    (l->local.family != e->family && !l->both))
		return false;
	return memcmp(l->local.addr, any, size) == 0 ||
	    (l->local.family == e->family &&
	    memcmp(l->local.addr, e->addr, size) == 0);
}

/* Where processes share a port by SO_REUSEPORT, accept(2) will tell. */
static enum conns_whose
whose_port(const struct owner *o, const struct endpoint *e)
{
	bool ours = false, others = false;

	for (size_t i = 0; i < o->n; i++) {
		if (!listens_at(&o->listeners[i], e))
			continue;
		if (holder_holds(&o->look, o->listeners[i].inode))
			ours = true;
		else
			others = true;
	}
	return ours == others ? CONNS_UNSURE : ours ? CONNS_OURS :
	    CONNS_OTHERS;
}

/*
 * accept(2) has the socket before it has the descriptor: one look may be
 * between them, two are not.
 */
static enum conns_whose
whose_socket(struct owner *o, uint32_t inode, int side)
{
	int64_t began = now_us(), ended;

	if (began < o->next_look)
		return CONNS_LATER;
	for (int looks = side == FLOW_SERVER ? 2 : 1; looks > 0; looks--) {
		if (look(o) == -1)
			complain(o);
		if (holder_holds(&o->look, inode))
			return CONNS_OURS;
	}
	ended = now_us();
	o->next_look = ended + PAUSE * (ended - began);
	return CONNS_OTHERS;
}

/* The list may be a second old: another process may have the port now. */
static bool
is_up_to_date(const struct owner *o, const struct endpoint *local)
{
	const struct endpoint nobody = { .family = local->family };
	struct diag_socket now;

	if (!diag_socket(o->diag, local, &nobody, &now) ||
	    now.state != TCP_LISTEN)
		return true;
	for (size_t i = 0; i < o->n; i++)
		if (o->listeners[i].inode == now.inode)
			return true;
	return false;
}

static enum conns_whose
whose_side(struct owner *o, const struct flow *f, int side)
{
	const struct endpoint *me = &f->who[side], *peer = &f->who[!side];
	enum conns_whose port = CONNS_UNSURE;
	struct diag_socket found;
	uint32_t inode = 0;

	if (!is_local(o, me))
		return CONNS_OTHERS;
	if (diag_socket(o->diag, me, peer, &found) &&
	    found.state != TCP_LISTEN)
		inode = found.inode;
	if (inode != 0 && holder_holds(&o->look, inode))
		return CONNS_OURS;
	if (side == FLOW_SERVER &&
	    (port = whose_port(o, me)) != CONNS_UNSURE &&
	    !is_up_to_date(o, me))
		port = CONNS_UNSURE;
	if (inode == 0 || port == CONNS_OURS)
		return port;
	return whose_socket(o, inode, side);
}

static bool
either(const enum conns_whose side[2], enum conns_whose whose)
{
	return side[0] == whose || side[1] == whose;
}

enum conns_whose
owner_judge(void *arg, const struct flow *f, enum conns_whose side[2])
{
	struct owner *o = arg;

	refresh(o);
	for (int i = 0; i < 2; i++)
		if (side[i] == CONNS_UNSURE || side[i] == CONNS_LATER)
			side[i] = whose_side(o, f, i);
	if (either(side, CONNS_OURS))
		return CONNS_OURS;
	if (either(side, CONNS_LATER))
		return CONNS_LATER;
	return either(side, CONNS_UNSURE) ? CONNS_UNSURE : CONNS_OTHERS;
}

/* --- open and close ------------------------------------------------------ */

static const char *
no_look(void)
{
	switch (errno) {
	case ESRCH:
		return "no such process";
	case EACCES:
	case EPERM:
		return "no right to see its sockets: run it as root, or as "
		    "the user of the process";
	case EPIPE:
		return "the child that looks could not drop its privileges";
	default:
		return strerror(errno);
	}
}

static const char *
start(struct owner *o, const struct privileges_user *user)
{
	const char *why;

	if ((o->holder = holder_start(&o->who, user, &why)) == NULL)
		return why;
	if ((o->diag = diag_open()) == -1)
		return "the kernel has no sock_diag(7)";
	if (look(o) == -1)
		return no_look();
	if (!list(o))
		return "the kernel does not say by sock_diag(7) what listens";
	o->next_refresh = now_us() + REFRESH;
	return NULL;
}

struct owner *
owner_open(const struct holder_who *who, const struct privileges_user *user,
    const char **why)
{
	struct owner *o = calloc(1, sizeof(*o));

	*why = "no memory for its sockets";
	if (o == NULL)
		return NULL;
	o->who = *who;
	o->diag = -1;
	if ((*why = start(o, user)) != NULL) {
		owner_close(o);
		return NULL;
	}
	if (who->comm != NULL && o->look.processes == 0)
		warnx("no process is called %s yet", who->comm);
	return o;
}

void
owner_close(struct owner *o)
{
	if (o->holder != NULL)
		holder_end(o->holder);
	if (o->diag != -1)
		close(o->diag);
	if (o->addresses != NULL)
		freeifaddrs(o->addresses);
	free(o->listeners);
	free(o);
}
