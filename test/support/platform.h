/*
 * platform.h - what the tests run under: sanitizers, valgrind, plain POSIX
 */
#ifndef TEST_PLATFORM_H
#define TEST_PLATFORM_H

/* A sanitizer has its own memory, is slower, and cannot do everything. */
#ifdef __has_feature
#define T_HAS_FEATURE(f)	__has_feature(f)
#else
#define T_HAS_FEATURE(f)	0
#endif
#if defined(__SANITIZE_ADDRESS__) || T_HAS_FEATURE(address_sanitizer)
#define T_ASAN		1
#else
#define T_ASAN		0
#endif
#if defined(__SANITIZE_THREAD__) || T_HAS_FEATURE(thread_sanitizer)
#define T_TSAN		1
#else
#define T_TSAN		0
#endif
#define T_SANITIZED	(T_ASAN || T_TSAN)

/* So does valgrind; it also blocks signals late, and makes calls of its own. */
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define T_VALGRIND	(RUNNING_ON_VALGRIND != 0)
#else
#define T_VALGRIND	0
#endif
#define T_SLOW		(T_SANITIZED || T_VALGRIND)

/* A wait costs no more; t_emulated() is in runner.h. */
#define T_IDLE_CPU_MS	(T_VALGRIND ? 200 : t_emulated() ? 100 : 20)

/*
 * A library for plain POSIX cannot see acknowledgements, nor what poll(2) and
 * recv(2) do not show.  Its verdicts claim less, and are never wrong.
 * T_KNOWS is what the library reports with Linux's answers, and without them.
 */
#ifdef GRACECLOSE_PORTABLE
#define T_PORTABLE	1
#else
#define T_PORTABLE	0
#endif
#define T_KNOWS(all, posix)	(T_PORTABLE ? (posix) : (all))

#endif /* TEST_PLATFORM_H */
