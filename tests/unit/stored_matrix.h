/* Random matrices as they are stored, for tests. */
#ifndef MB_TESTS_UNIT_STORED_MATRIX_H
#define MB_TESTS_UNIT_STORED_MATRIX_H

#include "support/op_check.h"

/* Fills in values, scales, zeros, row scales and column sums of a layout, in the device's memory.
 * Weights are about 1 in magnitude at most. */
void stored_matrix_random(op_t *op, mb_matrix_t *matrix);

/* A layout of ROWS x COLUMNS. block_rows 0: a format without scales, which MB_NUMBER_I8 and so on
 * are not. */
mb_matrix_t stored_matrix_layout(mb_number_t number, int64_t rows, int64_t columns,
                                 int64_t block_rows, int64_t block_columns);

/* How large the terms are that a kernel may sum for (r, c): scale (|code| + |zero|), codes of U4
 * counted from the middle. */
double stored_matrix_magnitude(const mb_matrix_t *matrix, int64_t r, int64_t c);

#endif
