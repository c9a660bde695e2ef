/* actor.c - see actor.h */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <poll.h>
#include <unistd.h>

#include "closewatch/actor.h"
#include "support/util.h"

#define A_WHILE_MS	100

struct order {
	char		what;
	int		family;
	bool		any;
	in_port_t	port;
};

/* --- the process --------------------------------------------------------- */

static struct sockaddr_storage
address(const struct order *o)
{
	struct sockaddr_storage ss = { .ss_family = (sa_family_t)o->family };
	struct sockaddr_in *in = (void *)&ss;
	struct sockaddr_in6 *in6 = (void *)&ss;

	if (o->family == AF_INET) {
		in->sin_port = htons(o->port);
		in->sin_addr.s_addr = htonl(o->any ? INADDR_ANY :
		    INADDR_LOOPBACK);
	} else {
		in6->sin6_port = htons(o->port);
		in6->sin6_addr = o->any ? in6addr_any : in6addr_loopback;
	}
	return ss;
}

static in_port_t
port_of(int fd)
{
	struct sockaddr_in6 sin6 = { .sin6_port = 0 };
	socklen_t len = sizeof(sin6);

	/* Both families have the port in the same place. */
	if (getsockname(fd, (struct sockaddr *)&sin6, &len) == -1)
		return 0;
	return ntohs(sin6.sin6_port);
}

static int
listening(const struct order *o)
{
	int fd = socket(o->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage ss = address(o);

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 },
	    sizeof(int)) == -1 ||
	    bind(fd, (struct sockaddr *)&ss, sizeof(ss)) == -1 ||
	    listen(fd, 10) == -1)
		_exit(1);
	return fd;
}

static int
connected(const struct order *o)
{
	int fd = socket(o->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage ss = address(o);

	if (connect(fd, (struct sockaddr *)&ss, sizeof(ss)) == -1)
		_exit(1);
	return fd;
}

static void
read_to_end(int fd)
{
	char buf[100];

	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
}

static in_port_t
obey(const struct order *o, int *listener, int *fd)
{
	switch (o->what) {
	case 'l':
		*listener = listening(o);
		return port_of(*listener);
	case 'c':
		*fd = connected(o);
		return port_of(*fd);
	case 'a':
		if (poll(&(struct pollfd){ *listener, POLLIN, 0 }, 1,
		    A_WHILE_MS) != 1)
			return 0;
		*fd = accept(*listener, NULL, NULL);
		return port_of(*fd);
	case 's':
		close(*listener);
		return 1;
	case 'e':
		read_to_end(*fd);
		/* FALLTHROUGH */
	default:
		close(*fd);
		return 1;
	}
}

static _Noreturn void
act(int from, uid_t uid, const char *name)
{
	int listener = -1, fd = -1;
	struct order o;
	in_port_t port;

	signal(SIGTERM, SIG_DFL);
	if (name != NULL)
		prctl(PR_SET_NAME, name);
	if (uid != 0 && (setgid(uid) == -1 || setuid(uid) == -1))
		_exit(1);
	if (send(from, &(in_port_t){ 1 }, sizeof(in_port_t), 0) == -1)
		_exit(1);
	while (recv(from, &o, sizeof(o), 0) == (ssize_t)sizeof(o)) {
		port = obey(&o, &listener, &fd);
		if (send(from, &port, sizeof(port), MSG_NOSIGNAL) == -1)
			break;
	}
	_exit(0);
}

/* --- the test ------------------------------------------------------------ */

static in_port_t
done(struct actor *a)
{
	in_port_t port = 0;

	ck_assert(t_ready(a->fd, POLLIN, t_now_ms() + T_LIMIT_MS));
	ck_assert_int_eq(recv(a->fd, &port, sizeof(port), 0), sizeof(port));
	return port;
}

static in_port_t
tell(struct actor *a, char what, int family, bool any, in_port_t port)
{
	struct order o;

	memset(&o, 0, sizeof(o));
	o.what = what;
	o.family = family;
	o.any = any;
	o.port = port;
	ck_assert_int_eq(send(a->fd, &o, sizeof(o), MSG_NOSIGNAL), sizeof(o));
	return done(a);
}

void
actor_start(struct actor *a, uid_t uid, const char *name)
{
	int pair[2];

	t_ok(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	a->pid = fork();
	ck_assert_int_ne(a->pid, -1);
	if (a->pid == 0) {
		close(pair[0]);
		act(pair[1], uid, name);
	}
	close(pair[1]);
	a->fd = pair[0];
	done(a);
}

/* Another actor may have its descriptor: a signal ends it. */
void
actor_end(struct actor *a)
{
	close(a->fd);
	kill(a->pid, SIGKILL);
	ck_assert_int_eq(waitpid(a->pid, NULL, 0), a->pid);
}

in_port_t
actor_listen(struct actor *a, int family, bool any, in_port_t port)
{
	return tell(a, 'l', family, any, port);
}

in_port_t
actor_connect(struct actor *a, int family, in_port_t server)
{
	return tell(a, 'c', family, false, server);
}

in_port_t
actor_accept(struct actor *a)
{
	return tell(a, 'a', 0, false, 0);
}

void
actor_close(struct actor *a)
{
	tell(a, 'x', 0, false, 0);
}

void
actor_close_second(struct actor *a)
{
	tell(a, 'e', 0, false, 0);
}

void
actor_stop_listening(struct actor *a)
{
	tell(a, 's', 0, false, 0);
}
