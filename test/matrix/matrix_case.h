/*
 * matrix_case.h - one case of the matrix: closes one connection to one peer,
 * and asserts everything that the pages promise about it
 */
#ifndef TEST_MATRIX_CASE_H
#define TEST_MATRIX_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "matrix/matrix_expect.h"
#include "matrix/matrix_form.h"
#include "matrix/matrix_peer.h"
#include "network/link.h"

/* What the link does to one segment near the end of the connection. */
struct m_fault {
	const char	*name;
	int		 way, kinds;
	enum t_action	 action;
	bool		 early;		/* comes before the close may begin */
	bool		 early_if_first; /* that, if the peer's FIN does */
};

extern const struct m_fault m_faults[];
extern const size_t m_nfaults;

struct m_case {
	const struct m_peer	*peer;
	const struct m_form	*form;
	const struct m_fault	*fault;		/* NULL: none */
	int			 family;
	bool			 connecting;
	bool			 nonblocking;
};

/* What was measured, for the table; `ran` is set as soon as it closed. */
struct m_result {
	struct closing	told;
	struct t_proof	proof;		/* as it returned */
	int64_t		due_us;		/* what it waits for comes then, */
	int64_t		took_us;	/* and this is how long it took */
	bool		ran;
	bool		reset;		/* an RST of ours left, in the end */
};

/* Our FIN was acknowledged, or had an answer that says as much. */
static inline bool
m_delivered(const struct t_proof *t)
{
	return t->fin_acked || (M_COUNTS && t->fin_answered);
}

void	m_case_run(const struct m_case *, struct m_result *);

#endif /* TEST_MATRIX_CASE_H */
