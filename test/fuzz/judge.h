/*
 * judge.h - what the verdict of a close has to be, on the kernel of kernel.h
 *
 * Each must() of judge.c is a sentence of what the pages promise.  It knows the
 * truth, and says where a library that asks Linux cannot know it.
 */
#ifndef TEST_JUDGE_H
#define TEST_JUDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "fuzz/kernel.h"
#include "graceclose.h"

#define MARK		4711		/* errno that is left alone */
#define must(ok)	kernel_must(ok)

/* The kernel is no liar, and has a connection. */
bool	judge_truth_is_known(void);

/* Every byte and our FIN were acknowledged, or the FIN answered. */
bool	judge_delivered(void);

/* What is lost without a trace, and an end in order that looks like none. */
bool	judge_forgotten(void);
bool	judge_blamed(void);

/* A limit has run out, by the clock of before; none has, by that of now. */
bool	judge_ran_out(const struct graceclose_opts *);
bool	judge_within(const struct graceclose_opts *);

/* A count that changes is always an acknowledgement. */
bool	judge_counts(void);

/* For opts.late; judge_begin() starts the account. */
void	judge_begin(void);
void	judge_take_late(void *arg, const void *data, size_t);
extern char	judge_late_arg;

/* What a call returned, and errno; what it has released; its report or NULL. */
void	judge_return(int r, int error);
void	judge_released(void);
void	judge(int r, const struct graceclose_opts *,
	    const struct graceclose_report *);

#endif /* TEST_JUDGE_H */
