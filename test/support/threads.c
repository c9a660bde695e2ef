/*
 * threads.c - threads, children and signals that a test starts
 */
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/proc.h"
#include "support/runner.h"
#include "support/threads.h"

/* glibc 2.36 has the member, and not the name that timer_create(2) gives it. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id	_sigev_un._tid
#endif

static volatile sig_atomic_t storm_signals;
static timer_t storm_timer;

void
t_thread(pthread_t *t, void *(*fn)(void *), void *arg)
{
	ck_assert_int_eq(pthread_create(t, NULL, fn, arg), 0);
}

void
t_join(pthread_t t)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 2 * T_LIMIT_MS / 1000;
	ck_assert_msg(pthread_timedjoin_np(t, NULL, &ts) == 0,
	    "a thread of the test hangs");
}

static void *
later_thread(void *arg)
{
	struct t_later *l = arg;

	t_pause(l->after_ms);
	l->done_ms = t_now_ms();
	l->what(l->fd);
	return NULL;
}

void
t_later(struct t_later *l, int after_ms, void (*what)(int), int fd)
{
	memset(l, 0, sizeof(*l));
	l->what = what;
	l->fd = fd;
	l->after_ms = after_ms;
	t_thread(&l->thread, later_thread, l);
}

int64_t
t_later_join(struct t_later *l)
{
	t_join(l->thread);
	return l->done_ms;
}

static void
count_storm(int sig)
{
	(void)sig;
	storm_signals++;
}

/*
 * The signals go to this thread alone, which is the one in the library.
 */
void
t_storm(void)
{
	struct itimerspec its;
	struct sigaction sa;
	struct sigevent se;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = count_storm;
	ck_assert_int_eq(sigaction(SIGUSR2, &sa, NULL), 0);
	storm_signals = 0;
	memset(&se, 0, sizeof(se));
	se.sigev_notify = SIGEV_THREAD_ID;
	se.sigev_signo = SIGUSR2;
	se.sigev_notify_thread_id = gettid();
	ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &se, &storm_timer), 0);
	memset(&its, 0, sizeof(its));
	its.it_interval.tv_nsec = T_VALGRIND ? 5000000 : 1000000;
	its.it_value = its.it_interval;
	ck_assert_int_eq(timer_settime(storm_timer, 0, &its, NULL), 0);
}

int
t_storm_end(void)
{
	timer_delete(storm_timer);
	return storm_signals;
}

pid_t
t_hold(void)
{
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		alarm((unsigned)T_SECONDS);
		for (;;)
			pause();
	}
	ck_assert_int_ne(pid, -1);
	return pid;
}

void
t_hold_end(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void *
block_in_recv(void *arg)
{
	struct t_blocked *b = arg;
	char c;

	__atomic_store_n(&b->tid, gettid(), __ATOMIC_RELEASE);
	b->n = recv(b->fd, &c, 1, 0);
	return NULL;
}

void
t_blocked(struct t_blocked *b, int fd)
{
	*b = (struct t_blocked){ .fd = fd };
	t_thread(&b->thread, block_in_recv, b);
	t_wait_blocked(&b->tid, SYS_recvfrom);
}
