/*
 * check_owner.c - whose a connection is (owner.h), with the connections of
 * other processes, and what closewatch shows of them
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <net/if.h>

#include <err.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "closewatch/actor.h"
#include "closewatch/monitor.h"
#include "closewatch/owner.h"
#include "closewatch/privileges.h"
#include "support/util.h"

#define SOME_USER	1		/* daemon: not root, not nobody */

/* Why the kernel shows no owner here, or NULL. */
static const char *
missing(void)
{
	struct holder_who who = { .pid = getpid() };
	struct privileges_user user;
	const char *why = "";
	struct owner *o;

	privileges_user(&user, NULL, &why);
	if ((o = owner_open(&who, &user, &why)) == NULL)
		return strstr(why, "sock_diag") != NULL ? why : NULL;
	owner_close(o);
	return NULL;
}

#define need_owner() do {						\
	if (missing() != NULL)						\
		t_skip(missing());					\
} while (0)

static struct owner *
owner_of(pid_t pid, const char *comm)
{
	struct holder_who who = { .pid = pid, .comm = comm };
	struct privileges_user user;
	const char *why = "";
	struct owner *o;

	privileges_user(&user, NULL, &why);
	o = owner_open(&who, &user, &why);
	ck_assert_msg(o != NULL, "%s", why);
	return o;
}

static struct endpoint
loopback(int family, in_port_t port)
{
	struct endpoint e = { .family = family, .port = port };

	if (family == AF_INET) {
		e.addr[0] = 127;
		e.addr[3] = 1;
	} else {
		e.addr[15] = 1;
	}
	return e;
}

/* The first verdict that is sure, and UNSURE where a second has none. */
static enum conns_whose
judged_within(struct owner *o, const struct flow *f, int ms)
{
	enum conns_whose side[2] = { CONNS_UNSURE, CONNS_UNSURE }, whose;
	int64_t end = t_now_ms() + ms;

	while (((whose = owner_judge(o, f, side)) == CONNS_UNSURE &&
	    t_now_ms() < end) || whose == CONNS_LATER)
		t_pause(5);
	return whose;
}

static enum conns_whose
judged(struct owner *o, int family, in_port_t client, in_port_t server)
{
	struct flow f = { .who = { loopback(family, client),
	    loopback(family, server) }, .from_syn = true };

	return judged_within(o, &f, T_LIMIT_MS);
}

static const int families[] = { AF_INET, AF_INET6 };

/* The connection may be a moment late: the time limit of the test ends it. */
static in_port_t
accepted(struct actor *server)
{
	in_port_t port;

	while ((port = actor_accept(server)) == 0)
		;
	return port;
}

START_TEST(the_process_that_connects_owns_it)
{
	int family = families[_i];
	struct actor server, client;
	in_port_t to, from;
	struct owner *o;

	need_owner();
	actor_start(&server, 0, NULL);
	actor_start(&client, 0, NULL);
	to = actor_listen(&server, family, false, 0);
	from = actor_connect(&client, family, to);
	o = owner_of(client.pid, NULL);
	ck_assert_int_eq(judged(o, family, from, to), CONNS_OURS);
	from = actor_connect(&client, family, to);	/* a new socket */
	ck_assert_int_eq(judged(o, family, from, to), CONNS_OURS);
	owner_close(o);
	actor_end(&client);
	actor_end(&server);
}
END_TEST

START_TEST(the_process_that_accepted_owns_it)
{
	int family = families[_i];
	struct actor server, client;
	in_port_t to, from;
	struct owner *o;

	need_owner();
	actor_start(&server, 0, NULL);
	actor_start(&client, 0, NULL);
	to = actor_listen(&server, family, false, 0);
	from = actor_connect(&client, family, to);
	ck_assert_int_eq(accepted(&server), to);
	actor_stop_listening(&server);
	o = owner_of(server.pid, NULL);
	ck_assert_int_eq(judged(o, family, from, to), CONNS_OURS);
	owner_close(o);
	actor_end(&client);
	actor_end(&server);
}
END_TEST

/* The connection itself has gone, or nobody has accepted it. */
START_TEST(the_process_that_listens_owns_it)
{
	int family = families[_i / 2];
	struct actor server, client;
	in_port_t to, from;
	struct owner *o;

	need_owner();
	actor_start(&server, 0, NULL);
	actor_start(&client, 0, NULL);
	to = actor_listen(&server, family, _i % 2, 0);
	o = owner_of(server.pid, NULL);
	from = actor_connect(&client, family, to);
	ck_assert_int_eq(judged(o, family, from, to), CONNS_OURS);
	ck_assert_int_eq(judged(o, family, 1, to), CONNS_OURS);
	owner_close(o);
	actor_end(&client);
	actor_end(&server);
}
END_TEST

