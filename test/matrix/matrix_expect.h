/*
 * matrix_expect.h - what a close must return and report, by its pages
 *
 * It follows from the plain facts of a peer and the options of a form alone.
 * The first of four events decides: what the caller asked for is reached, a
 * reset, a time limit, or more input than the caller accepts.
 */
#ifndef TEST_MATRIX_EXPECT_H
#define TEST_MATRIX_EXPECT_H

#include <stdint.h>

#include "matrix/matrix_form.h"
#include "matrix/matrix_peer.h"

#define M_EITHER	(-1)		/* yes or no, both are right */

/* Whether the library can count what is unacknowledged. */
#ifdef GRACECLOSE_PORTABLE
#define M_COUNTS	0
#else
#define M_COUNTS	1
#endif

struct m_expected {
	int		value;		/* returned */
	int		error;		/* errno then */
	int		outcome;	/* the report's from here on */
	int		reported;	/* its error */
	int		delivered;
	int		finished;
	uint64_t	unacked;
	uint64_t	discarded_least, discarded_most;
	int64_t		least_ms, most_ms;
	int		reset;		/* an RST of ours leaves */
	bool		later;		/* goes on until the peer wakes */
};

/* Without limits not every close comes to its end. */
bool	m_ends(const struct m_form *, const struct m_peer *);
void	m_expect(const struct m_form *, const struct m_peer *,
	    struct m_expected *);

#endif /* TEST_MATRIX_EXPECT_H */
