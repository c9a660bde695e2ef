/*
 * holders.c - which descriptors are accepted connections, and who holds them
 *
 * Every process has a table by descriptor.  The number of holders of a
 * connection lies in memory that all children of fork(2) share, in a ring of
 * counts.  A count has a number of its own: where a later connection has taken
 * its place, the numbers differ, and the close is a plain one.  So a count that
 * a killed process left behind needs nobody to collect it.
 *
 * A count that is too high costs a plain close.  It is too low for what another
 * thread accepts or duplicates during a fork: the child has that, unknowingly.
 */
#include <sys/mman.h>
#include <sys/socket.h>

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "preload/preload.h"

#define COUNTS		65536
#define HOLDERS(count)	((count) & 0xffff)
#define OWNER(count)	((count) >> 16)

struct entry {
	_Atomic uint64_t	id;	/* of its count, or an enum pre_kind */
	_Atomic uint64_t	cookie;	/* SO_COOKIE */
	_Atomic unsigned	epoch, forked;
	_Atomic unsigned long	mask;	/* signals blocked at accept */
};

static struct shared {
	_Atomic uint64_t	last;	/* id */
	_Atomic uint64_t	count[COUNTS];
} *shared;
static struct entry *table;
static _Atomic pid_t	*owner;	/* 0 in a child that ran no handler */
static atomic_uint	epoch, forks;
static atomic_int	top = -1;
static atomic_bool	forking;

bool
pre_holders_open(void)
{
	const int rw = PROT_READ | PROT_WRITE;
	void *s, *t, *o;

	s = mmap(NULL, sizeof(*shared), rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	t = mmap(NULL, sizeof(*table) * PRE_FDS, rw,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	o = mmap(NULL, sizeof(*owner), rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED || t == MAP_FAILED || o == MAP_FAILED ||
	    madvise(o, sizeof(*owner), MADV_WIPEONFORK) == -1)
		return false;
	shared = s;
	shared->last = PRE_HIDDEN;		/* ids are greater than kinds */
	owner = o;
	*owner = getpid();
	table = t;
	return true;
}

/* A child of vfork(2) has our memory, one of a bare clone(2) a copy of it. */
bool
pre_own(void)
{
	return table != NULL && *owner == getpid();
}

static struct entry *
entry(int fd)
{
	return table != NULL && fd >= 0 && fd < PRE_FDS ? &table[fd] : NULL;
}

enum pre_kind
pre_kind(int fd)
{
	struct entry *e = entry(fd);
	uint64_t id = e == NULL ? PRE_OTHER : e->id;

	return id == PRE_OTHER || !pre_own() ? PRE_OTHER :
	    id > PRE_HIDDEN ? PRE_CONNECTION : PRE_HIDDEN;
}

unsigned long
pre_mask(void)
{
	unsigned long mask = 0;
	sigset_t set;

	if (pthread_sigmask(SIG_BLOCK, NULL, &set) == 0)
		memcpy(&mask, &set, sizeof(mask));
	return mask;
}

static void
raise_top(int fd)
{
	int seen = top;

	while (seen < fd && !atomic_compare_exchange_weak(&top, &seen, fd))
		;
}

/* Not 0, and the same for each holder of the socket; 0: not TCP. */
static uint64_t
cookie(int fd)
{
	int protocol = 0;
	uint64_t value = 0;
	socklen_t len = sizeof(protocol), size = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == -1 ||
	    protocol != IPPROTO_TCP ||
	    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &value, &size) == -1)
		return 0;
	return value;
}

/* The id comes last: it makes the entry valid. */
void
pre_track(int fd)
{
	struct entry *e = entry(fd);
	uint64_t id, socket;
	int saved = errno;

	if (e != NULL && pre_own()) {
		e->id = PRE_OTHER;
		if ((socket = cookie(fd)) != 0) {
			e->cookie = socket;
			e->epoch = epoch;
			e->forked = forks - 1;
			e->mask = pre_mask();
			id = ++shared->last;
			shared->count[id % COUNTS] = id << 16 | 1;
			raise_top(fd);
			e->id = id;
		}
	}
	errno = saved;
}

