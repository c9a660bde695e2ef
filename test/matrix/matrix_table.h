/*
 * matrix_table.h - prints the results of the matrix as a table, peer by peer
 */
#ifndef TEST_MATRIX_TABLE_H
#define TEST_MATRIX_TABLE_H

#include <stddef.h>

#include "matrix/matrix_case.h"

/* On standard output, 80 columns wide; cases that did not run are left out. */
void	m_table(const struct m_case *, const struct m_result *, size_t n);

#endif /* TEST_MATRIX_TABLE_H */
