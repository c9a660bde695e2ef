/*
 * What 1.2.0 promises of its version, its sizes, and a reaper's defaults
 */
#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <graceclose.h>

#include "support/util.h"

#if !defined(GRACECLOSE_VERSION) || GRACECLOSE_VERSION < 0x010200
#error "GRACECLOSE_VERSION cannot be compared"
#endif

#define IS_64_BIT	(sizeof(void *) == 8)

/*
 * Version
 */

START_TEST(version_of_the_header_is_made_of_its_parts)
{
	ck_assert_int_eq(GRACECLOSE_VERSION, GRACECLOSE_VERSION_MAJOR * 65536 +
	    GRACECLOSE_VERSION_MINOR * 256 + GRACECLOSE_VERSION_PATCH);
	ck_assert_int_ge(GRACECLOSE_VERSION, 0x010200);
}
END_TEST

START_TEST(version_of_the_library_is_that_of_the_header)
{
	char expected[32];
	const char *version;

	(void)snprintf(expected, sizeof(expected), "%d.%d.%d",
	    GRACECLOSE_VERSION_MAJOR, GRACECLOSE_VERSION_MINOR,
	    GRACECLOSE_VERSION_PATCH);
	errno = T_ERRNO_UNTOUCHED;
	version = graceclose_version();
	ck_assert_int_eq(errno, T_ERRNO_UNTOUCHED);
	ck_assert_str_eq(version, expected);
	ck_assert_ptr_eq(graceclose_version(), version);
}
END_TEST

/*
 * Sizes, and where the members of 1.1 were
 */

START_TEST(structs_keep_their_sizes)
{
	if (IS_64_BIT)
		ck_assert_uint_eq(sizeof(struct graceclose_opts), 48);
	ck_assert_uint_eq(sizeof(struct graceclose_report), 56);
	ck_assert_uint_eq(sizeof(struct graceclose), 128);
	ck_assert_uint_eq(offsetof(struct graceclose_opts, until), 0);
	ck_assert_uint_eq(offsetof(struct graceclose_opts, on_expiry), 4);
	ck_assert_uint_eq(offsetof(struct graceclose_opts, timeout_ms), 8);
	ck_assert_uint_eq(offsetof(struct graceclose_opts, idle_ms), 12);
	ck_assert_uint_eq(offsetof(struct graceclose_opts, discard_max), 16);
	ck_assert_uint_eq(offsetof(struct graceclose_report, unacked), 16);
	ck_assert_uint_eq(offsetof(struct graceclose_report, elapsed_us), 32);
	ck_assert_uint_eq(offsetof(struct graceclose_report, cause), 40);
}
END_TEST

START_TEST(constants_have_their_values)
{
	ck_assert_int_eq(GRACECLOSE_FINISHED, 0);
	ck_assert_int_eq(GRACECLOSE_DELIVERED, 1);
	ck_assert_int_eq(GRACECLOSE_QUIET, 2);
	ck_assert_uint_eq(GRACECLOSE_EDGES, 1);
}
END_TEST

/* What a program that was compiled for 1.1 passes: the rest was reserved. */
START_TEST(options_of_an_old_program_work)
{
	struct {
		int		until, on_expiry, timeout_ms, idle_ms;
		uint64_t	discard_max;
		uint64_t	reserved[3];
	} old = { 0, 0, 0, 0, 0, { 0, 0, 0 } };
	struct graceclose_report r;
	struct graceclose_opts o;
	struct t_pair p;

	if (!IS_64_BIT)
		t_skip("the layout is that of 64-bit");
	ck_assert_uint_eq(sizeof(old), sizeof(o));
	memcpy(&o, &old, sizeof(o));
	t_pair(&p, T_IPV4);
	t_write(p.peer, 1000);
	t_fin(p.peer);
	t_ok(graceclose(p.us, &o, &r));
	t_report_is(&r, GRACECLOSE_OK, 0, 1, 1);
	ck_assert_uint_eq(r.discarded, 1000);
	t_close(p.peer);
}
END_TEST

/*
 * A reaper's default for max.  Each close is of a duplicate: they need no peer
 * of their own, and never end.
 */

static unsigned
places(struct graceclose_reaper *r, int fd, unsigned most)
{
	struct graceclose_opts o = t_opts(GRACECLOSE_FINISHED,
	    GRACECLOSE_DETACH, -1, -1);
	unsigned n;
	int copy;

	for (n = 0; n < most; n++) {
		ck_assert_int_ne(copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), -1);
		errno = T_ERRNO_UNTOUCHED;
		if (graceclose_reaper_close(r, copy, &o, NULL) == 0)
			continue;
		t_errno_is(EAGAIN);
		t_close(copy);
		break;
	}
	return n;
}