START_TEST(an_ipv6_listener_takes_ipv4_connections)
{
	struct actor server, client;
	in_port_t to, from;
	struct owner *o;

	need_owner();
	actor_start(&server, 0, NULL);
	actor_start(&client, 0, NULL);
	to = actor_listen(&server, AF_INET6, true, 0);
	o = owner_of(server.pid, NULL);
	from = actor_connect(&client, AF_INET, to);
	ck_assert_int_eq(judged(o, AF_INET, from, to), CONNS_OURS);
	ck_assert_int_eq(accepted(&server), to);
	actor_stop_listening(&server);
	owner_close(o);
	o = owner_of(server.pid, NULL);
	ck_assert_int_eq(judged(o, AF_INET, from, to), CONNS_OURS);
	owner_close(o);
	actor_end(&client);
	actor_end(&server);
}
END_TEST

START_TEST(a_listener_that_is_new_is_known_after_a_second)
{
	struct actor server, client;
	in_port_t to, from;
	struct owner *o;

	need_owner();
	actor_start(&server, 0, NULL);
	actor_start(&client, 0, NULL);
	o = owner_of(server.pid, NULL);
	to = actor_listen(&server, AF_INET, true, 0);
	from = actor_connect(&client, AF_INET, to);
	ck_assert_int_eq(judged(o, AF_INET, from, to), CONNS_OURS);
	owner_close(o);
	actor_end(&client);
	actor_end(&server);
}
END_TEST

/* Within the second that the list of those that listen is old. */
START_TEST(the_process_that_has_the_port_now_owns_it)
{
	struct actor before, now, client;
	in_port_t to, from;
	struct owner *o;

	need_owner();
	actor_start(&before, 0, NULL);
	actor_start(&now, 0, NULL);
	actor_start(&client, 0, NULL);
	to = actor_listen(&before, AF_INET, false, 0);
	o = owner_of(before.pid, NULL);
	actor_stop_listening(&before);
	actor_listen(&now, AF_INET, false, to);
	from = actor_connect(&client, AF_INET, to);
	accepted(&now);
	ck_assert_int_eq(judged(o, AF_INET, from, to), CONNS_OTHERS);
	owner_close(o);
	actor_end(&client);
	actor_end(&now);
	actor_end(&before);
}
END_TEST

START_TEST(a_process_without_part_in_it_does_not_own_it)
{
	struct actor server, client, other;
	in_port_t to, from;
	struct owner *o;

	need_owner();
	actor_start(&server, 0, NULL);
	actor_start(&client, 0, NULL);
	actor_start(&other, 0, NULL);
	to = actor_listen(&server, AF_INET, false, 0);
	actor_listen(&other, AF_INET, false, 0);
	from = actor_connect(&client, AF_INET, to);
	o = owner_of(other.pid, NULL);
	ck_assert_int_eq(judged(o, AF_INET, from, to), CONNS_OTHERS);
	ck_assert_int_eq(accepted(&server), to);
	ck_assert_int_eq(judged(o, AF_INET, from, to), CONNS_OTHERS);
	owner_close(o);
	actor_end(&other);
	actor_end(&client);
	actor_end(&server);
}
END_TEST

/* One port, two processes: only accept(2) tells. */
START_TEST(a_shared_port_owns_what_it_accepts)
{
	struct actor server[2], client;
	in_port_t to, from;
	struct owner *o[2];
	struct flow f;
	int got;

	need_owner();
	actor_start(&server[0], 0, NULL);
	actor_start(&server[1], 0, NULL);
	actor_start(&client, 0, NULL);
	to = actor_listen(&server[0], AF_INET, false, 0);
	actor_listen(&server[1], AF_INET, false, to);
	for (int i = 0; i < 2; i++)
		o[i] = owner_of(server[i].pid, NULL);
	from = actor_connect(&client, AF_INET, to);
	f = (struct flow){ .who = { loopback(AF_INET, from),
	    loopback(AF_INET, to) } };
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(judged_within(o[i], &f, 0), CONNS_UNSURE);
	for (got = 0; actor_accept(&server[got]) == 0; got = !got)
		;
	ck_assert_int_eq(judged(o[got], AF_INET, from, to), CONNS_OURS);
	ck_assert_int_eq(judged(o[!got], AF_INET, from, to), CONNS_OTHERS);
	for (int i = 0; i < 2; i++) {
		owner_close(o[i]);
		actor_end(&server[i]);
	}
	actor_end(&client);
}
END_TEST

