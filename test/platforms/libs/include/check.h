/*
 * check.h - the part of libcheck's interface that the suites use, for a libc or
 * a processor of which this machine has no libcheck
 *
 * From the environment: CK_FORK=no, CK_RUN_CASE=name, CK_VERBOSITY=verbose.
 */
#ifndef PLATFORMS_CHECK_H
#define PLATFORMS_CHECK_H

#include <stdint.h>
#include <string.h>
#include <sys/types.h>

typedef struct Suite Suite;
typedef struct TCase TCase;
typedef struct SRunner SRunner;
typedef struct TestResult TestResult;
typedef void (*TFun)(int);
typedef void (*SFun)(void);
typedef struct TTest {
	const char	*name;
	TFun		 fn;
	const char	*file;
	int		 line;
} TTest;

enum fork_status { CK_FORK_GETENV, CK_FORK, CK_NOFORK };
enum print_output { CK_SILENT, CK_MINIMAL, CK_NORMAL, CK_VERBOSE, CK_ENV };

Suite		*suite_create(const char *);
void		 suite_add_tcase(Suite *, TCase *);
TCase		*tcase_create(const char *);
void		 tcase_set_timeout(TCase *, double seconds);
void		 tcase_add_checked_fixture(TCase *, SFun setup, SFun teardown);
const char	*tcase_name(void);	/* of the test that runs */
void		 _tcase_add_test(TCase *, const TTest *, int signal, int status,
		    int start, int end);

SRunner		*srunner_create(Suite *);
void		 srunner_set_fork_status(SRunner *, enum fork_status);
enum fork_status srunner_fork_status(SRunner *);
void		 srunner_run_all(SRunner *, enum print_output);
int		 srunner_ntests_failed(SRunner *);
TestResult	**srunner_failures(SRunner *);
void		 srunner_free(SRunner *);
const char	*tr_msg(TestResult *);
const char	*tr_lfile(TestResult *);
int		 tr_lno(TestResult *);

#define tcase_add_test(tc, test)					\
	_tcase_add_test((tc), (test), 0, 0, 0, 1)
#define tcase_add_loop_test(tc, test, start, end)			\
	_tcase_add_test((tc), (test), 0, 0, (start), (end))

#define START_TEST(test)						\
static void test##_fn(int);						\
static const TTest test##_ttest = { #test, test##_fn, __FILE__, __LINE__ }; \
static const TTest *test = &test##_ttest;				\
static void test##_fn(int _i __attribute__((unused)))
#define END_TEST

void		 _ck_assert_failed(const char *file, int line,
		    const char *what, const char *format, ...)
		    __attribute__((noreturn, format(printf, 4, 5)));

#define ck_assert_msg(x, ...) do {					\
	if (!(x))							\
		_ck_assert_failed(__FILE__, __LINE__,			\
		    "Assertion '" #x "' failed", __VA_ARGS__);		\
} while (0)
#define ck_assert(x)		ck_assert_msg((x), NULL)
#define ck_abort_msg(...)						\
	_ck_assert_failed(__FILE__, __LINE__, "Failed", __VA_ARGS__)

/* Two values of a type, compared, and printed where that fails. */
#define CK_COMPARE(type, format, x, op, y) do {				\
	const type ck_x_ = (x);						\
	const type ck_y_ = (y);						\
	ck_assert_msg(ck_x_ op ck_y_, "Assertion '%s' failed: %s == "	\
	    format ", %s == " format, #x " " #op " " #y, #x, ck_x_, #y,	\
	    ck_y_);							\
} while (0)
#define CK_INT(x, op, y)	CK_COMPARE(intmax_t, "%jd", x, op, y)
#define CK_UINT(x, op, y)	CK_COMPARE(uintmax_t, "%ju", x, op, y)
#define CK_PTR(x, op, y)	CK_COMPARE(void *, "%p", x, op, y)
#define ck_assert_int_eq(x, y)	CK_INT(x, ==, y)
#define ck_assert_int_ne(x, y)	CK_INT(x, !=, y)
#define ck_assert_int_lt(x, y)	CK_INT(x, <, y)
#define ck_assert_int_le(x, y)	CK_INT(x, <=, y)
#define ck_assert_int_gt(x, y)	CK_INT(x, >, y)
#define ck_assert_int_ge(x, y)	CK_INT(x, >=, y)
#define ck_assert_uint_eq(x, y)	CK_UINT(x, ==, y)
#define ck_assert_uint_ne(x, y)	CK_UINT(x, !=, y)
#define ck_assert_uint_lt(x, y)	CK_UINT(x, <, y)
#define ck_assert_uint_le(x, y)	CK_UINT(x, <=, y)
#define ck_assert_uint_gt(x, y)	CK_UINT(x, >, y)
#define ck_assert_uint_ge(x, y)	CK_UINT(x, >=, y)
#define ck_assert_double_lt(x, y) CK_COMPARE(double, "%g", x, <, y)
#define ck_assert_ptr_eq(x, y)	CK_PTR((const void *)(x), ==, (const void *)(y))
#define ck_assert_ptr_ne(x, y)	CK_PTR((const void *)(x), !=, (const void *)(y))
#define ck_assert_ptr_null(x)	ck_assert_ptr_eq((x), NULL)
#define ck_assert_ptr_nonnull(x) ck_assert_ptr_ne((x), NULL)

#define ck_assert_str_eq(x, y) do {					\
	const char *ck_s_ = (x), *ck_t_ = (y);				\
	ck_assert_msg(ck_s_ != NULL && ck_t_ != NULL &&			\
	    strcmp(ck_s_, ck_t_) == 0, "Assertion '%s' failed: %s == "	\
	    "\"%s\", %s == \"%s\"", #x " == " #y, #x,			\
	    ck_s_ == NULL ? "(null)" : ck_s_, #y,			\
	    ck_t_ == NULL ? "(null)" : ck_t_);				\
} while (0)
#define ck_assert_mem_eq(x, y, n)					\
	ck_assert_msg(memcmp((x), (y), (n)) == 0,			\
	    "Assertion '%s' failed", #x " == " #y)
#define ck_assert_mem_ne(x, y, n)					\
	ck_assert_msg(memcmp((x), (y), (n)) != 0,			\
	    "Assertion '%s' failed", #x " != " #y)

#endif /* PLATFORMS_CHECK_H */
