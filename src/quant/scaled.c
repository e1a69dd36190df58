/* Whole-number formats with scales: a scale for each block of the layout, then the codes.
 *
 * Where a block is a run of one row, or of whole rows, its values lie side by side. A block down a
 * column is turned first, together with those of neighbouring columns, so that memory is read in
 * lines. */
#include "quant/methods.h"

#include "quant/scale.h"

#include <stdlib.h>
#include <string.h>

#define NEIGHBOURS                                                                                 \
    32 /* columns that are turned together; even, so that two halves share a byte                  \
        */

/* Packs COUNT codes, a byte each, to where COLUMN of ROW is stored. COLUMN is even. */
static void store(const mb_draft_t *draft, int64_t row, int64_t column, const uint8_t *codes,
                  int64_t count)
{
    const mb_matrix_t *m = draft->m;
    uint8_t *to = draft->values + row * mb_matrix_row_bytes(m) + mb_number_bytes(m->number, column);
    if (mb_number_bits(m->number) == 8) {
        memcpy(to, codes, (size_t)count);
        return;
    }
    for (int64_t i = 0; i < count / 2; i++)
        to[i] = (uint8_t)((codes[2 * i] & 15) | codes[2 * i + 1] << 4);
    if (count % 2 != 0)
        to[count / 2] = codes[count - 1] & 15;
}

/* Rows and columns of weights. */
typedef struct {
    int64_t row, rows, column, columns;
} region_t;

static region_t region_of(const mb_matrix_t *m, int64_t row, int64_t rows, int64_t column,
                          int64_t columns)
{
    int64_t rest_rows = m->rows - row, rest_columns = m->columns - column;
    return (region_t){row, rows < rest_rows ? rows : rest_rows, column,
                      columns < rest_columns ? columns : rest_columns};
}

static void encode_run(const mb_draft_t *draft, const float *values, bool mse, region_t at,
                       uint8_t *codes)
{
    const mb_matrix_t *m = draft->m;
    float scale;
    int zero;
    mb_scale_choose_stored(m->number, m->scale_number, mse,
                           values + at.row * m->columns + at.column, at.rows * at.columns, 1,
                           &scale, &zero);
    scale = mb_draft_set_scale(draft, at.row / m->block_rows, at.column / m->block_columns, scale,
                               zero);
    for (int64_t r = at.row; r < at.row + at.rows; r++) {
        mb_scale_apply(m->number, values + r * m->columns + at.column, at.columns, scale, zero,
                       codes);
        store(draft, r, at.column, codes, at.columns);
    }
}

static mb_status_t encode_runs(const mb_draft_t *draft, const float *values, bool mse)
{
    const mb_matrix_t *m = draft->m;
    uint8_t *codes = malloc((size_t)m->block_columns + 1);
    if (codes == NULL)
        return mb_error_memory("quantizing a tensor", (size_t)m->block_columns);
    for (int64_t r = 0; r < m->rows; r += m->block_rows)
        for (int64_t c = 0; c < m->columns; c += m->block_columns)
            encode_run(draft, values, mse, region_of(m, r, m->block_rows, c, m->block_columns),
                       codes);
    free(codes);
    return MB_OK;
}

static void turn(const float *values, int64_t columns, region_t at, float *turned)
{
    for (int64_t r = 0; r < at.rows; r++) {
        const float *row = values + (at.row + r) * columns + at.column;
        for (int64_t c = 0; c < at.columns; c++)
            turned[c * at.rows + r] = row[c];
    }
}

static void encode_neighbours(const mb_draft_t *draft, bool mse, region_t at, const float *turned,
                              uint8_t *codes)
{
    const mb_matrix_t *m = draft->m;
    for (int64_t c = 0; c < at.columns; c++) {
        const float *values = turned + c * at.rows;
        float scale;
        int zero;
        mb_scale_choose_stored(m->number, m->scale_number, mse, values, at.rows, 1, &scale, &zero);
        scale = mb_draft_set_scale(draft, at.row / m->block_rows, at.column + c, scale, zero);
        mb_scale_apply(m->number, values, at.rows, scale, zero, codes + c * at.rows);
    }
    for (int64_t r = 0; r < at.rows; r++) {
        uint8_t line[NEIGHBOURS];
        for (int64_t c = 0; c < at.columns; c++)
            line[c] = codes[c * at.rows + r];
        store(draft, at.row + r, at.column, line, at.columns);
    }
}

static mb_status_t encode_columns(const mb_draft_t *draft, const float *values, bool mse)
{
    const mb_matrix_t *m = draft->m;
    size_t room = (size_t)m->block_rows * NEIGHBOURS;
    float *turned = malloc(room * sizeof *turned);
    uint8_t *codes = malloc(room);
    mb_status_t status = MB_OK;
    if (turned == NULL || codes == NULL) {
        status = mb_error_memory("quantizing a tensor", room * (sizeof *turned + 1));
        goto out;
    }
    for (int64_t r = 0; r < m->rows; r += m->block_rows)
        for (int64_t c = 0; c < m->columns; c += NEIGHBOURS) {
            region_t at = region_of(m, r, m->block_rows, c, NEIGHBOURS);
            turn(values, m->columns, at, turned);
            encode_neighbours(draft, mse, at, turned, codes);
        }
out:
    free(turned);
    free(codes);
    return status;
}

/* Row scales are not looked at: VALUES are those that scale and code alone shall hold. */
mb_status_t mb_encode_scaled(const mb_draft_t *draft, const float *values, bool mse)
{
    const mb_matrix_t *m = draft->m;
    if (m->block_columns == 1 && m->columns > 1)
        return encode_columns(draft, values, mse);
    return encode_runs(draft, values, mse);
}
