/*
 * matrix_table.h - the outcomes as measured, peer by peer
 */
#ifndef TEST_MATRIX_TABLE_H
#define TEST_MATRIX_TABLE_H

#include <stddef.h>

#include "matrix/matrix_case.h"

/* On standard output, 80 columns wide; cases that did not run are left out. */
void	m_table(const struct m_case *, const struct m_result *, size_t n);

#endif /* TEST_MATRIX_TABLE_H */
