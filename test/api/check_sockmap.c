/*
 * A socket in a sockmap, whose input goes through a stream verdict of BPF
 *
 * The verdict is SK_PASS, so that the input stays with the socket, but in a
 * queue of its own: recv(2) that gives no buffer is EFAULT for ever there.
 */
#include <sys/epoll.h>
#include <sys/syscall.h>

#include <linux/bpf.h>

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

#define SENT	3000	/* bytes, by us */
#define LATE	5000	/* by the peer */
#define WAIT_MS	500
#define TURNS_MAX	40	/* naps of 64 ms at most, and what comes */

/*
 * The map
 */

static int
bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static uint64_t
address(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* return SK_PASS; */
static int
load_verdict(void)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0,
		    .imm = SK_PASS },
		{ .code = BPF_JMP | BPF_EXIT }
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SK_SKB;
	attr.expected_attach_type = BPF_SK_SKB_STREAM_VERDICT;
	attr.insns = address(code);
	attr.insn_cnt = sizeof(code) / sizeof(code[0]);
	attr.license = address("GPL");
	return bpf(BPF_PROG_LOAD, &attr);
}

static int
create_map(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_SOCKMAP;
	attr.key_size = attr.value_size = sizeof(uint32_t);
	attr.max_entries = 1;
	return bpf(BPF_MAP_CREATE, &attr);
}

/* A map with that verdict, or -1. */
static int
open_map(void)
{
	int map = create_map(), program = load_verdict(), r;
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)map;
	attr.attach_bpf_fd = (uint32_t)program;
	attr.attach_type = BPF_SK_SKB_STREAM_VERDICT;
	r = map == -1 || program == -1 ? -1 : bpf(BPF_PROG_ATTACH, &attr);
	if (program != -1)
		close(program);
	if (r == -1 && map != -1)
		close(map);
	return r == -1 ? -1 : map;
}

static void
put(int map, int fd)
{
	const uint32_t key = 0, value = (uint32_t)fd;
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = address(&key);
	attr.value = address(&value);
	ck_assert_msg(bpf(BPF_MAP_UPDATE_ELEM, &attr) == 0,
	    "BPF_MAP_UPDATE_ELEM: %s", t_errno(errno));
}

static const char *
no_sockmap(void)
{
	static char why[80];
	int map = open_map();

	if (map != -1) {
		t_close(map);
		return NULL;
	}
	(void)snprintf(why, sizeof(why), "no sockmap here: %s",
	    t_errno(errno));
	return why;
}

/*
 * Closes, how many turns their loops took, and what `late' was given
 */

struct closing {
	struct t_pair	p;
	int		map;
	int		limit;
	int		result, error;
	int		turns;
	struct graceclose_report report;
	size_t		handed;
	bool		takes;		/* `late' is given */
};

static void
take(void *arg, const void *data, size_t n)
{
	struct closing *c = arg;
	const char *bytes = data;
	size_t i;

	for (i = 0; i < n; i++)
		ck_assert_int_eq(bytes[i],
		    (char)((c->handed + i) * 7));
	c->handed += n;
}

static struct graceclose_opts
options(struct closing *c)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_DETACH, c->limit, -1);

	if (c->takes) {
		o.late = take;
		o.arg = c;
	}
	return o;
}

static void
done(struct closing *c, int result)
{
	c->error = errno;
	c->result = result;
}

static void
blocking(struct closing *c)
{
	struct graceclose_opts o = options(c);

	errno = T_ERRNO_UNTOUCHED;
	done(c, graceclose(c->p.us, &o, &c->report));
}

/* The loop of graceclose_begin(3), level-triggered; or epoll, with edges. */
static void
drive(struct closing *c, int epfd, unsigned flags)
{
	struct graceclose_opts o = options(c);
	struct epoll_event ev;
	struct graceclose gc;
	struct pollfd p;

	o.flags = flags;
	ck_assert_int_eq(graceclose_begin(&gc, c->p.us, &o), 0);
	while (graceclose_step(&gc) == 1) {
		p.fd = graceclose_events(&gc) != 0 ? c->p.us : -1;
		p.events = graceclose_events(&gc);
		if (epfd == -1)
			(void)poll(&p, 1, graceclose_timeout(&gc));
		else
			(void)epoll_wait(epfd, &ev, 1,
			    graceclose_timeout(&gc));
		c->turns++;
	}
	errno = T_ERRNO_UNTOUCHED;
	done(c, graceclose_end(&gc, &c->report));
}

