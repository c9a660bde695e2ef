/*
 * matrix_form.h - the forms of close in the matrix: a call and its options
 */
#ifndef TEST_MATRIX_FORM_H
#define TEST_MATRIX_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network/closing.h"

struct m_form {
	const char	*name;
	enum closing_form form;
	int		 until, on_expiry;	/* a verb's: as its page says */
	int		 timeout_ms, idle_ms;
	uint64_t	 discard_max;
	bool		 asks;		/* looks at it right before */
	bool		 faulted;	/* also with faults of the link */
};

extern const struct m_form m_forms[];
extern const size_t m_nforms;

#define m_aborts(f)	((f)->timeout_ms == 0)
#define m_reports(f)	closing_reports((f)->form)

void	m_close(const struct m_form *, int fd, struct closing *);

/*
 * The factor by which the limits grow where everything is slower: T_SLOW in
 * the environment, and more under a sanitizer or valgrind, and for a case that
 * runs again.
 */
int	m_slow(void);
struct graceclose_opts m_opts(const struct m_form *);

#endif /* TEST_MATRIX_FORM_H */
