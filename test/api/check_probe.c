/*
 * graceclose_probe and graceclose_probe_many: the same bits for one
 * descriptor and for thousands
 */
#include <sys/resource.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

#define NCASES	(t_nstates * T_ANY)
#define MANY	5000

static const struct t_state *
state(int i)
{
	return &t_states[i / T_ANY];
}

static void
are_bits(const struct t_state *s, int i, const char *how, int got)
{
	int bits = t_state_bits(s, i), sure = s->sure | bits;

	ck_assert_msg((got & sure) == bits && (got & ~7) == 0,
	    "%s, %s (%s): 0x%x, not 0x%x", how, s->name,
	    t_families[i / 2].name, (unsigned)got, (unsigned)bits);
}

/* Twice, because a probe must not change the result of the next. */
START_TEST(every_state_has_its_bits)
{
	const struct t_state *s = state(_i);
	int i = _i % T_ANY;
	struct t_pair p;
	int n;

	if (i / 2 >= s->families)
		return;
	t_need_any(i);
	t_need_state(s);
	t_state_pair(&p, s, i);
	for (n = 0; n < 2; n++) {
		errno = T_ERRNO_UNTOUCHED;
		are_bits(s, i, "probe", graceclose_probe(p.us));
		ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);
	}
	t_close_pair(&p);
}
END_TEST

START_TEST(probe_many_says_the_same_of_every_state)
{
	const struct t_state *s = state(_i);
	int i = _i % T_ANY;
	struct t_pair p;
	unsigned char bits;
	int n;

	if (i / 2 >= s->families)
		return;
	t_need_any(i);
	t_need_state(s);
	t_state_pair(&p, s, i);
	for (n = 0; n < 2; n++) {
		bits = 0xff;
		t_returns(graceclose_probe_many(&p.us, 1, &bits),
		    s->closed != 0);
		are_bits(s, i, "probe_many", bits);
		ck_assert_int_eq(bits, graceclose_probe(p.us));
	}
	t_close_pair(&p);
}
END_TEST

/* MPTCP counts a FIN as an unread byte; the probe must tell them apart. */
START_TEST(one_byte_unread_is_told_from_a_fin)
{
	struct t_pair p;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.peer, 1);
	t_wait_inq(p.us, 1);
	t_returns(graceclose_probe(p.us), GRACECLOSE_UNREAD);
	t_read(p.us, 1);
	t_returns(graceclose_probe(p.us), 0);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	t_returns(graceclose_probe(p.us), GRACECLOSE_FIN);
	t_close_pair(&p);
}
END_TEST

START_TEST(probe_consumes_neither_data_nor_error)
{
	struct t_pair p;
	unsigned char bits;

	t_need_any(_i);
	t_pair_any(&p, _i);
	t_write(p.peer, 100);
	t_wait_inq(p.us, 100);
	graceclose_probe(p.us);
	graceclose_probe_many(&p.us, 1, &bits);
	t_read(p.us, 100);
	t_reset(p.peer);
	t_wait_reset(p.us);
	graceclose_probe(p.us);
	graceclose_probe_many(&p.us, 1, &bits);
	t_saw(t_read_all(p.us), 0, ECONNRESET);
	t_close(p.us);
}
END_TEST

/* AF_UNIX has no RST, but what the peer did not read is lost. */
START_TEST(unix_peer_that_closed_with_input_unread_is_dead)
{
	unsigned char bits = 0xaa;
	struct t_pair p;

	t_pair_any(&p, 2 * T_UNIX + _i);
	t_write(p.us, 100);
	t_close(p.peer);
	t_wait_reset(p.us);
	t_returns(graceclose_probe(p.us), GRACECLOSE_RST);
	t_returns(graceclose_probe_many(&p.us, 1, &bits), 1);
	ck_assert_uint_eq(bits, GRACECLOSE_RST);
	t_fails(peer_closed(p.us), ECONNRESET);
	t_saw(t_read_all(p.us), 0, ECONNRESET);
	t_close(p.us);
}
END_TEST

/*
 * Many
 */

/* Every state in turn, with the expected bits; returns how many. */
static int
one_of_each(struct t_pair *pairs, const struct t_state **what)
{
	int i, n;

	for (i = n = 0; i < t_nstates; i++) {
		if (t_states[i].sure != 7 ||
		    t_state_missing(&t_states[i]) != NULL)
			continue;
		what[n] = &t_states[i];
		t_state_pair(&pairs[n], &t_states[i], n % 2);
		n++;
	}
	return n;
}