static void
level(struct closing *c)
{
	drive(c, -1, 0);
}

static void
edges_or_naps(struct closing *c, unsigned flags)
{
	struct epoll_event ev = { .events = GRACECLOSE_EPOLL };
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	ck_assert_int_ne(epfd, -1);
	ck_assert_int_eq(epoll_ctl(epfd, EPOLL_CTL_ADD, c->p.us, &ev), 0);
	drive(c, epfd, flags);
	t_close(epfd);
}

static void
naps(struct closing *c)
{
	edges_or_naps(c, 0);
}

static void
edges(struct closing *c)
{
	edges_or_naps(c, GRACECLOSE_EDGES);
}

static void
by_reaper(struct closing *c)
{
	const struct graceclose_reaper_opts ro = { .done = t_done };
	struct graceclose_reaper *r = t_reaper(&ro);
	struct graceclose_opts o = options(c);
	struct t_verdict v = { .fd = c->p.us };

	t_ok(graceclose_reaper_close(r, c->p.us, &o, &v));
	t_wait_told(&v);
	c->report = v.report;
	c->result = v.report.error == 0 ? 0 : -1;
	c->error = v.report.error;
	t_reaper_free(r);
}

static void (*const forms[])(struct closing *) = { blocking, level, naps,
    edges, by_reaper };
#define FORMS	5

/* We have sent, and the peer has read it. */
static void
begin(struct closing *c, int limit)
{
	memset(c, 0, sizeof(*c));
	c->limit = limit;
	t_pair(&c->p, T_IPV4);
	ck_assert_int_ne(c->map = open_map(), -1);
	put(c->map, c->p.us);
	t_write(c->p.us, SENT);
	t_read(c->p.peer, SENT);
}

static void
send_late(int fd)
{
	char late[LATE];
	size_t i;

	for (i = 0; i < LATE; i++)
		late[i] = (char)(i * 7);
	(void)!send(fd, late, LATE, MSG_NOSIGNAL);
}

static void
send_late_and_fin(int fd)
{
	send_late(fd);
	(void)shutdown(fd, SHUT_WR);
}

static void
over(struct closing *c)
{
	ck_assert_msg(c->turns <= TURNS_MAX, "%d turns", c->turns);
	t_released(c->p.us);
	if (c->p.peer != -1)
		t_close(c->p.peer);
	t_close(c->map);
}

START_TEST(recv_without_a_buffer_fails_there)
{
	struct closing c;
	char buf[LATE];

	if (T_VALGRIND)
		t_skip("valgrind sees an error in the address of NULL");
	t_need_right(no_sockmap());
	begin(&c, 0);
	send_late(c.p.peer);
	t_wait_readable(c.p.us);
	t_fails((int)recv(c.p.us, NULL, LATE, MSG_TRUNC | MSG_DONTWAIT),
	    EFAULT);
	ck_assert_int_gt((int)recv(c.p.us, buf, LATE, MSG_DONTWAIT), 0);
	t_ok(abort_close(c.p.us));
	over(&c);
}
END_TEST

