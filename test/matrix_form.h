/*
 * matrix_form.h - the forms in which a program can close a connection
 */
#ifndef TEST_MATRIX_FORM_H
#define TEST_MATRIX_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

enum m_how {
	M_GRACEFUL,		/* graceful_close() */
	M_LINGER,		/* linger_close() */
	M_ABORT,		/* abort_close() */
	M_BLOCKING,		/* graceclose() */
	M_EPOLL,		/* begin and step, a loop with epoll */
	M_POLL,			/* the same with poll */
	M_REAPER		/* a reaper, which tells done */
};

struct m_form {
	const char	*name;
	enum m_how	 how;
	int		 until, on_expiry;	/* a verb's: as its page says */
	int		 timeout_ms, idle_ms;
	uint64_t	 discard_max;
	bool		 asks;		/* looks at it right before */
	bool		 faulted;	/* meets the faults of the wire, too */
};

extern const struct m_form m_forms[];
extern const size_t m_nforms;

#define m_aborts(f)	((f)->timeout_ms == 0)
#define m_reports(f)	((f)->how >= M_BLOCKING)

/*
 * What came of it: what the call returned, and the report where there is one.
 * A reaper's verdict is in the report alone; its call returns 0.
 */
struct m_told {
	int	rc;
	int	error;			/* errno, T_ERRNO_UNTOUCHED if so */
	struct graceclose_report report;
	int64_t	us;			/* the time it took */
};

void	m_close(const struct m_form *, int fd, struct m_told *);

/*
 * The factor by which the limits grow where everything is slower: T_SLOW in
 * the environment, more under a sanitizer.
 */
int	m_slow(void);
struct graceclose_opts m_opts(const struct m_form *);

#endif /* TEST_MATRIX_FORM_H */
