/*
 * workers.h - many cases at once, each in a process with a wire of its own
 *
 * A case that takes seconds of waiting costs no CPU, so that hundreds of them
 * take as long as a few.  A member of the crew takes one case after the other;
 * one that dies or hangs is replaced, and its case says so.
 */
#ifndef TEST_WORKERS_H
#define TEST_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left of a case: where `wrong` is empty it went well. */
struct t_case_result {
	bool	run;
	int	status;			/* as of waitpid(2), where it died */
	int64_t	elapsed_ms;
	char	wrong[2000];
};

/*
 * Runs the cases 0 to n-1: work(i, arg, shared + i * size) with its first
 * failed ck_assert, if any, in results[i].wrong, and with the fixture of
 * t_case, save its time limit.  `shared` is memory that the crew and its parent
 * share (t_shared); other memory each member has for itself.  prepare is called
 * once in each member, before there is a thread.  A case that takes longer than
 * limit_ms is killed, and none is begun after `until_ms` (t_now_ms; 0: no such
 * end).  Nobody sees what a member prints, but for stderr; there is no t_skip.
 * Whoever calls it has no other threads.  Returns how many were run.
 */
size_t	t_workers(size_t members, size_t n, int64_t limit_ms, int64_t until_ms,
	    void (*prepare)(void),
	    void (*work)(size_t i, void *arg, void *shared),
	    void *arg, void *shared, size_t size,
	    struct t_case_result *results);
void	*t_shared(size_t);		/* zeroed; it lives as long as we do */

#endif /* TEST_WORKERS_H */
