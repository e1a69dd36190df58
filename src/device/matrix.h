/* A matrix of weights as it is stored: codes, and the scales that go with blocks of them.
 *
 *     value(r, c) = row_scales[r] * scale(r / block_rows, c / block_columns) * (code(r, c) - zero)
 *
 * A kernel [in, out] has in rows and out columns: a product sums over the rows. Blocks of
 * (rows, columns) are one scale for the tensor, (rows, 1) one for each column (channel), (32, 1)
 * one for 32 rows of a column. A table of embeddings is looked up by row: (1, columns), (1, 32).
 * The scales stand in the shape rule of ONNX's QuantizeLinear: [ceil(rows / block_rows),
 * ceil(columns / block_columns)].
 *
 * The kernels read this memory as it is; nothing expands a whole matrix. */
#ifndef MB_DEVICE_MATRIX_H
#define MB_DEVICE_MATRIX_H

#include "base/number.h"

typedef struct mb_matrix {
    mb_number_t number;
    int64_t rows, columns;
    int64_t block_rows, block_columns; /* 0: the numbers stand for themselves, no scales */
    int bias;                          /* of E3M4's exponent */
    mb_number_t scale_number;          /* F32 or BF16 */
    bool squared;   /* the codes are of the values' square roots: value = (scale * code)^2 */
    bool has_zeros; /* U4 */
    bool has_row_scales;
    bool has_column_sums; /* I8 whose blocks have all rows */
    const void *values;   /* row after row; of 4-bit numbers each row is padded to whole bytes */
    const void *scales;
    const uint8_t *zeros;       /* the code that stands for 0, one byte for each scale */
    const float *row_scales;    /* [rows] */
    const int32_t *column_sums; /* [columns]: of the codes; made when a matrix is loaded */
} mb_matrix_t;

static inline int64_t mb_matrix_row_bytes(const mb_matrix_t *m)
{
    return mb_number_bytes(m->number, m->columns);
}

static inline int64_t mb_matrix_value_bytes(const mb_matrix_t *m)
{
    return m->rows * mb_matrix_row_bytes(m);
}

static inline int64_t mb_matrix_scale_rows(const mb_matrix_t *m)
{
    return m->block_rows == 0 ? 0 : (m->rows + m->block_rows - 1) / m->block_rows;
}

static inline int64_t mb_matrix_scale_columns(const mb_matrix_t *m)
{
    return m->block_rows == 0 ? 0 : (m->columns + m->block_columns - 1) / m->block_columns;
}

static inline int64_t mb_matrix_scales(const mb_matrix_t *m)
{
    return mb_matrix_scale_rows(m) * mb_matrix_scale_columns(m);
}

static inline int64_t mb_matrix_scale_bytes(const mb_matrix_t *m)
{
    return mb_number_bytes(m->scale_number, mb_matrix_scales(m));
}

/* The code at (r, c) as a number, before zero and scales. Slow: for what is done once. */
float mb_matrix_code(const mb_matrix_t *m, int64_t r, int64_t c);
/* The value at (r, c), rounded as the kernels round it: float((row_scale * scale) * (code - zero)).
 */
float mb_matrix_value(const mb_matrix_t *m, int64_t r, int64_t c);

#endif