START_TEST(an_address_elsewhere_is_of_others)
{
	struct endpoint here = loopback(AF_INET, 0), far = here;
	struct actor server;
	struct owner *o;
	struct flow f;

	need_owner();
	actor_start(&server, 0, NULL);
	here.port = far.port = actor_listen(&server, AF_INET, true, 0);
	far.addr[0] = 192;			/* 192.0.2.1, RFC 5737 */
	far.addr[2] = 2;
	o = owner_of(server.pid, NULL);
	f = (struct flow){ .who = { far, here } };
	ck_assert_int_eq(judged_within(o, &f, 0), CONNS_OURS);
	f = (struct flow){ .who = { far, far } };
	ck_assert_int_eq(judged_within(o, &f, 0), CONNS_OTHERS);
	owner_close(o);
	actor_end(&server);
}
END_TEST

/* All processes of a name, those that start later too, and no others. */
START_TEST(the_processes_of_a_name_own_theirs)
{
	struct actor first, later, other;
	in_port_t to, from;
	struct owner *o;

	need_owner();
	actor_start(&other, 0, "other name");
	actor_start(&first, 0, "a name of fifteen");	/* and two letters */
	to = actor_listen(&first, AF_INET, false, 0);
	o = owner_of(0, "a name of fifteen");
	from = actor_connect(&other, AF_INET, to);
	ck_assert_int_eq(judged(o, AF_INET, from, to), CONNS_OURS);
	to = actor_listen(&other, AF_INET, false, 0);
	actor_start(&later, 0, "a name of fifteen");
	from = actor_connect(&later, AF_INET, to);
	ck_assert_int_eq(judged(o, AF_INET, from, to), CONNS_OURS);
	from = actor_connect(&other, AF_INET, to);
	ck_assert_int_eq(judged(o, AF_INET, from, to), CONNS_OTHERS);
	owner_close(o);
	actor_end(&later);
	actor_end(&first);
	actor_end(&other);
}
END_TEST

/* The child is nobody, with two capabilities. */
START_TEST(root_sees_the_processes_of_every_user)
{
	struct actor server, client;
	in_port_t to, from;
	struct owner *o;

	need_owner();
	if (geteuid() != 0)
		t_skip("only root may become other users");
	actor_start(&server, 0, NULL);
	actor_start(&client, SOME_USER, NULL);
	to = actor_listen(&server, AF_INET, false, 0);
	from = actor_connect(&client, AF_INET, to);
	o = owner_of(client.pid, NULL);
	ck_assert_int_eq(judged(o, AF_INET, from, to), CONNS_OURS);
	owner_close(o);
	actor_end(&client);
	actor_end(&server);
}
END_TEST

START_TEST(a_process_that_has_ended_owns_nothing_new)
{
	struct actor server, client, ended;
	in_port_t to, from;
	struct owner *o;

	need_owner();
	actor_start(&server, 0, NULL);
	actor_start(&client, 0, NULL);
	actor_start(&ended, 0, NULL);
	o = owner_of(ended.pid, NULL);
	actor_end(&ended);
	to = actor_listen(&server, AF_INET, false, 0);
	from = actor_connect(&client, AF_INET, to);
	ck_assert_int_eq(accepted(&server), to);
	ck_assert_int_eq(judged(o, AF_INET, from, to), CONNS_OTHERS);
	owner_close(o);
	actor_end(&client);
	actor_end(&server);
}
END_TEST

START_TEST(a_process_that_is_not_there_is_an_error)
{
	struct privileges_user user;
	const char *why = "";
	struct actor ended;

	need_owner();
	privileges_user(&user, NULL, &why);
	actor_start(&ended, 0, NULL);
	actor_end(&ended);
	ck_assert_ptr_null(owner_open(&(struct holder_who){
	    .pid = ended.pid }, &user, &why));
	ck_assert_str_eq(why, "no such process");
}
END_TEST

/* --- closewatch ---------------------------------------------------------- */

struct watcher {
	pid_t	pid;
	int	out;			/* its lines */
	char	text[65536];
	size_t	have;
};

#define NO_RIGHT	9

static _Noreturn void
watch(int out, pid_t whom)
{
	struct monitor_options options = { .interface = "lo", .json = true,
	    .max = 100, .every = 1, .owner = owner_of(whom, NULL) };
	struct privileges_user user;
	struct monitor m;
	const char *why;

	dup2(out, STDOUT_FILENO);
	setvbuf(stdout, NULL, _IOLBF, 0);
	privileges_user(&user, NULL, &why);
	if (!monitor_open(&m, &options, &why) ||
	    !privileges_drop(&user, &why))
		_exit(NO_RIGHT);
	puts("ready");
	_exit(monitor_run(&m));
}

static void
watcher_start(struct watcher *w, pid_t whom)
{
	int fds[2];

	memset(w, 0, sizeof(*w));
	t_ok(pipe(fds));
	fflush(stdout);
	w->pid = fork();
	ck_assert_int_ne(w->pid, -1);
	if (w->pid == 0) {
		close(fds[0]);
		watch(fds[1], whom);
	}
	close(fds[1]);
	w->out = fds[0];
}

