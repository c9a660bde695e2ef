/*
 * clock.c - time: what it is, waits, and a faster clock for the library
 */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "support/clock.h"
#include "support/runner.h"

/*
 * The library's calls of clock_gettime end here: a symbol of the program comes
 * before that of the C library.
 */

static int clock_speed = 1;
static int64_t clock_base;

static int64_t
real_ns(clockid_t id)
{
	struct timespec ts;

	syscall(SYS_clock_gettime, id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t ns;

	if (id != CLOCK_MONOTONIC || clock_speed == 1)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ns = real_ns(id);
	ns += (ns - clock_base) * (clock_speed - 1);
	ts->tv_sec = (time_t)(ns / 1000000000);
	ts->tv_nsec = (long)(ns % 1000000000);
	return 0;
}

void
t_clock(int speed)
{
	clock_base = real_ns(CLOCK_MONOTONIC);
	clock_speed = speed;
}

int64_t
t_now_ms(void)
{
	return real_ns(CLOCK_MONOTONIC) / 1000000;
}

static int64_t
ms(const struct timeval *tv)
{
	return (int64_t)tv->tv_sec * 1000 + tv->tv_usec / 1000;
}

int64_t
t_cpu_ms(void)
{
	struct rusage ru;

	getrusage(RUSAGE_THREAD, &ru);
	return ms(&ru.ru_utime) + ms(&ru.ru_stime);
}

void
t_pause(int ms)
{
	struct timespec ts;

	ts.tv_sec = ms / 1000;
	ts.tv_nsec = ms % 1000 * 1000000L;
	while (nanosleep(&ts, &ts) == -1 && errno == EINTR)
		;
}

void
t_prompt(int64_t (*late)(int), int arg, int64_t limit_ms)
{
	int64_t ms = INT64_MAX;
	int i;

	for (i = 0; i < 5 * t_patience() && ms > limit_ms; i++)
		ms = late(arg);
	ck_assert_int_le(ms, limit_ms);
}
