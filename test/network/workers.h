/*
 * workers.h - many cases at once, each in a process with a link of its own
 *
 * A case that waits for seconds costs no CPU time, so that hundreds of cases
 * take as long as a few.  A worker is a process that runs one case after the
 * other, with a higher priority where that is allowed.  A worker that dies or
 * hangs is replaced, and its case has failed.
 *
 * A case that fails while the machine kept its worker from running has shown
 * nothing.  Such a case runs again, alone, with an even higher priority and
 * more time, T_REPEATS times at most.  A case that fails in a worker that ran
 * whenever it could, that crashes or exits, or that called t_worker_certain()
 * has failed at once.  So has one that is killed, unless stalls took a quarter
 * of its time.  What was repeated, and why, is printed.
 */
#ifndef TEST_WORKERS_H
#define TEST_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define T_REPEATS	3

/* The last run of a case: where `wrong` is empty it went well. */
struct t_case_result {
	bool	run;
	int	status;			/* as of waitpid(2), where it died */
	int	repeats;		/* how often it ran again */
	bool	starved;		/* its worker was kept from running */
	int64_t	stall_ms;		/* for so long at a time, at most */
	int64_t	elapsed_ms;
	char	measured[120];		/* what says so */
	char	wrong[2000];
};

/*
 * Runs the cases 0 to n-1: work(i, arg, shared + i * size) with its first
 * failed ck_assert, if any, in results[i].wrong, and with the fixture of
 * t_case, but not its time limit.  `shared` is memory that the workers and
 * their parent share (t_shared); a case that runs again finds its part zeroed.
 * Other memory each worker has for itself.  prepare is called once in each
 * worker, before it has a thread.  A case that takes longer than limit_ms is
 * killed.  No case begins after `until_ms` (t_now_ms; 0: no such end), but one
 * that runs again.  The output of a worker is lost, except for stderr, and
 * t_skip does not work there.  The caller has no other threads.  Returns how
 * many cases were run.
 */
size_t	t_workers(size_t workers, size_t n, int64_t limit_ms,
	    int64_t until_ms, void (*prepare)(void),
	    void (*work)(size_t i, void *arg, void *shared),
	    void *arg, void *shared, size_t size,
	    struct t_case_result *results);
void	*t_shared(size_t);		/* zeroed, never unmapped */

/* For `work`, about the case that runs; elsewhere there is no repeat. */

/* By how much its limits grow: t_patience(), and double at each repeat. */
int	t_worker_patience(void);
/* Whether a failure counts: it was not starved, or does not run again. */
bool	t_worker_final(void);
/* What fails from now on is no matter of time: it does not run again. */
void	t_worker_certain(void);

#endif /* TEST_WORKERS_H */
