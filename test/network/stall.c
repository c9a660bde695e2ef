/*
 * stall.c - a thread that measures for how long this process did not run
 */
#include <sys/prctl.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "network/stall.h"
#include "support/util.h"

#define BEAT_MS		10

#define GET(p)		__atomic_load_n((p), __ATOMIC_RELAXED)
#define SET(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELAXED)

static void
beat(struct stall *s)
{
	int64_t now = t_now_ms(), late = now - GET(&s->beat_ms) - BEAT_MS;

	if (late > GET(&s->longest_ms))
		SET(&s->longest_ms, late);
	if (late >= BEAT_MS)
		SET(&s->total_ms, GET(&s->total_ms) + late);
	SET(&s->beat_ms, now);
}

static void *
run(void *arg)
{
	prctl(PR_SET_NAME, "stall");
	for (;;) {
		t_pause(BEAT_MS);
		beat(arg);
	}
	return NULL;
}

void
stall_start(struct stall *s)
{
	sigset_t all, before;
	pthread_t thread;

	stall_begin(s);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, run, s) != 0)
		abort();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_detach(thread);
}

void
stall_begin(struct stall *s)
{
	SET(&s->beat_ms, t_now_ms());
	SET(&s->longest_ms, 0);
	SET(&s->total_ms, 0);
}

/* For how long the thread has been late. */
static int64_t
late_now_ms(const struct stall *s)
{
	int64_t beat = GET(&s->beat_ms);

	return beat == 0 ? 0 : t_now_ms() - beat - BEAT_MS;
}

int64_t
stall_longest_ms(const struct stall *s)
{
	int64_t longest = GET(&s->longest_ms), late = late_now_ms(s);

	return late > longest ? late : longest;
}

int64_t
stall_total_ms(const struct stall *s)
{
	int64_t late = late_now_ms(s);

	return GET(&s->total_ms) + (late >= BEAT_MS ? late : 0);
}