/*
 * Each entry repeats one of the states: the same descriptor may occur more
 * than once.
 */
static void
probe_mixture(const struct t_pair *pairs, const struct t_state **what,
    int kinds, size_t n)
{
	unsigned char *bits;
	size_t i;
	int *fds;
	int expected, k;

	fds = calloc(n, sizeof(*fds));
	bits = malloc(n + 1);
	ck_assert(fds != NULL && bits != NULL && kinds > 0);
	memset(bits, 0xaa, n + 1);
	expected = 0;
	for (i = 0; i < n; i++) {
		k = (int)(i % (size_t)kinds);
		fds[i] = pairs[k].us;
		expected += what[k]->closed != 0;
	}
	t_returns(graceclose_probe_many(fds, n, bits), expected);
	for (i = 0; i < n; i++) {
		k = (int)(i % (size_t)kinds);
		are_bits(what[k], k % 2, "mixture", bits[i]);
	}
	ck_assert_uint_eq(bits[n], 0xaa);
	free(fds);
	free(bits);
}

static const size_t sizes[] = { 1, 2, 31, 63, 64, 65, 127, 128, 129, 255, 256,
	257, 511, 512, 513, 1000, 1023, 1024, 1025, 2048, MANY };
#define NSIZES	(sizeof(sizes) / sizeof(sizes[0]))

START_TEST(any_number_of_states_together_have_their_bits)
{
	const struct t_state *what[64];
	struct t_pair pairs[64];
	size_t i;
	int kinds;

	kinds = one_of_each(pairs, what);
	for (i = 0; i < NSIZES; i++)
		probe_mixture(pairs, what, kinds, sizes[i]);
	while (kinds-- > 0)
		t_close_pair(&pairs[kinds]);
}
END_TEST

/* poll(2) refuses more entries than there may be descriptors. */
START_TEST(low_descriptor_limit_is_no_obstacle)
{
	const struct t_state *what[64];
	struct t_pair pairs[64];
	struct rlimit old, low;
	int kinds;

	kinds = one_of_each(pairs, what);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 64;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	probe_mixture(pairs, what, kinds, MANY);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	while (kinds-- > 0)
		t_close_pair(&pairs[kinds]);
}
END_TEST

/* Lowered after the descriptors were opened, below every one of them. */
START_TEST(descriptor_limit_of_next_to_nothing_is_no_obstacle)
{
	struct rlimit old, low;
	struct t_pair p;
	unsigned char bits[100];
	int fds[100], i;

	t_pair(&p, T_IPV4);
	t_fin(p.peer);
	t_wait_poll(p.us, POLLRDHUP);
	for (i = 0; i < 100; i++)
		fds[i] = p.us;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)_i;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	i = graceclose_probe_many(fds, 100, bits);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_int_eq(i, 100);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(bits[i], GRACECLOSE_FIN);
	t_close_pair(&p);
}
END_TEST

/* Then one entry is too many for poll(2), and the probe sees nothing. */
START_TEST(descriptor_limit_of_0_is_einval)
{
	struct rlimit none, old;
	struct t_pair p;
	unsigned char bits = 0xaa;
	int many, one, errors[2];

	if (T_VALGRIND)
		t_skip("valgrind keeps the limit to itself");
	t_pair(&p, T_IPV4);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	many = graceclose_probe_many(&p.us, 1, &bits);
	errors[0] = errno;
	one = graceclose_probe(p.us);
	errors[1] = errno;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_int_eq(many, -1);
	t_error_is(errors[0], EINVAL);
	ck_assert_uint_eq(bits, 0xaa);
	ck_assert_int_eq(one, -1);
	t_error_is(errors[1], EINVAL);
	ck_assert_int_eq(graceclose_probe(p.us), 0);
	t_close_pair(&p);
}
END_TEST

/* The same with as many real connections, each probed by itself. */
START_TEST(thousands_of_connections_are_told_apart)
{
	static struct t_pair pairs[MANY];
	static unsigned char bits[MANY];
	static int fds[MANY];
	struct rlimit rl;
	int dead, i, n;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &rl), 0);
	n = rl.rlim_cur < 2 * MANY + 100 ? (int)(rl.rlim_cur - 100) / 2 : MANY;
	for (i = dead = 0; i < n; i++) {
		t_pair(&pairs[i], i % 2 == 0 ? T_UNIX : T_IPV4);
		fds[i] = pairs[i].us;
		if (i % 7 == 0) {
			t_fin(pairs[i].peer);
			t_wait_poll(pairs[i].us, POLLRDHUP);
			dead++;
		} else if (i % 5 == 0) {
			t_write(pairs[i].peer, 1);
			t_wait_readable(pairs[i].us);
		}
	}
	t_returns(graceclose_probe_many(fds, (size_t)n, bits), dead);
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(bits[i], i % 7 == 0 ? GRACECLOSE_FIN :
		    i % 5 == 0 ? GRACECLOSE_UNREAD : 0);
		t_close_pair(&pairs[i]);
	}
}
END_TEST

