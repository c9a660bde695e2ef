/*
 * narrator.h - the output of the examples: which end made which call, when,
 * what the call returned, and the TCP state of both ends after it
 */
#ifndef NARRATOR_H
#define NARRATOR_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

struct ends;

/*
 * A scene is a heading, steps, and an end that prints the steps in the order of
 * their times; several threads may add steps.  The clock starts with the scene.
 * Outside a scene steps are ignored, so that the same code can run many times
 * without output.
 */
void	show_scene(const char *title);
void	show_step(const struct ends *ends, double at, const char *who,
	    const char *got, const char *fmt, ...)
	    __attribute__((format(printf, 5, 6)));
void	show_scene_end(void);

/* A line among the steps that belongs to neither end. */
void	show_line(double at, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

double	show_now(void);			/* ms since the scene began */
int64_t	show_began_us(void);		/* when that was, by the wall clock */
void	show_nap(void);			/* 0.2 ms, between two looks */

/* What a call that returned rv got: the number, or errno by its name. */
const char *
	show_got(ssize_t rv);
const char *
	show_errno(int error);

/*
 * A heading, a paragraph, the words and columns of a scene explained, the
 * line under the head of a table.
 */
void	show_title(const char *title);
void	show_legend(void);
void	show_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	show_rule(int width);

/*
 * Each example checks its own outcome.  It prints what differs from the
 * expectation, and show_verdict() is its exit status.
 */
void	show_expect(bool ok, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
int	show_verdict(void);

#endif /* NARRATOR_H */