/* False: it has ended. */
static bool
said(struct watcher *w, const char *what)
{
	int64_t end = t_now_ms() + T_LIMIT_MS;
	ssize_t n;

	while (strstr(w->text, what) == NULL) {
		const char *tail = w->text + (w->have > 2000 ?
		    w->have - 2000 : 0);

		ck_assert_msg(w->have < sizeof(w->text) - 1 &&
		    t_now_ms() < end && t_ready(w->out, POLLIN, end),
		    "no \"%s\": %s", what, tail);
		n = read(w->out, w->text + w->have,
		    sizeof(w->text) - 1 - w->have);
		if (n < 1)
			return false;
		w->have += (size_t)n;
	}
	return true;
}

static int
watcher_end(struct watcher *w)
{
	int status;

	kill(w->pid, SIGTERM);
	while (said(w, "no such words"))
		;
	close(w->out);
	ck_assert_int_eq(waitpid(w->pid, &status, 0), w->pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
connect_and_close(struct actor *client, struct actor *server, in_port_t to,
    struct watcher *w)
{
	in_port_t from = actor_connect(client, AF_INET, to);
	char what[100];

	accepted(server);
	if (w != NULL)
		ck_assert(said(w, "\"open\": 1"));
	actor_close(client);
	actor_close_second(server);
	if (w == NULL)
		return;
	snprintf(what, sizeof(what), "\"client_port\": %u, \"server\": "
	    "\"127.0.0.1\", \"server_port\": %u", (unsigned)from,
	    (unsigned)to);
	ck_assert_msg(said(w, what), "%s", w->text);
}

static int
count(const char *text, const char *what)
{
	int n = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		n++;
	return n;
}

/* Loop: of the server, of the client. */
START_TEST(only_the_connections_of_the_process_are_shown)
{
	struct actor server, client, other;
	in_port_t to, elsewhere;
	struct watcher w;

	need_owner();
	actor_start(&server, 0, NULL);
	actor_start(&client, 0, NULL);
	actor_start(&other, 0, NULL);
	to = actor_listen(&server, AF_INET, true, 0);
	elsewhere = actor_listen(&other, AF_INET, true, 0);
	watcher_start(&w, _i == 0 ? server.pid : client.pid);
	if (!said(&w, "ready")) {
		ck_assert_int_eq(watcher_end(&w), NO_RIGHT);
		actor_end(&other);
		actor_end(&client);
		actor_end(&server);
		t_skip("no right to capture");
	}
	if (_i == 0)
		connect_and_close(&client, &other, elsewhere, NULL);
	else
		connect_and_close(&other, &server, to, NULL);
	connect_and_close(&client, &server, to, &w);
	ck_assert_int_eq(watcher_end(&w), 0);
	ck_assert_msg(count(w.text, "\"type\": \"connection\"") == 1, "%s",
	    w.text);
	ck_assert_int_ge(count(w.text, "\"ended\": 1"), 1);
	actor_end(&other);
	actor_end(&client);
	actor_end(&server);
}
END_TEST

/* Where it is allowed: other suites use the loopback that all have. */
static void
own_loopback(void)
{
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (unshare(CLONE_NEWNET) == -1)
		return;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || ioctl(fd, SIOCSIFFLAGS, &up) == -1)
		err(1, "lo");
	close(fd);
}

int
main(void)
{
	Suite *s = suite_create("owner");
	TCase *tc = t_case(s, "owner");

	tcase_add_loop_test(tc, the_process_that_connects_owns_it, 0, 2);
	tcase_add_loop_test(tc, the_process_that_accepted_owns_it, 0, 2);
	tcase_add_loop_test(tc, the_process_that_listens_owns_it, 0, 4);
	tcase_add_test(tc, an_ipv6_listener_takes_ipv4_connections);
	tcase_add_test(tc, a_listener_that_is_new_is_known_after_a_second);
	tcase_add_test(tc, the_process_that_has_the_port_now_owns_it);
	tcase_add_test(tc, a_process_without_part_in_it_does_not_own_it);
	tcase_add_test(tc, a_shared_port_owns_what_it_accepts);
	tcase_add_test(tc, an_address_elsewhere_is_of_others);
	tcase_add_test(tc, the_processes_of_a_name_own_theirs);
	tcase_add_test(tc, root_sees_the_processes_of_every_user);
	tcase_add_test(tc, a_process_that_has_ended_owns_nothing_new);
	tcase_add_test(tc, a_process_that_is_not_there_is_an_error);
	tc = t_case(s, "closewatch");
	tcase_add_loop_test(tc, only_the_connections_of_the_process_are_shown,
	    0, 2);
	own_loopback();
	return t_main(s);
}