START_TEST(no_descriptors_at_all_are_zero)
{
	unsigned char bits;
	int fd;

	fd = -1;
	bits = 0xaa;
	t_returns(graceclose_probe_many(&fd, 0, &bits), 0);
	t_returns(graceclose_probe_many(NULL, 0, NULL), 0);
	ck_assert_uint_eq(bits, 0xaa);
}
END_TEST

START_TEST(nothing_to_look_at_or_no_room_for_bits_is_einval)
{
	unsigned char bits = 0xaa;
	struct t_pair p;

	t_pair(&p, T_IPV4);
	t_fails(graceclose_probe_many(NULL, 1, &bits), EINVAL);
	t_fails(graceclose_probe_many(&p.us, 1, NULL), EINVAL);
	ck_assert_uint_eq(bits, 0xaa);
	t_close_pair(&p);
}
END_TEST

START_TEST(entry_that_is_no_descriptor_gets_rst)
{
	struct t_pair p;
	unsigned char bits[6];
	int fds[6];

	t_need(_i);
	t_pair(&p, _i);
	fds[0] = p.us;
	fds[1] = -1;
	fds[2] = INT32_MAX;
	fds[3] = INT32_MIN;
	fds[4] = dup(p.us);
	t_close(fds[4]);
	fds[5] = p.us;
	memset(bits, 0xaa, sizeof(bits));
	t_returns(graceclose_probe_many(fds, 6, bits), 4);
	ck_assert_int_eq(bits[0], 0);
	ck_assert_int_eq(bits[1], GRACECLOSE_RST);
	ck_assert_int_eq(bits[2], GRACECLOSE_RST);
	ck_assert_int_eq(bits[3], GRACECLOSE_RST);
	ck_assert_int_eq(bits[4], GRACECLOSE_RST);
	ck_assert_int_eq(bits[5], 0);
	t_close_pair(&p);
}
END_TEST

/*
 * Not a connection
 */

START_TEST(what_is_no_connection_has_its_errno)
{
	int fd;

	t_need(t_odds[_i].family);
	fd = t_odd_open(&t_odds[_i]);
	t_fails(graceclose_probe(fd), t_odds[_i].error);
	t_close(fd);
}
END_TEST

START_TEST(no_descriptor_is_ebadf)
{
	t_fails(graceclose_probe(-1), EBADF);
	t_fails(graceclose_probe(INT32_MAX), EBADF);
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("probe");
	tc = t_case(s, "states");
	tcase_add_loop_test(tc, every_state_has_its_bits, 0, NCASES);
	tcase_add_loop_test(tc, probe_many_says_the_same_of_every_state, 0,
	    NCASES);
	tcase_add_loop_test(tc, one_byte_unread_is_told_from_a_fin, 0, T_ANY);
	tcase_add_loop_test(tc, probe_consumes_neither_data_nor_error, 0,
	    T_ANY_TCP);
	tcase_add_loop_test(tc,
	    unix_peer_that_closed_with_input_unread_is_dead, 0, 2);

	tc = t_case(s, "many");
	tcase_add_test(tc, any_number_of_states_together_have_their_bits);
	tcase_add_test(tc, low_descriptor_limit_is_no_obstacle);
	tcase_add_loop_test(tc,
	    descriptor_limit_of_next_to_nothing_is_no_obstacle, 1, 5);
	tcase_add_test(tc, descriptor_limit_of_0_is_einval);
	tcase_add_test(tc, thousands_of_connections_are_told_apart);
	tcase_add_test(tc, no_descriptors_at_all_are_zero);
	tcase_add_test(tc, nothing_to_look_at_or_no_room_for_bits_is_einval);
	tcase_add_loop_test(tc, entry_that_is_no_descriptor_gets_rst, 0,
	    T_FAMILIES);

	tc = t_case(s, "no connection");
	tcase_add_loop_test(tc, what_is_no_connection_has_its_errno, 0,
	    T_ODDS);
	tcase_add_test(tc, no_descriptor_is_ebadf);
	return t_main(s);
}
