/* See stored_matrix.h. */
#include "stored_matrix.h"
#include <string.h>

mb_matrix_t stored_matrix_layout(mb_number_t number, int64_t rows, int64_t columns,
                                 int64_t block_rows, int64_t block_columns)
{
    mb_matrix_t m = {.number = number, .rows = rows, .columns = columns};
    m.block_rows = block_rows;
    m.block_columns = block_columns;
    m.bias = 6;
    m.has_zeros = number == MB_NUMBER_U4;
    m.scale_number = block_rows == rows ? MB_NUMBER_F32 : MB_NUMBER_BF16;
    m.has_column_sums = number == MB_NUMBER_I8 && block_rows == rows;
    return m;
}

static void *random_bytes(op_t *op, int64_t bytes, int least, int most)
{
    uint8_t *memory = op_memory(op, (size_t)bytes);
    for (int64_t i = 0; i < bytes; i++)
        memory[i] = (uint8_t)op_integer(op, least, most);
    return memory;
}

static void *random_values(op_t *op, const mb_matrix_t *m)
{
    int64_t count = m->rows * m->columns;
    if (m->block_rows > 0)
        return random_bytes(op, mb_matrix_value_bytes(m), 0, 255);
    float *floats = op_random(op, count, -1, 1);
    if (m->number == MB_NUMBER_F32)
        return floats;
    void *codes = op_memory(op, (size_t)mb_matrix_value_bytes(m));
    mb_number_encode(m->number, m->bias, floats, count, codes);
    return codes;
}

static void *random_scales(op_t *op, const mb_matrix_t *m)
{
    int64_t count = mb_matrix_scales(m);
    double most = mb_number_bits(m->number) == 8 ? 1.0 / 128.0 : 1.0 / 8.0;
    float *scales = op_random(op, count, 0.2 * most, most);
    if (m->scale_number == MB_NUMBER_F32)
        return scales;
    void *halves = op_memory(op, (size_t)mb_matrix_scale_bytes(m));
    mb_number_encode(MB_NUMBER_BF16, 0, scales, count, halves);
    return halves;
}

static void *column_sums(op_t *op, const mb_matrix_t *m)
{
    int32_t *sums = op_memory(op, sizeof *sums * (size_t)m->columns);
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t c = 0; c < m->columns; c++)
            sums[c] += ((const int8_t *)m->values)[r * m->columns + c];
    return sums;
}

void stored_matrix_random(op_t *op, mb_matrix_t *m)
{
    m->values = random_values(op, m);
    if (m->block_rows > 0)
        m->scales = random_scales(op, m);
    if (m->has_zeros)
        m->zeros = random_bytes(op, mb_matrix_scales(m), 0, 15);
    if (m->has_row_scales)
        m->row_scales = op_random(op, m->rows, 0.5, 1.0);
    if (m->has_column_sums)
        m->column_sums = column_sums(op, m);
}

double stored_matrix_magnitude(const mb_matrix_t *m, int64_t r, int64_t c)
{
    if (m->number != MB_NUMBER_U4)
        return fabs((double)mb_matrix_value(m, r, c));
    mb_matrix_t ones = *m;
    double code = (double)mb_matrix_code(m, r, c);
    double zero =
        (double)m->zeros[r / m->block_rows * mb_matrix_scale_columns(m) + c / m->block_columns];
    double scale = 1.0;
    if (code != zero) {
        scale = (double)mb_matrix_value(m, r, c) / (code - zero);
    } else { /* of another code */
        ones.has_zeros = false;
        scale = code > 0 ? (double)mb_matrix_value(&ones, r, c) / code : 1.0;
    }
    return fabs(scale) * (fabs(code - 8.0) + fabs(zero - 8.0));
}
