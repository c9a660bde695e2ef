/*
 * reapers.h - a reaper, and what it reports of each close
 */
#ifndef TEST_REAPERS_H
#define TEST_REAPERS_H

#include <sys/types.h>

#include <stdint.h>

#include <graceclose.h>

#include "support/assertions.h"

#define T_REAPER	"graceclose"	/* the thread's name */

/* The options may be NULL. */
struct graceclose_reaper *
		 t_reaper(const struct graceclose_reaper_opts *);

/* Waits until the thread is gone from /proc as well. */
void		 t_reaper_free(struct graceclose_reaper *);

/*
 * What a reaper reports of one close: t_done writes it into its cookie.
 * `place` counts the calls of t_done in the program.  `released` says that fd
 * was free again; it means nothing where another descriptor has the number.
 */
struct t_verdict {
	struct graceclose_report report;
	void		*arg;
	pid_t		 tid;		/* the thread that called */
	int		 fd;
	int		 released;
	int		 times;
	int		 place;
	int64_t		 at_ms;		/* t_now_ms then */
};
void		 t_done(void *, void *, const struct graceclose_report *);
int		 t_told(const struct t_verdict *);	/* calls so far */
void		 t_wait_told(const struct t_verdict *);

#define t_verdict_is(v, outcome_, error_, delivered_, finished_) do {	\
	const struct t_verdict *t_v_ = (v);				\
	ck_assert_int_eq(t_told(t_v_), 1);				\
	ck_assert_int_eq(t_v_->released, 1);				\
	t_report_is(&t_v_->report, outcome_, error_, delivered_,	\
	    finished_);							\
} while (0)

#endif /* TEST_REAPERS_H */