/* The holders with this change; -1: another connection has the count. */
static int
change(uint64_t id, int by)
{
	_Atomic uint64_t *c = &shared->count[id % COUNTS];
	uint64_t seen = *c;

	do {
		if (OWNER(seen) != id || HOLDERS(seen) == 0)
			return -1;
	} while (!atomic_compare_exchange_weak(c, &seen, seen + (uint64_t)by));
	return (int)HOLDERS(seen) + by;
}

void
pre_copied(int from, int to)
{
	struct entry *f = entry(from), *t = entry(to);
	int saved = errno;

	if (t != NULL && pre_kind(to) != PRE_OTHER)
		t->id = PRE_OTHER;	/* a number that was freed unseen */
	if (pre_kind(from) == PRE_CONNECTION && t == NULL) {
		pre_uncertain();
	} else if (pre_kind(from) == PRE_CONNECTION &&
	    cookie(from) == f->cookie) {
		(void)change(f->id, 1);
		t->cookie = f->cookie;
		t->epoch = f->epoch;
		t->forked = f->forked;
		t->mask = f->mask;
		raise_top(to);
		t->id = f->id;
	}
	errno = saved;
}

/* Their counts are never lowered: no other holder takes itself for the last. */
void
pre_uncertain(void)
{
	if (pre_own())
		epoch++;
}

enum pre_why
pre_drop(int fd, unsigned long *mask)
{
	struct entry *e = entry(fd);
	uint64_t id;
	int left;

	if (pre_kind(fd) != PRE_CONNECTION ||
	    (id = atomic_exchange(&e->id, PRE_OTHER)) <= PRE_HIDDEN ||
	    cookie(fd) != e->cookie)
		return PRE_STALE;
	*mask = e->mask;
	if (e->epoch != epoch || (left = change(id, -1)) == -1)
		return PRE_UNCERTAIN;
	return left > 0 ? PRE_HELD : PRE_LAST;
}

void
pre_hide(int fd)
{
	struct entry *e = entry(fd);

	if (e == NULL || !pre_own())
		return;
	raise_top(fd);
	e->id = PRE_HIDDEN;
}

/* The number is the program's after the close, unless it is ours again. */
void
pre_closing(int fd, bool begins)
{
	struct entry *e = entry(fd);
	uint64_t from = begins ? PRE_HIDDEN : PRE_CLOSING;

	if (e != NULL && pre_own())
		atomic_compare_exchange_strong(&e->id, &from,
		    begins ? PRE_CLOSING : PRE_OTHER);
}

int
pre_next(int fd, int last)
{
	for (; fd <= last && fd <= top; fd++)
		if (table[fd].id != PRE_OTHER)
			return fd;
	return -1;
}

/*
 * The child holds what is in the table now.  What another thread accepts until
 * the kernel copies the process is not marked: the child forgets it.
 */
void
pre_holders_prepare(void)
{
	int fd;

	if (!pre_own())
		return;
	if (atomic_exchange(&forking, true))
		pre_uncertain();	/* two at once */
	forks++;
	for (fd = 0; (fd = pre_next(fd, PRE_FDS)) != -1; fd++)
		if (table[fd].id > PRE_HIDDEN) {
			(void)change(table[fd].id, 1);
			table[fd].forked = forks;
		}
}

void
pre_holders_parent(void)
{
	forking = false;
}

/* The reaper's descriptors are of no use here, and would hold connections. */
void
pre_holders_child(void)
{
	int fd;

	if (table == NULL)
		return;
	*owner = getpid();
	forking = false;
	for (fd = 0; (fd = pre_next(fd, PRE_FDS)) != -1; fd++)
		if (table[fd].id == PRE_HIDDEN ||
		    table[fd].id == PRE_CLOSING) {
			table[fd].id = PRE_OTHER;
			(void)pre_real()->close(fd);
		} else if (table[fd].id > PRE_HIDDEN &&
		    table[fd].forked != forks) {
			table[fd].id = PRE_OTHER;
		}
}