/* Index: the form, and whether the input is here before the close. */
START_TEST(late_input_of_a_stream_verdict_is_discarded)
{
	struct t_later later;
	struct closing c;

	t_need_right(no_sockmap());
	begin(&c, 2 * T_LIMIT_MS);
	if (_i / FORMS == 0) {
		send_late(c.p.peer);
		t_wait_readable(c.p.us);
	}
	t_later(&later, 100, _i / FORMS == 0 ? t_fin : send_late_and_fin,
	    c.p.peer);
	forms[_i % FORMS](&c);
	t_later_join(&later);
	ck_assert_msg(c.result == 0, "%s", t_errno(c.error));
	t_report_is(&c.report, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(c.report.discarded, LATE);
	t_saw(t_read_all(c.p.peer), 0, 0);
	over(&c);
}
END_TEST

/* The input is there, and the peer never closes. */
START_TEST(silent_peer_behind_a_stream_verdict_costs_nothing)
{
	struct closing c;
	int64_t cpu;

	t_need_right(no_sockmap());
	begin(&c, WAIT_MS);
	send_late(c.p.peer);
	t_wait_readable(c.p.us);
	cpu = t_cpu_ms();
	forms[_i](&c);
	ck_assert_int_le((int)(t_cpu_ms() - cpu), WAIT_MS / 5);
	ck_assert_int_eq(c.result, -1);
	t_error_is(c.error, ETIMEDOUT);
	ck_assert_int_eq(c.report.outcome, GRACECLOSE_EXPIRED);
	ck_assert_uint_eq(c.report.discarded, LATE);
	t_saw(t_read_all(c.p.peer), 0, 0);
	over(&c);
}
END_TEST

/* It comes before the close, with the peer's FIN behind it, or later. */
START_TEST(late_takes_what_a_stream_verdict_holds)
{
	struct t_later later;
	struct closing c;

	t_not_portable(T_NO_ACK);
	t_need_right(no_sockmap());
	begin(&c, 2 * T_LIMIT_MS);
	c.takes = true;
	if (_i / FORMS == 0) {
		send_late_and_fin(c.p.peer);
		t_wait_poll(c.p.us, POLLRDHUP);
		t_wait_readable(c.p.us);
	} else {
		t_later(&later, 100, send_late_and_fin, c.p.peer);
	}
	forms[_i % FORMS](&c);
	if (_i / FORMS != 0)
		t_later_join(&later);
	ck_assert_msg(c.result == 0, "%s", t_errno(c.error));
	t_report_is(&c.report, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(c.handed, LATE);
	ck_assert_uint_eq(c.report.discarded, LATE);
	t_saw(t_read_all(c.p.peer), 0, 0);
	over(&c);
}
END_TEST

START_TEST(reset_behind_a_stream_verdict_is_one)
{
	struct closing c;

	t_need_right(no_sockmap());
	begin(&c, 2 * T_LIMIT_MS);
	send_late(c.p.peer);
	t_wait_readable(c.p.us);
	t_reset(c.p.peer);
	c.p.peer = -1;
	t_wait_dead(c.p.us);
	forms[_i](&c);
	ck_assert_int_eq(c.result, -1);
	t_error_is(c.error, ECONNRESET);
	ck_assert_int_eq(c.report.outcome, GRACECLOSE_WAS_RESET);
	over(&c);
}
END_TEST

START_TEST(abort_reaches_the_peer_past_a_stream_verdict)
{
	struct closing c;

	t_need_right(no_sockmap());
	begin(&c, 0);
	send_late(c.p.peer);
	t_wait_readable(c.p.us);
	t_ok(abort_close(c.p.us));
	t_saw(t_read_all(c.p.peer), 0, ECONNRESET);
	over(&c);
}
END_TEST

/* What it holds is unread input, as any other is. */
START_TEST(looks_see_past_a_stream_verdict)
{
	struct closing c;

	t_not_portable("plain POSIX sees no FIN behind unread input");
	t_need_right(no_sockmap());
	begin(&c, 0);
	t_returns(peer_closed(c.p.us), 0);
	t_returns(graceclose_probe(c.p.us), 0);
	send_late(c.p.peer);
	t_wait_readable(c.p.us);
	t_returns(peer_closed(c.p.us), 0);
	t_returns(graceclose_probe(c.p.us), GRACECLOSE_UNREAD);
	t_fin(c.p.peer);
	t_wait_poll(c.p.us, POLLRDHUP);
	t_returns(peer_closed(c.p.us), 1);
	t_returns(graceclose_probe(c.p.us),
	    GRACECLOSE_UNREAD | GRACECLOSE_FIN);
	t_ok(abort_close(c.p.us));
	over(&c);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sockmap");
	TCase *tc = t_case(s, "stream verdict");

	tcase_add_test(tc, recv_without_a_buffer_fails_there);
	tcase_add_loop_test(tc, late_input_of_a_stream_verdict_is_discarded,
	    0, 2 * FORMS);
	tcase_add_loop_test(tc,
	    silent_peer_behind_a_stream_verdict_costs_nothing, 0, FORMS);
	tcase_add_loop_test(tc, late_takes_what_a_stream_verdict_holds, 0,
	    2 * FORMS);
	tcase_add_loop_test(tc, reset_behind_a_stream_verdict_is_one, 0,
	    FORMS);
	tcase_add_test(tc, abort_reaches_the_peer_past_a_stream_verdict);
	tcase_add_test(tc, looks_see_past_a_stream_verdict);
	return t_main(s);
}