/* With this soft limit while the reaper is made, and more of it afterwards. */
static unsigned
places_by_default(rlim_t soft, rlim_t later, unsigned most)
{
	struct graceclose_reaper *r;
	struct rlimit before, limit;
	struct t_pair p;
	unsigned n;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = soft;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	t_pair(&p, T_UNIX);
	r = t_reaper(NULL);
	limit.rlim_cur = later;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	n = places(r, p.us, most);
	t_reaper_free(r);
	t_close_pair(&p);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	return n;
}

static const unsigned softs[] = { 40, 64, 101, 256, 512 };
#define SOFTS	((int)(sizeof(softs) / sizeof(softs[0])))

START_TEST(reaper_takes_half_of_the_soft_limit)
{
	rlim_t later = (rlim_t)t_files(1024);

	if (later < 1024)
		t_skip("RLIMIT_NOFILE is too low");
	ck_assert_uint_eq(places_by_default(softs[_i], later, 1000),
	    softs[_i] / 2);
}
END_TEST

/* The limit when it was made counts, not the one that holds later. */
START_TEST(later_limit_does_not_change_a_reaper)
{
	rlim_t soft = (rlim_t)t_files(1024);

	if (soft < 1024)
		t_skip("RLIMIT_NOFILE is too low");
	ck_assert_uint_eq(places_by_default(soft, 300, 200), 200);
}
END_TEST

#define MOST	65536

START_TEST(reaper_takes_65536_at_most)
{
	rlim_t soft = (rlim_t)t_files((size_t)4 * MOST);

	if (T_SLOW || t_emulated())
		t_skip("takes too long here");
	if (soft < 2 * MOST + 100)
		t_skip("RLIMIT_NOFILE is too low");
	ck_assert_uint_eq(places_by_default(soft, soft, MOST + 1),
	    soft / 2 < MOST ? (unsigned)(soft / 2) : MOST);
}
END_TEST

START_TEST(max_of_the_program_is_not_limited_by_it)
{
	struct graceclose_reaper_opts ro = { .max = 100 };
	struct graceclose_reaper *r;
	struct rlimit before, limit;
	struct t_pair p;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = 64;
	t_pair(&p, T_UNIX);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	r = t_reaper(&ro);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_uint_eq(places(r, p.us, 200), 100);
	t_reaper_free(r);
	t_close_pair(&p);
}
END_TEST

/*
 * No reaper
 */

START_TEST(close_without_a_reaper_is_einval_and_touches_nothing)
{
	struct graceclose_opts o = t_opts(0, 0, 0, 0);
	struct t_pair p;

	t_need(_i / 2);
	t_pair(&p, _i / 2);
	t_fails(graceclose_reaper_close(NULL, p.us, _i % 2 == 0 ? NULL : &o,
	    &p), EINVAL);
	t_write(p.us, 10);
	t_read(p.peer, 10);
	t_write(p.peer, 10);
	t_read(p.us, 10);
	t_ok(peer_closed(p.peer));
	t_close_pair(&p);
}
END_TEST

/* The line of the contract, with and without a reaper. */
START_TEST(one_line_serves_with_and_without_a_reaper)
{
	struct graceclose_reaper *r = _i == 0 ? NULL : t_reaper(NULL);
	struct t_pair p;

	t_pair(&p, T_IPV4);
	t_write(p.us, 1000);
	if (graceclose_reaper_close(r, p.us, NULL, NULL) == -1)
		t_close(p.us);
	t_saw(t_read_all(p.peer), 1000, 0);
	t_close(p.peer);
	if (r != NULL) {
		t_ok(graceclose_reaper_flush(r, T_LIMIT_MS));
		t_reaper_free(r);
	}
	t_released(p.us);
}
END_TEST

int
main(void)
{
	Suite *s;
	TCase *tc;

	s = suite_create("version");
	tc = t_case(s, "version");
	tcase_add_test(tc, version_of_the_header_is_made_of_its_parts);
	tcase_add_test(tc, version_of_the_library_is_that_of_the_header);

	tc = t_case(s, "layout");
	tcase_add_test(tc, structs_keep_their_sizes);
	tcase_add_test(tc, constants_have_their_values);
	tcase_add_test(tc, options_of_an_old_program_work);

	tc = t_case(s, "max");
	tcase_add_loop_test(tc, reaper_takes_half_of_the_soft_limit, 0,
	    SOFTS);
	tcase_add_test(tc, later_limit_does_not_change_a_reaper);
	tcase_add_test(tc, reaper_takes_65536_at_most);
	tcase_add_test(tc, max_of_the_program_is_not_limited_by_it);

	tc = t_case(s, "no reaper");
	tcase_add_loop_test(tc,
	    close_without_a_reaper_is_einval_and_touches_nothing, 0,
	    2 * T_FAMILIES);
	tcase_add_loop_test(tc, one_line_serves_with_and_without_a_reaper, 0,
	    2);
	return t_main(s);
}
